//! The architected state of a PowerPC 440 core as one plain structure.
//!
//! Debuggers, snapshots, moving a guest to another engine and lock step are all the same operation: take this
//! structure out of one engine and put it into another. It is `repr(C)`, big enough to be exact and free of
//! pointers, so it crosses the plugin boundary as it is. Fields hold what `mfspr` would return in 32-bit SPRs;
//! timers hold their value at the moment of the copy. Caches have no state: they are never modelled.

use mmu_core::TlbEntry;

/// Number of UTLB entries of a 440 core.
pub const TLB_ENTRIES: usize = 64;

/// Everything that a 440EP core remembers between two instructions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CpuState {
    /// Size of this structure in bytes, for versioning across the plugin boundary.
    pub size: u32,
    /// Address of the next instruction.
    pub pc: u32,
    /// General purpose registers.
    pub gpr: [u32; 32],
    /// Floating-point registers, as IEEE 754 binary64 images.
    pub fpr: [u64; 32],
    /// Floating-point status and control register.
    pub fpscr: u32,
    /// Condition register.
    pub cr: u32,
    /// Fixed-point exception register (SPR 1): SO, OV, CA and the byte count in bits 25:31.
    pub xer: u32,
    /// Link register (SPR 8).
    pub lr: u32,
    /// Count register (SPR 9).
    pub ctr: u32,
    /// Machine state register.
    pub msr: u32,
    /// Save/restore registers 0 and 1 (SPR 26, 27).
    pub srr: [u32; 2],
    /// Critical save/restore registers 0 and 1 (SPR 58, 59).
    pub csrr: [u32; 2],
    /// Machine check save/restore registers 0 and 1 (SPR 570, 571).
    pub mcsrr: [u32; 2],
    /// Exception syndrome register (SPR 62).
    pub esr: u32,
    /// Data exception address register (SPR 61).
    pub dear: u32,
    /// Machine check syndrome register (SPR 572).
    pub mcsr: u32,
    /// Interrupt vector prefix register (SPR 63).
    pub ivpr: u32,
    /// Interrupt vector offset registers 0-15 (SPR 400-415).
    pub ivor: [u32; 16],
    /// Process identifier (SPR 48), 8 bits.
    pub pid: u32,
    /// MMU control register (SPR 946).
    pub mmucr: u32,
    /// SPRG0-7 (SPR 272-279).
    pub sprg: [u32; 8],
    /// USPRG0 (SPR 256).
    pub usprg0: u32,
    /// Processor version register (SPR 287).
    pub pvr: u32,
    /// Processor identification register (SPR 286).
    pub pir: u32,
    /// Core configuration registers 0 and 1 (SPR 947, 888).
    pub ccr: [u32; 2],
    /// Reset configuration register (SPR 923).
    pub rstcfg: u32,
    /// Decrementer (SPR 22) at the moment of the copy.
    pub dec: u32,
    /// Decrementer auto-reload register (SPR 54).
    pub decar: u32,
    /// Timer control register (SPR 340).
    pub tcr: u32,
    /// Timer status register (SPR 336).
    pub tsr: u32,
    /// Time base (TBU:TBL) at the moment of the copy, in timebase ticks.
    pub tb: u64,
    /// Debug status register (SPR 304).
    pub dbsr: u32,
    /// Debug control registers 0-2 (SPR 308-310).
    pub dbcr: [u32; 3],
    /// Instruction address compare registers 1-4 (SPR 312-315).
    pub iac: [u32; 4],
    /// Data address compare registers 1 and 2 (SPR 316, 317).
    pub dac: [u32; 2],
    /// Data value compare registers 1 and 2 (SPR 318, 319).
    pub dvc: [u32; 2],
    /// Debug data register (SPR 1011).
    pub dbdr: u32,
    /// Instruction cache normal victim registers (SPR 880-883).
    pub inv: [u32; 4],
    /// Instruction cache transient victim registers (SPR 884-887).
    pub itv: [u32; 4],
    /// Data cache normal victim registers (SPR 912-915).
    pub dnv: [u32; 4],
    /// Data cache transient victim registers (SPR 916-919).
    pub dtv: [u32; 4],
    /// Data and instruction cache victim limits (SPR 920, 921).
    pub vlim: [u32; 2],
    /// Data cache debug tag registers low, high (SPR 924, 925).
    pub dcdbtr: [u32; 2],
    /// Instruction cache debug tag registers low, high (SPR 926, 927).
    pub icdbtr: [u32; 2],
    /// Instruction cache debug data register (SPR 979).
    pub icdbdr: u32,
    /// Non-zero while a reservation made by `lwarx` is held.
    pub reserve_valid: u32,
    /// Physical address (low 32 bits) of the reserved word.
    pub reserve_addr: u32,
    /// Physical address (high 4 bits) of the reserved word.
    pub reserve_addr_high: u32,
    /// Non-zero while the shadow TLB entry that hardware installs at reset still maps the top 4 KB page
    /// (IBM PPC440x5 core manual, initialization; it goes at the first context synchronising event).
    pub reset_entry: u32,
    /// The unified TLB with each entry's hidden TID.
    pub tlb: [TlbEntry; TLB_ENTRIES],
}

impl CpuState {
    /// The state after a reset of a core with the given PVR: MSR 0, PC 0xFFFF_FFFC, every TLB entry invalid and
    /// the reset entry in place (facts: section 2.9).
    #[must_use]
    pub fn reset(pvr: u32) -> Self {
        Self {
            size: size_of::<Self>() as u32,
            pc: 0xFFFF_FFFC,
            gpr: [0; 32],
            fpr: [0; 32],
            fpscr: 0,
            cr: 0,
            xer: 0,
            lr: 0,
            ctr: 0,
            msr: 0,
            srr: [0; 2],
            csrr: [0; 2],
            mcsrr: [0; 2],
            esr: 0,
            dear: 0,
            mcsr: 0,
            ivpr: 0,
            ivor: [0; 16],
            pid: 0,
            mmucr: 0,
            sprg: [0; 8],
            usprg0: 0,
            pvr,
            pir: 0,
            ccr: [0; 2],
            rstcfg: 0,
            dec: 0,
            decar: 0,
            tcr: 0,
            tsr: 0,
            tb: 0,
            dbsr: 0,
            dbcr: [0; 3],
            iac: [0; 4],
            dac: [0; 2],
            dvc: [0; 2],
            dbdr: 0,
            inv: [0; 4],
            itv: [0; 4],
            dnv: [0; 4],
            dtv: [0; 4],
            vlim: [0; 2],
            dcdbtr: [0; 2],
            icdbtr: [0; 2],
            icdbdr: 0,
            reserve_valid: 0,
            reserve_addr: 0,
            reserve_addr_high: 0,
            reset_entry: 1,
            tlb: [TlbEntry::default(); TLB_ENTRIES],
        }
    }

    /// Calls `differ(name, index, ours, theirs)` for each field in which two states differ, in a fixed order.
    /// `index` is the element of an array field and 0 elsewhere. Lock step and tests print what this finds.
    pub fn compare(&self, other: &Self, mut differ: impl FnMut(&'static str, usize, u64, u64)) {
        macro_rules! scalar {
            ($($field:ident)*) => { $(
                if self.$field != other.$field {
                    differ(stringify!($field), 0, u64::from(self.$field), u64::from(other.$field));
                }
            )* };
        }
        macro_rules! array {
            ($($field:ident)*) => { $(
                for (index, (ours, theirs)) in self.$field.iter().zip(&other.$field).enumerate() {
                    if ours != theirs {
                        differ(stringify!($field), index, u64::from(*ours), u64::from(*theirs));
                    }
                }
            )* };
        }
        scalar!(pc);
        array!(gpr fpr);
        scalar!(fpscr cr xer lr ctr msr);
        array!(srr csrr mcsrr);
        scalar!(esr dear mcsr ivpr);
        array!(ivor);
        scalar!(pid mmucr);
        array!(sprg);
        scalar!(usprg0 pvr pir);
        array!(ccr);
        scalar!(rstcfg dec decar tcr tsr tb dbsr);
        array!(dbcr iac dac dvc);
        scalar!(dbdr);
        array!(inv itv dnv dtv vlim dcdbtr icdbtr);
        scalar!(icdbdr reserve_valid reserve_addr reserve_addr_high reset_entry);
        for (index, (ours, theirs)) in self.tlb.iter().zip(&other.tlb).enumerate() {
            for (name, a, b) in [
                ("tlb.word0", ours.word0, theirs.word0),
                ("tlb.word1", ours.word1, theirs.word1),
                ("tlb.word2", ours.word2, theirs.word2),
                ("tlb.tid", ours.tid, theirs.tid),
            ] {
                if a != b {
                    differ(name, index, u64::from(a), u64::from(b));
                }
            }
        }
    }
}
