//! The crate's parts, in the order in which a source passes through them: `source` splits text into statements
//! and expands macros, `token` and `expr` read operands, `assembler` lays statements out at addresses and fills
//! bytes in, `insn` knows every instruction of the 440EP, `elf` wraps the result for a loader. The syntax is GNU
//! as's where the two overlap; one absolute section, no relocations, no linker.
#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod assembler;
mod elf;
mod error;
mod expr;
mod insn;
mod source;
mod token;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

pub use assembler::Assembler;
pub use error::{Error, ErrorKind};

/// The largest image that is assembled, in bytes: a slip in `.space` or `.org` is an error, not a full memory.
pub const MAX_IMAGE: u32 = 64 << 20;

/// An assembled program: one contiguous, fully resolved image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Address of the first byte of [`bytes`](Self::bytes).
    pub base: u32,
    /// The image, big endian. Gaps left by `.org`, `.align` and `.space` are zero.
    pub bytes: Vec<u8>,
    /// Every label with its address and every `.set` or `.equ` symbol with its last value.
    pub symbols: BTreeMap<String, u32>,
}

impl Program {
    /// The value of a symbol.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<u32> {
        self.symbols.get(name).copied()
    }

    /// The image as 32-bit words; a last partial word is left out.
    pub fn words(&self) -> impl Iterator<Item = u32> + '_ {
        self.bytes.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// The program as a big-endian PowerPC ELF executable with one segment whose virtual and physical addresses
    /// are both [`base`](Self::base). Loadable by `qemu-system-ppc -kernel`, by GNU objdump and by `vmm`.
    /// Labels appear in its symbol table.
    ///
    /// `entry` is the address of the first instruction.
    #[must_use]
    pub fn to_elf(&self, entry: u32) -> Vec<u8> {
        elf::write(self, entry)
    }
}

/// Assembles `text` so that its first byte lies at address `base`.
///
/// # Errors
/// The first error found, with its line and reason.
pub fn assemble(text: &str, base: u32) -> Result<Program, Error> {
    Assembler::new().base(base).assemble("", text)
}
