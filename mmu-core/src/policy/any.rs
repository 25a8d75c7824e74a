//! Choosing a policy by name.

use core::fmt;
use core::str::FromStr;

use super::{Clock, Lru, Pool, Random, ReplacementPolicy, RoundRobin, SparingRoundRobin, TreePlru};
use crate::address::EffectiveAddress;

/// The policies of this crate, by name.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum PolicyKind {
    /// `round-robin`: [`RoundRobin`].
    RoundRobin,
    /// `sparing`: [`SparingRoundRobin`].
    Sparing,
    /// `clock`: [`Clock`].
    Clock,
    /// `lru`: [`Lru`], the default: it had the fewest misses in traces of Linux, at no measurable cost.
    #[default]
    Lru,
    /// `plru`: [`TreePlru`].
    TreePlru,
    /// `random`: [`Random`].
    Random,
}

impl PolicyKind {
    /// Every policy.
    pub const ALL: [Self; 6] =
        [Self::RoundRobin, Self::Sparing, Self::Clock, Self::Lru, Self::TreePlru, Self::Random];

    /// The name, as [`FromStr`] takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::Sparing => "sparing",
            Self::Clock => "clock",
            Self::Lru => "lru",
            Self::TreePlru => "plru",
            Self::Random => "random",
        }
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A policy name that is none; displays the names that are.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct UnknownPolicy;

impl fmt::Display for UnknownPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unknown replacement policy; the policies are")?;
        for (i, kind) in PolicyKind::ALL.into_iter().enumerate() {
            write!(f, "{} {kind}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownPolicy {}

impl FromStr for PolicyKind {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(UnknownPolicy)
    }
}

/// A policy chosen at run time; each call is a `match`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AnyPolicy {
    /// Round robin.
    RoundRobin(RoundRobin),
    /// Round robin that spares PC and stack.
    Sparing(SparingRoundRobin),
    /// Clock.
    Clock(Clock),
    /// Exact LRU.
    Lru(Lru),
    /// Tree pseudo-LRU.
    TreePlru(TreePlru),
    /// Random.
    Random(Random),
}

impl Default for AnyPolicy {
    fn default() -> Self {
        PolicyKind::default().into()
    }
}

impl From<PolicyKind> for AnyPolicy {
    fn from(kind: PolicyKind) -> Self {
        match kind {
            PolicyKind::RoundRobin => Self::RoundRobin(RoundRobin::new()),
            PolicyKind::Sparing => Self::Sparing(SparingRoundRobin::new()),
            PolicyKind::Clock => Self::Clock(Clock::new()),
            PolicyKind::Lru => Self::Lru(Lru::new()),
            PolicyKind::TreePlru => Self::TreePlru(TreePlru::new()),
            PolicyKind::Random => Self::Random(Random::default()),
        }
    }
}

/// Calls the same method of whichever policy it is.
macro_rules! each {
    ($self:ident, $policy:ident => $call:expr) => {
        match $self {
            Self::RoundRobin($policy) => $call,
            Self::Sparing($policy) => $call,
            Self::Clock($policy) => $call,
            Self::Lru($policy) => $call,
            Self::TreePlru($policy) => $call,
            Self::Random($policy) => $call,
        }
    };
}

impl ReplacementPolicy for AnyPolicy {
    fn reset(&mut self, pool: &mut Pool<'_>) {
        each!(self, policy => policy.reset(pool));
    }
    #[inline]
    fn installed(&mut self, pool: &mut Pool<'_>, slot: usize) {
        each!(self, policy => policy.installed(pool, slot));
    }
    #[inline]
    fn touched(&mut self, pool: &mut Pool<'_>, slot: usize) {
        each!(self, policy => policy.touched(pool, slot));
    }
    #[inline]
    fn removed(&mut self, pool: &mut Pool<'_>, slot: usize) {
        each!(self, policy => policy.removed(pool, slot));
    }
    fn victim(&mut self, pool: &mut Pool<'_>) -> usize {
        each!(self, policy => policy.victim(pool))
    }
    #[inline]
    fn hint(&mut self, pc: EffectiveAddress, sp: EffectiveAddress) {
        each!(self, policy => policy.hint(pc, sp));
    }
}
