//! An I2C bus of EEPROMs, at the level of bytes and at the level of wires.
//!
//! EEPROMs are of the 24C02 kind: 256 bytes, a one-byte address pointer that the first byte of a write sets, reads
//! that run on and wrap. They hold what the board's straps and memory modules would; writes are ignored, because
//! their write protection is on. [`Wires`] follows the bus bit by bit for software that drives clock and data itself.
//!
//! # Threat model
//! Addresses have seven bits, pointers wrap at 256; every step is constant time.

use serde::{Deserialize, Serialize};

/// A read-only EEPROM.
#[derive(Debug, Clone)]
pub struct Eeprom {
    /// Seven-bit bus address.
    pub address: u8,
    /// Contents; bytes behind them read 0xFF.
    pub contents: Vec<u8>,
}

/// What is going on at the level of bytes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Transfer {
    /// Index of the EEPROM that acknowledged its address.
    selected: Option<usize>,
    /// The next written byte sets the pointer.
    expects_pointer: bool,
    /// One pointer serves all, as at most one device is spoken to at a time and each write starts with it.
    pointers: Vec<u8>,
}

/// The bus with its devices.
#[derive(Debug, Clone)]
pub struct I2cBus {
    devices: Vec<Eeprom>,
    transfer: Transfer,
}

impl I2cBus {
    /// A bus with these devices.
    #[must_use]
    pub fn new(devices: Vec<Eeprom>) -> Self {
        let transfer = Transfer { pointers: vec![0; devices.len()], ..Transfer::default() };
        Self { devices, transfer }
    }

    /// A (repeated) start and an address; returns whether a device acknowledged.
    pub fn start(&mut self, address: u8, read: bool) -> bool {
        self.transfer.selected = self.devices.iter().position(|device| device.address == address & 0x7F);
        self.transfer.expects_pointer = !read;
        self.transfer.selected.is_some()
    }

    /// A byte to the device; returns whether it acknowledged.
    pub fn write(&mut self, byte: u8) -> bool {
        let Some(index) = self.transfer.selected else { return false };
        if std::mem::take(&mut self.transfer.expects_pointer)
            && let Some(pointer) = self.transfer.pointers.get_mut(index)
        {
            *pointer = byte;
        }
        true
    }

    /// A byte from the device; all ones if none drives the bus.
    pub fn read(&mut self) -> u8 {
        let Some(index) = self.transfer.selected else { return 0xFF };
        let (Some(device), Some(pointer)) = (self.devices.get(index), self.transfer.pointers.get_mut(index))
        else {
            return 0xFF;
        };
        let byte = device.contents.get(usize::from(*pointer)).copied().unwrap_or(0xFF);
        *pointer = pointer.wrapping_add(1);
        byte
    }

    /// A stop: the device lets go.
    pub fn stop(&mut self) {
        self.transfer.selected = None;
    }

    /// How many devices there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether there are no devices.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    pub(crate) fn save(&self) -> serde_json::Value {
        crate::device::to_json(&self.transfer)
    }

    pub(crate) fn restore(&mut self, saved: &serde_json::Value) -> Result<(), crate::device::StateError> {
        let mut transfer: Transfer = crate::device::from_json(saved)?;
        transfer.pointers.resize(self.devices.len(), 0);
        transfer.selected = transfer.selected.filter(|&index| index < self.devices.len());
        self.transfer = transfer;
        Ok(())
    }
}

/// What the device does with the bus between two clock edges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// No start was seen.
    #[default]
    Idle,
    /// Bits from the controller: an address after a start, or data.
    Receiving { address: bool },
    /// The device acknowledges what it received by pulling data low.
    Acknowledging { read: bool },
    /// Bits to the controller.
    Sending,
    /// The controller acknowledges or ends the transfer.
    Acknowledged,
}

/// Clock and data wires driven by software.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Wires {
    clock: bool,
    data: bool,
    phase: Phase,
    bits: u8,
    shift: u8,
    /// The device pulls data low.
    pulled: bool,
}

impl Default for Wires {
    fn default() -> Self {
        Self { clock: true, data: true, phase: Phase::Idle, bits: 0, shift: 0, pulled: false }
    }
}

impl Wires {
    /// The level of the data wire: low if either side pulls it.
    #[must_use]
    pub const fn data(&self) -> bool {
        self.data && !self.pulled
    }

    /// The level of the clock wire.
    #[must_use]
    pub const fn clock(&self) -> bool {
        self.clock
    }

    /// The controller drives both wires.
    pub fn drive(&mut self, clock: bool, data: bool, bus: &mut I2cBus) {
        let was = self.data();
        let (clock_was, held) = (self.clock, self.clock && clock);
        self.data = data;
        let is = self.data();
        if held && was != is {
            // Data changes while the clock is high only at a start (falling) and a stop (rising).
            if is {
                bus.stop();
                self.phase = Phase::Idle;
            } else {
                self.phase = Phase::Receiving { address: true };
            }
            (self.bits, self.shift) = (0, 0);
        }
        self.clock = clock;
        match (clock_was, clock) {
            (false, true) => self.rise(),
            (true, false) => self.fall(bus),
            _ => {}
        }
    }

    /// Bits are sampled on the rising edge.
    fn rise(&mut self) {
        match self.phase {
            Phase::Receiving { .. } => {
                self.shift = self.shift << 1 | u8::from(self.data());
                self.bits = self.bits.saturating_add(1);
            }
            Phase::Acknowledged if self.data() => self.phase = Phase::Idle,
            _ => {}
        }
    }

    /// The device changes data after the falling edge.
    fn fall(&mut self, bus: &mut I2cBus) {
        match self.phase {
            Phase::Receiving { address } if self.bits == 8 => {
                let read = address && self.shift & 1 != 0;
                let acknowledged =
                    if address { bus.start(self.shift >> 1, read) } else { bus.write(self.shift) };
                self.pulled = acknowledged;
                self.phase = if acknowledged { Phase::Acknowledging { read } } else { Phase::Idle };
            }
            Phase::Acknowledging { read: true } | Phase::Acknowledged => self.send(bus.read()),
            Phase::Acknowledging { read: false } => {
                self.pulled = false;
                self.phase = Phase::Receiving { address: false };
                (self.bits, self.shift) = (0, 0);
            }
            Phase::Sending if self.bits >= 8 => {
                self.pulled = false;
                self.phase = Phase::Acknowledged;
            }
            Phase::Sending => self.next_bit(),
            Phase::Idle => self.pulled = false,
            Phase::Receiving { .. } => {}
        }
    }

    fn send(&mut self, byte: u8) {
        self.phase = Phase::Sending;
        (self.bits, self.shift) = (0, byte);
        self.next_bit();
    }

    const fn next_bit(&mut self) {
        self.pulled = self.shift & 0x80 == 0;
        self.shift <<= 1;
        self.bits = self.bits.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bus() -> I2cBus {
        I2cBus::new(vec![Eeprom { address: 0x52, contents: vec![0xC4, 0x70, 0x42, 0xA6] }])
    }

    #[test]
    fn a_random_read_sets_the_pointer_and_runs_on() {
        let mut bus = bus();
        assert!(bus.start(0x52, false) && bus.write(2));
        assert!(bus.start(0x52, true));
        assert_eq!([bus.read(), bus.read(), bus.read()], [0x42, 0xA6, 0xFF]);
        bus.stop();
        assert!(!bus.start(0x51, true));
        assert_eq!(bus.read(), 0xFF);
    }

    /// Clocks one bit out, and returns what the data wire shows meanwhile.
    fn bit(wires: &mut Wires, bus: &mut I2cBus, data: bool) -> bool {
        wires.drive(false, data, bus);
        wires.drive(true, data, bus);
        let seen = wires.data();
        wires.drive(false, data, bus);
        seen
    }
    fn byte(wires: &mut Wires, bus: &mut I2cBus, byte: u8) -> bool {
        for n in (0..8).rev() {
            bit(wires, bus, byte >> n & 1 != 0);
        }
        !bit(wires, bus, true)
    }
    fn start(wires: &mut Wires, bus: &mut I2cBus) {
        wires.drive(false, true, bus);
        wires.drive(true, true, bus);
        wires.drive(true, false, bus);
        wires.drive(false, false, bus);
    }

    #[test]
    fn wires_carry_the_same_read() {
        let (mut wires, mut bus) = (Wires::default(), bus());
        start(&mut wires, &mut bus);
        assert!(byte(&mut wires, &mut bus, 0x52 << 1));
        assert!(byte(&mut wires, &mut bus, 1));
        start(&mut wires, &mut bus);
        assert!(byte(&mut wires, &mut bus, 0x52 << 1 | 1));
        let mut read = |acknowledge: bool| {
            let value = (0..8).fold(0, |value: u8, _| value << 1 | u8::from(bit(&mut wires, &mut bus, true)));
            bit(&mut wires, &mut bus, !acknowledge);
            value
        };
        assert_eq!([read(true), read(false)], [0x70, 0x42]);
        wires.drive(false, false, &mut bus);
        wires.drive(true, false, &mut bus);
        wires.drive(true, true, &mut bus);
        assert!(wires.data() && wires.phase == Phase::Idle);
    }

    #[test]
    fn an_absent_address_is_not_acknowledged() {
        let (mut wires, mut bus) = (Wires::default(), bus());
        start(&mut wires, &mut bus);
        assert!(!byte(&mut wires, &mut bus, 0x20 << 1));
        assert!(wires.data());
    }
}
