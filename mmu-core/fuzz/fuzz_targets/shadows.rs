//! Bytes as operations on a TLB with shadows, in a pool or without, compared with the oracle of the property tests. Six
//! bytes make an operation; the first byte of the input chooses policy and shape.

#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use common::run::{Op, run, run_direct};
use libfuzzer_sys::fuzz_target;
use mmu_core::policy::PolicyKind;
use mmu_core::{Access, Mode};

/// An address out of a few neighbourhoods, so that pages meet.
fn address(high: u8, low: u8) -> u32 {
    let base = [0, 0x1000_0000, 0xc000_0000, 0xffff_0000][usize::from(high >> 6)];
    base | u32::from(high & 0x0f) << 12 | u32::from(low) << 4
}

fn operation(bytes: &[u8; 6]) -> Op {
    let [kind, a, b, c, d, e] = *bytes;
    let pid = [0, 1, 2, 255][usize::from(e & 3)];
    match kind % 16 {
        0..4 => {
            let word0 = (address(a, b) & !0x3ff) | u32::from(c) << 2;
            Op::Write { index: d, ws: 0, value: word0, stid: pid }
        }
        4 => Op::Write { index: d, ws: 1, value: (address(a, b) & !0x3ff) | u32::from(c), stid: 0 },
        5 => Op::Write { index: d, ws: 2, value: u32::from_be_bytes([0, 0, b, c]), stid: 0 },
        6 | 7 => Op::Mode(Mode { pid, address_space: a & 1 != 0, user: a & 2 != 0 }),
        8..13 => {
            let access = [Access::Fetch, Access::Load, Access::Store][usize::from(c % 3)];
            Op::Access { ea: address(a, b), access }
        }
        13 => Op::Pin { ea: address(a, b), pin: c & 1 != 0 },
        14 => Op::Lookup { ea: address(a, b) },
        _ if c == 0 => Op::InvalidateAll,
        _ => Op::Hint { pc: address(a, b), sp: address(c, d) },
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&shape, data)) = data.split_first() else { return };
    let ops: Vec<Op> = data.as_chunks().0.iter().map(operation).collect();
    let kind = PolicyKind::ALL[usize::from(shape) % PolicyKind::ALL.len()];
    let max_page = 1024 << (shape >> 6) * 2;
    match shape >> 3 & 7 {
        0 => run::<4, 1>(&ops, kind, 1, max_page),
        1 => run::<4, 6>(&ops, kind, 2, max_page),
        2 | 3 => run::<8, 12>(&ops, kind, 3, max_page),
        4 | 5 => run::<16, 24>(&ops, kind, 8, max_page),
        6 => run::<64, 48>(&ops, kind, 16, max_page),
        _ => run_direct::<8>(&ops, 3, max_page, 24),
    }
});
