//! Any bytes as a saved state: refused or taken, never a panic, and the machine lives on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ppc440_vmm_fuzz::Bench;

fuzz_target!(|bytes: Vec<u8>| {
    let mut bench = Bench::plain();
    let _ = bench.machine.restore(&bytes);
    bench.pass(1000);
    let _ = bench.machine.describe();
});
