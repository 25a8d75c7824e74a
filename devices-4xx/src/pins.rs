//! What a device model may touch besides its own registers: an interrupt line, a place for characters, and time.
//!
//! Every model is generic over these three small traits, so it runs alone in a test (a `Cell<bool>` is a line, a
//! `RefCell<Vec<u8>>` takes characters, a `Cell<u64>` is a clock) and in a machine behind `Rc`s. They take `&self`
//! because many devices share one sink or clock; everything happens on the vCPU's thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// An interrupt line (or any other level) as its source sees it: asserted or not. What level the wire has, and what
/// the receiver makes of it, is the receiver's business.
pub trait Line {
    /// Drives the line. Driving the level that the line already has does nothing.
    fn set(&self, asserted: bool);
}

/// A line that ends nowhere.
impl Line for () {
    fn set(&self, _asserted: bool) {}
}

/// A line that remembers its level, for tests.
impl Line for Cell<bool> {
    fn set(&self, asserted: bool) {
        Cell::set(self, asserted);
    }
}

impl<T: Line + ?Sized> Line for Rc<T> {
    fn set(&self, asserted: bool) {
        (**self).set(asserted);
    }
}

/// Where a serial port's characters go.
pub trait CharSink {
    /// Takes all of `bytes`; it never blocks the guest.
    fn send(&self, bytes: &[u8]);
}

/// Characters that nobody reads.
impl CharSink for () {
    fn send(&self, _bytes: &[u8]) {}
}

/// Characters collected for a test.
impl CharSink for RefCell<Vec<u8>> {
    fn send(&self, bytes: &[u8]) {
        self.borrow_mut().extend_from_slice(bytes);
    }
}

impl<T: CharSink + ?Sized> CharSink for Rc<T> {
    fn send(&self, bytes: &[u8]) {
        (**self).send(bytes);
    }
}

/// Machine time.
pub trait Time {
    /// Timebase ticks since the machine was made.
    fn ticks(&self) -> u64;
    /// Ticks a second, never zero.
    fn hz(&self) -> u32;
    /// Seconds since 1970-01-01 00:00 UTC.
    fn wall_clock(&self) -> u64;

    /// Ticks in `count / rate` seconds, saturating; `rate` 0 counts as 1.
    fn span(&self, count: u64, rate: u64) -> u64 {
        let ticks = u128::from(count) * u128::from(self.hz()) / u128::from(rate.max(1));
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }
}

/// A clock for tests: one tick is a microsecond, the wall clock shows the same seconds.
impl Time for Cell<u64> {
    fn ticks(&self) -> u64 {
        self.get()
    }
    fn hz(&self) -> u32 {
        1_000_000
    }
    fn wall_clock(&self) -> u64 {
        self.get() / 1_000_000
    }
}

impl<T: Time + ?Sized> Time for Rc<T> {
    fn ticks(&self) -> u64 {
        (**self).ticks()
    }
    fn hz(&self) -> u32 {
        (**self).hz()
    }
    fn wall_clock(&self) -> u64 {
        (**self).wall_clock()
    }
}
