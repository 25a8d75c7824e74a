//! The caching driver: runs decoded pages.
//!
//! A RAM page (4 KB) from which the guest executes gets a table of 1,024 decoded words, filled as they are reached.
//! Straight-line code and branches within a page cost an index; leaving the page costs one look into the fetch table.
//! Stores to such pages take the slow path, which drops exactly the words that were written, so self-modifying code
//! is exact with or without icbi. Code outside RAM, on 1 KB or little-endian pages, under debug events or in the
//! reset page runs through the same semantics one step at a time.

use alloc::boxed::Box;
use alloc::vec::Vec;

use mmu_core::Access;

use crate::bits::storage;
use crate::bus::Bus;
use crate::core::{Core, Flow, Stop};
use crate::exec::{self, Handler};
use crate::op::Op;

/// Words in a page.
const WORDS: usize = 1024;
/// Pages that are held decoded: 16 KB each.
const PAGES: usize = 1024;
/// Stores into a page after which it is taken for data: a page that the guest gave another use, or code and data
/// side by side. If it is executed again it is decoded again.
const DATA_AFTER: u32 = 32;
/// No page.
const NONE: u32 = u32::MAX;

struct Decoded<B> {
    handler: Handler<B>,
    op: Op,
}

impl<B> Clone for Decoded<B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B> Copy for Decoded<B> {}

/// Stands in a slot whose word was not decoded yet.
fn undecoded<B: Bus>(_: &mut Core, _: &mut B, _: Op) -> Flow {
    Flow::Decode
}

struct CodePage<B> {
    pa: u64,
    /// Stores that hit the page since it was decoded.
    writes: u32,
    words: Box<[Decoded<B>; WORDS]>,
}

/// Pages held decoded, and where each RAM page is among them.
struct CodeCache<B> {
    pages: Vec<CodePage<B>>,
    /// By RAM page number: index into `pages`, or `NONE`.
    index: Vec<u32>,
    /// Indices into `pages` that hold nothing.
    free: Vec<u32>,
    /// The page that goes next when all are in use.
    next_victim: usize,
}

impl<B: Bus> CodeCache<B> {
    const EMPTY: Decoded<B> = Decoded { handler: undecoded::<B>, op: Op::new(0) };

    fn new() -> Self {
        Self { pages: Vec::new(), index: Vec::new(), free: Vec::new(), next_victim: 0 }
    }

    fn find(&self, pa: u64) -> Option<u32> {
        self.index.get((pa >> 12) as usize).copied().filter(|&page| page != NONE)
    }

    /// The decoded page of the RAM page at `pa`, made if need be. `None` if the page lies beyond what is cached.
    fn page(&mut self, core: &mut Core, pa: u64) -> Option<u32> {
        if let Some(page) = self.find(pa) {
            return Some(page);
        }
        if !core.mmu.mark_code(&core.tlb, pa, true) {
            return None;
        }
        let number = (pa >> 12) as usize;
        if number >= self.index.len() {
            self.index.resize(number + 1, NONE);
        }
        if self.free.is_empty() {
            if self.pages.len() < PAGES {
                self.free.push(self.pages.len() as u32);
                self.pages.push(CodePage { pa, writes: 0, words: Box::new([Self::EMPTY; WORDS]) });
            } else {
                let victim = self.next_victim as u32;
                self.next_victim = (self.next_victim + 1) % PAGES;
                self.release(core, victim);
            }
        }
        let page = self.free.pop()?;
        let place = &mut self.pages[page as usize];
        (place.pa, place.writes) = (pa, 0);
        self.index[number] = page;
        Some(page)
    }

    /// Forgets a page altogether: it is data from now on.
    fn release(&mut self, core: &mut Core, page: u32) {
        let place = &mut self.pages[page as usize];
        place.words.fill(Self::EMPTY);
        let pa = place.pa;
        core.mmu.mark_code(&core.tlb, pa, false);
        core.mmu.forget_fetch(page);
        self.index[(pa >> 12) as usize] = NONE;
        self.free.push(page);
    }

    /// Drops the decoded words that overlap `len` bytes at `pa`.
    fn invalidate(&mut self, core: &mut Core, pa: u64, len: u32) {
        let end = pa + u64::from(len);
        let mut at = pa & !3;
        while at < end {
            let page_end = (at & !0xFFF) + 4096;
            if let Some(page) = self.find(at) {
                // The word before may be held as a pair with the first one written.
                let first = (((at & 0xFFF) / 4) as usize).saturating_sub(1);
                let last = ((end.min(page_end) - (at & !0xFFF)).div_ceil(4)) as usize;
                let place = &mut self.pages[page as usize];
                place.words[first..last].fill(Self::EMPTY);
                place.writes += 1;
                if place.writes > DATA_AFTER || last == WORDS && first == 0 {
                    self.release(core, page);
                }
            }
            at = page_end;
        }
    }
}

/// A core with its cache of decoded pages.
pub struct Interpreter<B> {
    core: Core,
    code: CodeCache<B>,
}

impl<B> core::fmt::Debug for Interpreter<B> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Interpreter").field("core", &self.core).finish_non_exhaustive()
    }
}

impl<B: Bus> Interpreter<B> {
    /// A driver around `core`.
    #[must_use]
    pub fn new(core: Core) -> Self {
        Self { core, code: CodeCache::new() }
    }

    /// The core. Its registers are current between two calls of [`Interpreter::run`].
    #[must_use]
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// The core. A state that is restored into it takes effect at the next [`Interpreter::run`].
    pub fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    /// Pages held decoded.
    #[must_use]
    pub fn code_pages(&self) -> usize {
        self.code.pages.len()
    }

    /// Executes one instruction without any cache; see [`Core::step`].
    pub fn step(&mut self, bus: &mut B) -> Option<Stop> {
        self.core.step(bus)
    }

    /// Forgets every decoded word, after RAM was changed behind the core's back.
    pub fn flush(&mut self) {
        for page in &mut self.code.pages {
            page.words.fill(CodeCache::EMPTY);
        }
    }

    /// Executes exactly `budget` instructions, unless something ends the run before. An instruction that faults does
    /// not count.
    pub fn run(&mut self, bus: &mut B, budget: u64) -> Stop {
        self.drive(bus, budget, WORDS as u64)
    }

    /// Executes at least `budget` instructions, and on to the next branch or page: the last stretch is not stepped
    /// without caches, as an exact end would need. For engines that look in now and then.
    pub fn run_about(&mut self, bus: &mut B, budget: u64) -> Stop {
        self.drive(bus, budget, 0)
    }

    /// Runs through the caches until `tail` instructions are left, the most that a straight line can be, and steps
    /// the rest.
    fn drive(&mut self, bus: &mut B, budget: u64, tail: u64) -> Stop {
        self.core.account();
        let end = self.core.retired.saturating_add(budget);
        let mut self_loop = false;
        loop {
            self.core.account();
            if self.core.retired >= end {
                return Stop::Budget;
            }
            let left = end - self.core.retired;
            if self.core.at_boundary {
                let wanted = bus.attention() & self.core.attention_mask != 0;
                if self_loop || wanted || self.core.retired >= self.core.check_at {
                    if let Some(stop) = self.core.boundary(bus, self_loop, left) {
                        return stop;
                    }
                    if self.core.retired >= end {
                        return Stop::Budget;
                    }
                }
                self.core.at_boundary = false;
                if self.core.is_fatal() {
                    return Stop::Fatal(self.core.chain_interrupt);
                }
            }
            self_loop = false;
            self.drop_written_code();
            let flow = if left > tail && !self.core.debugging() {
                match self.fetch_page(bus) {
                    Some(page) => self.run_page(bus, page, end - tail),
                    None => self.core.execute_one(bus),
                }
            } else {
                self.core.execute_one(bus)
            };
            // `Decode` comes only from `run_page`, with everything accounted.
            if flow != Flow::Decode {
                self_loop = flow == Flow::SelfLoop;
                self.core.finish(flow);
            }
        }
    }

    fn drop_written_code(&mut self) {
        if !self.core.code_writes.is_empty() {
            let mut writes = core::mem::take(&mut self.core.code_writes);
            for (pa, len) in writes.drain(..) {
                self.code.invalidate(&mut self.core, pa, len);
            }
            // Gives the allocation back for the next time.
            self.core.code_writes = writes;
        }
    }

    /// The decoded page that holds `pc`; `None` if that code is not cached (or the fetch faults).
    #[inline]
    fn fetch_page(&mut self, bus: &mut B) -> Option<u32> {
        match self.core.mmu.fast_fetch(self.core.state.pc) {
            Some(page) => Some(page),
            None => self.fetch_page_slow(bus),
        }
    }

    #[cold]
    fn fetch_page_slow(&mut self, bus: &mut B) -> Option<u32> {
        let core = &mut self.core;
        let pc = core.state.pc;
        if core.state.reset_entry != 0 {
            return None;
        }
        core.mmu.hint(pc, core.state.gpr[1]);
        let at = core.mmu.resolve(&core.tlb, pc, Access::Fetch).ok()?;
        if at.block < 4096 || at.attributes & storage::E != 0 {
            return None;
        }
        bus.load_u32(at.pa)?;
        let page = self.code.page(core, at.pa & !0xFFF)?;
        core.mmu.install_fetch(pc, page);
        Some(page)
    }

    /// The inner loop: executes decoded words from `pc` until the page is left, something must be looked at, or
    /// `limit` instructions have retired. Returns the flow of the last instruction, which is not yet finished, or
    /// `Decode` with everything accounted.
    fn run_page(&mut self, bus: &mut B, page: u32, limit: u64) -> Flow {
        let (core, code) = (&mut self.core, &mut self.code);
        let mut pc = core.state.pc;
        let mut page = page as usize;
        let mut words: &[Decoded<B>; WORDS] = &code.pages[page].words;
        loop {
            let decoded = words[(pc >> 2) as usize % WORDS];
            core.state.pc = pc;
            let flow = (decoded.handler)(core, bus, decoded.op);
            // What is most frequent is told by a branch of its own, so that it is predicted, not waited for.
            if flow == Flow::Next {
                pc = pc.wrapping_add(4);
                if pc & 0xFFF != 0 {
                    continue;
                }
                core.cross_page(pc);
            } else if flow as u32 & Flow::Pair as u32 != 0 {
                pc = pc.wrapping_add(8);
                if pc & 0xFFF != 0 {
                    continue;
                }
                core.cross_page(pc);
            } else if flow as u32 & Flow::Branch as u32 != 0 {
                // The second of a pair may be the one that branched.
                let at = core.state.pc;
                core.retired += u64::from(at.wrapping_sub(core.seq_pc) >> 2) + 1;
                let to = core.npc;
                core.seq_pc = to;
                core.state.pc = to;
                core.chain = 0;
                let same_page = (to ^ pc) & !0xFFF == 0;
                pc = to;
                core.at_boundary = true;
                if core.retired >= core.check_at || bus.attention() & core.attention_mask != 0 {
                    return Flow::Decode;
                }
                if same_page {
                    if core.retired >= limit {
                        return Flow::Decode;
                    }
                    continue;
                }
            } else if flow == Flow::Decode {
                let Some(decoded) = Self::decode_at(bus, code.pages[page].pa, pc) else {
                    // RAM does not go away; if it did, the step by step driver knows what to do.
                    return core.execute_one(bus);
                };
                code.pages[page].words[(pc >> 2) as usize % WORDS] = decoded;
                words = &code.pages[page].words;
                continue;
            } else {
                return flow;
            }
            // The page was left: stay inside if nothing needs a look and the next page is known.
            if core.retired >= core.check_at
                || core.retired >= limit
                || bus.attention() & core.attention_mask != 0
            {
                return Flow::Decode;
            }
            let Some(next) = core.mmu.fast_fetch(pc) else {
                return Flow::Decode;
            };
            page = next as usize;
            words = &code.pages[page].words;
        }
    }

    /// The word at `pc` in the page at `pa`, decoded, with the one after it if they make a pair.
    #[cold]
    fn decode_at(bus: &B, pa: u64, pc: u32) -> Option<Decoded<B>> {
        let at = pa + u64::from(pc & 0xFFC);
        let word = bus.load_u32(at)?;
        if pc & 0xFFC != 0xFFC
            && let Some(next) = bus.load_u32(at + 4)
            && let Some(handler) = exec::pairs::decode::<B>(word, next)
        {
            return Some(Decoded { handler, op: Op::with_next(word, next) });
        }
        Some(Decoded { handler: exec::decode::<B>(word), op: Op::new(word) })
    }
}
