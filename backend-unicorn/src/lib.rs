#![doc = include_str!("../README.md")]

mod engine;
mod machine;
mod pages;
mod scan;
mod uc;
mod watch;

use vmm_plugin::api::{Backend, Clock, Engine, EngineConfig, Info, Refusal, caps};
use vmm_plugin::bus::PluginBus;

/// The backend `unicorn`.
#[derive(Debug)]
pub struct Unicorn {
    /// Enter Unicorn wherever that is possible, whether it pays or not: what tests want.
    pub eager: bool,
}

impl Backend for Unicorn {
    fn info(&self) -> Info {
        Info {
            id: "unicorn".into(),
            summary: "Unicorn 2 executes hot code, the reference core the rest (GPL-2.0)".into(),
            rank: 10,
            caps: caps::STEP,
        }
    }

    fn probe(&self) -> Result<(), Refusal> {
        Ok(())
    }

    fn create(&self, config: &EngineConfig, bus: PluginBus) -> Result<Box<dyn Engine>, Refusal> {
        if config.clock == Clock::Icount {
            return Err("Backend unicorn has no icount clock; use --backend interp for --clock icount".into());
        }
        if config.tlb_policy != 0 {
            return Err(
                format!("Backend unicorn has no TLB policy number {}; it has 0", config.tlb_policy).into()
            );
        }
        Ok(Box::new(engine::UnicornEngine::new(bus, self.eager)?))
    }
}

vmm_plugin::plugin! { backends: [Unicorn { eager: false }], boards: [] }
