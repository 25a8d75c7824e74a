//! The traits that a device model implements: what every device can do, and the powers that only some have.
//!
//! A device is anything with a name, a reset and a state to save. Memory mapped registers, device control registers
//! and a serial port are optional powers, handed out as trait objects; the bus asks for them once, when the device
//! is plugged in, and routes accesses by the ranges that were claimed for it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use vmm_plugin::api::{NEVER, ResetKind};

/// One access to a device's memory mapped registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Which of the device's ranges: its number in the node's `reg`, then in what the model claims besides.
    pub window: usize,
    /// Byte offset of the first byte in that range.
    pub offset: u64,
    /// Bytes, 1 to 8. All of them lie in the range.
    pub len: u8,
}

impl Access {
    /// An access to the first window, for devices that have one, and for tests.
    #[must_use]
    pub const fn at(offset: u64, len: u8) -> Self {
        Self { window: 0, offset, len }
    }

    /// Splits the access into bytes, the most significant (lowest address) first, and reads each.
    pub fn read_bytes(self, mut byte: impl FnMut(u64) -> u8) -> u64 {
        (0..u64::from(self.len)).fold(0, |value, i| value << 8 | u64::from(byte(self.offset.wrapping_add(i))))
    }

    /// Splits the access into bytes, the lowest address first, and hands each on.
    pub fn write_bytes(self, value: u64, mut byte: impl FnMut(u64, u8)) {
        for i in 0..u64::from(self.len) {
            let shift = 8 * (u64::from(self.len) - 1 - i).min(7);
            byte(self.offset.wrapping_add(i), (value >> shift) as u8);
        }
    }

    /// Reads from big-endian 32-bit registers, whatever the access's size and alignment: `word` is called once for
    /// each register that the access touches, with the register's byte offset.
    pub fn read_words(self, word: impl FnMut(u64) -> u32) -> u64 {
        self.read_lanes(big_endian_lane, word)
    }

    /// As [`Access::read_words`], from little-endian registers.
    pub fn read_le_words(self, word: impl FnMut(u64) -> u32) -> u64 {
        self.read_lanes(little_endian_lane, word)
    }

    /// Writes to big-endian 32-bit registers: `word` is called once for each register that the access touches, with
    /// the register's byte offset, the value in place and a mask of the bytes that are written.
    pub fn write_words(self, value: u64, word: impl FnMut(u64, u32, u32)) {
        self.write_lanes(big_endian_lane, value, word);
    }

    /// As [`Access::write_words`], to little-endian registers.
    pub fn write_le_words(self, value: u64, word: impl FnMut(u64, u32, u32)) {
        self.write_lanes(little_endian_lane, value, word);
    }

    fn read_lanes(self, lane: fn(u64) -> u32, mut word: impl FnMut(u64) -> u32) -> u64 {
        let mut held: Option<(u64, u32)> = None;
        self.read_bytes(|at| {
            let register = at & !3;
            let value = match held {
                Some((offset, value)) if offset == register => value,
                _ => {
                    let value = word(register);
                    held = Some((register, value));
                    value
                }
            };
            (value >> lane(at)) as u8
        })
    }

    fn write_lanes(self, lane: fn(u64) -> u32, value: u64, mut word: impl FnMut(u64, u32, u32)) {
        let mut held: Option<(u64, u32, u32)> = None;
        self.write_bytes(value, |at, byte| {
            let register = at & !3;
            let (bits, mask) = (u32::from(byte) << lane(at), 0xFF << lane(at));
            held = match held {
                Some((offset, v, m)) if offset == register => Some((offset, v | bits, m | mask)),
                previous => {
                    if let Some((offset, v, m)) = previous {
                        word(offset, v, m);
                    }
                    Some((register, bits, mask))
                }
            };
        });
        if let Some((offset, v, m)) = held {
            word(offset, v, m);
        }
    }
}

/// How far left the byte at an address sits in its big-endian word.
const fn big_endian_lane(at: u64) -> u32 {
    24 - 8 * (at & 3) as u32
}

/// How far left the byte at an address sits in its little-endian word.
const fn little_endian_lane(at: u64) -> u32 {
    8 * (at & 3) as u32
}

/// `old` with the bytes under `mask` taken from `new`.
#[must_use]
pub const fn merge(old: u32, new: u32, mask: u32) -> u32 {
    old & !mask | new & mask
}

/// Memory mapped registers. Values are the numbers that the core sees: big-endian, the first byte most significant.
pub trait Mmio {
    /// Reads. Registers that do not exist read zero.
    fn read(&mut self, access: Access) -> u64;
    /// Writes. Registers that do not exist ignore it.
    fn write(&mut self, access: Access, value: u64);
    /// How the register that was accessed last may be treated by an engine to which an access is dear: bits of
    /// [`vmm_plugin::api::treatment`].
    fn treatment(&self, _access: Access) -> u32 {
        0
    }
}

/// Device control registers, addressed by their offset in the claimed range.
pub trait Dcr {
    /// Reads. Registers that do not exist read zero.
    fn dcr_read(&mut self, offset: u16) -> u32;
    /// Writes. Registers that do not exist ignore it.
    fn dcr_write(&mut self, offset: u16, value: u32);
}

/// A serial port as the host sees it.
pub trait SerialPort {
    /// Offers received characters; returns how many were taken.
    fn receive(&mut self, bytes: &[u8]) -> usize;
}

/// What every device can do.
pub trait Device {
    /// What the device is, for `info devices` and messages: the manual's name and the instance.
    fn name(&self) -> String;
    /// Memory mapped registers, if any.
    fn mmio(&mut self) -> Option<&mut dyn Mmio> {
        None
    }
    /// Device control registers, if any.
    fn dcr(&mut self) -> Option<&mut dyn Dcr> {
        None
    }
    /// The serial port, if it is one.
    fn serial(&mut self) -> Option<&mut dyn SerialPort> {
        None
    }
    /// Resets the device as the hardware would.
    fn reset(&mut self, kind: ResetKind);
    /// The tick at which [`Device::service`] has work, or [`NEVER`]. A past tick means "as soon as possible".
    fn deadline(&self) -> u64 {
        NEVER
    }
    /// Does the work that is due at tick `now`; afterwards the deadline must lie after `now`.
    fn service(&mut self, _now: u64) {}
    /// The device's state as JSON.
    fn save(&self) -> serde_json::Value;
    /// Takes a state that [`Device::save`] returned and drives the device's lines accordingly. The state is not
    /// trusted: whatever it says, later accesses must not panic.
    ///
    /// # Errors
    /// What does not fit.
    fn restore(&mut self, state: &serde_json::Value) -> Result<(), StateError>;
    /// What is worth showing in one line, without the name.
    fn describe(&self) -> String {
        String::new()
    }
}

/// A saved state does not fit the device.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StateError(pub String);

/// A device's plain state as JSON.
pub(crate) fn to_json<T: Serialize>(state: &T) -> serde_json::Value {
    serde_json::to_value(state).unwrap_or(serde_json::Value::Null)
}

/// Reads a device's plain state back.
pub(crate) fn from_json<T: DeserializeOwned>(value: &serde_json::Value) -> Result<T, StateError> {
    T::deserialize(value).map_err(|error| StateError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unaligned_read_is_assembled_from_both_registers_and_each_is_read_once() {
        let mut reads = Vec::new();
        let value = Access::at(2, 4).read_words(|offset| {
            reads.push(offset);
            if offset == 0 { 0x0011_2233 } else { 0x4455_6677 }
        });
        assert_eq!((value, reads), (0x2233_4455, vec![0, 4]));
    }

    #[test]
    fn a_little_endian_register_shows_its_low_byte_first() {
        assert_eq!(Access::at(0, 4).read_le_words(|_| 0x1122_3344), 0x4433_2211);
        assert_eq!(Access::at(1, 1).read_le_words(|_| 0x1122_3344), 0x33);
        Access::at(2, 2).write_le_words(0x2211, |offset, value, mask| {
            assert_eq!((offset, value, mask), (0, 0x1122_0000, 0xFFFF_0000));
        });
    }

    #[test]
    fn a_partial_write_carries_a_mask_of_its_bytes() {
        let mut writes = Vec::new();
        Access::at(3, 2).write_words(0xAABB, |offset, value, mask| writes.push((offset, value, mask)));
        assert_eq!(writes, [(0, 0xAA, 0xFF), (4, 0xBB00_0000, 0xFF00_0000)]);
    }
}
