//! Where the parts of a [`Tlb`](crate::Tlb) of 64 entries and of its [`DirectShadow`](crate::DirectShadow) lie, in bytes, for
//! engines that generate code. Such code may do by itself what [`DirectShadow::tlbwe`](crate::DirectShadow::tlbwe) does for
//! word 1 or 2 of an entry:
//!
//! 1. If the entry's set of contexts is not 0, make the engine's table forget the entry's page in these contexts, set it to 0
//!    and add 1 to [`DROPS`].
//! 2. Write the word, without its reserved bits, to the entry, and what follows from it to the entry's tag: the frame is
//!    (word 1 AND mask) + (word 1 AND 15) * 2^32; word 2 is itself.
//! 3. Add 1 to [`TLB_WRITES`].
//!
//! These are facts about this very build, not promises for the next one.

use crate::direct::offsets as direct;
use crate::entry::TlbEntry;
use crate::tlb::offsets as tlb;
use core::mem::offset_of;

/// In a `Tlb`: the entries, each a [`TlbEntry`] of [`ENTRY_SIZE`] bytes.
pub const ENTRIES: usize = tlb::ENTRIES;
/// Bytes of an entry.
pub const ENTRY_SIZE: usize = size_of::<TlbEntry>();
/// In an entry: word 1.
pub const ENTRY_WORD1: usize = offset_of!(TlbEntry, word1);
/// In an entry: word 2.
pub const ENTRY_WORD2: usize = offset_of!(TlbEntry, word2);
/// In a `Tlb`: the tags, one for each entry.
pub const TAGS: usize = tlb::TAGS;
/// Bytes of a tag.
pub const TAG_SIZE: usize = tlb::TAG_SIZE;
/// In a tag: the page's effective address (`u32`).
pub const TAG_PAGE: usize = tlb::TAG_KEY;
/// In a tag: the mask of the page number (`u32`).
pub const TAG_MASK: usize = tlb::TAG_MASK;
/// In a tag: the first physical address (`u64`).
pub const TAG_FRAME: usize = tlb::TAG_FRAME;
/// In a tag: word 2 of the entry.
pub const TAG_WORD2: usize = tlb::TAG_WORD2;
/// In a tag: the page's [size](crate::PageSize) (`u8`).
pub const TAG_PAGE_SIZE: usize = tlb::TAG_PAGE_SIZE;
/// In a `DirectShadow`: for each entry the set of contexts that may hold its page (`u64`).
pub const SETS: usize = direct::SETS;
/// In a `DirectShadow`: the number of writes (`u64`).
pub const TLB_WRITES: usize = direct::TLB_WRITES;
/// In a `DirectShadow`: the number of ranges dropped (`u64`).
pub const DROPS: usize = direct::DROPS;
