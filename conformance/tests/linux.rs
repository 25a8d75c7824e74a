//! Unmodified Linux on every usable backend: each image format, several RAM sizes, the guest's own self test, and
//! the ways in which a guest ends. The images come from `cargo xtask env`.

use std::path::{Path, PathBuf};
use std::process::Command;
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
