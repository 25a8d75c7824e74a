//! The bookkeeping without a pool: what a write drops, in which contexts, and nothing else.

mod common;

use common::{ALL, Recorder, ea, entry, kernel, pa, user};
use mmu_core::{
    Access, ContextId, DirectShadow, Fault, Mode, PageSize, PhysicalAddress, ShadowPage, ShapeError, Tlb,
    TlbEntry,
};

/// A TLB, its shadows in eight contexts, and the engine's table.
struct Engine {
    tlb: Tlb,
    shadow: DirectShadow,
    sink: Recorder,
}

impl Engine {
    fn new() -> Self {
        Self::with_contexts(8)
    }

    fn with_contexts(contexts: usize) -> Self {
        let sink = Recorder { by_range: true, ..Recorder::default() };
        Self { tlb: Tlb::new(), shadow: DirectShadow::new(contexts), sink }
    }

    fn set(&mut self, index: u8, entry: TlbEntry) {
        self.sink.forget_log();
        self.shadow.set_entry(&mut self.tlb, index, entry, &mut self.sink);
    }

    fn tlbwe(&mut self, index: u8, ws: u8, value: u32, stid: u8) {
        self.sink.forget_log();
        self.shadow.tlbwe(&mut self.tlb, index, ws, value, stid, &mut self.sink);
    }

    fn context(&mut self, mode: Mode) -> ContextId {
        self.shadow.context(mode, &mut self.sink)
    }

    fn load(&mut self, at: u32, mode: Mode) -> Result<ShadowPage, Fault> {
        let ctx = self.context(mode);
        self.shadow.fill(&self.tlb, ctx, mode, ea(at), Access::Load, &mut self.sink)
    }

    /// What the last write dropped: context, start and size.
    fn dropped(&self) -> Vec<(u16, u32, u32)> {
        self.sink.dropped.iter().map(|(ctx, page)| (ctx.0, page.ea.0, page.size)).collect()
    }

    /// What the sink holds: context and start.
    fn held(&self) -> Vec<(u16, u32)> {
        self.sink.held.iter().map(|(ctx, page)| (ctx.0, page.ea.0)).collect()
    }

    fn holders(&self, pa: PhysicalAddress) -> Vec<(u16, u32)> {
        self.shadow.holders(&self.tlb, pa).map(|(ctx, ea)| (ctx.0, ea.0)).collect()
    }
}

#[test]
fn there_are_1_to_64_contexts() {
    for (contexts, right) in [(0, false), (1, true), (64, true), (65, false)] {
        let made = DirectShadow::<64>::try_new(contexts);
        assert_eq!(made.as_ref().map(DirectShadow::contexts).ok(), right.then_some(contexts));
    }
    let error = DirectShadow::<64>::try_new(65).unwrap_err();
    assert_eq!(error, ShapeError::DirectContexts(65));
    assert_eq!(error.to_string(), "A direct shadow has 1 to 64 contexts, not 65");
    assert!(std::panic::catch_unwind(|| DirectShadow::<64>::new(0)).is_err());
}

#[test]
fn an_entry_with_tid_0_is_dropped_in_every_context_that_used_it() {
    let mut e = Engine::new();
    e.set(3, entry(0x4000, PageSize::K4, 0x5_0000_8000, 0, TlbEntry::SR | TlbEntry::SW | TlbEntry::UR));
    e.set(4, entry(0x5000, PageSize::K4, 0x9000, 0, ALL));
    for mode in [kernel(1), user(1), kernel(2)] {
        e.load(0x4123, mode).unwrap();
    }
    e.load(0x5000, user(2)).unwrap();
    e.set(3, TlbEntry::EMPTY);
    assert_eq!(e.dropped(), [0, 1, 2].map(|ctx| (ctx, 0x4000, 0x1000)));
    // As each context saw the page.
    let told: Vec<_> =
        e.sink.dropped.iter().map(|(_, page)| (page.pa, page.readable, page.writable)).collect();
    let [kernel, user] = [(pa(0x5_0000_8000), true, true), (pa(0x5_0000_8000), true, false)];
    assert_eq!(told, [kernel, user, kernel]);
    assert_eq!(e.held(), [(3, 0x5000)]);
    // Gone is gone.
    e.set(3, entry(0x4000, PageSize::K4, 0, 0, ALL));
    assert_eq!(e.dropped(), []);
    assert_eq!((e.shadow.stats().drops, e.shadow.stats().misses), (3, 4));
}

#[test]
fn writing_the_same_again_drops_nothing() {
    let mut e = Engine::new();
    let same = entry(0x4000, PageSize::K4, 0x8000, 7, ALL);
    e.set(3, same);
    e.load(0x4000, kernel(7)).unwrap();
    e.set(3, same);
    for (ws, value) in [(1, same.word1), (0, same.word0 | 0xf), (2, same.word2), (3, 0)] {
        e.tlbwe(3 + 64, ws, value, 7);
        assert_eq!((e.dropped().len(), e.held().len()), (0, 1), "word {ws}");
    }
    assert_eq!(e.shadow.stats().tlb_writes, 6);
    // Another TID is another page.
    e.tlbwe(3 + 64, 0, same.word0, 8);
    assert_eq!(e.dropped(), [(0, 0x4000, 0x1000)]);
}

#[test]
fn the_three_write_window_is_exact() {
    let mut e = Engine::new();
    e.set(4, entry(0x4000, PageSize::K4, 0x8000, 1, ALL));
    assert_eq!(e.load(0x4000, user(1)).unwrap().pa, pa(0x8000));
    e.tlbwe(4, 1, 0xa000, 0);
    assert_eq!(e.dropped(), [(0, 0x4000, 0x1000)]);
    assert_eq!(e.load(0x4000, user(1)).unwrap().pa, pa(0xa000));
    e.tlbwe(4, 0, 0x6210, 2);
    assert_eq!(e.dropped(), [(0, 0x4000, 0x1000)]);
    assert_eq!(e.load(0x4000, user(1)), Err(Fault::Miss));
    assert!(e.load(0x6000, user(2)).unwrap().writable);
    e.tlbwe(4, 2, TlbEntry::UR, 0);
    assert_eq!(e.dropped(), [(1, 0x6000, 0x1000)]);
    let page = e.load(0x6000, user(2)).unwrap();
    assert_eq!((page.pa, page.writable), (pa(0xa000), false));
}

#[test]
fn a_recycled_context_is_dropped_once_and_no_entry_remembers_it() {
    let mut e = Engine::with_contexts(2);
    e.set(0, entry(0x4000, PageSize::K4, 0x8000, 0, ALL));
    e.set(63, entry(0x5000, PageSize::K4, 0x9000, 0, ALL));
    for (at, mode) in [(0x4000, kernel(1)), (0x5000, kernel(1)), (0x4000, kernel(2))] {
        e.load(at, mode).unwrap();
    }
    let ctx = e.context(kernel(3));
    assert_eq!((ctx, &e.sink.dropped_contexts[..]), (ContextId(0), &[ContextId(0)][..]));
    assert_eq!((e.shadow.mode_of(ctx), e.shadow.mode_of(ContextId(2))), (Some(kernel(3)), None));
    assert_eq!(e.holders(pa(0x8000)), [(1, 0x4000)]);
    let contexts_of = |index| e.shadow.contexts_of(index).collect::<Vec<_>>();
    assert_eq!([0, 64, 63, 1].map(contexts_of), [vec![ContextId(1)], vec![ContextId(1)], vec![], vec![]]);
    e.set(0, TlbEntry::EMPTY);
    assert_eq!(e.dropped(), [(1, 0x4000, 0x1000)]);
    e.set(63, TlbEntry::EMPTY);
    assert_eq!(e.dropped(), []);
    assert_eq!(e.shadow.stats().recycled_contexts, 1);
}

#[test]
fn a_context_that_stands_for_another_mode_gets_an_answer_and_nothing_else() {
    let mut e = Engine::new();
    e.set(0, entry(0x4000, PageSize::K4, 0x8000, 0, ALL));
    let ctx = e.context(kernel(1));
    for wrong in [ctx, ContextId(1), ContextId(64), ContextId(999)] {
        let page = e.shadow.fill(&e.tlb, wrong, kernel(2), ea(0x4444), Access::Load, &mut e.sink).unwrap();
        assert_eq!(page.translate(ea(0x4444)), pa(0x8444));
    }
    assert_eq!((e.held().len(), e.shadow.stats().misses), (0, 0));
    e.set(0, TlbEntry::EMPTY);
    assert_eq!(e.dropped(), []);
}

#[test]
fn faults_are_counted_and_install_nothing() {
    let mut e = Engine::new();
    e.set(0, entry(0x4000, PageSize::K4, 0x8000, 0, TlbEntry::SX));
    assert_eq!(e.load(0x4000, kernel(0)), Err(Fault::Protection));
    assert_eq!(e.load(0x9000, kernel(0)), Err(Fault::Miss));
    let stats = e.shadow.stats();
    assert_eq!((stats.protection_faults, stats.guest_misses, stats.misses), (1, 1, 0));
    e.set(0, TlbEntry::EMPTY);
    assert_eq!((e.held().len(), e.dropped().len()), (0, 0));
}

#[test]
fn a_page_of_256_mib_is_dropped_as_one_range() {
    let mut e = Engine::new();
    e.set(62, entry(0xf000_0000, PageSize::M256, 0xf_3000_0000, 0, ALL));
    e.set(61, entry(0xe000_0000, PageSize::M256, 0, 0, ALL));
    for at in [0xf000_0000, 0xf123_4567, 0xffff_ffff, 0xefff_ffff] {
        assert_eq!(e.load(at, kernel(1)).unwrap().size, 0x1000);
    }
    e.tlbwe(62, 1, 0, 0);
    assert_eq!(e.dropped(), [(0, 0xf000_0000, 0x1000_0000)]);
    assert_eq!(e.sink.dropped[0].1.pa, pa(0xf_3000_0000));
    assert_eq!(e.held(), [(0, 0xefff_f000)]);
}

#[test]
fn a_lower_entry_takes_its_part_of_a_higher_page_in_the_contexts_that_see_it() {
    let mut e = Engine::new();
    e.set(60, entry(0xc000_0000, PageSize::M256, 0x1000_0000, 0, ALL));
    for mode in [kernel(1), user(1), kernel(2)] {
        for at in [0xc000_0000, 0xc000_1000] {
            e.load(at, mode).unwrap();
        }
    }
    // Another space, a higher index, another process that has no context: nothing.
    let new = |index: u8, tid| entry(0xc000_1000, PageSize::K4, u64::from(index) << 20, tid, ALL);
    e.set(2, TlbEntry { word0: new(2, 0).word0 | TlbEntry::TS, ..new(2, 0) });
    e.set(61, new(61, 1));
    e.set(3, new(3, 9));
    assert_eq!((e.dropped().len(), e.held().len(), e.shadow.stats().drops), (0, 6, 0));
    assert_eq!(e.shadow.stats().overlaps, 2);
    // The process that has two: its pages, as the higher entry gave them.
    e.set(4, new(4, 1));
    assert_eq!(e.dropped(), [(0, 0xc000_1000, 0x1000), (1, 0xc000_1000, 0x1000)]);
    assert_eq!(e.sink.dropped[0].1.pa, pa(0x1000_1000));
    assert_eq!(e.load(0xc000_1000, user(1)).unwrap().pa, pa(0x40_0000));
    assert_eq!(e.load(0xc000_1000, kernel(2)).unwrap().pa, pa(0x1000_1000));
    // All of them.
    e.set(1, new(1, 0));
    assert_eq!(e.held(), [(0, 0xc000_0000), (1, 0xc000_0000), (2, 0xc000_0000)]);
    // The rest of the higher page is still known.
    e.set(60, TlbEntry::EMPTY);
    assert_eq!(e.held(), []);
    assert_eq!(e.dropped(), [0, 1, 2].map(|ctx| (ctx, 0xc000_0000, 0x1000_0000)));
}

#[test]
fn an_entry_that_stays_where_it_is_takes_nothing_more() {
    let mut e = Engine::new();
    e.set(60, entry(0xc000_0000, PageSize::M256, 0x1000_0000, 0, ALL));
    e.set(3, entry(0xc000_1000, PageSize::K4, 0x8000, 1, ALL));
    // In its process the higher page is known elsewhere only, and need not be dropped.
    e.load(0xc000_0000, kernel(1)).unwrap();
    for (ws, first, second) in [(1, 0x9000, 0xa000), (2, TlbEntry::SR, ALL)] {
        e.tlbwe(3, ws, first, 0);
        assert_eq!(e.dropped(), [], "not even its own page was known");
        e.load(0xc000_1000, kernel(1)).unwrap();
        e.tlbwe(3, ws, second, 0);
        assert_eq!(e.dropped(), [(0, 0xc000_1000, 0x1000)]);
    }
    assert_eq!(e.held(), [(0, 0xc000_0000)]);
    assert_eq!(e.shadow.stats().overlaps, 1);
}

/// What an engine does that reads the entries itself and fills its table on its own.
#[test]
fn a_fill_in_two_halves_is_dropped_as_one_by_fill_is() {
    let mut e = Engine::new();
    e.set(5, entry(0x4000, PageSize::K4, 0x8000, 7, 0));
    let ctx = e.context(user(7));
    assert_eq!(e.shadow.find(&e.tlb, user(8), ea(0x4000)), None);
    let found = e.shadow.find(&e.tlb, user(7), ea(0x4fff));
    assert_eq!((found, e.shadow.stats().guest_misses), (Some(5), 1), "whatever its permissions");
    assert_eq!(e.holders(pa(0x8000)), []);
    e.shadow.hold(ctx, 5);
    assert_eq!((e.holders(pa(0x8000)), e.shadow.stats().misses), (vec![(0, 0x4000)], 1));
    e.tlbwe(5, 2, ALL, 0);
    assert_eq!(e.dropped(), [(0, 0x4000, 0x1000)]);
}

#[test]
fn a_lower_entry_takes_a_smaller_higher_page_whole() {
    let mut e = Engine::new();
    e.set(9, entry(0x4000, PageSize::K4, 0x8000, 5, ALL));
    e.set(10, entry(0x1_0000, PageSize::K4, 0x9000, 5, ALL));
    e.load(0x4000, kernel(5)).unwrap();
    e.load(0x1_0000, kernel(5)).unwrap();
    e.set(0, entry(0, PageSize::K64, 0x10_0000, 0, ALL));
    assert_eq!(e.dropped(), [(0, 0x4000, 0x1000)]);
    assert_eq!(e.load(0x4000, kernel(5)).unwrap().pa, pa(0x10_4000));
}

#[test]
fn what_a_vanishing_entry_uncovers_is_filled_anew() {
    let mut e = Engine::new();
    e.sink.max_page = 1 << 20;
    e.set(9, entry(0, PageSize::M1, 0x10_0000, 0, ALL));
    e.set(3, entry(0x4000, PageSize::K16, 0x20_0000, 1, ALL));
    // Each process has the part that it sees.
    assert_eq!(e.load(0x5000, kernel(1)).unwrap().pa, pa(0x20_0000));
    assert_eq!(e.load(0x5000, kernel(2)).unwrap().size, 1 << 20);
    // The lower entry shrinks, then goes.
    e.tlbwe(3, 0, 0x4210, 1);
    assert_eq!(e.dropped(), [(0, 0x4000, 0x4000)]);
    assert_eq!(e.load(0x5000, kernel(1)).unwrap().pa, pa(0x10_5000));
    e.load(0x4000, kernel(1)).unwrap();
    e.tlbwe(3, 0, 0, 0);
    assert_eq!(e.dropped(), [(0, 0x4000, 0x1000)]);
    assert_eq!(e.load(0x4000, kernel(1)).unwrap().pa, pa(0x10_0000));
    assert_eq!(e.shadow.stats().drops, 2);
}

#[test]
fn a_cut_page_goes_with_all_its_pieces() {
    let mut e = Engine::new();
    e.sink.max_page = 1 << 20;
    e.set(9, entry(0x10_0000, PageSize::M1, 0x30_0000, 0, ALL));
    e.set(3, entry(0x10_4000, PageSize::K4, 0x20_0000, 0, ALL));
    let sizes = [0x10_5000, 0x10_6000, 0x18_0000].map(|at| e.load(at, kernel(0)).unwrap().size);
    assert_eq!(sizes, [0x1000, 0x2000, 0x8_0000]);
    // With the hole closed the page is one again, over its pieces, which say the same.
    e.set(3, TlbEntry::EMPTY);
    assert_eq!(e.load(0x10_0000, kernel(0)).unwrap().size, 1 << 20);
    assert_eq!(e.held().len(), 4);
    e.tlbwe(9, 2, TlbEntry::SR, 0);
    assert_eq!((e.dropped(), e.held()), (vec![(0, 0x10_0000, 1 << 20)], vec![]));
}

#[test]
fn a_store_finds_everyone_who_can_see_the_byte() {
    let mut e = Engine::new();
    e.set(1, entry(0x4000, PageSize::K4, 0xf_0000_8000, 7, ALL));
    e.set(2, entry(0x7000_0000, PageSize::M16, 0xf_0000_0000, 0, ALL));
    e.set(3, entry(0x5000, PageSize::K4, 0x8000, 0, ALL));
    assert_eq!(e.holders(pa(0xf_0000_8123)), []);
    e.load(0x4000, user(7)).unwrap();
    e.load(0x7000_8000, kernel(7)).unwrap();
    e.load(0x7fff_f000, kernel(8)).unwrap_err();
    e.load(0x5000, kernel(8)).unwrap();
    assert_eq!(e.holders(pa(0xf_0000_8123)), [(0, 0x4123), (1, 0x7000_8123)]);
    assert_eq!(e.holders(pa(0xf_0000_9000)), [(1, 0x7000_9000)], "may be named, though it was never loaded");
    assert_eq!(e.holders(pa(0x8fff)), [(2, 0x5fff)]);
    for nobody in [0x7fff, 0x9000, 0xf_0100_0000, 0xe_ffff_ffff, u64::MAX] {
        assert_eq!(e.holders(pa(nobody)), []);
    }
    e.tlbwe(2, 2, 0, 0);
    assert_eq!(e.holders(pa(0xf_0000_8123)), [(0, 0x4123)]);
}

#[test]
fn all_shadows_can_be_dropped_when_memory_is_remapped() {
    let mut e = Engine::new();
    e.set(0, entry(0, PageSize::M1, 0, 0, ALL));
    for page in 0..20u32 {
        e.load(page << 12, kernel((page % 3) as u8)).unwrap();
    }
    let before = e.context(kernel(1));
    e.shadow.invalidate_all(&mut e.sink);
    assert_eq!((e.sink.dropped_all, e.held(), e.holders(pa(0))), (1, vec![], vec![]));
    e.set(0, TlbEntry::EMPTY);
    assert_eq!(e.dropped(), []);
    assert_eq!(e.context(kernel(1)), before);
}

/// The bound that the documentation names: the entry's own contexts, and those of 63 others.
#[test]
fn the_worst_write_is_bounded() {
    let mut e = Engine::with_contexts(64);
    let page = |index: u8| entry(0, PageSize::K64, u64::from(index) << 16, 0, ALL);
    for index in (0..64).rev() {
        // Each is the lowest in turn, so that all are filled in all contexts.
        e.set(index, page(index));
        for pid in 0..64 {
            assert_eq!(e.load(0x1000, kernel(pid)).unwrap().pa.0, u64::from(index) << 16 | 0x1000);
        }
    }
    assert_eq!(e.held().len(), 64);
    e.set(0, TlbEntry { word0: page(0).word0 | 0x1_0000, ..page(0) });
    assert_eq!((e.dropped().len(), e.held().len()), (64, 0));
    e.load(0x1_0000, kernel(0)).unwrap();
    e.set(0, page(0));
    assert_eq!((e.dropped().len(), e.held().len()), (1 + 63 * 64, 0));
}

#[test]
fn an_unimplemented_size_has_no_shadows() {
    let mut e = Engine::new();
    e.set(9, entry(0, PageSize::M16, 0, 0, ALL));
    e.load(0, kernel(0)).unwrap();
    for code in [6, 8, 10, 15] {
        e.tlbwe(5, 0, TlbEntry::V | code << TlbEntry::SIZE_SHIFT, 0);
        assert_eq!((e.dropped(), e.held()), (vec![], vec![(0, 0)]), "SIZE {code}");
    }
    // The same for an entry that had some.
    e.tlbwe(9, 0, TlbEntry::V | 6 << TlbEntry::SIZE_SHIFT, 0);
    assert_eq!(e.dropped(), [(0, 0, 16 << 20)]);
    e.tlbwe(9, 0, 0, 0);
    assert_eq!((e.dropped(), e.shadow.stats().overlaps), (vec![], 0));
}
