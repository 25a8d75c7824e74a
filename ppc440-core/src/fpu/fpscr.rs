//! The floating-point status and control register: Book I, section "Floating-Point Status and Control Register",
//! and the instructions that move it. The summary bits VX and FEX are never stored by hand: every change goes
//! through functions that compute them again.

use super::UNDEFINED_HIGH;

/// An FPSCR image. Bit 0 of the manual (FX) is the most significant bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fpscr(pub u32);

/// The rounding mode in FPSCR\[RN\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// 00: to nearest, ties to even.
    Nearest,
    /// 01: toward zero.
    Zero,
    /// 10: toward positive infinity.
    PlusInfinity,
    /// 11: toward negative infinity.
    MinusInfinity,
}

/// The class and sign of a result: the five FPRF bits C, FL, FG, FE, FU in bits 4-0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Fpclass {
    /// Quiet NaN.
    QuietNan = 0b10001,
    /// Negative infinity.
    NegInfinity = 0b01001,
    /// Negative normalized number.
    NegNormal = 0b01000,
    /// Negative denormalized number.
    NegDenormal = 0b11000,
    /// Negative zero.
    NegZero = 0b10010,
    /// Positive zero.
    PosZero = 0b00010,
    /// Positive denormalized number.
    PosDenormal = 0b10100,
    /// Positive normalized number.
    PosNormal = 0b00100,
    /// Positive infinity.
    PosInfinity = 0b00101,
}

impl Fpscr {
    /// Exception summary: some exception bit went from 0 to 1.
    pub const FX: u32 = 0x8000_0000;
    /// Enabled exception summary: some exception bit and its enable are both 1.
    pub const FEX: u32 = 0x4000_0000;
    /// Invalid operation summary: the OR of the nine VXxxx bits.
    pub const VX: u32 = 0x2000_0000;
    /// Overflow.
    pub const OX: u32 = 0x1000_0000;
    /// Underflow.
    pub const UX: u32 = 0x0800_0000;
    /// Zero divide.
    pub const ZX: u32 = 0x0400_0000;
    /// Inexact.
    pub const XX: u32 = 0x0200_0000;
    /// Invalid operation: signalling NaN.
    pub const VXSNAN: u32 = 0x0100_0000;
    /// Invalid operation: ∞ − ∞.
    pub const VXISI: u32 = 0x0080_0000;
    /// Invalid operation: ∞ ÷ ∞.
    pub const VXIDI: u32 = 0x0040_0000;
    /// Invalid operation: 0 ÷ 0.
    pub const VXZDZ: u32 = 0x0020_0000;
    /// Invalid operation: ∞ × 0.
    pub const VXIMZ: u32 = 0x0010_0000;
    /// Invalid operation: ordered comparison of a NaN.
    pub const VXVC: u32 = 0x0008_0000;
    /// Fraction rounded: the last rounding incremented the magnitude.
    pub const FR: u32 = 0x0004_0000;
    /// Fraction inexact: the last rounding lost something. Not sticky.
    pub const FI: u32 = 0x0002_0000;
    /// Result flags C, FL, FG, FE, FU.
    pub const FPRF: u32 = 0x0001_F000;
    /// Condition code FL, FG, FE, FU: the part of FPRF that a compare writes.
    pub const FPCC: u32 = 0x0000_F000;
    /// Invalid operation: software request.
    pub const VXSOFT: u32 = 0x0000_0400;
    /// Invalid operation: square root of a negative number.
    pub const VXSQRT: u32 = 0x0000_0200;
    /// Invalid operation: integer conversion.
    pub const VXCVI: u32 = 0x0000_0100;
    /// Invalid operation enable.
    pub const VE: u32 = 0x0000_0080;
    /// Overflow enable.
    pub const OE: u32 = 0x0000_0040;
    /// Underflow enable.
    pub const UE: u32 = 0x0000_0020;
    /// Zero divide enable.
    pub const ZE: u32 = 0x0000_0010;
    /// Inexact enable.
    pub const XE: u32 = 0x0000_0008;
    /// Non-IEEE mode: stored, without effect.
    pub const NI: u32 = 0x0000_0004;
    /// Rounding mode.
    pub const RN: u32 = 0x0000_0003;

    /// The nine invalid-operation causes.
    pub const VX_CAUSES: u32 = Self::VXSNAN
        | Self::VXISI
        | Self::VXIDI
        | Self::VXZDZ
        | Self::VXIMZ
        | Self::VXVC
        | Self::VXSOFT
        | Self::VXSQRT
        | Self::VXCVI;
    /// Every sticky exception bit that software sees as a cause: a change of one of them to 1 sets FX.
    pub const EXCEPTIONS: u32 = Self::OX | Self::UX | Self::ZX | Self::XX | Self::VX_CAUSES;
    /// Bits that exist: all but the reserved bit 20.
    pub const IMPLEMENTED: u32 = !0x0000_0800;

    /// The bits of `mask` are 1 in the register.
    #[inline]
    #[must_use]
    pub fn any(self, mask: u32) -> bool {
        self.0 & mask != 0
    }

    /// FPSCR\[RN\].
    #[inline]
    #[must_use]
    pub fn rounding(self) -> Rounding {
        match self.0 & Self::RN {
            0 => Rounding::Nearest,
            1 => Rounding::Zero,
            2 => Rounding::PlusInfinity,
            _ => Rounding::MinusInfinity,
        }
    }

    /// FPSCR\[0:3\] (FX, FEX, VX, OX): what a record form copies into CR field 1.
    #[inline]
    #[must_use]
    pub fn cr1(self) -> u32 {
        self.0 >> 28
    }

    /// The register with VX and FEX computed from the bits that they summarise.
    #[inline]
    #[must_use]
    pub fn summarized(self) -> Self {
        let mut bits = self.0 & !(Self::VX | Self::FEX);
        bits |= if bits & Self::VX_CAUSES != 0 { Self::VX } else { 0 };
        // VX, OX, UX, ZX, XX stand in the order of VE, OE, UE, ZE, XE, 22 bits above them.
        bits |= if bits >> 22 & bits & 0xF8 != 0 { Self::FEX } else { 0 };
        Self(bits)
    }

    /// The register after an instruction that caused the exceptions in `causes` (a subset of
    /// [`Self::EXCEPTIONS`]): they accrue, FX is set if one of them was 0, the summaries follow.
    #[inline]
    #[must_use]
    pub fn with_exceptions(self, causes: u32) -> Self {
        let fx = if causes & !self.0 != 0 { Self::FX } else { 0 };
        Self(self.0 | causes | fx).summarized()
    }

    /// The register with the bits of `mask` replaced by those of `value`. Summaries are not touched.
    #[inline]
    #[must_use]
    pub(super) fn replaced(self, mask: u32, value: u32) -> Self {
        Self(self.0 & !mask | value & mask)
    }
}

/// The mask of FPSCR field `field` (0 is the most significant).
fn field_mask(field: u32) -> u32 {
    0xF000_0000 >> (4 * (field & 7))
}

/// Writes `value` under `mask` as `mtfsf` and `mtfsfi` do: FX and OX come from the value, VX and FEX are
/// computed, and FX is not set implicitly.
fn write(fpscr: Fpscr, mask: u32, value: u32) -> Fpscr {
    fpscr.replaced(mask & Fpscr::IMPLEMENTED, value).summarized()
}

/// `mffs`: the FPR image that shows the FPSCR in its low word.
#[must_use]
pub fn mffs(fpscr: Fpscr) -> u64 {
    UNDEFINED_HIGH | u64::from(fpscr.0)
}

/// `mtfsf`: copies the fields that `fm` (8 bits, most significant for field 0) selects from the low word of `b`.
#[must_use]
pub fn mtfsf(fpscr: Fpscr, fm: u32, b: u64) -> Fpscr {
    let mask = (0..8).filter(|field| fm & 0x80 >> field != 0).fold(0, |mask, field| mask | field_mask(field));
    write(fpscr, mask, b as u32)
}

/// `mtfsfi`: puts the four bits of `value` into field `bf` (0-7).
#[must_use]
pub fn mtfsfi(fpscr: Fpscr, bf: u32, value: u32) -> Fpscr {
    write(fpscr, field_mask(bf), (value & 0xF) << (28 - 4 * (bf & 7)))
}

/// `mtfsb0`: clears bit `bt` (0-31). FEX and VX cannot be cleared explicitly.
#[must_use]
pub fn mtfsb0(fpscr: Fpscr, bt: u32) -> Fpscr {
    Fpscr(fpscr.0 & !(0x8000_0000 >> (bt & 31))).summarized()
}

/// `mtfsb1`: sets bit `bt` (0-31). FEX and VX cannot be set explicitly; an exception bit that goes from 0 to 1
/// sets FX.
#[must_use]
pub fn mtfsb1(fpscr: Fpscr, bt: u32) -> Fpscr {
    let bit = 0x8000_0000 >> (bt & 31) & Fpscr::IMPLEMENTED;
    Fpscr(fpscr.0 | bit & !Fpscr::EXCEPTIONS).with_exceptions(bit & Fpscr::EXCEPTIONS)
}

/// `mcrfs`: the four bits of FPSCR field `bfa` (0-7) for a CR field, and the FPSCR with the exception bits that
/// were copied (FX and OX in field 0) cleared.
#[must_use]
pub fn mcrfs(fpscr: Fpscr, bfa: u32) -> (u32, Fpscr) {
    let mask = field_mask(bfa);
    let field = (fpscr.0 & mask) >> (28 - 4 * (bfa & 7));
    (field, Fpscr(fpscr.0 & !(mask & (Fpscr::FX | Fpscr::EXCEPTIONS))).summarized())
}
