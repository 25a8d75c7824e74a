//! Operations on a TLB with shadows, run side by side with the oracle. The property tests and the fuzz
//! target make the operations; this compares.

use mmu_core::policy::{AnyPolicy, PolicyKind};
use mmu_core::{
    Access, DirectShadow, EffectiveAddress, Mode, Shadow, ShadowPage, ShadowStorage, Tlb, TlbEntry,
};

use super::books::Books;
use super::{Model, Recorder, shared};

/// What a guest or an engine does.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Write { index: u8, ws: u8, value: u32, stid: u8 },
    Replace { index: u8, entry: TlbEntry },
    Mode(Mode),
    Access { ea: u32, access: Access },
    Lookup { ea: u32 },
    Pin { ea: u32, pin: bool },
    Hint { pc: u32, sp: u32 },
    InvalidateAll,
}

/// Runs the operations; every answer is compared, and after each one the sink must hold nothing but
/// the truth.
pub(crate) fn run<const N: usize, const SLOTS: usize>(
    ops: &[Op],
    kind: PolicyKind,
    contexts: usize,
    max_page: u32,
) {
    let mut tlb = Tlb::<N>::with_entries();
    let mut model = Model::new(N);
    let mut sink = Recorder::with_max_page(max_page);
    let mut shadow = Shadow::new(Box::new(ShadowStorage::<SLOTS>::EMPTY), contexts, AnyPolicy::from(kind));
    let mut mode = Mode::default();
    for op in ops {
        sink.forget_log();
        match *op {
            Op::Write { .. } | Op::Replace { .. } => {
                let before = model.clone();
                write_with(&mut shadow, &mut tlb, &mut model, op, &mut sink);
                assert_eq!(sink.dropped_contexts, [], "The pool is too small for a bulk drop");
                for (ctx, page) in &sink.dropped {
                    let mode = shadow.mode_of(*ctx).unwrap();
                    let (was, is) = (before.confirms(page, mode), model.confirms(page, mode));
                    assert!(was.is_some() && was != is, "{page:x?} was dropped but did not change");
                }
            }
            Op::Mode(to) => mode = to,
            Op::Access { ea, access } => {
                access_with(&mut shadow, &tlb, &model, mode, (ea, access), &mut sink)
            }
            Op::Lookup { ea } => {
                let ctx = shadow.context(mode, &mut sink);
                let page = shadow.lookup(ctx, EffectiveAddress(ea));
                assert_eq!(page.is_some(), sink.holds(ctx, ea));
                assert!(page.is_none_or(|page| page.contains(EffectiveAddress(ea))));
                assert_eq!(
                    tlb.search(EffectiveAddress(ea), mode.address_space, mode.pid),
                    model.search(ea, mode.address_space, mode.pid).map(|(index, _)| index)
                );
            }
            Op::Pin { ea, pin } => {
                let ctx = shadow.context(mode, &mut sink);
                let held = sink.holds(ctx, ea);
                if pin {
                    assert!(held || !shadow.pin(ctx, EffectiveAddress(ea)));
                } else {
                    assert_eq!(shadow.unpin(ctx, EffectiveAddress(ea)), held);
                }
            }
            Op::Hint { pc, sp } => shadow.hint(EffectiveAddress(pc), EffectiveAddress(sp)),
            Op::InvalidateAll => {
                shadow.invalidate_all(&mut sink);
                assert_eq!(sink.dropped_all, 1);
            }
        }
        // Only writes can make a shadow stale; the rest must keep the books.
        if matches!(op, Op::Write { .. } | Op::Replace { .. } | Op::InvalidateAll) {
            check(&shadow, &model, &sink);
        } else {
            assert_eq!(shadow.iter().count(), sink.held.len());
        }
    }
}

/// Writes to the TLB and to the oracle, and returns the entry's number.
fn write_with<const N: usize>(
    shadow: &mut impl Books<N>,
    tlb: &mut Tlb<N>,
    model: &mut Model,
    op: &Op,
    sink: &mut Recorder,
) -> u8 {
    let index = match *op {
        Op::Write { index, ws, value, stid } => {
            model.write_word(index, ws, value, stid);
            shadow.tlbwe(tlb, index, ws, value, stid, sink);
            index
        }
        Op::Replace { index, entry } => {
            let TlbEntry { word0, word1, word2, tid } = entry;
            for (ws, value) in [(0, word0), (1, word1), (2, word2)] {
                model.write_word(index, ws, value, tid as u8);
            }
            shadow.set_entry(tlb, index, entry, sink);
            index
        }
        _ => unreachable!("{op:?} writes nothing"),
    };
    assert_eq!(tlb.entry(index), model.entries[usize::from(index) % N]);
    index % N as u8
}

/// The access gives what the oracle gives, and the sink then holds the page.
fn access_with<const N: usize>(
    shadow: &mut impl Books<N>,
    tlb: &Tlb<N>,
    model: &Model,
    mode: Mode,
    (ea, access): (u32, Access),
    sink: &mut Recorder,
) {
    let ctx = shadow.context(mode, sink);
    let found = shadow.fill(tlb, ctx, mode, ea, access, sink);
    let expected = model.translate(ea, access, mode);
    assert_eq!(
        found.map(|page| page.translate(EffectiveAddress(ea)).0),
        expected.map(|e| e.pa),
        "{access:?} {ea:x}"
    );
    if let Ok(page) = found {
        assert!(sink.held.contains(&(ctx, page)));
        assert_eq!(model.confirms(&page, mode), expected.ok().map(|e| e.index));
    }
    let direct = tlb.translate(EffectiveAddress(ea), access, mode);
    assert_eq!(direct.map(|t| (t.pa.0, t.index)), expected.map(|e| (e.pa, e.index)));
}

/// As [`run`], for the bookkeeping without a pool. The sink holds at most `capacity` pages, and forgets at will.
pub(crate) fn run_direct<const N: usize>(ops: &[Op], contexts: usize, max_page: u32, capacity: usize) {
    let mut tlb = Tlb::<N>::with_entries();
    let mut model = Model::new(N);
    let mut sink = Recorder { by_range: true, ..Recorder::with_max_page(max_page) };
    let mut shadow = DirectShadow::<N>::new(contexts);
    let mut mode = Mode::default();
    for op in ops {
        sink.forget_log();
        match *op {
            Op::Write { .. } | Op::Replace { .. } => {
                let (before, held) = (model.clone(), sink.held.clone());
                let index = write_with(&mut shadow, &mut tlb, &mut model, op, &mut sink);
                assert_eq!((sink.dropped_contexts.len(), sink.dropped_all), (0, 0));
                for (ctx, page) in held.iter().filter(|page| !sink.held.contains(page)) {
                    let mode = shadow.mode_of(*ctx).unwrap();
                    let touched = before.touches(index, page, mode) || model.touches(index, page, mode);
                    assert!(touched, "{page:x?} was dropped in {mode:?}, far from entry {index}");
                }
                check_ranges(&shadow, &before, &model, index, &sink);
            }
            Op::Mode(to) => mode = to,
            Op::Access { ea, access } => {
                if sink.held.len() >= capacity {
                    sink.held.swap_remove(ea as usize / 1024 % capacity);
                }
                access_with(&mut shadow, &tlb, &model, mode, (ea, access), &mut sink);
            }
            Op::Lookup { ea } => {
                let ctx = shadow.context(mode, &mut sink);
                assert!(!sink.holds(ctx, ea) || model.look(ea, mode).is_some());
            }
            Op::Pin { .. } | Op::Hint { .. } => {}
            Op::InvalidateAll => {
                shadow.invalidate_all(&mut sink);
                assert_eq!(sink.dropped_all, 1);
                let holders = |entry: &TlbEntry| shadow.holders(&tlb, entry.frame_start()?).next();
                assert_eq!(model.entries.iter().find_map(holders), None);
            }
        }
        // Only writes and recycled contexts can make a page stale.
        if matches!(op, Op::Write { .. } | Op::Replace { .. }) || !sink.dropped_contexts.is_empty() {
            check_direct(&shadow, &tlb, &model, &sink);
        }
    }
}

/// Each range dropped is the old page of the written entry, or what it takes from one of a higher index, and for
/// neither it is dropped more than once.
fn check_ranges<const N: usize>(
    shadow: &DirectShadow<N>,
    before: &Model,
    model: &Model,
    index: u8,
    sink: &Recorder,
) {
    for dropped in &sink.dropped {
        let (ctx, range) = dropped;
        let mode = shadow.mode_of(*ctx).unwrap();
        let own = before.page(index, mode) == Some(*range);
        let taken = |&other: &u8| {
            let pages = before.page(other, mode).zip(model.page(index, mode));
            pages.is_some_and(|(theirs, ours)| shared(&theirs, &ours) == Some(*range))
        };
        let reasons = usize::from(own) + (index + 1..N as u8).filter(taken).count();
        let times = sink.dropped.iter().filter(|other| *other == dropped).count();
        assert!(times <= reasons, "{range:x?} was dropped {times} times in {mode:?} for entry {index}");
    }
}

/// The sink holds nothing but the truth, and every page in it is found by its physical address.
fn check_direct<const N: usize>(shadow: &DirectShadow<N>, tlb: &Tlb<N>, model: &Model, sink: &Recorder) {
    for (ctx, page) in &sink.held {
        let mode = shadow.mode_of(*ctx).unwrap();
        let entry = model.confirms(page, mode);
        let entry = entry.unwrap_or_else(|| panic!("{page:x?} is stale in {mode:?}"));
        assert!(shadow.contexts_of(entry).any(|of| of == *ctx), "entry {entry} has forgotten {page:x?}");
        for offset in [0, page.size - 1] {
            let ea = EffectiveAddress(page.ea.0 + offset);
            let pa = page.translate(ea);
            let holders: Vec<_> = shadow.holders(tlb, pa).collect();
            assert!(holders.contains(&(*ctx, ea)), "{page:x?} in {mode:?} is not among {holders:x?}");
            for (ctx, ea) in holders {
                let mode = shadow.mode_of(ctx).unwrap();
                let reaches = |own: ShadowPage| own.contains(ea) && own.translate(ea) == pa;
                assert!((0..N as u8).any(|index| model.page(index, mode).is_some_and(reaches)));
            }
        }
    }
}

/// The sink, the pool and the guest's TLB agree.
fn check<const SLOTS: usize>(
    shadow: &Shadow<Box<ShadowStorage<SLOTS>>, AnyPolicy>,
    model: &Model,
    sink: &Recorder,
) {
    let mut count = 0;
    for info in shadow.iter() {
        count += 1;
        assert!(sink.held.contains(&(info.context, info.page)), "{info:x?} is not in the sink");
        let mode = shadow.mode_of(info.context).unwrap();
        assert_eq!(model.confirms(&info.page, mode), Some(info.entry), "{info:x?} is stale in {mode:?}");
    }
    assert_eq!(count, sink.held.len(), "the sink holds what the pool has forgotten");
}
