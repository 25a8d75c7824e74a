//! Where plugins are found, and how a name on the command line becomes a backend or a board.
//!
//! In this order: those that the program links; `--plugin`; each entry of `$VMM_PLUGIN_PATH`; the program's own folder;
//! `../lib/vmm` beside it. Never the working folder, unless it is named. In a folder only files named like plugins
//! (`libbackend_NAME.so`, `libboard_NAME.so`) are opened: opening a library runs its code. A name is looked for in
//! files that carry it first, so that a run does not load what it does not use.

mod library;

use std::path::{Path, PathBuf};

use vmm_plugin::abi::VmmPlugin;
use vmm_plugin::api::{Backend as _, Board as _, Refusal};
use vmm_plugin::load::{LoadedBackend, LoadedBoard, Plugin};

/// A file that may be a plugin.
#[derive(Debug)]
struct Candidate {
    path: PathBuf,
    /// Named on the command line: it must load.
    demanded: bool,
    tried: bool,
}

/// All plugins that are known, loaded as they are needed.
#[derive(Debug)]
pub(crate) struct Plugins {
    loaded: Vec<Plugin>,
    candidates: Vec<Candidate>,
    /// What was found on the search path and could not be used.
    pub(crate) broken: Vec<Refusal>,
    searched: Vec<PathBuf>,
}

impl Plugins {
    /// Takes the linked plugins and those that are demanded, and lists what the search path has.
    pub(crate) fn new(linked: &[&'static VmmPlugin], demanded: &[PathBuf]) -> Result<Self, Refusal> {
        let mut plugins =
            Self { loaded: Vec::new(), candidates: Vec::new(), broken: Vec::new(), searched: Vec::new() };
        for table in linked {
            let plugin = Plugin::linked(table, crate::log::host())
                .map_err(|error| Refusal(format!("A linked plugin cannot be used. {error}")))?;
            plugins.loaded.push(plugin);
        }
        for path in demanded {
            if path.is_dir() {
                plugins.add_folder(path, true);
            } else {
                plugins.add(path.clone(), true);
            }
        }
        for path in std::env::var_os("VMM_PLUGIN_PATH").iter().flat_map(|paths| std::env::split_paths(paths))
        {
            if path.as_os_str().is_empty() {
                // An empty entry means the working folder elsewhere; not here.
            } else if path.is_file() {
                plugins.add(path, false);
            } else {
                plugins.add_folder(&path, false);
            }
        }
        if let Some(folder) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
            plugins.add_folder(folder, false);
            plugins.add_folder(&folder.join("../lib/vmm"), false);
        }
        for index in 0..plugins.candidates.len() {
            if plugins.candidates[index].demanded {
                plugins.load(index)?;
            }
        }
        Ok(plugins)
    }

    fn add(&mut self, path: PathBuf, demanded: bool) {
        let same = |known: &Candidate| match (known.path.canonicalize(), path.canonicalize()) {
            (Ok(a), Ok(b)) => a == b,
            _ => known.path == path,
        };
        if !self.candidates.iter().any(same) {
            self.candidates.push(Candidate { path, demanded, tried: false });
        }
    }

    fn add_folder(&mut self, folder: &Path, demanded: bool) {
        self.searched.push(folder.to_owned());
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        let mut paths: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| plugin_name(path).is_some()).collect();
        paths.sort();
        for path in paths {
            self.add(path, demanded);
        }
    }

    /// Loads a candidate unless that was tried. A demanded one must load; another is told and left out.
    fn load(&mut self, index: usize) -> Result<(), Refusal> {
        let candidate = &mut self.candidates[index];
        if std::mem::replace(&mut candidate.tried, true) {
            return Ok(());
        }
        match library::load(&candidate.path) {
            Ok(plugin) => {
                tracing::debug!("{} is {} {}", candidate.path.display(), plugin.name(), plugin.version());
                self.loaded.push(plugin);
                Ok(())
            }
            Err(refusal) if candidate.demanded => Err(refusal),
            Err(refusal) => {
                tracing::warn!("{refusal}");
                self.broken.push(refusal);
                Ok(())
            }
        }
    }

    /// Loads everything that can be found.
    pub(crate) fn load_all(&mut self) {
        for index in 0..self.candidates.len() {
            // Those that must load did so in `new`.
            let _ = self.load(index);
        }
    }

    /// Every backend of what is loaded; of two with one name the first counts.
    pub(crate) fn backends(&self) -> Vec<LoadedBackend> {
        let mut found: Vec<LoadedBackend> = Vec::new();
        for backend in self.loaded.iter().flat_map(Plugin::backends) {
            if found.iter().all(|known| known.info().id != backend.info().id) {
                found.push(backend);
            }
        }
        found
    }

    /// Every board of what is loaded; of two with one name the first counts.
    pub(crate) fn boards(&self) -> Vec<LoadedBoard> {
        let mut found: Vec<LoadedBoard> = Vec::new();
        for board in self.loaded.iter().flat_map(Plugin::boards) {
            if found.iter().all(|known| known.info().id != board.info().id) {
                found.push(board);
            }
        }
        found
    }

    /// Looks for something among what is loaded, then in files named after it, then in all others.
    fn find<T>(&mut self, kind: &str, id: &str, look: impl Fn(&Self) -> Option<T>) -> Option<T> {
        if let Some(found) = look(self) {
            return Some(found);
        }
        let wanted = format!("{kind}_{}", id.replace('-', "_"));
        let named = |candidate: &Candidate| plugin_name(&candidate.path).is_some_and(|name| name == wanted);
        let (first, rest): (Vec<usize>, Vec<usize>) =
            (0..self.candidates.len()).partition(|index| named(&self.candidates[*index]));
        for index in first.into_iter().chain(rest) {
            let _ = self.load(index);
            if let Some(found) = look(self) {
                return Some(found);
            }
        }
        None
    }

    /// The board of this name.
    pub(crate) fn board(&mut self, id: &str) -> Result<LoadedBoard, Refusal> {
        self.find("board", id, |plugins| plugins.boards().into_iter().find(|board| board.info().id == id))
            .ok_or_else(|| {
                let known: Vec<String> = self.boards().iter().map(|board| board.info().id).collect();
                self.unknown("board", id, &known)
            })
    }

    /// The backend of this name, or for `auto` the usable one of the highest rank; and why it is that one. It must have
    /// all of `needed` ([`vmm_plugin::api::caps`], of which a user can ask for SANDBOX).
    pub(crate) fn backend(
        &mut self,
        id: &str,
        needed: u64,
    ) -> Result<(LoadedBackend, Option<String>), Refusal> {
        if id != "auto" {
            let backend = self
                .find("backend", id, |plugins| {
                    plugins.backends().into_iter().find(|backend| backend.info().id == id)
                })
                .ok_or_else(|| {
                    let known: Vec<String> =
                        self.backends().iter().map(|backend| backend.info().id).collect();
                    self.unknown("backend", id, &known)
                })?;
            if backend.info().caps & needed != needed {
                let message =
                    format!("Backend {id} {NO_SANDBOX}; leave --sandbox out, or take --backend auto or kvm");
                return Err(Refusal(message));
            }
            backend.probe().map_err(|why| Refusal(format!("Backend {id} cannot run on this host: {why}")))?;
            return Ok((backend, None));
        }
        self.load_all();
        let mut ranked = self.backends();
        ranked.sort_by_key(|backend| std::cmp::Reverse(backend.info().rank));
        let mut passed = Vec::new();
        for backend in ranked {
            let info = backend.info();
            if info.caps & needed != needed {
                passed.push((info.id, Refusal(format!("it {NO_SANDBOX}"))));
                continue;
            }
            match backend.probe() {
                Ok(()) => {
                    let mut why =
                        format!("Backend {}: the usable one of highest rank ({})", info.id, info.rank);
                    for (id, reason) in &passed {
                        why.push_str(&format!("; not {id}: {reason}"));
                    }
                    return Ok((backend, Some(why)));
                }
                Err(reason) => passed.push((info.id, reason)),
            }
        }
        if passed.is_empty() {
            return Err(self.unknown("backend", "auto", &[]));
        }
        let reasons: Vec<String> = passed.iter().map(|(id, reason)| format!("{id}: {reason}")).collect();
        Err(Refusal(format!("No backend can run on this host ({})", reasons.join("; "))))
    }

    fn unknown(&self, kind: &str, id: &str, known: &[String]) -> Refusal {
        let folders: Vec<String> = self.searched.iter().map(|path| path.display().to_string()).collect();
        let searched = folders.join(", ");
        if known.is_empty() {
            Refusal(format!(
                "No {kind} plugin was found in {searched}; name one with --plugin PATH or set VMM_PLUGIN_PATH"
            ))
        } else {
            Refusal(format!("There is no {kind} `{id}`; there is {} (searched {searched})", known.join(", ")))
        }
    }
}

/// Why a backend will not do for `--sandbox`.
const NO_SANDBOX: &str = "runs its engine in this program, with no wall around it";

/// `backend_interp` for `libbackend_interp.so`; `None` for a file that is not named like a plugin.
fn plugin_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_suffix(std::env::consts::DLL_SUFFIX)?;
    let name = name.strip_prefix("lib").unwrap_or(name).replace('-', "_");
    (name.starts_with("backend_") || name.starts_with("board_")).then_some(name)
}
