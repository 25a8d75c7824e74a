//! Clock (second chance): round robin that passes once over what was hit since the last round.

use super::{Pool, ReplacementPolicy};

/// A hand goes round; a page that was hit since the hand last passed is spared once.
///
/// The slot's word holds the reference bit.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    hand: usize,
}

impl Clock {
    /// The hand starts at slot 0.
    #[must_use]
    pub const fn new() -> Self {
        Self { hand: 0 }
    }
}

impl ReplacementPolicy for Clock {
    fn reset(&mut self, _: &mut Pool<'_>) {
        self.hand = 0;
    }

    fn installed(&mut self, pool: &mut Pool<'_>, slot: usize) {
        // The access that filled the slot is not evidence of another to come.
        pool.set_word(slot, 0);
    }

    fn touched(&mut self, pool: &mut Pool<'_>, slot: usize) {
        pool.set_word(slot, 1);
    }

    fn victim(&mut self, pool: &mut Pool<'_>) -> usize {
        // The first round clears the bits, so the second finds one.
        for _ in 0..2 * pool.len() {
            let slot = self.hand % pool.len();
            self.hand = slot + 1;
            if pool.evictable(slot) {
                if pool.word(slot) == 0 {
                    return slot;
                }
                pool.set_word(slot, 0);
            }
        }
        self.hand
    }
}
