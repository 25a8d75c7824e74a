//! Whole instructions on a core: each word, as the GNU assembler encodes it, reads and writes the registers that it
//! names and leaves what the pure function says; record forms, unavailability and enabled exceptions.

use ppc440_core::bits::{esr, msr};
use ppc440_core::core::Core;
use ppc440_core::flat::FlatBus;
use ppc440_core::fpu::{self, Comparison, Fpscr, Outcome};
use ppc440_core::state::CpuState;

/// Contents of FRA (f4), FRB (f5) and FRC (f6): no two instructions of a kind give the same result.
const A: u64 = 0x4008_0000_0000_0001;
const B: u64 = 0x3FF5_5555_5555_5555;
const C: u64 = 0x4014_0000_0000_0003;

/// A core about to execute `word` at address 0x100, program interrupts going to 0x700 and floating-point
/// unavailable ones to 0x800.
fn state(word: u32, fpscr: u32, machine_state: u32) -> (CpuState, FlatBus) {
    let mut bus = FlatBus::new(4096);
    bus.fill(0x100, &word.to_be_bytes());
    let mut state = CpuState::reset(0x4222_18D3);
    state.reset_entry = 0;
    state.pc = 0x100;
    state.msr = machine_state;
    state.ivor[6] = 0x700;
    state.ivor[7] = 0x800;
    state.tlb[0] = mmu_core::TlbEntry { word0: 0x210, word1: 0, word2: 0x7, tid: 0 };
    state.fpr[4..=6].copy_from_slice(&[A, B, C]);
    state.fpr[3] = 0xDEAD;
    state.fpscr = fpscr;
    state.cr = 0x1234_5678;
    (state, bus)
}

fn execute(word: u32, fpscr: u32, machine_state: u32) -> CpuState {
    let (state, mut bus) = state(word, fpscr, machine_state);
    let mut core = Core::new(&state, true);
    assert_eq!(core.step(&mut bus), None);
    core.registers().clone()
}

type Two = fn(Fpscr, u64, u64) -> Outcome;
type Three = fn(Fpscr, u64, u64, u64) -> Outcome;
type One = fn(Fpscr, u64) -> Outcome;

/// Every instruction with a result in f3, with what it must leave.
fn computations(fpscr: Fpscr) -> Vec<(u32, Outcome)> {
    let ab = |word, f: Two| (word, f(fpscr, A, B));
    let ac = |word, f: Two| (word, f(fpscr, A, C));
    let acb = |word, f: Three| (word, f(fpscr, A, C, B));
    let b = |word, f: One| (word, f(fpscr, B));
    let moved = |word, image| (word, Outcome { result: Some(image), fpscr });
    vec![
        ab(0xFC64_282A, fpu::fadd),
        ab(0xEC64_282A, fpu::fadds),
        ab(0xFC64_2828, fpu::fsub),
        ab(0xEC64_2828, fpu::fsubs),
        ac(0xFC64_01B2, fpu::fmul),
        ac(0xEC64_01B2, fpu::fmuls),
        ab(0xFC64_2824, fpu::fdiv),
        ab(0xEC64_2824, fpu::fdivs),
        acb(0xFC64_29BA, fpu::fmadd),
        acb(0xEC64_29BA, fpu::fmadds),
        acb(0xFC64_29B8, fpu::fmsub),
        acb(0xEC64_29B8, fpu::fmsubs),
        acb(0xFC64_29BE, fpu::fnmadd),
        acb(0xEC64_29BE, fpu::fnmadds),
        acb(0xFC64_29BC, fpu::fnmsub),
        acb(0xEC64_29BC, fpu::fnmsubs),
        b(0xFC60_282C, fpu::fsqrt),
        b(0xEC60_282C, fpu::fsqrts),
        b(0xEC60_2830, fpu::fres),
        b(0xFC60_2834, fpu::frsqrte),
        b(0xFC60_2818, fpu::frsp),
        b(0xFC60_281C, fpu::fctiw),
        b(0xFC60_281E, fpu::fctiwz),
        moved(0xFC60_2890, fpu::fmr(B)),
        moved(0xFC60_2850, fpu::fneg(B)),
        moved(0xFC60_2A10, fpu::fabs(B)),
        moved(0xFC60_2910, fpu::fnabs(B)),
        moved(0xFC64_29AE, fpu::fsel(A, C, B)),
        moved(0xFC60_048E, fpu::mffs(fpscr)),
    ]
}

#[test]
fn every_computation_reads_and_writes_the_registers_that_it_names() {
    for fpscr in [0, 3, Fpscr::FX | Fpscr::XX | Fpscr::NI] {
        for (word, expected) in computations(Fpscr(fpscr)) {
            let after = execute(word, fpscr, msr::FP);
            assert_eq!(Some(after.fpr[3]), expected.result, "{word:08x}");
            assert_eq!(after.fpscr, expected.fpscr.0, "{word:08x}");
            assert_eq!(after.fpr[4..=6], [A, B, C], "{word:08x}");
            assert_eq!((after.cr, after.pc), (0x1234_5678, 0x104), "{word:08x}");
        }
    }
}

#[test]
fn a_record_form_copies_fx_fex_vx_and_ox_to_cr_field_1() {
    let fpscr = Fpscr::FX | Fpscr::OX | Fpscr::OE | Fpscr::FEX;
    for (word, expected) in computations(Fpscr(fpscr)) {
        let after = execute(word | 1, fpscr, msr::FP);
        assert_eq!(after.cr, 0x1034_5678 | expected.fpscr.cr1() << 24, "{word:08x}");
        assert_eq!(Some(after.fpr[3]), expected.result, "{word:08x}");
    }
}

#[test]
fn compares_write_their_cr_field() {
    for (word, compare) in
        [(0xFD04_2800, fpu::fcmpu as fn(Fpscr, u64, u64) -> Comparison), (0xFD04_2840, fpu::fcmpo)]
    {
        let after = execute(word, 0, msr::FP);
        assert_eq!((after.cr, after.fpscr), (0x1244_5678, compare(Fpscr(0), A, B).fpscr.0));
    }
}

#[test]
fn fpscr_instructions_decode_their_fields() {
    let before = Fpscr::FX | Fpscr::XX;
    // mtfsf 0x81,f5: fields 0 and 7.
    assert_eq!(execute(0xFD02_2D8E, before, msr::FP).fpscr, fpu::mtfsf(Fpscr(before), 0x81, B).0);
    assert_eq!(execute(0xFF00_910C, before, msr::FP).fpscr, before | 0x90); // mtfsfi 6,9
    assert_eq!(execute(0xFF80_008C, before | Fpscr::XE | Fpscr::FEX, msr::FP).fpscr, before); // mtfsb0 28
    assert_eq!(execute(0xFD60_004C, 0, msr::FP).fpscr, Fpscr::FX | Fpscr::VX | Fpscr::VXIMZ); // mtfsb1 11
    let copied = execute(0xFD84_0080, before, msr::FP); // mcrfs cr3,cr1
    assert_eq!((copied.cr, copied.fpscr), (0x1232_5678, Fpscr::FX));
    let recorded = execute(0xFF00_910D, before, msr::FP); // mtfsfi. 6,9
    assert_eq!(recorded.cr, 0x1834_5678);
}

#[test]
fn without_msr_fp_every_instruction_is_unavailable_and_changes_nothing() {
    let others = [
        0xFD04_2800,
        0xFD04_2840,
        0xFD02_2D8E,
        0xFF00_910C,
        0xFF80_008C,
        0xFD60_004C,
        0xFD84_0080,
        0xFD02_2D8F,
    ];
    let words = computations(Fpscr(0)).into_iter().map(|(word, _)| word);
    for word in words.flat_map(|word| [word, word | 1]).chain(others) {
        let after = execute(word, 0, msr::FE0 | msr::FE1);
        assert_eq!((after.pc, after.srr[0]), (0x800, 0x100), "{word:08x}");
        assert_eq!((after.fpr[3], after.fpscr, after.cr), (0xDEAD, 0, 0x1234_5678), "{word:08x}");
    }
}

#[test]
fn an_enabled_exception_interrupts_at_its_instruction_with_all_effects_done() {
    for enable in [msr::FE0, msr::FE1, msr::FE0 | msr::FE1] {
        // fdiv. f3,f4,f5 is inexact; XE is set.
        let after = execute(0xFC64_2825, Fpscr::XE, msr::FP | enable);
        let expected = fpu::fdiv(Fpscr(Fpscr::XE), A, B);
        assert!(expected.fpscr.any(Fpscr::FEX));
        assert_eq!((after.pc, after.srr, after.esr), (0x700, [0x100, msr::FP | enable], esr::FP));
        assert_eq!(Some(after.fpr[3]), expected.result);
        assert_eq!((after.fpscr, after.cr), (expected.fpscr.0, 0x1C34_5678));
    }
}

#[test]
fn an_enabled_invalid_operation_keeps_the_target() {
    // fsqrt f3,f5 of a negative number.
    let (mut state, mut bus) = state(0xFC60_282C, Fpscr::VE, msr::FP | msr::FE0);
    state.fpr[5] = 0xBFF0_0000_0000_0000;
    let mut core = Core::new(&state, true);
    assert_eq!(core.step(&mut bus), None);
    assert_eq!((core.registers().pc, core.registers().fpr[3]), (0x700, 0xDEAD));
}

#[test]
fn with_fe0_and_fe1_clear_an_enabled_exception_is_only_noted() {
    let after = execute(0xFC64_2824, Fpscr::XE, msr::FP);
    assert_eq!(after.pc, 0x104);
    assert!(Fpscr(after.fpscr).any(Fpscr::FEX));
}

#[test]
fn software_can_raise_an_enabled_exception_by_writing_the_fpscr() {
    // mtfsb1 21 (VXSOFT) with VE.
    let after = execute(0xFEA0_004C, Fpscr::VE, msr::FP | msr::FE1);
    assert_eq!((after.pc, after.esr), (0x700, esr::FP));
}

#[test]
fn words_that_are_no_instruction_are_illegal() {
    // fctid, fcfid, fsel's number under opcode 59, fmul's neighbour 27, and X-form numbers between the others.
    for word in [0xFC60_2E5C, 0xFC60_2E9C, 0xEC64_29AE, 0xFC64_29B6, 0xEC64_2834, 0xFC60_2802, 0xFC60_0492] {
        let after = execute(word, 0, msr::FP);
        assert_eq!((after.pc, after.esr), (0x700, esr::PIL), "{word:08x}");
    }
}
