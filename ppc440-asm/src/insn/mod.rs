//! Mnemonics to instruction words: find the pattern of a mnemonic ([`table`] for the regular ones, [`branch`] and
//! [`spr`] for the families whose names are composed), then put each operand into its field.

mod branch;
mod field;
mod spr;
mod table;

use alloc::format;
use alloc::string::ToString;

use crate::ErrorKind;
use crate::expr::{Operand, Scope};

pub(crate) use field::Field;

/// An instruction's fixed bits and what its operands fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) word: u32,
    pub(crate) fields: &'static [Field],
}

/// The pattern of `mnemonic` that takes `operands` operands, or None if there is no such mnemonic at all.
pub(crate) fn lookup(mnemonic: &str, operands: usize) -> Option<Result<Pattern, ErrorKind>> {
    let mut wanted: Option<(usize, usize)> = None;
    for pattern in
        table::patterns(mnemonic).chain(branch::pattern(mnemonic)).chain(spr::pattern(mnemonic, operands))
    {
        let most = pattern.fields.iter().map(|f| f.operands().1).sum();
        let least = pattern.fields.iter().map(|f| f.operands().0).sum();
        if (least..=most).contains(&operands) {
            return Some(Ok(pattern));
        }
        wanted = Some(wanted.map_or((least, most), |(a, b)| (a.min(least), b.max(most))));
    }
    let (least, most) = wanted?;
    let expected = if least == most { least.to_string() } else { format!("{least} to {most}") };
    Some(Err(ErrorKind::OperandCount { mnemonic: mnemonic.to_string(), expected, found: operands }))
}

/// The instruction word at address `at`.
pub(crate) fn encode(
    pattern: &Pattern,
    operands: &[Operand],
    at: u32,
    scope: &dyn Scope,
) -> Result<u32, ErrorKind> {
    let most: usize = pattern.fields.iter().map(|f| f.operands().1).sum();
    // How many optional operands were written; they are taken from the left.
    let mut optional = operands.len() - pattern.fields.iter().map(|f| f.operands().0).sum::<usize>();
    debug_assert!(operands.len() <= most);
    let mut word = pattern.word;
    let mut next = 0;
    for field in pattern.fields {
        let (least, most) = field.operands();
        let extra = optional.min(most - least);
        optional -= extra;
        let taken = least + extra;
        let given = &operands[next..next + taken];
        word = field.insert(word, given, next + 1, at, scope)?;
        next += taken;
    }
    Ok(word)
}
