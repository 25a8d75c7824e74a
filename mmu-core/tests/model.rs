//! Random operations on the TLB and its shadows against the oracle, with shrinking. In all about a
//! million operations: sequences of 500 to 1,000 for each of eleven
//! configurations with a pool and six without.

mod common;

use common::run::{Op, run, run_direct};
use mmu_core::policy::PolicyKind;
use mmu_core::{Access, Mode, TlbEntry};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Addresses near each other in several senses: within pages of each size, at both ends of the world.
fn address() -> impl Strategy<Value = u32> {
    let base = prop_oneof![
        4 => Just(0u32),
        2 => Just(0xc000_0000),
        1 => Just(0x7fff_f000),
        1 => Just(0xffff_c000),
        1 => Just(0x1000_0000),
    ];
    let offset =
        prop_oneof![4 => 0u32..16, 2 => (0u32..4).prop_map(|n| n << 4), 1 => (0u32..4).prop_map(|n| n << 14)];
    (base, offset, 0u32..1024).prop_map(|(base, kib, byte)| base.wrapping_add(kib << 10) | byte)
}

fn word0() -> impl Strategy<Value = u32> {
    let size =
        prop_oneof![4 => Just(0u32), 6 => Just(1), 3 => Just(2), 1 => Just(3), 1 => Just(9), 1 => 0u32..16];
    let valid = prop_oneof![1 => Just(0u32), 5 => Just(0x200)];
    let ts = prop_oneof![4 => Just(0u32), 1 => Just(0x100)];
    // Reserved bits too.
    (address(), size, valid, ts, 0u32..16)
        .prop_map(|(ea, size, valid, ts, low)| (ea & !0x3ff) | valid | ts | size << 4 | low)
}

fn pid() -> impl Strategy<Value = u8> {
    prop_oneof![2 => Just(0u8), 2 => Just(1), 1 => Just(2), 1 => Just(255)]
}

fn operation() -> impl Strategy<Value = Op> {
    let value = |ws: u8| match ws {
        0 => word0().boxed(),
        1 => (address(), 0u32..0x400).prop_map(|(pa, low)| (pa & !0x3ff) | low).boxed(),
        _ => prop_oneof![Just(0x3fu32), Just(0x07), Just(0x53f), Just(0x1b), any::<u32>()].boxed(),
    };
    let write = prop_oneof![3 => Just(0u8), 1 => Just(1), 1 => Just(2)]
        .prop_flat_map(move |ws| (any::<u8>(), Just(ws), value(ws), pid()))
        .prop_map(|(index, ws, value, stid)| Op::Write { index, ws, value, stid });
    let words = (word0(), value(1), value(2), any::<u32>(), pid());
    let replace = (any::<u8>(), words).prop_map(|(index, (word0, word1, word2, reserved, tid))| {
        let tid = u32::from(tid) | reserved & !0xff;
        Op::Replace { index, entry: TlbEntry { word0, word1, word2, tid } }
    });
    let mode = (pid(), prop_oneof![3 => Just(false), 1 => Just(true)], any::<bool>())
        .prop_map(|(pid, address_space, user)| Op::Mode(Mode { pid, address_space, user }));
    let access = (address(), prop_oneof![Just(Access::Fetch), Just(Access::Load), Just(Access::Store)])
        .prop_map(|(ea, access)| Op::Access { ea, access });
    prop_oneof![
        25 => write,
        5 => replace,
        15 => mode,
        60 => access,
        8 => address().prop_map(|ea| Op::Lookup { ea }),
        2 => (address(), any::<bool>()).prop_map(|(ea, pin)| Op::Pin { ea, pin }),
        1 => (address(), address()).prop_map(|(pc, sp)| Op::Hint { pc, sp }),
        1 => prop_oneof![20 => Just(Op::Lookup { ea: 0 }), 1 => Just(Op::InvalidateAll)],
    ]
}

fn sequences<const N: usize, const SLOTS: usize>(kind: PolicyKind, contexts: usize, max_page: u32) {
    sequences_of::<N>(|ops| run::<N, SLOTS>(ops, kind, contexts, max_page));
}

fn direct<const N: usize>(contexts: usize, max_page: u32, capacity: usize) {
    sequences_of::<N>(|ops| run_direct::<N>(ops, contexts, max_page, capacity));
}

fn sequences_of<const N: usize>(run: impl Fn(&[Op])) {
    // Checking 64 entries and 48 shadows after each write takes the oracle long.
    let cases = if N == 64 { 50 } else { 155 };
    const LENGTH: usize = 1000;
    let config = Config { cases, max_shrink_iters: 100_000, failure_persistence: None, ..Config::default() };
    let ops = prop::collection::vec(operation(), LENGTH / 2..LENGTH);
    TestRunner::new(config)
        .run(&ops, |ops| {
            run(&ops);
            Ok(())
        })
        .unwrap();
}

#[test]
fn four_entries_round_robin() {
    sequences::<4, 8>(PolicyKind::RoundRobin, 3, 4096);
}

#[test]
fn four_entries_one_slot_one_context() {
    sequences::<4, 1>(PolicyKind::RoundRobin, 1, 4096);
}

#[test]
fn eight_entries_sparing() {
    sequences::<8, 7>(PolicyKind::Sparing, 2, 4096);
}

#[test]
fn eight_entries_clock_large_pages() {
    sequences::<8, 16>(PolicyKind::Clock, 4, 65_536);
}

#[test]
fn eight_entries_lru_largest_pages() {
    sequences::<8, 24>(PolicyKind::Lru, 16, 256 << 20);
}

#[test]
fn eight_entries_plru_odd_limit() {
    sequences::<8, 13>(PolicyKind::TreePlru, 5, 8192);
}

#[test]
fn two_entries_random_smallest_pages() {
    sequences::<2, 6>(PolicyKind::Random, 2, 1024);
}

#[test]
fn sixty_four_entries_lru() {
    sequences::<64, 48>(PolicyKind::Lru, 16, 4096);
}

#[test]
fn sixty_four_entries_clock_large_pages() {
    sequences::<64, 48>(PolicyKind::Clock, 6, 16_384);
}

#[test]
fn sixteen_entries_plru() {
    sequences::<16, 32>(PolicyKind::TreePlru, 8, 4096);
}

#[test]
fn sixteen_entries_many_contexts() {
    sequences::<16, 40>(PolicyKind::Random, 256, 16_384);
}

#[test]
fn direct_two_entries_one_context() {
    direct::<2>(1, 4096, 16);
}

#[test]
fn direct_four_entries_smallest_pages() {
    direct::<4>(3, 1024, 24);
}

#[test]
fn direct_eight_entries_largest_pages() {
    direct::<8>(5, 256 << 20, 24);
}

#[test]
fn direct_eight_entries_odd_limit() {
    direct::<8>(64, 8192, 32);
}

#[test]
fn direct_sixteen_entries() {
    direct::<16>(4, 4096, 40);
}

#[test]
fn direct_sixty_four_entries_large_pages() {
    direct::<64>(16, 16_384, 48);
}
