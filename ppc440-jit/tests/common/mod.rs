// What the tests and the README's example share: code memory with two views, and RAM that both the engine and translated
// code reach by pointer. Plain comments, so that the file can also be included.

use ppc440_core::bus::{Bus, NEVER, attention};
use ppc440_jit::{CodeMemory, DirectRam};

/// `len` bytes of code memory: writable at one address, executable at another.
pub fn code_memory(len: usize) -> CodeMemory {
    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
    use rustix::mm::{MapFlags, ProtFlags, mmap};
    let fd = memfd_create("code", MemfdFlags::CLOEXEC).expect("memfd");
    ftruncate(&fd, len as u64).expect("ftruncate");
    let map = |protection| {
        // SAFETY: a new mapping at an address that the system chooses.
        unsafe { mmap(std::ptr::null_mut(), len, protection, MapFlags::SHARED, &fd, 0) }.expect("mmap")
    };
    let write = map(ProtFlags::READ | ProtFlags::WRITE).cast::<u8>();
    let exec = map(ProtFlags::READ | ProtFlags::EXEC).cast::<u8>();
    // SAFETY: both views are of the same memory, which nothing else uses and nobody unmaps.
    unsafe { CodeMemory::new(write, exec, len) }
}

/// RAM from physical address 0 and nothing else, as `ppc440_core::flat::FlatBus`, but by pointer.
pub struct PointerBus {
    pub ram: *mut u8,
    pub len: usize,
    pub now: u64,
    pub pins: u32,
    /// After so many reads of devices an external interrupt is asserted; 0 for never.
    pub rings_in: u32,
}

impl PointerBus {
    pub fn new(contents: &[u8]) -> Self {
        let ram = Box::leak(contents.to_vec().into_boxed_slice());
        Self { ram: ram.as_mut_ptr(), len: ram.len(), now: 0, pins: 0, rings_in: 0 }
    }
    pub fn contents(&self) -> Vec<u8> {
        // SAFETY: the leaked box; no translated code runs now.
        unsafe { std::slice::from_raw_parts(self.ram, self.len) }.to_vec()
    }
    fn get<const N: usize>(&self, pa: u64) -> Option<[u8; N]> {
        (pa.checked_add(N as u64)? <= self.len as u64).then(|| {
            // SAFETY: inside, as just checked.
            unsafe { self.ram.add(pa as usize).cast::<[u8; N]>().read() }
        })
    }
    fn put<const N: usize>(&mut self, pa: u64, bytes: [u8; N]) -> bool {
        let inside = pa.checked_add(N as u64).is_some_and(|end| end <= self.len as u64);
        if inside {
            // SAFETY: inside, as just checked.
            unsafe { self.ram.add(pa as usize).cast::<[u8; N]>().write(bytes) };
        }
        inside
    }
}

impl Drop for PointerBus {
    fn drop(&mut self) {
        // SAFETY: made by `Box::leak` in `new`, and gone with this.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.ram, self.len)) });
    }
}

// SAFETY: the leaked box, which never changes.
unsafe impl DirectRam for PointerBus {
    fn ram(&self) -> (*mut u8, usize) {
        (self.ram, self.len)
    }
    fn ram_generation(&self) -> u32 {
        0
    }
}

impl Bus for PointerBus {
    fn load_u8(&self, pa: u64) -> Option<u8> {
        self.get(pa).map(u8::from_be_bytes)
    }
    fn load_u16(&self, pa: u64) -> Option<u16> {
        self.get(pa).map(u16::from_be_bytes)
    }
    fn load_u32(&self, pa: u64) -> Option<u32> {
        self.get(pa).map(u32::from_be_bytes)
    }
    fn load_u64(&self, pa: u64) -> Option<u64> {
        self.get(pa).map(u64::from_be_bytes)
    }
    fn store_u8(&mut self, pa: u64, value: u8) -> bool {
        self.put(pa, value.to_be_bytes())
    }
    fn store_u16(&mut self, pa: u64, value: u16) -> bool {
        self.put(pa, value.to_be_bytes())
    }
    fn store_u32(&mut self, pa: u64, value: u32) -> bool {
        self.put(pa, value.to_be_bytes())
    }
    fn store_u64(&mut self, pa: u64, value: u64) -> bool {
        self.put(pa, value.to_be_bytes())
    }
    fn read(&mut self, _: u64, _: u8) -> u64 {
        if self.rings_in == 1 {
            self.pins |= attention::EXT;
        }
        self.rings_in = self.rings_in.saturating_sub(1);
        0
    }
    fn write(&mut self, _: u64, _: u8, _: u64) {}
    fn dcr_read(&mut self, _: u16) -> u32 {
        0
    }
    fn dcr_write(&mut self, _: u16, _: u32) {}
    fn attention(&self) -> u32 {
        self.pins
    }
    fn now(&mut self) -> u64 {
        self.now
    }
    fn advance(&mut self, retired: u64) -> u64 {
        self.now += retired;
        NEVER
    }
    fn idle(&mut self, until: u64) -> u64 {
        self.now = self.now.max(until);
        self.now
    }
    fn armed(&mut self) -> u32 {
        0
    }
    fn take_dma_dirty(&mut self, _: &mut dyn FnMut(u64)) {}
}
