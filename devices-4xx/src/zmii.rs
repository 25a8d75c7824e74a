//! ZMII: the bridge between the Ethernet ports and their PHYs' pins (PPC440EP user's manual, "ZMII Bridge").
//!
//! FER enables ports and chooses their mode, SSR their speed, SMIISR shows what SMII PHYs report. Left out: effects;
//! there are no PHYs.
//!
//! # Threat model
//! Registers without side effects.

use vmm_plugin::api::ResetKind;

use crate::device::{Access, Device, Mmio, StateError};
use crate::registers::{RegisterFile, Spec, ro, rw};

static REGISTERS: &[Spec] = &[rw(0x00, "FER"), rw(0x04, "SSR"), ro(0x08, "SMIISR", 0)];

/// The bridge.
#[derive(Debug)]
pub struct Zmii {
    registers: RegisterFile,
}

impl Zmii {
    /// A bridge after reset.
    #[must_use]
    pub fn new() -> Self {
        Self { registers: RegisterFile::new(REGISTERS) }
    }
}

impl Default for Zmii {
    fn default() -> Self {
        Self::new()
    }
}

impl Mmio for Zmii {
    fn read(&mut self, access: Access) -> u64 {
        access.read_words(|at| self.registers.get(at as u32))
    }
    fn write(&mut self, access: Access, value: u64) {
        access.write_words(value, |at, value, mask| self.registers.write(at as u32, value, mask));
    }
}

impl Device for Zmii {
    fn name(&self) -> String {
        "ZMII".into()
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
        self.registers.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_speeds_are_kept_and_status_is_not_written() {
        let mut zmii = Zmii::new();
        zmii.write(Access::at(0, 8), 0xA2A2_0000_1100_0000);
        zmii.write(Access::at(8, 4), 0xFFFF_FFFF);
        assert_eq!(zmii.read(Access::at(0, 8)), 0xA2A2_0000_1100_0000);
        assert_eq!(zmii.read(Access::at(8, 4)), 0);
    }
}
