//! The program `vmm`: loads its backends and boards as plugins.

use std::process::ExitCode;

fn main() -> ExitCode {
    vmm_cli::main(&[])
}
