//! Floating point by SSE. The fast way serves rounding to nearest with no exception enabled and XX already set, and a
//! result whose exponent is neither all ones, nor zero, nor the smallest normal: there the host rounds as the guest,
//! and the FPSCR changes only in FPRF, FR and FI. Those come from re-executing the last operation when somebody looks,
//! so the operation and its operands are noted ([`Frame::float_word`](crate::frame::Frame)). Everything else goes out
//! of line to the core. Single precision is rounded twice, through double, which is exact where the operands are
//! single-precision values (53 >= 2 * 24 + 2).

use core::mem::offset_of;

use ppc440_core::fpu::Fpscr;
use ppc440_core::op::Op;
use ppc440_core::state::CpuState;

use super::{Slow, Translator, field, state};
use crate::emit::{Alu, Cond, Mem, RAX, RCX, RDX, Shift, Xmm};
use crate::frame;

const X0: Xmm = Xmm(0);
const X1: Xmm = Xmm(1);
const X2: Xmm = Xmm(2);
const X3: Xmm = Xmm(3);

/// SSE prefixes: scalar double, scalar single, packed.
const DOUBLE: u8 = 0xF2;
const SINGLE: u8 = 0xF3;
const PACKED: u8 = 0x66;
const MOVE: u8 = 0x10;
const ADD: u8 = 0x58;
const MUL: u8 = 0x59;
const CONVERT: u8 = 0x5A;
const SUB: u8 = 0x5C;
const DIV: u8 = 0x5E;
const COMPARE: u8 = 0x2E;
const COPY: u8 = 0x28;

/// FPSCR bits that decide whether the fast way is open, and what they must be.
const WATCHED: u32 = Fpscr::RN | Fpscr::VE | Fpscr::OE | Fpscr::UE | Fpscr::ZE | Fpscr::XE | Fpscr::XX;

fn fpr(index: usize) -> Mem {
    state(offset_of!(CpuState, fpr) + 8 * index)
}

/// The host's operation for a two-operand instruction, and whether the second operand is FRC.
fn two_operands(op: Op) -> Option<(u8, bool)> {
    Some(match op.xo() & 31 {
        18 => (DIV, false),
        20 => (SUB, false),
        21 => (ADD, false),
        25 => (MUL, true),
        _ => return None,
    })
}

impl Translator<'_> {
    /// Primary opcodes 59 and 63. False if it is nothing that is translated.
    pub(super) fn float(&mut self, op: Op) -> bool {
        if !self.float_available() || op.rc() {
            return false;
        }
        let single = op.primary() == 59;
        if let Some((operation, by_c)) = two_operands(op) {
            self.arithmetic(op, operation, by_c, single);
            return true;
        }
        match (single, op.xo() & 31) {
            (false, 28..=31) if self.stubs.has_fma => {
                self.multiply_add(op);
                return true;
            }
            (true, _) => return false,
            _ => {}
        }
        match op.xo() {
            0 | 32 => self.compare_float(op),
            12 => self.round_to_single(op),
            40 | 72 | 136 | 264 => self.move_float(op),
            _ => return false,
        }
        true
    }

    /// Goes the slow way unless the FPSCR allows the fast one.
    fn require_fast(&mut self, slow: &mut Slow) {
        self.e.load(RAX, field!(fpscr));
        self.e.alu_imm(Alu::And, RAX, WATCHED);
        self.e.alu_imm(Alu::Cmp, RAX, Fpscr::XX);
        slow.holes.push(self.e.jump_if(Cond::NotEqual));
    }

    /// Goes the slow way unless the exponent of the double in RAX is an ordinary one. Destroys RCX.
    fn require_ordinary_double(&mut self, slow: &mut Slow) {
        self.e.mov64(RCX, RAX);
        self.e.shift64_imm(Shift::Shl, RCX, 1);
        self.e.shift64_imm(Shift::Shr, RCX, 53);
        self.e.alu_imm(Alu::Sub, RCX, 2);
        self.e.alu_imm(Alu::Cmp, RCX, 0x7FE - 2);
        slow.holes.push(self.e.jump_if(Cond::Above));
    }

    /// X0 <- X0 rounded to single; goes the slow way unless the result's exponent is an ordinary one.
    fn round(&mut self, slow: &mut Slow) {
        self.e.sse(DOUBLE, CONVERT, X0, X0);
        self.e.movd_from(RAX, X0);
        self.e.mov(RCX, RAX);
        self.e.shift_imm(Shift::Shl, RCX, 1);
        self.e.shift_imm(Shift::Shr, RCX, 24);
        self.e.alu_imm(Alu::Sub, RCX, 2);
        self.e.alu_imm(Alu::Cmp, RCX, 0xFE - 2);
        slow.holes.push(self.e.jump_if(Cond::Above));
        self.e.sse(SINGLE, CONVERT, X0, X0);
        self.e.movq_from(RAX, X0);
    }

    /// Goes the slow way unless the FPR at `place` has a single-precision value's 24 bits.
    fn require_single(&mut self, place: Mem, slow: &mut Slow) {
        self.e.load(RAX, place);
        self.e.test_imm(RAX, 0x1FFF_FFFF);
        slow.holes.push(self.e.jump_if(Cond::NotEqual));
    }

    /// FRT <- RAX, and notes the operation, whose operands are X1, X2 and (if `third`) X3.
    fn note(&mut self, op: Op, third: bool) {
        self.e.store_double(frame::float_operand(0), X1);
        self.e.store_double(frame::float_operand(1), X2);
        if third {
            self.e.store_double(frame::float_operand(2), X3);
        }
        self.e.store_imm(frame::FLOAT_WORD, op.0);
        self.e.store_imm(frame::FLOAT_COMPARED, 0);
        self.e.store64(fpr(op.rt()), RAX);
    }

    /// FRT <- FRA op FRB (FRC for multiplication).
    fn arithmetic(&mut self, op: Op, operation: u8, by_c: bool, single: bool) {
        let second = fpr(if by_c { op.rc_reg() } else { op.rb() });
        let mut slow = self.slow_way();
        self.require_fast(&mut slow);
        if single {
            self.require_single(fpr(op.ra()), &mut slow);
            self.require_single(second, &mut slow);
        }
        self.e.sse_mem(DOUBLE, MOVE, X1, fpr(op.ra()));
        self.e.sse_mem(DOUBLE, MOVE, X2, second);
        self.e.sse(PACKED, COPY, X0, X1);
        self.e.sse(DOUBLE, operation, X0, X2);
        if single {
            self.round(&mut slow);
        } else {
            self.e.movq_from(RAX, X0);
            self.require_ordinary_double(&mut slow);
        }
        self.note(op, false);
        self.resume_here(slow);
    }

    /// FRT <- [-](FRA * FRC +- FRB), rounded once.
    fn multiply_add(&mut self, op: Op) {
        let mut slow = self.slow_way();
        self.require_fast(&mut slow);
        self.e.sse_mem(DOUBLE, MOVE, X1, fpr(op.ra()));
        self.e.sse_mem(DOUBLE, MOVE, X2, fpr(op.rc_reg()));
        self.e.sse_mem(DOUBLE, MOVE, X3, fpr(op.rb()));
        self.e.sse(PACKED, COPY, X0, X1);
        let xo = op.xo() & 31;
        self.e.fused_multiply_add(xo & 1 == 0, X0, X2, X3);
        self.e.movq_from(RAX, X0);
        self.require_ordinary_double(&mut slow);
        if xo >= 30 {
            self.e.mov_imm64(RCX, 1 << 63);
            self.e.alu64(Alu::Xor, RAX, RCX);
        }
        self.note(op, true);
        self.resume_here(slow);
    }

    /// frsp
    fn round_to_single(&mut self, op: Op) {
        let mut slow = self.slow_way();
        self.require_fast(&mut slow);
        self.e.sse_mem(DOUBLE, MOVE, X1, fpr(op.rb()));
        self.e.sse(PACKED, COPY, X0, X1);
        self.e.sse(PACKED, COPY, X2, X1);
        self.round(&mut slow);
        self.note(op, false);
        self.resume_here(slow);
    }

    /// fmr, fneg, fabs, fnabs: the sign alone changes.
    fn move_float(&mut self, op: Op) {
        self.e.load64(RAX, fpr(op.rb()));
        if op.xo() != 72 {
            self.e.mov_imm64(RCX, 1 << 63);
            match op.xo() {
                40 => self.e.alu64(Alu::Xor, RAX, RCX),
                136 => self.e.alu64(Alu::Or, RAX, RCX),
                _ => {
                    self.e.alu64(Alu::Or, RAX, RCX);
                    self.e.alu64(Alu::Xor, RAX, RCX);
                }
            }
        }
        self.e.store64(fpr(op.rt()), RAX);
    }

    /// fcmpu and fcmpo of two numbers; the FPSCR's FPCC is noted.
    fn compare_float(&mut self, op: Op) {
        let mut slow = self.slow_way();
        self.e.sse_mem(DOUBLE, MOVE, X1, fpr(op.ra()));
        self.e.sse_mem(PACKED, COMPARE, X1, fpr(op.rb()));
        slow.holes.push(self.e.jump_if(Cond::Parity));
        self.e.mov_imm(RAX, 2);
        self.e.mov_imm(RCX, 4);
        self.e.mov_imm(RDX, 8);
        self.e.cmov(Cond::Above, RAX, RCX);
        self.e.cmov(Cond::Below, RAX, RDX);
        self.e.store(frame::FLOAT_COMPARED, RAX);
        self.e.load64(RAX, frame::cr_code(RAX));
        self.e.store64(frame::cr_field(op.bf()), RAX);
        self.resume_here(slow);
    }

    /// Floating-point loads and stores; `rb` for X-forms. False if it is not translated.
    pub(super) fn float_access(
        &mut self,
        op: Op,
        rb: Option<usize>,
        store: bool,
        double: bool,
        update: bool,
    ) -> bool {
        if !self.float_available() || (update && op.ra() == 0) {
            return false;
        }
        self.effective_address(op, rb);
        let mut slow = self.slow_way();
        let len = if double { 8 } else { 4 };
        // An aligned access never crosses a multiple of 16 bytes.
        self.e.test_imm(RAX, len - 1);
        slow.holes.push(self.e.jump_if(Cond::NotEqual));
        self.look_up(1, store, &mut slow);
        match (store, double) {
            (true, true) => {
                self.e.load64(RCX, fpr(op.rt()));
                self.e.bswap64(RCX);
                self.e.store64(Mem::new(RAX, 0), RCX);
            }
            (true, false) => {
                // The bits of a number that single precision can hold, or of a zero: sign, exponent's top, the rest.
                self.e.load64(RDX, fpr(op.rt()));
                self.e.mov64(RCX, RDX);
                self.e.shift64_imm(Shift::Shl, RCX, 1);
                let zero = self.e.jump_if(Cond::Equal);
                self.e.shift64_imm(Shift::Shr, RCX, 53);
                self.e.alu_imm(Alu::Cmp, RCX, 897);
                slow.holes.push(self.e.jump_if(Cond::Below));
                self.e.bind_here(zero);
                self.e.mov64(RCX, RDX);
                self.e.shift64_imm(Shift::Shr, RCX, 32);
                self.e.alu_imm(Alu::And, RCX, 0xC000_0000);
                self.e.shift64_imm(Shift::Shr, RDX, 29);
                self.e.alu_imm(Alu::And, RDX, 0x3FFF_FFFF);
                self.e.alu(Alu::Or, RCX, RDX);
                self.e.bswap(RCX);
                self.e.store(Mem::new(RAX, 0), RCX);
            }
            (false, true) => {
                self.e.load64(RCX, Mem::new(RAX, 0));
                self.e.bswap64(RCX);
                self.e.store64(fpr(op.rt()), RCX);
            }
            (false, false) => {
                // The host would quiet a NaN; the guest does not.
                self.e.load(RCX, Mem::new(RAX, 0));
                self.e.bswap(RCX);
                self.e.mov(RDX, RCX);
                self.e.alu_imm(Alu::And, RDX, 0x7F80_0000);
                self.e.alu_imm(Alu::Cmp, RDX, 0x7F80_0000);
                slow.holes.push(self.e.jump_if(Cond::Equal));
                self.e.movd_to(X0, RCX);
                self.e.sse(SINGLE, CONVERT, X0, X0);
                self.e.store_double(fpr(op.rt()), X0);
            }
        }
        if update {
            self.update_base(op, rb);
        }
        self.resume_here(slow);
        true
    }
}
