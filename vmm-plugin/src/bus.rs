//! The engine's side of the bus: RAM by pointer, attention bits by atomic loads, everything else by call.

use ppc440_core::bus::Bus;

/// The [`Bus`] that an engine gets from its host. RAM accesses are inlined loads and stores.
#[derive(Debug)]
pub struct PluginBus {
    // first RAM range, kept flat for the fast path
    ram: *mut u8,
    ram_base: u64,
    ram_len: u64,
}
