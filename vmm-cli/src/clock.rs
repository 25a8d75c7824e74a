//! Machine time in timebase ticks: the host's monotonic clock scaled to the timebase frequency, or the sum of what was
//! advanced.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use vmm_plugin::api::{Clock, NEVER};

/// Where a wall clock starts under icount, so that runs repeat: 2026-01-01 00:00 UTC, in seconds since 1970.
const ICOUNT_START: u64 = 1_767_225_600;

/// The machine's clock. Before [`MachineClock::start`] it stands at 0.
#[derive(Debug)]
pub(crate) struct MachineClock {
    kind: Clock,
    tb_hz: Cell<u64>,
    /// Ticks for each nanosecond as a fraction of 2^64.
    scale: Cell<u128>,
    origin: Cell<Option<Instant>>,
    /// icount: the time.
    ticks: Cell<u64>,
}

impl MachineClock {
    pub(crate) fn new(kind: Clock) -> Self {
        Self {
            kind,
            tb_hz: Cell::new(1_000_000_000),
            scale: Cell::new(0),
            origin: Cell::new(None),
            ticks: Cell::new(0),
        }
    }

    pub(crate) fn kind(&self) -> Clock {
        self.kind
    }

    /// Starts at tick 0 with a timebase of `tb_hz` (a machine that names none gets 1 GHz).
    pub(crate) fn start(&self, tb_hz: u32) {
        let tb_hz = if tb_hz == 0 { 1_000_000_000 } else { u64::from(tb_hz) };
        self.tb_hz.set(tb_hz);
        self.scale.set((u128::from(tb_hz) << 64) / 1_000_000_000);
        self.origin.set(Some(Instant::now()));
    }

    pub(crate) fn now(&self) -> u64 {
        match (self.kind, self.origin.get()) {
            (Clock::Icount, _) => self.ticks.get(),
            (Clock::Host, None) => 0,
            (Clock::Host, Some(origin)) => {
                // u64 nanoseconds last 584 years; the product stays below 2^128 because the scale is below 2^68.
                let nanoseconds = origin.elapsed().as_nanos() as u64;
                ((u128::from(nanoseconds).wrapping_mul(self.scale.get())) >> 64) as u64
            }
        }
    }

    /// icount: lets ticks pass.
    pub(crate) fn advance(&self, ticks: u64) {
        if self.kind == Clock::Icount {
            self.ticks.set(self.ticks.get().saturating_add(ticks));
        }
    }

    /// icount: jumps to a later time.
    pub(crate) fn jump(&self, to: u64) {
        if self.kind == Clock::Icount && to != NEVER {
            self.ticks.set(self.ticks.get().max(to));
        }
    }

    /// How long `ticks` last, rounded up.
    pub(crate) fn duration(&self, ticks: u64) -> Duration {
        let nanoseconds = (u128::from(ticks) * 1_000_000_000).div_ceil(u128::from(self.tb_hz.get()));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// How many ticks a time has.
    pub(crate) fn ticks(&self, time: Duration) -> u64 {
        (time.as_nanos() * u128::from(self.tb_hz.get()) / 1_000_000_000) as u64
    }

    /// Seconds since 1970-01-01 00:00 UTC.
    pub(crate) fn wall(&self) -> u64 {
        match self.kind {
            Clock::Host => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            Clock::Icount => ICOUNT_START + self.ticks.get() / self.tb_hz.get(),
        }
    }
}
