//! The unsafe half of the bus: windows into guest RAM, the shared atomic words, and calls through the host's table.
//!
//! What makes it sound: `RawBus::new` is unsafe and its caller vouches for the table and for the thread; the ranges
//! that the table returns are valid as long as the table, and change only during calls (`ram_generation` tells);
//! nothing but this thread touches guest RAM while an engine runs, so plain loads and stores do.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::RamRange;
use crate::abi::{VmmBus, VmmRam};
use crate::load::grown;

/// Bits of a word of the dirty map. The words are as wide as a pointer: 32-bit PowerPC has no wider atomic operation.
pub(super) const WORD_BITS: usize = usize::BITS as usize;

/// A range of guest RAM in host memory.
#[derive(Debug, Clone)]
pub(super) struct Window {
    ptr: *mut u8,
    base: u64,
    len: u64,
    /// One past the last offset at which eight bytes fit, so that one comparison bounds an access of any size.
    fast: u64,
    first_page: u64,
}

impl Window {
    /// A range without a byte.
    pub(super) const NONE: Self =
        Self { ptr: std::ptr::null_mut(), base: 0, len: 0, fast: 0, first_page: u64::MAX };

    fn new(ram: &VmmRam) -> Self {
        Self {
            ptr: ram.ptr,
            base: ram.pa,
            len: ram.len,
            fast: ram.len.saturating_sub(7),
            first_page: ram.first_page,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn range(&self) -> RamRange {
        RamRange { pa: self.base, ptr: self.ptr, len: self.len as usize }
    }

    /// The physical address of the page with this bit in the dirty map, if it is in this range.
    pub(super) fn page_address(&self, bit: u64) -> Option<u64> {
        let page = bit.checked_sub(self.first_page)?;
        (page < self.len.div_ceil(4096)).then(|| self.base + page * 4096)
    }

    /// Loads `N` (at most 8) bytes that lie at least 8 bytes before the end of the range.
    #[inline(always)]
    pub(super) fn load<const N: usize>(&self, pa: u64) -> Option<[u8; N]> {
        const { assert!(N <= 8) };
        let offset = pa.wrapping_sub(self.base);
        if offset < self.fast {
            // SAFETY: offset + 8 <= len, so N <= 8 bytes are inside the range, which is valid memory (module text).
            // A byte array has no alignment.
            Some(unsafe { self.ptr.add(offset as usize).cast::<[u8; N]>().read() })
        } else {
            None
        }
    }

    /// Stores `N` (at most 8) bytes that lie at least 8 bytes before the end of the range.
    #[inline(always)]
    pub(super) fn store<const N: usize>(&self, pa: u64, bytes: [u8; N]) -> bool {
        const { assert!(N <= 8) };
        let offset = pa.wrapping_sub(self.base);
        if offset < self.fast {
            // SAFETY: as in `load`; no reference into guest RAM exists on this side.
            unsafe { self.ptr.add(offset as usize).cast::<[u8; N]>().write(bytes) };
            true
        } else {
            false
        }
    }

    #[inline(always)]
    pub(super) fn load_byte(&self, pa: u64) -> Option<u8> {
        let offset = pa.wrapping_sub(self.base);
        // SAFETY: offset < len, so the byte is inside the range.
        (offset < self.len).then(|| unsafe { self.ptr.add(offset as usize).read() })
    }

    #[inline(always)]
    pub(super) fn store_byte(&self, pa: u64, byte: u8) -> bool {
        let offset = pa.wrapping_sub(self.base);
        if offset < self.len {
            // SAFETY: offset < len, so the byte is inside the range.
            unsafe { self.ptr.add(offset as usize).write(byte) };
            true
        } else {
            false
        }
    }
}

macro_rules! calls {
    ($($name:ident: $type:ty,)*) => {
        /// The table's entries, present and copied out.
        #[derive(Debug)]
        struct Calls { $($name: $type,)* }
        impl Calls {
            fn of(table: &VmmBus) -> Result<Self, &'static str> {
                Ok(Self { $($name: table.$name.ok_or(stringify!($name))?,)* })
            }
        }
    };
}

calls! {
    ram_ranges: unsafe extern "C" fn(*mut c_void, *mut VmmRam, usize) -> usize,
    read: unsafe extern "C" fn(*mut c_void, u64, u32) -> u64,
    write: unsafe extern "C" fn(*mut c_void, u64, u32, u64),
    dcr_read: unsafe extern "C" fn(*mut c_void, u32) -> u32,
    dcr_write: unsafe extern "C" fn(*mut c_void, u32, u32),
    now: unsafe extern "C" fn(*mut c_void) -> u64,
    advance: unsafe extern "C" fn(*mut c_void, u64) -> u64,
    idle: unsafe extern "C" fn(*mut c_void, u64) -> u64,
    armed: unsafe extern "C" fn(*mut c_void) -> u32,
}

/// The host's table, taken apart. Not `Send`: it holds raw pointers.
#[derive(Debug)]
pub(super) struct RawBus {
    table: *const VmmBus,
    attention: *const AtomicU32,
    ram_generation: *const AtomicU32,
    dma_dirty: *const AtomicUsize,
    dma_dirty_words: usize,
    dma_summary: *const AtomicUsize,
    ctx: *mut c_void,
    shared_page: *const u8,
    treatment: Option<unsafe extern "C" fn(*mut c_void, u64, u32) -> u32>,
    calls: Calls,
}

impl RawBus {
    /// Takes a table apart.
    ///
    /// # Safety
    /// `table` is valid, keeps the promises of [`VmmBus`] as long as the result lives, and this is its thread.
    pub(super) unsafe fn new(table: *const VmmBus) -> Result<Self, &'static str> {
        let pointer = table;
        // Without what was added later, which an older host does not have.
        const OLDEST: usize = std::mem::offset_of!(VmmBus, shared_page);
        // SAFETY: the caller vouches for the pointer, and a table of nothing but zeros is valid: all may be null.
        let table = unsafe { &grown("VmmBus", pointer, (*pointer).size, OLDEST).map_err(|_| "size")? };
        for (word, name) in [
            (table.attention.cast::<c_void>(), "attention"),
            (table.ram_generation.cast(), "ram_generation"),
            (table.dma_dirty.cast(), "dma_dirty"),
            (table.dma_summary.cast(), "dma_summary"),
        ] {
            if word.is_null() {
                return Err(name);
            }
        }
        Ok(Self {
            table: pointer,
            attention: table.attention.cast(),
            ram_generation: table.ram_generation.cast(),
            dma_dirty: table.dma_dirty.cast(),
            dma_dirty_words: table.dma_dirty_words,
            dma_summary: table.dma_summary.cast(),
            ctx: table.ctx,
            shared_page: table.shared_page,
            treatment: table.treatment,
            calls: Calls::of(table)?,
        })
    }

    pub(super) fn table(&self) -> *const VmmBus {
        self.table
    }

    #[inline(always)]
    pub(super) fn attention(&self) -> u32 {
        // SAFETY: not null and valid as long as the table (`new`); accessed atomically by everyone.
        unsafe { (*self.attention).load(Ordering::Relaxed) }
    }

    pub(super) fn clear_attention(&self, bits: u32) {
        // SAFETY: as in `attention`.
        unsafe { (*self.attention).fetch_and(!bits, Ordering::AcqRel) };
    }

    #[inline(always)]
    pub(super) fn generation(&self) -> u32 {
        // SAFETY: not null and valid as long as the table (`new`); accessed atomically by everyone.
        unsafe { (*self.ram_generation).load(Ordering::Relaxed) }
    }

    pub(super) fn windows(&self) -> Vec<Window> {
        let none = VmmRam { pa: 0, len: 0, ptr: std::ptr::null_mut(), first_page: 0 };
        let mut ranges = vec![none; 8];
        loop {
            // SAFETY: an entry of the table on its thread; the buffer holds as many as it says.
            let count = unsafe { (self.calls.ram_ranges)(self.ctx, ranges.as_mut_ptr(), ranges.len()) };
            if count <= ranges.len() {
                return ranges[..count].iter().filter(|ram| !ram.ptr.is_null()).map(Window::new).collect();
            }
            ranges.resize(count, none);
        }
    }

    /// Exchanges every dirty bit with 0 and tells the index of each that was set, in ascending order.
    pub(super) fn take_dma_dirty(&self, mut told: impl FnMut(u64)) {
        for block in 0..self.dma_dirty_words.div_ceil(WORD_BITS) {
            // SAFETY: the summary has a bit for each of `dma_dirty_words` words; accessed atomically by everyone.
            let mut summary = unsafe { (*self.dma_summary.add(block)).swap(0, Ordering::AcqRel) };
            while summary != 0 {
                let word = block * WORD_BITS + summary.trailing_zeros() as usize;
                summary &= summary - 1;
                if word >= self.dma_dirty_words {
                    break;
                }
                // SAFETY: word < dma_dirty_words; accessed atomically by everyone.
                let mut bits = unsafe { (*self.dma_dirty.add(word)).swap(0, Ordering::AcqRel) };
                while bits != 0 {
                    told((word * WORD_BITS) as u64 + u64::from(bits.trailing_zeros()));
                    bits &= bits - 1;
                }
            }
        }
    }

    pub(super) fn read(&mut self, pa: u64, len: u8) -> u64 {
        // SAFETY: an entry of the table on its thread. So are the next ones.
        unsafe { (self.calls.read)(self.ctx, pa, u32::from(len)) }
    }
    pub(super) fn write(&mut self, pa: u64, len: u8, value: u64) {
        // SAFETY: as in `read`.
        unsafe { (self.calls.write)(self.ctx, pa, u32::from(len), value) }
    }
    pub(super) fn dcr_read(&mut self, dcrn: u16) -> u32 {
        // SAFETY: as in `read`.
        unsafe { (self.calls.dcr_read)(self.ctx, u32::from(dcrn)) }
    }
    pub(super) fn dcr_write(&mut self, dcrn: u16, value: u32) {
        // SAFETY: as in `read`.
        unsafe { (self.calls.dcr_write)(self.ctx, u32::from(dcrn), value) }
    }
    pub(super) fn now(&mut self) -> u64 {
        // SAFETY: as in `read`.
        unsafe { (self.calls.now)(self.ctx) }
    }
    pub(super) fn advance(&mut self, retired: u64) -> u64 {
        // SAFETY: as in `read`.
        unsafe { (self.calls.advance)(self.ctx, retired) }
    }
    pub(super) fn idle(&mut self, until: u64) -> u64 {
        // SAFETY: as in `read`.
        unsafe { (self.calls.idle)(self.ctx, until) }
    }
    /// The page with the words, and where in it the attention word lies.
    pub(super) fn shared_page(&self) -> Option<(*const u8, usize)> {
        let offset = (self.attention as usize).checked_sub(self.shared_page as usize)?;
        (!self.shared_page.is_null() && self.shared_page.addr().is_multiple_of(4096) && offset < 4096)
            .then_some((self.shared_page, offset))
    }
    pub(super) fn treatment(&mut self, pa: u64, len: u8) -> u32 {
        let Some(treatment) = self.treatment else { return 0 };
        // SAFETY: as in `read`.
        unsafe { treatment(self.ctx, pa, u32::from(len)) }
    }
    pub(super) fn armed(&mut self) -> u32 {
        // SAFETY: as in `read`.
        unsafe { (self.calls.armed)(self.ctx) }
    }
}
