//! GPIO: 32 general purpose pins (PPC440EP user's manual, "General Purpose I/O").
//!
//! A pin that is an output (TCR) reads its own level in IR; the others read the level that the board drives, which a
//! machine sets when it is made. Left out: alternate functions (OSR, TSR and ISR keep their values and do nothing).
//!
//! # Threat model
//! Registers without side effects.

use vmm_plugin::api::ResetKind;

use crate::device::{Access, Device, Mmio, StateError};
use crate::registers::{Kind, RegisterFile, Spec, rw};

const OR: u32 = 0x00;
const TCR: u32 = 0x04;
const ODR: u32 = 0x18;
const IR: u32 = 0x1C;

static REGISTERS: &[Spec] = &[
    rw(OR, "OR"),
    rw(TCR, "TCR"),
    rw(0x08, "OSRL"),
    rw(0x0C, "OSRH"),
    rw(0x10, "TSRL"),
    rw(0x14, "TSRH"),
    rw(ODR, "ODR"),
    Spec { at: IR, name: "IR", reset: 0, kind: Kind::ReadOnly },
    rw(0x20, "RR1"),
    rw(0x24, "RR2"),
    rw(0x28, "RR3"),
    rw(0x30, "ISR1L"),
    rw(0x34, "ISR1H"),
    rw(0x38, "ISR2L"),
    rw(0x3C, "ISR2H"),
    rw(0x40, "ISR3L"),
    rw(0x44, "ISR3H"),
];

/// The pins.
#[derive(Debug)]
pub struct Gpio {
    index: u32,
    /// Levels that the board drives.
    inputs: u32,
    registers: RegisterFile,
}

impl Gpio {
    /// Pins after reset; `index` is for display, `inputs` are the levels that the board drives.
    #[must_use]
    pub fn new(index: u32, inputs: u32) -> Self {
        Self { index, inputs, registers: RegisterFile::new(REGISTERS) }
    }

    fn get(&self, at: u32) -> u32 {
        if at != IR {
            return self.registers.get(at);
        }
        let (out, drive, open) = (self.registers.get(OR), self.registers.get(TCR), self.registers.get(ODR));
        // An open-drain output at one lets go of the pin.
        let driven = drive & !(open & out);
        out & driven | self.inputs & !driven
    }
}

impl Mmio for Gpio {
    fn read(&mut self, access: Access) -> u64 {
        access.read_words(|at| self.get(at as u32))
    }
    fn write(&mut self, access: Access, value: u64) {
        access.write_words(value, |at, value, mask| self.registers.write(at as u32, value, mask));
    }
}

impl Device for Gpio {
    fn name(&self) -> String {
        format!("GPIO{}", self.index)
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
    fn outputs_read_themselves_and_inputs_the_board() {
        let mut gpio = Gpio::new(0, 0x0F0F_0000);
        gpio.write(Access::at(0, 8), 0xFF00_0000_F000_0000);
        assert_eq!(gpio.read(Access::at(0x1C, 4)), 0xFF0F_0000);
        gpio.write(Access::at(0x18, 4), 0x8000_0000);
        assert_eq!(gpio.read(Access::at(0x1C, 4)), 0x7F0F_0000, "an open drain at one lets the board decide");
    }
}
