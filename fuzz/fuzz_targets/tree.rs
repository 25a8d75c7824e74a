//! Any bytes as the device tree that a machine is built from: a sentence or a machine, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ppc440_vmm_fuzz::Bench;
use vmm_plugin::api::{Board as _, BoardConfig, Clock};

fuzz_target!(|input: (bool, Vec<u8>)| {
    let (patch, bytes) = input;
    let tree = if patch { patched(&bytes) } else { bytes };
    let config = BoardConfig {
        tree: Some(tree),
        tree_name: "fuzz".into(),
        memory: Some(16 << 20),
        clock: Clock::Icount,
        ..BoardConfig::default()
    };
    if let Ok(mut bench) = Bench::new(&config) {
        bench.pass(1000);
        let _ = bench.machine.describe();
    }
});

/// The board's own tree with some bytes replaced: (position, value) in threes. Random bytes seldom get past the
/// header.
fn patched(edits: &[u8]) -> Vec<u8> {
    let mut tree = board_bamboo::BambooBoard.default_tree();
    for edit in edits.chunks_exact(3) {
        let at = usize::from(edit[0]) << 8 | usize::from(edit[1]);
        let at = at % tree.len();
        tree[at] = edit[2];
    }
    tree
}
