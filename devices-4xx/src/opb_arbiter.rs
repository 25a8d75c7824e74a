//! The OPB arbiter: a priority and a control register of one byte each, of which a machine without contention shows
//! nothing.
//!
//! # Threat model
//! Registers without side effects.

use vmm_plugin::api::ResetKind;

use crate::device::{Access, Device, Mmio, StateError, from_json, to_json};

/// PR and CR.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpbArbiter {
    registers: [u8; 2],
}

impl Mmio for OpbArbiter {
    fn read(&mut self, access: Access) -> u64 {
        access.read_bytes(|at| self.registers.get(at as usize).copied().unwrap_or(0))
    }
    fn write(&mut self, access: Access, value: u64) {
        access.write_bytes(value, |at, byte| {
            if let Some(register) = self.registers.get_mut(at as usize) {
                *register = byte;
            }
        });
    }
}

impl Device for OpbArbiter {
    fn name(&self) -> String {
        "OPB arbiter".into()
    }
    fn mmio(&mut self) -> Option<&mut dyn Mmio> {
        Some(self)
    }
    fn reset(&mut self, _kind: ResetKind) {
        *self = Self::default();
    }
    fn save(&self) -> serde_json::Value {
        to_json(&self.registers)
    }
    fn restore(&mut self, state: &serde_json::Value) -> Result<(), StateError> {
        self.registers = from_json(state)?;
        Ok(())
    }
    fn describe(&self) -> String {
        format!("PR {:02x} CR {:02x}", self.registers[0], self.registers[1])
    }
}
