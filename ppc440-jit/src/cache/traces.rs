//! Traces as the cache knows them: in families of a trace and its side traces, with the slots that their accesses have and the
//! ways out that are counted.

use alloc::vec::Vec;
use core::ops::Range;

use super::{Block, Cache, NONE};
use crate::frame::{EXITS, SLOTS};
use crate::translate::{Root, Side, Source, Translation, WayOut};

/// A trace with its side traces.
#[derive(Clone, Debug)]
struct Family {
    root: Root,
    /// The block that it stands for.
    block: u32,
    sides: u8,
}

/// Most side traces of a trace...
const SIDES: u8 = 16;
/// ...and how often a way out is followed to make one.
const TRIES: u8 = 3;

/// A way out of a trace that may come to lead to a side trace; offsets are those in the memory for code.
#[derive(Debug)]
struct Exit {
    trace: u32,
    way: WayOut,
    /// The driver wants to be asked when it is taken.
    asked: bool,
    tries: u8,
}

/// What the cache knows of traces.
#[derive(Debug, Default)]
pub(super) struct Traces {
    families: Vec<Family>,
    /// By slot in use: what to write where if its access shall do without it. That of a slot in front means nothing.
    ways: Vec<(u32, Vec<u8>)>,
    /// By number of their counter.
    exits: Vec<Exit>,
}

impl Cache {
    /// Likewise, for a trace along `path`; a side trace if it begins with way out `exit`.
    pub(crate) fn trace_source<'a>(
        &'a self,
        words: &'a [u32],
        path: &'a [u32],
        mode: u8,
        page: u32,
        exit: Option<u32>,
    ) -> Source<'a> {
        let side = exit.map(|exit| {
            let Exit { trace, way, .. } = &self.traces.exits[exit as usize];
            let family = self.blocks[*trace as usize].family;
            Side {
                root: &self.traces.families[family as usize].root,
                count: way.count,
                rest: way.rest as usize,
            }
        });
        Source {
            path: Some(path),
            slots: self.traces.ways.len() as u32..SLOTS as u32,
            exits: self.traces.exits.len() as u32..EXITS as u32,
            side,
            ..self.source(words, path[0], mode, page)
        }
    }

    /// `trace` has the first of the free slots: which these are.
    fn take_slots(&mut self, trace: u32, made: &Translation) -> Range<usize> {
        let (first, at) = (self.traces.ways.len(), self.blocks[trace as usize].at);
        let past = made.ways.iter().map(|way| (at + way.look, way.past_slot(&made.code)));
        self.traces.ways.extend(past);
        first..self.traces.ways.len()
    }

    /// `trace` has the first of the free numbers of ways out, one for each of `exits`.
    fn take_exits(&mut self, trace: u32, exits: &[WayOut]) -> Range<usize> {
        let (first, at) = (self.traces.exits.len(), self.blocks[trace as usize].at);
        for (number, &way) in (first as u32..).zip(exits) {
            self.sites[way.site as usize].exit = number;
            let way = WayOut { at: at + way.at, rest: at + way.rest, ..way };
            self.traces.exits.push(Exit { trace, way, asked: false, tries: 0 });
        }
        first..self.traces.exits.len()
    }

    /// Slots in use.
    pub(crate) fn slots(&self) -> usize {
        self.traces.ways.len()
    }

    /// The access that has this slot does without it from now on.
    pub(crate) fn leave_slot(&mut self, slot: usize) {
        let (at, code) = &self.traces.ways[slot];
        self.memory.write(*at as usize, code);
        self.stats.roaming += 1;
    }

    /// Puts a jump to offset `to` over what is at offset `at`.
    fn lead(&mut self, at: usize, to: usize) {
        const JUMP: u8 = 0xE9;
        let [a, b, c, d] = (to as u32).wrapping_sub(at as u32 + 5).to_le_bytes();
        self.memory.write(at, &[JUMP, a, b, c, d]);
    }

    /// Adds a trace that stands for `block` from now on: what came to the block comes to the trace, and its fallbacks lead to
    /// the block. `pcs` are the effective addresses of its instructions. Whatever drops the block drops the trace. Tells the
    /// slots and the counters of ways out that are the trace's.
    pub(crate) fn add_trace(
        &mut self,
        block: u32,
        pcs: &[u32],
        words: &[u32],
        made: &Translation,
    ) -> (Range<usize>, Range<usize>) {
        let &Block { pc, page, mode, bytes, .. } = &self.blocks[block as usize];
        let trace = self.add(pc, page, mode, words, made);
        self.changes = self.changes.wrapping_add(1);
        let family = self.traces.families.len() as u32;
        if let Some(root) = made.root.clone() {
            self.traces.families.push(Family { root, block, sides: 0 });
        }
        self.belongs(trace, family, pcs, bytes);
        let mut site = self.blocks[block as usize].incoming;
        while site != NONE {
            let next = self.sites[site as usize].next;
            // Those of an earlier trace that is gone stay.
            self.link(site, trace);
            site = next;
        }
        self.stats.traces += 1;
        self.remember_jump(trace);
        self.finish_trace(trace, block, made)
    }

    /// Adds a side trace that begins with way out `exit`, as [`Cache::add_trace`].
    pub(crate) fn add_side(
        &mut self,
        exit: u32,
        pcs: &[u32],
        words: &[u32],
        made: &Translation,
    ) -> (Range<usize>, Range<usize>) {
        let Exit { trace, way, .. } = self.traces.exits[exit as usize];
        let &Block { page, mode, bytes, family, .. } = &self.blocks[trace as usize];
        let side = self.add_hidden(pcs[0], page, mode, words, made);
        let entry = &mut self.traces.families[family as usize];
        entry.sides += 1;
        let block = entry.block;
        self.belongs(side, family, pcs, bytes);
        self.lead(way.at as usize, self.blocks[side as usize].at as usize);
        self.stats.side_traces += 1;
        self.finish_trace(side, block, made)
    }

    /// `trace` belongs to `family` and runs through `pcs`. What drops one of a family, whose others depend on `bytes`, drops all.
    fn belongs(&mut self, trace: u32, family: u32, pcs: &[u32], mut bytes: (u16, u16)) {
        for pc in pcs {
            let offset = (pc & 0xFFF) as u16;
            bytes = (bytes.0.min(offset), bytes.1.max(offset + 4));
        }
        let entry = &mut self.blocks[trace as usize];
        (entry.family, entry.first_pc) = (family, Some(self.pcs.len() as u32));
        self.pcs.extend_from_slice(pcs);
        let page = entry.page;
        if let Some(page) = &self.pages[page as usize] {
            for &block in &page.blocks {
                let entry = &mut self.blocks[block as usize];
                if entry.family == family {
                    entry.bytes = bytes;
                }
            }
        }
    }

    fn finish_trace(&mut self, trace: u32, block: u32, made: &Translation) -> (Range<usize>, Range<usize>) {
        for &site in &made.fallbacks {
            self.link(site, block);
            self.sites[site as usize].stays = true;
        }
        (self.take_slots(trace, made), self.take_exits(trace, &made.exits))
    }

    /// Ways out that are counted.
    pub(crate) fn exits(&self) -> usize {
        self.traces.exits.len()
    }

    /// The driver wants to be asked when way out `exit` is taken next, if a side trace could come of that.
    pub(crate) fn ask_at(&mut self, exit: usize) {
        let Exit { trace, way, asked, tries } = &mut self.traces.exits[exit];
        let entry = &self.blocks[*trace as usize];
        if entry.dead || *tries >= TRIES || self.traces.families[entry.family as usize].sides >= SIDES {
            return;
        }
        *tries += 1;
        *asked = true;
        let site = way.site;
        let entry = &mut self.sites[site as usize];
        let linked = core::mem::replace(&mut entry.linked, NONE);
        if let (Some(jump), true) = (entry.jump, linked != NONE) {
            self.memory.patch_jump(jump as usize, entry.stub as usize);
            self.unlink(site, linked);
        }
    }

    /// The way out that `site` belongs to, if the driver wants to know that it is taken; it is told once. With its page and
    /// mode.
    pub(crate) fn asked_at(&mut self, site: u32) -> Option<(u32, u32, u8)> {
        let exit = self.sites[site as usize].exit;
        let entry = self.traces.exits.get_mut(exit as usize)?;
        let &Block { page, mode, dead, .. } = &self.blocks[entry.trace as usize];
        (core::mem::take(&mut entry.asked) && !dead).then_some((exit, page, mode))
    }

    /// Where a side trace that begins with way out `exit` must lead, and where it begins; `None` if the trace is gone or has enough of them.
    pub(crate) fn side_ends(&self, exit: u32) -> Option<(u32, u32)> {
        let Exit { trace, way, .. } = self.traces.exits.get(exit as usize)?;
        let block = &self.blocks[*trace as usize];
        if block.dead {
            return None;
        }
        let family = &self.traces.families[block.family as usize];
        (family.sides < SIDES).then_some((family.root.pc, way.target))
    }

    /// Whether the block is a trace.
    pub(crate) fn is_trace(&self, block: u32) -> bool {
        self.blocks[block as usize].first_pc.is_some()
    }
}
