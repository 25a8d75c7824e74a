#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod engine;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[expect(unsafe_code, reason = "maps memory for code and vouches for the bus's RAM")]
mod memory;

use vmm_plugin::api::{Backend, Engine, EngineConfig, Info, Refusal, caps};
use vmm_plugin::bus::PluginBus;

/// The backend `jit`.
#[derive(Debug)]
pub struct JitBackend;

impl Backend for JitBackend {
    fn info(&self) -> Info {
        Info {
            id: "jit".into(),
            summary: "Translator to x86-64: exact, and much faster than interp".into(),
            rank: 50,
            caps: caps::ICOUNT | caps::STEP | caps::DROP_PAGE,
        }
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    fn probe(&self) -> Result<(), Refusal> {
        memory::map(1 << 20).map(drop)
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    fn create(&self, config: &EngineConfig, bus: PluginBus) -> Result<Box<dyn Engine>, Refusal> {
        Ok(Box::new(engine::JitEngine::new(config, bus)?))
    }

    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    fn probe(&self) -> Result<(), Refusal> {
        Err("Backend jit translates to x86-64 code under Linux only; take --backend interp".into())
    }

    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    fn create(&self, _: &EngineConfig, _: PluginBus) -> Result<Box<dyn Engine>, Refusal> {
        self.probe().map(|()| unreachable!("the probe fails here"))
    }
}

vmm_plugin::plugin! { backends: [JitBackend], boards: [] }
