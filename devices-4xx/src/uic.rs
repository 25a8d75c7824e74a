//! UIC: the universal interrupt controller of the 4xx family.
//!
//! Thirty-two inputs, numbered as the manual numbers bits (input 0 is the most significant), each with a polarity
//! (PR), a trigger (TR: edge or level), an enable (ER) and a class (CR: critical or not), a latched status (SR) and
//! two outputs. Several controllers cascade: the outputs of one are inputs of another. Specified in the PPC440EP
//! user's manual, chapter "Universal Interrupt Controller". Left out: nothing that a guest can see, except that the
//! sources do not agree on which end of SR has the higher priority in VR; the choice made is at [`Uic::vector`].
//!
//! # Threat model
//! The guest writes all registers at will and devices under its control toggle the inputs. State is six words and a
//! wire level; every operation is constant time. A cascade forms no cycle, because [`Uic::new`] takes the lines that
//! the outputs drive: a controller cannot exist before the one that it feeds.

use std::cell::Cell;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use vmm_plugin::api::{ResetKind, attention};

use crate::device::{Dcr, Device, StateError, from_json, to_json};
use crate::pins::Line;

/// Register numbers relative to the controller's first DCR.
pub mod reg {
    /// Status; write 1 to clear.
    pub const SR: u16 = 0;
    /// Status set: write 1 to set, for interrupts made by software.
    pub const SRS: u16 = 1;
    /// Enable.
    pub const ER: u16 = 2;
    /// Critical: 1 routes the input to the critical output.
    pub const CR: u16 = 3;
    /// Polarity: 1 is active high, or rising.
    pub const PR: u16 = 4;
    /// Trigger: 1 is edge, 0 level.
    pub const TR: u16 = 5;
    /// Masked status: SR & ER.
    pub const MSR: u16 = 6;
    /// Vector of the highest-priority active critical input.
    pub const VR: u16 = 7;
    /// Vector configuration: base in bits 0:29, priority order in bit 31.
    pub const VCR: u16 = 8;
}

/// VCR: 1 gives input 0 the highest priority, 0 gives it to input 31.
const VCR_PRO: u32 = 1;
/// VCR: the vector base.
const VCR_VBA: u32 = !3;
/// Bytes between two vectors.
const VECTOR_STRIDE: u32 = 512;

/// The mask of input `n` (0 to 31) in every register.
const fn mask(n: u8) -> u32 {
    0x8000_0000 >> (n & 31)
}

/// What the controller remembers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    sr: u32,
    er: u32,
    cr: u32,
    pr: u32,
    tr: u32,
    vcr: u32,
    /// Electrical level of each input.
    wires: u32,
}

impl State {
    /// Inputs whose wire is at the level that PR calls active.
    const fn active(&self) -> u32 {
        !(self.wires ^ self.pr)
    }
    /// Level inputs that are active set their status again whatever was written.
    const fn latch_levels(&mut self) {
        self.sr |= self.active() & !self.tr;
    }
}

/// Which outputs an enabled source could still assert one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Armed {
    /// The non-critical output.
    pub noncritical: bool,
    /// The critical output.
    pub critical: bool,
}

impl Armed {
    /// As [`attention`] bits of a core whose inputs these are.
    #[must_use]
    pub const fn attention(self) -> u32 {
        (if self.noncritical { attention::EXT } else { 0 })
            | (if self.critical { attention::CRIT } else { 0 })
    }
}

/// One controller; `L` is what its outputs drive.
#[derive(Debug)]
pub struct Uic<L> {
    index: u32,
    // A `Cell` of plain words: input lines hold shared references to the controller, and no borrow can ever fail.
    state: Cell<State>,
    /// How many sources assert each input (several may share one).
    asserted: [Cell<u16>; 32],
    /// How many sources are connected to each input.
    sources: [Cell<u16>; 32],
    /// Inputs whose source pulls the wire low to assert it.
    active_low: Cell<u32>,
    noncritical: L,
    critical: L,
}

impl<L: Line> Uic<L> {
    /// A controller after reset, driving `noncritical` and `critical`. `index` is for display.
    pub fn new(index: u32, noncritical: L, critical: L) -> Self {
        Self {
            index,
            // Idle wires are inactive until a guest chooses polarities.
            state: Cell::new(State { pr: !0, ..State::default() }),
            asserted: Default::default(),
            sources: Default::default(),
            active_low: Cell::new(0),
            noncritical,
            critical,
        }
    }

    /// Connects a source to input `n` (taken modulo 32). A source that is `active_low` holds the wire high while it
    /// has nothing to say.
    pub fn input(self: &Rc<Self>, n: u8, active_low: bool) -> UicInput<L> {
        let bit = mask(n);
        let sources = &self.sources[usize::from(n & 31)];
        sources.set(sources.get().saturating_add(1));
        if active_low {
            self.active_low.set(self.active_low.get() | bit);
            let state = self.state.get();
            self.state.set(State { pr: state.pr & !bit, ..state });
        }
        self.drive(n & 31);
        UicInput { uic: Rc::clone(self), n: n & 31, asserted: Cell::new(false) }
    }

    /// Recomputes the wire of input `n` from its sources.
    fn drive(&self, n: u8) {
        let bit = mask(n);
        let asserted = self.asserted[usize::from(n)].get() != 0;
        let high = asserted != (self.active_low.get() & bit != 0);
        let mut state = self.state.get();
        if (state.wires & bit != 0) == high {
            return;
        }
        let was = state.active();
        state.wires ^= bit;
        state.sr |= state.active() & !was & state.tr & bit;
        self.update(state);
    }

    /// Stores a state and drives the outputs.
    fn update(&self, mut state: State) {
        state.latch_levels();
        self.state.set(state);
        self.noncritical.set(state.sr & state.er & !state.cr != 0);
        self.critical.set(state.sr & state.er & state.cr != 0);
    }

    /// Reads a register.
    pub fn get(&self, register: u16) -> u32 {
        let state = self.state.get();
        match register {
            reg::SR => state.sr,
            reg::ER => state.er,
            reg::CR => state.cr,
            reg::PR => state.pr,
            reg::TR => state.tr,
            reg::MSR => state.sr & state.er,
            reg::VR => self.vector(),
            reg::VCR => state.vcr,
            _ => 0,
        }
    }

    /// Writes a register.
    pub fn put(&self, register: u16, value: u32) {
        let mut state = self.state.get();
        match register {
            reg::SR => state.sr &= !value,
            reg::SRS => state.sr |= value,
            reg::ER => state.er = value,
            reg::CR => state.cr = value,
            reg::PR => state.pr = value,
            reg::TR => state.tr = value,
            reg::VCR => state.vcr = value & (VCR_VBA | VCR_PRO),
            _ => return,
        }
        self.update(state);
    }

    /// VR: the vector base plus 512 for each input between the highest-priority end of SR and the highest-priority
    /// active critical input; 0 while none is active. With VCR\[PRO\]=1 input 0 has the highest priority, as in the
    /// PPC405GP manual; no guest is known to read it.
    pub fn vector(&self) -> u32 {
        let state = self.state.get();
        let active = state.sr & state.er & state.cr;
        if active == 0 {
            return 0;
        }
        let distance =
            if state.vcr & VCR_PRO != 0 { active.leading_zeros() } else { active.trailing_zeros() };
        (state.vcr & VCR_VBA).wrapping_add(distance * VECTOR_STRIDE)
    }

    /// Which outputs could be asserted one day with the enables as they are: inputs count that are enabled and have
    /// a source or are latched already. `cascades` are the inputs that other controllers drive, each with whether
    /// that output is armed.
    pub fn armed(&self, cascades: &[(u8, bool)]) -> Armed {
        let state = self.state.get();
        let dead = |n: u8| cascades.iter().filter(|&&(input, armed)| input == n && !armed).count();
        let live = |n: &u8| usize::from(self.sources[usize::from(*n)].get()) > dead(*n);
        let connected = (0..32).filter(live).fold(0, |all, n| all | mask(n));
        let possible = state.er & (state.sr | connected);
        Armed { noncritical: possible & !state.cr != 0, critical: possible & state.cr != 0 }
    }

    fn reset_state(&self) {
        // The manual leaves all but the enables undefined after reset; zeros are the choice of every emulator.
        self.update(State { wires: self.state.get().wires, pr: !self.active_low.get(), ..State::default() });
    }
}

/// One source's connection to an input of a [`Uic`].
#[derive(Debug)]
pub struct UicInput<L> {
    uic: Rc<Uic<L>>,
    n: u8,
    asserted: Cell<bool>,
}

impl<L: Line> Line for UicInput<L> {
    fn set(&self, asserted: bool) {
        if self.asserted.replace(asserted) == asserted {
            return;
        }
        let count = &self.uic.asserted[usize::from(self.n)];
        count.set(if asserted { count.get().saturating_add(1) } else { count.get().saturating_sub(1) });
        self.uic.drive(self.n);
    }
}

impl<L: Line> Device for Rc<Uic<L>> {
    fn name(&self) -> String {
        format!("UIC{}", self.index)
    }
    fn dcr(&mut self) -> Option<&mut dyn Dcr> {
        Some(self)
    }
    fn reset(&mut self, _kind: ResetKind) {
        self.reset_state();
    }
    fn save(&self) -> serde_json::Value {
        to_json(&self.state.get())
    }
    fn restore(&mut self, saved: &serde_json::Value) -> Result<(), StateError> {
        // The wires are what the restored sources drive them to, not what the snapshot says.
        let wires = self.state.get().wires;
        self.update(State { wires, ..from_json(saved)? });
        Ok(())
    }
    fn describe(&self) -> String {
        let s = self.state.get();
        format!("SR {:08x} ER {:08x} CR {:08x} PR {:08x} TR {:08x}", s.sr, s.er, s.cr, s.pr, s.tr)
    }
}

impl<L: Line> Dcr for Rc<Uic<L>> {
    fn dcr_read(&mut self, offset: u16) -> u32 {
        self.get(offset)
    }
    fn dcr_write(&mut self, offset: u16, value: u32) {
        self.put(offset, value);
    }
}

#[cfg(test)]
mod tests;
