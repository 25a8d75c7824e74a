//! The shadow bookkeeping for an engine that finds its pages by effective address, in one table for
//! each context. Such an engine needs no pool that remembers every page: whatever it holds came from
//! one of at most 64 guest entries, so one set of contexts for each entry tells where a page of that
//! entry may be, and the entry itself tells at which addresses. Left out: everything that needs single
//! pages to be known, which is lookups, pins, replacement and bounds on their number; those are the
//! affair of the engine's table, or of [`Shadow`](crate::Shadow).
//!
//! Why this is enough. Each page that the sink holds in a context lies in the page of one guest entry,
//! which wins at every address of it, and whose set has that context. A write can break this in two
//! ways. The written entry was the winner: then its set has the context, and the entry's whole old page
//! is dropped there. Or the written entry, with its new content, wins over the old winner, which then
//! has a higher index, overlaps it, and has the context in its set: what the two share is dropped there.
//! An entry that goes away or shrinks may uncover a higher one, but what the sink held of the covered
//! part came from the entry that went, and went with it.

use crate::address::{EffectiveAddress, PhysicalAddress};
use crate::context::{Contexts, ones};
use crate::entry::{PageSize, TlbEntry};
use crate::shadow::{Derived, derive, page_of};
use crate::sink::{ContextId, ShadowPage, ShadowSink};
use crate::stats::{ShapeError, Stats};
use crate::tlb::{Access, Fault, Mode, Tlb};

/// The largest number of contexts: a set of them is one word.
const MAX_CONTEXTS: usize = 64;

/// The bookkeeping of the shadows of one guest TLB of `N` entries, for an engine that finds its pages
/// by effective address. Every call has the meaning and the arguments that it has in
/// [`Shadow`](crate::Shadow).
///
/// # What the sink must do
///
/// * `drop` names a *range*: everything installed in the context that overlaps `page.size` bytes at
///   `page.ea` must go. The range is the whole page that a guest entry had, or what it shares with
///   another entry. It may be larger than [`max_page`](ShadowSink::max_page), up to 256 MiB, and
///   larger than any page installed; and it may be one of which the sink holds nothing. Physical address,
///   permissions and attributes are those of the guest entry that goes, as the context saw it.
/// * `install` may name a page that overlaps pages already installed in the context: pieces of the same
///   guest page, from when a lower entry cut it. They say the same.
/// * `install_slot` and `drop_slot` are not called.
///
/// # Bounds
///
/// A guest TLB write makes at most 64 calls of `drop` for the entry itself; if it puts the entry's page
/// over those of higher entries, another 64 for each of them, of which there are at most 63. A fill
/// visits at most 63 entries, to find the block. Memory: 8 bytes for each entry and 4 KiB for the contexts.
#[derive(Clone, Debug)]
pub struct DirectShadow<const N: usize = 64> {
    contexts: Contexts,
    /// For each guest entry, the contexts in which the sink may hold pages of it. Empty if the entry cannot match.
    sets: [u64; N],
    stats: Stats,
}

/// Offsets for [`layout`](crate::layout).
pub(crate) mod offsets {
    use super::DirectShadow;
    use core::mem::offset_of;

    pub(crate) const SETS: usize = offset_of!(DirectShadow, sets);
    pub(crate) const TLB_WRITES: usize = offset_of!(DirectShadow, stats.tlb_writes);
    pub(crate) const DROPS: usize = offset_of!(DirectShadow, stats.drops);
}

impl<const N: usize> DirectShadow<N> {
    /// Bookkeeping for a sink with `contexts` contexts (1 to 64).
    ///
    /// # Panics
    /// If `contexts` is not 1 to 64. See [`try_new`](Self::try_new) for a number that a user chose.
    #[must_use]
    pub fn new(contexts: usize) -> Self {
        match Self::try_new(contexts) {
            Ok(shadow) => shadow,
            Err(error) => panic!("{error}"),
        }
    }

    /// As [`new`](Self::new).
    ///
    /// # Errors
    /// If `contexts` is not 1 to 64.
    pub fn try_new(contexts: usize) -> Result<Self, ShapeError> {
        if !(1..=MAX_CONTEXTS).contains(&contexts) {
            return Err(ShapeError::DirectContexts(contexts));
        }
        Ok(Self { contexts: Contexts::new(contexts as u16), sets: [0; N], stats: Stats::default() })
    }

    /// The number of contexts, as given at construction.
    #[must_use]
    pub fn contexts(&self) -> usize {
        usize::from(self.contexts.count())
    }

    /// What has happened so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The mode that `ctx` stands for, if it has been handed out.
    #[must_use]
    pub fn mode_of(&self, ctx: ContextId) -> Option<Mode> {
        self.contexts.mode(ctx.0)
    }

    /// The context of `mode`, as [`Shadow::context`](crate::Shadow::context) has it: the least recently
    /// asked-for one is recycled when there are more modes than contexts, and the sink told so.
    #[inline]
    pub fn context<K: ShadowSink + ?Sized>(&mut self, mode: Mode, sink: &mut K) -> ContextId {
        let selected = self.contexts.select(mode);
        let ctx = ContextId(selected.id);
        if selected.recycled {
            self.stats.recycled_contexts += 1;
            for set in &mut self.sets {
                *set &= !bit(ctx);
            }
            sink.drop_context(ctx);
        }
        ctx
    }

    /// Translates an access that the engine's table could not answer, from the guest's TLB, and
    /// installs the page in the sink.
    ///
    /// If `ctx` does not stand for `mode` (it was recycled meanwhile), the answer is right, but
    /// nothing is recorded or installed.
    ///
    /// # Errors
    /// The [`Fault`] to deliver to the guest.
    #[inline]
    pub fn fill<K: ShadowSink + ?Sized>(
        &mut self,
        tlb: &Tlb<N>,
        ctx: ContextId,
        mode: Mode,
        ea: EffectiveAddress,
        access: Access,
        sink: &mut K,
    ) -> Result<ShadowPage, Fault> {
        let Derived { page, entry, .. } = derive(tlb, mode, ea, access, sink.max_page(), &mut self.stats)?;
        if self.contexts.is(ctx.0, mode) {
            self.hold(ctx, entry);
            sink.install(ctx, &page);
        }
        Ok(page)
    }

    /// First half of a fill by an engine that reads the guest's entries itself: the entry that translates `ea` in `mode`,
    /// whatever its permissions. What it gives may be installed as far as lower entries do not cut its page, once
    /// [`hold`](Self::hold) was told.
    #[inline]
    pub fn find(&mut self, tlb: &Tlb<N>, mode: Mode, ea: EffectiveAddress) -> Option<u8> {
        let found = tlb.search(ea, mode.address_space, mode.pid);
        if found.is_none() {
            self.stats.guest_misses += 1;
        }
        found
    }

    /// Second half: the engine holds a page of guest entry `index` in `ctx`, which must stand for the mode that the entry was
    /// found in.
    #[inline]
    pub fn hold(&mut self, ctx: ContextId, index: u8) {
        self.stats.misses += 1;
        self.sets[usize::from(index) % N] |= bit(ctx);
    }

    /// `tlbwe` with shadows: writes word `ws` (0-2) of entry `index` as [`Tlb::write_word`] does, and
    /// drops what may be stale: the entry's old page, and what its new page takes over from higher
    /// entries, in the contexts that may have pages of them.
    ///
    /// Each of the three writes that replace an entry is exact in itself, as in
    /// [`Shadow::tlbwe`](crate::Shadow::tlbwe).
    #[inline(always)]
    pub fn tlbwe<K: ShadowSink + ?Sized>(
        &mut self,
        tlb: &mut Tlb<N>,
        index: u8,
        ws: u8,
        value: u32,
        stid: u8,
        sink: &mut K,
    ) {
        self.stats.tlb_writes += 1;
        if ws == 0 {
            self.write_page(tlb, index, value, stid, sink);
            return;
        }
        if self.sets[usize::from(index) % N] != 0 && tlb.differs(index, ws, value) {
            self.lose(tlb, index, sink);
        }
        tlb.rewrite(index, ws, value);
    }

    /// The shortest way for the writes that a miss handler makes: to an entry whose page no context holds, or one context
    /// of a page of 4 KB or less, and, for word 0, to another page of the same size where nothing can overlap it. False,
    /// with nothing done, for every other: [`tlbwe`](Self::tlbwe) does them all.
    #[inline(always)]
    pub fn tlbwe_common<K: ShadowSink + ?Sized>(
        &mut self,
        tlb: &mut Tlb<N>,
        index: u8,
        ws: u8,
        value: u32,
        stid: u8,
        sink: &mut K,
    ) -> bool {
        let set = self.sets[usize::from(index) % N];
        if ws == 0 {
            if set != 0 || !tlb.move_alone(index, value & TlbEntry::WORD0_MASK, u32::from(stid)) {
                return false;
            }
        } else {
            if set != 0 && tlb.differs(index, ws, value) {
                let (ea, size) = tlb.page(index);
                let ctx = ContextId(set.trailing_zeros() as u16);
                if set & (set - 1) != 0 || size > PageSize::K4 || !sink.forget(ctx, ea, size.bytes()) {
                    return false;
                }
                self.sets[usize::from(index) % N] = 0;
                self.stats.drops += 1;
            }
            tlb.rewrite(index, ws, value);
        }
        self.stats.tlb_writes += 1;
        true
    }

    /// Word 0, which may make the entry another page.
    #[inline(never)]
    fn write_page<K: ShadowSink + ?Sized>(
        &mut self,
        tlb: &mut Tlb<N>,
        index: u8,
        value: u32,
        stid: u8,
        sink: &mut K,
    ) {
        let (index, word0) = (index & (N - 1) as u8, value & TlbEntry::WORD0_MASK);
        if tlb.read_word(index, 0) == word0 && tlb.tid(index) == stid {
            return;
        }
        if self.sets[usize::from(index)] != 0 {
            self.lose(tlb, index, sink);
        }
        tlb.relocate(usize::from(index), word0, u32::from(stid));
        self.cover(tlb, index, word0, sink);
    }

    /// Drops what the sink may hold of entry `index`.
    #[inline]
    fn lose<K: ShadowSink + ?Sized>(&mut self, tlb: &Tlb<N>, index: u8, sink: &mut K) {
        let index = index & (N - 1) as u8;
        let set = core::mem::take(&mut self.sets[usize::from(index)]);
        let (ea, size) = tlb.page(index);
        self.drop_range(tlb, index, set, ea, size, sink);
    }

    /// After entry `index` became another page, if it is one: drops what it takes from higher entries.
    #[inline(always)]
    fn cover<K: ShadowSink + ?Sized>(&mut self, tlb: &Tlb<N>, index: u8, word0: u32, sink: &mut K) {
        if word0 & TlbEntry::V != 0 {
            let overlaps = tlb.overlaps(index);
            if overlaps != 0 {
                self.stats.overlaps += 1;
                self.take_over(tlb, index, overlaps, sink);
            }
        }
    }

    /// Replaces entry `index` as a whole, and drops what may be stale as [`tlbwe`](Self::tlbwe) does.
    #[inline]
    pub fn set_entry<K: ShadowSink + ?Sized>(
        &mut self,
        tlb: &mut Tlb<N>,
        index: u8,
        entry: TlbEntry,
        sink: &mut K,
    ) {
        self.replace(tlb, index, entry.masked(), sink);
    }

    /// As [`set_entry`](Self::set_entry), with an entry that has no unimplemented bits.
    fn replace<K: ShadowSink + ?Sized>(
        &mut self,
        tlb: &mut Tlb<N>,
        index: u8,
        entry: TlbEntry,
        sink: &mut K,
    ) {
        self.stats.tlb_writes += 1;
        let Some(change) = tlb.change(index, &entry) else { return };
        if self.sets[usize::from(change.index) % N] != 0 {
            self.lose(tlb, change.index, sink);
        }
        tlb.make(change, entry);
        if change.moved {
            self.cover(tlb, change.index, entry.word0, sink);
        }
    }

    /// Drops what entry `index` takes from the higher ones among `overlaps`. Their sets stay: the rest of their pages
    /// may still be held.
    #[cold]
    fn take_over<K: ShadowSink + ?Sized>(&mut self, tlb: &Tlb<N>, index: u8, overlaps: u64, sink: &mut K) {
        let tid = tlb.tid(index);
        let (start, size) = tlb.page(index);
        for other in ones(overlaps & (!0 << index)) {
            let other = other as u8;
            // The contexts in the set are of the TS that the two share.
            let sees = |ctx: &u16| tid == 0 || self.contexts.mode(*ctx).is_none_or(|mode| mode.pid == tid);
            let set = ones(self.sets[usize::from(other) % N]).filter(sees).fold(0, |set, ctx| set | 1 << ctx);
            // Of two aligned pages that overlap, the smaller lies in the larger.
            let (their_start, their_size) = tlb.page(other);
            self.drop_range(tlb, other, set, start.max(their_start), size.min(their_size), sink);
        }
    }

    /// Drops an aligned part of the page of entry `index` in the contexts of `set`.
    #[inline(never)]
    fn drop_range<K: ShadowSink + ?Sized>(
        &mut self,
        tlb: &Tlb<N>,
        index: u8,
        set: u64,
        ea: EffectiveAddress,
        size: PageSize,
        sink: &mut K,
    ) {
        let mut left = set;
        while left != 0 {
            let id = left.trailing_zeros() as u16;
            left &= left - 1;
            self.stats.drops += 1;
            if !sink.forget(ContextId(id), ea, size.bytes()) {
                let user = self.contexts.mode(id).is_some_and(|mode| mode.user);
                sink.drop(ContextId(id), &page_of(&tlb.given_by(index, ea, user), ea, size.bytes()));
            }
        }
    }

    /// Drops all shadows and tells the sink so. Contexts keep their modes.
    ///
    /// For when memory behind the physical addresses moved, or the guest's TLB was written by other
    /// ways than [`tlbwe`](Self::tlbwe) and [`set_entry`](Self::set_entry), as when a saved state is loaded.
    pub fn invalidate_all<K: ShadowSink + ?Sized>(&mut self, sink: &mut K) {
        self.sets = [0; N];
        sink.drop_all();
    }

    /// The contexts in which the sink may hold pages of guest entry `index` (modulo the number of entries).
    pub fn contexts_of(&self, index: u8) -> impl Iterator<Item = ContextId> + use<N> {
        ones(self.sets[usize::from(index) % N]).map(ContextId)
    }

    /// Every context, and the effective address in it, at which the sink may hold a page that reaches `pa`: who
    /// may read or write that byte without asking. It names every such page, and may name more.
    pub fn holders(
        &self,
        tlb: &Tlb<N>,
        pa: PhysicalAddress,
    ) -> impl Iterator<Item = (ContextId, EffectiveAddress)> {
        let entries = (0..).zip(self.sets).filter(|&(_, set)| set != 0);
        let reaching = entries.filter_map(move |(index, set)| Some((tlb.reach(index, pa)?, set)));
        reaching.flat_map(|(ea, set)| ones(set).map(move |id| (ContextId(id), ea)))
    }
}

/// The set with that context alone.
const fn bit(ctx: ContextId) -> u64 {
    1 << (ctx.0 % MAX_CONTEXTS as u16)
}
