//! Finding where the guest spends its time: the driver looks where it is every some thousand instructions, and where it is
//! found again and again a way is written down, step by step, until it comes back to where it was: the path of a
//! [trace](crate::translate).

use alloc::vec::Vec;

use super::{BLOCK_BYTES, DirectRam, Jit};
use crate::enter;
use crate::frame::Slot;
use crate::translate::{MOST, Place, traceable, translate};

/// So often the guest must be seen at a block before a trace is made from there...
pub(super) const HOT: u8 = 4;
/// ...and so often that is tried.
const TRIES: u8 = 4;

/// After so many instructions the slots and the ways out of all traces are judged...
pub(super) const JUDGED_AFTER: u64 = 1 << 19;
/// ...or so many, for tests...
pub(super) const JUDGED_SOON: u64 = 4096;
/// ...and an access roams if it went to another page more than once in so many...
const ROAMS: u64 = 1024;
/// ...and a way out is worth a side trace if it was taken more than once in so many.
const LEAVES: u64 = 2048;

/// A way through the guest's code, within a page.
pub(super) struct Path {
    page: u32,
    mode: u8,
    /// The way out of a trace that it begins with, and the generation of its number.
    exit: Option<(u32, u32)>,
    pcs: Vec<u32>,
    words: Vec<u32>,
}

impl<B: DirectRam> Jit<B> {
    /// The guest was seen at `pc`. True if the way that it goes from here is to be written down.
    #[inline(never)]
    pub(super) fn heat(&mut self, page: u32, pc: u32, mode: u8) -> bool {
        let Some(block) = self.cache.find(page, pc, mode) else { return false };
        self.judge();
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
        self.path = Some(Path { page, mode, exit: None, pcs: Vec::new(), words: Vec::new() });
        true
    }

    /// The guest has taken way out `exit` of a trace: the way that it goes from here is written down.
    pub(super) fn follow_exit(&mut self, exit: u32, page: u32, mode: u8) {
        let exit = Some((exit, self.cache.generation));
        self.path = Some(Path { page, mode, exit, pcs: Vec::new(), words: Vec::new() });
    }

    /// From time to time: accesses of traces that went to other pages too often do without their slots from now on, and ways
    /// out that were taken often are followed the next time.
    fn judge(&mut self) {
        let retired = self.frame.core.retired();
        let since = retired.wrapping_sub(self.judged);
        if since < self.judged_after {
            return;
        }
        self.judged = retired;
        for slot in 0..self.cache.slots() {
            let turns = core::mem::take(&mut self.frame.slots[slot].turns);
            if u64::from(turns) > since / ROAMS {
                self.cache.leave_slot(slot);
            }
        }
        for exit in 0..self.cache.exits() {
            let times = core::mem::take(&mut self.frame.exits[exit]);
            if u64::from(times) > since / LEAVES {
                self.cache.ask_at(exit);
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
        if let Some((exit, generation)) = path.exit {
            let ends = if generation == self.cache.generation { self.cache.side_ends(exit) } else { None };
            let Some((root, first)) = ends else { return true };
            if path.pcs.first().map_or(pc, |&first| first) != first || path.pcs.contains(&pc) {
                return true;
            }
            if pc == root {
                self.make_trace(bus, &path);
                return true;
            }
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

    /// Makes a trace of a way that has come back to its beginning, or to that of the trace that it comes from.
    fn make_trace(&mut self, bus: &B, path: &Path) {
        let &Path { page, mode, ref pcs, ref words, exit } = path;
        // One instruction is a block that repeats.
        let fewest = if exit.is_some() { 1 } else { 2 };
        if pcs.len() < fewest
            || self.cache.room() < 2 * BLOCK_BYTES
            || self.cache.blocks.len() >= Place::LAST_BLOCK as usize
        {
            return;
        }
        // The guest, or a device, may have changed the code since it was noted.
        let now = |pc: u32| bus.load_u32(u64::from(page) << 12 | u64::from(pc & 0xFFC));
        if pcs.iter().zip(words).any(|(&pc, &word)| now(pc) != Some(word)) {
            return;
        }
        let exit = exit.map(|(exit, _)| exit);
        let block = match exit {
            Some(_) => None,
            None => match self.block(bus, page, pcs[0], mode) {
                Some(block) if !self.cache.is_trace(block) => Some(block),
                _ => return,
            },
        };
        let source = self.cache.trace_source(words, pcs, mode, page, exit);
        let Some(made) = translate(source, &self.stubs, &enter::handler::<B>, true) else { return };
        let (slots, exits) = match (block, exit) {
            (Some(block), _) => self.cache.add_trace(block, pcs, words, &made),
            (None, Some(exit)) => self.cache.add_side(exit, pcs, words, &made),
            (None, None) => return,
        };
        // They may have been another trace's, before everything was dropped.
        self.frame.slots[slots].fill(Slot::FREE);
        self.frame.exits[exits].fill(0);
    }
}
