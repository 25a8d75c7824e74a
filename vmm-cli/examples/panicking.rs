//! A plugin in Rust that panics where it is told to: `TOY_PANIC=init`, `probe`, or in `run` otherwise. The tests load
//! it; it also shows what the smallest backend looks like.

use vmm_plugin::api::{Backend, CpuState, Engine, EngineConfig, Exit, Info, Refusal};
use vmm_plugin::bus::PluginBus;

fn told(place: &str) -> bool {
    std::env::var("TOY_PANIC").is_ok_and(|told| told == place)
}

struct Panicking;

impl Backend for Panicking {
    fn info(&self) -> Info {
        Info { id: "panicking".into(), summary: "Panics".into(), rank: 0, caps: 0 }
    }
    fn probe(&self) -> Result<(), Refusal> {
        assert!(!told("probe"), "the probe panics as it was told");
        Ok(())
    }
    fn create(&self, _: &EngineConfig, _bus: PluginBus) -> Result<Box<dyn Engine>, Refusal> {
        tracing::info!(answer = 42, "an engine is made");
        Ok(Box::new(Self))
    }
}

impl Engine for Panicking {
    fn run(&mut self, _: u64) -> Exit {
        panic!("the engine panics as it was told")
    }
    fn get_state(&mut self, _: &mut CpuState) {}
    fn set_state(&mut self, _: &CpuState) -> Vec<&'static str> {
        Vec::new()
    }
    fn retired(&self) -> u64 {
        0
    }
}

vmm_plugin::plugin! {
    backends: [Panicking],
    boards: [],
    init: || {
        assert!(!told("init"), "the initialization panics as it was told");
        Ok(())
    },
}
