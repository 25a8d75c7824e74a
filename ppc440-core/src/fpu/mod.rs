//! The double-precision scalar floating-point unit of the 440EP, as pure functions.
//!
//! Every instruction is a function from (FPSCR, operands) to (result, FPSCR): no CPU structure, no host
//! floating-point state, no allocation. FPRs are IEEE 754 binary64 images in a `u64`. The rules are those of the
//! PowerPC User Instruction Set Architecture (Book I, "Floating-Point Processor") in its Book E form: all of the
//! FPSCR with FR, FI, FPRF and every invalid-operation cause, four rounding modes, tininess detected before
//! rounding, enabled overflow and underflow results with the exponent wrapped by 1536 (double) or 192 (single),
//! and NaN operands chosen in the order A, B, C.
//!
//! The private module `fast` computes ordinary operands with integer arithmetic and leaves denormal ones to `exact`,
//! which asks `rustc_apfloat` for the 113-bit result rounded to odd. Both hand the same unrounded number to `round`,
//! the only place that rounds; tests prove that the two paths agree.
//!
//! # Choices where the architecture leaves freedom
//!
//! | what | here | why |
//! |---|---|---|
//! | `fsqrt`, `fsqrts` | implemented ([`HAS_FSQRT`]) | optional in Book E; no public document of the 440EP settles it and compilers for the 440 do not emit it, so accepting it harms no guest |
//! | `fres` | 1/B correctly rounded to single | within the permitted 1/256; agrees with the recorded results of valgrind's hardware tests |
//! | `frsqrte` | 1/√B in double, to nearest within 1/256 of a unit in the last place | within the permitted 1/32; agrees with the same records |
//! | FR, FI after `fres`, `frsqrte` | 0, and XX is left alone | undefined, respectively not listed among the altered bits |
//! | FR after a disabled overflow | 1 if the result is an infinity, else 0 | undefined; this is the direction of the rounding |
//! | FPRF after `fctiw`, `fctiwz` | unchanged | undefined |
//! | high word of `fctiw`, `fctiwz`, `mffs` | `0xFFF8_0000` | undefined; a quiet NaN, as most implementations give |
//! | NaN operand of a single-precision operation | low 29 bits cleared | Book I says so for `frsp` only; hardware records show it for all |
//! | single-precision store below 2^-149 | a zero of that sign | undefined; hardware records show it |
//! | FPSCR bit 20 (reserved) | reads 0, cannot be written | |
//! | FPSCR\[NI\] | stored, no effect | an implementation may ignore non-IEEE mode |

mod arith;
mod compare;
mod convert;
mod exact;
pub(crate) mod exec;
mod fast;
mod fpscr;
mod root;
mod round;
#[cfg(test)]
mod tests;

pub use arith::{
    fadd, fadds, fdiv, fdivs, fmadd, fmadds, fmsub, fmsubs, fmul, fmuls, fnmadd, fnmadds, fnmsub, fnmsubs,
    fres, frsp, frsqrte, fsqrt, fsqrts, fsub, fsubs,
};
pub use compare::{fabs, fcmpo, fcmpu, fctiw, fctiwz, fmr, fnabs, fneg, fsel};
pub use convert::{double_to_single, single_to_double, stfiwx_word};
pub use fpscr::{Fpclass, Fpscr, Rounding, mcrfs, mffs, mtfsb0, mtfsb1, mtfsf, mtfsfi};

/// Whether `fsqrt` and `fsqrts` are implemented; if not, they are illegal instructions.
///
/// Book E makes them optional and no public 440EP document says which; see the module's table.
pub const HAS_FSQRT: bool = true;

/// The quiet NaN that a disabled invalid operation without a NaN operand produces.
pub const DEFAULT_QNAN: u64 = 0x7FF8_0000_0000_0000;

/// High word of results that the architecture defines only in the low word (`fctiw`, `fctiwz`, `mffs`).
pub const UNDEFINED_HIGH: u64 = 0xFFF8_0000_0000_0000;

/// What a floating-point instruction leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// New image of the target FPR; `None` if an enabled invalid operation or zero divide leaves it unwritten.
    pub result: Option<u64>,
    /// The FPSCR after the instruction. An enabled-exception interrupt is due if FEX is set and MSR\[FE0,FE1\] is
    /// not 00.
    pub fpscr: Fpscr,
}

/// What a floating-point compare leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The four bits for CR field BF: 8 less, 4 greater, 2 equal, 1 unordered.
    pub cr: u32,
    /// The FPSCR after the instruction, with FPCC equal to `cr`.
    pub fpscr: Fpscr,
}
