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

    fn new(entry: &TlbEntry, size: PageSize) -> Self {
        let tid_mask = if entry.tid == 0 { 0 } else { 0xff };
        Self {
            key: Self::probe(EffectiveAddress(entry.word0 & size.mask()), entry.ts(), entry.tid as u8),
            mask: Self::probe(EffectiveAddress(size.mask()), true, tid_mask),
            frame: Self::frame(entry, size),
            word2: entry.word2,
            size,
        }
    }

    fn frame(entry: &TlbEntry, size: PageSize) -> u64 {
        u64::from(entry.erpn()) << 32 | u64::from(entry.word1 & size.mask())
    }

    const fn probe(ea: EffectiveAddress, ts: bool, pid: u8) -> u64 {
        ea.0 as u64 | (pid as u64) << Self::TID_SHIFT | (ts as u64) << Self::TS_SHIFT
    }

    const fn matches(&self, probe: u64) -> bool {
        (self.key ^ probe) & self.mask == 0
    }
}

const BUCKETS: usize = 1024;
const BUCKET_BITS: u32 = BUCKETS.trailing_zeros();
/// SIZE codes run from 0 to 9.
const SIZE_CODES: usize = 10;

/// A page size as the hash takes it: the mask of the page number, and the SIZE code.
type HashSize = (u32, u32);

const fn hash_size(code: u32) -> HashSize {
    (!0 << (10 + 2 * code), code)
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
        self.set_entry(index, self.with_word(index, ws, value, stid));
    }

    /// Entry `index` as it would be after the `tlbwe` with these operands.
    #[inline]
    pub(crate) fn with_word(&self, index: u8, ws: u8, value: u32, stid: u8) -> TlbEntry {
        let mut entry = self.entry(index);
        match ws {
            0 => (entry.word0, entry.tid) = (value, u32::from(stid)),
            1 => entry.word1 = value,
            2 => entry.word2 = value,
            _ => {}
        }
        entry.masked()
    }

    /// Replaces entry `index` as a whole. Unimplemented bits are dropped.
    ///
    /// Users of shadows call [`Shadow::set_entry`](crate::Shadow::set_entry) instead.
    pub fn set_entry(&mut self, index: u8, entry: TlbEntry) {
        self.put(index, entry.masked());
    }

    /// Replaces entry `index` by one without unimplemented bits. Word by word: `entry` was made so a moment ago, and
    /// to read it as a whole would wait until its words have left the store buffer.
    #[inline(always)]
    pub(crate) fn put(&mut self, index: u8, entry: TlbEntry) {
        let slot = Self::slot(index);
        let held = &mut self.entries[slot];
        let moved = held.word0 != entry.word0 || held.tid != entry.tid;
        if moved {
            self.unindex(slot);
        }
        let held = &mut self.entries[slot];
        held.word0 = entry.word0;
        held.word1 = entry.word1;
        held.word2 = entry.word2;
        held.tid = entry.tid;
        if moved {
            self.index(slot);
        } else if let Some(size) = matchable(&entry) {
            // The page stays where it is in the index; what a match gives may be new.
            let tag = &mut self.tags[slot];
            (tag.frame, tag.word2) = (Tag::frame(&entry, size), entry.word2);
        }
    }

    /// Takes entry `slot` out of the index.
    fn unindex(&mut self, slot: usize) {
        let entry = &self.entries[slot];
        let Some(size) = matchable(entry) else { return };
        let (bit, code) = (1u64 << slot, usize::from(size.code()));
        self.buckets[bucket(entry.word0, hash_size(code as u32))] &= !bit;
        self.of_size[code] &= !bit;
        if self.of_size[code] == 0 {
            self.set_sizes(self.sizes & !(1 << code));
        }
    }

    /// Puts entry `slot` into the index.
    fn index(&mut self, slot: usize) {
        let entry = &self.entries[slot];
        let Some(size) = matchable(entry) else { return };
        let (bit, code) = (1u64 << slot, usize::from(size.code()));
        self.buckets[bucket(entry.word0, hash_size(code as u32))] |= bit;
        self.tags[slot] = Tag::new(entry, size);
        if self.of_size[code] == 0 {
            self.set_sizes(self.sizes | 1 << code);
        }
        self.of_size[code] |= bit;
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
        // In user state the permission bits stand three higher.
        let permissions = tag.word2 >> if mode.user { 3 } else { 0 };
        let needed = match access {
            Access::Fetch => TlbEntry::SX,
            Access::Load => TlbEntry::SR,
            Access::Store => TlbEntry::SW,
        };
        if permissions & needed == 0 {
            return Err(Fault::Protection);
        }
        Ok(Translation {
            pa: PhysicalAddress(tag.frame | u64::from(ea.0 & !(tag.mask as u32))),
            index: slot as u8,
            size: tag.size,
            attributes: Attributes(tag.word2 & Attributes::MASK),
            readable: permissions & TlbEntry::SR != 0,
            writable: permissions & TlbEntry::SW != 0,
            executable: permissions & TlbEntry::SX != 0,
        })
    }

    /// What `tlbsx` finds: the entry that matches `ea` in `address_space` (MMUCR\[STS\]) under `tid`
    /// (MMUCR\[STID\]), whatever its permissions. An entry with TID 0 matches every `tid`.
    #[inline]
    #[must_use]
    pub fn search(&self, ea: EffectiveAddress, address_space: bool, tid: u8) -> Option<u8> {
        self.find(ea, address_space, tid).map(|slot| slot as u8)
    }

    #[inline]
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

    fn set_sizes(&mut self, sizes: u32) {
        self.sizes = sizes;
        let highest = 31 - (sizes | 1).leading_zeros();
        let few = sizes & !(1 << highest) & sizes.wrapping_sub(1) == 0;
        self.few = few.then(|| [hash_size(sizes.trailing_zeros() % 16), hash_size(highest)]);
    }

    /// The entries whose page number, at their size, may be that of `ea`.
    #[inline]
    fn candidates(&self, ea: EffectiveAddress) -> u64 {
        if let Some([a, b]) = self.few {
            return self.buckets[bucket(ea.0, a)] | self.buckets[bucket(ea.0, b)];
        }
        // Constants beat a loop over the sizes in use.
        let of = |size: PageSize| self.buckets[bucket(ea.0, hash_size(u32::from(size.code())))];
        PageSize::ALL.into_iter().fold(0, |found, size| found | of(size))
    }

    /// The entries, as a bit set, that some access could match together with entry `index`: pages
    /// that overlap in the same address space, under the same TID or TID 0. Empty if the entry
    /// itself cannot match.
    #[must_use]
    pub fn overlaps(&self, index: u8) -> u64 {
        let slot = Self::slot(index);
        let entry = &self.entries[slot];
        let Some(size) = matchable(entry) else { return 0 };
        let at_least = !0u32 << size.code();
        // Pages are aligned to their size, so one at least as large overlaps if it holds our start...
        let mut rest = self.candidates(entry.epn());
        // ...and a smaller one if we hold its start.
        let mut smaller = self.sizes & !at_least;
        while smaller != 0 {
            rest |= self.of_size[smaller.trailing_zeros() as usize % SIZE_CODES];
            smaller &= smaller - 1;
        }
        rest &= !(1 << slot);
        let (this, mut found) = (self.tags[slot], 0);
        while rest != 0 {
            let other = rest.trailing_zeros() as usize & (N - 1);
            let tag = self.tags[other];
            if (this.key ^ tag.key) & this.mask & tag.mask == 0 {
                found |= 1 << other;
            }
            rest &= rest - 1;
        }
        found
    }

    /// The largest block that holds `ea`, is at most `limit` bytes (a power of two, 1,024 or more)
    /// and is translated by entry `index` throughout, for the mode's TID: smaller entries of a lower
    /// index may cut pieces out of the page. `ea` must be matched by that entry.
    pub(crate) fn uniform_block(&self, index: u8, ea: EffectiveAddress, pid: u8, limit: u32) -> u32 {
        let slot = Self::slot(index);
        let Some(size) = matchable(&self.entries[slot]) else { return PageSize::K1.bytes() };
        let mut block = size.bytes().min(limit);
        // Only entries smaller than the block can hold a part of it without `ea`.
        let codes = (block.trailing_zeros() - PageSize::K1.shift()).div_ceil(2);
        let mut smaller = self.sizes & ((1 << codes) - 1);
        let mut rest = 0;
        while smaller != 0 {
            rest |= self.of_size[smaller.trailing_zeros() as usize % SIZE_CODES];
            smaller &= smaller - 1;
        }
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

/// The size of an entry that can match something: valid, with an implemented SIZE.
const fn matchable(entry: &TlbEntry) -> Option<PageSize> {
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
