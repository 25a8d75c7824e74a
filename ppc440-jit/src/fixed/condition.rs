//! The fixed code for mfcr and mtcrf of the whole register.

use core::mem::offset_of;

use crate::emit::{Alu, Cond, Emitter, Mem, RAX, RBP, RCX, RDX, Reg, Shift, Xmm};
use crate::frame::{ANCHOR, Frame, cr_code, cr_field, frame_field};

/// The prefix and the opcodes of what is done with four words at once.
const WORDS: u8 = 0x66;
const MOVE: u8 = 0x6F;
const EQUAL: u8 = 0x76;
const AND: u8 = 0xDB;
const OR: u8 = 0xEB;
const XOR: u8 = 0xEF;
const ADD: u8 = 0xFE;
const TO_HALVES: u8 = 0x6B;
const TO_BYTES: u8 = 0x63;

/// EAX <- CR, which is saved with its value; returns. Changes RCX and RDX.
pub(super) fn pack(e: &mut Emitter) {
    pack_first(e);
    pack_all(e);
    let (fields, saved) = (cr_field(0), frame_field!(saved_cr));
    for pair in [0, 16, 32, 48] {
        e.load_wide(Xmm(0), fields.plus(pair));
        e.store_wide(saved.plus(pair), Xmm(0));
    }
    e.store(frame_field!(saved_value), RAX);
    e.ret();
}

/// CR <- EAX; returns. If that is the value that was saved last, its fields come back as they were. Changes RCX.
pub(super) fn unpack(e: &mut Emitter) {
    let (fields, saved) = (cr_field(0), frame_field!(saved_cr));
    e.alu_mem(Alu::Cmp, RAX, frame_field!(saved_value));
    let other = e.jump_if(Cond::NotEqual);
    for pair in [0, 16, 32, 48] {
        e.load_wide(Xmm(0), saved.plus(pair));
        e.store_wide(fields.plus(pair), Xmm(0));
    }
    e.ret();
    e.bind_here(other);
    for field in 0..8 {
        e.mov(RCX, RAX);
        e.shift_imm(Shift::Shr, RCX, 28 - 4 * field);
        e.alu_imm(Alu::And, RCX, 15);
        e.load64(RCX, cr_code(RCX));
        e.store64(cr_field(field), RCX);
    }
    e.ret();
}

/// EAX <- CR, and returns, if no field but field 0 changed since that was done last; else goes on.
///
/// ```text
/// if fields 1 to 7 are not those saved, go on
/// RCX = field 0; if it is the one saved, EAX = value saved
/// else if its lower half alone is 0, go on
/// else EAX = first[upper 4 bits of RCX | 16 if RCX is 0] | value saved & 0x0FFFFFFF; save RCX and EAX
/// ```
fn pack_first(e: &mut Emitter) {
    let (fields, saved) = (cr_field(0), frame_field!(saved_cr));
    let first = Mem::indexed(RBP, RAX, 2, offset_of!(Frame, first) as i32 - ANCHOR as i32);
    let [all, here, before] = [0, 1, 2].map(Xmm);
    for pair in [16, 32, 48] {
        let to = if pair == 16 { all } else { here };
        e.load_wide(to, fields.plus(pair));
        e.load_wide(before, saved.plus(pair));
        e.sse(WORDS, EQUAL, to, before);
        if pair != 16 {
            e.sse(WORDS, AND, all, here);
        }
    }
    e.signs_of_bytes(RDX, all);
    e.load64(RAX, fields.plus(8));
    e.load64(RCX, fields);
    e.alu_imm(Alu::Cmp, RDX, 0xFFFF);
    let another = e.jump_if(Cond::NotEqual);
    e.alu64_mem(Alu::Cmp, RAX, saved.plus(8));
    let field_1 = e.jump_if(Cond::NotEqual);
    e.load(RAX, frame_field!(saved_value));
    e.alu64_mem(Alu::Cmp, RCX, saved);
    let changed = e.jump_if(Cond::NotEqual);
    e.ret();
    e.bind_here(changed);
    e.mov(RDX, RAX);
    e.alu_imm(Alu::And, RDX, 0x0FFF_FFFF);
    e.mov64(RAX, RCX);
    e.shift64_imm(Shift::Shr, RAX, 60);
    e.test(RCX, RCX);
    let plain = e.jump_if(Cond::NotEqual);
    e.test64(RCX, RCX);
    let special = e.jump_if(Cond::NotEqual);
    e.alu_imm(Alu::Or, RAX, 16);
    e.bind_here(plain);
    e.load(RAX, first);
    e.alu(Alu::Or, RAX, RDX);
    e.store64(saved, RCX);
    e.store(frame_field!(saved_value), RAX);
    e.ret();
    e.bind_here(another);
    e.bind_here(field_1);
    e.bind_here(special);
}

/// EAX <- CR. Each kind of bit of all eight fields becomes eight signs, which a table spreads over the fields.
///
/// ```text
/// high, low = the words of the fields; zero = (low == 0)
/// LT = sign of 2 * high; SO = sign of 4 * (high ^ 2 * high); EQ = zero
/// GT = not sign of (high | zero & (high == 0))
/// EAX = 8 * spread[LT] + 4 * spread[GT] + 2 * spread[EQ] + spread[SO]
/// ```
fn pack_all(e: &mut Emitter) {
    let [high0, high4, low0, low4, t0, t4, nought] = [0, 1, 2, 3, 4, 5, 6].map(Xmm);
    let spread = |index: Reg| Mem::indexed(RBP, index, 2, offset_of!(Frame, spread) as i32 - ANCHOR as i32);
    for (high, low, more, first) in [(high0, low0, t0, 0), (high4, low4, t4, 4)] {
        e.load_wide(high, cr_field(first));
        e.load_wide(more, cr_field(first + 2));
        e.sse(WORDS, MOVE, low, high);
        e.shuffle_words(high, more, 0xDD);
        e.shuffle_words(low, more, 0x88);
    }
    e.sse(WORDS, XOR, nought, nought);
    for (high, low, t) in [(high0, low0, t0), (high4, low4, t4)] {
        e.sse(WORDS, EQUAL, low, nought);
        e.sse(WORDS, MOVE, t, high);
        e.sse(WORDS, EQUAL, t, nought);
        e.sse(WORDS, AND, t, low);
        e.sse(WORDS, OR, t, high);
    }
    e.sse(WORDS, TO_HALVES, low0, low4);
    e.sse(WORDS, TO_HALVES, t0, t4);
    e.sse(WORDS, TO_BYTES, t0, low0);
    e.signs_of_bytes(RDX, t0);
    for (high, t) in [(high0, t0), (high4, t4)] {
        e.sse(WORDS, MOVE, t, high);
        e.sse(WORDS, ADD, t, t);
        e.sse(WORDS, XOR, high, t);
        e.shift_words_left(high, 2);
    }
    e.sse(WORDS, TO_HALVES, t0, t4);
    e.sse(WORDS, TO_HALVES, high0, high4);
    e.sse(WORDS, TO_BYTES, t0, high0);
    e.signs_of_bytes(RAX, t0);
    // From the lowest byte on: not GT, EQ; LT, SO. Then GT, EQ, SO in EDX.
    e.movzx8(RCX, RAX);
    e.load(RCX, spread(RCX));
    e.shift_imm(Shift::Shr, RAX, 8);
    e.shift_imm(Shift::Shl, RAX, 16);
    e.alu(Alu::Or, RDX, RAX);
    e.alu_imm(Alu::Xor, RDX, 0xFF);
    for byte in 0..3 {
        e.movzx8(RAX, RDX);
        e.load(RAX, spread(RAX));
        e.lea(RCX, Mem::indexed(RAX, RCX, 1, 0));
        if byte < 2 {
            e.shift_imm(Shift::Shr, RDX, 8);
        }
    }
    e.mov(RAX, RCX);
}
