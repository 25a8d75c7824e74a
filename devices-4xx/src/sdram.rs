//! SDRAM0: the DDR SDRAM controller of the 440EP, behind DCRs 0x010 and 0x011.
//!
//! Boot wrappers add the sizes of the enabled banks (B0CR to B3CR) up; U-Boot programs timing and waits for MCSTS.
//! As the PPC440EP user's manual ("DDR SDRAM Controller") names them. Left out: RAM is where the machine puts it,
//! whatever the bank registers say; there are no ECC errors.
//!
//! # Threat model
//! Registers without side effects.

use vmm_plugin::api::ResetKind;

use crate::device::{Dcr, Device, StateError};
use crate::registers::{Indirect, RegisterFile, Spec, ro, rw, w1c};

const CFG0: u32 = 0x20;
const MCSTS: u32 = 0x24;
/// CFG0: the controller is on.
const CFG0_DCEN: u32 = 0x8000_0000;
/// MCSTS: initialization is complete.
const MCSTS_MRSC: u32 = 0x8000_0000;

static REGISTERS: &[Spec] = &[
    w1c(0x00, "BESR0"),
    w1c(0x08, "BESR1"),
    rw(0x10, "BEAR"),
    rw(0x18, "SLIO"),
    rw(CFG0, "CFG0"),
    rw(0x21, "CFG1"),
    rw(0x22, "DEVOPT"),
    ro(MCSTS, "MCSTS", 0),
    rw(0x30, "RTR"),
    rw(0x34, "PMIT"),
    rw(0x38, "UABBA"),
    rw(0x40, "B0CR"),
    rw(0x44, "B1CR"),
    rw(0x48, "B2CR"),
    rw(0x4C, "B3CR"),
    rw(0x80, "TR0"),
    rw(0x81, "TR1"),
    rw(0x82, "CLKTR"),
    rw(0x83, "WDDCTR"),
    rw(0x84, "DLYCAL"),
    rw(0x94, "ECCCFG"),
    w1c(0x98, "ECCESR"),
];

/// The controller.
#[derive(Debug)]
pub struct Sdram {
    registers: Indirect,
}

impl Sdram {
    /// The controller as firmware left it, as (index, value) pairs.
    #[must_use]
    pub fn new(resets: &[u32]) -> Self {
        Self { registers: Indirect::new(RegisterFile::with_resets(REGISTERS, resets)) }
    }
}

impl Dcr for Sdram {
    fn dcr_read(&mut self, offset: u16) -> u32 {
        // Initialization takes no time.
        let on = self.registers.file.get(CFG0) & CFG0_DCEN != 0;
        match offset {
            1 if on && self.registers.address == MCSTS => MCSTS_MRSC,
            _ => self.registers.dcr_read(offset),
        }
    }
    fn dcr_write(&mut self, offset: u16, value: u32) {
        self.registers.dcr_write(offset, value);
    }
}

impl Device for Sdram {
    fn name(&self) -> String {
        "SDRAM0".into()
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
    fn the_controller_is_ready_as_soon_as_it_is_on() {
        let mut sdram = Sdram::new(&[0x40, 0x000A_2001]);
        sdram.dcr_write(0, MCSTS);
        assert_eq!(sdram.dcr_read(1), 0);
        sdram.dcr_write(0, CFG0);
        sdram.dcr_write(1, CFG0_DCEN);
        sdram.dcr_write(0, MCSTS);
        assert_eq!(sdram.dcr_read(1), MCSTS_MRSC);
        sdram.dcr_write(0, 0x40);
        assert_eq!(sdram.dcr_read(1), 0x000A_2001);
    }
}
