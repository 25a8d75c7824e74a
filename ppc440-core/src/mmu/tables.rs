//! The tables that the core's translations are kept in, as a sink of mmu-core's bookkeeping: data and fetch translations
//! by context, what the large pages are, and which RAM pages have decoded code.

use alloc::boxed::Box;
use alloc::vec::Vec;

use mmu_core::{ContextId, EffectiveAddress, ShadowPage, ShadowSink, Tlb};

use super::linear::Linear;
use crate::bits::storage;
use crate::record::Recorder;

/// Data translations of one context.
pub(crate) const DATA: usize = 512;
/// Fetch translations of one context.
pub(crate) const FETCH: usize = 1024;
/// Contexts: (PID, AS, PR) triples that live side by side.
pub(super) const CONTEXTS: usize = 63;
/// The part of the table that stays empty: it makes every access take the slow path.
pub(super) const SLOW: usize = CONTEXTS;
/// Parts of the table.
pub(super) const PARTS: usize = CONTEXTS + 1;
/// Large guest pages that are looked at before the pool; the others are found there.
pub(super) const LARGE: usize = 16;
/// Shadow pages by default.
pub(crate) const POOL: usize = 4096;
/// A tag that no page has: the low 12 bits of a real one are 0.
pub(super) const INVALID: u32 = 0xFFF;
/// RAM pages (4 KB) that can hold decoded code: the first 4 GB.
pub(super) const CODE_PAGES: u64 = 1 << 20;

/// A data translation.
#[derive(Clone, Copy, Debug)]
pub(super) struct DataEntry {
    /// Effective address of the page if it may be read, else [`INVALID`].
    pub(super) read: u32,
    /// The same for writing.
    pub(super) write: u32,
    /// Physical minus effective address, wrapping.
    pub(super) delta: u64,
}

impl DataEntry {
    pub(super) const EMPTY: Self = Self { read: INVALID, write: INVALID, delta: 0 };
}

/// A fetch translation. `repr(C)`, as translated code reads it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct FetchEntry {
    /// Effective address of the page, or [`INVALID`].
    pub(crate) tag: u32,
    /// What the code cache calls the page.
    pub(crate) code: u32,
}

impl FetchEntry {
    pub(super) const EMPTY: Self = Self { tag: INVALID, code: 0 };
}

/// The fetch translations of one context. Guests like round addresses; the padding keeps their entries in different
/// contexts from competing for the same lines of the host's caches.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct FetchPart {
    pub(super) _before: [u64; 24],
    pub(crate) entries: [FetchEntry; FETCH],
    pub(super) _after: [u64; 16],
}

impl FetchPart {
    pub(super) const EMPTY: Self =
        Self { _before: [0; 24], entries: [FetchEntry::EMPTY; FETCH], _after: [0; 16] };
}

/// The sink: what the shadow bookkeeping installs and drops.
#[derive(Debug)]
pub(crate) struct Fast {
    pub(super) data: Box<[[DataEntry; DATA]; PARTS]>,
    pub(crate) fetch: Box<[FetchPart; PARTS]>,
    /// Goes up whenever fetch translations are taken back.
    pub(super) fetch_losses: u32,
    /// Likewise for data translations.
    pub(crate) data_losses: u32,
    /// The parts in which something was installed since they were last emptied, one bit each.
    pub(super) used: u64,
    /// One bit a RAM page: decoded code of it is held.
    pub(super) code: Vec<u64>,
    /// Pages from this physical address on stay out of the table.
    pub(super) limit: u64,
    /// The engine's own table, and where the guest's physical address 0 lies for it.
    pub(super) linear: Option<Linear>,
    pub(super) base: u64,
    /// Guest pages above 4 KB that translations in the table were cut from, with their contexts.
    pub(super) large: Vec<(ContextId, ShadowPage)>,
    /// The contexts that occur in `large`, one bit each, perhaps with some that no longer do.
    pub(crate) large_contexts: u64,
    pub(super) recorder: Option<Box<Recorder>>,
}

/// Where in its part of the table the data translation of `ea` lies.
#[inline(always)]
pub(super) const fn data_slot(ea: u32) -> usize {
    (ea >> 12) as usize % DATA
}

#[inline(always)]
pub(super) const fn fetch_slot(ea: u32) -> usize {
    (ea >> 12) as usize % FETCH
}

/// Whether decoded code of the RAM page at `pa` is held, in a set of one bit a page.
#[inline]
pub(super) fn is_code(code: &[u64], pa: u64) -> bool {
    let page = pa >> 12;
    code.get((page >> 6) as usize).is_some_and(|word| word & (1 << (page & 63)) != 0)
}

/// Of two aligned pages, the smaller lies in the larger, if they have anything in common.
pub(super) fn overlap(a: &ShadowPage, b: &ShadowPage) -> bool {
    a.contains(b.ea) || b.contains(a.ea)
}

/// The numbers of the bits that are set.
pub(super) fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (bit < 64).then_some(bit)
    })
}

impl Fast {
    #[inline]
    pub(super) fn is_code(&self, pa: u64) -> bool {
        is_code(&self.code, pa)
    }

    /// The part of the engine's table for a part of ours.
    pub(super) fn linear_part(&self, part: usize) -> Option<&[u64]> {
        let linear = self.linear.as_ref()?;
        Some(linear.part(part.min(linear.parts() - 1)))
    }

    /// Stores to the RAM page at `pa` are no longer translated; it can be reached only as the guest's TLB says.
    pub(super) fn protect(&mut self, tlb: &Tlb, pa: u64) {
        self.data_losses = self.data_losses.wrapping_add(1);
        for index in 0..Tlb::<64>::ENTRIES as u8 {
            let entry = tlb.entry(index);
            let (Some(start), Some(size)) = (entry.page_start(), entry.size()) else { continue };
            let mask = u64::from(size.bytes().max(4096) - 1);
            let frame = u64::from(entry.erpn()) << 32 | u64::from(entry.word1 & size.mask());
            if !entry.valid() || (frame ^ pa) & !mask != 0 {
                continue;
            }
            let ea = (start.0 & !(mask as u32)) | (pa & mask) as u32 & !0xFFF;
            for context in bits(self.used) {
                let slot = &mut self.data[context][data_slot(ea)];
                if slot.write == ea && slot.delta.wrapping_add(u64::from(ea)) == pa {
                    slot.write = INVALID;
                }
                if let Some(linear) = &mut self.linear {
                    linear.protect(context, ea, pa.wrapping_add(self.base));
                }
            }
        }
    }

    /// Puts the 4 KB around `ea`, which lies in `page`, into the table.
    pub(super) fn install_piece(&mut self, ctx: ContextId, page: &ShadowPage, ea: u32) {
        let (tag, pa) = (ea & !0xFFF, page.translate(EffectiveAddress(ea)).0 & !0xFFF);
        let special = page.attributes.0 & (storage::E | storage::W | storage::I) != 0;
        if page.size < 4096 || special || pa >= self.limit {
            return;
        }
        let context = usize::from(ctx.0);
        self.used |= 1 << context;
        let read = if page.readable { tag } else { INVALID };
        // What may be written may be read: engines rely on it. Pages that can only be written stay out.
        let write = if page.writable && !self.is_code(pa) { read } else { INVALID };
        if self.linear.is_some() {
            self.install_around(context, page, ea, pa);
        } else {
            let delta = pa.wrapping_sub(u64::from(tag));
            self.data[context % PARTS][data_slot(ea)] = DataEntry { read, write, delta };
        }
    }

    /// Puts the 4 KB around `ea` into the engine's table, and of a larger page what shares a line of the table with it.
    pub(super) fn install_around(&mut self, context: usize, page: &ShadowPage, ea: u32, pa: u64) {
        /// Bytes of guest memory whose words fill 64 bytes of the table.
        const LINE: u32 = 8 * 4096;
        let block = page.size.min(LINE);
        let start = ea & !(block - 1);
        let first = pa - u64::from((ea & !0xFFF) - start);
        for offset in (0..block).step_by(4096) {
            let pa = first + u64::from(offset);
            let write = page.readable && page.writable && !self.is_code(pa);
            if let Some(linear) = &mut self.linear
                && pa < self.limit
            {
                linear.set(context, start + offset, pa.wrapping_add(self.base), page.readable, write);
            }
        }
    }

    /// As `drop`, for pages of all sizes, and recorded.
    #[inline(never)]
    pub(super) fn drop_any(&mut self, ctx: ContextId, page: &ShadowPage) {
        if let Some(recorder) = &mut self.recorder {
            recorder.dropped(page);
        }
        self.large.retain(|(held, other)| *held != ctx || !overlap(other, page));
        self.drop_pieces(ctx, page);
    }

    /// Data and fetch translations are taken back.
    fn count_losses(&mut self) {
        self.data_losses = self.data_losses.wrapping_add(1);
        self.fetch_losses = self.fetch_losses.wrapping_add(1);
    }

    /// Forgets what was cut from `page`.
    pub(super) fn drop_pieces(&mut self, ctx: ContextId, page: &ShadowPage) {
        self.count_losses();
        let context = usize::from(ctx.0);
        if let Some(linear) = &mut self.linear {
            linear.clear_range(context, page.ea.0 & !0xFFF, page.size.max(4096));
        }
        // A page of 1 KB takes the 4 KB around it along.
        let (start, size) = (page.ea.0 & !0xFFF, page.size.max(4096));
        let cut = |tag: u32| tag != INVALID && tag.wrapping_sub(start) < size;
        for entry in &mut self.data[context] {
            if cut(entry.read) || cut(entry.write) {
                *entry = DataEntry::EMPTY;
            }
        }
        for entry in &mut self.fetch[context].entries {
            if cut(entry.tag) {
                entry.tag = INVALID;
            }
        }
    }
}

impl ShadowSink for Fast {
    /// Pages of 4 KB and less enter the table when they are used, see [`Mmu::resolve`]; larger ones are remembered.
    fn install(&mut self, ctx: ContextId, page: &ShadowPage) {
        let room = self.large.len() < LARGE;
        if page.size > 4096 && room && !self.large.contains(&(ctx, *page)) {
            self.large.push((ctx, *page));
            self.large_contexts |= 1 << ctx.0;
        }
    }

    #[inline]
    fn drop(&mut self, ctx: ContextId, page: &ShadowPage) {
        if !self.forget(ctx, page.ea, page.size) {
            self.drop_any(ctx, page);
        }
    }

    #[inline(always)]
    fn forget(&mut self, ctx: ContextId, ea: EffectiveAddress, size: u32) -> bool {
        let in_large = self.large_contexts >> ctx.0 & 1 != 0
            && self.large.iter().any(|(held, page)| *held == ctx && page.contains(ea));
        if self.recorder.is_some() || size > 4096 || in_large {
            return false;
        }
        let (context, tag) = (usize::from(ctx.0), ea.0 & !0xFFF);
        self.data_losses = self.data_losses.wrapping_add(1);
        match &mut self.linear {
            Some(linear) => linear.clear(context, tag),
            None => {
                let entry = &mut self.data[context % PARTS][data_slot(tag)];
                if entry.read == tag || entry.write == tag {
                    *entry = DataEntry::EMPTY;
                }
            }
        }
        let entry = &mut self.fetch[context % PARTS].entries[fetch_slot(tag)];
        if entry.tag == tag {
            entry.tag = INVALID;
            self.fetch_losses = self.fetch_losses.wrapping_add(1);
        }
        true
    }

    /// The table holds 4 KB pieces, but the pool need not: a pinned page of the kernel is one shadow.
    fn max_page(&self) -> u32 {
        256 << 20
    }

    fn drop_context(&mut self, ctx: ContextId) {
        self.count_losses();
        self.large.retain(|held| held.0 != ctx);
        self.large_contexts &= !(1 << ctx.0);
        let context = usize::from(ctx.0);
        if self.used & (1 << context) != 0 {
            self.used &= !(1 << context);
            self.data[context].fill(DataEntry::EMPTY);
            self.fetch[context].entries.fill(FetchEntry::EMPTY);
            if let Some(linear) = &mut self.linear {
                linear.clear_part(context);
            }
        }
    }

    fn drop_all(&mut self) {
        self.count_losses();
        self.large.clear();
        self.large_contexts = 0;
        for context in bits(core::mem::take(&mut self.used)) {
            self.data[context].fill(DataEntry::EMPTY);
            self.fetch[context].entries.fill(FetchEntry::EMPTY);
            if let Some(linear) = &mut self.linear {
                linear.clear_part(context);
            }
        }
    }
}
