//! The corpus of mnemonic texts with the word expected of each, for machines without another assembler to ask.
//! Line n of the corpus is assembled at address 4n, since branches are relative.

#[test]
fn every_text_of_the_corpus_gives_its_word() {
    let mut count = 0;
    for (index, line) in include_str!("corpus.txt").lines().enumerate() {
        let (word, text) = line.split_once(' ').expect("a word and a text");
        let expected = u32::from_str_radix(word, 16).expect("a hexadecimal word");
        let program = ppc440_asm::assemble(text, index as u32 * 4).unwrap_or_else(|e| panic!("{text}: {e}"));
        let words: Vec<_> = program.words().collect();
        assert_eq!(words, [expected], "{text}: {:08x} instead of {expected:08x}", words[0]);
        count += 1;
    }
    assert!(count > 700, "the corpus has shrunk to {count} lines");
}
