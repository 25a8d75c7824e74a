//! Traces: a way through several blocks that leads back to where it began, as the guest was seen to go it. Branches on the
//! way are only tests whether it still goes the same way; what the rounds carry stays in registers, of which a trace
//! shares out more than a block can: those that hold the same guest register everywhere else are given to the guest
//! registers that this loop uses most, and restored on every way out.
//!
//! Nothing in a trace looks at clock and pins. A round begins only if more instructions are left before the next look than
//! a round has; else the block that the trace stands for goes on, which looks where it must. For the same reason a trace
//! has nothing in it that the core executes in line, or that changes the mode, the context or an enable bit.
//!
//! A trace that is often left by the same way out gets a *side trace*: the way from there back to where the rounds of the first,
//! its *root*, begin. It takes over the registers as the root has them, and ends in the root's next round.

use ppc440_core::op::Op;

use alloc::vec::Vec;

use super::loops;
use super::regs::{CTR, Fixed, Guest, HOSTS, Regs, standard};
use super::{Count, Exit, Holes, Then, Translator, ends_block, field, pauses};
use crate::cache::NewSite;
use crate::emit::{Alu, Cond, R12, RAX, Reg};
use crate::frame;

/// A host register that holds `mine` here and `other` everywhere else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Swap {
    host: Reg,
    other: Guest,
    mine: Guest,
}

/// Where the rounds of a trace begin, and what holds there.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    pub(crate) pc: u32,
    /// More instructions than these must be left.
    words: u32,
    /// Offset in the memory for code.
    start: usize,
    regs: Regs,
    swaps: Vec<Swap>,
}

/// What a side trace begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side<'a> {
    pub(crate) root: &'a Root,
    /// Instructions that the way out has to count.
    pub(crate) count: u32,
    /// Offset of the rest of the way out, for when too little is left.
    pub(crate) rest: usize,
}

/// A way out of a trace, with offsets in its code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WayOut {
    /// The instruction that counts it: a jump to a side trace has room there. Only what the trace holds from round to round
    /// is in other registers than elsewhere.
    pub(crate) at: u32,
    /// What comes behind that.
    pub(crate) rest: u32,
    pub(crate) site: u32,
    pub(crate) target: u32,
    /// Instructions that it has to count.
    pub(crate) count: u32,
}

/// Whether a trace may have the instruction.
pub(crate) fn traceable(word: u32) -> bool {
    let op = Op::new(word);
    let unsuitable = match op.primary() {
        // lmw, stmw
        46 | 47 => true,
        // tlbwe, mtspr PID
        31 => op.xo() == 978 || op.xo() == 467 && op.spr() == 48,
        _ => false,
    };
    !(unsuitable || pauses(word) || ends_block(op))
}

/// b, bc, bclr, bcctr.
fn branches(op: Op) -> bool {
    matches!((op.primary(), op.xo()), (16 | 18, _) | (19, 16 | 528))
}

impl Translator<'_> {
    /// The instruction that comes after the current one.
    fn next_pc(&self) -> u32 {
        let next = self.index + 1;
        if next == self.source.words.len() { self.head() } else { self.pc_at(next) }
    }

    /// Where rounds begin.
    fn head(&self) -> u32 {
        self.source.side.map_or(self.source.pc, |side| side.root.pc)
    }

    pub(super) fn begin_trace(&mut self) {
        match self.source.side {
            Some(side) => self.begin_side(side),
            None => self.begin_root(),
        }
    }

    /// ```text
    /// R12 -= the way out's instructions; if R12 <= instructions undo that and go on with the way out
    /// empty the slots, if they are not for this table as it is
    /// ```
    fn begin_side(&mut self, side: Side<'_>) {
        self.e.alu64_imm(Alu::Sub, R12, side.count);
        self.e.alu64_imm(Alu::Cmp, R12, self.source.words.len() as u32);
        let enough = self.e.jump_if(Cond::Greater);
        self.e.alu64_imm(Alu::Add, R12, side.count);
        let hole = self.e.jump();
        self.bind_far(hole, side.rest);
        self.e.bind_here(enough);
        self.begin_pages();
        self.swaps.clone_from(&side.root.swaps);
        self.regs = Regs::with(side.root.regs.always());
        self.root = Some(side.root.clone());
    }

    /// ```text
    /// if R12 <= instructions go on in the block
    /// empty the slots, if they are not for this table as it is
    /// exchange registers; read what is used most
    /// start:
    /// ```
    fn begin_root(&mut self) {
        self.e.alu64_imm(Alu::Cmp, R12, self.source.words.len() as u32);
        let enough = self.e.jump_if(Cond::Greater);
        self.fall_back();
        self.e.bind_here(enough);
        self.begin_pages();
        let (mut uses, accesses) = self.uses(self.source.words);
        let fixed = share_out(&mut uses);
        for ((host, mine), (_, other)) in fixed.into_iter().zip(standard()) {
            if mine != other {
                self.e.store(other.place(), host);
                self.swaps.push(Swap { host, other, mine });
            }
        }
        self.swap_in();
        self.regs = Regs::with(fixed);
        let others = uses.iter().filter(|uses| uses.times != 0).count();
        let room = if accesses { HOSTS.len() - 1 } else { HOSTS.len() };
        self.keep_most_used(&mut uses, others.min(room));
        self.root = Some(Root {
            pc: self.source.pc,
            words: self.source.words.len() as u32,
            start: self.source.at + self.e.here(),
            regs: self.regs.clone(),
            swaps: self.swaps.clone(),
        });
    }

    /// Gives host registers the guest registers that they hold here. Leaves the flags alone.
    pub(super) fn swap_in(&mut self) {
        for at in 0..self.swaps.len() {
            let Swap { host, mine, .. } = self.swaps[at];
            self.e.load(host, mine.place());
        }
    }

    /// Gives host registers the guest registers that they hold elsewhere. Leaves the flags and EAX alone.
    pub(super) fn swap_out(&mut self) {
        for at in 0..self.swaps.len() {
            let Swap { host, mine, .. } = self.swaps[at];
            self.e.store(mine.place(), host);
        }
        for at in 0..self.swaps.len() {
            let Swap { host, other, .. } = self.swaps[at];
            self.e.load(host, other.place());
        }
    }

    /// One instruction on the way.
    pub(super) fn trace(&mut self, op: Op, flags: Option<u32>) -> Then {
        let branches = branches(op);
        if !traceable(op.0) || (!branches && self.next_pc() != self.pc().wrapping_add(4)) {
            self.failed = true;
        } else if branches {
            self.branch_on_the_way(op, flags);
        } else if !self.straight(op) {
            self.failed = true;
        }
        Then::Next
    }

    /// A branch that goes on where it went when the trace was made, else out of it.
    fn branch_on_the_way(&mut self, op: Op, flags: Option<u32>) {
        let (here, next) = (self.pc(), self.next_pc());
        let after = here.wrapping_add(4);
        let always = op.rt() & 20 == 20;
        let count = self.count();
        match op.primary() {
            18 => {
                let target = if op.aa() { op.li() } else { here.wrapping_add(op.li()) };
                self.link_register(op);
                self.failed |= next != target;
            }
            16 => {
                let target = if op.aa() { op.bd() } else { here.wrapping_add(op.bd()) };
                if always {
                    self.link_register(op);
                    self.failed |= next != target;
                    return;
                }
                let one = (op.rt() & 4 != 0) != (op.rt() & 16 != 0);
                if !one || (next != target && next != after) {
                    self.failed = true;
                    return;
                }
                let taken = self.one_condition(op, flags);
                let (leaves, target) = if next == target { (taken.not(), after) } else { (taken, target) };
                let spill = self.regs.dirty();
                let hole = self.e.jump_if(leaves);
                self.exits.push(Exit { hole, spill, target, count: Count::Of(count) });
            }
            _ => {
                // The target is read before LK replaces it.
                self.failed |= !always;
                match self.regs.held(CTR).filter(|_| op.xo() != 16) {
                    Some(ctr) => self.e.mov(RAX, ctr),
                    None => self.e.load(RAX, if op.xo() == 16 { field!(lr) } else { field!(ctr) }),
                }
                self.link_register(op);
                self.e.alu_imm(Alu::And, RAX, !3);
                self.e.alu_imm(Alu::Cmp, RAX, next);
                let spill = self.regs.dirty();
                let hole = self.e.jump_if(Cond::NotEqual);
                self.exits.push(Exit { hole, spill, target: 0, count: Count::Computed(count) });
            }
        }
    }

    /// The end of a round.
    ///
    /// ```text
    /// write back and read what is not held as it was at the start
    /// R12 -= instructions; if R12 > instructions go on at the start
    /// go on in the block
    /// ```
    /// More than a round must be left before each, so something is left after it: whether the end of a round is a point
    /// where interrupts are taken is no question then.
    pub(super) fn close_trace(&mut self) {
        let Some(root) = self.root.take() else { return };
        self.meet(&root.regs);
        self.next_round(&root, self.count());
        let hole = self.e.jump();
        self.exits.push(Exit { hole, spill: root.regs.dirty(), target: root.pc, count: Count::Fallback });
        self.root = Some(root);
    }

    /// R12 -= count; begins a round if enough is left.
    fn next_round(&mut self, root: &Root, count: u32) {
        self.e.alu64_imm(Alu::Sub, R12, count);
        self.e.alu64_imm(Alu::Cmp, R12, root.words);
        let again = self.e.jump_if(Cond::Greater);
        self.bind_far(again, root.start);
    }

    /// The beginning of a way out of the trace, which leads to `target` and has `count` instructions to count, with everything
    /// written back that a round need not hold. True if that is all of it: it leads to the next round.
    ///
    /// ```text
    /// exits[number] += 1      (a jump to a side trace, when there is one)
    /// ```
    pub(super) fn leave_trace(&mut self, target: u32, count: u32) -> bool {
        let Some(root) = self.root.take() else { return false };
        let again = target == root.pc;
        if again {
            for (host, guest) in root.regs.all().iter() {
                self.e.load(host, guest.place());
            }
            self.next_round(&root, count);
            self.swap_out();
            self.fall_back();
        } else if (target ^ root.pc) & !0xFFF == 0 && self.ways_out.len() < self.source.exits.len() {
            let number = self.source.exits.start + self.ways_out.len() as u32;
            let at = self.e.here() as u32;
            self.e.alu_mem_imm(false, Alu::Add, frame::exit_count(number), 1);
            let rest = self.e.here() as u32;
            let site = self.source.first_site + self.sites.len() as u32;
            self.ways_out.push(WayOut { at, rest, site, target, count });
        }
        self.root = Some(root);
        again
    }

    /// Goes on in the block that the trace stands for: R12 is what it was before, above 0 or not.
    pub(super) fn fall_back(&mut self) {
        let hole = self.e.jump();
        let mut ask = Holes::default();
        ask.push(hole);
        let jump = Some((self.source.at + hole.0) as u32);
        self.fallbacks.push(self.source.first_site + self.sites.len() as u32);
        let target = self.head();
        self.ask_driver(ask, NewSite { target, sampling: false, jump, stub: 0, key: None });
    }
}

/// Gives the guest registers that are worth most a host register for the whole trace, and takes them out of `uses`: each
/// the one that it has elsewhere, if it has one.
fn share_out(uses: &mut [loops::Use; 33]) -> Fixed {
    let mut fixed = standard();
    let mut chosen = [None; 6];
    for place in &mut chosen {
        let most = loops::most_used(uses);
        if uses[most].times != 0 {
            *place = Some(loops::guest(most));
            uses[most] = loops::Use::default();
        }
    }
    let stays = |guest: Guest| chosen.contains(&Some(guest));
    let mut homeless =
        chosen.into_iter().flatten().filter(|guest| standard().iter().all(|(_, held)| held != guest));
    for (_, held) in &mut fixed {
        if !stays(*held)
            && let Some(guest) = homeless.next()
        {
            *held = guest;
        }
    }
    fixed
}
