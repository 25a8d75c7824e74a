//! Random user-level programs and the small machine that they run on, for lock step. Every kind of user-level
//! instruction of the 440EP occurs, floating point and accesses that fault included; supervisor code at each vector
//! steps over what faulted, so a program goes on whatever it does.

use mmu_core::TlbEntry;
use ppc440_core::state::CpuState;

use crate::bare::PVR;

/// RAM of the machine, in bytes from physical address 0.
pub const RAM: u64 = 0x8_0000;
const CODE: u32 = 0x0040_0000;
const CODE_PA: u32 = 0x1_0000;
const DATA: u32 = 0x0050_0000;
const DATA_PA: u32 = 0x4_0000;
/// Behind the data: a read-only page, a little-endian one, an uncached one, four 1 KB pages of which one is missing;
/// after them nothing.
const ODD: u32 = DATA + 0x1_0000;
const ODD_PA: u32 = 0x5_0000;

/// A reproducible source of numbers (xorshift64*).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Any 32 bits.
    pub fn word(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.word()) * u64::from(n)) >> 32) as u32
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32) as usize]
    }

    /// A word with the shapes that carry and overflow care about.
    fn operand(&mut self) -> u32 {
        match self.below(8) {
            0 => self.below(40),
            1 => self.below(40).wrapping_neg(),
            2 => 0x8000_0000u32.wrapping_add(self.below(3)).wrapping_sub(1),
            3 => 1 << self.below(32),
            _ => self.word(),
        }
    }

    /// A double from all classes: zeros, denormals, infinities, NaNs, numbers near one and near the limits.
    fn double(&mut self) -> u64 {
        let bits = u64::from(self.word()) << 32 | u64::from(self.word());
        let sign = bits & 1 << 63;
        let fraction = bits & ((1 << 52) - 1);
        let exponent = match self.below(16) {
            0 => return sign,
            1 => return sign | 0x7FF << 52,
            2 => return sign | 0x7FF << 52 | fraction.max(1),
            3 => return sign | fraction,
            4 => 1 + u64::from(self.below(60)),
            5 => 0x7FE - u64::from(self.below(60)),
            6 => 1023 - 126 - 30 + u64::from(self.below(60)),
            7 => 1023 + 127 - 30 + u64::from(self.below(60)),
            8 => return (f64::from(self.operand() as i32)).to_bits(),
            // Exactly representable in single precision.
            9 => return f64::from(f32::from_bits(self.word())).to_bits(),
            _ => 1023 - 20 + u64::from(self.below(40)),
        };
        sign | exponent << 52 | fraction
    }
}

/// One program with everything that it starts from.
#[derive(Debug)]
pub struct Program {
    /// The state of the core at its start.
    pub state: CpuState,
    /// All RAM.
    pub ram: Vec<u8>,
}

impl Program {
    /// The program that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut ram = vec![0; RAM as usize];
        for word in ram[DATA_PA as usize..].chunks_exact_mut(8) {
            let value = if random.below(2) == 0 { random.double() } else { u64::from(random.operand()) };
            word.copy_from_slice(&value.to_be_bytes());
        }
        for vector in 0..16 {
            write(&mut ram, 0x100 * (vector + 1), &handler(vector));
        }
        write(&mut ram, CODE_PA, &body(&mut random));
        Self { state: state(&mut random), ram }
    }

    /// As [`Program::new`], but the program may write its own page of code, and one of its base registers points
    /// there: words of the program are loaded, changed and stored over others, now and then a line of it is zeroed.
    #[must_use]
    pub fn self_modifying(seed: u64) -> Self {
        let mut program = Self::new(seed);
        let mut random = Random::new(seed ^ 0x5E1F);
        let code = &mut program.ram[CODE_PA as usize..][..0x1_0000];
        let length = code.iter().rposition(|byte| *byte != 0).map_or(0, |last| last / 4 + 1);
        // Whatever becomes of the jump at its end, there is another one.
        for group in code[4 * length..].chunks_exact_mut(4 * BACK.len()) {
            for (place, word) in group.chunks_exact_mut(4).zip(BACK) {
                place.copy_from_slice(&word.to_be_bytes());
            }
        }
        let base = CODE + 4 * random.below(length as u32);
        for word in program.ram[CODE_PA as usize..][..4 * length].chunks_exact_mut(4) {
            // `body` sets base registers anew with lis and ori: r31 is set to this one.
            let (lis, ori) = (15 << 26 | 31 << 21, 24 << 26 | 31 << 21 | 31 << 16);
            match u32::from_be_bytes([word[0], word[1], word[2], word[3]]) {
                it if it == lis | BASES[3].1 >> 16 => {
                    word.copy_from_slice(&(lis | base >> 16).to_be_bytes());
                }
                it if it == ori | BASES[3].1 & 0xFFFF => {
                    word.copy_from_slice(&(ori | base & 0xFFFF).to_be_bytes());
                }
                _ => {}
            }
        }
        program.state.gpr[31] = base;
        for entry in &mut program.state.tlb {
            if entry.word0 & 0xFFFF_FC00 == CODE && entry.word0 & TlbEntry::V != 0 {
                entry.word2 |= TlbEntry::UW;
            }
        }
        program
    }

    /// An address of the program with the instruction word there, for messages.
    #[must_use]
    pub fn show(&self, pc: u32) -> String {
        let physical = if pc >= 0xC000_0000 { pc - 0xC000_0000 } else { pc.wrapping_sub(CODE) + CODE_PA };
        match self.ram.get(physical as usize..physical as usize + 4) {
            Some(b) => format!("{pc:#010x}: {:#010x}", u32::from_be_bytes([b[0], b[1], b[2], b[3]])),
            None => format!("{pc:#010x}: outside"),
        }
    }
}

fn write(ram: &mut [u8], at: u32, words: &[u32]) {
    for (place, word) in ram[at as usize..].chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_be_bytes());
    }
}

fn page(ea: u32, pa: u32, size: u32, word2: u32, tid: u32) -> TlbEntry {
    TlbEntry { word0: ea | TlbEntry::V | size << TlbEntry::SIZE_SHIFT, word1: pa, word2, tid }
}

fn state(random: &mut Random) -> CpuState {
    const K1: u32 = 0;
    const K4: u32 = 1;
    const K64: u32 = 3;
    let mut state = CpuState::reset(PVR);
    state.reset_entry = 0;
    let open = TlbEntry::UR | TlbEntry::UW;
    let pages = [
        page(0xC000_0000, 0, 5, TlbEntry::SR | TlbEntry::SW | TlbEntry::SX, 0),
        page(CODE, CODE_PA, K64, TlbEntry::UR | TlbEntry::UX, 3),
        page(DATA, DATA_PA, K64, open, 3),
        page(ODD, ODD_PA, K4, TlbEntry::UR, 0),
        page(ODD + 0x1000, ODD_PA + 0x1000, K4, open | TlbEntry::E, 0),
        page(ODD + 0x2000, ODD_PA + 0x2000, K4, open | TlbEntry::I | TlbEntry::G, 3),
        page(ODD + 0x3000, ODD_PA + 0x3000, K1, open, 3),
        page(ODD + 0x3400, ODD_PA + 0x3C00, K1, open, 3),
        page(ODD + 0x3C00, ODD_PA + 0x3400, K1, open, 0),
    ];
    for (entry, page) in state.tlb.iter_mut().skip(random.below(40) as usize).zip(pages) {
        *entry = page;
    }
    state.pid = 3;
    // Problem state, machine check enabled; the FPU mostly there, its exceptions in any mode.
    state.msr =
        0x4000 | 0x1000 | random.pick(&[0x2000, 0x2000, 0x2000, 0]) | random.pick(&[0, 0, 0x900, 0x800]);
    state.ivpr = 0xC000_0000;
    for (vector, ivor) in (0..).zip(&mut state.ivor) {
        *ivor = 0x100 * (vector + 1);
    }
    for gpr in &mut state.gpr {
        *gpr = random.operand();
    }
    for (register, base) in BASES {
        state.gpr[register as usize] = base;
    }
    for fpr in &mut state.fpr {
        *fpr = random.double();
    }
    // Rounding mode and, at times, enables; no exception yet.
    state.fpscr = random.below(4) | random.pick(&[0, 0, 0, 0xF8, 0x80, 0x10, 0x08]);
    state.xer = random.word() & 0xE000_007F;
    state.cr = random.word();
    state.ctr = random.below(50);
    // Integer accesses must be aligned in one program of eight (CCR0[FLSTA]).
    state.ccr[0] = if random.below(8) == 0 { 0x100 } else { 0 };
    state.pc = CODE;
    state
}

/// Registers that hold addresses: they are never a target except of update forms, and are set again now and then.
const BASES: [(u32, u32); 4] =
    [(28, DATA + 0x8000), (29, ODD - 0x20), (30, ODD + 0x0FF0), (31, ODD + 0x33F8)];
/// lis r12; mtctr r12; bctr: to the program's start.
const BACK: [u32; 3] = [15 << 26 | 12 << 21 | CODE >> 16, 0x7D89_03A6, 0x4E80_0420];
/// Holds a small index.
const INDEX: u32 = 27;

/// The code at a vector: goes on behind the instruction that faulted. Where no instruction can be stepped over (a
/// fetch that faulted), back to the program's start.
fn handler(vector: u32) -> [u32; 8] {
    const MTSPRG0: u32 = 0x7C70_43A6;
    const MFSPRG0: u32 = 0x7C70_42A6;
    const RFI: u32 = 0x4C00_0064;
    const NOP: u32 = 0x6000_0000;
    match vector {
        // System call: SRR0 is behind it already.
        8 => [RFI, NOP, NOP, NOP, NOP, NOP, NOP, NOP],
        3 | 14 => [MTSPRG0, 0x3C60_0000 | CODE >> 16, 0x7C7A_03A6, MFSPRG0, RFI, NOP, NOP, NOP],
        // mfsrr0 r3; addi r3,r3,4; mtsrr0 r3
        _ => [MTSPRG0, 0x7C7A_02A6, 0x3863_0004, 0x7C7A_03A6, MFSPRG0, RFI, NOP, NOP],
    }
}

fn body(random: &mut Random) -> Vec<u32> {
    // Programs differ in what they are made of, so that each engine's fast paths get their turn.
    let mix = [random.below(40), random.below(40), random.below(40), random.below(25), random.below(8)];
    let length = 30 + random.below(300) as usize;
    let mut words = vec![];
    while words.len() < length {
        match random.below(40) {
            0 => {
                let (register, value) = random.pick(&BASES);
                words.push(15 << 26 | register << 21 | value >> 16);
                words.push(24 << 26 | register << 21 | register << 16 | value & 0xFFFF);
            }
            1 => words.push(14 << 26 | INDEX << 21 | random.below(72)),
            2 => {
                // A loop over what comes next, through CTR.
                words.push(14 << 26 | 5 << 21 | (1 + random.below(6)));
                words.push(0x7CA9_03A6);
                let start = words.len();
                for _ in 0..1 + random.below(12) {
                    words.push(instruction(random, &mix));
                }
                let back = (words.len() - start) as u32 * 4;
                words.push(16 << 26 | 16 << 21 | back.wrapping_neg() & 0xFFFC);
            }
            3 => words.extend(reservation(random)),
            _ => words.push(instruction(random, &mix)),
        }
    }
    // Back to the start, however far.
    words.extend(BACK);
    words
}

fn x_form(primary: u32, xo: u32, t: u32, a: u32, b: u32, rc: u32) -> u32 {
    primary << 26 | t << 21 | a << 16 | b << 11 | xo << 1 | rc
}

/// lwarx, perhaps something between, stwcx.
fn reservation(random: &mut Random) -> [u32; 3] {
    let base = random.pick(&[28, 28, 29, 30]);
    let between = random.pick(&[0x6000_0000, 0x38A5_0001, 0x4400_0002]);
    [x_form(31, 20, 5, base, INDEX, 0), between, x_form(31, 150, 5, base, INDEX, 1)]
}

/// One instruction of a kind chosen by `mix`: integer, memory, floating point, condition and branch, the rest.
fn instruction(random: &mut Random, mix: &[u32; 5]) -> u32 {
    let mut at = random.below(mix.iter().sum::<u32>() + 1);
    for (kind, weight) in mix.iter().enumerate() {
        if at < *weight {
            return match kind {
                0 => integer(random),
                1 => memory(random),
                2 => float(random),
                3 => condition(random),
                _ => rest(random),
            };
        }
        at -= weight;
    }
    integer(random)
}

fn integer(random: &mut Random) -> u32 {
    let (t, a, b, rc) = (random.below(27), random.below(28), random.below(28), random.below(2));
    match random.below(10) {
        0..3 => {
            let opcode = random.pick(&[7, 8, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29]);
            opcode << 26 | t << 21 | random.below(27) << 16 | random.word() & 0xFFFF
        }
        3 => random.pick(&[20, 21, 23]) << 26 | a << 21 | t << 16 | random.word() & 0xFFFF,
        4..7 => {
            let xo = random.pick(&[8, 10, 40, 136, 138, 235, 266, 459, 491]) | random.below(2) << 9;
            x_form(31, xo, t, a, b, rc)
        }
        7 => match random.below(3) {
            0 => x_form(31, random.pick(&[104, 200, 202, 232, 234]) | random.below(2) << 9, t, a, 0, rc),
            1 => x_form(31, random.pick(&[11, 75]), t, a, b, rc),
            _ => x_form(31, random.pick(&[26, 922, 954]), a, t, 0, rc),
        },
        8 => {
            let xo = random.pick(&[24, 28, 60, 78, 124, 284, 316, 412, 444, 476, 536, 792, 824]);
            x_form(31, xo, a, t, b, rc)
        }
        _ => {
            let xo = random.pick(&[
                12, 44, 46, 76, 108, 110, 140, 172, 174, 204, 236, 238, 396, 428, 430, 460, 492, 494,
            ]) | random.below(2) << 9;
            let multiply = random.pick(&[8, 40, 136, 168, 392, 424]);
            x_form(4, if random.below(4) == 0 { multiply } else { xo }, t, a, b, rc)
        }
    }
}

fn memory(random: &mut Random) -> u32 {
    let base = random.pick(&[28, 28, 28, 29, 30, 31]);
    let t = random.below(27);
    match random.below(12) {
        0..5 => {
            // Displacements near the page boundary that the base points to, mostly.
            let d = if random.below(8) == 0 {
                random.word() & 0xFFFF
            } else {
                random.below(64).wrapping_sub(16) & 0xFFFF
            };
            let opcode = random.pick(&[32, 34, 36, 38, 40, 42, 44, 33, 35, 37, 39, 41, 43, 45]);
            opcode << 26 | t << 21 | base << 16 | d
        }
        5..8 => {
            let xo = random.pick(&[
                23, 87, 279, 343, 151, 215, 407, 55, 119, 311, 375, 183, 247, 439, 534, 790, 662, 918,
            ]);
            x_form(31, xo, t, base, INDEX, 0)
        }
        8 => random.pick(&[46, 47]) << 26 | (15 + random.below(17)) << 21 | base << 16 | random.below(40),
        9 => x_form(31, random.pick(&[597, 725]), random.below(27), base, random.below(32), 0),
        10 => x_form(31, random.pick(&[533, 661]), random.below(27), base, INDEX, 0),
        _ => {
            let xo = random.pick(&[54, 86, 246, 278, 758, 982, 1014, 22]);
            x_form(31, xo, 0, base, INDEX, 0)
        }
    }
}

fn float(random: &mut Random) -> u32 {
    let (t, a, b, c) = (random.below(32), random.below(32), random.below(32), random.below(32));
    let rc = u32::from(random.below(4) == 0);
    let base = random.pick(&[28, 28, 29, 30, 31]);
    match random.below(12) {
        0..4 => {
            let (xo, b, c) = match random.pick(&[18, 20, 21, 25, 28, 29, 30, 31]) {
                25 => (25, 0, c),
                xo @ (18 | 20 | 21) => (xo, b, 0),
                xo => (xo, b, c),
            };
            random.pick(&[59, 63]) << 26 | t << 21 | a << 16 | b << 11 | c << 6 | xo << 1 | rc
        }
        4 => match random.below(4) {
            0 => 63 << 26 | t << 21 | a << 16 | b << 11 | c << 6 | 23 << 1 | rc,
            1 => random.pick(&[59, 63]) << 26 | t << 21 | b << 11 | 22 << 1 | rc,
            2 => 63 << 26 | t << 21 | b << 11 | 26 << 1 | rc,
            _ => 59 << 26 | t << 21 | b << 11 | 24 << 1 | rc,
        },
        5 => x_form(63, random.pick(&[12, 14, 15, 40, 72, 136, 264]), t, 0, b, rc),
        6 => x_form(63, random.pick(&[0, 32]), random.below(8) << 2, a, b, 0),
        7 => match random.below(5) {
            0 => x_form(63, 583, t, 0, 0, rc),
            1 => x_form(63, 64, random.below(8) << 2, random.below(8) << 2, 0, 0),
            2 => x_form(63, random.pick(&[38, 70]), t, 0, 0, rc),
            3 => x_form(63, 134, random.below(8) << 2, 0, random.below(16) << 1, rc),
            _ => 63 << 26 | random.below(256) << 17 | b << 11 | 711 << 1 | rc,
        },
        8..10 => {
            let opcode = random.pick(&[48, 50, 52, 54, 49, 51, 53, 55]);
            opcode << 26 | t << 21 | base << 16 | random.below(48)
        }
        _ => {
            let xo = random.pick(&[535, 599, 663, 727, 567, 631, 695, 759, 983]);
            x_form(31, xo, t, base, INDEX, 0)
        }
    }
}

fn condition(random: &mut Random) -> u32 {
    let (a, b) = (random.below(27), random.below(27));
    match random.below(10) {
        0..2 => random.pick(&[10, 11]) << 26 | random.below(8) << 23 | a << 16 | random.word() & 0xFFFF,
        2..4 => x_form(31, random.pick(&[0, 32]), random.below(8) << 2, a, b, 0),
        4 => {
            19 << 26
                | random.word() & 0x03FF_F800
                | random.pick(&[33, 129, 193, 225, 257, 289, 417, 449]) << 1
        }
        5 => match random.below(4) {
            0 => x_form(31, 19, a, 0, 0, 0),
            1 => x_form(31, 144, a, 0, 0, 0) | random.below(256) << 12,
            2 => x_form(31, 512, random.below(8) << 2, 0, 0, 0),
            _ => x_form(19, 0, random.below(8) << 2, random.below(8) << 2, 0, 0),
        },
        6 => x_form(31, 15, a, random.below(27), b, 0) | random.below(32) << 6,
        // Forward, conditional or not, over a few instructions; the loops of `body` go back.
        7..9 => {
            16 << 26
                | random.below(32) << 21
                | random.below(32) << 16
                | (1 + random.below(6)) << 2
                | random.below(2)
        }
        _ => 18 << 26 | (1 + random.below(6)) << 2 | random.below(2),
    }
}

fn rest(random: &mut Random) -> u32 {
    let t = random.below(27);
    match random.below(8) {
        0 => 17 << 26 | 2,
        1 => x_form(31, 4, random.below(32), t, random.below(27), 0),
        2 => 3 << 26 | random.below(32) << 21 | t << 16 | random.word() & 0xFFFF,
        // XER, LR, CTR, USPRG0, SPRG4; a privileged and a missing one.
        3 => {
            let spr = random.pick(&[1, 8, 9, 256, 260, 272, 2]);
            x_form(31, 339, t, spr & 31, spr >> 5, 0)
        }
        4 => {
            let spr = random.pick(&[1, 8, 256, 272, 2]);
            x_form(31, 467, t, spr & 31, spr >> 5, 0)
        }
        5 => random.pick(&[
            x_form(31, 598, 0, 0, 0, 0),
            x_form(31, 854, 0, 0, 0, 0),
            x_form(19, 150, 0, 0, 0, 0),
        ]),
        // A privileged one, an illegal one.
        6 => random.pick(&[
            x_form(31, 83, t, 0, 0, 0),
            x_form(31, 163, 0, 0, 16, 0),
            x_form(19, 50, 0, 0, 0, 0),
        ]),
        _ if random.below(2) == 0 => 0,
        _ => random.word(),
    }
}
