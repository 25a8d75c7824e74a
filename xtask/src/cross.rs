//! `cargo xtask cross powerpc`: the program for a PowerPC 440 host, and the tests that run under qemu-user.
//!
//! rustup has no standard library for this target that fits a 440 (its own uses instructions that the core lacks),
//! so the compiler is Debian's `rustc-web` with the matching library source, unpacked beside the system as
//! [`crate::qemu`] does it, and the standard library is built with the workspace (`-Zbuild-std`; cargo fetches the
//! few crates that it depends on). Everything is linked statically: the result needs nothing but a kernel.
//! A big-endian host with 32-bit pointers must give the same answers as any other, which is what the tests are for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};

use crate::apt::{self, Apt};
use crate::cache::{Cache, Key};
use crate::progress::{self, Task};
use crate::{SetupArgs, packages, programs, run, workspace};

/// Options of `cargo xtask cross`.
#[derive(Args, Debug)]
pub(crate) struct CrossArgs {
    /// Architecture of the host that the program is for
    target: Target,
    #[command(flatten)]
    setup: SetupArgs,
}

/// What can be built for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Target {
    /// A PowerPC 440 under Linux with a C library of Debian's age: powerpc-unknown-linux-gnu
    Powerpc,
}

/// The one target, as rustc calls it.
const TRIPLE: &str = "powerpc-unknown-linux-gnu";
/// The program, with its features.
const PROGRAM: &str = "vmm-static";
/// Debian's packages: compiler, its library for build scripts, library source, emulator of user programs.
const PACKAGES: &[&str] = &["rustc-web", "libstd-rust-web-dev", "rust-web-src", "qemu-user-static"];
/// The processor whose instructions the tests may use.
const EMULATED_CPU: &str = "440epb";
/// How the target is compiled for. `isel` is left out although the 440 has it: QEMU's 440 does not, and a host may
/// well be emulated.
const RUSTFLAGS: &str = "-C target-cpu=440 -C target-feature=+crt-static,-isel -C relocation-model=static";
/// Crates whose tests run under the emulator. Left out: what needs a C++ library (Unicorn), what emits x86 code, and
/// the program's own tests, which load shared libraries.
const TESTED: &[&str] = &[
    "mmu-core",
    "ppc440-core",
    "ppc440-asm",
    "microkernels",
    "vmm-plugin",
    "devices-4xx",
    "board-bamboo",
    "backend-interp",
    "backend-kvm",
];
/// Random cases of each property under the emulator, which is twenty times slower than the machine itself.
const PROPERTY_CASES: &str = "24";
/// Tests that are left out there: they go through millions of states with nothing in them that a byte order or a
/// pointer's width could change.
const LONG: &[&str] = &[
    "every_lookup_in_every_state_of_four_entries",
    "every_write_from_every_state_of_four_entries",
    "four_entries_",
    "eight_entries_",
    "on_every_triple_of_corners",
];
/// The build folder is emptied when it has grown beyond this many bytes: other checkouts' leftovers stay in it.
const LARGEST_BUILD_FOLDER: u64 = 4 << 30;

/// Builds the program and prints where it is.
pub(crate) fn cross(args: &CrossArgs) -> Result<ExitCode> {
    let Target::Powerpc = args.target;
    let cache = Cache::open()?;
    packages::require(&[packages::CROSS], &args.setup)?;
    let tools = Tools::ensure(&cache, &args.setup)?;
    let task = Task::new("cross build");
    let log = workspace::log("cross-powerpc")?;
    run::fresh_log(&log)?;
    run::logged(&mut tools.build_program(), &task, &log)?;
    let program = tools.take_program(&task, &log)?;
    let bytes = fs::metadata(&program).with_context(|| format!("Cannot read {}", program.display()))?.len();
    task.done("built");
    progress::finish();
    println!("{} ({bytes} bytes, static, {TRIPLE})", program.display());
    Ok(ExitCode::SUCCESS)
}

/// The cross tools as they lie in the cache.
pub(crate) struct Tools {
    /// Compiler, library source, emulator.
    dir: PathBuf,
    /// Where cargo builds.
    build: PathBuf,
}

impl Tools {
    /// Fetches and unpacks the tools, or finds them in the cache.
    pub(crate) fn ensure(cache: &Cache, setup: &SetupArgs) -> Result<Self> {
        let key = Key::new("rust-powerpc", 1)
            .text("packages", &PACKAGES.join(" "))
            .text("release", apt::SOURCE_RELEASE)
            .text("host", std::env::consts::ARCH);
        let dir = cache.ensure(&key, |out| {
            ensure!(packages::is_debian(), "{}", elsewhere());
            packages::require(&[packages::SOURCES], setup)?;
            let task = Task::new("powerpc tools");
            // Debian 12 carries the compiler that browsers need among its security updates.
            let apt = Apt::open(cache, "cross", apt::SOURCE_RELEASE, false, &task)?;
            let debs = apt.closure(PACKAGES, None, &task).with_context(elsewhere)?;
            for deb in debs {
                apt.unpack(&deb, out, &task)?;
            }
            write_starter(out, "rustc")?;
            write_starter(out, "rustdoc")?;
            let version = run::output(run::tool("sh").arg(starter(out, "rustc")).arg("--version"))
                .with_context(elsewhere)?;
            check_version(&version)?;
            ensure!(
                library_source(out).is_file(),
                "rust-web-src brought no library source {}; it must be of the compiler's version ({version})",
                library_source(out).display()
            );
            task.done(&version);
            Ok(())
        })?;
        // The folder is keyed by the tools alone and stays: the standard library and other people's crates, most of
        // the work, are built once for all checkouts.
        let key = Key::new("cross-build", 1)
            .entry("tools", &dir)
            .text("flags", RUSTFLAGS)
            .text("compiler", &programs::compiler()?);
        let build = cache.ensure(&key, |_| Ok(()))?;
        let tools = Self { dir, build };
        tools.keep_small()?;
        Ok(tools)
    }

    fn keep_small(&self) -> Result<()> {
        let output = self.build.join("target");
        if output.is_dir() && size_of_tree(&output)? > LARGEST_BUILD_FOLDER {
            fs::remove_dir_all(&output).with_context(|| format!("Cannot empty {}", output.display()))?;
        }
        Ok(())
    }

    /// Cargo, set up for the target.
    fn cargo(&self, subcommand: &str) -> Command {
        let mut command = workspace::cargo();
        command.args([subcommand, "--release", "-Zbuild-std=std,panic_unwind", "--target", TRIPLE]);
        command.arg("--target-dir").arg(self.build.join("target"));
        let emulator = self.dir.join("usr/bin/qemu-ppc-static");
        // Any of these would win over the settings below.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_BUILD_TARGET"] {
            command.env_remove(name);
        }
        let own = |name: &str| format!("CARGO_TARGET_POWERPC_UNKNOWN_LINUX_GNU_{name}");
        command
            .env("RUSTC", starter(&self.dir, "rustc"))
            .env("RUSTDOC", starter(&self.dir, "rustdoc"))
            // The compiler is a stable one, and building the library is not stable.
            .env("RUSTC_BOOTSTRAP", "1")
            .env(own("LINKER"), format!("{}gcc", programs::CROSS))
            .env(own("RUSTFLAGS"), RUSTFLAGS)
            .env(own("RUNNER"), format!("{} -cpu {EMULATED_CPU}", emulator.display()));
        command
    }

    /// Builds the program.
    pub(crate) fn build_program(&self) -> Command {
        let mut command = self.cargo("build");
        command.args(["--package", "vmm-cli", "--bin", PROGRAM, "--features", "static-plugins"]);
        command
    }

    /// Copies the program, stripped, into this checkout's target folder and returns its place. The build folder's own
    /// copy is whatever checkout built last.
    fn take_program(&self, task: &Task, log: &Path) -> Result<PathBuf> {
        let dir = workspace::target_dir()?.join("powerpc");
        fs::create_dir_all(&dir).with_context(|| format!("Cannot make {}", dir.display()))?;
        let to = dir.join(PROGRAM);
        let mut strip = run::tool(&format!("{}strip", programs::CROSS));
        run::logged(strip.arg("-o").arg(&to).arg(self.built()), task, log)?;
        Ok(to)
    }

    /// Runs the tests of all crates that work on any host, under the emulator.
    pub(crate) fn test(&self) -> Command {
        let mut command = self.cargo("test");
        for package in TESTED {
            command.args(["--package", package]);
        }
        command.args(["--lib", "--tests", "--no-fail-fast", "--"]);
        command.args(LONG.iter().flat_map(|test| ["--skip", test])).env("PROPTEST_CASES", PROPERTY_CASES);
        command
    }

    /// Runs the microkernels on the program's engines, under the emulator.
    pub(crate) fn self_test(&self) -> Command {
        let mut command = Command::new(self.dir.join("usr/bin/qemu-ppc-static"));
        command.args(["-cpu", EMULATED_CPU]).arg(self.built()).arg("selftest");
        command
    }

    /// The program as cargo leaves it.
    fn built(&self) -> PathBuf {
        self.build.join("target").join(TRIPLE).join("release").join(PROGRAM)
    }
}

/// The library source's own lock file, which cargo wants.
fn library_source(dir: &Path) -> PathBuf {
    dir.join("usr/lib/rustlib/src/rust/library/Cargo.lock")
}

fn starter(dir: &Path, program: &str) -> PathBuf {
    dir.join(program)
}

/// Writes a script that finds the program's libraries relative to itself, because the entry is renamed when complete.
fn write_starter(dir: &Path, program: &str) -> Result<()> {
    let path = starter(dir, program);
    let multiarch = format!("{}-linux-gnu", std::env::consts::ARCH);
    let script = format!(
        "#!/bin/sh\nhere=$(dirname \"$(readlink -f \"$0\")\")\n\
         export LD_LIBRARY_PATH=\"$here/usr/lib/{multiarch}:$here/lib/{multiarch}\"\n\
         exec \"$here/usr/bin/{program}\" \"$@\"\n"
    );
    fs::write(&path, script).with_context(|| format!("Cannot write {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("Cannot make {} executable", path.display()))
}

/// Says so when the compiler is older than the workspace wants.
fn check_version(banner: &str) -> Result<()> {
    let wanted = minor(env!("CARGO_PKG_RUST_VERSION"));
    let found = banner.split_whitespace().nth(1).and_then(minor);
    if found.is_none() || found < wanted {
        bail!(
            "Debian's rustc-web is `{banner}`; the workspace needs {} or later (bookworm-security carries it: is it \
             among this machine's mirrors?)",
            env!("CARGO_PKG_RUST_VERSION")
        );
    }
    Ok(())
}

/// 96 for `1.96.0`.
fn minor(version: &str) -> Option<u32> {
    version.split('.').nth(1)?.parse().ok()
}

/// What to do where Debian's packages do not fit.
fn elsewhere() -> String {
    format!(
        "The compiler for {TRIPLE} is Debian 12's: {} from bookworm and bookworm-security, which a Debian machine's \
         own mirrors serve, run on that release or a later one with its libraries. On another system or release build \
         by hand with any nightly compiler that has rust-src and a powerpc-linux-gnu-gcc:\n  \
         CARGO_TARGET_POWERPC_UNKNOWN_LINUX_GNU_LINKER=powerpc-linux-gnu-gcc \
         CARGO_TARGET_POWERPC_UNKNOWN_LINUX_GNU_RUSTFLAGS='{RUSTFLAGS}' \\\n  \
         cargo +nightly build --release -Zbuild-std=std,panic_unwind --target {TRIPLE} -p vmm-cli --bin {PROGRAM} \
         --features static-plugins",
        PACKAGES.join(", ")
    )
}

fn size_of_tree(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for item in fs::read_dir(dir).with_context(|| format!("Cannot list {}", dir.display()))? {
        let item = item.with_context(|| format!("Cannot list {}", dir.display()))?;
        // A file may vanish while another run builds.
        let Ok(meta) = item.metadata() else { continue };
        bytes += if meta.is_dir() { size_of_tree(&item.path())? } else { meta.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_that_is_too_old_is_refused_by_name() {
        check_version("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)")
            .expect("new enough");
        let error = check_version("rustc 1.85.0").expect_err("too old").to_string();
        assert!(error.contains("rustc 1.85.0") && error.contains("bookworm-security"), "{error}");
        assert!(check_version("").is_err());
    }

    #[test]
    fn the_starter_finds_its_libraries_where_the_entry_lies() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let bin = dir.path().join("usr/bin");
        fs::create_dir_all(&bin).expect("a folder");
        fs::write(bin.join("rustc"), "#!/bin/sh\necho \"$LD_LIBRARY_PATH $1\"\n").expect("a script");
        fs::set_permissions(bin.join("rustc"), fs::Permissions::from_mode(0o755)).expect("permissions");
        write_starter(dir.path(), "rustc").expect("a starter");
        let said = run::output(Command::new(starter(dir.path(), "rustc")).arg("-vV")).expect("it runs");
        let root = fs::canonicalize(dir.path()).expect("a path");
        assert!(said.starts_with(&root.display().to_string()) && said.ends_with("-vV"), "{said}");
    }

    #[test]
    fn sizes_are_summed_over_folders() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(dir.path().join("sub")).expect("a folder");
        fs::write(dir.path().join("a"), [0; 10]).expect("a file");
        fs::write(dir.path().join("sub/b"), [0; 5]).expect("a file");
        assert_eq!(size_of_tree(dir.path()).expect("a sum"), 15);
    }
}
