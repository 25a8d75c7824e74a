//! Random loops with branches, inner loops and calls, for traces and side traces: that they are nothing but fast.
//! `FAMILY_SEEDS=2000 FAMILY_FROM=100000 cargo test --release -p ppc440-jit --test families` tries more of them.

#[expect(unreachable_pub, reason = "also included by the README's example")]
mod common;

use std::fmt::Write as _;

use common::{PointerBus, code_memory};
use ppc440_core::core::{Core, Stop};
use ppc440_core::flat::FlatBus;
use ppc440_core::state::CpuState;
use ppc440_jit::Jit;

const CODE: u32 = 0x1000;
const RAM: usize = 0x8000;
/// Instructions of the slices of a run, of which the last thousand each are stepped.
const SLICES: [u64; 6] = [3001, 1500, 2048, 4099, 1231, 1999];

/// Pseudo-random numbers: splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ z >> 31) % u64::from(limit)) as u32
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len() as u32) as usize]
    }
}

/// A program as it grows. r3 counts rounds, r7 and r8 inner ones, r24 points to data, r25 is an offset into it.
struct Program {
    random: Random,
    text: String,
    labels: u32,
    /// Functions to be put behind everything.
    functions: String,
}

impl Program {
    fn register(&mut self) -> u32 {
        const FREE: [u32; 14] = [0, 4, 5, 6, 9, 10, 11, 14, 15, 16, 17, 20, 30, 31];
        FREE[self.random.below(FREE.len() as u32) as usize]
    }

    fn label(&mut self) -> String {
        self.labels += 1;
        format!("l{}", self.labels)
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, " {line}");
    }

    fn operation(&mut self) {
        let (a, b, c) = (self.register(), self.register(), self.register());
        let n = self.random.below(32);
        let i = self.random.below(0x1000);
        let line = match self.random.below(20) {
            0..=3 => {
                let three = [
                    "add", "subf", "xor", "and", "or", "addc", "adde", "subfe", "mullw", "slw", "srw",
                    "sraw", "nor",
                ];
                let record = self.random.of(&["", "", "", "."]);
                format!("{}{record} {a},{b},{c}", self.random.of(&three))
            }
            4 | 5 => {
                format!("{} {a},{b},{i}", self.random.of(&["addi", "addic", "addic.", "mulli", "subfic"]))
            }
            6 => format!("rlwinm{} {a},{b},{n},{},{}", self.random.of(&["", "."]), n / 2, 31 - n / 3),
            7 => {
                format!("{} {a},{b}", self.random.of(&["cntlzw", "extsb", "extsh", "neg", "neg.", "extsb."]))
            }
            8 => format!("srawi {a},{b},{n}"),
            9 => format!("cmpw {},{b},{c}", self.random.below(8)),
            10 => format!("cmplwi {},{b},{i}", self.random.below(8)),
            11 => format!("{} {a}", self.random.of(&["mfctr", "mfcr"])),
            12 => format!("{} {a},{i}(24)", self.random.of(&["lwz", "lhz", "lbz", "lha"])),
            13 => format!("{} {a},{i}(24)", self.random.of(&["stw", "sth", "stb"])),
            14 | 15 => {
                // Somewhere in four pages, on words or not.
                let first = 18 + self.random.below(4);
                let last = 29 + self.random.below(3);
                self.line(&format!("rlwinm 25,{b},0,{first},{last}"));
                format!("{} {a},24,25", self.random.of(&["lwzx", "lhzx", "lbzx", "lwbrx", "lhax"]))
            }
            16 => {
                let last = 29 + self.random.below(3);
                self.line(&format!("rlwinm 25,{b},0,18,{last}"));
                format!("{} {a},24,25", self.random.of(&["stwx", "sthx", "stbx", "stwbrx"]))
            }
            17 => format!("li {a},{i}"),
            18 => format!("mr {a},{b}"),
            _ => format!("add {a},{a},3"),
        };
        self.line(&line);
    }

    fn operations(&mut self, most: u32) {
        for _ in 0..1 + self.random.below(most) {
            self.operation();
        }
    }

    /// A condition, and the branch on it to `label`.
    fn branch(&mut self, label: &str) {
        let (register, bit) = (self.register(), self.random.below(5));
        match self.random.below(4) {
            0 => {
                self.line(&format!("andi. 5,3,{}", 1 << bit));
                let branch = self.random.of(&["beq", "bne"]);
                self.line(&format!("{branch} {label}"));
            }
            1 => {
                let (field, limit) = (self.random.below(8), self.random.below(200));
                self.line(&format!("cmpwi {field},{register},{limit}"));
                let branch = self.random.of(&["blt", "bgt", "bge", "ble", "beq", "bne"]);
                self.line(&format!("{branch} {field},{label}"));
            }
            2 => {
                let (bo, bi) = (self.random.of(&["4", "12"]), self.random.below(32));
                self.line(&format!("bc {bo},{bi},{label}"));
            }
            _ => {
                self.line(&format!("rlwinm. 6,{register},0,{0},{0}", 31 - bit));
                let branch = self.random.of(&["beq", "bne"]);
                self.line(&format!("{branch} {label}"));
            }
        }
    }

    fn segment(&mut self, depth: u32) {
        let [a, b] = [self.label(), self.label()];
        match self.random.below(if depth == 0 { 6 } else { 4 }) {
            0 => self.operations(5),
            1 => {
                self.branch(&a);
                self.operations(4);
                self.line(&format!("{a}:"));
            }
            2 => {
                self.branch(&a);
                self.operations(3);
                self.line(&format!("b {b}\n{a}:"));
                self.operations(3);
                self.line(&format!("{b}:"));
            }
            3 => {
                self.line(&format!("bl {a}"));
                let before = std::mem::take(&mut self.text);
                self.line(&format!("{a}:"));
                self.operations(4);
                self.line("blr");
                let function = std::mem::replace(&mut self.text, before);
                self.functions += &function;
            }
            inner => {
                let register = self.register();
                let mask = [1, 3, 7][self.random.below(3) as usize];
                self.line(&format!("andi. 7,{register},{mask}\n addi 7,7,1"));
                if inner == 4 {
                    self.line("mtctr 7");
                }
                self.line(&format!("{a}:"));
                self.segment(1);
                self.operations(4);
                self.line(&if inner == 4 { format!("bdnz {a}") } else { format!("addic. 7,7,-1\n bne {a}") });
            }
        }
    }

    /// A whole program.
    fn text(seed: u64) -> String {
        let mut program =
            Self { random: Random(seed), text: String::new(), labels: 0, functions: String::new() };
        program.line("lis 9,0\n ori 9,9,handler\n mtspr 402,9\n mtspr 413,9\n lis 3,1\n li 24,0x4000\nloop:");
        for _ in 0..2 + program.random.below(4) {
            program.segment(0);
        }
        program.line("addic. 3,3,-1\n bne loop\n b .");
        let handler =
            " .balign 16\nhandler:\n mfspr 27,26\n addi 27,27,4\n mtspr 26,27\n addi 29,29,1\n rfi\n";
        program.text + &program.functions + handler
    }
}

/// Runs a program on both; returns how many side traces were made, or what differs.
fn run(seed: u64, program: &str) -> Result<u64, String> {
    let image = ppc440_asm::assemble(program, CODE).map_err(|error| format!("{error:?}"))?;
    assert!(CODE as usize + image.bytes.len() < 0x4000);
    let mut step_bus = FlatBus::new(RAM);
    step_bus.fill(CODE as usize, &image.bytes);
    let mut run_bus = PointerBus::new(&step_bus.ram);
    let mut state = CpuState::reset(0x4222_18D3);
    (state.pc, state.reset_entry) = (CODE, 0);
    for page in 0..RAM as u32 / 0x1000 {
        let at = page * 0x1000;
        state.tlb[page as usize] = mmu_core::TlbEntry { word0: at | 0x210, word1: at, word2: 0x7, tid: 0 };
    }
    match seed % 4 {
        // Two pages the other way round.
        1 => (state.tlb[5].word1, state.tlb[6].word1) = (0x6000, 0x5000),
        // One that cannot be written; one that is not there.
        2 => state.tlb[6].word2 = 0x5,
        3 => state.tlb[7].word0 = 0,
        _ => {}
    }
    let mut jit = Jit::new(Core::new(&state, true), code_memory(1 << 20));
    jit.set_hot(1);
    let mut stepper = Core::new(&state, true);
    for slice in SLICES.into_iter().cycle().take(24) {
        let stopped = jit.run(&mut run_bus, slice);
        while stepper.retired() < jit.core().retired() && stepper.step(&mut step_bus).is_none() {}
        let (mut ran, mut stepped) = (state.clone(), state.clone());
        jit.core().snapshot(&mut run_bus, &mut ran);
        stepper.snapshot(&mut step_bus, &mut stepped);
        let mut differences = Vec::new();
        ran.compare(&stepped, |name, index, a, b| {
            differences.push(format!("{name}[{index}] run {a:x} step {b:x}"))
        });
        if !differences.is_empty() || run_bus.contents() != step_bus.ram {
            return Err(format!("after {}: {differences:?}, or RAM", stepper.retired()));
        }
        if stopped != Stop::Budget {
            return Err(format!("{stopped:?}"));
        }
    }
    Ok(jit.stats().side_traces)
}

#[test]
fn random_loops_are_what_they_are_when_stepped() {
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let (from, seeds) = (number("FAMILY_FROM", 0), number("FAMILY_SEEDS", 300));
    let mut with_sides = 0;
    for seed in from..from + seeds {
        let program = Program::text(seed);
        match run(seed, &program) {
            Ok(sides) => with_sides += u64::from(sides > 0),
            Err(what) => panic!("seed {seed}: {what}\n{program}"),
        }
    }
    assert!(4 * with_sides > seeds, "only {with_sides} of {seeds} programs had side traces");
}
