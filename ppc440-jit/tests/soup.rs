//! Programs that are a soup of loads, stores, branches and everything that changes translations: TLB writes of all sizes
//! in any order, overlapping entries, PIDs, address spaces, MMUCR, MSR, cache instructions, interrupts, a handler that fills the
//! TLB on a miss. They run in slices with blocks, loops and traces made at once or in time, and must leave what stepping leaves.
//!
//! `SOUP_SEEDS` says how many (200), `SOUP_FROM` the first seed (1).

#[expect(unreachable_pub, reason = "shared with the README example")]
mod common;

use common::{PointerBus, code_memory};
use mmu_core::TlbEntry;
use ppc440_core::bits::{msr, tcr};
use ppc440_core::core::{Core, Stop};
use ppc440_core::flat::FlatBus;
use ppc440_core::state::CpuState;
use ppc440_jit::Jit;

/// A generator of numbers.
struct Random(u64);
impl Random {
    fn word(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545F4914F6CDD1D) >> 32) as u32
    }
    fn below(&mut self, m: u32) -> u32 {
        self.word() % m
    }
    fn one(&mut self, list: &[u32]) -> u32 {
        list[self.below(list.len() as u32) as usize]
    }
}
/// A D-form instruction.
fn d(p: u32, t: u32, a: u32, i: u32) -> u32 {
    p << 26 | t << 21 | a << 16 | (i & 0xFFFF)
}
/// An X-form instruction.
fn x(xo: u32, t: u32, a: u32, b: u32) -> u32 {
    31 << 26 | t << 21 | a << 16 | b << 11 | xo << 1
}
/// An SPR number as it stands in mfspr and mtspr.
fn spr(n: u32) -> u32 {
    (n & 31) << 16 | (n >> 5) << 11
}
/// Loads a constant.
fn constant(out: &mut Vec<u32>, r: u32, v: u32) {
    out.push(d(15, r, 0, v >> 16));
    out.push(d(24, r, r, v));
}

/// A page or more of instructions.
fn soup(r: &mut Random, words: usize) -> Vec<u32> {
    let mut o = Vec::new();
    while o.len() < words {
        match r.below(100) {
            0..=29 => {
                let p = r.one(&[32, 34, 36, 38, 40, 42, 44, 33, 37, 32, 36]);
                let (t, a, i) = (r.below(16), 16 + r.below(8), r.below(64).wrapping_sub(32));
                o.push(d(p, t, a, i))
            }
            30..=34 => {
                let xo = r.one(&[23, 87, 151, 215, 534, 20, 1014, 54, 86, 470, 982]);
                let (t, a, b) = (r.below(16), 16 + r.below(8), 24 + r.below(2));
                o.push(x(xo, t, a, b))
            }
            35..=54 => {
                let (t, a, i) = (r.below(16), r.below(16), r.word());
                o.push(d(14, t, a, i))
            }
            55..=59 => {
                let (t, a, b) = (r.below(16), r.below(16), r.below(16));
                let xo = r.one(&[266, 40, 10, 8, 444, 316, 28]);
                o.push(x(xo, t, a, b) | r.below(2))
            }
            60..=64 => {
                let (f, a, i) = (r.below(8), r.below(16), r.word());
                o.push(d(11, f << 2, a, i))
            }
            65..=74 => {
                let (bo, bi, off) = (
                    r.one(&[4, 12, 16, 18, 20, 0, 8, 12, 16, 16]),
                    r.below(32),
                    (r.below(24).wrapping_sub(14)) << 2,
                );
                o.push(16 << 26 | bo << 21 | bi << 16 | (off & 0xFFFC) | (r.below(10) / 9))
            }
            75..=77 => {
                let off = r.below(400).wrapping_sub(200) << 2;
                o.push(18 << 26 | (off & 0x3FF_FFFC) | r.below(2))
            }
            78 => o.push(0x4E80_0020), // blr
            79 | 80 => {
                let v = r.below(60);
                o.push(d(14, 30, 0, v));
                o.push(x(467, 30, 0, 0) | spr(9))
            }
            81..=85 => {
                // tlbwe
                let size = r.one(&[0, 1, 1, 1, 1, 2, 3, 4]);
                let ea = r.one(&[0x2000, 0x8000, 0x1_0000, 0x2_0000, 0x8_0000, 0x8_4000])
                    + r.below(16) * 0x1000
                    + r.below(4) * 0x400;
                let pa = (2 + r.below(0x3C)) << 12 | r.below(4) << 10;
                let idx = r.below(24);
                let w0 = (ea & !(((1 << (2 * size)) * 0x400) - 1))
                    | size << 4
                    | if r.below(8) == 0 { 0 } else { 0x200 }
                    | (r.below(4) / 3 * 0x100);
                let w2 = r.one(&[0x3F, 0x3F, 0x3F, 0x3F, 0x1B, 0x12, 0x3F | 0x80, 0x3F | 0x800, 0x38, 0x3F]);
                o.push(d(14, 28, 0, idx));
                let order = r.one(&[0x012, 0x120, 0x021, 0x2, 0x1, 0x0]);
                let list: Vec<u32> = match order {
                    0x12 => vec![0, 1, 2],
                    0x120 => vec![1, 2, 0],
                    0x21 => vec![0, 2, 1],
                    n => vec![n],
                };
                for ws in list {
                    constant(&mut o, 29, [w0, pa, w2][ws as usize]);
                    o.push(x(978, 29, 28, ws));
                }
            }
            86 | 87 => {
                let p = r.one(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 40]);
                let p = if r.below(6) == 0 { r.below(256) } else { p };
                o.push(d(14, 30, 0, p));
                o.push(x(467, 30, 0, 0) | spr(48))
            }
            88 => {
                let p = r.below(9);
                o.push(d(14, 30, 0, p));
                o.push(x(467, 30, 0, 0) | spr(946))
            }
            89 => {
                let v = r.one(&[0, 0x10, 0x20, 0x30, 0x4000, 0x4010, 0, 0x4030]) | 0x2000 | r.below(2) << 15;
                o.push(d(14, 30, 0, 0));
                o.push(d(24, 30, 30, v));
                o.push(x(146, 30, 0, 0))
            }
            90 | 91 => o.push(0x4400_0002),
            92 => o.push(0x7C00_0146 | r.below(2) << 15),
            93 => o.push(19 << 26 | 150 << 1),
            94 => {
                let v = r.one(&[0, 0, 0x100]);
                if r.below(20) == 0 {
                    constant(&mut o, 30, v);
                    o.push(x(467, 30, 0, 0) | spr(947))
                }
            }
            95 => {
                let t = r.below(16);
                o.push(x(339, t, 0, 0) | spr(268));
            }
            96 | 97 => {
                let a = 16 + r.below(8);
                let v = r.one(&[0x2000, 0x8000, 0x1_0000, 0x2_0000, 0x8_0000, 0x8_4000]) + r.below(0x1_0000);
                constant(&mut o, a, v)
            }
            98 => {
                let t = r.below(16);
                o.push(x(19, t, 0, 0))
            }
            _ => {
                let t = r.below(16);
                o.push(x(144, t, 0, 0) | 0xFF << 12)
            }
        }
    }
    o
}

/// Runs one program; how many instructions it executed, and how many traces were made.
fn run(seed: u64) -> Result<(u64, u64), String> {
    let mut r = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut bus = FlatBus::new(0x4_0000);
    let common = soup(&mut r, 0x400);
    for page in 2..0x40u32 {
        let words = if r.below(2) == 0 { common.clone() } else { soup(&mut r, 0x400) };
        for (n, word) in words.iter().enumerate().take(0x400) {
            bus.fill((page << 12) as usize + 4 * n, &word.to_be_bytes());
        }
    }
    let a = |text: &str| ppc440_asm::assemble(text, 0).expect("ok").bytes;
    let skip = a("mtspr 279,31\n mfspr 31,26\n addi 31,31,4\n mtspr 26,31\n mfspr 31,279\n rfi\n");
    let home = a(
        "mtspr 279,31\n mfspr 31,275\n addi 31,31,68\n rlwinm 31,31,0,21,29\n mtspr 275,31\n oris 31,31,1\n mtspr 26,31\n mfspr 31,279\n rfi\n",
    );
    let call = a("mtspr 279,31\n mfspr 31,27\n rlwinm 31,31,0,18,16\n mtspr 27,31\n mfspr 31,279\n rfi\n");
    let timer = a("mtspr 279,31\n lis 31,0x0c00\n mtspr 336,31\n mfspr 31,279\n rfi\n");
    let miss = a(
        "mtspr 279,31\n mtspr 278,30\n mfspr 31,48\n mtspr 946,31\n mfspr 30,61\n rlwinm 30,30,0,0,19\n ori 30,30,0x210\n mfspr 31,27\n rlwinm 31,31,4,23,23\n or 30,30,31\n \
        mfspr 31,276\n addi 31,31,1\n rlwinm 31,31,0,28,31\n mtspr 276,31\n addi 31,31,32\n tlbwe 30,31,0\n rlwinm 30,30,0,14,19\n tlbwe 30,31,1\n li 30,0x3f\n tlbwe 30,31,2\n mfspr 30,278\n mfspr 31,279\n rfi\n",
    );
    for vector in 0..16usize {
        let h = match vector {
            10 | 11 => &timer,
            3 | 14 => &home,
            8 => &call,
            13 => &miss,
            _ => &skip,
        };
        bus.fill(vector * 0x100, h);
    }
    let mut state = CpuState::reset(0x4222_18D3);
    state.reset_entry = 0;
    state.pc = 0x1_0000;
    for n in 0..32 {
        state.gpr[n] = r.word();
    }
    for n in 16..24 {
        state.gpr[n] = 0x2000 + r.below(0x3_0000);
    }
    state.gpr[24] = r.below(64);
    state.gpr[25] = r.below(4096);
    state.msr = msr::FP | msr::EE;
    for (n, ivor) in state.ivor.iter_mut().enumerate() {
        *ivor = n as u32 * 0x100;
    }
    state.tcr = tcr::DIE | tcr::ARE | tcr::FIE;
    (state.dec, state.decar) = (700 + r.below(3000), 900 + r.below(9000));
    state.tlb[60] = TlbEntry { word0: 0x240, word1: 0, word2: 0x3F, tid: 0 };
    state.tlb[61] = TlbEntry { word0: 0x340, word1: 0, word2: 0x3F, tid: 0 };
    let mut step_bus = bus.clone();
    let mut run_bus = PointerBus::new(&bus.ram);
    let mut runner = Jit::new(Core::new(&state, true), code_memory(1 << 20));
    if seed.is_multiple_of(2) {
        runner.set_hot(1);
        runner.set_cold(0);
    } else if seed.is_multiple_of(3) {
        runner.set_hot(1)
    }
    let mut stepper = Core::new(&state, true);
    for n in 0..10 {
        let slice = if n % 2 == 0 { 2000 + u64::from(r.below(30_000)) } else { 1 + u64::from(r.below(3000)) };
        let stopped = runner.run(&mut run_bus, slice);
        let target = runner.core().retired();
        let mut s = None;
        while stepper.retired() < target && s.is_none() {
            s = stepper.step(&mut step_bus);
        }
        if stopped != Stop::Budget {
            return Ok((target, runner.stats().traces));
        }
        let (mut ran, mut stepped) = (state.clone(), state.clone());
        runner.core().snapshot(&mut run_bus, &mut ran);
        stepper.snapshot(&mut step_bus, &mut stepped);
        let mut dd = Vec::new();
        ran.compare(&stepped, |name, index, a, b| dd.push(format!("{name}[{index}] run {a:x} step {b:x}")));
        if !dd.is_empty() {
            return Err(format!(
                "seed {seed} slice {n} after {target}: {} differences {:?}",
                dd.len(),
                &dd[..dd.len().min(12)]
            ));
        }
        if run_bus.contents() != step_bus.ram {
            return Err(format!("seed {seed} RAM after {target}"));
        }
    }
    Ok((runner.core().retired(), runner.stats().traces))
}

#[test]
fn soup_of_tlb_writes_equals_stepping() {
    let from: u64 = std::env::var("SOUP_FROM").map_or(1, |v| v.parse().expect("n"));
    let count: u64 = std::env::var("SOUP_SEEDS").map_or(200, |v| v.parse().expect("n"));
    let (mut retired, mut traces, mut bad) = (0, 0, Vec::new());
    for seed in from..from + count {
        match run(seed) {
            Ok((n, t)) => {
                retired += n;
                traces += t
            }
            Err(e) => bad.push(e),
        }
    }
    assert!(retired > 10_000 * count && traces > count / 10, "{retired} instructions, {traces} traces");
    assert!(bad.is_empty(), "{} bad: {:#?}", bad.len(), &bad[..bad.len().min(6)]);
}
