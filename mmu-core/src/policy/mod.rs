//! Replacement policies: which shadow makes room for a new one.

use crate::address::EffectiveAddress;
use crate::sink::ShadowPage;
use crate::slot::Slot;

/// A policy's view of the pool.
#[derive(Debug)]
pub struct Pool<'a> {
    pub(crate) slots: &'a mut [Slot],
}

impl Pool<'_> {
    /// The number of slots.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a pool has one slot at least")]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// May the slot be chosen: it holds a page that is not pinned?
    #[must_use]
    pub fn evictable(&self, slot: usize) -> bool {
        self.slots[slot].live && !self.slots[slot].pinned
    }

    /// The page in the slot, if any.
    #[must_use]
    pub fn page(&self, slot: usize) -> Option<ShadowPage> {
        let s = &self.slots[slot];
        s.live.then_some(s.page)
    }

    /// The slot's word for the policy's own use.
    #[must_use]
    pub fn word(&self, slot: usize) -> u32 {
        self.slots[slot].word
    }

    /// Sets the slot's word.
    pub fn set_word(&mut self, slot: usize, value: u32) {
        self.slots[slot].word = value;
    }
}

/// Chooses the shadow to evict. Called statically: a `Shadow` is generic over its policy.
pub trait ReplacementPolicy {
    /// All slots have become empty (also called once at the start).
    fn reset(&mut self, pool: &mut Pool<'_>);
    /// A page was put into `slot`.
    fn installed(&mut self, pool: &mut Pool<'_>, slot: usize) {
        let _ = (pool, slot);
    }
    /// The page in `slot` was hit.
    fn touched(&mut self, pool: &mut Pool<'_>, slot: usize) {
        let _ = (pool, slot);
    }
    /// The page in `slot` was dropped or evicted; the slot is empty.
    fn removed(&mut self, pool: &mut Pool<'_>, slot: usize) {
        let _ = (pool, slot);
    }
    /// The slot to evict. Called when no slot is empty; some slot is evictable. An answer that is not
    /// evictable is replaced by the next slot that is.
    fn victim(&mut self, pool: &mut Pool<'_>) -> usize;
    /// Where the guest runs: its program counter and stack pointer.
    fn hint(&mut self, pc: EffectiveAddress, sp: EffectiveAddress) {
        let _ = (pc, sp);
    }
}

/// Round robin: the seed's policy.
#[derive(Clone, Debug, Default)]
pub struct RoundRobin {
    next: usize,
}

impl ReplacementPolicy for RoundRobin {
    fn reset(&mut self, _: &mut Pool<'_>) {
        self.next = 0;
    }
    fn victim(&mut self, pool: &mut Pool<'_>) -> usize {
        for _ in 0..pool.len() {
            let slot = self.next % pool.len();
            self.next = (slot + 1) % pool.len();
            if pool.evictable(slot) {
                return slot;
            }
        }
        0
    }
}
