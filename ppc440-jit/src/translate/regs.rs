//! Which host register holds which guest register. The busiest guest registers (counted over Linux and its programs)
//! have a host register for good, in every block, so that blocks hand them to each other without a store or a load;
//! the others share what is left from their first use to the end of the block or to the next call. The translator
//! emits what this decides.

use crate::emit::{Mem, R8, R9, R10, R11, R13, R14, RBX, RDI, RSI, Reg};

use super::{field, gpr_place};

/// What may be held: GPR 0-31 by number, then host addresses that memory accesses share, then CTR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Guest(u8);

/// The first of [`WINDOWS`] host addresses, which are no registers of the guest and lie nowhere in memory.
const WINDOW: u8 = 32;
/// Host addresses that may be held at a time.
pub(super) const WINDOWS: usize = 2;
/// CTR, which is held in loops that count by it and lies in memory everywhere else.
pub(super) const CTR: Guest = Guest(WINDOW + WINDOWS as u8);
const GUESTS: usize = WINDOW as usize + WINDOWS + 1;

impl From<usize> for Guest {
    fn from(gpr: usize) -> Self {
        Self((gpr & 31) as u8)
    }
}

impl Guest {
    /// Host address number `number`.
    pub(super) fn window(number: usize) -> Self {
        Self(WINDOW + (number % WINDOWS) as u8)
    }

    fn is_window(self) -> bool {
        (WINDOW..WINDOW + WINDOWS as u8).contains(&self.0)
    }

    /// Where it lies in memory.
    pub(super) fn place(self) -> Mem {
        if self == CTR { field!(ctr) } else { gpr_place(usize::from(self.0)) }
    }
}

/// Host registers that always hold the same guest register: its number.
pub(crate) const FIXED: [(Reg, usize); 6] = [(RBX, 9), (RSI, 1), (RDI, 3), (R8, 10), (R9, 31), (R10, 4)];

/// Host registers that hold others within a block. The last [`WINDOWS`] of them may hold a window, as functions that
/// translated code calls keep them.
pub(super) const HOSTS: [Reg; 3] = [R11, R13, R14];

/// Host registers that always hold the same guest register in this piece of code, and which.
pub(super) type Fixed = [(Reg, Guest); FIXED.len()];

/// Those of [`FIXED`].
pub(super) fn standard() -> Fixed {
    FIXED.map(|(host, gpr)| (host, gpr.into()))
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    guest: Option<Guest>,
    dirty: bool,
    pinned: bool,
    /// A loop wants it to stay where it is.
    kept: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Regs {
    fixed: Fixed,
    slots: [Slot; HOSTS.len()],
    /// By guest register: index into `slots`.
    of_guest: [Option<u8>; GUESTS],
    next: usize,
}

/// Host registers with the guest registers that they hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    list: [Option<(Reg, Guest)>; HOSTS.len()],
}

impl Held {
    pub(super) fn iter(self) -> impl Iterator<Item = (Reg, Guest)> {
        self.list.into_iter().flatten()
    }
}

impl Held {
    pub(super) fn has(self, host: Reg, guest: Guest) -> bool {
        self.iter().any(|held| held == (host, guest))
    }
}

impl Regs {
    pub(super) fn new() -> Self {
        Self::with(standard())
    }

    /// As [`Regs::new`], with other guest registers in the registers that always hold the same.
    pub(super) fn with(fixed: Fixed) -> Self {
        Self { fixed, slots: [Slot::default(); HOSTS.len()], of_guest: [None; GUESTS], next: 0 }
    }

    /// Which guest registers always have a host register here.
    pub(super) fn always(&self) -> Fixed {
        self.fixed
    }

    /// The host register that always holds `guest`.
    pub(super) fn always_in(&self, guest: impl Into<Guest>) -> Option<Reg> {
        let guest = guest.into();
        self.fixed.iter().find(|(_, held)| *held == guest).map(|(host, _)| *host)
    }

    /// The host register of `guest`, which stays its until [`Regs::unpin`].
    pub(super) fn held(&mut self, guest: Guest) -> Option<Reg> {
        if let Some(host) = self.always_in(guest) {
            return Some(host);
        }
        let slot = usize::from(self.of_guest[usize::from(guest.0)]?);
        self.slots[slot].pinned = true;
        Some(HOSTS[slot])
    }

    /// A host register for `guest`, pinned; and whom it was taken from, if that must be written back first.
    pub(super) fn claim(&mut self, guest: Guest) -> (Reg, Option<Guest>) {
        let free = self.slots.iter().position(|slot| slot.guest.is_none());
        let slot = free.unwrap_or_else(|| {
            // An instruction pins fewer than there are, so one is always found.
            for tries in 0.. {
                let at = self.next;
                self.next = (self.next + 1) % HOSTS.len();
                let slot = &self.slots[at];
                if !slot.pinned && (tries >= HOSTS.len() || !slot.kept) {
                    return at;
                }
            }
            unreachable!("the loop has no end")
        });
        self.take(slot, guest)
    }

    /// A number for a new window, and a host register for it as [`Regs::claim`] gives one: one that is free, or else
    /// that no loop wants. `None` if the instruction at hand needs all.
    pub(super) fn claim_window(&mut self) -> Option<(usize, Reg, Option<Guest>)> {
        let first = HOSTS.len() - WINDOWS;
        let cost =
            |slot: &Slot| u32::from(slot.guest.is_some()) + u32::from(slot.dirty) + 2 * u32::from(slot.kept);
        let number = (0..WINDOWS)
            .filter(|number| !self.slots[first + number].pinned)
            .min_by_key(|number| cost(&self.slots[first + number]))?;
        let (host, evicted) = self.take(first + number, Guest::window(number));
        Some((number, host, evicted))
    }

    fn take(&mut self, slot: usize, guest: Guest) -> (Reg, Option<Guest>) {
        let old = self.slots[slot];
        if let Some(old) = old.guest {
            self.of_guest[usize::from(old.0)] = None;
        }
        self.slots[slot] = Slot { guest: Some(guest), dirty: false, pinned: true, kept: false };
        self.of_guest[usize::from(guest.0)] = Some(slot as u8);
        (HOSTS[slot], old.guest.filter(|_| old.dirty))
    }

    /// What is held now stays where it is as long as there is room, and may have been changed: a loop comes back here.
    pub(super) fn keep(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.guest.is_some()) {
            (slot.dirty, slot.kept) = (true, true);
        }
    }

    /// `guest` is held no more; it was not changed.
    pub(super) fn release(&mut self, guest: Guest) {
        if let Some(slot) = self.of_guest[usize::from(guest.0)].take() {
            self.slots[usize::from(slot)] = Slot::default();
        }
    }

    /// The register's value is no longer what memory has.
    pub(super) fn soil(&mut self, host: Reg) {
        for (slot, register) in self.slots.iter_mut().zip(HOSTS) {
            if register == host {
                slot.dirty = true;
            }
        }
    }

    pub(super) fn unpin(&mut self) {
        for slot in &mut self.slots {
            slot.pinned = false;
        }
    }

    /// What is held of the guest's registers besides the fixed ones.
    pub(super) fn all(&self) -> Held {
        self.select(|slot| slot.guest.is_some_and(|guest| !guest.is_window()))
    }

    /// What must be written back before the core looks.
    pub(super) fn dirty(&self) -> Held {
        self.select(|slot| slot.dirty)
    }

    fn select(&self, wanted: impl Fn(&Slot) -> bool) -> Held {
        let mut held = Held::default();
        for ((to, slot), host) in held.list.iter_mut().zip(&self.slots).zip(HOSTS) {
            *to = slot.guest.filter(|_| wanted(slot)).map(|guest| (host, guest));
        }
        held
    }

    /// What must be written back; it counts as written afterwards.
    pub(super) fn take_dirty(&mut self) -> Held {
        let dirty = self.dirty();
        for slot in &mut self.slots {
            slot.dirty = false;
        }
        dirty
    }

    /// Nothing but the fixed registers is held any more; whatever was changed is written back.
    pub(super) fn forget(&mut self) {
        *self = Self::with(self.fixed);
    }
}
