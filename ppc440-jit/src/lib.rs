#![doc = include_str!("../README.md")]
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

#[expect(unsafe_code, reason = "writes code into the embedder's memory")]
mod buffer;
mod cache;
mod condition;
mod emit;
#[expect(unsafe_code, reason = "enters translated code and is called by it")]
mod enter;
mod fixed;
mod frame;
#[expect(unsafe_code, reason = "declares an unsafe trait")]
mod machine;
mod record;
#[cfg(test)]
mod snapshots;
mod translate;

pub use buffer::CodeMemory;
pub use cache::JitStats;
pub use machine::{DirectRam, Jit};
pub use record::Recording;
