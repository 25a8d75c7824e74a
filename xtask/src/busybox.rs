//! The guest's user space: Debian's busybox source, its default configuration, linked statically for the
//! 440EP and its floating-point unit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::apt::{self, Apt};
use crate::cache::{Cache, Key};
use crate::progress::Task;
use crate::{programs, run, workspace};

/// What differs from busybox's own default configuration.
/// `tc` does not compile with the kernel headers of newer cross compilers.
const SETTINGS: &[(&str, &str)] =
    &[("CONFIG_STATIC", "y"), ("CONFIG_TC", "n"), ("CONFIG_FEATURE_TC_INGRESS", "n")];

/// The static busybox program.
pub(crate) fn ensure(cache: &Cache) -> Result<PathBuf> {
    let (source, version) = fetch_source(cache, "busybox", "source-busybox")?;
    let key = Key::new("busybox", 1)
        .text("compiler", &programs::compiler()?)
        .text("flags", &programs::CPU_FLAGS.join(" "))
        .text("settings", &format!("{SETTINGS:?}"))
        .text("version", &version)
        .file(Path::new(programs::LIBC))?;
    let entry = cache.ensure(&key, |out| build(cache, &source, out))?;
    Ok(entry.join("busybox"))
}

/// A Debian source package in the cache: its unpacked folder and its version.
pub(crate) fn fetch_source(cache: &Cache, package: &str, kind: &'static str) -> Result<(PathBuf, String)> {
    let key = Key::new(kind, 1).text("package", package).text("release", apt::SOURCE_RELEASE);
    let entry = cache.ensure(&key, |out| {
        let task = Task::new(&format!("{package} source"));
        let apt = Apt::open(cache, "source", apt::SOURCE_RELEASE, false, &task)?;
        let fetched = out.join("fetched");
        fs::create_dir(&fetched).with_context(|| format!("Cannot make {}", fetched.display()))?;
        let (folder, version) = apt.source(package, &fetched, &task)?;
        fs::rename(&folder, out.join("tree")).context("Cannot move the unpacked source")?;
        fs::write(out.join("version"), &version).context("Cannot write the source's version")?;
        fs::remove_dir_all(&fetched).with_context(|| format!("Cannot remove {}", fetched.display()))?;
        task.done(&format!("{version} fetched"));
        Ok(())
    })?;
    let version = fs::read_to_string(entry.join("version"))
        .with_context(|| format!("{} is damaged: remove it", entry.display()))?;
    Ok((entry.join("tree"), version))
}

fn build(cache: &Cache, source: &Path, out: &Path) -> Result<()> {
    let task = Task::new("busybox");
    let log = cache.log("busybox");
    run::fresh_log(&log)?;
    let objects = out.join("objects");
    fs::create_dir(&objects).with_context(|| format!("Cannot make {}", objects.display()))?;
    let make = |target: &str| -> Command {
        let mut make = run::tool("make");
        make.arg("-C").arg(source).arg(format!("O={}", objects.display())).arg(target);
        make.arg(format!("-j{}", workspace::jobs())).arg(format!("CROSS_COMPILE={}", programs::CROSS));
        // Without it the version text carries the hour of the build.
        make.env("KCONFIG_NOTIMESTAMP", "1");
        make
    };
    run::logged(&mut make("defconfig"), &task, &log)?;
    let config = objects.join(".config");
    let text = fs::read_to_string(&config).with_context(|| format!("Cannot read {}", config.display()))?;
    let flags = format!("\"{}\"", programs::CPU_FLAGS.join(" "));
    let mut settings = SETTINGS.to_vec();
    settings.push(("CONFIG_EXTRA_CFLAGS", &flags));
    fs::write(&config, with_settings(&text, &settings))
        .with_context(|| format!("Cannot write {}", config.display()))?;
    // New questions that a changed answer raises get their defaults: an empty line each.
    let answers = objects.join("answers");
    fs::write(&answers, "\n".repeat(1000)).with_context(|| format!("Cannot write {}", answers.display()))?;
    let answers = fs::File::open(&answers).with_context(|| format!("Cannot read {}", answers.display()))?;
    run::logged(make("oldconfig").stdin(Stdio::from(answers)), &task, &log)?;
    let settled = fs::read_to_string(&config).with_context(|| format!("Cannot read {}", config.display()))?;
    ensure!(settled.lines().any(|line| line == "CONFIG_STATIC=y"), "busybox did not take CONFIG_STATIC=y");
    run::logged(&mut make("busybox"), &task, &log)?;
    run::copy(&objects.join("busybox"), &out.join("busybox"))?;
    fs::remove_dir_all(&objects).with_context(|| format!("Cannot remove {}", objects.display()))?;
    task.done("built");
    Ok(())
}

/// A configuration file with some of its lines replaced, in the file's own notation.
fn with_settings(text: &str, settings: &[(&str, &str)]) -> String {
    let written = |name: &str, value: &str| match value {
        "n" => format!("# {name} is not set"),
        value => format!("{name}={value}"),
    };
    let name_of = |line: &str| -> Option<String> {
        let name = line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" is not set"));
        name.or_else(|| line.split_once('=').map(|(name, _)| name)).map(str::to_owned)
    };
    let mut result = String::new();
    for line in text.lines() {
        let name = name_of(line);
        match settings.iter().find(|(setting, _)| Some(*setting) == name.as_deref()) {
            Some((setting, value)) => result += &written(setting, value),
            None => result += line,
        }
        result.push('\n');
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_replace_both_notations_and_nothing_else() {
        let text = "#\n# Settings\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_AB=y\nCONFIG_C=\"\"\n";
        let settings = [("CONFIG_A", "n"), ("CONFIG_B", "y"), ("CONFIG_C", "\"-O\"")];
        assert_eq!(
            with_settings(text, &settings),
            "#\n# Settings\n# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_AB=y\nCONFIG_C=\"-O\"\n"
        );
    }
}
