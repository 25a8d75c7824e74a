//! What is translated: blocks by RAM page, the jumps between them, and the table that finds a block by effective
//! address. A block is known by where its code lies (physical page and word), by the effective address that is built
//! into it, and by its mode: problem state, MSR\[FP\] and XER\[SO\], which are built in too.

mod traces;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::buffer::CodeMemory;
use crate::record::{Cause, Recorder, Shown};
use crate::translate::{Source, Translation};
use traces::Traces;

/// Words in a page.
pub(crate) const WORDS: usize = 1024;
/// No block, no site.
pub(crate) const NONE: u32 = u32::MAX;
/// Entries of the jump cache of one mode.
pub(crate) const JUMPS: usize = 4096;
/// Modes: three bits.
pub(crate) const MODES: usize = 8;
/// Stores into a page after which it is taken for data.
const DATA_AFTER: u32 = 32;

/// A translated block.
#[derive(Debug)]
pub(crate) struct Block {
    /// Effective address of its first instruction.
    pub(crate) pc: u32,
    /// RAM page number.
    pub(crate) page: u32,
    pub(crate) mode: u8,
    /// Where the words of its instructions are kept.
    first_word: u32,
    /// What of its page it depends on: offsets of the first and behind the last byte.
    bytes: (u16, u16),
    /// Of a trace: where the effective addresses of its instructions are kept.
    first_pc: Option<u32>,
    /// How often the guest was seen here, and how often a trace was begun for that.
    pub(crate) heat: u8,
    pub(crate) tries: u8,
    /// Offset of its code.
    pub(crate) at: u32,
    /// The next block that begins at the same word of the page.
    next: u32,
    /// The first of the sites that jump here.
    incoming: u32,
    /// Of a trace: its family.
    family: u32,
    /// It was dropped.
    dead: bool,
}

/// A jump out of a block that can be led straight to another.
#[derive(Debug)]
pub(crate) struct Site {
    /// Effective address to go on at.
    pub(crate) target: u32,
    /// Interrupts may be taken before the target.
    pub(crate) sampling: bool,
    /// Offset of the jump's displacement; `None` if the block itself goes on at the target, and only pauses here.
    pub(crate) jump: Option<u32>,
    /// Offset of the code that asks the driver.
    pub(crate) stub: u32,
    /// Offset of the fetch translation that the jump checks first, if it leaves the page.
    pub(crate) key: Option<u32>,
    /// The next site that jumps to the same block.
    next: u32,
    /// The block that it jumps to.
    linked: u32,
    /// It is not led elsewhere.
    stays: bool,
    /// The way out of a trace that it belongs to, if that is counted.
    exit: u32,
}

/// An entry of the jump cache. `repr(C)`, as translated code reads it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct JumpEntry {
    /// Effective address, and above it the RAM page number.
    pub(crate) key: u64,
    /// Host address.
    pub(crate) host: usize,
}

impl JumpEntry {
    const EMPTY: Self = Self { key: u64::MAX, host: 0 };
}

struct Page {
    /// By word: the first block that begins there.
    first: Box<[u32; WORDS]>,
    blocks: Vec<u32>,
    writes: u32,
}

/// A site as the translator made it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewSite {
    pub(crate) target: u32,
    pub(crate) sampling: bool,
    pub(crate) jump: Option<u32>,
    pub(crate) stub: u32,
    pub(crate) key: Option<u32>,
}

/// Counters for whoever watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JitStats {
    /// Blocks translated since creation.
    pub translated: u64,
    /// Traces made since creation: ways through several blocks that lead back to where they began.
    pub traces: u64,
    /// Guest instructions translated since creation.
    pub translated_words: u64,
    /// Bytes of code in use.
    pub code_bytes: u64,
    /// Jumps led straight to their target since creation.
    pub chained: u64,
    /// Blocks held.
    pub blocks: u64,
    /// Blocks dropped because the guest stored into their code.
    pub dropped_by_store: u64,
    /// Blocks dropped because a device wrote their page.
    pub dropped_by_device: u64,
    /// Blocks dropped because their page was written so often that it is taken for data.
    pub dropped_as_data: u64,
    /// Blocks dropped because the memory was full.
    pub dropped_for_room: u64,
    /// Blocks dropped because the embedder said so ([`crate::Jit::flush`]).
    pub dropped_by_host: u64,
    /// Pages let go because nothing of them is held any more.
    pub data_pages: u64,
    /// Times that everything was dropped because the memory was full.
    pub full: u64,
    /// Time spent in translation, in nanoseconds, extrapolated from every sixteenth block; 0 without a clock
    /// ([`crate::Jit::set_clock`]).
    pub translation_ns: u64,
    /// Times that translated code was entered.
    pub entered: u64,
    /// Instructions that translated code left to the reference core.
    pub helped: u64,
    /// Side traces made since creation: ways from where a trace was often left back to where its rounds begin.
    pub side_traces: u64,
    /// Accesses of traces that went to another page so often that they do without remembering one.
    pub roaming: u64,
}

pub(crate) struct Cache {
    pub(crate) memory: CodeMemory,
    /// Offset of the first free byte.
    used: usize,
    /// Bytes at the start that stay.
    fixed: usize,
    pub(crate) blocks: Vec<Block>,
    pub(crate) sites: Vec<Site>,
    /// The instruction words of all blocks.
    words: Vec<u32>,
    /// The effective addresses of the instructions of all traces.
    pcs: Vec<u32>,
    pages: Vec<Option<Box<Page>>>,
    /// One table a mode.
    pub(crate) jumps: Box<[JumpEntry]>,
    traces: Traces,
    /// Goes up when everything is dropped.
    pub(crate) generation: u32,
    /// Goes up whenever a block is not the one to go to any more.
    pub(crate) changes: u32,
    pub(crate) stats: JitStats,
    pub(crate) recorder: Option<Recorder>,
}

impl Block {
    fn shown(&self) -> Shown {
        Shown { pc: self.pc, page: self.page, mode: self.mode }
    }
}

impl Cache {
    pub(crate) fn new(memory: CodeMemory) -> Self {
        Self {
            memory,
            used: 0,
            fixed: 0,
            blocks: Vec::new(),
            sites: Vec::new(),
            words: Vec::new(),
            pcs: Vec::new(),
            pages: Vec::new(),
            jumps: vec![JumpEntry::EMPTY; MODES * JUMPS].into_boxed_slice(),
            traces: Traces::default(),
            generation: 0,
            changes: 0,
            stats: JitStats::default(),
            recorder: None,
        }
    }

    /// Puts code at the start of the memory that stays there.
    pub(crate) fn add_fixed(&mut self, code: &[u8]) {
        self.memory.write(0, code);
        self.fixed = code.len().next_multiple_of(64);
        self.used = self.fixed;
    }

    /// Offset of the next block.
    pub(crate) fn next_offset(&self) -> usize {
        self.used
    }

    pub(crate) fn room(&self) -> usize {
        self.memory.len().saturating_sub(self.used)
    }

    pub(crate) fn find(&self, page: u32, pc: u32, mode: u8) -> Option<u32> {
        let page = self.pages.get(page as usize)?.as_ref()?;
        let mut at = page.first[(pc >> 2) as usize % WORDS];
        while at != NONE {
            let block = &self.blocks[at as usize];
            if block.pc == pc && block.mode == mode {
                return Some(at);
            }
            at = block.next;
        }
        None
    }

    /// Effective address and word of instruction `index` of a block.
    #[inline]
    pub(crate) fn instruction(&self, block: u32, index: u32) -> (u32, u32) {
        let &Block { pc, first_word, first_pc, .. } = &self.blocks[block as usize];
        let pc = match first_pc {
            Some(first) => self.pcs[(first + index) as usize],
            None => pc.wrapping_add(4 * index),
        };
        (pc, self.words[(first_word + index) as usize])
    }

    pub(crate) fn host(&self, block: u32) -> usize {
        self.memory.address(self.blocks[block as usize].at as usize)
    }

    /// What is to be translated next, if it is a block that does not reach the end of its page.
    pub(crate) fn source<'a>(&self, words: &'a [u32], pc: u32, mode: u8, page: u32) -> Source<'a> {
        Source {
            words,
            pc,
            mode,
            page,
            block: self.blocks.len() as u32,
            first_site: self.sites.len() as u32,
            at: self.next_offset(),
            page_ends: false,
            path: None,
            slots: 0..0,
            exits: 0..0,
            side: None,
        }
    }

    /// Takes over a translation that was made for [`Cache::next_offset`] and for sites numbered from `sites.len()`.
    pub(crate) fn add(&mut self, pc: u32, page: u32, mode: u8, words: &[u32], made: &Translation) -> u32 {
        let number = self.add_hidden(pc, page, mode, words, made);
        if let Some(page) = &mut self.pages[page as usize] {
            let first = &mut page.first[(pc >> 2) as usize % WORDS];
            self.blocks[number as usize].next = core::mem::replace(first, number);
        }
        number
    }

    /// As [`Cache::add`], for what is not found by its address.
    fn add_hidden(&mut self, pc: u32, page: u32, mode: u8, words: &[u32], made: &Translation) -> u32 {
        let Translation { code, sites, .. } = made;
        let at = self.used;
        self.memory.write(at, code);
        self.used = (at + code.len()).next_multiple_of(16);
        for site in sites {
            let NewSite { target, sampling, jump, stub, key } = *site;
            self.sites.push(Site {
                target,
                sampling,
                jump,
                stub,
                key,
                next: NONE,
                linked: NONE,
                stays: false,
                exit: NONE,
            });
        }
        if page as usize >= self.pages.len() {
            self.pages.resize_with(page as usize + 1, || None);
        }
        let number = self.blocks.len() as u32;
        let holder = self.pages[page as usize].get_or_insert_with(|| {
            Box::new(Page { first: Box::new([NONE; WORDS]), blocks: Vec::new(), writes: 0 })
        });
        self.blocks.push(Block {
            pc,
            page,
            mode,
            first_word: self.words.len() as u32,
            bytes: ((pc & 0xFFF) as u16, (pc & 0xFFF) as u16 + 4 * words.len() as u16),
            first_pc: None,
            heat: 0,
            tries: 0,
            at: at as u32,
            next: NONE,
            incoming: NONE,
            family: NONE,
            dead: false,
        });
        self.words.extend_from_slice(words);
        holder.blocks.push(number);
        self.stats.translated += 1;
        self.stats.blocks += 1;
        if let Some(recorder) = &mut self.recorder {
            recorder.translated(Shown { pc, page, mode }, words.len(), self.memory.address(at), code.len());
        }
        self.stats.translated_words += words.len() as u64;
        self.stats.code_bytes = self.used as u64;
        number
    }

    /// Leads `site` straight to `block`; a jump out of the page checks the fetch translation first.
    pub(crate) fn link(&mut self, site: u32, block: u32) {
        let at = self.blocks[block as usize].at as usize;
        let page = self.blocks[block as usize].page;
        let entry = &mut self.sites[site as usize];
        let Some(jump) = entry.jump else { return };
        if entry.stays {
            // It leads around a trace: the block there is found only by those who come from elsewhere.
            return;
        }
        if entry.linked == block {
            // It came here to look at the clock. Writing the code again would stall the processor.
            return;
        }
        if let Some(key) = entry.key {
            let value = u64::from(entry.target & !0xFFF) | u64::from(page) << 32;
            self.memory.write(key as usize, &value.to_le_bytes());
        }
        self.memory.patch_jump(jump as usize, at);
        self.stats.chained += 1;
        let before = core::mem::replace(&mut entry.linked, block);
        if before != NONE {
            self.unlink(site, before);
        }
        self.sites[site as usize].next = self.blocks[block as usize].incoming;
        self.blocks[block as usize].incoming = site;
    }

    /// Takes `site` out of the list of those that jump to `block`.
    fn unlink(&mut self, site: u32, block: u32) {
        let after = self.sites[site as usize].next;
        let mut at = self.blocks[block as usize].incoming;
        if at == site {
            self.blocks[block as usize].incoming = after;
            return;
        }
        while at != NONE {
            let next = self.sites[at as usize].next;
            if next == site {
                self.sites[at as usize].next = after;
                return;
            }
            at = next;
        }
    }

    /// Nothing jumps to `block` any more and no lookup finds it; its code stays where it is until all is dropped.
    fn kill(&mut self, number: u32) {
        self.changes = self.changes.wrapping_add(1);
        let (pc, mode, mut site) = {
            let block = &mut self.blocks[number as usize];
            block.dead = true;
            (block.pc, block.mode, core::mem::replace(&mut block.incoming, NONE))
        };
        while site != NONE {
            let entry = &mut self.sites[site as usize];
            site = core::mem::replace(&mut entry.next, NONE);
            entry.linked = NONE;
            if let Some(jump) = entry.jump {
                self.memory.patch_jump(jump as usize, entry.stub as usize);
            }
        }
        let jump = &mut self.jumps[jump_slot(mode, pc)];
        if jump.key as u32 == pc {
            *jump = JumpEntry::EMPTY;
        }
        let (page, next) = (self.blocks[number as usize].page, self.blocks[number as usize].next);
        if let Some(page) = &mut self.pages[page as usize] {
            let mut at = page.first[(pc >> 2) as usize % WORDS];
            if at == number {
                page.first[(pc >> 2) as usize % WORDS] = next;
            } else {
                while at != NONE {
                    let follower = self.blocks[at as usize].next;
                    if follower == number {
                        self.blocks[at as usize].next = next;
                        break;
                    }
                    at = follower;
                }
            }
        }
    }

    /// Drops the blocks that overlap `len` bytes at `pa`. Calls `data` with each page that is taken for data from now
    /// on: nothing of it is held any more.
    pub(crate) fn written(&mut self, pa: u64, len: u32, mut data: impl FnMut(u32)) {
        let end = pa + u64::from(len);
        let mut at = pa;
        while at < end {
            let page_end = (at & !0xFFF) + 4096;
            let number = (at >> 12) as u32;
            let (from, to) = ((at & 0xFFF) as u32, (end.min(page_end) - (at & !0xFFF)) as u32);
            at = page_end;
            let Some(page) = self.pages.get_mut(number as usize).and_then(Option::as_mut) else {
                // Marked, but nothing was translated: no need to be told again.
                data(number);
                continue;
            };
            page.writes += 1;
            let all = page.writes >= DATA_AFTER;
            let mut kept = core::mem::take(&mut page.blocks);
            kept.retain(|&block| {
                let (first, last) = self.blocks[block as usize].bytes;
                let (first, last) = (u32::from(first), u32::from(last));
                let cause = match (first < to && from < last, all) {
                    // No instruction stores as much as a page.
                    (true, _) if len >= 4096 => Cause::Device,
                    (true, _) => Cause::Store,
                    (false, true) => Cause::Data,
                    (false, false) => return true,
                };
                self.kill(block);
                self.dropped(block, cause);
                false
            });
            if kept.is_empty() {
                self.pages[number as usize] = None;
                self.stats.data_pages += 1;
                data(number);
            } else if let Some(page) = &mut self.pages[number as usize] {
                page.blocks = kept;
            }
        }
    }

    fn dropped(&mut self, block: u32, cause: Cause) {
        *self.counter(cause) += 1;
        self.stats.blocks -= 1;
        if let Some(recorder) = &mut self.recorder {
            recorder.dropped(self.blocks[block as usize].shown(), cause);
        }
    }

    fn counter(&mut self, cause: Cause) -> &mut u64 {
        match cause {
            Cause::Store => &mut self.stats.dropped_by_store,
            Cause::Device => &mut self.stats.dropped_by_device,
            Cause::Data => &mut self.stats.dropped_as_data,
            Cause::Room => &mut self.stats.dropped_for_room,
            Cause::Host => &mut self.stats.dropped_by_host,
        }
    }

    /// Starts a record, in place of the one that is being made.
    pub(crate) fn record(&mut self, mut recorder: Recorder) {
        recorder.fixed(self.memory.address(0), self.fixed);
        self.recorder = Some(recorder);
    }

    /// Drops everything that was translated.
    pub(crate) fn clear(&mut self, cause: Cause) {
        let held = core::mem::take(&mut self.stats.blocks);
        *self.counter(cause) += held;
        if let Some(recorder) = &mut self.recorder {
            recorder.dropped_all(cause);
        }
        self.changes = self.changes.wrapping_add(1);
        self.blocks.clear();
        self.sites.clear();
        self.words.clear();
        self.pcs.clear();
        self.pages.clear();
        self.jumps.fill(JumpEntry::EMPTY);
        self.used = self.fixed;
        self.traces = Traces::default();
        self.generation = self.generation.wrapping_add(1);
        self.stats.code_bytes = self.used as u64;
    }

    /// The host address of the block at `pc` in RAM page `page`, if the jump cache has it.
    #[inline]
    pub(crate) fn jump(&self, page: u32, pc: u32, mode: u8) -> Option<usize> {
        let entry = &self.jumps[jump_slot(mode, pc)];
        (entry.key == (u64::from(pc) | u64::from(page) << 32)).then_some(entry.host)
    }

    /// Lets indirect jumps to `block` find it.
    pub(crate) fn remember_jump(&mut self, block: u32) {
        let host = self.host(block);
        let &Block { pc, page, mode, .. } = &self.blocks[block as usize];
        self.jumps[jump_slot(mode, pc)] = JumpEntry { key: u64::from(pc) | u64::from(page) << 32, host };
    }
}

fn jump_slot(mode: u8, pc: u32) -> usize {
    usize::from(mode) * JUMPS + (pc >> 2) as usize % JUMPS
}
