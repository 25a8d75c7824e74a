//! QEMU as an outside judge. `VMM_TEST_QEMU` names a `qemu-system-ppc` of version 10 or newer.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process;

/// The program to run, if the environment names one.
#[must_use]
pub fn program() -> Option<PathBuf> {
    std::env::var_os("VMM_TEST_QEMU").filter(|v| !v.is_empty()).map(PathBuf::from)
}

/// Runs an ELF image on QEMU's Bamboo board until it resets, and returns its console output.
///
/// # Errors
/// If QEMU cannot be started or says something on standard error; what it says.
pub fn run(program: &Path, image: &[u8], limit: Duration) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let kernel = folder.path().join("kernel.elf");
    std::fs::write(&kernel, image).map_err(|e| e.to_string())?;
    let mut command = Command::new(program);
    command
        .args(["-M", "bamboo", "-m", "128", "-display", "none", "-serial", "stdio", "-monitor", "none"])
        .args(["-nic", "none", "-no-reboot", "-kernel"])
        .arg(&kernel);
    let finished = process::run(&mut command, limit)
        .map_err(|e| format!("{} could not be run: {e}", program.display()))?;
    match finished.status {
        Some(status) if status.success() => Ok(finished.stdout),
        Some(status) => Err(format!("QEMU ended with {status}: {}", finished.stderr)),
        // The report shows how far it got.
        None => Ok(finished.stdout),
    }
}
