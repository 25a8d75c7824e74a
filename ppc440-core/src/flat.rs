//! The smallest world that a core can live in: RAM from address 0 and nothing else. For examples, tests and fuzzing.

use alloc::vec;
use alloc::vec::Vec;

use crate::bus::{Bus, NEVER};

/// RAM from physical address 0; devices read zero, DCRs read zero, time is the sum of what the core retired and slept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlatBus {
    /// RAM.
    pub ram: Vec<u8>,
    /// The input pins, see [`crate::bus::attention`].
    pub pins: u32,
    /// Machine time in ticks.
    pub now: u64,
}

impl FlatBus {
    /// `bytes` of zeroed RAM.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { ram: vec![0; bytes], pins: 0, now: 0 }
    }

    /// Copies `bytes` into RAM at `pa`; what does not fit is left out.
    pub fn fill(&mut self, pa: usize, bytes: &[u8]) {
        if let Some(place) = self.ram.get_mut(pa..) {
            let len = place.len().min(bytes.len());
            place[..len].copy_from_slice(&bytes[..len]);
        }
    }

    #[inline(always)]
    fn get<const N: usize>(&self, pa: u64) -> Option<[u8; N]> {
        let at = usize::try_from(pa).ok()?;
        self.ram.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, pa: u64, bytes: [u8; N]) -> bool {
        let Some(place) = usize::try_from(pa).ok().and_then(|at| self.ram.get_mut(at..at.checked_add(N)?))
        else {
            return false;
        };
        place.copy_from_slice(&bytes);
        true
    }
}

impl Bus for FlatBus {
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
