//! The unit against the oracle and the host, over all corners and over random operands.

use crate::oracle::{self, FUSED, Operands, Operation, TWO_OPERANDS};
use ppc440_core::fpu::{self, Fpscr, Outcome};
use proptest::prelude::*;

/// Doubles on both sides of every border of the format and of its halfway points.
const DOUBLE_CORNERS: [u64; 30] = [
    0x0000_0000_0000_0000, // zero
    0x0000_0000_0000_0001, // smallest denormal
    0x0000_0000_0000_0002,
    0x0007_FFFF_FFFF_FFFF,
    0x000F_FFFF_FFFF_FFFF, // largest denormal
    0x0010_0000_0000_0000, // smallest normal
    0x0010_0000_0000_0001,
    0x001F_FFFF_FFFF_FFFF,
    0x1FF0_0000_0000_0001, // about the square root of the smallest normal
    0x2000_0000_0000_0000,
    0x3CA0_0000_0000_0000, // half a unit in the last place of one
    0x3CA0_0000_0000_0001,
    0x3CB0_0000_0000_0000, // a whole one
    0x3FDF_FFFF_FFFF_FFFF,
    0x3FE0_0000_0000_0000,
    0x3FEF_FFFF_FFFF_FFFF,
    0x3FF0_0000_0000_0000, // one
    0x3FF0_0000_0000_0001,
    0x3FF8_0000_0000_0000,
    0x3FFF_FFFF_FFFF_FFFF,
    0x4000_0000_0000_0000,
    0x4340_0000_0000_0001, // 2^53 + 2
    0x5FEF_FFFF_FFFF_FFFF, // about the square root of the largest
    0x7FDF_FFFF_FFFF_FFFF,
    0x7FE0_0000_0000_0000,
    0x7FEF_FFFF_FFFF_FFFF, // largest
    0x7FF0_0000_0000_0000, // infinity
    0x7FF0_0000_0000_0001, // signalling
    0x7FF7_FFFF_FFFF_FFFF, // signalling
    0x7FF8_0000_0000_00AA, // quiet
];

/// The same for singles.
const SINGLE_CORNERS: [u32; 26] = [
    0x0000_0000,
    0x0000_0001,
    0x003F_FFFF,
    0x007F_FFFF,
    0x0080_0000,
    0x0080_0001,
    0x00FF_FFFF,
    0x1FFF_FFFF,
    0x2000_0000,
    0x3300_0000,
    0x3300_0001,
    0x3380_0000,
    0x3F00_0000,
    0x3F7F_FFFF,
    0x3F80_0000,
    0x3F80_0001,
    0x3FC0_0000,
    0x3FFF_FFFF,
    0x4B80_0001,
    0x5F7F_FFFF,
    0x7EFF_FFFF,
    0x7F00_0000,
    0x7F7F_FFFF,
    0x7F80_0000,
    0x7F80_0001,
    0x7FC0_0055,
];

fn both_signs(images: impl IntoIterator<Item = u64>) -> Vec<u64> {
    images.into_iter().flat_map(|image| [image, image | 1 << 63]).collect()
}

fn doubles() -> Vec<u64> {
    both_signs(DOUBLE_CORNERS)
}

fn singles() -> Vec<u64> {
    both_signs(SINGLE_CORNERS.map(fpu::single_to_double))
}

const ENABLES: u32 = Fpscr::VE | Fpscr::OE | Fpscr::UE | Fpscr::ZE | Fpscr::XE;

/// Every rounding mode with no, each and all enables, over an FPSCR that is clean and one where all is set.
fn control_words() -> Vec<u32> {
    let enables = [0, Fpscr::VE, Fpscr::OE, Fpscr::UE, Fpscr::ZE, Fpscr::XE, ENABLES];
    let stale = [0, Fpscr::FR | Fpscr::FI | Fpscr::FPRF | Fpscr::FX | Fpscr::EXCEPTIONS | Fpscr::NI];
    let mut words = Vec::new();
    for rounding in 0..4 {
        for enable in enables {
            for bits in stale {
                words.push(Fpscr(rounding | enable | bits).summarized().0);
            }
        }
    }
    words
}

fn run_double(operation: Operation, fpscr: u32, operands: Operands) -> Outcome {
    let Operands { a, c, b } = operands;
    let fpscr = Fpscr(fpscr);
    match operation {
        Operation::Add => fpu::fadd(fpscr, a, b),
        Operation::Sub => fpu::fsub(fpscr, a, b),
        Operation::Mul => fpu::fmul(fpscr, a, c),
        Operation::Div => fpu::fdiv(fpscr, a, b),
        Operation::MulAdd => fpu::fmadd(fpscr, a, c, b),
        Operation::MulSub => fpu::fmsub(fpscr, a, c, b),
        Operation::NegMulAdd => fpu::fnmadd(fpscr, a, c, b),
        Operation::NegMulSub => fpu::fnmsub(fpscr, a, c, b),
    }
}

fn run_single(operation: Operation, fpscr: u32, operands: Operands) -> Outcome {
    let Operands { a, c, b } = operands;
    let fpscr = Fpscr(fpscr);
    match operation {
        Operation::Add => fpu::fadds(fpscr, a, b),
        Operation::Sub => fpu::fsubs(fpscr, a, b),
        Operation::Mul => fpu::fmuls(fpscr, a, c),
        Operation::Div => fpu::fdivs(fpscr, a, b),
        Operation::MulAdd => fpu::fmadds(fpscr, a, c, b),
        Operation::MulSub => fpu::fmsubs(fpscr, a, c, b),
        Operation::NegMulAdd => fpu::fnmadds(fpscr, a, c, b),
        Operation::NegMulSub => fpu::fnmsubs(fpscr, a, c, b),
    }
}

#[track_caller]
fn check(precision: &str, operation: Operation, fpscr: u32, operands: Operands) {
    let (actual, expected) = match precision {
        "double" => (run_double(operation, fpscr, operands), oracle::double(operation, fpscr, operands)),
        _ => (run_single(operation, fpscr, operands), oracle::single(operation, fpscr, operands)),
    };
    assert!(
        actual == expected,
        "{precision} {operation:?} with FPSCR {fpscr:08x} of A {:016x} C {:016x} B {:016x}:\n is {}\n not {}",
        operands.a,
        operands.c,
        operands.b,
        show(actual),
        show(expected),
    );
}

fn show(outcome: Outcome) -> String {
    match outcome.result {
        Some(image) => format!("{image:016x} FPSCR {:08x}", outcome.fpscr.0),
        None => format!("no result       FPSCR {:08x}", outcome.fpscr.0),
    }
}

#[test]
fn two_operand_instructions_agree_with_the_oracle_on_every_pair_of_corners() {
    for (precision, corners) in [("double", doubles()), ("single", singles())] {
        for fpscr in control_words() {
            for &a in &corners {
                for &other in &corners {
                    for operation in TWO_OPERANDS {
                        check(precision, operation, fpscr, Operands { a, c: other, b: other });
                    }
                }
            }
        }
    }
}

#[test]
fn fused_instructions_agree_with_the_oracle_on_every_triple_of_corners() {
    for (precision, corners) in [("double", doubles()), ("single", singles())] {
        for fpscr in [0, 1, 2, 3, ENABLES, ENABLES | 2] {
            for &a in &corners {
                for &c in &corners {
                    for &b in &corners {
                        let operation = FUSED[(a ^ c >> 3 ^ b >> 7 ^ b >> 62) as usize & 3];
                        check(precision, operation, fpscr, Operands { a, c, b });
                    }
                }
            }
        }
    }
}

#[test]
fn rounding_to_single_agrees_with_the_oracle_on_corners_of_both_formats_and_their_neighbours() {
    let mut images = doubles();
    for image in singles() {
        for half in [0, 0x0FFF_FFFF, 0x1000_0000, 0x1000_0001, 0x1FFF_FFFF] {
            images.push(image | half);
            images.push(image.wrapping_sub(half));
        }
    }
    for exponent in 860..=1160u64 {
        images.push(exponent << 52 | 0x000F_FFFF_FFF0_0000);
        images.push(exponent << 52 | 1);
    }
    for fpscr in control_words() {
        for &b in &images {
            let expected = if b & !(1 << 63) > 0x7FF << 52 || in_wrapping_range(b) {
                oracle::round_to_single(fpscr, b)
            } else {
                continue;
            };
            let actual = fpu::frsp(Fpscr(fpscr), b);
            assert_eq!(actual, expected, "FPSCR {fpscr:08x} B {b:016x}: {} {}", show(actual), show(expected));
        }
    }
}

/// Whether the wrapped result of an enabled exception is still a normal double.
fn in_wrapping_range(b: u64) -> bool {
    let exponent = b >> 52 & 0x7FF;
    (192..2047 - 192).contains(&exponent) || b << 1 == 0 || exponent == 0x7FF
}

/// Doubles whose exponents crowd together and whose fractions are sparse, so that carries, cancellation, ties and
/// the ends of the range are common.
fn adversarial() -> impl Strategy<Value = u64> {
    let exponent = prop_oneof![
        4 => 1000u64..1050,
        2 => 0u64..60,
        2 => 1990u64..=2047,
        1 => 480u64..560,
        1 => 1500u64..1560,
        1 => 0u64..=2047,
    ];
    let fraction = prop_oneof![
        2 => any::<u64>(),
        1 => (0u32..52).prop_map(|bit| 1 << bit),
        1 => (0u32..52).prop_map(|bit| u64::MAX << bit),
        1 => (0u32..52).prop_map(|bit| !(u64::MAX << bit)),
        1 => (0u32..52, 0u32..52).prop_map(|(low, high)| 1 << low | 1 << high),
        1 => Just(0),
    ];
    (any::<bool>(), exponent, fraction).prop_map(|(negative, exponent, fraction)| {
        u64::from(negative) << 63 | exponent << 52 | fraction & 0xF_FFFF_FFFF_FFFF
    })
}

fn adversarial_single() -> impl Strategy<Value = u64> {
    let exponent = prop_oneof![4 => 110u32..145, 1 => 0u32..30, 1 => 230u32..=255, 1 => 0u32..=255];
    let fraction = prop_oneof![
        2 => any::<u32>(),
        1 => (0u32..23).prop_map(|bit| 1 << bit),
        1 => (0u32..23).prop_map(|bit| u32::MAX << bit),
        1 => Just(0),
    ];
    (any::<bool>(), exponent, fraction).prop_map(|(negative, exponent, fraction)| {
        fpu::single_to_double(u32::from(negative) << 31 | exponent << 23 | fraction & 0x7F_FFFF)
    })
}

fn control() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0u32), 0u32..4, any::<u32>()]
        .prop_map(|bits| Fpscr(bits & Fpscr::IMPLEMENTED).summarized().0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn double_precision_agrees_with_the_oracle(
        fpscr in control(), a in adversarial(), c in adversarial(), b in adversarial(),
    ) {
        for operation in TWO_OPERANDS.into_iter().chain(FUSED) {
            check("double", operation, fpscr, Operands { a, c, b });
        }
    }

    #[test]
    fn single_precision_agrees_with_the_oracle(
        fpscr in control(), a in adversarial_single(), c in adversarial_single(), b in adversarial_single(),
    ) {
        for operation in TWO_OPERANDS.into_iter().chain(FUSED) {
            check("single", operation, fpscr, Operands { a, c, b });
        }
    }

    #[test]
    fn a_sum_that_almost_cancels_agrees_with_the_oracle(
        fpscr in control(), a in adversarial(), c in adversarial(), nudge in -3i64..=3,
    ) {
        // B is the negated product, give or take a few units in the last place.
        let product = (f64::from_bits(a) * f64::from_bits(c)).to_bits();
        let b = (product ^ 1 << 63).wrapping_add_signed(nudge);
        for operation in FUSED {
            check("double", operation, fpscr, Operands { a, c, b });
        }
        check("double", Operation::Sub, fpscr, Operands { a, c, b: a.wrapping_add_signed(nudge) });
    }

    #[test]
    fn rounding_to_single_agrees_with_the_oracle(fpscr in control(), b in adversarial()) {
        // Beyond that range enabled overflow and underflow are undefined.
        let fpscr = if in_wrapping_range(b) { fpscr } else { fpscr & !ENABLES };
        let fpscr = Fpscr(fpscr).summarized().0;
        prop_assert_eq!(fpu::frsp(Fpscr(fpscr), b), oracle::round_to_single(fpscr, b));
    }

    #[test]
    fn results_to_nearest_equal_the_hosts(a in adversarial(), c in adversarial(), b in adversarial()) {
        let [x, z, y] = [a, c, b].map(f64::from_bits);
        let same = |actual: Outcome, host: f64| {
            host.is_nan() && f64::from_bits(actual.result.unwrap()).is_nan() || actual.result == Some(host.to_bits())
        };
        prop_assert!(same(fpu::fadd(Fpscr(0), a, b), x + y));
        prop_assert!(same(fpu::fsub(Fpscr(0), a, b), x - y));
        prop_assert!(same(fpu::fmul(Fpscr(0), a, c), x * z));
        prop_assert!(same(fpu::fdiv(Fpscr(0), a, b), x / y));
        prop_assert!(same(fpu::fsqrt(Fpscr(0), b), y.sqrt()));
        prop_assert!(same(fpu::fmadd(Fpscr(0), a, c, b), x.mul_add(z, y)));
        prop_assert!(same(fpu::fmsub(Fpscr(0), a, c, b), x.mul_add(z, -y)));
        prop_assert!(same(fpu::fnmadd(Fpscr(0), a, c, b), -x.mul_add(z, y)));
        prop_assert!(same(fpu::fnmsub(Fpscr(0), a, c, b), -x.mul_add(z, -y)));
        prop_assert!(same(fpu::frsp(Fpscr(0), b), f64::from(y as f32)));
    }

    #[test]
    fn single_results_to_nearest_equal_the_hosts(
        a in adversarial_single(), c in adversarial_single(), b in adversarial_single(),
    ) {
        let [x, z, y] = [a, c, b].map(|image| f64::from_bits(image) as f32);
        let same = |actual: Outcome, host: f32| {
            let host = f64::from(host);
            host.is_nan() && f64::from_bits(actual.result.unwrap()).is_nan() || actual.result == Some(host.to_bits())
        };
        prop_assert!(same(fpu::fadds(Fpscr(0), a, b), x + y));
        prop_assert!(same(fpu::fsubs(Fpscr(0), a, b), x - y));
        prop_assert!(same(fpu::fmuls(Fpscr(0), a, c), x * z));
        prop_assert!(same(fpu::fdivs(Fpscr(0), a, b), x / y));
        prop_assert!(same(fpu::fsqrts(Fpscr(0), b), y.sqrt()));
        prop_assert!(same(fpu::fmadds(Fpscr(0), a, c, b), x.mul_add(z, y)));
    }

    /// The truncated root is the largest double whose square does not exceed B; the others follow from it.
    #[test]
    fn square_roots_are_what_their_squares_say(b in adversarial()) {
        let b = (b & u64::MAX >> 1).clamp(1, 0x7FEF_FFFF_FFFF_FFFF);
        use rustc_apfloat::{Float, FloatConvert, Status, ieee::{Double, Quad}};
        let quad = |image: u64| -> Quad { Double::from_bits(u128::from(image)).convert(&mut false).value };
        let square = |image: u64| {
            let result = quad(image) * quad(image);
            assert_eq!(result.status, Status::OK);
            result.value
        };
        let down = fpu::fsqrt(Fpscr(1), b);
        let root = down.result.unwrap();
        prop_assert!(square(root) <= quad(b) && quad(b) < square(root + 1));
        let exact = square(root) == quad(b);
        prop_assert_eq!(down.fpscr.any(Fpscr::FI), !exact);
        prop_assert_eq!(down.fpscr.any(Fpscr::XX), !exact);
        prop_assert!(!down.fpscr.any(Fpscr::FR));
        prop_assert_eq!(fpu::fsqrt(Fpscr(3), b).result, Some(root));
        let up = fpu::fsqrt(Fpscr(2), b);
        prop_assert_eq!(up.result, Some(root + u64::from(!exact)));
        prop_assert_eq!(up.fpscr.any(Fpscr::FR), !exact);
        let nearest = fpu::fsqrt(Fpscr(0), b);
        prop_assert_eq!(nearest.fpscr.any(Fpscr::FR), nearest.result != Some(root));
    }

    #[test]
    fn estimates_keep_their_promise(significand in 1.0..2.0f64, exponent in -125i32..125, negative: bool) {
        let value = significand * f64::from(exponent).exp2() * if negative { -1.0 } else { 1.0 };
        let b = value.to_bits();
        let reciprocal = f64::from_bits(fpu::fres(Fpscr(0), b).result.unwrap());
        prop_assert!((reciprocal * value - 1.0).abs() <= 1.0 / 256.0);
        let root = f64::from_bits(fpu::frsqrte(Fpscr(0), b & !(1 << 63)).result.unwrap());
        prop_assert!((root * value.abs().sqrt() - 1.0).abs() <= 1.0 / 32.0);
    }

    #[test]
    fn single_loads_equal_the_hosts_widening(word in any::<u32>()) {
        let host = f64::from(f32::from_bits(word));
        let image = fpu::single_to_double(word);
        // Most hosts quiet a signalling NaN when they widen it, a PowerPC does not; the load must not.
        let quiet = if host.is_nan() { 1 << 51 } else { 0 };
        prop_assert_eq!(image | quiet, host.to_bits() | quiet);
        prop_assert_eq!(fpu::double_to_single(image), word);
    }

    #[test]
    fn conversions_to_a_word_equal_the_hosts(b in adversarial(), mode in 0u32..4) {
        let value = f64::from_bits(b);
        let rounded = match mode {
            0 => value.round_ties_even(),
            1 => value.trunc(),
            2 => value.ceil(),
            _ => value.floor(),
        };
        let outcome = fpu::fctiw(Fpscr(mode), b);
        let word = if value.is_nan() { i32::MIN } else { rounded as i32 };
        prop_assert_eq!(outcome.result, Some(0xFFF8_0000_0000_0000 | u64::from(word as u32)));
        let fits = (-2147483648.0..=2147483647.0).contains(&rounded);
        prop_assert_eq!(outcome.fpscr.any(Fpscr::VXCVI), !fits);
        prop_assert_eq!(outcome.fpscr.any(Fpscr::VXSNAN), value.is_nan() && b >> 51 & 1 == 0);
        prop_assert_eq!(outcome.fpscr.any(Fpscr::FI), fits && rounded != value);
        prop_assert_eq!(outcome.fpscr.any(Fpscr::FR), fits && rounded.abs() > value.abs());
        let truncated = fpu::fctiwz(Fpscr(mode), b);
        prop_assert_eq!(truncated.result, fpu::fctiw(Fpscr(1), b).result);
    }

    #[test]
    fn compares_equal_the_hosts(a in adversarial(), b in adversarial()) {
        let cr = match f64::from_bits(a).partial_cmp(&f64::from_bits(b)) {
            Some(std::cmp::Ordering::Less) => 8,
            Some(std::cmp::Ordering::Greater) => 4,
            Some(std::cmp::Ordering::Equal) => 2,
            None => 1,
        };
        prop_assert_eq!(fpu::fcmpu(Fpscr(0), a, b).cr, cr);
        prop_assert_eq!(fpu::fcmpo(Fpscr(0), a, b).cr, cr);
    }
}
