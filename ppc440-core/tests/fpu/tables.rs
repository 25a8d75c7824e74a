//! The architecture's rules for FPSCR, special operands and formats, one sentence a test, with values written out.

use ppc440_core::fpu::{self, Fpscr, Outcome};

const ZERO: u64 = 0;
const ONE: u64 = 0x3FF0_0000_0000_0000;
const TWO: u64 = 0x4000_0000_0000_0000;
const THREE: u64 = 0x4008_0000_0000_0000;
const FIVE: u64 = 0x4014_0000_0000_0000;
const LARGEST: u64 = 0x7FEF_FFFF_FFFF_FFFF;
const SMALLEST_NORMAL: u64 = 0x0010_0000_0000_0000;
const INFINITY: u64 = 0x7FF0_0000_0000_0000;
const QNAN: u64 = 0x7FF8_0000_0000_1234;
const SNAN: u64 = 0x7FF4_0000_0000_5678;
const DEFAULT: u64 = 0x7FF8_0000_0000_0000;
const NEG: u64 = 1 << 63;

const FPRF_QNAN: u32 = 0x1_1000;
const FPRF_PLUS_INFINITY: u32 = 0x5000;
const FPRF_PLUS_NORMAL: u32 = 0x4000;
const FPRF_PLUS_ZERO: u32 = 0x2000;

fn outcome(result: u64, fpscr: u32) -> Outcome {
    Outcome { result: Some(result), fpscr: Fpscr(fpscr) }
}

fn suppressed(fpscr: u32) -> Outcome {
    Outcome { result: None, fpscr: Fpscr(fpscr) }
}

const INVALID: u32 = Fpscr::FX | Fpscr::VX;

#[test]
fn infinity_minus_infinity_is_the_default_nan_with_vxisi() {
    let expected = outcome(DEFAULT, INVALID | Fpscr::VXISI | FPRF_QNAN);
    assert_eq!(fpu::fsub(Fpscr(0), INFINITY, INFINITY), expected);
    assert_eq!(fpu::fadd(Fpscr(0), INFINITY, INFINITY | NEG), expected);
    assert_eq!(fpu::fmadd(Fpscr(0), INFINITY, TWO, INFINITY | NEG), expected);
    assert_eq!(fpu::fnmsub(Fpscr(0), INFINITY, TWO, INFINITY), expected);
}

#[test]
fn each_invalid_operation_sets_its_own_cause() {
    assert_eq!(fpu::fdiv(Fpscr(0), INFINITY, INFINITY), outcome(DEFAULT, INVALID | Fpscr::VXIDI | FPRF_QNAN));
    assert_eq!(fpu::fdiv(Fpscr(0), ZERO, ZERO | NEG), outcome(DEFAULT, INVALID | Fpscr::VXZDZ | FPRF_QNAN));
    assert_eq!(fpu::fmul(Fpscr(0), INFINITY, ZERO), outcome(DEFAULT, INVALID | Fpscr::VXIMZ | FPRF_QNAN));
    assert_eq!(fpu::fsqrt(Fpscr(0), ONE | NEG), outcome(DEFAULT, INVALID | Fpscr::VXSQRT | FPRF_QNAN));
    assert_eq!(fpu::frsqrte(Fpscr(0), INFINITY | NEG), outcome(DEFAULT, INVALID | Fpscr::VXSQRT | FPRF_QNAN));
    assert_eq!(fpu::fadd(Fpscr(0), ONE, SNAN), outcome(SNAN | 1 << 51, INVALID | Fpscr::VXSNAN | FPRF_QNAN));
}

#[test]
fn an_enabled_invalid_operation_leaves_the_target_and_fprf_alone_and_clears_fr_and_fi() {
    let before = Fpscr::VE | Fpscr::FR | Fpscr::FI | FPRF_PLUS_NORMAL;
    let after = Fpscr::VE | INVALID | Fpscr::FEX | FPRF_PLUS_NORMAL;
    assert_eq!(fpu::fdiv(Fpscr(before), ZERO, ZERO), suppressed(after | Fpscr::VXZDZ));
    assert_eq!(fpu::fmadd(Fpscr(before), SNAN, ONE, ONE), suppressed(after | Fpscr::VXSNAN));
    assert_eq!(fpu::fctiw(Fpscr(before), INFINITY), suppressed(after | Fpscr::VXCVI));
}

#[test]
fn a_quiet_operand_is_the_result_without_any_exception() {
    assert_eq!(fpu::fadd(Fpscr(Fpscr::VE), QNAN | NEG, ONE), outcome(QNAN | NEG, Fpscr::VE | FPRF_QNAN));
    assert_eq!(fpu::fnmadd(Fpscr(0), ONE, ONE, QNAN), outcome(QNAN, FPRF_QNAN));
}

#[test]
fn nan_operands_are_preferred_in_the_order_a_b_c() {
    let [a, b, c] = [QNAN, QNAN + 1, QNAN + 2];
    assert_eq!(fpu::fmadd(Fpscr(0), a, c, b).result, Some(a));
    assert_eq!(fpu::fmadd(Fpscr(0), ONE, c, b).result, Some(b));
    assert_eq!(fpu::fmadd(Fpscr(0), ONE, c, ONE).result, Some(c));
    assert_eq!(fpu::fadd(Fpscr(0), a, b).result, Some(a));
    // A signalling NaN in a later place is noted, but does not win.
    let noted = fpu::fmul(Fpscr(0), a, SNAN);
    assert_eq!(noted, outcome(a, INVALID | Fpscr::VXSNAN | FPRF_QNAN));
}

#[test]
fn subtraction_does_not_change_the_sign_of_a_nan() {
    assert_eq!(fpu::fsub(Fpscr(0), ONE, QNAN).result, Some(QNAN));
    assert_eq!(fpu::fmsub(Fpscr(0), ONE, ONE, QNAN | NEG).result, Some(QNAN | NEG));
}

#[test]
fn infinity_times_zero_is_noted_even_if_the_addend_is_the_nan_that_results() {
    let quiet = fpu::fmadd(Fpscr(0), INFINITY, ZERO, QNAN);
    assert_eq!(quiet, outcome(QNAN, INVALID | Fpscr::VXIMZ | FPRF_QNAN));
    let signalling = fpu::fmadd(Fpscr(0), ZERO, INFINITY, SNAN);
    assert_eq!(signalling, outcome(SNAN | 1 << 51, INVALID | Fpscr::VXIMZ | Fpscr::VXSNAN | FPRF_QNAN));
}

#[test]
fn single_precision_results_keep_the_upper_bits_of_a_nan_only() {
    assert_eq!(fpu::fadds(Fpscr(0), SNAN | 0xFFFF_FFFF, ONE).result, Some(0x7FFC_0000_E000_0000));
    assert_eq!(fpu::frsp(Fpscr(0), 0xFFF7_FFFF_FFFF_FFFF).result, Some(0xFFFF_FFFF_E000_0000));
}

#[test]
fn zero_divide_gives_an_infinity_of_the_quotients_sign_or_nothing_if_enabled() {
    let expected = outcome(INFINITY, Fpscr::FX | Fpscr::ZX | FPRF_PLUS_INFINITY);
    assert_eq!(fpu::fdiv(Fpscr(0), ONE | NEG, ZERO | NEG), expected);
    assert_eq!(fpu::fres(Fpscr(0), ZERO), expected);
    assert_eq!(fpu::frsqrte(Fpscr(0), ZERO), expected);
    assert_eq!(fpu::frsqrte(Fpscr(0), NEG).result, Some(INFINITY | NEG));
    let enabled = Fpscr::FX | Fpscr::FEX | Fpscr::ZX | Fpscr::ZE;
    assert_eq!(fpu::fdiv(Fpscr(Fpscr::ZE), ONE, ZERO), suppressed(enabled));
    // An infinite dividend divides exactly.
    assert_eq!(
        fpu::fdiv(Fpscr(Fpscr::ZE), INFINITY, ZERO),
        outcome(INFINITY, Fpscr::ZE | FPRF_PLUS_INFINITY)
    );
}

#[test]
fn overflow_goes_to_infinity_or_to_the_largest_number_as_the_rounding_mode_says() {
    let flags = Fpscr::FX | Fpscr::OX | Fpscr::XX | Fpscr::FI;
    let results = [0, 1, 2, 3].map(|rn| fpu::fadd(Fpscr(rn), LARGEST, LARGEST));
    assert_eq!(results[0], outcome(INFINITY, flags | Fpscr::FR | FPRF_PLUS_INFINITY));
    assert_eq!(results[1], outcome(LARGEST, flags | FPRF_PLUS_NORMAL | 1));
    assert_eq!(results[2], outcome(INFINITY, flags | Fpscr::FR | FPRF_PLUS_INFINITY | 2));
    assert_eq!(results[3], outcome(LARGEST, flags | FPRF_PLUS_NORMAL | 3));
}

#[test]
fn enabled_overflow_subtracts_1536_from_the_exponent_or_192_in_single_precision() {
    let enabled = Fpscr::OE | Fpscr::FX | Fpscr::FEX | Fpscr::OX | FPRF_PLUS_NORMAL;
    // 2^1023 * 2 = 2^1024, exactly.
    let double = fpu::fmul(Fpscr(Fpscr::OE), 0x7FE0_0000_0000_0000, TWO);
    assert_eq!(double, outcome((1023 + 1024 - 1536) << 52, enabled));
    // 2^127 * 2 = 2^128.
    let single = fpu::fmuls(Fpscr(Fpscr::OE), (127 + 1023) << 52, TWO);
    assert_eq!(single, outcome((1023 + 128 - 192) << 52, enabled));
}

#[test]
fn enabled_underflow_adds_1536_to_the_exponent_and_needs_no_inexactness() {
    let enabled = Fpscr::UE | Fpscr::FX | Fpscr::FEX | Fpscr::UX | FPRF_PLUS_NORMAL;
    let half = 0x3FE0_0000_0000_0000;
    // 2^-1023, biased by 1023.
    let tiny = fpu::fmul(Fpscr(Fpscr::UE), SMALLEST_NORMAL, half);
    assert_eq!(tiny, outcome(1536 << 52, enabled));
    let single = fpu::frsp(Fpscr(Fpscr::UE), (1023 - 127) << 52);
    assert_eq!(single, outcome((1023 - 127 + 192) << 52, enabled));
}

#[test]
fn a_disabled_underflow_is_told_only_if_accuracy_is_lost() {
    let half = 0x3FE0_0000_0000_0000;
    assert_eq!(fpu::fmul(Fpscr(0), SMALLEST_NORMAL, half), outcome(1 << 51, 0x1_4000));
    let lost = fpu::fmul(Fpscr(0), SMALLEST_NORMAL | 1, half);
    assert_eq!(lost, outcome(1 << 51, Fpscr::FX | Fpscr::UX | Fpscr::XX | Fpscr::FI | 0x1_4000));
}

#[test]
fn tininess_is_detected_before_rounding() {
    // (1 - 2^-54) times the smallest normal, a tie that rounds up to the smallest normal: tiny nevertheless.
    let almost_one = 0x3FEF_FFFF_FFFF_FFFF;
    let result = fpu::fmul(Fpscr(0), SMALLEST_NORMAL, almost_one);
    let flags = Fpscr::FX | Fpscr::UX | Fpscr::XX | Fpscr::FI | Fpscr::FR | FPRF_PLUS_NORMAL;
    assert_eq!(result, outcome(SMALLEST_NORMAL, flags));
}

#[test]
fn a_single_denormal_is_a_normal_double_with_the_class_denormal() {
    let result = fpu::frsp(Fpscr(0), (1023 - 149) << 52);
    assert_eq!(result, outcome((1023 - 149) << 52, 0x1_4000));
}

#[test]
fn fr_tells_whether_the_magnitude_grew() {
    // To nearest one third is truncated, five thirds are rounded up.
    assert!(!fpu::fdiv(Fpscr(0), ONE, THREE).fpscr.any(Fpscr::FR));
    assert!(fpu::fdiv(Fpscr(0), FIVE, THREE).fpscr.any(Fpscr::FR));
    assert!(fpu::fdiv(Fpscr(3), ONE | NEG, THREE).fpscr.any(Fpscr::FR));
}

#[test]
fn fi_is_the_last_results_and_xx_stays() {
    let inexact = fpu::fdiv(Fpscr(0), ONE, THREE).fpscr;
    let exact = fpu::fadd(inexact, ONE, ONE).fpscr;
    assert_eq!(exact, Fpscr(Fpscr::FX | Fpscr::XX | FPRF_PLUS_NORMAL));
}

#[test]
fn fx_is_set_only_by_an_exception_bit_that_was_clear() {
    let acknowledged = Fpscr(Fpscr::XX);
    assert!(!fpu::fdiv(acknowledged, ONE, THREE).fpscr.any(Fpscr::FX));
    assert!(fpu::fdiv(acknowledged, ONE, ZERO).fpscr.any(Fpscr::FX));
}

#[test]
fn a_sum_of_opposites_is_plus_zero_except_when_rounding_down() {
    for rn in 0..3 {
        assert_eq!(fpu::fsub(Fpscr(rn), ONE, ONE), outcome(ZERO, FPRF_PLUS_ZERO | rn));
        assert_eq!(fpu::fmsub(Fpscr(rn), ONE, TWO, TWO).result, Some(ZERO));
    }
    assert_eq!(fpu::fsub(Fpscr(3), ONE, ONE), outcome(NEG, 0x1_2003));
    assert_eq!(fpu::fadd(Fpscr(0), NEG, NEG).result, Some(NEG));
    assert_eq!(fpu::fnmsub(Fpscr(0), ONE, TWO, TWO).result, Some(NEG));
}

#[test]
fn the_negative_fused_forms_round_first_and_negate_then() {
    // 1 + 2^-60 rounds up to the next double toward plus infinity; the negation comes after that.
    let tiny = (1023 - 60) << 52;
    assert_eq!(fpu::fnmadd(Fpscr(2), ONE, ONE, tiny).result, Some((ONE + 1) | NEG));
    assert_eq!(fpu::fnmadd(Fpscr(3), ONE, ONE, tiny).result, Some(ONE | NEG));
}

#[test]
fn a_fused_operation_rounds_once() {
    // (1 + 2^-52)^2 - (1 + 2^-51) = 2^-104, which two roundings would lose.
    let result = fpu::fmsub(Fpscr(0), ONE + 1, ONE + 1, ONE + 2);
    assert_eq!(result, outcome((1023 - 104) << 52, FPRF_PLUS_NORMAL));
}

#[test]
fn conversion_to_a_word_saturates_with_vxcvi() {
    let cases = [
        (0x41DF_FFFF_FFC0_0000, 0x7FFF_FFFF, 0), // 2^31 - 1
        (0x41E0_0000_0000_0000, 0x7FFF_FFFF, INVALID | Fpscr::VXCVI), // 2^31
        (0xC1E0_0000_0000_0000, 0x8000_0000, 0), // -2^31
        (0xC1E0_0000_0020_0000, 0x8000_0000, INVALID | Fpscr::VXCVI), // -2^31 - 1
        (INFINITY, 0x7FFF_FFFF, INVALID | Fpscr::VXCVI),
        (INFINITY | NEG, 0x8000_0000, INVALID | Fpscr::VXCVI),
        (QNAN, 0x8000_0000, INVALID | Fpscr::VXCVI),
        (SNAN, 0x8000_0000, INVALID | Fpscr::VXCVI | Fpscr::VXSNAN),
    ];
    for (b, word, fpscr) in cases {
        assert_eq!(fpu::fctiw(Fpscr(0), b), outcome(0xFFF8_0000_0000_0000 | word, fpscr), "{b:016x}");
    }
}

#[test]
fn the_range_of_a_conversion_to_a_word_is_that_of_the_rounded_value() {
    let below = 0xC1E0_0000_0010_0000; // -2^31 - 1/2
    let truncated = fpu::fctiwz(Fpscr(0), below);
    assert_eq!(truncated, outcome(0xFFF8_0000_8000_0000, Fpscr::FX | Fpscr::XX | Fpscr::FI));
    assert!(fpu::fctiw(Fpscr(3), below).fpscr.any(Fpscr::VXCVI));
}

#[test]
fn conversion_to_a_word_leaves_fprf_alone() {
    let result = fpu::fctiw(Fpscr(FPRF_QNAN), 0x3FF8_0000_0000_0000);
    let flags = Fpscr::FX | Fpscr::XX | Fpscr::FI | Fpscr::FR;
    assert_eq!(result, outcome(0xFFF8_0000_0000_0002, FPRF_QNAN | flags));
}

#[test]
fn compares_write_fpcc_and_keep_the_class_bit() {
    let class = 0x1_0000;
    let less = fpu::fcmpu(Fpscr(class | 0xF000), ONE, TWO);
    assert_eq!((less.cr, less.fpscr), (8, Fpscr(class | 0x8000)));
    assert_eq!(fpu::fcmpu(Fpscr(0), ZERO, NEG).cr, 2);
    assert_eq!(fpu::fcmpu(Fpscr(0), ONE, TWO | NEG).cr, 4);
}

#[test]
fn an_ordered_compare_of_a_nan_sets_vxvc_unless_a_signalling_one_interrupts() {
    let after = |comparison: fpu::Comparison| (comparison.cr, comparison.fpscr.0);
    assert_eq!(after(fpu::fcmpu(Fpscr(0), QNAN, ONE)), (1, 0x1000));
    assert_eq!(after(fpu::fcmpo(Fpscr(0), QNAN, ONE)), (1, 0x1000 | INVALID | Fpscr::VXVC));
    assert_eq!(after(fpu::fcmpu(Fpscr(0), ONE, SNAN)), (1, 0x1000 | INVALID | Fpscr::VXSNAN));
    let both = 0x1000 | INVALID | Fpscr::VXSNAN | Fpscr::VXVC;
    assert_eq!(after(fpu::fcmpo(Fpscr(0), ONE, SNAN)), (1, both));
    let enabled = 0x1000 | INVALID | Fpscr::FEX | Fpscr::VE | Fpscr::VXSNAN;
    assert_eq!(after(fpu::fcmpo(Fpscr(Fpscr::VE), ONE, SNAN)), (1, enabled));
    let quiet = 0x1000 | INVALID | Fpscr::FEX | Fpscr::VE | Fpscr::VXVC;
    assert_eq!(after(fpu::fcmpo(Fpscr(Fpscr::VE), QNAN, QNAN)), (1, quiet));
}

#[test]
fn select_takes_c_for_either_zero_and_b_for_a_nan() {
    let [b, c] = [TWO, SNAN];
    for (a, expected) in [(ONE, c), (ZERO, c), (NEG, c), (ONE | NEG, b), (QNAN, b), (SNAN, b), (INFINITY, c)]
    {
        assert_eq!(fpu::fsel(a, c, b), expected, "{a:016x}");
    }
}

#[test]
fn moves_change_the_sign_bit_alone() {
    assert_eq!(fpu::fmr(SNAN), SNAN);
    assert_eq!(fpu::fneg(SNAN), SNAN | NEG);
    assert_eq!(fpu::fabs(SNAN | NEG), SNAN);
    assert_eq!(fpu::fnabs(ONE), ONE | NEG);
}

#[test]
fn single_loads_widen_exactly_and_do_not_quiet() {
    let cases = [
        (0x0000_0000, 0x0000_0000_0000_0000),
        (0x8000_0000, 0x8000_0000_0000_0000),
        (0x0000_0001, 0x36A0_0000_0000_0000), // 2^-149
        (0x807F_FFFF, 0xB80F_FFFF_C000_0000),
        (0x0080_0000, 0x3810_0000_0000_0000),
        (0x3F80_0000, ONE),
        (0x7F80_0000, INFINITY),
        (0xFF80_0001, 0xFFF0_0000_2000_0000),
    ];
    for (word, image) in cases {
        assert_eq!(fpu::single_to_double(word), image, "{word:08x}");
        assert_eq!(fpu::double_to_single(image), word, "{image:016x}");
    }
}

#[test]
fn single_stores_truncate_and_denormalize_without_rounding() {
    let cases = [
        (0x3FFF_FFFF_FFFF_FFFF, 0x3FFF_FFFF), // bits drop off
        (0x380F_FFFF_FFFF_FFFF, 0x007F_FFFF), // just below the smallest normal
        (0x36A8_0000_0000_0000, 0x0000_0001), // 1.5 times the smallest denormal
        (0xB69F_FFFF_FFFF_FFFF, 0x8000_0000), // below it
        (0x0000_0000_0000_0001, 0x0000_0000),
        (0x8010_0094_E000_0359, 0x8000_0000), // as hardware was seen to store it
        (SNAN, 0x7FA0_0000),
    ];
    for (image, word) in cases {
        assert_eq!(fpu::double_to_single(image), word, "{image:016x}");
    }
    assert_eq!(fpu::stfiwx_word(0x1234_5678_9ABC_DEF0), 0x9ABC_DEF0);
}

#[test]
fn mffs_shows_the_fpscr_in_the_low_word() {
    assert_eq!(fpu::mffs(Fpscr(0x8200_4003)), 0xFFF8_0000_8200_4003);
}

#[test]
fn mtfsf_writes_whole_fields_and_computes_the_summaries() {
    // Field 0: FX and OX come from the operand, VX and FEX do not.
    assert_eq!(fpu::mtfsf(Fpscr(0), 0x80, 0xF000_0000), Fpscr(0x9000_0000));
    assert_eq!(fpu::mtfsf(Fpscr(0), 0x01, 0xFFFF_FFFF), Fpscr(0x0000_000F));
    // A cause that arrives this way raises VX and, enabled, FEX, but not FX.
    assert_eq!(fpu::mtfsf(Fpscr(0), 0xFF, 0x0100_0080), Fpscr(0x6100_0080));
    // The reserved bit 20 stays 0.
    assert_eq!(fpu::mtfsf(Fpscr(0), 0xFF, 0x0000_0800), Fpscr(0));
    assert_eq!(fpu::mtfsf(Fpscr(0x0000_00F8), 0, u64::MAX), Fpscr(0x0000_00F8));
}

#[test]
fn mtfsfi_writes_one_field() {
    assert_eq!(fpu::mtfsfi(Fpscr(0), 7, 3), Fpscr(3));
    assert_eq!(fpu::mtfsfi(Fpscr(0x1000_0040), 0, 0b0110), Fpscr(0x0000_0040));
    assert_eq!(fpu::mtfsfi(Fpscr(Fpscr::OX), 6, 0b0100), Fpscr(Fpscr::OX | Fpscr::FEX | Fpscr::OE));
}

#[test]
fn mtfsb1_of_an_exception_bit_sets_fx_and_the_summaries_cannot_be_set() {
    assert_eq!(fpu::mtfsb1(Fpscr(0), 6), Fpscr(Fpscr::FX | Fpscr::XX));
    assert_eq!(fpu::mtfsb1(Fpscr(0), 21), Fpscr(Fpscr::FX | Fpscr::VX | Fpscr::VXSOFT));
    assert_eq!(fpu::mtfsb1(Fpscr(Fpscr::XX), 6), Fpscr(Fpscr::XX));
    assert_eq!(fpu::mtfsb1(Fpscr(Fpscr::XX), 28), Fpscr(Fpscr::XX | Fpscr::FEX | Fpscr::XE));
    for summary in [1, 2, 20] {
        assert_eq!(fpu::mtfsb1(Fpscr(0), summary), Fpscr(0));
    }
}

#[test]
fn mtfsb0_clears_a_bit_and_leaves_fx_and_the_summaries_to_their_rules() {
    let invalid = Fpscr(Fpscr::FX | Fpscr::VX | Fpscr::VXSOFT);
    assert_eq!(fpu::mtfsb0(invalid, 21), Fpscr(Fpscr::FX));
    assert_eq!(fpu::mtfsb0(invalid, 2), invalid);
    assert_eq!(fpu::mtfsb0(invalid, 0), Fpscr(Fpscr::VX | Fpscr::VXSOFT));
}

#[test]
fn mcrfs_copies_a_field_and_clears_its_exception_bits_alone() {
    let all = Fpscr(Fpscr::IMPLEMENTED);
    let cleared = |bfa: u32| all.0 & !fpu::mcrfs(all, bfa).1.0;
    assert_eq!(fpu::mcrfs(all, 0).0, 0xF);
    assert_eq!(cleared(0), Fpscr::FX | Fpscr::OX);
    assert_eq!(cleared(1), Fpscr::UX | Fpscr::ZX | Fpscr::XX | Fpscr::VXSNAN);
    assert_eq!(cleared(2), Fpscr::VXISI | Fpscr::VXIDI | Fpscr::VXZDZ | Fpscr::VXIMZ);
    assert_eq!(cleared(3), Fpscr::VXVC);
    assert_eq!(fpu::mcrfs(all, 5).0, 0x7);
    assert_eq!(cleared(5), Fpscr::VXSOFT | Fpscr::VXSQRT | Fpscr::VXCVI);
    for untouched in [4, 6, 7] {
        assert_eq!(cleared(untouched), 0);
    }
    // The last cause that goes takes VX and FEX with it.
    assert_eq!(fpu::mcrfs(Fpscr(0x6100_0080), 1).1, Fpscr(0x0000_0080));
}

#[test]
fn estimates_of_powers_of_two_are_exact() {
    let four = 0x4010_0000_0000_0000;
    let half = 0x3FE0_0000_0000_0000;
    assert_eq!(fpu::frsqrte(Fpscr(0), four), outcome(half, FPRF_PLUS_NORMAL));
    assert_eq!(fpu::frsqrte(Fpscr(0), 1 << 50).result, Some((1023 + 512) << 52)); // 2^-1024
    assert_eq!(fpu::fres(Fpscr(0), TWO), outcome(half, FPRF_PLUS_NORMAL));
    assert_eq!(fpu::fres(Fpscr(0), INFINITY | NEG), outcome(NEG, 0x1_2000));
    assert_eq!(fpu::frsqrte(Fpscr(0), INFINITY), outcome(ZERO, FPRF_PLUS_ZERO));
}

#[test]
fn estimates_ignore_the_rounding_mode_and_tell_nothing_of_inexactness() {
    for estimate in [fpu::fres, fpu::frsqrte] {
        let nearest = estimate(Fpscr(Fpscr::XE), THREE);
        assert_eq!(nearest.fpscr, Fpscr(Fpscr::XE | FPRF_PLUS_NORMAL));
        for rn in 1..4 {
            assert_eq!(estimate(Fpscr(rn), THREE).result, nearest.result);
        }
    }
}

#[test]
fn a_reciprocal_estimate_overflows_and_underflows() {
    let overflow = fpu::fres(Fpscr(0), SMALLEST_NORMAL);
    assert_eq!(overflow, outcome(INFINITY, Fpscr::FX | Fpscr::OX | FPRF_PLUS_INFINITY));
    let underflow = fpu::fres(Fpscr(0), LARGEST);
    assert_eq!(underflow, outcome(ZERO, Fpscr::FX | Fpscr::UX | FPRF_PLUS_ZERO));
}

/// Results that valgrind's `jm-fp` recorded on PowerPC machines (masked as it masks them).
#[test]
fn results_recorded_on_hardware_are_met() {
    let [a, b, c] = [0x3FE0_0094_E000_0359, 0x8010_0094_E000_0359, 0x0010_0000_0000_0001];
    let value = |outcome: Outcome| outcome.result.unwrap();
    assert_eq!(value(fpu::fmadd(Fpscr(0), a, b, c)) & !0xFF, 0x0007_FF6B_1D4B_5E00);
    assert_eq!(value(fpu::fmadd(Fpscr(0), a, c, c)) & !0xFF, 0x0018_004A_7000_0100);
    assert_eq!(value(fpu::fsqrt(Fpscr(0), a)), 0x3FE6_A107_AACB_50DF);
    assert_eq!(value(fpu::fsqrt(Fpscr(0), 0x0010_0094_E000_0359)), 0x2000_004A_6F52_DD4A);
    assert_eq!(value(fpu::frsp(Fpscr(0), a)), 0x3FE0_0094_E000_0000);
    assert_eq!(value(fpu::frsp(Fpscr(0), b)), 0x8000_0000_0000_0000);
    assert_eq!(value(fpu::fres(Fpscr(0), a)) >> 44, 0x3_FFFF);
    assert_eq!(value(fpu::fres(Fpscr(0), c)), 0x7FF0_0000_0000_0000);
    assert_eq!(value(fpu::frsqrte(Fpscr(0), a)) >> 48, 0x3FF6);
    assert_eq!(value(fpu::frsqrte(Fpscr(0), c)) >> 48, 0x5FDF);
    assert_eq!(value(fpu::fadds(Fpscr(0), 0x7FF7_FFFF_FFFF_FFFF, c)), 0x7FFF_FFFF_E000_0000);
}
