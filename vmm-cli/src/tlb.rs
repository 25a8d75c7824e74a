//! What the command line asks of the engine's shadow TLB: its size and policy.

use vmm_plugin::api::{Info, PolicyKind, Refusal, caps};

use crate::cli::Run;

/// The options, in the terms of an engine.
#[derive(Debug, Default)]
pub(crate) struct TlbOptions {
    /// Pages of the shadow TLB; 0 for the engine's default.
    pub(crate) pages: u32,
    /// Replacement policy; 0 for the engine's default, see [`vmm_plugin::api::policy_by_number`].
    pub(crate) policy: u32,
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
        Ok(Self { pages, policy })
    }
}
