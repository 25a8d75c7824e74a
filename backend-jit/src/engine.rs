//! The engine: a translator around a core, in the host's terms.

use mmu_core::Stats;
use ppc440_core::core::Core;
use ppc440_core::options::{Options, PolicyKind};
use ppc440_core::state::CpuState;
use ppc440_jit::{Jit, JitStats, Recording};
use vmm_plugin::api::{Clock, Engine, EngineConfig, Exit, Refusal};
use vmm_plugin::bus::PluginBus;

use crate::memory::{JitBus, Owned, map, prefer_small_pages};

/// Bytes of translated code; all of it is dropped when they are used up.
const CODE: usize = 32 << 20;

pub(crate) struct JitEngine {
    jit: Owned<Jit<JitBus>>,
    bus: JitBus,
}

impl JitEngine {
    pub(crate) fn new(config: &EngineConfig, bus: PluginBus) -> Result<Self, Refusal> {
        let icount = config.clock == Clock::Icount;
        let Some(options) = Options::from_numbers(icount, config.shadow_pages, config.tlb_policy) else {
            let (number, last) = (config.tlb_policy, PolicyKind::ALL.len());
            return Err(format!("Backend jit has no TLB policy number {number}; it has 0 to {last}").into());
        };
        let core = Core::with_options(&CpuState::reset(0), options);
        let mut jit = Owned::new(map(CODE)?, |memory| Jit::new(core, memory));
        prefer_small_pages(jit.core().data_table());
        jit.set_clock(nanoseconds);
        Ok(Self { jit, bus: JitBus(bus) })
    }
}

impl Engine for JitEngine {
    fn run(&mut self, budget: u64) -> Exit {
        self.jit.run(&mut self.bus, budget).into()
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
            traces,
            translated_words,
            code_bytes,
            chained,
            blocks,
            dropped_by_store,
            dropped_by_device,
            dropped_as_data,
            dropped_for_room,
            dropped_by_host,
            data_pages,
            full,
            translation_ns,
            entered,
            helped,
            ..
        } = self.jit.stats();
        let Stats { hits, misses, guest_misses, drops, recycled_contexts, tlb_writes, .. } =
            self.jit.core().mmu_stats();
        [
            ("retired", self.retired()),
            ("blocks", blocks),
            ("translated_blocks", translated),
            ("traces", traces),
            ("translated_instructions", translated_words),
            ("translation_ns", translation_ns),
            ("code_bytes", code_bytes),
            ("chained_jumps", chained),
            ("dropped_by_store", dropped_by_store),
            ("dropped_by_device", dropped_by_device),
            ("dropped_as_data", dropped_as_data),
            ("dropped_for_room", dropped_for_room),
            ("dropped_by_host", dropped_by_host),
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

    fn inspect(&mut self, topic: &str) -> String {
        match topic {
            "jit" => describe(&self.jit.stats()),
            "tlb" => self.jit.core().describe_shadows(),
            _ => String::new(),
        }
    }

    fn record(&mut self, topic: &str) -> Result<(), Refusal> {
        let what = match topic {
            "blocks" => Recording::Blocks,
            "perf-map" => Recording::PerfMap,
            _ => {
                return Err(format!(
                    "Backend jit cannot record `{topic}`, but `blocks` and `perf-map`; for `tlb` take --backend interp"
                )
                .into());
            }
        };
        self.jit.record(what);
        Ok(())
    }

    fn recorded(&mut self) -> Vec<u8> {
        self.jit.recorded().into_bytes()
    }
}

/// Processor time of this thread, in nanoseconds: what other programs do meanwhile does not count.
fn nanoseconds() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// What was translated, for people.
fn describe(stats: &JitStats) -> String {
    let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let each = stats.translation_ns.checked_div(stats.translated_words).unwrap_or(0);
    let dropped = stats.translated - stats.blocks;
    format!(
        "blocks held          {}\n\
         code memory          {:.1} of {:.0} MB\n\
         translated           {} blocks, {} of them traces, {} side traces, {} instructions\n\
         time in translation  {:.3} s, {each} ns an instruction (every sixteenth block is timed)\n\
         jumps chained        {}\n\
         blocks dropped       {dropped}\n\
         \x20 code stored into   {}\n\
         \x20 written by devices {}\n\
         \x20 page became data   {}\n\
         \x20 memory was full    {} ({} times)\n\
         \x20 by the host        {}\n\
         entered              {} times; {} instructions left to the core\n\
         roaming              {} accesses of traces, which remember no page\n",
        stats.blocks,
        megabytes(stats.code_bytes),
        megabytes(CODE as u64),
        stats.translated,
        stats.traces,
        stats.side_traces,
        stats.translated_words,
        stats.translation_ns as f64 / 1e9,
        stats.chained,
        stats.dropped_by_store,
        stats.dropped_by_device,
        stats.dropped_as_data,
        stats.dropped_for_room,
        stats.full,
        stats.dropped_by_host,
        stats.entered,
        stats.helped,
        stats.roaming,
    )
}
