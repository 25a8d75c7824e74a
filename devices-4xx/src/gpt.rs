//! GPT: the general purpose timer, a free-running counter with compare registers (PPC440EP user's manual, "General
//! Purpose Timers").
//!
//! The counter follows machine time at the rate that the node or the board states. A compare register matches when
//! its bits under its mask equal the counter's; the match sets a status bit, and an enabled status bit asserts that
//! comparator's line. Matches are found when software looks and at the exact deadline of the whole-counter compare
//! (mask all ones); with other masks only a match at the moment of looking counts. Left out: capture, and the
//! outputs' pins.
//!
//! # Threat model
//! Registers without side effects but lines; deadlines are at least a tick apart.

use vmm_plugin::api::{NEVER, ResetKind};

use crate::device::{Access, Device, Mmio, StateError, from_json, to_json};
use crate::pins::{Line, Time};
use crate::registers::{Kind, RegisterFile, Spec, rw};

const TBC: u32 = 0x00;
const IM: u32 = 0x18;
const ISS: u32 = 0x1C;
const ISC: u32 = 0x20;
const IE: u32 = 0x24;
const COMP0: u32 = 0x80;
const MASK0: u32 = 0xC0;
const COMPARATORS: u32 = 7;

static REGISTERS: &[Spec] = &[
    rw(IM, "IM"),
    Spec { at: ISS, name: "ISS", reset: 0, kind: Kind::ReadOnly },
    rw(IE, "IE"),
    rw(COMP0, "COMP0"),
    rw(0x84, "COMP1"),
    rw(0x88, "COMP2"),
    rw(0x8C, "COMP3"),
    rw(0x90, "COMP4"),
    rw(0x94, "COMP5"),
    rw(0x98, "COMP6"),
    rw(MASK0, "MASK0"),
    rw(0xC4, "MASK1"),
    rw(0xC8, "MASK2"),
    rw(0xCC, "MASK3"),
    rw(0xD0, "MASK4"),
    rw(0xD4, "MASK5"),
    rw(0xD8, "MASK6"),
];

/// The status bit of a comparator: 0x8000 for the first, then to the right.
const fn bit(comparator: u32) -> u32 {
    0x8000 >> comparator
}

/// The timer, generic over its lines (one a comparator) and its time.
#[derive(Debug)]
pub struct Gpt<L, T> {
    registers: RegisterFile,
    /// What the counter is ahead of time.
    offset: u32,
    rate_hz: u32,
    /// Tick of the next match. Kept, not computed when asked: a match that has passed is still to be served.
    due: u64,
    lines: Vec<L>,
    time: T,
}

impl<L: Line, T: Time> Gpt<L, T> {
    /// A timer whose counter runs at `rate_hz`.
    pub fn new(rate_hz: u32, lines: Vec<L>, time: T) -> Self {
        Self {
            registers: RegisterFile::new(REGISTERS),
            offset: 0,
            rate_hz: rate_hz.max(1),
            due: NEVER,
            lines,
            time,
        }
    }

    /// The counter at a tick, without the offset.
    fn count_at(&self, ticks: u64) -> u64 {
        (u128::from(ticks) * u128::from(self.rate_hz) / u128::from(self.time.hz().max(1))) as u64
    }

    fn counter(&self) -> u32 {
        (self.count_at(self.time.ticks()) as u32).wrapping_add(self.offset)
    }

    fn enabled(&self, comparator: u32) -> bool {
        self.registers.get(IE) & self.registers.get(IM) & bit(comparator) != 0
    }

    /// Latches matches and drives the lines.
    fn update(&mut self) {
        let counter = self.counter();
        for n in 0..COMPARATORS {
            let mask = self.registers.get(MASK0 + 4 * n);
            let differs = (self.registers.get(COMP0 + 4 * n) ^ counter) & mask != 0;
            if mask != 0 && !differs && self.enabled(n) {
                self.registers.set(ISS, self.registers.get(ISS) | bit(n));
            }
        }
        self.drive();
    }

    /// Finds the tick of the next match of a whole-counter compare.
    fn schedule(&mut self) {
        let waiting = (0..COMPARATORS).filter(|&n| {
            self.enabled(n)
                && self.registers.get(MASK0 + 4 * n) == !0
                && self.registers.get(ISS) & bit(n) == 0
        });
        let now = self.time.ticks();
        let counted = self.count_at(now);
        let deadlines = waiting.map(|n| {
            let ahead = self.registers.get(COMP0 + 4 * n).wrapping_sub(self.counter());
            // A compare value that has just passed comes round again with the counter.
            let ahead = if ahead == 0 { 1 << 32 } else { u64::from(ahead) };
            let target = u128::from(counted) + u128::from(ahead);
            let ticks = (target * u128::from(self.time.hz())).div_ceil(u128::from(self.rate_hz));
            u64::try_from(ticks).unwrap_or(NEVER).max(now + 1)
        });
        self.due = deadlines.min().unwrap_or(NEVER);
    }

    fn drive(&self) {
        let status = self.registers.get(ISS);
        for (n, line) in (0..).zip(&self.lines) {
            line.set(status & bit(n) != 0 && self.enabled(n));
        }
    }

    fn get(&mut self, at: u32) -> u32 {
        match at {
            TBC => self.counter(),
            ISC => self.registers.get(ISS),
            _ => self.registers.get(at),
        }
    }

    fn put(&mut self, at: u32, value: u32, mask: u32) {
        match at {
            TBC => {
                let wanted = crate::device::merge(self.counter(), value, mask);
                self.offset = self.offset.wrapping_add(wanted.wrapping_sub(self.counter()));
            }
            // ISS sets bits, ISC clears them.
            ISS => self.registers.set(ISS, self.registers.get(ISS) | value & mask),
            ISC => self.registers.set(ISS, self.registers.get(ISS) & !(value & mask)),
            _ => self.registers.write(at, value, mask),
        }
    }
}

impl<L: Line, T: Time> Mmio for Gpt<L, T> {
    fn read(&mut self, access: Access) -> u64 {
        self.update();
        access.read_words(|at| self.get(at as u32))
    }
    fn write(&mut self, access: Access, value: u64) {
        access.write_words(value, |at, value, mask| self.put(at as u32, value, mask));
        self.update();
        self.schedule();
    }
}

impl<L: Line, T: Time> Device for Gpt<L, T> {
    fn name(&self) -> String {
        "GPT".into()
    }
    fn mmio(&mut self) -> Option<&mut dyn Mmio> {
        Some(self)
    }
    fn reset(&mut self, _kind: ResetKind) {
        self.registers.reset();
        self.offset = 0;
        self.schedule();
        self.drive();
    }
    fn deadline(&self) -> u64 {
        self.due
    }
    fn service(&mut self, _now: u64) {
        // The deadline is where a whole-counter compare is reached; it may be served a little late.
        let counter = self.counter();
        for n in 0..COMPARATORS {
            let late = counter.wrapping_sub(self.registers.get(COMP0 + 4 * n));
            if self.enabled(n) && self.registers.get(MASK0 + 4 * n) == !0 && late < 1 << 31 {
                self.registers.set(ISS, self.registers.get(ISS) | bit(n));
            }
        }
        self.update();
        self.schedule();
    }
    fn save(&self) -> serde_json::Value {
        to_json(&(self.offset, self.registers.save()))
    }
    fn restore(&mut self, state: &serde_json::Value) -> Result<(), StateError> {
        let (offset, registers): (u32, serde_json::Value) = from_json(state)?;
        self.registers.restore(&registers)?;
        self.offset = offset;
        self.schedule();
        self.drive();
        Ok(())
    }
    fn describe(&self) -> String {
        format!("TBC {:08x} {}", self.counter(), self.registers.describe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn a_compare_asserts_its_line_at_its_time() {
        let (now, line) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
        // Two counts a microsecond.
        let mut gpt = Gpt::new(2_000_000, vec![line.clone()], now.clone());
        assert_eq!(gpt.deadline(), NEVER);
        gpt.write(Access::at(0x80, 4), 1000);
        gpt.write(Access::at(0xC0, 4), 0xFFFF_FFFF);
        gpt.write(Access::at(0x18, 4), 0x8000);
        gpt.write(Access::at(0x24, 4), 0x8000);
        assert_eq!(gpt.deadline(), 500);
        now.set(501);
        gpt.service(501);
        assert!(line.get());
        assert_eq!((gpt.read(Access::at(0, 4)), gpt.read(Access::at(0x1C, 4))), (1002, 0x8000));
        gpt.write(Access::at(0x20, 4), 0x8000);
        assert!(!line.get());
        assert_eq!(gpt.deadline(), (1000 + (1_u64 << 32)) / 2, "once round the counter");
    }

    #[test]
    fn the_counter_can_be_set() {
        let now = Rc::new(Cell::new(7));
        let mut gpt = Gpt::new(1_000_000, Vec::<()>::new(), now.clone());
        gpt.write(Access::at(0, 4), 0xFFFF_FFFF);
        now.set(9);
        assert_eq!(gpt.read(Access::at(0, 4)), 1);
    }
}
