//! Branches, condition register logic, system call and trap (Book I, branch facility).

use crate::bits::esr;
use crate::bus::Bus;
use crate::core::{Core, Flow};
use crate::exception::{Exception, Interrupt};
use crate::op::Op;

impl Core {
    /// The branch condition of BO and BI; decrements CTR where BO asks for it.
    #[inline(always)]
    fn condition(&mut self, op: Op) -> bool {
        let bo = op.rt() as u32;
        let counter_ok = bo & 4 != 0 || {
            self.state.ctr = self.state.ctr.wrapping_sub(1);
            (self.state.ctr != 0) != (bo & 2 != 0)
        };
        counter_ok && self.cr_condition(op)
    }

    /// The part of the condition that looks at CR.
    #[inline(always)]
    fn cr_condition(&self, op: Op) -> bool {
        let bo = op.rt() as u32;
        bo & 16 != 0 || (self.state.cr << op.ra() >> 31) == (bo >> 3) & 1
    }
}

/// b, ba, bl, bla
pub(super) fn b<B: Bus, const LK: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let pc = core.state.pc;
    core.npc = if op.aa() { op.li() } else { pc.wrapping_add(op.li()) };
    if LK {
        core.state.lr = pc.wrapping_add(4);
    }
    Flow::Branch
}

/// b to itself: the driver may wait instead of spinning.
pub(super) fn b_self<B: Bus>(core: &mut Core, _: &mut B, _: Op) -> Flow {
    core.npc = core.state.pc;
    Flow::SelfLoop
}

/// bc, bca, bcl, bcla
pub(super) fn bc<B: Bus, const LK: bool>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let pc = core.state.pc;
    let taken = core.condition(op);
    let target = if op.aa() { op.bd() } else { pc.wrapping_add(op.bd()) };
    core.npc = if taken { target } else { pc.wrapping_add(4) };
    if LK {
        core.state.lr = pc.wrapping_add(4);
    }
    Flow::Branch
}

/// bc that looks only at a CR bit and leaves LR and CTR alone: the common conditional branch.
pub(super) fn bc_cr<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let pc = core.state.pc;
    let distance = if core.cr_condition(op) { op.bd() } else { 4 };
    core.npc = pc.wrapping_add(distance);
    Flow::Branch
}

/// bclr, bclrl
pub(super) fn bclr<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let pc = core.state.pc;
    let taken = core.condition(op);
    core.npc = if taken { core.state.lr & !3 } else { pc.wrapping_add(4) };
    if op.lk() {
        core.state.lr = pc.wrapping_add(4);
    }
    Flow::Branch
}

/// bcctr, bcctrl
pub(super) fn bcctr<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let pc = core.state.pc;
    let taken = core.cr_condition(op);
    core.npc = if taken { core.state.ctr & !3 } else { pc.wrapping_add(4) };
    if op.lk() {
        core.state.lr = pc.wrapping_add(4);
    }
    Flow::Branch
}

/// CR\[BT\] <- CR\[BA\] op CR\[BB\]
macro_rules! cr_logic {
    ($($name:ident |$a:ident, $b:ident| $result:expr;)*) => { $(
        pub(super) fn $name<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
            let $a = core.state.cr << op.ra() >> 31;
            let $b = core.state.cr << op.rb() >> 31;
            let bit = 0x8000_0000u32 >> op.rt();
            let result: u32 = $result;
            core.state.cr = if result & 1 != 0 { core.state.cr | bit } else { core.state.cr & !bit };
            Flow::Next
        }
    )* };
}

cr_logic! {
    crand |a, b| a & b;
    crandc |a, b| a & !b;
    creqv |a, b| !(a ^ b);
    crnand |a, b| !(a & b);
    crnor |a, b| !(a | b);
    cror |a, b| a | b;
    crorc |a, b| a | !b;
    crxor |a, b| a ^ b;
}

/// CR field BF <- CR field BFA
pub(super) fn mcrf<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let field = (core.state.cr >> (28 - 4 * op.bfa())) & 0xF;
    let shift = 28 - 4 * op.bf();
    core.state.cr = (core.state.cr & !(0xF << shift)) | (field << shift);
    Flow::Next
}

/// CR field BF <- XER\[0:3\], which are cleared.
pub(super) fn mcrxr<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let shift = 28 - 4 * op.bf();
    core.state.cr = (core.state.cr & !(0xF << shift)) | ((core.state.xer >> 28) << shift);
    core.state.xer &= 0x0FFF_FFFF;
    Flow::Next
}

/// The fields of CR that FXM names <- (RS)
pub(super) fn mtcrf<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let mut mask = 0;
    for field in 0..8 {
        if op.fxm() & (0x80 >> field) != 0 {
            mask |= 0xF000_0000u32 >> (4 * field);
        }
    }
    core.state.cr = (core.state.cr & !mask) | (core.state.gpr[op.rt()] & mask);
    Flow::Next
}

/// RT <- CR
pub(super) fn mfcr<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    core.state.gpr[op.rt()] = core.state.cr;
    Flow::Next
}

/// sc: a system call interrupt; the instruction counts as completed.
pub(super) fn sc<B: Bus>(core: &mut Core, _: &mut B, _: Op) -> Flow {
    core.raise(Exception::plain(Interrupt::SystemCall))
}

/// tw, twi: trap if one of the comparisons that TO names holds.
fn trap(core: &mut Core, op: Op, b: u32) -> Flow {
    let (to, a) = (op.rt(), core.state.gpr[op.ra()]);
    let holds = (to & 16 != 0 && (a as i32) < (b as i32))
        || (to & 8 != 0 && (a as i32) > (b as i32))
        || (to & 4 != 0 && a == b)
        || (to & 2 != 0 && a < b)
        || (to & 1 != 0 && a > b);
    if !holds {
        Flow::Next
    } else if core.trap_event() {
        core.raise(Exception::plain(Interrupt::Debug))
    } else {
        core.raise(Exception::program(esr::PTR))
    }
}

pub(super) fn tw<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let b = core.state.gpr[op.rb()];
    trap(core, op, b)
}

pub(super) fn twi<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    trap(core, op, op.si())
}
