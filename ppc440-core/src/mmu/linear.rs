//! A second table of data translations, for engines that translate guest code: one word for each page of the effective
//! address space, so that a lookup compares nothing. A context's part is 8 MB of words for loads and as much for
//! stores; the memory is the embedder's, zero where nothing was written, so that a part costs what is used of it.

use alloc::vec::Vec;

use super::bits;

/// Pages of the effective address space.
pub(crate) const PAGES: usize = 1 << 20;
/// Where in its part the words for stores begin. Not a round number: guests like round addresses, and their words would
/// all compete for the same lines of the host's caches.
pub(crate) const STORES: usize = PAGES + 7 * LINE;
/// Words of a context's part: for loads, then for stores.
pub(crate) const PART: usize = STORES + PAGES + 6 * LINE;
/// Pages whose words fill a line of the host's cache.
const LINE: usize = 8;
/// Lines that are told apart in a word.
const REGION: usize = 64 * LINE;
/// Regions of the address space, 2 MB each.
const REGIONS: usize = PAGES / REGION;

/// The table. A word is the page's effective address minus its host address, or 0: subtracting it from an effective
/// address gives the host address, with a borrow, and without one where there is no translation. Host addresses are
/// above 4 GB.
#[derive(Debug)]
pub(crate) struct Linear {
    words: Vec<u64>,
    /// By part and region: the lines in either half that are not all zero, which must be cleaned when the part gets
    /// another use.
    touched: Vec<u64>,
    /// By part: its regions with such lines.
    regions: Vec<[u64; REGIONS / 64]>,
}

/// Where a page's word lies within its part.
#[inline(always)]
const fn page(ea: u32) -> usize {
    (ea >> 12) as usize
}

impl Linear {
    /// As many parts as `words` has room for.
    pub(crate) fn new(words: Vec<u64>) -> Self {
        let parts = words.len() / PART;
        let (touched, regions) = (alloc::vec![0; parts * REGIONS], alloc::vec![[0; REGIONS / 64]; parts]);
        Self { words, touched, regions }
    }

    pub(crate) fn parts(&self) -> usize {
        self.regions.len()
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// The words of a part.
    pub(crate) fn part(&self, part: usize) -> &[u64] {
        &self.words[part * PART..][..PART]
    }

    /// Lets `part` translate the page at `ea` to host address `host`, for loads, stores or both. True if nothing was near it
    /// since the part was emptied.
    #[inline(always)]
    pub(crate) fn set(&mut self, part: usize, ea: u32, host: u64, read: bool, write: bool) -> bool {
        let word = u64::from(ea & !0xFFF).wrapping_sub(host);
        let region = part * REGIONS + page(ea) / REGION;
        let line = 1 << (page(ea) % REGION / LINE);
        let first = self.touched[region] & line == 0;
        if first {
            self.touch(region, line);
        }
        let words = &mut self.words[part * PART..][..PART];
        words[STORES + page(ea)] = if write { word } else { 0 };
        words[page(ea)] = if read { word } else { 0 };
        first
    }

    #[inline(never)]
    fn touch(&mut self, region: usize, line: u64) {
        self.touched[region] |= line;
        let (part, region) = (region / REGIONS, region % REGIONS);
        self.regions[part][region / 64] |= 1 << (region % 64);
    }

    /// Whether there is a translation of the page at `ea`.
    #[inline]
    pub(crate) fn has(&self, part: usize, ea: u32, store: bool) -> bool {
        self.words[part * PART + if store { STORES } else { 0 } + page(ea)] != 0
    }

    /// Forgets the page at `ea`.
    #[inline(always)]
    pub(crate) fn clear(&mut self, part: usize, ea: u32) {
        let words = &mut self.words[part * PART..][..PART];
        words[STORES + page(ea)] = 0;
        words[page(ea)] = 0;
    }

    /// Stores to the page at `ea` are no longer translated if they go to host address `host`.
    pub(crate) fn protect(&mut self, part: usize, ea: u32, host: u64) {
        let word = &mut self.words[part * PART + STORES + page(ea)];
        if *word == u64::from(ea & !0xFFF).wrapping_sub(host) {
            *word = 0;
        }
    }

    /// Forgets `len` bytes at `ea`, both multiples of 4096; the range does not go beyond 4 GB. As much work as there was
    /// use of it.
    pub(crate) fn clear_range(&mut self, part: usize, ea: u32, len: u32) {
        let (first, end) = (page(ea), page(ea) + (len >> 12) as usize);
        for region in first / REGION..end.div_ceil(REGION) {
            let (from, to) = (first.max(region * REGION), end.min((region + 1) * REGION));
            if self.touched[part * REGIONS + region] == 0 {
                continue;
            }
            if to - from == REGION {
                self.clean(part, region);
            } else {
                let words = &mut self.words[part * PART..][..PART];
                words[from..to].fill(0);
                words[STORES + from..STORES + to].fill(0);
            }
        }
    }

    /// Forgets everything in `part`: as much work as there was use of it.
    pub(crate) fn clear_part(&mut self, part: usize) {
        for (word, set) in self.regions[part].into_iter().enumerate() {
            for bit in bits(set) {
                self.clean(part, 64 * word + bit);
            }
        }
    }

    /// Forgets everything in a region.
    fn clean(&mut self, part: usize, region: usize) {
        self.regions[part][region / 64] &= !(1 << (region % 64));
        let words = &mut self.words[part * PART..][..PART];
        for line in bits(core::mem::take(&mut self.touched[part * REGIONS + region])) {
            let at = region * REGION + line * LINE;
            words[at..at + LINE].fill(0);
            words[STORES + at..STORES + at + LINE].fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: u64 = 0x7F00_1234_5000;

    /// What translated code would find: the host address, if the subtraction borrows.
    fn look(linear: &Linear, part: usize, ea: u32, store: bool) -> Option<u64> {
        let word = linear.part(part)[if store { STORES } else { 0 } + page(ea)];
        let (host, borrow) = u64::from(ea).overflowing_sub(word);
        borrow.then_some(host)
    }

    #[test]
    fn a_page_is_found_in_its_part_for_what_it_allows() {
        let mut linear = Linear::new(alloc::vec![0; 2 * PART]);
        for ea in [0, 0xC012_3000, 0xFFFF_F000] {
            linear.set(1, ea, HOST, true, false);
            assert_eq!(look(&linear, 1, ea + 0xFFF, false), Some(HOST + 0xFFF));
            assert_eq!(look(&linear, 1, ea, true), None);
            assert_eq!(look(&linear, 0, ea, false), None);
            linear.clear(1, ea);
            assert_eq!(look(&linear, 1, ea, false), None);
        }
    }

    #[test]
    fn ranges_and_parts_are_forgotten_whole() {
        let mut linear = Linear::new(alloc::vec![0; 2 * PART]);
        let pages = [0x0FFF_F000, 0x1000_0000, 0x101F_F000, 0x1020_0000, 0x1FFF_F000, 0x2000_0000];
        for part in 0..2 {
            for ea in pages {
                linear.set(part, ea, HOST, true, true);
            }
        }
        linear.clear_range(0, 0x1000_0000, 0x1000_0000);
        for ea in pages {
            let inside = ea >> 28 == 1;
            assert_eq!(look(&linear, 0, ea, true).is_none(), inside, "{ea:08x}");
            assert!(look(&linear, 1, ea, false).is_some());
        }
        linear.clear_part(1);
        assert!(pages.iter().all(|&ea| look(&linear, 1, ea, false).is_none()));
        assert!(linear.part(1).iter().all(|&word| word == 0));
    }

    #[test]
    fn protecting_takes_stores_to_that_host_page_alone() {
        let mut linear = Linear::new(alloc::vec![0; PART]);
        linear.set(0, 0x3000, HOST, true, true);
        linear.protect(0, 0x3000, HOST + 4096);
        assert!(look(&linear, 0, 0x3000, true).is_some());
        linear.protect(0, 0x3000, HOST);
        assert!(look(&linear, 0, 0x3000, true).is_none());
        assert!(look(&linear, 0, 0x3000, false).is_some());
    }
}
