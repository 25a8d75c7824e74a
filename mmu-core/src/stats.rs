//! Counters of the shadow bookkeeping and the error of its construction.

use core::fmt;

use crate::context::MAX_CONTEXTS;

/// Counters since construction; they wrap at 2^64.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Lookups and fills that a shadow answered. A [`DirectShadow`](crate::DirectShadow) has none: they stay in the
    /// engine.
    pub hits: u64,
    /// Fills that made a new shadow.
    pub misses: u64,
    /// Fills that no guest entry matched.
    pub guest_misses: u64,
    /// Fills that ended in a protection fault.
    pub protection_faults: u64,
    /// Shadows dropped one by one because the guest TLB changed; by a [`DirectShadow`](crate::DirectShadow), ranges.
    pub drops: u64,
    /// Shadows evicted to make room.
    pub evictions: u64,
    /// Contexts taken from one mode for another.
    pub recycled_contexts: u64,
    /// Contexts dropped as a whole because an entry had very many shadows.
    pub bulk_drops: u64,
    /// Guest TLB writes.
    pub tlb_writes: u64,
    /// Guest TLB writes that left the entry overlapping another. On hardware the outcome of an access
    /// to the overlap is undefined; here the lowest index wins. Worth one warning when not zero.
    pub overlaps: u64,
}

/// Why a [`Shadow`](crate::Shadow) cannot be built.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ShapeError {
    /// The storage has no slot, or more than 65,535: its number of slots.
    Slots(usize),
    /// There are no contexts, or more than 256: the number asked for.
    Contexts(usize),
    /// A [`DirectShadow`](crate::DirectShadow) has no contexts, or more than 64: the number asked for.
    DirectContexts(usize),
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slots(n) => write!(f, "A shadow pool has 1 to 65535 slots, not {n}"),
            Self::Contexts(n) => write!(f, "A shadow pool has 1 to {MAX_CONTEXTS} contexts, not {n}"),
            Self::DirectContexts(n) => write!(f, "A direct shadow has 1 to 64 contexts, not {n}"),
        }
    }
}

impl core::error::Error for ShapeError {}
