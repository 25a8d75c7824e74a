//! Ring 0, as little of it as there can be: descriptor tables, and a stub for each exception vector that does one `out`.
//! No code runs here unless the engine does what it must not; then the frame that the processor pushed tells what that
//! was (Intel SDM volume 3, chapter 6).

use super::memory::Block;
use super::protocol::PORT;

/// Pages of this part: descriptor tables, stubs, two stacks.
pub(super) const DATA_LEN: u64 = 4096;
/// Bytes of the stubs.
pub(super) const STUBS_LEN: u64 = 4096;
/// Bytes of the stacks.
pub(super) const STACK_LEN: u64 = 8192;

/// Where the part lies in the machine: tables, stubs, stacks, one after the other.
pub(super) const VA: u64 = 0x10_0000;
const STUBS: u64 = VA + DATA_LEN;
const STACKS: u64 = STUBS + STUBS_LEN;

/// The port of a fault: ring 0 may use any.
pub(super) const FAULT_PORT: u16 = PORT + 1;

const GDT: u64 = 0;
const TSS: u64 = 0x100;
const IDT: u64 = 0x400;
/// The task state segment with its I/O permission bitmap, which ends with a byte of ones.
pub(super) const TSS_LIMIT: u32 = 104 + PORT as u32 / 8 + 1;
/// Limits of the tables.
pub(super) const GDT_LIMIT: u16 = 7 * 8 - 1;
/// Likewise.
pub(super) const IDT_LIMIT: u16 = VECTORS as u16 * 16 - 1;

/// Selectors.
pub(super) const SYSTEM_CODE: u16 = 1 << 3;
/// Ring 3's data and stack.
pub(super) const USER_DATA: u16 = 3 << 3 | 3;
/// Ring 3's code.
pub(super) const USER_CODE: u16 = 4 << 3 | 3;
/// The task state.
pub(super) const TASK: u16 = 5 << 3;

const VECTORS: u64 = 32;

/// Addresses of the tables in the machine.
pub(super) const GDT_VA: u64 = VA + GDT;
/// Likewise.
pub(super) const IDT_VA: u64 = VA + IDT;
/// Likewise.
pub(super) const TSS_VA: u64 = VA + TSS;

/// Writes the part to offset `at` of the block.
pub(super) fn write(block: &mut Block, at: u64) {
    // Access bytes with the accessed bit set, so that the processor does not write them.
    let code = |dpl: u64| 0x0020_9B00_0000_0000 | dpl << 45;
    let data = |dpl: u64| 0x00CF_9300_0000_FFFF | dpl << 45;
    let busy_tss = 0x0000_8B00_0000_0000
        | u64::from(TSS_LIMIT)
        | (TSS_VA & 0xFF_FFFF) << 16
        | (TSS_VA >> 24 & 0xFF) << 56;
    for (index, descriptor) in (0..).zip([0, code(0), data(0), data(3), code(3), busy_tss, TSS_VA >> 32]) {
        block.write_u64(at + GDT + index * 8, descriptor);
    }
    // RSP0, IST1 for the vectors that may come at any time, and the bitmap: all ports forbidden but one.
    let (stack, spare) = (STACKS + STACK_LEN / 2, STACKS + STACK_LEN);
    block.write(at + TSS, &[0; 104]);
    block.write_u64(at + TSS + 4, stack);
    block.write_u64(at + TSS + 36, spare);
    block.write(at + TSS + 102, &104u16.to_le_bytes());
    let bitmap = at + TSS + 104;
    for byte in 0..=u64::from(PORT) / 8 + 1 {
        block.write(bitmap + byte, &[0xFF]);
    }
    block.write(bitmap + u64::from(PORT) / 8, &[!(1u8 << (PORT % 8))]);
    const NMI: u64 = 2;
    const DOUBLE_FAULT: u64 = 8;
    const MACHINE_CHECK: u64 = 18;
    for vector in 0..VECTORS {
        let stub = STUBS + vector * 16;
        let stack = u64::from(matches!(vector, NMI | DOUBLE_FAULT | MACHINE_CHECK));
        // A present interrupt gate that only the processor may use.
        let gate = (stub & 0xFFFF)
            | u64::from(SYSTEM_CODE) << 16
            | stack << 32
            | 0x8E << 40
            | (stub >> 16 & 0xFFFF) << 48;
        block.write_u64(at + IDT + vector * 16, gate);
        block.write_u64(at + IDT + vector * 16 + 8, stub >> 32);
        // out FAULT_PORT, al; hlt; jmp to the hlt
        block.write(at + DATA_LEN + vector * 16, &[0xE6, FAULT_PORT as u8, 0xF4, 0xEB, 0xFD]);
    }
}

/// What an engine did that it must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    vector: u64,
    error: Option<u64>,
    rip: u64,
    /// CR2.
    address: u64,
}

impl Fault {
    /// Reads the frame, with the machine stopped in a stub. `at` is the part's offset in the block.
    pub(super) fn read(block: &Block, at: u64, rip: u64, rsp: u64, cr2: u64) -> Option<Self> {
        let vector = rip.checked_sub(STUBS)? / 16;
        if vector >= VECTORS {
            return None;
        }
        let frame = at + rsp.checked_sub(VA).filter(|offset| *offset < DATA_LEN + STUBS_LEN + STACK_LEN)?;
        let has_error = matches!(vector, 8 | 10..=14 | 17 | 21 | 29 | 30);
        let error = if has_error { Some(block.read_u64(frame)?) } else { None };
        let rip = block.read_u64(frame + if has_error { 8 } else { 0 })?;
        Some(Self { vector, error, rip, address: cr2 })
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.vector {
            0 => "divided by zero",
            3 => "hit a breakpoint",
            6 => "executed an invalid instruction",
            8 => "caused a double fault",
            12 => "broke its stack segment",
            13 => "broke a protection rule",
            14 => {
                let error = self.error.unwrap_or(0);
                let what = match (error & 16 != 0, error & 2 != 0) {
                    (true, _) => "executed",
                    (false, true) => "wrote",
                    (false, false) => "read",
                };
                let why = if error & 1 == 0 { "which is not mapped" } else { "which it may not" };
                return write!(
                    f,
                    "The engine in the virtual machine {what} address {:#x}, {why} (vector 14, error {error:#x}, RIP {:#x})",
                    self.address, self.rip
                );
            }
            16 | 19 => "raised a floating-point exception",
            17 => "made a misaligned access",
            _ => "raised an exception",
        };
        write!(f, "The engine in the virtual machine {name} (vector {}", self.vector)?;
        if let Some(error) = self.error {
            write!(f, ", error {error:#x}")?;
        }
        write!(f, ", RIP {:#x})", self.rip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_fault_names_address_and_instruction() {
        let mut block = Block::new(1 << 20).expect("memory");
        let at = 0x8000;
        write(&mut block, at);
        let rsp = STACKS + 0xFD0;
        for (slot, value) in (0..).zip([6u64, 0x40_1234, 0x23]) {
            block.write_u64(at + (rsp - VA) + slot * 8, value);
        }
        let fault = Fault::read(&block, at, STUBS + 14 * 16 + 2, rsp, 0xdead_beef).expect("a fault");
        assert_eq!(
            fault.to_string(),
            "The engine in the virtual machine wrote address 0xdeadbeef, which is not mapped (vector 14, error 0x6, RIP 0x401234)"
        );
        assert_eq!(Fault::read(&block, at, 0x40_0000, rsp, 0), None, "not in a stub");
        assert_eq!(Fault::read(&block, at, STUBS, 0x1000, 0), None, "no stack of ours");
    }

    #[test]
    fn only_one_port_is_open_to_ring_3() {
        let mut block = Block::new(1 << 20).expect("memory");
        write(&mut block, 0);
        let mut bytes = Vec::new();
        for at in (0..=u64::from(TSS_LIMIT)).step_by(8) {
            bytes.extend(block.read_u64(TSS + at).expect("inside").to_le_bytes());
        }
        bytes.truncate(TSS_LIMIT as usize + 1);
        let bitmap = &bytes[104..];
        let open: Vec<usize> =
            (0..bitmap.len() * 8).filter(|port| bitmap[port / 8] & 1 << (port % 8) == 0).collect();
        assert_eq!(open, [usize::from(PORT)]);
        assert_eq!(bitmap.last(), Some(&0xFF));
    }
}
