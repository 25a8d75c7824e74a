//! `cargo xtask`: what a developer of the project runs.
//!
//! It builds the guest (kernel, root file systems, test programs) from Debian's sources, boots it, runs
//! every check, and measures against QEMU. It depends on no other crate of the workspace, so that it works
//! while any of them is broken. Everything it makes lies in a cache outside the target folder, see
//! [`cache`]; the README lists the layout and the environment variables that tests read.

mod apt;
mod bench;
mod boot;
mod busybox;
mod cache;
mod cross;
mod images;
mod initramfs;
mod kernel;
mod packages;
mod programs;
mod progress;
mod qemu;
mod run;
mod suite;
mod valgrind;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

/// Command line of `cargo xtask`.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Boot the guest kernel in the VMM on this terminal, building whatever is missing
    Boot(boot::BootArgs),
    /// Build the guest images (kernel, root file systems, test programs) and print where they are
    Images {
        #[command(flatten)]
        setup: SetupArgs,
        #[command(flatten)]
        source: KernelSource,
    },
    /// Print the images' places as shell commands: eval "$(cargo xtask env)"
    Env {
        #[command(flatten)]
        setup: SetupArgs,
        #[command(flatten)]
        source: KernelSource,
    },
    /// Run every check: format, lints, documentation, tests, Linux boots, bounded fuzzing
    Test(suite::TestArgs),
    /// Fetch QEMU 10, the peer of tests and benchmarks, and print its path
    Qemu {
        #[command(flatten)]
        setup: SetupArgs,
    },
    /// Build vmm-static for a host of another architecture and print its place and size
    Cross(cross::CrossArgs),
    /// Measure boot time and work inside the guest, QEMU and the VMM in turn
    Bench(bench::BenchArgs),
}

/// How missing things are obtained.
#[derive(Args, Clone, Debug, Default)]
struct SetupArgs {
    /// Install missing Debian packages without asking (also when CI=true)
    #[arg(long)]
    install: bool,
}

/// Where the kernel source comes from.
#[derive(Args, Clone, Debug, Default)]
struct KernelSource {
    /// Build this Linux source tree instead of Debian's linux-source-6.1
    #[arg(long, value_name = "DIR")]
    kernel_source: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = dispatch(cli.command);
    progress::finish();
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::Boot(args) => boot::boot(&args),
        Command::Images { setup, source } => {
            let images = images::build(&setup, &source)?;
            progress::finish();
            print!("{}", images.listing());
            Ok(ExitCode::SUCCESS)
        }
        Command::Env { setup, source } => {
            let images = images::build(&setup, &source)?;
            progress::finish();
            print!("{}", images.exports());
            Ok(ExitCode::SUCCESS)
        }
        Command::Test(args) => suite::test(&args),
        Command::Qemu { setup } => {
            let peer = qemu::ensure(&cache::Cache::open()?, &setup)?;
            progress::finish();
            println!("{}", peer.program.display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Cross(args) => cross::cross(&args),
        Command::Bench(args) => bench::bench(&args),
    }
}
