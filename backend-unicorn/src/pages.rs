//! What is known of each RAM page and of the code that Unicorn holds translated.
//!
//! Unicorn's own detection of written code misses writes, so this engine keeps pages from being writable and holding
//! translated code at the same time: a page is handed out either with X and without W, or with W once nothing of it
//! is translated. The facts are kept by physical page; a block is known by its first word.

/// Words in a page.
const WORDS: usize = 1024;
/// Pages of which translated code may be held at a time: beyond it everything is dropped. 2.3 KB each.
const CODE_PAGES: usize = 4096;
/// Refused stores to a page with code after which the code is dropped and the page handed out writable.
const STORES_TO_DROP: u16 = 16;
/// Times that a page may lose its code that way before its code is left to the core for good.
const DROPS_TO_BAN: u16 = 30;

/// The part of a block's word that is its length in instructions; the rest are flags of [`crate::scan`].
const LENGTH: u16 = 0x7FF;

#[derive(Clone, Copy, Debug, Default)]
struct Page {
    /// Epoch in which Unicorn last got the page writable; 0 for never.
    written: u32,
    /// Index into `codes` plus one; 0 while nothing is translated.
    code: u32,
    /// Stores refused because of the code.
    stores: u16,
    /// How often the code was dropped for stores.
    drops: u16,
}

/// Translated code of one page.
#[derive(Debug)]
struct Code {
    pa: u32,
    /// By first word: length and flags of a block that was seen; 0 for none.
    blocks: Box<[u16; WORDS]>,
    /// One bit a word: some block covers it.
    covered: [u64; WORDS / 64],
}

/// A range of RAM that Unicorn has mapped.
#[derive(Clone, Copy, Debug)]
struct Range {
    pa: u32,
    pages: u32,
    first: u32,
}

/// All RAM pages.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    ranges: Vec<Range>,
    pages: Vec<Page>,
    codes: Vec<Code>,
    free: Vec<u32>,
}

/// A known block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Instructions.
    pub(crate) length: u32,
    /// Flags of [`crate::scan`].
    pub(crate) flags: u16,
}

/// What may be done about a store to a page that holds translated code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreTo {
    /// No code: Unicorn may write.
    Plain,
    /// The core executes the store.
    Code,
    /// As `Code`, and the page's code should be dropped so that the next stores are cheap.
    DropCode,
}

impl Pages {
    /// Adds a range of RAM at `pa`.
    pub(crate) fn add_range(&mut self, pa: u32, pages: u32) {
        self.ranges.push(Range { pa, pages, first: self.pages.len() as u32 });
        self.pages.resize(self.pages.len() + pages as usize, Page::default());
    }

    /// The number of the RAM page at `pa`, if Unicorn has it mapped.
    #[inline]
    pub(crate) fn number(&self, pa: u64) -> Option<u32> {
        self.ranges.iter().find_map(|range| {
            let offset = pa.wrapping_sub(u64::from(range.pa)) >> 12;
            (offset < u64::from(range.pages)).then(|| range.first + offset as u32)
        })
    }

    /// Records that Unicorn gets page `number` writable in `epoch`.
    pub(crate) fn hand_out_writable(&mut self, number: u32, epoch: u32) {
        self.pages[number as usize].written = epoch;
    }

    /// Whether Unicorn got page `number` writable in `epoch`.
    pub(crate) fn is_writable(&self, number: u32, epoch: u32) -> bool {
        self.pages[number as usize].written == epoch
    }

    /// Whether code of page `number` is held.
    pub(crate) fn has_code(&self, number: u32) -> bool {
        self.pages[number as usize].code != 0
    }

    /// Whether the page's code is left to the core.
    pub(crate) fn is_banned(&self, number: u32) -> bool {
        self.pages[number as usize].drops >= DROPS_TO_BAN
    }

    /// The code number of page `number`, made if need be; `None` when full.
    pub(crate) fn hold_code(&mut self, number: u32, pa: u32) -> Option<u32> {
        let page = &mut self.pages[number as usize];
        if page.code != 0 {
            return Some(page.code - 1);
        }
        let index = match self.free.pop() {
            Some(index) => {
                self.codes[index as usize].pa = pa;
                index
            }
            None if self.codes.len() < CODE_PAGES => {
                self.codes.push(Code { pa, blocks: Box::new([0; WORDS]), covered: [0; WORDS / 64] });
                self.codes.len() as u32 - 1
            }
            None => return None,
        };
        page.code = index + 1;
        page.stores = 0;
        Some(index)
    }

    /// Judges a store to page `number`.
    pub(crate) fn store_to(&mut self, number: u32) -> StoreTo {
        let page = &mut self.pages[number as usize];
        if page.code == 0 {
            return StoreTo::Plain;
        }
        page.stores = page.stores.saturating_add(1);
        if page.stores < STORES_TO_DROP {
            return StoreTo::Code;
        }
        page.drops = page.drops.saturating_add(1);
        StoreTo::DropCode
    }

    /// The physical address of the page whose code has number `code`.
    pub(crate) fn code_address(&self, code: u32) -> u32 {
        self.codes[code as usize].pa
    }

    /// The block that starts at `pc` on the page with code number `code`.
    #[inline]
    pub(crate) fn block(&self, code: u32, pc: u32) -> Option<Block> {
        let word = self.codes[code as usize].blocks[(pc >> 2) as usize % WORDS];
        (word != 0).then_some(Block { length: u32::from(word & LENGTH), flags: word & !LENGTH })
    }

    /// Remembers a block.
    pub(crate) fn set_block(&mut self, code: u32, pc: u32, block: Block) {
        let code = &mut self.codes[code as usize];
        let first = (pc >> 2) as usize % WORDS;
        code.blocks[first] = (block.length as u16 & LENGTH) | block.flags;
        for word in first..(first + block.length as usize).min(WORDS) {
            code.covered[word / 64] |= 1 << (word % 64);
        }
    }

    /// The code number of the page at `pa`.
    pub(crate) fn code_at(&self, pa: u64) -> Option<u32> {
        let number = self.number(pa)?;
        self.pages[number as usize].code.checked_sub(1)
    }

    /// Whether `len` bytes at `pa`, within one page, overlap a known block.
    pub(crate) fn overlaps_code(&self, pa: u32, len: u32) -> bool {
        let Some(code) = self.code_at(u64::from(pa)) else { return false };
        let covered = &self.codes[code as usize].covered;
        let first = (pa >> 2) as usize % WORDS;
        let last = first + ((pa & 3) + len).div_ceil(4) as usize;
        (first..last.min(WORDS)).any(|word| covered[word / 64] >> (word % 64) & 1 != 0)
    }

    /// Forgets the code of the page at `pa`. Unicorn's copy must be dropped as well.
    pub(crate) fn forget_code(&mut self, pa: u32) {
        let Some(number) = self.number(u64::from(pa)) else { return };
        let page = &mut self.pages[number as usize];
        if let Some(index) = page.code.checked_sub(1) {
            page.code = 0;
            page.stores = 0;
            let code = &mut self.codes[index as usize];
            code.blocks.fill(0);
            code.covered = [0; WORDS / 64];
            self.free.push(index);
        }
    }

    /// The physical addresses of all pages of which code is held.
    pub(crate) fn code_pages(&self) -> Vec<u32> {
        self.codes.iter().map(|code| code.pa).filter(|&pa| self.code_at(u64::from(pa)).is_some()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::NATIVE;

    fn two_ranges() -> Pages {
        let mut pages = Pages::default();
        pages.add_range(0, 16);
        pages.add_range(0x8000_0000, 4);
        pages
    }

    #[test]
    fn pages_are_numbered_across_ranges_and_nothing_else_is_ram() {
        let pages = two_ranges();
        assert_eq!(pages.number(0xFFFF), Some(15));
        assert_eq!(pages.number(0x1_0000), None);
        assert_eq!(pages.number(0x8000_1234), Some(17));
        assert_eq!(pages.number(0x1_0000_0000), None, "above 4 GB");
    }

    #[test]
    fn only_writes_that_touch_a_block_overlap_it() {
        let mut pages = two_ranges();
        let code = pages.hold_code(2, 0x2000).expect("there is room");
        pages.set_block(code, 0xC000_2010, Block { length: 2, flags: NATIVE });
        assert_eq!(pages.block(code, 0x2010), Some(Block { length: 2, flags: NATIVE }));
        assert!(!pages.overlaps_code(0x200C, 4));
        assert!(pages.overlaps_code(0x200D, 4), "its last byte is in the block");
        assert!(pages.overlaps_code(0x2017, 1));
        assert!(!pages.overlaps_code(0x2018, 8));
        pages.forget_code(0x2000);
        assert!(!pages.overlaps_code(0x2010, 4));
        assert!(!pages.has_code(2));
    }

    #[test]
    fn a_page_that_is_written_again_and_again_loses_its_code_and_at_last_the_right_to_any() {
        let mut pages = two_ranges();
        for _ in 0..DROPS_TO_BAN {
            assert!(!pages.is_banned(3));
            assert!(pages.hold_code(3, 0x3000).is_some());
            for _ in 1..STORES_TO_DROP {
                assert_eq!(pages.store_to(3), StoreTo::Code);
            }
            assert_eq!(pages.store_to(3), StoreTo::DropCode);
            pages.forget_code(0x3000);
            assert_eq!(pages.store_to(3), StoreTo::Plain);
        }
        assert!(pages.is_banned(3));
    }
}
