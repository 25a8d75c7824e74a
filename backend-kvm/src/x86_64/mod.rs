//! x86-64 hosts: the project's own engine runs in ring 3 of a virtual machine that holds guest RAM, the engine, and
//! nothing else. KVM does not execute the guest here, it walls the engine in. docs/kvm.md says why it is built so.

mod engine;
mod image;
#[expect(unsafe_code, reason = "maps the machine's memory and looks into it")]
mod memory;
#[path = "../../engine/src/protocol.rs"]
#[cfg_attr(not(test), expect(dead_code, reason = "the engine and the tests use the rest"))]
#[expect(unreachable_pub, reason = "the engine compiles the same file")]
mod protocol;
mod space;
#[cfg(test)]
#[expect(unsafe_code, reason = "RAM for a host of their own")]
mod tests;
mod traps;
#[expect(unsafe_code, reason = "gives memory to a virtual machine")]
mod vm;
#[expect(unsafe_code, reason = "signals, and a word of the host's")]
mod watch;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use vmm_plugin::api::{Constraints, Engine, EngineConfig, Refusal, caps};
use vmm_plugin::bus::PluginBus;

use crate::probe::{self, Finding};

/// One line for `vmm backends`.
pub(crate) const SUMMARY: &str =
    "The translator of jit, walled in by a KVM virtual machine; exact, costly devices";
/// What the backend can do here.
pub(crate) const CAPS: u64 = caps::ICOUNT | caps::STEP | caps::DROP_PAGE | caps::SANDBOX;

/// Whether this host's KVM can hold the engine.
///
/// # Errors
/// What stands in the way, in one sentence.
pub(crate) fn probe(device: &Path) -> Result<(), Refusal> {
    match probe::probe(device) {
        Finding::Ready(_) => Ok(()),
        other => Err(other.to_string().into()),
    }
}

/// What the host forces on a guest: nothing, as the engine is our own.
pub(crate) fn constraints(_: &Path) -> Constraints {
    Constraints::default()
}

/// Makes a virtual machine with an engine in it.
///
/// # Errors
/// What could not be had, in one sentence.
pub(crate) fn create(
    device: &Path,
    config: &EngineConfig,
    bus: PluginBus,
) -> Result<Box<dyn Engine>, Refusal> {
    let device = CString::new(device.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    Ok(Box::new(engine::KvmEngine::new(&device, config, bus, engine::Time::Counter)?))
}
