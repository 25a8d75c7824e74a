//! Translated code must be indistinguishable from the oracle: random programs, in supervisor and user state, with
//! faulting accesses, TLB writes, interrupts and stores into their own code, leave the same state and the same RAM
//! whether they are stepped or run in slices of any size.

#[expect(unreachable_pub, reason = "shared with the README example")]
mod common;

use common::{PointerBus, code_memory};
use mmu_core::TlbEntry;
use ppc440_core::bits::{msr, tcr};
use ppc440_core::core::{Core, Stop};
use ppc440_core::flat::FlatBus;
use ppc440_core::state::CpuState;
use ppc440_jit::Jit;
use proptest::prelude::*;

/// RAM of the test machine, in bytes.
const RAM: usize = 0x4_0000;
/// Where the program lies (physical and effective).
const CODE: u32 = 0x1_0000;
/// Words of random code.
const WORDS: usize = 512;
/// Data, next to the code so that a stray store may hit it.
const DATA: u32 = CODE + 4 * WORDS as u32;

/// One random instruction word that is some instruction of the 440EP, biased to what interacts with caches.
fn instruction() -> impl Strategy<Value = u32> {
    let register = 0u32..32;
    // Registers 16-31 are bases: tests set them to addresses.
    let base = 16u32..28;
    let xo_arithmetic = prop::sample::select(vec![
        8u32, 10, 11, 40, 75, 104, 136, 138, 200, 202, 232, 234, 235, 266, 459, 491, 520, 522, 552, 747, 778,
        971, 1003,
    ]);
    let xo_logical = prop::sample::select(vec![
        24u32, 26, 28, 60, 78, 124, 284, 316, 412, 444, 476, 536, 792, 824, 922, 954,
    ]);
    let xo_load_store = prop::sample::select(vec![
        23u32, 55, 87, 119, 279, 311, 343, 375, 151, 183, 215, 247, 407, 439, 534, 662, 790, 918, 533, 597,
        661, 725, 20, 535, 599, 663, 727, 983, 54, 86, 982, 1014, 470,
    ]);
    let xo_mac = prop::sample::select(vec![
        172u32, 236, 204, 140, 44, 108, 76, 12, 428, 492, 460, 396, 174, 238, 46, 110, 430, 494, 168, 136,
        40, 8, 424, 392,
    ]);
    let xo_float =
        prop::sample::select(vec![18u32, 20, 21, 25, 28, 29, 30, 31, 23, 12, 14, 15, 32, 40, 72, 264]);
    let d_forms = prop::sample::select(vec![7u32, 8, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29]);
    let d_memory = prop::sample::select((32u32..=55).collect::<Vec<_>>());
    let spr = prop::sample::select(vec![
        1u32, 8, 9, 22, 26, 27, 54, 61, 62, 256, 260, 268, 269, 272, 273, 276, 284, 340, 336, 946, 48,
    ]);
    prop_oneof![
        12 => (d_forms, 0u32..16, register.clone(), any::<u16>())
            .prop_map(|(p, t, a, i)| p << 26 | t << 21 | a << 16 | u32::from(i)),
        8 => (20u32..24, 0u32..16, register.clone(), any::<u16>())
            .prop_filter_map("opcode 22 is none", |(p, t, a, i)| (p != 22).then_some(p << 26 | t << 21 | a << 16 | u32::from(i))),
        12 => (xo_arithmetic, 0u32..16, register.clone(), register.clone(), 0u32..2)
            .prop_map(|(x, t, a, b, rc)| 31 << 26 | t << 21 | a << 16 | b << 11 | x << 1 | rc),
        8 => (xo_logical, register.clone(), 0u32..16, register.clone(), 0u32..2)
            .prop_map(|(x, s, a, b, rc)| 31 << 26 | s << 21 | a << 16 | b << 11 | x << 1 | rc),
        4 => (xo_mac, 0u32..16, register.clone(), register.clone(), 0u32..2, 0u32..2)
            .prop_map(|(x, t, a, b, rc, oe)| 4 << 26 | t << 21 | a << 16 | b << 11 | (oe << 10) & (u32::from(x & 7 != 0) << 10) | x << 1 | rc),
        16 => (d_memory, 0u32..16, base.clone(), -64i32..64)
            .prop_map(|(p, t, a, d)| p << 26 | t << 21 | a << 16 | (d as u32 & 0xFFFF)),
        10 => (xo_load_store, 0u32..16, base.clone(), 28u32..32)
            .prop_map(|(x, t, a, b)| 31 << 26 | t << 21 | a << 16 | b << 11 | x << 1),
        2 => (0u32..16, base.clone(), 28u32..32).prop_map(|(t, a, b)| 31 << 26 | t << 21 | a << 16 | b << 11 | 150 << 1 | 1),
        4 => (xo_float, register.clone(), register.clone(), register.clone(), register.clone(), 0u32..2, prop::bool::ANY)
            .prop_map(|(x, t, a, b, c, rc, single)| {
                let primary = if single && (18..32).contains(&x) { 59 } else { 63 };
                primary << 26 | t << 21 | a << 16 | b << 11 | if (18..32).contains(&x) { c << 6 } else { 0 } | x << 1 | rc
            }),
        // Branches within the code, conditional and not.
        6 => (-40i32..40, 0u32..2).prop_map(|(d, lk)| 18 << 26 | ((d * 4) as u32 & 0x03FF_FFFC) | lk),
        8 => (register.clone(), register.clone(), -40i32..40, 0u32..2)
            .prop_map(|(bo, bi, d, lk)| 16 << 26 | bo << 21 | bi << 16 | ((d * 4) as u32 & 0xFFFC) | lk),
        3 => (register.clone(), register.clone(), prop::sample::select(vec![16u32, 528, 33, 129, 193, 225, 257, 289, 417, 449, 0, 150]))
            .prop_map(|(t, a, x)| 19 << 26 | t << 21 | a << 16 | t << 11 | x << 1),
        4 => (spr, 0u32..16, prop::bool::ANY).prop_map(|(n, t, to)| {
            let field = (n & 31) << 16 | (n >> 5) << 11;
            31 << 26 | t << 21 | field | if to { 467 } else { 339 } << 1
        }),
        2 => Just(0x4400_0002), // sc
        2 => prop::bool::ANY.prop_map(|on| 0x7C00_0146 | u32::from(on) << 15), // wrteei
        1 => (0u32..16).prop_map(|s| 31 << 26 | s << 21 | 146 << 1), // mtmsr
        1 => (0u32..16, 28u32..32, 0u32..3).prop_map(|(s, a, ws)| 31 << 26 | s << 21 | a << 16 | ws << 11 | 978 << 1), // tlbwe
        1 => (0u32..16, 28u32..32, 0u32..4).prop_map(|(s, a, ws)| 31 << 26 | s << 21 | a << 16 | ws << 11 | 946 << 1), // tlbre
        1 => (0u32..16, 16u32..32).prop_map(|(t, a)| 31 << 26 | t << 21 | a << 16 | a << 11 | 914 << 1 | 1), // tlbsx.
        1 => any::<u32>(),
    ]
}

#[derive(Debug, Clone)]
struct Case {
    code: Vec<u32>,
    gpr: [u32; 32],
    fpr: [u64; 32],
    user: bool,
    fpscr: u32,
    slices: Vec<u64>,
}

/// Images of doubles: anything, ordinary values, single-precision values, and those near the smallest.
fn float() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (-1e6f64..1e6).prop_map(f64::to_bits),
        (-1e6f32..1e6).prop_map(|value| f64::from(value).to_bits()),
        any::<u32>().prop_map(|image| f64::from(f32::from_bits(image)).to_bits()),
        (0u64..1 << 54).prop_map(|image| image | 1 << 63),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    (
        prop::collection::vec(instruction(), WORDS),
        prop::array::uniform32(any::<u32>()),
        prop::array::uniform32(float()),
        any::<bool>(),
        // Rounding modes; and inexact already noted, with which translated code takes its fast way.
        prop::sample::select(vec![0u32, 1, 2, 3, 0x8200_0000, 0x8200_0000, 0x8200_0000, 0x9204_4000]),
        prop::collection::vec(prop_oneof![1u64..1200, 1200u64..8000], 1..6),
    )
        .prop_map(|(code, mut gpr, fpr, user, fpscr, slices)| {
            for (n, value) in gpr.iter_mut().enumerate().skip(16) {
                *value = match n {
                    16..=19 => DATA + (*value & 0xFFC),
                    20 | 21 => CODE + (*value & 0x7FC), // stores into the program
                    22 => (CODE + 0x3000) - (*value & 0xF), // crosses into the page that is not mapped
                    23 => 0x3_0000 + (*value & 0x3FF),  // a 1 KB page
                    24 => 0x3_1000 + (*value & 0xFFC),  // a little-endian page
                    25 => 0x3_2000 + (*value & 0xFFF),  // read-only for users
                    26 => 0x9_0000 + (*value & 0xFFF),  // no RAM behind it
                    27 => DATA + (*value & 0xFFF),
                    _ => *value & 0x3F, // small offsets, TLB indices
                };
            }
            Case { code, gpr, fpr, user, fpscr, slices }
        })
}

fn page(ea: u32, size: u32, attributes: u32) -> TlbEntry {
    TlbEntry { word0: ea | 0x200 | size << 4, word1: ea, word2: attributes, tid: 0 }
}

/// The machine at its start. Vectors lie at 0; each handler steps over the instruction that came there and returns,
/// the timer handlers acknowledge.
fn machine(case: &Case) -> (CpuState, FlatBus) {
    let mut bus = FlatBus::new(RAM);
    for (n, word) in case.code.iter().enumerate() {
        bus.fill(CODE as usize + 4 * n, &word.to_be_bytes());
    }
    // The program ends in a jump to its start.
    let back = 18 << 26 | (0u32.wrapping_sub(4 * (WORDS as u32 - 1)) & 0x03FF_FFFC);
    bus.fill(CODE as usize + 4 * (WORDS - 1), &back.to_be_bytes());
    let skip = ppc440_asm::assemble(
        "mtspr 279,31\n mtspr 278,30\n mfspr 31,26\n lis 30,1\n rlwimi 30,31,0,21,29\n addi 30,30,4\n rlwinm 30,30,0,0,20+1\n rlwimi 30,31,0,22,29\n addi 31,31,4\n rlwinm 31,31,0,21,29\n oris 31,31,1\n mtspr 26,31\n mfspr 30,278\n mfspr 31,279\n rfi\n",
        0,
    )
    .expect("the handler assembles");
    let timer = ppc440_asm::assemble("mtspr 279,31\n lis 31,0x0c00\n mtspr 336,31\n mfspr 31,279\n rfi\n", 0)
        .expect("the handler assembles");
    for vector in 0..16usize {
        let handler = if vector == 10 || vector == 11 { &timer } else { &skip };
        bus.fill(vector * 0x100, &handler.bytes);
    }
    let mut state = CpuState::reset(0x4222_18D3);
    state.reset_entry = 0;
    state.pc = CODE;
    state.gpr = case.gpr;
    state.fpr = case.fpr;
    state.fpscr = case.fpscr;
    state.msr = msr::FP | msr::EE | if case.user { msr::PR } else { 0 };
    for (n, ivor) in state.ivor.iter_mut().enumerate() {
        *ivor = n as u32 * 0x100;
    }
    state.tcr = tcr::DIE | tcr::ARE | tcr::FIE;
    (state.dec, state.decar) = (700, 900);
    let all = 0x3F;
    state.tlb[40] = page(0, 1, 0x7);
    for n in 0..3 {
        state.tlb[41 + n as usize] = page(CODE + 0x1000 * n, 1, all);
    }
    state.tlb[44] = page(0x3_0000, 0, all);
    state.tlb[45] = page(0x3_1000, 1, all | 0x80);
    state.tlb[46] = page(0x3_2000, 1, 0x1B);
    state.tlb[47] = page(0x9_0000, 1, all | 0x400);
    (state, bus)
}

/// Runs in slices and steps, and compares after each slice; `inline` as [`Jit::set_inline`], `hot` as [`Jit::set_hot`].
fn compare(case: &Case, inline: bool, hot: u8) -> Result<(), TestCaseError> {
    let (state, mut step_bus) = machine(case);
    let mut run_bus = PointerBus::new(&step_bus.ram);
    let mut runner = Jit::new(Core::new(&state, true), code_memory(1 << 20));
    runner.set_inline(inline);
    runner.set_hot(hot);
    let mut stepper = Core::new(&state, true);
    for &slice in case.slices.iter().cycle().take(12) {
        let stopped = runner.run(&mut run_bus, slice);
        let target = runner.core().retired();
        let mut stepper_stopped = None;
        while stepper.retired() < target && stepper_stopped.is_none() {
            stepper_stopped = stepper.step(&mut step_bus);
        }
        let (mut ran, mut stepped) = (state.clone(), state.clone());
        if stopped != Stop::Budget {
            // The end of a guest is found by both, though not in the same call.
            for _ in 0..1000 {
                if stepper_stopped.is_some() {
                    break;
                }
                stepper_stopped = stepper.step(&mut step_bus);
            }
            let halted_in_a_loop = stopped == Stop::Halted;
            prop_assert!(
                halted_in_a_loop || stepper_stopped == Some(stopped),
                "run {stopped:?}, step {stepper_stopped:?}"
            );
            return Ok(());
        }
        runner.core().snapshot(&mut run_bus, &mut ran);
        stepper.snapshot(&mut step_bus, &mut stepped);
        let mut differences = Vec::new();
        ran.compare(&stepped, |name, index, a, b| {
            differences.push(format!("{name}[{index}] run {a:x} step {b:x}"))
        });
        prop_assert!(differences.is_empty(), "after {target}: {differences:?}");
        prop_assert!(run_bus.contents() == step_bus.ram, "RAM differs after {target}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 500, ..ProptestConfig::default() })]
    #[test]
    fn calling_the_core_in_slices_equals_stepping(case in case()) {
        compare(&case, false, 4)?;
    }

    #[test]
    fn running_in_slices_equals_stepping(case in case()) {
        compare(&case, true, 4)?;
    }

    #[test]
    fn running_traces_in_slices_equals_stepping(case in case()) {
        compare(&case, true, 1)?;
    }
}
