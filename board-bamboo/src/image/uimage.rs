//! U-Boot's legacy image format: a 64-byte big-endian header with two CRC-32s before the payload.
//!
//! A kernel linked at 0 is entered as Linux is; one linked above 0 is a boot wrapper (cuImage) and is entered as
//! U-Boot enters it. Left out: multi-file images, FIT images, and compressions other than gzip.

use std::io::Read;

use super::{Kernel, Protocol, Segment, word};

/// The header's magic number.
pub(super) const MAGIC: u32 = 0x2705_1956;
const HEADER_SIZE: usize = 64;
const HEADER_CRC: usize = 4;
const SIZE: usize = 12;
const LOAD: usize = 16;
const ENTRY: usize = 20;
const DATA_CRC: usize = 24;
const OS: usize = 28;
const ARCH: usize = 29;
const TYPE: usize = 30;
const COMPRESSION: usize = 31;
const OS_LINUX: u8 = 5;
const ARCH_PPC: u8 = 7;
const TYPE_KERNEL: u8 = 2;
const TYPE_RAMDISK: u8 = 3;
const COMPRESSION_NONE: u8 = 0;
const COMPRESSION_GZIP: u8 = 1;

/// A flat kernel's BSS is not in the file: room for an eighth of the kernel and a megabyte more than covers it.
const BSS_SHARE: u64 = 8;
const BSS_LEAST: u64 = 1 << 20;

/// Checks both checksums and returns the payload.
fn payload(file: &[u8]) -> Result<&[u8], String> {
    let header = file.get(..HEADER_SIZE).ok_or("is truncated: it ends in the uImage header")?;
    let mut zeroed = header.to_vec();
    zeroed[HEADER_CRC..HEADER_CRC + 4].fill(0);
    if word(header, HEADER_CRC) != Some(crc32fast::hash(&zeroed)) {
        return Err("has a damaged uImage header: its checksum is wrong".into());
    }
    let size = word(header, SIZE).unwrap_or(0) as usize;
    let data = file[HEADER_SIZE..].get(..size).ok_or_else(|| {
        format!("is truncated: its header tells of {size} bytes, {} are there", file.len() - HEADER_SIZE)
    })?;
    if word(header, DATA_CRC) != Some(crc32fast::hash(data)) {
        return Err("is damaged: the checksum of its data is wrong".into());
    }
    Ok(data)
}

const fn arch_name(arch: u8) -> &'static str {
    match arch {
        2 => "Arm",
        3 => "x86",
        5 => "MIPS",
        22 => "AArch64",
        24 => "x86-64",
        26 => "RISC-V",
        _ => "another CPU",
    }
}

fn check_kind(header: &[u8], kind: u8, wanted: &str) -> Result<(), String> {
    if header[ARCH] != ARCH_PPC {
        let name = arch_name(header[ARCH]);
        return Err(format!(
            "is built for {name} (uImage architecture {}); the Bamboo needs PowerPC",
            header[ARCH]
        ));
    }
    if header[TYPE] != kind {
        let found = match header[TYPE] {
            TYPE_KERNEL => "kernel",
            TYPE_RAMDISK => "RAM disk",
            4 => "multi-file image",
            5 => "firmware image",
            6 => "script",
            8 => "device tree",
            _ => "something else",
        };
        return Err(format!("is a uImage of type {} ({found}) and no {wanted}", header[TYPE]));
    }
    Ok(())
}

/// Unpacks, but never more than `limit` bytes.
fn unpack(data: &[u8], compression: u8, limit: u64) -> Result<Vec<u8>, String> {
    match compression {
        COMPRESSION_NONE => Ok(data.to_vec()),
        COMPRESSION_GZIP => {
            let mut unpacked = Vec::new();
            let mut reader = flate2::read::GzDecoder::new(data).take(limit + 1);
            reader.read_to_end(&mut unpacked).map_err(|error| format!("cannot be unpacked: {error}"))?;
            if unpacked.len() as u64 > limit {
                return Err(format!(
                    "unpacks to more than the {} MB of RAM; give more with --memory",
                    limit >> 20
                ));
            }
            Ok(unpacked)
        }
        other => Err(format!("is compressed with method {other}; only gzip (1) and none (0) are known")),
    }
}

/// Takes a kernel apart.
pub(super) fn parse(file: &[u8], ram: u64) -> Result<Kernel, String> {
    let data = payload(file)?;
    check_kind(file, TYPE_KERNEL, "kernel")?;
    if file[OS] != OS_LINUX {
        return Err(format!(
            "is a uImage for operating system {}; only Linux ({OS_LINUX}) is known",
            file[OS]
        ));
    }
    let bytes = unpack(data, file[COMPRESSION], ram)?;
    let load = u64::from(word(file, LOAD).unwrap_or(0));
    let entry = u64::from(word(file, ENTRY).unwrap_or(0));
    let size = bytes.len() as u64;
    if !entry.is_multiple_of(4) || entry.checked_sub(load).is_none_or(|offset| offset >= size) {
        return Err(format!("has its entry point {entry:#x} outside of its {size} bytes at {load:#x}"));
    }
    let (format, protocol, beyond) = if load == 0 {
        ("uImage", Protocol::Tree, size / BSS_SHARE + BSS_LEAST)
    } else {
        ("cuImage", Protocol::BoardInfo, BSS_LEAST)
    };
    let segment = Segment { address: load, bytes, size };
    Ok(Kernel { format, protocol, segments: vec![segment], entry, beyond })
}

/// The RAM disk in a uImage; U-Boot hands it on as it is, compressed or not.
pub(super) fn ramdisk(file: &[u8]) -> Result<&[u8], String> {
    let data = payload(file)?;
    check_kind(file, TYPE_RAMDISK, "RAM disk")?;
    Ok(data)
}
