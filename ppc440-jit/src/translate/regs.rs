//! Which host register holds which guest register within a block. The translator emits what this decides.

use crate::emit::{Mem, R8, R9, R10, R11, R13, RBX, RDI, RSI, Reg};

use super::{field, gpr_place};

/// Guest registers that may be held: GPR 0-31 by number, then four more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Guest(u8);

pub(super) const CR: Guest = Guest(32);
pub(super) const XER: Guest = Guest(33);
pub(super) const LR: Guest = Guest(34);
pub(super) const CTR: Guest = Guest(35);
const GUESTS: usize = 36;

impl From<usize> for Guest {
    fn from(gpr: usize) -> Self {
        Self((gpr & 31) as u8)
    }
}

impl Guest {
    /// Where it lies in memory.
    pub(super) fn place(self) -> Mem {
        match self {
            CR => field!(cr),
            XER => field!(xer),
            LR => field!(lr),
            CTR => field!(ctr),
            Self(gpr) => gpr_place(usize::from(gpr)),
        }
    }
}

/// Host registers that hold guest registers.
const HOSTS: [Reg; 8] = [RBX, RSI, RDI, R8, R9, R10, R11, R13];

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    guest: Option<Guest>,
    dirty: bool,
    pinned: bool,
}

#[derive(Debug)]
pub(super) struct Regs {
    slots: [Slot; HOSTS.len()],
    /// By guest register: index into `slots`.
    of_guest: [Option<u8>; GUESTS],
    next: usize,
}

impl Regs {
    pub(super) fn new() -> Self {
        Self { slots: [Slot::default(); HOSTS.len()], of_guest: [None; GUESTS], next: 0 }
    }

    /// The host register of `guest`, which stays its until [`Regs::unpin`].
    pub(super) fn held(&mut self, guest: Guest) -> Option<Reg> {
        let slot = usize::from(self.of_guest[usize::from(guest.0)]?);
        self.slots[slot].pinned = true;
        Some(HOSTS[slot])
    }

    /// A host register for `guest`, pinned; and whom it was taken from, if that must be written back first.
    pub(super) fn claim(&mut self, guest: Guest) -> (Reg, Option<Guest>) {
        let free = self.slots.iter().position(|slot| slot.guest.is_none());
        let slot = free.unwrap_or_else(|| {
            // An instruction pins five at most, so one is always found.
            loop {
                let at = self.next;
                self.next = (self.next + 1) % HOSTS.len();
                if !self.slots[at].pinned {
                    return at;
                }
            }
        });
        let old = self.slots[slot];
        if let Some(old) = old.guest {
            self.of_guest[usize::from(old.0)] = None;
        }
        self.slots[slot] = Slot { guest: Some(guest), dirty: false, pinned: true };
        self.of_guest[usize::from(guest.0)] = Some(slot as u8);
        (HOSTS[slot], old.guest.filter(|_| old.dirty))
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

    pub(super) fn all(&self) -> impl Iterator<Item = (Reg, Guest)> + '_ {
        self.slots.iter().zip(HOSTS).filter_map(|(slot, host)| Some((host, slot.guest?)))
    }

    pub(super) fn dirty(&self) -> impl Iterator<Item = (Reg, Guest)> + '_ {
        let dirty = |(slot, host): (&Slot, Reg)| slot.guest.filter(|_| slot.dirty).map(|guest| (host, guest));
        self.slots.iter().zip(HOSTS).filter_map(dirty)
    }

    /// What must be written back; it counts as written afterwards.
    pub(super) fn take_dirty(&mut self) -> alloc::vec::Vec<(Reg, Guest)> {
        let dirty = self.dirty().collect();
        for slot in &mut self.slots {
            slot.dirty = false;
        }
        dirty
    }

    /// Nothing is held any more; whatever was changed is written back.
    pub(super) fn forget(&mut self) {
        *self = Self::new();
    }
}
