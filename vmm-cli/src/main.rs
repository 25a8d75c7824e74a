//! The program `vmm`.
fn main() {}
