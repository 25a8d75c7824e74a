//! For engines that translate guest code into host code and run it on a [`Core`]'s own registers and tables: where
//! those lie in memory, and the driver's bookkeeping in steps. Nothing here executes translated code; the offsets are
//! plain numbers.
//!
//! The protocol: translated code counts instructions by itself. Before it calls anything on the core, it says where it
//! is with [`Core::arrive`]; what an instruction's semantics returned goes to [`Core::complete`]; then the core's
//! registers are exact, and [`Core::wants_sample`] tells whether the driver must go through [`Core::sample`] before
//! the next instruction.

use alloc::vec::Vec;

use mmu_core::Access;

use crate::bits::{esr, mmucr, msr, storage};
use crate::bus::Bus;
use crate::core::{Core, Flow, Stop};
use crate::exception::Interrupt;
use crate::exec;
use crate::mmu::{FETCH, FetchEntry, FetchPart, Refill, Selection, linear};
use crate::op::Op;

/// Where [`Core::registers`] begins in a [`Core`], in bytes.
pub const STATE_OFFSET: usize = core::mem::offset_of!(Core, state);

/// The table of data translations of the current context: a `u64` for each page of the effective address space. It is 0
/// where an access must take the slow way, else the page's effective address minus its host address, so that an
/// effective address minus it is the host address, with a borrow.
pub mod data_table {
    use super::linear;

    /// Words of one context: those for loads, then, at [`STORES`], those for stores. What may be stored to may be loaded from, too.
    pub const PART: usize = linear::PART;
    /// Offset in bytes of the words for stores.
    pub const STORES: usize = linear::STORES * 8;
}

/// The table of fetch translations of the current context: a `u32` effective page address, then a `u32` that the
/// engine chose, here always the physical page number.
pub mod fetch_table {
    use super::FETCH;

    /// Entries of 8 bytes; a power of two.
    pub const ENTRIES: usize = FETCH;
}

/// What the core remembers of the contexts that PID and MSR selected lately: a table in the [`Core`] itself, so that
/// translated code can change PID where the new selection is known.
///
/// A key is PID, with MSR\[PR\] in bit 22, MSR\[IS, DS\] in bits 13 and 12, and bit 8 set while every data access must
/// take the slow path. Its place is `(key ^ key >> 19) % COUNT`. To select: copy the 8 bytes at [`PARTS`] to
/// [`NOW_PARTS`], store the number of the place at [`NOW`], and use the two tables.
///
/// [`PARTS`]: selection::PARTS
/// [`NOW`]: selection::NOW
/// [`NOW_PARTS`]: selection::NOW_PARTS
pub mod selection {
    use super::{Core, Selection};
    use core::mem::offset_of;

    /// Entries of the table.
    pub const COUNT: usize = crate::mmu::SELECTIONS;

    /// Offset of the table in a [`Core`].
    pub const TABLE: usize = offset_of!(Core, mmu.selections);
    /// Bytes of an entry.
    pub const SIZE: usize = size_of::<Selection>();
    /// Offset of the `u32` key in an entry.
    pub const KEY: usize = offset_of!(Selection, key);
    /// Offset of 8 bytes that the core uses itself.
    pub const PARTS: usize = offset_of!(Selection, parts);
    /// Offset of the address of the [data table](super::data_table).
    pub const DATA_TABLE: usize = offset_of!(Selection, data_table);
    /// Offset of the address of the [fetch table](super::fetch_table).
    pub const FETCH_TABLE: usize = offset_of!(Selection, fetch_table);
    /// Offset in a [`Core`] of the `u32` number of the selected place.
    pub const NOW: usize = offset_of!(Core, mmu.now);
    /// Offset in a [`Core`] of the selected 8 bytes.
    pub const NOW_PARTS: usize = offset_of!(Core, mmu.parts);
}

/// Offset in a [`Core`] of the `u32` with the attention bits that matter now. Clearing MSR\[EE\] clears
/// [`EXT`](crate::bus::attention::EXT) in it and does nothing else; setting EE is the core's affair.
pub const ATTENTION_MASK: usize = core::mem::offset_of!(Core, attention_mask);

/// For engines that do tlbwe of words 1 and 2 in generated code, by the rules of [`mmu_core::layout`]: offsets in a [`Core`],
/// and what there is to forget.
///
/// If the byte at [`POOLED`](tlb_writes::POOLED) is not 0, or if the page is larger than 4 KB, a context's bit is set at
/// [`LARGE_CONTEXTS`](tlb_writes::LARGE_CONTEXTS), or the context fetches from the page, the core must do it. Else the page is
/// forgotten by writing 0 to its two words in the context's part of the data table and by adding 1 to [`DATA_LOSSES`].
pub mod tlb_writes {
    use super::{Core, FetchPart};
    use core::mem::offset_of;

    /// The TLB.
    pub const TLB: usize = offset_of!(Core, tlb);
    /// The address of the books.
    pub const BOOKS: usize = offset_of!(Core, mmu.shadow.direct);
    /// A byte: they are not used.
    pub const POOLED: usize = offset_of!(Core, mmu.shadow.pooled);
    /// A `u64` with a bit for each context that has pages above 4 KB.
    pub const LARGE_CONTEXTS: usize = offset_of!(Core, mmu.fast.large_contexts);
    /// The address of what contexts fetch: for each context [`FETCH_PART`] bytes, in which the
    /// [fetch table](super::fetch_table) begins at [`FETCH_TABLE`].
    pub const FETCH: usize = offset_of!(Core, mmu.fast.fetch);
    /// Bytes.
    pub const FETCH_PART: usize = size_of::<FetchPart>();
    /// Bytes.
    pub const FETCH_TABLE: usize = offset_of!(FetchPart, entries);
}

/// Offset in a [`Core`] of a `u32` that changes whenever words of the [`data_table`], other than 0, change: what was read from
/// it for one context holds for as long as this stays.
pub const DATA_LOSSES: usize = core::mem::offset_of!(Core, mmu.fast.data_losses);

/// What follows from PC, MSR, PID and the timers' registers where an interrupt begins or ends: remembered by engines, so that it
/// need not be found out each time.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pc: u32,
    msr: u32,
    tcr: u32,
    tsr: u32,
    pid: u32,
    /// What is selected: the place in the table of selections, and the key there.
    slot: u32,
    key: u32,
    losses: u32,
    attention_mask: u32,
}

impl Arrival {
    /// Nothing that is remembered: no program counter is odd.
    pub const NONE: Self =
        Self { pc: 1, msr: 0, tcr: 0, tsr: 0, pid: 0, slot: 0, key: 0, losses: 0, attention_mask: 0 };
}

const _: () = assert!(
    core::mem::offset_of!(FetchEntry, tag) == 0
        && core::mem::offset_of!(FetchEntry, code) == 4
        && size_of::<FetchEntry>() == 8
);

impl Core {
    /// Addresses of the current data and fetch tables (see [`data_table`], [`fetch_table`]). They change with the
    /// context, that is with PID and MSR, and hold as long as the core is not dropped.
    #[must_use]
    #[inline]
    pub fn tables(&self) -> (*const u8, *const u8) {
        let (data, fetch) = self.mmu.tables();
        (core::ptr::with_exposed_provenance(data), core::ptr::with_exposed_provenance(fetch))
    }

    /// Keeps a [`data_table`] in `words`, which must all be 0: one [`PART`](data_table::PART) for each context, and one
    /// that stays empty; with less than three parts there is no table. There are 63 contexts at most. To be called
    /// before [`Core::tables`].
    pub fn use_data_table(&mut self, words: Vec<u64>) {
        self.mmu.use_linear(words);
    }

    /// The memory given to [`Core::use_data_table`], of which little is ever touched: worth telling the system, lest it
    /// make large pages of it.
    #[must_use]
    pub fn data_table(&self) -> &[u64] {
        self.mmu.linear_words()
    }

    /// Keeps data translations at and above physical address `limit` out of the data table; the guest's physical
    /// address 0 lies at host address `base`, above 4 GB.
    pub fn limit_data_table(&mut self, limit: u64, base: u64) {
        self.mmu.set_limit(limit, base);
    }

    /// The core is at the instruction `pc`, in a straight line that began at `start` when `retired` instructions had
    /// retired.
    #[inline(always)]
    pub fn arrive(&mut self, pc: u32, start: u32, retired: u64) {
        if self.retired != retired {
            // Something completed since the last exception.
            self.chain = 0;
        }
        self.state.pc = pc;
        self.seq_pc = start;
        self.retired = retired;
    }

    /// Goes on after the instruction at `pc` returned `flow`: `pc` and the count of retired instructions are exact
    /// afterwards.
    pub fn complete(&mut self, flow: Flow) {
        self.finish(flow);
        self.account();
    }

    /// Says that the core may take asynchronous interrupts where it stands (a branch, or a page was crossed).
    #[inline]
    pub fn at_sampling_point(&mut self) {
        self.at_boundary = true;
    }

    /// Whether the core may take asynchronous interrupts where it stands and has not looked yet.
    #[must_use]
    #[inline]
    pub fn sampling(&self) -> bool {
        self.at_boundary
    }

    /// Whether exceptions follow each other for ever.
    #[must_use]
    #[inline]
    pub fn fatal(&self) -> bool {
        self.is_fatal()
    }

    /// Makes the count of retired instructions exact at `pc`.
    #[inline]
    pub fn settle(&mut self) {
        self.account();
    }

    /// Whether clock and pins must be looked at before the next instruction.
    #[must_use]
    #[inline]
    pub fn wants_sample<B: Bus>(&self, bus: &B) -> bool {
        self.at_boundary && (self.retired >= self.check_at || bus.attention() & self.attention_mask != 0)
    }

    /// Whether pins that matter now are asserted.
    #[must_use]
    #[inline]
    pub fn wants_attention<B: Bus>(&self, bus: &B) -> bool {
        bus.attention() & self.attention_mask != 0
    }

    /// The look at clock and pins; `self_loop` if the instruction at `pc` branches to itself. The next one is at most
    /// `limit` instructions away.
    pub fn sample<B: Bus>(&mut self, bus: &mut B, self_loop: bool, limit: u64) -> Option<Stop> {
        self.boundary(bus, self_loop, limit)
    }

    /// For a guest that only looks at the clock until `ticks` more have passed: sleeps for most of that time, unless it
    /// is short, or something wants attention or becomes due before. Never under icount, where time is what the guest
    /// executes. Returns whether it slept.
    pub fn wait<B: Bus>(&mut self, bus: &mut B, ticks: u32) -> bool {
        // Waking up takes the host about as long as a guest of some 100 MHz takes for this.
        const MARGIN: u64 = 1 << 15;
        if self.icount || u64::from(ticks) < 2 * MARGIN || self.wants_attention(bus) {
            return false;
        }
        let now = bus.now();
        let until = (now + u64::from(ticks) - MARGIN).min(self.timers.next(self.state.tcr));
        if until <= now {
            return false;
        }
        bus.idle(until);
        true
    }

    /// At a sampling point at `pc`, with everything accounted: goes on without a look at clock and pins, if no pin is asserted
    /// and nothing else must be done first. False, with nothing done, if not. The clock is the caller's affair, and so is
    /// [`Core::needs_stepping`].
    #[must_use]
    #[inline(always)]
    pub fn pass<B: Bus>(&mut self, bus: &B) -> bool {
        let passes =
            bus.attention() & self.attention_mask == 0 && !self.is_fatal() && self.code_writes.is_empty();
        if passes {
            self.at_boundary = false;
        }
        passes
    }

    /// Ends the sampling point, unless exceptions follow each other for ever: then says which.
    #[inline]
    pub fn leave_sampling_point(&mut self) -> Option<Interrupt> {
        self.at_boundary = false;
        self.is_fatal().then_some(self.chain_interrupt)
    }

    /// Number of retired instructions at which the clock must be looked at, at a sampling point.
    #[must_use]
    #[inline]
    pub fn next_sample(&self) -> u64 {
        self.check_at
    }

    /// Whether every instruction must go through [`Core::execute`]: debug events are on, or the reset entry is in
    /// place.
    #[must_use]
    #[inline]
    pub fn needs_stepping(&self) -> bool {
        self.debugging() || self.state.reset_entry != 0
    }

    /// Executes the instruction at `pc` without translated code; the caller completes it.
    pub fn execute<B: Bus>(&mut self, bus: &mut B) -> Flow {
        self.execute_one(bus)
    }

    /// Executes instructions from RAM page number `page`, where `pc` lies, as long as each goes on with the next word of the
    /// page; returns what the last one returned, which the caller completes. For code that is not worth translating.
    pub fn execute_line<B: Bus>(&mut self, bus: &mut B, page: u32) -> Flow {
        loop {
            let pc = self.state.pc;
            let Some(word) = bus.load_u32(u64::from(page) << 12 | u64::from(pc & 0xFFC)) else {
                return self.execute_one(bus);
            };
            let flow = exec::decode::<B>(word)(self, bus, Op::new(word));
            if flow != Flow::Next || pc & 0xFFC == 0xFFC {
                return flow;
            }
            self.state.pc = pc.wrapping_add(4);
        }
    }

    /// Number (physical address / 4096) of the RAM page from which `pc` is fetched, if its code may be cached: not on
    /// a 1 KB or little-endian page, nor outside RAM, and the fetch does not fault. The page is marked as holding
    /// code.
    #[inline]
    pub fn code_page<B: Bus>(&mut self, bus: &B, pc: u32) -> Option<u32> {
        match self.mmu.fast_fetch(pc) {
            Some(page) => Some(page),
            None => self.code_page_slow(bus, pc),
        }
    }

    #[cold]
    fn code_page_slow<B: Bus>(&mut self, bus: &B, pc: u32) -> Option<u32> {
        let at = self.mmu.resolve(&self.tlb, pc, Access::Fetch).ok()?;
        if at.block < 4096 || at.attributes & storage::E != 0 {
            return None;
        }
        bus.load_u32(at.pa & !0xFFF)?;
        bus.load_u32(at.pa | 0xFFC)?;
        if !self.mmu.is_code_page(at.pa) && !self.mmu.mark_code(&self.tlb, at.pa, true) {
            return None;
        }
        let page = (at.pa >> 12) as u32;
        self.mmu.install_fetch(pc, page);
        Some(page)
    }

    /// No code of RAM page number `page` is held any more: stores to it are no longer told.
    pub fn forget_code_page(&mut self, page: u32) {
        self.mmu.mark_code(&self.tlb, u64::from(page) << 12, false);
        self.mmu.forget_fetch(page);
    }

    /// Looks for the guest's TLB entry that translates a load or store at `ea` that the data table does not answer: for
    /// [`Core::refill`]. `Ok(None)` if there is none, so that the access is a data TLB error; `Err` if its semantics must tell.
    #[expect(clippy::result_unit_err, reason = "There is nothing more to say")]
    #[inline(always)]
    pub fn find_data(&mut self, ea: u32) -> Result<Option<u8>, ()> {
        self.mmu.find_data(&self.tlb, ea)
    }

    /// Brings the page of a load or store of `len` bytes at `ea`, which guest entry `index` translates, into the data table.
    /// Whether the table answers the access now.
    #[inline]
    pub fn refill(&mut self, index: u8, ea: u32, len: u32, store: bool) -> bool {
        self.mmu.refill_from(&self.tlb, index, ea, store) == Refill::Ready && (ea & 0xFFF) + len <= 4096
    }

    /// First half of the data TLB error of the access at `ea` by the instruction at `pc`, with this ESR, when `retired`
    /// instructions had retired: everything but the new MSR, which is returned and is to be set by [`Core::set_msr_as`] or
    /// [`Core::set_msr_anew`].
    #[inline(always)]
    pub fn begin_data_tlb_error(&mut self, pc: u32, retired: u64, ea: u32, cause: u32) -> u32 {
        if self.retired != retired {
            // Something completed since the last exception.
            self.chain = 0;
        }
        self.retired = retired;
        self.missed = Some((pc, ea, cause & esr::ST != 0));
        self.begin_interrupt(Interrupt::DataTlb, Some(cause), Some(ea), pc)
    }

    /// First half of rfi in supervisor state, as the `retired`-th instruction: everything but the new MSR, which is returned
    /// and is to be set by [`Core::set_msr_as`] or [`Core::set_msr_anew`].
    #[inline(always)]
    pub fn begin_return_from_interrupt(&mut self, retired: u64) -> u32 {
        let [pc, msr] = self.state.srr;
        (self.state.pc, self.seq_pc) = (pc & !3, pc & !3);
        self.retired = retired;
        self.chain = 0;
        self.context_synchronize();
        msr & msr::ALL
    }

    /// Sets MSR as it was found to be set at an [`Arrival`] at the same place. False, with nothing done, if it must be found
    /// out anew, by [`Core::set_msr_anew`].
    #[inline(always)]
    pub fn set_msr_as(&mut self, msr: u32, arrival: &Arrival) -> bool {
        let s = &self.state;
        let known = s.pc == arrival.pc
            && msr == arrival.msr
            && s.pid == arrival.pid
            && (s.tcr, s.tsr) == (arrival.tcr, arrival.tsr)
            && self.waiting_exceptions() == 0
            && self.mmu.select_as(arrival.slot, arrival.key, arrival.losses);
        if known {
            self.state.msr = msr;
            self.attention_mask = arrival.attention_mask;
            (self.debug_pending, self.float_pending) = (false, false);
        }
        known
    }

    /// Sets MSR, with everything that follows from it.
    #[inline(never)]
    pub fn set_msr_anew(&mut self, msr: u32) {
        self.set_msr(msr);
    }

    /// What is to be remembered for [`Core::set_msr_as`] of the place where the core is; `None` if more must be looked at there
    /// than what is remembered.
    #[must_use]
    pub fn arrival(&self) -> Option<Arrival> {
        let Self { state: s, attention_mask, .. } = self;
        let (slot, key) = self.mmu.known_selection()?;
        let losses = self.mmu.fetch_losses();
        let (pc, msr, tcr, tsr, pid, attention_mask) = (s.pc, s.msr, s.tcr, s.tsr, s.pid, *attention_mask);
        self.nothing_pending().then_some(Arrival {
            pc,
            msr,
            tcr,
            tsr,
            pid,
            slot,
            key,
            losses,
            attention_mask,
        })
    }

    /// tlbwe in supervisor state: word `ws` (0 to 2) of entry `index` (modulo 64) <- `value`.
    #[inline]
    pub fn write_tlb(&mut self, index: u32, ws: u8, value: u32) {
        let stid = (self.state.mmucr & mmucr::STID) as u8;
        self.mmu.tlbwe(&mut self.tlb, (index & 63) as u8, ws, value, stid);
    }

    /// The short way of [`Core::write_tlb`] for what miss handlers write most; false if a page may be fetched from elsewhere now.
    /// `None`, with nothing done, for everything else.
    #[inline(always)]
    pub fn write_tlb_common(&mut self, index: u32, ws: u8, value: u32) -> Option<bool> {
        let stid = (self.state.mmucr & mmucr::STID) as u8;
        let losses = self.mmu.fetch_losses();
        let done = self.mmu.tlbwe_common(&mut self.tlb, (index & 63) as u8, ws, value, stid);
        done.then(|| self.mmu.fetch_losses() == losses)
    }

    /// Whether the page that holds `pc` is still fetched from RAM page number `page` in the current context, as far as
    /// the fetch table knows.
    #[must_use]
    #[inline]
    pub fn still_fetches(&self, pc: u32, page: u32) -> bool {
        self.mmu.fast_fetch(pc) == Some(page)
    }

    /// Ranges of held code that were written (physical address, bytes); the engine takes them and drops its copies
    /// before the next instruction.
    #[inline]
    pub fn written_code(&mut self) -> &mut Vec<(u64, u32)> {
        &mut self.code_writes
    }
}
