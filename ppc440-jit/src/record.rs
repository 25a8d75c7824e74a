//! A record of what is translated and dropped, as text, for people and for profilers. It waits in bounded memory until
//! the embedder takes it; what comes when that is full is counted and told.

use alloc::format;
use alloc::string::String;
use core::fmt::Write as _;

use crate::translate::mode;

/// Bytes that wait at most.
const CAPACITY: usize = 4 << 20;

/// What [`crate::Jit::record`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recording {
    /// A line for each block that is translated, `+ PC PA MODE INSTRUCTIONS HOST BYTES`, and for each that is dropped,
    /// `- PC PA MODE CAUSE`; `! CAUSE` when all are dropped. Addresses are hexadecimal. MODE is `s` or `u` (problem
    /// state), then `f` with MSR\[FP\] set and `o` with XER\[SO\] set.
    Blocks,
    /// The map by which Linux's `perf` names translated code: `HOST BYTES ppc_PC_MODE`, hexadecimal.
    PerfMap,
}

/// Why translated code was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Store,
    Device,
    Data,
    Room,
    Host,
}

impl Cause {
    fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Device => "device",
            Self::Data => "data",
            Self::Room => "room",
            Self::Host => "host",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Recorder {
    what: Recording,
    text: String,
    lost: u64,
}

/// A block, as a record shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    pub(crate) pc: u32,
    pub(crate) page: u32,
    pub(crate) mode: u8,
}

impl Shown {
    fn mode(self) -> String {
        let flag = |bit: u8, name: &'static str| if self.mode & bit != 0 { name } else { "" };
        let state = if self.mode & mode::USER != 0 { "u" } else { "s" };
        format!("{state}{}{}", flag(mode::FLOAT, "f"), flag(mode::SO, "o"))
    }
    fn pa(self) -> u64 {
        u64::from(self.page) << 12 | u64::from(self.pc & 0xFFF)
    }
}

impl Recorder {
    pub(crate) fn new(what: Recording) -> Self {
        Self { what, text: String::new(), lost: 0 }
    }

    fn line(&mut self, line: core::fmt::Arguments<'_>) {
        if self.text.len() >= CAPACITY {
            self.lost += 1;
        } else {
            // Writing to a string cannot fail.
            let _ = writeln!(self.text, "{line}");
        }
    }

    /// Code without a guest address.
    pub(crate) fn fixed(&mut self, host: usize, bytes: usize) {
        if self.what == Recording::PerfMap {
            self.line(format_args!("{host:x} {bytes:x} ppc440_jit_glue"));
        }
    }

    pub(crate) fn translated(&mut self, block: Shown, words: usize, host: usize, bytes: usize) {
        let (pc, pa, mode) = (block.pc, block.pa(), block.mode());
        match self.what {
            Recording::Blocks => {
                self.line(format_args!("+ {pc:08x} {pa:09x} {mode} {words} {host:x} {bytes}"));
            }
            Recording::PerfMap => self.line(format_args!("{host:x} {bytes:x} ppc_{pc:08x}_{mode}")),
        }
    }

    pub(crate) fn dropped(&mut self, block: Shown, cause: Cause) {
        if self.what == Recording::Blocks {
            let (pc, pa, mode, cause) = (block.pc, block.pa(), block.mode(), cause.name());
            self.line(format_args!("- {pc:08x} {pa:09x} {mode} {cause}"));
        }
    }

    pub(crate) fn dropped_all(&mut self, cause: Cause) {
        if self.what == Recording::Blocks {
            self.line(format_args!("! {}", cause.name()));
        }
    }

    /// What was recorded since the last time.
    pub(crate) fn take(&mut self) -> String {
        let lost = core::mem::take(&mut self.lost);
        let mut text = core::mem::take(&mut self.text);
        if lost != 0 && self.what == Recording::Blocks {
            let _ = writeln!(text, "? {lost} lines lost");
        }
        text
    }
}
