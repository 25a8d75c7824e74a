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
    Access, ContextId, EffectiveAddress, Fault, Mode, PageSize, ShadowPage, Stats, Tlb, TlbEntry, Translation,
};

use crate::bits::{msr, storage};
use crate::options::ShadowPool;
use crate::record::{Recorder, Registers};

/// What became of an attempt to bring a page into the engine's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refill {
    /// The table answers the access now.
    Ready,
    /// No entry of the guest's TLB matches.
    Missed,
    /// The access must be looked at.
    Other,
}

mod bookkeeping;
pub(crate) mod linear;
mod tables;

pub(crate) use bookkeeping::Bookkeeping;
use linear::Linear;
use tables::{
    CODE_PAGES, CONTEXTS, DATA, DataEntry, Fast, INVALID, PARTS, SLOW, bits, data_slot, fetch_slot, is_code,
};
pub(crate) use tables::{FETCH, FetchEntry, FetchPart, POOL};

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
    pub(crate) shadow: Bookkeeping,
    pub(crate) fast: Fast,
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
                data_losses: 0,
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
        if self.slow_data != slow_data {
            self.slow_data = slow_data;
            // What engines remember of selections is over.
            self.fast.fetch_losses = self.fast.fetch_losses.wrapping_add(1);
        }
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

    /// Selects what is remembered in this slot, if it still has this key and no fetch translation was taken back since there
    /// were so many losses. False, with nothing done, if not.
    #[inline(always)]
    pub(crate) fn select_as(&mut self, slot: u32, key: u32, losses: u32) -> bool {
        let selection = &self.selections[slot as usize % SELECTIONS];
        let known = selection.key == key && self.fast.fetch_losses == losses;
        if known {
            (self.now, self.parts) = (slot, selection.parts);
        }
        known
    }

    /// What is selected, as [`Mmu::select_as`] wants it; `None` if it is not what goes on.
    pub(crate) fn known_selection(&self) -> Option<(u32, u32)> {
        (!self.bypass && !self.recording).then(|| (self.now, self.selection().key))
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
        if self.recording || self.shadow.stats().recycled_contexts != recycled {
            for selection in &mut self.selections {
                selection.key = UNSELECTED;
            }
        }
        // Whoever takes a selection over by himself must not come past the record.
        let data = if slow_data || self.recording { SLOW } else { usize::from(data_context.0) };
        let fetch = if self.recording { SLOW } else { usize::from(fetch_context.0) };
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
        self.fast.linear = (linear.parts() > 2).then_some(linear);
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
        // The engine's table tells host addresses by lying above all effective ones.
        let reachable = self.fast.linear.is_none() || base >= 1 << 32;
        (self.fast.limit, self.fast.base) = (if reachable { limit } else { 0 }, base);
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

    /// Looks for the guest's TLB entry that translates a data access that the engine's table does not answer. `Err` if the
    /// books are not kept so that the engine may do this itself.
    #[inline(always)]
    pub(crate) fn find_data(&mut self, tlb: &Tlb, ea: u32) -> Result<Option<u8>, ()> {
        let Some(shadow) = self.shadow.direct() else { return Err(()) };
        if self.parts.data as usize == SLOW {
            return Err(());
        }
        let mode = self.selections[self.now as usize % SELECTIONS].data_mode;
        Ok(shadow.find(tlb, mode, EffectiveAddress(ea)))
    }

    /// Brings the page at `ea` into the engine's table from guest entry `index`, which [`Mmu::find_data`] found. The common
    /// page, 4 KB of RAM in nobody's way, takes the shortest way.
    #[inline(always)]
    pub(crate) fn refill_from(&mut self, tlb: &Tlb, index: u8, ea: u32, store: bool) -> Refill {
        let Some(shadow) = self.shadow.direct() else { return Refill::Other };
        let Some(linear) = &mut self.fast.linear else { return Refill::Other };
        let part = self.parts.data as usize;
        let Selection { data_mode, data_context, .. } = &self.selections[self.now as usize % SELECTIONS];
        let (size, pa, word2) = tlb.gives(index);
        let pa = pa.0;
        let allowed = if data_mode.user { word2 >> 3 } else { word2 };
        let needed = if store { TlbEntry::SR | TlbEntry::SW } else { TlbEntry::SR };
        let special = word2 & (storage::E | storage::W | storage::I);
        if special | !allowed & needed != 0
            || size != PageSize::K4
            || tlb.uses(PageSize::K1)
            || pa >= self.fast.limit
        {
            return self.refill_any(tlb, ea, store);
        }
        let code = is_code(&self.fast.code, pa);
        shadow.hold(*data_context, index);
        let write = allowed & TlbEntry::SW != 0 && !code;
        if linear.set(part, ea, pa.wrapping_add(self.fast.base), true, write) {
            self.fast.used |= 1 << part;
        }
        if store && code { Refill::Other } else { Refill::Ready }
    }

    /// Answers a miss of the engine's table from the guest's TLB, if nothing else is to be done.
    #[inline(always)]
    fn refill(&mut self, tlb: &Tlb, ea: u32, store: bool) -> Refill {
        match self.find_data(tlb, ea) {
            Ok(Some(index)) => self.refill_from(tlb, index, ea, store),
            Ok(None) => Refill::Missed,
            Err(()) => Refill::Other,
        }
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
    #[inline(always)]
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
        self.recording = true;
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
        if let Some(shadow) = self.shadow.direct() {
            // What is recorded is in a pool.
            shadow.tlbwe(tlb, index, ws, value, stid, &mut self.fast);
        } else {
            self.tlbwe_pooled(tlb, index, ws, value, stid);
        }
    }

    /// The short way of [`Mmu::tlbwe`] for the most common writes. False, with nothing done, for every other.
    #[inline(always)]
    pub(crate) fn tlbwe_common(&mut self, tlb: &mut Tlb, index: u8, ws: u8, value: u32, stid: u8) -> bool {
        match self.shadow.direct() {
            Some(shadow) => shadow.tlbwe_common(tlb, index, ws, value, stid, &mut self.fast),
            None => false,
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
