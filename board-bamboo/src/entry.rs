//! The state in which the core enters a kernel, and the `bd_t` that U-Boot gives a boot wrapper.

use vmm_plugin::api::CpuState;

/// The largest page of a 440: what each entry of the initial TLB maps.
const PAGE: u64 = 256 << 20;
/// TLB word 0: valid, 256 MB.
const V_256M: u32 = 0x200 | 0x90;
/// TLB word 2: supervisor execute, write, read.
const SX_SW_SR: u32 = 7;
/// TLB word 2: caching inhibited, guarded.
const I_G: u32 = 0x500;
/// What U-Boot maps besides RAM: NVRAM and FPGA, PCI memory, PCI I/O and the chip's peripherals, flash.
const DEVICES: [u32; 7] =
    [0x8000_0000, 0xA000_0000, 0xB000_0000, 0xC000_0000, 0xD000_0000, 0xE000_0000, 0xF000_0000];
/// The stack pointer of a kernel that has not set one: 16 MB, less a back chain.
const STACK_TOP: u64 = 16 << 20;
/// ePAPR's magic number in r6.
const EPAPR_MAGIC: u32 = 0x4550_4150;

/// The core at `entry`: MSR 0, everything mapped one to one by 256 MB entries, RAM's first at index 0, as U-Boot
/// leaves it. Linux searches the TLB for its own program counter and drops every other entry.
pub(crate) fn state(pvr: u32, entry: u64, ram: u64) -> CpuState {
    let mut state = CpuState::reset(pvr);
    state.pc = entry as u32;
    state.reset_entry = 0;
    let memory = (0..ram.div_ceil(PAGE)).map(|n| ((n * PAGE) as u32, SX_SW_SR));
    let devices = DEVICES.iter().map(|&base| (base, SX_SW_SR | I_G));
    for (slot, (base, attributes)) in state.tlb.iter_mut().zip(memory.chain(devices)) {
        slot.word0 = base | V_256M;
        slot.word1 = base;
        slot.word2 = attributes;
        slot.tid = 0;
    }
    state.gpr[1] = (ram.min(STACK_TOP) - 8) as u32;
    state
}

/// Linux's own entry: r3 points to the tree, r6 and r7 say so in ePAPR's terms.
pub(crate) const fn with_tree(state: &mut CpuState, tree: u64, mapped: u64) {
    state.gpr[3] = tree as u32;
    state.gpr[6] = EPAPR_MAGIC;
    state.gpr[7] = mapped as u32;
}

/// A boot wrapper's entry as U-Boot makes it: bd_t, initrd, command line.
pub(crate) const fn with_board_info(
    state: &mut CpuState,
    board_info: u64,
    initrd: (u64, u64),
    command_line: (u64, u64),
) {
    state.gpr[3] = board_info as u32;
    state.gpr[4] = initrd.0 as u32;
    state.gpr[5] = initrd.1 as u32;
    state.gpr[6] = command_line.0 as u32;
    state.gpr[7] = command_line.1 as u32;
}

/// What U-Boot knows about the board.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BoardInfo {
    /// RAM in bytes.
    pub(crate) memory: u64,
    pub(crate) cpu_hz: u32,
    pub(crate) plb_hz: u32,
    pub(crate) opb_hz: u32,
    pub(crate) macs: [[u8; 6]; 2],
}

impl BoardInfo {
    /// Size of a 44x `bd_t` in bytes.
    pub(crate) const SIZE: usize = 0x80;

    /// The `bd_t` of U-Boot's 44x boards with two network ports, big-endian, as boot wrappers declare it.
    pub(crate) fn bytes(&self) -> [u8; Self::SIZE] {
        const FLASH_START: u32 = 0xFFF0_0000;
        const FLASH_SIZE: u32 = 1 << 20;
        const ETHERNET_MBIT: u16 = 100;
        const BAUD: u32 = 115_200;
        const PCI_HZ: u32 = 33_333_333;
        let mut bytes = [0; Self::SIZE];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        let word = u32::to_be_bytes;
        put(0x04, &word(u32::try_from(self.memory).unwrap_or(u32::MAX)));
        put(0x08, &word(FLASH_START));
        put(0x0C, &word(FLASH_SIZE));
        put(0x24, &self.macs[0]);
        put(0x2A, &ETHERNET_MBIT.to_be_bytes());
        put(0x2C, &word(self.cpu_hz));
        put(0x30, &word(self.plb_hz));
        put(0x34, &word(BAUD));
        put(0x5C, &word(self.cpu_hz));
        put(0x60, &word(self.plb_hz));
        put(0x64, &word(PCI_HZ));
        put(0x68, &self.macs[0]);
        put(0x6E, &self.macs[1]);
        put(0x74, &word(self.opb_hz));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ram_and_devices_are_mapped_one_to_one() {
        let state = state(0x4222_18D3, 0x1000, 768 << 20);
        let mapped: Vec<_> = state.tlb.iter().filter(|e| e.word0 & 0x200 != 0).collect();
        assert_eq!(mapped.len(), 3 + DEVICES.len());
        assert_eq!((mapped[0].word0, mapped[0].word1, mapped[0].word2), (0x290, 0, 7));
        assert!(mapped.iter().all(|e| e.word0 & 0xFFFF_FC00 == e.word1));
        assert_eq!((state.pc, state.msr, state.gpr[1]), (0x1000, 0, 0x00FF_FFF8));
    }

    #[test]
    fn a_small_machine_has_its_stack_in_ram() {
        assert_eq!(state(0, 0, 4 << 20).gpr[1], 0x003F_FFF8);
    }

    #[test]
    fn board_info_has_its_fields_where_wrappers_look() {
        let macs = [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]];
        let info = BoardInfo {
            memory: 128 << 20,
            cpu_hz: 400_000_000,
            plb_hz: 133_333_332,
            opb_hz: 66_666_666,
            macs,
        };
        let bytes = info.bytes();
        assert_eq!(bytes[4..8], [0x08, 0, 0, 0]);
        assert_eq!(bytes[0x24..0x2A], macs[0]);
        assert_eq!(bytes[0x6E..0x74], macs[1]);
        assert_eq!(bytes[0x5C..0x60], 400_000_000_u32.to_be_bytes());
        assert_eq!(bytes[0x74..0x78], 66_666_666_u32.to_be_bytes());
    }
}
