//! What translated code does across instructions must not show: accesses that share one look at the TLB, registers that
//! a loop keeps, comparisons that are left as differences, carries that are left as flags. Random straight lines of
//! accesses near each other, with their base moving, run in loops over pages that fault half way, and leave the same
//! state and the same RAM as stepping does.

#[expect(unreachable_pub, reason = "shared with the README example")]
mod common;

use common::{PointerBus, code_memory};
use mmu_core::TlbEntry;
use ppc440_core::bits::msr;
use ppc440_core::core::{Core, Stop};
use ppc440_core::flat::FlatBus;
use ppc440_core::state::CpuState;
use ppc440_jit::Jit;
use proptest::prelude::*;

const RAM: usize = 0x2_0000;
const CODE: u32 = 0x4000;

fn d_form(primary: u32, rt: u32, ra: u32, d: i32) -> u32 {
    primary << 26 | rt << 21 | ra << 16 | (d as u32 & 0xFFFF)
}

fn x_form(xo: u32, rt: u32, ra: u32, rb: u32) -> u32 {
    31 << 26 | rt << 21 | ra << 16 | rb << 11 | xo << 1
}

/// Registers that always have a host register, and others.
fn base() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![1u32, 9, 31, 20, 21, 22])
}

fn data() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![3u32, 4, 9, 10, 5, 6, 7, 8, 20])
}

fn instruction() -> impl Strategy<Value = u32> {
    let access =
        prop::sample::select(vec![32u32, 34, 36, 38, 40, 42, 44, 32, 36, 33, 35, 37, 39, 41, 43, 45]);
    let indexed = prop::sample::select(vec![23u32, 87, 151, 215, 279, 407, 534, 662, 55, 183, 20]);
    let arithmetic = prop::sample::select(vec![40u32, 266, 10, 138, 8, 136, 104, 235, 11, 75, 202, 234]);
    let logic = prop::sample::select(vec![28u32, 60, 124, 284, 316, 412, 444, 476, 792, 824, 922, 954, 26]);
    prop_oneof![
        12 => (access, data(), base(), -24i32..24).prop_map(|(p, t, a, d)| d_form(p, t, a, d)),
        3 => (indexed, data(), base(), 23u32..25).prop_map(|(x, t, a, b)| x_form(x, t, a, b)),
        1 => (data(), base(), 23u32..25).prop_map(|(t, a, b)| x_form(150, t, a, b) | 1),
        3 => (base(), -8i32..8).prop_map(|(a, d)| d_form(14, a, a, d)),
        1 => (base(), base()).prop_map(|(a, b)| x_form(444, a, b, a)),
        2 => (data(), data(), any::<i16>()).prop_map(|(t, a, d)| d_form(14, t, a, i32::from(d))),
        3 => (arithmetic, data(), data(), data(), 0u32..2).prop_map(|(x, t, a, b, rc)| x_form(x, t, a, b) | rc),
        2 => (logic, data(), data(), data(), 0u32..2).prop_map(|(x, s, a, b, rc)| x_form(x, s, a, b) | rc),
        1 => (data(), data(), any::<u16>()).prop_map(|(s, a, m)| 21 << 26 | s << 21 | a << 16 | u32::from(m)),
        2 => (0u32..8, data(), any::<i16>(), 10u32..12)
            .prop_map(|(bf, a, i, p)| d_form(p, bf << 2, a, i32::from(i))),
        1 => (0u32..8, data(), data()).prop_map(|(bf, a, b)| x_form(32, bf << 2, a, b)),
        // A branch forward over a few instructions.
        3 => (prop::sample::select(vec![4u32, 12]), 0u32..32, 1u32..6)
            .prop_map(|(bo, bi, over)| 16 << 26 | bo << 21 | bi << 16 | over << 2),
        1 => (0u32..32, 0u32..32, 0u32..32, prop::sample::select(vec![33u32, 193, 257, 289, 417, 449, 0]))
            .prop_map(|(t, a, b, x)| 19 << 26 | t << 21 | a << 16 | b << 11 | x << 1),
        1 => (data(), prop::bool::ANY, any::<u8>()).prop_map(|(t, to, mask)| {
            if to { x_form(144, t, 0, 0) | u32::from(mask) << 12 } else { x_form(19, t, 0, 0) }
        }),
        1 => data().prop_map(|t| x_form(339, t, 1, 0)), // mfspr XER
        1 => (data(), data(), data(), 0u32..32).prop_map(|(t, a, b, c)| 31 << 26 | t << 21 | a << 16 | b << 11 | c << 6 | 15 << 1),
    ]
}

#[derive(Debug, Clone)]
struct Case {
    body: Vec<u32>,
    rounds: u32,
    /// What branches back: bdnz, or a condition with bdnz behind it.
    condition: Option<(u32, u32)>,
    gpr: Vec<u32>,
    bases: Vec<u32>,
    xer: u32,
}

fn case() -> impl Strategy<Value = Case> {
    (
        prop::collection::vec(instruction(), 2..30),
        1u32..40,
        prop::option::of((prop::sample::select(vec![4u32, 12]), 0u32..32)),
        prop::collection::vec(any::<u32>(), 32),
        // Near the end of a page, in a page that can only be read, in one without translation, anywhere, in the code,
        // at the end of the address space.
        prop::collection::vec(
            prop_oneof![
                4 => 0x8000u32..0x8F00,
                2 => 0x8FE0u32..0x9010,
                1 => 0xA000u32..0xA040,
                1 => 0xAFF0u32..0xB010,
                1 => 0xCFF0u32..0xD010,
                1 => CODE..CODE + 0x40,
                1 => 0xFFFF_FFF0..=u32::MAX,
            ],
            6,
        ),
        prop::sample::select(vec![0u32, 0, 0, 0x2000_0000, 0x8000_0000]),
    )
        .prop_map(|(body, rounds, condition, gpr, bases, xer)| Case {
            body,
            rounds,
            condition,
            gpr,
            bases,
            xer,
        })
}

fn page(ea: u32, pa: u32, word2: u32) -> TlbEntry {
    TlbEntry { word0: ea | 0x210, word1: pa, word2, tid: 0 }
}

fn machine(case: &Case) -> (CpuState, FlatBus) {
    let mut bus = FlatBus::new(RAM);
    for n in 0..0x4000usize {
        bus.fill(0x8000 + n, &[(n * 7 + n / 256) as u8]);
    }
    let mut words = case.body.clone();
    if let Some((bo, bi)) = case.condition {
        // Out of the loop, to the branch behind it.
        words.push(16 << 26 | bo << 21 | bi << 16 | 8);
    }
    let back = |words: &Vec<u32>| (4 * words.len() as u32).wrapping_neg() & 0xFFFC;
    words.push(16 << 26 | 16 << 21 | back(&words));
    words.push(16 << 26 | 16 << 21 | back(&words));
    // Once more from the start, for ever.
    words.push(x_form(467, 30, 9, 0));
    words.push(18 << 26 | (4 * words.len() as u32).wrapping_neg() & 0x03FF_FFFC);
    for (n, word) in words.iter().enumerate() {
        bus.fill(CODE as usize + 4 * n, &word.to_be_bytes());
    }
    // Every interrupt steps over the instruction and puts the bases back.
    let mut handler = String::from("mtspr 279,11\n mfspr 11,26\n addi 11,11,4\n mtspr 26,11\n");
    for (gpr, value) in [1u32, 9, 31, 20, 21, 22].into_iter().zip(&case.bases) {
        handler += &format!(" lis {gpr},{}\n ori {gpr},{gpr},{}\n", value >> 16, value & 0xFFFF);
    }
    handler += " mfspr 11,279\n rfi\n";
    let handler = ppc440_asm::assemble(&handler, 0).expect("the handler assembles");
    for vector in 0..16usize {
        bus.fill(vector * 0x100, &handler.bytes);
    }
    let mut state = CpuState::reset(0x4222_18D3);
    state.reset_entry = 0;
    state.pc = CODE;
    state.gpr.copy_from_slice(&case.gpr);
    for (gpr, value) in [1usize, 9, 31, 20, 21, 22].into_iter().zip(&case.bases) {
        state.gpr[gpr] = *value;
    }
    (state.gpr[23], state.gpr[24], state.gpr[30]) = (0, 12, case.rounds);
    state.ctr = case.rounds;
    state.xer = case.xer;
    state.msr = msr::ME;
    for (n, ivor) in state.ivor.iter_mut().enumerate() {
        *ivor = n as u32 * 0x100;
    }
    let all = 0x3F;
    let pages = [
        page(0, 0, all),
        page(CODE, CODE, all),
        page(0x8000, 0x8000, all),
        // Neighbours in effective addresses, not in RAM.
        page(0x9000, 0xB000, all),
        page(0xA000, 0xA000, 0x2D),
        page(0xC000, 0x9000, all),
        page(0xFFFF_F000, 0xC000, all),
    ];
    for (n, entry) in pages.into_iter().enumerate() {
        state.tlb[n] = entry;
    }
    (state, bus)
}

fn compare(case: &Case, hot: u8) -> Result<(), TestCaseError> {
    let (state, mut step_bus) = machine(case);
    let mut run_bus = PointerBus::new(&step_bus.ram);
    let mut runner = Jit::new(Core::new(&state, true), code_memory(1 << 20));
    runner.set_hot(hot);
    let mut stepper = Core::new(&state, true);
    // The last thousand instructions of a slice are stepped: the slices are long, and end anywhere.
    for slice in [1500, 2111, 1024, 3333] {
        let ended = runner.run(&mut run_bus, slice);
        let target = runner.core().retired();
        let mut stopped = None;
        while stepper.retired() < target && stopped.is_none() {
            stopped = stepper.step(&mut step_bus);
        }
        if ended != Stop::Budget {
            // A program that destroyed its handlers; the stepper takes the interrupts one by one.
            let mut steps = (0..1000).map(|_| stepper.step(&mut step_bus));
            prop_assert_eq!(stopped.or_else(|| steps.find_map(|stop| stop)), Some(ended));
            return Ok(());
        }
        let (mut ran, mut stepped) = (state.clone(), state.clone());
        runner.core().snapshot(&mut run_bus, &mut ran);
        stepper.snapshot(&mut step_bus, &mut stepped);
        let mut differences = Vec::new();
        ran.compare(&stepped, |name, index, a, b| {
            differences.push(format!("{name}[{index}] run {a:x} step {b:x}"))
        });
        prop_assert!(differences.is_empty(), "after {target}: {differences:?}");
        prop_assert!(run_bus.contents() == step_bus.ram, "RAM differs after {target}");
        if stopped.is_some() {
            break;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, max_shrink_iters: 2000, ..ProptestConfig::default() })]
    #[test]
    fn loops_of_neighbouring_accesses_equal_stepping(case in case()) {
        compare(&case, 4)?;
    }

    #[test]
    fn traces_of_neighbouring_accesses_equal_stepping(case in case()) {
        compare(&case, 1)?;
    }
}
