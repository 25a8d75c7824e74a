//! What a board may ask of its host: RAM, interrupt pins, time, and a place for console output.

use crate::api::Clock;

/// The host's side as a board sees it. Owned by one machine; all calls come from the vCPU's thread.
#[derive(Debug)]
pub struct BoardHost {
    pub(crate) inner: Box<dyn HostCalls>,
}

/// What stands behind a [`BoardHost`]: the C table of a real host, or a test.
pub trait HostCalls: core::fmt::Debug {
    /// See [`BoardHost::map_ram`].
    fn map_ram(&mut self, pa: u64, len: u64) -> Option<RamPointer>;
    /// See [`BoardHost::set_attention`].
    fn set_attention(&mut self, bits: u32, level: bool);
    /// See [`BoardHost::mark_dma_dirty`].
    fn mark_dma_dirty(&mut self, pa: u64, len: u64);
    /// See [`BoardHost::char_write`].
    fn char_write(&mut self, port: u32, bytes: &[u8]);
    /// See [`BoardHost::now`].
    fn now(&mut self) -> u64;
    /// See [`BoardHost::wall_clock`].
    fn wall_clock(&mut self) -> u64;
    /// See [`BoardHost::clock`].
    fn clock(&self) -> Clock;
    /// See [`BoardHost::fail`].
    fn fail(&mut self, message: &str) {
        panic!("The machine failed: {message}");
    }
}

/// Host memory that backs guest RAM; it lives as long as the machine's host.
#[derive(Debug, Clone, Copy)]
pub struct RamPointer {
    /// First byte.
    pub ptr: *mut u8,
    /// Bytes.
    pub len: usize,
}

impl BoardHost {
    /// Wraps a host.
    #[must_use]
    pub fn new(inner: Box<dyn HostCalls>) -> Self {
        Self { inner }
    }
    /// Asks for `len` bytes (a multiple of 4096) of zeroed RAM at physical address `pa`. Only while being created.
    pub fn map_ram(&mut self, pa: u64, len: u64) -> Option<RamPointer> {
        self.inner.map_ram(pa, len)
    }
    /// Drives attention bits (`EXT`, `CRIT`, `MCHECK`, `RESET`, `BOARD`) as levels.
    pub fn set_attention(&mut self, bits: u32, level: bool) {
        self.inner.set_attention(bits, level);
    }
    /// Tells engines that a device wrote `len` bytes of RAM at `pa`, so that translated code is dropped.
    pub fn mark_dma_dirty(&mut self, pa: u64, len: u64) {
        self.inner.mark_dma_dirty(pa, len);
    }
    /// Sends characters out of serial port `port`.
    pub fn char_write(&mut self, port: u32, bytes: &[u8]) {
        self.inner.char_write(port, bytes);
    }
    /// Machine time in timebase ticks.
    pub fn now(&mut self) -> u64 {
        self.inner.now()
    }
    /// Seconds since 1970-01-01 00:00 UTC for a real-time clock; fixed start plus machine time under icount.
    pub fn wall_clock(&mut self) -> u64 {
        self.inner.wall_clock()
    }
    /// The machine cannot go on: the host stops the run and shows the message. (A panic of the board does the same.)
    pub fn fail(&mut self, message: &str) {
        self.inner.fail(message);
    }
    /// How this machine keeps time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.inner.clock()
    }
}
