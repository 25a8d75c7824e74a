//! SPI (SCP): the serial communication port, six byte registers, with no device on it (PPC440EP user's manual,
//! "Serial Peripheral Interface").
//!
//! A transfer ends at once and receives all ones, as from a line that nobody drives. Left out: devices, clock modes.
//!
//! # Threat model
//! Registers without side effects.

use serde::{Deserialize, Serialize};
use vmm_plugin::api::ResetKind;

use crate::device::{Access, Device, Mmio, StateError, from_json, to_json};
use crate::pins::Line;

const MODE: u64 = 0;
const RXD: u64 = 1;
const TXD: u64 = 2;
const CR: u64 = 3;
const SR: u64 = 4;
const CDM: u64 = 5;
/// CR: start a transfer, clears itself.
const CR_STR: u8 = 0x01;
/// SR: the receive buffer holds a byte.
const SR_RBR: u8 = 0x01;
/// MODE: the port is enabled; interrupt when the receive buffer is full.
const MODE_SPE: u8 = 0x08;
const MODE_RBR_INTERRUPT: u8 = 0x10;

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct State {
    mode: u8,
    received: u8,
    transmit: u8,
    status: u8,
    divisor: u8,
}

/// The port, generic over its interrupt line.
#[derive(Debug)]
pub struct Spi<L> {
    state: State,
    line: L,
}

impl<L: Line> Spi<L> {
    /// A port after reset.
    pub fn new(line: L) -> Self {
        Self { state: State::default(), line }
    }

    fn update(&self) {
        let s = &self.state;
        self.line.set(s.mode & MODE_SPE != 0 && s.mode & MODE_RBR_INTERRUPT != 0 && s.status & SR_RBR != 0);
    }
}

impl<L: Line> Mmio for Spi<L> {
    fn read(&mut self, access: Access) -> u64 {
        let value = access.read_bytes(|at| match at {
            MODE => self.state.mode,
            RXD => {
                self.state.status &= !SR_RBR;
                self.state.received
            }
            TXD => self.state.transmit,
            SR => self.state.status,
            CDM => self.state.divisor,
            _ => 0,
        });
        self.update();
        value
    }
    fn write(&mut self, access: Access, value: u64) {
        access.write_bytes(value, |at, byte| match at {
            MODE => self.state.mode = byte,
            TXD => self.state.transmit = byte,
            CR if byte & CR_STR != 0 && self.state.mode & MODE_SPE != 0 => {
                self.state.received = 0xFF;
                self.state.status |= SR_RBR;
            }
            CDM => self.state.divisor = byte,
            _ => {}
        });
        self.update();
    }
}

impl<L: Line> Device for Spi<L> {
    fn name(&self) -> String {
        "SPI".into()
    }
    fn mmio(&mut self) -> Option<&mut dyn Mmio> {
        Some(self)
    }
    fn reset(&mut self, _kind: ResetKind) {
        self.state = State::default();
        self.update();
    }
    fn save(&self) -> serde_json::Value {
        to_json(&self.state)
    }
    fn restore(&mut self, state: &serde_json::Value) -> Result<(), StateError> {
        self.state = from_json(state)?;
        self.update();
        Ok(())
    }
    fn describe(&self) -> String {
        format!("no device; MODE {:02x}", self.state.mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn a_transfer_ends_at_once_with_all_ones() {
        let line = Rc::new(Cell::new(false));
        let mut spi = Spi::new(line.clone());
        spi.write(Access::at(MODE, 1), u64::from(MODE_SPE | MODE_RBR_INTERRUPT));
        spi.write(Access::at(TXD, 1), 0x9F);
        spi.write(Access::at(CR, 1), u64::from(CR_STR));
        assert!(line.get());
        assert_eq!(spi.read(Access::at(SR, 1)), u64::from(SR_RBR));
        assert_eq!(spi.read(Access::at(RXD, 1)), 0xFF);
        assert!(!line.get());
    }
}
