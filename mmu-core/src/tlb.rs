//! The guest's TLB: up to 64 entries, software managed, fully associative, searched by page size
//! and page number (PPC440 User's Manual, "Memory Management"). Entries live as they were written;
//! beside them stands an index that is a function of the entries alone: a bit set of entry numbers
//! for each hash of (page size, page number). A lookup joins the sets of the page sizes in use, and
//! tests the survivors from the lowest number up. Left out: the hardware's own 4- and 8-entry
//! shadows (writes take effect at once), parity, and the reset entry of the top 4 KiB, which lives
//! outside the architected array and so belongs to the embedder.
//!
//! Where the manual leaves the outcome open:
//!
//! * Several entries match: the lowest index wins, for its permissions too. [`Tlb::overlaps`] finds
//!   such entries.
//! * SIZE 6, 8 or 10-15: the entry can be written and read back, but never matches.
//! * Low EPN and RPN bits that the page size covers are ignored, and read back as written.

use crate::address::{EffectiveAddress, PhysicalAddress};
use crate::entry::{Attributes, PageSize, TlbEntry};
use core::fmt;

/// What an access does to memory, which selects the permission bit that it needs.
///
/// `icbi`, `dcbf` and `dcbst` count as loads; `dcbz` and `dcbi` as stores.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Access {
    /// An instruction fetch: needs SX or UX.
    Fetch,
    /// A load: needs SR or UR.
    Load,
    /// A store: needs SW or UW.
    Store,
}

/// The processor state that translation depends on.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Mode {
    /// The PID register.
    pub pid: u8,
    /// MSR\[IS\] for a fetch, MSR\[DS\] for a load or store.
    pub address_space: bool,
    /// MSR\[PR\]: problem (user) state.
    pub user: bool,
}

/// Why an access cannot be translated.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// No entry matches: an instruction or data TLB error interrupt.
    Miss,
    /// The matching entry forbids the access: an instruction or data storage interrupt.
    Protection,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Miss => "No TLB entry matches",
            Self::Protection => "The TLB entry forbids the access",
        })
    }
}

impl core::error::Error for Fault {}

/// A successful translation.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Translation {
    /// The physical address of the byte asked for.
    pub pa: PhysicalAddress,
    /// The entry that matched, 0-63.
    pub index: u8,
    /// The size of the page.
    pub size: PageSize,
    /// The page's storage attributes.
    pub attributes: Attributes,
    /// May this mode load from the page?
    pub readable: bool,
    /// May this mode store to the page?
    pub writable: bool,
    /// May this mode fetch from the page?
    pub executable: bool,
}

/// One entry made ready for lookups: what is compared (page number, TID and TS, with a mask of the
/// bits that count), and what a match gives.
#[derive(Copy, Clone)]
#[repr(align(32))]
struct Tag {
    key: u64,
    mask: u64,
    /// Physical address of the page's first byte.
    frame: u64,
    word2: u32,
    size: PageSize,
}

impl Tag {
    const EMPTY: Self = Self { key: 0, mask: 0, frame: 0, word2: 0, size: PageSize::K1 };
    const TID_SHIFT: u32 = 32;
    const TS_SHIFT: u32 = 40;

    #[inline]
    fn new(entry: &TlbEntry, size: PageSize) -> Self {
        let frame = frame(entry.word1, size.mask());
        let mut tag = Self { frame, word2: entry.word2, size, ..Self::EMPTY };
        tag.locate(entry.word0, entry.tid, size.mask());
        tag
    }

    /// Says where the page is. `mask` is that of its size.
    #[inline]
    const fn locate(&mut self, word0: u32, tid: u32, mask: u32) {
        let tid_mask = if tid == 0 { 0 } else { 0xff };
        self.key = Self::probe(EffectiveAddress(word0 & mask), word0 & TlbEntry::TS != 0, tid as u8);
        self.mask = Self::probe(EffectiveAddress(mask), true, tid_mask);
    }

    const fn probe(ea: EffectiveAddress, ts: bool, pid: u8) -> u64 {
        ea.0 as u64 | (pid as u64) << Self::TID_SHIFT | (ts as u64) << Self::TS_SHIFT
    }

    const fn matches(&self, probe: u64) -> bool {
        (self.key ^ probe) & self.mask == 0
    }

    /// SR, SW and SX as they are in that state.
    const fn permissions(&self, user: bool) -> u32 {
        // In user state the bits stand three higher.
        self.word2 >> if user { 3 } else { 0 }
    }

    #[inline(always)]
    const fn gives(&self, slot: usize, ea: EffectiveAddress, permissions: u32) -> Translation {
        Translation {
            pa: PhysicalAddress(self.frame | (ea.0 & !(self.mask as u32)) as u64),
            index: slot as u8,
            size: self.size,
            attributes: Attributes(self.word2 & Attributes::MASK),
            readable: permissions & TlbEntry::SR != 0,
            writable: permissions & TlbEntry::SW != 0,
            executable: permissions & TlbEntry::SX != 0,
        }
    }
}

const BUCKETS: usize = 1024;
const BUCKET_BITS: u32 = BUCKETS.trailing_zeros();
/// SIZE codes run from 0 to 9; a power of two makes indexing cheap.
const SIZE_CODES: usize = 16;

/// A page size as the hash takes it: the mask of the page number, and the SIZE code.
type HashSize = (u32, u32);

const fn hash_size(code: u8) -> HashSize {
    (!0 << (10 + 2 * code), code as u32)
}

/// The bucket of the page of the given size that holds `ea`. The multiplication spreads neighbouring
/// pages; the code enters, in bits that no page number has, because all sizes share the table.
#[inline]
const fn bucket(ea: u32, (mask, code): HashSize) -> usize {
    ((ea & mask | code).wrapping_mul(0x9e37_79b1) >> (32 - BUCKET_BITS)) as usize
}

/// The guest's TLB of `N` entries: 64 on every 440; smaller ones serve exhaustive tests.
#[derive(Clone)]
pub struct Tlb<const N: usize = 64> {
    entries: [TlbEntry; N],
    tags: [Tag; N],
    /// For each hash of (size, page number): the valid entries with that hash.
    buckets: [u64; BUCKETS],
    /// For each SIZE code: the valid entries of that size.
    of_size: [u64; SIZE_CODES],
    /// The SIZE codes for which `of_size` is not empty.
    sizes: u32,
    /// If there are at most two of them: these, to be probed without a loop. Linux has two.
    few: Option<[HashSize; 2]>,
}

impl Tlb {
    /// A TLB of 64 entries with V = 0 in all of them (on hardware the bits are undefined at reset).
    #[must_use]
    pub const fn new() -> Self {
        Self::with_entries()
    }
}

impl Default for Tlb {
    fn default() -> Self {
        Self::new()
    }
}

/// Offsets for [`layout`](crate::layout).
pub(crate) mod offsets {
    use super::{Tag, Tlb};
    use core::mem::offset_of;

    pub(crate) const ENTRIES: usize = offset_of!(Tlb, entries);
    pub(crate) const TAGS: usize = offset_of!(Tlb, tags);
    pub(crate) const TAG_SIZE: usize = size_of::<Tag>();
    pub(crate) const TAG_KEY: usize = offset_of!(Tag, key);
    pub(crate) const TAG_MASK: usize = offset_of!(Tag, mask);
    pub(crate) const TAG_FRAME: usize = offset_of!(Tag, frame);
    pub(crate) const TAG_WORD2: usize = offset_of!(Tag, word2);
    pub(crate) const TAG_PAGE_SIZE: usize = offset_of!(Tag, size);
}

impl<const N: usize> Tlb<N> {
    /// The number of entries.
    pub const ENTRIES: usize = N;

    /// A TLB of `N` entries, 1 to 64 and a power of two (checked when the program is compiled), all
    /// with V = 0.
    #[must_use]
    pub const fn with_entries() -> Self {
        const { assert!(N >= 1 && N <= 64 && N.is_power_of_two(), "A TLB has 1 to 64 entries, a power of two") };
        Self {
            entries: [TlbEntry::EMPTY; N],
            tags: [Tag::EMPTY; N],
            buckets: [0; BUCKETS],
            of_size: [0; SIZE_CODES],
            sizes: 0,
            few: Some([hash_size(0); 2]),
        }
    }

    /// Only the low bits of an index count, as in `tlbwe`.
    const fn slot(index: u8) -> usize {
        index as usize & (N - 1)
    }

    /// The entry `index` (modulo the number of entries).
    #[must_use]
    pub const fn entry(&self, index: u8) -> TlbEntry {
        self.entries[Self::slot(index)]
    }

    /// The TID of entry `index`.
    #[must_use]
    pub const fn tid(&self, index: u8) -> u8 {
        self.entries[Self::slot(index)].tid as u8
    }

    /// What `tlbre` reads: word `ws` (0-2) of entry `index`; reserved and parity bits are zero. Any
    /// other `ws` reads zero (the instruction is invalid, which is for the embedder to raise).
    #[must_use]
    pub const fn read_word(&self, index: u8, ws: u8) -> u32 {
        let entry = &self.entries[Self::slot(index)];
        match ws {
            0 => entry.word0,
            1 => entry.word1,
            2 => entry.word2,
            _ => 0,
        }
    }

    /// What `tlbwe` writes: word `ws` (0-2) of entry `index`; `ws` 0 also takes the TID from `stid`
    /// (MMUCR\[STID\]). Reserved bits are dropped. Any other `ws` writes nothing.
    ///
    /// Users of shadows call [`Shadow::tlbwe`](crate::Shadow::tlbwe) instead.
    pub fn write_word(&mut self, index: u8, ws: u8, value: u32, stid: u8) {
        self.put(index, self.with_word(index, ws, value, stid));
    }

    /// Entry `index` as it would be after the `tlbwe` with these operands.
    #[inline(always)]
    pub(crate) fn with_word(&self, index: u8, ws: u8, value: u32, stid: u8) -> TlbEntry {
        let mut entry = self.entry(index);
        match ws {
            0 => (entry.word0, entry.tid) = (value & TlbEntry::WORD0_MASK, u32::from(stid)),
            1 => entry.word1 = value & TlbEntry::WORD1_MASK,
            2 => entry.word2 = value & TlbEntry::WORD2_MASK,
            _ => {}
        }
        entry
    }

    /// Replaces entry `index` as a whole. Unimplemented bits are dropped.
    ///
    /// Users of shadows call [`Shadow::set_entry`](crate::Shadow::set_entry) instead.
    pub fn set_entry(&mut self, index: u8, entry: TlbEntry) {
        self.put(index, entry.masked());
    }

    /// Replaces entry `index` by one without unimplemented bits.
    fn put(&mut self, index: u8, entry: TlbEntry) {
        if let Some(change) = self.change(index, &entry) {
            self.make(change, entry);
        }
    }

    /// Whether writing word 1 or 2 would change it.
    #[inline(always)]
    pub(crate) fn differs(&self, index: u8, ws: u8, value: u32) -> bool {
        let held = &self.entries[Self::slot(index)];
        match ws {
            1 => held.word1 != value & TlbEntry::WORD1_MASK,
            2 => held.word2 != value & TlbEntry::WORD2_MASK,
            _ => false,
        }
    }

    /// Writes word 1 or 2, which change what a match gives and not what matches; nothing if `ws` is another word.
    #[inline(always)]
    pub(crate) fn rewrite(&mut self, index: u8, ws: u8, value: u32) {
        let slot = Self::slot(index);
        let (held, tag) = (&mut self.entries[slot], &mut self.tags[slot]);
        match ws {
            1 => {
                held.word1 = value & TlbEntry::WORD1_MASK;
                tag.frame = frame(held.word1, tag.mask as u32);
            }
            2 => {
                held.word2 = value & TlbEntry::WORD2_MASK;
                tag.word2 = held.word2;
            }
            _ => {}
        }
    }

    /// What it would change to replace entry `index`; `None` if nothing.
    #[inline(always)]
    pub(crate) fn change(&self, index: u8, entry: &TlbEntry) -> Option<Change> {
        let slot = Self::slot(index);
        let held = &self.entries[slot];
        let moved = held.word0 != entry.word0 || held.tid != entry.tid;
        let (word1, word2) = (held.word1 != entry.word1, held.word2 != entry.word2);
        (moved || word1 || word2).then_some(Change { index: slot as u8, moved, word1, word2 })
    }

    /// Makes the change. Word by word, and only those that change: `entry` and the words in place were made so a
    /// moment ago, and to read them as a whole would wait until they have left the store buffer.
    #[inline(always)]
    pub(crate) fn make(&mut self, change: Change, entry: TlbEntry) {
        let slot = Self::slot(change.index);
        let (held, tag) = (&mut self.entries[slot], &mut self.tags[slot]);
        if change.word1 {
            held.word1 = entry.word1;
            // If the entry cannot match, its tag is not looked at.
            tag.frame = frame(entry.word1, tag.mask as u32);
        }
        if change.word2 {
            (held.word2, tag.word2) = (entry.word2, entry.word2);
        }
        if change.moved {
            self.relocate(slot, entry.word0, entry.tid);
        }
    }

    /// Replaces word 0 and the TID of entry `slot`, and brings the index up to date.
    #[inline]
    pub(crate) fn relocate(&mut self, slot: usize, word0: u32, tid: u32) {
        let held = &mut self.entries[slot];
        let old = held.word0;
        (held.word0, held.tid) = (word0, tid);
        if (old ^ word0) & (TlbEntry::V | TlbEntry::SIZE) != 0 {
            self.resize(slot, old);
        } else if let Some(size) = matchable(word0) {
            let (bit, size) = (1 << slot, hash_size(size.code()));
            self.buckets[bucket(old, size)] &= !bit;
            self.buckets[bucket(word0, size)] |= bit;
            self.tags[slot].locate(word0, tid, size.0);
        }
    }

    /// The short way of [`relocate`](Self::relocate) for a valid entry of the smallest size in use, of two at most, that
    /// keeps its size and comes to where nothing else can be: an entry with the same hash is taken for one that can. False,
    /// with nothing done, for every other.
    #[inline(always)]
    pub(crate) fn move_alone(&mut self, index: u8, word0: u32, tid: u32) -> bool {
        let Some([size, larger]) = self.few else { return false };
        let slot = Self::slot(index);
        let old = self.entries[slot].word0;
        let kept = (old ^ word0) & (TlbEntry::V | TlbEntry::SIZE) == 0 && word0 & TlbEntry::V != 0;
        if !kept || (word0 & TlbEntry::SIZE) >> TlbEntry::SIZE_SHIFT != size.1 {
            return false;
        }
        let (bit, here) = (1 << slot, bucket(word0, size));
        if (self.buckets[here] | self.buckets[bucket(word0, larger)]) & !bit != 0 {
            return false;
        }
        self.buckets[bucket(old, size)] &= !bit;
        self.buckets[here] |= bit;
        let held = &mut self.entries[slot];
        (held.word0, held.tid) = (word0, tid);
        self.tags[slot].locate(word0, tid, size.0);
        true
    }

    /// As [`relocate`](Self::relocate), for an entry that has its new words and may have another size, or none.
    #[inline(never)]
    fn resize(&mut self, slot: usize, old: u32) {
        let bit = 1u64 << slot;
        let mut sizes = self.sizes;
        if let Some(size) = matchable(old) {
            let code = usize::from(size.code()) % SIZE_CODES;
            self.buckets[bucket(old, hash_size(size.code()))] &= !bit;
            self.of_size[code] &= !bit;
            if self.of_size[code] == 0 {
                sizes &= !(1 << code);
            }
        }
        let entry = &self.entries[slot];
        if let Some(size) = matchable(entry.word0) {
            let code = usize::from(size.code()) % SIZE_CODES;
            self.buckets[bucket(entry.word0, hash_size(size.code()))] |= bit;
            self.of_size[code] |= bit;
            sizes |= 1 << code;
            self.tags[slot] = Tag::new(entry, size);
        }
        if sizes != self.sizes {
            self.set_sizes(sizes);
        }
    }

    fn set_sizes(&mut self, sizes: u32) {
        self.sizes = sizes;
        let highest = 31 - (sizes | 1).leading_zeros();
        let few = sizes & !(1 << highest) & sizes.wrapping_sub(1) == 0;
        self.few = few.then(|| [hash_size(sizes.trailing_zeros() as u8 % 16), hash_size(highest as u8)]);
    }

    /// Translates the access to `ea` in `mode`.
    ///
    /// # Errors
    /// [`Fault::Miss`] if no valid entry matches, [`Fault::Protection`] if the matching one (that of
    /// the lowest index) lacks the permission.
    #[inline]
    pub fn translate(&self, ea: EffectiveAddress, access: Access, mode: Mode) -> Result<Translation, Fault> {
        let Some(slot) = self.find(ea, mode.address_space, mode.pid) else {
            return Err(Fault::Miss);
        };
        let tag = &self.tags[slot];
        let permissions = tag.permissions(mode.user);
        let needed = match access {
            Access::Fetch => TlbEntry::SX,
            Access::Load => TlbEntry::SR,
            Access::Store => TlbEntry::SW,
        };
        if permissions & needed == 0 {
            return Err(Fault::Protection);
        }
        Ok(tag.gives(slot, ea, permissions))
    }

    /// What entry `index`, which can match, gives at `ea`, whether another takes precedence or not.
    #[inline]
    pub(crate) fn given_by(&self, index: u8, ea: EffectiveAddress, user: bool) -> Translation {
        let slot = Self::slot(index);
        let tag = &self.tags[slot];
        tag.gives(slot, ea, tag.permissions(user))
    }

    /// What a match of entry `index`, which can match, gives, for engines that make their own of it: the page's size, its
    /// first physical address, and word 2.
    #[inline(always)]
    #[must_use]
    pub const fn gives(&self, index: u8) -> (PageSize, PhysicalAddress, u32) {
        let Tag { size, frame, word2, .. } = self.tags[Self::slot(index)];
        (size, PhysicalAddress(frame), word2)
    }

    /// The first effective address of the page of entry `index`, which can match, and its size.
    #[inline]
    pub(crate) fn page(&self, index: u8) -> (EffectiveAddress, PageSize) {
        let tag = &self.tags[Self::slot(index)];
        (EffectiveAddress(tag.key as u32), tag.size)
    }

    /// What `tlbsx` finds: the entry that matches `ea` in `address_space` (MMUCR\[STS\]) under `tid`
    /// (MMUCR\[STID\]), whatever its permissions. An entry with TID 0 matches every `tid`.
    #[inline]
    #[must_use]
    pub fn search(&self, ea: EffectiveAddress, address_space: bool, tid: u8) -> Option<u8> {
        self.find(ea, address_space, tid).map(|slot| slot as u8)
    }

    /// Whether a valid entry is of this size.
    #[inline]
    #[must_use]
    pub const fn uses(&self, size: PageSize) -> bool {
        self.sizes & 1 << size.code() != 0
    }

    #[inline(always)]
    fn find(&self, ea: EffectiveAddress, address_space: bool, tid: u8) -> Option<usize> {
        let probe = Tag::probe(ea, address_space, tid);
        let mut candidates = self.candidates(ea);
        while candidates != 0 {
            let slot = candidates.trailing_zeros() as usize & (N - 1);
            if self.tags[slot].matches(probe) {
                return Some(slot);
            }
            candidates &= candidates - 1;
        }
        None
    }

    /// The entries whose page number, at their size, may be that of `ea`.
    #[inline(always)]
    fn candidates(&self, ea: EffectiveAddress) -> u64 {
        match self.few {
            Some([a, b]) => self.buckets[bucket(ea.0, a)] | self.buckets[bucket(ea.0, b)],
            None => self.candidates_of_all(ea),
        }
    }

    /// As [`candidates`](Self::candidates), for any number of sizes.
    #[inline(never)]
    fn candidates_of_all(&self, ea: EffectiveAddress) -> u64 {
        // Constants beat a loop over the sizes in use.
        let of = |size: PageSize| self.buckets[bucket(ea.0, hash_size(size.code()))];
        PageSize::ALL.into_iter().fold(0, |found, size| found | of(size))
    }

    /// The valid entries of the sizes whose codes are set.
    #[inline]
    fn of_sizes(&self, mut codes: u32) -> u64 {
        let mut found = 0;
        while codes != 0 {
            found |= self.of_size[codes.trailing_zeros() as usize % SIZE_CODES];
            codes &= codes - 1;
        }
        found
    }

    /// The entries, as a bit set, that some access could match together with entry `index`: pages
    /// that overlap in the same address space, under the same TID or TID 0. Empty if the entry
    /// itself cannot match.
    #[inline]
    #[must_use]
    pub fn overlaps(&self, index: u8) -> u64 {
        let slot = Self::slot(index);
        let word0 = self.entries[slot].word0;
        let Some(size) = matchable(word0) else { return 0 };
        // Pages are aligned to their size, so one at least as large overlaps if it holds our start...
        let mut near = self.candidates(EffectiveAddress(word0 & TlbEntry::EPN));
        // ...and a smaller one if we hold its start.
        near |= self.of_sizes(self.sizes & !(!0 << size.code()));
        near &= !(1 << slot);
        if near == 0 { 0 } else { self.overlapping(slot, near) }
    }

    /// Those among `near` that overlap entry `slot`.
    #[inline(never)]
    fn overlapping(&self, slot: usize, mut near: u64) -> u64 {
        let (this, mut found) = (&self.tags[slot], 0);
        while near != 0 {
            let other = near.trailing_zeros() as usize & (N - 1);
            let tag = &self.tags[other];
            if (this.key ^ tag.key) & this.mask & tag.mask == 0 {
                found |= 1 << other;
            }
            near &= near - 1;
        }
        found
    }

    /// The effective address at which the page of entry `index` reaches `pa`, if it does. The entry must be able to
    /// match.
    #[inline]
    pub(crate) fn reach(&self, index: u8, pa: PhysicalAddress) -> Option<EffectiveAddress> {
        let Tag { key, frame, size, .. } = self.tags[Self::slot(index)];
        let offset = pa.0.wrapping_sub(frame);
        (offset < u64::from(size.bytes())).then_some(EffectiveAddress(key as u32 | offset as u32))
    }

    /// The largest block that holds `ea`, is at most `limit` bytes (a power of two, 1,024 or more)
    /// and is translated by entry `index` throughout, for the mode's TID: smaller entries of a lower
    /// index may cut pieces out of the page. `ea` must be matched by that entry.
    #[inline]
    pub(crate) fn uniform_block(&self, index: u8, ea: EffectiveAddress, pid: u8, limit: u32) -> u32 {
        let slot = Self::slot(index);
        let mut block = self.tags[slot].size.bytes().min(limit);
        // Only entries smaller than the block can hold a part of it without `ea`.
        let codes = (block.trailing_zeros() - PageSize::K1.shift()).div_ceil(2);
        let mut rest = self.of_sizes(self.sizes & ((1 << codes) - 1));
        rest &= (1 << slot) - 1;
        while rest != 0 {
            let tag = self.tags[rest.trailing_zeros() as usize & (N - 1)];
            // Same TS, and a TID that this PID sees: compare the tag as if at the entry's own page.
            let probe = Tag::probe(EffectiveAddress(tag.key as u32), self.entries[slot].ts(), pid);
            if tag.matches(probe) {
                while block > PageSize::K1.bytes() && (tag.key as u32 ^ ea.0) & !(block - 1) == 0 {
                    block >>= 1;
                }
            }
            rest &= rest - 1;
        }
        block
    }
}

/// What a write changed.
#[derive(Copy, Clone)]
pub(crate) struct Change {
    /// The entry, 0 to one less than their number.
    pub(crate) index: u8,
    /// It is another page now: word 0 or the TID is not what it was.
    pub(crate) moved: bool,
    word1: bool,
    word2: bool,
}

/// The physical address of the first byte of a page whose size has that mask.
const fn frame(word1: u32, mask: u32) -> u64 {
    ((word1 & TlbEntry::ERPN) as u64) << 32 | (word1 & mask) as u64
}

/// The size of an entry that can match something: valid, with an implemented SIZE.
const fn matchable(word0: u32) -> Option<PageSize> {
    let entry = TlbEntry { word0, ..TlbEntry::EMPTY };
    if entry.valid() { entry.size() } else { None }
}

impl<const N: usize> PartialEq for Tlb<N> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl<const N: usize> Eq for Tlb<N> {}

impl<const N: usize> fmt::Debug for Tlb<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries).finish()
    }
}
