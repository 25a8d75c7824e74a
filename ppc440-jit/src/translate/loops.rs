//! Blocks that end in a branch to their own start. The registers that such a loop uses most are read once before it, and
//! the branch back leads behind that, so that what the loop carries from one round to the next stays in registers.
//! Whatever holds elsewhere holds here: registers are written back before the core looks, and each round counts its
//! instructions and looks at clock and pins.

use ppc440_core::op::Op;

use super::regs::{CTR, Guest, HOSTS, Regs};
use super::{Count, Exit, Translator, ends_block};
use crate::emit::{Alu, Cond, R12, RAX};

/// A block that repeats.
#[derive(Debug)]
pub(super) struct Loop {
    /// Which instruction branches back.
    pub(super) last: usize,
    /// Where a round begins, and what is held there.
    pub(super) start: usize,
    pub(super) regs: Regs,
    /// It only waits: the GPRs whose difference is how long, in ticks.
    pub(super) waits: Option<(usize, usize)>,
}

/// The GPRs that an instruction reads, and the one that it changes, roughly: it only decides what is worth a register.
fn operands(op: Op) -> ([Option<usize>; 3], Option<usize>) {
    let (rt, ra, rb) = (Some(op.rt()), Some(op.ra()), Some(op.rb()));
    // (RA|0)
    let base = ra.filter(|&ra| ra != 0);
    match op.primary() {
        14 | 15 | 32..=35 | 40..=43 => ([base, None, None], rt),
        36..=39 | 44 | 45 => ([rt, base, None], None),
        48..=55 => ([base, None, None], None),
        3 | 10 | 11 => ([ra, None, None], None),
        7 | 8 | 12 | 13 => ([ra, None, None], rt),
        20 => ([rt, ra, None], ra),
        21 | 24..=29 => ([rt, None, None], ra),
        23 => ([rt, rb, None], ra),
        // Loads; stores; logic, rotates and shifts; arithmetic.
        31 => match op.xo() {
            20 | 23 | 87 | 279 | 343 | 534 | 790 => ([base, rb, None], rt),
            150 | 151 | 215 | 407 | 662 | 918 => ([rt, base, rb], None),
            0 | 32 => ([ra, rb, None], None),
            xo if matches!(xo & 31, 24 | 26 | 28) => ([rt, rb, None], ra),
            339 => ([None; 3], rt),
            467 => ([rt, None, None], None),
            _ => ([ra, rb, None], rt),
        },
        _ => ([None; 3], None),
    }
}

/// CTR's place behind the GPRs.
const CTR_USE: usize = 32;

/// Whose use it is.
pub(super) fn guest(number: usize) -> Guest {
    if number == CTR_USE { CTR } else { number.into() }
}

/// The number of the register that is worth most.
pub(super) fn most_used(uses: &[Use; 33]) -> usize {
    (0..uses.len()).max_by_key(|&number| uses[number].worth()).unwrap_or(0)
}

/// What a loop does to a GPR, or to CTR.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Use {
    pub(super) times: u32,
    /// It is read before it is changed, if it is changed at all.
    read_first: bool,
    changed: bool,
}

impl Use {
    /// What goes from one round to the next through memory makes each round wait.
    pub(super) fn worth(self) -> u32 {
        self.times + if self.read_first && self.changed { 1000 } else { 0 }
    }
}

impl Translator<'_> {
    /// Whether the block is a loop: conditional branches before its last lead out of it.
    pub(super) fn repeats(&self) -> bool {
        self.repeats.is_some()
    }

    /// Whether the branch at `index` leads back to the block's start, and the block is prepared for it.
    pub(super) fn loops_at(&self, index: usize) -> bool {
        self.repeats.as_ref().is_some_and(|repeats| repeats.last == index)
    }

    /// The index of the branch that ends the block and leads to its start, if nothing ends the block before.
    fn branch_back(&self) -> Option<usize> {
        for (index, &word) in self.source.words.iter().enumerate() {
            let op = Op::new(word);
            let one_condition = (op.rt() & 4 != 0) != (op.rt() & 16 != 0);
            let back = index as u32 * 4;
            match op.primary() {
                16 | 18 if op.lk() || op.aa() => return None,
                16 if op.bd().wrapping_add(back) == 0 => {
                    return (one_condition && index > 0).then_some(index);
                }
                16 if one_condition => {}
                18 if op.li().wrapping_add(back) == 0 => return (index > 0).then_some(index),
                16 | 18 => return None,
                19 if matches!(op.xo(), 16 | 528) => return None,
                _ if ends_block(op) => return None,
                _ => {}
            }
        }
        None
    }

    /// Whether the loop does nothing but look at the clock until enough time has passed, as Linux's `__delay` does: all
    /// of it reads the time base, subtracts, compares and branches out. Then it goes back while the last comparison says
    /// "greater": with its operands.
    ///
    /// ```text
    /// mftb T; subf D,S,T; cmplw L,D; ble out; ...; bgt start
    /// ```
    fn waits(&self, last: usize) -> Option<(usize, usize)> {
        let op = |index: usize| self.source.words.get(index).map(|&word| Op::new(word));
        let time_base = |op: Op| op.primary() == 31 && matches!(op.xo(), 339 | 371) && op.spr() == 268;
        let subtraction = |op: Op| op.primary() == 31 && op.xo() == 40 && !op.rc();
        let comparison = |op: Op| op.primary() == 31 && op.xo() == 32;
        let all = (0..last).all(|index| {
            op(index).is_some_and(|op| {
                time_base(op) || subtraction(op) || comparison(op) || (op.primary() == 16 && op.rt() & 4 != 0)
            })
        });
        let [read, difference, compared, back] =
            [op(last.checked_sub(3)?)?, op(last - 2)?, op(last - 1)?, op(last)?];
        let chain = time_base(read)
            && subtraction(difference)
            && difference.rb() == read.rt()
            && comparison(compared)
            && compared.rb() == difference.rt()
            && compared.ra() != compared.rb();
        let greater =
            back.primary() == 16 && back.rt() & 0x1C == 12 && back.ra() as u32 == 4 * compared.bf() + 1;
        (all && chain && greater).then_some((compared.ra(), compared.rb()))
    }

    /// If the block is a loop, reads what it uses most.
    pub(super) fn begin_loop(&mut self) {
        let Some(last) = self.branch_back() else { return };
        let waits = self.waits(last);
        let (mut uses, accesses) = self.uses(&self.source.words[..=last]);
        for (gpr, uses) in uses.iter_mut().enumerate() {
            if self.regs.always_in(gpr).is_some() {
                *uses = Use::default();
            }
        }
        let others = uses.iter().filter(|uses| uses.times != 0).count();
        // One stays free for a window, and for all that find no room.
        let room = if waits.is_some() {
            0
        } else if others > HOSTS.len() || accesses {
            others.min(HOSTS.len() - 1)
        } else {
            others
        };
        self.keep_most_used(&mut uses, room);
        self.repeats = Some(Loop { last, start: self.e.here(), regs: self.regs.clone(), waits });
    }

    /// What these words do to each GPR and to CTR, and whether they have loads or stores.
    pub(super) fn uses(&self, words: &[u32]) -> ([Use; 33], bool) {
        let mut uses = [Use::default(); 33];
        let (mut counts, mut moves_ctr, mut accesses) = (0, false, false);
        for &word in words {
            let op = Op::new(word);
            let (read, changed) = operands(op);
            for gpr in read.into_iter().flatten() {
                uses[gpr].times += 1;
                uses[gpr].read_first |= !uses[gpr].changed;
            }
            if let Some(gpr) = changed {
                uses[gpr].times += 1;
                uses[gpr].changed = true;
            }
            counts += u32::from(op.primary() == 16 && op.rt() & 4 == 0);
            moves_ctr |= op.primary() == 31 && matches!(op.xo(), 339 | 371 | 467) && op.spr() == 9;
            moves_ctr |= op.primary() == 19 && (op.xo() == 528 || op.xo() == 16 && op.rt() & 4 == 0);
            accesses |= matches!(op.primary(), 31..=47);
        }
        if counts != 0 && !moves_ctr {
            uses[CTR_USE] = Use { times: counts, read_first: true, changed: true };
        }
        (uses, accesses)
    }

    /// Reads the `room` registers that are used most, and lets them stay.
    pub(super) fn keep_most_used(&mut self, uses: &mut [Use; 33], room: usize) {
        for _ in 0..room {
            let most = most_used(uses);
            uses[most] = Use::default();
            self.read(guest(most));
        }
        self.regs.unpin();
        self.regs.keep();
    }

    /// Writes back and reads what is not held as in `regs`.
    pub(super) fn meet(&mut self, regs: &Regs) {
        for (host, guest) in self.regs.dirty().iter() {
            if !regs.dirty().has(host, guest) {
                self.e.store(guest.place(), host);
            }
        }
        for (host, guest) in regs.all().iter() {
            if !self.regs.all().has(host, guest) {
                self.e.load(host, guest.place());
            }
        }
    }

    /// The branch back, taken.
    ///
    /// ```text
    /// write back and read what is not held as it was at the start
    /// R12 -= instructions; if R12 > 0 go on at the start
    /// ask the driver
    /// ```
    pub(super) fn loop_back(&mut self) {
        let Some(repeats) = self.repeats.take() else { return };
        if let Some((enough, passed)) = repeats.waits {
            let (enough, passed) = (self.read(enough), self.read(passed));
            self.e.mov(RAX, enough);
            self.e.alu(Alu::Sub, RAX, passed);
            self.flush();
            let hole = self.e.call();
            self.bind_far(hole, self.stubs.wait);
        }
        self.meet(&repeats.regs);
        self.e.alu64_imm(Alu::Sub, R12, self.count());
        let again = self.e.jump_if(Cond::Greater);
        self.e.bind(again, repeats.start);
        let hole = self.e.jump();
        let spill = repeats.regs.dirty();
        self.exits.push(Exit { hole, spill, target: self.source.pc, count: Count::Done });
        self.windows.forget_all();
    }
}
