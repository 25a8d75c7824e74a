//! The cache of everything that is fetched or built for the guest.
//!
//! One entry is a folder `<kind>-<hash>`, where the hash covers all inputs of the build: versions of
//! sources and compilers, flags, recipes. An entry is made in `tmp/` and renamed when it is complete, so a
//! build that was interrupted is never used. A lock file per kind keeps two runs from making the same
//! thing; the lock dies with its process. What belongs to an entry is written into its `inputs.txt`.
//! There is no clock in a hash: the same inputs always give the same name.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::progress;

/// How many entries of one kind stay when a new one is added.
const KEPT_PER_KIND: usize = 4;

/// Pause between two looks at a lock that is held.
const LOCK_POLL: Duration = Duration::from_millis(50);
/// A wait longer than this is told.
const WAIT_IS_WORTH_TELLING: Duration = Duration::from_secs(3);

/// The cache's folder.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$PPC440_VMM_CACHE`, else `ppc440-vmm` in the user's cache folder.
    pub(crate) fn open() -> Result<Self> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = match variable("PPC440_VMM_CACHE") {
            Some(dir) => dir,
            None => match variable("XDG_CACHE_HOME") {
                Some(dir) => dir.join("ppc440-vmm"),
                None => variable("HOME")
                    .map(|home| home.join(".cache/ppc440-vmm"))
                    .context("No place for the cache: set PPC440_VMM_CACHE or HOME")?,
            },
        };
        Self::at(root)
    }

    /// A cache in a given folder, which is made if need be.
    pub(crate) fn at(root: PathBuf) -> Result<Self> {
        let made = fs::create_dir_all(&root).and_then(|()| fs::canonicalize(&root));
        let root = made.with_context(|| format!("Cannot make the cache folder {}", root.display()))?;
        for part in ["tmp", "locks", "logs"] {
            let dir = root.join(part);
            fs::create_dir_all(&dir).with_context(|| format!("Cannot make {}", dir.display()))?;
        }
        Ok(Self { root })
    }

    /// The folder that holds the entries.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The log file of a step, replaced at every run.
    pub(crate) fn log(&self, step: &str) -> PathBuf {
        self.root.join("logs").join(format!("{step}.log"))
    }

    /// Waits for the named lock and holds it until the guard is dropped.
    pub(crate) fn lock(&self, name: &str) -> Result<Lock> {
        let path = self.root.join("locks").join(format!("{name}.lock"));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("Cannot open the lock {}", path.display()))?;
        let mut waited = Duration::ZERO;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(error) => bail!("Cannot lock {}: {error}", path.display()),
            }
            // Polling instead of a blocking call lets us say why nothing happens.
            thread::sleep(LOCK_POLL);
            if waited < WAIT_IS_WORTH_TELLING && waited + LOCK_POLL >= WAIT_IS_WORTH_TELLING {
                progress::line(&format!("{name}: waiting for another run that is using it"));
            }
            waited += LOCK_POLL;
        }
        Ok(Lock { _file: file })
    }

    /// The entry for `key`; when it is missing, `build` makes it in the empty folder that it is given.
    ///
    /// # Errors
    /// Whatever `build` reports; the unfinished folder is removed and nothing is added.
    pub(crate) fn ensure(&self, key: &Key, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let name = key.name();
        let entry = self.root.join(&name);
        if entry.is_dir() {
            return Ok(entry);
        }
        let _lock = self.lock(key.kind)?;
        if entry.is_dir() {
            return Ok(entry);
        }
        // Under the lock whatever else lies in tmp/ for this kind was left behind by a run that died.
        for stale in self.entries_in(&self.root.join("tmp"), key.kind)? {
            fs::remove_dir_all(&stale).with_context(|| format!("Cannot remove {}", stale.display()))?;
        }
        let work = self.root.join("tmp").join(&name);
        fs::create_dir(&work).with_context(|| format!("Cannot make {}", work.display()))?;
        let finished = build(&work).and_then(|()| {
            fs::write(work.join("inputs.txt"), &key.inputs)
                .and_then(|()| fs::rename(&work, &entry))
                .with_context(|| format!("Cannot add {} to the cache", entry.display()))
        });
        if let Err(error) = finished {
            // The first error is the one to tell; a folder that stays is removed by the next run.
            let _ = fs::remove_dir_all(&work);
            return Err(error);
        }
        self.forget_old(key.kind, &entry)?;
        Ok(entry)
    }

    /// Removes the oldest entries of a kind beyond [`KEPT_PER_KIND`], never `newest`.
    fn forget_old(&self, kind: &str, newest: &Path) -> Result<()> {
        let mut entries: Vec<(SystemTime, PathBuf)> = self
            .entries_in(&self.root, kind)?
            .into_iter()
            .filter(|path| path != newest)
            .map(|path| {
                let made = fs::metadata(path.join("inputs.txt")).and_then(|meta| meta.modified());
                (made.unwrap_or(SystemTime::UNIX_EPOCH), path)
            })
            .collect();
        entries.sort();
        let surplus = (entries.len() + 1).saturating_sub(KEPT_PER_KIND);
        for (_, path) in entries.into_iter().take(surplus) {
            fs::remove_dir_all(&path).with_context(|| format!("Cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    fn entries_in(&self, dir: &Path, kind: &str) -> Result<Vec<PathBuf>> {
        let listed = fs::read_dir(dir).with_context(|| format!("Cannot list {}", dir.display()))?;
        let mut found = Vec::new();
        for item in listed {
            let item = item.with_context(|| format!("Cannot list {}", dir.display()))?;
            let name = item.file_name();
            let is_entry = name
                .to_str()
                .and_then(|name| name.rsplit_once('-'))
                .is_some_and(|(prefix, hash)| prefix == kind && hash.len() == HASH_DIGITS);
            if is_entry {
                found.push(item.path());
            }
        }
        Ok(found)
    }
}

/// A held lock.
pub(crate) struct Lock {
    _file: File,
}

/// Hexadecimal digits of an entry's hash: 64 bits, plenty for a handful of entries.
const HASH_DIGITS: usize = 16;

/// What an entry is made from.
pub(crate) struct Key {
    kind: &'static str,
    inputs: String,
}

impl Key {
    /// A key of the given kind. `recipe` changes whenever the code that builds the entry changes its result.
    pub(crate) fn new(kind: &'static str, recipe: u32) -> Self {
        Self { kind, inputs: format!("{kind} recipe: {recipe}\n") }
    }

    /// Adds a named text: a version, flags.
    pub(crate) fn text(mut self, label: &str, value: &str) -> Self {
        // Quoting keeps one input from looking like two.
        let _ = writeln!(self.inputs, "{label}: {value:?}");
        self
    }

    /// Adds another entry of the cache, or any path whose name says what is inside.
    pub(crate) fn entry(self, label: &str, path: &Path) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        self.text(label, &name)
    }

    /// Adds a file by its content.
    pub(crate) fn file(self, path: &Path) -> Result<Self> {
        let content = fs::read(path).with_context(|| format!("Cannot read {}", path.display()))?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(self.text(&name, &hex(&Sha256::digest(&content))))
    }

    /// Adds every file below a folder by its content.
    pub(crate) fn tree(mut self, dir: &Path) -> Result<Self> {
        for path in files_below(dir)? {
            let content = fs::read(&path).with_context(|| format!("Cannot read {}", path.display()))?;
            let name = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().into_owned();
            self = self.text(&name, &hex(&Sha256::digest(&content)));
        }
        Ok(self)
    }

    /// Adds a large folder by names, sizes and times of its files; reading a kernel tree takes too long.
    pub(crate) fn tree_metadata(self, label: &str, dir: &Path) -> Result<Self> {
        let mut hasher = Sha256::new();
        for path in files_below(dir)? {
            let meta =
                fs::symlink_metadata(&path).with_context(|| format!("Cannot read {}", path.display()))?;
            hasher.update(path.as_os_str().as_encoded_bytes());
            let modified = meta.modified().ok().and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
            hasher.update(format!("\0{}\0{:?}\n", meta.len(), modified));
        }
        let digest = hex(&hasher.finalize());
        Ok(self.text(label, &digest))
    }

    fn name(&self) -> String {
        format!("{}-{}", self.kind, &hex(&Sha256::digest(&self.inputs))[..HASH_DIGITS])
    }
}

/// Lower-case hexadecimal text.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// All files and links below a folder, sorted, without version control's own.
fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
        for item in fs::read_dir(dir)? {
            let item = item?;
            if item.file_type()?.is_dir() {
                if item.file_name() != ".git" {
                    walk(&item.path(), found)?;
                }
            } else {
                found.push(item.path());
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    walk(dir, &mut found).with_context(|| format!("Cannot list {}", dir.display()))?;
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let cache = Cache::at(dir.path().join("cache")).expect("a cache");
        (dir, cache)
    }

    #[test]
    fn an_entry_is_built_once_and_found_again() {
        let (_dir, cache) = scratch();
        let key = Key::new("thing", 1).text("flavour", "plain");
        let first = cache.ensure(&key, |dir| Ok(fs::write(dir.join("made"), "x")?)).expect("built");
        let again = cache.ensure(&key, |_| bail!("must not be built again")).expect("found");
        assert_eq!(first, again);
        assert_eq!(fs::read_to_string(again.join("made")).expect("content"), "x");
    }

    #[test]
    fn a_failed_build_leaves_nothing_and_the_next_one_succeeds() {
        let (_dir, cache) = scratch();
        let key = Key::new("thing", 1);
        let failed = cache.ensure(&key, |dir| {
            fs::write(dir.join("half"), "x")?;
            bail!("compiler gone")
        });
        assert_eq!(failed.expect_err("an error").to_string(), "compiler gone");
        let entry = cache.ensure(&key, |_| Ok(())).expect("built");
        assert!(!entry.join("half").exists());
    }

    #[test]
    fn what_an_interrupted_run_left_is_neither_used_nor_in_the_way() {
        let (_dir, cache) = scratch();
        let key = Key::new("thing", 1);
        let half = cache.root().join("tmp").join(key.name());
        fs::create_dir(&half).expect("half an entry");
        fs::write(half.join("half"), "x").expect("half an entry");
        let entry = cache.ensure(&key, |_| Ok(())).expect("built");
        assert!(!entry.join("half").exists());
    }

    #[test]
    fn any_changed_input_changes_the_name() {
        let names = [
            Key::new("thing", 1).text("a", "b").name(),
            Key::new("thing", 2).text("a", "b").name(),
            Key::new("thing", 1).text("a", "c").name(),
            Key::new("thing", 1).text("b", "b").name(),
            Key::new("thing", 1).text("a", "b\nc: \"d\"").name(),
            Key::new("thing", 1).text("a", "b").text("c", "d").name(),
        ];
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name} appears twice");
        }
    }

    #[test]
    fn old_entries_go_and_other_kinds_stay() {
        let (_dir, cache) = scratch();
        let other = cache.ensure(&Key::new("thing-two", 1), |_| Ok(())).expect("built");
        let mut last = PathBuf::new();
        for flavour in 0..KEPT_PER_KIND + 3 {
            let key = Key::new("thing", 1).text("flavour", &flavour.to_string());
            last = cache.ensure(&key, |_| Ok(())).expect("built");
        }
        assert_eq!(cache.entries_in(cache.root(), "thing").expect("listed").len(), KEPT_PER_KIND);
        assert!(last.is_dir() && other.is_dir());
    }

    #[test]
    fn two_threads_that_want_the_same_entry_build_it_once() {
        let (_dir, cache) = scratch();
        let builds = std::sync::atomic::AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let key = Key::new("thing", 1);
                    cache
                        .ensure(&key, |_| {
                            builds.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                            thread::sleep(Duration::from_millis(20));
                            Ok(())
                        })
                        .expect("built");
                });
            }
        });
        assert_eq!(builds.into_inner(), 1);
    }
}
