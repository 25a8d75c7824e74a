//! Boot flash as a plain ROM: contents that the board provides, all ones behind them.
//!
//! Left out: command sequences, so software that identifies or programs flash finds none; writes are ignored.
//!
//! # Threat model
//! Contents of any length are served within bounds.

use vmm_plugin::api::ResetKind;

use crate::device::{Access, Device, Mmio, StateError};

/// The chip.
#[derive(Debug)]
pub struct Flash {
    contents: Vec<u8>,
}

impl Flash {
    /// A chip that begins with `contents`.
    #[must_use]
    pub const fn new(contents: Vec<u8>) -> Self {
        Self { contents }
    }
}

impl Mmio for Flash {
    fn read(&mut self, access: Access) -> u64 {
        access.read_bytes(|at| {
            usize::try_from(at).ok().and_then(|at| self.contents.get(at)).copied().unwrap_or(0xFF)
        })
    }
    fn write(&mut self, _access: Access, _value: u64) {}
}

impl Device for Flash {
    fn name(&self) -> String {
        "Flash".into()
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
        format!("{} bytes of contents", self.contents.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_end_in_erased_bytes_and_cannot_be_written() {
        let mut flash = Flash::new(b"02440E".to_vec());
        flash.write(Access::at(0, 1), 0);
        assert_eq!(flash.read(Access::at(4, 4)), 0x3045_FFFF);
    }
}
