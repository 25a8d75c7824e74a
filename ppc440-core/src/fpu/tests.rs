//! The two paths to an unrounded result agree on everything that both of them take.

use super::round::{Unrounded, shift_right_sticky};
use super::{exact, fast};
use proptest::prelude::*;

/// Zeros and normal numbers whose exponents crowd and whose fractions are sparse.
fn ordinary() -> impl Strategy<Value = u64> {
    let exponent = prop_oneof![4 => 960u64..1090, 1 => 1u64..0x7FF, 1 => Just(1), 1 => Just(0x7FE)];
    let fraction = prop_oneof![
        2 => any::<u64>(),
        1 => (0u32..52).prop_map(|bit| 1 << bit),
        1 => (0u32..52).prop_map(|bit| u64::MAX << bit),
        1 => (0u32..52).prop_map(|bit| !(u64::MAX << bit)),
        1 => Just(0),
    ];
    let normal = (exponent, fraction).prop_map(|(exponent, fraction)| exponent << 52 | fraction & !0 >> 12);
    (prop_oneof![19 => normal, 1 => Just(0)], any::<bool>())
        .prop_map(|(magnitude, negative)| magnitude | u64::from(negative) << 63)
}

/// Two unrounded numbers are the same for every rounding if they agree in 54 bits and in whether anything follows;
/// where the sticky bit stands is the path's own affair. Exponent and sign of a zero mean nothing here: the sign of
/// an exact zero sum is decided later.
fn canonical(value: Unrounded) -> Unrounded {
    if value.significand == 0 {
        return Unrounded::zero(false);
    }
    Unrounded { significand: shift_right_sticky(value.significand, 9), ..value }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn fast_and_exact_paths_agree(a in ordinary(), b in ordinary(), c in ordinary()) {
        prop_assert!([a, b, c].into_iter().all(fast::is_ordinary));
        prop_assert_eq!(canonical(fast::add(a, b)), canonical(exact::add(a, b)));
        prop_assert_eq!(canonical(fast::mul(a, c)), canonical(exact::mul(a, c)));
        if b << 1 != 0 {
            prop_assert_eq!(canonical(fast::div(a, b)), canonical(exact::div(a, b)));
        }
        prop_assert_eq!(canonical(fast::mul_add(a, c, b)), canonical(exact::mul_add(a, c, b)));
    }

    #[test]
    fn signs_of_zero_products_agree(a in ordinary(), negative: bool) {
        let zero = u64::from(negative) << 63;
        prop_assert_eq!(fast::mul(a, zero).negative, exact::mul(a, zero).negative);
        if a << 1 != 0 {
            prop_assert_eq!(fast::div(zero, a).negative, exact::div(zero, a).negative);
        }
    }

    #[test]
    fn the_fast_path_leaves_denormals_infinities_and_nans_alone(fraction in 1u64..1 << 52, negative: bool) {
        let sign = u64::from(negative) << 63;
        prop_assert!(!fast::is_ordinary(sign | fraction));
        prop_assert!(!fast::is_ordinary(sign | 0x7FF << 52));
        prop_assert!(!fast::is_ordinary(sign | 0x7FF << 52 | fraction));
    }
}
