//! The core's bus, from inside: RAM by pointer, the attention word by a look at the shared page, time by the processor's
//! counter, and everything else by a call, unless the device's own word says that it can be had or kept here.
//!
//! A register's *treatment* comes with the answer to an access. Writes to a register that takes posted writes wait in
//! the mailbox for the next call, a millisecond at most; a register that is stable is read once and kept. Both end when
//! the attention word changes, or with any call but accesses to such registers. A guest that reads a kept register again
//! and again without posting anything is waiting for the device, so the device gets to know of it.

use ppc440_core::bus::{Bus, NEVER};
use ppc440_jit::DirectRam;

use crate::exit::{leave, mailbox, shared_word, time_stamp};
use crate::protocol::{Config, DIRTY, POSTED, Posted, RAM_RANGES, Window, call};

/// Treatment: writes may wait.
const POSTED_WRITE: u32 = 1 << 0;
/// Treatment: reads may be kept.
const STABLE_READ: u32 = 1 << 1;
/// Registers whose treatment is remembered.
const KNOWN: usize = 4;
/// Kept reads between two posted writes.
const PATIENCE: u32 = 8;

/// A register with a treatment.
#[derive(Clone, Copy)]
struct Register {
    pa: u64,
    len: u8,
    treatment: u32,
    /// What it read, if it is stable.
    value: u64,
}

/// Counts of calls, as the mailbox tells them.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) posted: u64,
    pub(crate) kept: u64,
    pub(crate) read: u64,
    pub(crate) write: u64,
    pub(crate) dcr: u64,
    pub(crate) advance: u64,
    pub(crate) idle: u64,
    pub(crate) now: u64,
    pub(crate) dirty: u64,
}

/// The bus.
pub(crate) struct VmBus {
    /// The first range, flat for the fast path.
    first: Window,
    /// One past the last offset at which eight bytes fit.
    fast: u64,
    ram: [Window; RAM_RANGES],
    ram_count: usize,
    attention_offset: u32,

    icount: bool,
    /// icount: ticks since the last call.
    ticks: u64,
    /// Board's next deadline.
    deadline: u64,
    armed: u32,

    scale: u32,
    linger: u64,
    /// The last answer's time, and the host's counter then.
    base: u64,
    base_tsc: u64,
    /// What this counter is ahead of the host's, at most: the shortest way in that was seen.
    ahead: i64,
    /// The latest time that was told.
    last: u64,
    /// Something was written that the host may only pass on when it is called; it must be by then.
    call_by: Option<u64>,

    known: [Option<Register>; KNOWN],
    /// The attention word when `known` was last valid.
    known_under: u32,
    kept_in_a_row: u32,
    posted: usize,
    pub(crate) counts: Counts,
}

impl VmBus {
    pub(crate) fn new(config: &Config) -> Self {
        let none = Window { pa: 0, va: 0, len: 0 };
        let ram_count = (config.ram_count as usize).min(RAM_RANGES);
        let first = if ram_count == 0 { none } else { config.ram[0] };
        Self {
            first,
            fast: first.len.saturating_sub(7),
            ram: config.ram,
            ram_count,
            attention_offset: config.attention,
            icount: config.icount != 0,
            ticks: 0,
            deadline: 0,
            armed: 0,
            scale: config.tsc_scale,
            linger: config.linger,
            base: 0,
            base_tsc: 0,
            ahead: i64::MAX,
            last: 0,
            call_by: None,
            known: [None; KNOWN],
            known_under: 0,
            kept_in_a_row: 0,
            posted: 0,
            counts: Counts::default(),
        }
    }

    /// Makes a call. The caller has written its other arguments into the mailbox.
    pub(crate) fn call(&mut self, what: u32) {
        let mail = mailbox();
        mail.call = what;
        mail.ticks = core::mem::take(&mut self.ticks);
        mail.posted_count = core::mem::take(&mut self.posted) as u64;
        leave();
        let mail = mailbox();
        let host_ahead = (time_stamp() as i64).wrapping_sub(mail.tsc as i64);
        self.ahead = self.ahead.min(host_ahead);
        (self.base, self.base_tsc, self.armed) = (mail.now, mail.tsc, mail.armed);
        self.last = self.last.max(mail.now);
        self.deadline = mail.deadline;
        if !matches!(what, call::READ | call::WRITE) {
            self.known = [None; KNOWN];
        }
        if matches!(what, call::ADVANCE | call::IDLE) {
            self.call_by = None;
        }
    }

    fn access(&mut self, what: u32, pa: u64, len: u8, value: u64) -> u64 {
        let mail = mailbox();
        (mail.pa, mail.len, mail.value) = (pa, u64::from(len), value);
        self.call(what);
        let mail = mailbox();
        let (value, treatment) = (mail.value, mail.treatment);
        if matches!(what, call::READ | call::WRITE) {
            let attention = self.attention();
            let wanted = if what == call::READ { STABLE_READ } else { POSTED_WRITE };
            if treatment & wanted == 0 || attention != self.known_under {
                self.known = [None; KNOWN];
                self.known_under = attention;
            }
            if treatment & wanted != 0 {
                let kind = treatment & wanted;
                let register = Register { pa, len, treatment: kind, value };
                let place = self.find(pa, len, kind).or_else(|| self.known.iter().position(Option::is_none));
                self.known[place.unwrap_or(0)] = Some(register);
            }
        }
        value
    }

    fn find(&self, pa: u64, len: u8, kind: u32) -> Option<usize> {
        self.known.iter().position(|known| {
            known.is_some_and(|known| known.pa == pa && known.len == len && known.treatment & kind != 0)
        })
    }

    /// The register at `pa`, if it has this treatment now.
    fn treated(&self, pa: u64, len: u8, kind: u32) -> Option<Register> {
        if self.known_under != self.attention() {
            return None;
        }
        self.find(pa, len, kind).and_then(|at| self.known[at])
    }

    /// A device was written: the host shall be called soon.
    fn wrote(&mut self) {
        if self.call_by.is_none() {
            self.call_by = Some(self.time().saturating_add(self.linger));
        }
    }

    fn time(&mut self) -> u64 {
        if self.icount {
            return self.base + self.ticks;
        }
        if self.scale == 0 {
            self.counts.now += 1;
            self.call(call::NOW);
            return self.last;
        }
        let stamp = (time_stamp() as i64).wrapping_sub(self.ahead) as u64;
        let passed = (stamp as i64).wrapping_sub(self.base_tsc as i64).max(0) as u64;
        let ticks = (u128::from(passed) * u128::from(self.scale)) >> 32;
        self.last = self.last.max(self.base.saturating_add(ticks as u64));
        self.last
    }

    fn window(&self, pa: u64, len: u64) -> Option<*mut u8> {
        self.ram[..self.ram_count].iter().find_map(|window| {
            let offset = pa.wrapping_sub(window.pa);
            (offset < window.len && window.len - offset >= len)
                .then(|| core::ptr::with_exposed_provenance_mut((window.va + offset) as usize))
        })
    }

    /// Accesses that are not well inside the first range: the last bytes of one, the others, and across two.
    #[cold]
    #[inline(never)]
    fn load_slow<const N: usize>(&self, pa: u64) -> Option<[u8; N]> {
        if let Some(at) = self.window(pa, N as u64) {
            // SAFETY: `window` says that N bytes of mapped RAM lie there; an array of bytes has no alignment.
            return Some(unsafe { at.cast::<[u8; N]>().read() });
        }
        let mut bytes = [0; N];
        for (offset, byte) in (0..).zip(&mut bytes) {
            let at = self.window(pa.checked_add(offset)?, 1)?;
            // SAFETY: one byte of mapped RAM.
            *byte = unsafe { at.read() };
        }
        Some(bytes)
    }

    #[cold]
    #[inline(never)]
    fn store_slow<const N: usize>(&self, pa: u64, bytes: [u8; N]) -> bool {
        if let Some(at) = self.window(pa, N as u64) {
            // SAFETY: as in `load_slow`.
            unsafe { at.cast::<[u8; N]>().write(bytes) };
            return true;
        }
        // All or nothing.
        if self.load_slow::<N>(pa).is_none() {
            return false;
        }
        for (offset, byte) in (0..).zip(bytes) {
            if let Some(at) = self.window(pa + offset, 1) {
                // SAFETY: one byte of mapped RAM.
                unsafe { at.write(byte) };
            }
        }
        true
    }

    #[inline(always)]
    fn load<const N: usize>(&self, pa: u64) -> Option<[u8; N]> {
        let offset = pa.wrapping_sub(self.first.pa);
        if offset < self.fast {
            let at = core::ptr::with_exposed_provenance::<[u8; N]>((self.first.va + offset) as usize);
            // SAFETY: offset + 8 <= len, and the host mapped that much RAM there.
            Some(unsafe { at.read() })
        } else {
            self.load_slow(pa)
        }
    }

    #[inline(always)]
    fn store<const N: usize>(&self, pa: u64, bytes: [u8; N]) -> bool {
        let offset = pa.wrapping_sub(self.first.pa);
        if offset < self.fast {
            let at = core::ptr::with_exposed_provenance_mut::<[u8; N]>((self.first.va + offset) as usize);
            // SAFETY: as in `load`.
            unsafe { at.write(bytes) };
            true
        } else {
            self.store_slow(pa, bytes)
        }
    }
}

// SAFETY: the host maps the ranges before the engine starts, and they stay.
unsafe impl DirectRam for VmBus {
    fn ram(&self) -> (*mut u8, usize) {
        let at_zero = self.ram[..self.ram_count].iter().find(|window| window.pa == 0);
        at_zero.map_or((core::ptr::null_mut(), 0), |window| {
            (core::ptr::with_exposed_provenance_mut(window.va as usize), window.len as usize)
        })
    }
    #[inline(always)]
    fn ram_generation(&self) -> u32 {
        0
    }
}

macro_rules! access {
    ($load:ident $store:ident $type:ty) => {
        #[inline(always)]
        fn $load(&self, pa: u64) -> Option<$type> {
            self.load(pa).map(<$type>::from_be_bytes)
        }
        #[inline(always)]
        fn $store(&mut self, pa: u64, value: $type) -> bool {
            self.store(pa, value.to_be_bytes())
        }
    };
}

impl Bus for VmBus {
    access!(load_u8 store_u8 u8);
    access!(load_u16 store_u16 u16);
    access!(load_u32 store_u32 u32);
    access!(load_u64 store_u64 u64);

    fn read(&mut self, pa: u64, len: u8) -> u64 {
        if self.kept_in_a_row < PATIENCE
            && let Some(register) = self.treated(pa, len, STABLE_READ)
        {
            self.kept_in_a_row += 1;
            self.counts.kept += 1;
            return register.value;
        }
        self.counts.read += 1;
        self.kept_in_a_row = 0;
        self.access(call::READ, pa, len, 0)
    }

    fn write(&mut self, pa: u64, len: u8, value: u64) {
        self.wrote();
        if self.posted < POSTED && self.treated(pa, len, POSTED_WRITE).is_some() {
            mailbox().posted[self.posted] = Posted { pa, len: u64::from(len), value };
            self.posted += 1;
            self.kept_in_a_row = 0;
            self.counts.posted += 1;
            return;
        }
        self.counts.write += 1;
        let _ = self.access(call::WRITE, pa, len, value);
    }

    fn dcr_read(&mut self, dcrn: u16) -> u32 {
        self.counts.dcr += 1;
        self.access(call::DCR_READ, u64::from(dcrn), 4, 0) as u32
    }

    fn dcr_write(&mut self, dcrn: u16, value: u32) {
        self.counts.dcr += 1;
        let _ = self.access(call::DCR_WRITE, u64::from(dcrn), 4, u64::from(value));
    }

    #[inline(always)]
    fn attention(&self) -> u32 {
        shared_word(self.attention_offset)
    }

    fn now(&mut self) -> u64 {
        self.time()
    }

    fn advance(&mut self, retired: u64) -> u64 {
        if self.icount {
            self.ticks += retired;
        }
        let board = self.attention() & ppc440_core::bus::attention::BOARD != 0;
        // Without a clock of its own every look at the time is a call, so the board is asked at once.
        let asks = board || (!self.icount && self.scale == 0) || {
            let now = self.time();
            now >= self.deadline || self.call_by.is_some_and(|by| now >= by)
        };
        if asks {
            self.counts.advance += 1;
            self.call(call::ADVANCE);
        }
        self.deadline
    }

    fn idle(&mut self, until: u64) -> u64 {
        // Under icount sleeping is a jump, which needs nobody unless something is due outside.
        let target = until.min(self.deadline);
        if self.icount && target != NEVER && self.call_by.is_none() && self.attention() == 0 {
            self.ticks += target.saturating_sub(self.time());
            return self.time();
        }
        self.counts.idle += 1;
        mailbox().value = until;
        self.call(call::IDLE);
        self.last
    }

    fn armed(&mut self) -> u32 {
        // Every answer tells; between two calls no device can change its mind.
        self.armed
    }

    fn take_dma_dirty(&mut self, page: &mut dyn FnMut(u64)) {
        loop {
            self.counts.dirty += 1;
            self.call(call::DIRTY);
            let mail = mailbox();
            let more = mail.value != 0;
            for range in &mail.dirty[..(mail.dirty_count as usize).min(DIRTY)] {
                for number in 0..range.pages {
                    page(range.pa + number * 4096);
                }
            }
            if !more {
                return;
            }
        }
    }
}
