//! Unmodified Linux on every usable backend: each image format, several RAM sizes, the guest's own self test, and
//! the ways in which a guest ends. The images come from `cargo xtask env`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use conformance::process::Finished;
use conformance::vmm;

/// Far more than the slowest backend takes for the self test on a loaded machine.
const LIMIT: Duration = Duration::from_secs(600);

struct Guest {
    backend: String,
    kernel: PathBuf,
    initrd: PathBuf,
}

impl Guest {
    fn run(&self, words: &str, more: &[&str]) -> Finished {
        let mut command: Command = vmm::guest(&self.backend, &self.kernel);
        command.arg("--initrd").arg(&self.initrd);
        command.args(["--append", &format!("console=ttyS0 rdinit=/init {words}")]);
        command.args(["--timeout", &LIMIT.as_secs().to_string()]).args(more);
        vmm::run(&mut command, LIMIT + Duration::from_secs(30))
    }

    /// Runs the self test and tells what is wrong with its report.
    fn self_test(&self, memory: &str) {
        let what = format!("{} with {memory} on {}", self.kernel.display(), self.backend);
        let finished = self.run("vmmtest=selftest", &["--memory", memory]);
        let console = &finished.stdout;
        assert_eq!(code(&finished), Some(0), "{what}: {}\n{}", finished.stderr, tail(console));
        assert!(
            console.contains("vmmtest: selftest: exit 0"),
            "{what}: the self test fails\n{}",
            tail(console)
        );
        let digest = console.split("selftest: md5: ").nth(1).and_then(|rest| rest.split_whitespace().next());
        assert_eq!(digest, Some(expected_md5().as_str()), "{what}: MD5 of a mebibyte");
    }
}

fn code(finished: &Finished) -> Option<i32> {
    finished.status.and_then(|status| status.code())
}

fn tail(console: &str) -> String {
    let lines: Vec<_> = console.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// MD5 of the mebibyte that the guest's self test makes: big-endian words of a 32-bit xorshift.
fn expected_md5() -> String {
    let mut state = 2_463_534_242_u32;
    let mut bytes = Vec::with_capacity(1 << 20);
    while bytes.len() < 1 << 20 {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes.extend(state.to_be_bytes());
    }
    format!("{:x}", md5::compute(&bytes))
}

/// Calls `body` with every usable backend, or says what is missing.
fn on_every_backend(image: &str, mut body: impl FnMut(Guest)) {
    let (Some(kernel), Some(initrd)) = (vmm::image(image), vmm::image("VMM_TEST_INITRD")) else { return };
    for backend in vmm::backends() {
        body(Guest { backend, kernel: kernel.clone(), initrd: initrd.clone() });
    }
}

#[test]
fn vmlinux_passes_the_self_test_with_128m() {
    on_every_backend("VMM_TEST_VMLINUX", |guest| guest.self_test("128M"));
}

#[test]
fn vmlinux_passes_the_self_test_with_16m() {
    on_every_backend("VMM_TEST_VMLINUX", |guest| guest.self_test("16M"));
}

#[test]
fn vmlinux_passes_the_self_test_with_256m() {
    on_every_backend("VMM_TEST_VMLINUX", |guest| guest.self_test("256M"));
}

#[test]
fn vmlinux_passes_the_self_test_with_768m() {
    on_every_backend("VMM_TEST_VMLINUX", |guest| guest.self_test("768M"));
}

#[test]
fn uimage_passes_the_self_test() {
    on_every_backend("VMM_TEST_UIMAGE", |guest| guest.self_test("128M"));
}

#[test]
fn cuimage_passes_the_self_test() {
    on_every_backend("VMM_TEST_CUIMAGE", |guest| guest.self_test("128M"));
}

#[test]
fn treeimage_passes_the_self_test_with_128m_and_256m() {
    on_every_backend("VMM_TEST_TREEIMAGE", |guest| {
        guest.self_test("128M");
        guest.self_test("256M");
    });
}

#[test]
fn treeimage_with_less_than_128m_is_refused_in_one_sentence() {
    on_every_backend("VMM_TEST_TREEIMAGE", |guest| {
        let finished = guest.run("", &["--memory", "64M"]);
        assert_eq!(code(&finished), Some(1), "{}", finished.stderr);
        assert!(finished.stdout.is_empty(), "Nothing may run: {}", finished.stdout);
        let message = finished.stderr.trim();
        assert!(message.lines().count() == 1 && message.contains("128"), "{message}");
    });
}

#[test]
fn the_kernel_builds_own_tree_describes_the_machine() {
    let Some(tree) = vmm::image("VMM_TEST_DTB") else { return };
    on_every_backend("VMM_TEST_VMLINUX", |guest| {
        let finished = guest.run("vmmtest=reboot", &["--memory", "128M", "--dtb", &text(&tree)]);
        assert_eq!(code(&finished), Some(0), "{}\n{}", finished.stderr, tail(&finished.stdout));
        assert!(finished.stdout.contains("init: first line"), "{}", tail(&finished.stdout));
    });
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[test]
fn a_panic_a_halt_and_a_reboot_of_the_guest_give_their_exit_codes() {
    on_every_backend("VMM_TEST_VMLINUX", |guest| {
        for (word, expected, sign) in
            [("panic", 4, "Kernel panic"), ("halt", 0, "System Halted"), ("reboot", 0, "Restarting system")]
        {
            let finished = guest.run(&format!("vmmtest={word}"), &[]);
            let console = &finished.stdout;
            assert_eq!(code(&finished), Some(expected), "{word} on {}: {}", guest.backend, tail(console));
            assert!(console.contains(sign), "{word} on {}: {}", guest.backend, tail(console));
        }
    });
}

#[test]
fn icount_boots_are_identical_to_the_byte() {
    let (Some(kernel), Some(initrd)) = (vmm::image("VMM_TEST_VMLINUX"), vmm::image("VMM_TEST_INITRD")) else {
        return;
    };
    let guest = Guest { backend: "interp".into(), kernel, initrd };
    let run = || {
        let finished = guest.run("vmmtest=selftest", &["--clock", "icount", "--stats", "json"]);
        assert_eq!(code(&finished), Some(0), "{}\n{}", finished.stderr, tail(&finished.stdout));
        let instructions = finished
            .stderr
            .split("\"retired\":")
            .nth(1)
            .map(|rest| rest.trim_start().chars().take_while(char::is_ascii_digit).collect::<String>());
        (finished.stdout, instructions)
    };
    let (first, second) = (run(), run());
    assert_eq!(first.1, second.1, "instructions");
    assert!(first.0 == second.0, "the consoles differ");
}

/// What is typed, in pieces, with host time between them.
const TYPED: [&str; 4] = [
    "cat /proc/uptime /proc/interrupts\n",
    "i=0; while [ $i -lt 300 ]; do i=$((i+1)); done; echo $i | md5sum\n",
    "cat /proc/uptime\nnonsenses\x7f\n",
    "reboot -f\n",
];

#[test]
fn typed_input_that_was_recorded_under_icount_comes_again_on_every_engine_that_has_it() {
    let (Some(kernel), Some(initrd)) = (vmm::image("VMM_TEST_VMLINUX"), vmm::image("VMM_TEST_INITRD")) else {
        return;
    };
    let folder = tempfile::tempdir().expect("A folder");
    let recording = folder.path().join("typed");
    let command = |backend: &str, option: &str| {
        let mut command = vmm::guest(backend, &kernel);
        command.arg("--initrd").arg(&initrd).args(["--append", "console=ttyS0 rdinit=/init"]);
        command
            .args(["--clock", "icount", "--stats", "json", "--timeout", "300"])
            .arg(option)
            .arg(&recording);
        command
    };
    let mut typing = command("interp", "--record-input");
    let mut child = typing
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("The program starts");
    let mut keyboard = child.stdin.take().expect("A pipe");
    let typist = std::thread::spawn(move || {
        for piece in TYPED {
            std::thread::sleep(Duration::from_millis(700));
            // The guest's end, if it came early, is told below.
            let _ = keyboard.write_all(piece.as_bytes());
        }
    });
    let recorded = child.wait_with_output().expect("The program ends");
    typist.join().expect("The typist");
    let console = String::from_utf8_lossy(&recorded.stdout);
    assert_eq!(recorded.status.code(), Some(0), "{}", String::from_utf8_lossy(&recorded.stderr));
    assert!(console.contains("nonsense: not found"), "{}", tail(&console));
    for backend in vmm::backends() {
        let replayed = vmm::run(&mut command(&backend, "--replay-input"), LIMIT);
        if replayed.stderr.contains("has no icount clock") {
            continue;
        }
        assert_eq!(code(&replayed), Some(0), "{backend}: {}", replayed.stderr);
        assert!(replayed.stdout == console, "{backend}: another console\n{}", tail(&replayed.stdout));
        let retired = |told: &str| told.split("\"retired\":").last().map(|rest| rest.to_owned());
        let first = retired(&String::from_utf8_lossy(&recorded.stderr));
        assert_eq!(retired(&replayed.stderr), first, "{backend}: instructions");
    }
}

#[test]
fn the_translator_tells_what_it_did() {
    let (Some(kernel), Some(initrd)) = (vmm::image("VMM_TEST_VMLINUX"), vmm::image("VMM_TEST_INITRD")) else {
        return;
    };
    if !vmm::backends().iter().any(|backend| backend == "jit") {
        println!("skipped: backend jit cannot run here");
        return;
    }
    let guest = Guest { backend: "jit".into(), kernel, initrd };
    let folder = tempfile::tempdir().expect("A folder");
    let trace = folder.path().join("blocks");
    let option = format!("blocks:{}", trace.display());
    let finished = guest.run("vmmtest=reboot", &["--clock", "icount", "--stats", "json", "--trace", &option]);
    assert_eq!(code(&finished), Some(0), "{}", finished.stderr);
    let counter = |name: &str| -> u64 {
        let rest = finished.stderr.split(&format!("\"{name}\":")).nth(1).unwrap_or_else(|| panic!("{name}"));
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("A number")
    };
    let lines = std::fs::read_to_string(&trace).expect("A trace");
    let count = |sign: &str| lines.lines().filter(|line| line.starts_with(sign)).count() as u64;
    assert_eq!(count("+ "), counter("translated_blocks"));
    // Loading the guest dropped whatever there was: nothing, and the trace says when.
    assert_eq!((count("! host"), count("? ")), (1, 0));
    let causes = ["store", "device", "data"].map(|cause| {
        lines.lines().filter(|line| line.starts_with("- ") && line.ends_with(cause)).count() as u64
    });
    assert_eq!(causes, ["dropped_by_store", "dropped_by_device", "dropped_as_data"].map(counter));
    assert_eq!(counter("blocks") + causes.iter().sum::<u64>(), counter("translated_blocks"));
    assert!(counter("translation_ns") > 0 && counter("chained_jumps") > 0);
    // The kernel's entry lies at 0 and is executed once, which is not worth translating; a loop soon after it is.
    let first = lines.lines().find(|line| line.starts_with("+ "));
    assert!(
        first.is_some_and(|line| line.starts_with("+ 0000") && line[11..].starts_with("00000")),
        "{first:?}"
    );
}
