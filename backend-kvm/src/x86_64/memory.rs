//! The virtual machine's own memory: one stretch of anonymous host memory that costs nothing until it is touched. The
//! unsafe half: mapping it, and looking into it while the machine stands still.

use std::ptr::NonNull;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use vmm_plugin::api::Refusal;

use super::protocol::Mailbox;

/// Large pages of the host and of the machine.
pub(super) const LARGE: u64 = 2 << 20;

/// A stretch of memory, aligned to [`LARGE`] and unmapped when dropped.
#[derive(Debug)]
pub(super) struct Block {
    mapped: NonNull<u8>,
    mapped_len: usize,
    start: NonNull<u8>,
    len: usize,
}

impl Block {
    /// Maps `len` zeroed bytes, a multiple of 4096.
    pub(super) fn new(len: u64) -> Result<Self, Refusal> {
        let refuse = |why: &dyn std::fmt::Display| {
            Refusal(format!("The host has no {} MB of address space for the engine: {why}", len >> 20))
        };
        let len = usize::try_from(len).map_err(|error| refuse(&error))?;
        let mapped_len = len + LARGE as usize;
        // SAFETY: a new anonymous mapping at a place that the system chooses touches nothing that exists.
        let mapped = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                mapped_len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        };
        let mapped = NonNull::new(mapped.map_err(|error| refuse(&error))?.cast::<u8>())
            .ok_or_else(|| refuse(&"it is at address 0"))?;
        // SAFETY: less than LARGE further, so inside the mapping.
        let start = unsafe { mapped.add(mapped.align_offset(LARGE as usize)) };
        prefer_large_pages(start.as_ptr(), len);
        Ok(Self { mapped, mapped_len, start, len })
    }

    /// Asks the host to back `len` bytes at offset `at`, multiples of 4096, with small pages: little of them is used.
    pub(super) fn prefer_small_pages(&mut self, at: u64, len: u64) {
        assert!(at <= self.len() && len <= self.len() - at, "Beyond the block");
        // SAFETY: inside the mapping (just checked); the advice changes no contents.
        // Without it the machine takes more memory, and works.
        let _ = unsafe {
            madvise(self.start.as_ptr().add(at as usize).cast(), len as usize, Advice::LinuxNoHugepage)
        };
    }

    /// Where it lies in this process.
    pub(super) fn host_address(&self) -> u64 {
        self.start.as_ptr().expose_provenance() as u64
    }

    /// Bytes.
    pub(super) fn len(&self) -> u64 {
        self.len as u64
    }

    /// Copies bytes in, while the machine stands still.
    pub(super) fn write(&mut self, at: u64, bytes: &[u8]) {
        assert!(at <= self.len() && bytes.len() as u64 <= self.len() - at, "Beyond the block");
        // SAFETY: the range lies inside the mapping (just checked); the machine does not run, as it runs only with a
        // borrow of this (`Vm::enter`).
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.as_ptr().add(at as usize), bytes.len());
        }
    }

    /// Writes eight bytes, little endian.
    pub(super) fn write_u64(&mut self, at: u64, value: u64) {
        self.write(at, &value.to_le_bytes());
    }

    /// Reads eight bytes, little endian.
    pub(super) fn read_u64(&self, at: u64) -> Option<u64> {
        if at.checked_add(8)? > self.len() {
            return None;
        }
        let mut bytes = [0; 8];
        // SAFETY: as in `write`.
        unsafe {
            std::ptr::copy_nonoverlapping(self.start.as_ptr().add(at as usize), bytes.as_mut_ptr(), 8);
        }
        Some(u64::from_le_bytes(bytes))
    }

    /// The mailbox at offset `at`.
    pub(super) fn mailbox(&mut self, at: u64) -> &mut Mailbox {
        assert!(
            at.is_multiple_of(4096) && at + size_of::<Mailbox>() as u64 <= self.len(),
            "Beyond the block"
        );
        // SAFETY: inside the mapping and aligned; any bytes are a valid mailbox, it is plain numbers; the machine does
        // not run while the borrow lasts, as it runs only with a borrow of this (`Vm::enter`).
        unsafe { &mut *self.start.as_ptr().add(at as usize).cast::<Mailbox>() }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`; the machine that used it is gone (`Vm` drops its descriptors first).
        // A failure would leave the mapping in place, which harms nobody.
        let _ = unsafe { munmap(self.mapped.as_ptr().cast(), self.mapped_len) };
    }
}

/// Asks the host to back memory with large pages: a fault in a machine costs many times one in a process.
pub(super) fn prefer_large_pages(start: *mut u8, len: usize) {
    let from = start.align_offset(4096);
    if from < len {
        // SAFETY: the advice changes no contents. The range is memory of the caller's.
        let _ = unsafe { madvise(start.add(from).cast(), (len - from) & !4095, Advice::LinuxHugepage) };
    }
}

/// The time stamp counter.
pub(super) fn time_stamp() -> u64 {
    // SAFETY: reads a counter; every x86-64 processor has it.
    unsafe { std::arch::x86_64::_rdtsc() }
}
