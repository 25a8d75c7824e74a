//! Who keeps the books of what the tables hold: mmu-core's direct bookkeeping, since the tables are reached by effective
//! address, or its bounded pool with a replacement policy, if the user asks for one or a trace is recorded.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use mmu_core::policy::AnyPolicy;
use mmu_core::{
    Access, ContextId, DirectShadow, EffectiveAddress, Fault, Mode, Shadow, ShadowInfo, ShadowPage,
    ShadowSink, Slot, Stats, Tlb, TlbEntry,
};

use crate::options::ShadowPool;

type Pool = Shadow<Vec<Slot>, AnyPolicy>;

/// The books.
#[derive(Debug)]
pub(crate) struct Bookkeeping {
    /// They mean nothing while there is a pool.
    pub(crate) direct: Box<DirectShadow>,
    /// There is a pool: what `pool` says, as a byte at a known place for translated code.
    pub(crate) pooled: bool,
    pool: Option<(Box<Pool>, ShadowPool)>,
}

/// Both kinds have the same calls; `&` or `&mut` says how they are reached.
macro_rules! either {
    ([$($by:tt)+] $books:expr, $shadow:ident => $call:expr) => {
        match $($by)+ $books.pool {
            Some(($shadow, _)) => $call,
            None => {
                let $shadow = $($by)+ $books.direct;
                $call
            }
        }
    };
}

impl Bookkeeping {
    /// Books for a sink with `contexts` contexts, 1 to 64.
    pub(crate) fn new(pool: Option<ShadowPool>, contexts: usize) -> Self {
        let pool = pool.map(|pool| {
            let pool = ShadowPool { pages: pool.pages.clamp(1, 65_535), ..pool };
            let slots = vec![Slot::EMPTY; pool.pages];
            (Box::new(Shadow::new(slots, contexts, pool.policy.into())), pool)
        });
        Self { direct: Box::new(DirectShadow::new(contexts)), pooled: pool.is_some(), pool }
    }

    /// The books without a pool, if they are kept so.
    #[inline(always)]
    pub(crate) fn direct(&mut self) -> Option<&mut DirectShadow> {
        if self.pooled { None } else { Some(&mut self.direct) }
    }

    pub(crate) fn pool(&self) -> Option<ShadowPool> {
        self.pool.as_ref().map(|(_, pool)| *pool)
    }

    pub(crate) fn stats(&self) -> Stats {
        either!([&] self, shadow => shadow.stats())
    }

    pub(crate) fn mode_of(&self, ctx: ContextId) -> Option<Mode> {
        either!([&] self, shadow => shadow.mode_of(ctx))
    }

    #[inline]
    pub(crate) fn context<K: ShadowSink>(&mut self, mode: Mode, sink: &mut K) -> ContextId {
        either!([&mut] self, shadow => shadow.context(mode, sink))
    }

    #[inline]
    pub(crate) fn fill<K: ShadowSink>(
        &mut self,
        tlb: &Tlb,
        ctx: ContextId,
        mode: Mode,
        ea: EffectiveAddress,
        access: Access,
        sink: &mut K,
    ) -> Result<ShadowPage, Fault> {
        either!([&mut] self, shadow => shadow.fill(tlb, ctx, mode, ea, access, sink))
    }

    #[inline]
    pub(crate) fn tlbwe<K: ShadowSink>(
        &mut self,
        tlb: &mut Tlb,
        index: u8,
        ws: u8,
        value: u32,
        stid: u8,
        sink: &mut K,
    ) {
        either!([&mut] self, shadow => shadow.tlbwe(tlb, index, ws, value, stid, sink));
    }

    pub(crate) fn set_entry<K: ShadowSink>(
        &mut self,
        tlb: &mut Tlb,
        index: u8,
        entry: TlbEntry,
        sink: &mut K,
    ) {
        either!([&mut] self, shadow => shadow.set_entry(tlb, index, entry, sink));
    }

    pub(crate) fn invalidate_all<K: ShadowSink>(&mut self, sink: &mut K) {
        either!([&mut] self, shadow => shadow.invalidate_all(sink));
    }

    /// Tells the policy where the guest runs.
    #[inline]
    pub(crate) fn hint(&mut self, pc: u32, sp: u32) {
        if let Some((shadow, _)) = &mut self.pool {
            shadow.hint(EffectiveAddress(pc), EffectiveAddress(sp));
        }
    }

    /// The pool's shadows.
    pub(crate) fn pooled(&self) -> Vec<ShadowInfo> {
        self.pool.as_ref().map_or_else(Vec::new, |(shadow, _)| shadow.iter().collect())
    }

    /// Without a pool: the contexts in which pages of guest entry `index` may be held.
    pub(crate) fn contexts_of(&self, index: u8) -> Vec<ContextId> {
        if self.pooled { Vec::new() } else { self.direct.contexts_of(index).collect() }
    }
}
