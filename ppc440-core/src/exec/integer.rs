//! Fixed-point arithmetic, logic, compare, rotate and shift (Book I, fixed-point facility).
//!
//! `RC` and `OE` are const parameters so that the common forms carry no test for them.

use crate::bits::xer;
use crate::bus::Bus;
use crate::core::{Core, Flow};
use crate::op::Op;

impl Core {
    /// Sets CR0 from a result and XER\[SO\].
    #[inline(always)]
    pub(crate) fn set_cr0(&mut self, result: u32) {
        self.set_cr_field(0, compare_signed(result, 0));
    }

    /// Sets CR field `field` to LT, GT or EQ with XER\[SO\] beside it.
    #[inline(always)]
    fn set_cr_field(&mut self, field: u32, order: u32) {
        let value = order | (self.state.xer >> 31);
        let shift = 28 - 4 * field;
        self.state.cr = (self.state.cr & !(0xF << shift)) | (value << shift);
    }

    /// Sets XER\[CA\].
    #[inline(always)]
    fn set_carry(&mut self, carry: bool) {
        self.state.xer = (self.state.xer & !xer::CA) | (u32::from(carry) << 29);
    }

    /// XER\[CA\] as a number.
    #[inline(always)]
    fn carry(&self) -> u32 {
        (self.state.xer >> 29) & 1
    }

    /// Sets XER\[OV\], and XER\[SO\] with it.
    #[inline(always)]
    pub(crate) fn set_overflow(&mut self, overflow: bool) {
        self.state.xer =
            if overflow { self.state.xer | xer::OV | xer::SO } else { self.state.xer & !xer::OV };
    }

    /// (RA|0)
    #[inline(always)]
    pub(crate) fn ra_or_zero(&self, op: Op) -> u32 {
        if op.ra() == 0 { 0 } else { self.state.gpr[op.ra()] }
    }
}

#[inline(always)]
fn compare_signed(a: u32, b: u32) -> u32 {
    match (a as i32).cmp(&(b as i32)) {
        core::cmp::Ordering::Less => 8,
        core::cmp::Ordering::Greater => 4,
        core::cmp::Ordering::Equal => 2,
    }
}

#[inline(always)]
fn compare_unsigned(a: u32, b: u32) -> u32 {
    match a.cmp(&b) {
        core::cmp::Ordering::Less => 8,
        core::cmp::Ordering::Greater => 4,
        core::cmp::Ordering::Equal => 2,
    }
}

/// `a + b + carry`, with the carry out and the signed overflow.
#[inline(always)]
fn add_carry(a: u32, b: u32, carry: u32) -> (u32, bool, bool) {
    let wide = u64::from(a) + u64::from(b) + u64::from(carry);
    let result = wide as u32;
    (result, wide >> 32 != 0, ((a ^ result) & (b ^ result)) >> 31 != 0)
}

/// XO-form arithmetic: RT from two operands, optionally through the carry.
macro_rules! arithmetic {
    ($($(#[$doc:meta])* $name:ident($core:ident, $ra:ident, $rb:ident) = ($a:expr, $b:expr, $carry:expr), sets_carry $ca:literal;)*) => { $(
        $(#[$doc])*
        pub(super) fn $name<B: Bus, const RC: bool, const OE: bool>($core: &mut Core, _: &mut B, op: Op) -> Flow {
            let $ra = $core.state.gpr[op.ra()];
            let $rb = $core.state.gpr[op.rb()];
            let _ = $rb;
            let (result, carry, overflow) = add_carry($a, $b, $carry);
            $core.state.gpr[op.rt()] = result;
            if $ca {
                $core.set_carry(carry);
            }
            if OE {
                $core.set_overflow(overflow);
            }
            if RC {
                $core.set_cr0(result);
            }
            Flow::Next
        }
    )* };
}

arithmetic! {
    /// RT <- (RA) + (RB)
    add(core, ra, rb) = (ra, rb, 0), sets_carry false;
    /// RT <- (RA) + (RB), CA
    addc(core, ra, rb) = (ra, rb, 0), sets_carry true;
    /// RT <- (RA) + (RB) + CA, CA
    adde(core, ra, rb) = (ra, rb, core.carry()), sets_carry true;
    /// RT <- (RA) + CA - 1, CA
    addme(core, ra, rb) = (ra, u32::MAX, core.carry()), sets_carry true;
    /// RT <- (RA) + CA, CA
    addze(core, ra, rb) = (ra, 0, core.carry()), sets_carry true;
    /// RT <- (RB) - (RA)
    subf(core, ra, rb) = (!ra, rb, 1), sets_carry false;
    /// RT <- (RB) - (RA), CA
    subfc(core, ra, rb) = (!ra, rb, 1), sets_carry true;
    /// RT <- not (RA) + (RB) + CA, CA
    subfe(core, ra, rb) = (!ra, rb, core.carry()), sets_carry true;
    /// RT <- not (RA) + CA - 1, CA
    subfme(core, ra, rb) = (!ra, u32::MAX, core.carry()), sets_carry true;
    /// RT <- not (RA) + CA, CA
    subfze(core, ra, rb) = (!ra, 0, core.carry()), sets_carry true;
    /// RT <- - (RA)
    neg(core, ra, rb) = (!ra, 0, 1), sets_carry false;
}

/// RT <- (RA|0) + SI
pub(super) fn addi<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    core.state.gpr[op.rt()] = core.ra_or_zero(op).wrapping_add(op.si());
    Flow::Next
}

/// RT <- (RA|0) + (SI || 0x0000)
pub(super) fn addis<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    core.state.gpr[op.rt()] = core.ra_or_zero(op).wrapping_add(op.ui() << 16);
    Flow::Next
}

/// RT <- (RA) + SI, CA; the dot form records.
pub(super) fn addic<B: Bus, const RC: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let (result, carry, _) = add_carry(core.state.gpr[op.ra()], op.si(), 0);
    core.state.gpr[op.rt()] = result;
    core.set_carry(carry);
    if RC {
        core.set_cr0(result);
    }
    Flow::Next
}

/// RT <- SI - (RA), CA
pub(super) fn subfic<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let (result, carry, _) = add_carry(!core.state.gpr[op.ra()], op.si(), 1);
    core.state.gpr[op.rt()] = result;
    core.set_carry(carry);
    Flow::Next
}

/// RT <- low word of (RA) * SI
pub(super) fn mulli<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    core.state.gpr[op.rt()] = core.state.gpr[op.ra()].wrapping_mul(op.si());
    Flow::Next
}

/// RT <- low word of (RA) * (RB); OV if the signed product does not fit.
pub(super) fn mullw<B: Bus, const RC: bool, const OE: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let wide = i64::from(core.state.gpr[op.ra()] as i32) * i64::from(core.state.gpr[op.rb()] as i32);
    let result = wide as u32;
    core.state.gpr[op.rt()] = result;
    if OE {
        core.set_overflow(wide != i64::from(result as i32));
    }
    if RC {
        core.set_cr0(result);
    }
    Flow::Next
}

/// RT <- high word of the signed product.
pub(super) fn mulhw<B: Bus, const RC: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let wide = i64::from(core.state.gpr[op.ra()] as i32) * i64::from(core.state.gpr[op.rb()] as i32);
    let result = (wide >> 32) as u32;
    core.state.gpr[op.rt()] = result;
    if RC {
        core.set_cr0(result);
    }
    Flow::Next
}

/// RT <- high word of the unsigned product.
pub(super) fn mulhwu<B: Bus, const RC: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let wide = u64::from(core.state.gpr[op.ra()]) * u64::from(core.state.gpr[op.rb()]);
    let result = (wide >> 32) as u32;
    core.state.gpr[op.rt()] = result;
    if RC {
        core.set_cr0(result);
    }
    Flow::Next
}

/// What the undefined quotients are here: zero for a division by zero and for 0x8000_0000 / -1.
const UNDEFINED_QUOTIENT: u32 = 0;

/// RT <- (RA) / (RB), signed; OV if undefined.
pub(super) fn divw<B: Bus, const RC: bool, const OE: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let quotient = (core.state.gpr[op.ra()] as i32).checked_div(core.state.gpr[op.rb()] as i32);
    divide::<RC, OE>(core, op, quotient.map(|q| q as u32))
}

/// RT <- (RA) / (RB), unsigned; OV if undefined.
pub(super) fn divwu<B: Bus, const RC: bool, const OE: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let quotient = core.state.gpr[op.ra()].checked_div(core.state.gpr[op.rb()]);
    divide::<RC, OE>(core, op, quotient)
}

#[inline(always)]
fn divide<const RC: bool, const OE: bool>(core: &mut Core, op: Op, quotient: Option<u32>) -> Flow {
    let result = quotient.unwrap_or(UNDEFINED_QUOTIENT);
    core.state.gpr[op.rt()] = result;
    if OE {
        core.set_overflow(quotient.is_none());
    }
    if RC {
        core.set_cr0(result);
    }
    Flow::Next
}

/// cmp, cmpi, cmpl, cmpli: CR field BF from a comparison of words (L is ignored on a 32-bit core).
macro_rules! compare {
    ($($name:ident($core:ident, $op:ident) = $compare:ident($b:expr);)*) => { $(
        pub(super) fn $name<B: Bus>($core: &mut Core, _: &mut B, $op: Op) -> Flow {
            let b = $b;
            let order = $compare($core.state.gpr[$op.ra()], b);
            $core.set_cr_field($op.bf(), order);
            Flow::Next
        }
    )* };
}

compare! {
    cmp(core, op) = compare_signed(core.state.gpr[op.rb()]);
    cmpi(core, op) = compare_signed(op.si());
    cmpl(core, op) = compare_unsigned(core.state.gpr[op.rb()]);
    cmpli(core, op) = compare_unsigned(op.ui());
}

/// D-form logic with an immediate: RA <- (RS) op UI.
macro_rules! logical_immediate {
    ($($name:ident, $record:literal, |$rs:ident, $ui:ident| $result:expr;)*) => { $(
        pub(super) fn $name<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
            let ($rs, $ui) = (core.state.gpr[op.rt()], op.ui());
            let result = $result;
            core.state.gpr[op.ra()] = result;
            if $record {
                core.set_cr0(result);
            }
            Flow::Next
        }
    )* };
}

logical_immediate! {
    ori, false, |rs, ui| rs | ui;
    oris, false, |rs, ui| rs | (ui << 16);
    xori, false, |rs, ui| rs ^ ui;
    xoris, false, |rs, ui| rs ^ (ui << 16);
    andi, true, |rs, ui| rs & ui;
    andis, true, |rs, ui| rs & (ui << 16);
}

/// X-form logic and shifts without carry: RA <- f((RS), (RB)).
macro_rules! logical {
    ($($name:ident |$rs:ident, $rb:ident| $result:expr;)*) => { $(
        pub(super) fn $name<B: Bus, const RC: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
            let ($rs, $rb) = (core.state.gpr[op.rt()], core.state.gpr[op.rb()]);
            let _ = $rb;
            let result: u32 = $result;
            core.state.gpr[op.ra()] = result;
            if RC {
                core.set_cr0(result);
            }
            Flow::Next
        }
    )* };
}

logical! {
    and |rs, rb| rs & rb;
    andc |rs, rb| rs & !rb;
    or |rs, rb| rs | rb;
    orc |rs, rb| rs | !rb;
    xor |rs, rb| rs ^ rb;
    nand |rs, rb| !(rs & rb);
    nor |rs, rb| !(rs | rb);
    eqv |rs, rb| !(rs ^ rb);
    extsb |rs, rb| rs as i8 as u32;
    extsh |rs, rb| rs as i16 as u32;
    cntlzw |rs, rb| rs.leading_zeros();
    slw |rs, rb| if rb & 0x20 != 0 { 0 } else { rs << (rb & 31) };
    srw |rs, rb| if rb & 0x20 != 0 { 0 } else { rs >> (rb & 31) };
}

/// Arithmetic right shift by 0-63; CA tells whether ones were lost from a negative number.
#[inline(always)]
fn shift_right_algebraic<const RC: bool>(core: &mut Core, op: Op, amount: u32) -> Flow {
    let rs = core.state.gpr[op.rt()] as i32;
    let result = (rs >> amount.min(31)) as u32;
    let lost = if amount > 31 { rs != 0 } else { rs & ((1i32 << amount).wrapping_sub(1)) != 0 };
    core.state.gpr[op.ra()] = result;
    core.set_carry(rs < 0 && lost);
    if RC {
        core.set_cr0(result);
    }
    Flow::Next
}

pub(super) fn sraw<B: Bus, const RC: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let amount = core.state.gpr[op.rb()] & 63;
    shift_right_algebraic::<RC>(core, op, amount)
}

pub(super) fn srawi<B: Bus, const RC: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    shift_right_algebraic::<RC>(core, op, op.rb() as u32)
}

/// RA <- rotate((RS), SH) & mask
pub(super) fn rlwinm<B: Bus, const RC: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let result = core.state.gpr[op.rt()].rotate_left(op.rb() as u32) & op.mask();
    core.state.gpr[op.ra()] = result;
    if RC {
        core.set_cr0(result);
    }
    Flow::Next
}

/// RA <- rotate((RS), (RB)) & mask
pub(super) fn rlwnm<B: Bus, const RC: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let result = core.state.gpr[op.rt()].rotate_left(core.state.gpr[op.rb()] & 31) & op.mask();
    core.state.gpr[op.ra()] = result;
    if RC {
        core.set_cr0(result);
    }
    Flow::Next
}

/// RA <- (rotate((RS), SH) & mask) | ((RA) & not mask)
pub(super) fn rlwimi<B: Bus, const RC: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let mask = op.mask();
    let rotated = core.state.gpr[op.rt()].rotate_left(op.rb() as u32);
    let result = (rotated & mask) | (core.state.gpr[op.ra()] & !mask);
    core.state.gpr[op.ra()] = result;
    if RC {
        core.set_cr0(result);
    }
    Flow::Next
}

/// RT <- CR\[BC\] ? (RA|0) : (RB)
pub(super) fn isel<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let chosen = core.state.cr << op.rc_reg() >> 31 != 0;
    core.state.gpr[op.rt()] = if chosen { core.ra_or_zero(op) } else { core.state.gpr[op.rb()] };
    Flow::Next
}

/// Determine leftmost zero byte of (RS) || (RB): its 1-based position, 8 if there is none, into RA and XER\[25:31\];
/// the dot form says in CR0 which word it stood in.
pub(super) fn dlmzb<B: Bus, const RC: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let both = (u64::from(core.state.gpr[op.rt()]) << 32) | u64::from(core.state.gpr[op.rb()]);
    let zero = both.to_be_bytes().iter().position(|&byte| byte == 0);
    let count = zero.map_or(8, |position| position as u32 + 1);
    core.state.gpr[op.ra()] = count;
    core.state.xer = (core.state.xer & !xer::COUNT) | count;
    if RC {
        let order = match zero {
            Some(0..4) => 4,
            Some(_) => 8,
            None => 2,
        };
        core.set_cr_field(0, order);
    }
    Flow::Next
}
