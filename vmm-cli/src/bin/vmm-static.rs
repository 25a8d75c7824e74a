//! The program `vmm-static`: the same as `vmm` with a board and backends linked in, for hosts without dlopen.

use std::process::ExitCode;

fn main() -> ExitCode {
    vmm_cli::main(&[&board_bamboo::PLUGIN, &backend_interp::PLUGIN, &backend_kvm::PLUGIN])
}
