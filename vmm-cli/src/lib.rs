#![doc = include_str!("../README.md")]

mod cli;
mod clock;
mod command;
mod console;
mod control;
mod frontend;
mod host;
mod input;
mod log;
mod plugins;
mod ram;
mod registers;
mod selftest;
mod terminal;
mod tlb;
mod trace;
mod vcpu;
mod verdict;

use std::process::ExitCode;

use clap::Parser;
use vmm_plugin::abi::VmmPlugin;

pub use cli::Cli;

/// Runs the program on the process's arguments and returns its exit code. `linked` are plugins that this program
/// carries; they come before any that is found in files.
#[must_use]
pub fn main(linked: &[&'static VmmPlugin]) -> ExitCode {
    // Usage errors print themselves and exit with 2.
    let cli = Cli::parse();
    if let Err(error) = cli.check() {
        error.exit();
    }
    command::run(cli, linked)
}
