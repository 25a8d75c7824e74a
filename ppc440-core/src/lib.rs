//! The PowerPC 440EP core.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod bus;
pub mod state;
