//! The steps of the suite, their runs, and the counting.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cross::Tools;
use crate::images::Images;
use crate::progress::{self, Task};
use crate::{run, workspace};

/// The crate that boots Linux and compares engines.
pub(crate) const CONFORMANCE: &str = "conformance";
/// The program's own test command.
pub(crate) const SELF_TEST: &str = "vmm selftest";

/// One check: a command with a name.
pub(crate) struct Step {
    pub(crate) name: String,
    command: Command,
    /// Whether the output carries the test harness's summary lines.
    counts_tests: bool,
}

impl Step {
    fn new(name: &str, command: Command) -> Self {
        Self { name: name.to_owned(), command, counts_tests: false }
    }

    fn counting(mut self) -> Self {
        self.counts_tests = true;
        self
    }
}

/// What became of a step.
pub(crate) struct Outcome {
    name: String,
    /// Checks that passed and failed; a step without tests of its own is one check.
    passed: usize,
    failed: usize,
    ignored: usize,
    took: Duration,
    /// Why it failed, for the summary.
    reason: String,
}

impl Outcome {
    /// A check outside the steps that went well.
    pub(crate) fn passed(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            passed: 1,
            failed: 0,
            ignored: 0,
            took: Duration::ZERO,
            reason: String::new(),
        }
    }

    /// A check outside the steps that failed.
    pub(crate) fn failed(name: &str, reason: &str) -> Self {
        Self { passed: 0, failed: 1, reason: reason.to_owned(), ..Self::passed(name) }
    }
}

/// All outcomes; its text is the summary.
#[derive(Default)]
pub(crate) struct Report {
    outcomes: Vec<Outcome>,
    skipped: Vec<(String, String)>,
}

impl Report {
    pub(crate) fn add(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
    }

    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        progress::line(&format!("skip {name}: {reason}"));
        self.skipped.push((name.to_owned(), reason.to_owned()));
    }

    /// Something ran and nothing failed.
    pub(crate) fn is_good(&self) -> bool {
        !self.outcomes.is_empty() && self.outcomes.iter().all(|outcome| outcome.failed == 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        let sum = |count: fn(&Outcome) -> usize| self.outcomes.iter().map(count).sum::<usize>();
        for outcome in &self.outcomes {
            let verdict = if outcome.failed == 0 { "ok    " } else { "FAILED" };
            write!(f, "{verdict} {:<34}", outcome.name)?;
            write!(f, " {:>5} passed {:>3} failed", outcome.passed, outcome.failed)?;
            if outcome.ignored > 0 {
                write!(f, " {:>3} ignored", outcome.ignored)?;
            }
            writeln!(f, "  {}", progress::seconds(outcome.took))?;
        }
        for (name, reason) in &self.skipped {
            writeln!(f, "skip   {name:<34} {reason}")?;
        }
        for outcome in self.outcomes.iter().filter(|outcome| !outcome.reason.is_empty()) {
            writeln!(f, "{}: {}", outcome.name, outcome.reason)?;
        }
        write!(f, "{} passed, {} failed", sum(|outcome| outcome.passed), sum(|outcome| outcome.failed))
    }
}

/// Checks of the sources.
pub(crate) fn of_sources() -> Result<Vec<Step>> {
    let mut steps = vec![
        Step::new("format", cargo(&["fmt", "--all", "--check", "--", "--color", "never"])),
        Step::new("lints", cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
    ];
    let mut doc = cargo(&["doc", "--workspace", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    steps.push(Step::new("documentation", doc));
    // In a workspace build every crate sees the union of all features; alone it must build with its own.
    for package in packages_of_workspace()? {
        steps.push(Step::new(
            &format!("alone {package}"),
            cargo(&["check", "--quiet", "--package", &package, "--all-targets"]),
        ));
    }
    Ok(steps)
}

/// Tests of all crates but conformance, with the images if they are there, and of crates outside.
pub(crate) fn tests() -> Result<Vec<Step>> {
    let tests = ["test", "--workspace", "--exclude", CONFORMANCE, "--no-fail-fast"];
    let mut steps = vec![Step::new("tests", cargo(&tests)).counting()];
    for manifest in outside_examples() {
        let path = workspace::root().join(manifest);
        let mut command = cargo(&["test"]);
        // Its own lock file; a part of the shared target folder of its own.
        command.current_dir(path.parent().unwrap_or(&path)).arg("--target-dir");
        command.arg(workspace::target_dir()?.join("standalone"));
        steps.push(Step::new(&format!("standalone {manifest}"), command).counting());
    }
    Ok(steps)
}

/// Checks on the guest images, in release mode: they execute thousands of millions of guest instructions.
pub(crate) fn with_guest() -> Result<Vec<Step>> {
    let mut selftest = Command::new(workspace::target_dir()?.join("release/vmm"));
    selftest.arg("selftest");
    Ok(vec![
        Step::new("release build", cargo(&["build", "--release", "--workspace"])),
        Step::new(SELF_TEST, selftest).counting(),
        Step::new(CONFORMANCE, cargo(&["test", "--release", "--package", CONFORMANCE, "--no-fail-fast"]))
            .counting(),
    ])
}

/// Checks on a big-endian host with 32-bit pointers, under qemu-user.
pub(crate) fn on_powerpc(tools: &Tools) -> Vec<Step> {
    vec![
        Step::new("powerpc build", tools.build_program()),
        Step::new("powerpc vmm selftest", tools.self_test()).counting(),
        Step::new("powerpc tests", tools.test()).counting(),
    ]
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = workspace::cargo();
    command.args(arguments);
    command
}

fn packages_of_workspace() -> Result<Vec<String>> {
    let metadata = run::output(workspace::cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).context("cargo metadata is no JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let mut names: Vec<String> =
        packages.iter().filter_map(|package| package["name"].as_str()).map(str::to_owned).collect();
    names.sort();
    Ok(names)
}

/// Crates outside the workspace that show its use by others.
fn outside_examples() -> impl Iterator<Item = &'static str> {
    ["mmu-core/examples/standalone/Cargo.toml"]
        .into_iter()
        .filter(|manifest| workspace::root().join(manifest).is_file())
}

/// Runs one step to its end.
///
/// # Errors
/// Only when the step could not be run at all; a failing check is an [`Outcome`].
pub(crate) fn run(step: &Step, images: Option<&Images>) -> Result<Outcome> {
    let log =
        workspace::log(&format!("test-{}", step.name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")))?;
    run::fresh_log(&log)?;
    let task = Task::new(&step.name);
    let started = Instant::now();
    let mut command = copy_of(&step.command);
    if let Some(images) = images {
        images.apply(&mut command);
    }
    let verdict = run::logged(&mut command, &task, &log);
    drop(task);
    let took = started.elapsed();
    let output = fs::read(&log).with_context(|| format!("Cannot read {}", log.display()))?;
    let (mut passed, mut failed, ignored) =
        if step.counts_tests { count_tests(&String::from_utf8_lossy(&output)) } else { (0, 0, 0) };
    let mut reason = String::new();
    match verdict {
        Ok(()) if !step.counts_tests => passed = 1,
        Ok(()) => {}
        Err(error) => {
            // A test binary that does not compile or dies counts, too.
            failed = failed.max(1);
            reason = first_failures(&String::from_utf8_lossy(&output), &log);
            progress::line(&format!("FAILED {}: {error:#}", step.name));
        }
    }
    if failed == 0 {
        progress::line(&format!("ok {} ({})", step.name, progress::seconds(took)));
    }
    Ok(Outcome { name: step.name.clone(), passed, failed, ignored, took, reason })
}

/// A command cannot be cloned, and a step may be shared.
fn copy_of(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        copy.current_dir(dir);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => copy.env(name, value),
            None => copy.env_remove(name),
        };
    }
    copy
}

/// Sums the lines `test result: ok. 3 passed; 0 failed; 1 ignored; ...`, and `370 checks in 2.0 s, 0 problems` of
/// `vmm selftest`.
fn count_tests(output: &str) -> (usize, usize, usize) {
    let mut sums = (0, 0, 0);
    for line in output.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [checks, "checks", "in", _, "s,", problems, "problems"] = words[..]
            && let (Ok(checks), Ok(problems)) = (checks.parse::<usize>(), problems.parse::<usize>())
        {
            sums.0 += checks.saturating_sub(problems);
            sums.1 += problems;
        }
    }
    for line in output.lines().filter_map(|line| line.trim().strip_prefix("test result:")) {
        let count = |what: &str| -> usize {
            line.split([';', '.'])
                .filter_map(|part| part.trim().strip_suffix(what))
                .find_map(|number| number.trim().parse().ok())
                .unwrap_or(0)
        };
        sums.0 += count("passed");
        sums.1 += count("failed");
        sums.2 += count("ignored");
    }
    sums
}

/// The names of failed tests, what cargo says of test binaries that died, and where to read more.
fn first_failures(output: &str, log: &Path) -> String {
    let names: Vec<&str> = output.lines().filter_map(failure).take(20).collect();
    let names = if names.is_empty() { "see its log".to_owned() } else { names.join(", ") };
    format!("{names} ({})", log.display())
}

/// What failed, if a line of a test run says it. A binary that dies has no line for the test that did it, but cargo tells
/// its name and the signal.
fn failure(line: &str) -> Option<&str> {
    if let Some(test) = line.strip_prefix("test ") {
        return test.strip_suffix(" ... FAILED");
    }
    let line = line.trim_start();
    let died = line.starts_with("process didn't exit successfully") && line.contains("(signal:");
    (died || line.starts_with("memory allocation of")).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_summed_over_all_test_binaries() {
        let output = "running 3 tests\ntest a ... ok\n\
                      test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
                      test result: FAILED. 10 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(count_tests(output), (12, 3, 1));
        assert_eq!(count_tests("alignment  4 ok\n370 checks in 2.0 s, 1 problems\n"), (369, 1, 0));
    }

    #[test]
    fn the_summary_ends_with_one_plain_line_and_failures_make_it_bad() {
        let mut report = Report::default();
        assert!(!report.is_good(), "nothing ran, so nothing is proved");
        report.add(Outcome::passed("a"));
        assert!(report.is_good());
        assert_eq!(report.to_string().lines().last(), Some("1 passed, 0 failed"));
        report.add(Outcome::failed("b", "broken"));
        assert!(!report.is_good());
        let text = report.to_string();
        assert_eq!(text.lines().last(), Some("1 passed, 1 failed"));
        assert!(text.contains("b: broken"));
    }

    #[test]
    fn failed_tests_are_named() {
        let output = "test x::y ... FAILED\ntest z ... ok\n";
        assert_eq!(first_failures(output, Path::new("/l")), "x::y (/l)");
    }

    #[test]
    fn a_test_binary_that_died_is_named() {
        let died = "process didn't exit successfully: `emulator deps/board-1` (signal: 11, SIGSEGV: invalid memory reference)";
        let output = format!(
            "running 2 tests\ntest z ... ok\nerror: test failed, to rerun pass `-p board`\n\nCaused by:\n  {died}\n"
        );
        assert_eq!(first_failures(&output, Path::new("/l")), format!("{died} (/l)"));
    }
}
