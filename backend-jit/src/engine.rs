//! The engine: a translator around a core, in the host's terms.

use mmu_core::Stats;
use ppc440_core::core::{Core, Stop};
use ppc440_core::state::CpuState;
use ppc440_jit::{Jit, JitStats};
use vmm_plugin::api::{Clock, Engine, EngineConfig, Exit, Refusal, ResetKind};
use vmm_plugin::bus::PluginBus;

use crate::memory::{JitBus, Owned, map};

/// Bytes of translated code; all of it is dropped when they are used up.
const CODE: usize = 32 << 20;

pub(crate) struct JitEngine {
    jit: Owned<Jit<JitBus>>,
    bus: JitBus,
}

impl JitEngine {
    pub(crate) fn new(config: &EngineConfig, bus: PluginBus) -> Result<Self, Refusal> {
        let state = CpuState::reset(0);
        let icount = config.clock == Clock::Icount;
        let core = match config.shadow_pages {
            0 => Core::new(&state, icount),
            pages => Core::with_shadow_pages(&state, icount, pages as usize),
        };
        Ok(Self { jit: Owned::new(map(CODE)?, |memory| Jit::new(core, memory)), bus: JitBus(bus) })
    }
}

impl Engine for JitEngine {
    fn run(&mut self, budget: u64) -> Exit {
        exit(self.jit.run(&mut self.bus, budget))
    }

    fn get_state(&mut self, state: &mut CpuState) {
        self.jit.core().snapshot(&mut self.bus, state);
    }

    fn set_state(&mut self, state: &CpuState) -> Vec<&'static str> {
        let now = ppc440_core::bus::Bus::now(&mut self.bus);
        self.jit.core_mut().restore(state, now);
        // A new state comes with new RAM more often than not.
        self.jit.flush();
        Vec::new()
    }

    fn retired(&self) -> u64 {
        self.jit.core().retired()
    }

    fn stats(&self) -> Vec<(String, u64)> {
        let JitStats {
            translated,
            translated_words,
            code_bytes,
            chained,
            dropped,
            data_pages,
            full,
            entered,
            helped,
            ..
        } = self.jit.stats();
        let Stats { hits, misses, guest_misses, drops, recycled_contexts, tlb_writes, .. } =
            self.jit.core().mmu_stats();
        [
            ("retired", self.retired()),
            ("translated_blocks", translated),
            ("translated_instructions", translated_words),
            ("code_bytes", code_bytes),
            ("chained_jumps", chained),
            ("dropped_blocks", dropped),
            ("data_pages", data_pages),
            ("full", full),
            ("entered", entered),
            ("core_calls", helped),
            ("shadow_hits", hits),
            ("shadow_misses", misses),
            ("guest_tlb_misses", guest_misses),
            ("shadow_drops", drops),
            ("recycled_contexts", recycled_contexts),
            ("tlb_writes", tlb_writes),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// Why the engine stopped, in the host's words.
fn exit(stop: Stop) -> Exit {
    match stop {
        Stop::Budget => Exit::Budget,
        Stop::Reset(1) => Exit::Reset(ResetKind::Core),
        Stop::Reset(2) => Exit::Reset(ResetKind::Chip),
        Stop::Reset(_) => Exit::Reset(ResetKind::System),
        Stop::Halted => Exit::Halted,
        Stop::Requested => Exit::Stop,
        Stop::Fatal(interrupt) => Exit::GuestFatal(format!(
            "The {interrupt:?} vector faults on itself: no instruction completes any more"
        )),
    }
}
