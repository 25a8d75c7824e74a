//! The `vmm` program with its plugins, built once per test process into the folder that the tests themselves were
//! built into, with the same profile.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::process::{self, Finished};

/// Packages that make up a usable program.
const PACKAGES: [&str; 6] =
    ["vmm-cli", "board-bamboo", "backend-interp", "backend-unicorn", "backend-kvm", "backend-jit"];

/// The program. The first call builds it and its plugins.
///
/// # Panics
/// If the build fails: cargo has said why.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(build)
}

fn build() -> PathBuf {
    // TARGET/PROFILE/deps/TEST
    let test = std::env::current_exe().expect("The test's own path");
    let profile_folder = test.ancestors().nth(2).expect("The test lies in a profile's folder");
    let profile = match profile_folder.file_name().and_then(|n| n.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let target = profile_folder.parent().expect("A profile lies in the target folder");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg("build").args(["--quiet", "--profile", profile, "--target-dir"]).arg(target);
    for package in PACKAGES {
        command.args(["--package", package]);
    }
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let status = command.status().expect("cargo can be started");
    assert!(status.success(), "Building {PACKAGES:?} failed");
    profile_folder.join(if cfg!(windows) { "vmm.exe" } else { "vmm" })
}

/// The backends that can run here, as `vmm backends` says.
///
/// # Panics
/// If the program cannot be run.
pub fn backends() -> Vec<String> {
    let finished = run(Command::new(program()).arg("backends"), Duration::from_secs(30));
    let mut usable = vec![];
    let mut name = "";
    for line in finished.stdout.lines() {
        if !line.starts_with(' ') {
            name = line.split_whitespace().next().unwrap_or_default();
        } else if line.trim_start().starts_with("usable here") {
            usable.push(name.to_owned());
        }
    }
    assert!(!usable.is_empty(), "No backend is usable here:\n{}{}", finished.stdout, finished.stderr);
    usable
}

/// Runs a prepared command with a limit.
///
/// # Panics
/// If it cannot be started.
pub fn run(command: &mut Command, limit: Duration) -> Finished {
    process::run(command, limit).unwrap_or_else(|e| panic!("{command:?} could not be run: {e}"))
}

/// `vmm run` on a backend, with an end to every guest: resets exit, and time is limited.
#[must_use]
pub fn guest(backend: &str, kernel: &Path) -> Command {
    let mut command = Command::new(program());
    command
        .args(["run", "--board", "bamboo", "--on-reset", "exit", "--backend", backend, "--kernel"])
        .arg(kernel);
    command
}

/// The value of an environment variable that names a file, or None after a line that says what is skipped.
#[must_use]
pub fn image(variable: &str) -> Option<PathBuf> {
    match std::env::var_os(variable).filter(|v| !v.is_empty()) {
        Some(path) => Some(PathBuf::from(path)),
        None => {
            println!("skipped: {variable} is not set (cargo xtask env prints it)");
            None
        }
    }
}
