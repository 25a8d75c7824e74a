//! Builds the engine that runs inside the virtual machine: a static program of its own, for a target folder of its own,
//! without an operating system. Only where it can be used; elsewhere nothing is built.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What makes it a program that needs nobody: no C library, no start-up code, fixed addresses, and segments that begin
/// at 2 MB so that each can have large pages with its own rights.
const FLAGS: [&str; 7] = [
    "-Crelocation-model=static",
    "-Clink-arg=-nostdlib",
    "-Clink-arg=-nostartfiles",
    "-Clink-arg=-static",
    "-Clink-arg=-no-pie",
    "-Clink-arg=-Wl,-z,max-page-size=0x200000,-z,separate-code,-z,norelro,--build-id=none,--gc-sections",
    "-Cforce-unwind-tables=no",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |part: &str| env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    if target("ARCH") != "x86_64" || target("OS") != "linux" {
        return;
    }
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    for source in ["engine", "../mmu-core", "../ppc440-core", "../ppc440-jit"] {
        for part in ["src", "Cargo.toml"] {
            println!("cargo::rerun-if-changed={}", here.join(source).join(part).display());
        }
    }
    println!("cargo::rerun-if-changed={}", here.join("engine/Cargo.lock").display());

    let folder = out.join("engine");
    let image = folder.join("x86_64-unknown-linux-gnu/release/kvm-engine");
    // Without the network first: whoever built this crate has what the engine needs.
    if !build(&here, &folder, true) && !build(&here, &folder, false) {
        panic!("The engine for the virtual machine could not be built; cargo has said why");
    }
    let image = std::fs::read(&image).expect("The engine was built");
    let (description, bytes) = pack(&image);
    std::fs::write(out.join("engine.rs"), description).expect("The output folder can be written");
    std::fs::write(out.join("engine.bin"), bytes).expect("The output folder can be written");
}

/// Takes the program apart: what lies where, as Rust source, and the bytes without the gaps between the segments.
fn pack(elf: &[u8]) -> (String, Vec<u8>) {
    let number = |at: usize, len: usize| {
        elf[at..at + len].iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte))
    };
    assert_eq!(&elf[..6], b"\x7fELF\x02\x01", "The engine is no little-endian ELF64 file");
    let (headers, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let mut bytes = Vec::new();
    let mut source = format!("const ENTRY: u64 = {:#x};\nconst SEGMENTS: &[Segment] = &[\n", number(24, 8));
    for header in (0..count).map(|index| (headers + index * size) as usize) {
        const LOAD: u64 = 1;
        if number(header, 4) != LOAD {
            continue;
        }
        let (flags, offset, va) = (number(header + 4, 4), number(header + 8, 8), number(header + 16, 8));
        let (in_file, in_memory) = (number(header + 32, 8), number(header + 40, 8));
        let (write, execute) = (flags & 2 != 0, flags & 1 != 0);
        assert!(!(write && execute), "A segment of the engine is both writable and executable");
        source += &format!(
            "    Segment {{ va: {va:#x}, start: {}, bytes: {in_file}, len: {in_memory:#x}, write: {write}, execute: {execute} }},\n",
            bytes.len()
        );
        bytes.extend(&elf[offset as usize..(offset + in_file) as usize]);
    }
    (source + "];\n", bytes)
}

fn build(here: &Path, folder: &Path, offline: bool) -> bool {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--quiet", "--target", "x86_64-unknown-linux-gnu"]);
    if offline {
        cargo.arg("--offline");
    }
    cargo.arg("--manifest-path").arg(here.join("engine/Cargo.toml"));
    cargo.arg("--target-dir").arg(folder);
    // The outer build's own wishes (clippy's driver, coverage, sanitizers, flags for the host) are not the engine's.
    for name in [
        "RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_TARGET_DIR",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_RUSTC_WRAPPER",
        "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
        "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
        "CLIPPY_ARGS",
        "CLIPPY_CONF_DIR",
        "RUSTDOCFLAGS",
    ] {
        cargo.env_remove(name);
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    match cargo.status() {
        Ok(status) => status.success(),
        Err(error) => panic!("cargo could not be started: {error}"),
    }
}
