//! NDFC: the NAND flash controller, with no chip in any bank (PPC440EP user's manual, "NAND Flash Controller").
//!
//! Polite: the controller is always ready, registers read back, data reads all ones as an empty bus does, so that a
//! probe for a chip ends with "none found". Left out: chips, error correction.
//!
//! # Threat model
//! Registers without side effects.

use vmm_plugin::api::ResetKind;

use crate::device::{Access, Device, Mmio, StateError};
use crate::registers::{Kind, RegisterFile, Spec, ro, rw};

const DATA: u32 = 0x08;
/// CCR: the reset bits clear themselves.
const CCR_WRITABLE: u32 = 0x3FFF_FFFF;

static REGISTERS: &[Spec] = &[
    ro(0x00, "CMD", 0),
    ro(0x04, "ALE", 0),
    ro(DATA, "DATA", !0),
    ro(0x10, "ECC", 0),
    rw(0x30, "BCFG0"),
    rw(0x34, "BCFG1"),
    rw(0x38, "BCFG2"),
    rw(0x3C, "BCFG3"),
    Spec { at: 0x40, name: "CCR", reset: 0, kind: Kind::ReadWrite(CCR_WRITABLE) },
    // Ready.
    ro(0x44, "STAT", 0x0100_0000),
    rw(0x48, "HWCTL"),
    ro(0x50, "REVID", 0x0000_0110),
];

/// The controller.
#[derive(Debug)]
pub struct Ndfc {
    registers: RegisterFile,
}

impl Ndfc {
    /// A controller after reset.
    #[must_use]
    pub fn new() -> Self {
        Self { registers: RegisterFile::new(REGISTERS) }
    }
}

impl Default for Ndfc {
    fn default() -> Self {
        Self::new()
    }
}

impl Mmio for Ndfc {
    fn read(&mut self, access: Access) -> u64 {
        access.read_words(|at| self.registers.get(at as u32))
    }
    fn write(&mut self, access: Access, value: u64) {
        access.write_words(value, |at, value, mask| self.registers.write(at as u32, value, mask));
    }
}

impl Device for Ndfc {
    fn name(&self) -> String {
        "NDFC".into()
    }
    fn mmio(&mut self) -> Option<&mut dyn Mmio> {
        Some(self)
    }
    fn reset(&mut self, _kind: ResetKind) {
        self.registers.reset();
    }
    fn save(&self) -> serde_json::Value {
        self.registers.save()
    }
    fn restore(&mut self, state: &serde_json::Value) -> Result<(), StateError> {
        self.registers.restore(state)
    }
    fn describe(&self) -> String {
        "no chip".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_finds_the_controller_ready_and_no_chip() {
        let mut ndfc = Ndfc::new();
        ndfc.write(Access::at(0x40, 4), 0x8100_0000);
        assert_eq!(ndfc.read(Access::at(0x40, 4)), 0x0100_0000, "the chip enable reset clears itself");
        ndfc.write(Access::at(0, 4), 0x90);
        assert_ne!(ndfc.read(Access::at(0x44, 4)) & 0x0100_0000, 0);
        assert_eq!(ndfc.read(Access::at(8, 1)), 0xFF, "no maker code");
    }
}
