//! The policies against what they are by definition, driven through a pool of one context.

mod common;

use common::{ALL, Recorder, ea, entry, kernel};
use mmu_core::policy::{
    AnyPolicy, Clock, Lru, PolicyKind, Pool, Random, ReplacementPolicy, RoundRobin, SparingRoundRobin,
    TreePlru, UnknownPolicy,
};
use mmu_core::{Access, PageSize, Shadow, Slot, Tlb};
use proptest::prelude::*;

/// Runs references to pages and returns, for each miss, the page that went.
fn evictions<P: ReplacementPolicy>(slots: usize, policy: P, pages: &[u32]) -> Vec<Option<u32>> {
    let mut tlb = Tlb::new();
    tlb.set_entry(0, entry(0, PageSize::M256, 0, 0, ALL));
    let mut shadow = Shadow::new(vec![Slot::EMPTY; slots], 1, policy);
    let mut sink = Recorder::default();
    let ctx = shadow.context(kernel(0), &mut sink);
    let mut evicted = vec![];
    for page in pages {
        sink.forget_log();
        let misses = shadow.stats().misses;
        shadow.fill(&tlb, ctx, kernel(0), ea(page << 12), Access::Load, &mut sink).unwrap();
        if shadow.stats().misses > misses {
            evicted.push(sink.dropped.first().map(|(_, page)| page.ea.0 >> 12));
        }
    }
    evicted
}

#[test]
fn round_robin_evicts_in_order_of_slots_whatever_was_hit() {
    let gone = evictions(3, RoundRobin::new(), &[1, 2, 3, 1, 1, 4, 1, 5, 3, 2]);
    assert_eq!(gone, [None, None, None, Some(1), Some(2), Some(3), Some(4), Some(1)]);
}

#[test]
fn round_robin_stays_below_its_mark() {
    let gone = evictions(4, RoundRobin::below(2), &[1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(gone[4..], [Some(1), Some(2), Some(5)]);
    for mark in [0, 4, 100] {
        let gone = evictions(4, RoundRobin::below(mark), &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(gone[4..], [1, 2, 3, 4, 5].map(Some), "mark {mark}");
    }
    let gone = evictions(4, SparingRoundRobin::below(2), &[1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(gone[4..], [Some(1), Some(2), Some(5)]);
}

#[test]
fn clock_gives_a_second_chance_to_what_was_hit() {
    let gone = evictions(3, Clock::new(), &[1, 2, 3, 1, 4, 5, 1, 6, 7]);
    // The hand passes 1 once, then 2, 3; comes round, finds 1 hit again, and takes 4 and then 5.
    assert_eq!(gone[3..], [Some(2), Some(3), Some(4), Some(5)]);
}

#[test]
fn plru_never_evicts_the_page_used_last_and_fills_a_pool_of_any_size() {
    for slots in 2..20 {
        let pages: Vec<u32> = (0..400u32).map(|n| ((n * 40_503) >> 7) % 31).collect();
        let mut last = None;
        let mut held = std::collections::BTreeSet::new();
        let gone = evictions(slots, TreePlru::new(), &pages);
        let mut gone = gone.into_iter();
        for page in pages {
            if held.insert(page)
                && let Some(old) = gone.next().unwrap()
            {
                assert_ne!(Some(old), last, "{slots} slots");
                assert!(held.remove(&old));
            }
            assert!(held.len() <= slots);
            last = Some(page);
        }
        assert_eq!(held.len(), slots);
    }
}

/// With four slots the tree's choices can be worked out by hand.
#[test]
fn plru_follows_its_tree() {
    let gone = evictions(4, TreePlru::new(), &[1, 2, 3, 4, 5, 6]);
    // After 1 2 3 4 the root points to the lower half and its node to 1; then to the upper half, 3.
    assert_eq!(gone[4..], [Some(1), Some(3)]);
    let gone = evictions(4, TreePlru::new(), &[1, 2, 3, 4, 1, 5, 6]);
    assert_eq!(gone[4..], [Some(3), Some(2)]);
    assert_eq!(evictions(1, TreePlru::new(), &[1, 2, 3])[1..], [Some(1), Some(2)]);
}

#[test]
fn random_repeats_itself_for_the_same_seed_and_reaches_every_slot() {
    let pages: Vec<u32> = (0..400).collect();
    let gone = evictions(7, Random::new(3), &pages);
    assert_eq!(gone, evictions(7, Random::new(3), &pages));
    assert_ne!(gone, evictions(7, Random::new(4), &pages));
    let first: std::collections::BTreeSet<_> = gone[7..100].iter().flatten().filter(|&&p| p < 7).collect();
    assert_eq!(first.len(), 7, "each of the first seven pages goes in the end");
}

proptest! {
    #[test]
    fn lru_evicts_what_was_used_the_longest_time_ago(
        slots in 1usize..12,
        pages in prop::collection::vec(0u32..20, 0..300),
    ) {
        // The last is the most recently used.
        let mut order: Vec<u32> = vec![];
        let mut expected = vec![];
        for &page in &pages {
            if let Some(at) = order.iter().position(|&p| p == page) {
                order.remove(at);
            } else {
                expected.push((order.len() == slots).then(|| order.remove(0)));
            }
            order.push(page);
        }
        prop_assert_eq!(evictions(slots, Lru::new(), &pages), expected);
    }

    #[test]
    fn a_policy_chosen_by_name_is_that_policy(
        slots in 1usize..12,
        pages in prop::collection::vec(0u32..20, 0..100),
    ) {
        for kind in PolicyKind::ALL {
            let any = evictions(slots, AnyPolicy::from(kind), &pages);
            let own = match kind {
                PolicyKind::RoundRobin => evictions(slots, RoundRobin::default(), &pages),
                PolicyKind::Sparing => evictions(slots, SparingRoundRobin::default(), &pages),
                PolicyKind::Clock => evictions(slots, Clock::default(), &pages),
                PolicyKind::Lru => evictions(slots, Lru::default(), &pages),
                PolicyKind::TreePlru => evictions(slots, TreePlru::default(), &pages),
                _ => evictions(slots, Random::default(), &pages),
            };
            prop_assert_eq!(any, own);
        }
    }
}

#[test]
fn names_are_read_and_written() {
    for kind in PolicyKind::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
        assert_eq!(kind.to_string(), kind.name());
    }
    assert_eq!(format!("{:>8}", PolicyKind::Lru), "     lru");
    assert_eq!("LRU".parse::<PolicyKind>(), Err(UnknownPolicy));
    assert_eq!(
        UnknownPolicy.to_string(),
        "Unknown replacement policy; the policies are round-robin, sparing, clock, lru, plru, random"
    );
}

/// A pool of four pages, 1 to 4, of which `pinned` are pinned and 2 was hit last; returns what a fifth one evicts.
fn evicted_beside_pins<P: ReplacementPolicy>(policy: P, pinned: &[u32]) -> u32 {
    let mut tlb = Tlb::new();
    tlb.set_entry(0, entry(0, PageSize::M256, 0, 0, ALL));
    let mut shadow = Shadow::new(vec![Slot::EMPTY; 4], 1, policy);
    let mut sink = Recorder::default();
    let ctx = shadow.context(kernel(0), &mut sink);
    for page in [1, 2, 3, 4, 2] {
        shadow.fill(&tlb, ctx, kernel(0), ea(page << 12), Access::Load, &mut sink).unwrap();
    }
    for &page in pinned {
        assert!(shadow.pin(ctx, ea(page << 12)));
    }
    sink.forget_log();
    shadow.fill(&tlb, ctx, kernel(0), ea(5 << 12), Access::Load, &mut sink).unwrap();
    sink.dropped[0].1.ea.0 >> 12
}

#[test]
fn pinned_pages_are_passed_over_in_the_order_of_the_policy() {
    // Not the next slot, which is what a choice that may not go is replaced by.
    assert_eq!(evicted_beside_pins(Lru::new(), &[1]), 3);
    assert_eq!(evicted_beside_pins(Lru::new(), &[1, 3]), 4);
    assert_eq!(evicted_beside_pins(Clock::new(), &[1]), 3);
    assert_eq!(evicted_beside_pins(RoundRobin::new(), &[1]), 2);
    assert_eq!(evicted_beside_pins(RoundRobin::new(), &[1, 2, 3]), 4);
}

#[test]
fn a_policy_can_ask_for_the_next_slot_that_may_go() {
    struct Asks;
    impl ReplacementPolicy for Asks {
        fn reset(&mut self, _: &mut Pool<'_>) {}
        fn victim(&mut self, pool: &mut Pool<'_>) -> usize {
            let from = |start| pool.next_evictable(start);
            assert_eq!([from(0), from(1), from(2), from(3)], [Some(0), Some(3), Some(3), Some(3)]);
            assert_eq!([from(4), from(5), from(7)], [Some(0), Some(3), Some(3)]);
            let evictable: Vec<bool> = (0..pool.len()).map(|slot| pool.evictable(slot)).collect();
            assert_eq!(evictable, [true, false, false, true]);
            3
        }
    }
    assert_eq!(evicted_beside_pins(Asks, &[2, 3]), 4);
}

#[test]
fn a_policy_that_chooses_a_pinned_page_gets_the_next_that_is_not() {
    struct First;
    impl ReplacementPolicy for First {
        fn reset(&mut self, _: &mut Pool<'_>) {}
        fn victim(&mut self, _: &mut Pool<'_>) -> usize {
            0
        }
    }
    assert_eq!(evicted_beside_pins(First, &[]), 1);
    assert_eq!(evicted_beside_pins(First, &[1]), 2);
    assert_eq!(evicted_beside_pins(First, &[1, 2, 3]), 4);
}
