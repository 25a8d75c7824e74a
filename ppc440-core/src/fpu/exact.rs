//! The careful path: any finite operands, computed by `rustc_apfloat` in IEEE quadruple precision.
//!
//! Quadruple precision holds every double exactly and has exponents to spare, so no operation over- or
//! underflows in it. Rounding toward zero and keeping "inexact" as a sticky lowest bit is rounding to odd with
//! 113 bits, from which a second rounding to 53 or 24 bits is exact. It serves denormal operands,
//! and it is the oracle for [`super::fast`].

use super::round::Unrounded;
use rustc_apfloat::{Float, FloatConvert, Round, Status, StatusAnd, ieee};

/// The quadruple with the same value as a finite FPR image.
fn quad(image: u64) -> ieee::Quad {
    let mut loses_info = false;
    ieee::Double::from_bits(u128::from(image)).convert(&mut loses_info).value
}

/// A finite result that was rounded toward zero, with the inexact status as its sticky bit.
fn unrounded(result: StatusAnd<ieee::Quad>) -> Unrounded {
    let bits = result.value.to_bits();
    let negative = bits >> 127 != 0;
    let biased = (bits >> 112 & 0x7FFF) as i32;
    if biased == 0 {
        return Unrounded::zero(negative);
    }
    let significand = bits << 15 | 1 << 127;
    let sticky = significand as u64 != 0 || result.status.contains(Status::INEXACT);
    Unrounded {
        negative,
        exponent: biased - 16383,
        significand: (significand >> 64) as u64 | u64::from(sticky),
    }
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
