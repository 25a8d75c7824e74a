//! The condition register as translated code keeps it: a 64-bit number for each field, so that a comparison is one
//! subtraction and one store, and most comparisons are never turned into bits.
//!
//! ```text
//! LT  bit 62
//! GT  the number, taken as signed, is above 0
//! EQ  its low 32 bits are 0
//! SO  bit 61 differs from bit 60
//! ```
//! The difference of two words, extended to 64 bits before subtracting, is the outcome of their comparison with SO = 0;
//! for the other outcomes there is [`code`].

/// A number for the field `bits`: LT 8, GT 4, EQ 2, SO 1.
pub(crate) const fn code(bits: u32) -> u64 {
    let mut value = 0;
    if bits & 8 != 0 {
        value |= 1 << 62;
    }
    // Above 0 even if EQ asks for zeros.
    value |= if bits & 4 != 0 { 1 << 32 } else { 1 << 63 };
    if bits & 2 == 0 {
        value |= 1;
    }
    if bits & 1 != 0 {
        value |= 1 << 61;
    }
    value
}

/// The field that a number stands for.
const fn field(value: u64) -> u32 {
    let less = (value >> 62 & 1) as u32;
    let greater = (value as i64 > 0) as u32;
    let equal = (value as u32 == 0) as u32;
    let overflow = ((value >> 61 ^ value >> 60) & 1) as u32;
    less << 3 | greater << 2 | equal << 1 | overflow
}

/// All codes, by field.
pub(crate) const CODES: [u64; 16] = {
    let mut codes = [0; 16];
    let mut bits = 0;
    while bits < 16 {
        codes[bits as usize] = code(bits);
        bits += 1;
    }
    codes
};

/// By the upper four bits of a number, and 16 above them if all of it is 0: the field, as field 0 of the register. For numbers of
/// which not all, but the lower 32 bits are 0 it does not hold.
pub(crate) const FIRST: [u32; 32] = {
    let mut table = [0; 32];
    let mut upper = 0;
    while upper < 16 {
        table[upper as usize] = field(upper << 60 | 1) << 28;
        upper += 1;
    }
    table[16] = field(0) << 28;
    table
};

/// For eight bits, one of each field (field 0 the lowest): the register with each at the end of its field.
pub(crate) const SPREAD: [u32; 256] = {
    let mut table = [0; 256];
    let mut bits = 0;
    while bits < 256 {
        let mut field = 0;
        while field < 8 {
            if bits >> field & 1 != 0 {
                table[bits] |= 1 << (28 - 4 * field);
            }
            field += 1;
        }
        bits += 1;
    }
    table
};

/// The register from the numbers of its fields.
pub(crate) fn pack(fields: &[u64; 8]) -> u32 {
    fields.iter().fold(0, |cr, &value| cr << 4 | field(value))
}

/// The opposite.
pub(crate) fn unpack(cr: u32) -> [u64; 8] {
    core::array::from_fn(|number| CODES[(cr >> (28 - 4 * number) & 15) as usize])
}

/// Whether an instruction's semantics in the core may read or change CR.
pub(crate) fn concerns(word: u32) -> bool {
    let (record, xo) = (word & 1 != 0, word >> 1 & 0x3FF);
    match word >> 26 {
        3 | 7 | 8 | 12 | 14 | 15 | 17 | 18 | 24..=27 | 32..=55 => false,
        // Returns from interrupts, isync
        19 => !matches!(xo, 38 | 50 | 51 | 150),
        // cmp, cmpl, mfcr, mtcrf, mcrxr, isel
        31 => record || matches!(xo, 0 | 32 | 19 | 144 | 512) || xo & 31 == 15,
        4 => record,
        // fcmpu, fcmpo, mcrfs
        59 | 63 => record || matches!(xo, 0 | 32 | 64),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_code() {
        for bits in 0..16 {
            assert_eq!(field(code(bits)), bits);
        }
        assert_eq!(pack(&unpack(0x0123_4567)), 0x0123_4567);
        assert_eq!(pack(&unpack(0x89AB_CDEF)), 0x89AB_CDEF);
    }

    #[test]
    fn a_difference_is_the_outcome_of_the_comparison() {
        let words = [0u32, 1, 2, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, u32::MAX];
        for a in words {
            for b in words {
                let outcome = |order: core::cmp::Ordering| match order {
                    core::cmp::Ordering::Less => 8,
                    core::cmp::Ordering::Greater => 4,
                    core::cmp::Ordering::Equal => 2,
                };
                let signed = i64::from(a as i32) - i64::from(b as i32);
                assert_eq!(field(signed as u64), outcome((a as i32).cmp(&(b as i32))));
                assert_eq!(field(u64::from(a).wrapping_sub(u64::from(b))), outcome(a.cmp(&b)));
            }
        }
    }
}
