//! Where interrupts begin and end, and what the handler of a TLB miss does most: the short ways of the driver. What was found
//! at such a place before is remembered for as long as no fetch translation and no block was taken back.

use ppc440_core::bits::xer;
use ppc440_core::core::Flow;
use ppc440_core::translate::Arrival;

use super::{DirectRam, Jit};
use crate::cache::JumpEntry;
use crate::translate::Place;

/// Where interrupts begin and end that are remembered.
pub(super) const LANDINGS: usize = 64;

/// What to do where an interrupt begins or ends.
#[derive(Clone, Copy)]
#[repr(align(128))]
pub(super) struct Landing {
    arrival: Arrival,
    /// [`Cache::changes`](crate::cache::Cache) as it was.
    changes: u32,
    /// XER\[SO\], for which blocks are translated.
    overflow: u32,
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

    /// Nothing that is remembered.
    pub(super) const NONE: Self = Self {
        arrival: Arrival::NONE,
        changes: 0,
        overflow: 0,
        host: 0,
        data_table: core::ptr::null(),
        fetch_table: core::ptr::null(),
        jumps: core::ptr::null(),
    };
}

impl<B: DirectRam> Jit<B> {
    /// A tlbwe in supervisor state that does not end its page. False if the block must not go on.
    #[inline]
    pub(crate) fn write_tlb(&mut self, place: Place, value: u32, index: u32, ws: u8) -> bool {
        // A pool may have let the page go before, and then loses nothing now.
        self.frame.core.write_tlb(index, ws, value);
        self.still_fetches(place)
    }

    /// Whether the page of the block at `place` is still fetched, after a tlbwe.
    pub(crate) fn still_fetches(&self, place: Place) -> bool {
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

    /// A data TLB error at `ea`, with this ESR: where to go on. XER\[CA\] may be in the frame alone.
    #[inline(always)]
    pub(crate) fn missed(&mut self, bus: &mut B, place: Place, ea: u32, cause: u32) -> usize {
        self.cache.stats.helped += 1;
        let left = self.frame.left - i64::from(place.since());
        let (pc, _) = self.cache.instruction(place.block(), place.index());
        let msr = self.frame.core.begin_data_tlb_error(pc, self.limit.wrapping_sub(left as u64), ea, cause);
        self.land::<false>(bus, msr, left)
    }

    /// rfi in supervisor state: where to go on. XER\[CA\] may be in the frame alone.
    #[inline(always)]
    pub(crate) fn return_from_interrupt(&mut self, bus: &mut B, place: Place) -> usize {
        self.cache.stats.helped += 1;
        let left = self.frame.left - i64::from(place.since()) - 1;
        let msr = self.frame.core.begin_return_from_interrupt(self.limit.wrapping_sub(left as u64));
        self.land::<true>(bus, msr, left)
    }

    /// Goes on with this MSR, and with `left` instructions to the next look, where an interrupt begins or ends: as was found
    /// there before, if that is remembered. `RETURN` if an interrupt ends.
    #[inline(always)]
    fn land<const RETURN: bool>(&mut self, bus: &mut B, msr: u32, left: i64) -> usize {
        let core = &mut self.frame.core;
        let landing = &self.landings[Landing::number(core.registers().pc)];
        if !core.set_msr_as(msr, &landing.arrival) {
            return self.land_in(bus, msr);
        }
        if RETURN {
            core.answer_missed(core.registers().pc);
        }
        let same =
            landing.changes == self.cache.changes && (landing.overflow ^ core.registers().xer) & xer::SO == 0;
        if !same || left <= 0 || !core.pass(bus) {
            return self.land_anew(bus);
        }
        // Code that is translated runs only while neither is so.
        debug_assert!(self.path.is_none() && !self.frame.core.needs_stepping());
        self.frame.left = left;
        self.frame.data_table = landing.data_table;
        self.frame.fetch_table = landing.fetch_table;
        self.frame.jumps = landing.jumps;
        landing.host
    }

    /// As [`Jit::land`], where the selection must be found out.
    #[inline(never)]
    fn land_in(&mut self, bus: &mut B, msr: u32) -> usize {
        let core = &mut self.frame.core;
        core.set_msr_anew(msr);
        core.answer_missed(core.registers().pc);
        self.land_anew(bus)
    }

    /// Goes on as everywhere else, and remembers where.
    #[inline(never)]
    fn land_anew(&mut self, bus: &mut B) -> usize {
        self.settle_carry();
        self.frame.core.at_sampling_point();
        let pc = self.frame.core.registers().pc;
        let host = self.go_on(bus);
        let core = &self.frame.core;
        if host != self.exit()
            && core.registers().pc == pc
            && let Some(arrival) = core.arrival()
        {
            let frame = &self.frame;
            self.landings[Landing::number(pc)] = Landing {
                arrival,
                changes: self.cache.changes,
                overflow: core.registers().xer,
                host,
                data_table: frame.data_table,
                fetch_table: frame.fetch_table,
                jumps: frame.jumps,
            };
        }
        host
    }
}
