//! Moves, select, compares and the conversion to an integer word. Book I, "Floating-Point Move Instructions",
//! "Floating-Point Select", "Floating-Point Compare Instructions" and "Floating-Point Rounding and Conversion
//! Instructions".

use super::arith::{is_nan, is_snan};
use super::fpscr::{Fpscr, Rounding};
use super::round::{Unrounded, round_to_integer};
use super::{Comparison, Outcome, UNDEFINED_HIGH};

const SIGN: u64 = 1 << 63;

/// `fmr`: B, bit for bit. No move touches the FPSCR or quiets a NaN.
#[inline]
#[must_use]
pub fn fmr(b: u64) -> u64 {
    b
}

/// `fneg`: B with the sign inverted.
#[inline]
#[must_use]
pub fn fneg(b: u64) -> u64 {
    b ^ SIGN
}

/// `fabs`: B with the sign cleared.
#[inline]
#[must_use]
pub fn fabs(b: u64) -> u64 {
    b & !SIGN
}

/// `fnabs`: B with the sign set.
#[inline]
#[must_use]
pub fn fnabs(b: u64) -> u64 {
    b | SIGN
}

/// `fsel`: C if A is at least zero (of either sign), else B, also if A is a NaN. The FPSCR is not touched.
#[inline]
#[must_use]
pub fn fsel(a: u64, c: u64, b: u64) -> u64 {
    let at_least_zero = !is_nan(a) && (a & SIGN == 0 || a == SIGN);
    if at_least_zero { c } else { b }
}

/// The relation of `a` to `b` as a CR field.
#[inline]
fn relation(a: u64, b: u64) -> u32 {
    if is_nan(a) || is_nan(b) {
        return 1;
    }
    // As signed integers with the magnitude's order reversed for negatives; both zeros become 0.
    let key = |image: u64| {
        let magnitude = (image & !SIGN) as i64;
        if image & SIGN != 0 { -magnitude } else { magnitude }
    };
    match key(a).cmp(&key(b)) {
        core::cmp::Ordering::Less => 8,
        core::cmp::Ordering::Greater => 4,
        core::cmp::Ordering::Equal => 2,
    }
}

/// The part that both compares share: FPCC is written even if the exception is enabled, FPRF\[C\] is kept.
#[inline]
fn compared(fpscr: Fpscr, cr: u32, causes: u32) -> Comparison {
    Comparison { cr, fpscr: fpscr.replaced(Fpscr::FPCC, cr << 12).with_exceptions(causes) }
}

/// `fcmpu`: compares A with B; a signalling NaN sets VXSNAN.
#[inline]
#[must_use]
pub fn fcmpu(fpscr: Fpscr, a: u64, b: u64) -> Comparison {
    let causes = if is_snan(a) || is_snan(b) { Fpscr::VXSNAN } else { 0 };
    compared(fpscr, relation(a, b), causes)
}

/// `fcmpo`: compares A with B; a signalling NaN sets VXSNAN and, unless VE is set, VXVC; a quiet NaN sets VXVC.
#[inline]
#[must_use]
pub fn fcmpo(fpscr: Fpscr, a: u64, b: u64) -> Comparison {
    let causes = if is_snan(a) || is_snan(b) {
        if fpscr.any(Fpscr::VE) { Fpscr::VXSNAN } else { Fpscr::VXSNAN | Fpscr::VXVC }
    } else if is_nan(a) || is_nan(b) {
        Fpscr::VXVC
    } else {
        0
    };
    compared(fpscr, relation(a, b), causes)
}

/// `fctiw`: B as a 32-bit signed integer in the low word, rounded as FPSCR\[RN\] says.
///
/// Out of range: `0x7FFF_FFFF` or `0x8000_0000` (also for a NaN) with VXCVI.
#[must_use]
pub fn fctiw(fpscr: Fpscr, b: u64) -> Outcome {
    convert_to_word(fpscr, b, fpscr.rounding())
}

/// `fctiwz`: as [`fctiw`], rounded toward zero.
#[must_use]
pub fn fctiwz(fpscr: Fpscr, b: u64) -> Outcome {
    convert_to_word(fpscr, b, Rounding::Zero)
}

fn convert_to_word(fpscr: Fpscr, b: u64, rounding: Rounding) -> Outcome {
    let negative = b & SIGN != 0;
    let cleared = fpscr.replaced(Fpscr::FR | Fpscr::FI, 0);
    let invalid = |causes: u32, word: u32| {
        let result = if fpscr.any(Fpscr::VE) { None } else { Some(UNDEFINED_HIGH | u64::from(word)) };
        Outcome { result, fpscr: cleared.with_exceptions(causes) }
    };
    if is_nan(b) {
        let snan = if is_snan(b) { Fpscr::VXSNAN } else { 0 };
        return invalid(snan | Fpscr::VXCVI, 0x8000_0000);
    }
    let saturated = if negative { 0x8000_0000 } else { 0x7FFF_FFFF };
    // Covers the infinities, and keeps the shift below in range.
    if b >> 52 & 0x7FF >= 1023 + 32 {
        return invalid(Fpscr::VXCVI, saturated);
    }
    let (magnitude, status) = round_to_integer(Unrounded::from_finite(b), rounding);
    if magnitude > 0x7FFF_FFFF + u64::from(negative) {
        return invalid(Fpscr::VXCVI, saturated);
    }
    let word = if negative { (magnitude as u32).wrapping_neg() } else { magnitude as u32 };
    let fpscr = cleared.replaced(Fpscr::FR | Fpscr::FI, status).with_exceptions(status & Fpscr::XX);
    Outcome { result: Some(UNDEFINED_HIGH | u64::from(word)), fpscr }
}
