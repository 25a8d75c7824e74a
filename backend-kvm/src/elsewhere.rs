//! Hosts for which there is no arm: what KVM there runs is neither a 440 nor something that holds our engine.

use std::path::Path;

use vmm_plugin::api::{Constraints, Engine, EngineConfig, Refusal};
use vmm_plugin::bus::PluginBus;

use crate::probe;

pub(crate) const SUMMARY: &str = "The host kernel's KVM: on this architecture of no use for a 440";
pub(crate) const CAPS: u64 = 0;

pub(crate) fn probe(device: &Path) -> Result<(), Refusal> {
    Err(probe::probe(device).to_string().into())
}

pub(crate) fn constraints(_: &Path) -> Constraints {
    Constraints::default()
}

pub(crate) fn create(device: &Path, _: &EngineConfig, _: PluginBus) -> Result<Box<dyn Engine>, Refusal> {
    probe(device).and(Err("Backend kvm has no arm for this architecture; take --backend interp".into()))
}
