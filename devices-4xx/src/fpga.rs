//! The Bamboo's FPGA: eight byte registers with jumpers, pin selections, resets and LEDs.
//!
//! As U-Boot's sources for the board use them: 1 PHY straps, 3 jumpers, 4 to 6 selections, 7 resets and four LEDs. The
//! jumpers say: boot from small flash. Left out: effects of selections and resets.
//!
//! # Threat model
//! Registers without side effects.

use vmm_plugin::api::ResetKind;

use crate::device::{Access, Device, Mmio, StateError, from_json, to_json};

/// After reset: jumpers at small flash, RMII selected, nothing held in reset.
const RESET: [u8; 8] = [0x01, 0xFC, 0x00, 0x80, 0x40, 0x00, 0x00, 0xF0];
/// Bits that software can change.
const WRITABLE: [u8; 8] = [0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF];

/// The FPGA's registers.
#[derive(Debug, Clone)]
pub struct Fpga {
    registers: [u8; 8],
}

impl Fpga {
    /// The registers after reset.
    #[must_use]
    pub const fn new() -> Self {
        Self { registers: RESET }
    }
}

impl Default for Fpga {
    fn default() -> Self {
        Self::new()
    }
}

impl Mmio for Fpga {
    fn read(&mut self, access: Access) -> u64 {
        access.read_bytes(|at| self.registers.get(at as usize).copied().unwrap_or(0))
    }
    fn write(&mut self, access: Access, value: u64) {
        access.write_bytes(value, |at, byte| {
            let at = at as usize;
            if let (Some(register), Some(mask)) = (self.registers.get_mut(at), WRITABLE.get(at)) {
                *register = *register & !mask | byte & mask;
            }
        });
    }
}

impl Device for Fpga {
    fn name(&self) -> String {
        "FPGA".into()
    }
    fn mmio(&mut self) -> Option<&mut dyn Mmio> {
        Some(self)
    }
    fn reset(&mut self, _kind: ResetKind) {
        self.registers = RESET;
    }
    fn save(&self) -> serde_json::Value {
        to_json(&self.registers)
    }
    fn restore(&mut self, state: &serde_json::Value) -> Result<(), StateError> {
        self.registers = from_json(state)?;
        Ok(())
    }
    fn describe(&self) -> String {
        format!("LEDs {:04b}", self.registers[7] & 0xF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumpers_are_fixed_and_selections_are_not() {
        let mut fpga = Fpga::new();
        fpga.write(Access::at(0, 8), 0);
        assert_eq!(fpga.read(Access::at(0, 8)), 0x01FC_0080_0000_0000);
    }
}
