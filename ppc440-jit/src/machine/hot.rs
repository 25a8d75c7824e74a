//! Finding where the guest spends its time: the driver looks where it is every some thousand instructions, and where it is
//! found again and again a way is written down, step by step, until it comes back to where it was: the path of a
//! [trace](crate::translate).

use alloc::vec::Vec;

use super::{BLOCK_BYTES, DirectRam, Jit};
use crate::enter;
use crate::frame::Slot;
use crate::translate::{MOST, Place, Source, traceable, translate};

/// So often the guest must be seen at a block before a trace is made from there...
pub(super) const HOT: u8 = 4;
/// ...and so often that is tried.
const TRIES: u8 = 4;

/// After so many instructions the slots of all traces are judged...
const JUDGED_AFTER: u64 = 1 << 19;
/// ...and an access roams if it went to another page more than once in so many.
const ROAMS: u64 = 256;

/// A way through the guest's code, within a page.
pub(super) struct Path {
    page: u32,
    mode: u8,
    pcs: Vec<u32>,
    words: Vec<u32>,
}

impl<B: DirectRam> Jit<B> {
    /// The guest was seen at `pc`. True if the way that it goes from here is to be written down.
    #[inline(never)]
    pub(super) fn heat(&mut self, page: u32, pc: u32, mode: u8) -> bool {
        let Some(block) = self.cache.find(page, pc, mode) else { return false };
        self.judge_slots();
        if !self.inline || self.cache.is_trace(block) {
            return false;
        }
        let block = &mut self.cache.blocks[block as usize];
        block.heat = block.heat.saturating_add(1);
        if block.heat < self.hot || block.tries >= TRIES {
            return false;
        }
        block.heat = 0;
        block.tries += 1;
        self.path = Some(Path { page, mode, pcs: Vec::new(), words: Vec::new() });
        true
    }

    /// From time to time: accesses of traces that went to other pages too often do without their slots from now on.
    fn judge_slots(&mut self) {
        let retired = self.frame.core.retired();
        let since = retired.wrapping_sub(self.judged);
        if since < JUDGED_AFTER {
            return;
        }
        self.judged = retired;
        for slot in 0..self.cache.slots() {
            let turns = core::mem::take(&mut self.frame.slots[slot].turns);
            if u64::from(turns) > since / ROAMS {
                self.cache.leave_slot(slot);
            }
        }
    }

    /// The guest comes to the next instruction of the way that is written down. True if that ends it.
    pub(super) fn followed(&mut self, bus: &B) -> bool {
        let Some(mut path) = self.path.take() else { return true };
        let core = &mut self.frame.core;
        let pc = core.registers().pc;
        let same_page = path.pcs.first().is_none_or(|first| (first ^ pc) & !0xFFF == 0);
        if core.retired() >= self.tail
            || core.needs_stepping()
            || !same_page
            || core.code_page(bus, pc) != Some(path.page)
            || Self::mode(core) != path.mode
        {
            return true;
        }
        if let Some(first) = path.pcs.iter().position(|&other| other == pc) {
            // What comes before is the way into the loop.
            path.pcs.drain(..first);
            path.words.drain(..first);
            self.make_trace(bus, &path);
            return true;
        }
        let word = bus.load_u32(u64::from(path.page) << 12 | u64::from(pc & 0xFFC));
        match word {
            Some(word) if path.pcs.len() < MOST && traceable(word) => {
                path.pcs.push(pc);
                path.words.push(word);
                self.path = Some(path);
                false
            }
            _ => true,
        }
    }

    /// Makes a trace of a way that has come back to its beginning.
    fn make_trace(&mut self, bus: &B, path: &Path) {
        let &Path { page, mode, ref pcs, ref words } = path;
        let pc = pcs[0];
        // One instruction is a block that repeats.
        if pcs.len() < 2 || self.cache.room() < 2 * BLOCK_BYTES {
            return;
        }
        // The guest, or a device, may have changed the code since it was noted.
        let now = |pc: u32| bus.load_u32(u64::from(page) << 12 | u64::from(pc & 0xFFC));
        if pcs.iter().zip(words).any(|(&pc, &word)| now(pc) != Some(word)) {
            return;
        }
        let Some(block) = self.block(bus, page, pc, mode) else { return };
        if self.cache.is_trace(block) || self.cache.blocks.len() > Place::LAST_BLOCK as usize {
            return;
        }
        let slots = self.cache.free_slots();
        let source = Source { path: Some(pcs), slots, ..self.cache.source(words, pc, mode, page) };
        let Some(made) = translate(source, &self.stubs, &enter::handler::<B>, true) else { return };
        let trace = self.cache.add(pc, page, mode, words, &made.code, &made.sites);
        self.cache.stand_for(trace, block, pcs, &made.fallbacks);
        for slot in self.cache.take_slots(trace, &made.ways) {
            // It may have been another trace's, before everything was dropped.
            self.frame.slots[slot] = Slot::FREE;
        }
        self.cache.remember_jump(trace);
    }
}
