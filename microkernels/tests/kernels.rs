//! The table of kernels and the reading of reports.

use std::collections::BTreeSet;

use microkernels::{Outcome, Report};

#[test]
fn every_kernel_is_a_big_endian_powerpc_executable_with_a_summary() {
    assert!(!microkernels::all().is_empty());
    for kernel in microkernels::all() {
        assert_eq!(&kernel.image[..6], b"\x7FELF\x01\x02", "{}", kernel.name);
        assert_eq!(&kernel.image[16..20], [0, 2, 0, 20], "{}", kernel.name);
        assert!(kernel.summary.len() > 20, "{}: a summary says what is checked", kernel.name);
        assert!(kernel.checks > 0, "{}", kernel.name);
        assert!((kernel.qemu.differs.len() as u32) <= kernel.checks, "{}", kernel.name);
        assert!(
            kernel.qemu.differs.iter().all(|d| d.reason.len() > 20),
            "{}: reasons are sentences",
            kernel.name
        );
    }
}

#[test]
fn names_are_unique_and_sorted() {
    let names: Vec<_> = microkernels::all().iter().map(|k| k.name).collect();
    let sorted: Vec<_> = names.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    assert_eq!(names, sorted);
}

#[test]
fn a_report_ignores_lines_of_others_and_keeps_details() {
    let report = Report::parse("U-Boot 1.0\r\nok a\r\nFAIL b got=00000001 want=00000002 in CR\r\ndone 2\r\n");
    assert_eq!(report.done, Some(2));
    assert_eq!(report.checks[0].outcome, Outcome::Ok);
    assert_eq!(report.checks[1].outcome, Outcome::Failed("got=00000001 want=00000002 in CR".into()));
}

#[test]
fn every_deviation_from_what_is_expected_is_a_problem() {
    let kernel = microkernels::Microkernel { checks: 3, ..microkernels::all()[0] };
    let report = Report::parse("ok a\nFAIL b got=1 want=2\nok c\ndone 3\n");
    assert_eq!(report.problems(&kernel, ["b"]), [""; 0]);
    assert_eq!(report.problems(&kernel, []), ["b failed: got=1 want=2"]);
    assert_eq!(report.problems(&kernel, ["b", "c"]), ["c passed, but is listed as failing"]);
    assert_eq!(report.problems(&kernel, ["b", "d"]), ["d is listed as failing, but was not reported"]);
    assert_eq!(report.problems(&kernel, ["?b", "?c"]), [""; 0]);
    let cut = Report::parse("ok a\nok a\n");
    assert_eq!(cut.problems(&kernel, []), ["a reported twice", "did not finish; 2 checks were reported"]);
    let short = Report::parse("ok a\nok b\ndone 2\n");
    assert_eq!(short.problems(&kernel, []), ["counts 2 checks, reported 2, should have 3"]);
}
