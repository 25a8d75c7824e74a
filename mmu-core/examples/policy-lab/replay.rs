//! Replaying a trace through the real bookkeeping.

use std::collections::HashMap;

use mmu_core::policy::{AnyPolicy, Lru};
use mmu_core::trace::Event;
use mmu_core::{
    Access, ContextId, EffectiveAddress, Mode, ReplacementPolicy, Shadow, ShadowPage, ShadowSink, Slot, Tlb,
};

/// What the engine is like.
#[derive(Copy, Clone)]
pub(crate) struct Options {
    pub(crate) contexts: usize,
    pub(crate) max_page: u32,
}

/// A sink that names each shadow, from its installation to its end.
struct Names {
    max_page: u32,
    held: HashMap<(ContextId, u32, u32), u32>,
    next: u32,
    /// The name of what was installed last.
    last: u32,
}

impl ShadowSink for Names {
    fn install(&mut self, ctx: ContextId, page: &ShadowPage) {
        self.last = *self.held.entry((ctx, page.ea.0, page.size)).or_insert_with(|| {
            self.next += 1;
            self.next
        });
    }
    fn drop(&mut self, ctx: ContextId, page: &ShadowPage) {
        self.held.remove(&(ctx, page.ea.0, page.size));
    }
    fn drop_context(&mut self, ctx: ContextId) {
        self.held.retain(|(held, ..), _| *held != ctx);
    }
    fn drop_all(&mut self) {
        self.held.clear();
    }
    fn max_page(&self) -> u32 {
        self.max_page
    }
}

struct Engine<P> {
    tlb: Tlb,
    shadow: Shadow<Vec<Slot>, P>,
    sink: Names,
}

impl<P: ReplacementPolicy> Engine<P> {
    fn new(slots: usize, policy: P, options: Options) -> Result<Self, String> {
        let slots = vec![Slot::EMPTY; slots.min(1 << 20)];
        Ok(Self {
            tlb: Tlb::new(),
            shadow: Shadow::try_new(slots, options.contexts, policy).map_err(|error| error.to_string())?,
            sink: Names { max_page: options.max_page, held: HashMap::new(), next: 0, last: 0 },
        })
    }

    /// Runs the trace; `each` is told the name of the shadow that answers each reference.
    fn run(&mut self, events: &[Event], mut each: impl FnMut(u32)) {
        let (mut fetch, mut data) = (Mode::default(), Mode::default());
        let (mut pc, mut sp) = (EffectiveAddress(0), EffectiveAddress(0));
        for event in events {
            match *event {
                Event::Mode { pid, instruction_space, data_space, user } => {
                    fetch = Mode { pid, address_space: instruction_space, user };
                    data = Mode { pid, address_space: data_space, user };
                }
                Event::Write { index, ws, value, stid } => {
                    self.shadow.tlbwe(&mut self.tlb, index, ws, value, stid, &mut self.sink);
                }
                Event::Access { ea, access, .. } => {
                    let mode = if access == Access::Fetch { fetch } else { data };
                    if access == Access::Fetch {
                        pc = ea;
                    }
                    self.shadow.hint(pc, sp);
                    let ctx = self.shadow.context(mode, &mut self.sink);
                    if self.shadow.fill(&self.tlb, ctx, mode, ea, access, &mut self.sink).is_ok() {
                        each(self.sink.last);
                    }
                }
                Event::Stack { sp: to } => sp = to,
                Event::InvalidateAll => self.shadow.invalidate_all(&mut self.sink),
                // What was dropped follows from the rest; what was lost is lost.
                _ => {}
            }
        }
    }
}

/// The misses of a policy with a pool of `slots`.
pub(crate) fn misses(
    events: &[Event],
    slots: usize,
    policy: AnyPolicy,
    options: Options,
) -> Result<u64, String> {
    let mut engine = Engine::new(slots, policy, options)?;
    engine.run(events, |_| ());
    Ok(engine.shadow.stats().misses)
}

/// The references of the trace as names of shadows, as they are when nothing is ever evicted.
pub(crate) fn references(events: &[Event], options: Options) -> Result<Vec<u32>, String> {
    let mut engine = Engine::new(65_535, Lru::new(), options)?;
    let mut references = vec![];
    engine.run(events, |name| references.push(name));
    if engine.shadow.stats().evictions > 0 {
        return Err("The trace touches more pages at a time than the largest pool can hold".to_owned());
    }
    Ok(references)
}
