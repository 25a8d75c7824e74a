#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod builder;
pub mod bus;
pub mod device;
pub mod host;
pub mod models;
pub mod pci;
pub mod pins;
pub mod system;
pub mod tree;
pub mod uart;
pub mod uic;
