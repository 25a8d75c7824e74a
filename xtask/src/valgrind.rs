//! Programs of valgrind's ppc32 test suite with the results that their authors recorded on real PowerPC
//! processors. They judge the interpreter from outside: nobody here wrote either side.
//!
//! Every test of `none/tests/ppc32` without a prerequisite is taken; a prerequisite names an extension
//! (AltiVec, DFP, VSX, ISA 2.06 and later) that the 440EP does not have. Some of the others still use
//! single instructions that the 440 lacks; the host-side test pins those differences. valgrind's files
//! stay in the cache.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::cache::{Cache, Key};
use crate::progress::Task;
use crate::{busybox, programs, run};

/// Flags close to those of valgrind's own build. The assembler accepts any PowerPC instruction, because
/// the tests contain some that the compiler's processor does not have. Position-independent code, Debian's
/// default, would keep a pointer in r30, and ldst_multiple loads r30 behind the compiler's back.
const FLAGS: &[&str] =
    &["-std=gnu99", "-O", "-static", "-s", "-w", "-fno-pie", "-no-pie", "-mregnames", "-Wa,-many"];

/// What valgrind's configure script would find: an assembler that knows mfocrf and mtocrf, no AltiVec.
const CONFIG_H: &str = "#define HAVE_AS_PPC_MFTOCRF 1\n";

/// Where the programs and the recorded results are.
pub(crate) struct Valgrind {
    /// The cache entry: `bin/`, `expected/`, `list`.
    pub(crate) dir: PathBuf,
    /// The unpacked source package.
    pub(crate) source: PathBuf,
}

/// One `.vgtest` file: a program with its arguments.
#[derive(Debug, PartialEq, Eq)]
struct Test {
    name: String,
    program: String,
    arguments: String,
}

/// Compiles the programs, or finds them in the cache.
pub(crate) fn ensure(cache: &Cache) -> Result<Valgrind> {
    let (source, version) = busybox::fetch_source(cache, "valgrind", "source-valgrind")?;
    let key = Key::new("valgrind", 1)
        .text("compiler", &programs::compiler()?)
        .text("flags", &FLAGS.join(" "))
        .text("config.h", CONFIG_H)
        .text("version", &version)
        .file(Path::new(programs::LIBC))?;
    let dir = cache.ensure(&key, |out| build(cache, &source, out))?;
    Ok(Valgrind { dir, source })
}

fn build(cache: &Cache, source: &Path, out: &Path) -> Result<()> {
    let task = Task::new("valgrind programs");
    let log = cache.log("valgrind");
    run::fresh_log(&log)?;
    let tests_dir = source.join("none/tests/ppc32");
    let tests = read_tests(&tests_dir)?;
    ensure!(!tests.is_empty(), "No tests in {}", tests_dir.display());
    let bin = out.join("bin");
    let expected = out.join("expected");
    let include = out.join("include");
    for dir in [&bin, &expected, &include] {
        fs::create_dir(dir).with_context(|| format!("Cannot make {}", dir.display()))?;
    }
    fs::write(include.join("config.h"), CONFIG_H).context("Cannot write config.h")?;
    let mut list = String::new();
    for test in &tests {
        let program = bin.join(&test.program);
        if !program.exists() {
            let mut gcc = run::tool(&format!("{}gcc", programs::CROSS));
            gcc.args(FLAGS)
                .arg("-I")
                .arg(&include)
                .arg("-I")
                .arg(source)
                .arg("-I")
                .arg(source.join("include"));
            gcc.arg("-o").arg(&program).arg(tests_dir.join(format!("{}.c", test.program))).arg("-lm");
            run::logged(&mut gcc, &task, &log)?;
        }
        for variant in recorded(&tests_dir, &test.name)? {
            run::copy(&variant, &expected.join(variant.file_name().unwrap_or_default()))?;
        }
        list += &format!("{} {} {}\n", test.name, test.program, test.arguments);
    }
    fs::write(out.join("list"), list).context("Cannot write the list of tests")?;
    fs::remove_dir_all(&include).with_context(|| format!("Cannot remove {}", include.display()))?;
    task.done(&format!("{} tests built", tests.len()));
    Ok(())
}

/// The recorded standard outputs of a test: `NAME.stdout.exp` and its variants.
fn recorded(dir: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let prefix = format!("{name}.stdout.exp");
    let listed = fs::read_dir(dir).with_context(|| format!("Cannot list {}", dir.display()))?;
    let mut found: Vec<PathBuf> = listed
        .flatten()
        .map(|item| item.path())
        .filter(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&prefix)))
        .collect();
    found.sort();
    Ok(found)
}

fn read_tests(dir: &Path) -> Result<Vec<Test>> {
    let mut tests = Vec::new();
    for item in fs::read_dir(dir).with_context(|| format!("Cannot list {}", dir.display()))? {
        let path = item.with_context(|| format!("Cannot list {}", dir.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "vgtest") {
            let text =
                fs::read_to_string(&path).with_context(|| format!("Cannot read {}", path.display()))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            tests.extend(read_test(name, &text));
        }
    }
    tests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tests)
}

/// Reads a `.vgtest` file; `None` when the test has a prerequisite or a filter.
fn read_test(name: String, text: &str) -> Option<Test> {
    let field = |field: &str| text.lines().find_map(|line| line.strip_prefix(field)).map(str::trim);
    if field("prereq:").is_some() || field("stdout_filter:").is_some() {
        return None;
    }
    let mut words = field("prog:")?
        .split_whitespace()
        .map(str::to_owned)
        .chain(field("args:").unwrap_or_default().split_whitespace().map(str::to_owned));
    let program = words.next()?;
    Some(Test { name, program, arguments: words.collect::<Vec<_>>().join(" ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_its_program_and_arguments_and_prerequisites_exclude_it() {
        let read = |text| read_test("t".into(), text);
        let expected = Test { name: "t".into(), program: "jm".into(), arguments: "-l -c".into() };
        assert_eq!(read("prog: jm -l -c\n"), Some(expected));
        assert_eq!(read("prereq: altivec\nprog: jm\n"), None);
        assert_eq!(read("vgopts: -q\n"), None);
    }
}
