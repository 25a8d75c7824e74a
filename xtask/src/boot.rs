//! `cargo xtask boot`: from a fresh checkout to the guest's shell on this terminal.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;

use crate::cache::Cache;
use crate::progress::{self, Task};
use crate::{KernelSource, SetupArgs, images, packages, run, workspace};

/// Command line of the kernel when none is given.
pub(crate) const APPEND: &str = "console=ttyS0 rdinit=/init";

/// Options of `cargo xtask boot`.
#[derive(Args, Debug)]
pub(crate) struct BootArgs {
    #[command(flatten)]
    setup: SetupArgs,
    #[command(flatten)]
    source: KernelSource,
    /// Boot this kernel (vmlinux, uImage, cuImage, treeImage) and build none
    #[arg(long, value_name = "FILE", requires = "initrd", conflicts_with = "kernel_source")]
    kernel: Option<PathBuf>,
    /// Use this root file system and build none
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// Arguments for `vmm run`, which override the defaults: -- --backend unicorn --memory 256M
    #[arg(last = true, value_name = "VMM ARGS")]
    extra: Vec<OsString>,
}

/// Builds what is missing and turns this process into the VMM.
pub(crate) fn boot(args: &BootArgs) -> Result<ExitCode> {
    for file in [&args.kernel, &args.initrd].into_iter().flatten() {
        ensure!(file.is_file(), "There is no file {}", file.display());
    }
    let (vmm, guest) = thread::scope(|scope| {
        // Packages come first and one after the other: two questions at once confuse, two apt runs fail.
        if let Err(error) = packages::require(&needs(args), &args.setup) {
            return (Err(error), Ok((PathBuf::new(), PathBuf::new())));
        }
        let vmm = scope.spawn(build_vmm);
        let guest = guest_files(args);
        (vmm.join().unwrap_or_else(|_| Err(anyhow!("The build thread panicked"))), guest)
    });
    let (vmm, (kernel, initrd)) = (vmm?, guest?);
    progress::finish();
    let mut command = Command::new(&vmm);
    command.arg("run");
    let defaults: [(&str, &OsStr); 5] = [
        ("--board", "bamboo".as_ref()),
        ("--backend", "auto".as_ref()),
        ("--append", APPEND.as_ref()),
        ("--kernel", kernel.as_os_str()),
        ("--initrd", initrd.as_os_str()),
    ];
    for (option, value) in defaults {
        if !mentions(&args.extra, option) {
            command.arg(option).arg(value);
        }
    }
    command.args(&args.extra);
    let error = command.exec();
    Err(error).with_context(|| format!("Cannot run {}", vmm.display()))
}

fn needs(args: &BootArgs) -> Vec<&'static [packages::Need]> {
    let mut needs = vec![packages::WORKSPACE];
    if args.kernel.is_none() {
        needs.push(packages::GUEST);
    }
    if args.initrd.is_none() || (args.kernel.is_none() && args.source.kernel_source.is_none()) {
        needs.push(packages::SOURCES);
    }
    needs
}

fn guest_files(args: &BootArgs) -> Result<(PathBuf, PathBuf)> {
    match (&args.kernel, &args.initrd) {
        (Some(kernel), Some(initrd)) => Ok((kernel.clone(), initrd.clone())),
        (_, Some(initrd)) => {
            let kernel = images::kernel_only(&Cache::open()?, &args.setup, &args.source)?;
            Ok((kernel.file("vmlinux"), initrd.clone()))
        }
        _ => {
            let built = images::boot(&Cache::open()?, &args.setup, &args.source)?;
            Ok((built.kernel.file("vmlinux"), built.initrd))
        }
    }
}

/// Whether an option stands among the user's arguments, as `--x value` or `--x=value`.
fn mentions(arguments: &[OsString], option: &str) -> bool {
    arguments.iter().filter_map(|argument| argument.to_str()).any(|argument| {
        argument == option || argument.strip_prefix(option).is_some_and(|rest| rest.starts_with('='))
    })
}

/// Builds the program and every plugin in release mode; returns the program's path.
pub(crate) fn build_vmm() -> Result<PathBuf> {
    let task = Task::new("vmm");
    let log = workspace::log("vmm")?;
    run::fresh_log(&log)?;
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--release", "--package", "vmm-cli"]);
    for plugin in plugins()? {
        cargo.args(["--package", &plugin]);
    }
    run::logged(&mut cargo, &task, &log)?;
    drop(task);
    let program = workspace::target_dir()?.join("release/vmm");
    ensure!(program.is_file(), "The build left no {}", program.display());
    Ok(program)
}

/// Workspace members that are plugins, by the names of their folders.
fn plugins() -> Result<Vec<String>> {
    let listed = std::fs::read_dir(workspace::root()).context("Cannot list the workspace")?;
    let mut plugins: Vec<String> = listed
        .flatten()
        .filter(|item| item.path().join("Cargo.toml").is_file())
        .map(|item| item.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("backend-") || name.starts_with("board-"))
        .collect();
    plugins.sort();
    Ok(plugins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_an_option_are_seen() {
        let arguments: Vec<OsString> = ["--append=x", "--memory", "64M"].map(OsString::from).to_vec();
        assert!(mentions(&arguments, "--append") && mentions(&arguments, "--memory"));
        assert!(!mentions(&arguments, "--mem") && !mentions(&arguments, "--backend"));
    }

    #[test]
    fn the_bamboo_board_and_the_interpreter_are_among_the_plugins() {
        let plugins = plugins().expect("a list");
        assert!(plugins.iter().any(|name| name == "board-bamboo"), "{plugins:?}");
        assert!(plugins.iter().any(|name| name == "backend-interp"), "{plugins:?}");
    }
}
