//! The engine's side of the bus: RAM by pointer, attention bits by atomic loads, everything else by call.
//!
//! [`PluginBus`] is what an [`Engine`](crate::api::Engine) owns of the outside world. It implements
//! [`ppc440_core::bus::Bus`] over the C table [`VmmBus`]. Hosts make the table from a
//! [`BusHost`] with [`serve`]; [`testing`] makes a bus without any host. Unsafe code stands in the private modules
//! `raw` (the engine's side) and `serve` (the host's).

mod raw;
mod serve;
pub mod testing;

pub use serve::{BusHost, Signals, serve};

use std::any::Any;
use std::fmt;
use std::rc::Rc;

use ppc440_core::bus::{Bus, attention};

use crate::abi::VmmBus;
use raw::{RawBus, Window};

/// The [`Bus`] that an engine gets from its host. RAM accesses are inlined loads and stores.
///
/// It belongs to the vCPU's thread and cannot leave it.
pub struct PluginBus {
    /// The first RAM range, kept flat for the fast path.
    first: Window,
    /// The further ranges, in no order.
    more: Vec<Window>,
    generation: u32,
    raw: RawBus,
    /// Keeps the memory behind a bus that this process made itself.
    _keep: Option<Rc<dyn Any>>,
}

/// A range of guest RAM, for engines that map host memory themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RamRange {
    /// Guest physical address of the first byte.
    pub pa: u64,
    /// Host memory, page aligned. It lives as long as the bus.
    pub ptr: *mut u8,
    /// Bytes.
    pub len: usize,
}

impl fmt::Debug for PluginBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginBus").field("ram", &self.ram()).finish_non_exhaustive()
    }
}

macro_rules! near {
    ($load:ident $store:ident $type:ty) => {
        #[inline(always)]
        fn $load(&self, pa: u64) -> Option<$type> {
            self.first.load(pa).map(<$type>::from_be_bytes)
        }
        #[inline(always)]
        fn $store(&mut self, pa: u64, value: $type) -> bool {
            self.first.store(pa, value.to_be_bytes())
        }
    };
}

macro_rules! access {
    ($load:ident $store:ident $type:ty) => {
        #[inline(always)]
        fn $load(&self, pa: u64) -> Option<$type> {
            match self.first.load(pa) {
                Some(bytes) => Some(<$type>::from_be_bytes(bytes)),
                None => self.load_slow(pa).map(<$type>::from_be_bytes),
            }
        }
        #[inline(always)]
        fn $store(&mut self, pa: u64, value: $type) -> bool {
            self.first.store(pa, value.to_be_bytes()) || self.store_slow(pa, value.to_be_bytes())
        }
    };
}

impl PluginBus {
    fn over(raw: RawBus, keep: Option<Rc<dyn Any>>) -> Self {
        let mut bus = Self { first: Window::NONE, more: Vec::new(), generation: 0, raw, _keep: keep };
        bus.reload_ram();
        bus
    }

    /// A bus over a host's table.
    ///
    /// # Errors
    /// The name of an entry that the table lacks.
    ///
    /// # Safety
    /// `table` must point to a [`VmmBus`] that keeps its promises (see [`crate::abi`]) as long as the bus lives, and
    /// the calling thread must be the vCPU's.
    pub unsafe fn from_table(table: *const VmmBus) -> Result<Self, &'static str> {
        // SAFETY: the caller vouches for the table.
        let raw = unsafe { RawBus::new(table)? };
        Ok(Self::over(raw, None))
    }

    /// The table behind this bus; valid as long as the bus.
    pub(crate) fn table(&self) -> *const VmmBus {
        self.raw.table()
    }

    /// The ranges of RAM. They change only when [`PluginBus::ram_generation`] does.
    #[must_use]
    pub fn ram(&self) -> Vec<RamRange> {
        std::iter::once(&self.first).chain(&self.more).filter(|w| w.len() != 0).map(Window::range).collect()
    }

    /// A number that changes when [`PluginBus::ram`] would give another answer; it does so only during calls of
    /// this bus.
    #[must_use]
    pub fn ram_generation(&self) -> u32 {
        self.generation
    }

    /// A page that holds the attention word and nothing but words for engines, and the word's offset in it: for an
    /// engine that runs where it cannot reach the host's memory, and is shown this page. It lives as long as the bus.
    /// `None` if the host has no such page.
    #[must_use]
    pub fn shared_page(&self) -> Option<(*const u8, usize)> {
        self.raw.shared_page()
    }

    /// How the register that was accessed last may be treated; see [`crate::api::Machine::treatment`].
    pub fn treatment(&mut self, pa: u64, len: u8) -> u32 {
        self.raw.treatment(pa, len)
    }

    #[cold]
    fn reload_ram(&mut self) {
        self.generation = self.raw.generation();
        let mut windows = self.raw.windows().into_iter();
        self.first = windows.next().unwrap_or(Window::NONE);
        self.more = windows.collect();
    }

    #[inline]
    fn after_call(&mut self) {
        if self.raw.generation() != self.generation {
            self.reload_ram();
        }
    }

    /// Any access that does not lie well inside the first range: other ranges, the last bytes of a range, and
    /// accesses that cross from one range into the next.
    #[cold]
    #[inline(never)]
    fn load_slow<const N: usize>(&self, pa: u64) -> Option<[u8; N]> {
        if let Some(bytes) = self.more.iter().find_map(|window| window.load(pa)) {
            return Some(bytes);
        }
        // Addresses do not wrap.
        let last = pa.checked_add(N as u64 - 1)?;
        let mut bytes = [0; N];
        for (at, byte) in (pa..=last).zip(&mut bytes) {
            *byte = std::iter::once(&self.first).chain(&self.more).find_map(|window| window.load_byte(at))?;
        }
        Some(bytes)
    }

    #[cold]
    #[inline(never)]
    fn store_slow<const N: usize>(&mut self, pa: u64, bytes: [u8; N]) -> bool {
        if self.more.iter().any(|window| window.store(pa, bytes)) {
            return true;
        }
        // All or nothing: look before writing.
        if self.load_slow::<N>(pa).is_none() {
            return false;
        }
        for (at, byte) in (0..).map(|offset| pa + offset).zip(bytes) {
            let _ = std::iter::once(&self.first).chain(&self.more).any(|window| window.store_byte(at, byte));
        }
        true
    }
}

impl Bus for PluginBus {
    #[inline(always)]
    fn load_u8(&self, pa: u64) -> Option<u8> {
        self.first.load_byte(pa).or_else(|| self.load_slow::<1>(pa).map(|[byte]| byte))
    }
    #[inline(always)]
    fn store_u8(&mut self, pa: u64, value: u8) -> bool {
        self.first.store_byte(pa, value) || self.store_slow(pa, [value])
    }
    access!(load_u16 store_u16 u16);
    access!(load_u32 store_u32 u32);
    access!(load_u64 store_u64 u64);
    near!(near_load_u8 near_store_u8 u8);
    near!(near_load_u16 near_store_u16 u16);
    near!(near_load_u32 near_store_u32 u32);

    fn read(&mut self, pa: u64, len: u8) -> u64 {
        let value = self.raw.read(pa, len);
        self.after_call();
        value
    }
    fn write(&mut self, pa: u64, len: u8, value: u64) {
        self.raw.write(pa, len, value);
        self.after_call();
    }
    fn dcr_read(&mut self, dcrn: u16) -> u32 {
        let value = self.raw.dcr_read(dcrn);
        self.after_call();
        value
    }
    fn dcr_write(&mut self, dcrn: u16, value: u32) {
        self.raw.dcr_write(dcrn, value);
        self.after_call();
    }
    #[inline(always)]
    fn attention(&self) -> u32 {
        self.raw.attention()
    }
    fn now(&mut self) -> u64 {
        self.raw.now()
    }
    fn advance(&mut self, retired: u64) -> u64 {
        let deadline = self.raw.advance(retired);
        self.after_call();
        deadline
    }
    fn idle(&mut self, until: u64) -> u64 {
        let now = self.raw.idle(until);
        self.after_call();
        now
    }
    fn armed(&mut self) -> u32 {
        self.raw.armed()
    }
    fn take_dma_dirty(&mut self, page: &mut dyn FnMut(u64)) {
        // The bit goes first: a page that is marked from here on sets it again.
        self.raw.clear_attention(attention::DMA);
        self.raw.take_dma_dirty(|bit| {
            for window in std::iter::once(&self.first).chain(&self.more) {
                if let Some(pa) = window.page_address(bit) {
                    page(pa);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::testing::TestBus;
    use super::*;

    #[test]
    fn ram_is_big_endian_and_bounded() {
        let test = TestBus::new(&[(0, 8192)]);
        let mut bus = test.bus();
        assert!(bus.store_u32(0x10, 0x1234_5678));
        assert_eq!(bus.load_u8(0x10), Some(0x12));
        assert_eq!(bus.load_u16(0x11), Some(0x3456));
        assert_eq!(bus.load_u64(0x0c), Some(0x1234_5678));
        assert!(bus.store_u64(8184, 1), "the last doubleword is RAM");
        assert_eq!(bus.load_u32(8188), Some(1));
        assert_eq!(bus.load_u8(8191), Some(1));
        assert_eq!(bus.load_u8(8192), None);
        assert_eq!(bus.load_u32(8189), None, "one byte lies outside");
        assert!(!bus.store_u32(8189, 0xffff_ffff));
        assert_eq!(bus.load_u8(8191), Some(1), "a refused store wrote nothing");
        assert_eq!(bus.load_u64(u64::MAX), None, "addresses do not wrap");
    }

    #[test]
    fn a_bus_without_ram_has_no_byte() {
        let test = TestBus::new(&[]);
        let mut bus = test.bus();
        assert_eq!(bus.load_u8(0), None);
        assert!(!bus.store_u64(u64::MAX, 1));
        assert!(bus.ram().is_empty());
    }

    #[test]
    fn an_access_crosses_adjoining_ranges() {
        let test = TestBus::new(&[(0x1000, 4096), (0x2000, 4096), (0x8000_0000, 4096)]);
        let mut bus = test.bus();
        assert!(bus.store_u32(0x1ffe, 0xaabb_ccdd));
        assert_eq!(bus.load_u16(0x2000), Some(0xccdd));
        assert_eq!(bus.load_u32(0x1ffe), Some(0xaabb_ccdd));
        assert!(bus.store_u64(0x8000_0ff8, 7));
        assert_eq!(bus.load_u64(0x8000_0ff8), Some(7));
        assert_eq!(bus.load_u32(0xffe), None);
        assert_eq!(bus.ram().len(), 3);
    }

    #[test]
    fn devices_answer_what_is_not_ram() {
        let mut test = TestBus::new(&[(0, 4096)]);
        test.on_read(|pa, len| pa + u64::from(len));
        test.on_dcr_read(|dcrn| u32::from(dcrn) * 2);
        let mut bus = test.bus();
        assert_eq!(bus.read(0xef60_0300, 1), 0xef60_0301);
        assert_eq!(bus.dcr_read(0xc0), 0x180);
    }

    #[test]
    fn dirty_pages_are_told_once_by_address() {
        let test = TestBus::new(&[(0, 0x20_0000), (0x8000_0000, 0x20_0000)]);
        let mut bus = test.bus();
        test.mark_dma_dirty(0x1fff, 2);
        test.mark_dma_dirty(0x8010_0000, 1);
        assert_eq!(bus.attention() & attention::DMA, attention::DMA);
        let mut pages = Vec::new();
        bus.take_dma_dirty(&mut |pa| pages.push(pa));
        assert_eq!(pages, [0x1000, 0x2000, 0x8010_0000]);
        assert_eq!(bus.attention(), 0);
        bus.take_dma_dirty(&mut |pa| panic!("{pa:#x} was told twice"));
    }

    #[test]
    fn time_is_what_was_advanced_and_idle_jumps() {
        let mut test = TestBus::new(&[(0, 4096)]);
        test.on_service(|now| if now < 1000 { 1000 } else { ppc440_core::bus::NEVER });
        let mut bus = test.bus();
        assert_eq!(bus.advance(10), 1000);
        assert_eq!(bus.now(), 10);
        assert_eq!(bus.idle(ppc440_core::bus::NEVER), 1000);
        assert_eq!(bus.advance(0), ppc440_core::bus::NEVER);
        test.raise(attention::EXT);
        assert_eq!(bus.idle(5000), 1000, "an asserted pin ends idling at once");
    }
}
