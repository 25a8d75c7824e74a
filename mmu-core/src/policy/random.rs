//! Random replacement from a seed, so that runs can be repeated.

use super::{Pool, ReplacementPolicy};

/// Evicts any evictable page, chosen by a SplitMix64 generator.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Default for Random {
    fn default() -> Self {
        Self::new(440)
    }
}

impl Random {
    /// The same seed gives the same choices.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl ReplacementPolicy for Random {
    fn reset(&mut self, _: &mut Pool<'_>) {}

    fn victim(&mut self, pool: &mut Pool<'_>) -> usize {
        let mut choice = 0;
        // Where many pages are pinned, taking the next one every time would favour what follows them.
        for _ in 0..8 {
            choice = (((self.next() >> 32) * pool.len() as u64) >> 32) as usize;
            if pool.evictable(choice) {
                return choice;
            }
        }
        pool.next_evictable(choice).unwrap_or(choice)
    }
}
