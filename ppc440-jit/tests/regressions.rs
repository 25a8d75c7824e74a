//! Faults that a review and random programs found, each with the least program that showed it.

#[expect(unreachable_pub, reason = "shared with the README example")]
mod common;

use common::{PointerBus, code_memory};
use mmu_core::TlbEntry;
use ppc440_core::bits::{msr, tcr};
use ppc440_core::core::{Core, Stop};
use ppc440_core::flat::FlatBus;
use ppc440_core::state::CpuState;
use ppc440_jit::Jit;

const CODE: u32 = 0x4000;

fn base(program: &str) -> (CpuState, FlatBus) {
    let mut bus = FlatBus::new(0x4_0000);
    let p = ppc440_asm::assemble(program, CODE).expect("assembles");
    bus.fill(CODE as usize, &p.bytes);
    let mut state = CpuState::reset(0x4222_18D3);
    state.reset_entry = 0;
    state.pc = CODE;
    for (n, ivor) in state.ivor.iter_mut().enumerate() {
        *ivor = n as u32 * 0x100;
    }
    (state, bus)
}

/// Runs both in slices; compares; returns number of traces.
fn check(
    what: &str,
    state: &CpuState,
    bus: &FlatBus,
    hot: u8,
    cold: u8,
    slices: &[u64],
) -> Result<u64, String> {
    let mut step_bus = bus.clone();
    let mut run_bus = PointerBus::new(&bus.ram);
    let mut runner = Jit::new(Core::new(state, true), code_memory(1 << 20));
    runner.set_hot(hot);
    runner.set_cold(cold);
    let mut stepper = Core::new(state, true);
    for &slice in slices {
        let stopped = runner.run(&mut run_bus, slice);
        let target = runner.core().retired();
        while stepper.retired() < target && stepper.step(&mut step_bus).is_none() {}
        let (mut ran, mut stepped) = (state.clone(), state.clone());
        runner.core().snapshot(&mut run_bus, &mut ran);
        stepper.snapshot(&mut step_bus, &mut stepped);
        let mut d = Vec::new();
        ran.compare(&stepped, |name, index, a, b| d.push(format!("{name}[{index}] run {a:x} step {b:x}")));
        if !d.is_empty() {
            return Err(format!("{what}: after {target}: {d:?} ({} traces)", runner.stats().traces));
        }
        if run_bus.contents() != step_bus.ram {
            return Err(format!("{what}: RAM differs after {target}"));
        }
        if stopped != Stop::Budget {
            return Err(format!("{what}: {stopped:?}"));
        }
    }
    Ok(runner.stats().traces)
}

fn all_ram(state: &mut CpuState) {
    // 256 KB at 0 (size code 4), everything allowed
    state.tlb[40] = TlbEntry { word0: 0x240, word1: 0, word2: 0x3F, tid: 0 };
}

/// The last round of a trace ends exactly where the clock must be looked at.
#[test]
fn a_trace_that_ends_at_a_deadline() {
    let mut errors = Vec::new();
    let mut traces = 0;
    for dec in 12_000..12_040 {
        // A loop through three blocks.
        let (mut state, mut bus) = base(
            "top:\n addi 5,5,1\n b mid\n nop\nmid:\n addi 6,6,1\n b low\n nop\nlow:\n addi 7,7,1\n b top\n",
        );
        let timer = ppc440_asm::assemble("mfspr 20,26\n mtspr 279,31\n lis 31,0x0800\n mtspr 336,31\n mfspr 31,279\n mr 21,5\n mr 22,6\n mr 23,7\n rfi\n", 0).expect("ok");
        bus.fill(0xA00, &timer.bytes);
        all_ram(&mut state);
        state.msr = msr::EE;
        state.tcr = tcr::DIE;
        state.dec = dec;
        match check(&format!("dec {dec}"), &state, &bus, 1, 0, &[30_000]) {
            Ok(n) => traces += n,
            Err(e) => errors.push(e),
        }
    }
    assert!(errors.is_empty(), "{} of 40 ({traces} traces): {:#?}", errors.len(), errors);
}

/// A loop that writes an instruction of its own, behind the place where the way was written down.
#[test]
fn a_way_whose_code_changes_while_it_is_written_down() {
    // 14 = addi; r10 holds the word "addi 5,5,n"; each round writes the next one over `change`.
    let (mut state, bus) = base(
        "lis 9,0\n ori 9,9,0x4000+32\n lis 10,0x38a5\n lis 11,3\n mtctr 11\n b top\n nop\n nop\n\
         top:\n addi 5,5,1\n addi 6,6,1\n b on\n nop\n on:\n addi 10,10,1\n andi. 12,10,0x7fff\n lis 10,0x38a5\n or 10,10,12\n stw 10,0(9)\n bdnz top\n b .\n",
    );
    all_ram(&mut state);
    for (hot, cold) in [(4, 1), (1, 0)] {
        check("smc", &state, &bus, hot, cold, &[10_000; 12]).map_err(|e| panic!("{hot} {cold}: {e}")).ok();
    }
}

/// The way changes only once, while it is written down.
#[test]
fn a_way_whose_code_changes_once() {
    let mut errors = Vec::new();
    // After `n` rounds, one store changes the instruction at `top`.
    for n in 1150..1190 {
        let (mut state, bus) = base(&format!(
            "lis 9,0\n ori 9,9,0x4020\n lis 10,0x38a5\n ori 10,10,77\n li 11,{n}\n nop\n nop\n nop\n\
             top:\n addi 5,5,1\n addi 6,6,1\n addi 11,11,-1\n cmpwi 11,0\n bne skip\n stw 10,0(9)\nskip:\n addi 7,7,1\n b top\n"
        ));
        all_ram(&mut state);
        if let Err(e) = check(&format!("once {n}"), &state, &bus, 1, 0, &[40_000]) {
            errors.push(e);
        }
    }
    assert!(errors.is_empty(), "{}: {:#?}", errors.len(), &errors[..errors.len().min(3)]);
}

/// A 4 KB entry with a lower index covers part of a large page that was used already.
#[test]
fn a_small_entry_over_a_large_one() {
    // Loads from 0x1_2000 through the large page; then entry 5 maps 0x1_2000 -> 0x2_0000, write-through (special), loads again.
    let program = "lis 9,1\n ori 9,9,0x2000\n lwz 5,0(9)\n li 3,5\n li 4,0x217\n oris 4,4,1\n rlwinm 4,4,0,0,31\n \
         lis 4,1\n ori 4,4,0x2210\n lis 6,2\n li 7,0x83f\n \
         tlbwe 6,3,1\n tlbwe 7,3,2\n tlbwe 4,3,0\n isync\n lwz 8,0(9)\n lwz 10,4(9)\nhere:\n nop\n b here\n";
    let (mut state, mut bus) = base(program);
    bus.fill(0x1_2000, &[0x11; 64]);
    bus.fill(0x2_0000, &[0x22; 64]);
    all_ram(&mut state);
    let mut errors = Vec::new();
    for cold in [0, 1] {
        if let Err(e) = check("large", &state, &bus, 4, cold, &[3000]) {
            errors.push(e)
        }
    }
    // The interpreter.
    {
        let mut b = bus.clone();
        let mut interp = ppc440_core::interp::Interpreter::new(Core::new(&state, true));
        let _ = interp.run(&mut b, 3000);
        if interp.core().registers().gpr[8] != 0x2222_2222 {
            errors.push(format!("interpreter: r8 {:x}", interp.core().registers().gpr[8]));
        }
    }
    assert!(errors.is_empty(), "{errors:#?}");
}

/// The same for fetches.
#[test]
fn a_small_entry_over_a_large_one_that_is_fetched() {
    let program = "lis 9,1\n ori 9,9,0x2000\n mtctr 9\n bctrl\n li 3,5\n \
         lis 4,1\n ori 4,4,0x2210\n lis 6,2\n li 7,0x3f\n \
         tlbwe 6,3,1\n tlbwe 7,3,2\n tlbwe 4,3,0\n isync\n bctrl\nhere:\n nop\n b here\n";
    let (mut state, mut bus) = base(program);
    let one = ppc440_asm::assemble("addi 20,20,1\n blr\n", 0).expect("ok");
    let two = ppc440_asm::assemble("addi 21,21,1\n blr\n", 0).expect("ok");
    bus.fill(0x1_2000, &one.bytes);
    bus.fill(0x2_0000, &two.bytes);
    all_ram(&mut state);
    let mut errors = Vec::new();
    for cold in [0, 1] {
        if let Err(e) = check("large fetch", &state, &bus, 4, cold, &[3000]) {
            errors.push(e)
        }
    }
    {
        let mut b = bus.clone();
        let mut interp = ppc440_core::interp::Interpreter::new(Core::new(&state, true));
        let _ = interp.run(&mut b, 3000);
        let g = interp.core().registers().gpr;
        if g[20] != 1 || g[21] != 1 {
            errors.push(format!("interpreter: {:x} {:x}", g[20], g[21]));
        }
    }
    assert!(errors.is_empty(), "{errors:#?}");
}

/// CTR read by the other number of mfspr (mftb with SPR 9) in a loop that holds CTR in a register.
#[test]
fn ctr_read_as_a_time_base() {
    // mftb 5,9
    let word = 31u32 << 26 | 5 << 21 | 9 << 16 | 371 << 1;
    let (mut state, mut bus) = base("li 4,2000\n mtctr 4\ntop:\n nop\n add 6,6,5\n bdnz top\n b .-16\n");
    bus.fill(CODE as usize + 8, &word.to_be_bytes());
    all_ram(&mut state);
    let r = check("ctr", &state, &bus, 4, 0, &[3000, 3000]);
    assert!(r.is_ok(), "{r:?}");
}

/// A recording of TLB activity must not depend on the engine: a PID write in translated code leaves the slow path.
#[test]
fn a_pid_write_while_everything_is_recorded() {
    let (mut state, bus) = base(
        "li 4,1\n li 5,2\n lis 9,2\n lis 8,3\ntop:\n mtspr 48,4\n lwz 6,0(9)\n lwz 6,0(8)\n mtspr 48,5\n lwz 6,0(9)\n lwz 6,0(8)\n addi 9,9,4096\n rlwinm 9,9,0,14,19\n b top\n",
    );
    all_ram(&mut state);
    for i in 0..40u32 {
        state.tlb[i as usize] = TlbEntry {
            word0: (0x2_0000 + i * 0x1000) | 0x210,
            word1: 0x2_0000 + i % 32 * 0x1000,
            word2: 0x3F,
            tid: 0,
        };
    }
    let mut b1 = bus.clone();
    let mut interp = ppc440_core::interp::Interpreter::new(Core::new(&state, true));
    interp.core_mut().record_tlb();
    let _ = interp.run(&mut b1, 5000);
    let a = interp.core_mut().recorded();
    let mut b2 = PointerBus::new(&bus.ram);
    let mut jit = Jit::new(Core::new(&state, true), code_memory(1 << 20));
    jit.core_mut().record_tlb();
    let _ = jit.run(&mut b2, 5000);
    let b = jit.core_mut().recorded();
    assert_eq!(jit.core().retired(), interp.core().retired());
    assert!(b.len() * 10 > a.len() * 9, "interpreter {} jit {}", a.len(), b.len());
}

/// A trace whose last instruction is no branch: the end of a round is no point where interrupts are taken.
#[test]
fn a_round_that_ends_between_two_branches() {
    let mut bad = Vec::new();
    let mut traces = 0;
    for dec in 2000..2040 {
        for first in [95, 99, 104] {
            let (mut state, mut bus) = base(
                "lis 9,0\n ori 9,9,0x4C00\n top:\n addi 5,5,1\n addi 5,5,1\n addi 5,5,1\n addi 9,9,64\n stw 5,0(9)\n addi 6,6,1\n addi 7,7,1\n b top\n",
            );
            let timer = ppc440_asm::assemble("mfspr 20,26\n mr 21,5\n mr 22,6\n mtspr 279,31\n lis 31,0x0800\n mtspr 336,31\n mfspr 31,279\n rfi\n", 0).expect("ok");
            bus.fill(0xA00, &timer.bytes);
            all_ram(&mut state);
            state.tcr = tcr::DIE;
            state.dec = first;
            let mut step_bus = bus.clone();
            let mut run_bus = PointerBus::new(&bus.ram);
            let mut runner = Jit::new(Core::new(&state, true), code_memory(1 << 20));
            runner.set_hot(1);
            runner.set_cold(0);
            let mut stepper = Core::new(&state, true);
            for phase in 0..2 {
                let _ = runner.run(&mut run_bus, 3500);
                while stepper.retired() < runner.core().retired() {
                    let _ = stepper.step(&mut step_bus);
                }
                let (mut a, mut b) = (state.clone(), state.clone());
                runner.core().snapshot(&mut run_bus, &mut a);
                stepper.snapshot(&mut step_bus, &mut b);
                let mut d = Vec::new();
                a.compare(&b, |name, index, a, b| d.push(format!("{name}[{index}] run {a:x} step {b:x}")));
                if !d.is_empty() {
                    bad.push(format!("first {first} dec {dec} phase {phase}: {d:?}"));
                }
                if phase == 0 {
                    a.msr = msr::EE;
                    a.dec = dec;
                    a.tsr = 0;
                    let (n1, n2) = (run_bus.now, step_bus.now);
                    runner.core_mut().restore(&a, n1);
                    stepper.restore(&a, n2);
                }
            }
            traces += runner.stats().traces;
        }
    }
    assert!(bad.is_empty(), "{} bad, {traces} traces: {:#?}", bad.len(), &bad[..bad.len().min(3)]);
    assert!(traces > 0);
}

/// A loop that is entered at its test: a trace from there ends by falling through into it, which is no point where
/// interrupts are taken.
#[test]
fn a_round_that_ends_by_falling_through() {
    let mut errors = Vec::new();
    let mut traces = 0;
    for dec in 0..600 {
        let (mut state, mut bus) = base(
            "outer:\n li 11,12\n b test\nbody:\n addi 5,5,1\n addi 6,6,1\n b on\n nop\non:\n addi 8,8,1\ntest:\n addi 7,7,1\n addi 11,11,-1\n cmpwi 11,0\n bne body\n b outer\n",
        );
        let timer = ppc440_asm::assemble("mfspr 20,26\n mtspr 279,31\n lis 31,0x0800\n mtspr 336,31\n mfspr 31,279\n mr 21,5\n mr 22,6\n mr 23,7\n rfi\n", 0).expect("ok");
        bus.fill(0xA00, &timer.bytes);
        all_ram(&mut state);
        state.msr = msr::EE;
        state.tcr = tcr::DIE | tcr::ARE;
        state.dec = 8_000 + dec / 100;
        state.decar = 4001;
        match check(&format!("falling dec {dec}"), &state, &bus, 1, 0, &[3000 + u64::from(dec % 100), 12_000])
        {
            Ok(n) => traces += n,
            Err(e) => errors.push(e),
        }
    }
    assert!(
        errors.is_empty(),
        "{} of 600 bad, ({traces} traces): {:#?}",
        errors.len(),
        &errors[..errors.len().min(3)]
    );
    assert!(traces > 100);
}

/// What is remembered of the places where interrupts end: an exception that waits for MSR\[FE0, FE1\] is none that may be
/// passed over there.
#[test]
fn a_floating_point_exception_that_waits_for_the_place_of_an_rfi() {
    for n in [3, 40, 700] {
        let (mut state, mut bus) = base(&format!(
            "li 9,0x2900\n li 10,0x2000\n li 11,{n}\n lis 12,0\n ori 12,12,0x4020\n lis 14,0\n ori 14,14,0x4034\n mtfsb1 24\n\
             top:\n addi 5,5,1\n mtspr 26,14\n mtspr 27,10\n rfi\n nop\n\
             mid:\n cmpw 5,11\n bne skip\n fdiv 1,2,2\n\
             skip:\n mtspr 26,12\n mtspr 27,9\n rfi\n"
        ));
        let program =
            ppc440_asm::assemble("addi 20,20,1\n mtmsr 10\n mtfsb0 24\n mtspr 279,5\n rfi\n", 0).expect("ok");
        bus.fill(0x600, &program.bytes);
        all_ram(&mut state);
        state.msr = msr::FP;
        check(&format!("exception in round {n}"), &state, &bus, 4, 0, &[3001; 4]).unwrap();
        let mut runner = Jit::new(Core::new(&state, true), code_memory(1 << 20));
        let mut bus = PointerBus::new(&bus.ram);
        runner.run(&mut bus, 12_000);
        let mut ran = state.clone();
        runner.core().snapshot(&mut bus, &mut ran);
        assert_eq!((ran.gpr[20], ran.sprg[7]), (1, n), "taken where FE0 and FE1 are set first");
    }
}

/// Likewise a change of how data is accessed: the supervisor forces aligned accesses while the user is away.
#[test]
fn forced_alignment_begins_where_an_rfi_goes() {
    let (mut state, mut bus) = base(
        "lis 9,0\n ori 9,9,0xC000\n lis 12,0\n ori 12,12,0x4040\n li 13,1001\n lis 15,0x2\n li 16,0x0100\n nop\n\
         mtspr 26,12\n mtspr 27,9\n rfi\n nop\n nop\n nop\n nop\n nop\n\
         user:\n addi 5,5,1\n lwz 6,0(13)\n sc\n b user\n",
    );
    // The system call counts, and forces alignment after the fiftieth.
    let call = "addi 21,21,1\n cmpwi 21,50\n bne out\n mtspr 947,16\nout:\n rfi\n";
    bus.fill(0x800, &ppc440_asm::assemble(call, 0).expect("ok").bytes);
    let alignment = "addi 20,20,1\n mfspr 22,26\n addi 22,22,4\n mtspr 26,22\n rfi\n";
    bus.fill(0x500, &ppc440_asm::assemble(alignment, 0).expect("ok").bytes);
    all_ram(&mut state);
    state.msr = 0;
    check("forced alignment", &state, &bus, 4, 0, &[3001; 2]).unwrap();
    let mut runner = Jit::new(Core::new(&state, true), code_memory(1 << 20));
    let mut bus = PointerBus::new(&bus.ram);
    runner.run(&mut bus, 3050);
    let mut ran = state.clone();
    runner.core().snapshot(&mut bus, &mut ran);
    assert_eq!(ran.gpr[20], ran.gpr[5] - 50, "each access after the fiftieth call");
}

/// `program` again and again, with entry 4, whose page is at 0x8000, led to 0x9000 and back between; r24 is 0x8000, r8 adds up.
fn remapped(program: &str, size: u32, home: u32, away: u32) {
    let (mut state, mut bus) = base(&format!(
        "loop:\n {program}\n tlbwe 22,21,1\n mr 20,22\n mr 22,23\n mr 23,20\n isync\n addic. 3,3,-1\n bne loop\n b .\n"
    ));
    // Code that tells the pages apart, and data behind it.
    for at in (0x8000..0x1_0000).step_by(0x1000) {
        let code = ppc440_asm::assemble(&format!("addi 8,8,{}\n blr\n", at >> 8), at).expect("ok");
        bus.fill(at as usize, &code.bytes);
        bus.fill(at as usize + 0x20, &at.to_be_bytes());
    }
    let page =
        |at: u32, size: u32, pa| TlbEntry { word0: at | 0x200 | size << 4, word1: pa, word2: 0x3F, tid: 0 };
    (state.tlb[4], state.tlb[5]) = (page(0x8000, size, home), page(0x4000, 1, 0x4000));
    state.msr = 0;
    (state.gpr[3], state.gpr[21], state.gpr[24]) = (3000, 4, 0x8000);
    (state.gpr[22], state.gpr[23]) = (away, home);
    check(program, &state, &bus, 1, 0, &[7993; 3]).unwrap();
}

/// What tlbwe of word 1 must take from the tables: in each context...
#[test]
fn a_page_that_two_contexts_hold_is_lost_to_both() {
    let visit = "mtspr 48,20\n isync\n lwz 5,32(24)\n add 8,8,5\n";
    remapped(&format!("li 20,1\n {visit} li 20,2\n {visit}"), 1, 0x8000, 0x9000);
}

/// ...what is fetched, too...
#[test]
fn a_page_that_is_read_and_executed_is_lost_to_both() {
    remapped("lwz 5,32(24)\n add 8,8,5\n mtctr 24\n bctrl\n", 1, 0x8000, 0x9000);
}

/// ...and all of a large page.
#[test]
fn a_large_page_is_lost_everywhere() {
    remapped("lwz 5,32(24)\n lwz 6,0x2020(24)\n add 8,8,5\n add 8,8,6\n", 2, 0x8000, 0xC000);
}

/// A pool that is full lets the page of the running code go when data comes; a tlbwe that leads it elsewhere after that takes
/// nothing away any more.
#[test]
fn code_whose_page_a_pool_let_go_goes_on_where_tlbwe_leads_it() {
    use ppc440_core::options::{Options, ShadowPool};
    let program = "loop:\n lwz 5,0(24)\n add 8,8,5\n lwz 5,0(25)\n tlbwe 22,21,1\n addi 8,8,1\n mr 20,22\n mr 22,23\n mr 23,20\n\
        addic. 3,3,-1\n bne loop\n b .\n";
    let code = ppc440_asm::assemble(program, 0x1000).expect("ok").bytes;
    let mut ram = vec![0; 0x8000];
    for page in [0x1000, 0x3000] {
        ram[page..][..code.len()].copy_from_slice(&code);
    }
    // The same, but for `addi 8,8,2`.
    let addi = code.chunks(4).position(|word| word == [0x39, 0x08, 0, 1]).expect("it is there");
    ram[0x3000 + 4 * addi + 3] = 2;
    let mut state = CpuState::reset(0x4222_18D3);
    (state.pc, state.reset_entry) = (0x1000, 0);
    for (entry, at) in [(1, 0x1000), (4, 0x4000), (5, 0x5000)] {
        state.tlb[entry] = TlbEntry { word0: at | 0x210, word1: at, word2: 0x7, tid: 0 };
    }
    (state.gpr[3], state.gpr[21], state.gpr[24], state.gpr[25]) = (900, 1, 0x4000, 0x5000);
    (state.gpr[22], state.gpr[23]) = (0x3000, 0x1000);
    for pages in 1..4 {
        let options = Options { icount: true, pool: Some(ShadowPool { pages, ..ShadowPool::default() }) };
        let mut runner = Jit::new(Core::with_options(&state, options), code_memory(1 << 20));
        runner.set_cold(0);
        let mut stepper = Core::new(&state, true);
        let (mut run_bus, mut step_bus) = (PointerBus::new(&ram), PointerBus::new(&ram));
        let _ = runner.run(&mut run_bus, 8000);
        while stepper.retired() < runner.core().retired() {
            assert_eq!(stepper.step(&mut step_bus), None);
        }
        assert_eq!(runner.core().registers().gpr, stepper.registers().gpr, "{pages} pages");
    }
}
