//! Root file systems: a compressed cpio archive in the "newc" format that the kernel unpacks.
//!
//! The archive is written here and not with cpio(1), because it holds device nodes, which only root can
//! make on a disk, and because the same input must give the same bytes: no times, no owners, inode numbers
//! by order. The guest kernel has no devtmpfs, so every node that a program may want is in the archive.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};

use crate::cache::{Cache, Key};
use crate::programs::ALL_IN_ONE;
use crate::progress::Task;
use crate::valgrind::Valgrind;
use crate::workspace;

const S_IFDIR: u32 = 0o040_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;

/// Folders of every root file system, parents first, with their permissions.
const FOLDERS: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("dev/pts", 0o755),
    ("proc", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("etc", 0o755),
    ("root", 0o700),
    ("bin", 0o755),
    ("sbin", 0o755),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/sbin", 0o755),
    ("test", 0o755),
];

/// Character devices: name, permissions, major and minor number (Linux's devices.txt).
const DEVICES: &[(&str, u32, u32, u32)] = &[
    ("dev/console", 0o600, 5, 1),
    ("dev/tty", 0o666, 5, 0),
    ("dev/ptmx", 0o666, 5, 2),
    ("dev/null", 0o666, 1, 3),
    ("dev/zero", 0o666, 1, 5),
    ("dev/full", 0o666, 1, 7),
    ("dev/random", 0o666, 1, 8),
    ("dev/urandom", 0o666, 1, 9),
    ("dev/kmsg", 0o644, 1, 11),
    ("dev/mem", 0o640, 1, 1),
    ("dev/ttyS0", 0o620, 4, 64),
    ("dev/ttyS1", 0o620, 4, 65),
    ("dev/ttyS2", 0o620, 4, 66),
    ("dev/ttyS3", 0o620, 4, 67),
];

/// Builds the root file system with the test programs and, if given, valgrind's.
pub(crate) fn ensure(
    cache: &Cache,
    kind: &'static str,
    busybox: &Path,
    programs: &Path,
    valgrind: Option<&Valgrind>,
) -> Result<PathBuf> {
    let mut key = Key::new(kind, 3)
        .entry("busybox", busybox.parent().unwrap_or(busybox))
        .entry("programs", programs)
        .text("folders", &format!("{FOLDERS:?}"))
        .text("devices", &format!("{DEVICES:?}"))
        .tree(&workspace::guest("initramfs"))?;
    if let Some(valgrind) = valgrind {
        key = key.entry("valgrind", &valgrind.dir);
    }
    let entry = cache.ensure(&key, |out| {
        let task = Task::new(kind);
        let archive = build(busybox, programs, valgrind)?;
        let path = out.join("initramfs.cpio.gz");
        fs::write(&path, archive).with_context(|| format!("Cannot write {}", path.display()))?;
        task.done("built");
        Ok(())
    })?;
    Ok(entry.join("initramfs.cpio.gz"))
}

fn build(busybox: &Path, programs: &Path, valgrind: Option<&Valgrind>) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for &(name, mode) in FOLDERS {
        archive.folder(name, mode);
    }
    for &(name, mode, major, minor) in DEVICES {
        archive.device(name, mode, major, minor);
    }
    archive.link("dev/fd", "/proc/self/fd");
    for (number, name) in ["stdin", "stdout", "stderr"].iter().enumerate() {
        archive.link(&format!("dev/{name}"), &format!("/proc/self/fd/{number}"));
    }
    archive.file_from("bin/busybox", 0o755, busybox)?;
    archive.link("bin/sh", "busybox");
    for (path, name) in listed(&workspace::guest("initramfs"))? {
        let place = match name.strip_prefix("test-") {
            Some(script) => format!("test/{}", script.trim_end_matches(".sh")),
            None => name.clone(),
        };
        if name != "README.md" {
            archive.file_from(&place, 0o755, &path)?;
        }
    }
    archive.file_from(&format!("test/{ALL_IN_ONE}"), 0o755, &programs.join(ALL_IN_ONE))?;
    for name in links_in(programs)? {
        archive.link(&format!("test/{name}"), ALL_IN_ONE);
    }
    if let Some(valgrind) = valgrind {
        archive.folder("valgrind", 0o755);
        archive.file_from("valgrind/list", 0o644, &valgrind.dir.join("list"))?;
        for (path, name) in listed(&valgrind.dir.join("bin"))? {
            archive.file_from(&format!("valgrind/{name}"), 0o755, &path)?;
        }
    }
    archive.finish()
}

/// Files of a folder in a fixed order, with their names.
fn listed(dir: &Path) -> Result<Vec<(PathBuf, String)>> {
    let items = fs::read_dir(dir).with_context(|| format!("Cannot list {}", dir.display()))?;
    let mut files: Vec<(PathBuf, String)> = items
        .flatten()
        .filter(|item| item.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|item| (item.path(), item.file_name().to_string_lossy().into_owned()))
        .collect();
    files.sort();
    Ok(files)
}

/// Names of the symbolic links of a folder in a fixed order.
fn links_in(dir: &Path) -> Result<Vec<String>> {
    let items = fs::read_dir(dir).with_context(|| format!("Cannot list {}", dir.display()))?;
    let mut names: Vec<String> = items
        .flatten()
        .filter(|item| item.file_type().is_ok_and(|kind| kind.is_symlink()))
        .map(|item| item.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}

/// A cpio archive in memory.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn folder(&mut self, name: &str, mode: u32) {
        self.entry(name, S_IFDIR | mode, (0, 0), &[]);
    }

    fn device(&mut self, name: &str, mode: u32, major: u32, minor: u32) {
        self.entry(name, S_IFCHR | mode, (major, minor), &[]);
    }

    fn link(&mut self, name: &str, target: &str) {
        self.entry(name, S_IFLNK | 0o777, (0, 0), target.as_bytes());
    }

    fn file_from(&mut self, name: &str, mode: u32, path: &Path) -> Result<()> {
        let content = fs::read(path).with_context(|| format!("Cannot read {}", path.display()))?;
        self.entry(name, S_IFREG | mode, (0, 0), &content);
        Ok(())
    }

    /// One entry: magic, thirteen 8-digit hexadecimal fields, the name with its zero, the content, name and
    /// content each padded to a multiple of four bytes (Linux, driver-api/early-userspace/buffer-format).
    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let links = if mode & 0o170_000 == S_IFDIR { 2 } else { 1 };
        let size = u32::try_from(content.len()).expect("a guest file below 4 GiB");
        let name_size = u32::try_from(name.len() + 1).expect("a short name");
        let fields = [
            self.entries,
            mode,
            0,
            0,
            links,
            0,
            size,
            0,
            0,
            device.0,
            device.1,
            name_size,
            // The checksum belongs to another variant of the format.
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Result<Vec<u8>> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
        gzip.write_all(&self.bytes).context("Cannot compress the root file system")?;
        gzip.finish().context("Cannot compress the root file system")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_the_header_that_the_kernel_reads() {
        let mut archive = Archive::default();
        archive.entry("a", S_IFREG | 0o644, (0, 0), b"xyz");
        let expected = concat!(
            "070701", "00000001", "000081A4", "00000000", "00000000", "00000001", "00000000", "00000003",
            "00000000", "00000000", "00000000", "00000000", "00000002", "00000000", "a\0", "xyz\0"
        );
        assert_eq!(String::from_utf8_lossy(&archive.bytes), expected);
    }

    #[test]
    fn devices_carry_their_numbers() {
        let mut archive = Archive::default();
        archive.device("dev/ttyS1", 0o620, 4, 65);
        let text = String::from_utf8_lossy(&archive.bytes).into_owned();
        // c_rdevmajor and c_rdevminor are the tenth and eleventh field.
        assert_eq!(&text[6 + 9 * 8..6 + 11 * 8], "0000000400000041");
        assert_eq!(&text[6 + 8..6 + 16], "00002190");
    }

    #[test]
    fn every_folder_follows_its_parent() {
        for (index, (name, _)) in FOLDERS.iter().enumerate() {
            if let Some((parent, _)) = name.rsplit_once('/') {
                assert!(FOLDERS[..index].iter().any(|(earlier, _)| *earlier == parent), "{name}");
            }
        }
    }
}
