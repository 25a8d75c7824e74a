//! Operations on a TLB with shadows, run side by side with the oracle. The property tests and the fuzz
//! target make the operations; this compares.

use mmu_core::policy::{AnyPolicy, PolicyKind};
use mmu_core::{Access, EffectiveAddress, Mode, Shadow, ShadowStorage, Tlb};

use super::{Model, Recorder};

/// What a guest or an engine does.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Write { index: u8, ws: u8, value: u32, stid: u8 },
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
            Op::Write { index, ws, value, stid } => {
                let before = model.clone();
                model.write_word(index, ws, value, stid);
                shadow.tlbwe(&mut tlb, index, ws, value, stid, &mut sink);
                assert_eq!(tlb.entry(index), model.entries[usize::from(index) % N]);
                assert_eq!(sink.dropped_contexts, [], "The pool is too small for a bulk drop");
                for (ctx, page) in &sink.dropped {
                    let mode = shadow.mode_of(*ctx).unwrap();
                    let (was, is) = (before.confirms(page, mode), model.confirms(page, mode));
                    assert!(was.is_some() && was != is, "{page:x?} was dropped but did not change");
                }
            }
            Op::Mode(to) => mode = to,
            Op::Access { ea, access } => {
                let ctx = shadow.context(mode, &mut sink);
                let found = shadow.fill(&tlb, ctx, mode, EffectiveAddress(ea), access, &mut sink);
                let expected = model.translate(ea, access, mode);
                assert_eq!(
                    found.map(|page| page.translate(EffectiveAddress(ea)).0),
                    expected.map(|e| e.pa),
                    "{op:x?}"
                );
                if let Ok(page) = found {
                    assert!(sink.held.contains(&(ctx, page)));
                    assert_eq!(model.confirms(&page, mode), expected.ok().map(|e| e.index));
                }
                let direct = tlb.translate(EffectiveAddress(ea), access, mode);
                assert_eq!(direct.map(|t| (t.pa.0, t.index)), expected.map(|e| (e.pa, e.index)));
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
        if matches!(op, Op::Write { .. } | Op::InvalidateAll) {
            check(&shadow, &model, &sink);
        } else {
            assert_eq!(shadow.iter().count(), sink.held.len());
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
