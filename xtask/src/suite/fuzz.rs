//! Bounded fuzzing: every target of the `fuzz/` folders for some seconds.
//!
//! The targets are cargo-fuzz's, and `cargo +nightly fuzz run TARGET` hunts longer. For a short look neither
//! cargo-fuzz nor a nightly compiler is needed: without a sanitizer, which the fuzzed crates, being safe Rust,
//! gain little from, coverage comes from flags that the stable compiler has.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::steps::{Outcome, Report};
use crate::progress::{self, Task};
use crate::{run, workspace};

/// Coverage as libFuzzer reads it (LLVM, SanitizerCoverage), with the checks of a debug build.
const FLAGS: &[&str] = &[
    "--cfg",
    "fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];

/// Runs the fuzz targets that are wanted, `seconds` each.
pub(crate) fn run(seconds: u32, wanted: impl Fn(&str) -> bool, report: &mut Report) -> Result<()> {
    for folder in folders()? {
        let name = folder.strip_prefix(workspace::root()).unwrap_or(&folder).display().to_string();
        if !wanted(&format!("fuzzing {name}")) {
            continue;
        }
        match build(&folder, &name) {
            Ok(targets) => {
                for target in targets {
                    fuzz(&folder, &target, seconds, report)?;
                }
            }
            Err(error) => {
                progress::line(&format!("FAILED building {name}: {error:#}"));
                report.add(Outcome::failed(&format!("fuzzing {name}"), "the targets do not build"));
            }
        }
    }
    Ok(())
}

/// Folders with fuzz targets: the workspace's own and those of single crates.
fn folders() -> Result<Vec<PathBuf>> {
    let mut folders: Vec<PathBuf> = fs::read_dir(workspace::root())
        .context("Cannot list the workspace")?
        .flatten()
        .map(|item| item.path().join("fuzz"))
        .chain([workspace::root().join("fuzz")])
        .filter(|dir| dir.join("Cargo.toml").is_file())
        .collect();
    folders.sort();
    Ok(folders)
}

/// Builds a folder's targets; returns the programs.
fn build(folder: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let task = Task::new(&format!("building {name}"));
    let log = workspace::log("fuzz-build")?;
    run::fresh_log(&log)?;
    let version = run::output(run::tool("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    let target_dir = workspace::target_dir()?.join("fuzz");
    let mut cargo = workspace::cargo();
    // With a target named, the flags stay away from build scripts and macros.
    cargo.args(["build", "--release", "--bins", "--target", host, "--target-dir"]).arg(&target_dir);
    cargo.current_dir(folder).env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    run::logged(&mut cargo, &task, &log)?;
    let metadata = run::output(
        workspace::cargo().args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(folder),
    )?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).context("cargo metadata is no JSON")?;
    let built = target_dir.join(host).join("release");
    Ok(bins(&metadata).into_iter().map(|bin| built.join(bin)).collect())
}

/// Names of the programs in cargo's metadata.
fn bins(metadata: &serde_json::Value) -> Vec<String> {
    let targets = metadata["packages"].as_array().into_iter().flatten();
    let targets = targets.filter_map(|package| package["targets"].as_array()).flatten();
    let bins = targets
        .filter(|target| target["kind"].as_array().is_some_and(|kind| kind.iter().any(|k| k == "bin")));
    bins.filter_map(|target| target["name"].as_str()).map(str::to_owned).collect()
}

/// Runs one target; a finding is an outcome, not an error.
fn fuzz(folder: &Path, program: &Path, seconds: u32, report: &mut Report) -> Result<()> {
    let target = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = format!("fuzzing {target}");
    let task = Task::new(&name);
    let log = workspace::log(&format!("fuzz-{target}"))?;
    run::fresh_log(&log)?;
    let found = workspace::target_dir()?.join("fuzz");
    let artifacts = found.join("artifacts").join(&target);
    // What one run learned serves the next one.
    let corpus = found.join("corpus").join(&target);
    for dir in [&artifacts, &corpus] {
        fs::create_dir_all(dir).with_context(|| format!("Cannot make {}", dir.display()))?;
    }
    // The first folder takes new inputs, a second one is only read.
    let mut command = run::tool(&program.display().to_string());
    command.arg(format!("-max_total_time={seconds}")).args(["-timeout=10", "-rss_limit_mb=2048"]);
    command.arg(format!("-artifact_prefix={}/", artifacts.display())).arg(&corpus).current_dir(folder);
    let kept = folder.join("corpus").join(&target);
    if kept.is_dir() {
        command.arg(kept);
    }
    match run::logged(&mut command, &task, &log) {
        Ok(()) => {
            task.done("ok");
            report.add(Outcome::passed(&name));
        }
        Err(error) => {
            drop(task);
            progress::line(&format!("FAILED {name}: {error:#}"));
            let reason = format!("{}; the input is in {}", log.display(), artifacts.display());
            report.add(Outcome::failed(&name, &reason));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_are_fuzz_targets() {
        let metadata = serde_json::json!({"packages": [{"targets": [
            {"kind": ["lib"], "name": "shared"}, {"kind": ["bin"], "name": "tree"}, {"kind": ["bin"], "name": "loader"}
        ]}]});
        assert_eq!(bins(&metadata), ["tree", "loader"]);
    }
}
