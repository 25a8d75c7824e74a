//! A microkernel's console output, read back. Each check is a line `ok NAME` or `FAIL NAME got=XXXXXXXX
//! want=XXXXXXXX` with an optional detail; `done N` says how many there were. Other lines, such as a boot
//! loader's, are passed over.

use std::collections::BTreeSet;

use crate::Microkernel;

/// Names of checks that report nothing when they pass begin so: what they wait for ends the run.
const EXTRA: &str = "only-on-failure/";

/// What a microkernel printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The checks in the order of their lines.
    pub checks: Vec<Check>,
    /// The number behind `done`; None if the run did not get that far.
    pub done: Option<u32>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name, unique within the microkernel.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Ok,
    /// With the values and details of the `FAIL` line.
    Failed(String),
}

impl Report {
    /// Reads console output.
    #[must_use]
    pub fn parse(console: &str) -> Self {
        let mut report = Self::default();
        for line in console.lines().map(|line| line.trim_end_matches('\r')) {
            if let Some(name) = line.strip_prefix("ok ") {
                report.checks.push(Check { name: name.to_owned(), outcome: Outcome::Ok });
            } else if let Some(rest) = line.strip_prefix("FAIL ") {
                let (name, detail) = rest.split_once(' ').unwrap_or((rest, ""));
                let outcome = Outcome::Failed(detail.to_owned());
                report.checks.push(Check { name: name.to_owned(), outcome });
            } else if let Some(count) = line.strip_prefix("done ").and_then(|n| n.parse().ok()) {
                report.done = Some(count);
            }
        }
        report
    }

    /// Everything that is not as it should be when the checks named in `expected_failures` are to fail and all
    /// others to pass, one sentence each; empty if all is well. A name that begins with `?` may go either way.
    pub fn problems<'a>(
        &self,
        kernel: &Microkernel,
        expected_failures: impl IntoIterator<Item = &'a str>,
    ) -> Vec<String> {
        let (either, expected): (BTreeSet<&str>, BTreeSet<&str>) =
            expected_failures.into_iter().partition(|name| name.starts_with('?'));
        let either: BTreeSet<&str> = either.iter().map(|name| &name[1..]).collect();
        let mut problems = vec![];
        let mut seen = BTreeSet::new();
        for check in &self.checks {
            if !seen.insert(check.name.as_str()) {
                problems.push(format!("{} reported twice", check.name));
            }
            match (&check.outcome, expected.contains(check.name.as_str())) {
                _ if either.contains(check.name.as_str()) => {}
                (Outcome::Failed(detail), false) => problems.push(format!("{} failed: {detail}", check.name)),
                (Outcome::Ok, true) => {
                    problems.push(format!("{} passed, but is listed as failing", check.name))
                }
                _ => {}
            }
        }
        for name in expected.difference(&seen) {
            problems.push(format!("{name} is listed as failing, but was not reported"));
        }
        let checks = kernel.checks as usize + expected.iter().filter(|name| name.starts_with(EXTRA)).count();
        match self.done {
            None => problems.push(format!("did not finish; {} checks were reported", self.checks.len())),
            Some(count) if count as usize != self.checks.len() || count as usize != checks => problems
                .push(format!("counts {count} checks, reported {}, should have {checks}", self.checks.len())),
            Some(_) => {}
        }
        problems
    }
}
