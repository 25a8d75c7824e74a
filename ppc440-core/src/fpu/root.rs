//! The square root and its reciprocal, in integers: neither `core` nor `rustc_apfloat` has one.

use super::round::Unrounded;

/// The square root of a positive finite FPR image, rounded to odd.
pub(super) fn sqrt(b: u64) -> Unrounded {
    let (root, exponent, exact) = root_of(b);
    Unrounded { negative: false, exponent, significand: root | u64::from(!exact) }
}

/// The reciprocal of the square root of a positive finite FPR image, to 62 bits.
///
/// Exact for even powers of two. Otherwise the truncated root and the truncated quotient each err by less than one
/// unit in 2^63, too little to matter for an estimate.
pub(super) fn reciprocal_sqrt(b: u64) -> Unrounded {
    let (root, exponent, _) = root_of(b);
    if root == 1 << 63 {
        return Unrounded { negative: false, exponent: -exponent, significand: 1 << 63 };
    }
    let quotient = ((1 << 127) / u128::from(root)) as u64;
    Unrounded { negative: false, exponent: -exponent - 1, significand: quotient | 1 }
}

/// The truncated square root as `root / 2^63 * 2^exponent`, its top bit set, and whether it is exact.
fn root_of(b: u64) -> (u64, i32, bool) {
    let Unrounded { exponent, significand, .. } = Unrounded::from_finite(b);
    // The radicand is the significand over 2^126, which is the square of 2^63; an odd exponent leaves a factor of
    // two with it.
    let radicand = u128::from(significand) << (63 + (exponent & 1));
    let root = radicand.isqrt();
    (root as u64, exponent >> 1, root * root == radicand)
}
