//! How often a core looks at the clock under the host's time. A look costs as much as some hundred instructions, so a fast engine
//! looks less often; what counts for the guest is how late a timer is noticed.

/// Fewest instructions between two looks...
const SHORTEST: u64 = 8192;
/// ...and most.
const LONGEST: u64 = 65_536;
/// Ticks that are to pass between two looks, at most: 25 us of a machine clock of 667 MHz.
const TICKS: u64 = 1 << 14;

/// The instructions from one look to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    instructions: u64,
    /// When the last one began, in ticks and in retired instructions.
    now: u64,
    retired: u64,
}

impl Slice {
    pub(crate) const fn new() -> Self {
        Self { instructions: SHORTEST, now: 0, retired: 0 }
    }

    /// A look at `now`: the next slice is longer if this one took less than half of the time that it may take, and shorter if
    /// it took more than all. One that was cut short says nothing.
    pub(crate) fn end(&mut self, now: u64, retired: u64) {
        if retired.wrapping_sub(self.retired) < self.instructions {
            return;
        }
        let ticks = now.saturating_sub(self.now);
        if ticks < TICKS / 2 {
            self.instructions = (2 * self.instructions).min(LONGEST);
        } else if ticks > TICKS {
            self.instructions = (self.instructions / 2).max(SHORTEST);
        }
    }

    /// The guest goes on; returns how many instructions it is to the next look.
    pub(crate) fn begin(&mut self, now: u64, retired: u64) -> u64 {
        (self.now, self.retired) = (now, retired);
        self.instructions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slice of an engine that needs `ticks` for 1,024 instructions.
    fn run(slice: &mut Slice, now: &mut u64, retired: &mut u64, ticks: u64) -> u64 {
        let instructions = slice.begin(*now, *retired);
        *retired += instructions;
        *now += instructions / 1024 * ticks;
        slice.end(*now, *retired);
        instructions
    }

    #[test]
    fn a_fast_engine_looks_less_often_and_a_slow_one_no_less_than_before() {
        let (mut slice, mut now, mut retired) = (Slice::new(), 0, 0);
        let mut after = |ticks| (0..8).map(|_| run(&mut slice, &mut now, &mut retired, ticks)).last();
        assert_eq!(after(700), Some(16_384), "some 11,000 ticks are enough and not too many");
        assert_eq!(after(10), Some(LONGEST));
        assert_eq!(after(100_000), Some(SHORTEST));
    }

    #[test]
    fn what_was_cut_short_or_slept_through_says_nothing() {
        let mut slice = Slice::new();
        slice.begin(0, 0);
        slice.end(1, SHORTEST - 1);
        assert_eq!(slice.begin(1_000_000, SHORTEST - 1), SHORTEST);
        // The core slept before it went on, not while it did.
        slice.end(1_000_000 + TICKS, 2 * SHORTEST);
        assert_eq!(slice.begin(0, 0), SHORTEST);
    }
}
