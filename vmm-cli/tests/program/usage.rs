//! Wrong usage: exit code 2 and a sentence; files that are not there: exit code 1.

use crate::toy::*;

#[test]
fn wrong_values_are_refused_with_the_way_out() {
    let guest = Guest::new(b"", HALT);
    for (flag, value, hint) in [
        ("--memory", "lots", "for example 128M"),
        ("--memory", "0", "some memory"),
        ("--memory", "-1M", "for example 128M"),
        ("--memory", "5000", "pages of 4K"),
        ("--memory", "99999999999G", "more than an address can hold"),
        ("--load-address", "0x1000000000", "36 bits"),
        ("--strap", "boot", "NAME=VALUE"),
        ("--serial0", "usb", "stdio, pty, file:PATH"),
        ("--serial1", "tcp:nowhere", "tcp:HOST:PORT"),
        ("--serial2", "file:", "file:PATH"),
        ("--timeout", "-3", "positive number of seconds"),
        ("--exit-when", "ok", "REGEX=CODE"),
        ("--exit-when", "ok=256", "0 to 255"),
        ("--exit-when", "(=1", "regex"),
        ("--exit-when", "=1", "empty"),
        ("--clock", "sun", "icount"),
        ("--tlb-policy", "best", "round-robin, sparing, clock, lru, plru, random"),
        ("--shadow-size", "0", "1..=65535"),
        ("--shadow-size", "65536", "1..=65535"),
        ("--trace", "tlb:", "tlb:FILE"),
        ("--trace", "soup:file", "blocks:FILE"),
        ("--record-input", "file", "--clock icount"),
        ("--replay-input", "file", "--clock icount"),
        ("--on-reset", "maybe", "reboot"),
    ] {
        let ended = end(run(&guest).arg(format!("{flag}={value}"))).with(2).says(hint);
        assert!(ended.stdout.is_empty(), "{flag} {value}");
    }
    end(run(&guest).args(["--log", "what=ever=no"])).with(2);
    end(vmm().arg("run")).with(2).says("--kernel");
    end(&mut vmm()).with(2);
}

#[test]
fn help_teaches_with_examples() {
    let help = end(vmm().arg("--help")).with(0).stdout;
    assert!(help.contains("vmm run --kernel vmlinux --initrd"), "{help}");
    let help = end(vmm().args(["run", "--help"])).with(0).stdout;
    for text in ["Exit codes:", "Ctrl-A x", "unix:PATH", "--exit-when <REGEX=CODE>"] {
        assert!(help.contains(text), "{text} is not in {help}");
    }
}

#[test]
fn missing_files_are_named() {
    let guest = Guest::new(b"", HALT);
    let mut command = vmm();
    command.args(["run", "--board", "toy", "--backend", "toy", "--kernel", "/nowhere/vmlinux"]);
    end(&mut command).with(1).says("Cannot read /nowhere/vmlinux: No such file");
    end(run(&guest).args(["--initrd", "/nowhere/rd"])).with(1).says("Cannot read /nowhere/rd");
    end(run(&guest).args(["--dtb", "/nowhere/dtb"])).with(1).says("Cannot read /nowhere/dtb");
    end(run(&guest).args(["--serial1", "file:/nowhere/log"])).with(1).says("Cannot create /nowhere/log");
}

#[test]
fn what_a_board_refuses_is_told() {
    end(run(&Guest::new(&[b'x'; 5000], HALT)).args(["--memory", "4K"]))
        .with(1)
        .says("The kernel is larger than RAM");
}

#[test]
fn engines_refuse_what_they_cannot_do_to_a_tlb() {
    let guest = Guest::new(b"", HALT);
    for option in ["--tlb-policy=lru", "--shadow-size=64"] {
        end(run(&guest).arg(option)).with(1).says("Backend toy cannot drop single pages");
    }
    end(run(&guest).arg("--trace=tlb:/nowhere/trace")).with(1).says("This backend cannot record `tlb`");
}

#[test]
fn two_ports_cannot_share_the_terminal() {
    end(run(&Guest::new(b"", HALT)).args(["--serial1", "stdio"])).with(1).says("Only one serial port");
}

#[test]
fn a_selftest_that_cannot_work_says_why() {
    end(vmm().args(["selftest", "--board", "toy", "--only", "soup"]))
        .with(1)
        .says("There is no microkernel `soup`; there is");
    // The toy is no 440: every check is missing, and the exit code says so.
    let ended = end(vmm().args(["selftest", "--board", "toy", "--only", "integer"])).with(1);
    assert!(ended.stdout.contains("integer on toy: did not finish"), "{}", ended.stdout);
}
