//! The interpreter's translation: mmu-core's pair of TLBs, and the small direct-mapped table that they shadow into.
//!
//! Each context that mmu-core hands out for (PID, AS, PR) has its own part of the table, so a PID write, a system call
//! or an interrupt selects another part and flushes nothing. Pages that need care on every access (1 KB and
//! little-endian ones, and, for dcbz, write-through or inhibited ones) never enter it; pages of which decoded code is
//! held enter it without their write half. Large guest pages are one shadow each; the table holds pieces of them.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use mmu_core::trace::Outcome;
use mmu_core::{
    Access, ContextId, EffectiveAddress, Fault, Mode, PageSize, ShadowPage, ShadowSink, Stats, Tlb, TlbEntry,
    Translation,
};

use crate::bits::{msr, storage};
use crate::options::ShadowPool;
use crate::record::{Recorder, Registers};
use crate::translate::Refill;

mod bookkeeping;
pub(crate) mod linear;

pub(crate) use bookkeeping::Bookkeeping;
use linear::Linear;

/// Data translations of one context.
pub(crate) const DATA: usize = 512;
/// Fetch translations of one context.
pub(crate) const FETCH: usize = 1024;
/// Contexts: (PID, AS, PR) triples that live side by side.
const CONTEXTS: usize = 63;
/// The part of the table that stays empty: it makes every access take the slow path.
const SLOW: usize = CONTEXTS;
/// Parts of the table.
const PARTS: usize = CONTEXTS + 1;
/// Large guest pages that are looked at before the pool; the others are found there.
const LARGE: usize = 16;
/// Shadow pages by default.
pub(crate) const POOL: usize = 4096;
/// A tag that no page has: the low 12 bits of a real one are 0.
const INVALID: u32 = 0xFFF;
/// RAM pages (4 KB) that can hold decoded code: the first 4 GB.
const CODE_PAGES: u64 = 1 << 20;

/// A data translation.
#[derive(Clone, Copy, Debug)]
struct DataEntry {
    /// Effective address of the page if it may be read, else [`INVALID`].
    read: u32,
    /// The same for writing.
    write: u32,
    /// Physical minus effective address, wrapping.
    delta: u64,
}

impl DataEntry {
    const EMPTY: Self = Self { read: INVALID, write: INVALID, delta: 0 };
}

/// A fetch translation. `repr(C)`, as translated code reads it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct FetchEntry {
    /// Effective address of the page, or [`INVALID`].
    pub(crate) tag: u32,
    /// What the code cache calls the page.
    pub(crate) code: u32,
}

impl FetchEntry {
    const EMPTY: Self = Self { tag: INVALID, code: 0 };
}

/// The fetch translations of one context. Guests like round addresses; the padding keeps their entries in different
/// contexts from competing for the same lines of the host's caches.
#[derive(Clone, Debug)]
#[repr(C)]
struct FetchPart {
    _before: [u64; 24],
    entries: [FetchEntry; FETCH],
    _after: [u64; 16],
}

impl FetchPart {
    const EMPTY: Self = Self { _before: [0; 24], entries: [FetchEntry::EMPTY; FETCH], _after: [0; 16] };
}

/// The sink: what the shadow bookkeeping installs and drops.
#[derive(Debug)]
struct Fast {
    data: Box<[[DataEntry; DATA]; PARTS]>,
    fetch: Box<[FetchPart; PARTS]>,
    /// Goes up whenever fetch translations are taken back.
    fetch_losses: u32,
    /// The parts in which something was installed since they were last emptied, one bit each.
    used: u64,
    /// One bit a RAM page: decoded code of it is held.
    code: Vec<u64>,
    /// Pages from this physical address on stay out of the table.
    limit: u64,
    /// The engine's own table, and where the guest's physical address 0 lies for it.
    linear: Option<Linear>,
    base: u64,
    /// Guest pages above 4 KB that translations in the table were cut from, with their contexts.
    large: Vec<(ContextId, ShadowPage)>,
    /// The contexts that occur in `large`, one bit each, perhaps with some that no longer do.
    large_contexts: u64,
    recorder: Option<Box<Recorder>>,
}

/// Where in its part of the table the data translation of `ea` lies.
#[inline(always)]
const fn data_slot(ea: u32) -> usize {
    (ea >> 12) as usize % DATA
}

#[inline(always)]
const fn fetch_slot(ea: u32) -> usize {
    (ea >> 12) as usize % FETCH
}

/// Whether decoded code of the RAM page at `pa` is held, in a set of one bit a page.
#[inline]
fn is_code(code: &[u64], pa: u64) -> bool {
    let page = pa >> 12;
    code.get((page >> 6) as usize).is_some_and(|word| word & (1 << (page & 63)) != 0)
}

/// Of two aligned pages, the smaller lies in the larger, if they have anything in common.
fn overlap(a: &ShadowPage, b: &ShadowPage) -> bool {
    a.contains(b.ea) || b.contains(a.ea)
}

/// The numbers of the bits that are set.
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (bit < 64).then_some(bit)
    })
}

impl Fast {
    #[inline]
    fn is_code(&self, pa: u64) -> bool {
        is_code(&self.code, pa)
    }

    /// The part of the engine's table for a part of ours.
    fn linear_part(&self, part: usize) -> Option<&[u64]> {
        let linear = self.linear.as_ref()?;
        Some(linear.part(part.min(linear.parts() - 1)))
    }

    /// Stores to the RAM page at `pa` are no longer translated; it can be reached only as the guest's TLB says.
    fn protect(&mut self, tlb: &Tlb, pa: u64) {
        for index in 0..Tlb::<64>::ENTRIES as u8 {
            let entry = tlb.entry(index);
            let (Some(start), Some(size)) = (entry.page_start(), entry.size()) else { continue };
            let mask = u64::from(size.bytes().max(4096) - 1);
            let frame = u64::from(entry.erpn()) << 32 | u64::from(entry.word1 & size.mask());
            if !entry.valid() || (frame ^ pa) & !mask != 0 {
                continue;
            }
            let ea = (start.0 & !(mask as u32)) | (pa & mask) as u32 & !0xFFF;
            for context in bits(self.used) {
                let slot = &mut self.data[context][data_slot(ea)];
                if slot.write == ea && slot.delta.wrapping_add(u64::from(ea)) == pa {
                    slot.write = INVALID;
                }
                if let Some(linear) = &mut self.linear {
                    linear.protect(context, ea, pa.wrapping_add(self.base));
                }
            }
        }
    }

    /// Puts the 4 KB around `ea`, which lies in `page`, into the table.
    fn install_piece(&mut self, ctx: ContextId, page: &ShadowPage, ea: u32) {
        let (tag, pa) = (ea & !0xFFF, page.translate(EffectiveAddress(ea)).0 & !0xFFF);
        let special = page.attributes.0 & (storage::E | storage::W | storage::I) != 0;
        if page.size < 4096 || special || pa >= self.limit {
            return;
        }
        let context = usize::from(ctx.0);
        self.used |= 1 << context;
        let read = if page.readable { tag } else { INVALID };
        // What may be written may be read: engines rely on it. Pages that can only be written stay out.
        let write = if page.writable && !self.is_code(pa) { read } else { INVALID };
        if self.linear.is_some() {
            self.install_around(context, page, ea, pa);
        } else {
            let delta = pa.wrapping_sub(u64::from(tag));
            self.data[context % PARTS][data_slot(ea)] = DataEntry { read, write, delta };
        }
    }

    /// Puts the 4 KB around `ea` into the engine's table, and of a larger page what shares a line of the table with it.
    fn install_around(&mut self, context: usize, page: &ShadowPage, ea: u32, pa: u64) {
        /// Bytes of guest memory whose words fill 64 bytes of the table.
        const LINE: u32 = 8 * 4096;
        let block = page.size.min(LINE);
        let start = ea & !(block - 1);
        let first = pa - u64::from((ea & !0xFFF) - start);
        for offset in (0..block).step_by(4096) {
            let pa = first + u64::from(offset);
            let write = page.readable && page.writable && !self.is_code(pa);
            if let Some(linear) = &mut self.linear
                && pa < self.limit
            {
                linear.set(context, start + offset, pa.wrapping_add(self.base), page.readable, write);
            }
        }
    }

    /// As `drop`, for pages of all sizes, and recorded.
    #[inline(never)]
    fn drop_any(&mut self, ctx: ContextId, page: &ShadowPage) {
        if let Some(recorder) = &mut self.recorder {
            recorder.dropped(page);
        }
        self.large.retain(|(held, other)| *held != ctx || !overlap(other, page));
        self.drop_pieces(ctx, page);
    }

    /// Forgets what was cut from `page`.
    fn drop_pieces(&mut self, ctx: ContextId, page: &ShadowPage) {
        let context = usize::from(ctx.0);
        if let Some(linear) = &mut self.linear {
            linear.clear_range(context, page.ea.0 & !0xFFF, page.size.max(4096));
        }
        // A page of 1 KB takes the 4 KB around it along.
        let (start, size) = (page.ea.0 & !0xFFF, page.size.max(4096));
        let cut = |tag: u32| tag != INVALID && tag.wrapping_sub(start) < size;
        for entry in &mut self.data[context] {
            if cut(entry.read) || cut(entry.write) {
                *entry = DataEntry::EMPTY;
            }
        }
        for entry in &mut self.fetch[context].entries {
            if cut(entry.tag) {
                entry.tag = INVALID;
            }
        }
        self.fetch_losses = self.fetch_losses.wrapping_add(1);
    }
}

impl ShadowSink for Fast {
    /// Pages of 4 KB and less enter the table when they are used, see [`Mmu::resolve`]; larger ones are remembered.
    fn install(&mut self, ctx: ContextId, page: &ShadowPage) {
        let room = self.large.len() < LARGE;
        if page.size > 4096 && room && !self.large.contains(&(ctx, *page)) {
            self.large.push((ctx, *page));
            self.large_contexts |= 1 << ctx.0;
        }
    }

    #[inline]
    fn drop(&mut self, ctx: ContextId, page: &ShadowPage) {
        if !self.forget(ctx, page.ea, page.size) {
            self.drop_any(ctx, page);
        }
    }

    #[inline(always)]
    fn forget(&mut self, ctx: ContextId, ea: EffectiveAddress, size: u32) -> bool {
        if self.recorder.is_some() || size > 4096 {
            return false;
        }
        let (context, tag) = (usize::from(ctx.0), ea.0 & !0xFFF);
        match &mut self.linear {
            Some(linear) => linear.clear(context, tag),
            None => {
                let entry = &mut self.data[context % PARTS][data_slot(tag)];
                if entry.read == tag || entry.write == tag {
                    *entry = DataEntry::EMPTY;
                }
            }
        }
        let entry = &mut self.fetch[context % PARTS].entries[fetch_slot(tag)];
        if entry.tag == tag {
            entry.tag = INVALID;
            self.fetch_losses = self.fetch_losses.wrapping_add(1);
        }
        true
    }

    /// The table holds 4 KB pieces, but the pool need not: a pinned page of the kernel is one shadow.
    fn max_page(&self) -> u32 {
        256 << 20
    }

    fn drop_context(&mut self, ctx: ContextId) {
        self.fetch_losses = self.fetch_losses.wrapping_add(1);
        self.large.retain(|held| held.0 != ctx);
        self.large_contexts &= !(1 << ctx.0);
        let context = usize::from(ctx.0);
        if self.used & (1 << context) != 0 {
            self.used &= !(1 << context);
            self.data[context].fill(DataEntry::EMPTY);
            self.fetch[context].entries.fill(FetchEntry::EMPTY);
            if let Some(linear) = &mut self.linear {
                linear.clear_part(context);
            }
        }
    }

    fn drop_all(&mut self) {
        self.fetch_losses = self.fetch_losses.wrapping_add(1);
        self.large.clear();
        self.large_contexts = 0;
        for context in bits(core::mem::take(&mut self.used)) {
            self.data[context].fill(DataEntry::EMPTY);
            self.fetch[context].entries.fill(FetchEntry::EMPTY);
            if let Some(linear) = &mut self.linear {
                linear.clear_part(context);
            }
        }
    }
}

/// A resolved translation, as much of it as the slow path needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resolved {
    pub(crate) pa: u64,
    pub(crate) attributes: u32,
    /// Bytes of the block around the address: 1024 where a 1 KB page (or an overlap) is involved.
    pub(crate) block: u32,
}

/// The parts of the table that accesses go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub(crate) struct Parts {
    pub(crate) data: u32,
    pub(crate) fetch: u32,
}

/// What follows from PID and MSR. `repr(C)`, as translated code reads it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Selection {
    /// PID, MSR\[PR, IS, DS\] and `slow_data` in one word, which is compared at every PID write, interrupt and return;
    /// [`UNSELECTED`] if the rest means nothing.
    pub(crate) key: u32,
    pub(crate) parts: Parts,
    /// Where the parts lie in memory.
    pub(crate) data_table: usize,
    pub(crate) fetch_table: usize,
    fetch_mode: Mode,
    data_mode: Mode,
    fetch_context: ContextId,
    data_context: ContextId,
}

/// A key that no PID and MSR have.
const UNSELECTED: u32 = u32::MAX;
/// Selections that are remembered: Linux goes back and forth between a few for each process.
pub(crate) const SELECTIONS: usize = 16;

/// The bit of a key that says that every data access must be looked at.
const SLOW_DATA: u32 = 1 << 8;

/// The key of PID and MSR.
#[inline(always)]
const fn selection_key(pid: u8, machine: u32, slow_data: bool) -> u32 {
    pid as u32 | (machine & (msr::PR | msr::IS | msr::DS)) << 8 | if slow_data { SLOW_DATA } else { 0 }
}

/// Where a selection is remembered: by the low bits of PID, with PR (bit 22 of the key) mixed in.
#[inline(always)]
const fn selection_slot(key: u32) -> usize {
    (key ^ key >> 19) as usize % SELECTIONS
}

/// The core's MMU: shadow bookkeeping, direct-mapped table and the current contexts.
#[derive(Debug)]
pub(crate) struct Mmu {
    shadow: Bookkeeping,
    fast: Fast,
    /// Which of `selections` holds.
    pub(crate) now: u32,
    /// The parts in use: those of the selection, or the part that never matches while every access must be looked at.
    pub(crate) parts: Parts,
    /// By [`selection_slot`]. Those that are known need not be asked for again: their contexts stand for the same
    /// modes until one is recycled.
    pub(crate) selections: [Selection; SELECTIONS],
    /// Every data access must be looked at.
    slow_data: bool,
    /// No cached translation is used.
    bypass: bool,
    /// Every reference is recorded, so none may be answered by the table.
    recording: bool,
}

impl Mmu {
    pub(crate) fn new(pool: Option<ShadowPool>) -> Self {
        let data = vec![[DataEntry::EMPTY; DATA]; PARTS].into_boxed_slice();
        let fetch = vec![FetchPart::EMPTY; PARTS].into_boxed_slice();
        let mode = Mode { pid: 0, address_space: false, user: false };
        let nothing = Selection {
            key: UNSELECTED,
            parts: Parts { data: SLOW as u32, fetch: SLOW as u32 },
            data_table: 0,
            fetch_table: 0,
            fetch_mode: mode,
            data_mode: mode,
            fetch_context: ContextId(0),
            data_context: ContextId(0),
        };
        let mut mmu = Self {
            shadow: Bookkeeping::new(pool, CONTEXTS),
            fast: Fast {
                data: data.try_into().unwrap_or_else(|_| unreachable!()),
                fetch: fetch.try_into().unwrap_or_else(|_| unreachable!()),
                used: 0,
                code: Vec::new(),
                limit: u64::MAX,
                fetch_losses: 0,
                linear: None,
                base: 0,
                large: Vec::new(),
                large_contexts: 0,
                recorder: None,
            },
            now: 0,
            parts: nothing.parts,
            selections: [nothing; SELECTIONS],
            slow_data: false,
            bypass: false,
            recording: false,
        };
        mmu.set_mode(0, 0, false);
        mmu
    }

    /// Selects the contexts of (PID, MSR). With `slow_data` every data access takes the slow path.
    #[inline(always)]
    pub(crate) fn set_mode(&mut self, pid: u8, machine: u32, slow_data: bool) {
        self.slow_data = slow_data;
        let key = selection_key(pid, machine, slow_data);
        let slot = selection_slot(key);
        if self.now as usize == slot && self.selections[slot].key == key {
            return;
        }
        if self.selections[slot].key != key {
            self.select(slot, pid, machine, slow_data);
        }
        self.now = slot as u32;
        if self.fast.recorder.is_some() {
            self.record_registers();
        }
        self.retag();
    }

    /// Selects the contexts of (PID, MSR), if they are remembered; `slow_data` stays. False, with nothing done, if not.
    #[inline(always)]
    pub(crate) fn select_known(&mut self, pid: u8, machine: u32) -> bool {
        let key = selection_key(pid, machine, self.slow_data);
        let slot = selection_slot(key);
        let selection = &self.selections[slot];
        let known = selection.key == key && !self.bypass && !self.recording;
        if known {
            (self.now, self.parts) = (slot as u32, selection.parts);
        }
        known
    }

    /// The key of what is selected.
    #[inline]
    pub(crate) fn selected(&self) -> u32 {
        self.selection().key
    }

    /// Asks for contexts.
    #[inline(never)]
    fn select(&mut self, slot: usize, pid: u8, machine: u32, slow_data: bool) {
        let recycled = self.shadow.stats().recycled_contexts;
        let (space, data_space) = (machine & msr::IS != 0, machine & msr::DS != 0);
        let user = machine & msr::PR != 0;
        let fetch_mode = Mode { pid, address_space: space, user };
        let data_mode = Mode { pid, address_space: data_space, user };
        let fetch_context = self.shadow.context(fetch_mode, &mut self.fast);
        let data_context =
            if space == data_space { fetch_context } else { self.shadow.context(data_mode, &mut self.fast) };
        if self.shadow.stats().recycled_contexts != recycled {
            for selection in &mut self.selections {
                selection.key = UNSELECTED;
            }
        }
        let data = if slow_data { SLOW } else { usize::from(data_context.0) };
        let fetch = usize::from(fetch_context.0);
        self.selections[slot] = Selection {
            key: selection_key(pid, machine, slow_data),
            parts: Parts { data: data as u32, fetch: fetch as u32 },
            data_table: self.fast.linear_part(data).map_or(0, |part| part.as_ptr() as usize),
            fetch_table: self.fast.fetch[fetch].entries.as_ptr() as usize,
            fetch_mode,
            data_mode,
            fetch_context,
            data_context,
        };
    }

    #[inline(always)]
    fn selection(&self) -> &Selection {
        &self.selections[self.now as usize % SELECTIONS]
    }

    #[cold]
    fn record_registers(&mut self) {
        let registers = registers(self.selection().fetch_mode, self.selection().data_mode);
        if let Some(recorder) = &mut self.fast.recorder {
            recorder.set_registers(registers);
        }
    }

    #[inline]
    fn retag(&mut self) {
        self.parts = if self.bypass || self.recording {
            Parts { data: SLOW as u32, fetch: SLOW as u32 }
        } else {
            self.selection().parts
        };
    }

    /// Uses no cached translation at all while on: the oracle's way.
    pub(crate) fn bypass(&mut self, on: bool) {
        self.bypass = on;
        self.retag();
    }

    /// The physical address for a load of `len` bytes at `ea` if the table has it and the page holds all of it. The
    /// slot is that of the first byte, the page that of the last: they agree only if it is one page.
    #[inline(always)]
    pub(crate) fn fast_read(&self, ea: u32, len: u32) -> Option<u64> {
        let entry = &self.fast.data[self.parts.data as usize % PARTS][data_slot(ea)];
        (entry.read == ea.wrapping_add(len - 1) & !0xFFF).then(|| entry.delta.wrapping_add(u64::from(ea)))
    }

    /// As [`Mmu::fast_read`], for a store.
    #[inline(always)]
    pub(crate) fn fast_write(&self, ea: u32, len: u32) -> Option<u64> {
        let entry = &self.fast.data[self.parts.data as usize % PARTS][data_slot(ea)];
        (entry.write == ea.wrapping_add(len - 1) & !0xFFF).then(|| entry.delta.wrapping_add(u64::from(ea)))
    }

    /// The code cache's number of the page that holds `ea`, if the table has it.
    #[inline(always)]
    pub(crate) fn fast_fetch(&self, ea: u32) -> Option<u32> {
        let entry = &self.fast.fetch[self.parts.fetch as usize % PARTS].entries[fetch_slot(ea)];
        (entry.tag == ea & !0xFFF).then_some(entry.code)
    }

    /// Records that the page that holds `ea` in the current fetch context is the code cache's page `code`.
    pub(crate) fn install_fetch(&mut self, ea: u32, code: u32) {
        if !self.bypass && !self.recording {
            let entry = &mut self.fast.fetch[self.parts.fetch as usize % PARTS].entries[fetch_slot(ea)];
            if entry.tag != INVALID && entry.tag != ea & !0xFFF {
                // Nobody will be told of the other one's end.
                self.fast.fetch_losses = self.fast.fetch_losses.wrapping_add(1);
            }
            *entry = FetchEntry { tag: ea & !0xFFF, code };
            self.fast.used |= 1 << self.parts.fetch;
        }
    }

    /// Forgets every fetch translation to the code cache's page `code`.
    pub(crate) fn forget_fetch(&mut self, code: u32) {
        self.fast.fetch_losses = self.fast.fetch_losses.wrapping_add(1);
        for context in bits(self.fast.used) {
            let part = &mut self.fast.fetch[context].entries;
            for entry in part.iter_mut().filter(|entry| entry.code == code) {
                entry.tag = INVALID;
            }
        }
    }

    /// Where the current parts lie in memory.
    #[inline]
    pub(crate) fn tables(&self) -> (usize, usize) {
        let selection = self.selection();
        if self.parts == selection.parts {
            return (selection.data_table, selection.fetch_table);
        }
        let (data, fetch) = self.parts();
        (data.as_ptr() as usize, fetch.as_ptr() as usize)
    }

    /// The current parts of the engine's table of data translations (empty without one) and of the fetch translations.
    fn parts(&self) -> (&[u64], &[FetchEntry]) {
        (
            self.fast.linear_part(self.parts.data as usize).unwrap_or(&[]),
            &self.fast.fetch[self.parts.fetch as usize % PARTS].entries,
        )
    }

    /// Keeps a table for an engine in `words`, which are zero: a part for each context, and one that stays empty.
    /// Everything that is known is forgotten.
    pub(crate) fn use_linear(&mut self, words: Vec<u64>) {
        let linear = Linear::new(words);
        self.invalidate_all();
        self.fast.linear = (linear.parts() > 1).then_some(linear);
        self.keep_books(self.pool());
    }

    /// Begins anew with other books.
    fn keep_books(&mut self, pool: Option<ShadowPool>) {
        self.invalidate_all();
        let contexts =
            self.fast.linear.as_ref().map_or(CONTEXTS, |linear| (linear.parts() - 1).min(CONTEXTS));
        self.shadow = Bookkeeping::new(pool, contexts);
        let Selection { fetch_mode, data_mode, key, .. } = *self.selection();
        for selection in &mut self.selections {
            selection.key = UNSELECTED;
        }
        let now = registers(fetch_mode, data_mode);
        let flag = |on: bool, bit: u32| if on { bit } else { 0 };
        let machine =
            flag(now.user, msr::PR) | flag(now.instruction_space, msr::IS) | flag(now.data_space, msr::DS);
        self.set_mode(now.pid, machine, key & SLOW_DATA != 0);
    }

    /// The pool of shadows, if there is one.
    pub(crate) fn pool(&self) -> Option<ShadowPool> {
        self.shadow.pool()
    }

    /// All words of the engine's table.
    pub(crate) fn linear_words(&self) -> &[u64] {
        self.fast.linear.as_ref().map_or(&[], Linear::words)
    }

    /// Keeps data pages from physical address `limit` on out of the table; the guest's physical address 0 lies at host
    /// address `base`. What is there is forgotten.
    pub(crate) fn set_limit(&mut self, limit: u64, base: u64) {
        (self.fast.limit, self.fast.base) = (limit, base);
        self.invalidate_all();
    }

    /// Translates through guest TLB and shadows; a RAM page that may be cached enters the table.
    pub(crate) fn resolve(&mut self, tlb: &Tlb, ea: u32, access: Access) -> Result<Resolved, Fault> {
        let (mode, context) = match access {
            Access::Fetch => (self.selection().fetch_mode, self.selection().fetch_context),
            Access::Load | Access::Store => (self.selection().data_mode, self.selection().data_context),
        };
        if self.bypass {
            let Translation { pa, attributes, size, .. } =
                tlb.translate(EffectiveAddress(ea), access, mode)?;
            let block = size.bytes().min(4096);
            return Ok(Resolved { pa: pa.0, attributes: attributes.0, block });
        }
        let allowed = |page: &ShadowPage| match access {
            Access::Fetch => page.executable,
            Access::Load => page.readable,
            Access::Store => page.writable,
        };
        let large = if self.fast.large_contexts >> context.0 & 1 == 0 {
            None
        } else {
            let mut pages = self.fast.large.iter();
            pages
                .find(|(held, page)| *held == context && page.contains(EffectiveAddress(ea)) && allowed(page))
        };
        let page = match large {
            Some((_, page)) if !self.recording => *page,
            _ => {
                let misses = if self.recording { self.shadow.stats().misses } else { 0 };
                let filled =
                    self.shadow.fill(tlb, context, mode, EffectiveAddress(ea), access, &mut self.fast);
                if self.recording {
                    self.record_access(ea, access, filled, misses);
                }
                filled?
            }
        };
        self.fast.install_piece(context, &page, ea);
        let pa = page.translate(EffectiveAddress(ea)).0;
        Ok(Resolved { pa, attributes: page.attributes.0, block: page.size.min(4096) })
    }

    /// Answers a miss of the engine's table from the guest's TLB, if nothing else is to be done. The common page, 4 KB of
    /// RAM in nobody's way, takes the shortest way.
    #[inline]
    pub(crate) fn refill(&mut self, tlb: &Tlb, ea: u32, store: bool) -> Refill {
        let Bookkeeping::Direct(shadow) = &mut self.shadow else { return Refill::Other };
        let part = self.parts.data as usize;
        let Some(linear) = &mut self.fast.linear else { return Refill::Other };
        if part == SLOW {
            return Refill::Other;
        }
        let selection = &self.selections[self.now as usize % SELECTIONS];
        let (mode, ctx) = (selection.data_mode, selection.data_context);
        let Some(index) = shadow.find(tlb, mode, EffectiveAddress(ea)) else { return Refill::Missed };
        // In words, as a whole entry would be read before its words have left the store buffer.
        let (word0, word1, word2) =
            (tlb.read_word(index, 0), tlb.read_word(index, 1), tlb.read_word(index, 2));
        let shift = if mode.user { 3 } else { 0 };
        let (read, write) = (TlbEntry::SR << shift, TlbEntry::SW << shift);
        let needed = if store { read | write } else { read };
        let pa = u64::from(word1 & 0xF) << 32 | u64::from(word1 & !0xFFF);
        if word0 & TlbEntry::SIZE != u32::from(PageSize::K4.code()) << TlbEntry::SIZE_SHIFT
            || word2 & (storage::E | storage::W | storage::I | needed) != needed
            || tlb.uses(PageSize::K1)
            || pa >= self.fast.limit
        {
            return self.refill_any(tlb, ea, store);
        }
        let write = word2 & write != 0;
        let code = is_code(&self.fast.code, pa);
        shadow.hold(ctx, index);
        linear.set(part, ea, pa.wrapping_add(self.fast.base), true, write && !code);
        self.fast.used |= 1 << part;
        if store && code { Refill::Other } else { Refill::Ready }
    }

    #[cold]
    fn refill_any(&mut self, tlb: &Tlb, ea: u32, store: bool) -> Refill {
        let access = if store { Access::Store } else { Access::Load };
        match self.resolve(tlb, ea, access) {
            Ok(_) => {
                let part = self.parts.data as usize;
                let answers = self.fast.linear.as_ref().is_some_and(|linear| linear.has(part, ea, store));
                if answers { Refill::Ready } else { Refill::Other }
            }
            Err(_) => Refill::Other,
        }
    }

    /// Brings the page of a data access that will come into the table, if the guest's TLB has it.
    #[inline]
    pub(crate) fn anticipate(&mut self, tlb: &Tlb, ea: u32, access: Access) {
        if !self.bypass && !self.recording {
            // A fault is found again, and delivered, by the access itself.
            if self.fast.linear.is_none() || self.refill(tlb, ea, access == Access::Store) == Refill::Other {
                let _ = self.resolve(tlb, ea, access);
            }
        }
    }

    #[cold]
    fn record_access(&mut self, ea: u32, access: Access, filled: Result<ShadowPage, Fault>, misses: u64) {
        let installed = self.shadow.stats().misses != misses;
        let (block, outcome) = match filled {
            Ok(page) => (page.size.min(4096), if installed { Outcome::Installed } else { Outcome::Hit }),
            Err(Fault::Miss) => (4096, Outcome::GuestMiss),
            Err(Fault::Protection) => (4096, Outcome::Protection),
        };
        if let Some(recorder) = &mut self.fast.recorder {
            recorder.access(ea, block, access, outcome);
        }
    }

    /// Records everything from now on.
    pub(crate) fn record(&mut self, tlb: &Tlb, sp: u32) {
        // A trace tells what a pool does.
        self.keep_books(Some(self.pool().unwrap_or_default()));
        let registers = registers(self.selection().fetch_mode, self.selection().data_mode);
        self.fast.recorder = Some(Box::new(Recorder::new(tlb, registers, sp)));
        self.recording = true;
        self.retag();
    }

    /// What was recorded since the last call.
    pub(crate) fn recorded(&mut self, tlb: &Tlb) -> Vec<u8> {
        self.fast.recorder.as_mut().map_or_else(Vec::new, |recorder| recorder.take(tlb))
    }

    /// Events that found no room.
    pub(crate) fn events_lost(&self) -> u64 {
        self.fast.recorder.as_ref().map_or(0, |recorder| recorder.lost())
    }

    /// Who shadows what.
    pub(crate) fn shadow(&self) -> &Bookkeeping {
        &self.shadow
    }

    #[inline(always)]
    pub(crate) fn tlbwe(&mut self, tlb: &mut Tlb, index: u8, ws: u8, value: u32, stid: u8) {
        if let Bookkeeping::Direct(shadow) = &mut self.shadow {
            // What is recorded is in a pool.
            shadow.tlbwe(tlb, index, ws, value, stid, &mut self.fast);
        } else {
            self.tlbwe_pooled(tlb, index, ws, value, stid);
        }
    }

    /// tlbwe of a word that is not word 0 into an entry that no table has anything of. False, with nothing done, if it is
    /// another.
    #[inline(always)]
    pub(crate) fn rewrite(&mut self, tlb: &mut Tlb, index: u8, ws: u8, value: u32) -> bool {
        match &mut self.shadow {
            Bookkeeping::Direct(shadow) => shadow.rewrite(tlb, index, ws, value),
            Bookkeeping::Pool(..) => false,
        }
    }

    #[inline(never)]
    fn tlbwe_pooled(&mut self, tlb: &mut Tlb, index: u8, ws: u8, value: u32, stid: u8) {
        if let Some(recorder) = &mut self.fast.recorder {
            recorder.write(index, ws, value, stid);
        }
        self.shadow.tlbwe(tlb, index, ws, value, stid, &mut self.fast);
    }

    /// Goes up whenever fetch translations are taken back.
    #[inline]
    pub(crate) fn fetch_losses(&self) -> u32 {
        self.fast.fetch_losses
    }

    pub(crate) fn set_entry(&mut self, tlb: &mut Tlb, index: u8, entry: TlbEntry) {
        if let Some(recorder) = &mut self.fast.recorder {
            recorder.write_entry(index, entry);
        }
        self.shadow.set_entry(tlb, index, entry, &mut self.fast);
    }

    pub(crate) fn invalidate_all(&mut self) {
        if let Some(recorder) = &mut self.fast.recorder {
            recorder.invalidated();
        }
        self.shadow.invalidate_all(&mut self.fast);
    }

    /// Tells the policy where the guest runs: worth calling before what may be a fill.
    #[inline]
    pub(crate) fn hint(&mut self, pc: u32, sp: u32) {
        self.shadow.hint(pc, sp);
        if let Some(recorder) = &mut self.fast.recorder {
            recorder.set_stack(sp);
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.shadow.stats()
    }

    /// Whether decoded code of the RAM page at `pa` is held.
    pub(crate) fn is_code_page(&self, pa: u64) -> bool {
        self.fast.is_code(pa)
    }

    /// Marks the RAM page at `pa` as holding decoded code, or not. False if it lies too high to be marked.
    pub(crate) fn mark_code(&mut self, tlb: &Tlb, pa: u64, held: bool) -> bool {
        let page = pa >> 12;
        if page >= CODE_PAGES {
            return false;
        }
        let (word, bit) = ((page >> 6) as usize, 1 << (page & 63));
        if word >= self.fast.code.len() {
            self.fast.code.resize(word + 1, 0);
        }
        if held {
            self.fast.code[word] |= bit;
            // Stores to it must be seen from now on.
            self.fast.protect(tlb, pa & !0xFFF);
        } else {
            self.fast.code[word] &= !bit;
        }
        true
    }
}

/// What the two modes say of PID and MSR.
fn registers(fetch: Mode, data: Mode) -> Registers {
    Registers {
        pid: data.pid,
        instruction_space: fetch.address_space,
        data_space: data.address_space,
        user: data.user,
    }
}
