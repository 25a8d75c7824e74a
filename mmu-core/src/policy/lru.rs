//! Exact least recently used, by a doubly linked list through the slots' words.

use super::{Pool, ReplacementPolicy};

const NONE: u16 = u16::MAX;

/// Evicts the page that was installed or hit the longest time ago. Constant time, pinned pages
/// apart: each is passed over once for every time it gets to the end of the list.
///
/// The slot's word holds the more recently used neighbour above the less recently used one.
#[derive(Clone, Debug)]
pub struct Lru {
    newest: u16,
    oldest: u16,
}

impl Default for Lru {
    fn default() -> Self {
        Self::new()
    }
}

impl Lru {
    /// A list with nothing in it.
    #[must_use]
    pub const fn new() -> Self {
        Self { newest: NONE, oldest: NONE }
    }

    fn links(pool: &Pool<'_>, slot: u16) -> (u16, u16) {
        let word = pool.word(usize::from(slot));
        ((word >> 16) as u16, word as u16)
    }

    fn set_links(pool: &mut Pool<'_>, slot: u16, newer: u16, older: u16) {
        pool.set_word(usize::from(slot), u32::from(newer) << 16 | u32::from(older));
    }

    fn take_out(&mut self, pool: &mut Pool<'_>, slot: u16) {
        let (newer, older) = Self::links(pool, slot);
        match newer {
            NONE => self.newest = older,
            _ => Self::set_links(pool, newer, Self::links(pool, newer).0, older),
        }
        match older {
            NONE => self.oldest = newer,
            _ => Self::set_links(pool, older, newer, Self::links(pool, older).1),
        }
    }

    fn put_newest(&mut self, pool: &mut Pool<'_>, slot: u16) {
        let next = self.newest;
        Self::set_links(pool, slot, NONE, next);
        match next {
            NONE => self.oldest = slot,
            _ => Self::set_links(pool, next, slot, Self::links(pool, next).1),
        }
        self.newest = slot;
    }
}

impl ReplacementPolicy for Lru {
    fn reset(&mut self, _: &mut Pool<'_>) {
        *self = Self::new();
    }

    fn installed(&mut self, pool: &mut Pool<'_>, slot: usize) {
        self.put_newest(pool, slot as u16);
    }

    fn touched(&mut self, pool: &mut Pool<'_>, slot: usize) {
        if slot as u16 != self.newest {
            self.take_out(pool, slot as u16);
            self.put_newest(pool, slot as u16);
        }
    }

    fn removed(&mut self, pool: &mut Pool<'_>, slot: usize) {
        self.take_out(pool, slot as u16);
    }

    fn victim(&mut self, pool: &mut Pool<'_>) -> usize {
        for _ in 0..pool.len() {
            let slot = self.oldest;
            if pool.evictable(usize::from(slot)) {
                return usize::from(slot);
            }
            self.touched(pool, usize::from(slot));
        }
        usize::from(self.oldest)
    }
}
