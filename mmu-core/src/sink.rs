//! What an engine implements to be shadowed into: the thing that really translates for the guest, be
//! it a soft TLB, a table in generated code, or a host's hardware TLB. Specified by this crate; the
//! seed had one such sink, the host's TLB, wired in.

use crate::address::{EffectiveAddress, PhysicalAddress};
use crate::entry::Attributes;
use crate::tlb::Access;

/// A small number that stands for one (PID, AS, PR) among those in use; an engine tags its cached
/// translations with it. Numbers run from 0 to one less than the number of contexts.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct ContextId(pub u16);

/// A translation that a sink can hold: one aligned block in one context.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct ShadowPage {
    /// The block's first effective address, a multiple of `size`.
    pub ea: EffectiveAddress,
    /// The physical address of the block's first byte.
    pub pa: PhysicalAddress,
    /// The size in bytes: a power of two, 1,024 or more, at most the guest page and the sink's
    /// [`max_page`](ShadowSink::max_page) (a range that a [`DirectShadow`](crate::DirectShadow) drops may be larger).
    pub size: u32,
    /// Loads are allowed in this context.
    pub readable: bool,
    /// Stores are allowed in this context. When the page is dropped, this tells that it may be dirty.
    pub writable: bool,
    /// Fetches are allowed in this context.
    pub executable: bool,
    /// The guest page's storage attributes.
    pub attributes: Attributes,
}

impl ShadowPage {
    /// Does the block hold `ea`?
    #[must_use]
    pub const fn contains(&self, ea: EffectiveAddress) -> bool {
        ea.0.wrapping_sub(self.ea.0) < self.size
    }

    /// Does the page allow the access?
    #[must_use]
    pub const fn allows(&self, access: Access) -> bool {
        match access {
            Access::Fetch => self.executable,
            Access::Load => self.readable,
            Access::Store => self.writable,
        }
    }

    /// The physical address of `ea`, which must lie in the block.
    #[must_use]
    pub const fn translate(&self, ea: EffectiveAddress) -> PhysicalAddress {
        PhysicalAddress(self.pa.0 + ea.0.wrapping_sub(self.ea.0) as u64)
    }
}

/// Receives the translations that an engine may use and takes them back.
///
/// The shadow bookkeeping calls these in order, never concurrently. After `drop`, `drop_context` or
/// `drop_all` returns, the engine must not use the translation again. A sink may forget pages on its
/// own at any time: [`Shadow::fill`](crate::Shadow::fill) installs them again. A sink that cannot
/// drop a single page may drop more.
pub trait ShadowSink {
    /// Translations in `ctx` may now use `page`. Installing a page that is already there is normal.
    fn install(&mut self, ctx: ContextId, page: &ShadowPage);

    /// `page` in `ctx` is no longer valid. `page.writable` tells whether it could have been dirtied.
    ///
    /// A [`Shadow`](crate::Shadow) names a page that it installed; a [`DirectShadow`](crate::DirectShadow) names a
    /// range, and everything in `ctx` that overlaps it must go.
    fn drop(&mut self, ctx: ContextId, page: &ShadowPage);

    /// Nothing in `ctx` is valid any more; the number may stand for another mode from now on.
    fn drop_context(&mut self, ctx: ContextId);

    /// Nothing in any context is valid any more.
    fn drop_all(&mut self);

    /// As [`install`](Self::install), with the number of the pool's slot: for a sink that is itself an
    /// array, such as a hardware TLB, and lets the replacement policy choose among its own places.
    #[inline]
    fn install_slot(&mut self, slot: u16, ctx: ContextId, page: &ShadowPage) {
        let _ = slot;
        self.install(ctx, page);
    }

    /// As [`drop`](Self::drop), with the number of the pool's slot.
    #[inline]
    fn drop_slot(&mut self, slot: u16, ctx: ContextId, page: &ShadowPage) {
        let _ = slot;
        self.drop(ctx, page);
    }

    /// A short way to [`drop`](Self::drop) for a sink that finds what it holds by address alone: forgets everything in `ctx`
    /// that overlaps the aligned block of `size` bytes at `ea`. False, with nothing done, if it wants to be told by
    /// `drop`. [`DirectShadow`](crate::DirectShadow) asks this first.
    fn forget(&mut self, ctx: ContextId, ea: EffectiveAddress, size: u32) -> bool {
        let _ = (ctx, ea, size);
        false
    }

    /// The largest page that the sink can hold, in bytes: a power of two, 1,024 or more. Larger guest
    /// pages are shadowed in aligned pieces of this size. Must not change during the sink's life.
    #[inline]
    fn max_page(&self) -> u32 {
        4096
    }
}
