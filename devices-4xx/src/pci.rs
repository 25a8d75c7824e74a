//! PCI host bridge of the 405GP and 440EP kind (`ibm,plb-pci`): configuration cycles, the bridge's own configuration
//! space, and the local registers that map PLB to PCI memory (PMM) and back (PTM).
//!
//! Specified in the PPC440EP user's manual, chapter "PCI Interface". All registers are little-endian. The bridge is
//! device 0 of bus 0; [`PciFunction`]s fill other slots, and an empty slot, like any PCI memory or I/O that no
//! function answers, reads all ones, which is how a master abort looks. Left out: the PCI error and arbiter
//! registers, and the interrupt acknowledge cycle, which nothing on a 4xx board answers.
//!
//! # Threat model
//! The guest writes all registers; every access is constant time and indexes fixed arrays with masked numbers.

use serde::{Deserialize, Serialize};
use vmm_plugin::api::ResetKind;

use crate::device::{Access, Device, Mmio, StateError, from_json, merge, to_json};

/// Slots on a bus: device numbers 0 to 31.
const SLOTS: usize = 32;
/// CFGADDR: an access to CFGDATA makes a configuration cycle.
const CFGADDR_ENABLE: u32 = 0x8000_0000;
/// IBM's vendor id and the 440EP bridge's device id.
const BRIDGE_ID: u32 = 0x027F_1014;
/// Class code: bridge, host. Revision 1.
const BRIDGE_CLASS: u32 = 0x0600_0001;

mod config {
    //! Dword numbers in configuration space.
    pub(super) const ID: usize = 0;
    pub(super) const COMMAND_STATUS: usize = 1;
    pub(super) const CLASS: usize = 2;
    pub(super) const CACHE_LATENCY: usize = 3;
    pub(super) const BAR1: usize = 5;
    pub(super) const BAR2: usize = 6;
    pub(super) const SUBSYSTEM: usize = 11;
    pub(super) const INTERRUPT: usize = 15;
}

/// COMMAND bits that exist: I/O, memory, master, parity response, SERR.
const COMMAND_WRITABLE: u32 = 0x0147;
/// STATUS: capable of fast back-to-back.
const STATUS_FIXED: u32 = 0x0080_0000;

/// A function in a slot of the bus.
pub trait PciFunction {
    /// Reads a configuration dword, 0 to 63.
    fn config_read(&mut self, dword: usize) -> u32;
    /// Writes the bytes under `mask` of a configuration dword.
    fn config_write(&mut self, dword: usize, value: u32, mask: u32);
}

/// What a window of the bridge decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// CFGADDR and CFGDATA, 8 bytes.
    Config,
    /// Interrupt acknowledge (read) and special cycle (write).
    Acknowledge,
    /// The local registers, 64 bytes.
    Registers,
    /// PCI memory or I/O.
    Outbound,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    address: u32,
    /// PMM0-2 (LA, MA, PCILA, PCIHA each), then PTM1MS, PTM1LA, PTM2MS, PTM2LA.
    local: [u32; 16],
    command: u32,
    cache_latency: u32,
    bar: [u32; 2],
    subsystem: u32,
    interrupt: u32,
}

/// The bridge with its bus.
pub struct PciBridge {
    windows: Vec<Window>,
    state: State,
    slots: [Option<Box<dyn PciFunction>>; SLOTS],
}

impl std::fmt::Debug for PciBridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PciBridge").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Index of PTM1MS in the local registers; PTM2MS is two further.
const PTM1MS: usize = 12;
/// PMMnMA and PTMnMS: the range is enabled.
const RANGE_ENABLE: u32 = 1;

impl PciBridge {
    /// A bridge whose claimed windows have the given roles.
    #[must_use]
    pub fn new(windows: Vec<Window>) -> Self {
        Self { windows, state: State::default(), slots: std::array::from_fn(|_| None) }
    }

    /// Puts a function into slot `device` (1 to 31).
    pub fn insert(&mut self, device: u8, function: Box<dyn PciFunction>) {
        self.slots[usize::from(device) % SLOTS] = Some(function);
    }

    /// A base address register of the bridge: its writable bits follow the size that PTMnMS asks for.
    const fn bar(&self, n: usize) -> u32 {
        let size = self.state.local[PTM1MS + 2 * n];
        // Prefetchable memory; nothing is decoded while the range is off.
        if size & RANGE_ENABLE == 0 { 0 } else { self.state.bar[n] & size & 0xFFFF_F000 | 8 }
    }

    fn bridge_read(&self, dword: usize) -> u32 {
        let s = &self.state;
        match dword {
            config::ID => BRIDGE_ID,
            config::COMMAND_STATUS => s.command | STATUS_FIXED,
            config::CLASS => BRIDGE_CLASS,
            config::CACHE_LATENCY => s.cache_latency,
            config::BAR1 => self.bar(0),
            config::BAR2 => self.bar(1),
            config::SUBSYSTEM => s.subsystem,
            config::INTERRUPT => s.interrupt,
            _ => 0,
        }
    }

    const fn bridge_write(&mut self, dword: usize, value: u32, mask: u32) {
        let s = &mut self.state;
        match dword {
            config::COMMAND_STATUS => s.command = merge(s.command, value, mask) & COMMAND_WRITABLE,
            config::CACHE_LATENCY => s.cache_latency = merge(s.cache_latency, value, mask) & 0xFFFF,
            config::BAR1 => s.bar[0] = merge(s.bar[0], value, mask),
            config::BAR2 => s.bar[1] = merge(s.bar[1], value, mask),
            config::SUBSYSTEM => s.subsystem = merge(s.subsystem, value, mask),
            config::INTERRUPT => s.interrupt = merge(s.interrupt, value, mask) & 0xFF,
            _ => {}
        }
    }

    /// The slot and dword that CFGADDR selects, if it makes a cycle on bus 0 to function 0.
    const fn selected(&self) -> Option<(usize, usize)> {
        let address = self.state.address;
        let (bus, function) = (address >> 16 & 0xFF, address >> 8 & 7);
        // Type 1 cycles (bit 0) address buses behind bridges; there are none.
        if address & CFGADDR_ENABLE == 0 || bus != 0 || function != 0 || address & 1 != 0 {
            return None;
        }
        Some(((address >> 11 & 31) as usize, (address >> 2 & 63) as usize))
    }

    fn config_read(&mut self) -> u32 {
        match self.selected() {
            Some((0, dword)) => self.bridge_read(dword),
            Some((slot, dword)) => self.slots[slot].as_mut().map_or(!0, |f| f.config_read(dword)),
            None => !0,
        }
    }

    fn config_write(&mut self, value: u32, mask: u32) {
        match self.selected() {
            Some((0, dword)) => self.bridge_write(dword, value, mask),
            Some((slot, dword)) => {
                if let Some(function) = &mut self.slots[slot] {
                    function.config_write(dword, value, mask);
                }
            }
            None => {}
        }
    }

    fn window(&self, access: Access) -> Window {
        self.windows.get(access.window).copied().unwrap_or(Window::Outbound)
    }
}

/// All ones of an access's size.
const fn all_ones(len: u8) -> u64 {
    if len >= 8 { !0 } else { (1 << (8 * len)) - 1 }
}

impl Mmio for PciBridge {
    fn read(&mut self, access: Access) -> u64 {
        match self.window(access) {
            Window::Config => {
                access.read_le_words(|at| if at == 0 { self.state.address } else { self.config_read() })
            }
            Window::Registers => {
                access.read_le_words(|at| self.state.local.get(at as usize / 4).copied().unwrap_or(0))
            }
            Window::Acknowledge | Window::Outbound => all_ones(access.len),
        }
    }

    fn write(&mut self, access: Access, value: u64) {
        match self.window(access) {
            Window::Config => access.write_le_words(value, |at, value, mask| {
                if at == 0 {
                    self.state.address = merge(self.state.address, value, mask);
                } else {
                    self.config_write(value, mask);
                }
            }),
            Window::Registers => access.write_le_words(value, |at, value, mask| {
                if let Some(register) = self.state.local.get_mut(at as usize / 4) {
                    *register = merge(*register, value, mask);
                }
            }),
            Window::Acknowledge | Window::Outbound => {}
        }
    }
}

impl Device for PciBridge {
    fn name(&self) -> String {
        "PCI".into()
    }
    fn mmio(&mut self) -> Option<&mut dyn Mmio> {
        Some(self)
    }
    fn reset(&mut self, _kind: ResetKind) {
        self.state = State::default();
    }
    fn save(&self) -> serde_json::Value {
        to_json(&self.state)
    }
    fn restore(&mut self, state: &serde_json::Value) -> Result<(), StateError> {
        self.state = from_json(state)?;
        Ok(())
    }
    fn describe(&self) -> String {
        let l = &self.state.local;
        let pmm = |n: usize| format!("PMM{n} {:08x}/{:08x}->{:08x}", l[4 * n], l[4 * n + 1], l[4 * n + 2]);
        format!("host bridge; {}, {}, {}; PTM1 {:08x}/{:08x}", pmm(0), pmm(1), pmm(2), l[13], l[12])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bridge() -> PciBridge {
        PciBridge::new(vec![Window::Config, Window::Acknowledge, Window::Registers, Window::Outbound])
    }
    const REGISTERS: usize = 2;

    /// Stores as `stwbrx` does.
    fn out_le32(pci: &mut PciBridge, window: usize, offset: u64, value: u32) {
        pci.write(Access { window, offset, len: 4 }, u64::from(value.swap_bytes()));
    }
    fn in_le32(pci: &mut PciBridge, window: usize, offset: u64) -> u32 {
        (pci.read(Access { window, offset, len: 4 }) as u32).swap_bytes()
    }
    fn select(pci: &mut PciBridge, devfn: u32, register: u32) {
        out_le32(pci, 0, 0, CFGADDR_ENABLE | devfn << 8 | register & 0xFC);
    }

    /// Linux's set-up of the outbound and inbound ranges and of the bridge, then its scan of the bus.
    #[test]
    fn linux_sets_the_bridge_up_and_finds_nothing_but_it() {
        let mut pci = bridge();
        for (offset, value) in [(0x04, 0), (0x14, 0), (0x24, 0), (0x30, 0), (0x38, 0)] {
            out_le32(&mut pci, REGISTERS, offset, value);
        }
        for (offset, value) in [(0x00, 0xA000_0000), (0x08, 0xA000_0000), (0x0C, 0), (0x04, 0xE000_0001)] {
            out_le32(&mut pci, REGISTERS, offset, value);
        }
        out_le32(&mut pci, REGISTERS, 0x34, 0);
        out_le32(&mut pci, REGISTERS, 0x30, 0x8000_0001);
        assert_eq!(in_le32(&mut pci, REGISTERS, 0x04), 0xE000_0001);
        select(&mut pci, 0, 0x04);
        pci.write(Access::at(4, 2), 0x0600);
        assert_eq!(in_le32(&mut pci, 0, 4) & 0xFFFF, 0x0006, "memory and master are on");
        for device in 0..32 {
            select(&mut pci, device << 3, 0);
            let id = in_le32(&mut pci, 0, 4);
            assert_eq!(id, if device == 0 { BRIDGE_ID } else { !0 });
        }
    }

    #[test]
    fn bytes_and_halves_of_config_data_are_little_endian() {
        let mut pci = bridge();
        select(&mut pci, 0, 0);
        assert_eq!(pci.read(Access::at(4, 2)), 0x1410, "a plain halfword load sees the bytes swapped");
        assert_eq!((pci.read(Access::at(6, 1)), pci.read(Access::at(7, 1))), (0x7F, 0x02));
    }

    #[test]
    fn a_bar_tells_the_size_of_its_enabled_range() {
        let mut pci = bridge();
        select(&mut pci, 0, 0x14);
        out_le32(&mut pci, 0, 4, !0);
        assert_eq!(in_le32(&mut pci, 0, 4), 0, "the range is off");
        out_le32(&mut pci, REGISTERS, 0x30, 0xF000_0001);
        assert_eq!(in_le32(&mut pci, 0, 4), 0xF000_0008, "256 MB, prefetchable");
    }

    #[test]
    fn other_buses_other_functions_and_memory_read_all_ones() {
        let mut pci = bridge();
        for address in [0, CFGADDR_ENABLE | 1 << 16, CFGADDR_ENABLE | 1 << 8, CFGADDR_ENABLE | 1] {
            out_le32(&mut pci, 0, 0, address);
            assert_eq!(in_le32(&mut pci, 0, 4), !0);
        }
        assert_eq!(pci.read(Access { window: 3, offset: 0x1234, len: 2 }), 0xFFFF);
        assert_eq!(pci.read(Access { window: 1, offset: 0, len: 8 }), !0);
    }

    #[test]
    fn a_function_in_a_slot_answers() {
        struct Nic([u32; 64]);
        impl PciFunction for Nic {
            fn config_read(&mut self, dword: usize) -> u32 {
                self.0[dword]
            }
            fn config_write(&mut self, dword: usize, value: u32, mask: u32) {
                self.0[dword] = merge(self.0[dword], value, mask);
            }
        }
        let mut pci = bridge();
        pci.insert(2, Box::new(Nic([0x1234_8086; 64])));
        select(&mut pci, 2 << 3, 0);
        assert_eq!(in_le32(&mut pci, 0, 4), 0x1234_8086);
        select(&mut pci, 2 << 3, 0x10);
        pci.write(Access::at(5, 1), 0xEE);
        assert_eq!(in_le32(&mut pci, 0, 4), 0x1234_EE86);
    }
}
