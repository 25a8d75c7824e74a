//! The 440's multiply-accumulate and halfword multiply instructions (primary opcode 4; facts section 2.8).
//!
//! A mnemonic reads `[n]mac`, then which halfwords are multiplied (`chw`: low of RA with high of RB, `hhw`: high with
//! high, `lhw`: low with low), then `s` for saturating and `u` for unsigned.

use crate::bus::Bus;
use crate::core::{Core, Flow};
use crate::op::Op;

/// Halfword selections.
const CROSS: u8 = 0;
const HIGH: u8 = 1;
const LOW: u8 = 2;

fn halves<const HALVES: u8>(core: &Core, op: Op) -> (u16, u16) {
    let (ra, rb) = (core.state.gpr[op.ra()], core.state.gpr[op.rb()]);
    match HALVES {
        CROSS => (ra as u16, (rb >> 16) as u16),
        HIGH => ((ra >> 16) as u16, (rb >> 16) as u16),
        _ => (ra as u16, rb as u16),
    }
}

fn product<const HALVES: u8, const SIGNED: bool>(core: &Core, op: Op) -> i64 {
    let (a, b) = halves::<HALVES>(core, op);
    if SIGNED { i64::from(a as i16) * i64::from(b as i16) } else { i64::from(a) * i64::from(b) }
}

fn multiply<B: Bus, const HALVES: u8, const SIGNED: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let result = product::<HALVES, SIGNED>(core, op) as u32;
    core.state.gpr[op.rt()] = result;
    if op.rc() {
        core.set_cr0(result);
    }
    Flow::Next
}

fn accumulate<B: Bus, const HALVES: u8, const SIGNED: bool, const SATURATE: bool, const NEGATE: bool>(
    core: &mut Core,
    _: &mut B,
    op: Op,
) -> Flow {
    let product = product::<HALVES, SIGNED>(core, op);
    let accumulator = core.state.gpr[op.rt()];
    let accumulator = if SIGNED { i64::from(accumulator as i32) } else { i64::from(accumulator) };
    let sum = if NEGATE { accumulator - product } else { accumulator + product };
    let (low, high) =
        if SIGNED { (i64::from(i32::MIN), i64::from(i32::MAX)) } else { (0, i64::from(u32::MAX)) };
    let overflow = sum < low || sum > high;
    let result = if SATURATE { sum.clamp(low, high) } else { sum } as u32;
    core.state.gpr[op.rt()] = result;
    if op.oe() {
        core.set_overflow(overflow);
    }
    if op.rc() {
        core.set_cr0(result);
    }
    Flow::Next
}

/// The handler of an instruction with primary opcode 4; `None` if the extended opcode is not one.
pub(super) fn decode<B: Bus>(op: Op) -> Option<super::Handler<B>> {
    Some(match op.xo() {
        168 => multiply::<B, CROSS, true>,
        136 => multiply::<B, CROSS, false>,
        40 => multiply::<B, HIGH, true>,
        8 => multiply::<B, HIGH, false>,
        424 => multiply::<B, LOW, true>,
        392 => multiply::<B, LOW, false>,
        with_oe => match with_oe & 0x1FF {
            172 => accumulate::<B, CROSS, true, false, false>,
            236 => accumulate::<B, CROSS, true, true, false>,
            204 => accumulate::<B, CROSS, false, true, false>,
            140 => accumulate::<B, CROSS, false, false, false>,
            44 => accumulate::<B, HIGH, true, false, false>,
            108 => accumulate::<B, HIGH, true, true, false>,
            76 => accumulate::<B, HIGH, false, true, false>,
            12 => accumulate::<B, HIGH, false, false, false>,
            428 => accumulate::<B, LOW, true, false, false>,
            492 => accumulate::<B, LOW, true, true, false>,
            460 => accumulate::<B, LOW, false, true, false>,
            396 => accumulate::<B, LOW, false, false, false>,
            174 => accumulate::<B, CROSS, true, false, true>,
            238 => accumulate::<B, CROSS, true, true, true>,
            46 => accumulate::<B, HIGH, true, false, true>,
            110 => accumulate::<B, HIGH, true, true, true>,
            430 => accumulate::<B, LOW, true, false, true>,
            494 => accumulate::<B, LOW, true, true, true>,
            _ => return None,
        },
    })
}
