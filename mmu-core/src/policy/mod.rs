//! Replacement policies: which shadow makes room for a new one. The seed had one, a hand that goes
//! round below a high-water mark; here it is one of six behind [`ReplacementPolicy`]. A [`Shadow`] is
//! generic over its policy, so nothing is dispatched at run time; [`AnyPolicy`] chooses by name, with
//! a `match`. Left out: what happens while slots are empty or stale, for those are used first,
//! whatever the policy.
//!
//! Policies learn of the hits that reach the pool. An engine whose fast table answers most accesses
//! shows a policy only the rest, so the recency that LRU and its kin see is that of fast-table misses.
//!
//! [`Shadow`]: crate::Shadow

mod any;
mod clock;
mod lru;
mod plru;
mod random;
mod round_robin;

pub use any::{AnyPolicy, PolicyKind, UnknownPolicy};
pub use clock::Clock;
pub use lru::Lru;
pub use plru::TreePlru;
pub use random::Random;
pub use round_robin::{RoundRobin, SparingRoundRobin};

use crate::address::EffectiveAddress;
use crate::sink::ShadowPage;
use crate::slot::Slot;

/// A policy's view of the pool: slots 0 to `len() - 1`, each with a word for the policy's own use.
///
/// The methods panic on a slot of `len()` or above.
#[derive(Debug)]
pub struct Pool<'a> {
    slots: &'a mut [Slot],
}

impl<'a> Pool<'a> {
    pub(crate) fn new(slots: &'a mut [Slot]) -> Self {
        Self { slots }
    }

    /// The number of slots: 1 to 65,535.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a pool has one slot at least")]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// May the slot be chosen as a victim: it holds a page, and the page is not pinned?
    #[must_use]
    pub fn evictable(&self, slot: usize) -> bool {
        self.slots[slot].used() && !self.slots[slot].pinned()
    }

    /// The page in the slot, if any. Between a context's loss and the reuse of its slots, the page may
    /// be one that is no longer valid; never so while a victim is chosen.
    #[must_use]
    pub fn page(&self, slot: usize) -> Option<ShadowPage> {
        self.slots[slot].used().then(|| self.slots[slot].page())
    }

    /// The slot's word, as last set; zero after construction.
    #[must_use]
    pub fn word(&self, slot: usize) -> u32 {
        self.slots[slot].word
    }

    /// Sets the slot's word, which nothing but the policy reads or writes.
    pub fn set_word(&mut self, slot: usize, value: u32) {
        self.slots[slot].word = value;
    }

    /// The first evictable slot from `start` on, going round.
    #[must_use]
    pub fn next_evictable(&self, start: usize) -> Option<usize> {
        let n = self.len();
        let start = start % n;
        (start..n).chain(0..start).find(|&slot| self.evictable(slot))
    }
}

/// Chooses the shadow to evict.
///
/// ```
/// use mmu_core::policy::{Pool, ReplacementPolicy};
///
/// /// Evicts what was installed first and not evicted since.
/// #[derive(Default)]
/// struct Fifo {
///     time: u32,
/// }
///
/// impl ReplacementPolicy for Fifo {
///     fn reset(&mut self, _: &mut Pool<'_>) {
///         self.time = 0;
///     }
///     fn installed(&mut self, pool: &mut Pool<'_>, slot: usize) {
///         self.time += 1;
///         pool.set_word(slot, self.time);
///     }
///     fn victim(&mut self, pool: &mut Pool<'_>) -> usize {
///         (0..pool.len()).filter(|&s| pool.evictable(s)).min_by_key(|&s| pool.word(s)).unwrap_or(0)
///     }
/// }
/// # let mut slots = [mmu_core::Slot::EMPTY; 8];
/// # let _ = mmu_core::Shadow::new(&mut slots[..], 2, Fifo::default());
/// ```
pub trait ReplacementPolicy {
    /// Starts with an empty pool. Called once, before anything else.
    fn reset(&mut self, pool: &mut Pool<'_>);

    /// A page was put into `slot`.
    fn installed(&mut self, pool: &mut Pool<'_>, slot: usize) {
        let _ = (pool, slot);
    }

    /// The page in `slot` was hit by a lookup or a fill.
    fn touched(&mut self, pool: &mut Pool<'_>, slot: usize) {
        let _ = (pool, slot);
    }

    /// The page in `slot` is gone, and the slot empty.
    fn removed(&mut self, pool: &mut Pool<'_>, slot: usize) {
        let _ = (pool, slot);
    }

    /// The slot to evict. Called only when every slot holds a valid page; at least one of them is
    /// evictable. An answer that is not is replaced by the next slot that is.
    fn victim(&mut self, pool: &mut Pool<'_>) -> usize;

    /// Where the guest runs: its program counter and its stack pointer (GPR 1). An engine may call
    /// this as often as it likes, for instance before each fill.
    fn hint(&mut self, pc: EffectiveAddress, sp: EffectiveAddress) {
        let _ = (pc, sp);
    }
}
