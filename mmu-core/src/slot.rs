//! The memory of the shadow bookkeeping, which the embedder lends or gives: a slice of slots. Each
//! slot carries its own links and two heads of the hash table, so that one loan of any length is all
//! the memory that the bookkeeping needs in proportion to the pool. Two rings run through the slots:
//! the shadows of one guest entry, and the shadows of one context.

use core::ops::DerefMut;

use crate::address::{EffectiveAddress, PhysicalAddress};
use crate::entry::Attributes;
use crate::sink::ShadowPage;

/// No slot: the end of a chain, an empty ring.
pub(crate) const NONE: u16 = u16::MAX;

/// The ring of the shadows made from one guest entry.
pub(crate) const BY_ENTRY: usize = 0;
/// The ring of the shadows in one context; also links the stale and (one way) the free slots.
pub(crate) const BY_CONTEXT: usize = 1;

/// One shadow slot, 36 bytes. Opaque; embedders make arrays of [`Slot::EMPTY`].
#[derive(Copy, Clone, Debug)]
pub struct Slot {
    /// First effective address.
    pub(crate) ea: u32,
    /// Physical address of the first byte, in units of 1 KiB: 26 bits.
    pub(crate) frame: u32,
    /// The policy's own word.
    pub(crate) word: u32,
    pub(crate) context: u16,
    /// The context's generation when the shadow was made; stale if the context has moved on.
    pub(crate) generation: u16,
    /// Word 2 attribute bits (all below bit 16).
    pub(crate) attributes: u16,
    /// Base-2 logarithm of the size in bytes; 0 in a free slot.
    pub(crate) shift: u8,
    /// The guest entry that the translation came from.
    pub(crate) entry: u8,
    pub(crate) flags: u8,
    /// The next slot with the same hash.
    pub(crate) chain: u16,
    /// Previous and next, for each ring.
    pub(crate) rings: [[u16; 2]; 2],
    /// Two heads of the hash table, which belong to the pool and not to this slot's page.
    pub(crate) buckets: [u16; 2],
}

impl Slot {
    pub(crate) const READ: u8 = 1;
    pub(crate) const WRITE: u8 = 2;
    pub(crate) const EXECUTE: u8 = 4;
    pub(crate) const PINNED: u8 = 8;

    /// A slot that holds nothing.
    pub const EMPTY: Self = Self {
        ea: 0,
        frame: 0,
        word: 0,
        context: 0,
        generation: 0,
        attributes: 0,
        shift: 0,
        entry: 0,
        flags: 0,
        chain: NONE,
        rings: [[NONE; 2]; 2],
        buckets: [NONE; 2],
    };

    pub(crate) const fn used(&self) -> bool {
        self.shift != 0
    }

    pub(crate) const fn pinned(&self) -> bool {
        self.flags & Self::PINNED != 0
    }

    pub(crate) fn page(&self) -> ShadowPage {
        ShadowPage {
            ea: EffectiveAddress(self.ea),
            pa: PhysicalAddress(u64::from(self.frame) << 10),
            size: 1 << self.shift,
            readable: self.flags & Self::READ != 0,
            writable: self.flags & Self::WRITE != 0,
            executable: self.flags & Self::EXECUTE != 0,
            attributes: Attributes(u32::from(self.attributes)),
        }
    }

    pub(crate) fn set_page(&mut self, page: &ShadowPage) {
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        self.ea = page.ea.0;
        self.frame = (page.pa.0 >> 10) as u32;
        self.shift = page.size.trailing_zeros() as u8;
        self.attributes = page.attributes.0 as u16;
        self.flags = flag(page.readable, Self::READ)
            | flag(page.writable, Self::WRITE)
            | flag(page.executable, Self::EXECUTE);
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// Puts `slot` last in the ring that `head` is the first of.
pub(crate) fn push(slots: &mut [Slot], ring: usize, head: &mut u16, slot: u16) {
    let first = *head;
    if first == NONE {
        slots[usize::from(slot)].rings[ring] = [slot, slot];
        *head = slot;
    } else {
        let last = slots[usize::from(first)].rings[ring][0];
        slots[usize::from(slot)].rings[ring] = [last, first];
        slots[usize::from(last)].rings[ring][1] = slot;
        slots[usize::from(first)].rings[ring][0] = slot;
    }
}

/// Takes `slot` out of its ring. `head` is the ring's, or that of another ring (after the slot's own
/// was cut off from its head), which is then left alone.
pub(crate) fn unlink(slots: &mut [Slot], ring: usize, head: &mut u16, slot: u16) {
    let [previous, next] = slots[usize::from(slot)].rings[ring];
    slots[usize::from(previous)].rings[ring][1] = next;
    slots[usize::from(next)].rings[ring][0] = previous;
    if *head == slot {
        *head = if next == slot { NONE } else { next };
    }
}

/// Appends the whole ring `from` to the ring `to` and leaves `from` empty.
pub(crate) fn splice(slots: &mut [Slot], ring: usize, to: &mut u16, from: &mut u16) {
    let (a, b) = (*to, core::mem::replace(from, NONE));
    if b == NONE {
        return;
    }
    if a == NONE {
        *to = b;
        return;
    }
    let (a_last, b_last) = (slots[usize::from(a)].rings[ring][0], slots[usize::from(b)].rings[ring][0]);
    slots[usize::from(a_last)].rings[ring][1] = b;
    slots[usize::from(b)].rings[ring][0] = a_last;
    slots[usize::from(b_last)].rings[ring][1] = a;
    slots[usize::from(a)].rings[ring][0] = b_last;
}

/// `N` slots in one value, for a `static`, a `Box` or a field; 36 bytes a slot.
#[derive(Clone, Debug)]
pub struct ShadowStorage<const N: usize>([Slot; N]);

impl<const N: usize> ShadowStorage<N> {
    /// Storage with nothing in it.
    pub const EMPTY: Self = Self([Slot::EMPTY; N]);

    /// Storage with nothing in it.
    #[must_use]
    pub const fn new() -> Self {
        Self::EMPTY
    }
}

impl<const N: usize> Default for ShadowStorage<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// Something that is a slice of slots: `[Slot]` or [`ShadowStorage`].
///
/// It exists so that a pointer to either is a [`SlotStorage`].
pub trait SlotSlice {
    /// The slots.
    fn as_slots(&self) -> &[Slot];
    /// The slots, to be written.
    fn as_slots_mut(&mut self) -> &mut [Slot];
}

impl SlotSlice for [Slot] {
    #[inline]
    fn as_slots(&self) -> &[Slot] {
        self
    }
    #[inline]
    fn as_slots_mut(&mut self) -> &mut [Slot] {
        self
    }
}

impl<const N: usize> SlotSlice for ShadowStorage<N> {
    #[inline]
    fn as_slots(&self) -> &[Slot] {
        &self.0
    }
    #[inline]
    fn as_slots_mut(&mut self) -> &mut [Slot] {
        &mut self.0
    }
}

/// What [`Shadow`](crate::Shadow) keeps its slots in: a [`ShadowStorage`] by value, or anything that
/// points to slots: `&mut [Slot]`, `&mut ShadowStorage<N>`, `Box<ShadowStorage<N>>`, `Vec<Slot>`.
pub trait SlotStorage {
    /// The slots; always the same ones.
    fn slots(&self) -> &[Slot];
    /// The slots, to be written; always the same ones.
    fn slots_mut(&mut self) -> &mut [Slot];
}

impl<const N: usize> SlotStorage for ShadowStorage<N> {
    #[inline]
    fn slots(&self) -> &[Slot] {
        &self.0
    }
    #[inline]
    fn slots_mut(&mut self) -> &mut [Slot] {
        &mut self.0
    }
}

impl<T> SlotStorage for T
where
    T: DerefMut,
    T::Target: SlotSlice,
{
    #[inline]
    fn slots(&self) -> &[Slot] {
        (**self).as_slots()
    }
    #[inline]
    fn slots_mut(&mut self) -> &mut [Slot] {
        (**self).as_slots_mut()
    }
}
