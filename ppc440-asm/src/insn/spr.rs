//! Special purpose registers of the 440EP by name, and the `mtNAME`/`mfNAME` mnemonics made from them. Numbers:
//! IBM PPC440x5 core manual, register summary. Names are accepted by `mtspr`/`mfspr` too.

use super::{Field, Pattern};

const MFSPR: u32 = 31 << 26 | 339 << 1;
const MTSPR: u32 = 31 << 26 | 467 << 1;

/// Name and number of every SPR except the numbered families in [`FAMILIES`].
const NAMED: [(&str, u32); 45] = [
    ("xer", 1),
    ("lr", 8),
    ("ctr", 9),
    ("dec", 22),
    ("srr0", 26),
    ("srr1", 27),
    ("pid", 48),
    ("decar", 54),
    ("csrr0", 58),
    ("csrr1", 59),
    ("dear", 61),
    ("esr", 62),
    ("ivpr", 63),
    ("usprg0", 256),
    ("tbl", 268),
    ("tbu", 269),
    ("tbl_w", 284),
    ("tbu_w", 285),
    ("pir", 286),
    ("pvr", 287),
    ("dbsr", 304),
    ("dbcr0", 308),
    ("dbcr1", 309),
    ("dbcr2", 310),
    ("dac1", 316),
    ("dac2", 317),
    ("dvc1", 318),
    ("dvc2", 319),
    ("tsr", 336),
    ("tcr", 340),
    ("mcsrr0", 570),
    ("mcsrr1", 571),
    ("mcsr", 572),
    ("ccr1", 888),
    ("dvlim", 920),
    ("ivlim", 921),
    ("rstcfg", 923),
    ("dcdbtrl", 924),
    ("dcdbtrh", 925),
    ("icdbtrl", 926),
    ("icdbtrh", 927),
    ("mmucr", 946),
    ("ccr0", 947),
    ("icdbdr", 979),
    ("dbdr", 1011),
];

/// Families: name, first index, how many, number of the first.
const FAMILIES: [(&str, u32, u32, u32); 8] = [
    ("sprg", 0, 8, 272),
    ("ivor", 0, 16, 400),
    ("iac", 1, 4, 312),
    ("inv", 0, 4, 880),
    ("itv", 0, 4, 884),
    ("dnv", 0, 4, 912),
    ("dtv", 0, 4, 916),
    // User-mode reading numbers of SPRG4-7.
    ("usprg", 4, 4, 260),
];

/// The number of the SPR with this name.
pub(crate) fn by_name(name: &str) -> Option<u32> {
    NAMED.iter().find(|(n, _)| *n == name).map(|(_, number)| *number).or_else(|| {
        FAMILIES.iter().find_map(|(family, first, count, number)| {
            let digits = name.strip_prefix(family)?;
            let index: u32 = digits.parse().ok().filter(|_| !digits.starts_with('+'))?;
            if digits.len() > 1 && digits.starts_with('0') {
                return None;
            }
            let offset = index.checked_sub(*first).filter(|offset| offset < count)?;
            Some(number + offset)
        })
    })
}

/// A 10-bit SPR or DCR number with its halves swapped, in place (bits 11:20).
pub(crate) fn field(number: u32) -> u32 {
    (number & 31) << 16 | (number >> 5 & 31) << 11
}

/// The number of SPRGn. `mfsprg` reads 4-7 under their user-mode numbers, as GNU as has it for Book E.
pub(crate) fn sprg(index: u32, read: bool) -> u32 {
    if read && index >= 4 { 256 + index } else { 272 + index }
}

/// The pattern of `mtNAME` or `mfNAME`, of `mtsprg`/`mfsprg` and of the `mftb` family.
pub(crate) fn pattern(mnemonic: &str, operands: usize) -> Option<Pattern> {
    const REGISTER: &[Field] = &[Field::Gpr(21)];
    let fixed = |word: u32, number: u32| Pattern { word: word | field(number), fields: REGISTER };
    match mnemonic {
        "mtsprg" => {
            const FIELDS: &[Field] = &[Field::Sprg { read: false }, Field::Gpr(21)];
            return Some(Pattern { word: MTSPR, fields: FIELDS });
        }
        "mfsprg" => {
            const FIELDS: &[Field] = &[Field::Gpr(21), Field::Sprg { read: true }];
            return Some(Pattern { word: MFSPR, fields: FIELDS });
        }
        // With a register number `mftb` is the instruction of its own, without one it reads SPR 268, as Book E
        // has it.
        "mftb" if operands < 2 => return Some(fixed(MFSPR, 268)),
        "mttbl" => return Some(fixed(MTSPR, 284)),
        "mttbu" => return Some(fixed(MTSPR, 285)),
        _ => {}
    }
    let (word, name) = if let Some(name) = mnemonic.strip_prefix("mf") {
        (MFSPR, name)
    } else {
        (MTSPR, mnemonic.strip_prefix("mt")?)
    };
    if let Some(index) = name.strip_prefix("sprg").and_then(|n| n.parse().ok()).filter(|n| *n < 8) {
        return Some(fixed(word, sprg(index, word == MFSPR)));
    }
    by_name(name).map(|number| fixed(word, number))
}
