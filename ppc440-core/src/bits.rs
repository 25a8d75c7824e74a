//! Register bits by their manual names. Sources: IBM PPC440x5 core manual and the facts measured for this project.

/// Machine state register.
pub mod msr {
    /// Wait state enable.
    pub const WE: u32 = 0x0004_0000;
    /// Critical interrupt enable.
    pub const CE: u32 = 0x0002_0000;
    /// External interrupt enable.
    pub const EE: u32 = 0x8000;
    /// Problem state.
    pub const PR: u32 = 0x4000;
    /// Floating-point available.
    pub const FP: u32 = 0x2000;
    /// Machine check enable.
    pub const ME: u32 = 0x1000;
    /// Floating-point exception mode 0.
    pub const FE0: u32 = 0x800;
    /// Debug wait enable.
    pub const DWE: u32 = 0x400;
    /// Debug interrupt enable.
    pub const DE: u32 = 0x200;
    /// Floating-point exception mode 1.
    pub const FE1: u32 = 0x100;
    /// Instruction address space.
    pub const IS: u32 = 0x20;
    /// Data address space.
    pub const DS: u32 = 0x10;
    /// Every bit that exists; the others read zero.
    pub const ALL: u32 = WE | CE | EE | PR | FP | ME | FE0 | DWE | DE | FE1 | IS | DS;
}

/// Exception syndrome register.
pub mod esr {
    /// Machine check: instruction.
    pub const MCI: u32 = 0x8000_0000;
    /// Program: illegal instruction.
    pub const PIL: u32 = 0x0800_0000;
    /// Program: privileged instruction.
    pub const PPR: u32 = 0x0400_0000;
    /// Program: trap.
    pub const PTR: u32 = 0x0200_0000;
    /// Floating-point operation.
    pub const FP: u32 = 0x0100_0000;
    /// Store operation.
    pub const ST: u32 = 0x0080_0000;
    /// Data storage: dcbf locked out of user mode (MMUCR\[DULXE\]).
    pub const DLK0: u32 = 0x0020_0000;
    /// Data storage: icbi locked out of user mode (MMUCR\[IULXE\]).
    pub const DLK1: u32 = 0x0010_0000;
    /// Auxiliary processor operation.
    pub const AP: u32 = 0x0008_0000;
    /// Program: unimplemented operation.
    pub const PUO: u32 = 0x0004_0000;
    /// Byte ordering exception.
    pub const BO: u32 = 0x0002_0000;
    /// Program: imprecise.
    pub const PIE: u32 = 0x0001_0000;
}

/// Timer control register.
pub mod tcr {
    /// Watchdog period.
    pub const WP: u32 = 0xC000_0000;
    /// Watchdog reset control; sticky once set.
    pub const WRC: u32 = 0x3000_0000;
    /// Watchdog interrupt enable.
    pub const WIE: u32 = 0x0800_0000;
    /// Decrementer interrupt enable.
    pub const DIE: u32 = 0x0400_0000;
    /// Fixed interval timer period.
    pub const FP: u32 = 0x0300_0000;
    /// Fixed interval timer interrupt enable.
    pub const FIE: u32 = 0x0080_0000;
    /// Decrementer auto-reload enable.
    pub const ARE: u32 = 0x0040_0000;
    /// Every bit that exists.
    pub const ALL: u32 = WP | WRC | WIE | DIE | FP | FIE | ARE;
}

/// Timer status register.
pub mod tsr {
    /// Enable next watchdog.
    pub const ENW: u32 = 0x8000_0000;
    /// Watchdog interrupt status.
    pub const WIS: u32 = 0x4000_0000;
    /// Watchdog reset status.
    pub const WRS: u32 = 0x3000_0000;
    /// Decrementer interrupt status.
    pub const DIS: u32 = 0x0800_0000;
    /// Fixed interval timer interrupt status.
    pub const FIS: u32 = 0x0400_0000;
}

/// Debug control register 0.
pub mod dbcr0 {
    /// External debug mode.
    pub const EDM: u32 = 0x8000_0000;
    /// Internal debug mode: events become debug interrupts.
    pub const IDM: u32 = 0x4000_0000;
    /// Reset: 1 core, 2 chip, 3 system.
    pub const RST: u32 = 0x3000_0000;
    /// Instruction complete event.
    pub const ICMP: u32 = 0x0800_0000;
    /// Branch taken event.
    pub const BRT: u32 = 0x0400_0000;
    /// Interrupt event.
    pub const IRPT: u32 = 0x0200_0000;
    /// Trap event.
    pub const TRAP: u32 = 0x0100_0000;
    /// Instruction address compare 1; 2-4 follow to the right.
    pub const IAC1: u32 = 0x0080_0000;
    /// Instruction address compare 2.
    pub const IAC2: u32 = 0x0040_0000;
    /// Instruction address compare 3.
    pub const IAC3: u32 = 0x0020_0000;
    /// Instruction address compare 4.
    pub const IAC4: u32 = 0x0010_0000;
    /// Data address compare 1, read.
    pub const DAC1R: u32 = 0x0008_0000;
    /// Data address compare 1, write.
    pub const DAC1W: u32 = 0x0004_0000;
    /// Data address compare 2, read.
    pub const DAC2R: u32 = 0x0002_0000;
    /// Data address compare 2, write.
    pub const DAC2W: u32 = 0x0001_0000;
    /// Return (rfi, rfci, rfmci) event.
    pub const RET: u32 = 0x8000;
    /// Freeze timers on a debug event.
    pub const FT: u32 = 1;
    /// Bits that enable an event of any kind.
    pub const EVENTS: u32 =
        ICMP | BRT | IRPT | TRAP | IAC1 | IAC2 | IAC3 | IAC4 | DAC1R | DAC1W | DAC2R | DAC2W | RET;
}

/// Debug status register; event bits stand where DBCR0 has them.
pub mod dbsr {
    /// Imprecise debug event.
    pub const IDE: u32 = 0x8000_0000;
    /// Unconditional debug event.
    pub const UDE: u32 = 0x4000_0000;
    /// Most recent reset.
    pub const MRR: u32 = 0x3000_0000;
}

/// MMU control register.
pub mod mmucr {
    /// Store without allocate.
    pub const SWOA: u32 = 0x0100_0000;
    /// User dcbf raises data storage.
    pub const DULXE: u32 = 0x0008_0000;
    /// User icbi raises data storage.
    pub const IULXE: u32 = 0x0004_0000;
    /// Search translation space.
    pub const STS: u32 = 0x0001_0000;
    /// Search translation ID.
    pub const STID: u32 = 0xFF;
    /// Every bit that exists.
    pub const ALL: u32 = SWOA | 0x0040_0000 | 0x0020_0000 | DULXE | IULXE | STS | STID;
}

/// Core configuration register 0.
pub mod ccr0 {
    /// Force load/store alignment.
    pub const FLSTA: u32 = 0x0100;
}

/// Fixed-point exception register.
pub mod xer {
    /// Summary overflow.
    pub const SO: u32 = 0x8000_0000;
    /// Overflow.
    pub const OV: u32 = 0x4000_0000;
    /// Carry.
    pub const CA: u32 = 0x2000_0000;
    /// Number of bytes for lswx and stswx; dlmzb's result.
    pub const COUNT: u32 = 0x7F;
    /// Every bit that exists.
    pub const ALL: u32 = SO | OV | CA | COUNT;
}

/// UTLB entry word 2 storage attributes that change how the core accesses a page.
pub mod storage {
    /// Write-through required.
    pub const W: u32 = 0x800;
    /// Caching inhibited.
    pub const I: u32 = 0x400;
    /// Little-endian page.
    pub const E: u32 = 0x80;
}
