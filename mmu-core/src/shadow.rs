//! The shadow bookkeeping: which guest translations an engine holds, in which context, and from
//! which guest entry.

use core::fmt;

use crate::address::{EffectiveAddress, PhysicalAddress};
use crate::entry::TlbEntry;
use crate::policy::{Pool, ReplacementPolicy, RoundRobin};
use crate::sink::{ContextId, ShadowPage, ShadowSink};
use crate::slot::SlotStorage;
use crate::tlb::{Access, Fault, Mode, Tlb};

/// The largest number of contexts.
const MAX_CONTEXTS: usize = 256;

/// Counters since construction; they wrap.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Fills and lookups that a shadow answered.
    pub hits: u64,
    /// Fills that made a new shadow.
    pub misses: u64,
    /// Fills that no guest entry matched.
    pub guest_misses: u64,
    /// Fills that ended in a protection fault.
    pub protection_faults: u64,
    /// Shadows dropped one by one because the guest TLB changed.
    pub drops: u64,
    /// Shadows evicted to make room.
    pub evictions: u64,
    /// Contexts taken from one mode for another.
    pub recycled_contexts: u64,
    /// Contexts dropped as a whole because an entry had very many shadows.
    pub bulk_drops: u64,
    /// Guest TLB writes.
    pub tlb_writes: u64,
    /// Guest TLB writes that left the entry overlapping another.
    pub overlaps: u64,
}

/// Why a [`Shadow`] cannot be built.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum ShapeError {
    /// The storage has no slot, or more than 65,535.
    Slots(usize),
    /// There must be 1 to 256 contexts.
    Contexts(usize),
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slots(n) => write!(f, "A shadow pool has 1 to 65535 slots, not {n}"),
            Self::Contexts(n) => write!(f, "A shadow has 1 to {MAX_CONTEXTS} contexts, not {n}"),
        }
    }
}

impl core::error::Error for ShapeError {}

/// The bookkeeping of one guest's shadows.
#[derive(Clone, Debug)]
pub struct Shadow<S, P = RoundRobin> {
    storage: S,
    policy: P,
    contexts: usize,
    modes: [Option<Mode>; MAX_CONTEXTS],
    used: [u64; MAX_CONTEXTS],
    clock: u64,
    stats: Stats,
}

impl<S: SlotStorage, P: ReplacementPolicy> Shadow<S, P> {
    /// Bookkeeping in `storage`, whose slots are emptied, for a sink with `contexts` contexts.
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
        if !(1..=65_535).contains(&slots.len()) {
            return Err(ShapeError::Slots(slots.len()));
        }
        if !(1..=MAX_CONTEXTS).contains(&contexts) {
            return Err(ShapeError::Contexts(contexts));
        }
        slots.fill(crate::slot::Slot::EMPTY);
        policy.reset(&mut Pool { slots });
        Ok(Self {
            storage,
            policy,
            contexts,
            modes: [None; MAX_CONTEXTS],
            used: [0; MAX_CONTEXTS],
            clock: 0,
            stats: Stats::default(),
        })
    }

    /// The number of contexts.
    #[must_use]
    pub fn contexts(&self) -> usize {
        self.contexts
    }

    /// The number of shadows that the pool can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.storage.slots().len()
    }

    /// The context of `mode`: the same number until it is recycled, which happens to the least
    /// recently used when there are more modes than contexts and is told to the sink.
    pub fn context<K: ShadowSink + ?Sized>(&mut self, mode: Mode, sink: &mut K) -> ContextId {
        self.clock += 1;
        let n = self.contexts;
        let found = self.modes[..n].iter().position(|&m| m == Some(mode));
        let id = found.unwrap_or_else(|| {
            let id = (0..n).min_by_key(|&i| self.used[i]).unwrap_or(0);
            if self.modes[id].is_some() {
                for i in 0..self.capacity() {
                    let s = &self.storage.slots()[i];
                    if s.live && usize::from(s.context) == id {
                        self.free(i);
                    }
                }
                self.stats.recycled_contexts += 1;
                sink.drop_context(ContextId(id as u16));
            }
            self.modes[id] = Some(mode);
            id
        });
        self.used[id] = self.clock;
        ContextId(id as u16)
    }

    /// The shadow of `ea` in `ctx`, if the pool holds one.
    pub fn lookup(&mut self, ctx: ContextId, ea: EffectiveAddress) -> Option<ShadowPage> {
        let slot = self.find(ctx, ea)?;
        self.stats.hits += 1;
        let slots = self.storage.slots_mut();
        self.policy.touched(&mut Pool { slots }, slot);
        Some(self.storage.slots()[slot].page)
    }

    /// Translates the access for the engine: from the pool, or from the guest's TLB, and then
    /// records the shadow. Installs it in the sink either way. `mode` must be the mode of `ctx`.
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
        let allowed = |page: &ShadowPage| match access {
            Access::Fetch => page.executable,
            Access::Load => page.readable,
            Access::Store => page.writable,
        };
        if let Some(page) = self.lookup(ctx, ea) {
            if !allowed(&page) {
                self.stats.protection_faults += 1;
                return Err(Fault::Protection);
            }
            sink.install(ctx, &page);
            return Ok(page);
        }
        let found = tlb.translate(ea, access, mode).inspect_err(|fault| match fault {
            Fault::Miss => self.stats.guest_misses += 1,
            Fault::Protection => self.stats.protection_faults += 1,
        })?;
        let size = tlb.uniform_block(found.index, ea, mode.pid, sink.max_page());
        let page = ShadowPage {
            ea: ea.align_down(size),
            pa: PhysicalAddress(found.pa.0 & !u64::from(size - 1)),
            size,
            readable: found.readable,
            writable: found.writable,
            executable: found.executable,
            attributes: found.attributes,
        };
        self.stats.misses += 1;
        let slots = self.storage.slots_mut();
        let slot = match slots.iter().position(|s| !s.live) {
            Some(slot) => slot,
            None => {
                let slot = self.policy.victim(&mut Pool { slots });
                self.stats.evictions += 1;
                self.release(slot, sink);
                slot
            }
        };
        let s = &mut self.storage.slots_mut()[slot];
        (s.page, s.context, s.entry, s.live) = (page, ctx.0, found.index, true);
        self.policy.installed(&mut Pool { slots: self.storage.slots_mut() }, slot);
        sink.install(ctx, &page);
        Ok(page)
    }

    /// `tlbwe` with shadows: writes word `ws` of entry `index` as [`Tlb::write_word`] does, and drops
    /// exactly the shadows that became stale.
    pub fn tlbwe<K: ShadowSink + ?Sized, const N: usize>(
        &mut self,
        tlb: &mut Tlb<N>,
        index: u8,
        ws: u8,
        value: u32,
        stid: u8,
        sink: &mut K,
    ) {
        self.set_entry(tlb, index, tlb.with_word(index, ws, value, stid), sink);
    }

    /// Replaces entry `index` as a whole, and drops exactly the shadows that became stale.
    pub fn set_entry<K: ShadowSink + ?Sized, const N: usize>(
        &mut self,
        tlb: &mut Tlb<N>,
        index: u8,
        entry: TlbEntry,
        sink: &mut K,
    ) {
        self.stats.tlb_writes += 1;
        let old = tlb.entry(index);
        tlb.set_entry(index, entry);
        if old == tlb.entry(index) {
            return;
        }
        let index = index & (N - 1) as u8;
        let overlaps = tlb.overlaps(index);
        if overlaps != 0 {
            self.stats.overlaps += 1;
        }
        for i in 0..self.capacity() {
            let s = self.storage.slots()[i];
            if !s.live {
                continue;
            }
            let stale = s.entry == index
                || s.entry > index && overlaps & 1 << s.entry != 0 && {
                    let (Some(start), Some(size)) = (tlb.entry(index).page_start(), tlb.entry(index).size())
                    else {
                        continue;
                    };
                    let mode = self.modes[usize::from(s.context)].unwrap_or_default();
                    let tid = tlb.tid(index);
                    let larger = s.page.size.max(size.bytes());
                    (tid == 0 || tid == mode.pid) && (start.0 ^ s.page.ea.0) & !(larger - 1) == 0
                };
            if stale {
                self.stats.drops += 1;
                self.release(i, sink);
            }
        }
    }

    /// Drops all shadows; contexts keep their modes.
    pub fn invalidate_all<K: ShadowSink + ?Sized>(&mut self, sink: &mut K) {
        let slots = self.storage.slots_mut();
        slots.fill(crate::slot::Slot::EMPTY);
        self.policy.reset(&mut Pool { slots });
        sink.drop_all();
    }

    /// What has happened so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    fn find(&self, ctx: ContextId, ea: EffectiveAddress) -> Option<usize> {
        self.storage.slots().iter().position(|s| s.live && s.context == ctx.0 && s.page.contains(ea))
    }

    fn release<K: ShadowSink + ?Sized>(&mut self, slot: usize, sink: &mut K) {
        let s = self.storage.slots()[slot];
        sink.drop(ContextId(s.context), &s.page);
        self.free(slot);
    }

    fn free(&mut self, slot: usize) {
        let slots = self.storage.slots_mut();
        slots[slot] = crate::slot::Slot { word: slots[slot].word, ..crate::slot::Slot::EMPTY };
        self.policy.removed(&mut Pool { slots }, slot);
    }
}
