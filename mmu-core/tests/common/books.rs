//! What the two kinds of bookkeeping have in common, so that one test serves both.

use mmu_core::{
    Access, ContextId, DirectShadow, EffectiveAddress, Fault, Mode, ReplacementPolicy, Shadow, ShadowPage,
    SlotStorage, Tlb, TlbEntry,
};

use super::Recorder;

pub(crate) trait Books<const N: usize> {
    fn context(&mut self, mode: Mode, sink: &mut Recorder) -> ContextId;
    fn mode_of(&self, ctx: ContextId) -> Option<Mode>;
    fn fill(
        &mut self,
        tlb: &Tlb<N>,
        ctx: ContextId,
        mode: Mode,
        ea: u32,
        access: Access,
        sink: &mut Recorder,
    ) -> Result<ShadowPage, Fault>;
    fn tlbwe(&mut self, tlb: &mut Tlb<N>, index: u8, ws: u8, value: u32, stid: u8, sink: &mut Recorder);
    fn set_entry(&mut self, tlb: &mut Tlb<N>, index: u8, entry: TlbEntry, sink: &mut Recorder);
}

macro_rules! books {
    (($($generics:tt)*), $shadow:ty, $write:expr) => {
        impl<$($generics)* const N: usize> Books<N> for $shadow {
            fn context(&mut self, mode: Mode, sink: &mut Recorder) -> ContextId {
                self.context(mode, sink)
            }
            fn mode_of(&self, ctx: ContextId) -> Option<Mode> {
                self.mode_of(ctx)
            }
            fn fill(
                &mut self,
                tlb: &Tlb<N>,
                ctx: ContextId,
                mode: Mode,
                ea: u32,
                access: Access,
                sink: &mut Recorder,
            ) -> Result<ShadowPage, Fault> {
                self.fill(tlb, ctx, mode, EffectiveAddress(ea), access, sink)
            }
            fn tlbwe(
                &mut self,
                tlb: &mut Tlb<N>,
                index: u8,
                ws: u8,
                value: u32,
                stid: u8,
                sink: &mut Recorder,
            ) {
                let write: fn(&mut Self, &mut Tlb<N>, u8, u8, u32, u8, &mut Recorder) = $write;
                write(self, tlb, index, ws, value, stid, sink);
            }
            fn set_entry(&mut self, tlb: &mut Tlb<N>, index: u8, entry: TlbEntry, sink: &mut Recorder) {
                self.set_entry(tlb, index, entry, sink);
            }
        }
    };
}

books!((S: SlotStorage, P: ReplacementPolicy,), Shadow<S, P>, Self::tlbwe);
// Every second write takes the short way, where there is one.
books!((), DirectShadow<N>, |books, tlb, index, ws, value, stid, sink| {
    sink.writes += 1;
    sink.short = sink.writes % 2 == 0;
    let done = sink.short && ws <= 2 && books.tlbwe_common(tlb, index, ws, value, stid, sink);
    sink.short = false;
    if !done {
        books.tlbwe(tlb, index, ws, value, stid, sink);
    }
});
