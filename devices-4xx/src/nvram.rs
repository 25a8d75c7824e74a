//! NVRAM with real-time clock, of the DS1556 kind (Dallas/Maxim data sheet): battery-backed bytes whose last sixteen
//! are clock, alarm and watchdog registers.
//!
//! The clock shows the host's wall clock plus what software added when it set the time. Setting R freezes what is
//! read, setting W freezes and makes it writable, clearing W takes the time over. Left out: alarm and watchdog keep
//! their registers and never fire; the oscillator cannot be stopped; the calendar does not hold invalid dates.
//!
//! # Threat model
//! Every access is bounded by the memory's size. Times that software sets may be nonsense; they are clamped to fields
//! that exist, and all arithmetic is checked.

use serde::{Deserialize, Serialize};
use vmm_plugin::api::ResetKind;

use crate::device::{Access, Device, Mmio, StateError, from_json, to_json};
use crate::pins::Time;

/// Bytes that the clock takes at the end of the memory.
const CLOCK_SIZE: usize = 16;
/// Register numbers among those bytes.
const CONTROL: usize = 8;
const SECONDS: usize = 9;
const MINUTES: usize = 10;
const HOURS: usize = 11;
const DAY: usize = 12;
const DATE: usize = 13;
const MONTH: usize = 14;
const YEAR: usize = 15;
/// CONTROL: write and read bits beside the century.
const CONTROL_W: u8 = 0x80;
const CONTROL_R: u8 = 0x40;
const DAY_SECONDS: i64 = 86_400;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    /// The memory; the clock's bytes hold what is frozen while R or W is set, and the alarm registers.
    bytes: Vec<u8>,
    /// Seconds that the clock is ahead of the host's.
    offset: i64,
}

/// The chip, generic over its time.
#[derive(Debug)]
pub struct Nvram<T> {
    state: State,
    size: usize,
    time: T,
}

const fn bcd(value: u8) -> u8 {
    ((value / 10) << 4) | (value % 10)
}

const fn from_bcd(value: u8) -> i64 {
    let tens = value >> 4;
    let ones = value & 0xF;
    (tens * 10) as i64 + ones as i64
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar; months and days beyond their range carry over.
const fn days_from_date(year: i64, month: i64, day: i64) -> i64 {
    // Count years from March, so that the leap day comes last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    era * 146_097 + days - 719_468
}

/// The date that is so many days after 1970-01-01: year, month, day.
const fn date_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

impl<T: Time> Nvram<T> {
    /// A chip of `size` bytes (at least 16), its memory zero.
    pub fn new(size: usize, time: T) -> Self {
        let size = size.max(CLOCK_SIZE);
        Self { state: State { bytes: vec![0; size], offset: 0 }, size, time }
    }

    const fn clock_start(&self) -> usize {
        self.size - CLOCK_SIZE
    }

    fn control(&self) -> u8 {
        self.state.bytes[self.clock_start() + CONTROL]
    }

    fn frozen(&self) -> bool {
        self.control() & (CONTROL_R | CONTROL_W) != 0
    }

    fn now(&self) -> i64 {
        i64::try_from(self.time.wall_clock()).unwrap_or(0).saturating_add(self.state.offset)
    }

    /// The clock registers at a time: century, then seconds to year.
    fn registers(seconds: i64) -> [(usize, u8); 8] {
        // Years 0 to 9999 are what two BCD centuries can show.
        let seconds = seconds.clamp(-62_167_219_200, 253_402_300_799);
        let days = seconds.div_euclid(DAY_SECONDS);
        let (year, month, day) = date_from_days(days);
        let of_day = seconds.rem_euclid(DAY_SECONDS);
        // 1970-01-01 was a Thursday; Sunday is day 1.
        let weekday = (days + 4).rem_euclid(7) + 1;
        [
            (CONTROL, bcd((year / 100) as u8) & 0x3F),
            (SECONDS, bcd((of_day % 60) as u8)),
            (MINUTES, bcd((of_day / 60 % 60) as u8)),
            (HOURS, bcd((of_day / 3600) as u8)),
            (DAY, weekday as u8),
            (DATE, bcd(day as u8)),
            (MONTH, bcd(month as u8)),
            (YEAR, bcd((year % 100) as u8)),
        ]
    }

    fn read_byte(&self, at: usize) -> u8 {
        let Some(&stored) = self.state.bytes.get(at) else { return 0 };
        let Some(register) = at.checked_sub(self.clock_start()) else { return stored };
        if self.frozen() {
            return stored;
        }
        let running = Self::registers(self.now());
        running.iter().find(|(number, _)| *number == register).map_or(stored, |&(_, value)| value)
    }

    fn write_byte(&mut self, at: usize, value: u8) {
        let start = self.clock_start();
        if at >= self.size {
            return;
        }
        match at.checked_sub(start) {
            Some(CONTROL) => self.write_control(value),
            // Time registers can be set while W is; alarm and flags always.
            Some(register) if register >= SECONDS && self.control() & CONTROL_W == 0 => {}
            _ => self.state.bytes[at] = value,
        }
    }

    fn write_control(&mut self, value: u8) {
        let start = self.clock_start();
        let (was, is) = (self.control(), value);
        let freezes = is & (CONTROL_R | CONTROL_W) != 0 && was & (CONTROL_R | CONTROL_W) == 0;
        if freezes {
            for (register, now) in Self::registers(self.now()) {
                self.state.bytes[start + register] = now;
            }
        }
        // The century is written in the same byte, and counts while W is set or being cleared.
        let century = if (was | is) & CONTROL_W != 0 && !freezes { is } else { self.control() } & 0x3F;
        self.state.bytes[start + CONTROL] = is & (CONTROL_R | CONTROL_W) | century;
        if was & CONTROL_W != 0 && is & CONTROL_W == 0 {
            self.set_time();
        }
    }

    /// Takes over the time that was written.
    fn set_time(&mut self) {
        let start = self.clock_start();
        let field = |register: usize, bits: u8| from_bcd(self.state.bytes[start + register] & bits);
        let year = field(CONTROL, 0x3F) * 100 + field(YEAR, 0xFF);
        let days = days_from_date(year, field(MONTH, 0x1F).clamp(1, 12), field(DATE, 0x3F).clamp(1, 31));
        let time = field(HOURS, 0x3F) * 3600 + field(MINUTES, 0x7F) * 60 + field(SECONDS, 0x7F);
        let wall = i64::try_from(self.time.wall_clock()).unwrap_or(0);
        self.state.offset = (days * DAY_SECONDS + time).saturating_sub(wall);
    }
}

impl<T: Time> Mmio for Nvram<T> {
    fn read(&mut self, access: Access) -> u64 {
        access.read_bytes(|at| self.read_byte(usize::try_from(at).unwrap_or(usize::MAX)))
    }
    fn write(&mut self, access: Access, value: u64) {
        access
            .write_bytes(value, |at, byte| self.write_byte(usize::try_from(at).unwrap_or(usize::MAX), byte));
    }
}

impl<T: Time> Device for Nvram<T> {
    fn name(&self) -> String {
        "NVRAM".into()
    }
    fn mmio(&mut self) -> Option<&mut dyn Mmio> {
        Some(self)
    }
    fn reset(&mut self, _kind: ResetKind) {
        // The battery keeps everything; only a transfer that was under way ends.
        let control = self.clock_start() + CONTROL;
        self.state.bytes[control] &= !(CONTROL_R | CONTROL_W);
    }
    fn save(&self) -> serde_json::Value {
        to_json(&self.state)
    }
    fn restore(&mut self, state: &serde_json::Value) -> Result<(), StateError> {
        let state: State = from_json(state)?;
        if state.bytes.len() != self.size {
            return Err(StateError(format!(
                "{} bytes are saved, the chip has {}",
                state.bytes.len(),
                self.size
            )));
        }
        self.state = state;
        Ok(())
    }
    fn describe(&self) -> String {
        let (year, month, day) = date_from_days(self.now().div_euclid(DAY_SECONDS));
        format!("{} bytes, {year}-{month:02}-{day:02}", self.size - CLOCK_SIZE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    const CLOCK: u64 = 0x1FF0;

    fn chip() -> (Nvram<Rc<Cell<u64>>>, Rc<Cell<u64>>) {
        // 2001-09-09 01:46:40 UTC was a Sunday.
        let now = Rc::new(Cell::new(1_000_000_000_000_000));
        (Nvram::new(0x2000, now.clone()), now)
    }
    fn get(chip: &mut Nvram<Rc<Cell<u64>>>, register: usize) -> u64 {
        chip.read(Access::at(CLOCK + register as u64, 1))
    }
    fn put(chip: &mut Nvram<Rc<Cell<u64>>>, register: usize, value: u64) {
        chip.write(Access::at(CLOCK + register as u64, 1), value);
    }

    #[test]
    fn the_clock_shows_the_hosts_time_in_bcd() {
        let (mut chip, _) = chip();
        let shown = [CONTROL, YEAR, MONTH, DATE, DAY, HOURS, MINUTES, SECONDS].map(|r| get(&mut chip, r));
        assert_eq!(shown, [0x20, 0x01, 0x09, 0x09, 1, 0x01, 0x46, 0x40]);
    }

    #[test]
    fn the_read_bit_freezes_what_is_read() {
        let (mut chip, now) = chip();
        put(&mut chip, CONTROL, u64::from(CONTROL_R));
        now.set(now.get() + 5_000_000);
        assert_eq!((get(&mut chip, SECONDS), get(&mut chip, CONTROL)), (0x40, u64::from(CONTROL_R | 0x20)));
        put(&mut chip, CONTROL, 0);
        assert_eq!(get(&mut chip, SECONDS), 0x45);
    }

    #[test]
    fn a_time_that_is_set_runs_on() {
        let (mut chip, now) = chip();
        put(&mut chip, SECONDS, 0x11);
        assert_eq!(get(&mut chip, SECONDS), 0x40, "without W nothing can be set");
        put(&mut chip, CONTROL, u64::from(CONTROL_W));
        for (register, value) in
            [(YEAR, 0x99), (MONTH, 0x12), (DATE, 0x31), (HOURS, 0x23), (MINUTES, 0x59), (SECONDS, 0x58)]
        {
            put(&mut chip, register, value);
        }
        put(&mut chip, CONTROL, 0x19);
        now.set(now.get() + 3_000_000);
        let shown = [CONTROL, YEAR, MONTH, DATE, DAY, HOURS, MINUTES, SECONDS].map(|r| get(&mut chip, r));
        assert_eq!(shown, [0x20, 0x00, 0x01, 0x01, 7, 0x00, 0x00, 0x01], "2000-01-01 was a Saturday");
    }

    #[test]
    fn dates_go_both_ways() {
        for days in (-200_000..200_000).step_by(37) {
            let (year, month, day) = date_from_days(days);
            assert_eq!(days_from_date(year, month, day), days);
        }
        assert_eq!((date_from_days(0), date_from_days(19_782)), ((1970, 1, 1), (2024, 2, 29)));
    }

    #[test]
    fn memory_survives_a_reset() {
        let (mut chip, _) = chip();
        chip.write(Access::at(0x1FE8, 8), 0x0123_4567_89AB_CDEF);
        chip.reset(ResetKind::System);
        assert_eq!(chip.read(Access::at(0x1FE8, 8)), 0x0123_4567_89AB_CDEF);
        let saved = chip.save();
        assert!(Nvram::new(64, Cell::new(0)).restore(&saved).is_err());
        chip.restore(&saved).unwrap();
    }
}
