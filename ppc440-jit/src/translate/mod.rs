//! The translator: one pass over a straight line of guest words, from a page's word to a branch or the page's end.
//!
//! Host registers: RBP points into the guest's registers (so that most of them are one byte of displacement away),
//! R12 counts down the instructions to the next look at clock and pins, R15 is the table of data translations. RAX,
//! RCX and RDX are scratch. Five hold the same guest registers in every block ([`FIXED`]); the others hold guest
//! registers from their first use to the end of the block or to the next call.
//!
//! An instruction that may need the core (a slow access, a trap) jumps out of line before it changed anything; there
//! the guest's registers are written back, the core's own semantics executes the whole instruction, and the block
//! goes on with the registers read anew. An instruction that is not translated at all is such a call in line.

mod access;
mod branch;
mod float;
mod integer;
mod loops;
mod memory;
mod pages;
mod regs;
mod system;
mod trace;
mod ways_out;

use alloc::vec::Vec;
use core::mem::offset_of;
use core::ops::Range;

use ppc440_core::op::Op;
use ppc440_core::state::CpuState;

use crate::cache::NewSite;
use crate::emit::{Emitter, Hole, Mem, RAX, RBP, RCX, Reg};
use crate::fixed::Stubs;
use crate::frame;
pub(crate) use access::AccessKind;
use memory::Windows;
pub(crate) use pages::Way;
pub(crate) use regs::FIXED;
use regs::{Guest, Regs};
pub(crate) use trace::{Root, Side, WayOut, traceable};
use ways_out::{Count, Exit, Holes, Slow};

/// Most guest instructions of a block.
pub(crate) const MOST: usize = 128;

/// Bits of a block's mode.
pub(crate) mod mode {
    /// MSR\[PR\].
    pub(crate) const USER: u8 = 1;
    /// MSR\[FP\].
    pub(crate) const FLOAT: u8 = 2;
    /// XER\[SO\].
    pub(crate) const SO: u8 = 4;
}

/// Where a register of the guest lies.
pub(crate) const fn state(offset: usize) -> Mem {
    Mem::new(RBP, offset as i32 - frame::BIAS)
}

macro_rules! field {
    ($name:ident) => {
        $crate::translate::state(core::mem::offset_of!(ppc440_core::state::CpuState, $name))
    };
}
pub(crate) use field;

/// What is translated.
#[derive(Clone, Debug)]
pub(crate) struct Source<'a> {
    /// From the first instruction on, [`MOST`] at most, not beyond its page.
    pub(crate) words: &'a [u32],
    /// Effective address of the first one.
    pub(crate) pc: u32,
    pub(crate) mode: u8,
    /// Number (physical address / 4096) of the RAM page that they lie in.
    pub(crate) page: u32,
    /// Number of the block to be.
    pub(crate) block: u32,
    /// Number of its first site.
    pub(crate) first_site: u32,
    /// Offset of its code.
    pub(crate) at: usize,
    /// The page ends after the last word.
    pub(crate) page_ends: bool,
    /// The words are those of a [trace](trace): their effective addresses, in the order of execution; after the last one
    /// comes the first.
    pub(crate) path: Option<&'a [u32]>,
    /// Slots that a trace may have.
    pub(crate) slots: Range<u32>,
    /// Numbers by which a trace may count its ways out.
    pub(crate) exits: Range<u32>,
    /// The words are those of a side trace, and lead back to the trace that this tells of.
    pub(crate) side: Option<Side<'a>>,
}

/// A block's code.
#[derive(Debug)]
pub(crate) struct Translation {
    pub(crate) code: Vec<u8>,
    pub(crate) sites: Vec<NewSite>,
    pub(crate) words: usize,
    /// Of a trace: the sites that lead to the block that it stands for.
    pub(crate) fallbacks: Vec<u32>,
    /// Of a trace: one for each slot that it took.
    pub(crate) ways: Vec<Way>,
    /// Of a trace: the ways out that it counts.
    pub(crate) exits: Vec<WayOut>,
    /// Of a trace: where its rounds begin.
    pub(crate) root: Option<Root>,
}

/// An instruction of a block, and how many come before it that R12 does not count yet: one number, so that code out of
/// line needs to load no more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) u32);

impl Place {
    /// The last block that has places.
    pub(crate) const LAST_BLOCK: u32 = (1 << 18) - 1;

    fn new(block: u32, index: usize, since: usize) -> Self {
        const { assert!(MOST <= 128) };
        debug_assert!(block <= Self::LAST_BLOCK && index < 128 && since < 128);
        Self(block << 14 | (index as u32) << 7 | since as u32)
    }
    pub(crate) fn block(self) -> u32 {
        self.0 >> 14
    }
    pub(crate) fn index(self) -> u32 {
        self.0 >> 7 & 127
    }
    pub(crate) fn since(self) -> u32 {
        self.0 & 127
    }
}

/// What becomes of the block after an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Next,
    /// The block is complete.
    End,
}

pub(crate) struct Translator<'a> {
    e: Emitter,
    source: Source<'a>,
    stubs: &'a Stubs,
    /// The address of the semantics of a word.
    handler: &'a dyn Fn(u32) -> usize,
    regs: Regs,
    slow: Vec<Slow>,
    exits: Vec<Exit>,
    sites: Vec<NewSite>,
    windows: Windows,
    /// The instruction that is being translated.
    index: usize,
    /// The first instruction that R12 does not count yet.
    segment: usize,
    /// The host's flags are those of a comparison into this CR field, by the signed conditions.
    flags: Option<u32>,
    /// The block is a loop: see [`loops`].
    repeats: Option<loops::Loop>,
    /// Of a trace: host registers that hold another guest register than elsewhere.
    swaps: Vec<trace::Swap>,
    /// Of a trace: where a round begins.
    root: Option<Root>,
    fallbacks: Vec<u32>,
    ways_out: Vec<WayOut>,
    pages: pages::Pages,
    /// The trace has something that traces do not have.
    failed: bool,
    inline: bool,
}

/// Translates. With `inline` off, every instruction becomes a call to the core. `None` for a trace that cannot be.
pub(crate) fn translate(
    source: Source<'_>,
    stubs: &Stubs,
    handler: &dyn Fn(u32) -> usize,
    inline: bool,
) -> Option<Translation> {
    let mut t = Translator {
        e: Emitter::default(),
        source,
        stubs,
        handler,
        regs: Regs::new(),
        slow: Vec::new(),
        exits: Vec::new(),
        segment: 0,
        sites: Vec::new(),
        windows: Windows::default(),
        index: 0,
        flags: None,
        repeats: None,
        swaps: Vec::new(),
        root: None,
        fallbacks: Vec::new(),
        ways_out: Vec::new(),
        pages: pages::Pages::default(),
        failed: false,
        inline,
    };
    t.e.code.reserve(1024);
    if t.source.path.is_some() {
        t.begin_trace();
    } else if inline {
        t.begin_loop();
    }
    let words = t.block();
    t.out_of_line();
    t.empty_slots();
    let Translator { e, sites, fallbacks, pages, ways_out: exits, root, .. } = t;
    let ways = pages.ways;
    (!t.failed).then_some(Translation { code: e.code, sites, words, fallbacks, ways, exits, root })
}

impl Translator<'_> {
    /// Effective address of the instruction that is being translated.
    fn pc(&self) -> u32 {
        self.pc_at(self.index)
    }

    fn pc_at(&self, index: usize) -> u32 {
        match self.source.path {
            Some(path) => path[index],
            None => self.source.pc.wrapping_add(4 * index as u32),
        }
    }

    fn word(&self) -> u32 {
        self.source.words[self.index]
    }

    fn user(&self) -> bool {
        self.source.mode & mode::USER != 0
    }

    fn so(&self) -> u32 {
        u32::from(self.source.mode & mode::SO != 0)
    }

    /// Translates until the block ends; returns its length in words.
    fn block(&mut self) -> usize {
        loop {
            let then = self.instruction(Op::new(self.word()));
            self.regs.unpin();
            if then == Then::End {
                return self.index + 1;
            }
            let next = self.index + 1;
            if next == self.source.words.len() {
                if self.source.path.is_some() {
                    self.close_trace();
                    return next;
                }
                // The end of a page is a point where interrupts are taken.
                self.flush();
                self.go_to(self.pc().wrapping_add(4), self.source.page_ends);
                return next;
            }
            self.index = next;
        }
    }

    fn instruction(&mut self, op: Op) -> Then {
        let flags = self.flags.take();
        if self.source.path.is_some() {
            return self.trace(op, flags);
        }
        if self.inline && pauses(op.0) && self.index + 1 < self.source.words.len() {
            // isync has nothing to do here: the reset entry is gone when code is translated.
            if op.primary() == 31 {
                self.enable(op);
            }
            self.pause();
            return Then::Next;
        }
        if ends_block(op) {
            if self.inline && op.primary() == 19 && op.xo() == 50 && !self.user() {
                self.return_from_interrupt();
            } else {
                self.call_and_end();
            }
            return Then::End;
        }
        if !self.inline {
            self.call();
            return Then::Next;
        }
        if let Some(then) = self.branch(op, flags) {
            return then;
        }
        if !self.straight(op) {
            self.call();
        }
        Then::Next
    }

    /// What is no branch. False if it is not translated.
    fn straight(&mut self, op: Op) -> bool {
        match op.primary() {
            32..=45 => self.memory(op),
            46 | 47 => self.multiple(op, op.primary() == 47),
            48..=55 => {
                let (store, double) = (op.primary() >= 52, op.primary() & 2 != 0);
                self.float_access(op, None, store, double, op.primary() & 1 != 0)
            }
            59 | 63 => self.float(op),
            31 => self.integer_x(op) || self.memory(op) || self.system(op),
            19 => self.condition_logic(op),
            3 => self.trap(op),
            _ => self.integer_d(op),
        }
    }

    /// Writes every changed guest register back; they stay where they are. Leaves the flags alone.
    fn flush(&mut self) {
        for (host, guest) in self.regs.take_dirty().iter() {
            self.e.store(guest.place(), host);
        }
    }

    /// Holds nothing any more but the registers that are always held; whatever was changed is written back.
    fn forget(&mut self) {
        self.regs.forget();
        self.windows.forget_all();
    }

    /// The host register that holds guest register `guest`.
    fn read(&mut self, guest: impl Into<Guest>) -> Reg {
        let guest = guest.into();
        if let Some(host) = self.regs.held(guest) {
            return host;
        }
        let host = self.claim(guest);
        self.e.load(host, guest.place());
        host
    }

    /// A host register for guest register `guest`, whose old value does not matter.
    fn write(&mut self, guest: impl Into<Guest>) -> Reg {
        let guest = guest.into();
        self.windows.forget(guest);
        let host = match self.regs.held(guest) {
            Some(host) => host,
            None => self.claim(guest),
        };
        self.regs.soil(host);
        host
    }

    /// The host register that holds guest register `guest`, to be changed.
    fn modify(&mut self, guest: impl Into<Guest>) -> Reg {
        let guest = guest.into();
        self.windows.forget(guest);
        let host = self.read(guest);
        self.regs.soil(host);
        host
    }

    /// Gives `guest` a host register with nothing in it yet; whoever has none left is written back.
    fn claim(&mut self, guest: Guest) -> Reg {
        let (host, evicted) = self.regs.claim(guest);
        if let Some(evicted) = evicted {
            self.e.store(evicted.place(), host);
        }
        host
    }

    /// (RA|0) as a register, or `None` for 0.
    fn read_base(&mut self, op: Op) -> Option<Reg> {
        (op.ra() != 0).then(|| self.read(op.ra()))
    }

    /// EAX <- where the instruction at `index` stands.
    fn load_place(&mut self, index: usize, since: usize) {
        self.e.mov_imm(RAX, Place::new(self.source.block, index, since).0);
    }

    /// Arguments of a call to the core for this instruction.
    fn call_arguments(&mut self) {
        let word = self.word();
        self.load_place(self.index, self.index - self.segment);
        self.e.mov_imm64(RCX, (self.handler)(word) as u64);
    }

    /// The core executes this instruction.
    fn call(&mut self) {
        self.failed |= self.source.path.is_some();
        self.flush();
        self.forget();
        self.call_arguments();
        let hole = self.e.call();
        self.bind_far(hole, self.stubs.call);
    }

    /// The core executes this instruction, and tells where to go on.
    fn call_and_end(&mut self) {
        self.flush();
        self.call_arguments();
        let hole = self.e.jump();
        self.bind_far(hole, self.stubs.call_and_end);
    }

    /// Lets a jump go to fixed code.
    fn bind_far(&mut self, hole: Hole, offset: usize) {
        self.e.bind(hole, offset.wrapping_sub(self.source.at));
    }
}

/// Instructions that are points where interrupts are taken, and change neither the flow nor what a block is built on:
/// isync, wrtee, wrteei.
pub(crate) fn pauses(word: u32) -> bool {
    let op = Op::new(word);
    match op.primary() {
        19 => op.xo() == 150,
        31 => matches!(op.xo(), 131 | 163),
        _ => false,
    }
}

/// Instructions after which no block goes on: branches always taken, calls through LR and CTR, sc, returns from
/// interrupts.
pub(crate) fn leaves(word: u32) -> bool {
    let op = Op::new(word);
    match op.primary() {
        17 | 18 => true,
        19 => matches!(op.xo(), 16 | 38 | 50 | 51 | 528),
        _ => false,
    }
}

/// Instructions after which the core says where to go on: they change the mode, the context or the flow in ways that
/// are not worth translating.
fn ends_block(op: Op) -> bool {
    match op.primary() {
        17 => true,
        18 => op.li() == 0 && !op.lk() && !op.aa(),
        19 => matches!(op.xo(), 38 | 50 | 51 | 150),
        // XER[SO] may change: forms with OE, mtspr XER, mcrxr.
        4 => op.oe() && op.xo() & 7 == 4 || op.oe() && op.xo() & 7 == 6,
        31 => match op.xo() {
            131 | 146 | 163 | 512 => true,
            467 => matches!(op.spr(), 1 | 308),
            _ => {
                op.oe()
                    && matches!(
                        op.xo() & 0x1FF,
                        8 | 10 | 40 | 104 | 136 | 138 | 200 | 202 | 232 | 234 | 235 | 266 | 459 | 491
                    )
            }
        },
        _ => false,
    }
}

/// Where guest state lies that is reached by index.
pub(crate) const fn gpr_place(index: usize) -> Mem {
    state(offset_of!(CpuState, gpr) + 4 * index)
}
