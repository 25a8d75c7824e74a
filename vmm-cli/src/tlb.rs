//! What the command line asks of the engine's shadow TLB: its size and policy, and a trace of what the guest does.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use vmm_plugin::api::{Engine, Info, PolicyKind, Refusal, caps};

use crate::cli::Run;

/// Instructions between two looks at a recording: an engine holds some megabytes of it, and an instruction is worth a
/// few bytes at most.
const BUDGET: u64 = 1 << 18;

/// The options, in the terms of an engine.
#[derive(Debug, Default)]
pub(crate) struct TlbOptions {
    /// Pages of the shadow TLB; 0 for the engine's default.
    pub(crate) pages: u32,
    /// Replacement policy; 0 for the engine's default, see [`vmm_plugin::api::policy_by_number`].
    pub(crate) policy: u32,
    /// Where a trace goes.
    pub(crate) trace: Option<PathBuf>,
}

impl TlbOptions {
    /// What `options` ask of a backend that is as `info` says.
    ///
    /// # Errors
    /// That the backend cannot.
    pub(crate) fn of(options: &Run, info: &Info) -> Result<Self, Refusal> {
        let number = |policy| PolicyKind::ALL.iter().zip(1..).find(|(kind, _)| **kind == policy);
        let policy = options.tlb_policy.and_then(number).map_or(0, |(_, number)| number);
        let pages = options.shadow_size.unwrap_or(0);
        if (pages, policy) != (0, 0) && info.caps & caps::DROP_PAGE == 0 {
            return Err(Refusal(format!(
                "Backend {} cannot drop single pages and takes neither --tlb-policy nor --shadow-size; interp does",
                info.id
            )));
        }
        Ok(Self { pages, policy, trace: options.trace.clone() })
    }
}

/// A trace that is being written.
#[derive(Debug)]
pub(crate) struct Trace {
    path: PathBuf,
    file: File,
}

impl Trace {
    /// Lets the engine record, if a trace is wanted.
    ///
    /// # Errors
    /// That the engine cannot, or that the file cannot be created.
    pub(crate) fn start(path: Option<&Path>, engine: &mut dyn Engine) -> Result<Option<Self>, Refusal> {
        let Some(path) = path else { return Ok(None) };
        engine.record("tlb")?;
        let file = File::create(path)
            .map_err(|error| Refusal(format!("Cannot create {}: {error}", path.display())))?;
        Ok(Some(Self { path: path.to_owned(), file }))
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
