//! The machine's address space: page tables (Intel SDM volume 3, chapter 4, four levels), and the list of what they map.
//! Nothing is mapped that is not in the list, and nothing both writable and executable. The tables themselves are mapped
//! nowhere. Accessed and dirty bits are set from the start, so that the processor never writes the tables.

use std::fmt;

use vmm_plugin::api::Refusal;

use super::memory::{Block, LARGE};

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE_PAGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;

/// What ring 3 may do with a range. Ranges for ring 0 alone are the few pages that turn a fault into a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rights {
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
    /// Read and execute.
    ReadExecute,
    /// Ring 0 only: read and write.
    SystemReadWrite,
    /// Ring 0 only: read and execute.
    SystemReadExecute,
}

impl Rights {
    const fn bits(self) -> u64 {
        match self {
            Self::Read => USER | NO_EXECUTE,
            Self::ReadWrite => USER | WRITABLE | NO_EXECUTE,
            Self::ReadExecute => USER,
            Self::SystemReadWrite => WRITABLE | NO_EXECUTE,
            Self::SystemReadExecute => 0,
        }
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "r-- ring 3",
            Self::ReadWrite => "rw- ring 3",
            Self::ReadExecute => "r-x ring 3",
            Self::SystemReadWrite => "rw- ring 0",
            Self::SystemReadExecute => "r-x ring 0",
        })
    }
}

/// A range that the machine can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    /// What it is.
    pub(super) what: &'static str,
    /// Its address in the machine.
    pub(super) va: u64,
    /// Bytes.
    pub(super) len: u64,
    /// What may be done with it.
    pub(super) rights: Rights,
}

/// Page tables in the making: pages of a [`Block`], whose offset 0 is the machine's physical address `base`.
#[derive(Debug)]
pub(super) struct Space {
    base: u64,
    next: u64,
    end: u64,
    mappings: Vec<Mapping>,
}

impl Space {
    /// Tables take the block's pages from offset 0 to `end`; the first is the root.
    pub(super) fn new(base: u64, end: u64) -> Self {
        Self { base, next: 4096, end, mappings: Vec::new() }
    }

    /// The root's physical address.
    pub(super) fn root(&self) -> u64 {
        self.base
    }

    /// What is mapped, by address.
    pub(super) fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// Maps `len` bytes at `va` to physical address `pa`, all multiples of 4096; with large pages where both allow it.
    pub(super) fn map(&mut self, block: &mut Block, mapping: Mapping, pa: u64) -> Result<(), Refusal> {
        let (mut va, mut pa, end) = (mapping.va, pa, mapping.va + mapping.len);
        let bits = mapping.rights.bits() | PRESENT | ACCESSED | DIRTY;
        while va < end {
            let large = va.is_multiple_of(LARGE) && pa.is_multiple_of(LARGE) && end - va >= LARGE;
            let directory = self.table(block, va, 21)?;
            if large {
                block.write_u64(directory, pa | bits | LARGE_PAGE);
            } else {
                let page = self.table(block, va, 12)?;
                block.write_u64(page, pa | bits);
            }
            let step = if large { LARGE } else { 4096 };
            (va, pa) = (va + step, pa + step);
        }
        let place = self.mappings.partition_point(|other| other.va < mapping.va);
        self.mappings.insert(place, mapping);
        Ok(())
    }

    /// Offset in the block of the entry for `va` in the table whose entries span `1 << shift` bytes; makes what lacks
    /// on the way.
    fn table(&mut self, block: &mut Block, va: u64, shift: u32) -> Result<u64, Refusal> {
        let entry = |table: u64, shift: u32| table + (va >> shift & 511) * 8;
        let mut table = 0;
        for above in [39, 30, 21] {
            if above == shift {
                break;
            }
            let at = entry(table, above);
            let found = block.read_u64(at).unwrap_or(0);
            table = if found & PRESENT != 0 {
                (found & ADDRESS) - self.base
            } else {
                if self.next >= self.end {
                    return Err("The guest has more RAM than the machine's page tables can map".into());
                }
                let new = self.next;
                self.next += 4096;
                // Rights are in the last level; the levels above allow everything.
                block.write_u64(at, (self.base + new) | PRESENT | WRITABLE | USER | ACCESSED);
                new
            };
        }
        Ok(entry(table, shift))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(block: &Block, base: u64, va: u64) -> Option<(u64, u64)> {
        let mut table = 0;
        for shift in [39, 30, 21, 12] {
            let entry = block.read_u64(table + (va >> shift & 511) * 8)?;
            if entry & PRESENT == 0 {
                return None;
            }
            if shift == 12 || entry & LARGE_PAGE != 0 {
                let mask = (1 << shift) - 1;
                return Some(((entry & ADDRESS & !mask) | (va & mask), entry & !ADDRESS));
            }
            table = (entry & ADDRESS) - base;
        }
        None
    }

    #[test]
    fn what_is_mapped_is_found_with_its_rights_and_nothing_around_it() {
        let mut block = Block::new(1 << 20).expect("memory");
        let base = 1 << 32;
        let mut space = Space::new(base, 1 << 20);
        // 4 KB off a large page at both ends.
        let mapping =
            Mapping { what: "test", va: 0x40_0000 - 4096, len: LARGE + 8192, rights: Rights::ReadWrite };
        space.map(&mut block, mapping.clone(), 0x1_0020_0000 - 4096).expect("mapped");
        for (va, pa) in [
            (mapping.va, 0x1_001F_F000),
            (0x40_0000, 0x1_0020_0000),
            (0x5F_FFFF, 0x1_003F_FFFF),
            (0x60_0123, 0x1_0040_0123),
        ] {
            let (found, bits) = walk(&block, base, va).expect("mapped");
            assert_eq!(found, pa, "{va:#x}");
            assert_eq!(bits & (USER | WRITABLE | NO_EXECUTE), USER | WRITABLE | NO_EXECUTE, "{va:#x}");
        }
        assert_eq!(walk(&block, base, mapping.va - 1), None);
        assert_eq!(walk(&block, base, mapping.va + mapping.len), None);
        assert_eq!(space.mappings(), [mapping]);
    }

    #[test]
    fn no_rights_allow_writing_and_executing() {
        for rights in [
            Rights::Read,
            Rights::ReadWrite,
            Rights::ReadExecute,
            Rights::SystemReadWrite,
            Rights::SystemReadExecute,
        ] {
            let bits = rights.bits();
            assert!(bits & WRITABLE == 0 || bits & NO_EXECUTE != 0, "{rights}");
        }
    }

    #[test]
    fn page_tables_that_run_out_are_a_refusal() {
        let mut block = Block::new(1 << 20).expect("memory");
        let mut space = Space::new(1 << 32, 8192);
        let mapping = Mapping { what: "test", va: 0, len: 4096, rights: Rights::Read };
        assert!(space.map(&mut block, mapping, 0).is_err());
    }
}
