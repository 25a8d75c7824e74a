//! What loads and stores are: length, direction, form, and the registers that their addresses are sums of.

use ppc440_core::bits::esr;
use ppc440_core::op::Op;

use super::regs::Guest;

/// What a load or store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    /// Bytes: 1, 2, 4.
    pub(super) len: u32,
    pub(super) store: bool,
    pub(super) signed: bool,
    /// Byte-reversed form.
    pub(super) reversed: bool,
    pub(super) update: bool,
    /// RB, in X-forms.
    pub(super) rb: Option<usize>,
}

impl Access {
    pub(super) const fn load(len: u32) -> Self {
        Self { len, store: false, signed: false, reversed: false, update: false, rb: None }
    }
    pub(super) const fn store(len: u32) -> Self {
        Self { store: true, ..Self::load(len) }
    }
    const fn update(self, update: bool) -> Self {
        Self { update, ..self }
    }
    const fn signed(self) -> Self {
        Self { signed: true, ..self }
    }
    const fn reversed(self) -> Self {
        Self { reversed: true, ..self }
    }

    /// The integer access that `op` is; `None` if it is none, or an invalid form, which is illegal.
    pub(super) fn of(op: Op) -> Option<Self> {
        let access = match op.primary() {
            31 => Self { rb: Some(op.rb()), ..Self::of_x(op.xo())? },
            primary => Self::of_d(primary)?,
        };
        let invalid = access.update && (op.ra() == 0 || (!access.store && op.ra() == op.rt()));
        (!invalid).then_some(access)
    }

    fn of_d(primary: u32) -> Option<Self> {
        let access = match primary {
            32 | 33 => Self::load(4),
            34 | 35 => Self::load(1),
            36 | 37 => Self::store(4),
            38 | 39 => Self::store(1),
            40 | 41 => Self::load(2),
            42 | 43 => Self::load(2).signed(),
            44 | 45 => Self::store(2),
            _ => return None,
        };
        Some(access.update(primary & 1 != 0))
    }

    fn of_x(xo: u32) -> Option<Self> {
        Some(match xo {
            23 | 55 => Self::load(4).update(xo == 55),
            87 | 119 => Self::load(1).update(xo == 119),
            279 | 311 => Self::load(2).update(xo == 311),
            343 | 375 => Self::load(2).signed().update(xo == 375),
            151 | 183 => Self::store(4).update(xo == 183),
            215 | 247 => Self::store(1).update(xo == 247),
            407 | 439 => Self::store(2).update(xo == 439),
            534 => Self::load(4).reversed(),
            790 => Self::load(2).reversed(),
            662 => Self::store(4).reversed(),
            918 => Self::store(2).reversed(),
            _ => return None,
        })
    }
}

/// The registers that an effective address is the sum of: none, one or two, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base(pub(super) Option<usize>, pub(super) Option<usize>);

impl Base {
    /// (RA|0), or (RA|0) + (RB).
    pub(super) fn of(op: Op, rb: Option<usize>) -> Self {
        let ra = (op.ra() != 0).then_some(op.ra());
        match (ra, rb) {
            (Some(ra), Some(rb)) => Self(Some(ra.min(rb)), Some(ra.max(rb))),
            (one, None) | (None, one) => Self(one, None),
        }
    }

    pub(super) fn has(self, guest: Guest) -> bool {
        [self.0, self.1].into_iter().flatten().any(|gpr| Guest::from(gpr) == guest)
    }
}

/// What the core must know of an integer load or store to bring its page into the table, or to take its TLB miss: its length in
/// bytes, and some bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccessKind(pub(crate) u32);

impl AccessKind {
    const STORE: u32 = 1 << 8;
    pub(super) const RETRY: u32 = 1 << 9;

    pub(super) fn new(len: u32, store: bool) -> Self {
        Self(len | if store { Self::STORE } else { 0 })
    }
    pub(crate) fn len(self) -> u32 {
        self.0 & 0xFF
    }
    pub(crate) fn is_store(self) -> bool {
        self.0 & Self::STORE != 0
    }
    /// It has changed nothing and can be tried again.
    pub(crate) fn may_retry(self) -> bool {
        self.0 & Self::RETRY != 0
    }
    /// ESR of its exceptions.
    pub(crate) fn esr(self) -> u32 {
        if self.is_store() { esr::ST } else { 0 }
    }
}
