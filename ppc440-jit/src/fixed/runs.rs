//! The fixed code that finds where an access of a trace went: the page, and those beside it whose bytes lie beside its own in
//! the host's memory too. See [`pages`](crate::translate).

use ppc440_core::translate::data_table;

use crate::emit::{Alu, Cond, Emitter, Mem, R8, R15, RAX, RBX, RCX, RDI, RDX, RSI, Reg, Shift};
use crate::frame::run_fields;

/// So many pages are looked at in each direction.
const FURTHEST: u32 = 32;
/// The last page of the address space.
const LAST: u32 = 0xF_FFFF;

/// Writes the run of pages around effective address RAX to the slot at RCX, whose access is of RDX bytes, and returns with the
/// host address in RAX and the carry flag clear. With the carry flag set and RAX as it was if the table does not have the
/// page, or not all bytes lie in the run. Changes RCX and RDX.
///
/// ```text
/// RSI = table[RAX >> 12]; if RSI = 0 give up
/// RDI = RBX = RAX >> 12
/// while RDI > the first to look at and table[RDI - 1] = RSI  RDI -= 1
/// while RBX < the last to look at and table[RBX + 1] = RSI  RBX += 1
/// slot.page = RDI << 12; slot.host = slot.page - RSI; slot.last = (RBX + 1 - RDI << 12) - RDX; slot.turns += 1
/// if RAX - slot.page > slot.last give up
/// RAX -= RSI
/// ```
pub(super) fn find(e: &mut Emitter, store: bool) {
    let saved = [RBX, RSI, RDI, R8];
    let table = if store { data_table::STORES as i32 } else { 0 };
    let word = |page, off: i32| Mem::indexed(R15, page, 3, table + 8 * off);
    let [page, host, last, turns] = run_fields(RCX);
    for register in saved {
        e.push(register);
    }
    e.mov(RBX, RAX);
    e.shift_imm(Shift::Shr, RBX, 12);
    e.load64(RSI, word(RBX, 0));
    e.test64(RSI, RSI);
    let unknown = e.jump_if(Cond::Equal);

    // The first page to look at is RBX - FURTHEST, or 0.
    e.mov(RDI, RBX);
    e.alu(Alu::Xor, R8, R8);
    e.alu_imm(Alu::Sub, RBX, FURTHEST);
    e.cmov(Cond::AboveEqual, R8, RBX);
    walk(e, RDI, Alu::Sub, word(RDI, -1));

    // The last one is what was RBX + FURTHEST, or the last of all.
    e.alu_imm(Alu::Add, RBX, 2 * FURTHEST);
    e.mov_imm(R8, LAST);
    e.alu(Alu::Cmp, RBX, R8);
    e.cmov(Cond::Below, R8, RBX);
    e.mov(RBX, RAX);
    e.shift_imm(Shift::Shr, RBX, 12);
    walk(e, RBX, Alu::Add, word(RBX, 1));

    e.alu(Alu::Sub, RBX, RDI);
    e.alu_imm(Alu::Add, RBX, 1);
    e.shift_imm(Shift::Shl, RBX, 12);
    e.alu(Alu::Sub, RBX, RDX);
    e.store64(last, RBX);
    e.alu_mem_imm(false, Alu::Add, turns, 1);
    e.shift_imm(Shift::Shl, RDI, 12);
    e.store64(page, RDI);
    e.mov(RDX, RAX);
    e.alu(Alu::Sub, RDX, RDI);
    e.alu64(Alu::Sub, RDI, RSI);
    e.store64(host, RDI);
    e.alu(Alu::Cmp, RDX, RBX);
    let beyond = e.jump_if(Cond::Above);
    // The host address has no borrow: the carry flag must be cleared.
    e.alu64(Alu::Sub, RAX, RSI);
    e.test(RAX, RAX);
    for register in saved.into_iter().rev() {
        e.pop(register);
    }
    e.ret();

    e.bind_here(unknown);
    e.bind_here(beyond);
    for register in saved.into_iter().rev() {
        e.pop(register);
    }
    e.set_carry();
    e.ret();
}

/// Counts the page number in `at` on by `step` 1 while it is not the one in R8 and its neighbour's word is that in RSI.
fn walk(e: &mut Emitter, at: Reg, step: Alu, neighbour: Mem) {
    let start = e.here();
    e.alu(Alu::Cmp, at, R8);
    let end = e.jump_if(Cond::Equal);
    e.alu64_mem(Alu::Cmp, RSI, neighbour);
    let other = e.jump_if(Cond::NotEqual);
    e.alu_imm(step, at, 1);
    let again = e.jump();
    e.bind(again, start);
    e.bind_here(end);
    e.bind_here(other);
}
