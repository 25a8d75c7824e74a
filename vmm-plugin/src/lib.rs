#![doc = include_str!("../README.md")]

pub mod abi;
pub mod api;
pub mod bus;
pub mod export;
mod ffi;
pub mod host;
pub mod load;
