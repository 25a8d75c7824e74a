//! Lock step: random problem-state programs through the engine, entered in Unicorn wherever that is possible, against
//! `Core::step`. After each chunk of instructions the whole state must be the same, and RAM at the end of a program.
//!
//! The programs are forward-biased loops over a sandbox of code, data, and everything that faults; the guest's
//! exception handlers step over the instruction that faulted. `LOCKSTEP_INSTRUCTIONS` sets how many instructions are
//! compared, `LOCKSTEP_SEED` where to begin.

use backend_unicorn::Unicorn;
use mmu_core::TlbEntry;
use ppc440_core::bus::Bus;
use ppc440_core::core::{Core, Stop};
use ppc440_core::state::CpuState;
use vmm_plugin::api::{Backend, Clock, EngineConfig, Exit};
use vmm_plugin::bus::PluginBus;
use vmm_plugin::bus::testing::TestBus;

const RAM: u64 = 0x10_0000;
const CODE: u32 = 0x1000_0000;
const CODE_PA: u32 = 0x1_0000;
const DATA: u32 = 0x2000_0000;
const DATA_PA: u32 = 0x4_0000;
/// A page that is writable and executable, for programs that write themselves.
const BOTH: u32 = 0x3000_0000;
const BOTH_PA: u32 = 0x6_0000;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32
    }
    fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.next()) * u64::from(n)) >> 32) as u32
    }
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32) as usize]
    }
    /// A value that is interesting more often than not.
    fn value(&mut self) -> u32 {
        match self.below(6) {
            0 => 0,
            1 => u32::MAX,
            2 => 1 << self.below(32),
            3 => (1 << self.below(32)) - 1,
            _ => self.next(),
        }
    }
}

fn entry(ea: u32, pa: u32, size: u32, access: u32, tid: u32) -> TlbEntry {
    TlbEntry { word0: ea | TlbEntry::V | size << TlbEntry::SIZE_SHIFT, word1: pa, word2: access, tid }
}

/// Problem state over a TLB with code, data, both, a read-only page, a little-endian one, a guarded uncached one, and
/// a device; supervisor code with a handler at each vector that steps over what faulted.
fn machine(random: &mut Random) -> CpuState {
    let mut state = CpuState::reset(0x4222_18D4);
    state.reset_entry = 0;
    let user = TlbEntry::UR | TlbEntry::UW;
    let k64 = 3;
    let k4 = 1;
    state.tlb[0] = entry(0xC000_0000, 0, 5, TlbEntry::SR | TlbEntry::SW | TlbEntry::SX, 0);
    state.tlb[1] = entry(CODE, CODE_PA, k64, TlbEntry::UR | TlbEntry::UX, 7);
    state.tlb[2] = entry(DATA, DATA_PA, k64, user, 7);
    state.tlb[3] = entry(BOTH, BOTH_PA, k4, user | TlbEntry::UX, 7);
    state.tlb[4] = entry(DATA + 0x1_0000, 0x5_0000, k4, TlbEntry::UR, 0);
    state.tlb[5] = entry(DATA + 0x1_1000, 0x5_1000, k4, user | TlbEntry::E, 0);
    state.tlb[6] = entry(DATA + 0x1_2000, 0x5_2000, k4, user | TlbEntry::I | TlbEntry::G, 0);
    state.tlb[7] = entry(DATA + 0x1_3000, 0xEF60_0000, k4, user | TlbEntry::I | TlbEntry::G, 0);
    state.tlb[8] = entry(DATA + 0x1_4000, 0x5_4000, 0, user, 7);
    state.tlb[9] = entry(DATA + 0x1_5000, 0x5_3000, k4, user, 7);
    state.pid = 7;
    state.msr = 0x0000_4000 | 0x1000 | if random.below(2) == 0 { 0x2000 } else { 0 };
    state.ivpr = 0xC000_0000;
    for (n, ivor) in (0..).zip(&mut state.ivor) {
        *ivor = 0x100 * (n + 1);
    }
    for gpr in &mut state.gpr {
        *gpr = random.value();
    }
    for fpr in &mut state.fpr {
        *fpr = u64::from(random.next()) << 32 | u64::from(random.next());
    }
    state.xer = random.next() & 0xE000_007F;
    state.cr = random.next();
    state.pc = CODE;
    state
}

/// Steps over the instruction that faulted and leaves every register as it was.
const HANDLER: [u32; 6] = [0x7C70_43A6, 0x7C7A_02A6, 0x3863_0004, 0x7C7A_03A6, 0x7C70_42A6, 0x4C00_0064];

/// Goes to the program's start: for fetches that fault.
const RESTART: [u32; 6] = [0x7C70_43A6, 0x3C60_0000 | CODE >> 16, 0x7C7A_03A6, 0x7C70_42A6, 0x4C00_0064, 0];

fn handlers(bus: &TestBus) {
    for vector in 1..=16u32 {
        let handler = if matches!(vector, 4 | 15) { RESTART } else { HANDLER };
        for (n, word) in (0..).zip(handler) {
            bus.write_ram(u64::from(0x100 * vector + 4 * n), &word.to_be_bytes());
        }
    }
}

/// Is this an instruction that the engine leaves to the core (see its README)?
fn is_for_core(word: u32) -> bool {
    match word >> 26 {
        4 | 48.. => true,
        31 => matches!(word >> 1 & 0x3FF, 459 | 491 | 971 | 1003 | 339 | 467 | 533 | 597 | 15),
        _ => false,
    }
}

/// One random instruction; a `plain` one is seldom for the core.
fn instruction(random: &mut Random, plain: bool) -> u32 {
    loop {
        let word = any_instruction(random);
        if !plain || !is_for_core(word) || random.below(24) == 0 {
            return word;
        }
    }
}

/// One random instruction. Registers 26 and up hold addresses and offsets and are rarely written.
fn any_instruction(random: &mut Random) -> u32 {
    let rt = random.below(26);
    let ra = random.below(27);
    let rb = random.below(27);
    let rc = random.below(2);
    let base = random.pick(&[28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 29, 30, 31]);
    let d = random.next() & 0xFFFF;
    let x = |xo: u32, t: u32, a: u32, b: u32, c: u32| 31 << 26 | t << 21 | a << 16 | b << 11 | xo << 1 | c;
    match random.below(100) {
        0..18 => random.pick(&[7, 8, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29]) << 26 | rt << 21 | ra << 16 | d,
        18..23 => random.pick(&[20, 21, 21, 23]) << 26 | rt << 21 | ra << 16 | random.next() & 0xFFFF,
        23..26 => random.pick(&[10, 11]) << 26 | random.below(8) << 23 | ra << 16 | d,
        26..46 => {
            let xo = random.pick(&[
                8, 10, 40, 104, 136, 138, 200, 202, 232, 234, 235, 266, 459, 491, 520, 522, 552, 616, 648,
                650, 712, 714, 744, 746, 747, 778, 971, 1003, 11, 75, 24, 26, 28, 60, 78, 124, 284, 316, 412,
                444, 476, 536, 792, 824, 922, 954,
            ]);
            let b = if matches!(xo & 0x1FF, 104 | 200 | 202 | 232 | 234) || matches!(xo, 26 | 922 | 954) {
                0
            } else {
                rb
            };
            x(xo, rt, ra, b, rc)
        }
        46..50 => {
            let xo = random.pick(&[
                12, 44, 46, 76, 108, 110, 140, 172, 174, 204, 236, 238, 396, 428, 430, 460, 492, 494, 8, 40,
                136, 168, 392, 424, 524, 556, 684, 748, 940, 1006,
            ]);
            4 << 26 | rt << 21 | ra << 16 | rb << 11 | xo << 1 | rc
        }
        50..53 => x(random.pick(&[0, 32]), random.below(8) << 2, ra, rb, 0),
        // Loads and stores, D-form and X-form with a small index in r27.
        53..66 => {
            let op = random.pick(&[32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45]);
            op << 26 | rt << 21 | base << 16 | d
        }
        66..74 => {
            let xo = random.pick(&[
                23, 55, 87, 119, 151, 183, 215, 247, 279, 311, 343, 375, 407, 439, 534, 662, 790, 918, 54,
                86, 982, 1014, 278, 246, 661,
            ]);
            let t = if matches!(xo, 54 | 86 | 982 | 1014 | 278 | 246) { 0 } else { rt };
            x(xo, t, base, 27, 0)
        }
        74..76 => random.pick(&[46, 47]) << 26 | (20 + random.below(12)) << 21 | base << 16 | d,
        76..77 => x(random.pick(&[597, 725]), rt, base, random.below(32), 0),
        77..78 => x(random.pick(&[661, 533]), rt, base, 27, 0),
        // Special registers: XER, LR, CTR, SPRG4, TBL, USPRG0, a privileged one.
        78..81 => x(339, rt, random.pick(&[1, 8, 9, 4, 0]), random.pick(&[0, 0, 0, 8]), 0),
        81..83 => x(467, rt, random.pick(&[1, 8, 9, 0]), random.pick(&[0, 0, 0, 8]), 0),
        83..84 => x(19, rt, 0, 0, 0),
        84..85 => x(144, rt, 0, 0, 0) | random.next() & 0x000F_F000,
        85..87 => {
            19 << 26
                | random.next() & 0x03FF_F800
                | random.pick(&[0, 33, 129, 193, 225, 257, 289, 417, 449]) << 1
        }
        87..88 => x(512, random.below(8) << 2, 0, 0, 0),
        // Short forward branches, conditional or not, with or without link and count.
        88..94 => 16 << 26 | random.next() & 0x03FF_0001 | (1 + random.below(12)) << 2,
        94..95 => 18 << 26 | (1 + random.below(20)) << 2 | random.below(2),
        // Traps and system calls.
        95..96 => random.pick(&[0x4400_0002, x(4, rt, ra, rb, 0), 3 << 26 | rt << 21 | ra << 16 | d]),
        // Floating point.
        96..98 => match random.below(3) {
            0 => random.pick(&[48, 50, 52, 54, 49, 51, 53, 55]) << 26 | rt << 21 | base << 16 | d,
            1 => 63 << 26 | random.next() & 0x03FF_FFFF,
            _ => 59 << 26 | random.next() & 0x03FF_FFFF,
        },
        98..99 => x(15, rt, ra, rb, 0) | random.below(32) << 6,
        _ => random.next(),
    }
}

/// lwarx, something, stwcx., and a branch back if that failed; sometimes with a fault or a flaw in it.
fn atomic(random: &mut Random, plain: bool, out: &mut Vec<u32>) {
    let base = random.pick(&[28, 28, 28, 29, 31]);
    let index = random.pick(&[27, 27, 27, 26]);
    out.push(31 << 26 | 5 << 21 | base << 16 | index << 11 | 20 << 1);
    match random.below(5) {
        0 => out.push(instruction(random, plain)),
        1 => out.push(0x40A2_0008),
        _ => out.push(0x38A5_0001),
    }
    out.push(31 << 26 | 5 << 21 | base << 16 | index << 11 | 150 << 1 | 1);
}

fn program(random: &mut Random) -> Vec<u32> {
    let mut words = Vec::new();
    let plain = random.below(4) != 0;
    let length = 20 + random.below(200) as usize;
    // Addresses: r28 data, r29 the cared-for pages, r30 code that may be written, r31 the end of the data.
    for (register, value) in
        [(28, DATA + 0x8000), (29, DATA + 0x1_2F80), (30, BOTH + 0x400), (31, DATA + 0xFFF8)]
    {
        words.push(15 << 26 | register << 21 | value >> 16);
        words.push(24 << 26 | register << 21 | register << 16 | value & 0xFFFF);
    }
    while words.len() < length {
        match random.below(24) {
            // A new small index in r27, sometimes aligned.
            0..3 => {
                let end = random.pick(&[31, 29]);
                words.push(21 << 26 | random.below(26) << 21 | 27 << 16 | 18 << 6 | end << 1);
            }
            3 => atomic(random, plain, &mut words),
            4 if random.below(6) == 0 => words.extend([0x3D80_0000 | BOTH >> 16, 0x7D89_03A6, 0x4E80_0421]),
            _ => words.push(instruction(random, plain)),
        }
    }
    // From the top again, through the count register so that the distance does not matter.
    words.extend([15 << 26 | 12 << 21 | CODE >> 16, 0x7D89_03A6, 0x4E80_0420]);
    words
}

/// A short program in the page that may be written: a few instructions and a return.
fn subroutine(random: &mut Random) -> Vec<u32> {
    let mut words: Vec<u32> = (0..random.below(30)).map(|_| instruction(random, true)).collect();
    words.push(0x4E80_0020);
    words
}

fn fill(bus: &TestBus, words: &[u32], pa: u32) {
    for (n, word) in (0..).zip(words) {
        bus.write_ram(u64::from(pa + 4 * n), &word.to_be_bytes());
    }
}

fn differences(ours: &CpuState, theirs: &CpuState) -> Vec<String> {
    let mut found = Vec::new();
    ours.compare(theirs, |name, index, a, b| {
        // The address of a reservation that is not held is not architected.
        let dead = ours.reserve_valid == 0 && theirs.reserve_valid == 0 && name.starts_with("reserve_addr");
        if !dead {
            found.push(format!("{name}[{index}]: unicorn {a:#x}, step {b:#x}"));
        }
    });
    found
}

/// The reference: one core, one step at a time.
struct Reference {
    core: Core,
    bus: PluginBus,
    /// The last instructions: address and word.
    trace: Vec<(u32, u32)>,
}

impl Reference {
    fn run(&mut self, instructions: u64) -> Option<Stop> {
        let end = self.core.retired() + instructions;
        self.trace.clear();
        while self.core.retired() < end {
            let pc = self.core.registers().pc;
            let pa = match pc & 0xFFFF_0000 {
                CODE => pc - CODE + CODE_PA,
                BOTH => pc - BOTH + BOTH_PA,
                _ => pc & 0xF_FFFF,
            };
            self.trace.push((pc, self.bus.load_u32(pa.into()).unwrap_or(0)));
            if let Some(stop) = self.core.step(&mut self.bus) {
                return Some(stop);
            }
        }
        None
    }
}

fn same_end(exit: &Exit, stop: Option<Stop>) -> bool {
    matches!(
        (exit, stop),
        (Exit::Budget, None)
            | (Exit::Halted, Some(Stop::Halted))
            | (Exit::GuestFatal(_), Some(Stop::Fatal(_)))
    )
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn lockstep(eager: bool, seed: u64, instructions: u64, longest_chunk: u32) -> u64 {
    let config = EngineConfig { tb_hz: 400_000_000, clock: Clock::Host, shadow_pages: 0, tlb_policy: 0 };
    let mut compared = 0;
    let mut native = 0;
    let mut round = 0;
    let test = TestBus::new(&[(0, RAM)]);
    let other = TestBus::new(&[(0, RAM)]);
    let mut engine = Unicorn { eager }.create(&config, test.bus()).expect("Unicorn starts");
    while compared < instructions {
        round += 1;
        let seed = seed + round;
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let state = machine(&mut random);
        let code = program(&mut random);
        let inner = subroutine(&mut random);
        let noise: Vec<u32> = (0..RAM / 4).map(|_| random.next()).collect();
        for bus in [&test, &other] {
            fill(bus, &noise, 0);
            handlers(bus);
            fill(bus, &code, CODE_PA);
            fill(bus, &inner, BOTH_PA);
        }
        let mut reference = Reference { core: Core::new(&state, false), bus: other.bus(), trace: Vec::new() };
        assert_eq!(engine.set_state(&state), Vec::<&str>::new());
        let (mut ours, mut theirs) = (state.clone(), state);
        for _ in 0..40 {
            let chunk = u64::from(1 + random.below(longest_chunk));
            let before = ours.clone();
            let exit = engine.run(chunk);
            let stop = reference.run(chunk);
            engine.get_state(&mut ours);
            reference.core.snapshot(&mut reference.bus, &mut theirs);
            let found = differences(&ours, &theirs);
            assert!(
                found.is_empty() && same_end(&exit, stop),
                "seed {seed}: after {chunk} instructions from {:#x}, {exit:?} against {stop:?}:\n{}\nexecuted:{}",
                before.pc,
                found.join("\n"),
                reference
                    .trace
                    .iter()
                    .map(|(pc, word)| format!("\n  {pc:#010x} {word:#010x}"))
                    .collect::<String>()
            );
            compared += chunk;
            if exit != Exit::Budget {
                break;
            }
        }
        let (a, b) = (test.read_ram(0, RAM as usize), other.read_ram(0, RAM as usize));
        if let Some(at) = (0..a.len()).find(|&at| a[at] != b[at]) {
            panic!("seed {seed}: RAM differs at {at:#x}: unicorn {:#x}, step {:#x}", a[at], b[at]);
        }
    }
    for (name, value) in engine.stats() {
        if name == "native" {
            native = value;
        }
        println!("{name} {value}");
    }
    native
}

#[test]
fn unicorn_and_step_agree_on_random_programs() {
    let instructions = number("LOCKSTEP_INSTRUCTIONS", 400_000);
    let native = lockstep(true, number("LOCKSTEP_SEED", 1), instructions, 2000);
    assert!(
        native * 4 > instructions,
        "only {native} of {instructions} instructions were executed by Unicorn"
    );
}

#[test]
fn unicorn_and_step_agree_in_small_chunks() {
    lockstep(true, number("LOCKSTEP_SEED", 1) + 1_000_000, number("LOCKSTEP_INSTRUCTIONS", 400_000) / 20, 20);
}

#[test]
fn the_engine_as_it_runs_guests_agrees_too() {
    lockstep(false, number("LOCKSTEP_SEED", 1) + 2_000_000, number("LOCKSTEP_INSTRUCTIONS", 400_000), 20_000);
}
