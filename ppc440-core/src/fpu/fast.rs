//! The fast path: ordinary operands, that is zeros and normal numbers, in 64- and 128-bit integer arithmetic.
//!
//! Each function returns the value rounded to odd with 64 bits, for [`super::round`] to finish; that yields FI
//! and FR for free and serves all four rounding modes and both precisions. Integers rather than the host's own
//! floating point: the exact error of a host product is out of reach in `core` (it has no fused multiply-add),
//! and single precision would be rounded twice.

use super::round::{Unrounded, shift_right_sticky};

/// Whether the fast path takes this operand: a zero or a normal number.
#[inline]
pub(super) fn is_ordinary(image: u64) -> bool {
    (image >> 52 & 0x7FF).wrapping_sub(1) < 0x7FE || image << 1 == 0
}

/// The biased exponent of an image.
#[inline]
fn biased(image: u64) -> i32 {
    (image >> 52 & 0x7FF) as i32
}

/// The 53-bit significand of an ordinary operand, 0 for a zero.
#[inline]
fn significand(image: u64) -> u64 {
    image & 0xF_FFFF_FFFF_FFFF | u64::from(image << 1 != 0) << 52
}

/// `value` or `-value` in two's complement.
#[inline]
fn negate_if(value: u64, negate: bool) -> u64 {
    let mask = u64::from(negate).wrapping_neg();
    (value ^ mask).wrapping_sub(mask)
}

/// `a + b`. The sign of an exact zero sum of two different signs is not determined here.
///
/// Free of branches on the operands, as signs and magnitudes of real programs' operands defy prediction.
#[inline]
pub(super) fn add(a: u64, b: u64) -> Unrounded {
    let swap = a << 1 < b << 1;
    let large = if swap { b } else { a };
    let small = if swap { a } else { b };
    let negative = large >> 63 != 0;
    // One bit is left free above for the carry, ten below for what alignment shifts out. Bits are lost only
    // beyond a distance of ten, where the difference cannot cancel more than one leading bit.
    let upper = significand(large) << 10;
    let lower = shift_right_sticky(significand(small) << 10, (biased(large) - biased(small)) as u32);
    let sum = upper.wrapping_add(negate_if(lower, (a ^ b) >> 63 != 0));
    if sum == 0 {
        return Unrounded::zero(negative);
    }
    let shift = sum.leading_zeros();
    Unrounded { negative, exponent: biased(large) - 1022 - shift as i32, significand: sum << shift }
}

/// `a * c`.
#[inline]
pub(super) fn mul(a: u64, c: u64) -> Unrounded {
    let negative = (a ^ c) >> 63 != 0;
    let product = u128::from(significand(a) << 11) * u128::from(significand(c) << 11);
    let (high, low) = ((product >> 64) as u64, product as u64);
    if high == 0 {
        return Unrounded::zero(negative);
    }
    // The bit that the shift would pull in from the lower half is ten places below the rounding: sticky will do.
    let shift = high.leading_zeros();
    Unrounded {
        negative,
        exponent: biased(a) + biased(c) - 2045 - shift as i32,
        significand: high << shift | u64::from(low != 0),
    }
}

/// `a / b`, `b` not zero.
#[inline]
pub(super) fn div(a: u64, b: u64) -> Unrounded {
    let negative = (a ^ b) >> 63 != 0;
    let (dividend, divisor) = (significand(a), significand(b));
    if dividend == 0 {
        return Unrounded::zero(negative);
    }
    // Shifted so that the quotient has exactly 64 bits.
    let less = u32::from(dividend < divisor);
    let dividend = u128::from(dividend << less) << 63;
    let quotient = (dividend / u128::from(divisor)) as u64;
    let remainder = (dividend as u64).wrapping_sub(quotient.wrapping_mul(divisor));
    Unrounded {
        negative,
        exponent: biased(a) - biased(b) - less as i32,
        significand: quotient | u64::from(remainder != 0),
    }
}

/// `a * c + b`. The sign of an exact zero sum of two different signs is not determined here.
#[inline]
pub(super) fn mul_add(a: u64, c: u64, b: u64) -> Unrounded {
    let product_negative = (a ^ c) >> 63 != 0;
    let unlike = (a ^ b ^ c) >> 63 != 0;
    // Both stand below the carry and the sign; the exponent is that of bit 125. The product has 106 bits, so
    // alignment loses bits only where the sum cannot cancel more than two leading bits.
    let product = (u128::from(significand(a)) * u128::from(significand(c))) << 20;
    let addend = u128::from(significand(b)) << 73;
    if product == 0 {
        // The product's exponent means nothing.
        return Unrounded::from_finite(b);
    }
    let product_exponent = biased(a) + biased(c) - 2045;
    let addend_exponent = if addend == 0 { product_exponent } else { biased(b) - 1023 };
    let swap = product_exponent < addend_exponent;
    let upper = if swap { addend } else { product };
    let lower = if swap { product } else { addend };
    let lower = shift_right_sticky_128(lower, product_exponent.abs_diff(addend_exponent));
    let mask = u128::from(unlike).wrapping_neg();
    let sum = upper.wrapping_add((lower ^ mask).wrapping_sub(mask)) as i128;
    let magnitude = sum.unsigned_abs();
    if magnitude == 0 {
        return Unrounded::zero(product_negative);
    }
    let shift = magnitude.leading_zeros();
    let normalized = magnitude << shift;
    Unrounded {
        negative: product_negative ^ (swap & unlike) ^ (sum < 0),
        exponent: product_exponent.max(addend_exponent) + 2 - shift as i32,
        significand: (normalized >> 64) as u64 | u64::from(normalized as u64 != 0),
    }
}

/// [`shift_right_sticky`] for a value below 2^127.
#[inline]
fn shift_right_sticky_128(value: u128, by: u32) -> u128 {
    let by = by.min(127);
    let kept = value >> by;
    kept | u128::from(kept << by != value)
}
