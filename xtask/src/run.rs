//! Running tools: output to a log file, progress on the terminal, the log's tail in the error.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::pipe::PipeFlags;

use crate::progress::Task;

/// Lines of a failed tool's log that go into the error.
const TAIL: usize = 25;

/// Tools whose settings in the caller's environment must not leak into a guest build.
const BUILD_VARIABLES: &[&str] = &[
    "AR",
    "AS",
    "CC",
    "CFLAGS",
    "CPPFLAGS",
    "CXX",
    "CXXFLAGS",
    "HOSTCC",
    "HOSTCFLAGS",
    "KBUILD_OUTPUT",
    "KCFLAGS",
    "LD",
    "LDFLAGS",
    "LDLIBS",
    "MAKEFLAGS",
    "MAKELEVEL",
    "MFLAGS",
    "NM",
    "O",
    "OBJCOPY",
    "OBJDUMP",
    "STRIP",
    "CARGO_MAKEFLAGS",
    "V",
    "KCONFIG_CONFIG",
    "LLVM",
    "ARCH",
    "CROSS_COMPILE",
];

/// A tool in a known environment: C locale, none of the caller's build variables, no standard input.
pub(crate) fn tool(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C").stdin(Stdio::null());
    for name in BUILD_VARIABLES {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end, its output (both streams) in `log`, one count a line on the display.
///
/// # Errors
/// When the command cannot start or fails; the error ends with the log's last lines.
pub(crate) fn logged(command: &mut Command, task: &Task, log: &Path) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("Cannot write the log {}", log.display()))?;
    writeln!(file, "+ {command:?}").with_context(|| format!("Cannot write the log {}", log.display()))?;
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).context("Cannot make a pipe")?;
    let second = writer.try_clone().context("Cannot make a pipe")?;
    let mut child =
        command.stdout(writer).stderr(second).spawn().with_context(|| format!("Cannot run {name}"))?;
    // The command still holds the pipe's writing ends; without them the reading end sees the child's exit.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut lines = 0_usize;
    let mut reader = BufReader::new(File::from(reader));
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).with_context(|| format!("Cannot read the output of {name}"))?
        > 0
    {
        file.write_all(&line).with_context(|| format!("Cannot write the log {}", log.display()))?;
        lines += 1;
        task.set(&format!("{lines}: {}", String::from_utf8_lossy(&line).trim()));
        line.clear();
    }
    let status = child.wait().with_context(|| format!("Cannot wait for {name}"))?;
    if !status.success() {
        let text = fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let tail: Vec<&str> = text.lines().rev().take(TAIL).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        bail!("{name} failed ({status}); the log is {}, its end:\n{}", log.display(), tail.join("\n"));
    }
    Ok(())
}

/// Runs a command and returns its standard output as text, trimmed.
///
/// # Errors
/// When it cannot start or fails; the error carries what it wrote to standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("Cannot run {name}"))?;
    if !output.status.success() {
        bail!("{name} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Empties a step's log before its first command.
pub(crate) fn fresh_log(log: &Path) -> Result<()> {
    File::create(log).with_context(|| format!("Cannot write the log {}", log.display())).map(drop)
}

/// Copies a file and names both ends when that fails.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("Cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_tool_shows_its_last_words() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let log = dir.path().join("log");
        let task = Task::new("test");
        let error = logged(tool("sh").args(["-c", "echo out; echo err >&2; exit 3"]), &task, &log);
        let text = format!("{:#}", error.expect_err("an error"));
        assert!(text.contains("exit status: 3") && text.contains("out\nerr"), "{text}");
    }

    #[test]
    fn a_tool_does_not_see_the_callers_build_variables() {
        let seen = output(tool("sh").args(["-c", "echo ${LC_ALL}:${MAKEFLAGS-unset}"])).expect("output");
        assert_eq!(seen, "C:unset");
    }
}
