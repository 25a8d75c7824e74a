//! The guest kernel: Debian's Linux source, the Bamboo's own configuration, every image format that the
//! kernel's build knows for the board. Nothing is patched and nothing is configured beyond the defconfig.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::apt::{self, Apt};
use crate::cache::{Cache, Key};
use crate::progress::Task;
use crate::{programs, run, workspace};

/// Debian's package that holds the kernel source.
const SOURCE_PACKAGE: &str = "linux-source-6.1";
/// The configuration that the kernel ships for the board.
const DEFCONFIG: &str = "44x/bamboo_defconfig";
/// What is built beyond vmlinux. One make each: two wrapper images in one parallel make race for the
/// wrapper's objects.
const WRAPPED: &[&str] = &["uImage", "cuImage.bamboo", "treeImage.bamboo", "bamboo.dtb"];

/// The images of a built kernel.
pub(crate) struct Kernel {
    dir: PathBuf,
}

impl Kernel {
    /// A file of the build: `vmlinux`, `uImage`, `cuImage.bamboo`, `treeImage.bamboo`, `bamboo.dtb`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Builds the kernel, or finds it in the cache.
pub(crate) fn ensure(cache: &Cache, own_source: Option<&Path>) -> Result<Kernel> {
    let key = Key::new("kernel", 1).text("compiler", &programs::compiler()?).text("config", DEFCONFIG);
    let dir = match own_source {
        Some(source) => {
            let source = fs::canonicalize(source)
                .with_context(|| format!("No kernel source at {}", source.display()))?;
            ensure!(
                source.join("arch/powerpc/configs").join(DEFCONFIG).is_file(),
                "{} is no Linux source tree with {DEFCONFIG}",
                source.display()
            );
            ensure!(
                !source.join("include/config/auto.conf").exists(),
                "{} was built in place; the kernel wants `make mrproper` there before a build elsewhere",
                source.display()
            );
            let key = key.tree_metadata("source", &source)?;
            cache.ensure(&key, |out| build(cache, &source, out))?
        }
        None => {
            let tarball = source(cache)?;
            let key = key
                .entry("source", tarball.parent().unwrap_or(&tarball))
                .file(&tarball.with_file_name("version"))?;
            cache.ensure(&key, |out| {
                let tree = unpack(cache, &tarball, out)?;
                build(cache, &tree, out)?;
                fs::remove_dir_all(&tree).with_context(|| format!("Cannot remove {}", tree.display()))
            })?
        }
    };
    Ok(Kernel { dir })
}

/// The source as a compressed archive, with a file `version` beside it.
fn source(cache: &Cache) -> Result<PathBuf> {
    let key =
        Key::new("source-linux", 1).text("package", SOURCE_PACKAGE).text("release", apt::SOURCE_RELEASE);
    let entry = cache.ensure(&key, |out| {
        let task = Task::new("kernel source");
        let apt = Apt::open(cache, "source", apt::SOURCE_RELEASE, false, &task)?;
        let fetched = out.join("fetched");
        let unpacked = out.join("unpacked");
        for dir in [&fetched, &unpacked] {
            fs::create_dir(dir).with_context(|| format!("Cannot make {}", dir.display()))?;
        }
        let deb = apt.download(SOURCE_PACKAGE, &fetched, &task)?;
        let version = deb.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        apt.unpack(&deb, &unpacked, &task)?;
        let archive = format!("{SOURCE_PACKAGE}.tar.xz");
        run::copy(&unpacked.join("usr/src").join(&archive), &out.join(&archive))?;
        fs::write(out.join("version"), &version).context("Cannot write the source's version")?;
        for dir in [&fetched, &unpacked] {
            fs::remove_dir_all(dir).with_context(|| format!("Cannot remove {}", dir.display()))?;
        }
        task.done(&format!("{version} fetched"));
        Ok(())
    })?;
    Ok(entry.join(format!("{SOURCE_PACKAGE}.tar.xz")))
}

fn unpack(cache: &Cache, tarball: &Path, out: &Path) -> Result<PathBuf> {
    let task = Task::new("kernel source");
    task.set("unpacking");
    let log = cache.log("kernel-source");
    run::fresh_log(&log)?;
    let mut tar = run::tool("tar");
    tar.arg("--extract").arg("--file").arg(tarball).arg("--directory").arg(out);
    run::logged(&mut tar, &task, &log)?;
    task.done("unpacked");
    Ok(out.join(SOURCE_PACKAGE))
}

fn build(cache: &Cache, source: &Path, out: &Path) -> Result<()> {
    let task = Task::new("kernel");
    let log = cache.log("kernel");
    run::fresh_log(&log)?;
    let objects = out.join("objects");
    let make = |target: &str| -> Command {
        let mut make = run::tool("make");
        make.arg("-C").arg(source).arg(format!("O={}", objects.display()));
        make.arg(format!("-j{}", workspace::jobs())).arg(target);
        make.env("ARCH", "powerpc").env("CROSS_COMPILE", programs::CROSS);
        // The banner names the builder; a fixed one makes two builds of the same source equal.
        make.env("KBUILD_BUILD_USER", "builder").env("KBUILD_BUILD_HOST", "ppc440-vmm");
        make.env("KBUILD_BUILD_VERSION", "1").env("KBUILD_BUILD_TIMESTAMP", "2024-01-01 00:00:00 UTC");
        make
    };
    for target in [DEFCONFIG, "vmlinux"].iter().chain(WRAPPED) {
        run::logged(&mut make(target), &task, &log)?;
    }
    for file in ["vmlinux", "System.map", ".config"] {
        run::copy(&objects.join(file), &out.join(file.trim_start_matches('.')))?;
    }
    let boot = objects.join("arch/powerpc/boot");
    for file in WRAPPED {
        let from = if file.ends_with(".dtb") { boot.join("dts").join(file) } else { boot.join(file) };
        run::copy(&from, &out.join(file))?;
    }
    fs::remove_dir_all(&objects).with_context(|| format!("Cannot remove {}", objects.display()))?;
    task.done("built");
    Ok(())
}
