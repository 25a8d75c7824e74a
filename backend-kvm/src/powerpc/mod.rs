//! PowerPC 440 hosts: the kernel's KVM executes the guest.
//!
//! This is the KVM that Linux had for the 440 from 2.6.26 to 3.15. [`abi`] is its interface, [`sys`] the system calls,
//! [`vm`] a virtual machine in typed terms, [`state`] the conversion of the architected state, [`engine`] the run loop,
//! [`spin`] what an endless loop means, [`host`] the host's clocks. Everything but the system calls is tested against a
//! KVM of our own (`fake`) that keeps to the documented interface, on every host.
//!
//! It leaves out what that KVM does not have: critical and machine check inputs, writing the guest's TLB, floating-point
//! registers from user space, single stepping, dirty logs.

mod abi;
mod engine;
#[cfg(test)]
mod fake;
mod host;
mod spin;
mod state;
mod sys;
#[cfg(test)]
mod tests;
mod vm;

use std::path::Path;

use vmm_plugin::api::{Clock, Constraints, Engine, EngineConfig, Refusal};
use vmm_plugin::bus::PluginBus;

use crate::probe::Finding;
use engine::{INITIAL_MAPPING, KvmEngine};
use sys::Linux;
use vm::Vm;

/// What `vmm backends` says.
pub(crate) const SUMMARY: &str = "The host kernel's KVM for the PowerPC 440 executes the guest";
/// KVM counts no instructions, steps none, and its shadow TLB is the kernel's.
pub(crate) const CAPS: u64 = 0;

/// Where the host's facts are.
const PROC: &str = "/proc";

/// A virtual machine on this host, or why there is none.
fn open(device: &Path) -> Result<Vm<Linux>, Refusal> {
    let sys = Linux::open(device)
        .map_err(|error| Refusal(format!("{} cannot be opened: {error}", device.display())))?;
    Vm::new(sys).map_err(|error| Refusal(error.to_string()))
}

/// Whether this host's KVM can run a 440 guest: it makes a virtual machine and drops it again.
///
/// # Errors
/// What is missing, in one sentence.
pub(crate) fn probe(device: &Path) -> Result<(), Refusal> {
    match crate::probe::probe(device) {
        Finding::PowerPc => {}
        finding => return Err(finding.to_string().into()),
    }
    open(device)?.sregs().map(drop).map_err(|error| Refusal(error.to_string()))
}

/// What the host forces on a guest: its own PVR and clocks, since the guest reads the time base itself, and the part of
/// memory that KVM maps at entry. Zero where the host does not say.
pub(crate) fn constraints(device: &Path) -> Constraints {
    let pvr = open(device).ok().and_then(|mut vm| vm.sregs().ok()).map_or(0, |sregs| sregs.pvr);
    Constraints {
        pvr,
        cpu_hz: host::cpu_hz(Path::new(PROC)).unwrap_or(0),
        tb_hz: host::timebase_hz(Path::new(PROC)).unwrap_or(0),
        initial_mapping: INITIAL_MAPPING,
    }
}

/// Makes an engine for the calling thread.
///
/// # Errors
/// What this host or the configuration does not allow, in one sentence.
pub(crate) fn create(
    device: &Path,
    config: &EngineConfig,
    bus: PluginBus,
) -> Result<Box<dyn Engine>, Refusal> {
    allowed(config)?;
    let engine = KvmEngine::new(open(device)?, bus, config).map_err(|error| Refusal(error.to_string()))?;
    Ok(Box::new(engine))
}

/// Refuses what KVM cannot do.
fn allowed(config: &EngineConfig) -> Result<(), Refusal> {
    if config.clock == Clock::Icount {
        return Err("KVM counts no instructions; --clock icount needs --backend interp".into());
    }
    if config.tlb_policy != 0 || config.shadow_pages != 0 {
        return Err(
            "The shadow TLB is the host kernel's; --tlb-policy and --shadow-size need --backend interp"
                .into(),
        );
    }
    match host::timebase_hz(Path::new(PROC)) {
        Some(hz) if hz != config.tb_hz => tracing::warn!(
            "The machine's time base has {} Hz, the host's, which the guest sees, {hz} Hz",
            config.tb_hz
        ),
        _ => {}
    }
    Ok(())
}
