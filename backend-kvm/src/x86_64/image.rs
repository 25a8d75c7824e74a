//! The engine's program, as the build script took it apart.

/// A part of the program with rights of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    /// Where it lies.
    pub(super) va: u64,
    /// Where in [`BYTES`] it begins.
    pub(super) start: usize,
    /// How much of it is there; the rest is zero.
    pub(super) bytes: usize,
    /// Bytes in memory.
    pub(super) len: u64,
    /// It is data.
    pub(super) write: bool,
    /// It is code. Never both.
    pub(super) execute: bool,
}

include!(concat!(env!("OUT_DIR"), "/engine.rs"));

static BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/engine.bin"));

/// Where the engine starts.
pub(super) fn entry() -> u64 {
    ENTRY
}

/// The segments with their bytes.
pub(super) fn segments() -> impl Iterator<Item = (Segment, &'static [u8])> {
    SEGMENTS.iter().map(|segment| (*segment, &BYTES[segment.start..][..segment.bytes]))
}
