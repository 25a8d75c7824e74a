//! Every microkernel on every usable backend, on the Bamboo board, through the `vmm` program and its plugins.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use conformance::vmm;
use microkernels::Report;

#[test]
fn every_usable_backend_passes_every_check() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut problems = String::new();
    for backend in vmm::backends() {
        for kernel in microkernels::all() {
            let image = folder.path().join(format!("{}.elf", kernel.name));
            std::fs::write(&image, kernel.image).expect("an image file");
            let mut command: Command = vmm::guest(&backend, &image);
            command.args(["--timeout", "60"]);
            let finished = vmm::run(&mut command, Duration::from_secs(90));
            let code = finished.status.and_then(|status| status.code());
            if code != Some(0) {
                let _ =
                    writeln!(problems, "{backend}, {}: exit code {code:?}: {}", kernel.name, finished.stderr);
            }
            for problem in Report::parse(&finished.stdout).problems(kernel, []) {
                let _ = writeln!(problems, "{backend}, {}: {problem}", kernel.name);
            }
        }
    }
    assert!(problems.is_empty(), "{problems}");
}

#[test]
fn icount_runs_of_every_kernel_are_identical_to_the_byte() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for kernel in microkernels::all() {
        let image = folder.path().join(format!("{}.elf", kernel.name));
        std::fs::write(&image, kernel.image).expect("an image file");
        let run = || {
            let mut command = vmm::guest("interp", &image);
            command.args(["--clock", "icount", "--timeout", "60", "--stats", "json"]);
            let finished = vmm::run(&mut command, Duration::from_secs(90));
            assert_eq!(
                finished.status.and_then(|s| s.code()),
                Some(0),
                "{}: {}",
                kernel.name,
                finished.stderr
            );
            (finished.stdout, retired(&finished.stderr))
        };
        assert_eq!(run(), run(), "{}", kernel.name);
    }
}

/// The number of retired instructions in the statistics.
fn retired(stats: &str) -> Option<u64> {
    let after = stats.split("\"retired\":").nth(1)?.trim_start();
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
