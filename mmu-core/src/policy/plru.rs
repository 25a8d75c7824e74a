//! Tree pseudo-LRU: one bit for each inner node of a binary tree over the slots, which points to the
//! half that was used less recently. The policy of many hardware caches.

use super::{Pool, ReplacementPolicy};

/// Follows the bits of a tree to a slot that was not used lately, in logarithmic time.
///
/// Inner node `i` (1 is the root) keeps its bit in the word of slot `i % len`; a tree over `len`
/// slots, rounded up to a power of two, has fewer than `2 * len` inner nodes, so two bits in each
/// word are enough.
#[derive(Clone, Debug, Default)]
pub struct TreePlru {}

impl TreePlru {
    /// A tree whose bits all point to the lower half.
    #[must_use]
    pub const fn new() -> Self {
        Self {}
    }

    fn bit(pool: &Pool<'_>, node: usize) -> bool {
        pool.word(node % pool.len()) & 1 << (node / pool.len()) != 0
    }

    fn set_bit(pool: &mut Pool<'_>, node: usize, upper: bool) {
        let (slot, bit) = (node % pool.len(), 1 << (node / pool.len()));
        let word = pool.word(slot);
        pool.set_word(slot, if upper { word | bit } else { word & !bit });
    }
}

impl ReplacementPolicy for TreePlru {
    fn reset(&mut self, pool: &mut Pool<'_>) {
        for slot in 0..pool.len() {
            pool.set_word(slot, 0);
        }
    }

    fn installed(&mut self, pool: &mut Pool<'_>, slot: usize) {
        self.touched(pool, slot);
    }

    fn touched(&mut self, pool: &mut Pool<'_>, slot: usize) {
        let mut node = pool.len().next_power_of_two() + slot;
        while node > 1 {
            // Point away from where we come from.
            Self::set_bit(pool, node / 2, node & 1 == 0);
            node /= 2;
        }
    }

    fn victim(&mut self, pool: &mut Pool<'_>) -> usize {
        let leaves = pool.len().next_power_of_two();
        let mut choice = 0;
        // A pinned page counts as used: the next descent goes elsewhere.
        for _ in 0..8 {
            let (mut node, mut width, mut first) = (1, leaves, 0);
            while width > 1 {
                width /= 2;
                // The upper half may lie wholly beyond the pool.
                let upper = Self::bit(pool, node) && first + width < pool.len();
                first += if upper { width } else { 0 };
                node = 2 * node + usize::from(upper);
            }
            choice = first;
            if pool.evictable(choice) {
                return choice;
            }
            self.touched(pool, choice);
        }
        pool.next_evictable(choice).unwrap_or(choice)
    }
}
