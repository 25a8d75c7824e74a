//! Memory for translated code: an anonymous file that is mapped twice, writable at one address and executable at
//! another, so that no page is ever both. And the bus, as translated code needs it: RAM by pointer.

use std::ops::{Deref, DerefMut};

use ppc440_core::bus::Bus;
use ppc440_jit::{CodeMemory, DirectRam};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use vmm_plugin::api::Refusal;
use vmm_plugin::bus::PluginBus;

/// A mapping that goes when this is dropped.
#[derive(Debug)]
struct Mapping {
    at: *mut u8,
    len: usize,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`, and nobody uses it any more: see `Owned`.
        // A failure would leave the mapping in place, which harms nobody.
        let _ = unsafe { munmap(self.at.cast(), self.len) };
    }
}

/// Both views of the same memory. Must outlive the [`CodeMemory`] made from it.
#[derive(Debug)]
pub(crate) struct Views {
    write: Mapping,
    exec: Mapping,
}

/// Maps `len` bytes twice.
pub(crate) fn map(len: usize) -> Result<Views, Refusal> {
    let refuse = |what: &str, error: rustix::io::Errno| -> Refusal {
        format!("Memory for translated code: {what} failed: {error}; take --backend interp").into()
    };
    let file =
        memfd_create("ppc440-jit", MemfdFlags::CLOEXEC).map_err(|error| refuse("memfd_create", error))?;
    ftruncate(&file, len as u64).map_err(|error| refuse("ftruncate", error))?;
    let view = |protection| {
        // SAFETY: a new mapping at an address that the system chooses touches nothing that exists.
        unsafe { mmap(std::ptr::null_mut(), len, protection, MapFlags::SHARED, &file, 0) }
            .map(|at| Mapping { at: at.cast(), len })
            .map_err(|error| refuse("mmap", error))
    };
    Ok(Views {
        write: view(ProtFlags::READ | ProtFlags::WRITE)?,
        exec: view(ProtFlags::READ | ProtFlags::EXEC)?,
    })
}

/// Asks the system to back `words` with small pages only: little of them is ever touched.
pub(crate) fn prefer_small_pages(words: &[u64]) {
    let range = words.as_ptr_range();
    let (from, to) = (range.start.cast::<u8>(), range.end.cast::<u8>());
    let skip = from.align_offset(4096);
    let len = (to as usize).saturating_sub(from as usize + skip) & !4095;
    if len != 0 {
        // SAFETY: the advice changes no contents, and the pages lie wholly inside the slice.
        // Without it more memory is used, and everything works.
        let _ = unsafe { madvise(from.add(skip).cast_mut().cast(), len, Advice::LinuxNoHugepage) };
    }
}

/// A value that uses the views, dropped before them.
#[derive(Debug)]
pub(crate) struct Owned<T> {
    value: T,
    _views: Views,
}

impl<T> Owned<T> {
    /// Makes a value on the memory.
    pub(crate) fn new(views: Views, make: impl FnOnce(CodeMemory) -> T) -> Self {
        // SAFETY: both views are of one file's memory, executable in the second, used by nothing else, and unmapped
        // only after the value is gone (fields drop in order).
        let memory = unsafe { CodeMemory::new(views.write.at, views.exec.at, views.write.len) };
        Self { value: make(memory), _views: views }
    }
}

impl<T> Deref for Owned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}
impl<T> DerefMut for Owned<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// The host's bus.
#[derive(Debug)]
pub(crate) struct JitBus(pub(crate) PluginBus);

// SAFETY: the ranges of a `PluginBus` are valid memory until its generation changes, which happens only during its
// calls (its own documentation).
unsafe impl DirectRam for JitBus {
    fn ram(&self) -> (*mut u8, usize) {
        let at_zero = self.0.ram().into_iter().find(|range| range.pa == 0);
        at_zero.map_or((std::ptr::null_mut(), 0), |range| (range.ptr, range.len))
    }
    #[inline(always)]
    fn ram_generation(&self) -> u32 {
        self.0.ram_generation()
    }
}

macro_rules! forward {
    ($($name:ident(&self $(, $argument:ident: $type:ty)*) -> $result:ty;)*) => { $(
        #[inline(always)]
        fn $name(&self $(, $argument: $type)*) -> $result {
            self.0.$name($($argument),*)
        }
    )* };
    ($($name:ident(&mut self $(, $argument:ident: $type:ty)*) -> $result:ty;)*) => { $(
        #[inline(always)]
        fn $name(&mut self $(, $argument: $type)*) -> $result {
            self.0.$name($($argument),*)
        }
    )* };
}

impl Bus for JitBus {
    forward! {
        load_u8(&self, pa: u64) -> Option<u8>;
        load_u16(&self, pa: u64) -> Option<u16>;
        load_u32(&self, pa: u64) -> Option<u32>;
        load_u64(&self, pa: u64) -> Option<u64>;
        attention(&self) -> u32;
    }
    forward! {
        store_u8(&mut self, pa: u64, value: u8) -> bool;
        store_u16(&mut self, pa: u64, value: u16) -> bool;
        store_u32(&mut self, pa: u64, value: u32) -> bool;
        store_u64(&mut self, pa: u64, value: u64) -> bool;
        read(&mut self, pa: u64, len: u8) -> u64;
        write(&mut self, pa: u64, len: u8, value: u64) -> ();
        dcr_read(&mut self, dcrn: u16) -> u32;
        dcr_write(&mut self, dcrn: u16, value: u32) -> ();
        now(&mut self) -> u64;
        advance(&mut self, retired: u64) -> u64;
        idle(&mut self, until: u64) -> u64;
        armed(&mut self) -> u32;
        take_dma_dirty(&mut self, page: &mut dyn FnMut(u64)) -> ();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_of_code_memory_is_both_writable_and_executable() {
        let views = map(1 << 20).expect("memory");
        let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
        let permissions = |at: *mut u8| {
            let start = format!("{:x}-", at as usize);
            let line = maps.lines().find(|line| line.starts_with(&start)).expect("mapped");
            line.split_whitespace().nth(1).expect("permissions").to_owned()
        };
        assert_eq!(permissions(views.write.at), "rw-s");
        assert_eq!(permissions(views.exec.at), "r-xs");
    }

    #[test]
    fn what_is_written_through_one_view_is_seen_through_the_other() {
        let views = map(1 << 20).expect("memory");
        // SAFETY: both views are mapped, 1 MB long and unused otherwise.
        let seen = unsafe {
            views.write.at.add(4097).write_volatile(0xC3);
            views.exec.at.add(4097).read_volatile()
        };
        assert_eq!(seen, 0xC3);
    }
}
