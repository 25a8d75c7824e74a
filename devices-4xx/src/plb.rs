//! The control register of a PLB arbiter: priorities, of which a machine without contention shows nothing.
//!
//! # Threat model
//! One register without side effects.

use vmm_plugin::api::ResetKind;

use crate::device::{Dcr, Device, StateError, from_json, to_json};

/// An arbiter's ACR.
#[derive(Debug)]
pub struct PlbArbiter {
    index: u32,
    control: u32,
}

impl PlbArbiter {
    /// An arbiter; `index` is for display.
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Self { index, control: 0 }
    }
}

impl Dcr for PlbArbiter {
    fn dcr_read(&mut self, _offset: u16) -> u32 {
        self.control
    }
    fn dcr_write(&mut self, _offset: u16, value: u32) {
        self.control = value;
    }
}

impl Device for PlbArbiter {
    fn name(&self) -> String {
        format!("PLB arbiter {}", self.index)
    }
    fn dcr(&mut self) -> Option<&mut dyn Dcr> {
        Some(self)
    }
    fn reset(&mut self, kind: ResetKind) {
        if kind != ResetKind::Core {
            self.control = 0;
        }
    }
    fn save(&self) -> serde_json::Value {
        to_json(&self.control)
    }
    fn restore(&mut self, state: &serde_json::Value) -> Result<(), StateError> {
        self.control = from_json(state)?;
        Ok(())
    }
    fn describe(&self) -> String {
        format!("ACR {:08x}", self.control)
    }
}
