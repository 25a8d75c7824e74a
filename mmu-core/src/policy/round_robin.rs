//! Round robin below a high-water mark, the seed's policy, and the variant that its author noted as a
//! future optimization: sparing the pages that hold the PC and the stack.

use super::{Pool, ReplacementPolicy};
use crate::address::EffectiveAddress;

/// A hand goes round the slots below a high-water mark and evicts what it points at.
///
/// The seed evicted the slot under its hand even when others were empty; here empty slots are used
/// first, so the hand moves only when the pool is full. Slots at or above the mark, once filled, keep
/// their pages until the guest's TLB drops them.
#[derive(Clone, Debug, Default)]
pub struct RoundRobin {
    next: usize,
    /// 0 for none.
    high_water: usize,
}

impl RoundRobin {
    /// The hand goes round all slots.
    #[must_use]
    pub const fn new() -> Self {
        Self { next: 0, high_water: 0 }
    }

    /// The hand goes round the slots `0..mark` only; a mark of 0 or beyond the pool means all.
    #[must_use]
    pub const fn below(mark: usize) -> Self {
        Self { next: 0, high_water: mark }
    }

    /// The next slot at or after the hand that is evictable and that `spare` does not protect.
    fn advance(&mut self, pool: &Pool<'_>, spare: impl Fn(usize) -> bool) -> Option<usize> {
        let mark = match self.high_water {
            0 => pool.len(),
            mark => mark.min(pool.len()),
        };
        for _ in 0..mark {
            let slot = self.next % mark;
            self.next = slot + 1;
            if pool.evictable(slot) && !spare(slot) {
                return Some(slot);
            }
        }
        None
    }
}

impl ReplacementPolicy for RoundRobin {
    fn reset(&mut self, _: &mut Pool<'_>) {
        self.next = 0;
    }

    fn victim(&mut self, pool: &mut Pool<'_>) -> usize {
        self.advance(pool, |_| false).unwrap_or(self.next)
    }
}

/// [`RoundRobin`] that passes over the pages which hold the hinted PC and stack pointer, unless
/// there is nothing else.
#[derive(Clone, Debug, Default)]
pub struct SparingRoundRobin {
    hand: RoundRobin,
    hints: Option<[EffectiveAddress; 2]>,
}

impl SparingRoundRobin {
    /// The hand goes round all slots.
    #[must_use]
    pub const fn new() -> Self {
        Self::below(0)
    }

    /// The hand goes round the slots `0..mark` only; a mark of 0 or beyond the pool means all.
    #[must_use]
    pub const fn below(mark: usize) -> Self {
        Self { hand: RoundRobin::below(mark), hints: None }
    }
}

impl ReplacementPolicy for SparingRoundRobin {
    fn reset(&mut self, pool: &mut Pool<'_>) {
        self.hand.reset(pool);
        self.hints = None;
    }

    fn victim(&mut self, pool: &mut Pool<'_>) -> usize {
        if let Some(hints) = self.hints {
            let spared = |slot| pool.page(slot).is_some_and(|page| hints.iter().any(|&ea| page.contains(ea)));
            if let Some(slot) = self.hand.advance(pool, spared) {
                return slot;
            }
        }
        self.hand.victim(pool)
    }

    fn hint(&mut self, pc: EffectiveAddress, sp: EffectiveAddress) {
        self.hints = Some([pc, sp]);
    }
}
