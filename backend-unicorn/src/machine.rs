//! What Unicorn's callbacks work on: the core, its bus, and the bookkeeping of pages and blocks.
//!
//! [`Machine`] answers two questions while Unicorn executes. May this block be executed natively (see
//! [`crate::scan`]), within what is left of the budget and with no interrupt waiting? And what does this page translate
//! to? A page that needs any care (little endian, 1 KB, cache inhibited, a device, above 4 GB, code that would be
//! written) is simply refused: the instruction then has no effect and the core executes it.

use mmu_core::{Access, EffectiveAddress, Mode, PageSize, TlbEntry};
use ppc440_core::bits::{ccr0, dbcr0, mmucr, msr};
use ppc440_core::bus::{Bus, attention};
use ppc440_core::interp::Interpreter;

use crate::pages::{Block, Pages, StoreTo};
use crate::scan::{self, NATIVE, XER};
use crate::uc::{Hooks, Page, Wants};
use crate::watch::WatchedBus;

/// Entries of the table of known native blocks that the block hook looks into first.
const HOT: usize = 4096;
/// Entries of the table from pages to code numbers that the block hook looks into.
const FETCHES: usize = 256;
/// TLB entries.
const ENTRIES: usize = 64;
/// Instructions without a PID write after which pages of one PID are handed out in supervisor state too: each PID
/// write then costs a flush, and Linux with KUAP writes PID around every access to user memory.
const STABLE_PID: u64 = 200_000;
/// Translations that may be spent ahead of earnings.
const CREDIT_LIMIT: i64 = 4000 * CREDIT_PER_BLOCK;
/// Instructions' worth of one translated block: interpreted instructions earn one each, native ones the same. So
/// translating never takes more than a fixed share of the time.
pub(crate) const CREDIT_PER_BLOCK: i64 = 4000;

/// Why the block hook stopped the execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// Budget, slice, or something waits for the core's attention.
    Look,
    /// The block is for the core.
    Foreign,
    /// The block was translated just now, and there is no credit for going on into unknown code.
    Credit,
}

/// Why a page was refused, or what must happen before the execution goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The core executes the instruction.
    Core,
    /// The page was handed out writable and is to be executed: flush and go on.
    Flush,
    /// Too many pages hold code: drop all of it and go on.
    Full,
    /// As `Core`, and code of the page at this address is to be dropped: it is data now.
    DropCode(u32),
}

/// What was executed when Unicorn stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retired {
    pub(crate) instructions: u64,
    /// How many of them in a block that was not finished, right before PC.
    pub(crate) partial: u32,
    /// Flags of all blocks.
    pub(crate) flags: u16,
    /// Flags of the blocks that were executed to their end.
    pub(crate) finished: u16,
}

/// Counters for `info stats`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) native: u64,
    pub(crate) entries: u64,
    pub(crate) translated: u64,
    pub(crate) fills: u64,
    pub(crate) refused: u64,
    pub(crate) flushes: u64,
    pub(crate) code_drops: u64,
    pub(crate) trapped: u64,
    pub(crate) foreign: u64,
    pub(crate) xer_moves: u64,
}

/// The guest's mode for which one of Unicorn's two contexts holds translations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Context {
    fetch: Mode,
    data: Mode,
    /// Some page of it came from an entry with a TID.
    tagged: bool,
}

/// A native block by its address, as long as nothing is flushed.
#[derive(Clone, Copy, Debug, Default)]
struct Hot {
    /// Address, context and epoch, see [`Machine::hot_tag`]; 0 matches nothing.
    tag: u64,
    bytes: u32,
    flags: u16,
}

pub(crate) struct Machine {
    pub(crate) interpreter: Interpreter<WatchedBus>,
    pub(crate) bus: WatchedBus,
    pub(crate) pages: Pages,
    pub(crate) counters: Counters,
    /// Translations since the last flush; a number that grows with each.
    epoch: u32,
    contexts: [Context; 2],
    /// 0 for supervisor state, 1 for problem state.
    context: usize,
    /// TLB entries of which pages were handed out in this epoch.
    handed: u64,
    /// The TLB as it was when Unicorn last executed.
    tlb: [TlbEntry; ENTRIES],
    /// 1 KB pages are in it.
    small_pages: bool,
    /// Pages handed out writable in this epoch.
    writable: Vec<u32>,
    /// (page and context, code number) by page.
    fetches: Box<[(u32, u32); FETCHES]>,
    hot: Box<[Hot; HOT]>,
    pid: u32,
    pid_since: u64,
    /// What Unicorn executes is our own code, and its pages are physical pages.
    pub(crate) own_code: bool,
    /// Attention bits that end the execution.
    attention: u32,
    /// Instructions that may be executed.
    limit: u64,
    /// What is left of them after the block that is being executed.
    left: u64,
    /// That block; 0 bytes where there is none.
    block_pc: u32,
    block_bytes: u32,
    block_flags: u16,
    /// Flags of the blocks that were executed to their end.
    flags: u16,
    pub(crate) halt: Halt,
    pub(crate) refusal: Refusal,
    refused_fetch: bool,
    pub(crate) credit: i64,
}

impl Machine {
    pub(crate) fn new(interpreter: Interpreter<WatchedBus>, bus: WatchedBus) -> Self {
        Self {
            interpreter,
            bus,
            pages: Pages::default(),
            counters: Counters::default(),
            epoch: 1,
            contexts: [Context::default(); 2],
            context: 0,
            handed: 0,
            tlb: [TlbEntry::EMPTY; ENTRIES],
            small_pages: false,
            writable: Vec::new(),
            fetches: Box::new([(0, 0); FETCHES]),
            hot: Box::new([Hot::default(); HOT]),
            pid: 0,
            pid_since: 0,
            own_code: false,
            attention: 0,
            limit: 0,
            left: 0,
            block_pc: 0,
            block_bytes: 0,
            block_flags: 0,
            flags: 0,
            halt: Halt::Look,
            refusal: Refusal::Core,
            refused_fetch: false,
            credit: CREDIT_LIMIT / 16,
        }
    }

    /// Whether the state is one in which Unicorn may execute at all: no debug events, no forced alignment checks, no
    /// reset entry, no user cache locks, not waiting.
    pub(crate) fn is_native_state(&self) -> bool {
        let core = self.interpreter.core();
        let s = core.registers();
        // An interrupt may be due right here, such as a floating-point exception that was enabled late.
        !(core.sampling() && core.interrupt_is_due())
            && s.msr & msr::WE == 0
            && s.dbcr[0] & dbcr0::EVENTS == 0
            && s.ccr[0] & ccr0::FLSTA == 0
            && s.reset_entry == 0
            && s.mmucr & (mmucr::DULXE | mmucr::IULXE) == 0
    }

    /// Brings what Unicorn may believe up to the core's TLB and mode. True if its translations must be flushed first.
    pub(crate) fn prepare(&mut self) -> bool {
        let core = self.interpreter.core();
        let mut flush = false;
        for index in 0..ENTRIES as u8 {
            let entry = core.tlb().entry(index);
            let seen = &mut self.tlb[usize::from(index)];
            if *seen != entry {
                *seen = entry;
                // Where entries overlap the lowest index wins: a new one may take pages from those handed out.
                flush |= self.handed & (1 << index) != 0 || self.handed & core.tlb().overlaps(index) != 0;
                self.small_pages |= entry.valid() && entry.size() == Some(PageSize::K1);
            }
        }
        let s = core.registers();
        let user = s.msr & msr::PR != 0;
        if s.pid != self.pid {
            self.pid = s.pid;
            self.pid_since = core.retired();
        }
        let mode = |space| Mode { pid: s.pid as u8, address_space: s.msr & space != 0, user };
        let now = Context { fetch: mode(msr::IS), data: mode(msr::DS), tagged: false };
        self.context = usize::from(user);
        let held = &mut self.contexts[self.context];
        if (now.fetch, now.data) != (held.fetch, held.data) {
            // Pages with TID 0 outlive a change of the PID alone.
            let only_pid = Mode { pid: 0, ..now.fetch } == Mode { pid: 0, ..held.fetch }
                && Mode { pid: 0, ..now.data } == Mode { pid: 0, ..held.data };
            flush |= held.tagged || !only_pid;
            (held.fetch, held.data) = (now.fetch, now.data);
        }
        // A page that the interpreter has begun to execute from must not be written unseen any more.
        flush |= self.writable.iter().any(|&pa| core.holds_code(u64::from(pa)));
        let mut mask = attention::RESET | attention::STOP | attention::BOARD | attention::DMA;
        for (enable, pin) in
            [(msr::EE, attention::EXT), (msr::CE, attention::CRIT), (msr::ME, attention::MCHECK)]
        {
            if s.msr & enable != 0 {
                mask |= pin;
            }
        }
        self.attention = mask;
        flush
    }

    /// Unicorn's translations were flushed.
    pub(crate) fn flushed(&mut self) {
        self.counters.flushes += 1;
        self.epoch = self.epoch.wrapping_add(1).max(1);
        self.handed = 0;
        self.writable.clear();
        for context in &mut self.contexts {
            context.tagged = false;
        }
        self.fetches.fill((0, 0));
    }

    /// Begins an execution of at most `limit` instructions.
    pub(crate) fn begin(&mut self, limit: u64) {
        (self.limit, self.left, self.flags) = (limit, limit, 0);
        (self.block_bytes, self.block_flags) = (0, 0);
        (self.refusal, self.refused_fetch) = (Refusal::Core, false);
    }

    /// Instructions executed before the one at `pc`, where an execution has ended; may be called again after going on.
    pub(crate) fn retired_before(&mut self, pc: u32, stopped: bool) -> Retired {
        let mut partial = 0;
        if stopped || self.refused_fetch {
            self.flags |= self.block_flags;
        } else {
            partial = (pc.wrapping_sub(self.block_pc) / 4).min(self.block_bytes / 4);
            self.left += u64::from(self.block_bytes / 4 - partial);
        }
        let flags = self.flags | self.block_flags;
        let retired = Retired { instructions: self.limit - self.left, partial, flags, finished: self.flags };
        self.flags |= self.block_flags & XER;
        (self.block_bytes, self.block_flags) = (0, 0);
        retired
    }

    /// What names the block at `pc` in the current context until the next flush.
    #[inline]
    fn hot_tag(&self, pc: u32) -> u64 {
        u64::from(self.epoch) << 32 | u64::from(pc) | self.context as u64
    }

    /// The block hook for a block that is not in the table of native ones, or not within the budget.
    #[cold]
    fn consider(&mut self, pc: u32, bytes: u32) -> bool {
        let length = bytes / 4;
        let Some(code) = self.code_page(pc) else {
            self.halt = Halt::Foreign;
            return true;
        };
        let (block, is_new) = match self.pages.block(code, pc) {
            Some(block) if block.length == length => (block, false),
            _ => (self.meet(code, pc, length), true),
        };
        let native = block.flags & NATIVE != 0;
        if native {
            self.hot[(pc >> 2) as usize % HOT] = Hot { tag: self.hot_tag(pc), bytes, flags: block.flags };
        }
        if self.left < u64::from(length) || self.bus.attention() & self.attention != 0 {
            self.halt = Halt::Look;
            return true;
        }
        if !native {
            self.halt = Halt::Foreign;
            return true;
        }
        if is_new && self.credit < 0 {
            self.halt = Halt::Credit;
            return true;
        }
        self.enter(pc, bytes, block.flags);
        false
    }

    #[inline]
    fn enter(&mut self, pc: u32, bytes: u32, flags: u16) {
        self.left -= u64::from(bytes / 4);
        (self.block_pc, self.block_bytes, self.block_flags) = (pc, bytes, flags);
    }

    /// The physical page that the core fetches from at `pc`, and its code number if some of it is translated.
    pub(crate) fn code_page(&mut self, pc: u32) -> Option<u32> {
        let tag = (pc & !0xFFF) | (self.context as u32) << 1 | 1;
        let slot = (pc >> 12) as usize % FETCHES;
        if self.fetches[slot].0 == tag {
            return Some(self.fetches[slot].1);
        }
        let mode = self.contexts[self.context].fetch;
        let found =
            self.interpreter.core().tlb().translate(EffectiveAddress(pc), Access::Fetch, mode).ok()?;
        let code = self.pages.code_at(found.pa.0)?;
        self.fetches[slot] = (tag, code);
        Some(code)
    }

    /// The word at `pc`, which was being executed.
    pub(crate) fn fetch(&self, pc: u32) -> Option<u32> {
        let mode = self.contexts[self.context].fetch;
        let found =
            self.interpreter.core().tlb().translate(EffectiveAddress(pc), Access::Fetch, mode).ok()?;
        self.bus.load_u32(found.pa.0)
    }

    /// The physical address that a load at `ea` reads.
    pub(crate) fn load_address(&self, ea: u32) -> Option<u64> {
        let mode = self.contexts[self.context].data;
        let found = self.interpreter.core().tlb().translate(EffectiveAddress(ea), Access::Load, mode).ok()?;
        Some(found.pa.0)
    }

    /// Looks at a block that Unicorn has just translated.
    #[cold]
    fn meet(&mut self, code: u32, pc: u32, length: u32) -> Block {
        let pa = u64::from(self.pages.code_address(code) | (pc & 0xFFF));
        let bus = &self.bus;
        let words = (0..u64::from(length)).map(|n| bus.load_u32(pa + 4 * n).unwrap_or(0));
        let block = Block { length, flags: scan::scan(words) };
        self.pages.set_block(code, pc, block);
        self.counters.translated += 1;
        self.credit -= CREDIT_PER_BLOCK;
        block
    }

    /// Instructions were executed: they earn credit for translations.
    pub(crate) fn earn(&mut self, instructions: u64) {
        self.credit = (self.credit + instructions as i64).min(CREDIT_LIMIT);
    }

    /// Judges one page for the current context.
    fn translate(&mut self, va: u32, wants: Wants) -> Option<Page> {
        let context = &mut self.contexts[self.context];
        let (access, mode) = match wants {
            Wants::Fetch => (Access::Fetch, context.fetch),
            Wants::Read => (Access::Load, context.data),
            Wants::Write => (Access::Store, context.data),
        };
        let core = self.interpreter.core();
        let found = core.tlb().translate(EffectiveAddress(va), access, mode).ok()?;
        let attributes = found.attributes;
        if attributes.little_endian() || attributes.caching_inhibited() || attributes.write_through() {
            return None;
        }
        if found.size == PageSize::K1 || (self.small_pages && self.is_cut_up(va, mode)) {
            return None;
        }
        let number = self.pages.number(found.pa.0)?;
        let tagged = core.tlb().tid(found.index) != 0;
        if tagged && !mode.user && core.retired() - self.pid_since < STABLE_PID {
            return None;
        }
        let pa = found.pa.0 as u32 & !0xFFF;
        let page = match wants {
            Wants::Fetch => {
                if self.pages.is_banned(number) {
                    return None;
                }
                if self.pages.is_writable(number, self.epoch) {
                    self.refusal = Refusal::Flush;
                    return None;
                }
                if self.pages.hold_code(number, pa).is_none() {
                    self.refusal = Refusal::Full;
                    return None;
                }
                self.bus.watch(pa, true);
                Page { pa, read: found.readable, write: false, execute: true }
            }
            Wants::Read => {
                let write = found.writable && !self.pages.has_code(number) && !core.holds_code(u64::from(pa));
                Page { pa, read: true, write, execute: false }
            }
            Wants::Write => {
                match self.pages.store_to(number) {
                    StoreTo::Plain if core.holds_code(u64::from(pa)) => return None,
                    StoreTo::Plain => {}
                    StoreTo::Code => return None,
                    StoreTo::DropCode => {
                        self.refusal = Refusal::DropCode(pa);
                        return None;
                    }
                }
                Page { pa, read: found.readable, write: true, execute: false }
            }
        };
        if page.write {
            self.pages.hand_out_writable(number, self.epoch);
            self.writable.push(pa);
        }
        self.contexts[self.context].tagged |= tagged;
        self.handed |= 1 << found.index;
        Some(page)
    }

    /// Whether a 1 KB page of the current mode takes a piece out of the 4 KB around `va`.
    fn is_cut_up(&self, va: u32, mode: Mode) -> bool {
        self.tlb.iter().any(|entry| {
            entry.valid()
                && entry.size() == Some(PageSize::K1)
                && entry.ts() == mode.address_space
                && (entry.word0 ^ va) & !0xFFF == 0
        })
    }
}

impl Hooks for Machine {
    #[inline]
    fn block(&mut self, pc: u32, bytes: u32) -> bool {
        if self.own_code {
            return false;
        }
        // The block before this one is at its end.
        self.flags |= self.block_flags;
        (self.block_bytes, self.block_flags) = (0, 0);
        let hot = self.hot[(pc >> 2) as usize % HOT];
        let go_on = hot.tag == self.hot_tag(pc)
            && hot.bytes == bytes
            && self.left >= u64::from(bytes / 4)
            && self.bus.attention() & self.attention == 0;
        if go_on {
            self.enter(pc, bytes, hot.flags);
            return false;
        }
        self.consider(pc, bytes)
    }

    fn fill(&mut self, va: u32, wants: Wants) -> Option<Page> {
        if self.own_code {
            return Some(Page { pa: va, read: true, write: false, execute: true });
        }
        self.counters.fills += 1;
        self.refusal = Refusal::Core;
        let page = self.translate(va, wants);
        if page.is_none() {
            self.counters.refused += 1;
            self.refused_fetch = wants == Wants::Fetch;
        }
        page
    }
}
