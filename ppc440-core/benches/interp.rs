//! Speed of the caching driver: guest instructions a second with the MMU on, in the loops that the peers are measured
//! with.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mmu_core::TlbEntry;
use ppc440_core::core::{Core, Stop};
use ppc440_core::flat::FlatBus;
use ppc440_core::interp::Interpreter;
use ppc440_core::state::CpuState;

/// Guest instructions in one measured run.
const INSTRUCTIONS: u64 = 1_000_000;

/// A machine of 1 MB that runs `source` from address 0 at virtual address 0xC000_0000, in a 256 MB page.
fn machine(source: &str) -> (Interpreter<FlatBus>, FlatBus) {
    let program = ppc440_asm::assemble(source, 0xC000_0000).expect("the benchmark assembles");
    let mut bus = FlatBus::new(1 << 20);
    bus.fill(0, &program.bytes);
    let mut state = CpuState::reset(0x4222_18D3);
    (state.pc, state.reset_entry, state.msr) = (0xC000_0000, 0, 0x2000);
    state.tlb[63] = TlbEntry { word0: 0xC000_0290, word1: 0, word2: 0x7, tid: 0 };
    (Interpreter::new(Core::new(&state, true)), bus)
}

fn loops(c: &mut Criterion) {
    let mut group = c.benchmark_group("interpreter");
    group.throughput(Throughput::Elements(INSTRUCTIONS));
    for (name, source) in [
        (
            "integer_loop",
            "li 3,1\n1: mulli 4,3,77\n add 3,3,4\n slwi 4,3,3\n xor 3,3,4\n addi 3,3,1\n b 1b\n",
        ),
        (
            "load_store_loop",
            "lis 5,0xC001\n0: li 6,1023\n mtctr 6\n mr 7,5\n1: lwz 4,4(7)\n addi 4,4,1\n stwu 4,4(7)\n bdnz 1b\n b 0b\n",
        ),
        (
            "call_loop",
            "1: bl 2f\n bl 2f\n addi 3,3,1\n cmpwi 3,0\n bne 1b\n b 1b\n2: stwu 1,-16(9)\n addi 9,9,16\n blr\n",
        ),
        ("float_loop", "1: fmul 1,2,3\n fadd 4,1,4\n b 1b\n"),
    ] {
        let (mut machine, mut bus) = machine(source);
        machine.core_mut().registers_mut().gpr[9] = 0xC002_0000;
        machine.core_mut().registers_mut().fpr[2] = 1.25f64.to_bits();
        machine.core_mut().registers_mut().fpr[3] = 1.0625f64.to_bits();
        group.bench_function(name, |b| {
            b.iter(|| assert_eq!(black_box(machine.run(&mut bus, INSTRUCTIONS)), Stop::Budget));
        });
    }
    group.finish();
}

criterion_group!(benches, loops);
criterion_main!(benches);
