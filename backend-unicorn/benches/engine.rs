//! Guest instructions a second through the whole engine, with the interpreter backend beside it.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mmu_core::TlbEntry;
use ppc440_core::state::CpuState;
use vmm_plugin::api::{Backend, Clock, Engine, EngineConfig, Exit};
use vmm_plugin::bus::testing::TestBus;

/// Guest instructions in one measured run.
const INSTRUCTIONS: u64 = 4_000_000;

/// Supervisor code at 0xC000_0000 in a 256 MB page; its interrupt vectors lie at 0xC000_0000 plus IVORn = 0x1000 * n.
fn machine(source: &str, backend: &dyn Backend) -> (TestBus, Box<dyn Engine>) {
    let program = ppc440_asm::assemble(source, 0xC000_0000).expect("the benchmark assembles");
    let test = TestBus::new(&[(0, 1 << 20)]);
    test.write_ram(0, &program.bytes);
    let config = EngineConfig { tb_hz: 400_000_000, clock: Clock::Host, shadow_pages: 0, tlb_policy: 0 };
    let mut engine = backend.create(&config, test.bus()).expect("the backend starts");
    let mut state = CpuState::reset(0x4222_18D3);
    (state.pc, state.reset_entry, state.msr) = (0xC000_0000, 0, 0x2000);
    state.tlb[63] = TlbEntry { word0: 0xC000_0290, word1: 0, word2: 0x3F, tid: 0 };
    (state.ivpr, state.ivor[8]) = (0xC000_0000, 0x1000);
    state.gpr[9] = 0xC002_0000;
    state.fpr[2] = 1.25f64.to_bits();
    state.fpr[3] = 1.0625f64.to_bits();
    engine.set_state(&state);
    (test, engine)
}

fn loops(c: &mut Criterion) {
    let mut group = c.benchmark_group("engine");
    group.throughput(Throughput::Elements(INSTRUCTIONS)).sample_size(10);
    let unicorn = backend_unicorn::Unicorn { eager: false };
    let interp = backend_interp::Interp;
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
        // A system call every 300 instructions.
        (
            "syscall_loop",
            "0: li 6,100\n mtctr 6\n1: addi 3,3,1\n xor 4,3,4\n bdnz 1b\n sc\n b 0b\n.space 0x1000-(.-0b)\n mfspr 11,26\n mtspr 26,11\n rfi\n",
        ),
        // An atomic increment and a division among plain code.
        (
            "mixed_loop",
            "1: addi 3,3,1\n xor 4,3,4\n slwi 5,4,2\n 2: lwarx 6,0,9\n addi 6,6,1\n stwcx. 6,0,9\n bne 2b\n b 1b\n",
        ),
    ] {
        for (backend, name) in
            [(&unicorn as &dyn Backend, format!("{name}/unicorn")), (&interp, format!("{name}/interp"))]
        {
            let (_bus, mut engine) = machine(source, backend);
            group.bench_function(name, |b| b.iter(|| assert_eq!(engine.run(INSTRUCTIONS), Exit::Budget)));
        }
    }
    group.finish();
}

criterion_group!(benches, loops);
criterion_main!(benches);
