//! The interpreter's translation: mmu-core's pair of TLBs, and the small direct-mapped table that they shadow into.
//!
//! The table is tagged with the context that mmu-core hands out for (PID, AS, PR), so a PID write, a system call or an
//! interrupt changes a number and flushes nothing. Pages that need care on every access (1 KB and little-endian ones,
//! and, for dcbz, write-through or inhibited ones) never enter it; pages of which decoded code is held enter it without
//! their write half.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use mmu_core::{
    Access, ContextId, EffectiveAddress, Fault, Mode, Shadow, ShadowPage, ShadowSink, Slot, Stats, Tlb,
    TlbEntry, Translation,
};

use crate::bits::{msr, storage};

/// Data translations in the direct-mapped table.
const DATA: usize = 2048;
/// Fetch translations.
const FETCH: usize = 1024;
/// Contexts: (PID, AS, PR) triples that live side by side.
const CONTEXTS: usize = 64;
/// Shadow pages by default.
pub(crate) const POOL: usize = 4096;
/// A tag that no page has: the low 12 bits of a real one are a context number below this.
const INVALID: u32 = 0xFFF;
/// The context number that makes every access take the slow path.
const SLOW: u32 = 0xFFE;
/// RAM pages (4 KB) that can hold decoded code: the first 4 GB.
const CODE_PAGES: u64 = 1 << 20;

#[derive(Clone, Copy, Debug)]
struct DataEntry {
    read: u32,
    write: u32,
    page: u64,
}

#[derive(Clone, Copy, Debug)]
struct FetchEntry {
    tag: u32,
    /// What the code cache calls the page.
    code: u32,
}

/// The sink: what the shadow bookkeeping installs and drops.
#[derive(Debug)]
struct Fast {
    data: Box<[DataEntry; DATA]>,
    fetch: Box<[FetchEntry; FETCH]>,
    /// One bit a RAM page: decoded code of it is held.
    code: Vec<u64>,
}

/// Where in the table a page of a context lies: contexts are spread so that the kernel's and the user's pages with the
/// same low bits do not meet.
#[inline(always)]
const fn slot(ea: u32, context: u32) -> u32 {
    (ea >> 12) ^ context.wrapping_mul(0x1E5)
}

impl Fast {
    fn is_code(&self, pa: u64) -> bool {
        let page = pa >> 12;
        self.code.get((page >> 6) as usize).is_some_and(|word| word & (1 << (page & 63)) != 0)
    }
}

impl ShadowSink for Fast {
    fn install(&mut self, ctx: ContextId, page: &ShadowPage) {
        if page.size < 4096 || page.attributes.0 & (storage::E | storage::W | storage::I) != 0 {
            return;
        }
        let context = u32::from(ctx.0);
        let tag = (page.ea.0 & !0xFFF) | context;
        let pa = page.pa.0 & !0xFFF;
        let write = if page.writable && !self.is_code(pa) { tag } else { INVALID };
        let read = if page.readable { tag } else { INVALID };
        self.data[slot(page.ea.0, context) as usize % DATA] = DataEntry { read, write, page: pa };
    }

    fn drop(&mut self, ctx: ContextId, page: &ShadowPage) {
        let context = u32::from(ctx.0);
        let tag = (page.ea.0 & !0xFFF) | context;
        let at = slot(page.ea.0, context) as usize;
        let entry = &mut self.data[at % DATA];
        if entry.read == tag || entry.write == tag {
            *entry = DataEntry { read: INVALID, write: INVALID, page: 0 };
        }
        let entry = &mut self.fetch[at % FETCH];
        if entry.tag == tag {
            entry.tag = INVALID;
        }
    }

    fn drop_context(&mut self, ctx: ContextId) {
        let context = u32::from(ctx.0);
        for entry in self.data.iter_mut() {
            if entry.read & 0xFFF == context || entry.write & 0xFFF == context {
                *entry = DataEntry { read: INVALID, write: INVALID, page: 0 };
            }
        }
        for entry in self.fetch.iter_mut() {
            if entry.tag & 0xFFF == context {
                entry.tag = INVALID;
            }
        }
    }

    fn drop_all(&mut self) {
        self.data.fill(DataEntry { read: INVALID, write: INVALID, page: 0 });
        self.fetch.fill(FetchEntry { tag: INVALID, code: 0 });
    }
}

/// A resolved translation, as much of it as the slow path needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resolved {
    pub(crate) pa: u64,
    pub(crate) attributes: u32,
    /// Bytes of the block around the address: 1024 where a 1 KB page (or an overlap) is involved.
    pub(crate) block: u32,
}

/// The core's MMU: shadow bookkeeping, direct-mapped table and the current contexts.
#[derive(Debug)]
pub(crate) struct Mmu {
    shadow: Shadow<Vec<Slot>>,
    fast: Fast,
    data_mode: Mode,
    fetch_mode: Mode,
    data_context: ContextId,
    fetch_context: ContextId,
    /// `data_context`, or a number that never matches while every access must be looked at.
    data_tag: u32,
    fetch_tag: u32,
    /// What `set_mode` was last told; contexts are recycled only there.
    current: Option<(Mode, Mode, bool)>,
    slow_data: bool,
    bypass: bool,
}

impl Mmu {
    /// A pool of `pages` shadows, 1 to 65,535.
    pub(crate) fn with_pool(pages: usize) -> Self {
        let no_data = DataEntry { read: INVALID, write: INVALID, page: 0 };
        let no_fetch = FetchEntry { tag: INVALID, code: 0 };
        let mode = Mode { pid: 0, address_space: false, user: false };
        let mut mmu = Self {
            shadow: Shadow::new(vec![Slot::EMPTY; pages.clamp(1, 65_535)], CONTEXTS, Default::default()),
            fast: Fast {
                data: Box::new([no_data; DATA]),
                fetch: Box::new([no_fetch; FETCH]),
                code: Vec::new(),
            },
            data_mode: mode,
            fetch_mode: mode,
            data_context: ContextId(0),
            fetch_context: ContextId(0),
            data_tag: 0,
            fetch_tag: 0,
            current: None,
            slow_data: false,
            bypass: false,
        };
        mmu.set_mode(0, 0, false);
        mmu
    }

    /// Selects the contexts of (PID, MSR). With `slow_data` every data access takes the slow path.
    pub(crate) fn set_mode(&mut self, pid: u8, machine: u32, slow_data: bool) {
        let user = machine & msr::PR != 0;
        let fetch_mode = Mode { pid, address_space: machine & msr::IS != 0, user };
        let data_mode = Mode { pid, address_space: machine & msr::DS != 0, user };
        if self.current == Some((fetch_mode, data_mode, slow_data)) {
            return;
        }
        self.current = Some((fetch_mode, data_mode, slow_data));
        (self.fetch_mode, self.data_mode) = (fetch_mode, data_mode);
        self.fetch_context = self.shadow.context(self.fetch_mode, &mut self.fast);
        self.data_context = if self.data_mode == self.fetch_mode {
            self.fetch_context
        } else {
            self.shadow.context(self.data_mode, &mut self.fast)
        };
        self.slow_data = slow_data;
        self.retag();
    }

    fn retag(&mut self) {
        self.data_tag = if self.slow_data || self.bypass { SLOW } else { u32::from(self.data_context.0) };
        self.fetch_tag = if self.bypass { SLOW } else { u32::from(self.fetch_context.0) };
    }

    /// Uses no cached translation at all while on: the oracle's way.
    pub(crate) fn bypass(&mut self, on: bool) {
        self.bypass = on;
        self.retag();
    }

    /// The physical address for a load of `len` bytes at `ea` if the table has it and the page holds all of it.
    #[inline(always)]
    pub(crate) fn fast_read(&self, ea: u32, len: u32) -> Option<u64> {
        let entry = &self.fast.data[slot(ea, self.data_tag) as usize % DATA];
        let tag = (ea & !0xFFF) | self.data_tag;
        (entry.read == tag && (ea & 0xFFF) <= 4096 - len).then(|| entry.page | u64::from(ea & 0xFFF))
    }

    /// As [`Mmu::fast_read`], for a store.
    #[inline(always)]
    pub(crate) fn fast_write(&self, ea: u32, len: u32) -> Option<u64> {
        let entry = &self.fast.data[slot(ea, self.data_tag) as usize % DATA];
        let tag = (ea & !0xFFF) | self.data_tag;
        (entry.write == tag && (ea & 0xFFF) <= 4096 - len).then(|| entry.page | u64::from(ea & 0xFFF))
    }

    /// The code cache's number of the page that holds `ea`, if the table has it.
    #[inline(always)]
    pub(crate) fn fast_fetch(&self, ea: u32) -> Option<u32> {
        let entry = &self.fast.fetch[slot(ea, self.fetch_tag) as usize % FETCH];
        (entry.tag == (ea & !0xFFF) | self.fetch_tag).then_some(entry.code)
    }

    /// Records that the page that holds `ea` in the current fetch context is the code cache's page `code`.
    pub(crate) fn install_fetch(&mut self, ea: u32, code: u32) {
        if !self.bypass {
            let tag = (ea & !0xFFF) | self.fetch_tag;
            self.fast.fetch[slot(ea, self.fetch_tag) as usize % FETCH] = FetchEntry { tag, code };
        }
    }

    /// Forgets every fetch translation to the code cache's page `code`.
    pub(crate) fn forget_fetch(&mut self, code: u32) {
        for entry in self.fast.fetch.iter_mut().filter(|entry| entry.code == code) {
            entry.tag = INVALID;
        }
    }

    /// Translates through guest TLB and shadows; a RAM page that may be cached enters the table.
    pub(crate) fn resolve(&mut self, tlb: &Tlb, ea: u32, access: Access) -> Result<Resolved, Fault> {
        let (mode, context) = match access {
            Access::Fetch => (self.fetch_mode, self.fetch_context),
            Access::Load | Access::Store => (self.data_mode, self.data_context),
        };
        if self.bypass {
            let Translation { pa, attributes, size, .. } =
                tlb.translate(EffectiveAddress(ea), access, mode)?;
            let block = size.bytes().min(4096);
            return Ok(Resolved { pa: pa.0, attributes: attributes.0, block });
        }
        let page = self.shadow.fill(tlb, context, mode, EffectiveAddress(ea), access, &mut self.fast)?;
        let pa = page.translate(EffectiveAddress(ea)).0;
        Ok(Resolved { pa, attributes: page.attributes.0, block: page.size })
    }

    pub(crate) fn tlbwe(&mut self, tlb: &mut Tlb, index: u8, ws: u8, value: u32, stid: u8) {
        self.shadow.tlbwe(tlb, index, ws, value, stid, &mut self.fast);
    }

    pub(crate) fn set_entry(&mut self, tlb: &mut Tlb, index: u8, entry: TlbEntry) {
        self.shadow.set_entry(tlb, index, entry, &mut self.fast);
    }

    pub(crate) fn invalidate_all(&mut self) {
        self.shadow.invalidate_all(&mut self.fast);
    }

    pub(crate) fn stats(&self) -> Stats {
        self.shadow.stats()
    }

    /// Whether decoded code of the RAM page at `pa` is held.
    pub(crate) fn is_code_page(&self, pa: u64) -> bool {
        self.fast.is_code(pa)
    }

    /// Marks the RAM page at `pa` as holding decoded code, or not. False if it lies too high to be marked.
    pub(crate) fn mark_code(&mut self, pa: u64, held: bool) -> bool {
        let page = pa >> 12;
        if page >= CODE_PAGES {
            return false;
        }
        let (word, bit) = ((page >> 6) as usize, 1 << (page & 63));
        if word >= self.fast.code.len() {
            self.fast.code.resize(word + 1, 0);
        }
        if held {
            self.fast.code[word] |= bit;
            // Stores to it must be seen from now on.
            for entry in self.fast.data.iter_mut().filter(|entry| entry.page == pa & !0xFFF) {
                entry.write = INVALID;
            }
        } else {
            self.fast.code[word] &= !bit;
        }
        true
    }
}
