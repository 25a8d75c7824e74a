//! The driver: finds or makes the block at the program counter, enters it, and does between blocks what the reference
//! core's own driver does, in the same order and at the same points.

mod hot;
mod landing;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use ppc440_core::bits::{msr, xer};
use ppc440_core::bus::Bus;
use ppc440_core::core::{Core, Flow, Stop};
use ppc440_core::fpu::{self, Fpscr};
use ppc440_core::op::Op;
use ppc440_core::translate::data_table;

use crate::buffer::CodeMemory;
use crate::cache::{Cache, JUMPS, JitStats};
use crate::condition;
use crate::enter;
use crate::fixed::{Stubs, fixed_code};
use crate::frame::{EXITS, Frame, SLOTS, Slot};
use crate::record::{Cause, Recorder, Recording};
use crate::translate::{MOST, Place, Source, leaves, mode, translate};
use hot::{HOT, JUDGED_AFTER, JUDGED_SOON, Path};
use landing::{LANDINGS, Landing};

/// The FPSCR after an operation that translated code executed, from the one before.
fn float_outcome(op: Op, before: Fpscr, [a, b, c]: [u64; 3]) -> Fpscr {
    let outcome = match (op.primary() == 59, op.xo() & 31) {
        (false, 12) => fpu::frsp(before, a),
        (false, 18) => fpu::fdiv(before, a, b),
        (false, 20) => fpu::fsub(before, a, b),
        (false, 21) => fpu::fadd(before, a, b),
        (false, 25) => fpu::fmul(before, a, b),
        // Their operands are noted in the order FRA, FRC, FRB, which is the functions'.
        (false, 28) => fpu::fmsub(before, a, b, c),
        (false, 29) => fpu::fmadd(before, a, b, c),
        (false, 30) => fpu::fnmsub(before, a, b, c),
        (false, _) => fpu::fnmadd(before, a, b, c),
        (true, 18) => fpu::fdivs(before, a, b),
        (true, 20) => fpu::fsubs(before, a, b),
        (true, 21) => fpu::fadds(before, a, b),
        (true, _) => fpu::fmuls(before, a, b),
    };
    outcome.fpscr
}

/// Contexts of (PID, AS, PR) whose translations live side by side. Each has a part of the data table, of which only what
/// is used is ever touched.
const CONTEXTS: usize = 30;
/// Most instructions between two points where interrupts are taken: a page.
const TAIL: u64 = 1024;
/// Most instructions between two looks at where the guest is; the core's looks at the clock are nearer under the host's time.
const LOOK: u64 = 32_768;
/// Code is translated when the guest comes to it for the time after so many: what runs once is cheaper interpreted...
const COLD: u8 = 1;
/// ...and of so many places it is known how often the guest came.
const PLACES: usize = 1 << 14;
/// Of so many translations one is timed: a look at a clock costs as much as a short block.
const SAMPLE: u64 = 16;
/// Code that a block may need at most, generously.
const BLOCK_BYTES: usize = MOST * 600 + 4096;

/// Where translated code is, in words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Located {
    pub(crate) block: u32,
    pub(crate) pc: u32,
    pub(crate) word: u32,
    pub(crate) since: u32,
}

/// A bus whose RAM translated code may reach by pointer.
///
/// # Safety
/// `ram` must point to `len` bytes that are the guest's RAM from physical address 0 on, valid for reads and writes
/// (by anyone, at any time) until `ram_generation` changes, which happens only during calls of the bus.
pub unsafe trait DirectRam: Bus {
    /// Host address and length in bytes of the RAM at physical address 0; length 0 if there is none.
    fn ram(&self) -> (*mut u8, usize);
    /// Changes when [`DirectRam::ram`] does.
    fn ram_generation(&self) -> u32;
}

/// A core with its translated code.
pub struct Jit<B> {
    pub(crate) frame: Box<Frame>,
    pub(crate) bus: *mut B,
    cache: Cache,
    stubs: Stubs,
    /// `left` counts down to this number of retired instructions.
    limit: u64,
    /// From this number of retired instructions on, the run is stepped to its end.
    tail: u64,
    /// The last instruction branches to itself.
    self_loop: bool,
    ram_generation: Option<u32>,
    inline: bool,
    words: Vec<u32>,
    clock: Option<fn() -> u64>,
    /// The way that the guest goes now is written down, to make a trace of it.
    path: Option<Path>,
    hot: u8,
    /// Code at this address, in this page, is to be interpreted as far as it goes in a line.
    line: Option<(u32, u32)>,
    /// How often the guest came to places that were not translated.
    visits: Box<[Visits]>,
    cold: u8,
    landings: Box<[Landing; LANDINGS]>,
    /// When the slots and the ways out of the traces were judged last, and how many instructions later that is done again.
    judged: u64,
    judged_after: u64,
}

/// Visits to a place: page and word.
#[derive(Clone, Copy)]
struct Visits {
    place: u32,
    times: u8,
    /// How often another place was here.
    turns: u8,
}

impl<B> fmt::Debug for Jit<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jit")
            .field("core", &self.frame.core)
            .field("stats", &self.cache.stats)
            .finish_non_exhaustive()
    }
}

impl<B: DirectRam> Jit<B> {
    /// An engine around `core`, with `memory` for its code: 1 MB at least, 32 MB serve well.
    ///
    /// # Panics
    /// If there is less than 1 MB of memory.
    #[must_use]
    pub fn new(mut core: Core, memory: CodeMemory) -> Self {
        assert!(memory.len() >= 1 << 20, "Code memory of {} bytes is too small: 1 MB at least", memory.len());
        core.use_data_table(vec![0; (CONTEXTS + 1) * data_table::PART]);
        let mut cache = Cache::new(memory);
        let (code, mut stubs) = fixed_code();
        stubs.has_fma = enter::has_fma();
        stubs.has_movbe = enter::has_movbe();
        cache.add_fixed(&code);
        let entries = enter::entries::<B>();
        let data_words = core.data_table().as_ptr();
        let frame = Box::new(Frame {
            core,
            data_words,
            left: 0,
            data_table: core::ptr::null(),
            fetch_table: core::ptr::null(),
            jumps: cache.jumps.as_ptr(),
            ram: core::ptr::null_mut(),
            cr: [0; 8],
            codes: condition::CODES,
            saved_cr: condition::unpack(0),
            saved_value: 0,
            first: condition::FIRST,
            spread: condition::SPREAD,
            carry: 0,
            float_word: 0,
            float_compared: 0,
            float_operands: [0; 3],
            slots: [Slot::FREE; SLOTS],
            exits: [0; EXITS],
            owner: core::ptr::null_mut(),
            call: entries.call,
            slow: entries.slow,
            access: entries.access,
            write_tlb: entries.write_tlb,
            lost_page: entries.lost_page,
            return_from_interrupt: entries.return_from_interrupt,
            call_and_end: entries.call_and_end,
            leave: entries.leave,
            lookup: entries.lookup,
            wait: entries.wait,
        });
        Self {
            frame,
            bus: core::ptr::null_mut(),
            cache,
            stubs,
            limit: 0,
            tail: 0,
            self_loop: false,
            ram_generation: None,
            inline: true,
            words: Vec::new(),
            clock: None,
            path: None,
            hot: HOT,
            line: None,
            visits: vec![Visits { place: u32::MAX, times: 0, turns: 0 }; PLACES].into_boxed_slice(),
            cold: COLD,
            landings: Box::new([Landing::NONE; LANDINGS]),
            judged: 0,
            judged_after: JUDGED_AFTER,
        }
    }

    /// Whether instructions are translated (the default), or each becomes a call to the reference core: to tell a
    /// wrong translation from a wrong driver. Drops what is translated.
    pub fn set_inline(&mut self, inline: bool) {
        self.inline = inline;
        self.flush();
    }

    /// How often the guest must be seen at a block, out of one look in some thousand instructions, before a trace is made
    /// from there: ways through several blocks that keep registers. For tests, which have no time to wait.
    pub fn set_hot(&mut self, times: u8) {
        self.hot = times;
        self.judged_after = if times < HOT { JUDGED_SOON } else { JUDGED_AFTER };
    }

    /// How often the guest comes to code before it is translated. For tests, and for measuring translation.
    pub fn set_cold(&mut self, times: u8) {
        self.cold = times;
    }

    /// The core. Its registers are current between two calls of [`Jit::run`].
    #[must_use]
    pub fn core(&self) -> &Core {
        &self.frame.core
    }

    /// The core. A state that is restored into it takes effect at the next [`Jit::run`].
    pub fn core_mut(&mut self) -> &mut Core {
        &mut self.frame.core
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> JitStats {
        self.cache.stats
    }

    /// Measures the time in translation by `clock`, which returns nanoseconds from any beginning.
    pub fn set_clock(&mut self, clock: fn() -> u64) {
        self.clock = Some(clock);
    }

    /// Records what is translated from now on; an earlier record ends.
    pub fn record(&mut self, what: Recording) {
        self.cache.record(Recorder::new(what));
    }

    /// What was recorded since the last call. 4 MB wait at most; what comes when they are full is left out.
    pub fn recorded(&mut self) -> String {
        self.cache.recorder.as_mut().map_or_else(String::new, Recorder::take)
    }

    /// Drops everything that was translated, after RAM was changed behind the core's back.
    pub fn flush(&mut self) {
        self.path = None;
        self.cache.clear(Cause::Host);
    }

    /// Executes one instruction without any cache; see [`Core::step`].
    pub fn step(&mut self, bus: &mut B) -> Option<Stop> {
        self.frame.core.step(bus)
    }

    /// Executes exactly `budget` instructions, unless something ends the run before. An instruction that faults does
    /// not count.
    pub fn run(&mut self, bus: &mut B, budget: u64) -> Stop {
        self.follow_ram(bus);
        let end = self.frame.core.retired().saturating_add(budget);
        self.tail = end.saturating_sub(TAIL);
        let mut self_loop = false;
        loop {
            let core = &mut self.frame.core;
            let retired = core.retired();
            if retired >= end {
                return Stop::Budget;
            }
            if core.sampling() {
                core.settle();
                if self_loop || core.wants_sample(bus) {
                    let stop = core.sample(bus, self_loop, end - retired);
                    self.follow_ram(bus);
                    if let Some(stop) = stop {
                        return stop;
                    }
                    if self.frame.core.retired() >= end {
                        return Stop::Budget;
                    }
                }
                if let Some(interrupt) = self.frame.core.leave_sampling_point() {
                    return Stop::Fatal(interrupt);
                }
            }
            let host = self.next(bus);
            if host == self.exit() {
                if self.path.is_some() && self.followed(bus) {
                    continue;
                }
                let flow = self.execute(bus);
                self_loop = flow == Flow::SelfLoop;
                self.frame.core.complete(flow);
                self.follow_ram(bus);
            } else {
                self.cache.stats.entered += 1;
                self.self_loop = false;
                enter::enter(self, bus, host);
                self_loop = self.self_loop;
            }
        }
    }

    /// Brings the FPSCR up to date with what translated code left open.
    pub(crate) fn settle_float(&mut self) {
        let frame = &mut *self.frame;
        if frame.float_word | frame.float_compared == 0 {
            return;
        }
        let word = core::mem::take(&mut frame.float_word);
        let compared = core::mem::take(&mut frame.float_compared);
        let fpscr = &mut frame.core.registers_mut().fpscr;
        if word != 0 {
            *fpscr = float_outcome(Op::new(word), Fpscr(*fpscr), frame.float_operands).0;
        }
        if compared != 0 {
            *fpscr = *fpscr & !Fpscr::FPCC | compared << 12;
        }
    }

    /// XER\[CA\] <- what translated code has for it.
    pub(crate) fn settle_carry(&mut self) {
        let carry = self.frame.carry << xer::CA.trailing_zeros();
        let xer = &mut self.frame.core.registers_mut().xer;
        *xer = *xer & !xer::CA | carry;
    }

    /// The opposite of [`Jit::settle_carry`], after anything may have changed.
    pub(crate) fn take_carry(&mut self) {
        self.frame.carry = u32::from(self.frame.core.registers().xer & xer::CA != 0);
    }

    /// The address of the fixed code that enters.
    pub(crate) fn gate(&self) -> usize {
        self.cache.memory.address(self.stubs.enter)
    }

    fn exit(&self) -> usize {
        self.cache.memory.address(self.stubs.exit)
    }

    /// Takes over the bus's RAM if it is not the one that is known.
    fn follow_ram(&mut self, bus: &B) {
        if self.ram_generation != Some(bus.ram_generation()) {
            self.ram_generation = Some(bus.ram_generation());
            let (pointer, len) = bus.ram();
            self.frame.ram = pointer;
            self.frame.core.limit_data_table(len as u64 & !0xFFF, pointer as u64);
        }
    }

    /// What `place` means.
    #[inline]
    pub(crate) fn locate(&self, place: Place) -> Located {
        let (block, index) = (place.block(), place.index());
        let (pc, word) = self.cache.instruction(block, index);
        Located { block, pc, word, since: place.since() }
    }

    /// Translated code is at `pc`, `since` instructions after it last counted.
    #[inline]
    pub(crate) fn arrive(&mut self, pc: u32, since: u32) {
        let retired = self.limit.wrapping_sub(self.frame.left as u64) + u64::from(since);
        self.frame.core.arrive(pc, pc, retired);
        self.cache.stats.helped += 1;
    }

    /// After a call in the middle of `block` that returned `flow`: 0 to go on in the block, else where to go on. The
    /// block itself pauses after an instruction that `pauses`.
    #[inline]
    pub(crate) fn called(&mut self, bus: &mut B, flow: Flow, block: u32, pauses: bool) -> usize {
        if self.ram_generation != Some(bus.ram_generation()) {
            // The block may hold host addresses.
            return self.ended(bus, flow);
        }
        let core = &mut self.frame.core;
        match flow {
            Flow::Next => {}
            Flow::Branch if pauses => {}
            Flow::Refetch => {
                let page = self.cache.blocks[block as usize].page;
                let pc = core.registers().pc;
                if pc & 0xFFF == 0xFFC || !core.still_fetches(pc, page) {
                    return self.ended(bus, flow);
                }
            }
            _ => return self.ended(bus, flow),
        }
        // The instruction may have moved a deadline, raised a pin or changed the context.
        if core.next_sample() < self.limit || core.wants_attention(bus) {
            if self.cache.is_trace(block) {
                // It does not look before the round ends.
                return self.ended(bus, flow);
            }
            let retired = self.limit.wrapping_sub(self.frame.left as u64);
            self.limit = retired;
            self.frame.left = 0;
        }
        (self.frame.data_table, self.frame.fetch_table) = core.tables();
        0
    }

    /// The guest does nothing but look at the clock until `ticks` more have passed: sleeps, if that is worth it.
    pub(crate) fn wait(&mut self, bus: &mut B, ticks: u32) {
        if self.frame.core.wait(bus, ticks) {
            self.follow_ram(bus);
            // Whatever ended the sleep is looked at now.
            self.limit = self.limit.wrapping_sub(self.frame.left as u64);
            self.frame.left = 0;
        }
    }

    /// After an instruction that ends its block and returned `flow`: where to go on.
    pub(crate) fn ended(&mut self, bus: &mut B, flow: Flow) -> usize {
        self.follow_ram(bus);
        self.frame.core.complete(flow);
        if flow == Flow::SelfLoop {
            self.self_loop = true;
            return self.exit();
        }
        self.go_on(bus)
    }

    /// Translated code goes on by `site`, which is not led to a block, or must look at clock and pins.
    pub(crate) fn left_by(&mut self, bus: &mut B, site: u32) -> usize {
        let (target, sampling) = {
            let site = &self.cache.sites[site as usize];
            (site.target, site.sampling)
        };
        self.arrive_at(target, sampling);
        if let Some((exit, page, mode)) = self.cache.asked_at(site) {
            self.follow_exit(exit, page, mode);
        }
        let generation = self.cache.generation;
        let host = self.go_on(bus);
        if host != self.exit() && self.cache.generation == generation {
            // The block was found a moment ago, where `go_on` left the core.
            let core = &mut self.frame.core;
            if core.registers().pc == target
                && let Some(page) = core.code_page(bus, target)
                && let Some(block) = self.cache.find(page, target, Self::mode(core))
            {
                self.cache.link(site, block);
            }
        }
        host
    }

    /// Translated code jumps to `target`, which the jump cache does not have, or must look at clock and pins.
    pub(crate) fn jumped_to(&mut self, bus: &mut B, target: u32) -> usize {
        self.arrive_at(target, true);
        self.go_on(bus)
    }

    fn arrive_at(&mut self, target: u32, sampling: bool) {
        let retired = self.limit.wrapping_sub(self.frame.left as u64);
        let core = &mut self.frame.core;
        core.arrive(target, target, retired);
        if sampling {
            core.at_sampling_point();
        }
    }

    /// Where to go on at the core's program counter without the driver, or the exit.
    fn go_on(&mut self, bus: &mut B) -> usize {
        let core = &mut self.frame.core;
        if core.sampling() && (core.wants_sample(bus) || core.fatal()) {
            return self.exit();
        }
        let _ = core.leave_sampling_point();
        self.next(bus)
    }

    fn mode(core: &Core) -> u8 {
        let state = core.registers();
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        bit(state.msr & msr::PR != 0, mode::USER)
            | bit(state.msr & msr::FP != 0, mode::FLOAT)
            | bit(state.xer & xer::SO != 0, mode::SO)
    }

    /// The block at the core's program counter, found or made, with everything set for it to run; the exit if the
    /// instruction there must be stepped.
    fn next(&mut self, bus: &mut B) -> usize {
        if !self.frame.core.written_code().is_empty() {
            self.drop_written_code();
        }
        let core = &mut self.frame.core;
        let retired = core.retired();
        if retired >= self.tail || core.needs_stepping() || self.path.is_some() {
            self.line = None;
            return self.exit();
        }
        let pc = core.registers().pc;
        let Some(page) = core.code_page(bus, pc) else { return self.exit() };
        let mode = Self::mode(core);
        if retired >= self.limit && self.heat(page, pc, mode) {
            return self.exit();
        }
        if self.line == Some((pc, page)) {
            return self.exit();
        }
        let host = match self.cache.jump(page, pc, mode) {
            Some(host) => host,
            None => match self.find_or_translate(bus, page, pc, mode) {
                Some(host) => host,
                None => return self.exit(),
            },
        };
        let core = &self.frame.core;
        // A pin that matters already is looked at where the guest branches next.
        self.limit = if core.wants_attention(bus) {
            retired
        } else {
            core.next_sample().min(self.tail).min(retired + LOOK)
        };
        self.frame.left = self.limit.wrapping_sub(retired) as i64;
        (self.frame.data_table, self.frame.fetch_table) = core.tables();
        self.frame.jumps = self.cache.jumps[usize::from(mode) * JUMPS..].as_ptr();
        host
    }

    /// The block at `pc`, found or made.
    fn block(&mut self, bus: &B, page: u32, pc: u32, mode: u8) -> Option<u32> {
        match self.cache.find(page, pc, mode) {
            Some(block) => Some(block),
            None => self.translate(bus, page, pc, mode),
        }
    }

    /// Executes what is not translated: a line of cold code, or an instruction.
    fn execute(&mut self, bus: &mut B) -> Flow {
        match self.line.take() {
            Some((pc, page)) if pc == self.frame.core.registers().pc => {
                self.frame.core.execute_line(bus, page)
            }
            _ => self.frame.core.execute(bus),
        }
    }

    /// Whether the guest has come to this place too seldom to translate what is there.
    fn is_cold(&mut self, page: u32, pc: u32) -> bool {
        let key = page << 10 | (pc >> 2 & 0x3FF);
        let visits = &mut self.visits[(key.wrapping_mul(0x9E37_79B1) >> 18) as usize % PLACES];
        if visits.place != key {
            // Places that take turns here must not stay cold for ever: every eighth is warm at once.
            visits.turns = visits.turns.wrapping_add(1);
            (visits.place, visits.times) = (key, if visits.turns & 7 == 0 { self.cold } else { 0 });
        }
        visits.times = visits.times.saturating_add(1);
        visits.times <= self.cold
    }

    fn find_or_translate(&mut self, bus: &B, page: u32, pc: u32, mode: u8) -> Option<usize> {
        let block = match self.cache.find(page, pc, mode) {
            Some(block) => block,
            None if self.is_cold(page, pc) => {
                self.line = Some((pc, page));
                return None;
            }
            None => self.translate(bus, page, pc, mode)?,
        };
        self.cache.remember_jump(block);
        Some(self.cache.host(block))
    }

    #[cold]
    fn drop_written_code(&mut self) {
        let mut writes = core::mem::take(self.frame.core.written_code());
        for (pa, len) in writes.drain(..) {
            let core = &mut self.frame.core;
            self.cache.written(pa, len, |page| core.forget_code_page(page));
        }
        // Gives the allocation back for the next time.
        *self.frame.core.written_code() = writes;
    }

    #[cold]
    fn translate(&mut self, bus: &B, page: u32, pc: u32, mode: u8) -> Option<u32> {
        if self.cache.room() < BLOCK_BYTES || self.cache.blocks.len() > Place::LAST_BLOCK as usize {
            self.cache.clear(Cause::Room);
            self.cache.stats.full += 1;
        }
        let pa = u64::from(page) << 12 | u64::from(pc & 0xFFC);
        let words = ((4096 - (pc & 0xFFF)) / 4) as usize;
        self.words.clear();
        for index in 0..words.min(MOST) as u64 {
            let word = bus.load_u32(pa + 4 * index)?;
            self.words.push(word);
            if leaves(word) {
                break;
            }
        }
        let page_ends = words == self.words.len();
        let source = Source { page_ends, ..self.cache.source(&self.words, pc, mode, page) };
        let clock = self.clock.filter(|_| self.cache.stats.translated.is_multiple_of(SAMPLE));
        let started = clock.map(|clock| clock());
        let made = translate(source, &self.stubs, &enter::handler::<B>, self.inline)?;
        let block = self.cache.add(pc, page, mode, &self.words[..made.words], &made);
        if let (Some(clock), Some(started)) = (clock, started) {
            self.cache.stats.translation_ns += SAMPLE * clock().saturating_sub(started);
        }
        Some(block)
    }
}
