//! GNU as as an outside judge: the corpus, and the corpus with random registers and numbers, assembled by both.
//! Says so and passes where `powerpc-linux-gnu-as` is not installed.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

const GNU: &str = "powerpc-linux-gnu-as";

/// What GNU as makes of each line: None where it refuses the line.
fn gnu(lines: &[String]) -> Option<Vec<Option<u32>>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let assemble = |lines: &[Option<&String>]| {
        let source = folder.path().join("in.s");
        let object = folder.path().join("out.o");
        let binary = folder.path().join("out.bin");
        // A refused line still takes a word, so that the others keep their places.
        let text: String = lines.iter().map(|l| l.map_or("nop", |l| l.as_str()).to_string() + "\n").collect();
        fs::write(&source, text).expect("a source file");
        // -many takes the few names that Book E dropped and Linux still uses (eieio).
        let output = Command::new(GNU)
            .args(["-m440", "-many", "-mregnames", "-o"])
            .arg(&object)
            .arg(&source)
            .env("LC_ALL", "C")
            .output()
            .ok()?;
        let refused: BTreeSet<usize> = String::from_utf8_lossy(&output.stderr)
            .lines()
            .filter(|l| l.contains("Error:"))
            .filter_map(|l| l.split(':').nth(1)?.parse().ok())
            .collect();
        if !output.status.success() {
            return Some(Err(refused));
        }
        let copied = Command::new("powerpc-linux-gnu-objcopy")
            .args(["-O", "binary", "-j", ".text"])
            .arg(&object)
            .arg(&binary)
            .status()
            .ok()?;
        assert!(copied.success(), "objcopy failed");
        let bytes = fs::read(&binary).expect("the image");
        Some(Ok(bytes.chunks_exact(4).map(|w| u32::from_be_bytes(w.try_into().unwrap())).collect::<Vec<_>>()))
    };
    let all: Vec<_> = lines.iter().map(Some).collect();
    match assemble(&all)? {
        Ok(words) => Some(words.into_iter().map(Some).collect()),
        Err(refused) => {
            assert!(!refused.is_empty(), "{GNU} failed without naming a line");
            let kept: Vec<_> = all
                .iter()
                .enumerate()
                .map(|(i, l)| if refused.contains(&(i + 1)) { None } else { *l })
                .collect();
            let words =
                assemble(&kept)?.unwrap_or_else(|lines| panic!("{GNU} still refuses lines {lines:?}"));
            Some(kept.iter().zip(words).map(|(l, w)| l.map(|_| w)).collect())
        }
    }
}

/// Names that GNU as gives another meaning, and why ours stands.
fn known_to_differ(line: &str) -> bool {
    // Under -many another processor's registers of the same names win; -m440 alone does not know the names.
    let limits = ["mfdvlim", "mtdvlim", "mfivlim", "mtivlim"].iter().any(|name| line.starts_with(name));
    // -m440 writes mfspr for it; here it is the way to get the instruction of its own (31/371).
    limits || line.starts_with("mftb ") && line.contains(',')
}

fn ours(line: &str, at: u32) -> Option<u32> {
    ppc440_asm::assemble(line, at).ok().and_then(|p| p.words().next())
}

/// Both assemblers' words for the lines; how many lines were compared.
fn compare(lines: &[String]) -> Option<usize> {
    let Some(theirs) = gnu(lines) else {
        eprintln!("skipped: {GNU} is not installed (package binutils-powerpc-linux-gnu)");
        return None;
    };
    assert_eq!(theirs.len(), lines.len());
    let mut compared = 0;
    let mut wrong = vec![];
    for (index, (line, theirs)) in lines.iter().zip(theirs).enumerate() {
        match (ours(line, index as u32 * 4), theirs) {
            (Some(_), Some(_)) if known_to_differ(line) => compared += 1,
            (Some(a), Some(b)) if a == b => compared += 1,
            (Some(a), Some(b)) => wrong.push(format!("{line}: {a:08x}, GNU as {b:08x}")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{} lines differ:\n{}", wrong.len(), wrong.join("\n"));
    Some(compared)
}

fn corpus() -> Vec<String> {
    include_str!("corpus.txt").lines().filter_map(|l| Some(l.split_once(' ')?.1.to_owned())).collect()
}

#[test]
fn the_corpus_assembles_to_the_same_words() {
    let lines = corpus();
    if let Some(compared) = compare(&lines) {
        // GNU as lacks names for sixteen cache and debug SPRs, and takes no CT in `dcbt`.
        assert!(
            lines.len() - compared <= 17,
            "GNU as refuses {} lines of the corpus",
            lines.len() - compared
        );
    }
}

#[test]
fn random_operands_assemble_to_the_same_words() {
    let mut random = 0x1234_5678_9ABC_DEF1_u64;
    let mut next = |below: u32| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) as u32 % below
    };
    let mut lines = vec![];
    for line in corpus().iter().filter(|line| !line.contains("spr")) {
        for _ in 0..8 {
            lines.push(vary(line, &mut next));
        }
    }
    if let Some(compared) = compare(&lines) {
        assert!(compared * 10 > lines.len() * 8, "only {compared} of {} lines were compared", lines.len());
    }
}

/// The line with other registers and other numbers. Branch displacements stay multiples of 4.
fn vary(line: &str, next: &mut impl FnMut(u32) -> u32) -> String {
    let (mnemonic, operands) = line.split_once(' ').unwrap_or((line, ""));
    let mut out = format!("{mnemonic} ");
    let mut rest = operands;
    while let Some(c) = rest.chars().next() {
        let word: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
        if word.is_empty() {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        rest = &rest[word.len()..];
        let digits = |prefix| word.strip_prefix(prefix).is_some_and(|d: &str| d.parse::<u8>().is_ok());
        if digits("cr") {
            out += &format!("cr{}", next(8));
        } else if digits("r") {
            out += &format!("r{}", next(32));
        } else if digits("f") {
            out += &format!("f{}", next(32));
        } else if word.starts_with(|c: char| c.is_ascii_digit()) && word != "4" && !operands.contains('@') {
            let branch = operands.contains('.') || mnemonic.starts_with('b');
            let value = if branch && !mnemonic.starts_with("bc") && !operands.contains(", 4*") {
                next(0x800) * 4
            } else {
                next(32)
            };
            out += &value.to_string();
        } else {
            out += &word;
        }
    }
    out
}
