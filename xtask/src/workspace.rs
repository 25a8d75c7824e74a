//! Where things are: the workspace, cargo's target folder, the machine's processors.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The workspace's root folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies inside the workspace")
}

/// A path below `guest/`.
pub(crate) fn guest(path: &str) -> PathBuf {
    root().join("guest").join(path)
}

/// How many jobs a build may run.
pub(crate) fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The cargo that started this program.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // Set for build scripts and runners only; a nested cargo must not believe that it is one.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION", "OUT_DIR"] {
        command.env_remove(name);
    }
    command
}

/// Cargo's target folder, whatever file or variable sets it.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .output()
        .context("Cannot run cargo metadata")?;
    ensure!(
        output.status.success(),
        "cargo metadata failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata did not print JSON")?;
    let dir = metadata["target_directory"].as_str().context("cargo metadata names no target folder")?;
    Ok(PathBuf::from(dir))
}

/// The log file of a step that works on this checkout. It lies in the target folder, not in the cache, which
/// other checkouts share.
pub(crate) fn log(step: &str) -> Result<PathBuf> {
    let dir = target_dir()?.join("xtask");
    std::fs::create_dir_all(&dir).with_context(|| format!("Cannot make {}", dir.display()))?;
    Ok(dir.join(format!("{step}.log")))
}
