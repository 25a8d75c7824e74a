//! Any bytes as kernel and initial RAM disk: the formats are recognised, and refused or loaded, never a panic.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use ppc440_vmm_fuzz::Bench;
use vmm_plugin::api::Images;

#[derive(Arbitrary, Debug)]
struct Input {
    /// A head that gets the loader past its first look.
    format: u8,
    kernel: Vec<u8>,
    initrd: Option<Vec<u8>>,
    append: Option<String>,
    load_address: Option<u64>,
}

fuzz_target!(|input: Input| {
    let head: &[u8] = match input.format % 5 {
        0 => b"\x7FELF\x01\x02\x01\0\0\0\0\0\0\0\0\0\0\x02\0\x14\0\0\0\x01",
        1 => b"\x27\x05\x19\x56",
        2 => b"\0\x52\x50\x4F",
        3 => b"\xD0\x0D\xFE\xED",
        _ => b"",
    };
    let images = Images {
        kernel: [head, &input.kernel].concat(),
        kernel_name: "kernel".into(),
        initrd: input.initrd,
        initrd_name: "initrd".into(),
        append: input.append,
        load_address: input.load_address,
    };
    let _ = Bench::plain().machine.load(&images);
});
