//! Any words as a program, in either state: the oracle `Core::step` and the caching driver end alike, and nothing
//! panics. RAM is small and the TLB maps it twice, so that programs fault, and write themselves, often.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use mmu_core::TlbEntry;
use ppc440_core::core::{Core, Stop};
use ppc440_core::flat::FlatBus;
use ppc440_core::interp::Interpreter;
use ppc440_core::state::CpuState;

const RAM: usize = 0x2_0000;

#[derive(Arbitrary, Debug)]
struct Input {
    user: bool,
    fpu: bool,
    registers: [u32; 16],
    doubles: [u64; 8],
    fpscr: u32,
    tlb: [(u32, u32, u32, u8); 3],
    code: Vec<u32>,
}

fuzz_target!(|input: Input| {
    let mut state = CpuState::reset(0x4222_18D3);
    state.reset_entry = 0;
    state.pc = 0x1_0000;
    state.msr = u32::from(input.user) << 14 | u32::from(input.fpu) << 13;
    for (index, ivor) in (0..).zip(&mut state.ivor) {
        *ivor = 0x100 * (index + 1);
    }
    for (index, gpr) in state.gpr.iter_mut().enumerate() {
        // Half of them point into RAM.
        let word = input.registers[index % 16];
        *gpr = if index < 16 { word } else { word & 0x3_FFFF };
    }
    for (index, fpr) in state.fpr.iter_mut().enumerate() {
        *fpr = input.doubles[index % 8];
    }
    state.fpscr = input.fpscr & 0xFF;
    let all = 0x3F;
    state.tlb[0] = TlbEntry { word0: 0x0000_0230, word1: 0, word2: all, tid: 0 };
    state.tlb[1] = TlbEntry { word0: 0x0001_0230, word1: 0x0001_0000, word2: all, tid: 0 };
    state.tlb[2] = TlbEntry { word0: 0x0002_0230, word1: 0x0001_0000, word2: all, tid: 0 };
    for (index, (word0, word1, word2, tid)) in input.tlb.into_iter().enumerate() {
        state.tlb[8 + index] = TlbEntry {
            word0: word0 & 0xFFFF_FFF0,
            word1: word1 & 0x0003_FC00,
            word2: word2 & 0xFFBF,
            tid: u32::from(tid).into(),
        };
    }
    let mut bus = FlatBus::new(RAM);
    for vector in 1..=16usize {
        // rfi; rfci behind it for the critical ones
        bus.fill(0x100 * vector, &0x4C00_0064u32.to_be_bytes());
    }
    for (index, word) in input.code.iter().take(0x4000).enumerate() {
        bus.fill(0x1_0000 + 4 * index, &word.to_be_bytes());
    }

    let mut other = bus.clone();
    let mut driver = Interpreter::new(Core::new(&state, true));
    let mut stepped = Core::new(&state, true);
    for slice in [1, 100, 900] {
        let end = driver.run(&mut bus, slice);
        let target = driver.core().retired();
        let mut stop = None;
        while stepped.retired() < target && stop.is_none() {
            stop = stepped.step(&mut other);
        }
        if end != Stop::Budget {
            return;
        }
        assert_eq!(stop, None, "the oracle stopped where the driver went on");
        let (mut ran, mut reference) = (state.clone(), state.clone());
        driver.core().snapshot(&mut bus, &mut ran);
        stepped.snapshot(&mut other, &mut reference);
        ran.compare(&reference, |name, index, x, y| panic!("{name}[{index}]: run {x:#x}, stepped {y:#x}"));
        assert!(bus.ram == other.ram, "RAM differs");
    }
});
