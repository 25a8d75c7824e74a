//! The guest's test and benchmark programs, compiled statically for the 440EP.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache::{Cache, Key};
use crate::progress::Task;
use crate::{run, workspace};

/// Prefix of the cross tools.
pub(crate) const CROSS: &str = "powerpc-linux-gnu-";
/// Flags that name the processor; the 440EP has a double-precision FPU.
pub(crate) const CPU_FLAGS: &[&str] = &["-mcpu=440fp"];
/// The static C library that all guest programs are linked with.
pub(crate) const LIBC: &str = "/usr/powerpc-linux-gnu/lib/libc.a";

/// Flags of every guest program. Floating-point operations stay as written (no contraction), so that the
/// results are those that the test computes.
const FLAGS: &[&str] = &[
    "-std=gnu11",
    "-O2",
    "-static",
    "-fno-pie",
    "-no-pie",
    "-s",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-ffp-contract=off",
    "-fno-strict-aliasing",
];

/// One line that changes whenever another compiler or linker is installed.
pub(crate) fn compiler() -> Result<String> {
    let first_line = |program: &str| -> Result<String> {
        let text = run::output(run::tool(&format!("{CROSS}{program}")).arg("--version"))?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    };
    Ok(format!("{}; {}", first_line("gcc")?, first_line("ld")?))
}

/// Compiles `guest/tests/*.c` and `guest/bench/*.c`; returns the folder with one program per source.
pub(crate) fn ensure(cache: &Cache) -> Result<PathBuf> {
    let mut key = Key::new("programs", 1)
        .text("compiler", &compiler()?)
        .text("flags", &[CPU_FLAGS, FLAGS].concat().join(" "))
        .file(Path::new(LIBC))?;
    for dir in ["tests", "bench"] {
        key = key.tree(&workspace::guest(dir))?;
    }
    cache.ensure(&key, |out| {
        let task = Task::new("guest programs");
        let log = cache.log("programs");
        run::fresh_log(&log)?;
        for source in sources()? {
            let mut gcc = run::tool(&format!("{CROSS}gcc"));
            gcc.args(CPU_FLAGS).args(FLAGS);
            gcc.arg("-o").arg(out.join(source.file_stem().unwrap_or_default())).arg(&source);
            gcc.args(["-lm", "-pthread"]);
            run::logged(&mut gcc, &task, &log)?;
        }
        task.done("built");
        Ok(())
    })
}

/// Guest programs, one C file each.
fn sources() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for dir in ["tests", "bench"] {
        let dir = workspace::guest(dir);
        for item in fs::read_dir(&dir).with_context(|| format!("Cannot list {}", dir.display()))? {
            let path = item.with_context(|| format!("Cannot list {}", dir.display()))?.path();
            if path.extension().is_some_and(|extension| extension == "c") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
