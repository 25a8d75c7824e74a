//! The USB 2.0 device controller of the 440EP, present but never connected to a host.
//!
//! Its registers read zero, which says: no address, no speed, no interrupt. Left out: everything else; the point is
//! that software which looks finds an idle controller and not an unclaimed address.
//!
//! # Threat model
//! No state at all.

use vmm_plugin::api::ResetKind;

use crate::device::{Access, Device, Mmio, StateError};

/// The controller.
#[derive(Debug, Clone, Copy, Default)]
pub struct UsbDevice;

impl Mmio for UsbDevice {
    fn read(&mut self, _access: Access) -> u64 {
        0
    }
    fn write(&mut self, _access: Access, _value: u64) {}
}

impl Device for UsbDevice {
    fn name(&self) -> String {
        "USB device".into()
    }
    fn mmio(&mut self) -> Option<&mut dyn Mmio> {
        Some(self)
    }
    fn reset(&mut self, _kind: ResetKind) {}
    fn save(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
    fn restore(&mut self, _state: &serde_json::Value) -> Result<(), StateError> {
        Ok(())
    }
    fn describe(&self) -> String {
        "not connected".into()
    }
}
