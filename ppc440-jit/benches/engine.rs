//! What translated code costs: translation itself, going from block to block, and loops. Throughput is in guest
//! instructions, so `thrpt` of 1 Gelem/s is a nanosecond each.

#[path = "../tests/common/mod.rs"]
#[expect(unreachable_pub, dead_code, reason = "shared with the tests and the README's example")]
mod common;

use std::hint::black_box;

use common::{PointerBus, code_memory};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mmu_core::TlbEntry;
use ppc440_core::bits::msr;
use ppc440_core::core::{Core, Stop};
use ppc440_core::state::CpuState;
use ppc440_jit::Jit;

/// Where programs lie, effective and physical.
const CODE: u32 = 0x10_0000;
/// Data.
const DATA: u32 = 0x1000;
/// RAM in bytes.
const RAM: usize = 4 << 20;

/// An engine at the start of a program, everything below 16 MB mapped.
fn engine(program: &[u32]) -> (Jit<PointerBus>, PointerBus, CpuState) {
    let mut ram = vec![0; RAM];
    for (place, word) in ram[CODE as usize..].chunks_exact_mut(4).zip(program) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    let mut state = CpuState::reset(0x4222_18D3);
    (state.pc, state.reset_entry, state.msr) = (CODE, 0, msr::FP);
    // Inexact is noted, as in any program after its first rounded result.
    state.fpscr = 0x8200_0000;
    state.fpr = [1.000_001_f64.to_bits(); 32];
    state.gpr[3] = DATA;
    state.tlb[0] = TlbEntry { word0: 0x270, word1: 0, word2: 0x3F, tid: 0 };
    let mut jit = Jit::new(Core::new(&state, true), code_memory(64 << 20));
    let bus = PointerBus::new(&ram);
    jit.core_mut().restore(&state, 0);
    (jit, bus, state)
}

fn assembled(text: &str) -> Vec<u32> {
    let image = ppc440_asm::assemble(text, CODE).expect("it assembles");
    image.bytes.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]])).collect()
}

/// `words` instructions without a branch, no two neighbours alike, with the mix of compiled code, and a branch to itself.
fn straight_line(words: usize) -> Vec<u32> {
    let line = assembled(
        "lwz 4,0(3)\n addi 5,4,1\n stw 5,4(3)\n rlwinm 6,5,3,0,28\n add 7,6,4\n cmpwi 7,100\n lbz 8,9(3)\n mullw 9,8,7\n \
         or 10,9,6\n sth 10,10(3)\n subf 11,10,9\n xor. 12,11,4\n mflr 14\n srawi 15,12,2\n lhz 16,12(3)\n extsb 17,16\n",
    );
    let registers = |word: u32, shift: u32| if word >> 26 < 32 { word ^ (shift & 3) << 21 } else { word };
    let mut program: Vec<u32> =
        (0..words).map(|n| registers(line[n % line.len()], (n / line.len()) as u32)).collect();
    program.push(0x4800_0000);
    program
}

/// Code that is executed once: nearly all of the time is translation.
fn translation(c: &mut Criterion) {
    let mut group = c.benchmark_group("translation");
    group.sample_size(10);
    for words in [1 << 12, 1 << 18] {
        let (mut jit, mut bus, state) = engine(&straight_line(words));
        group.throughput(Throughput::Elements(words as u64));
        group.bench_function(BenchmarkId::new("straight line once", words), |b| {
            b.iter_batched(
                || (),
                |()| {
                    jit.flush();
                    let now = bus.now;
                    jit.core_mut().restore(&state, now);
                    assert_eq!(jit.run(&mut bus, 10_000_000), Stop::Halted);
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Runs a program that never ends for some instructions at a time.
fn endless(c: &mut Criterion, group: &str, name: &str, text: &str) {
    const BUDGET: u64 = 10_000_000;
    let (mut jit, mut bus, _) = engine(&assembled(text));
    let mut group = c.benchmark_group(group);
    group.sample_size(10).throughput(Throughput::Elements(BUDGET));
    group.bench_function(name, |b| {
        b.iter(|| assert_eq!(jit.run(&mut bus, black_box(BUDGET)), Stop::Budget));
    });
    group.finish();
}

/// Blocks that do nothing but go to the next one.
fn dispatch(c: &mut Criterion) {
    endless(c, "dispatch", "chained jumps", "a: b c\n b: b d\n c: b b\n d: b a\n");
    endless(
        c,
        "dispatch",
        "calls and returns",
        "start: bl f\n bl g\n b start\n f: blr\n g: mflr 0\n bl f\n mtlr 0\n blr\n",
    );
    endless(
        c,
        "dispatch",
        "computed jumps to four places",
        "lis 4,table@h\n ori 4,4,table@l\n li 5,0\n next: addi 5,5,4\n rlwinm 5,5,0,28,29\n lwzx 6,4,5\n mtctr 6\n bctr\n \
         w: b next\n x: b next\n y: b next\n z: b next\n table: .long w\n .long x\n .long y\n .long z\n",
    );
    endless(c, "dispatch", "jumps between two pages", "a: b b\n .org 0x102000\n b: b a\n");
}

fn loops(c: &mut Criterion) {
    endless(
        c,
        "loops",
        "integer",
        "l: mulli 4,4,13\n addi 4,4,7\n srwi 5,4,3\n xor 4,4,5\n addic. 6,6,-1\n b l\n",
    );
    endless(
        c,
        "loops",
        "load, add, store",
        "l: li 5,0\n m: lwzx 6,3,5\n addi 6,6,1\n stwx 6,3,5\n addi 5,5,4\n cmpwi 5,4096\n blt m\n b l\n",
    );
    endless(
        c,
        "loops",
        "double multiply and add",
        "l: fmul 1,1,2\n fadd 1,1,3\n fmul 1,1,4\n fsub 1,1,3\n b l\n",
    );
    endless(c, "loops", "count register", "l: lis 4,1\n mtctr 4\n m: addi 5,5,1\n bdnz m\n b l\n");
}

criterion_group!(benches, translation, dispatch, loops);
criterion_main!(benches);
