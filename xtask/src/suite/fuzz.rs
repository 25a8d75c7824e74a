//! Bounded fuzzing: every target of `fuzz/` for some seconds, where a nightly compiler and cargo-fuzz are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::steps::{Outcome, Report};
use crate::cache::Cache;
use crate::progress::{self, Task};
use crate::{run, workspace};

/// Runs the fuzz targets that are wanted.
pub(crate) fn run(
    seconds: u32,
    install: bool,
    wanted: impl Fn(&str) -> bool,
    report: &mut Report,
) -> Result<()> {
    let folders = folders()?;
    if folders.is_empty() || !wanted("fuzzing") {
        return Ok(());
    }
    if !works(nightly().arg("--version")) {
        report.skip("fuzzing", "no nightly compiler: rustup toolchain install nightly");
        return Ok(());
    }
    if !works(nightly().args(["fuzz", "--version"])) {
        let install = install || std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
        if !install {
            report.skip("fuzzing", "no cargo-fuzz: cargo install cargo-fuzz, or --install");
            return Ok(());
        }
        let task = Task::new("cargo-fuzz");
        let log = Cache::open()?.log("cargo-fuzz");
        run::fresh_log(&log)?;
        if let Err(error) =
            run::logged(plain_cargo().args(["install", "cargo-fuzz", "--locked"]), &task, &log)
        {
            drop(task);
            report.skip("fuzzing", &format!("cargo-fuzz did not install: {error:#}"));
            return Ok(());
        }
    }
    for folder in folders {
        let targets = run::output(nightly().args(["fuzz", "list", "--fuzz-dir"]).arg(&folder))?;
        for target in targets.lines() {
            fuzz(&folder, target, seconds, report)?;
        }
    }
    Ok(())
}

/// Folders with fuzz targets: the workspace's own and those of single crates.
fn folders() -> Result<Vec<PathBuf>> {
    let is_fuzz = |dir: &PathBuf| dir.join("Cargo.toml").is_file();
    let mut folders: Vec<PathBuf> = fs::read_dir(workspace::root())
        .context("Cannot list the workspace")?
        .flatten()
        .map(|item| item.path().join("fuzz"))
        .chain([workspace::root().join("fuzz")])
        .filter(is_fuzz)
        .collect();
    folders.sort();
    Ok(folders)
}

/// Runs one target; a finding is an outcome, not an error.
fn fuzz(folder: &Path, target: &str, seconds: u32, report: &mut Report) -> Result<()> {
    let name = format!("fuzzing {target}");
    let task = Task::new(&name);
    let log = Cache::open()?.log(&name.replace(' ', "-"));
    run::fresh_log(&log)?;
    let mut command = nightly();
    // Without a sanitizer's runtime the build is quicker and works on every host; panics, overflows and
    // hangs are what these targets look for, since the fuzzed crates are safe Rust.
    command.args(["fuzz", "run", "--sanitizer", "none", "--fuzz-dir"]).arg(folder).args([target, "--"]);
    command.args([
        format!("-max_total_time={seconds}"),
        "-timeout=10".to_owned(),
        "-rss_limit_mb=2048".to_owned(),
    ]);
    match run::logged(&mut command, &task, &log) {
        Ok(()) => {
            task.done("ok");
            report.add(Outcome::passed(&name));
        }
        Err(error) => {
            drop(task);
            progress::line(&format!("FAILED {name}: {error:#}"));
            report.add(Outcome::failed(&name, &format!("see {}", log.display())));
        }
    }
    Ok(())
}

/// Cargo as rustup's proxy starts it: a `+toolchain` word works only there.
fn plain_cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(workspace::root());
    for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "CARGO_MANIFEST_DIR", "RUSTFLAGS"] {
        command.env_remove(name);
    }
    command
}

fn nightly() -> Command {
    let mut command = plain_cargo();
    command.arg("+nightly");
    command
}

fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
