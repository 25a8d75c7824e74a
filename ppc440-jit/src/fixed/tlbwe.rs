//! The fixed code for tlbwe of word 1 or 2, as Linux's miss handlers write them: to an entry whose page no context holds, or
//! one context of a page of 4 KB or less. What the parts mean and why this is all there is to do is told by
//! [`mmu_core::layout`] and [`tlb_writes`]; everything else is the core's.

use mmu_core::{PageSize, TlbEntry, layout};
use ppc440_core::translate::{data_table, fetch_table, tlb_writes};

use crate::emit::{Alu, Cond, Emitter, Hole, Mem, R11, R13, R14, RCX, RDX, Reg, Shift};
use crate::frame::{DATA_LOSSES_FIELD, DATA_WORDS, core_field};

/// Something of the TLB, at a multiple of its size that is in `at`.
fn in_tlb(at: Reg, offset: usize) -> Mem {
    core_field(tlb_writes::TLB + offset).with_index(at)
}

/// Writes EDX to word `ws`, 1 or 2, of entry ECX and returns; jumps to one of the holes, with both as they were, if the core
/// must do it. Changes ECX, EDX, R11, R13 and R14.
///
/// ```text
/// if pooled give up; R11 = books; R13 = R11.sets[ECX]
/// if R13 != 0
///     if R13 has more than one bit give up; R13 = its number
///     if the contexts with large pages have R13, or the page is above 4 KB, give up
///     R14 = the page's number; R11 = part R13 of the data table
///     R11.loads[R14] = 0; R11.stores[R14] = 0
///     if the fetch table of context R13 has page R14 give up
///     losses += 1; R11 = books; R11.sets[ECX] = 0; R11.drops += 1
/// write EDX to entry and tag; R11.writes += 1
/// ```
pub(super) fn write_word(e: &mut Emitter, ws: usize) -> [Hole; 5] {
    let books = core_field(tlb_writes::BOOKS);
    e.load_zx8(R11, core_field(tlb_writes::POOLED));
    e.test(R11, R11);
    let pooled = e.jump_if(Cond::NotEqual);
    e.load64(R11, books);
    let set = Mem::indexed(R11, RCX, 3, layout::SETS as i32);
    e.load64(R13, set);
    e.test64(R13, R13);
    let held = e.jump_if(Cond::NotEqual);
    let write = e.here();
    match ws {
        1 => {
            const { assert!(layout::ENTRY_SIZE == 16 && layout::TAG_SIZE == 32) };
            e.alu_imm(Alu::And, RDX, TlbEntry::WORD1_MASK);
            e.shift_imm(Shift::Shl, RCX, 4);
            e.store(in_tlb(RCX, layout::ENTRIES + layout::ENTRY_WORD1), RDX);
            e.shift_imm(Shift::Shl, RCX, 1);
            e.mov(R13, RDX);
            e.alu_imm(Alu::And, R13, TlbEntry::ERPN);
            e.shift64_imm(Shift::Shl, R13, 32);
            e.alu_mem(Alu::And, RDX, in_tlb(RCX, layout::TAGS + layout::TAG_MASK));
            e.alu64(Alu::Or, R13, RDX);
            e.store64(in_tlb(RCX, layout::TAGS + layout::TAG_FRAME), R13);
        }
        _ => {
            e.alu_imm(Alu::And, RDX, TlbEntry::WORD2_MASK);
            e.shift_imm(Shift::Shl, RCX, 4);
            e.store(in_tlb(RCX, layout::ENTRIES + layout::ENTRY_WORD2), RDX);
            e.shift_imm(Shift::Shl, RCX, 1);
            e.store(in_tlb(RCX, layout::TAGS + layout::TAG_WORD2), RDX);
        }
    }
    e.alu_mem_imm(true, Alu::Add, Mem::new(R11, layout::TLB_WRITES as i32), 1);
    e.ret();

    e.bind_here(held);
    e.mov64(R11, R13);
    e.alu64_imm(Alu::Sub, R11, 1);
    e.test64(R11, R13);
    let several = e.jump_if(Cond::NotEqual);
    e.bsf64(R13, R13);
    e.load64(R11, core_field(tlb_writes::LARGE_CONTEXTS));
    e.bit_test64(R11, R13);
    let near_large = e.jump_if(Cond::Below);
    e.mov(R14, RCX);
    e.shift_imm(Shift::Shl, R14, 5);
    e.load_zx8(R11, in_tlb(R14, layout::TAGS + layout::TAG_PAGE_SIZE));
    e.alu_imm(Alu::Cmp, R11, u32::from(PageSize::K4.code()));
    let large = e.jump_if(Cond::Above);
    e.load(R14, in_tlb(R14, layout::TAGS + layout::TAG_PAGE));
    e.shift_imm(Shift::Shr, R14, 12);
    e.imul_imm(R11, R13, data_table::PART as u32 * 8);
    e.alu64_mem(Alu::Add, R11, DATA_WORDS);
    for half in [0, data_table::STORES as i32] {
        e.store64_imm(Mem::indexed(R11, R14, 3, half), 0);
    }
    e.imul_imm(R11, R13, tlb_writes::FETCH_PART as u32);
    e.alu64_mem(Alu::Add, R11, core_field(tlb_writes::FETCH));
    e.mov(R13, R14);
    e.alu_imm(Alu::And, R13, fetch_table::ENTRIES as u32 - 1);
    e.shift_imm(Shift::Shl, R14, 12);
    e.alu_mem(Alu::Cmp, R14, Mem::indexed(R11, R13, 3, tlb_writes::FETCH_TABLE as i32));
    let fetched = e.jump_if(Cond::Equal);
    e.alu_mem_imm(false, Alu::Add, DATA_LOSSES_FIELD, 1);
    e.load64(R11, books);
    e.store64_imm(set, 0);
    e.alu_mem_imm(true, Alu::Add, Mem::new(R11, layout::DROPS as i32), 1);
    let done = e.jump();
    e.bind(done, write);
    [pooled, several, near_large, large, fetched]
}
