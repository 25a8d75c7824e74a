//! What a user may choose about a core.

pub use mmu_core::policy::{PolicyKind, UnknownPolicy};

use crate::core::Core;
use crate::state::CpuState;

/// Shadow pages by default.
pub const SHADOW_PAGES: usize = crate::mmu::POOL;

/// How a [`Core`] is built.
///
/// ```
/// use ppc440_core::core::Core;
/// use ppc440_core::options::{Options, PolicyKind};
/// use ppc440_core::state::CpuState;
///
/// let options = Options { shadow_pages: 64, policy: PolicyKind::Lru, ..Options::default() };
/// let core = Core::with_options(&CpuState::reset(0x4222_18D3), options);
/// assert_eq!(core.options().shadow_pages, 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The core's clock is the number of retired instructions.
    pub icount: bool,
    /// Shadow pages, 1 to 65,535; numbers outside are brought inside.
    pub shadow_pages: usize,
    /// Which shadow makes room for another.
    pub policy: PolicyKind,
}

impl Default for Options {
    fn default() -> Self {
        Self { icount: false, shadow_pages: SHADOW_PAGES, policy: PolicyKind::default() }
    }
}

/// The policy that a plain number stands for, as tables of other languages carry it: 0 is the default, 1 the first of
/// [`PolicyKind::ALL`], and so on.
///
/// ```
/// use ppc440_core::options::{PolicyKind, policy_by_number};
///
/// assert_eq!(policy_by_number(0), Some(PolicyKind::default()));
/// assert_eq!(policy_by_number(4), Some(PolicyKind::Lru));
/// assert_eq!(policy_by_number(99), None);
/// ```
#[must_use]
pub fn policy_by_number(number: u32) -> Option<PolicyKind> {
    match number.checked_sub(1) {
        None => Some(PolicyKind::default()),
        Some(index) => PolicyKind::ALL.get(index as usize).copied(),
    }
}

impl Core {
    /// A core in the given state, built as `options` say.
    #[must_use]
    pub fn with_options(state: &CpuState, options: Options) -> Self {
        Self::build(state, options)
    }

    /// How the core was built.
    #[must_use]
    pub fn options(&self) -> Options {
        let (shadow_pages, policy) = self.mmu.shape();
        Options { icount: self.icount, shadow_pages, policy }
    }
}
