//! Rounding: from the infinitely precise result to the FPR image and its status bits. Book I, sections
//! "Normalization and Denormalization", "Rounding", "Overflow Exception", "Underflow Exception" and "Inexact
//! Exception". Every rounded result of the unit passes through [`round`].

use super::fpscr::{Fpclass, Fpscr, Rounding};

/// An exact real number, as far as rounding can tell: `significand / 2^63 * 2^exponent` with the significand's
/// most significant bit set, or zero if the significand is zero.
///
/// Bit 0 of the significand is sticky ("rounded to odd"): it is 1 if anything below it was lost. 64 bits are
/// enough, because rounding to 53 bits looks at one bit below the last and at whether the rest is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unrounded {
    pub(super) negative: bool,
    pub(super) exponent: i32,
    pub(super) significand: u64,
}

impl Unrounded {
    /// A zero of the given sign.
    pub(super) const fn zero(negative: bool) -> Self {
        Self { negative, exponent: 0, significand: 0 }
    }

    /// The value of a finite FPR image.
    #[inline]
    pub(super) fn from_finite(image: u64) -> Self {
        let negative = image >> 63 != 0;
        let biased = (image >> 52 & 0x7FF) as i32;
        let fraction = image & 0xF_FFFF_FFFF_FFFF;
        if biased != 0 {
            return Self { negative, exponent: biased - 1023, significand: (fraction | 1 << 52) << 11 };
        }
        if fraction == 0 {
            return Self::zero(negative);
        }
        let shift = fraction.leading_zeros();
        Self { negative, exponent: -1011 - shift as i32, significand: fraction << shift }
    }
}

/// Shifts right; whatever falls out stays visible in bit 0.
#[inline]
pub(super) fn shift_right_sticky(value: u64, by: u32) -> u64 {
    // Shifting by 63 leaves the top bit, which becomes the sticky one for any longer distance.
    let (by, far) = (by.min(63), by > 63);
    let kept = value >> by;
    kept & u64::from(!far).wrapping_neg() | u64::from(kept << by != value || far && value != 0)
}

/// The format that a result is rounded to. Either way it is delivered in an FPR, in double format.
pub(super) trait Format {
    /// Significand bits with the hidden one.
    const PRECISION: u32;
    /// Exponent of the smallest normal number.
    const EXPONENT_MIN: i32;
    /// Exponent of the largest finite number.
    const EXPONENT_MAX: i32;
    /// What an enabled overflow subtracts from, and an enabled underflow adds to, the exponent.
    const ADJUSTMENT: i32;
    /// FPR image of the largest finite number.
    const LARGEST: u64;
    /// Bits of a NaN operand that survive in a result.
    const NAN_MASK: u64;
}

/// Double precision.
pub(super) struct Double;

/// Single precision.
pub(super) struct Single;

impl Format for Double {
    const PRECISION: u32 = 53;
    const EXPONENT_MIN: i32 = -1022;
    const EXPONENT_MAX: i32 = 1023;
    const ADJUSTMENT: i32 = 1536;
    const LARGEST: u64 = 0x7FEF_FFFF_FFFF_FFFF;
    const NAN_MASK: u64 = u64::MAX;
}

impl Format for Single {
    const PRECISION: u32 = 24;
    const EXPONENT_MIN: i32 = -126;
    const EXPONENT_MAX: i32 = 127;
    const ADJUSTMENT: i32 = 192;
    const LARGEST: u64 = 0x47EF_FFFF_E000_0000;
    const NAN_MASK: u64 = !0x1FFF_FFFF;
}

/// A rounded result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rounded {
    /// The FPR image.
    pub(super) image: u64,
    /// FPSCR bits: the new FR, FI and FPRF, and OX, UX, XX as causes.
    pub(super) status: u32,
}

/// Rounds a significand to the upper `64 - shift` bits (`shift` 1-63): the kept bits as an integer, which may
/// carry out by one bit, and the FR, FI and XX bits.
#[inline]
fn round_significand(significand: u64, shift: u32, rounding: Rounding, negative: bool) -> (u64, u32) {
    let kept = significand >> shift;
    let unit = 1_u64 << shift;
    let lost = significand & (unit - 1);
    // What carries into the kept bits exactly if the magnitude has to grow.
    let bias = match rounding {
        Rounding::Nearest => (unit >> 1) - 1 + (kept & 1),
        Rounding::Zero => 0,
        Rounding::PlusInfinity => {
            if negative {
                0
            } else {
                unit - 1
            }
        }
        Rounding::MinusInfinity => {
            if negative {
                unit - 1
            } else {
                0
            }
        }
    };
    let up = (lost + bias) >> shift;
    let inexact = u32::from(lost != 0);
    let status = (inexact * (Fpscr::FI | Fpscr::XX)) | (up as u32 * Fpscr::FR);
    (kept + up, status)
}

/// FPRF bits of a class that exists in both signs.
#[inline]
fn fprf(negative: bool, positive_class: Fpclass, negative_class: Fpclass) -> u32 {
    (if negative { negative_class as u32 } else { positive_class as u32 }) << 12
}

/// Rounds `value` to format `F` under FPSCR\[RN, OE, UE\], then negates if `negate` (the `fnmadd` family rounds
/// first and negates afterwards).
#[inline]
pub(super) fn round<F: Format>(value: Unrounded, fpscr: Fpscr, negate: bool) -> Rounded {
    let shift = 64 - F::PRECISION;
    let in_range = value.exponent >= F::EXPONENT_MIN && value.exponent < F::EXPONENT_MAX;
    if !in_range || value.significand == 0 {
        return round_unusual::<F>(value, fpscr, negate);
    }
    let (kept, status) = round_significand(value.significand, shift, fpscr.rounding(), value.negative);
    normal::<F>(kept, value.exponent, status, value.negative ^ negate)
}

/// Assembles a normal result. `kept` has `F::PRECISION` bits, or is one more than fits. Exponents that do not fit
/// the double format (only after an enabled exception with operands that are undefined for the operation) wrap.
#[inline]
fn normal<F: Format>(kept: u64, exponent: i32, status: u32, negative: bool) -> Rounded {
    // The hidden bit adds one to the exponent field, and a carry out of the significand another one.
    let field = ((exponent + 1022) as u64 & 0x7FF) << 52;
    let magnitude = (field + (kept << (53 - F::PRECISION))) & (u64::MAX >> 1);
    let class = fprf(negative, Fpclass::PosNormal, Fpclass::NegNormal);
    Rounded { image: u64::from(negative) << 63 | magnitude, status: status | class }
}

/// [`round`] for zeros and for results at or beyond the edges of the format's range.
#[cold]
fn round_unusual<F: Format>(value: Unrounded, fpscr: Fpscr, negate: bool) -> Rounded {
    let Unrounded { negative, exponent, significand } = value;
    let sign = u64::from(negative ^ negate) << 63;
    if significand == 0 {
        return Rounded { image: sign, status: fprf(sign != 0, Fpclass::PosZero, Fpclass::NegZero) };
    }
    let rounding = fpscr.rounding();
    let shift = 64 - F::PRECISION;
    let tiny = exponent < F::EXPONENT_MIN;
    if tiny && !fpscr.any(Fpscr::UE) {
        return round_denormal::<F>(value, rounding, sign);
    }
    let (kept, status) = round_significand(significand, shift, rounding, negative);
    if tiny {
        // Enabled underflow: tiny is enough, exact or not.
        return normal::<F>(kept, exponent + F::ADJUSTMENT, status | Fpscr::UX, sign != 0);
    }
    let carry = (kept >> F::PRECISION) as i32;
    if exponent + carry <= F::EXPONENT_MAX {
        return normal::<F>(kept, exponent, status, sign != 0);
    }
    if fpscr.any(Fpscr::OE) {
        return normal::<F>(kept, exponent - F::ADJUSTMENT, status | Fpscr::OX, sign != 0);
    }
    let to_infinity = match rounding {
        Rounding::Nearest => true,
        Rounding::Zero => false,
        Rounding::PlusInfinity => !negative,
        Rounding::MinusInfinity => negative,
    };
    let status = Fpscr::OX | Fpscr::XX | Fpscr::FI;
    if to_infinity {
        let class = fprf(sign != 0, Fpclass::PosInfinity, Fpclass::NegInfinity);
        Rounded { image: sign | 0x7FF << 52, status: status | Fpscr::FR | class }
    } else {
        let class = fprf(sign != 0, Fpclass::PosNormal, Fpclass::NegNormal);
        Rounded { image: sign | F::LARGEST, status: status | class }
    }
}

/// Disabled underflow: denormalizes, then rounds. UX is set only if that loses accuracy.
fn round_denormal<F: Format>(value: Unrounded, rounding: Rounding, sign: u64) -> Rounded {
    let shift = 64 - F::PRECISION;
    let by = (F::EXPONENT_MIN - value.exponent) as u32;
    let denormalized = shift_right_sticky(value.significand, by);
    let (kept, mut status) = round_significand(denormalized, shift, rounding, value.negative);
    if status & Fpscr::FI != 0 {
        status |= Fpscr::UX;
    }
    let class = if kept == 0 {
        fprf(sign != 0, Fpclass::PosZero, Fpclass::NegZero)
    } else if kept >> (F::PRECISION - 1) == 0 {
        fprf(sign != 0, Fpclass::PosDenormal, Fpclass::NegDenormal)
    } else {
        fprf(sign != 0, Fpclass::PosNormal, Fpclass::NegNormal)
    };
    // `kept` counts units of the format's smallest denormal; in double format that is the image itself, the
    // denormals of single precision are normal there.
    let magnitude = if F::PRECISION == 53 || kept == 0 {
        kept
    } else {
        let zeros = kept.leading_zeros();
        let exponent = F::EXPONENT_MIN - (F::PRECISION as i32 - 1) + (63 - zeros as i32);
        (((exponent + 1022) as u64) << 52) + (kept << zeros >> 11)
    };
    Rounded { image: sign | magnitude, status: status | class }
}

/// Rounds the magnitude of a value below 2^32 to an integer: the integer, and the FR, FI and XX bits.
pub(super) fn round_to_integer(value: Unrounded, rounding: Rounding) -> (u64, u32) {
    if value.significand == 0 {
        return (0, 0);
    }
    // Fixed point with 32 fraction bits.
    let fixed = shift_right_sticky(value.significand, (31 - value.exponent) as u32);
    round_significand(fixed, 32, rounding, value.negative)
}
