//! EBC0: the external bus controller, behind DCRs 0x012 and 0x013.
//!
//! Bank registers with base, size and timing of what hangs on the external bus, as the PPC440EP user's manual
//! ("External Bus Controller") names them. Left out: flash, NVRAM and FPGA answer where the tree puts them, whatever
//! the bank registers say; there are no bus errors.
//!
//! # Threat model
//! Registers without side effects.

use vmm_plugin::api::ResetKind;

use crate::device::{Dcr, Device, StateError};
use crate::registers::{Indirect, Kind, RegisterFile, Spec, ro, rw, w1c};

static REGISTERS: &[Spec] = &[
    // Bank 0 is the boot flash: the last megabyte, read only, 8 bits wide.
    Spec { at: 0x00, name: "B0CR", reset: 0xFFF0_8000, kind: Kind::ReadWrite(!0) },
    rw(0x01, "B1CR"),
    rw(0x02, "B2CR"),
    rw(0x03, "B3CR"),
    rw(0x04, "B4CR"),
    rw(0x05, "B5CR"),
    Spec { at: 0x10, name: "B0AP", reset: 0x7F8F_FE80, kind: Kind::ReadWrite(!0) },
    rw(0x11, "B1AP"),
    rw(0x12, "B2AP"),
    rw(0x13, "B3AP"),
    rw(0x14, "B4AP"),
    rw(0x15, "B5AP"),
    rw(0x20, "BEAR"),
    w1c(0x21, "BESR"),
    rw(0x23, "CFG"),
    ro(0x24, "CID", 0),
];

/// The controller.
#[derive(Debug)]
pub struct Ebc {
    registers: Indirect,
}

impl Ebc {
    /// The controller with what firmware left, as (index, value) pairs.
    #[must_use]
    pub fn new(resets: &[u32]) -> Self {
        Self { registers: Indirect::new(RegisterFile::with_resets(REGISTERS, resets)) }
    }
}

impl Dcr for Ebc {
    fn dcr_read(&mut self, offset: u16) -> u32 {
        self.registers.dcr_read(offset)
    }
    fn dcr_write(&mut self, offset: u16, value: u32) {
        self.registers.dcr_write(offset, value);
    }
}

impl Device for Ebc {
    fn name(&self) -> String {
        "EBC0".into()
    }
    fn dcr(&mut self) -> Option<&mut dyn Dcr> {
        Some(self)
    }
    fn reset(&mut self, kind: ResetKind) {
        if kind != ResetKind::Core {
            self.registers.reset();
        }
    }
    fn save(&self) -> serde_json::Value {
        self.registers.save()
    }
    fn restore(&mut self, state: &serde_json::Value) -> Result<(), StateError> {
        self.registers.restore(state)
    }
    fn describe(&self) -> String {
        self.registers.file.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banks_keep_what_is_written() {
        let mut ebc = Ebc::new(&[]);
        assert_eq!(ebc.dcr_read(1), 0xFFF0_8000, "bank 0 is there after reset");
        ebc.dcr_write(0, 2);
        ebc.dcr_write(1, 0x8001_8000);
        assert_eq!(ebc.dcr_read(1), 0x8001_8000);
    }
}
