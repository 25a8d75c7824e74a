//! Time is bounded and so is memory: what happens with very many shadows, with contexts that come and
//! go, with addresses chosen to collide, and with pins.

mod common;

use common::{ALL, Recorder, ea, entry, kernel, user};
use mmu_core::policy::{AnyPolicy, Lru, PolicyKind, Pool, ReplacementPolicy, RoundRobin};
use mmu_core::{
    Access, ContextId, Fault, Mode, PageSize, Shadow, ShadowPage, ShadowSink, ShadowStorage, ShapeError,
    Slot, Tlb, TlbEntry,
};

/// Counts, for runs where the recorder's list would be too slow.
#[derive(Default)]
struct Counter {
    installs: u32,
    drops: u32,
    contexts: Vec<ContextId>,
    all: u32,
}

impl ShadowSink for Counter {
    fn install(&mut self, _: ContextId, _: &ShadowPage) {
        self.installs += 1;
    }
    fn drop(&mut self, _: ContextId, _: &ShadowPage) {
        self.drops += 1;
    }
    fn drop_context(&mut self, ctx: ContextId) {
        self.contexts.push(ctx);
    }
    fn drop_all(&mut self) {
        self.all += 1;
    }
}

fn kernel_page() -> Tlb {
    let mut tlb = Tlb::new();
    tlb.set_entry(62, entry(0xc000_0000, PageSize::M256, 0, 0, ALL));
    tlb.set_entry(5, entry(0x4000, PageSize::K4, 0x4000, 0, ALL));
    tlb
}

#[test]
fn an_entry_with_thousands_of_shadows_goes_by_context() {
    let mut tlb = kernel_page();
    let mut shadow = Shadow::new(vec![Slot::EMPTY; 4096], 8, RoundRobin::new());
    let mut sink = Counter::default();
    assert_eq!(sink.max_page(), 4096, "a sink that says nothing of it holds 4 KB pages");
    // Thousands in contexts 0 and 1; context 2 has another entry's page only.
    for mode in [kernel(1), kernel(2)] {
        let ctx = shadow.context(mode, &mut sink);
        for n in 0..1500u32 {
            shadow.fill(&tlb, ctx, mode, ea(0xc000_0000 + (n << 12)), Access::Load, &mut sink).unwrap();
        }
    }
    let third = shadow.context(kernel(3), &mut sink);
    shadow.fill(&tlb, third, kernel(3), ea(0x4000), Access::Load, &mut sink).unwrap();
    let new = entry(0xc000_0000, PageSize::M256, 0x1000_0000, 0, ALL);
    shadow.set_entry(&mut tlb, 62, new, &mut sink);
    assert_eq!(sink.contexts, [ContextId(0), ContextId(1)]);
    assert_eq!(sink.drops, 256, "and no more than that one by one");
    assert_eq!(shadow.stats().bulk_drops, 2);
    let left: Vec<_> = shadow.iter().map(|info| (info.context, info.page.ea)).collect();
    assert_eq!(left, [(third, ea(0x4000))]);
    // The contexts kept their numbers and give the new translation.
    for (n, mode) in [kernel(1), kernel(2)].into_iter().enumerate() {
        let ctx = shadow.context(mode, &mut sink);
        assert_eq!(ctx, ContextId(n as u16));
        assert_eq!(shadow.lookup(ctx, ea(0xc000_0000)), None);
        let page = shadow.fill(&tlb, ctx, mode, ea(0xc000_1000), Access::Load, &mut sink).unwrap();
        assert_eq!(page.pa.0, 0x1000_1000);
    }
    // The stale slots are all used again before anything is evicted.
    let ctx = shadow.context(kernel(1), &mut sink);
    for n in 0..4093u32 {
        shadow.fill(&tlb, ctx, kernel(1), ea(0xc000_0000 + (n << 12)), Access::Load, &mut sink).unwrap();
    }
    assert_eq!(shadow.iter().count(), 4095);
    // A chain that grew too long may have cost a page or two.
    assert!(shadow.stats().evictions < 5, "{:?}", shadow.stats());
    // The next change of the entry finds the new shadows alone.
    sink.contexts.clear();
    shadow.set_entry(&mut tlb, 62, TlbEntry::EMPTY, &mut sink);
    assert!(sink.contexts.iter().all(|ctx| ctx.0 < 2));
    assert_eq!(shadow.iter().count(), 1);
}

#[test]
fn the_bulk_drop_of_one_entry_leaves_another_s_books_in_order() {
    let mut tlb = kernel_page();
    tlb.set_entry(7, entry(0x8000_0000, PageSize::M16, 0x100_0000, 0, ALL));
    let mut shadow = Shadow::new(vec![Slot::EMPTY; 2048], 8, RoundRobin::new());
    let mut sink = Counter::default();
    for (mode, start) in [(kernel(1), 0xc000_0000), (kernel(2), 0x8000_0000)] {
        let ctx = shadow.context(mode, &mut sink);
        for n in 0..600u32 {
            shadow.fill(&tlb, ctx, mode, ea(start + (n << 12)), Access::Load, &mut sink).unwrap();
        }
    }
    shadow.set_entry(&mut tlb, 62, TlbEntry::EMPTY, &mut sink);
    assert_eq!((sink.contexts.as_slice(), shadow.iter().count()), (&[ContextId(0)][..], 600));
    shadow.set_entry(&mut tlb, 7, TlbEntry::EMPTY, &mut sink);
    assert_eq!((sink.contexts.as_slice(), shadow.iter().count()), (&[ContextId(0), ContextId(1)][..], 0));
}

#[test]
fn an_entry_with_just_the_limit_is_dropped_one_by_one() {
    for (count, contexts) in [(256, 0), (257, 1)] {
        let mut tlb = kernel_page();
        let mut shadow = Shadow::new(vec![Slot::EMPTY; 512], 8, Lru::new());
        let mut sink = Counter::default();
        let ctx = shadow.context(kernel(1), &mut sink);
        for n in 0..count {
            shadow.fill(&tlb, ctx, kernel(1), ea(0xc000_0000 + (n << 12)), Access::Load, &mut sink).unwrap();
        }
        shadow.tlbwe(&mut tlb, 62, 0, 0, 0, &mut sink);
        assert_eq!((sink.drops, sink.contexts.len()), (256, contexts), "{count} shadows");
        assert_eq!(shadow.iter().count(), 0);
        assert_eq!(shadow.stats().drops, 256);
    }
}

#[test]
fn an_overlap_with_very_many_shadows_is_bounded_too() {
    let mut tlb = kernel_page();
    let mut shadow = Shadow::new(vec![Slot::EMPTY; 4096], 8, Lru::new());
    let mut sink = Counter::default();
    let ctx = shadow.context(kernel(1), &mut sink);
    for n in 0..2000u32 {
        shadow.fill(&tlb, ctx, kernel(1), ea(0xc000_0000 + (n << 12)), Access::Load, &mut sink).unwrap();
    }
    shadow.set_entry(&mut tlb, 1, entry(0xc07c_f000, PageSize::K4, 0xf000, 0, ALL), &mut sink);
    assert_eq!(sink.contexts, [ctx]);
    let page = shadow.fill(&tlb, ctx, kernel(1), ea(0xc07c_f000), Access::Load, &mut sink).unwrap();
    assert_eq!(page.pa.0, 0xf000);
}

#[test]
fn a_context_beyond_the_64th_is_lost_alone() {
    let tlb = kernel_page();
    let mut shadow = Shadow::new(vec![Slot::EMPTY; 512], 200, Lru::new());
    let mut sink = Counter::default();
    for pid in 0..200 {
        let ctx = shadow.context(kernel(pid), &mut sink);
        shadow.fill(&tlb, ctx, kernel(pid), ea(0x4000), Access::Load, &mut sink).unwrap();
    }
    // The 101st becomes the least recently used.
    for pid in (0..100).chain(101..200) {
        shadow.context(kernel(pid), &mut sink);
    }
    shadow.context(user(0), &mut sink);
    assert_eq!(sink.contexts, [ContextId(100)]);
    let mut lost = |ctx: &u16| shadow.lookup(ContextId(*ctx), ea(0x4000)).is_none();
    assert_eq!((0..200).filter(|ctx| lost(ctx)).collect::<Vec<_>>(), [100]);
}

/// 70,000 losses of each context, so that every generation has come round, with stale slots always
/// lying about.
#[test]
fn a_generation_that_returns_finds_nothing_of_its_former_self() {
    let mut tlb = Tlb::new();
    let mut shadow = Shadow::new(vec![Slot::EMPTY; 300], 1, RoundRobin::new());
    let mut sink = Counter::default();
    for round in 0..140_000u32 {
        // The context stands for another mode each time.
        let mode = kernel((round % 2) as u8);
        if round % 1000 == 0 {
            tlb.set_entry(0, entry(0, PageSize::M1, u64::from(round) << 20 & 0xfff0_0000, 0, ALL));
            shadow.invalidate_all(&mut sink);
        }
        let ctx = shadow.context(mode, &mut sink);
        let at = (round % 250) << 12;
        assert_eq!(shadow.lookup(ctx, ea(at)), None);
        let page = shadow.fill(&tlb, ctx, mode, ea(at), Access::Load, &mut sink).unwrap();
        assert_eq!(Ok(page.pa), tlb.translate(ea(at), Access::Load, mode).map(|t| t.pa));
        assert_eq!(shadow.iter().count(), 1);
    }
    assert_eq!(shadow.stats().recycled_contexts, 139_999);
    assert_eq!(shadow.stats().evictions, 0);
}

/// The same when nothing is filled meanwhile, so that no slot is wanted.
#[test]
fn a_stale_slot_is_gone_before_its_generation_returns() {
    let tlb = kernel_page();
    let mut shadow = Shadow::new(vec![Slot::EMPTY; 300], 1, RoundRobin::new());
    let mut sink = Counter::default();
    for page in 0..200u32 {
        let ctx = shadow.context(kernel(0), &mut sink);
        shadow.fill(&tlb, ctx, kernel(0), ea(0xc000_0000 + (page << 12)), Access::Load, &mut sink).unwrap();
    }
    for loss in 1..70_000u32 {
        let ctx = shadow.context(kernel((loss % 2) as u8), &mut sink);
        assert_eq!(shadow.lookup(ctx, ea(0xc000_0000)), None, "after {loss} losses");
        assert_eq!(shadow.lookup(ctx, ea(0xc00c_7000)), None, "after {loss} losses");
    }
}

#[test]
fn contexts_are_stable_until_the_least_recent_is_recycled() {
    let mut shadow = Shadow::new(ShadowStorage::<4>::EMPTY, 3, RoundRobin::new());
    let mut sink = Counter::default();
    let mut ask = |shadow: &mut Shadow<_>, mode| shadow.context(mode, &mut sink).0;
    assert_eq!([kernel(1), user(1), kernel(2)].map(|m| ask(&mut shadow, m)), [0, 1, 2]);
    assert_eq!([kernel(1), kernel(1), kernel(2)].map(|m| ask(&mut shadow, m)), [0, 0, 2]);
    // user(1) is the oldest now.
    let other = Mode { address_space: true, ..kernel(1) };
    assert_eq!(ask(&mut shadow, other), 1);
    assert_eq!(shadow.mode_of(ContextId(1)), Some(other));
    // Then kernel(1).
    assert_eq!(ask(&mut shadow, user(1)), 0);
    assert_eq!([kernel(2), other, user(1)].map(|m| ask(&mut shadow, m)), [2, 1, 0]);
    assert_eq!(shadow.mode_of(ContextId(3)), None);
    assert_eq!(shadow.mode_of(ContextId(999)), None);
    assert_eq!(sink.contexts, [ContextId(1), ContextId(0)]);
    assert_eq!(shadow.contexts(), 3);
}

#[test]
fn all_modes_have_contexts_of_their_own_when_there_are_enough() {
    let mut shadow = Shadow::new(ShadowStorage::<4>::EMPTY, 256, RoundRobin::new());
    let mut sink = Counter::default();
    let mut seen = std::collections::BTreeSet::new();
    for pid in 0..64 {
        for (address_space, user) in [(false, false), (false, true), (true, false), (true, true)] {
            let mode = Mode { pid, address_space, user };
            let ctx = shadow.context(mode, &mut sink);
            assert!(seen.insert(ctx));
            assert_eq!(shadow.mode_of(ctx), Some(mode));
        }
    }
    assert!(sink.contexts.is_empty());
}

#[test]
fn a_fill_in_a_context_that_was_recycled_is_right_and_leaves_no_trace() {
    let mut tlb = Tlb::new();
    tlb.set_entry(0, entry(0x4000, PageSize::K4, 0x8000, 1, ALL));
    let mut shadow = Shadow::new(ShadowStorage::<4>::EMPTY, 1, RoundRobin::new());
    let mut sink = Recorder::default();
    let old = shadow.context(user(1), &mut sink);
    assert!(shadow.fill(&tlb, old, user(1), ea(0x4000), Access::Load, &mut sink).is_ok());
    shadow.context(user(2), &mut sink);
    let page = shadow.fill(&tlb, old, user(1), ea(0x4000), Access::Load, &mut sink).unwrap();
    assert_eq!(page.pa.0, 0x8000);
    assert_eq!((shadow.iter().count(), sink.held.len()), (0, 0));
    let nonsense = ContextId(7000);
    assert!(shadow.fill(&tlb, nonsense, user(1), ea(0x4000), Access::Load, &mut sink).is_ok());
    assert_eq!(shadow.fill(&tlb, nonsense, user(2), ea(0x4000), Access::Load, &mut sink), Err(Fault::Miss));
    assert_eq!(shadow.lookup(nonsense, ea(0x4000)), None);
    assert!(!shadow.pin(nonsense, ea(0x4000)) && !shadow.unpin(nonsense, ea(0x4000)));
    assert!(sink.held.is_empty());
}

/// One bucket is all that one slot's worth of hash table can be made to hit; with two slots there are
/// four. A pool of 40,000 pages in which pages are chosen to collide must stay quick; what is checked
/// here is that colliding pages are answered right while shadows are given up.
#[test]
fn pages_chosen_to_collide_lose_shadows_and_nothing_else() {
    let tlb = kernel_page();
    let mut shadow = Shadow::new(vec![Slot::EMPTY; 1024], 2, RoundRobin::new());
    let mut sink = Recorder::default();
    let ctx = shadow.context(kernel(0), &mut sink);
    // The hash is known, so a guest could do this: keep what falls into one of the 2,048 buckets.
    let bucket = |page: u64| (((page | 12 << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) * 2048) >> 32;
    let colliding: Vec<u32> = (0xc_0000u32..0xd_0000).filter(|&page| bucket(page.into()) == 17).collect();
    assert!(colliding.len() > 20, "{}", colliding.len());
    for page in &colliding {
        shadow.fill(&tlb, ctx, kernel(0), ea(page << 12), Access::Load, &mut sink).unwrap();
        assert!(sink.holds(ctx, page << 12));
    }
    assert_eq!(shadow.iter().count(), 16);
    assert_eq!(shadow.stats().evictions, colliding.len() as u64 - 16);
    assert_eq!(sink.held.len(), 16);
}

#[test]
fn pinned_shadows_survive_every_policy_and_fall_with_their_entry() {
    for kind in PolicyKind::ALL {
        let mut tlb = kernel_page();
        let mut shadow = Shadow::new(ShadowStorage::<8>::EMPTY, 2, AnyPolicy::from(kind));
        let mut sink = Recorder::default();
        let ctx = shadow.context(kernel(0), &mut sink);
        let fill = |shadow: &mut Shadow<_, _>, tlb: &Tlb, sink: &mut Recorder, page: u32| {
            shadow.fill(tlb, ctx, kernel(0), ea(0xc000_0000 + (page << 12)), Access::Load, sink).unwrap()
        };
        let pins: Vec<u32> = (0..7).collect();
        for &page in &pins {
            let page = fill(&mut shadow, &tlb, &mut sink, page);
            assert!(shadow.pin(ctx, page.ea) && shadow.pin(ctx, page.ea));
        }
        let last = fill(&mut shadow, &tlb, &mut sink, 7);
        assert!(!shadow.pin(ctx, last.ea), "one slot must stay free to be evicted");
        for page in 8..100 {
            fill(&mut shadow, &tlb, &mut sink, page);
            assert!(sink.holds(ctx, 0xc000_0000 + (page << 12)));
        }
        assert!(pins.iter().all(|page| sink.holds(ctx, 0xc000_0000 + (page << 12))), "{kind}");
        assert_eq!(shadow.iter().filter(|info| info.pinned).count(), 7);
        // Unpinned, a page can go; and another can be pinned in its stead.
        assert!(shadow.unpin(ctx, ea(0xc000_3000)) && shadow.unpin(ctx, ea(0xc000_3000)));
        for page in 100..140 {
            fill(&mut shadow, &tlb, &mut sink, page);
        }
        if kind != PolicyKind::Random {
            assert!(!sink.holds(ctx, 0xc000_3000), "{kind}");
        }
        // Pins yield to the guest.
        shadow.tlbwe(&mut tlb, 62, 0, 0, 0, &mut sink);
        assert!(sink.held.is_empty());
        // And their count with them: again seven can be pinned, this time lost with their context.
        for pid in 0..3 {
            let ctx = shadow.context(kernel(pid + 10), &mut sink);
            tlb.set_entry(62, entry(0xc000_0000, PageSize::M256, 0, 0, ALL));
            for page in 0..7u32 {
                let at = ea(0xc000_0000 + (page << 12));
                shadow.fill(&tlb, ctx, kernel(pid + 10), at, Access::Load, &mut sink).unwrap();
            }
            let pinned = (0..7u32).filter(|page| shadow.pin(ctx, ea(0xc000_0000 + (page << 12)))).count();
            assert_eq!(pinned, if pid == 1 { 0 } else { 7 }, "{kind} {pid}: others hold the pins");
            if pid == 1 {
                shadow.invalidate_all(&mut sink);
            }
        }
    }
}

#[test]
fn shapes_that_cannot_be_are_refused_in_one_sentence() {
    let shape = |slots: usize, contexts| {
        Shadow::try_new(vec![Slot::EMPTY; slots], contexts, RoundRobin::new()).map(|s| s.capacity())
    };
    assert_eq!(shape(0, 1), Err(ShapeError::Slots(0)));
    assert_eq!(shape(65_536, 1), Err(ShapeError::Slots(65_536)));
    assert_eq!(shape(65_535, 256), Ok(65_535));
    assert_eq!(shape(1, 1), Ok(1));
    assert_eq!(shape(1, 0), Err(ShapeError::Contexts(0)));
    assert_eq!(shape(1, 257), Err(ShapeError::Contexts(257)));
    assert_eq!(ShapeError::Slots(0).to_string(), "A shadow pool has 1 to 65535 slots, not 0");
    assert_eq!(ShapeError::Contexts(0).to_string(), "A shadow pool has 1 to 256 contexts, not 0");
}

#[test]
#[should_panic(expected = "A shadow pool has 1 to 256 contexts, not 0")]
fn new_panics_where_try_new_refuses() {
    let _ = Shadow::new(ShadowStorage::<1>::EMPTY, 0, RoundRobin::new());
}

/// A policy that always answers nonsense.
struct Broken;

impl ReplacementPolicy for Broken {
    fn reset(&mut self, _: &mut Pool<'_>) {}
    fn victim(&mut self, _: &mut Pool<'_>) -> usize {
        usize::MAX
    }
}

#[test]
fn a_broken_policy_harms_nothing_but_the_hit_rate() {
    let tlb = kernel_page();
    let mut shadow = Shadow::new(ShadowStorage::<5>::EMPTY, 2, Broken);
    let mut sink = Recorder::default();
    let ctx = shadow.context(kernel(0), &mut sink);
    for page in 0..50u32 {
        shadow.fill(&tlb, ctx, kernel(0), ea(0xc000_0000 + (page << 12)), Access::Load, &mut sink).unwrap();
    }
    assert_eq!(sink.held.len(), 5);
}

/// Sinks whose largest page is no power of two, or too small, are understood as well as can be.
#[test]
fn a_strange_largest_page_is_rounded_down() {
    for (max_page, size) in [(0, 1024), (1, 1024), (4095, 2048), (5000, 4096), (u32::MAX, 1 << 28)] {
        struct Strange(u32);
        impl ShadowSink for Strange {
            fn install(&mut self, _: ContextId, _: &ShadowPage) {}
            fn drop(&mut self, _: ContextId, _: &ShadowPage) {}
            fn drop_context(&mut self, _: ContextId) {}
            fn drop_all(&mut self) {}
            fn max_page(&self) -> u32 {
                self.0
            }
        }
        let mut sink = Strange(max_page);
        let mut shadow = Shadow::new(ShadowStorage::<5>::EMPTY, 2, RoundRobin::new());
        let ctx = shadow.context(kernel(0), &mut sink);
        let page = shadow.fill(&kernel_page(), ctx, kernel(0), ea(0xc123_4567), Access::Load, &mut sink);
        assert_eq!(page.map(|page| page.size), Ok(size));
    }
}

/// A sink that is an array sees slots: what it holds in a slot is replaced only after it was dropped.
#[test]
fn a_sink_with_places_of_its_own_is_told_the_slot() {
    #[derive(Default)]
    struct Hardware {
        places: [Option<ShadowPage>; 6],
    }
    impl ShadowSink for Hardware {
        fn install(&mut self, _: ContextId, _: &ShadowPage) {
            unreachable!("the slot's number is wanted");
        }
        fn drop(&mut self, _: ContextId, _: &ShadowPage) {
            unreachable!("the slot's number is wanted");
        }
        fn drop_context(&mut self, _: ContextId) {}
        fn drop_all(&mut self) {
            self.places = [None; 6];
        }
        fn install_slot(&mut self, slot: u16, _: ContextId, page: &ShadowPage) {
            let place = &mut self.places[usize::from(slot)];
            assert!(place.is_none_or(|held| held == *page));
            *place = Some(*page);
        }
        fn drop_slot(&mut self, slot: u16, _: ContextId, page: &ShadowPage) {
            assert_eq!(self.places[usize::from(slot)].take(), Some(*page));
        }
    }
    let mut tlb = kernel_page();
    let mut sink = Hardware::default();
    let mut shadow = Shadow::new(ShadowStorage::<6>::EMPTY, 2, Lru::new());
    let ctx = shadow.context(kernel(0), &mut sink);
    for n in 0..100u32 {
        let at = ea(0xc000_0000 + ((n * n % 23) << 12));
        shadow.fill(&tlb, ctx, kernel(0), at, Access::Load, &mut sink).unwrap();
    }
    assert_eq!(sink.places.iter().flatten().count(), 6);
    for info in shadow.iter() {
        assert_eq!(sink.places[usize::from(info.slot)], Some(info.page));
    }
    shadow.tlbwe(&mut tlb, 62, 0, 0, 0, &mut sink);
    assert_eq!(sink.places, [None; 6]);
}

/// A page that 63 entries cut into hundreds of pieces: more than 256 are not looked through, but lost at once. When the
/// page is whole again, so is its shadow.
#[test]
fn a_page_in_hundreds_of_pieces_loses_them_and_becomes_whole() {
    let mut tlb = Tlb::new();
    tlb.set_entry(63, entry(0xc000_0000, PageSize::M256, 0, 0, ALL));
    let small = |n: u8| 0xc000_0000 | u32::from(n) << 22 | 0x1000;
    for n in 0..63 {
        tlb.set_entry(n, entry(small(n), PageSize::K1, 0, 0, ALL));
    }
    let mut shadow = Shadow::new(vec![Slot::EMPTY; 4096], 4, RoundRobin::new());
    let mut sink = Recorder::with_max_page(256 << 20);
    let ctx = shadow.context(kernel(0), &mut sink);
    for n in 0..63 {
        for shift in 10..22 {
            let at = ea(small(n) ^ 1 << shift);
            let page = shadow.fill(&tlb, ctx, kernel(0), at, Access::Load, &mut sink).unwrap();
            assert_eq!(page.size, 1 << shift);
            assert!(sink.held.len() <= 257);
        }
    }
    let lost = 2 * 257;
    assert_eq!((sink.held.len(), shadow.stats().bulk_drops), (63 * 12 - lost, 2));
    for n in 0..63 {
        shadow.set_entry(&mut tlb, n, TlbEntry::EMPTY, &mut sink);
    }
    assert_eq!(shadow.stats().tlb_writes, 63);
    let page = shadow.fill(&tlb, ctx, kernel(0), ea(small(7)), Access::Load, &mut sink).unwrap();
    assert_eq!(page.size, 256 << 20);
    assert_eq!((sink.held.len(), shadow.stats().bulk_drops), (1, 2));
    // And so it stays.
    assert_eq!(shadow.fill(&tlb, ctx, kernel(0), ea(small(9)), Access::Load, &mut sink), Ok(page));
}

/// A miss is remembered until its page comes: for that page alone.
#[test]
fn a_miss_of_one_page_hides_no_shadow_of_another() {
    for bit in 10..32 {
        let (held, missed) = (0x1000u32, 0x1000u32 ^ 1 << bit);
        let mut tlb = Tlb::new();
        tlb.set_entry(3, entry(held & !0x3ff, PageSize::K1, 0x4000, 0, ALL));
        let mut shadow = Shadow::new(vec![Slot::EMPTY; 16], 4, Lru::new());
        let mut sink = Recorder::default();
        let ctx = shadow.context(kernel(0), &mut sink);
        let mut fill = |at| shadow.fill(&tlb, ctx, kernel(0), ea(at), Access::Load, &mut sink);
        assert!(fill(held).is_ok());
        assert_eq!(fill(missed), Err(Fault::Miss));
        assert!(fill(held).is_ok());
        assert_eq!((shadow.stats().misses, shadow.stats().hits, shadow.stats().guest_misses), (1, 1, 1));
        assert_eq!(shadow.iter().count(), 1);
    }
}
