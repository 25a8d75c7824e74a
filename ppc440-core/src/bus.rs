//! What lies behind the pins of a 440 core: memory, devices, DCRs, interrupt inputs and time.
//!
//! The core consumes this trait and never knows who implements it: a plugin host, a virtual machine around the
//! engine, or a test. RAM accesses are meant to be inlined; everything else may be slow.

/// Bits of [`Bus::attention`]: the core's input pins and the host's requests, all levels.
pub mod attention {
    /// External interrupt input (non-critical output of the interrupt controller) is asserted.
    pub const EXT: u32 = 1 << 0;
    /// Critical interrupt input is asserted.
    pub const CRIT: u32 = 1 << 1;
    /// Machine check input is asserted.
    pub const MCHECK: u32 = 1 << 2;
    /// The board asks for a reset: `run` returns so that the host can carry it out.
    pub const RESET: u32 = 1 << 3;
    /// The host wants `run` to return soon.
    pub const STOP: u32 = 1 << 4;
    /// The board has work (input queued, a device deadline moved): call [`super::Bus::advance`].
    pub const BOARD: u32 = 1 << 5;
    /// A device wrote RAM: collect [`super::Bus::take_dma_dirty`] before executing on.
    pub const DMA: u32 = 1 << 6;
}

/// A time in timebase ticks that never comes.
pub const NEVER: u64 = u64::MAX;

/// The outside world of one core.
///
/// Physical addresses are 36 bits wide. Values are the numbers that the core sees: a 4-byte read of the bytes
/// `12 34 56 78` returns `0x1234_5678`, whatever the host's byte order.
pub trait Bus {
    /// Reads one byte of RAM; `None` where `pa` is not RAM.
    fn load_u8(&self, pa: u64) -> Option<u8>;
    /// Reads two bytes of RAM, big endian, any alignment; `None` unless all of them are RAM.
    fn load_u16(&self, pa: u64) -> Option<u16>;
    /// Reads four bytes of RAM, big endian, any alignment; `None` unless all of them are RAM.
    fn load_u32(&self, pa: u64) -> Option<u32>;
    /// Reads eight bytes of RAM, big endian, any alignment; `None` unless all of them are RAM.
    fn load_u64(&self, pa: u64) -> Option<u64>;
    /// Writes one byte of RAM; false, and nothing written, where `pa` is not RAM.
    fn store_u8(&mut self, pa: u64, value: u8) -> bool;
    /// Writes two bytes of RAM, big endian; false, and nothing written, unless all of them are RAM.
    fn store_u16(&mut self, pa: u64, value: u16) -> bool;
    /// Writes four bytes of RAM, big endian; false, and nothing written, unless all of them are RAM.
    fn store_u32(&mut self, pa: u64, value: u32) -> bool;
    /// Writes eight bytes of RAM, big endian; false, and nothing written, unless all of them are RAM.
    fn store_u64(&mut self, pa: u64, value: u64) -> bool;

    /// As [`Bus::load_u8`], but may answer `None` for RAM that takes longer to reach; the core then asks the other.
    fn near_load_u8(&self, pa: u64) -> Option<u8> {
        self.load_u8(pa)
    }
    /// As [`Bus::load_u16`], for RAM that is quickly reached.
    fn near_load_u16(&self, pa: u64) -> Option<u16> {
        self.load_u16(pa)
    }
    /// As [`Bus::load_u32`], for RAM that is quickly reached.
    fn near_load_u32(&self, pa: u64) -> Option<u32> {
        self.load_u32(pa)
    }
    /// As [`Bus::store_u8`], but may answer false for RAM that takes longer to reach; the core then asks the other.
    fn near_store_u8(&mut self, pa: u64, value: u8) -> bool {
        self.store_u8(pa, value)
    }
    /// As [`Bus::store_u16`], for RAM that is quickly reached.
    fn near_store_u16(&mut self, pa: u64, value: u16) -> bool {
        self.store_u16(pa, value)
    }
    /// As [`Bus::store_u32`], for RAM that is quickly reached.
    fn near_store_u32(&mut self, pa: u64, value: u32) -> bool {
        self.store_u32(pa, value)
    }

    /// Reads a device register of `len` (1, 2, 4 or 8) bytes. Unclaimed addresses read zero.
    fn read(&mut self, pa: u64, len: u8) -> u64;
    /// Writes a device register of `len` (1, 2, 4 or 8) bytes. Unclaimed addresses ignore it.
    fn write(&mut self, pa: u64, len: u8, value: u64);
    /// Reads device control register `dcrn` (0-1023). Unclaimed ones read zero.
    fn dcr_read(&mut self, dcrn: u16) -> u32;
    /// Writes device control register `dcrn` (0-1023). Unclaimed ones ignore it.
    fn dcr_write(&mut self, dcrn: u16, value: u32);

    /// The input pins and requests, see [`attention`]. Levels: a bit stays until its source takes it back.
    fn attention(&self) -> u32;
    /// Machine time in timebase ticks. Host clock: follows the host's monotonic clock. icount: exactly the sum of
    /// all [`Bus::advance`] and idle jumps.
    fn now(&mut self) -> u64;
    /// Lets `retired` instructions' worth of time pass (it moves the clock only under icount) and runs device work
    /// that is due. Returns the tick of the next device deadline, or [`NEVER`].
    fn advance(&mut self, retired: u64) -> u64;
    /// The core waits (MSR\[WE\], or a branch to itself): sleeps until an attention bit, a device deadline or tick
    /// `until`, whichever is first, and returns the time then. Under icount it jumps there without sleeping.
    /// Returning early is allowed.
    fn idle(&mut self, until: u64) -> u64;
    /// Which of [`attention::EXT`] and [`attention::CRIT`] some enabled source could still assert one day. A core
    /// that waits with everything else off is halted.
    fn armed(&mut self) -> u32;
    /// Takes the set of RAM pages (4 KB) that devices wrote since the last call: `page` gets each page's physical
    /// address.
    fn take_dma_dirty(&mut self, page: &mut dyn FnMut(u64));
}
