//! The oracle: a TLB written straight from the rules, with nothing clever in it, and a sink that
//! remembers what it was told and complains at once.

#![expect(dead_code, reason = "each test file uses a part of the module")]
pub(crate) mod books;
pub(crate) mod run;

use mmu_core::{
    Access, ContextId, EffectiveAddress, Fault, Mode, PhysicalAddress, ShadowPage, ShadowSink, TlbEntry,
};

/// What an access ought to give: the entry, the physical address and the permissions R, W, X.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Expected {
    pub(crate) index: u8,
    pub(crate) pa: u64,
    pub(crate) rwx: [bool; 3],
    pub(crate) attributes: u32,
}

/// The guest's TLB as the manual tells it: raw words, searched in order.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) entries: Vec<TlbEntry>,
}

impl Model {
    pub(crate) fn new(entries: usize) -> Self {
        Self { entries: vec![TlbEntry::default(); entries] }
    }

    /// What `tlbwe` does; reserved bits are not implemented.
    pub(crate) fn write_word(&mut self, index: u8, ws: u8, value: u32, stid: u8) {
        let n = self.entries.len();
        let entry = &mut self.entries[usize::from(index) % n];
        match ws {
            0 => {
                entry.word0 = value & 0xffff_fff0;
                entry.tid = u32::from(stid);
            }
            1 => entry.word1 = value & 0xffff_fc0f,
            2 => entry.word2 = value & 0x0000_ffbf,
            _ => {}
        }
    }

    /// The first entry that matches, and its page size.
    pub(crate) fn search(&self, ea: u32, address_space: bool, tid: u8) -> Option<(u8, u64)> {
        for (index, entry) in self.entries.iter().enumerate() {
            let size: u64 = match (entry.word0 >> 4) & 15 {
                0 => 1 << 10,
                1 => 4 << 10,
                2 => 16 << 10,
                3 => 64 << 10,
                4 => 256 << 10,
                5 => 1 << 20,
                7 => 16 << 20,
                9 => 256 << 20,
                _ => continue,
            };
            let start = u64::from(entry.word0 & 0xffff_fc00) / size * size;
            let valid = entry.word0 & 0x200 != 0;
            let ts = entry.word0 & 0x100 != 0;
            let in_page = (start..start + size).contains(&u64::from(ea));
            if valid && ts == address_space && in_page && (entry.tid == 0 || entry.tid == u32::from(tid)) {
                return Some((index as u8, size));
            }
        }
        None
    }

    /// The translation whatever the permissions.
    pub(crate) fn look(&self, ea: u32, mode: Mode) -> Option<Expected> {
        let (index, size) = self.search(ea, mode.address_space, mode.pid)?;
        Some(self.given_by(index, size, ea, mode))
    }

    fn given_by(&self, index: u8, size: u64, ea: u32, mode: Mode) -> Expected {
        let entry = &self.entries[usize::from(index)];
        let low = u64::from(entry.word1 & 0xffff_fc00) / size * size;
        let page = u64::from(entry.word1 & 0xf) << 32 | low;
        let bits = if mode.user { entry.word2 >> 3 } else { entry.word2 };
        Expected {
            index,
            pa: page + u64::from(ea) % size,
            rwx: [bits & 1 != 0, bits & 2 != 0, bits & 4 != 0],
            attributes: entry.word2 & 0xff80,
        }
    }

    /// The page that entry `index` gives in the mode, where no other takes precedence.
    pub(crate) fn page(&self, index: u8, mode: Mode) -> Option<ShadowPage> {
        let alone = Self { entries: vec![self.entries[usize::from(index)]] };
        let (_, size) = alone.search(alone.entries[0].word0, mode.address_space, mode.pid)?;
        let ea = (u64::from(alone.entries[0].word0) / size * size) as u32;
        let given = alone.given_by(0, size, ea, mode);
        Some(ShadowPage {
            ea: EffectiveAddress(ea),
            pa: PhysicalAddress(given.pa),
            size: size as u32,
            readable: given.rwx[0],
            writable: given.rwx[1],
            executable: given.rwx[2],
            attributes: mmu_core::Attributes(given.attributes),
        })
    }

    /// Is the page of entry `index` at any address of `page`, in the mode?
    pub(crate) fn touches(&self, index: u8, page: &ShadowPage, mode: Mode) -> bool {
        self.page(index, mode).is_some_and(|own| overlap(&own, page))
    }

    pub(crate) fn translate(&self, ea: u32, access: Access, mode: Mode) -> Result<Expected, Fault> {
        let found = self.look(ea, mode).ok_or(Fault::Miss)?;
        let needed = match access {
            Access::Load => 0,
            Access::Store => 1,
            Access::Fetch => 2,
        };
        if found.rwx[needed] { Ok(found) } else { Err(Fault::Protection) }
    }

    /// The entry, if it is the same throughout the block and the block is what `page` says.
    pub(crate) fn confirms(&self, page: &ShadowPage, mode: Mode) -> Option<u8> {
        let mut index = None;
        let last = page.size - 1;
        // Translations change at the ends of entries' pages and nowhere else.
        let valid = self.entries.iter().filter(|entry| entry.word0 & 0x200 != 0);
        let edges = valid.flat_map(|entry| {
            let size = 1024u32 << (2 * (entry.word0 >> 4 & 15)).min(18);
            let start = (entry.word0 & 0u32.wrapping_sub(size)).wrapping_sub(page.ea.0);
            [start, start.wrapping_sub(1), start.wrapping_add(size - 1), start.wrapping_add(size)]
        });
        for offset in edges.filter(|&offset| offset <= last).chain([0, last]) {
            let found = self.look(page.ea.0 + offset, mode)?;
            let same = found.pa == page.pa.0 + u64::from(offset)
                && found.rwx == [page.readable, page.writable, page.executable]
                && found.attributes == page.attributes.0
                && index.is_none_or(|i| i == found.index);
            if !same {
                return None;
            }
            index = Some(found.index);
        }
        index
    }
}

/// Do two pages, in one context, have an address in common?
pub(crate) fn overlap(a: &ShadowPage, b: &ShadowPage) -> bool {
    a.contains(b.ea) || b.contains(a.ea)
}

/// The common part of two aligned pages, as the first has it.
pub(crate) fn shared(a: &ShadowPage, b: &ShadowPage) -> Option<ShadowPage> {
    let ea = a.ea.max(b.ea);
    overlap(a, b).then(|| ShadowPage { ea, pa: a.translate(ea), size: a.size.min(b.size), ..*a })
}

/// A sink that holds exactly what it was told to hold.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    pub(crate) held: Vec<(ContextId, ShadowPage)>,
    pub(crate) dropped: Vec<(ContextId, ShadowPage)>,
    pub(crate) dropped_contexts: Vec<ContextId>,
    pub(crate) dropped_all: u32,
    pub(crate) max_page: u32,
    /// What is dropped is a range, as `DirectShadow` has it, and pages may overlap if they say the same.
    pub(crate) by_range: bool,
    /// The write that is going on takes the short way.
    pub(crate) short: bool,
    pub(crate) writes: u32,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            held: vec![],
            dropped: vec![],
            dropped_contexts: vec![],
            dropped_all: 0,
            max_page: 4096,
            by_range: false,
            short: false,
            writes: 0,
        }
    }
}

impl Recorder {
    pub(crate) fn with_max_page(max_page: u32) -> Self {
        Self { max_page, ..Self::default() }
    }

    pub(crate) fn holds(&self, ctx: ContextId, ea: u32) -> bool {
        self.held.iter().any(|(c, page)| *c == ctx && page.contains(EffectiveAddress(ea)))
    }

    pub(crate) fn forget_log(&mut self) {
        self.dropped.clear();
        self.dropped_contexts.clear();
        self.dropped_all = 0;
    }
}

impl ShadowSink for Recorder {
    fn install(&mut self, ctx: ContextId, page: &ShadowPage) {
        assert!(page.size.is_power_of_two() && page.size >= 1024 && page.size <= self.max_page);
        assert_eq!((page.ea.0 % page.size, page.pa.0 % u64::from(page.size)), (0, 0), "{page:x?}");
        if self.held.contains(&(ctx, *page)) {
            return;
        }
        for (c, other) in &self.held {
            let apart = *c != ctx || !overlap(page, other);
            let same = self.by_range && shared(page, other) == shared(other, page);
            assert!(apart || same, "{page:x?} overlaps {other:x?}");
        }
        self.held.push((ctx, *page));
    }

    fn drop(&mut self, ctx: ContextId, page: &ShadowPage) {
        if self.by_range {
            self.held.retain(|(c, held)| *c != ctx || !overlap(held, page));
        } else {
            let at = self.held.iter().position(|held| *held == (ctx, *page));
            self.held.swap_remove(at.unwrap_or_else(|| panic!("{page:x?} was not installed")));
        }
        self.dropped.push((ctx, *page));
    }

    // Whose page it is, and so what of it `dropped` would have to say, is not known here.
    fn forget(&mut self, ctx: ContextId, ea: EffectiveAddress, size: u32) -> bool {
        let within = |page: &ShadowPage| {
            let (first, last) = (page.ea.0, page.ea.0 + (page.size - 1));
            first <= ea.0 + (size - 1) && ea.0 <= last
        };
        if self.short {
            self.held.retain(|(c, page)| *c != ctx || !within(page));
        }
        self.short
    }

    fn drop_context(&mut self, ctx: ContextId) {
        self.held.retain(|(c, _)| *c != ctx);
        self.dropped_contexts.push(ctx);
    }

    fn drop_all(&mut self) {
        self.held.clear();
        self.dropped_all += 1;
    }

    fn max_page(&self) -> u32 {
        self.max_page
    }
}

/// An entry from its parts.
pub(crate) fn entry(ea: u32, size: mmu_core::PageSize, pa: u64, tid: u8, word2: u32) -> TlbEntry {
    TlbEntry {
        word0: ea | TlbEntry::V | u32::from(size.code()) << TlbEntry::SIZE_SHIFT,
        word1: pa as u32 | (pa >> 32) as u32,
        word2,
        tid: u32::from(tid),
    }
}

/// All permissions.
pub(crate) const ALL: u32 = 0x3f;

/// Supervisor state in address space 0.
pub(crate) fn kernel(pid: u8) -> Mode {
    Mode { pid, address_space: false, user: false }
}

/// User state in address space 0.
pub(crate) fn user(pid: u8) -> Mode {
    Mode { pid, address_space: false, user: true }
}

pub(crate) fn ea(ea: u32) -> EffectiveAddress {
    EffectiveAddress(ea)
}

pub(crate) fn pa(pa: u64) -> PhysicalAddress {
    PhysicalAddress(pa)
}
