#![doc = include_str!("../README.md")]

use mmu_core::Stats;
use ppc440_core::bus::Bus;
use ppc440_core::core::Core;
use ppc440_core::interp::Interpreter;
use ppc440_core::options::{Options, PolicyKind};
use ppc440_core::state::CpuState;
use vmm_plugin::api::{Backend, Clock, Engine, EngineConfig, Exit, Info, Refusal, caps};
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
        let icount = config.clock == Clock::Icount;
        let Some(options) = Options::from_numbers(icount, config.shadow_pages, config.tlb_policy) else {
            let (number, last) = (config.tlb_policy, PolicyKind::ALL.len());
            return Err(
                format!("Backend interp has no TLB policy number {number}; it has 0 to {last}").into()
            );
        };
        let core = Core::with_options(&CpuState::reset(0), options);
        Ok(Box::new(InterpEngine { machine: Interpreter::new(core), bus }))
    }
}

struct InterpEngine {
    machine: Interpreter<PluginBus>,
    bus: PluginBus,
}

impl Engine for InterpEngine {
    fn run(&mut self, budget: u64) -> Exit {
        self.machine.run(&mut self.bus, budget).into()
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
            ("trace_events_lost", self.machine.core().events_lost()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn inspect(&mut self, topic: &str) -> String {
        if topic == TLB { self.machine.core().describe_shadows() } else { String::new() }
    }

    fn record(&mut self, topic: &str) -> Result<(), Refusal> {
        if topic != TLB {
            return Err(format!("Backend interp cannot record `{topic}`; it can record `{TLB}`").into());
        }
        self.machine.core_mut().record_tlb();
        Ok(())
    }

    fn recorded(&mut self) -> Vec<u8> {
        self.machine.core_mut().recorded()
    }
}

/// The one thing that can be inspected and recorded.
const TLB: &str = "tlb";

vmm_plugin::plugin! { backends: [Interp], boards: [] }
