//! Programs on a small machine: RAM of which the TLB maps half twice, so that programs fault, and write themselves, often.
//! The fuzzer chooses among the forms of instructions that a 440EP has, and fills their fields; registers come from a
//! seed, so that few bytes make a program.

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use mmu_core::TlbEntry;
use ppc440_core::flat::FlatBus;
use ppc440_core::state::CpuState;

/// RAM in bytes.
pub const RAM: usize = 0x2_0000;
/// Where programs lie, and how long they may be.
const CODE: usize = 0x1_0000;
const WORDS: usize = 0x1000;

/// mtsprg0 r3; mfsrr0 r3; addi r3,r3,4; mtsrr0 r3; mfsprg0 r3; rfi
const STEP_OVER: [u32; 6] = [0x7C70_43A6, 0x7C7A_02A6, 0x3863_0004, 0x7C7A_03A6, 0x7C70_42A6, 0x4C00_0064];
/// mtsprg0 r3; lis r3,1; mtsrr0 r3; mfsprg0 r3; rfi: to the program's start.
const START_OVER: [u32; 5] = [0x7C70_43A6, 0x3C60_0001, 0x7C7A_03A6, 0x7C70_42A6, 0x4C00_0064];

/// Primary opcodes whose other 26 bits are fields.
const PRIMARY: [u32; 46] = [
    3, 7, 8, 10, 11, 12, 13, 14, 15, 20, 21, 23, 24, 25, 26, 27, 28, 29, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 16, 18, 17, 0,
];
/// Primary opcodes with an extended one in bits 21:30.
const EXTENDED: [(u32, &[u32]); 5] = [
    (
        4,
        &[
            8, 12, 40, 44, 46, 76, 108, 110, 136, 140, 168, 172, 174, 204, 236, 238, 392, 396, 424, 428, 430,
            460, 492, 494,
        ],
    ),
    (19, &[0, 16, 33, 38, 50, 51, 129, 150, 193, 225, 257, 289, 417, 449, 528]),
    (
        31,
        &[
            0, 4, 8, 10, 11, 15, 19, 20, 21, 23, 24, 26, 28, 32, 40, 47, 53, 54, 55, 60, 75, 78, 79, 83, 86,
            87, 104, 119, 124, 131, 136, 138, 144, 146, 149, 150, 151, 163, 181, 183, 200, 202, 215, 232,
            234, 235, 247, 266, 278, 279, 284, 311, 316, 323, 339, 343, 371, 375, 407, 412, 439, 444, 451,
            454, 459, 467, 470, 476, 491, 512, 522, 533, 534, 535, 536, 552, 567, 595, 597, 598, 599, 631,
            648, 659, 661, 662, 663, 695, 725, 727, 746, 759, 778, 790, 792, 824, 854, 914, 918, 922, 946,
            954, 966, 971, 978, 982, 983, 1003, 1014,
        ],
    ),
    (59, &[18, 20, 21, 22, 24, 25, 28, 29, 30, 31]),
    (
        63,
        &[
            0, 12, 14, 15, 18, 20, 21, 22, 23, 25, 26, 28, 29, 30, 31, 32, 38, 40, 64, 70, 72, 134, 136, 264,
            583, 711,
        ],
    ),
];

/// What the fuzzer makes up.
#[derive(Arbitrary, Debug)]
pub struct Input {
    seed: u64,
    modes: u8,
    tlb: Option<(u32, u32, u16, u8)>,
    code: Vec<(u8, u32)>,
}

/// xorshift64
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

fn instruction(form: u8, fields: u32) -> u32 {
    let mut form = usize::from(form);
    if form < PRIMARY.len() {
        let primary = PRIMARY[form];
        // Branches stay near: the program is small.
        let near = ((fields >> 2) as i8 as i32 * 4) as u32;
        return match primary {
            0 => fields,
            16 => 16 << 26 | fields & 0x03FF_0001 | near & 0xFFFC,
            17 => 0x4400_0002,
            18 => 18 << 26 | near & 0x03FF_FFFC | fields & 1,
            _ => primary << 26 | fields & 0x03FF_FFFF,
        };
    }
    form = (form - PRIMARY.len()) % EXTENDED.iter().map(|(_, list)| list.len()).sum::<usize>();
    for (primary, list) in EXTENDED {
        if let Some(extended) = list.get(form) {
            // A-forms of the FPU have a register where the others have more opcode.
            let free = if primary >= 59 && (18..32).contains(extended) { 0x03FF_FFC1 } else { 0x03FF_F801 };
            return primary << 26 | fields & free | extended << 1;
        }
        form -= list.len();
    }
    fields
}

impl Input {
    /// The machine that it describes.
    #[must_use]
    pub fn machine(self) -> (CpuState, FlatBus) {
        let mut seed = self.seed | 1;
        let mut state = CpuState::reset(0x4222_18D3);
        state.reset_entry = 0;
        state.pc = CODE as u32;
        state.msr = u32::from(self.modes & 1) << 14 | u32::from(self.modes >> 1 & 1) << 13;
        for (index, ivor) in (0..).zip(&mut state.ivor) {
            *ivor = 0x100 * (index + 1);
        }
        for (index, gpr) in state.gpr.iter_mut().enumerate() {
            // Half of them point into what is mapped.
            let word = next(&mut seed) as u32;
            *gpr = if index < 16 { word } else { word & 0x2_FFFF };
        }
        for fpr in &mut state.fpr {
            let image = next(&mut seed);
            // Numbers near one, single values, and anything.
            *fpr = match image & 3 {
                0 => image,
                1 => f64::from(f32::from_bits((image >> 32) as u32)).to_bits(),
                _ => image & 0x803F_FFFF_FFFF_FFFF | 0x3FC0_0000_0000_0000,
            };
        }
        state.fpscr = match self.modes >> 2 & 3 {
            0 => next(&mut seed) as u32 & 0xFF,
            1 => next(&mut seed) as u32 & 3,
            // Inexact is noted: translated code takes its fast way.
            _ => 0x8200_0000,
        };
        let all = 0x3F;
        state.tlb[0] = TlbEntry { word0: 0x0000_0230, word1: 0, word2: all, tid: 0 };
        state.tlb[1] = TlbEntry { word0: 0x0001_0230, word1: 0x0001_0000, word2: all, tid: 0 };
        state.tlb[2] = TlbEntry { word0: 0x0002_0230, word1: 0x0001_0000, word2: all, tid: 0 };
        if let Some((word0, word1, word2, tid)) = self.tlb {
            state.tlb[8] = TlbEntry {
                word0: word0 & 0xFFFF_FFF0,
                word1: word1 & 0x0003_FC00,
                word2: u32::from(word2) & 0xFFBF,
                tid: u32::from(tid),
            };
        }
        let mut bus = FlatBus::new(RAM);
        for vector in 0..16usize {
            let handler: &[u32] = match vector {
                // A fetch that faulted cannot be stepped over.
                3 | 14 => &START_OVER,
                // Behind a system call SRR0 is right already.
                8 => &STEP_OVER[5..],
                _ => &STEP_OVER,
            };
            for (index, word) in handler.iter().enumerate() {
                bus.fill(0x100 * (vector + 1) + 4 * index, &word.to_be_bytes());
            }
        }
        let words = self.code.iter().take(WORDS).map(|(form, fields)| instruction(*form, *fields));
        let mut end = CODE;
        for word in words {
            bus.fill(end, &word.to_be_bytes());
            end += 4;
        }
        // Back to the start.
        let back = 18 << 26 | (CODE as u32).wrapping_sub(end as u32) & 0x03FF_FFFC;
        bus.fill(end, &back.to_be_bytes());
        (state, bus)
    }
}
