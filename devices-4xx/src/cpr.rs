//! CPR0: clock and power-on reset control of the 440EP, behind DCRs 0x00C and 0x00D.
//!
//! The PLL's settings and the clock dividers, as the PPC440EP user's manual ("Clocking") names them. Boot wrappers
//! and U-Boot compute all clocks from what they read here. Left out: changing a divider changes no clock of the
//! machine, because a machine's clocks are pinned when it is made.
//!
//! # Threat model
//! Registers without side effects.

use vmm_plugin::api::ResetKind;

use crate::device::{Dcr, Device, StateError};
use crate::registers::{Indirect, Kind, RegisterFile, Spec, rw};

static REGISTERS: &[Spec] = &[
    // Asks for new dividers to be taken over; done at once, so it reads zero.
    Spec { at: 0x20, name: "CLKUPD", reset: 0, kind: Kind::ReadOnly },
    rw(0x40, "PLLC"),
    rw(0x60, "PLLD"),
    rw(0x80, "PRIMAD"),
    rw(0xA0, "PRIMBD"),
    rw(0xC0, "OPBD"),
    rw(0xE0, "PERD"),
    rw(0x100, "MALD"),
    rw(0x120, "SPCID"),
    rw(0x140, "ICFG"),
];

/// The block.
#[derive(Debug)]
pub struct Cpr {
    registers: Indirect,
}

impl Cpr {
    /// The block with the dividers that the board's straps chose, as (index, value) pairs.
    #[must_use]
    pub fn new(resets: &[u32]) -> Self {
        Self { registers: Indirect::new(RegisterFile::with_resets(REGISTERS, resets)) }
    }
}

impl Dcr for Cpr {
    fn dcr_read(&mut self, offset: u16) -> u32 {
        self.registers.dcr_read(offset)
    }
    fn dcr_write(&mut self, offset: u16, value: u32) {
        self.registers.dcr_write(offset, value);
    }
}

impl Device for Cpr {
    fn name(&self) -> String {
        "CPR0".into()
    }
    fn dcr(&mut self) -> Option<&mut dyn Dcr> {
        Some(self)
    }
    fn reset(&mut self, kind: ResetKind) {
        // A core reset leaves the clocks alone.
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
    fn dividers_are_read_back_through_the_address_register() {
        let mut cpr = Cpr::new(&[0x60, 0x0C02_0601]);
        cpr.dcr_write(0, 0x60);
        assert_eq!((cpr.dcr_read(0), cpr.dcr_read(1)), (0x60, 0x0C02_0601));
        cpr.dcr_write(1, 5);
        cpr.reset(ResetKind::Core);
        assert_eq!(cpr.dcr_read(1), 5);
        cpr.reset(ResetKind::System);
        cpr.dcr_write(0, 0x60);
        assert_eq!(cpr.dcr_read(1), 0x0C02_0601);
        cpr.dcr_write(0, 0x20);
        cpr.dcr_write(1, 0x8000_0000);
        assert_eq!(cpr.dcr_read(1), 0, "an update of the clocks is over at once");
    }
}
