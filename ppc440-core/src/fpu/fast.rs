//! The fast path: ordinary operands, that is zeros and normal numbers, in 64- and 128-bit integer arithmetic.
//!
//! Each function returns the value rounded to odd with 64 bits, for [`super::round`] to finish; that yields FI
//! and FR for free and serves all four rounding modes and both precisions. Integers rather than the host's own
//! floating point: the exact error of a host product is out of reach in `core` (it has no fused multiply-add),
//! and single precision would be rounded twice.

use super::exact::high_half_sticky;
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
    let fraction = image & 0xF_FFFF_FFFF_FFFF;
    if image << 1 == 0 { 0 } else { fraction | 1 << 52 }
}

/// `a + b`. The sign of an exact zero sum of two different signs is not determined here.
#[inline]
pub(super) fn add(a: u64, b: u64) -> Unrounded {
    let (large, small) = if a << 1 >= b << 1 { (a, b) } else { (b, a) };
    let negative = large >> 63 != 0;
    // One bit is left free above for the carry, ten below for what alignment shifts out. Bits are lost only
    // beyond a distance of ten, where the difference cannot cancel more than one leading bit.
    let upper = significand(large) << 10;
    let lower = shift_right_sticky(significand(small) << 10, (biased(large) - biased(small)) as u32);
    let sum = if (a ^ b) >> 63 == 0 { upper + lower } else { upper - lower };
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
    if product == 0 {
        return Unrounded::zero(negative);
    }
    let shift = product.leading_zeros();
    Unrounded {
        negative,
        exponent: biased(a) + biased(c) - 2045 - shift as i32,
        significand: high_half_sticky(product << shift),
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
    let dividend = u128::from(dividend) << (63 + less);
    let quotient = (dividend / u128::from(divisor)) as u64;
    let remainder = dividend - u128::from(quotient) * u128::from(divisor);
    Unrounded {
        negative,
        exponent: biased(a) - biased(b) - less as i32,
        significand: quotient | u64::from(remainder != 0),
    }
}

/// [`shift_right_sticky`] for 128 bits.
#[inline]
fn shift_right_sticky_128(value: u128, by: u32) -> u128 {
    if by < 128 {
        value >> by | u128::from(by != 0 && value << (128 - by) != 0)
    } else {
        u128::from(value != 0)
    }
}

/// `a * c + b`. The sign of an exact zero sum of two different signs is not determined here.
#[inline]
pub(super) fn mul_add(a: u64, c: u64, b: u64) -> Unrounded {
    let product_negative = (a ^ c) >> 63 != 0;
    let addend_negative = b >> 63 != 0;
    // Both left-justified but for one bit for the carry; the exponent is that of bit 126. The product has 106
    // bits, so alignment loses bits only where the sum cannot cancel more than two leading bits.
    let product = u128::from(significand(a)) * u128::from(significand(c)) << 21;
    let addend = u128::from(significand(b)) << 74;
    if product == 0 {
        // The product's exponent means nothing.
        return if addend == 0 { Unrounded::zero(addend_negative) } else { Unrounded::from_finite(b) };
    }
    let product_exponent = biased(a) + biased(c) - 2045;
    let addend_exponent = if addend == 0 { product_exponent } else { biased(b) - 1023 };
    let distance = product_exponent - addend_exponent;
    let (product, addend, exponent) = if distance >= 0 {
        (product, shift_right_sticky_128(addend, distance as u32), product_exponent)
    } else {
        (shift_right_sticky_128(product, -distance as u32), addend, addend_exponent)
    };
    let (negative, sum) = if product_negative == addend_negative {
        (product_negative, product + addend)
    } else if product >= addend {
        (product_negative, product - addend)
    } else {
        (addend_negative, addend - product)
    };
    if sum == 0 {
        return Unrounded::zero(negative);
    }
    let shift = sum.leading_zeros();
    Unrounded { negative, exponent: exponent + 1 - shift as i32, significand: high_half_sticky(sum << shift) }
}
