//! `cargo xtask test`: every check of the project, one summary, one exit code.
//!
//! A step is one tool run whose output goes to a log; the terminal gets a line a step, and the end of the
//! log when it fails. Tests are counted from the test harness's own summary lines. A step that is
//! left out is told as skipped with its reason, never counted as passed.

mod fuzz;
mod steps;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::images::{self, Images};
use crate::progress;
use crate::{KernelSource, SetupArgs, cache, cross, packages};
use steps::{Outcome, Report, Step};

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
    let users = ["tests", "release build", steps::CONFORMANCE, steps::SELF_TEST];
    let wants_images = !args.quick && packages::is_debian() && users.iter().any(|step| wanted(args, step));
    if wants_images {
        // Asked for here, before the steps start, so that no question comes while they run.
        packages::require(&[packages::GUEST, packages::SOURCES], &args.setup)?;
    }
    let mut report = Report::default();
    let images = std::thread::scope(|scope| {
        // The kernel takes minutes and so do the lints: side by side neither waits for the other.
        let images =
            wants_images.then(|| scope.spawn(|| images::build(&args.setup, &KernelSource::default())));
        run_wanted(args, &steps::of_sources()?, None, &mut report)?;
        anyhow::Ok(images.map(|thread| {
            thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("The thread that builds images panicked")))
        }))
    })?;
    let images = match images {
        None => None,
        Some(Ok(images)) => {
            report.add(Outcome::passed("guest images"));
            Some(images)
        }
        Some(Err(error)) => {
            report.add(Outcome::failed("guest images", &format!("{error:#}")));
            None
        }
    };
    run_wanted(args, &steps::tests()?, images.as_ref(), &mut report)?;
    if args.quick {
        report.skip("Linux boots", "--quick");
    } else if !packages::is_debian() {
        report.skip("Linux boots", "guest images are built on Debian only");
    } else if images.is_some() {
        run_wanted(args, &steps::with_guest()?, images.as_ref(), &mut report)?;
    }
    on_powerpc(args, images.as_ref(), &mut report)?;
    if args.quick {
        report.skip("fuzzing", "--quick");
    } else {
        fuzz::run(args.fuzz_seconds, |name| wanted(args, name), &mut report)?;
    }
    progress::finish();
    println!("{report}");
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds for a PowerPC host and runs what came out under qemu-user.
fn on_powerpc(args: &TestArgs, images: Option<&Images>, report: &mut Report) -> Result<()> {
    const NAME: &str = "powerpc";
    if args.quick {
        report.skip(NAME, "--quick");
    } else if !packages::is_debian() {
        report.skip(NAME, "its compiler comes from Debian");
    } else if args.only.is_empty() || args.only.iter().any(|text| text.contains(NAME)) {
        packages::require(&[packages::CROSS], &args.setup)?;
        match cross::Tools::ensure(&cache::Cache::open()?, &args.setup) {
            Ok(tools) => run_wanted(args, &steps::on_powerpc(&tools), images, report)?,
            Err(error) => report.add(Outcome::failed("powerpc tools", &format!("{error:#}"))),
        }
    }
    Ok(())
}

fn run_wanted(args: &TestArgs, steps: &[Step], images: Option<&Images>, report: &mut Report) -> Result<()> {
    for step in steps.iter().filter(|step| wanted(args, &step.name)) {
        report.add(steps::run(step, images)?);
    }
    Ok(())
}

fn wanted(args: &TestArgs, step: &str) -> bool {
    args.only.is_empty() || args.only.iter().any(|text| step.contains(text.as_str()))
}
