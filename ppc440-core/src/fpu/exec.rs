//! Primary opcodes 59 and 63: the handlers that bring the pure functions of [`crate::fpu`] to a core's registers,
//! with the floating-point unavailable interrupt (MSR\[FP\] = 0), CR field 1 of the record forms, and the program
//! interrupt of an enabled exception (FPSCR\[FEX\] with MSR\[FE0\] or MSR\[FE1\]; all three modes are precise
//! here). Floating-point loads and stores are `exec::load_store`.

use super::{Comparison, Fpscr, Outcome};
use crate::bits::{esr, msr};
use crate::bus::Bus;
use crate::core::{Core, Flow};
use crate::exception::{Exception, Interrupt};
use crate::exec::Handler;
use crate::op::Op;

/// Returns from a handler with the floating-point unavailable interrupt unless MSR\[FP\] is set.
macro_rules! require_fp {
    ($core:expr) => {
        if $core.state.msr & msr::FP == 0 {
            return $core.raise(Exception::plain(Interrupt::FpUnavailable));
        }
    };
}

/// The operands that an instruction word names.
#[derive(Clone, Copy)]
struct Operands {
    a: u64,
    b: u64,
    c: u64,
}

impl Operands {
    #[inline(always)]
    fn of(core: &Core, op: Op) -> Self {
        let fpr = &core.state.fpr;
        Self { a: fpr[op.ra()], b: fpr[op.rb()], c: fpr[op.rc_reg()] }
    }
}

fn set_cr_field(core: &mut Core, field: u32, bits: u32) {
    let shift = 28 - 4 * field;
    core.state.cr = core.state.cr & !(0xF << shift) | bits << shift;
}

/// CR field 1 of a record form.
#[inline(always)]
fn record<const RC: bool>(core: &mut Core) {
    if RC {
        let bits = Fpscr(core.state.fpscr).cr1();
        set_cr_field(core, 1, bits);
    }
}

/// Ends an instruction that may have changed the FPSCR: registers are final, then an enabled exception interrupts
/// with SRR0 at this very instruction.
#[inline(always)]
fn finish<const RC: bool>(core: &mut Core, fpscr: Fpscr) -> Flow {
    core.state.fpscr = fpscr.0;
    record::<RC>(core);
    if fpscr.any(Fpscr::FEX) && core.state.msr & (msr::FE0 | msr::FE1) != 0 {
        return core.raise(Exception::program(esr::FP));
    }
    Flow::Next
}

/// An instruction that computes an FPR and a new FPSCR.
#[inline(always)]
fn compute<const RC: bool>(core: &mut Core, op: Op, f: impl FnOnce(Fpscr, Operands) -> Outcome) -> Flow {
    require_fp!(core);
    let outcome = f(Fpscr(core.state.fpscr), Operands::of(core, op));
    if let Some(image) = outcome.result {
        core.state.fpr[op.rt()] = image;
    }
    finish::<RC>(core, outcome.fpscr)
}

/// An instruction that moves FPRs and leaves the FPSCR alone.
#[inline(always)]
fn transfer<const RC: bool>(core: &mut Core, op: Op, f: impl FnOnce(Operands) -> u64) -> Flow {
    require_fp!(core);
    core.state.fpr[op.rt()] = f(Operands::of(core, op));
    record::<RC>(core);
    Flow::Next
}

/// An instruction that changes the FPSCR alone.
#[inline(always)]
fn control<const RC: bool>(core: &mut Core, f: impl FnOnce(Fpscr) -> Fpscr) -> Flow {
    require_fp!(core);
    let fpscr = f(Fpscr(core.state.fpscr));
    finish::<RC>(core, fpscr)
}

/// A compare into CR field BF.
#[inline(always)]
fn compare(core: &mut Core, op: Op, f: impl FnOnce(Fpscr, u64, u64) -> Comparison) -> Flow {
    require_fp!(core);
    let Operands { a, b, .. } = Operands::of(core, op);
    let comparison = f(Fpscr(core.state.fpscr), a, b);
    set_cr_field(core, op.bf(), comparison.cr);
    finish::<false>(core, comparison.fpscr)
}

macro_rules! handlers {
    ($($kind:ident: $($name:ident($($operand:ident),+)),+;)*) => {$($(
        fn $name<B: Bus, const RC: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
            handlers!(@ $kind, RC, core, op, $name($($operand),+))
        }
    )+)*};
    (@ compute, $rc:ident, $core:ident, $op:ident, $name:ident($($operand:ident),+)) => {
        compute::<$rc>($core, $op, |fpscr, operands| super::$name(fpscr, $(operands.$operand),+))
    };
    (@ transfer, $rc:ident, $core:ident, $op:ident, $name:ident($($operand:ident),+)) => {
        transfer::<$rc>($core, $op, |operands| super::$name($(operands.$operand),+))
    };
}

handlers! {
    compute:
        fadd(a, b), fadds(a, b), fsub(a, b), fsubs(a, b), fmul(a, c), fmuls(a, c), fdiv(a, b), fdivs(a, b),
        fmadd(a, c, b), fmadds(a, c, b), fmsub(a, c, b), fmsubs(a, c, b),
        fnmadd(a, c, b), fnmadds(a, c, b), fnmsub(a, c, b), fnmsubs(a, c, b),
        fsqrt(b), fsqrts(b), fres(b), frsqrte(b), frsp(b), fctiw(b), fctiwz(b);
    transfer: fmr(b), fneg(b), fabs(b), fnabs(b), fsel(a, c, b);
}

fn fcmpu<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    compare(core, op, super::fcmpu)
}

fn fcmpo<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    compare(core, op, super::fcmpo)
}

fn mcrfs<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    require_fp!(core);
    let (field, fpscr) = super::mcrfs(Fpscr(core.state.fpscr), op.bfa());
    set_cr_field(core, op.bf(), field);
    finish::<false>(core, fpscr)
}

fn mffs<B: Bus, const RC: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    require_fp!(core);
    core.state.fpr[op.rt()] = super::mffs(Fpscr(core.state.fpscr));
    record::<RC>(core);
    Flow::Next
}

/// FM is bits 7:14.
fn mtfsf<B: Bus, const RC: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let b = core.state.fpr[op.rb()];
    control::<RC>(core, |fpscr| super::mtfsf(fpscr, op.0 >> 17 & 0xFF, b))
}

/// U is bits 16:19.
fn mtfsfi<B: Bus, const RC: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    control::<RC>(core, |fpscr| super::mtfsfi(fpscr, op.bf(), op.0 >> 12 & 0xF))
}

/// BT stands where RT does.
fn mtfsb0<B: Bus, const RC: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    control::<RC>(core, |fpscr| super::mtfsb0(fpscr, op.rt() as u32))
}

fn mtfsb1<B: Bus, const RC: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    control::<RC>(core, |fpscr| super::mtfsb1(fpscr, op.rt() as u32))
}

macro_rules! by_rc {
    ($op:expr, $name:ident) => {
        if $op.rc() { $name::<B, true> } else { $name::<B, false> }
    };
}

/// The semantics of a word with primary opcode 59 or 63; `None` if it is no instruction.
///
/// The A-forms have extended opcodes of five bits, all above those five bits of any X-form. The fields that a form
/// does not use are ignored.
pub(crate) fn decode<B: Bus>(op: Op) -> Option<Handler<B>> {
    let short = op.xo() & 0x1F;
    Some(match (op.primary(), short) {
        (59, 22) | (63, 22) if !super::HAS_FSQRT => return None,
        (59, 18) => by_rc!(op, fdivs),
        (59, 20) => by_rc!(op, fsubs),
        (59, 21) => by_rc!(op, fadds),
        (59, 22) => by_rc!(op, fsqrts),
        (59, 24) => by_rc!(op, fres),
        (59, 25) => by_rc!(op, fmuls),
        (59, 28) => by_rc!(op, fmsubs),
        (59, 29) => by_rc!(op, fmadds),
        (59, 30) => by_rc!(op, fnmsubs),
        (59, 31) => by_rc!(op, fnmadds),
        (63, 18) => by_rc!(op, fdiv),
        (63, 20) => by_rc!(op, fsub),
        (63, 21) => by_rc!(op, fadd),
        (63, 22) => by_rc!(op, fsqrt),
        (63, 23) => by_rc!(op, fsel),
        (63, 25) => by_rc!(op, fmul),
        (63, 26) => by_rc!(op, frsqrte),
        (63, 28) => by_rc!(op, fmsub),
        (63, 29) => by_rc!(op, fmadd),
        (63, 30) => by_rc!(op, fnmsub),
        (63, 31) => by_rc!(op, fnmadd),
        (63, _) => return decode_x(op),
        _ => return None,
    })
}

/// The X-, XL- and XFL-forms of primary opcode 63.
fn decode_x<B: Bus>(op: Op) -> Option<Handler<B>> {
    Some(match op.xo() {
        0 => fcmpu,
        12 => by_rc!(op, frsp),
        14 => by_rc!(op, fctiw),
        15 => by_rc!(op, fctiwz),
        32 => fcmpo,
        38 => by_rc!(op, mtfsb1),
        40 => by_rc!(op, fneg),
        64 => mcrfs,
        70 => by_rc!(op, mtfsb0),
        72 => by_rc!(op, fmr),
        134 => by_rc!(op, mtfsfi),
        136 => by_rc!(op, fnabs),
        264 => by_rc!(op, fabs),
        583 => by_rc!(op, mffs),
        711 => by_rc!(op, mtfsf),
        _ => return None,
    })
}
