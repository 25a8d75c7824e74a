//! treeImage: a boot wrapper for boards whose firmware is PIBS or OpenBIOS, behind a 32-byte big-endian header.

use super::{Kernel, Protocol, Segment, word};

/// The header's magic number.
pub(super) const MAGIC: u32 = 0x0052_504F;
const HEADER_SIZE: usize = 32;
const DESTINATION: usize = 4;
const BLOCKS: usize = 8;
const ENTRY: usize = 16;
const BLOCK_SIZE: usize = 512;
/// The wrapper for the Bamboo takes this much RAM for granted.
const RAM_NEEDED: u64 = 128 << 20;
/// The tool that makes treeImages counts the 64 KB of ELF header and padding that it leaves out.
const COUNTED_TOO_MUCH: usize = 64 << 10;
/// The wrapper's own BSS.
const BSS: u64 = 1 << 20;

/// Takes a treeImage apart.
pub(super) fn parse(file: &[u8], ram: u64) -> Result<Kernel, String> {
    if file.len() < HEADER_SIZE {
        return Err("is truncated: it ends in the treeImage header".into());
    }
    if ram < RAM_NEEDED {
        return Err(format!(
            "is a treeImage, whose boot wrapper takes 128 MB of RAM for granted; the machine has {} MB, give it more with --memory",
            ram >> 20
        ));
    }
    let field = |at| word(file, at).unwrap_or(0);
    let size = field(BLOCKS) as usize * BLOCK_SIZE;
    let present = file.len() - HEADER_SIZE;
    if present + COUNTED_TOO_MUCH < size {
        return Err(format!("is truncated: its header tells of {size} bytes, {present} are there"));
    }
    let bytes = &file[HEADER_SIZE..][..size.min(present)];
    let (address, entry) = (u64::from(field(DESTINATION)), u64::from(field(ENTRY)));
    if !entry.is_multiple_of(4)
        || entry.checked_sub(address).is_none_or(|offset| offset >= bytes.len() as u64)
    {
        let len = bytes.len();
        return Err(format!("has its entry point {entry:#x} outside of its {len} bytes at {address:#x}"));
    }
    let segment = Segment { address, bytes: bytes.to_vec(), size: size as u64 };
    Ok(Kernel { format: "treeImage", protocol: Protocol::Bare, segments: vec![segment], entry, beyond: BSS })
}
