//! The memory of the shadow bookkeeping, which the embedder lends or gives: a slice of slots.

use core::ops::DerefMut;

use crate::address::{EffectiveAddress, PhysicalAddress};
use crate::entry::Attributes;
use crate::sink::ShadowPage;

/// One shadow slot. Opaque; embedders make arrays of [`Slot::EMPTY`].
#[derive(Copy, Clone, Debug)]
pub struct Slot {
    pub(crate) page: ShadowPage,
    pub(crate) context: u16,
    pub(crate) entry: u8,
    pub(crate) live: bool,
    pub(crate) pinned: bool,
    pub(crate) word: u32,
}

impl Slot {
    /// A slot that holds nothing.
    pub const EMPTY: Self = Self {
        page: ShadowPage {
            ea: EffectiveAddress(0),
            pa: PhysicalAddress(0),
            size: 0,
            readable: false,
            writable: false,
            executable: false,
            attributes: Attributes(0),
        },
        context: 0,
        entry: 0,
        live: false,
        pinned: false,
        word: 0,
    };
}

impl Default for Slot {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// `N` slots in one value, for a `static`, a `Box` or a field.
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
pub trait SlotSlice {
    /// The slots.
    fn as_slots(&self) -> &[Slot];
    /// The slots.
    fn as_slots_mut(&mut self) -> &mut [Slot];
}

impl SlotSlice for [Slot] {
    fn as_slots(&self) -> &[Slot] {
        self
    }
    fn as_slots_mut(&mut self) -> &mut [Slot] {
        self
    }
}

impl<const N: usize> SlotSlice for ShadowStorage<N> {
    fn as_slots(&self) -> &[Slot] {
        &self.0
    }
    fn as_slots_mut(&mut self) -> &mut [Slot] {
        &mut self.0
    }
}

/// What [`Shadow`](crate::Shadow) keeps its slots in: a [`ShadowStorage`] by value, or anything that
/// points to slots: `&mut [Slot]`, `&mut ShadowStorage<N>`, `Box<ShadowStorage<N>>`, `Vec<Slot>`.
pub trait SlotStorage {
    /// The slots; always the same number of them.
    fn slots(&self) -> &[Slot];
    /// The slots; always the same number of them.
    fn slots_mut(&mut self) -> &mut [Slot];
}

impl<const N: usize> SlotStorage for ShadowStorage<N> {
    fn slots(&self) -> &[Slot] {
        &self.0
    }
    fn slots_mut(&mut self) -> &mut [Slot] {
        &mut self.0
    }
}

impl<T> SlotStorage for T
where
    T: DerefMut,
    T::Target: SlotSlice,
{
    fn slots(&self) -> &[Slot] {
        (**self).as_slots()
    }
    fn slots_mut(&mut self) -> &mut [Slot] {
        (**self).as_slots_mut()
    }
}
