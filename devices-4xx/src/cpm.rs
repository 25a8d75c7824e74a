//! CPM: clock and power management, three DCRs (PPC440EP user's manual, "Clock and Power Management").
//!
//! ER lets units sleep when they are idle, FR forces them to, SR tells which sleep. Left out: sleeping; a unit that is
//! forced to sleep is told to be asleep and works on.
//!
//! # Threat model
//! Registers without side effects.

use serde::{Deserialize, Serialize};
use vmm_plugin::api::ResetKind;

use crate::device::{Dcr, Device, StateError, from_json, to_json};

const ER: u16 = 0;
const FR: u16 = 1;
const SR: u16 = 2;

/// The block.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Cpm {
    enable: u32,
    force: u32,
}

impl Dcr for Cpm {
    fn dcr_read(&mut self, offset: u16) -> u32 {
        match offset {
            ER => self.enable,
            FR | SR => self.force,
            _ => 0,
        }
    }
    fn dcr_write(&mut self, offset: u16, value: u32) {
        match offset {
            ER => self.enable = value,
            FR => self.force = value,
            _ => {}
        }
    }
}

impl Device for Cpm {
    fn name(&self) -> String {
        "CPM".into()
    }
    fn dcr(&mut self) -> Option<&mut dyn Dcr> {
        Some(self)
    }
    fn reset(&mut self, kind: ResetKind) {
        if kind != ResetKind::Core {
            *self = Self::default();
        }
    }
    fn save(&self) -> serde_json::Value {
        to_json(self)
    }
    fn restore(&mut self, state: &serde_json::Value) -> Result<(), StateError> {
        *self = from_json(state)?;
        Ok(())
    }
    fn describe(&self) -> String {
        format!("ER {:08x} FR {:08x}", self.enable, self.force)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forced_unit_is_told_to_sleep() {
        let mut cpm = Cpm::default();
        cpm.dcr_write(ER, 0x8000_0000);
        cpm.dcr_write(FR, 0x4000_0000);
        cpm.dcr_write(SR, 0xFFFF_FFFF);
        assert_eq!([ER, FR, SR, 3].map(|n| cpm.dcr_read(n)), [0x8000_0000, 0x4000_0000, 0x4000_0000, 0]);
    }
}
