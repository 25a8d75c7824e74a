//! The core's timers: time base, decrementer, fixed interval timer and watchdog (facts section 2.7).
//!
//! All times are ticks of the machine clock (`now`); the time base is that clock plus an offset which `mtspr` to TBL
//! and TBU moves. The decrementer is kept as the tick at which it reaches zero, so nothing has to be counted.

use crate::bits::{tcr, tsr};
use crate::bus::NEVER;

/// A reset that the watchdog asks for when it expires a third time.
pub(crate) type WatchdogReset = Option<u32>;

/// Timer state besides TCR and TSR, which live in the architected state.
#[derive(Clone, Debug)]
pub(crate) struct Timers {
    /// Time base minus `now`, wrapping.
    pub(crate) tb_offset: u64,
    /// Tick at which DEC goes from 1 to 0, or `NEVER` while it stands at 0.
    dec_zero: u64,
    /// Tick of the next FIT event.
    fit: u64,
    /// Tick of the next watchdog event.
    watchdog: u64,
}

/// TB bit whose 0 to 1 transition is the event, as its period in ticks: 2^13, 2^17, 2^21, 2^25.
fn fit_period(tcr_value: u32) -> u64 {
    1 << (13 + 4 * ((tcr_value & tcr::FP) >> 24))
}

/// Watchdog periods in ticks: 2^21, 2^25, 2^29, 2^33.
fn watchdog_period(tcr_value: u32) -> u64 {
    1 << (21 + 4 * (tcr_value >> 30))
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self { tb_offset: 0, dec_zero: NEVER, fit: NEVER, watchdog: NEVER }
    }

    /// The tick after `now` at which the time base bit with this period goes from 0 to 1.
    fn next_transition(&self, now: u64, period: u64) -> u64 {
        let tb = now.wrapping_add(self.tb_offset);
        let phase = tb.wrapping_sub(period / 2) & (period - 1);
        now + (period - phase)
    }

    /// Finds the next FIT and watchdog events anew, after TCR or the time base changed.
    pub(crate) fn rearm(&mut self, now: u64, tcr_value: u32) {
        self.fit = self.next_transition(now, fit_period(tcr_value));
        self.watchdog = self.next_transition(now, watchdog_period(tcr_value));
    }

    pub(crate) fn time_base(&self, now: u64) -> u64 {
        now.wrapping_add(self.tb_offset)
    }

    pub(crate) fn set_time_base(&mut self, now: u64, value: u64, tcr_value: u32) {
        self.tb_offset = value.wrapping_sub(now);
        self.rearm(now, tcr_value);
    }

    pub(crate) fn dec(&self, now: u64) -> u32 {
        if self.dec_zero == NEVER { 0 } else { self.dec_zero.saturating_sub(now) as u32 }
    }

    /// Writing 0 stops the decrementer and raises nothing.
    pub(crate) fn set_dec(&mut self, now: u64, value: u32) {
        self.dec_zero = if value == 0 { NEVER } else { now + u64::from(value) };
    }

    /// True while the decrementer runs down to an event.
    pub(crate) fn dec_running(&self) -> bool {
        self.dec_zero != NEVER
    }

    /// Tick of the next event that can have an effect by itself. A FIT or watchdog event that nothing enables only
    /// sets a bit of TSR; [`Timers::process`] catches up with it when TSR is looked at, so nobody wakes for it.
    pub(crate) fn next(&self, tcr_value: u32) -> u64 {
        let fit = if tcr_value & tcr::FIE != 0 { self.fit } else { NEVER };
        let watchdog = if tcr_value & (tcr::WIE | tcr::WRC) != 0 { self.watchdog } else { NEVER };
        self.dec_zero.min(fit).min(watchdog)
    }

    /// Carries out every event up to `now`. A watchdog that expires with ENW and WIS both set asks for the reset that
    /// TCR\[WRC\] names.
    pub(crate) fn process(
        &mut self,
        now: u64,
        tcr_value: u32,
        tsr_value: &mut u32,
        decar: u32,
    ) -> WatchdogReset {
        if now >= self.dec_zero {
            *tsr_value |= tsr::DIS;
            self.dec_zero = if tcr_value & tcr::ARE != 0 && decar != 0 {
                // Whole periods may have passed unseen; the phase is kept.
                let late = (now - self.dec_zero) % u64::from(decar);
                now + (u64::from(decar) - late)
            } else {
                NEVER
            };
        }
        if now >= self.fit {
            *tsr_value |= tsr::FIS;
            self.fit = self.next_transition(now, fit_period(tcr_value));
        }
        let mut reset = None;
        if now >= self.watchdog {
            let period = watchdog_period(tcr_value);
            let expirations = (now - self.watchdog) / period + 1;
            for _ in 0..expirations.min(3) {
                if *tsr_value & tsr::ENW == 0 {
                    *tsr_value |= tsr::ENW;
                } else if *tsr_value & tsr::WIS == 0 {
                    *tsr_value |= tsr::WIS;
                } else if tcr_value & tcr::WRC != 0 {
                    let kind = (tcr_value & tcr::WRC) >> 28;
                    *tsr_value = (*tsr_value & !tsr::WRS) | (kind << 28);
                    reset = Some(kind);
                    break;
                }
            }
            self.watchdog = self.next_transition(now, period);
        }
        reset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decrementer_fires_once_when_it_reaches_zero_and_stops_there() {
        let mut timers = Timers::new();
        let mut status = 0;
        timers.set_dec(100, 10);
        assert_eq!(timers.dec(103), 7);
        assert_eq!(timers.process(109, 0, &mut status, 0), None);
        assert_eq!(status, 0);
        timers.process(110, 0, &mut status, 0);
        assert_eq!(status, tsr::DIS);
        assert_eq!(timers.dec(111), 0);
        status = 0;
        timers.process(1000, 0, &mut status, 0);
        assert_eq!(status & tsr::DIS, 0);
    }

    #[test]
    fn auto_reload_keeps_its_phase_when_periods_pass_unseen() {
        let mut timers = Timers::new();
        let mut status = 0;
        timers.set_dec(0, 10);
        timers.process(37, tcr::ARE, &mut status, 10);
        assert_eq!(status & tsr::DIS, tsr::DIS);
        assert_eq!(timers.dec(37), 3);
    }

    #[test]
    fn watchdog_goes_through_enw_and_wis_to_a_reset() {
        let mut timers = Timers::new();
        let control = 0x2000_0000;
        let mut status = 0;
        timers.rearm(0, control);
        let (first, period) = (1 << 20, 1 << 21);
        assert_eq!(timers.process(first, control, &mut status, 0), None);
        assert_eq!(status & (tsr::ENW | tsr::WIS), tsr::ENW);
        assert_eq!(timers.process(first + period, control, &mut status, 0), None);
        assert_eq!(status & (tsr::ENW | tsr::WIS), tsr::ENW | tsr::WIS);
        assert_eq!(timers.process(first + 2 * period, control, &mut status, 0), Some(2));
        assert_eq!(status & tsr::WRS, 0x2000_0000);
    }

    #[test]
    fn fit_fires_at_the_rising_edge_of_its_bit() {
        let mut timers = Timers::new();
        timers.rearm(0, 0);
        let mut status = 0;
        timers.process(4095, 0, &mut status, 0);
        assert_eq!(status & tsr::FIS, 0);
        timers.process(4096, 0, &mut status, 0);
        assert_eq!(status & tsr::FIS, tsr::FIS);
        assert_eq!(timers.next(tcr::FIE), 4096 + 8192);
        assert_eq!(timers.next(0), NEVER, "nobody wakes for a FIT that is off");
    }
}
