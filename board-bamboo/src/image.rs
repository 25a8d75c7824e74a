//! Recognises what a kernel file is and takes it apart: ELF, uImage, cuImage, treeImage, or raw.
//!
//! # Threat model
//! Files come from strangers. Nothing is trusted: sizes and addresses are checked against the file and against RAM,
//! unpacking stops at the size of RAM, checksums are compared, and every refusal is one sentence naming the file.

mod elf;
mod tree_image;
mod uimage;

use devices_4xx::tree::Tree;

use crate::Refusal;

/// How a kernel wants to be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// r3 is the physical address of a device tree: Linux's own entry.
    Tree,
    /// r3 is a `bd_t`, r4 and r5 bound the initrd, r6 and r7 the command line: what U-Boot gives a boot wrapper.
    BoardInfo,
    /// Nothing: a wrapper that brings its own tree.
    Bare,
}

/// Bytes that belong at a physical address, followed by zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) address: u64,
    pub(crate) bytes: Vec<u8>,
    /// Size in RAM, at least the number of bytes.
    pub(crate) size: u64,
}

/// A kernel taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// The format's name.
    pub(crate) format: &'static str,
    pub(crate) protocol: Protocol,
    pub(crate) segments: Vec<Segment>,
    /// Physical address of the first instruction.
    pub(crate) entry: u64,
    /// Bytes after the last segment that the kernel uses although the file does not say so (BSS).
    pub(crate) beyond: u64,
}

/// Takes a kernel file apart for a machine with `ram` bytes.
///
/// # Errors
/// What is wrong with it, in one sentence that names it.
pub(crate) fn recognise(file: &[u8], name: &str, load: Option<u64>, ram: u64) -> Result<Kernel, Refusal> {
    let kernel = if file.starts_with(b"\x7fELF") {
        elf::parse(file)
    } else if file.starts_with(&uimage::MAGIC.to_be_bytes()) {
        uimage::parse(file, ram)
    } else if file.starts_with(&tree_image::MAGIC.to_be_bytes()) {
        tree_image::parse(file, ram)
    } else if let Some(load) = load {
        raw(file, load)
    } else {
        Err(unknown(file))
    };
    let kernel = kernel.map_err(|problem| Refusal(format!("Kernel {name} {problem}")))?;
    for segment in &kernel.segments {
        let end = segment.address.checked_add(segment.size.max(segment.bytes.len() as u64));
        if end.is_none_or(|end| end > ram) {
            return Err(Refusal(format!(
                "Kernel {name} needs RAM from {:#x} on for {} KB, and the machine has {} MB; give it more with --memory",
                segment.address,
                segment.size.div_ceil(1024),
                ram >> 20
            )));
        }
    }
    Ok(kernel)
}

fn raw(file: &[u8], load: u64) -> Result<Kernel, String> {
    if file.is_empty() {
        return Err("is empty".into());
    }
    if !load.is_multiple_of(4) {
        return Err(format!("cannot be loaded at {load:#x}: a load address is a multiple of 4"));
    }
    let segment = Segment { address: load, bytes: file.to_vec(), size: file.len() as u64 };
    Ok(Kernel {
        format: "raw image",
        protocol: Protocol::Tree,
        segments: vec![segment],
        entry: load,
        beyond: 0,
    })
}

fn unknown(file: &[u8]) -> String {
    let known = if file.is_empty() {
        "is empty"
    } else if file.starts_with(&[0x1F, 0x8B]) {
        "is a gzip file and no kernel; unpack it first"
    } else if file.starts_with(&[0xD0, 0x0D, 0xFE, 0xED]) {
        "is a device tree and no kernel; give it with --dtb"
    } else if file.starts_with(b"070701") || file.starts_with(b"070702") {
        "is a cpio archive and no kernel; give it with --initrd"
    } else if file.starts_with(b"MZ") {
        "is an EFI or DOS program and no PowerPC kernel"
    } else {
        "is no ELF file, uImage, cuImage or treeImage; a raw image needs --load-address"
    };
    known.into()
}

/// The bytes of an initrd: a RAM disk in a uImage header is taken out of it.
///
/// # Errors
/// A damaged header or a compression, in one sentence that names the file.
pub(crate) fn initrd<'a>(file: &'a [u8], name: &str) -> Result<&'a [u8], Refusal> {
    if file.is_empty() {
        return Err(Refusal(format!("Initrd {name} is empty")));
    }
    if !file.starts_with(&uimage::MAGIC.to_be_bytes()) {
        return Ok(file);
    }
    uimage::ramdisk(file).map_err(|problem| Refusal(format!("Initrd {name} {problem}")))
}

/// The device tree that a boot wrapper carries, and its offset.
pub(crate) fn embedded_tree(payload: &[u8]) -> Option<(usize, Tree)> {
    let words = payload.chunks_exact(4).enumerate();
    let candidates = words.filter(|(_, word)| **word == [0xD0, 0x0D, 0xFE, 0xED]).map(|(index, _)| 4 * index);
    // A wrapper has one; the bound keeps a hostile file from making this quadratic.
    candidates.take(16).find_map(|at| Tree::parse(&payload[at..]).ok().map(|tree| (at, tree)))
}

/// Bytes from `at` on that a tree there may take: its own and the zeros behind it, up to the next 4 KB boundary,
/// where the linker script of boot wrappers puts the next section.
pub(crate) fn tree_room(payload: &[u8], at: usize) -> usize {
    let size = payload.get(at..).and_then(Tree::blob_size).unwrap_or(0);
    let end = at.saturating_add(size).min(payload.len());
    let boundary = end.next_multiple_of(4096).min(payload.len());
    let padding = payload[end..boundary].iter().take_while(|&&byte| byte == 0).count();
    end - at + padding
}

/// A big-endian word of a header.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
}

#[cfg(test)]
pub(crate) mod tests;
