//! The host's side of the bus: from a trait implementation to the table that an engine gets.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use ppc440_core::bus::attention;

use super::raw::{RawBus, WORD_BITS};
use super::{PluginBus, RamRange};
use crate::abi::{ABI, VmmBus, VmmRam};
use crate::ffi::panic_text;

/// The words that an engine looks at while it runs. They have a page to themselves, so that an engine behind a wall (in
/// a virtual machine, say) can be shown that page and nothing else of this process.
#[derive(Debug)]
#[repr(C, align(4096))]
struct SharedPage {
    attention: AtomicU32,
    ram_generation: AtomicU32,
}

/// The words that engines, the host and its threads share: input pins and requests, and the dirty map.
#[derive(Debug)]
pub struct Signals {
    shared: Box<SharedPage>,
    ranges: Vec<(u64, u64)>,
    dirty: Vec<AtomicUsize>,
    summary: Vec<AtomicUsize>,
}

impl Signals {
    /// For RAM ranges of (physical address, bytes), whole pages, in the order in which [`BusHost::ram`] gives them.
    #[must_use]
    pub fn new(ranges: &[(u64, u64)]) -> Self {
        let pages: u64 = ranges.iter().map(|(_, len)| len / 4096).sum();
        let words = (pages as usize).div_ceil(WORD_BITS).max(1);
        Self {
            shared: Box::new(SharedPage { attention: AtomicU32::new(0), ram_generation: AtomicU32::new(1) }),
            ranges: ranges.to_vec(),
            dirty: (0..words).map(|_| AtomicUsize::new(0)).collect(),
            summary: (0..words.div_ceil(WORD_BITS)).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    /// The attention bits. Any thread.
    #[must_use]
    pub fn attention(&self) -> u32 {
        self.shared.attention.load(Ordering::Acquire)
    }
    /// Asserts attention bits. Any thread.
    pub fn raise(&self, bits: u32) {
        self.shared.attention.fetch_or(bits, Ordering::AcqRel);
    }
    /// Takes attention bits back. Any thread.
    pub fn lower(&self, bits: u32) {
        self.shared.attention.fetch_and(!bits, Ordering::AcqRel);
    }
    /// Marks the pages of `len` bytes of RAM at `pa` as written by a device and asserts `DMA`. What is not RAM is
    /// passed over. Any thread.
    pub fn mark_dma_dirty(&self, pa: u64, len: u64) {
        let end = pa.saturating_add(len);
        let mut first_page = 0;
        for &(base, bytes) in &self.ranges {
            let from = pa.max(base);
            let to = end.min(base + bytes);
            if from < to {
                for page in (from - base) / 4096..(to - base).div_ceil(4096) {
                    let bit = (first_page + page) as usize;
                    let word = bit / WORD_BITS;
                    self.dirty[word].fetch_or(1 << (bit % WORD_BITS), Ordering::AcqRel);
                    self.summary[word / WORD_BITS].fetch_or(1 << (word % WORD_BITS), Ordering::AcqRel);
                }
            }
            first_page += bytes / 4096;
        }
        self.raise(attention::DMA);
    }
}

/// What a host implements to give an engine its bus. All calls come from the vCPU's thread.
///
/// # Safety
/// The memory of [`BusHost::ram`] is valid, page aligned and readable and writable as long as the host lives, no
/// reference into it exists while an engine runs, and its ranges are those that [`BusHost::signals`] was made for.
pub unsafe trait BusHost {
    /// The shared words; always the same.
    fn signals(&self) -> &Arc<Signals>;
    /// RAM.
    fn ram(&self) -> Vec<RamRange>;
    /// See [`ppc440_core::bus::Bus::read`].
    fn read(&self, pa: u64, len: u8) -> u64;
    /// See [`ppc440_core::bus::Bus::write`].
    fn write(&self, pa: u64, len: u8, value: u64);
    /// See [`ppc440_core::bus::Bus::dcr_read`].
    fn dcr_read(&self, dcrn: u16) -> u32;
    /// See [`ppc440_core::bus::Bus::dcr_write`].
    fn dcr_write(&self, dcrn: u16, value: u32);
    /// See [`ppc440_core::bus::Bus::now`].
    fn now(&self) -> u64;
    /// See [`ppc440_core::bus::Bus::advance`].
    fn advance(&self, retired: u64) -> u64;
    /// See [`ppc440_core::bus::Bus::idle`].
    fn idle(&self, until: u64) -> u64;
    /// See [`ppc440_core::bus::Bus::armed`].
    fn armed(&self) -> u32;
    /// See [`crate::api::Machine::treatment`].
    fn treatment(&self, pa: u64, len: u8) -> u32 {
        let _ = (pa, len);
        0
    }
    /// One of the calls above panicked; it answered with zero.
    fn failed(&self, message: String);
}

/// What the table's context points to.
struct Served<H> {
    host: Rc<H>,
    /// Keeps the words to which the table points.
    signals: Arc<Signals>,
}

/// Makes the bus of an engine. It keeps the host.
#[must_use]
pub fn serve<H: BusHost + 'static>(host: Rc<H>) -> PluginBus {
    let signals = Arc::clone(host.signals());
    let served = Rc::new(Served { host, signals });
    let words = &served.signals;
    let table = Rc::new(VmmBus {
        size: size_of::<VmmBus>() as u32,
        abi: ABI,
        ctx: Rc::as_ptr(&served).cast_mut().cast(),
        attention: words.shared.attention.as_ptr(),
        ram_generation: words.shared.ram_generation.as_ptr(),
        dma_dirty: words.dirty.as_ptr().cast_mut().cast(),
        dma_dirty_words: words.dirty.len(),
        dma_summary: words.summary.as_ptr().cast_mut().cast(),
        ram_ranges: Some(ram_ranges::<H>),
        read: Some(read::<H>),
        write: Some(write::<H>),
        dcr_read: Some(dcr_read::<H>),
        dcr_write: Some(dcr_write::<H>),
        now: Some(now::<H>),
        advance: Some(advance::<H>),
        idle: Some(idle::<H>),
        armed: Some(armed::<H>),
        shared_page: std::ptr::from_ref(&*words.shared).cast(),
        treatment: Some(treatment::<H>),
    });
    // SAFETY: the table is complete, and it and what it points to live as long as the bus holds them; the bus cannot
    // leave this thread. The host's trait vouches for the RAM.
    let raw = unsafe { RawBus::new(Rc::as_ptr(&table)) };
    PluginBus::over(raw.expect("Every entry is filled above"), Some(Rc::new((served, table))))
}

/// Calls the host; a panic is told to it and answers with the default.
///
/// # Safety
/// `ctx` comes from the table of a `Served<H>` that is alive.
unsafe fn call<H: BusHost, R: Default>(ctx: *mut c_void, f: impl FnOnce(&H) -> R) -> R {
    // SAFETY: the caller vouches for it.
    let served = unsafe { &*ctx.cast::<Served<H>>() };
    match catch_unwind(AssertUnwindSafe(|| f(&served.host))) {
        Ok(value) => value,
        Err(payload) => {
            let text = panic_text(&*payload);
            let _ = catch_unwind(AssertUnwindSafe(|| served.host.failed(text)));
            R::default()
        }
    }
}

// SAFETY of all entries: only the table that `serve` made leads here, and the bus that holds the table keeps the
// `Served<H>` behind it.

unsafe extern "C" fn ram_ranges<H: BusHost>(ctx: *mut c_void, out: *mut VmmRam, capacity: usize) -> usize {
    // SAFETY: see above.
    unsafe {
        call(ctx, |host: &H| {
            let ranges = host.ram();
            let mut first_page = 0;
            for (index, range) in ranges.iter().enumerate() {
                let len = range.len as u64;
                if index < capacity {
                    // The caller's buffer holds `capacity` ranges.
                    out.add(index).write(VmmRam { pa: range.pa, len, ptr: range.ptr, first_page });
                }
                first_page += len / 4096;
            }
            ranges.len()
        })
    }
}

unsafe extern "C" fn read<H: BusHost>(ctx: *mut c_void, pa: u64, len: u32) -> u64 {
    // SAFETY: see above.
    unsafe { call(ctx, |host: &H| host.read(pa, len as u8)) }
}

unsafe extern "C" fn write<H: BusHost>(ctx: *mut c_void, pa: u64, len: u32, value: u64) {
    // SAFETY: see above.
    unsafe { call(ctx, |host: &H| host.write(pa, len as u8, value)) }
}

unsafe extern "C" fn dcr_read<H: BusHost>(ctx: *mut c_void, dcrn: u32) -> u32 {
    // SAFETY: see above.
    unsafe { call(ctx, |host: &H| host.dcr_read(dcrn as u16)) }
}

unsafe extern "C" fn dcr_write<H: BusHost>(ctx: *mut c_void, dcrn: u32, value: u32) {
    // SAFETY: see above.
    unsafe { call(ctx, |host: &H| host.dcr_write(dcrn as u16, value)) }
}

unsafe extern "C" fn now<H: BusHost>(ctx: *mut c_void) -> u64 {
    // SAFETY: see above.
    unsafe { call(ctx, |host: &H| host.now()) }
}

unsafe extern "C" fn advance<H: BusHost>(ctx: *mut c_void, retired: u64) -> u64 {
    // SAFETY: see above.
    unsafe { call(ctx, |host: &H| host.advance(retired)) }
}

unsafe extern "C" fn idle<H: BusHost>(ctx: *mut c_void, until: u64) -> u64 {
    // SAFETY: see above.
    unsafe { call(ctx, |host: &H| host.idle(until)) }
}

unsafe extern "C" fn armed<H: BusHost>(ctx: *mut c_void) -> u32 {
    // SAFETY: see above.
    unsafe { call(ctx, |host: &H| host.armed()) }
}

unsafe extern "C" fn treatment<H: BusHost>(ctx: *mut c_void, pa: u64, len: u32) -> u32 {
    // SAFETY: see above.
    unsafe { call(ctx, |host: &H| host.treatment(pa, len as u8)) }
}
