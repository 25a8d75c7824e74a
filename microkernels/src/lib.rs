//! Small bare-metal programs that check a PowerPC 440 from the inside. This crate holds their images and reads
//! their reports; running them is the caller's business.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod report;

pub use report::{Check, Outcome, Report};

/// One microkernel.
#[derive(Clone, Copy, Debug)]
pub struct Microkernel {
    /// Name of its source file without the suffix.
    pub name: &'static str,
    /// What it checks, in one line.
    pub summary: &'static str,
    /// A big-endian PowerPC ELF executable, to be entered at its physical address with MSR 0 and a 1:1 mapping, as
    /// a board enters a Linux kernel. It uses RAM from 0x0010_0000 to 0x0080_0000 and UART0 at 0xEF60_0300.
    pub image: &'static [u8],
    /// How many checks it reports when it runs to its end.
    pub checks: u32,
    /// Whether it checks more than what a user-level program can see.
    pub privileged: bool,
    /// Which of its checks fail on QEMU.
    pub qemu: QemuExpectation,
}

/// What is known about a microkernel under `qemu-system-ppc -M bamboo`.
#[derive(Clone, Copy, Debug)]
pub struct QemuExpectation {
    /// Exactly the checks that fail there. Any other outcome is news.
    pub differs: &'static [Difference],
}

/// A check in which QEMU is known to be wrong, or to lack something.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// Name of the check. One that begins with `?` fails or passes as the host's timing will have it.
    pub check: &'static str,
    /// Why QEMU's result differs, and from what it is known that ours is right.
    pub reason: &'static str,
}

static KERNELS: &[Microkernel] = include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// All microkernels, sorted by name.
#[must_use]
pub fn all() -> &'static [Microkernel] {
    KERNELS
}

/// The microkernel of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Microkernel> {
    KERNELS.iter().find(|kernel| kernel.name == name)
}
