//! Valgrind's programs for 32-bit PowerPC, run in the guest, against the results that its authors recorded. They are
//! the judge from outside for user-level instructions. Neither the programs nor the records are part of this
//! project: `cargo xtask images` fetches and builds them. Every line that differs must be explained here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use conformance::vmm;

const LIMIT: Duration = Duration::from_secs(600);

/// Why lines of a program differ from the record.
struct Explanation {
    program: &'static str,
    /// Holds for a pair of lines (recorded, ours) that may differ for this reason.
    covers: fn(&str, &str) -> bool,
    reason: &'static str,
}

/// Programs that use instructions which the 440 lacks: they end with SIGILL.
const NOT_ON_A_440: [(&str, &str); 3] = [
    ("power5+_round", "frin, friz, frip and frim came with POWER5+"),
    ("power6_bcmp", "fcpsgn and the byte comparison came with POWER6"),
    ("test_gx", "fre came with POWER5"),
];
/// 128 + SIGILL, as the shell reports it.
const SIGILL: i32 = 132;

/// A program that asserts that the time base has passed 2^32 ticks since power-on: eleven seconds on this board,
/// and a guest may be there sooner. It then aborts without a word.
const NEEDS_ELEVEN_SECONDS: &str = "bug139050-ppc32";
/// 128 + SIGABRT.
const SIGABRT: i32 = 134;

const EXPLANATIONS: [Explanation; 3] = [
    Explanation {
        program: "mcrfs",
        // "0x7 -> 0xf3ffffff": mcrfs of the last field; ours has all four bits where the record has two.
        covers: |recorded, ours| {
            let value = |line: &str| {
                let (given, read) = line.split_once(" -> 0x")?;
                let given = u32::from_str_radix(given.strip_prefix("0x")?, 16).ok()?;
                Some((given, u32::from_str_radix(read, 16).ok()?))
            };
            let (Some((given, theirs)), Some((same, ours))) = (value(recorded), value(ours)) else {
                return false;
            };
            given == same && theirs >> 24 & 0xF == given & 3 && ours >> 24 & 0xF == given
        },
        reason: "the record was made by valgrind's own emulation, which keeps only RN of FPSCR's last field; the \
                 architecture keeps XE and NI too",
    },
    Explanation {
        program: "mftocrf",
        covers: |_, ours| ours == "0x0000002a",
        reason: "built for a 440, which lacks mtocrf and mfocrf, the program prints 42 instead",
    },
    Explanation {
        program: "test_fx",
        // fsqrts of 2e-200 and 5e100: the root lies outside single precision's range.
        covers: |recorded, ours| {
            let operand = |line: &str| Some(line.strip_prefix("fsqrts ")?.split_once(" -> ")?.0.to_owned());
            operand(recorded).is_some()
                && operand(recorded) == operand(ours)
                && matches!(operand(ours).as_deref(), Some("2.000000e-200" | "5.000000e+100"))
        },
        reason: "the operand of a single-precision instruction must be representable in single precision; where it \
                 is not, results are undefined, and ours rounds to single",
    },
];

/// What a program printed in the guest, and its exit status.
struct Printed {
    lines: Vec<String>,
    status: i32,
}

/// Cuts the console into programs.
fn programs(console: &str) -> BTreeMap<String, Printed> {
    let mut found = BTreeMap::new();
    let mut open: Option<(String, Vec<String>)> = None;
    for line in console.lines().map(|l| l.trim_end_matches('\r')) {
        if let Some(name) = line.strip_prefix("valgrind: ").and_then(|l| l.strip_suffix(": begin")) {
            open = Some((name.to_owned(), vec![]));
            continue;
        }
        let Some((name, lines)) = &mut open else { continue };
        let end = line.strip_prefix(&format!("valgrind: {name}: end ")).and_then(|s| s.trim().parse().ok());
        if let Some(status) = end {
            found.insert(name.clone(), Printed { lines: std::mem::take(lines), status });
            open = None;
        } else {
            lines.push(line.to_owned());
        }
    }
    found
}

/// Where two outputs differ, as pairs of lines; the shorter one is filled up with nothing.
fn differing(recorded: &[&str], ours: &[String]) -> Vec<(String, String)> {
    (0..recorded.len().max(ours.len()))
        .map(|n| {
            let left = recorded.get(n).copied().unwrap_or_default().trim_end().to_owned();
            (left, ours.get(n).map(|l| l.trim_end().to_owned()).unwrap_or_default())
        })
        .filter(|(left, right)| left != right)
        .collect()
}

/// The unexplained differences of one program.
fn judge(name: &str, printed: &Printed, folder: &Path) -> Vec<String> {
    if let Some((_, why)) = NOT_ON_A_440.iter().find(|(program, _)| *program == name) {
        if printed.status == SIGILL {
            return vec![];
        }
        return vec![format!("{name} should end with SIGILL ({why}), but ended with {}", printed.status)];
    }
    if name == NEEDS_ELEVEN_SECONDS && printed.status == SIGABRT && printed.lines.is_empty() {
        return vec![];
    }
    let mut best: Option<Vec<(String, String)>> = None;
    for entry in fs::read_dir(folder.join("expected")).expect("the folder of records") {
        let path = entry.expect("a record").path();
        let file = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        // Several records: results that differ between processors.
        if file.strip_prefix(name).is_some_and(|rest| rest.starts_with(".stdout.exp")) {
            let text = fs::read(&path).expect("a readable record");
            let text = String::from_utf8_lossy(&text);
            let found = differing(&text.lines().collect::<Vec<_>>(), &printed.lines);
            if best.as_ref().is_none_or(|b| found.len() < b.len()) {
                best = Some(found);
            }
        }
    }
    let Some(found) = best else { return vec![format!("{name} has no record")] };
    let mut problems = vec![];
    if printed.status != 0 {
        problems.push(format!("{name} ended with {}", printed.status));
    }
    for (recorded, ours) in found {
        let explained = EXPLANATIONS.iter().any(|e| e.program == name && (e.covers)(&recorded, &ours));
        if !explained {
            problems.push(format!("{name}: recorded \"{recorded}\", ours \"{ours}\""));
        }
    }
    problems
}

#[test]
fn every_difference_from_recorded_results_is_explained() {
    let (Some(kernel), Some(initrd), Some(folder)) = (
        vmm::image("VMM_TEST_VMLINUX"),
        vmm::image("VMM_TEST_VALGRIND_INITRD"),
        vmm::image("VMM_TEST_VALGRIND_DIR"),
    ) else {
        return;
    };
    let list = fs::read_to_string(folder.join("list")).expect("the list of programs");
    for backend in vmm::backends() {
        let mut command = vmm::guest(&backend, &kernel);
        command.arg("--initrd").arg(&initrd);
        command.args(["--append", "console=ttyS0 rdinit=/init vmmtest=valgrind"]);
        command.args(["--timeout", &LIMIT.as_secs().to_string()]);
        let finished = vmm::run(&mut command, LIMIT + Duration::from_secs(30));
        assert_eq!(finished.status.and_then(|s| s.code()), Some(0), "{backend}: {}", finished.stderr);
        let printed = programs(&finished.stdout);
        let mut problems = vec![];
        for name in list.lines().filter_map(|line| line.split_whitespace().next()) {
            match printed.get(name) {
                Some(printed) => problems.extend(judge(name, printed, &folder)),
                None => problems.push(format!("{name} did not run to its end")),
            }
        }
        let shown = problems.len().min(60);
        assert!(
            problems.is_empty(),
            "On {backend}, {} lines differ without an explanation:\n{}",
            problems.len(),
            problems[..shown].join("\n")
        );
    }
    for Explanation { program, reason, .. } in EXPLANATIONS {
        println!("{program}: differs because {reason}");
    }
}
