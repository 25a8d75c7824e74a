#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

pub mod probe;

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "powerpc"))))]
mod elsewhere;
#[cfg(all(target_os = "linux", any(target_arch = "powerpc", test)))]
#[cfg_attr(not(target_arch = "powerpc"), expect(dead_code, reason = "elsewhere only its tests use it"))]
mod powerpc;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod x86_64;

use std::path::Path;

use vmm_plugin::api::{Backend, Constraints, Engine, EngineConfig, Info, Refusal};
use vmm_plugin::bus::PluginBus;

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "powerpc"))))]
use elsewhere as arch;
#[cfg(all(target_os = "linux", target_arch = "powerpc"))]
use powerpc as arch;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use x86_64 as arch;

/// Where the kernel offers KVM.
pub const DEVICE: &str = "/dev/kvm";

/// The backend `kvm`: what it is depends on the host's architecture.
#[derive(Debug)]
pub struct Kvm;

impl Backend for Kvm {
    fn info(&self) -> Info {
        Info { id: "kvm".into(), summary: arch::SUMMARY.into(), rank: 30, caps: arch::CAPS }
    }

    fn probe(&self) -> Result<(), Refusal> {
        arch::probe(Path::new(DEVICE))
    }

    fn constraints(&self) -> Constraints {
        arch::constraints(Path::new(DEVICE))
    }

    fn create(&self, config: &EngineConfig, bus: PluginBus) -> Result<Box<dyn Engine>, Refusal> {
        arch::create(Path::new(DEVICE), config, bus)
    }
}

vmm_plugin::plugin! { backends: [Kvm], boards: [] }
