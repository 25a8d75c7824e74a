//! The guest's test and benchmark programs, compiled statically for the 440EP.

use std::fs;
use std::os::unix::fs::symlink;
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

/// The program that holds all of them; links beside it carry their names.
pub(crate) const ALL_IN_ONE: &str = "programs";

/// Compiles `guest/tests/*.c` and `guest/bench/*.c`; returns the folder with one name per source.
///
/// All become one program that looks at the name under which it was called, because the C library's part
/// of a static program is most of it, and a guest with 16 MB allows 4 MB for its root file system.
pub(crate) fn ensure(cache: &Cache) -> Result<PathBuf> {
    let mut key = Key::new("programs", 2)
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
        let gcc = || {
            let mut gcc = run::tool(&format!("{CROSS}gcc"));
            gcc.args(CPU_FLAGS).args(FLAGS);
            gcc
        };
        let mut objects = Vec::new();
        let mut names = Vec::new();
        for source in sources()? {
            let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let object = out.join(format!("{name}.o"));
            let renamed = format!("-Dmain={}", entry_point(&name));
            run::logged(gcc().arg("-c").arg(renamed).arg("-o").arg(&object).arg(&source), &task, &log)?;
            symlink(ALL_IN_ONE, out.join(&name)).with_context(|| format!("Cannot make the link {name}"))?;
            objects.push(object);
            names.push(name);
        }
        let chooser = out.join("chooser.c");
        fs::write(&chooser, chooser_source(&names)).context("Cannot write the chooser")?;
        let mut link = gcc();
        link.arg("-o").arg(out.join(ALL_IN_ONE)).arg(&chooser).args(&objects).args(["-lm", "-pthread"]);
        run::logged(&mut link, &task, &log)?;
        for intermediate in objects.iter().chain([&chooser]) {
            fs::remove_file(intermediate)
                .with_context(|| format!("Cannot remove {}", intermediate.display()))?;
        }
        task.done("built");
        Ok(())
    })
}

/// The C name of a program's main function inside the one program.
fn entry_point(name: &str) -> String {
    format!("main_of_{}", name.replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
}

/// C source of a main function that calls the program whose name it was called by.
fn chooser_source(names: &[String]) -> String {
    let mut text = String::from("#include <stdio.h>\n#include <string.h>\n\n");
    for name in names {
        text += &format!("int {}(int, char **);\n", entry_point(name));
    }
    text += "\nint main(int count, char **words)\n{\n    const char *slash = strrchr(words[0], '/');\n";
    text += "    const char *name = slash ? slash + 1 : words[0];\n";
    for name in names {
        text += &format!(
            "    if (strcmp(name, \"{name}\") == 0)\n        return {}(count, words);\n",
            entry_point(name)
        );
    }
    text + "    fprintf(stderr, \"%s: called by an unknown name\\n\", name);\n    return 127;\n}\n"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_c_identifiers() {
        assert_eq!(entry_point("self-test"), "main_of_self_test");
        let source = chooser_source(&["self-test".to_owned()]);
        assert!(
            source.contains("strcmp(name, \"self-test\")") && source.contains("return main_of_self_test(")
        );
    }
}
