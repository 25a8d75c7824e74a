//! Arithmetic: add, subtract, multiply, divide, square root, the fused forms, the estimates, and rounding to
//! single precision. Book I, "Floating-Point Arithmetic Instructions", "Floating-Point Rounding and Conversion
//! Instructions" and "Invalid Operation Exception".

use super::fpscr::{Fpclass, Fpscr, Rounding};
use super::round::{Double, Format, Rounded, Single, Unrounded, round};
use super::{DEFAULT_QNAN, Outcome, exact, fast, root};

const SIGN: u64 = 1 << 63;
const INFINITY: u64 = 0x7FF << 52;
const QUIET: u64 = 1 << 51;
const ONE: u64 = 0x3FF << 52;

#[inline]
pub(super) fn is_nan(image: u64) -> bool {
    image & !SIGN > INFINITY
}

#[inline]
pub(super) fn is_snan(image: u64) -> bool {
    is_nan(image) && image & QUIET == 0
}

#[inline]
fn is_infinite(image: u64) -> bool {
    image & !SIGN == INFINITY
}

#[inline]
fn is_zero(image: u64) -> bool {
    image & !SIGN == 0
}

#[inline]
fn is_negative(image: u64) -> bool {
    image & SIGN != 0
}

/// The bits that every arithmetic result replaces.
const RESULT_BITS: u32 = Fpscr::FR | Fpscr::FI | Fpscr::FPRF;

/// A rounded result enters the FPR and the FPSCR.
#[inline]
fn deliver(fpscr: Fpscr, rounded: Rounded) -> Outcome {
    let causes = rounded.status & Fpscr::EXCEPTIONS;
    let fpscr = fpscr.replaced(RESULT_BITS, rounded.status).with_exceptions(causes);
    Outcome { result: Some(rounded.image), fpscr }
}

/// Rounds and delivers, with the sign of an exact zero sum of unlike signs decided by the rounding mode.
#[inline]
fn deliver_sum<F: Format>(fpscr: Fpscr, mut sum: Unrounded, unlike: bool, negate: bool) -> Outcome {
    if sum.significand == 0 && unlike {
        sum.negative = fpscr.rounding() == Rounding::MinusInfinity;
    }
    deliver(fpscr, round::<F>(sum, fpscr, negate))
}

/// An exact infinity as a result.
fn deliver_infinity(fpscr: Fpscr, negative: bool) -> Outcome {
    let class = if negative { Fpclass::NegInfinity } else { Fpclass::PosInfinity };
    let image = if negative { SIGN | INFINITY } else { INFINITY };
    deliver(fpscr, Rounded { image, status: (class as u32) << 12 })
}

/// A NaN as a result, with the invalid-operation causes that led to it (none if it comes from a quiet operand).
/// An enabled invalid operation leaves the target and FPRF alone.
fn deliver_nan(fpscr: Fpscr, causes: u32, nan: u64) -> Outcome {
    if causes != 0 && fpscr.any(Fpscr::VE) {
        return suppressed(fpscr, causes);
    }
    deliver(fpscr, Rounded { image: nan, status: causes | (Fpclass::QuietNan as u32) << 12 })
}

/// An enabled invalid operation or zero divide: no result, FR and FI cleared, FPRF kept.
fn suppressed(fpscr: Fpscr, causes: u32) -> Outcome {
    Outcome { result: None, fpscr: fpscr.replaced(Fpscr::FR | Fpscr::FI, 0).with_exceptions(causes) }
}

/// A zero divide with a quotient of the given sign.
fn deliver_zero_divide(fpscr: Fpscr, negative: bool) -> Outcome {
    if fpscr.any(Fpscr::ZE) {
        return suppressed(fpscr, Fpscr::ZX);
    }
    let outcome = deliver_infinity(fpscr, negative);
    Outcome { fpscr: outcome.fpscr.with_exceptions(Fpscr::ZX), ..outcome }
}

/// The NaN that the operands determine, quieted, and VXSNAN if any of them is signalling; `None` without a NaN.
/// Operands are given in the order in which the architecture prefers them: A, B, C.
fn operand_nan<F: Format>(operands: &[u64]) -> Option<(u64, u32)> {
    let nan = operands.iter().copied().find(|&image| is_nan(image))?;
    let causes = if operands.iter().any(|&image| is_snan(image)) { Fpscr::VXSNAN } else { 0 };
    Some(((nan | QUIET) & F::NAN_MASK, causes))
}

/// `a + b`.
#[inline]
fn add<F: Format>(fpscr: Fpscr, a: u64, b: u64) -> Outcome {
    if fast::is_ordinary(a) && fast::is_ordinary(b) {
        return deliver_sum::<F>(fpscr, fast::add(a, b), is_negative(a ^ b), false);
    }
    add_unusual::<F>(fpscr, a, b, b)
}

/// [`add`] with a NaN, an infinity or a denormal among the operands. `nan_b` is B as the instruction names it:
/// a subtraction does not negate a NaN.
#[cold]
fn add_unusual<F: Format>(fpscr: Fpscr, a: u64, b: u64, nan_b: u64) -> Outcome {
    if let Some((nan, causes)) = operand_nan::<F>(&[a, nan_b]) {
        return deliver_nan(fpscr, causes, nan);
    }
    match (is_infinite(a), is_infinite(b)) {
        (true, true) if a != b => deliver_nan(fpscr, Fpscr::VXISI, DEFAULT_QNAN),
        (true, _) => deliver_infinity(fpscr, is_negative(a)),
        (_, true) => deliver_infinity(fpscr, is_negative(b)),
        _ => deliver_sum::<F>(fpscr, exact::add(a, b), is_negative(a ^ b), false),
    }
}

/// `a - b`.
#[inline]
fn sub<F: Format>(fpscr: Fpscr, a: u64, b: u64) -> Outcome {
    let negated = b ^ SIGN;
    if fast::is_ordinary(a) && fast::is_ordinary(b) {
        return deliver_sum::<F>(fpscr, fast::add(a, negated), is_negative(a ^ negated), false);
    }
    add_unusual::<F>(fpscr, a, negated, b)
}

/// `a * c`.
#[inline]
fn mul<F: Format>(fpscr: Fpscr, a: u64, c: u64) -> Outcome {
    if fast::is_ordinary(a) && fast::is_ordinary(c) {
        return deliver(fpscr, round::<F>(fast::mul(a, c), fpscr, false));
    }
    mul_unusual::<F>(fpscr, a, c)
}

#[cold]
fn mul_unusual<F: Format>(fpscr: Fpscr, a: u64, c: u64) -> Outcome {
    if let Some((nan, causes)) = operand_nan::<F>(&[a, c]) {
        return deliver_nan(fpscr, causes, nan);
    }
    if is_infinite(a) || is_infinite(c) {
        if is_zero(a) || is_zero(c) {
            return deliver_nan(fpscr, Fpscr::VXIMZ, DEFAULT_QNAN);
        }
        return deliver_infinity(fpscr, is_negative(a ^ c));
    }
    deliver(fpscr, round::<F>(exact::mul(a, c), fpscr, false))
}

/// `a / b`.
#[inline]
fn div<F: Format>(fpscr: Fpscr, a: u64, b: u64) -> Outcome {
    if fast::is_ordinary(a) && fast::is_ordinary(b) && !is_zero(b) {
        return deliver(fpscr, round::<F>(fast::div(a, b), fpscr, false));
    }
    div_unusual::<F>(fpscr, a, b)
}

#[cold]
fn div_unusual<F: Format>(fpscr: Fpscr, a: u64, b: u64) -> Outcome {
    if let Some((nan, causes)) = operand_nan::<F>(&[a, b]) {
        return deliver_nan(fpscr, causes, nan);
    }
    let negative = is_negative(a ^ b);
    match (is_infinite(a), is_infinite(b)) {
        (true, true) => deliver_nan(fpscr, Fpscr::VXIDI, DEFAULT_QNAN),
        (true, false) => deliver_infinity(fpscr, negative),
        (false, true) => deliver(fpscr, round::<F>(Unrounded::zero(negative), fpscr, false)),
        (false, false) if is_zero(b) && is_zero(a) => deliver_nan(fpscr, Fpscr::VXZDZ, DEFAULT_QNAN),
        (false, false) if is_zero(b) => deliver_zero_divide(fpscr, negative),
        (false, false) => deliver(fpscr, round::<F>(exact::div(a, b), fpscr, false)),
    }
}

/// Which of the four fused forms.
#[derive(Clone, Copy)]
struct Fused {
    /// B is subtracted.
    subtract: bool,
    /// The rounded result is negated, unless it is a NaN.
    negate: bool,
}

const MADD: Fused = Fused { subtract: false, negate: false };
const MSUB: Fused = Fused { subtract: true, negate: false };
const NMADD: Fused = Fused { subtract: false, negate: true };
const NMSUB: Fused = Fused { subtract: true, negate: true };

/// `a * c + b` and its relatives, rounded once.
#[inline]
fn fused<F: Format>(fpscr: Fpscr, a: u64, c: u64, b: u64, form: Fused) -> Outcome {
    if fast::is_ordinary(a) && fast::is_ordinary(b) && fast::is_ordinary(c) {
        let b = if form.subtract { b ^ SIGN } else { b };
        let unlike = is_negative(a ^ b ^ c);
        return deliver_sum::<F>(fpscr, fast::mul_add(a, c, b), unlike, form.negate);
    }
    fused_unusual::<F>(fpscr, a, c, b, form)
}

#[cold]
fn fused_unusual<F: Format>(fpscr: Fpscr, a: u64, c: u64, b: u64, form: Fused) -> Outcome {
    // ∞ × 0 is noted even if B is a NaN; B is then the result nevertheless.
    let infinite_by_zero = is_infinite(a) && is_zero(c) || is_zero(a) && is_infinite(c);
    let imz = if infinite_by_zero { Fpscr::VXIMZ } else { 0 };
    if let Some((nan, causes)) = operand_nan::<F>(&[a, b, c]) {
        return deliver_nan(fpscr, causes | imz, nan);
    }
    if infinite_by_zero {
        return deliver_nan(fpscr, imz, DEFAULT_QNAN);
    }
    let b = if form.subtract { b ^ SIGN } else { b };
    let unlike = is_negative(a ^ b ^ c);
    let product_negative = is_negative(a ^ c);
    match (is_infinite(a) || is_infinite(c), is_infinite(b)) {
        (true, true) if unlike => deliver_nan(fpscr, Fpscr::VXISI, DEFAULT_QNAN),
        (true, _) => deliver_infinity(fpscr, product_negative ^ form.negate),
        (_, true) => deliver_infinity(fpscr, is_negative(b) ^ form.negate),
        _ => deliver_sum::<F>(fpscr, exact::mul_add(a, c, b), unlike, form.negate),
    }
}

/// The square root of `b`.
fn sqrt<F: Format>(fpscr: Fpscr, b: u64) -> Outcome {
    if let Some((nan, causes)) = operand_nan::<F>(&[b]) {
        return deliver_nan(fpscr, causes, nan);
    }
    if is_zero(b) {
        return deliver(fpscr, round::<F>(Unrounded::zero(is_negative(b)), fpscr, false));
    }
    if is_negative(b) {
        return deliver_nan(fpscr, Fpscr::VXSQRT, DEFAULT_QNAN);
    }
    if is_infinite(b) {
        return deliver_infinity(fpscr, false);
    }
    deliver(fpscr, round::<F>(root::sqrt(b), fpscr, false))
}

macro_rules! two_operands {
    ($($double:ident $single:ident $operation:ident $what:literal;)*) => {$(
        #[doc = concat!("`", stringify!($double), "`: ", $what, ", rounded to double precision.")]
        #[inline]
        #[must_use]
        pub fn $double(fpscr: Fpscr, a: u64, b: u64) -> Outcome {
            $operation::<Double>(fpscr, a, b)
        }

        #[doc = concat!("`", stringify!($single), "`: ", $what, ", rounded to single precision.")]
        #[inline]
        #[must_use]
        pub fn $single(fpscr: Fpscr, a: u64, b: u64) -> Outcome {
            $operation::<Single>(fpscr, a, b)
        }
    )*};
}

two_operands! {
    fadd fadds add "A + B";
    fsub fsubs sub "A − B";
    fmul fmuls mul "A × C (the second operand is FRC)";
    fdiv fdivs div "A ÷ B";
}

macro_rules! fused {
    ($($double:ident $single:ident $form:ident $what:literal;)*) => {$(
        #[doc = concat!("`", stringify!($double), "`: ", $what, ", rounded once to double precision.")]
        #[inline]
        #[must_use]
        pub fn $double(fpscr: Fpscr, a: u64, c: u64, b: u64) -> Outcome {
            fused::<Double>(fpscr, a, c, b, $form)
        }

        #[doc = concat!("`", stringify!($single), "`: ", $what, ", rounded once to single precision.")]
        #[inline]
        #[must_use]
        pub fn $single(fpscr: Fpscr, a: u64, c: u64, b: u64) -> Outcome {
            fused::<Single>(fpscr, a, c, b, $form)
        }
    )*};
}

fused! {
    fmadd fmadds MADD "A × C + B";
    fmsub fmsubs MSUB "A × C − B";
    fnmadd fnmadds NMADD "−(A × C + B)";
    fnmsub fnmsubs NMSUB "−(A × C − B)";
}

/// `fsqrt`: √B, rounded to double precision.
#[must_use]
pub fn fsqrt(fpscr: Fpscr, b: u64) -> Outcome {
    sqrt::<Double>(fpscr, b)
}

/// `fsqrts`: √B, rounded to single precision.
#[must_use]
pub fn fsqrts(fpscr: Fpscr, b: u64) -> Outcome {
    sqrt::<Single>(fpscr, b)
}

/// `frsp`: B rounded to single precision.
#[must_use]
pub fn frsp(fpscr: Fpscr, b: u64) -> Outcome {
    if let Some((nan, causes)) = operand_nan::<Single>(&[b]) {
        return deliver_nan(fpscr, causes, nan);
    }
    if is_infinite(b) {
        return deliver_infinity(fpscr, is_negative(b));
    }
    deliver(fpscr, round::<Single>(Unrounded::from_finite(b), fpscr, false))
}

/// An estimate is always the nearest number, and neither XX nor FR nor FI tell how near.
fn deliver_estimate<F: Format>(fpscr: Fpscr, value: Unrounded) -> Outcome {
    let to_nearest = Fpscr(fpscr.0 & !Fpscr::RN);
    let mut rounded = round::<F>(value, to_nearest, false);
    rounded.status &= !(Fpscr::XX | Fpscr::FR | Fpscr::FI);
    deliver(fpscr, rounded)
}

/// `fres`: an estimate of 1 ÷ B in single precision; here the nearest one.
#[must_use]
pub fn fres(fpscr: Fpscr, b: u64) -> Outcome {
    if let Some((nan, causes)) = operand_nan::<Single>(&[b]) {
        return deliver_nan(fpscr, causes, nan);
    }
    if is_zero(b) {
        return deliver_zero_divide(fpscr, is_negative(b));
    }
    let quotient = if is_infinite(b) {
        Unrounded::zero(is_negative(b))
    } else if fast::is_ordinary(b) {
        fast::div(ONE, b)
    } else {
        exact::div(ONE, b)
    };
    deliver_estimate::<Single>(fpscr, quotient)
}

/// `frsqrte`: an estimate of 1 ÷ √B in double precision; here the nearest one.
#[must_use]
pub fn frsqrte(fpscr: Fpscr, b: u64) -> Outcome {
    if let Some((nan, causes)) = operand_nan::<Double>(&[b]) {
        return deliver_nan(fpscr, causes, nan);
    }
    if is_zero(b) {
        return deliver_zero_divide(fpscr, is_negative(b));
    }
    if is_negative(b) {
        return deliver_nan(fpscr, Fpscr::VXSQRT, DEFAULT_QNAN);
    }
    let value = if is_infinite(b) { Unrounded::zero(false) } else { root::reciprocal_sqrt(b) };
    deliver_estimate::<Double>(fpscr, value)
}
