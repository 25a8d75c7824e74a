//! Guest RAM: anonymous memory of the host, which costs nothing until it is touched. One of this crate's places with
//! unsafe code: the mapping and unmapping.

use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use vmm_plugin::bus::RamRange;

/// A range of guest RAM. It is unmapped when dropped, so whoever hands out its pointer keeps it.
#[derive(Debug)]
pub(crate) struct GuestRam {
    pa: u64,
    ptr: NonNull<u8>,
    len: usize,
}

impl GuestRam {
    /// Maps `len` (a multiple of 4096, not 0) zeroed bytes for physical address `pa`.
    pub(crate) fn new(pa: u64, len: u64) -> rustix::io::Result<Self> {
        let bytes = usize::try_from(len).map_err(|_| rustix::io::Errno::NOMEM)?;
        // SAFETY: a new anonymous mapping at a place that the system chooses touches nothing that exists.
        let ptr = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )?
        };
        let ptr = NonNull::new(ptr.cast()).ok_or(rustix::io::Errno::NOMEM)?;
        Ok(Self { pa, ptr, len: bytes })
    }

    pub(crate) fn range(&self) -> RamRange {
        RamRange { pa: self.pa, ptr: self.ptr.as_ptr(), len: self.len }
    }

    pub(crate) fn overlaps(&self, pa: u64, len: u64) -> bool {
        pa < self.pa.saturating_add(self.len as u64) && self.pa < pa.saturating_add(len)
    }
}

impl Drop for GuestRam {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and the owner outlives every user of the pointer.
        let _ = unsafe { munmap(self.ptr.as_ptr().cast(), self.len) };
    }
}
