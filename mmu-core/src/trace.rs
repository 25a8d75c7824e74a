//! A compact record of what a guest does to its TLB, for policy studies: page references, TLB writes
//! and mode changes, with what became of them. The format is this crate's own and is specified here;
//! recording and storing it is the embedder's part. What an engine's fast table answers is in the
//! trace only if the engine records it.
//!
//! A trace is [`MAGIC`] followed by records. Each record is an opcode byte and operands:
//!
//! | opcode | event | operands |
//! |---|---|---|
//! | 01 | [`Event::Mode`] | flags (1: MSR\[IS\], 2: MSR\[DS\], 4: MSR\[PR\]); PID |
//! | 02-04 | [`Event::Write`] of word 0-2 | index; value, 4 bytes, low byte first; for word 0 the TID |
//! | 05 | [`Event::Stack`] | page delta |
//! | 06 | [`Event::InvalidateAll`] | |
//! | 07 | [`Event::Lost`] | number of events |
//! | 10-1f | [`Event::Access`]: access (0 fetch, 1 load, 2 store) + 4 × outcome | page delta |
//! | 20-21 | [`Event::Drop`], 21 if the shadow was writable | page delta; log2 of the size |
//!
//! A page delta is the difference of the address, in units of 1 KiB, from the last one of the same
//! stream (fetch; load and store; stack; drop), which starts at 0; it is zigzag coded. It and the
//! number of lost events are LEB128 numbers: 7 bits a byte, lowest first, bit 7 set in all but the
//! last. A loop's accesses cost two bytes each.
//!
//! ```
//! use mmu_core::trace::{Decoder, Encoder, Event, MAGIC, Outcome};
//! use mmu_core::{Access, EffectiveAddress};
//!
//! let event = Event::Access { ea: EffectiveAddress(0xc000_0400), access: Access::Load, outcome: Outcome::Hit };
//! let mut bytes = MAGIC.to_vec();
//! bytes.extend_from_slice(Encoder::new().encode(&event).as_bytes());
//! assert_eq!(Decoder::new(&bytes).unwrap().next(), Some(Ok(event)));
//! ```

use core::fmt;

use crate::address::EffectiveAddress;
use crate::tlb::Access;

/// The first bytes of a trace. The last of them is the format's version.
pub const MAGIC: [u8; 8] = *b"440TLB\x00\x01";

/// No record is longer than this many bytes.
pub const MAX_RECORD: usize = 8;

/// What became of an access.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// A shadow answered it.
    Hit,
    /// A guest entry matched; a shadow was installed.
    Installed,
    /// No guest entry matched.
    GuestMiss,
    /// The matching entry forbade it.
    Protection,
}

/// One event. Addresses are kept to 1 KiB, the smallest page: the low 10 bits read back as zero.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Event {
    /// PID or MSR changed; also stands at the start of a trace.
    Mode {
        /// The PID register.
        pid: u8,
        /// MSR\[IS\].
        instruction_space: bool,
        /// MSR\[DS\].
        data_space: bool,
        /// MSR\[PR\].
        user: bool,
    },
    /// A `tlbwe`.
    Write {
        /// The entry, 0-63.
        index: u8,
        /// The word, 0-2.
        ws: u8,
        /// The value.
        value: u32,
        /// MMUCR\[STID\]; recorded for word 0, else 0.
        stid: u8,
    },
    /// A reference to a page.
    Access {
        /// The address.
        ea: EffectiveAddress,
        /// What kind.
        access: Access,
        /// What became of it.
        outcome: Outcome,
    },
    /// The stack pointer has moved to another page.
    Stack {
        /// The stack pointer.
        sp: EffectiveAddress,
    },
    /// A shadow was dropped or evicted.
    Drop {
        /// Its first address.
        ea: EffectiveAddress,
        /// Base-2 logarithm of its size in bytes.
        shift: u8,
        /// It could have been dirtied.
        writable: bool,
    },
    /// All shadows were dropped.
    InvalidateAll,
    /// The recorder could not keep up and left out some events.
    Lost {
        /// How many.
        events: u32,
    },
}

/// Why a trace cannot be read.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TraceError {
    /// The file does not begin with [`MAGIC`].
    NotATrace,
    /// It is a trace of another version.
    Version(u8),
    /// No record begins with this byte, at this offset.
    Opcode(u8, usize),
    /// The record at this offset has an operand that is out of range.
    Operand(usize),
    /// The trace ends within the record at this offset.
    Truncated(usize),
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotATrace => write!(f, "Not a TLB trace: it does not begin with 440TLB"),
            Self::Version(version) => {
                write!(f, "TLB trace version {version} is unknown; this program reads {}", MAGIC[7])
            }
            Self::Opcode(byte, at) => write!(f, "No trace record begins with {byte:02x} (offset {at})"),
            Self::Operand(at) => write!(f, "Trace record with a bad operand at offset {at}"),
            Self::Truncated(at) => write!(f, "The trace ends within the record at offset {at}"),
        }
    }
}

impl core::error::Error for TraceError {}

/// The streams whose addresses are coded as differences.
const FETCH: usize = 0;
const DATA: usize = 1;
const STACK: usize = 2;
const DROP: usize = 3;

/// An encoded event.
#[derive(Copy, Clone, Debug)]
pub struct Record {
    bytes: [u8; MAX_RECORD],
    len: u8,
}

impl Record {
    /// What goes into the file: 1 to [`MAX_RECORD`] bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn new(opcode: u8) -> Self {
        let mut record = Self { bytes: [0; MAX_RECORD], len: 0 };
        record.push(opcode);
        record
    }

    fn push(&mut self, byte: u8) {
        self.bytes[usize::from(self.len)] = byte;
        self.len += 1;
    }

    fn push_number(&mut self, mut number: u32) {
        while number >= 0x80 {
            self.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.push(number as u8);
    }
}

/// Encodes events; keeps what the differences refer to.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    last: [u32; 4],
}

impl Encoder {
    /// For the start of a trace.
    #[must_use]
    pub const fn new() -> Self {
        Self { last: [0; 4] }
    }

    /// The event's record, to be appended to the trace.
    #[must_use]
    pub fn encode(&mut self, event: &Event) -> Record {
        match *event {
            Event::Mode { pid, instruction_space, data_space, user } => {
                let mut record = Record::new(0x01);
                record.push(u8::from(instruction_space) | u8::from(data_space) << 1 | u8::from(user) << 2);
                record.push(pid);
                record
            }
            Event::Write { index, ws, value, stid } => {
                let mut record = Record::new(0x02 + ws % 3);
                record.push(index & 63);
                for byte in value.to_le_bytes() {
                    record.push(byte);
                }
                if ws == 0 {
                    record.push(stid);
                }
                record
            }
            Event::Stack { sp } => self.with_page(0x05, STACK, sp),
            Event::InvalidateAll => Record::new(0x06),
            Event::Lost { events } => {
                let mut record = Record::new(0x07);
                record.push_number(events);
                record
            }
            Event::Access { ea, access, outcome } => {
                let (stream, access) = match access {
                    Access::Fetch => (FETCH, 0),
                    Access::Load => (DATA, 1),
                    Access::Store => (DATA, 2),
                };
                let outcome = match outcome {
                    Outcome::Hit => 0,
                    Outcome::Installed => 1,
                    Outcome::GuestMiss => 2,
                    Outcome::Protection => 3,
                };
                self.with_page(0x10 + access + 4 * outcome, stream, ea)
            }
            Event::Drop { ea, shift, writable } => {
                let mut record = self.with_page(0x20 + u8::from(writable), DROP, ea);
                record.push(shift);
                record
            }
        }
    }

    fn with_page(&mut self, opcode: u8, stream: usize, ea: EffectiveAddress) -> Record {
        let page = ea.0 >> 10;
        let delta = page.wrapping_sub(self.last[stream]) as i32;
        self.last[stream] = page;
        let mut record = Record::new(opcode);
        record.push_number((delta << 1 ^ delta >> 31) as u32);
        record
    }
}

/// Reads the events of a trace; ends after the first error.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
    last: [u32; 4],
}

impl<'a> Decoder<'a> {
    /// A reader of the whole trace, [`MAGIC`] included.
    ///
    /// # Errors
    /// If it is not a trace, or not of this version.
    pub fn new(bytes: &'a [u8]) -> Result<Self, TraceError> {
        match bytes.split_at_checked(MAGIC.len()) {
            Some((magic, _)) if magic[..7] != MAGIC[..7] => Err(TraceError::NotATrace),
            Some((magic, _)) if magic[7] != MAGIC[7] => Err(TraceError::Version(magic[7])),
            Some(_) => Ok(Self { bytes, at: MAGIC.len(), last: [0; 4] }),
            None => Err(TraceError::NotATrace),
        }
    }

    fn byte(&mut self, start: usize) -> Result<u8, TraceError> {
        let byte = *self.bytes.get(self.at).ok_or(TraceError::Truncated(start))?;
        self.at += 1;
        Ok(byte)
    }

    fn number(&mut self, start: usize) -> Result<u32, TraceError> {
        let mut number = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte(start)?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(number).map_err(|_| TraceError::Operand(start));
            }
        }
        Err(TraceError::Operand(start))
    }

    fn page(&mut self, stream: usize, start: usize) -> Result<EffectiveAddress, TraceError> {
        let number = self.number(start)?;
        let delta = (number >> 1) ^ 0u32.wrapping_sub(number & 1);
        let page = self.last[stream].wrapping_add(delta);
        if page >= 1 << 22 {
            return Err(TraceError::Operand(start));
        }
        self.last[stream] = page;
        Ok(EffectiveAddress(page << 10))
    }

    fn record(&mut self) -> Result<Event, TraceError> {
        let start = self.at;
        let opcode = self.byte(start)?;
        Ok(match opcode {
            0x01 => {
                let (flags, pid) = (self.byte(start)?, self.byte(start)?);
                Event::Mode {
                    pid,
                    instruction_space: flags & 1 != 0,
                    data_space: flags & 2 != 0,
                    user: flags & 4 != 0,
                }
            }
            0x02..=0x04 => {
                let index = self.byte(start)? & 63;
                let mut value = [0; 4];
                for byte in &mut value {
                    *byte = self.byte(start)?;
                }
                let stid = if opcode == 0x02 { self.byte(start)? } else { 0 };
                Event::Write { index, ws: opcode - 0x02, value: u32::from_le_bytes(value), stid }
            }
            0x05 => Event::Stack { sp: self.page(STACK, start)? },
            0x06 => Event::InvalidateAll,
            0x07 => Event::Lost { events: self.number(start)? },
            0x10..=0x1f => {
                let (stream, access) = match opcode & 3 {
                    0 => (FETCH, Access::Fetch),
                    1 => (DATA, Access::Load),
                    2 => (DATA, Access::Store),
                    _ => return Err(TraceError::Opcode(opcode, start)),
                };
                let outcome = match opcode >> 2 & 3 {
                    0 => Outcome::Hit,
                    1 => Outcome::Installed,
                    2 => Outcome::GuestMiss,
                    _ => Outcome::Protection,
                };
                Event::Access { ea: self.page(stream, start)?, access, outcome }
            }
            0x20 | 0x21 => Event::Drop {
                ea: self.page(DROP, start)?,
                shift: self.byte(start)?,
                writable: opcode == 0x21,
            },
            _ => return Err(TraceError::Opcode(opcode, start)),
        })
    }
}

impl Iterator for Decoder<'_> {
    type Item = Result<Event, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let event = self.record();
        if event.is_err() {
            self.at = self.bytes.len();
        }
        Some(event)
    }
}

impl core::iter::FusedIterator for Decoder<'_> {}
