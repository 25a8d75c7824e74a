//! ELF executables: vmlinux and anything else that is linked for the 440 (ELF specification, chapter 1 and 2).

use super::{Kernel, Protocol, Segment, word};

const CLASS_32: u8 = 1;
const DATA_BIG_ENDIAN: u8 = 2;
const TYPE_EXEC: u16 = 2;
const TYPE_DYN: u16 = 3;
const MACHINE_PPC: u16 = 20;
const HEADER_SIZE: usize = 52;
const PROGRAM_HEADER_SIZE: usize = 32;
const PT_LOAD: u32 = 1;

/// One PT_LOAD program header.
#[derive(Debug, Clone, Copy)]
struct Load {
    offset: u32,
    virtual_address: u32,
    physical_address: u32,
    file_size: u32,
    memory_size: u32,
}

fn half(file: &[u8], at: usize) -> u16 {
    file.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]))
}

/// What another CPU's `e_machine` means.
const fn machine_name(machine: u16) -> &'static str {
    match machine {
        2 => "SPARC",
        3 => "x86",
        8 => "MIPS",
        21 => "64-bit PowerPC",
        22 => "S/390",
        40 => "Arm",
        62 => "x86-64",
        183 => "AArch64",
        243 => "RISC-V",
        258 => "LoongArch",
        _ => "another CPU",
    }
}

/// Refuses what no 440 can run.
fn check_target(file: &[u8]) -> Result<(), String> {
    let (class, data) = (file[4], file[5]);
    let machine = if data == DATA_BIG_ENDIAN { half(file, 18) } else { half(file, 18).swap_bytes() };
    if machine != MACHINE_PPC {
        let name = machine_name(machine);
        return Err(format!("is built for {name} (ELF machine {machine}); the Bamboo needs 32-bit PowerPC"));
    }
    if class != CLASS_32 || data != DATA_BIG_ENDIAN {
        return Err("is not a 32-bit big-endian ELF file, which the Bamboo needs".into());
    }
    match half(file, 16) {
        TYPE_EXEC | TYPE_DYN => Ok(()),
        kind => Err(format!("is an ELF file of type {kind} and no executable")),
    }
}

fn loads(file: &[u8]) -> Result<Vec<Load>, String> {
    let truncated = || "is truncated: its program headers lie beyond its end".to_string();
    let start = word(file, 28).ok_or_else(truncated)? as usize;
    let (size, count) = (usize::from(half(file, 42)), usize::from(half(file, 44)));
    if count > 0 && size != PROGRAM_HEADER_SIZE {
        return Err(format!("has program headers of {size} bytes; 32-bit ELF has {PROGRAM_HEADER_SIZE}"));
    }
    let mut loads = Vec::new();
    for index in 0..count {
        let at = start.checked_add(index * PROGRAM_HEADER_SIZE).ok_or_else(truncated)?;
        let field = |n: usize| word(file, at.checked_add(4 * n)?);
        let fields = (|| Some([field(0)?, field(1)?, field(2)?, field(3)?, field(4)?, field(5)?]))();
        let [kind, offset, virtual_address, physical_address, file_size, memory_size] =
            fields.ok_or_else(truncated)?;
        if kind == PT_LOAD && memory_size > 0 {
            loads.push(Load { offset, virtual_address, physical_address, file_size, memory_size });
        }
    }
    Ok(loads)
}

impl Load {
    fn segment(&self, file: &[u8]) -> Result<Segment, String> {
        let Self { offset, file_size, memory_size, physical_address, .. } = *self;
        if file_size > memory_size {
            return Err(format!(
                "has a segment of {file_size} bytes in the file but {memory_size} in memory"
            ));
        }
        let start = offset as usize;
        let bytes = start.checked_add(file_size as usize).and_then(|end| file.get(start..end));
        let bytes =
            bytes.ok_or_else(|| format!("is truncated: its segment at {offset:#x} lies beyond its end"))?;
        Ok(Segment { address: physical_address.into(), bytes: bytes.to_vec(), size: memory_size.into() })
    }

    /// The physical address of a virtual one in this segment.
    const fn physical(&self, address: u32) -> Option<u64> {
        match address.checked_sub(self.virtual_address) {
            Some(offset) if offset < self.memory_size => Some(self.physical_address as u64 + offset as u64),
            _ => None,
        }
    }
}

/// Takes an executable apart.
pub(super) fn parse(file: &[u8]) -> Result<Kernel, String> {
    if file.len() < HEADER_SIZE {
        return Err("is truncated: it ends in the ELF header".into());
    }
    check_target(file)?;
    let loads = loads(file)?;
    if loads.is_empty() {
        return Err("has nothing to load: no PT_LOAD segment".into());
    }
    let total: u64 = loads.iter().map(|load| u64::from(load.file_size)).sum();
    if total > 2 * file.len() as u64 {
        return Err("has segments that overlap in the file".into());
    }
    let segments = loads.iter().map(|load| load.segment(file)).collect::<Result<Vec<_>, _>>()?;
    let entry = word(file, 24).unwrap_or(0);
    let physical = loads.iter().find_map(|load| load.physical(entry));
    let physical = physical.filter(|entry| entry.is_multiple_of(4));
    let entry = physical.ok_or_else(|| format!("has its entry point {entry:#x} in none of its segments"))?;
    Ok(Kernel { format: "ELF", protocol: Protocol::Tree, segments, entry, beyond: 0 })
}
