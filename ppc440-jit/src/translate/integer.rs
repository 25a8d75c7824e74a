//! Fixed-point arithmetic, logic, rotates, shifts and compares. What each emitter does is told in terms of the guest's
//! registers; the semantics are `ppc440_core::exec`'s.

use ppc440_core::bits::xer;
use ppc440_core::op::Op;

use super::{Translator, field, mode};
use crate::condition;
use crate::emit::{Alu, Cond, Mem, RAX, RCX, RDX, Reg, Shift};
use crate::frame::{CARRY, cr_field};

impl Translator<'_> {
    /// CR field `field` <- RAX, the difference of what is compared, whose sign the host's flags tell.
    ///
    /// ```text
    /// CR[field] = RAX
    /// ```
    /// With XER\[SO\] set it is the code of one of three outcomes. The flags stay as they are.
    fn set_field(&mut self, field: u32) {
        if self.so() != 0 {
            self.e.mov_imm64(RAX, condition::code(3));
            self.e.mov_imm64(RCX, condition::code(5));
            self.e.mov_imm64(RDX, condition::code(9));
            self.e.cmov64(Cond::Greater, RAX, RCX);
            self.e.cmov64(Cond::Less, RAX, RDX);
        }
        self.e.store64(cr_field(field), RAX);
        self.flags = Some(field);
    }

    /// CR field `field` <- `reg` compared with 0 as a signed number.
    fn compare_zero(&mut self, field: u32, reg: Reg) {
        let compared = self.e.has_compared(reg);
        self.compare_zero_unless(compared, field, reg);
    }

    /// The same; `compared` if the host's flags tell it already.
    fn compare_zero_unless(&mut self, compared: bool, field: u32, reg: Reg) {
        self.e.movsx32(RAX, reg);
        if self.so() != 0 || self.next_asks(field) {
            if !compared {
                self.e.test(reg, reg);
            }
            self.set_field(field);
        } else {
            self.e.store64(cr_field(field), RAX);
        }
    }

    /// Whether the next instruction is a branch on this field.
    fn next_asks(&self, field: u32) -> bool {
        let next = self.source.words.get(self.index + 1).map(|&word| Op::new(word));
        next.is_some_and(|op| {
            matches!((op.primary(), op.xo()), (16, _) | (19, 16 | 528)) && op.ra() as u32 / 4 == field
        })
    }

    /// Whether the next instruction is a branch on CR0\[EQ\].
    fn next_asks_for_zero(&self) -> bool {
        let next = self.source.words.get(self.index + 1).map(|&word| Op::new(word));
        self.next_asks(0) && next.is_some_and(|op| op.ra() == 2)
    }

    /// CR field `field` <- `a` compared with `b`.
    fn compare(&mut self, field: u32, signed: bool, a: Reg, b: Reg) {
        if signed {
            self.e.movsx32(RAX, a);
            self.e.movsx32(RCX, b);
            self.e.alu64(Alu::Sub, RAX, RCX);
        } else {
            self.e.mov(RAX, a);
            self.e.alu64(Alu::Sub, RAX, b);
        }
        self.set_field(field);
    }

    /// CR field `field` <- `a` compared with `value`.
    fn compare_immediate(&mut self, field: u32, signed: bool, a: Reg, value: u32) {
        if signed && value == 0 {
            self.compare_zero(field, a);
            return;
        }
        if signed {
            self.e.movsx32(RAX, a);
        } else {
            self.e.mov(RAX, a);
        }
        self.e.alu64_imm(Alu::Sub, RAX, value);
        self.set_field(field);
    }

    /// The record form's CR0, if `op` has Rc set.
    fn record(&mut self, op: Op, result: Reg) {
        if op.rc() {
            self.record_always(result);
        }
    }

    fn record_always(&mut self, result: Reg) {
        self.compare_zero(0, result);
    }

    /// XER\[CA\] <- the host's carry flag.
    fn carry_from_flag(&mut self) {
        self.e.set_mem(Cond::Below, CARRY);
    }

    /// RT <- XER
    ///
    /// ```text
    /// RT = XER without CA; EAX = CA; RT |= EAX << 29
    /// ```
    pub(super) fn move_from_xer(&mut self, op: Op) {
        let rt = self.write(op.rt());
        self.e.load(rt, field!(xer));
        self.e.alu_imm(Alu::And, rt, !xer::CA);
        self.e.load(RAX, CARRY);
        self.e.shift_imm(Shift::Shl, RAX, xer::CA.trailing_zeros());
        self.e.alu(Alu::Or, rt, RAX);
    }

    /// `result` <- EAX, and CR0 if `op` records.
    fn finish(&mut self, op: Op, target: usize) {
        let compared = self.e.has_compared(RAX);
        // This stores and loads at most.
        let to = self.write(target);
        self.e.mov(to, RAX);
        if op.rc() {
            self.compare_zero_unless(compared, 0, to);
        }
    }

    /// D-forms. False if it is none that is translated.
    pub(super) fn integer_d(&mut self, op: Op) -> bool {
        match op.primary() {
            7 => {
                let ra = self.read(op.ra());
                let rt = self.write(op.rt());
                self.e.imul_imm(rt, ra, op.si());
            }
            8 => {
                // RT <- SI - RA; the carry is "no borrow".
                let ra = self.read(op.ra());
                self.e.mov_imm(RAX, op.si());
                self.e.alu(Alu::Sub, RAX, ra);
                self.e.complement_carry();
                self.carry_from_flag();
                let rt = self.write(op.rt());
                self.e.mov(rt, RAX);
            }
            10 | 11 => {
                let ra = self.read(op.ra());
                let signed = op.primary() == 11;
                let value = if signed { op.si() } else { op.ui() };
                self.compare_immediate(op.bf(), signed, ra, value);
            }
            12 | 13 => {
                let ra = self.read(op.ra());
                let rt = self.write(op.rt());
                if rt != ra {
                    self.e.mov(rt, ra);
                }
                self.e.alu_imm(Alu::Add, rt, op.si());
                self.carry_from_flag();
                if op.primary() == 13 {
                    // The sum may have overflown, but whether it is 0 the flags tell.
                    let compared = self.so() == 0 && self.next_asks_for_zero();
                    self.compare_zero_unless(compared, 0, rt);
                }
            }
            14 | 15 => {
                let value = if op.primary() == 14 { op.si() } else { op.ui() << 16 };
                match self.read_base(op) {
                    None => {
                        let rt = self.write(op.rt());
                        self.e.mov_imm(rt, value);
                    }
                    Some(ra) => {
                        let windows = self.windows;
                        let rt = self.write(op.rt());
                        if rt == ra {
                            self.windows = windows.moved(op.ra(), value);
                            self.e.alu_imm(Alu::Add, rt, value);
                        } else {
                            self.e.lea(rt, Mem::new(ra, value as i32));
                        }
                    }
                }
            }
            20 => {
                // RA <- (rotated & mask) | (RA & ~mask)
                let rs = self.read(op.rt());
                let mask = op.mask();
                self.e.mov(RAX, rs);
                self.rotate(RAX, op.rb() as u32);
                self.e.alu_imm(Alu::And, RAX, mask);
                let ra = self.modify(op.ra());
                self.e.alu_imm(Alu::And, ra, !mask);
                self.e.alu(Alu::Or, ra, RAX);
                self.record(op, ra);
            }
            21 => self.rlwinm(op),
            23 => {
                let rs = self.read(op.rt());
                let rb = self.read(op.rb());
                self.e.mov(RCX, rb);
                self.e.mov(RAX, rs);
                self.e.shift_cl(Shift::Rol, RAX);
                self.e.alu_imm(Alu::And, RAX, op.mask());
                self.finish(op, op.ra());
            }
            24 | 25 => self.logic_immediate(op, Alu::Or, op.primary() == 25),
            26 | 27 => self.logic_immediate(op, Alu::Xor, op.primary() == 27),
            28 | 29 => {
                self.logic_immediate(op, Alu::And, op.primary() == 29);
                let ra = self.read(op.ra());
                self.record_always(ra);
            }
            _ => return false,
        }
        true
    }

    fn rotate(&mut self, reg: Reg, by: u32) {
        if by != 0 {
            self.e.shift_imm(Shift::Rol, reg, by);
        }
    }

    /// RA <- rotate(RS, SH) & mask; plain shifts where the mask says so.
    fn rlwinm(&mut self, op: Op) {
        let (sh, mask) = (op.rb() as u32, op.mask());
        let rs = self.read(op.rt());
        let ra = self.write(op.ra());
        if sh == 0 && mask == 0xFF {
            self.e.movzx8(ra, rs);
            self.record(op, ra);
            return;
        }
        if sh == 0 && mask == 0xFFFF {
            self.e.movzx16(ra, rs);
            self.record(op, ra);
            return;
        }
        self.e.mov(ra, rs);
        if mask == u32::MAX << sh {
            if sh != 0 {
                self.e.shift_imm(Shift::Shl, ra, sh);
            }
        } else if sh != 0 && mask == u32::MAX >> (32 - sh) {
            self.e.shift_imm(Shift::Shr, ra, 32 - sh);
        } else {
            self.rotate(ra, sh);
            if mask != u32::MAX {
                self.e.alu_imm(Alu::And, ra, mask);
            }
        }
        self.record(op, ra);
    }

    /// RA <- RS op UI
    fn logic_immediate(&mut self, op: Op, alu: Alu, shifted: bool) {
        let value = op.ui() << if shifted { 16 } else { 0 };
        let rs = self.read(op.rt());
        let ra = self.write(op.ra());
        self.e.mov(ra, rs);
        if value != 0 || alu == Alu::And {
            self.e.alu_imm(alu, ra, value);
        }
    }

    /// X- and XO-forms of primary opcode 31. False if it is none that is translated.
    pub(super) fn integer_x(&mut self, op: Op) -> bool {
        if op.xo() & 31 == 15 {
            self.isel(op);
            return true;
        }
        match op.xo() {
            0 | 32 => {
                let (ra, rb) = (self.read(op.ra()), self.read(op.rb()));
                self.compare(op.bf(), op.xo() == 0, ra, rb);
            }
            266 => {
                let (ra, rb) = (self.read(op.ra()), self.read(op.rb()));
                let rt = self.write(op.rt());
                if rt == ra {
                    self.e.alu(Alu::Add, rt, rb);
                } else if rt == rb {
                    self.e.alu(Alu::Add, rt, ra);
                } else {
                    self.e.lea(rt, Mem::indexed(ra, rb, 0, 0));
                }
                self.record(op, rt);
            }
            40 => {
                let (ra, rb) = (self.read(op.ra()), self.read(op.rb()));
                let rt = self.write(op.rt());
                if rt == ra && rt != rb {
                    self.e.neg(rt);
                    self.e.alu(Alu::Add, rt, rb);
                } else {
                    self.e.mov(rt, rb);
                    self.e.alu(Alu::Sub, rt, ra);
                }
                self.record(op, rt);
            }
            104 => {
                let ra = self.read(op.ra());
                let rt = self.write(op.rt());
                self.e.mov(rt, ra);
                self.e.neg(rt);
                self.record(op, rt);
            }
            10 | 8 | 138 | 136 | 202 | 234 | 200 | 232 => self.carrying(op),
            235 => {
                let (ra, rb) = (self.read(op.ra()), self.read(op.rb()));
                let rt = self.write(op.rt());
                if rt == rb {
                    self.e.imul(rt, ra);
                } else {
                    self.e.mov(rt, ra);
                    self.e.imul(rt, rb);
                }
                self.record(op, rt);
            }
            11 | 75 => {
                let (ra, rb) = (self.read(op.ra()), self.read(op.rb()));
                self.e.mov(RAX, ra);
                self.e.mul_wide(rb, op.xo() == 75);
                let rt = self.write(op.rt());
                self.e.mov(rt, RDX);
                self.record(op, rt);
            }
            459 | 491 => self.divide(op),
            28 => self.logic(op, Alu::And, false, false),
            444 => self.logic(op, Alu::Or, false, false),
            316 => self.logic(op, Alu::Xor, false, false),
            60 => self.logic(op, Alu::And, true, false),
            412 => self.logic(op, Alu::Or, true, false),
            476 => self.logic(op, Alu::And, false, true),
            124 => self.logic(op, Alu::Or, false, true),
            284 => self.logic(op, Alu::Xor, false, true),
            922 | 954 => {
                let rs = self.read(op.rt());
                let ra = self.write(op.ra());
                if op.xo() == 922 {
                    self.e.movsx16(ra, rs);
                } else {
                    self.e.movsx8(ra, rs);
                }
                self.record(op, ra);
            }
            26 => {
                // 31 - bsr; 63 stands for "no bit", as 31 ^ 63 = 32.
                let rs = self.read(op.rt());
                self.e.mov_imm(RCX, 63);
                self.e.bsr(RAX, rs);
                self.e.cmov(Cond::Equal, RAX, RCX);
                self.e.alu_imm(Alu::Xor, RAX, 31);
                self.finish(op, op.ra());
            }
            24 | 536 => {
                // The 64-bit shift by six bits gives the zero that amounts above 31 ask for.
                let (rs, rb) = (self.read(op.rt()), self.read(op.rb()));
                self.e.mov(RCX, rb);
                self.e.mov(RAX, rs);
                self.e.shift64_cl(if op.xo() == 24 { Shift::Shl } else { Shift::Shr }, RAX);
                self.finish(op, op.ra());
            }
            824 => self.shift_right_algebraic_immediate(op),
            792 => self.shift_right_algebraic(op),
            _ => return false,
        }
        true
    }

    /// RA <- RS op RB, with RB or the result complemented.
    fn logic(&mut self, op: Op, alu: Alu, complement_b: bool, complement_result: bool) {
        let (rs, rb) = (self.read(op.rt()), self.read(op.rb()));
        if rs == rb && alu == Alu::Or && !complement_b && !complement_result {
            // mr
            let ra = self.write(op.ra());
            self.e.mov(ra, rs);
            self.record(op, ra);
            return;
        }
        if complement_b {
            self.e.mov(RAX, rb);
            self.e.not(RAX);
            self.e.alu(alu, RAX, rs);
            self.finish(op, op.ra());
            return;
        }
        let ra = self.write(op.ra());
        if ra == rb {
            self.e.alu(alu, ra, rs);
        } else {
            self.e.mov(ra, rs);
            self.e.alu(alu, ra, rb);
        }
        if complement_result {
            self.e.not(ra);
        }
        self.record(op, ra);
    }

    /// Additions and subtractions through XER\[CA\]. The host's carry flag is the guest's after an addition; a
    /// subtraction is the addition of the complement.
    fn carrying(&mut self, op: Op) {
        let ra = self.read(op.ra());
        let xo = op.xo();
        self.e.mov(RAX, ra);
        let two = matches!(xo, 10 | 8 | 138 | 136);
        let rb = if two { Some(self.read(op.rb())) } else { None };
        if matches!(xo, 8 | 136 | 200 | 232) {
            self.e.not(RAX);
        }
        if matches!(xo, 10 | 8) {
            if xo == 8 {
                // + 1: by a set carry.
                self.e.alu(Alu::Cmp, RAX, RAX);
                self.e.complement_carry();
            } else {
                self.e.test(RAX, RAX);
            }
        } else {
            self.e.bit_test_mem(CARRY, 0);
        }
        match (rb, xo) {
            (Some(rb), _) => self.e.alu(Alu::Adc, RAX, rb),
            (None, 234 | 232) => self.e.alu_imm(Alu::Adc, RAX, u32::MAX),
            _ => self.e.alu_imm(Alu::Adc, RAX, 0),
        }
        self.carry_from_flag();
        self.finish(op, op.rt());
    }

    /// RT <- RA / RB; 0 where the quotient is undefined.
    fn divide(&mut self, op: Op) {
        let signed = op.xo() == 491;
        let (ra, rb) = (self.read(op.ra()), self.read(op.rb()));
        self.e.mov(RAX, ra);
        self.e.test(rb, rb);
        let by_zero = self.e.jump_if(Cond::Equal);
        let mut overflow = None;
        if signed {
            self.e.alu_imm(Alu::Cmp, rb, u32::MAX);
            let not_minus_one = self.e.jump_if(Cond::NotEqual);
            // 0x8000_0000 / -1 overflows; the others are a negation.
            self.e.neg(RAX);
            overflow = Some((self.e.jump_if(Cond::Overflow), self.e.jump()));
            self.e.bind_here(not_minus_one);
            self.e.cdq();
        } else {
            self.e.mov_imm(RDX, 0);
        }
        self.e.div_wide(rb, signed);
        let done = self.e.jump();
        self.e.bind_here(by_zero);
        if let Some((undefined, _)) = overflow {
            self.e.bind_here(undefined);
        }
        self.e.mov_imm(RAX, 0);
        self.e.bind_here(done);
        if let Some((_, negated)) = overflow {
            self.e.bind_here(negated);
        }
        self.finish(op, op.rt());
    }

    /// RA <- RS >> SH; CA if ones were lost from a negative number.
    fn shift_right_algebraic_immediate(&mut self, op: Op) {
        let sh = op.rb() as u32;
        let rs = self.read(op.rt());
        if sh == 0 {
            self.e.store_imm(CARRY, 0);
        } else {
            // EAX = sign & RS & lost bits
            self.e.mov(RAX, rs);
            self.e.shift_imm(Shift::Sar, RAX, 31);
            self.e.alu(Alu::And, RAX, rs);
            self.e.test_imm(RAX, (1 << sh) - 1);
            self.e.set_mem(Cond::NotEqual, CARRY);
        }
        let ra = self.write(op.ra());
        self.e.mov(ra, rs);
        if sh != 0 {
            self.e.shift_imm(Shift::Sar, ra, sh);
        }
        self.record(op, ra);
    }

    /// As the immediate form, by RB's low six bits: as a 64-bit number shifted left by 32, whose lower half then holds
    /// what was lost.
    fn shift_right_algebraic(&mut self, op: Op) {
        let (rs, rb) = (self.read(op.rt()), self.read(op.rb()));
        self.e.mov(RCX, rb);
        self.e.mov(RDX, rs);
        self.e.shift64_imm(Shift::Shl, RDX, 32);
        self.e.shift64_cl(Shift::Sar, RDX);
        // Lost bits are in the low half of RDX; the result is the high half.
        self.e.mov_imm(RCX, 0);
        self.e.test(RDX, RDX);
        self.e.set(Cond::NotEqual, RCX);
        self.e.mov(RAX, rs);
        self.e.shift_imm(Shift::Shr, RAX, 31);
        self.e.alu(Alu::And, RCX, RAX);
        self.e.store(CARRY, RCX);
        self.e.mov64(RAX, RDX);
        self.e.shift64_imm(Shift::Shr, RAX, 32);
        self.finish(op, op.ra());
    }

    /// RT <- CR\[BC\] ? (RA|0) : RB
    fn isel(&mut self, op: Op) {
        let ra = self.read_base(op);
        let rb = self.read(op.rb());
        match ra {
            Some(ra) => self.e.mov(RAX, ra),
            None => self.e.mov_imm(RAX, 0),
        }
        let holds = self.test_bit(op.rc_reg() as u32);
        self.e.cmov(holds.not(), RAX, rb);
        let rt = self.write(op.rt());
        self.e.mov(rt, RAX);
    }

    /// Whether floating-point instructions are allowed in this block's mode.
    pub(super) fn float_available(&self) -> bool {
        self.source.mode & mode::FLOAT != 0
    }
}
