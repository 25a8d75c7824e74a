#![doc = include_str!("../README.md")]

use mmu_core::Stats;
use ppc440_core::bus::Bus;
use ppc440_core::core::{Core, Stop};
use ppc440_core::interp::Interpreter;
use ppc440_core::state::CpuState;
use vmm_plugin::api::{Backend, Clock, Engine, EngineConfig, Exit, Info, Refusal, ResetKind, caps};
use vmm_plugin::bus::PluginBus;

/// The backend `interp`.
#[derive(Debug)]
pub struct Interp;

impl Backend for Interp {
    fn info(&self) -> Info {
        Info {
            id: "interp".into(),
            summary: "Reference interpreter: exact, runs on any host".into(),
            rank: 20,
            caps: caps::ICOUNT | caps::STEP | caps::DROP_PAGE,
        }
    }

    fn probe(&self) -> Result<(), Refusal> {
        Ok(())
    }

    fn create(&self, config: &EngineConfig, bus: PluginBus) -> Result<Box<dyn Engine>, Refusal> {
        if config.tlb_policy != 0 {
            return Err(format!("Backend interp has no TLB policy number {}; it has 0", config.tlb_policy).into());
        }
        let state = CpuState::reset(0);
        let icount = config.clock == Clock::Icount;
        let core = match config.shadow_pages {
            0 => Core::new(&state, icount),
            pages => Core::with_shadow_pages(&state, icount, pages as usize),
        };
        Ok(Box::new(InterpEngine { machine: Interpreter::new(core), bus }))
    }
}

struct InterpEngine {
    machine: Interpreter<PluginBus>,
    bus: PluginBus,
}

impl Engine for InterpEngine {
    fn run(&mut self, budget: u64) -> Exit {
        exit(self.machine.run(&mut self.bus, budget))
    }

    fn get_state(&mut self, state: &mut CpuState) {
        self.machine.core().snapshot(&mut self.bus, state);
    }

    fn set_state(&mut self, state: &CpuState) -> Vec<&'static str> {
        let now = self.bus.now();
        self.machine.core_mut().restore(state, now);
        // A new state comes with new RAM more often than not.
        self.machine.flush();
        Vec::new()
    }

    fn retired(&self) -> u64 {
        self.machine.core().retired()
    }

    fn stats(&self) -> Vec<(String, u64)> {
        let Stats {
            hits,
            misses,
            guest_misses,
            protection_faults,
            drops,
            evictions,
            recycled_contexts,
            bulk_drops,
            tlb_writes,
            overlaps,
            ..
        } = self.machine.core().mmu_stats();
        [
            ("retired", self.retired()),
            ("code_pages", self.machine.code_pages() as u64),
            ("shadow_hits", hits),
            ("shadow_misses", misses),
            ("guest_tlb_misses", guest_misses),
            ("protection_faults", protection_faults),
            ("shadow_drops", drops),
            ("shadow_evictions", evictions),
            ("recycled_contexts", recycled_contexts),
            ("bulk_drops", bulk_drops),
            ("tlb_writes", tlb_writes),
            ("tlb_overlaps", overlaps),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// Why the interpreter stopped, in the host's words.
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

vmm_plugin::plugin! { backends: [Interp], boards: [] }
