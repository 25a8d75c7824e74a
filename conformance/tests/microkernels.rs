//! Every microkernel on the bare core with both of its drivers, and under QEMU with the differences pinned.

use std::fmt::Write as _;
use std::time::Duration;

use conformance::bare::{self, Driver};
use conformance::qemu;
use microkernels::{Microkernel, Report};
use ppc440_core::core::Stop;

/// Kernels that need a board: the bare core has no interrupt controller.
const NEED_A_BOARD: [&str; 1] = ["uic"];

/// Far more than the longest kernel takes.
const BUDGET: u64 = 200_000_000;

fn bare_core(driver: Driver) {
    let mut problems = String::new();
    for kernel in microkernels::all().iter().filter(|k| !NEED_A_BOARD.contains(&k.name)) {
        let outcome = bare::run(kernel, driver, BUDGET);
        if outcome.stop != Some(Stop::Reset(3)) {
            let _ = writeln!(
                problems,
                "{}: ended with {:?} instead of a system reset",
                kernel.name, outcome.stop
            );
        }
        tell(&mut problems, kernel, &Report::parse(&outcome.console).problems(kernel, []));
    }
    assert!(problems.is_empty(), "On the bare core, {driver:?}:\n{problems}");
}

fn tell(problems: &mut String, kernel: &Microkernel, found: &[String]) {
    for problem in found {
        let _ = writeln!(problems, "{}: {problem}", kernel.name);
    }
}

#[test]
fn the_bare_core_passes_every_check_when_stepped() {
    bare_core(Driver::Step);
}

#[test]
fn the_bare_core_passes_every_check_when_run_with_caches() {
    bare_core(Driver::Run);
}

#[test]
fn qemu_passes_every_check_but_those_it_is_known_to_fail() {
    let Some(program) = qemu::program() else {
        println!("skipped: VMM_TEST_QEMU does not name a qemu-system-ppc");
        return;
    };
    let mut problems = String::new();
    for kernel in microkernels::all() {
        match qemu::run(&program, kernel.image, Duration::from_secs(60)) {
            Ok(console) => {
                let expected = kernel.qemu.differs.iter().map(|d| d.check);
                tell(&mut problems, kernel, &Report::parse(&console).problems(kernel, expected));
            }
            Err(message) => tell(&mut problems, kernel, &[message]),
        }
    }
    assert!(problems.is_empty(), "Under QEMU:\n{problems}");
}
