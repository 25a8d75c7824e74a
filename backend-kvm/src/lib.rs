#![doc = include_str!("../README.md")]

pub mod probe;

use std::path::Path;

use vmm_plugin::api::{Backend, Engine, EngineConfig, Info, Refusal};
use vmm_plugin::bus::PluginBus;

/// Where the kernel offers KVM.
pub const DEVICE: &str = "/dev/kvm";

/// The backend `kvm`.
#[derive(Debug)]
pub struct Kvm;

impl Backend for Kvm {
    fn info(&self) -> Info {
        Info {
            id: "kvm".into(),
            summary: "The host kernel's KVM: only says what this host could offer so far".into(),
            rank: 30,
            caps: 0,
        }
    }

    fn probe(&self) -> Result<(), Refusal> {
        Err(probe::probe(Path::new(DEVICE)).to_string().into())
    }

    fn create(&self, _: &EngineConfig, _: PluginBus) -> Result<Box<dyn Engine>, Refusal> {
        match self.probe() {
            Err(refusal) => Err(refusal),
            Ok(()) => Err("Backend kvm cannot run guests yet; use --backend interp or unicorn".into()),
        }
    }
}

vmm_plugin::plugin! { backends: [Kvm], boards: [] }
