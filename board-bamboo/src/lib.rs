#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod clocks;
mod compare;
mod entry;
mod fixup;
mod image;
mod layout;
mod loader;
mod machine;
mod memory;
mod private;
mod ram;
mod straps;
mod tree;

use vmm_plugin::api::{Board, BoardConfig, Info, Machine, Refusal};
use vmm_plugin::host::BoardHost;

/// The board.
#[derive(Debug, Clone, Copy)]
pub struct BambooBoard;

impl Board for BambooBoard {
    fn info(&self) -> Info {
        Info {
            id: "bamboo".into(),
            summary: "AMCC/IBM Bamboo: PowerPC 440EP, up to 2 GB of RAM, four serial ports".into(),
            rank: 0,
            caps: 0,
        }
    }

    fn default_tree(&self) -> Vec<u8> {
        // The test of this crate shows that it can be written.
        tree::bamboo().to_blob().unwrap_or_default()
    }

    fn create(&self, config: &BoardConfig, host: BoardHost) -> Result<Box<dyn Machine>, Refusal> {
        Ok(Box::new(machine::Bamboo::create(config, host)?))
    }
}

vmm_plugin::plugin! { backends: [], boards: [BambooBoard] }
