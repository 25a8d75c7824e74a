//! What Book I says an arithmetic instruction does, written a second time and differently: `rustc_apfloat` computes
//! in the target format, and again in a format of the same precision whose exponent knows no bounds. The latter
//! tells tininess, overflow and the wrapped results of enabled exceptions; comparing with the result rounded
//! toward zero tells FR. Nothing of `ppc440_core::fpu` is used but the bit names.

use ppc440_core::fpu::{Fpscr, Outcome};
use rustc_apfloat::ieee::{self, IeeeFloat, Semantics};
use rustc_apfloat::{Float, FloatConvert, Round, Status, StatusAnd};

/// The arithmetic instructions, without their precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    Sub,
    Mul,
    Div,
    MulAdd,
    MulSub,
    NegMulAdd,
    NegMulSub,
}

use Operation::{Add, Div, Mul, MulAdd, MulSub, NegMulAdd, NegMulSub, Sub};

pub(crate) const TWO_OPERANDS: [Operation; 4] = [Add, Sub, Mul, Div];
pub(crate) const FUSED: [Operation; 4] = [MulAdd, MulSub, NegMulAdd, NegMulSub];

/// 53 bits of precision, 14 of exponent.
pub(crate) struct WideDouble;
impl Semantics for WideDouble {
    const BITS: usize = 1 + 14 + 52;
    const EXP_BITS: usize = 14;
}

/// 24 bits of precision, 14 of exponent.
pub(crate) struct WideSingle;
impl Semantics for WideSingle {
    const BITS: usize = 1 + 14 + 23;
    const EXP_BITS: usize = 14;
}

/// FPSCR after an instruction that caused `causes`, computed bit by bit.
pub(crate) fn accrue(before: u32, causes: u32) -> u32 {
    let mut after = before | causes;
    if causes & !before != 0 {
        after |= Fpscr::FX;
    }
    after &= !(Fpscr::VX | Fpscr::FEX);
    let invalid = [
        Fpscr::VXSNAN,
        Fpscr::VXISI,
        Fpscr::VXIDI,
        Fpscr::VXZDZ,
        Fpscr::VXIMZ,
        Fpscr::VXVC,
        Fpscr::VXSOFT,
        Fpscr::VXSQRT,
        Fpscr::VXCVI,
    ];
    if invalid.iter().any(|&bit| after & bit != 0) {
        after |= Fpscr::VX;
    }
    let pairs = [
        (Fpscr::VX, Fpscr::VE),
        (Fpscr::OX, Fpscr::OE),
        (Fpscr::UX, Fpscr::UE),
        (Fpscr::ZX, Fpscr::ZE),
        (Fpscr::XX, Fpscr::XE),
    ];
    if pairs.iter().any(|&(cause, enable)| after & cause != 0 && after & enable != 0) {
        after |= Fpscr::FEX;
    }
    after
}

fn is_nan(image: u64) -> bool {
    f64::from_bits(image).is_nan()
}

fn is_snan(image: u64) -> bool {
    is_nan(image) && image >> 51 & 1 == 0
}

/// The operands as the instruction names them; a two-operand instruction has one of C and B.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operands {
    pub(crate) a: u64,
    pub(crate) c: u64,
    pub(crate) b: u64,
}

impl Operands {
    /// Those that the operation reads, in the order A, B, C.
    fn read_by(self, operation: Operation) -> Vec<u64> {
        match operation {
            Add | Sub | Div => vec![self.a, self.b],
            Mul => vec![self.a, self.c],
            _ => vec![self.a, self.b, self.c],
        }
    }
}

/// The operation before its final negation.
fn apply<S: Semantics>(
    operation: Operation,
    (a, c, b): (IeeeFloat<S>, IeeeFloat<S>, IeeeFloat<S>),
    round: Round,
) -> StatusAnd<IeeeFloat<S>> {
    match operation {
        Add => a.add_r(b, round),
        Sub => a.sub_r(b, round),
        Mul => a.mul_r(c, round),
        Div => a.div_r(b, round),
        MulAdd | NegMulAdd => a.mul_add_r(c, b, round),
        MulSub | NegMulSub => a.mul_add_r(c, -b, round),
    }
}

/// The invalid-operation causes other than VXSNAN.
fn invalid_causes(operation: Operation, operands: Operands) -> u32 {
    let [a, c, b] = [operands.a, operands.c, operands.b].map(f64::from_bits);
    let any_nan = operands.read_by(operation).into_iter().any(is_nan);
    match operation {
        Add if a.is_infinite() && b == -a => Fpscr::VXISI,
        Sub if a.is_infinite() && b == a => Fpscr::VXISI,
        Mul if (a * c).is_nan() && !any_nan => Fpscr::VXIMZ,
        Div if a.is_infinite() && b.is_infinite() => Fpscr::VXIDI,
        Div if a == 0.0 && b == 0.0 => Fpscr::VXZDZ,
        Add | Sub | Mul | Div => 0,
        _ if (a * c).is_nan() && !a.is_nan() && !c.is_nan() => Fpscr::VXIMZ,
        MulAdd | NegMulAdd if (a.is_infinite() || c.is_infinite()) && !any_nan && b == -(a * c) => {
            Fpscr::VXISI
        }
        MulSub | NegMulSub if (a.is_infinite() || c.is_infinite()) && !any_nan && b == a * c => Fpscr::VXISI,
        _ => 0,
    }
}

/// The outcome of an operation in double precision.
pub(crate) fn double(operation: Operation, fpscr: u32, operands: Operands) -> Outcome {
    expected::<ieee::DoubleS, WideDouble>(operation, fpscr, operands, u64::MAX, 1536)
}

/// The outcome of an operation in single precision. All operands hold single-precision values.
pub(crate) fn single(operation: Operation, fpscr: u32, operands: Operands) -> Outcome {
    expected::<ieee::SingleS, WideSingle>(operation, fpscr, operands, !0x1FFF_FFFF, 192)
}

/// The outcome of rounding to single precision.
pub(crate) fn round_to_single(fpscr: u32, b: u64) -> Outcome {
    if is_nan(b) {
        return nan(fpscr, if is_snan(b) { Fpscr::VXSNAN } else { 0 }, (b | 1 << 51) & !0x1FFF_FFFF);
    }
    let b = ieee::Double::from_bits(u128::from(b));
    let mut loses = false;
    let mode = mode(fpscr);
    let narrow = |round, loses: &mut bool| FloatConvert::<ieee::Single>::convert_r(b, round, loses);
    let wide = |round, loses: &mut bool| FloatConvert::<IeeeFloat<WideSingle>>::convert_r(b, round, loses);
    finish(
        fpscr,
        narrow(mode, &mut loses),
        narrow(Round::TowardZero, &mut loses),
        wide(mode, &mut loses),
        wide(Round::TowardZero, &mut loses),
        192,
        false,
    )
}

pub(crate) fn mode(fpscr: u32) -> Round {
    [Round::NearestTiesToEven, Round::TowardZero, Round::TowardPositive, Round::TowardNegative]
        [(fpscr & Fpscr::RN) as usize]
}

fn nan(fpscr: u32, causes: u32, image: u64) -> Outcome {
    let cleared = fpscr & !(Fpscr::FR | Fpscr::FI);
    if causes != 0 && fpscr & Fpscr::VE != 0 {
        return Outcome { result: None, fpscr: Fpscr(accrue(cleared, causes)) };
    }
    let fpscr = Fpscr(accrue(cleared & !Fpscr::FPRF | 0x11000, causes));
    Outcome { result: Some(image), fpscr }
}

fn expected<N: Semantics, W: Semantics>(
    operation: Operation,
    fpscr: u32,
    operands: Operands,
    nan_mask: u64,
    adjustment: i32,
) -> Outcome
where
    ieee::Double: FloatConvert<IeeeFloat<N>> + FloatConvert<IeeeFloat<W>>,
    IeeeFloat<N>: FloatConvert<ieee::Double> + FloatConvert<IeeeFloat<W>>,
    IeeeFloat<W>: FloatConvert<ieee::Double>,
{
    let read = operands.read_by(operation);
    let mut causes = invalid_causes(operation, operands);
    if read.iter().copied().any(is_snan) {
        causes |= Fpscr::VXSNAN;
    }
    if let Some(first) = read.iter().copied().find(|&operand| is_nan(operand)) {
        return nan(fpscr, causes, (first | 1 << 51) & nan_mask);
    }
    if causes != 0 {
        return nan(fpscr, causes, 0x7FF8_0000_0000_0000);
    }
    // No NaN is left; an unused operand may be one, and does not matter.
    let convert_narrow = |image: u64| -> IeeeFloat<N> {
        let mut loses = false;
        let value = ieee::Double::from_bits(u128::from(image)).convert(&mut loses).value;
        assert!(!loses || is_nan(image), "operand {image:016x} is not single-valued");
        value
    };
    let n = (convert_narrow(operands.a), convert_narrow(operands.c), convert_narrow(operands.b));
    let convert_wide = |value: IeeeFloat<N>| -> IeeeFloat<W> { value.convert(&mut false).value };
    let w = (convert_wide(n.0), convert_wide(n.1), convert_wide(n.2));

    let round = mode(fpscr);
    let result = apply(operation, n, round);
    if result.status.contains(Status::DIV_BY_ZERO) {
        let cleared = fpscr & !(Fpscr::FR | Fpscr::FI);
        if fpscr & Fpscr::ZE != 0 {
            return Outcome { result: None, fpscr: Fpscr(accrue(cleared, Fpscr::ZX)) };
        }
        let negative = result.value.is_negative();
        let class = if negative { 0x9000 } else { 0x5000 };
        let image = if negative { 0xFFF0_0000_0000_0000 } else { 0x7FF0_0000_0000_0000 };
        let fpscr = Fpscr(accrue(cleared & !Fpscr::FPRF | class, Fpscr::ZX));
        return Outcome { result: Some(image), fpscr };
    }
    finish(
        fpscr,
        result,
        apply(operation, n, Round::TowardZero),
        apply(operation, w, round),
        apply(operation, w, Round::TowardZero),
        adjustment,
        matches!(operation, NegMulAdd | NegMulSub),
    )
}

/// From the results in the target's range (rounded, truncated) and in unbounded range (the same) to the outcome.
fn finish<N: Semantics, W: Semantics>(
    fpscr: u32,
    rounded: StatusAnd<IeeeFloat<N>>,
    truncated: StatusAnd<IeeeFloat<N>>,
    wide_rounded: StatusAnd<IeeeFloat<W>>,
    wide_truncated: StatusAnd<IeeeFloat<W>>,
    adjustment: i32,
    negate: bool,
) -> Outcome
where
    IeeeFloat<N>: FloatConvert<ieee::Double>,
    IeeeFloat<W>: FloatConvert<ieee::Double>,
{
    let finite = wide_truncated.value.is_finite_non_zero();
    let tiny = finite && wide_truncated.value.ilogb() < N::MIN_EXP;
    let overflow = finite && wide_rounded.value.ilogb() > N::MAX_EXP;

    let mut causes = 0;
    let enabled = tiny && fpscr & Fpscr::UE != 0 || overflow && fpscr & Fpscr::OE != 0;
    let (value, denormal, inexact, incremented) = if enabled {
        causes |= if tiny { Fpscr::UX } else { Fpscr::OX };
        let scaled = wide_rounded.value.scalbn(if tiny { adjustment } else { -adjustment });
        let inexact = wide_rounded.status.contains(Status::INEXACT);
        let incremented = !wide_rounded.value.bitwise_eq(wide_truncated.value);
        let converted: StatusAnd<ieee::Double> = scaled.convert(&mut false);
        assert_eq!(converted.status, Status::OK, "a wrapped result is a normal double");
        (converted.value, false, inexact, incremented)
    } else {
        let inexact = rounded.status.contains(Status::INEXACT);
        causes |= if overflow { Fpscr::OX } else { 0 };
        causes |= if tiny && inexact { Fpscr::UX } else { 0 };
        let incremented = inexact && !rounded.value.bitwise_eq(truncated.value);
        let converted: StatusAnd<ieee::Double> = rounded.value.convert(&mut false);
        (converted.value, rounded.value.is_denormal(), inexact, incremented)
    };
    causes |= if inexact { Fpscr::XX } else { 0 };

    let value = if negate { -value } else { value };
    let negative = value.is_negative();
    let class = match (value.is_zero(), value.is_infinite(), denormal) {
        (true, ..) => [0b00010, 0b10010],
        (_, true, _) => [0b00101, 0b01001],
        (.., true) => [0b10100, 0b11000],
        _ => [0b00100, 0b01000],
    }[usize::from(negative)];

    let mut after = fpscr & !(Fpscr::FR | Fpscr::FI | Fpscr::FPRF) | class << 12;
    after |= if inexact { Fpscr::FI } else { 0 };
    after |= if incremented { Fpscr::FR } else { 0 };
    Outcome { result: Some(value.to_bits() as u64), fpscr: Fpscr(accrue(after, causes)) }
}
