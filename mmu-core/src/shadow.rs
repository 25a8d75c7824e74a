//! The shadow bookkeeping: which translations an engine holds, in which context, and from which
//! guest entry each was made. It keeps one promise: whatever the sink was told to install and not
//! told to drop is what the guest's TLB says at this moment. Three structures find a shadow: a hash
//! table by (context, size, page), a ring for each guest entry, and a ring for each context. Left
//! out: the engine's own fast table, which is the sink's affair.
//!
//! Time is bounded everywhere. A guest TLB write visits at most [`WALK_LIMIT`] shadows; if that is
//! not enough, the contexts concerned are dropped as a whole by giving them a new generation. The
//! shadows of an earlier generation are *stale*: no lookup finds them, and their slots are the first
//! to be used again.

use crate::address::{EffectiveAddress, PhysicalAddress};
use crate::context::{ContextSet, Contexts, MAX_CONTEXTS, members};
use crate::entry::TlbEntry;
use crate::policy::{Pool, ReplacementPolicy, RoundRobin};
use crate::sink::{ContextId, ShadowPage, ShadowSink};
use crate::slot::{BY_CONTEXT, BY_ENTRY, NONE, Slot, SlotStorage, push, splice, unlink};
use crate::stats::{ShapeError, Stats};
use crate::tlb::{Access, Change, Fault, Mode, Tlb, Translation};

/// How many shadows one guest TLB write drops or inspects one by one before whole contexts go.
const WALK_LIMIT: u32 = 256;
/// A chain of the hash table is not made longer than this: a guest that chooses its pages to collide
/// loses shadows, not time.
const CHAIN_LIMIT: u32 = 16;
/// How many stale slots the loss of a context cleans up, oldest first. One is enough: a pool has at most
/// 65,535 slots, so a stale slot is gone before its context's 16-bit generation can come round.
const RECLAIM: u32 = 1;
/// The largest number of guest entries.
const MAX_ENTRIES: usize = 64;
/// Base-2 logarithm of the smallest page.
const MIN_SHIFT: u32 = 10;

/// The bookkeeping of one guest's shadows, in the slots `S`, with the replacement policy `P`.
///
/// Everything is written with the sink passed in, so that an engine can own both.
#[derive(Clone, Debug)]
pub struct Shadow<S, P = RoundRobin> {
    storage: S,
    policy: P,
    contexts: Contexts,
    /// For each context, its ring.
    of_context: [u16; MAX_CONTEXTS],
    /// For each guest entry, its ring.
    of_entry: [u16; MAX_ENTRIES],
    /// For each guest entry, the contexts in which it may have shadows that are not stale.
    entry_contexts: [ContextSet; MAX_ENTRIES],
    /// The guest entries that may have shadows smaller than the sink would have allowed, because a
    /// lower entry cut their page.
    cut: u64,
    /// Slots of an earlier generation, oldest first: a ring by context.
    stale: u16,
    /// Slots with nothing in them, linked one way.
    free: u16,
    /// The number of used slots for each size, and the sizes with any (bit 0: 1 KiB).
    of_shift: [u16; 19],
    shifts: u32,
    pinned: u16,
    /// A context (above 32 bits) and a page of 1 KiB in it that no shadow covers, until one is made.
    absent: u64,
    stats: Stats,
}

/// No context and page.
const NOWHERE: u64 = u64::MAX;

impl<S: SlotStorage, P: ReplacementPolicy> Shadow<S, P> {
    /// Bookkeeping in `storage`, whose slots are emptied, for a sink with `contexts` contexts (1 to
    /// 256; two serve an engine that translates fetches and data apart, and every further one saves
    /// flushes at PID writes and privilege switches).
    ///
    /// # Panics
    /// If the storage has no slot or more than 65,535, or `contexts` is not 1 to 256. See
    /// [`try_new`](Self::try_new) for numbers that a user chose.
    #[must_use]
    pub fn new(storage: S, contexts: usize, policy: P) -> Self {
        match Self::try_new(storage, contexts, policy) {
            Ok(shadow) => shadow,
            Err(error) => panic!("{error}"),
        }
    }

    /// As [`new`](Self::new).
    ///
    /// # Errors
    /// If the storage has no slot or more than 65,535, or `contexts` is not 1 to 256.
    pub fn try_new(mut storage: S, contexts: usize, mut policy: P) -> Result<Self, ShapeError> {
        let slots = storage.slots_mut();
        if !(1..=usize::from(NONE)).contains(&slots.len()) {
            return Err(ShapeError::Slots(slots.len()));
        }
        if !(1..=MAX_CONTEXTS).contains(&contexts) {
            return Err(ShapeError::Contexts(contexts));
        }
        let last = slots.len() - 1;
        for (i, slot) in slots.iter_mut().enumerate() {
            *slot = Slot::EMPTY;
            slot.rings[BY_CONTEXT][1] = if i == last { NONE } else { i as u16 + 1 };
        }
        policy.reset(&mut Pool::new(slots));
        Ok(Self {
            storage,
            policy,
            contexts: Contexts::new(contexts as u16),
            of_context: [NONE; MAX_CONTEXTS],
            of_entry: [NONE; MAX_ENTRIES],
            entry_contexts: [[0; 4]; MAX_ENTRIES],
            cut: 0,
            stale: NONE,
            free: 0,
            of_shift: [0; 19],
            shifts: 0,
            pinned: 0,
            absent: NOWHERE,
            stats: Stats::default(),
        })
    }

    /// The number of contexts, as given at construction.
    #[must_use]
    pub fn contexts(&self) -> usize {
        usize::from(self.contexts.count())
    }

    /// The number of shadows that the pool can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.storage.slots().len()
    }

    /// The policy, to read its state.
    #[must_use]
    pub fn policy(&self) -> &P {
        &self.policy
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

    /// The context of `mode`: the same number until it is recycled, which happens to the least
    /// recently asked-for one when there are more modes than contexts, and is told to the sink by
    /// `drop_context`. Call it whenever PID, MSR\[IS\], MSR\[DS\] or MSR\[PR\] change; it takes constant
    /// time and, while contexts last, flushes nothing.
    ///
    /// An engine that holds on to two contexts (fetch and data) must ask again for both after each
    /// call, or have two contexts at least.
    #[inline]
    pub fn context<K: ShadowSink + ?Sized>(&mut self, mode: Mode, sink: &mut K) -> ContextId {
        let selected = self.contexts.select(mode);
        if selected.recycled {
            self.stats.recycled_contexts += 1;
            let mut set = [0; 4];
            set[usize::from(selected.id / 64)] = 1 << (selected.id % 64);
            self.lose_contexts(set, |ctx| sink.drop_context(ctx));
        }
        ContextId(selected.id)
    }

    /// The shadow of `ea` in `ctx`, if the pool holds one. `ctx` must be current: a number from
    /// before its last `drop_context` finds the shadows of another mode.
    #[inline]
    pub fn lookup(&mut self, ctx: ContextId, ea: EffectiveAddress) -> Option<ShadowPage> {
        let slot = self.find(ctx.0, ea.0)?;
        self.stats.hits += 1;
        let slots = self.storage.slots_mut();
        self.policy.touched(&mut Pool::new(slots), usize::from(slot));
        Some(slots[usize::from(slot)].page())
    }

    /// Translates an access for the engine: from the pool, or else from the guest's TLB, in which
    /// case the new shadow is recorded and, if the pool is full, another evicted. Either way the page
    /// is installed in the sink.
    ///
    /// If `ctx` does not stand for `mode` (it was recycled meanwhile), the answer is right, but
    /// nothing is recorded or installed.
    ///
    /// # Errors
    /// The [`Fault`] to deliver to the guest.
    pub fn fill<K: ShadowSink + ?Sized, const N: usize>(
        &mut self,
        tlb: &Tlb<N>,
        ctx: ContextId,
        mode: Mode,
        ea: EffectiveAddress,
        access: Access,
        sink: &mut K,
    ) -> Result<ShadowPage, Fault> {
        let current = self.contexts.is(ctx.0, mode);
        // The guest's miss handler comes back to the page that was just not found.
        let place = u64::from(ctx.0) << 32 | u64::from(ea.0 >> MIN_SHIFT);
        if current
            && self.absent != place
            && let Some(slot) = self.find(ctx.0, ea.0)
        {
            let slots = self.storage.slots_mut();
            let page = slots[usize::from(slot)].page();
            if !page.allows(access) {
                self.stats.protection_faults += 1;
                return Err(Fault::Protection);
            }
            self.stats.hits += 1;
            self.policy.touched(&mut Pool::new(slots), usize::from(slot));
            sink.install_slot(slot, ctx, &page);
            return Ok(page);
        }
        let derived = derive(tlb, mode, ea, access, sink.max_page(), &mut self.stats);
        if current && derived.is_err_and(|fault| fault == Fault::Miss) {
            self.absent = place;
        }
        let Derived { page, entry, cut } = derived?;
        if current {
            self.stats.misses += 1;
            if self.cut & 1 << entry != 0 {
                self.drop_pieces(entry, ctx.0, &page, sink);
            }
            if cut {
                self.cut |= 1 << entry;
            }
            let slot = self.insert(ctx.0, entry, &page, sink);
            sink.install_slot(slot, ctx, &page);
        }
        Ok(page)
    }

    /// `tlbwe` with shadows: writes word `ws` (0-2) of entry `index` as [`Tlb::write_word`] does, and
    /// drops what became stale: the shadows of the entry's old content, and those of higher entries
    /// that the new content overlaps. Nothing else is dropped, except when there are more than 256 of
    /// them: then the contexts that they are in are dropped as a whole.
    ///
    /// Each of the three writes that replace an entry is exact in itself: what lies between them (the
    /// old page at the new address, for one) is what translations then give.
    pub fn tlbwe<K: ShadowSink + ?Sized, const N: usize>(
        &mut self,
        tlb: &mut Tlb<N>,
        index: u8,
        ws: u8,
        value: u32,
        stid: u8,
        sink: &mut K,
    ) {
        let entry = tlb.with_word(index, ws, value, stid);
        self.replace(tlb, index, entry, sink);
    }

    /// Replaces entry `index` as a whole, and drops what became stale as [`tlbwe`](Self::tlbwe) does.
    pub fn set_entry<K: ShadowSink + ?Sized, const N: usize>(
        &mut self,
        tlb: &mut Tlb<N>,
        index: u8,
        entry: TlbEntry,
        sink: &mut K,
    ) {
        self.replace(tlb, index, entry.masked(), sink);
    }

    /// As [`set_entry`](Self::set_entry), with an entry that has no unimplemented bits. Inlined, as the entry is then
    /// in registers: written as words and read again as a whole it would stall the processor.
    #[inline(always)]
    fn replace<K: ShadowSink + ?Sized, const N: usize>(
        &mut self,
        tlb: &mut Tlb<N>,
        index: u8,
        entry: TlbEntry,
        sink: &mut K,
    ) {
        self.stats.tlb_writes += 1;
        let Some(change) = tlb.change(index, &entry) else { return };
        tlb.make(change, entry);
        let Change { index, moved, .. } = change;
        // What is not valid has no shadows.
        if self.of_entry[usize::from(index) % MAX_ENTRIES] != NONE || (moved && entry.valid()) {
            self.follow(tlb, index, moved, &entry, sink);
        }
    }

    /// Drops what became stale when entry `index` became `entry`; `moved` tells that it is another page now.
    fn follow<K: ShadowSink + ?Sized, const N: usize>(
        &mut self,
        tlb: &Tlb<N>,
        index: u8,
        moved: bool,
        entry: &TlbEntry,
        sink: &mut K,
    ) {
        let mut budget = WALK_LIMIT;
        let mut lost = [0; 4];
        if self.of_entry[usize::from(index) % MAX_ENTRIES] != NONE {
            let changed = |slot: &Slot, contexts: &Contexts| {
                contexts.mode(slot.context).is_none_or(|mode| !still_gives(entry, slot, mode))
            };
            self.drop_of_entry(index, changed, &mut budget, &mut lost, sink);
            if moved && self.of_entry[usize::from(index) % MAX_ENTRIES] != NONE {
                // What was kept may be smaller than what the new page allows.
                self.cut |= 1 << index;
            }
        }
        if moved && entry.valid() {
            let overlaps = tlb.overlaps(index);
            if overlaps != 0 {
                self.stats.overlaps += 1;
                self.drop_overlapped(overlaps, index, entry, &mut budget, &mut lost, sink);
            }
        }
        if lost != [0; 4] {
            self.stats.bulk_drops += u64::from(lost.iter().map(|w| w.count_ones()).sum::<u32>());
            self.lose_contexts(lost, |ctx| sink.drop_context(ctx));
        }
    }

    /// Drops all shadows and tells the sink so, in bounded time. Contexts keep their modes.
    ///
    /// For when memory behind the physical addresses moved, or the guest's TLB was written by other
    /// ways than [`tlbwe`](Self::tlbwe) and [`set_entry`](Self::set_entry), as when a saved state is loaded.
    pub fn invalidate_all<K: ShadowSink + ?Sized>(&mut self, sink: &mut K) {
        let mut set = [0u64; 4];
        for id in 0..self.contexts.used() {
            set[usize::from(id / 64)] |= 1 << (id % 64);
        }
        self.lose_contexts(set, |_| {});
        self.of_entry = [NONE; MAX_ENTRIES];
        self.cut = 0;
        sink.drop_all();
    }

    /// Tells the policy where the guest runs: its program counter and its stack pointer.
    #[inline]
    pub fn hint(&mut self, pc: EffectiveAddress, sp: EffectiveAddress) {
        self.policy.hint(pc, sp);
    }

    /// Pins the shadow of `ea` in `ctx`, which no policy then evicts; a change of the guest's TLB and
    /// the loss of the context still drop it. Returns `false` if there is no such shadow, or if it is
    /// the last one that is not pinned.
    pub fn pin(&mut self, ctx: ContextId, ea: EffectiveAddress) -> bool {
        let Some(slot) = self.find(ctx.0, ea.0) else { return false };
        if self.storage.slots()[usize::from(slot)].pinned() {
            return true;
        }
        if usize::from(self.pinned) + 1 >= self.capacity() {
            // Stale shadows may still count as pinned.
            self.reclaim(u32::MAX);
            if usize::from(self.pinned) + 1 >= self.capacity() {
                return false;
            }
        }
        self.pinned += 1;
        self.storage.slots_mut()[usize::from(slot)].flags |= Slot::PINNED;
        true
    }

    /// Takes back [`pin`](Self::pin). Returns `false` if there is no such shadow.
    pub fn unpin(&mut self, ctx: ContextId, ea: EffectiveAddress) -> bool {
        let Some(slot) = self.find(ctx.0, ea.0) else { return false };
        let slot = &mut self.storage.slots_mut()[usize::from(slot)];
        if slot.pinned() {
            slot.flags &= !Slot::PINNED;
            self.pinned -= 1;
        }
        true
    }

    /// The shadows, in order of their slots: who shadows whom.
    pub fn iter(&self) -> impl Iterator<Item = ShadowInfo> + '_ {
        let slots = self.storage.slots().iter().enumerate();
        let live = |slot: &Slot| slot.used() && slot.generation == self.contexts.generation(slot.context);
        slots.filter(move |(_, slot)| live(slot)).map(|(number, slot)| ShadowInfo {
            slot: number as u16,
            context: ContextId(slot.context),
            entry: slot.entry,
            page: slot.page(),
            pinned: slot.pinned(),
        })
    }

    /// The slot of a shadow that is not stale.
    #[inline]
    fn find(&self, ctx: u16, ea: u32) -> Option<u16> {
        let slots = self.storage.slots();
        let generation = self.contexts.generation(ctx);
        let mut shifts = self.shifts;
        while shifts != 0 {
            let shift = shifts.trailing_zeros() + MIN_SHIFT;
            let start = ea & (!0 << shift);
            let mut at = bucket(slots, bucket_of(slots, ctx, ea, shift));
            while at != NONE {
                let slot = &slots[usize::from(at)];
                if slot.ea == start
                    && slot.context == ctx
                    && slot.generation == generation
                    && u32::from(slot.shift) == shift
                {
                    return Some(at);
                }
                at = slot.chain;
            }
            shifts &= shifts - 1;
        }
        None
    }

    /// Records a shadow and returns its slot.
    fn insert<K: ShadowSink + ?Sized>(
        &mut self,
        ctx: u16,
        entry: u8,
        page: &ShadowPage,
        sink: &mut K,
    ) -> u16 {
        self.absent = NOWHERE;
        let shift = page.size.trailing_zeros();
        let place = bucket_of(self.storage.slots(), ctx, page.ea.0, shift);
        self.shorten(place, sink);
        if self.free == NONE {
            self.reclaim(1);
        }
        if self.free == NONE {
            let victim = self.victim();
            self.stats.evictions += 1;
            self.release(victim, sink);
        }
        let number = self.free;
        let generation = self.contexts.generation(ctx);
        let slots = self.storage.slots_mut();
        let head = bucket(slots, place);
        let slot = &mut slots[usize::from(number)];
        self.free = slot.rings[BY_CONTEXT][1];
        slot.set_page(page);
        (slot.context, slot.generation, slot.entry, slot.chain) = (ctx, generation, entry, head);
        set_bucket(slots, place, number);
        push(slots, BY_ENTRY, &mut self.of_entry[usize::from(entry) % MAX_ENTRIES], number);
        push(slots, BY_CONTEXT, &mut self.of_context[usize::from(ctx) % MAX_CONTEXTS], number);
        self.entry_contexts[usize::from(entry) % MAX_ENTRIES][usize::from(ctx / 64) % 4] |= 1 << (ctx % 64);
        self.of_shift[(shift - MIN_SHIFT) as usize % 19] += 1;
        self.shifts |= 1 << (shift - MIN_SHIFT);
        self.policy.installed(&mut Pool::new(slots), usize::from(number));
        number
    }

    /// Makes room in a chain of the hash table that has grown too long.
    fn shorten<K: ShadowSink + ?Sized>(&mut self, place: usize, sink: &mut K) {
        let slots = self.storage.slots();
        let (mut at, mut length, mut oldest) = (bucket(slots, place), 0, NONE);
        while at != NONE {
            length += 1;
            if !slots[usize::from(at)].pinned() {
                oldest = at;
            }
            at = slots[usize::from(at)].chain;
        }
        if length >= CHAIN_LIMIT && oldest != NONE {
            let slot = &slots[usize::from(oldest)];
            if slot.generation == self.contexts.generation(slot.context) {
                self.stats.evictions += 1;
                self.release(oldest, sink);
            } else {
                self.vacate(oldest);
            }
        }
    }

    /// The policy's choice, or the next slot that may be evicted.
    fn victim(&mut self) -> u16 {
        let slots = self.storage.slots_mut();
        let choice = self.policy.victim(&mut Pool::new(slots));
        let n = slots.len();
        let first = choice % n;
        let evictable = |i: &usize| slots[*i].used() && !slots[*i].pinned();
        // One slot at least is not pinned: `pin` sees to that.
        (first..n).chain(0..first).find(evictable).unwrap_or(first) as u16
    }

    /// Tells the sink to drop the shadow, and frees its slot.
    fn release<K: ShadowSink + ?Sized>(&mut self, number: u16, sink: &mut K) {
        let slot = &self.storage.slots()[usize::from(number)];
        let (ctx, page) = (ContextId(slot.context), slot.page());
        self.vacate(number);
        sink.drop_slot(number, ctx, &page);
    }

    /// Frees the slot of a shadow, stale or not.
    fn vacate(&mut self, number: u16) {
        let slots = self.storage.slots_mut();
        let Slot { ea, context, generation, entry, shift, chain, .. } = slots[usize::from(number)];
        let place = bucket_of(slots, context, ea, u32::from(shift));
        let mut at = bucket(slots, place);
        if at == number {
            set_bucket(slots, place, chain);
        } else {
            while slots[usize::from(at)].chain != number {
                at = slots[usize::from(at)].chain;
            }
            slots[usize::from(at)].chain = chain;
        }
        unlink(slots, BY_ENTRY, &mut self.of_entry[usize::from(entry) % MAX_ENTRIES], number);
        let head = if generation == self.contexts.generation(context) {
            &mut self.of_context[usize::from(context) % MAX_CONTEXTS]
        } else {
            &mut self.stale
        };
        unlink(slots, BY_CONTEXT, head, number);
        let size = (u32::from(shift) - MIN_SHIFT) as usize % 19;
        self.of_shift[size] -= 1;
        if self.of_shift[size] == 0 {
            self.shifts &= !(1 << size);
        }
        let slot = &mut slots[usize::from(number)];
        if slot.pinned() {
            self.pinned -= 1;
        }
        (slot.shift, slot.flags) = (0, 0);
        slot.rings[BY_CONTEXT][1] = self.free;
        self.free = number;
        self.policy.removed(&mut Pool::new(slots), usize::from(number));
    }

    /// Frees up to `count` stale slots, oldest first.
    fn reclaim(&mut self, count: u32) {
        for _ in 0..count {
            if self.stale == NONE {
                break;
            }
            self.vacate(self.stale);
        }
    }

    /// Makes every shadow in the contexts stale.
    fn lose_contexts(&mut self, set: ContextSet, mut tell: impl FnMut(ContextId)) {
        for id in members(set) {
            // Cleaning up before each loss keeps pace with the generations.
            self.reclaim(RECLAIM);
            let slots = self.storage.slots_mut();
            splice(slots, BY_CONTEXT, &mut self.stale, &mut self.of_context[usize::from(id) % MAX_CONTEXTS]);
            self.contexts.next_generation(id);
            tell(ContextId(id));
        }
        for contexts in &mut self.entry_contexts {
            for (word, lost) in contexts.iter_mut().zip(set) {
                *word &= !lost;
            }
        }
    }

    /// Drops the shadows of entry `index` that `wanted` chooses. Each one visited costs one of
    /// `budget`; if that runs out, the entry's contexts join `lost`, and the entry's ring is cut off.
    fn drop_of_entry<K: ShadowSink + ?Sized>(
        &mut self,
        index: u8,
        wanted: impl Fn(&Slot, &Contexts) -> bool,
        budget: &mut u32,
        lost: &mut ContextSet,
        sink: &mut K,
    ) {
        let entry = usize::from(index) % MAX_ENTRIES;
        let first = self.of_entry[entry];
        if first == NONE {
            return;
        }
        let last = self.storage.slots()[usize::from(first)].rings[BY_ENTRY][0];
        let mut at = first;
        loop {
            if *budget == 0 {
                for (all, own) in lost.iter_mut().zip(self.entry_contexts[entry]) {
                    *all |= own;
                }
                self.of_entry[entry] = NONE;
                break;
            }
            *budget -= 1;
            let slot = &self.storage.slots()[usize::from(at)];
            let next = slot.rings[BY_ENTRY][1];
            if slot.generation != self.contexts.generation(slot.context) {
                self.vacate(at);
            } else if wanted(slot, &self.contexts) {
                self.stats.drops += 1;
                self.release(at, sink);
            }
            if at == last {
                break;
            }
            at = next;
        }
        if self.of_entry[entry] == NONE {
            // Nothing is left of it but, at most, shadows in the contexts that are about to be lost.
            self.cut &= !(1 << index);
            self.entry_contexts[entry] = [0; 4];
        }
    }

    /// Drops the shadows of higher entries among `overlaps` where the new `entry` takes over.
    fn drop_overlapped<K: ShadowSink + ?Sized>(
        &mut self,
        overlaps: u64,
        index: u8,
        entry: &TlbEntry,
        budget: &mut u32,
        lost: &mut ContextSet,
        sink: &mut K,
    ) {
        let (Some(start), Some(size)) = (entry.page_start(), entry.size()) else { return };
        let mut above = overlaps & (!0 << index);
        while above != 0 {
            let other = above.trailing_zeros() as u8;
            above &= above - 1;
            let taken = |slot: &Slot, contexts: &Contexts| {
                let larger = size.shift().max(u32::from(slot.shift));
                (slot.ea ^ start.0) >> larger == 0
                    && (entry.tid == 0
                        || contexts.mode(slot.context).is_some_and(|mode| u32::from(mode.pid) == entry.tid))
            };
            self.drop_of_entry(other, taken, budget, lost, sink);
        }
    }

    /// Drops the smaller shadows of entry `index` that lie in `page`, so that shadows in one context
    /// never overlap.
    fn drop_pieces<K: ShadowSink + ?Sized>(&mut self, index: u8, ctx: u16, page: &ShadowPage, sink: &mut K) {
        let (mut budget, mut lost) = (WALK_LIMIT, [0; 4]);
        let inside =
            |slot: &Slot, _: &Contexts| slot.context == ctx && page.contains(EffectiveAddress(slot.ea));
        self.drop_of_entry(index, inside, &mut budget, &mut lost, sink);
        if lost != [0; 4] {
            self.stats.bulk_drops += u64::from(lost.iter().map(|w| w.count_ones()).sum::<u32>());
            self.lose_contexts(lost, |ctx| sink.drop_context(ctx));
        }
    }
}

/// One shadow, as [`Shadow::iter`] lists it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct ShadowInfo {
    /// The slot that holds it.
    pub slot: u16,
    /// The context that it is valid in.
    pub context: ContextId,
    /// The guest entry that it was made from, 0-63.
    pub entry: u8,
    /// The translation.
    pub page: ShadowPage,
    /// No policy may evict it.
    pub pinned: bool,
}

/// What the guest's TLB gives a sink for one access.
#[derive(Copy, Clone)]
pub(crate) struct Derived {
    pub(crate) page: ShadowPage,
    /// The guest entry that it comes from.
    pub(crate) entry: u8,
    /// The sink would have held a larger piece of the entry's page, had not a lower entry cut it.
    pub(crate) cut: bool,
}

/// Translates an access through the guest's TLB, and counts the fault if it ends in one. The page is
/// the largest block around `ea` that the entry alone translates and a sink with `max_page` can hold.
#[inline]
pub(crate) fn derive<const N: usize>(
    tlb: &Tlb<N>,
    mode: Mode,
    ea: EffectiveAddress,
    access: Access,
    max_page: u32,
    stats: &mut Stats,
) -> Result<Derived, Fault> {
    let found = tlb.translate(ea, access, mode).inspect_err(|fault| match fault {
        Fault::Miss => stats.guest_misses += 1,
        Fault::Protection => stats.protection_faults += 1,
    })?;
    let limit = sanitized(max_page).min(found.size.bytes());
    let size = tlb.uniform_block(found.index, ea, mode.pid, limit);
    Ok(Derived { page: page_of(&found, ea, size), entry: found.index, cut: size < limit })
}

/// A sink's largest page as a power of two of 1 KiB or more, whatever it said.
#[inline]
fn sanitized(max_page: u32) -> u32 {
    1 << max_page.max(1 << MIN_SHIFT).ilog2()
}

#[inline]
pub(crate) fn page_of(found: &Translation, ea: EffectiveAddress, size: u32) -> ShadowPage {
    ShadowPage {
        ea: ea.align_down(size),
        pa: PhysicalAddress(found.pa.0 & !u64::from(size - 1)),
        size,
        readable: found.readable,
        writable: found.writable,
        executable: found.executable,
        attributes: found.attributes,
    }
}

/// Does the entry, with its new content, still translate the shadow's block as the shadow does?
fn still_gives(entry: &TlbEntry, slot: &Slot, mode: Mode) -> bool {
    let (true, Some(size)) = (entry.valid(), entry.size()) else { return false };
    let frame =
        u64::from(entry.erpn()) << 32 | u64::from((entry.word1 & size.mask()) | (slot.ea & !size.mask()));
    let flag = |on: bool, flag: u8| if on { flag } else { 0 };
    let flags = flag(entry.readable(mode.user), Slot::READ)
        | flag(entry.writable(mode.user), Slot::WRITE)
        | flag(entry.executable(mode.user), Slot::EXECUTE);
    entry.ts() == mode.address_space
        && (entry.tid == 0 || entry.tid == u32::from(mode.pid))
        && u32::from(slot.shift) <= size.shift()
        && (entry.word0 ^ slot.ea) & size.mask() == 0
        && u64::from(slot.frame) == frame >> 10
        && slot.flags & !Slot::PINNED == flags
        && u32::from(slot.attributes) == entry.attributes().0
}

/// The hash bucket, 0 to twice the number of slots, of a page in a context.
#[inline]
fn bucket_of(slots: &[Slot], ctx: u16, ea: u32, shift: u32) -> usize {
    let key = u64::from(ea >> shift) | u64::from(ctx) << 32 | u64::from(shift) << 48;
    let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    ((hash * (2 * slots.len() as u64)) >> 32) as usize
}

#[inline]
fn bucket(slots: &[Slot], place: usize) -> u16 {
    slots[place / 2].buckets[place % 2]
}

#[inline]
fn set_bucket(slots: &mut [Slot], place: usize, slot: u16) {
    slots[place / 2].buckets[place % 2] = slot;
}
