//! What a user may choose about a core.

pub use mmu_core::policy::{PolicyKind, UnknownPolicy};

use crate::core::Core;
use crate::state::CpuState;

/// Pages of a pool by default.
pub const SHADOW_PAGES: usize = crate::mmu::POOL;

/// A bounded pool of shadow pages: what a hardware TLB would be. An engine whose own tables are reached by address needs
/// none; one is for studies of policies and for hosts with little memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShadowPool {
    /// Shadow pages, 1 to 65,535; numbers outside are brought inside.
    pub pages: usize,
    /// Which shadow makes room for another.
    pub policy: PolicyKind,
}

impl Default for ShadowPool {
    fn default() -> Self {
        Self { pages: SHADOW_PAGES, policy: PolicyKind::default() }
    }
}

/// How a [`Core`] is built.
///
/// ```
/// use ppc440_core::core::Core;
/// use ppc440_core::options::{Options, PolicyKind, ShadowPool};
/// use ppc440_core::state::CpuState;
///
/// let pool = ShadowPool { pages: 64, policy: PolicyKind::Lru };
/// let core = Core::with_options(&CpuState::reset(0x4222_18D3), Options { pool: Some(pool), ..Options::default() });
/// assert_eq!(core.options().pool, Some(pool));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The core's clock is the number of retired instructions.
    pub icount: bool,
    /// The pool of shadow pages; `None` lets the core hold whatever the guest's TLB gives.
    pub pool: Option<ShadowPool>,
}

impl Options {
    /// Options from plain numbers, as tables of other languages carry them: with 0 shadow pages and policy 0 there is no
    /// pool, with one of them 0 the pool takes its default for it. `None` if no policy has that number (see
    /// [`policy_by_number`]).
    ///
    /// ```
    /// use ppc440_core::options::{Options, ShadowPool};
    ///
    /// assert_eq!(Options::from_numbers(true, 0, 0), Some(Options { icount: true, pool: None }));
    /// let pool = Some(ShadowPool { pages: 9, ..ShadowPool::default() });
    /// assert_eq!(Options::from_numbers(false, 9, 0), Some(Options { icount: false, pool }));
    /// assert_eq!(Options::from_numbers(false, 0, 99), None);
    /// ```
    #[must_use]
    pub fn from_numbers(icount: bool, shadow_pages: u32, policy: u32) -> Option<Self> {
        let chosen = policy_by_number(policy)?;
        let pages = if shadow_pages == 0 { SHADOW_PAGES } else { shadow_pages as usize };
        let pool = (shadow_pages != 0 || policy != 0).then_some(ShadowPool { pages, policy: chosen });
        Some(Self { icount, pool })
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
        Options { icount: self.icount, pool: self.mmu.pool() }
    }
}
