//! Branches, condition register logic and traps.

use ppc440_core::op::Op;

use super::regs::CTR;
use super::{Count, Exit, Holes, Then, Translator, field};
use crate::emit::{Alu, Cond, RAX, RCX, RDX, Reg, Shift};
use crate::frame::{cr_code, cr_field};

impl Translator<'_> {
    /// b, bc, bclr, bcctr. `flags` tells which CR field the host's flags still stand for.
    pub(super) fn branch(&mut self, op: Op, flags: Option<u32>) -> Option<Then> {
        match (op.primary(), op.xo()) {
            (18, _) => {
                let target = if op.aa() { op.li() } else { self.pc().wrapping_add(op.li()) };
                if self.loops_at(self.index) {
                    self.loop_back();
                    return Some(Then::End);
                }
                self.link_register(op);
                self.flush();
                self.go_to(target, true);
            }
            (16, _) => {
                let target = if op.aa() { op.bd() } else { self.pc().wrapping_add(op.bd()) };
                let bo = op.rt() as u32;
                let one_condition = (bo & 4 != 0) != (bo & 16 != 0);
                let forward = target.wrapping_sub(self.pc()) as i32 > 0;
                let inside = self.repeats() && !self.loops_at(self.index);
                if one_condition && (forward || inside) && self.index + 1 < self.source.words.len() {
                    self.side_exit(op, flags, target);
                    return Some(Then::Next);
                }
                if self.loops_at(self.index) {
                    // The way out must write back what is changed here, not what the loop keeps.
                    let not_taken = self.unless(op, flags, true);
                    let here = self.regs.clone();
                    self.loop_back();
                    self.regs = here;
                    for hole in not_taken.iter() {
                        self.e.bind_here(hole);
                    }
                    self.flush();
                    self.go_to(self.pc().wrapping_add(4), true);
                    return Some(Then::End);
                }
                let not_taken = self.condition(op, flags, true);
                self.go_to(target, true);
                self.otherwise(not_taken);
            }
            (19, 16) => {
                // The target is read before LK replaces it; EAX lives through the condition.
                self.e.load(RAX, field!(lr));
                let not_taken = self.condition(op, flags, true);
                self.e.alu_imm(Alu::And, RAX, !3);
                self.go_to_eax();
                self.otherwise(not_taken);
            }
            (19, 528) => {
                self.e.load(RAX, field!(ctr));
                let not_taken = self.condition(op, flags, false);
                self.e.alu_imm(Alu::And, RAX, !3);
                self.go_to_eax();
                self.otherwise(not_taken);
            }
            _ => return None,
        }
        Some(Then::End)
    }

    /// A conditional branch forward, on CR or on CTR: the block goes on where it is not taken, with registers as they
    /// are, but may pause there, as it is a point where interrupts are taken.
    fn side_exit(&mut self, op: Op, flags: Option<u32>, target: u32) {
        let taken = self.one_condition(op, flags);
        let spill = self.regs.dirty();
        let hole = self.e.jump_if(taken);
        self.exits.push(Exit { hole, spill, target, count: Count::Of(self.count()) });
        self.pause();
    }

    /// The host's condition for "taken" of a branch that looks at CR or at CTR, not both; the flags are set for it.
    pub(super) fn one_condition(&mut self, op: Op, flags: Option<u32>) -> Cond {
        let bo = op.rt() as u32;
        self.link_register(op);
        if bo & 4 == 0 {
            self.count_down();
            return if bo & 2 != 0 { Cond::Equal } else { Cond::NotEqual };
        }
        let holds = match self.fused(op, flags) {
            Some(holds) => holds,
            None => self.test_bit(op.ra() as u32),
        };
        if bo & 8 != 0 { holds } else { holds.not() }
    }

    /// The host's condition for "the CR bit is set", if the host's flags are still of that CR field.
    fn fused(&self, op: Op, flags: Option<u32>) -> Option<Cond> {
        flags.filter(|field| *field == op.ra() as u32 / 4)?;
        Some(match op.ra() % 4 {
            0 => Cond::Less,
            1 => Cond::Greater,
            2 => Cond::Equal,
            _ => return None,
        })
    }

    /// Tests a bit of CR; returns the host's condition for "it is set". Leaves EAX alone.
    pub(super) fn test_bit(&mut self, bit: u32) -> Cond {
        let at = cr_field(bit / 4);
        match bit % 4 {
            0 => {
                self.e.test_mem8(at.plus(7), 0x40);
                Cond::NotEqual
            }
            1 => {
                self.e.alu_mem_imm(true, Alu::Cmp, at, 0);
                Cond::Greater
            }
            2 => {
                self.e.alu_mem_imm(false, Alu::Cmp, at, 0);
                Cond::Equal
            }
            _ => {
                // Bit 61 against bit 60.
                self.e.load(RCX, at.plus(4));
                self.e.mov(RDX, RCX);
                self.e.shift_imm(Shift::Shr, RDX, 1);
                self.e.alu(Alu::Xor, RCX, RDX);
                self.e.test_imm(RCX, 1 << 28);
                Cond::NotEqual
            }
        }
    }

    /// LR <- the next instruction, if LK is set.
    pub(super) fn link_register(&mut self, op: Op) {
        if op.lk() {
            let next = self.pc().wrapping_add(4);
            self.e.store_imm(field!(lr), next);
        }
    }

    /// CTR <- CTR - 1, with the host's flags. CTR lies in memory unless a loop holds it.
    fn count_down(&mut self) {
        match self.regs.held(CTR) {
            Some(ctr) => {
                self.e.alu_imm(Alu::Sub, ctr, 1);
                self.regs.soil(ctr);
            }
            None => self.e.alu_mem_imm(false, Alu::Sub, field!(ctr), 1),
        }
    }

    /// Writes everything back, then as [`Translator::unless`].
    fn condition(&mut self, op: Op, flags: Option<u32>, counts: bool) -> Holes {
        // Moves leave the flags alone. Only a loop holds CTR, and its last branch does not come this way.
        self.flush();
        self.unless(op, flags, counts)
    }

    /// Jumps out if the condition of BO and BI does not hold; CTR counts down if BO asks for it and `counts` allows.
    /// Changes neither EAX nor, before it has used them, the flags.
    fn unless(&mut self, op: Op, flags: Option<u32>, counts: bool) -> Holes {
        let bo = op.rt() as u32;
        let counts = counts && bo & 4 == 0;
        let wanted = bo & 8 != 0;
        let mut holes = Holes::default();
        self.link_register(op);
        if counts {
            self.count_down();
            holes.push(self.e.jump_if(if bo & 2 != 0 { Cond::NotEqual } else { Cond::Equal }));
        }
        if bo & 16 == 0 {
            // What the host's flags say of the CR bit, unless counting has changed them.
            let fused = if counts { None } else { self.fused(op, flags) };
            let holds = match fused {
                Some(holds) => holds,
                None => self.test_bit(op.ra() as u32),
            };
            holes.push(self.e.jump_if(if wanted { holds.not() } else { holds }));
        }
        holes
    }

    /// The way of a branch that is not taken, if there is one.
    fn otherwise(&mut self, not_taken: Holes) {
        if not_taken.len != 0 {
            for hole in not_taken.iter() {
                self.e.bind_here(hole);
            }
            self.go_to(self.pc().wrapping_add(4), true);
        }
    }

    /// CR logic and mcrf. False if it is none of them.
    pub(super) fn condition_logic(&mut self, op: Op) -> bool {
        let (bt, ba, bb) = (op.rt() as u32, op.ra() as u32, op.rb() as u32);
        match op.xo() {
            0 => {
                self.e.load64(RAX, cr_field(op.bfa()));
                self.e.store64(cr_field(op.bf()), RAX);
            }
            33 | 129 | 193 | 225 | 257 | 289 | 417 | 449 => {
                // In the packed register; then the field's code.
                self.load_cr();
                self.e.mov(RDX, RAX);
                self.e.shift_imm(Shift::Shr, RDX, 31 - ba);
                self.e.mov(RCX, RAX);
                self.e.shift_imm(Shift::Shr, RCX, 31 - bb);
                let (alu, complement_b, complement) = match op.xo() {
                    33 => (Alu::Or, false, true),
                    129 => (Alu::And, true, false),
                    193 => (Alu::Xor, false, false),
                    225 => (Alu::And, false, true),
                    257 => (Alu::And, false, false),
                    289 => (Alu::Xor, false, true),
                    417 => (Alu::Or, true, false),
                    _ => (Alu::Or, false, false),
                };
                if complement_b {
                    self.e.not(RCX);
                }
                self.e.alu(alu, RDX, RCX);
                if complement {
                    self.e.not(RDX);
                }
                self.e.alu_imm(Alu::And, RDX, 1);
                self.e.shift_imm(Shift::Shl, RDX, 31 - bt);
                self.e.alu_imm(Alu::And, RAX, !(0x8000_0000 >> bt));
                self.e.alu(Alu::Or, RAX, RDX);
                self.store_cr_field(bt / 4, RAX);
            }
            _ => return false,
        }
        true
    }

    /// EAX <- CR. Changes RCX and RDX.
    pub(super) fn load_cr(&mut self) {
        let hole = self.e.call();
        self.bind_far(hole, self.stubs.pack);
    }

    /// CR field `field` <- the same field of the packed register `from`, through RCX.
    pub(super) fn store_cr_field(&mut self, field: u32, from: Reg) {
        self.e.mov(RCX, from);
        self.e.shift_imm(Shift::Shr, RCX, 28 - 4 * field);
        self.e.alu_imm(Alu::And, RCX, 15);
        self.e.load64(RCX, cr_code(RCX));
        self.e.store64(cr_field(field), RCX);
    }

    /// The fields of CR that FXM selects <- those of RS.
    pub(super) fn move_to_cr(&mut self, op: Op) {
        let rs = self.read(op.rt());
        if op.fxm() == 0xFF {
            self.e.mov(RAX, rs);
            let hole = self.e.call();
            self.bind_far(hole, self.stubs.unpack);
            return;
        }
        for field in (0..8).filter(|field| op.fxm() & (0x80 >> field) != 0) {
            self.store_cr_field(field, rs);
        }
    }

    /// twi, and tw: the core traps if the condition holds.
    pub(super) fn trap(&mut self, op: Op) -> bool {
        let to = op.rt();
        let ra = self.read(op.ra());
        let rb = if op.primary() == 31 { Some(self.read(op.rb())) } else { None };
        let mut slow = self.slow_way();
        match rb {
            Some(rb) => self.e.alu(Alu::Cmp, ra, rb),
            None => self.e.alu_imm(Alu::Cmp, ra, op.si()),
        }
        for (bit, cond) in
            [(16, Cond::Less), (8, Cond::Greater), (4, Cond::Equal), (2, Cond::Below), (1, Cond::Above)]
        {
            if to & bit != 0 {
                slow.holes.push(self.e.jump_if(cond));
            }
        }
        self.resume_here(slow);
        true
    }
}
