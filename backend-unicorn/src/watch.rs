//! The core's bus with an eye on writes to pages whose code Unicorn holds translated.
//!
//! Unicorn does not see what the core or a device writes into RAM. Every store of the core goes through this bus; a
//! store to a watched page is remembered, and the engine drops the translated code before Unicorn executes again.

use ppc440_core::bus::Bus;
use vmm_plugin::bus::PluginBus;

#[derive(Debug)]
pub(crate) struct WatchedBus {
    inner: PluginBus,
    /// One bit a 4 KB page below 4 GB.
    watched: Vec<u64>,
    /// Writes to watched pages: physical address and length.
    writes: Vec<(u32, u32)>,
}

impl WatchedBus {
    pub(crate) fn new(inner: PluginBus) -> Self {
        Self { inner, watched: Vec::new(), writes: Vec::new() }
    }

    pub(crate) fn inner(&self) -> &PluginBus {
        &self.inner
    }

    /// Starts or ends watching the page at `pa`.
    pub(crate) fn watch(&mut self, pa: u32, on: bool) {
        let (word, bit) = ((pa >> 18) as usize, 1u64 << ((pa >> 12) & 63));
        if word >= self.watched.len() {
            self.watched.resize(word + 1, 0);
        }
        if on {
            self.watched[word] |= bit;
        } else {
            self.watched[word] &= !bit;
        }
    }

    /// Whether writes to watched pages wait to be taken.
    #[inline]
    pub(crate) fn has_writes(&self) -> bool {
        !self.writes.is_empty()
    }

    /// Takes the writes seen since the last call.
    pub(crate) fn take_writes(&mut self) -> Vec<(u32, u32)> {
        core::mem::take(&mut self.writes)
    }

    #[inline(always)]
    fn is_watched(&self, pa: u64) -> bool {
        self.watched.get((pa >> 18) as usize).is_some_and(|word| word >> ((pa >> 12) & 63) & 1 != 0)
    }

    #[inline(always)]
    fn note(&mut self, pa: u64, len: u32) {
        if self.is_watched(pa) || self.is_watched(pa + u64::from(len - 1)) {
            self.remember(pa, len);
        }
    }

    #[cold]
    fn remember(&mut self, pa: u64, len: u32) {
        self.writes.push((pa as u32, len));
    }
}

macro_rules! access {
    ($($load:ident $store:ident $type:ty, $len:literal;)*) => { $(
        #[inline(always)]
        fn $load(&self, pa: u64) -> Option<$type> {
            self.inner.$load(pa)
        }
        #[inline(always)]
        fn $store(&mut self, pa: u64, value: $type) -> bool {
            let stored = self.inner.$store(pa, value);
            if stored {
                self.note(pa, $len);
            }
            stored
        }
    )* };
}

impl Bus for WatchedBus {
    access! {
        load_u8 store_u8 u8, 1;
        load_u16 store_u16 u16, 2;
        load_u32 store_u32 u32, 4;
        load_u64 store_u64 u64, 8;
    }
    fn read(&mut self, pa: u64, len: u8) -> u64 {
        self.inner.read(pa, len)
    }
    fn write(&mut self, pa: u64, len: u8, value: u64) {
        self.inner.write(pa, len, value);
    }
    fn dcr_read(&mut self, dcrn: u16) -> u32 {
        self.inner.dcr_read(dcrn)
    }
    fn dcr_write(&mut self, dcrn: u16, value: u32) {
        self.inner.dcr_write(dcrn, value);
    }
    #[inline(always)]
    fn attention(&self) -> u32 {
        self.inner.attention()
    }
    fn now(&mut self) -> u64 {
        self.inner.now()
    }
    fn advance(&mut self, retired: u64) -> u64 {
        self.inner.advance(retired)
    }
    fn idle(&mut self, until: u64) -> u64 {
        self.inner.idle(until)
    }
    fn armed(&mut self) -> u32 {
        self.inner.armed()
    }
    fn take_dma_dirty(&mut self, page: &mut dyn FnMut(u64)) {
        let Self { inner, watched, writes } = self;
        inner.take_dma_dirty(&mut |pa| {
            if watched.get((pa >> 18) as usize).is_some_and(|word| word >> ((pa >> 12) & 63) & 1 != 0) {
                writes.push((pa as u32, 4096));
            }
            page(pa);
        });
    }
}
