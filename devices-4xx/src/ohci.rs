//! USB 1.1 host controller: the operational registers of OpenHCI 1.0a, big-endian as the 440EP has them.
//!
//! Polite: resets are over at once, frames are counted while the controller is operational, the root hub has one port
//! with nothing plugged in. Left out: schedules, so the frame number never reaches RAM and no list is ever processed;
//! interrupts, because nothing that would cause one happens.
//!
//! # Threat model
//! Registers without side effects.

use vmm_plugin::api::ResetKind;

use crate::device::{Access, Device, Mmio, StateError};
use crate::pins::Time;
use crate::registers::{Kind, RegisterFile, Spec, ro, rw, w1c};

const CONTROL: u32 = 0x04;
const COMMAND_STATUS: u32 = 0x08;
const INTERRUPT_ENABLE: u32 = 0x10;
const INTERRUPT_DISABLE: u32 = 0x14;
const FM_NUMBER: u32 = 0x3C;
/// HcControl: functional state, bits 7:6 counted from the right; 2 is operational.
const HCFS: u32 = 0xC0;
const HCFS_OPERATIONAL: u32 = 0x80;
/// HcCommandStatus: host controller reset, clears itself.
const HCR: u32 = 1;
/// HcCommandStatus: ownership change request, not used without firmware, and the list-filled bits.
const COMMAND_BITS: u32 = 0x06;
/// Frames a second.
const FRAMES: u64 = 1000;

static REGISTERS: &[Spec] = &[
    ro(0x00, "REVISION", 0x10),
    Spec { at: CONTROL, name: "CONTROL", reset: 0, kind: Kind::ReadWrite(0x7FF) },
    Spec { at: COMMAND_STATUS, name: "COMMANDSTATUS", reset: 0, kind: Kind::ReadOnly },
    w1c(0x0C, "INTERRUPTSTATUS"),
    Spec { at: INTERRUPT_ENABLE, name: "INTERRUPTENABLE", reset: 0, kind: Kind::ReadOnly },
    Spec { at: 0x18, name: "HCCA", reset: 0, kind: Kind::ReadWrite(0xFFFF_FF00) },
    ro(0x1C, "PERIODCURRENTED", 0),
    Spec { at: 0x20, name: "CONTROLHEADED", reset: 0, kind: Kind::ReadWrite(0xFFFF_FFF0) },
    Spec { at: 0x24, name: "CONTROLCURRENTED", reset: 0, kind: Kind::ReadWrite(0xFFFF_FFF0) },
    Spec { at: 0x28, name: "BULKHEADED", reset: 0, kind: Kind::ReadWrite(0xFFFF_FFF0) },
    Spec { at: 0x2C, name: "BULKCURRENTED", reset: 0, kind: Kind::ReadWrite(0xFFFF_FFF0) },
    ro(0x30, "DONEHEAD", 0),
    Spec { at: 0x34, name: "FMINTERVAL", reset: 0x2EDF, kind: Kind::ReadWrite(0xFFFF_3FFF) },
    ro(0x38, "FMREMAINING", 0),
    rw(0x40, "PERIODICSTART"),
    Spec { at: 0x44, name: "LSTHRESHOLD", reset: 0x628, kind: Kind::ReadWrite(0xFFF) },
    // One port that is always powered.
    ro(0x48, "RHDESCRIPTORA", 0x0000_0201),
    ro(0x4C, "RHDESCRIPTORB", 0),
    ro(0x50, "RHSTATUS", 0),
    // Powered, nothing connected.
    ro(0x54, "RHPORTSTATUS1", 0x0000_0100),
];

/// The controller, generic over its time.
#[derive(Debug)]
pub struct Ohci<T> {
    registers: RegisterFile,
    time: T,
}

impl<T: Time> Ohci<T> {
    /// A controller after reset.
    #[must_use]
    pub fn new(time: T) -> Self {
        Self { registers: RegisterFile::new(REGISTERS), time }
    }

    fn get(&self, at: u32) -> u32 {
        match at {
            FM_NUMBER if self.registers.get(CONTROL) & HCFS == HCFS_OPERATIONAL => {
                let frames =
                    u128::from(self.time.ticks()) * u128::from(FRAMES) / u128::from(self.time.hz().max(1));
                frames as u32 & 0xFFFF
            }
            INTERRUPT_DISABLE => self.registers.get(INTERRUPT_ENABLE),
            _ => self.registers.get(at),
        }
    }

    fn put(&mut self, at: u32, value: u32, mask: u32) {
        let set = value & mask;
        match at {
            COMMAND_STATUS if set & HCR != 0 => {
                // The reset leaves the functional state in suspend (3).
                self.registers.reset();
                self.registers.set(CONTROL, HCFS);
            }
            COMMAND_STATUS => self.registers.set(at, self.registers.get(at) | set & COMMAND_BITS),
            INTERRUPT_ENABLE => self.registers.set(at, self.registers.get(at) | set),
            INTERRUPT_DISABLE => {
                self.registers.set(INTERRUPT_ENABLE, self.registers.get(INTERRUPT_ENABLE) & !set);
            }
            _ => self.registers.write(at, value, mask),
        }
    }
}

impl<T: Time> Mmio for Ohci<T> {
    fn read(&mut self, access: Access) -> u64 {
        access.read_words(|at| self.get(at as u32))
    }
    fn write(&mut self, access: Access, value: u64) {
        access.write_words(value, |at, value, mask| self.put(at as u32, value, mask));
    }
}

impl<T: Time> Device for Ohci<T> {
    fn name(&self) -> String {
        "USB host".into()
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
        format!("nothing plugged in; CONTROL {:08x}", self.registers.get(CONTROL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn a_driver_resets_starts_and_finds_an_empty_port() {
        let now = Rc::new(Cell::new(0));
        let mut ohci = Ohci::new(now.clone());
        assert_eq!(ohci.get(0), 0x10);
        ohci.put(COMMAND_STATUS, HCR, !0);
        assert_eq!(ohci.get(COMMAND_STATUS) & HCR, 0);
        ohci.put(CONTROL, HCFS_OPERATIONAL, !0);
        now.set(5000);
        assert_eq!(ohci.get(FM_NUMBER), 5, "a frame is a millisecond");
        assert_eq!((ohci.get(0x48) & 0xFF, ohci.get(0x54) & 1), (1, 0));
        ohci.put(INTERRUPT_ENABLE, 0x8000_0041, !0);
        ohci.put(INTERRUPT_DISABLE, 0x40, !0);
        assert_eq!(ohci.get(INTERRUPT_ENABLE), 0x8000_0001);
    }
}
