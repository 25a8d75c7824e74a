//! Every state of a reduced TLB, which is the same code with fewer entries: four entries, two page
//! sizes, two address spaces, three TIDs; every lookup in every state, and every write from every
//! state with all shadows live, with a pool and without.

mod common;

use common::books::Books;
use common::{ALL, Model, Recorder};
use mmu_core::policy::Lru;
use mmu_core::{
    Access, DirectShadow, EffectiveAddress, Mode, Shadow, ShadowPage, ShadowStorage, Tlb, TlbEntry,
};

/// What an entry can be: nothing, or one of the pages in either space under TID 0, 1 or 2.
fn contents(pages: &[(u32, u32)]) -> Vec<TlbEntry> {
    let mut all = vec![TlbEntry::EMPTY];
    for &(start, code) in pages {
        for ts in [0, TlbEntry::TS] {
            for tid in 0..3 {
                // The frame tells pages apart; the entry's index is added where it is written.
                let word0 = start | TlbEntry::V | ts | code << TlbEntry::SIZE_SHIFT;
                all.push(TlbEntry { word0, word1: start, word2: ALL, tid });
            }
        }
    }
    all
}

fn placed(content: TlbEntry, index: u8) -> TlbEntry {
    let word1 = if content.valid() { content.word1 | u32::from(index + 1) << 16 } else { 0 };
    TlbEntry { word1, ..content }
}

/// Every combination of contents for the entries.
fn states(contents: &[TlbEntry], entries: u32) -> impl Iterator<Item = Vec<TlbEntry>> + '_ {
    let n = contents.len();
    (0..n.pow(entries)).map(move |mut state| {
        (0..entries as u8)
            .map(|index| {
                let content = contents[state % n];
                state /= n;
                placed(content, index)
            })
            .collect()
    })
}

#[test]
fn every_lookup_in_every_state_of_four_entries() {
    // Pages of 1 KiB at 0 and 0x400, of 4 KiB at 0 and 0x1000.
    let contents = contents(&[(0, 0), (0x400, 0), (0, 1)]);
    let mut tlb = Tlb::<4>::with_entries();
    let mut count = 0u32;
    for state in states(&contents, 4) {
        for (index, entry) in state.iter().enumerate() {
            tlb.set_entry(index as u8, *entry);
        }
        let model = Model { entries: state };
        for ea in [0x3ff, 0x400, 0xfff, 0x1000] {
            for tid in 0..3 {
                for space in [false, true] {
                    let found = tlb.search(EffectiveAddress(ea), space, tid);
                    let expected = model.search(ea, space, tid).map(|(index, _)| index);
                    assert_eq!(found, expected, "{ea:x} {tid} {space} {:x?}", model.entries);
                    count += 1;
                }
            }
        }
    }
    assert_eq!(count, 19u32.pow(4) * 24);
}

#[test]
fn every_write_from_every_state_of_four_entries() {
    let shadow = Shadow::new(ShadowStorage::<64>::EMPTY, 6, Lru::new());
    every_write(shadow, Recorder::default(), |write, page, mode| {
        write.before.confirms(page, mode) == write.after.confirms(page, mode)
    });
}

/// Without a pool, what lies in the entry's old or new page may go with it.
#[test]
fn every_write_from_every_state_of_four_entries_without_a_pool() {
    let sink = Recorder { by_range: true, ..Recorder::default() };
    every_write(DirectShadow::new(6), sink, |Write { before, after, index }, page, mode| {
        before.confirms(page, mode) == after.confirms(page, mode)
            && !before.touches(*index, page, mode)
            && !after.touches(*index, page, mode)
    });
}

/// A write of one entry.
struct Write {
    before: Model,
    after: Model,
    index: u8,
}

/// Each write must leave nothing stale, and everything that `stays`.
fn every_write(
    mut shadow: impl Books<4>,
    mut sink: Recorder,
    stays: impl Fn(&Write, &ShadowPage, Mode) -> bool,
) {
    let contents = contents(&[(0x400, 0), (0, 1)]);
    let mut count = 0u32;
    let mut tlb = Tlb::<4>::with_entries();
    for state in states(&contents, 4) {
        let mut model = Model { entries: state };
        for index in 0..4u8 {
            shadow.set_entry(&mut tlb, index, model.entries[usize::from(index)], &mut sink);
        }
        for index in 0..4u8 {
            let old = model.entries[usize::from(index)];
            for content in &contents {
                // Everything that can be live is live...
                for pid in 0..3 {
                    for address_space in [false, true] {
                        let mode = Mode { pid, address_space, user: false };
                        for ea in [0, 0x400, 0x800] {
                            let ctx = shadow.context(mode, &mut sink);
                            let found = shadow.fill(&tlb, ctx, mode, ea, Access::Load, &mut sink);
                            let expected = model.translate(ea, Access::Load, mode);
                            assert_eq!(
                                found.map(|page| page.translate(EffectiveAddress(ea)).0),
                                expected.map(|e| e.pa)
                            );
                        }
                    }
                }
                // ...then the write, after which nothing stale may be left and nothing else lost.
                let held = sink.held.clone();
                sink.forget_log();
                let before = model.clone();
                model.entries[usize::from(index)] = placed(*content, index);
                shadow.set_entry(&mut tlb, index, placed(*content, index), &mut sink);
                let write = Write { before, after: model, index };
                for (ctx, page) in &held {
                    let mode = shadow.mode_of(*ctx).unwrap();
                    let kept = sink.held.contains(&(*ctx, *page));
                    assert!(kept || !stays(&write, page, mode), "{page:x?} {mode:?} {:x?}", write.after);
                    let right = write.after.confirms(page, mode).is_some();
                    assert!(right || !kept, "{page:x?} {mode:?} {:x?}", write.after);
                }
                model = write.after;
                count += 1;
                model.entries[usize::from(index)] = old;
                shadow.set_entry(&mut tlb, index, old, &mut sink);
            }
        }
    }
    assert_eq!(count, 13u32.pow(4) * 4 * 13);
}
