//! Where interrupts begin and end, and what the handler of a TLB miss does most: the short ways of the driver. What was found
//! at such a place before is remembered for as long as no fetch translation and no block was taken back.

use ppc440_core::core::Flow;

use super::{DirectRam, Jit};
use crate::cache::JumpEntry;
use crate::translate::Place;

/// Where interrupts begin and end that are remembered.
pub(super) const LANDINGS: usize = 64;

/// A program counter and everything that tells what is executed there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pc: u32,
    selected: u32,
    mode: u8,
    losses: u32,
    changes: u32,
}

/// What to do at a spot.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Landing {
    at: Spot,
    host: usize,
    data_table: *const u8,
    fetch_table: *const u8,
    jumps: *const JumpEntry,
}

impl Landing {
    /// Where the landing at `pc` is kept.
    fn number(pc: u32) -> usize {
        (pc >> 2 ^ pc >> 7) as usize % LANDINGS
    }

    /// No program counter is odd.
    pub(super) const NONE: Self = Self {
        at: Spot { pc: 1, selected: 0, mode: 0, losses: 0, changes: 0 },
        host: 0,
        data_table: core::ptr::null(),
        fetch_table: core::ptr::null(),
        jumps: core::ptr::null(),
    };
}

impl<B: DirectRam> Jit<B> {
    /// A tlbwe in supervisor state that does not end its page. False if the block must not go on.
    #[inline]
    pub(crate) fn write_tlb(&mut self, place: Place, value: u32, which: u32) -> bool {
        self.cache.stats.helped += 1;
        if self.frame.core.write_tlb(which, (which >> 8) as u8, value) {
            return true;
        }
        let block = &self.cache.blocks[place.block() as usize];
        self.frame.core.still_fetches(block.pc, block.page)
    }

    /// After a tlbwe that took away the page that its block lies in: where to go on.
    #[cold]
    pub(crate) fn lost_page(&mut self, bus: &mut B, place: Place) -> usize {
        let at = self.locate(place);
        self.arrive(at.pc, at.since);
        self.ended(bus, Flow::Refetch)
    }

    /// A data TLB error at `ea`, with this ESR: where to go on.
    #[inline]
    pub(crate) fn missed(&mut self, bus: &mut B, place: Place, ea: u32, cause: u32) -> usize {
        let at = self.locate(place);
        self.arrive(at.pc, at.since);
        self.frame.core.data_tlb_error(ea, cause);
        self.land(bus)
    }

    /// rfi in supervisor state: where to go on.
    #[inline]
    pub(crate) fn return_from_interrupt(&mut self, bus: &mut B, place: Place) -> usize {
        self.cache.stats.helped += 1;
        let before = self.limit.wrapping_sub(self.frame.left as u64) + u64::from(place.since());
        self.frame.core.return_from_interrupt(before);
        self.land(bus)
    }

    /// As [`Jit::go_on`], where interrupts begin and end: what was found there before is remembered.
    #[inline(always)]
    fn land(&mut self, bus: &mut B) -> usize {
        let at = self.spot();
        let landing = self.landings[Landing::number(at.pc)];
        if landing.at == at && self.path.is_none() && self.frame.core.pass(bus, self.limit) {
            self.frame.left = self.limit.wrapping_sub(self.frame.core.retired_before()) as i64;
            self.frame.data_table = landing.data_table;
            self.frame.fetch_table = landing.fetch_table;
            self.frame.jumps = landing.jumps;
            return landing.host;
        }
        self.land_anew(bus)
    }

    #[inline(never)]
    fn land_anew(&mut self, bus: &mut B) -> usize {
        let pc = self.frame.core.registers().pc;
        let host = self.go_on(bus);
        let at = self.spot();
        if host != self.exit() && at.pc == pc {
            let frame = &self.frame;
            let (data_table, fetch_table, jumps) = (frame.data_table, frame.fetch_table, frame.jumps);
            self.landings[Landing::number(pc)] = Landing { at, host, data_table, fetch_table, jumps };
        }
        host
    }

    /// Where the core is.
    #[inline(always)]
    fn spot(&self) -> Spot {
        let core = &self.frame.core;
        Spot {
            pc: core.registers().pc,
            selected: core.selected(),
            mode: Self::mode(core),
            losses: core.losses(),
            changes: self.cache.changes,
        }
    }
}
