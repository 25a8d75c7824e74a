//! Each defect of the 2008 KVM code that lies in this crate's field has a test here that fails if it
//! comes back. What the defects were is told in the comments; docs/mmu-core-seed-map.md lists those
//! that belong to other crates.

mod common;

use common::{ALL, Recorder, ea, entry, kernel, pa, user};
use mmu_core::policy::{RoundRobin, SparingRoundRobin};
use mmu_core::{Access, Fault, Mode, PageSize, Shadow, ShadowStorage, Tlb, TlbEntry};

type Pool = Shadow<ShadowStorage<64>>;

fn pool() -> (Tlb, Pool, Recorder) {
    (Tlb::new(), Shadow::new(ShadowStorage::EMPTY, 8, RoundRobin::new()), Recorder::default())
}

fn load(
    (tlb, shadow, sink): &mut (Tlb, Pool, Recorder),
    at: u32,
    mode: Mode,
) -> Result<mmu_core::ShadowPage, Fault> {
    let ctx = shadow.context(mode, sink);
    shadow.fill(tlb, ctx, mode, ea(at), Access::Load, sink)
}

/// The bound was `index > 64`, so that index 64 wrote behind the array.
#[test]
fn an_index_beyond_63_is_taken_modulo_64_as_tlbwe_does() {
    let mut tlb = Tlb::new();
    tlb.write_word(64, 1, 0x1234_5c03, 0);
    assert_eq!(tlb.read_word(0, 1), 0x1234_5c03);
    tlb.set_entry(255, entry(0x4000, PageSize::K4, 0, 0, ALL));
    assert_eq!(tlb.search(ea(0x4000), false, 0), Some(63));
    assert_eq!(tlb.overlaps(127), 0);
    let (mut tlb, mut shadow, mut sink) = pool();
    shadow.set_entry(&mut tlb, 65, entry(0x4000, PageSize::K4, 0x8000, 0, ALL), &mut sink);
    assert!(tlb.entry(1).valid());
}

/// Invalidation looked for shadows of one address, so a large page left its other 4 KiB shadows behind.
#[test]
fn replacing_a_large_page_drops_every_piece_of_it() {
    let mut s = pool();
    s.0.set_entry(7, entry(0xc000_0000, PageSize::M256, 0, 0, ALL));
    s.0.set_entry(8, entry(0x4000, PageSize::K4, 0x4000, 0, ALL));
    for at in [0xc000_0000, 0xc123_4000, 0xcfff_f000, 0x4000] {
        load(&mut s, at, kernel(1)).unwrap();
    }
    s.1.tlbwe(&mut s.0, 7, 0, 0, 0, &mut s.2);
    let left: Vec<u32> = s.2.held.iter().map(|(_, page)| page.ea.0).collect();
    assert_eq!(left, [0x4000]);
    assert_eq!(s.2.dropped.len(), 3);
}

/// Every privilege switch flushed everything.
#[test]
fn a_privilege_switch_flushes_nothing_and_keeps_permissions_apart() {
    let mut s = pool();
    s.0.set_entry(0, entry(0x4000, PageSize::K4, 0x8000, 0, TlbEntry::SR | TlbEntry::SW));
    s.0.set_entry(1, entry(0x5000, PageSize::K4, 0x9000, 0, TlbEntry::UR | TlbEntry::SR));
    for round in 0..3 {
        assert!(load(&mut s, 0x4000, kernel(1)).unwrap().writable);
        assert_eq!(load(&mut s, 0x4000, user(1)), Err(Fault::Protection));
        assert!(load(&mut s, 0x5000, kernel(1)).is_ok());
        assert!(load(&mut s, 0x5000, user(1)).is_ok());
        assert_eq!(s.1.stats().misses, 3, "round {round}");
    }
    assert!(s.2.dropped.is_empty() && s.2.dropped_contexts.is_empty());
}

/// A write to the PID flushed nothing, though shadows were tagged with the PID of their making.
#[test]
fn a_pid_write_hides_the_pages_of_the_other_process() {
    let mut s = pool();
    s.0.set_entry(0, entry(0x4000, PageSize::K4, 0x8000, 1, ALL));
    s.0.set_entry(1, entry(0x4000, PageSize::K4, 0x9000, 2, ALL));
    for _ in 0..2 {
        assert_eq!(load(&mut s, 0x4000, user(1)).unwrap().pa, pa(0x8000));
        assert_eq!(load(&mut s, 0x4000, user(2)).unwrap().pa, pa(0x9000));
        assert_eq!(load(&mut s, 0x4000, user(3)), Err(Fault::Miss));
    }
    assert!(s.2.dropped.is_empty() && s.2.dropped_contexts.is_empty());
}

/// "What about AS?": the address space was ignored when shadows were made and invalidated.
#[test]
fn address_spaces_are_kept_apart() {
    let mut s = pool();
    let other = Mode { address_space: true, ..kernel(0) };
    s.0.set_entry(0, entry(0x4000, PageSize::K4, 0x8000, 0, ALL));
    let mut in_ts1 = entry(0x4000, PageSize::K4, 0x9000, 0, ALL);
    in_ts1.word0 |= TlbEntry::TS;
    s.0.set_entry(1, in_ts1);
    assert_eq!(load(&mut s, 0x4000, kernel(0)).unwrap().pa, pa(0x8000));
    assert_eq!(load(&mut s, 0x4000, other).unwrap().pa, pa(0x9000));
    s.1.tlbwe(&mut s.0, 1, 0, 0, 0, &mut s.2);
    assert_eq!(s.2.dropped.len(), 1);
    assert_eq!(load(&mut s, 0x4000, other), Err(Fault::Miss));
    assert_eq!(s.1.stats().hits, 0);
    assert_eq!(load(&mut s, 0x4000, kernel(0)).unwrap().pa, pa(0x8000));
    assert_eq!(s.1.stats().hits, 1);
}

/// A TID 0 entry has shadows under several PIDs; only those of one were found.
#[test]
fn a_global_entry_loses_its_shadows_in_every_context() {
    let mut s = pool();
    s.0.set_entry(0, entry(0x4000, PageSize::K4, 0x8000, 0, ALL));
    for pid in 0..3 {
        load(&mut s, 0x4000, user(pid)).unwrap();
        load(&mut s, 0x4000, kernel(pid)).unwrap();
    }
    s.1.tlbwe(&mut s.0, 0, 1, 0xa000, 0, &mut s.2);
    assert_eq!((s.2.dropped.len(), s.2.held.len()), (6, 0));
}

/// Overlapping entries were neither noticed nor given an outcome.
#[test]
fn of_overlapping_entries_the_lowest_wins_and_they_are_counted() {
    let mut s = pool();
    let (tlb, shadow, sink) = (&mut s.0, &mut s.1, &mut s.2);
    shadow.set_entry(tlb, 9, entry(0, PageSize::M1, 0x10_0000, 0, ALL), sink);
    assert_eq!(shadow.stats().overlaps, 0);
    for at in [0x3000, 0x4000, 0x5000] {
        load(&mut s, at, kernel(5)).unwrap();
        load(&mut s, at, kernel(6)).unwrap();
    }
    let (tlb, shadow, sink) = (&mut s.0, &mut s.1, &mut s.2);
    shadow.set_entry(tlb, 3, entry(0x4000, PageSize::K4, 0x20_0000, 5, TlbEntry::SX), sink);
    assert_eq!(shadow.stats().overlaps, 1);
    assert_eq!((tlb.overlaps(3), tlb.overlaps(9), tlb.overlaps(0)), (1 << 9, 1 << 3, 0));
    // Exactly the shadow that the lower entry took over is gone: PID 5's, and not its neighbours.
    assert_eq!(sink.dropped.len(), 1);
    assert_eq!(sink.dropped[0].1.ea, ea(0x4000));
    // The lower entry wins with its lack of permission too.
    assert_eq!(load(&mut s, 0x4000, kernel(5)), Err(Fault::Protection));
    assert_eq!(load(&mut s, 0x4000, kernel(6)).unwrap().pa, pa(0x10_4000));
    // A higher entry changes nothing.
    s.2.forget_log();
    s.1.set_entry(&mut s.0, 20, entry(0, PageSize::K64, 0, 0, ALL), &mut s.2);
    assert!(s.2.dropped.is_empty());
    assert_eq!(s.1.stats().overlaps, 2);
    // Other words of an overlapping entry are no new overlap.
    s.1.tlbwe(&mut s.0, 20, 2, 0, 0, &mut s.2);
    assert_eq!(s.1.stats().overlaps, 2);
}

/// "Make sure (va, size) doesn't overlap any other entries": shadows of one context never do. The
/// recorder refuses overlapping pages.
#[test]
fn a_large_shadow_spares_what_a_smaller_entry_took_out_of_its_page() {
    let mut s = pool();
    s.2.max_page = 1 << 20;
    s.0.set_entry(9, entry(0, PageSize::M1, 0x10_0000, 0, ALL));
    s.0.set_entry(3, entry(0x4000, PageSize::K4, 0x20_0000, 0, ALL));
    assert_eq!(load(&mut s, 0x4000, kernel(0)).unwrap().pa, pa(0x20_0000));
    assert_eq!(load(&mut s, 0x5000, kernel(0)).unwrap().size, 0x1000);
    assert_eq!(load(&mut s, 0x6000, kernel(0)).unwrap().size, 0x2000);
    assert_eq!(load(&mut s, 0x8_0000, kernel(0)).unwrap().size, 0x8_0000);
    s.1.tlbwe(&mut s.0, 3, 0, 0, 0, &mut s.2);
    // With the hole closed the page becomes one again, and the pieces under it go.
    assert_eq!(load(&mut s, 0, kernel(0)).unwrap().size, 0x10_0000);
    assert_eq!(s.2.held.len(), 1);
}

/// The same when the sink's largest page is no page size of the 440.
#[test]
fn a_block_of_another_size_spares_a_smaller_entry_too() {
    let mut s = pool();
    s.2.max_page = 8192;
    s.0.set_entry(9, entry(0, PageSize::M1, 0x10_0000, 0, ALL));
    s.0.set_entry(3, entry(0x4000, PageSize::K4, 0x20_0000, 0, ALL));
    assert_eq!(load(&mut s, 0x5000, kernel(0)).unwrap().size, 0x1000);
    assert_eq!(load(&mut s, 0x6000, kernel(0)).unwrap().size, 0x2000);
}

/// The same when an entry grows: the shadow of its first 4 KiB is still right, so it stays; under a larger
/// shadow it goes. The recorder refuses overlapping pages.
#[test]
fn a_shadow_that_survives_the_growth_of_its_entry_gives_way_to_a_larger_one() {
    let mut s = pool();
    s.2.max_page = 1 << 20;
    s.1.set_entry(&mut s.0, 2, entry(0x1_0000, PageSize::K4, 0x3_0000, 0, ALL), &mut s.2);
    load(&mut s, 0x1_0000, kernel(0)).unwrap();
    s.1.set_entry(&mut s.0, 2, entry(0x1_0000, PageSize::K64, 0x3_0000, 0, ALL), &mut s.2);
    assert_eq!((s.2.held.len(), s.2.dropped.len()), (1, 0));
    assert_eq!(load(&mut s, 0x1_2000, kernel(0)).unwrap().size, 64 << 10);
    assert_eq!((s.2.held.len(), s.2.dropped.len()), (1, 1));
}

/// And when an entry shrinks: its large shadow says more than is true now.
#[test]
fn a_shadow_larger_than_its_shrunken_entry_is_dropped() {
    let mut s = pool();
    s.2.max_page = 1 << 20;
    s.1.set_entry(&mut s.0, 2, entry(0x1_0000, PageSize::K64, 0x3_0000, 0, ALL), &mut s.2);
    load(&mut s, 0x1_2000, kernel(0)).unwrap();
    s.1.set_entry(&mut s.0, 2, entry(0x1_0000, PageSize::K4, 0x3_0000, 0, ALL), &mut s.2);
    assert_eq!((s.2.held.len(), s.2.dropped.len()), (0, 1));
    assert_eq!(load(&mut s, 0x1_2000, kernel(0)), Err(Fault::Miss));
}

/// The error path left the mmap lock held, with the pool half changed.
#[test]
fn a_failed_fill_changes_nothing() {
    let mut s = pool();
    s.0.set_entry(0, entry(0x4000, PageSize::K4, 0x8000, 0, TlbEntry::SX));
    assert_eq!(load(&mut s, 0x4000, kernel(0)), Err(Fault::Protection));
    assert_eq!(load(&mut s, 0x9000, kernel(0)), Err(Fault::Miss));
    assert_eq!(s.1.iter().count(), 0);
    assert!(s.2.held.is_empty());
    let stats = s.1.stats();
    assert_eq!((stats.protection_faults, stats.guest_misses, stats.misses), (1, 1, 0));
}

/// The old page of a slot was released before anyone asked whether there was one. The recorder
/// panics when told to drop what it was not told to install.
#[test]
fn only_what_was_installed_is_dropped() {
    let mut s = pool();
    for index in 0..64 {
        s.1.tlbwe(&mut s.0, index, 0, 0x200, 0, &mut s.2);
        s.1.tlbwe(&mut s.0, index, 0, 0, 0, &mut s.2);
    }
    s.1.invalidate_all(&mut s.2);
    assert!(s.2.dropped.is_empty());
}

/// Shadows were always 4 KiB: a 1 KiB page was widened, and a large one needed thousands.
#[test]
fn shadows_are_as_large_as_page_and_sink_allow_and_never_larger() {
    let mut s = pool();
    s.2.max_page = 1 << 20;
    s.0.set_entry(0, entry(0x4400, PageSize::K1, 0x8800, 0, ALL));
    s.0.set_entry(1, entry(0xc000_0000, PageSize::M256, 0, 0, ALL));
    s.0.set_entry(2, entry(0x1_0000, PageSize::K16, 0x3_0000, 0, ALL));
    let small = load(&mut s, 0x4433, kernel(0)).unwrap();
    assert_eq!((small.ea, small.size, small.pa), (ea(0x4400), 1024, pa(0x8800)));
    assert_eq!(load(&mut s, 0x4800, kernel(0)), Err(Fault::Miss));
    let large = load(&mut s, 0xc123_4567, kernel(0)).unwrap();
    assert_eq!((large.ea, large.size, large.pa), (ea(0xc120_0000), 1 << 20, pa(0x120_0000)));
    assert_eq!(load(&mut s, 0x1_3fff, kernel(0)).unwrap().size, 16 << 10);
    // Only what takes precedence cuts a page: not a higher entry, another space or another process.
    s.0.set_entry(10, entry(0x20_0000, PageSize::M1, 0x20_0000, 0, ALL));
    s.0.set_entry(11, entry(0x20_0000, PageSize::K4, 0, 0, ALL));
    s.0.set_entry(3, entry(0x20_1000, PageSize::K4, 0, 9, ALL));
    let mut other_space = entry(0x20_2000, PageSize::K4, 0, 0, ALL);
    other_space.word0 |= TlbEntry::TS;
    s.0.set_entry(4, other_space);
    assert_eq!(load(&mut s, 0x20_5000, kernel(0)).unwrap().size, 1 << 20);
    assert_eq!(load(&mut s, 0x20_5000, kernel(9)).unwrap().size, 0x4000);
}

/// The victim could hold the page of the current PC or stack.
#[test]
fn the_sparing_policy_keeps_the_pages_of_pc_and_stack() {
    let mut tlb = Tlb::new();
    tlb.set_entry(0, entry(0, PageSize::M1, 0, 0, ALL));
    let mut shadow = Shadow::new(ShadowStorage::<4>::EMPTY, 2, SparingRoundRobin::new());
    let mut sink = Recorder::default();
    let ctx = shadow.context(kernel(0), &mut sink);
    shadow.hint(ea(0x0ffc), ea(0x1010));
    for page in 0..200u32 {
        shadow.fill(&tlb, ctx, kernel(0), ea(page << 12), Access::Load, &mut sink).unwrap();
    }
    assert!(sink.holds(ctx, 0x0000) && sink.holds(ctx, 0x1000));
    // When nothing else is left, the page of the PC goes too.
    let mut shadow = Shadow::new(ShadowStorage::<1>::EMPTY, 2, SparingRoundRobin::new());
    let mut sink = Recorder::default();
    let ctx = shadow.context(kernel(0), &mut sink);
    shadow.hint(ea(0), ea(0x1000));
    for at in [0, 0x1000, 0x2000] {
        shadow.fill(&tlb, ctx, kernel(0), ea(at), Access::Load, &mut sink).unwrap();
    }
    assert!(sink.holds(ctx, 0x2000));
}

/// EPN was not masked to the page size, so low bits moved the page.
#[test]
fn low_epn_and_rpn_bits_are_ignored_and_read_back() {
    let mut tlb = Tlb::new();
    tlb.set_entry(0, entry(0x1234_5400, PageSize::K64, 0xf_9876_5c00, 0, ALL));
    assert_eq!(tlb.search(ea(0x1234_0000), false, 0), Some(0));
    assert_eq!(tlb.search(ea(0x1234_ffff), false, 0), Some(0));
    assert_eq!(tlb.search(ea(0x1235_0000), false, 0), None);
    let found = tlb.translate(ea(0x1234_0123), Access::Load, kernel(0)).unwrap();
    assert_eq!(found.pa, pa(0xf_9876_0123));
    assert_eq!(tlb.read_word(0, 0), 0x1234_5400 | 0x230);
    assert_eq!(tlb.read_word(0, 1), 0x9876_5c0f);
}

/// SIZE was not validated: an unimplemented code shifted the page size out of range.
#[test]
fn an_unimplemented_size_never_matches() {
    let mut tlb = Tlb::new();
    for code in 0..16u32 {
        let word0 = 0x1000_0000 | TlbEntry::V | code << TlbEntry::SIZE_SHIFT;
        tlb.set_entry(5, TlbEntry { word0, word1: 0, word2: ALL, tid: 0 });
        let implemented = matches!(code, 0..=5 | 7 | 9);
        assert_eq!(tlb.search(ea(0x1000_0000), false, 0).is_some(), implemented, "SIZE {code}");
        assert_eq!(tlb.read_word(5, 0), word0);
        assert_eq!(tlb.entry(5).size().is_some(), implemented);
        assert_eq!(PageSize::from_code(code as u8).map(|s| u32::from(s.code())), implemented.then_some(code));
        assert_eq!(tlb.entry(5).page_start().is_some(), implemented);
        assert_eq!(tlb.entry(5).frame_start().is_some(), implemented);
    }
}

/// Shadows stayed when the memory behind them moved; an embedder that moves it now says so.
#[test]
fn all_shadows_can_be_dropped_when_memory_is_remapped() {
    let mut s = pool();
    s.0.set_entry(0, entry(0, PageSize::M1, 0, 0, ALL));
    for at in 0..20u32 {
        load(&mut s, at << 12, kernel((at % 3) as u8)).unwrap();
    }
    let before = s.1.context(kernel(1), &mut s.2);
    s.1.invalidate_all(&mut s.2);
    assert_eq!((s.2.dropped_all, s.1.iter().count()), (1, 0));
    assert_eq!(s.1.context(kernel(1), &mut s.2), before);
    assert_eq!(s.1.lookup(before, ea(0x1000)), None);
    assert!(load(&mut s, 0x1000, kernel(1)).is_ok());
}

/// A page counted as dirty when any state could write it; now when its own context can.
#[test]
fn a_drop_tells_whether_the_shadow_was_writable() {
    let mut s = pool();
    s.0.set_entry(0, entry(0, PageSize::K4, 0, 0, TlbEntry::SW | TlbEntry::SR | TlbEntry::UR));
    load(&mut s, 0, kernel(0)).unwrap();
    load(&mut s, 0, user(0)).unwrap();
    s.1.set_entry(&mut s.0, 0, TlbEntry::EMPTY, &mut s.2);
    let mut writable: Vec<bool> = s.2.dropped.iter().map(|(_, page)| page.writable).collect();
    writable.sort_unstable();
    assert_eq!(writable, [false, true]);
}

/// Linux writes XLAT, PAGEID, ATTRIB in that order over a valid entry. Between the writes the old page
/// translates to the new frame; nothing from that window may survive it.
#[test]
fn the_three_write_window_is_exact() {
    let mut s = pool();
    s.0.set_entry(4, entry(0x4000, PageSize::K4, 0x8000, 1, ALL));
    assert_eq!(load(&mut s, 0x4000, user(1)).unwrap().pa, pa(0x8000));
    s.1.tlbwe(&mut s.0, 4, 1, 0xa000, 0, &mut s.2);
    assert_eq!(load(&mut s, 0x4000, user(1)).unwrap().pa, pa(0xa000));
    s.1.tlbwe(&mut s.0, 4, 0, 0x6210, 2, &mut s.2);
    assert_eq!(load(&mut s, 0x4000, user(1)), Err(Fault::Miss));
    assert!(load(&mut s, 0x6000, user(2)).unwrap().writable);
    s.1.tlbwe(&mut s.0, 4, 2, TlbEntry::UR, 0, &mut s.2);
    let page = load(&mut s, 0x6000, user(2)).unwrap();
    assert_eq!((page.pa, page.writable), (pa(0xa000), false));
    assert_eq!(s.0.tid(4), 2);
    assert_eq!(s.2.dropped.len(), 3);
}
