//! Compiles the toys once, and runs the program in a place of its own, so that plugins that happen to lie beside the
//! built program play no part.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

pub(crate) const HALT: u8 = 1;
pub(crate) const RESET: u8 = 2;
pub(crate) const FATAL: u8 = 3;
pub(crate) const SPIN: u8 = 4;
pub(crate) const BREAK: u8 = 5;
pub(crate) const ECHO_INPUT: u8 = 6;
pub(crate) const IDLE: u8 = 7;
pub(crate) const HANG: u8 = 8;
pub(crate) const STATUS: u8 = 11;
pub(crate) const CRASH: u8 = 12;

/// What all tests share: the program at `bin/vmm`, the toys in `toys`, broken plugins in `broken`.
pub(crate) fn place() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE
        .get_or_init(|| {
            // Always the same one, so that nothing is left behind but the last run's.
            let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("program");
            let _ = std::fs::remove_dir_all(&place);
            for folder in ["bin", "toys", "broken", "empty"] {
                std::fs::create_dir_all(place.join(folder)).expect("A folder");
            }
            link_program(&place.join("bin"));
            for name in ["backend", "board"] {
                compile(name, &place.join(format!("toys/lib{name}_toy.so")), &[]);
            }
            for variant in ["OTHER_ABI", "NO_SYMBOL", "NULL_TABLE", "SMALL", "NO_ENTRIES", "BAD_INIT"] {
                let library = place.join(format!("broken/{}.so", variant.to_lowercase()));
                compile("broken", &library, &[&format!("-D{variant}")]);
            }
            std::fs::write(place.join("broken/text.so"), "no library").expect("A file");
            place
        })
        .as_path()
}

/// Puts the program into a folder. A link: a copy could not be started while another test's child still holds the
/// handle that wrote it.
pub(crate) fn link_program(folder: &Path) {
    std::fs::hard_link(env!("CARGO_BIN_EXE_vmm"), folder.join("vmm")).expect("The program");
}

fn compile(source: &str, library: &Path, flags: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let compiled = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"])
        .args(flags)
        .arg("-I")
        .arg(root.join("../vmm-plugin/include"))
        .arg("-o")
        .arg(library)
        .arg(root.join(format!("tests/toy/{source}.c")))
        .status()
        .expect("A C compiler named cc");
    assert!(compiled.success(), "{source}.c does not compile");
}

/// The plugin in Rust that panics, see `examples/panicking.rs`.
pub(crate) fn panicking() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        // Cargo builds examples for `cargo test`, but not for `cargo test --test program`.
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "vmm-cli", "--example", "panicking", "--profile"])
            .arg(if cfg!(debug_assertions) { "dev" } else { "release" })
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo");
        assert!(built.success(), "The example does not build");
        let name =
            format!("examples/{}panicking{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        Path::new(env!("CARGO_BIN_EXE_vmm")).with_file_name(name)
    })
}

/// A file with a toy guest.
pub(crate) struct Guest {
    file: tempfile::NamedTempFile,
}

impl Guest {
    pub(crate) fn new(text: &[u8], order: u8) -> Self {
        let file = tempfile::NamedTempFile::new().expect("A temporary file");
        std::fs::write(file.path(), [text, &[order]].concat()).expect("A written file");
        Self { file }
    }
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }
}

/// The program, with the toys on its search path and no standard input.
pub(crate) fn vmm() -> Command {
    let mut command = Command::new(place().join("bin/vmm"));
    command
        .env("VMM_PLUGIN_PATH", place().join("toys"))
        .env_remove("VMM_LOG")
        .env_remove("RUST_BACKTRACE")
        .current_dir(place().join("empty"))
        .stdin(Stdio::null());
    command
}

/// `vmm run` on the toys.
pub(crate) fn run(guest: &Guest) -> Command {
    let mut command = vmm();
    command.args(["run", "--board", "toy", "--backend", "toy", "--kernel"]).arg(guest.path());
    command
}

/// What came out of a finished program.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs a command to its end.
pub(crate) fn end(command: &mut Command) -> Ended {
    command.output().expect("The program starts").into()
}

impl Ended {
    /// Asserts the exit code, and shows what was said if it is another.
    #[track_caller]
    pub(crate) fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
    /// Asserts that standard error holds a text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not in: {}", self.stderr);
        self
    }
}
