//! Recordings of what happens inside an engine, written to a file as the guest runs: `--trace` and `--perf-map`.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use vmm_plugin::api::{Engine, Refusal};

use crate::cli::Run;

/// Instructions between two looks at a recording: an engine holds some megabytes of it, and an instruction is worth a
/// few bytes at most.
const BUDGET: u64 = 1 << 22;

/// What is to be recorded.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    topic: &'static str,
    path: PathBuf,
    /// A file in a folder that everybody may write to: nothing that lies there is followed or overwritten.
    shared_folder: bool,
}

impl Wanted {
    pub(crate) fn of(options: &Run) -> Option<Self> {
        if options.perf_map {
            // Where `perf report` looks for it (Linux, tools/perf/Documentation/jit-interface.txt).
            let path = format!("/tmp/perf-{}.map", std::process::id()).into();
            return Some(Self { topic: "perf-map", path, shared_folder: true });
        }
        let crate::cli::Trace { topic, path } = options.trace.as_ref()?;
        Some(Self { topic, path: path.clone(), shared_folder: false })
    }
}

/// A recording that is being written.
#[derive(Debug)]
pub(crate) struct Trace {
    path: PathBuf,
    file: File,
}

impl Trace {
    /// Lets the engine record.
    ///
    /// # Errors
    /// That the engine cannot, or that the file cannot be created.
    pub(crate) fn start(wanted: &Wanted, engine: &mut dyn Engine) -> Result<Self, Refusal> {
        let Wanted { topic, path, shared_folder } = wanted;
        engine.record(topic)?;
        let mut how = OpenOptions::new();
        how.write(true);
        if *shared_folder {
            // A map of an earlier process with this number; what is not ours stays, and the next line says so.
            let _ = std::fs::remove_file(path);
            how.create_new(true);
        } else {
            how.create(true).truncate(true);
        }
        let file =
            how.open(path).map_err(|error| Refusal(format!("Cannot create {}: {error}", path.display())))?;
        Ok(Self { path: path.clone(), file })
    }

    /// The longest run that the engine's memory lasts for.
    pub(crate) const fn budget(trace: Option<&Self>, otherwise: u64) -> u64 {
        if trace.is_some() { BUDGET } else { otherwise }
    }

    /// Writes what was recorded since the last time.
    ///
    /// # Errors
    /// That it cannot be written.
    pub(crate) fn take(&mut self, engine: &mut dyn Engine) -> Result<(), Refusal> {
        self.file
            .write_all(&engine.recorded())
            .map_err(|error| Refusal(format!("Cannot write {}: {error}", self.path.display())))
    }
}
