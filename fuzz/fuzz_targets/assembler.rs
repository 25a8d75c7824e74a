//! Any text as assembly: an error or an image within its limit, never a panic or a hang.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, &str)| {
    let (base, text) = input;
    // Repetitions are bounded by the assembler, but its bound is generous.
    if text.len() < 4096 && !text.contains(".rept") {
        if let Ok(program) = ppc440_asm::assemble(text, base) {
            assert!(program.bytes.len() <= ppc440_asm::MAX_IMAGE as usize);
            let _ = program.to_elf(base);
        }
    }
});
