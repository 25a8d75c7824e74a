//! Assembles each line of standard input by itself and prints its word and its text: how a line for
//! `tests/corpus.txt` is made. Line n lies at address 4n.

use std::io::Read;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    for (index, line) in text.lines().enumerate() {
        let program = ppc440_asm::assemble(line, index as u32 * 4).map_err(|e| format!("{line}: {e}"))?;
        for word in program.words() {
            println!("{word:08x} {line}");
        }
    }
    Ok(())
}
