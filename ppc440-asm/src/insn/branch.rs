//! Branch mnemonics, whose names are composed: `b`, a condition or a counter test, `lr` or `ctr`, `l` for link,
//! `a` for an absolute target and `+` or `-` for a static prediction.

use super::{Field, Pattern};

const BC: u32 = 16 << 26;
const BCLR: u32 = 19 << 26 | 16 << 1;
const BCCTR: u32 = 19 << 26 | 528 << 1;

/// The pattern of a branch mnemonic.
pub(crate) fn pattern(mnemonic: &str) -> Option<Pattern> {
    let (plain, hint) = match mnemonic.strip_suffix(['+', '-']) {
        Some(plain) => (plain, Some(mnemonic.ends_with('+'))),
        None => (mnemonic, None),
    };
    let rest = plain.strip_prefix('b')?;
    unconditional(rest).filter(|_| hint.is_none()).or_else(|| conditional(rest, hint))
}

fn unconditional(rest: &str) -> Option<Pattern> {
    const TARGET: &[Field] = &[Field::Target24(false)];
    const ABSOLUTE: &[Field] = &[Field::Target24(true)];
    const BO_BI: &[Field] =
        &[Field::Unsigned { shift: 21, bits: 5 }, Field::CrBit(16), Field::Target14(false)];
    const BO_BI_ABSOLUTE: &[Field] =
        &[Field::Unsigned { shift: 21, bits: 5 }, Field::CrBit(16), Field::Target14(true)];
    const BO_BI_ONLY: &[Field] = &[Field::Unsigned { shift: 21, bits: 5 }, Field::CrBit(16)];
    const ALWAYS: u32 = 20 << 21;
    let (word, fields): (u32, &'static [Field]) = match rest {
        "" => (18 << 26, TARGET),
        "l" => (18 << 26 | 1, TARGET),
        "a" => (18 << 26 | 2, ABSOLUTE),
        "la" => (18 << 26 | 3, ABSOLUTE),
        "lr" => (BCLR | ALWAYS, &[]),
        "lrl" => (BCLR | ALWAYS | 1, &[]),
        "ctr" => (BCCTR | ALWAYS, &[]),
        "ctrl" => (BCCTR | ALWAYS | 1, &[]),
        "c" => (BC, BO_BI),
        "cl" => (BC | 1, BO_BI),
        "ca" => (BC | 2, BO_BI_ABSOLUTE),
        "cla" => (BC | 3, BO_BI_ABSOLUTE),
        "clr" => (BCLR, BO_BI_ONLY),
        "clrl" => (BCLR | 1, BO_BI_ONLY),
        "cctr" => (BCCTR, BO_BI_ONLY),
        "cctrl" => (BCCTR | 1, BO_BI_ONLY),
        _ => return None,
    };
    Some(Pattern { word, fields })
}

/// What is tested: BO without its prediction bit, the CR bit inside its field if the name gives one, and whether
/// a CR bit is an operand.
struct Test {
    bo: u32,
    bit: Option<u32>,
    bit_operand: bool,
}

const IF_SET: u32 = 12;
const IF_CLEAR: u32 = 4;

/// Splits `rest` into a test and what follows; longer names first where one begins another.
fn test(rest: &str) -> Option<(Test, &str)> {
    // The bit inside the CR field; `t` and `f` take a CR bit as operand instead.
    const CONDITIONS: [(&str, u32, Option<u32>); 14] = [
        ("lt", IF_SET, Some(0)),
        ("gt", IF_SET, Some(1)),
        ("eq", IF_SET, Some(2)),
        ("so", IF_SET, Some(3)),
        ("un", IF_SET, Some(3)),
        ("le", IF_CLEAR, Some(1)),
        ("ge", IF_CLEAR, Some(0)),
        ("nl", IF_CLEAR, Some(0)),
        ("ng", IF_CLEAR, Some(1)),
        ("ne", IF_CLEAR, Some(2)),
        ("ns", IF_CLEAR, Some(3)),
        ("nu", IF_CLEAR, Some(3)),
        ("t", IF_SET, None),
        ("f", IF_CLEAR, None),
    ];
    const COUNTERS: [(&str, u32, bool); 6] = [
        ("dnzt", 8, true),
        ("dnzf", 0, true),
        ("dnz", 16, false),
        ("dzt", 10, true),
        ("dzf", 2, true),
        ("dz", 18, false),
    ];
    for (name, bo, bit_operand) in COUNTERS {
        if let Some(after) = rest.strip_prefix(name) {
            return Some((Test { bo, bit: None, bit_operand }, after));
        }
    }
    CONDITIONS.iter().find_map(|(name, bo, bit)| {
        let after = rest.strip_prefix(name)?;
        Some((Test { bo: *bo, bit: *bit, bit_operand: bit.is_none() }, after))
    })
}

fn conditional(rest: &str, hint: Option<bool>) -> Option<Pattern> {
    let (test, suffix) = test(rest)?;
    let word = test.bo << 21 | test.bit.unwrap_or(0) << 16;
    let (kind, link, absolute) = match suffix {
        "" => (BC, 0, false),
        "l" => (BC, 1, false),
        "a" => (BC, 2, true),
        "la" => (BC, 3, true),
        "lr" => (BCLR, 0, false),
        "lrl" => (BCLR, 1, false),
        // A counter test cannot branch to the counter.
        "ctr" if test.bo & 4 != 0 => (BCCTR, 0, false),
        "ctrl" if test.bo & 4 != 0 => (BCCTR, 1, false),
        _ => return None,
    };
    let mut word = word | kind | link;
    let to_target = kind == BC;
    if !to_target && hint == Some(true) {
        word |= 1 << 21;
    }
    let fields: &'static [Field] = match (test.bit.is_some(), test.bit_operand, to_target, absolute, hint) {
        (true, _, false, ..) => &[Field::CrOptional(18)],
        (_, true, false, ..) => &[Field::CrBit(16)],
        (_, _, false, ..) => &[],
        (_, _, true, true, Some(_)) => return None,
        (true, _, true, true, None) => &[Field::CrOptional(18), Field::Target14(true)],
        (true, _, true, false, None) => &[Field::CrOptional(18), Field::Target14(false)],
        (true, _, true, false, Some(true)) => &[Field::CrOptional(18), Field::TargetHint(true)],
        (true, _, true, false, Some(false)) => &[Field::CrOptional(18), Field::TargetHint(false)],
        (_, true, true, true, None) => &[Field::CrBit(16), Field::Target14(true)],
        (_, true, true, false, None) => &[Field::CrBit(16), Field::Target14(false)],
        (_, true, true, false, Some(true)) => &[Field::CrBit(16), Field::TargetHint(true)],
        (_, true, true, false, Some(false)) => &[Field::CrBit(16), Field::TargetHint(false)],
        (_, _, true, true, None) => &[Field::Target14(true)],
        (_, _, true, false, None) => &[Field::Target14(false)],
        (_, _, true, false, Some(true)) => &[Field::TargetHint(true)],
        (_, _, true, false, Some(false)) => &[Field::TargetHint(false)],
    };
    Some(Pattern { word, fields })
}
