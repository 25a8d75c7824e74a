//! The careful path: any finite operands, computed by `rustc_apfloat` in IEEE quadruple precision.
//!
//! Quadruple precision holds every double exactly and has exponents to spare, so no operation over- or
//! underflows in it. Rounding toward zero and keeping "inexact" as a sticky lowest bit is rounding to odd with
//! 113 bits, from which a second rounding to 53 or 24 bits is exact. It serves denormal operands and the
//! reciprocal square root, and it is the oracle for [`super::fast`].

use super::round::Unrounded;
use rustc_apfloat::{Float, FloatConvert, Round, Status, StatusAnd, ieee};

/// The quadruple with the same value as a finite FPR image.
fn quad(image: u64) -> ieee::Quad {
    let mut loses_info = false;
    ieee::Double::from_bits(u128::from(image)).convert(&mut loses_info).value
}

/// The sign, exponent and 113-bit significand (at the top of the `u128`) of a non-zero finite quadruple, with the
/// inexact status as a sticky bit 0. A significand of 0 means zero.
fn unpack(result: StatusAnd<ieee::Quad>) -> (bool, i32, u128) {
    let bits = result.value.to_bits();
    let negative = bits >> 127 != 0;
    let biased = (bits >> 112 & 0x7FFF) as i32;
    if biased == 0 {
        return (negative, 0, 0);
    }
    let significand = (bits << 15) | 1 << 127;
    let sticky = u128::from(result.status.contains(Status::INEXACT));
    (negative, biased - 16383, significand | sticky)
}

/// The upper half of a left-justified significand, the lower half as a sticky bit.
pub(super) fn high_half_sticky(significand: u128) -> u64 {
    (significand >> 64) as u64 | u64::from(significand as u64 != 0)
}

fn unrounded(result: StatusAnd<ieee::Quad>) -> Unrounded {
    let (negative, exponent, significand) = unpack(result);
    Unrounded { negative, exponent, significand: high_half_sticky(significand) }
}

/// `a + b`. The sign of an exact zero sum of two different signs is not determined here.
pub(super) fn add(a: u64, b: u64) -> Unrounded {
    unrounded(quad(a).add_r(quad(b), Round::TowardZero))
}

/// `a * c`.
pub(super) fn mul(a: u64, c: u64) -> Unrounded {
    unrounded(quad(a).mul_r(quad(c), Round::TowardZero))
}

/// `a / b`, `b` not zero.
pub(super) fn div(a: u64, b: u64) -> Unrounded {
    unrounded(quad(a).div_r(quad(b), Round::TowardZero))
}

/// `a * c + b`. The sign of an exact zero sum of two different signs is not determined here.
pub(super) fn mul_add(a: u64, c: u64, b: u64) -> Unrounded {
    unrounded(quad(a).mul_add_r(quad(c), quad(b), Round::TowardZero))
}

/// `1 / sqrt(b)` for a positive `b`.
///
/// floor(sqrt(floor(y))) = floor(sqrt(y)), so the root of the truncated reciprocal is the truncated root.
pub(super) fn reciprocal_sqrt(b: u64) -> Unrounded {
    let (_, exponent, significand) = unpack(quad(0x3FF0_0000_0000_0000).div_r(quad(b), Round::TowardZero));
    sqrt_of(exponent, significand)
}

/// The square root of a positive `b`.
pub(super) fn sqrt(b: u64) -> Unrounded {
    let b = Unrounded::from_finite(b);
    sqrt_of(b.exponent, u128::from(b.significand) << 64)
}

/// The square root of `significand / 2^127 * 2^exponent`, to 63 or 64 bits and a sticky one.
fn sqrt_of(exponent: i32, significand: u128) -> Unrounded {
    // An odd exponent keeps 2^127 in the radicand, an even one gives a bit away to be the square of 2^63.
    let radicand = if exponent & 1 == 0 { significand >> 1 } else { significand };
    let root = radicand.isqrt();
    let sticky = u64::from(root * root != radicand || radicand << (exponent & 1 ^ 1) != significand);
    Unrounded { negative: false, exponent: exponent >> 1, significand: root as u64 | sticky }
}
