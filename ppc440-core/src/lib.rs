#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod access;
pub mod bits;
pub mod bus;
pub mod core;
mod debug;
mod embed;
pub mod exception;
pub mod exec;
pub mod flat;
pub mod fpu;
mod inspect;
pub mod interp;
mod mmu;
pub mod op;
pub mod options;
mod record;
mod slice;
pub mod state;
mod timers;
pub mod translate;
