//! `cargo xtask test`: every check of the project, one summary, one exit code.
//!
//! A step is one tool run whose output goes to a log; the terminal gets a line a step, and the end of the
//! log when it fails. Tests are counted from the test harness's own summary lines. A step that cannot run
//! here (no nightly compiler for fuzzing, say) is told as skipped with its reason, never counted as passed.

mod fuzz;
mod steps;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::images::{self, Images};
use crate::progress;
use crate::{KernelSource, SetupArgs, packages};
use steps::{Outcome, Report};

/// Options of `cargo xtask test`.
#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    setup: SetupArgs,
    /// Only format, lints, documentation and unit tests: no guest images, Linux boots or fuzzing
    #[arg(long)]
    quick: bool,
    /// Run only steps whose name contains one of these texts
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    only: Vec<String>,
    /// Seconds that each fuzz target runs
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    fuzz_seconds: u32,
}

/// Runs the steps; the last line on standard output is `N passed, N failed`.
pub(crate) fn test(args: &TestArgs) -> Result<ExitCode> {
    packages::require(&[packages::WORKSPACE], &args.setup)?;
    let wants_images = !args.quick && (wanted(args, steps::CONFORMANCE) || wanted(args, steps::SELF_TEST));
    if wants_images {
        // Asked for here, before the steps start, so that no question comes while they run.
        packages::require(&[packages::GUEST, packages::SOURCES], &args.setup)?;
    }
    let mut report = Report::default();
    let images = std::thread::scope(|scope| {
        // The kernel takes minutes and so do the lints: side by side neither waits for the other.
        let images =
            wants_images.then(|| scope.spawn(|| images::build(&args.setup, &KernelSource::default())));
        for step in steps::without_guest()? {
            if wanted(args, &step.name) {
                report.add(steps::run(&step, None)?);
            }
        }
        anyhow::Ok(images.map(|thread| {
            thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("The thread that builds images panicked")))
        }))
    })?;
    match images {
        None if args.quick => report.skip("guest", "--quick"),
        None => {}
        Some(Err(error)) => report.add(Outcome::failed("guest images", &format!("{error:#}"))),
        Some(Ok(images)) => with_guest(args, &images, &mut report)?,
    }
    if args.quick {
        report.skip("fuzzing", "--quick");
    } else {
        fuzz::run(args.fuzz_seconds, args.setup.install, |name| wanted(args, name), &mut report)?;
    }
    progress::finish();
    println!("{report}");
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn with_guest(args: &TestArgs, images: &Images, report: &mut Report) -> Result<()> {
    report.add(Outcome::passed("guest images"));
    for step in steps::with_guest()? {
        if wanted(args, &step.name) {
            report.add(steps::run(&step, Some(images))?);
        }
    }
    Ok(())
}

fn wanted(args: &TestArgs, step: &str) -> bool {
    args.only.is_empty() || args.only.iter().any(|text| step.contains(text.as_str()))
}
