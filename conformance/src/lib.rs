//! What the tests of this crate share: running microkernels on a bare core, under the `vmm` program and under QEMU.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod bare;
pub mod elf;
pub mod process;
pub mod programs;
pub mod qemu;
pub mod vmm;
