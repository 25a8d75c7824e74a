//! A bus without a host, for tests of engines and of anything that consumes [`ppc440_core::bus::Bus`]: flat RAM,
//! closures for device registers and DCRs, pins that the test drives, and time that is exactly what was advanced.
//! It goes through the same C table as a real host's. A panic in a closure surfaces when the [`TestBus`] is dropped.
//!
//! ```
//! use ppc440_core::bus::{Bus, attention};
//! use vmm_plugin::bus::testing::TestBus;
//!
//! let mut test = TestBus::new(&[(0, 1 << 20)]);
//! test.on_write(|pa, len, value| println!("{len} bytes at {pa:#x}: {value:#x}"));
//! test.write_ram(0x100, &[0x60, 0, 0, 0]);
//! let mut bus = test.bus(); // what an engine gets
//! assert_eq!(bus.load_u32(0x100), Some(0x6000_0000));
//! test.raise(attention::EXT);
//! assert_eq!(bus.attention(), attention::EXT);
//! ```

use std::cell::{Cell, RefCell, UnsafeCell};
use std::rc::Rc;
use std::sync::Arc;

use ppc440_core::bus::{NEVER, attention};

use super::{BusHost, PluginBus, RamRange, Signals, serve};

/// One page of RAM, aligned as hosts align it.
#[repr(C, align(4096))]
struct Page(UnsafeCell<[u8; 4096]>);

struct Range {
    pa: u64,
    pages: Vec<Page>,
}

type ReadFn = dyn FnMut(u64, u8) -> u64;
type WriteFn = dyn FnMut(u64, u8, u64);

struct Inner {
    ranges: Vec<Range>,
    signals: Arc<Signals>,
    now: Rc<Cell<u64>>,
    deadline: Cell<u64>,
    armed: RefCell<Box<dyn FnMut() -> u32>>,
    idles: Cell<u64>,
    failure: RefCell<Option<String>>,
    read: RefCell<Box<ReadFn>>,
    write: RefCell<Box<WriteFn>>,
    dcr_read: RefCell<Box<dyn FnMut(u16) -> u32>>,
    dcr_write: RefCell<Box<dyn FnMut(u16, u32)>>,
    service: RefCell<Box<dyn FnMut(u64) -> u64>>,
}

/// The test's handle on a bus.
pub struct TestBus {
    inner: Rc<Inner>,
}

impl std::fmt::Debug for TestBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestBus").field("now", &self.inner.now.get()).finish_non_exhaustive()
    }
}

impl TestBus {
    /// A bus with zeroed RAM ranges of (physical address, bytes), both multiples of 4096.
    ///
    /// # Panics
    /// If an address or a length is not a multiple of 4096.
    #[must_use]
    pub fn new(ram: &[(u64, u64)]) -> Self {
        let ranges = ram
            .iter()
            .map(|&(pa, len)| {
                assert!(
                    pa % 4096 == 0 && len % 4096 == 0,
                    "RAM at {pa:#x}, {len:#x} bytes is not whole pages"
                );
                Range { pa, pages: (0..len / 4096).map(|_| Page(UnsafeCell::new([0; 4096]))).collect() }
            })
            .collect();
        Self {
            inner: Rc::new(Inner {
                ranges,
                signals: Arc::new(Signals::new(ram)),
                now: Rc::default(),
                deadline: Cell::new(0),
                armed: RefCell::new(Box::new(|| attention::EXT | attention::CRIT)),
                idles: Cell::new(0),
                failure: RefCell::new(None),
                read: RefCell::new(Box::new(|_, _| 0)),
                write: RefCell::new(Box::new(|_, _, _| ())),
                dcr_read: RefCell::new(Box::new(|_| 0)),
                dcr_write: RefCell::new(Box::new(|_, _| ())),
                service: RefCell::new(Box::new(|_| NEVER)),
            }),
        }
    }

    /// The engine's end. It may be called again for a second engine on the same memory.
    #[must_use]
    pub fn bus(&self) -> PluginBus {
        serve(Rc::clone(&self.inner))
    }

    /// What a read of a device register (address, bytes) returns; zero if never called.
    pub fn on_read(&mut self, f: impl FnMut(u64, u8) -> u64 + 'static) {
        *self.inner.read.borrow_mut() = Box::new(f);
    }
    /// What a write of a device register (address, bytes, value) does.
    pub fn on_write(&mut self, f: impl FnMut(u64, u8, u64) + 'static) {
        *self.inner.write.borrow_mut() = Box::new(f);
    }
    /// What a read of a device control register returns; zero if never called.
    pub fn on_dcr_read(&mut self, f: impl FnMut(u16) -> u32 + 'static) {
        *self.inner.dcr_read.borrow_mut() = Box::new(f);
    }
    /// What a write of a device control register does.
    pub fn on_dcr_write(&mut self, f: impl FnMut(u16, u32) + 'static) {
        *self.inner.dcr_write.borrow_mut() = Box::new(f);
    }
    /// Device work: called with the time when it is due or when `BOARD` is set; returns the next deadline.
    pub fn on_service(&mut self, f: impl FnMut(u64) -> u64 + 'static) {
        *self.inner.service.borrow_mut() = Box::new(f);
        self.inner.deadline.set(0);
    }
    /// Asserts attention bits.
    pub fn raise(&self, bits: u32) {
        self.inner.signals.raise(bits);
    }
    /// Takes attention bits back.
    pub fn lower(&self, bits: u32) {
        self.inner.signals.lower(bits);
    }
    /// The words that a host's threads would share with the engine.
    #[must_use]
    pub fn signals(&self) -> &Arc<Signals> {
        &self.inner.signals
    }
    /// Marks RAM as written by a device, as a host does on the board's behalf.
    pub fn mark_dma_dirty(&self, pa: u64, len: u64) {
        self.inner.signals.mark_dma_dirty(pa, len);
    }
    /// What [`ppc440_core::bus::Bus::armed`] answers; EXT and CRIT if never called.
    pub fn set_armed(&self, bits: u32) {
        self.on_armed(move || bits);
    }
    /// As [`TestBus::set_armed`], asked each time.
    pub fn on_armed(&self, f: impl FnMut() -> u32 + 'static) {
        *self.inner.armed.borrow_mut() = Box::new(f);
    }
    /// The time in ticks, for closures and machines that want to read it.
    #[must_use]
    pub fn clock(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.inner.now)
    }
    /// How often the core idled.
    #[must_use]
    pub fn idles(&self) -> u64 {
        self.inner.idles.get()
    }
    /// The time in ticks.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.inner.now.get()
    }

    /// Copies bytes into RAM.
    ///
    /// # Panics
    /// If not all of it is RAM.
    pub fn write_ram(&self, pa: u64, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            done += self.inner.poke_page(pa + done as u64, &bytes[done..]);
        }
    }

    /// Copies bytes out of RAM.
    ///
    /// # Panics
    /// If not all of it is RAM.
    #[must_use]
    pub fn read_ram(&self, pa: u64, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            self.inner.peek_page(pa + bytes.len() as u64, len - bytes.len(), &mut bytes);
        }
        bytes
    }
}

impl Drop for TestBus {
    fn drop(&mut self) {
        // A closure that panicked did so inside a C call, where the panic had to stop: it goes on here.
        if let Some(text) = self.inner.failure.take()
            && !std::thread::panicking()
        {
            panic!("{text}");
        }
    }
}

impl Inner {
    fn cell(&self, pa: u64) -> (&UnsafeCell<[u8; 4096]>, usize) {
        let range = self
            .ranges
            .iter()
            .find(|r| pa >= r.pa && pa - r.pa < r.pages.len() as u64 * 4096)
            .unwrap_or_else(|| panic!("{pa:#x} is not RAM"));
        let offset = (pa - range.pa) as usize;
        (&range.pages[offset / 4096].0, offset % 4096)
    }
    /// Appends up to `most` bytes at `pa`, no further than the end of their page.
    fn peek_page(&self, pa: u64, most: usize, out: &mut Vec<u8>) {
        let (page, offset) = self.cell(pa);
        // SAFETY: no reference into RAM lives beyond one access, and all accesses are on this thread.
        let bytes = unsafe { &*page.get() };
        out.extend_from_slice(&bytes[offset..(offset + most).min(4096)]);
    }
    /// Writes bytes at `pa`, no further than the end of their page; returns how many.
    fn poke_page(&self, pa: u64, bytes: &[u8]) -> usize {
        let (page, offset) = self.cell(pa);
        let count = bytes.len().min(4096 - offset);
        // SAFETY: as in `peek_page`; the memory is in a cell, and the caller's bytes are elsewhere.
        unsafe { page.get().cast::<u8>().add(offset).copy_from_nonoverlapping(bytes.as_ptr(), count) };
        count
    }
}

// SAFETY: the pages live in cells as long as `Inner`, page aligned; nobody holds a reference into them.
unsafe impl BusHost for Inner {
    fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }
    fn ram(&self) -> Vec<RamRange> {
        let range = |range: &Range| RamRange {
            pa: range.pa,
            ptr: range.pages.as_ptr().cast::<u8>().cast_mut(),
            len: range.pages.len() * 4096,
        };
        self.ranges.iter().map(range).collect()
    }
    fn read(&self, pa: u64, len: u8) -> u64 {
        (self.read.borrow_mut())(pa, len)
    }
    fn write(&self, pa: u64, len: u8, value: u64) {
        (self.write.borrow_mut())(pa, len, value);
    }
    fn dcr_read(&self, dcrn: u16) -> u32 {
        (self.dcr_read.borrow_mut())(dcrn)
    }
    fn dcr_write(&self, dcrn: u16, value: u32) {
        (self.dcr_write.borrow_mut())(dcrn, value);
    }
    fn now(&self) -> u64 {
        self.now.get()
    }
    fn advance(&self, retired: u64) -> u64 {
        let now = self.now.get() + retired;
        self.now.set(now);
        if now >= self.deadline.get() || self.signals.attention() & attention::BOARD != 0 {
            self.signals.lower(attention::BOARD);
            let next = (self.service.borrow_mut())(now);
            self.deadline.set(next);
        }
        self.deadline.get()
    }
    fn idle(&self, until: u64) -> u64 {
        self.idles.set(self.idles.get() + 1);
        let to = until.min(self.deadline.get());
        if self.signals.attention() == 0 && to != NEVER {
            self.now.set(self.now.get().max(to));
        }
        self.now.get()
    }
    fn armed(&self) -> u32 {
        (self.armed.borrow_mut())()
    }
    fn failed(&self, message: String) {
        self.failure.borrow_mut().get_or_insert(message);
    }
}
