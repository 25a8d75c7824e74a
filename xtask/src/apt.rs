//! Fetching from Debian's archive beside the system's own package state.
//!
//! The mirrors are those that the system is configured with; source packages, another release's packages
//! and backports are reached through a private sources list, private package lists and a private download
//! folder in the cache. The system's configuration, lists and installed packages are left as they are, and
//! no root is needed. apt checks signatures and hashes as for any installation.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::cache::{Cache, Lock};
use crate::progress::{self, Task};
use crate::{packages, run};

/// The release whose source packages the guest is built from, on any Debian.
pub(crate) const SOURCE_RELEASE: &str = "bookworm";

/// How often a fetch is tried.
const ATTEMPTS: u32 = 3;

/// Package lists younger than this are not fetched again.
const LISTS_STAY_FRESH: Duration = Duration::from_secs(600);

/// A mirror as the system names it: where it is, and how its signature is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mirror {
    uris: Vec<String>,
    suites: Vec<String>,
    /// Path of a keyring, if the entry names one.
    signed_by: Option<String>,
    trusted: bool,
}

/// A private view of the archive.
pub(crate) struct Apt {
    dir: PathBuf,
    log: PathBuf,
    name: &'static str,
    /// The lists and the download folder belong to one run at a time.
    _lock: Lock,
}

impl Apt {
    /// A view of a release's suites: `<release>`, `-updates`, `-security` and, if asked for, `-backports`,
    /// with fresh package lists.
    ///
    /// # Errors
    /// When this is no Debian, no mirror is configured, or the lists cannot be fetched.
    pub(crate) fn open(
        cache: &Cache,
        name: &'static str,
        release: &str,
        backports: bool,
        task: &Task,
    ) -> Result<Self> {
        ensure!(packages::is_debian(), "Cannot fetch Debian packages here.\n{}", packages::elsewhere());
        let own =
            packages::os_release("VERSION_CODENAME").context("No VERSION_CODENAME in /etc/os-release")?;
        let mirrors = system_mirrors(Path::new("/etc/apt"))?;
        let dir = cache.root().join("apt").join(name);
        for part in ["sources", "lists/partial", "archives/partial"] {
            let part = dir.join(part);
            fs::create_dir_all(&part).with_context(|| format!("Cannot make {}", part.display()))?;
        }
        let lock = cache.lock(&format!("apt-{name}"))?;
        let list = dir.join("sources/private.sources");
        let text = private_list(&mirrors, &own, release, backports)?;
        let stamp = dir.join("updated");
        let age =
            fs::metadata(&stamp).and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
        let fresh = age.is_some_and(|age| age < LISTS_STAY_FRESH);
        let log = cache.log(&format!("apt-{name}"));
        run::fresh_log(&log)?;
        let apt = Self { dir, log, name, _lock: lock };
        if fresh && fs::read_to_string(&list).is_ok_and(|old| old == text) {
            return Ok(apt);
        }
        fs::write(&list, &text).with_context(|| format!("Cannot write {}", list.display()))?;
        task.set("package lists");
        apt.retry(task, || {
            let mut command = apt.get();
            // Without this apt says yes when a mirror was out of reach and old lists remain.
            command.args(["-o", "APT::Update::Error-Mode=any", "update"]);
            command
        })?;
        fs::write(&stamp, "").with_context(|| format!("Cannot write {}", stamp.display()))?;
        Ok(apt)
    }

    /// `apt-get` with the private state.
    fn get(&self) -> Command {
        let mut command = run::tool("apt-get");
        let path = |part: &str| self.dir.join(part).display().to_string();
        for (option, value) in [
            ("Dir::Etc::SourceList", "/dev/null".to_owned()),
            ("Dir::Etc::SourceParts", path("sources")),
            ("Dir::State::Lists", path("lists")),
            ("Dir::Cache", self.dir.display().to_string()),
            ("Dir::Cache::Archives", path("archives")),
            ("Dir::Cache::pkgcache", String::new()),
            ("Dir::Cache::srcpkgcache", String::new()),
            // The unprivileged download user could not write to the cache.
            ("APT::Sandbox::User", download_user()),
            // Nothing is installed, so the system's lock is not wanted.
            ("Debug::NoLocking", "true".to_owned()),
            ("Acquire::Retries", "2".to_owned()),
        ] {
            command.arg("-o").arg(format!("{option}={value}"));
        }
        command.arg("-q");
        command
    }

    fn retry(&self, task: &Task, make: impl Fn() -> Command) -> Result<()> {
        let mut attempt = 1;
        loop {
            match run::logged(&mut make(), task, &self.log) {
                Ok(()) => return Ok(()),
                Err(error) if attempt >= ATTEMPTS => return Err(error),
                Err(_) => {
                    progress::line(&format!("{}: the mirror did not answer well, trying again", self.name))
                }
            }
            std::thread::sleep(std::time::Duration::from_secs(3 * u64::from(attempt)));
            attempt += 1;
        }
    }

    /// Fetches and unpacks a source package; returns its folder and its version.
    pub(crate) fn source(&self, package: &str, into: &Path, task: &Task) -> Result<(PathBuf, String)> {
        self.retry(task, || {
            let mut command = self.get();
            command.args(["source", "--only-source", package]).current_dir(into);
            command
        })?;
        let mut folders = Vec::new();
        let mut version = None;
        for item in fs::read_dir(into).with_context(|| format!("Cannot list {}", into.display()))? {
            let item = item.with_context(|| format!("Cannot list {}", into.display()))?;
            let name = item.file_name().to_string_lossy().into_owned();
            if item.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(item.path());
            } else if let Some(stem) = name.strip_suffix(".dsc") {
                version = stem.split_once('_').map(|(_, version)| version.to_owned());
            }
        }
        match (folders.pop(), version) {
            (Some(folder), Some(version)) if folders.is_empty() => Ok((folder, version)),
            _ => bail!("The source package {package} did not unpack into one folder in {}", into.display()),
        }
    }

    /// Fetches one binary package of the release, whatever the system has installed.
    pub(crate) fn download(&self, package: &str, into: &Path, task: &Task) -> Result<PathBuf> {
        self.retry(task, || {
            let mut command = self.get();
            command.args(["download", package]).current_dir(into);
            command
        })?;
        let mut debs = debs_in(into)?;
        match (debs.pop(), debs.is_empty()) {
            (Some(deb), true) => Ok(deb),
            _ => bail!("apt-get download {package} did not leave one package in {}", into.display()),
        }
    }

    /// Fetches packages and those of their dependencies that the system lacks.
    pub(crate) fn closure(
        &self,
        packages: &[&str],
        prefer: Option<&str>,
        task: &Task,
    ) -> Result<Vec<PathBuf>> {
        let archives = self.dir.join("archives");
        for old in debs_in(&archives)? {
            fs::remove_file(&old).with_context(|| format!("Cannot remove {}", old.display()))?;
        }
        self.retry(task, || {
            let mut command = self.get();
            command.args(["-y", "--no-install-recommends", "--download-only", "--reinstall"]);
            if let Some(suite) = prefer {
                command.args(["-t", suite]);
            }
            command.arg("install").args(packages);
            command
        })?;
        debs_in(&archives)
    }

    /// Unpacks a binary package into a folder.
    pub(crate) fn unpack(&self, deb: &Path, into: &Path, task: &Task) -> Result<()> {
        run::logged(run::tool("dpkg-deb").arg("--extract").arg(deb).arg(into), task, &self.log)
    }
}

/// The user that apt may download as: ourselves.
fn download_user() -> String {
    if rustix::process::geteuid().is_root() { "root".to_owned() } else { String::new() }
}

fn debs_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut debs = Vec::new();
    for item in fs::read_dir(dir).with_context(|| format!("Cannot list {}", dir.display()))? {
        let path = item.with_context(|| format!("Cannot list {}", dir.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            debs.push(path);
        }
    }
    debs.sort();
    Ok(debs)
}

/// The mirrors in `sources.list` and `sources.list.d`, both file formats.
fn system_mirrors(etc_apt: &Path) -> Result<Vec<Mirror>> {
    let mut files = vec![etc_apt.join("sources.list")];
    if let Ok(items) = fs::read_dir(etc_apt.join("sources.list.d")) {
        let mut parts: Vec<PathBuf> = items.flatten().map(|item| item.path()).collect();
        parts.sort();
        files.extend(parts);
    }
    let mut mirrors = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => mirrors.extend(text.lines().filter_map(one_line_entry)),
            Some("sources") => mirrors.extend(stanzas(&text)),
            _ => {}
        }
    }
    ensure!(!mirrors.is_empty(), "No package mirror is configured in {}", etc_apt.display());
    Ok(mirrors)
}

/// Reads `deb [options] uri suite components...`.
fn one_line_entry(line: &str) -> Option<Mirror> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let rest = line.strip_prefix("deb").and_then(|rest| rest.strip_prefix([' ', '\t']))?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => ("", rest),
    };
    let option = |name: &str| {
        options
            .split_whitespace()
            .filter_map(|text| text.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, v)| v)
    };
    let mut words = rest.split_whitespace();
    Some(Mirror {
        uris: vec![words.next()?.to_owned()],
        suites: vec![words.next()?.to_owned()],
        signed_by: option("signed-by").map(str::to_owned),
        trusted: option("trusted") == Some("yes"),
    })
}

/// Reads a deb822 file's stanzas that offer binary packages.
fn stanzas(text: &str) -> Vec<Mirror> {
    let mut mirrors = Vec::new();
    for stanza in text.split("\n\n") {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in stanza.lines().filter(|line| !line.starts_with('#')) {
            if let (true, Some((_, value))) = (line.starts_with([' ', '\t']), fields.last_mut()) {
                value.push('\n');
                value.push_str(line.trim());
            } else if let Some((name, value)) = line.split_once(':') {
                fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let words =
            |name| field(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let enabled = !matches!(field("enabled"), Some("no" | "false"));
        if !enabled || !words("types").iter().any(|kind| kind == "deb") {
            continue;
        }
        mirrors.push(Mirror {
            uris: words("uris"),
            suites: words("suites"),
            // A key that stands in the file itself spans lines; the path form is one line.
            signed_by: field("signed-by").map(str::to_owned),
            trusted: field("trusted") == Some("yes"),
        });
    }
    mirrors
}

/// The text of the private sources list: the system's mirrors with the suites that we want.
///
/// `own` is the system's release; a mirror that serves it also serves the other releases.
fn private_list(mirrors: &[Mirror], own: &str, release: &str, backports: bool) -> Result<String> {
    let has = |mirror: &&Mirror, suite: &str| mirror.suites.iter().any(|name| name == suite);
    let aliases = [own, "stable", "testing", "unstable", "sid"];
    let main = mirrors.iter().find(|mirror| aliases.iter().any(|suite| has(mirror, suite)));
    let main = main.with_context(|| format!("No configured mirror serves the release {own}"))?;
    let is_security = |mirror: &&Mirror| {
        aliases.iter().any(|suite| {
            has(mirror, &format!("{suite}-security")) || has(mirror, &format!("{suite}/updates"))
        })
    };
    let mut suites = vec![release.to_owned(), format!("{release}-updates")];
    if backports {
        suites.push(format!("{release}-backports"));
    }
    let mut text = stanza(main, &suites);
    // A mirror without security updates is no reason to stop: the release itself has every package.
    if let Some(security) = mirrors.iter().find(is_security) {
        text += &stanza(security, &[format!("{release}-security")]);
    }
    Ok(text)
}

fn stanza(mirror: &Mirror, suites: &[String]) -> String {
    let mut text = format!(
        "Types: deb deb-src\nURIs: {}\nSuites: {}\nComponents: main\n",
        mirror.uris.join(" "),
        suites.join(" ")
    );
    if let Some(key) = &mirror.signed_by {
        text += &format!("Signed-By: {}\n", key.replace('\n', "\n "));
    }
    if mirror.trusted {
        text += "Trusted: yes\n";
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(uri: &str, suite: &str) -> Mirror {
        Mirror { uris: vec![uri.into()], suites: vec![suite.into()], signed_by: None, trusted: false }
    }

    #[test]
    fn the_one_line_format_with_and_without_options() {
        assert_eq!(
            one_line_entry("deb http://a.test/d bookworm main"),
            Some(mirror("http://a.test/d", "bookworm"))
        );
        let signed =
            one_line_entry("deb [arch=amd64 signed-by=/k.gpg trusted=yes] http://a.test/d bookworm main");
        let expected = Mirror {
            signed_by: Some("/k.gpg".into()),
            trusted: true,
            ..mirror("http://a.test/d", "bookworm")
        };
        assert_eq!(signed, Some(expected));
        assert_eq!(one_line_entry("deb-src http://a.test/d bookworm main"), None);
        assert_eq!(one_line_entry("# deb http://a.test/d bookworm main"), None);
    }

    #[test]
    fn deb822_stanzas_with_comments_switches_and_an_inline_key() {
        let text = "Types: deb\n# a comment\nURIs: http://a.test/d\nSuites: bookworm bookworm-updates\n\
                    Components: main\nSigned-By:\n -----BEGIN-----\n .\n abc\n\n\
                    Types: deb-src\nURIs: http://b.test/d\nSuites: bookworm\n\n\
                    Enabled: no\nTypes: deb\nURIs: http://c.test/d\nSuites: bookworm\n";
        let found = stanzas(text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].suites, ["bookworm", "bookworm-updates"]);
        assert_eq!(found[0].signed_by.as_deref(), Some("\n-----BEGIN-----\n.\nabc"));
    }

    #[test]
    fn the_private_list_keeps_mirrors_and_changes_suites() {
        let mirrors = [
            mirror("http://other.test/x", "tools"),
            mirror("http://a.test/d", "trixie"),
            mirror("http://a.test/s", "trixie-security"),
        ];
        let text = private_list(&mirrors, "trixie", "bookworm", true).expect("a list");
        assert_eq!(
            text,
            "Types: deb deb-src\nURIs: http://a.test/d\nSuites: bookworm bookworm-updates bookworm-backports\n\
             Components: main\n\n\
             Types: deb deb-src\nURIs: http://a.test/s\nSuites: bookworm-security\nComponents: main\n\n"
        );
        assert!(private_list(&mirrors[..1], "trixie", "bookworm", false).is_err());
    }
}
