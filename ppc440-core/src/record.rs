//! Recording what a guest does to its TLB, in the format of [`mmu_core::trace`].
//!
//! While it is on, every data access and every fetch that enters a page goes through [`crate::mmu::Mmu::resolve`].
//! Most of them repeat a page that was used a moment ago, so references are kept in a *window*: for each of at most
//! [`WINDOW`] pages the first and the last reference, the others are counted out. The window is written when another
//! page comes, and before anything else that is recorded. Nothing is lost for a study of LRU or of Belady's optimum
//! with pools of [`WINDOW`] pages and more: between two kept references of a page lie fewer pages than the pool has,
//! so neither policy evicts it there, and both see every page's last use. For other policies it is an approximation,
//! for the references that are left out may be misses there.
//!
//! Memory is bounded: what the driver does not take in time is left out and counted by [`Event::Lost`]. References go
//! first; should TLB writes be lost too, the whole TLB is written again at the next chance.

use alloc::vec::Vec;

use mmu_core::trace::{Encoder, Event, MAGIC, MAX_RECORD, Outcome};
use mmu_core::{Access, EffectiveAddress, ShadowPage, Tlb, TlbEntry};

/// Pages in the window.
const WINDOW: usize = 16;
/// Bytes that wait to be taken, at most.
const CAPACITY: usize = 4 << 20;
/// Of these, what references leave to TLB writes.
const RESERVE: usize = CAPACITY / 4;

/// PID, MSR\[IS\], MSR\[DS\] and MSR\[PR\].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(crate) pid: u8,
    pub(crate) instruction_space: bool,
    pub(crate) data_space: bool,
    pub(crate) user: bool,
}

#[derive(Clone, Copy, Debug)]
struct Reference {
    /// Its place among the references of the window.
    at: u64,
    ea: u32,
    sp: u32,
    access: Access,
    outcome: Outcome,
}

/// A page of the window.
#[derive(Clone, Copy, Debug)]
struct Page {
    start: u32,
    fetch: bool,
    registers: Registers,
    first: Reference,
    last: Option<Reference>,
}

/// The recorder, with what was not taken yet.
#[derive(Debug)]
pub(crate) struct Recorder {
    encoder: Encoder,
    bytes: Vec<u8>,
    window: Vec<Page>,
    /// Where in the window the last fetch and the last data reference were found.
    recent: [usize; 2],
    time: u64,
    registers: Registers,
    sp: u32,
    /// What the trace says at its end.
    told: Option<Registers>,
    told_sp: u32,
    /// Events left out since the last that was not.
    lost: u32,
    lost_ever: u64,
    /// TLB writes were lost: the trace does not know the TLB.
    resync: bool,
}

impl Recorder {
    /// A recorder of a guest whose TLB is `tlb`, with no shadows.
    pub(crate) fn new(tlb: &Tlb, registers: Registers, sp: u32) -> Self {
        let mut recorder = Self {
            encoder: Encoder::new(),
            bytes: MAGIC.to_vec(),
            window: Vec::with_capacity(WINDOW),
            recent: [0; 2],
            time: 0,
            registers,
            sp,
            told: None,
            told_sp: 0,
            lost: 0,
            lost_ever: 0,
            resync: false,
        };
        recorder.tell(registers, sp);
        for index in 0..64 {
            if tlb.entry(index).valid() {
                recorder.write_entry(index, tlb.entry(index));
            }
        }
        recorder
    }

    pub(crate) fn set_registers(&mut self, registers: Registers) {
        self.registers = registers;
    }

    pub(crate) fn set_stack(&mut self, sp: u32) {
        self.sp = sp;
    }

    /// Events left out so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lost_ever
    }

    /// A reference to a page of `block` bytes.
    pub(crate) fn access(&mut self, ea: u32, block: u32, access: Access, outcome: Outcome) {
        self.time += 1;
        let (registers, fetch) = (self.registers, access == Access::Fetch);
        let reference = Reference { at: self.time, ea, sp: self.sp, access, outcome };
        if matches!(outcome, Outcome::GuestMiss | Outcome::Protection) {
            self.close();
            self.reference(registers, &reference);
            return;
        }
        let start = ea & !(block - 1);
        let same = |page: &Page| page.start == start && page.fetch == fetch && page.registers == registers;
        let recent = &mut self.recent[usize::from(fetch)];
        if self.window.get(*recent).is_some_and(same) {
            self.window[*recent].last = Some(reference);
            return;
        }
        if let Some(found) = self.window.iter().position(same) {
            *recent = found;
            self.window[found].last = Some(reference);
            return;
        }
        if self.window.len() == WINDOW {
            self.close();
        }
        self.recent[usize::from(fetch)] = self.window.len();
        self.window.push(Page { start, fetch, registers, first: reference, last: None });
    }

    /// A write of one word of the guest's TLB.
    pub(crate) fn write(&mut self, index: u8, ws: u8, value: u32, stid: u8) {
        self.close();
        let stid = if ws == 0 { stid } else { 0 };
        if !self.put(&Event::Write { index, ws, value, stid }, 0) {
            self.resync = true;
        }
    }

    /// A write of a whole entry; its word 0, with the valid bit, comes last.
    pub(crate) fn write_entry(&mut self, index: u8, entry: TlbEntry) {
        self.write(index, 1, entry.word1, 0);
        self.write(index, 2, entry.word2, 0);
        self.write(index, 0, entry.word0, entry.tid as u8);
    }

    /// A shadow was dropped or evicted.
    pub(crate) fn dropped(&mut self, page: &ShadowPage) {
        self.close();
        let shift = page.size.trailing_zeros() as u8;
        self.put(&Event::Drop { ea: page.ea, shift, writable: page.writable }, RESERVE);
    }

    pub(crate) fn invalidated(&mut self) {
        self.close();
        if !self.put(&Event::InvalidateAll, 0) {
            self.resync = true;
        }
    }

    /// What was recorded since the last call.
    pub(crate) fn take(&mut self, tlb: &Tlb) -> Vec<u8> {
        self.close();
        let taken = core::mem::take(&mut self.bytes);
        if core::mem::take(&mut self.resync) {
            self.put(&Event::InvalidateAll, 0);
            for index in 0..64 {
                self.write_entry(index, tlb.entry(index));
            }
        }
        taken
    }

    /// Writes the window, in order.
    fn close(&mut self) {
        if self.window.is_empty() {
            return;
        }
        let mut kept = [None; 2 * WINDOW];
        for (page, places) in self.window.iter().zip(kept.chunks_exact_mut(2)) {
            places[0] = Some((page.registers, page.first));
            places[1] = page.last.map(|last| (page.registers, last));
        }
        self.window.clear();
        kept.sort_unstable_by_key(|kept| kept.map_or(u64::MAX, |(_, reference)| reference.at));
        for (registers, reference) in kept.into_iter().flatten() {
            self.reference(registers, &reference);
        }
    }

    fn reference(&mut self, registers: Registers, reference: &Reference) {
        self.tell(registers, reference.sp);
        let Reference { ea, access, outcome, .. } = *reference;
        self.put(&Event::Access { ea: EffectiveAddress(ea), access, outcome }, RESERVE);
    }

    /// Brings what the trace says of mode and stack up to date.
    fn tell(&mut self, registers: Registers, sp: u32) {
        if self.told != Some(registers) {
            let Registers { pid, instruction_space, data_space, user } = registers;
            let told = self.put(&Event::Mode { pid, instruction_space, data_space, user }, RESERVE);
            self.told = told.then_some(registers);
        }
        if (self.told_sp ^ sp) >> 12 != 0 && self.put(&Event::Stack { sp: EffectiveAddress(sp) }, RESERVE) {
            self.told_sp = sp;
        }
    }

    /// Appends an event if `reserve` bytes stay free. Returns whether it did.
    fn put(&mut self, event: &Event, reserve: usize) -> bool {
        if self.bytes.len() + 2 * MAX_RECORD + reserve > CAPACITY {
            self.lost = self.lost.saturating_add(1);
            self.lost_ever += 1;
            return false;
        }
        if self.lost != 0 {
            let lost = Event::Lost { events: core::mem::take(&mut self.lost) };
            self.bytes.extend_from_slice(self.encoder.encode(&lost).as_bytes());
        }
        self.bytes.extend_from_slice(self.encoder.encode(event).as_bytes());
        true
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use mmu_core::trace::Decoder;

    use super::*;

    fn recorder() -> Recorder {
        Recorder::new(&Tlb::new(), Registers::default(), 0)
    }

    fn events(bytes: &[u8]) -> Vec<Event> {
        Decoder::new(bytes).unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn pages(events: &[Event]) -> Vec<u32> {
        let page = |event: &Event| match event {
            Event::Access { ea, .. } => Some(ea.0 >> 12),
            _ => None,
        };
        events.iter().filter_map(page).collect()
    }

    fn lru_misses(pages: &[u32], size: usize) -> usize {
        let mut held: Vec<u32> = Vec::new();
        let mut misses = 0;
        for page in pages {
            match held.iter().position(|held| held == page) {
                Some(at) => drop(held.remove(at)),
                None => {
                    misses += 1;
                    held.truncate(size - 1);
                }
            }
            held.insert(0, *page);
        }
        misses
    }

    fn optimal_misses(pages: &[u32], size: usize) -> usize {
        let mut next = alloc::vec![usize::MAX; pages.len()];
        let mut last = BTreeMap::new();
        for (at, page) in pages.iter().enumerate().rev() {
            next[at] = last.insert(page, at).unwrap_or(usize::MAX);
        }
        let mut held: BTreeMap<u32, usize> = BTreeMap::new();
        let mut misses = 0;
        for (at, page) in pages.iter().enumerate() {
            if held.insert(*page, next[at]).is_none() {
                misses += 1;
                if held.len() > size {
                    let (&victim, _) =
                        held.iter().filter(|(held, _)| *held != page).max_by_key(|(_, next)| **next).unwrap();
                    held.remove(&victim);
                }
            }
        }
        misses
    }

    #[test]
    fn what_is_left_out_changes_neither_lru_nor_the_optimum() {
        let mut random = 440u64;
        let mut below = |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (((random >> 33) * n) >> 31) as u32
        };
        let mut recorder = recorder();
        let mut all = Vec::new();
        let mut base = 0;
        for step in 0..20_000 {
            if step % 100 == 0 {
                base = below(60);
            }
            // A working set that moves, now and then a page from anywhere.
            let page = if below(8) == 0 { below(100) } else { base + below(6).min(below(30)) };
            all.push(page);
            recorder.access(page << 12 | below(4096), 4096, Access::Load, Outcome::Hit);
        }
        let kept = pages(&events(&recorder.take(&Tlb::new())));
        assert!(kept.len() < all.len() * 3 / 4, "{} of {}", kept.len(), all.len());
        for size in [WINDOW, 17, 20, 32, 50, 99] {
            assert_eq!(lru_misses(&kept, size), lru_misses(&all, size), "LRU, {size} pages");
            assert_eq!(optimal_misses(&kept, size), optimal_misses(&all, size), "optimum, {size} pages");
        }
        // The measure is sharp enough to see a difference: below the window's size there is one.
        assert_ne!(lru_misses(&kept, 3), lru_misses(&all, 3));
    }

    #[test]
    fn order_mode_and_stack_are_told() {
        let mut recorder = recorder();
        recorder.set_stack(0x7fff_f010);
        recorder.access(0x1000_0000, 4096, Access::Fetch, Outcome::Installed);
        recorder.set_registers(Registers { pid: 7, user: true, ..Registers::default() });
        recorder.access(0x2000_0000, 4096, Access::Store, Outcome::GuestMiss);
        recorder.write(3, 0, 0x2000_0210, 7);
        recorder.access(0x2000_0000, 1024, Access::Store, Outcome::Installed);
        recorder.access(0x2000_0404, 1024, Access::Load, Outcome::Installed);
        let ea = EffectiveAddress;
        let access = |at, access, outcome| Event::Access { ea: ea(at), access, outcome };
        let mode = |pid, user| Event::Mode { pid, instruction_space: false, data_space: false, user };
        assert_eq!(
            events(&recorder.take(&Tlb::new())),
            [
                mode(0, false),
                Event::Stack { sp: ea(0x7fff_f000) },
                access(0x1000_0000, Access::Fetch, Outcome::Installed),
                mode(7, true),
                access(0x2000_0000, Access::Store, Outcome::GuestMiss),
                Event::Write { index: 3, ws: 0, value: 0x2000_0210, stid: 7 },
                access(0x2000_0000, Access::Store, Outcome::Installed),
                access(0x2000_0400, Access::Load, Outcome::Installed),
            ]
        );
    }

    #[test]
    fn memory_is_bounded_and_losses_are_told() {
        let mut tlb = Tlb::new();
        tlb.set_entry(5, TlbEntry { word0: 0x210, word1: 0, word2: 7, tid: 0 });
        let mut recorder = recorder();
        let miss = |recorder: &mut Recorder, page: u32| {
            recorder.access(page << 12, 4096, Access::Load, Outcome::GuestMiss);
        };
        for page in 0..3_000_000u32 {
            miss(&mut recorder, page % 1000 * 1000);
        }
        assert!(recorder.lost() > 0);
        // Writes have room when references have none.
        recorder.write(5, 0, 0x210, 0);
        let mut bytes = recorder.take(&tlb);
        assert!(bytes.len() <= CAPACITY && bytes.len() > CAPACITY / 2);
        assert!(!recorder.resync);
        for _ in 0..1_000_000 {
            recorder.write(5, 0, 0x210, 0);
        }
        bytes.extend(recorder.take(&tlb));
        miss(&mut recorder, 1);
        bytes.extend(recorder.take(&tlb));
        let events = events(&bytes);
        let lost: u64 = events
            .iter()
            .map(|event| if let Event::Lost { events } = event { u64::from(*events) } else { 0 })
            .sum();
        assert_eq!(lost, recorder.lost());
        // The trace knows the TLB again.
        let entry = Event::Write { index: 5, ws: 0, value: 0x210, stid: 0 };
        let after = events.iter().rposition(|event| matches!(event, Event::InvalidateAll)).unwrap();
        assert!(events[after..].contains(&entry));
    }
}
