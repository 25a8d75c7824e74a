//! Pairs: two neighbouring instructions as one handler, for the caching driver. Half of what a simple instruction costs
//! an interpreter is finding it; Linux executes few sequences so often as a store after a store or a branch after a
//! compare. Each pair is made of the two instructions' own semantics; there is none of its own here.
//!
//! An instruction that stops in the middle stops where it would have alone: `pc` is moved to the second instruction
//! before that one does anything that could show it. A load or store that the table cannot do leaves the pair for the instruction's own handler.

use super::{branch, integer, load_store, system};
use crate::bus::Bus;
use crate::core::{Core, Flow};
use crate::exec::Handler;
use crate::op::Op;

/// What an instruction did in a pair.
enum Did {
    /// All of it.
    Done,
    /// Nothing: its own handler must.
    Nothing,
    /// It branched.
    Branched,
}

/// One instruction in a pair.
trait Part {
    /// `quick` looks at `pc`.
    const NEEDS_PC: bool = false;
    fn quick<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Did;
    fn whole<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow;
}

macro_rules! part {
    ($name:ident, storage $family:ident $handler:ident $update:literal) => {
        struct $name;
        impl Part for $name {
            #[inline(always)]
            fn quick<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Did {
                if load_store::$family::$handler::<B, $update>(core, bus, op) {
                    Did::Done
                } else {
                    Did::Nothing
                }
            }
            #[inline(always)]
            fn whole<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
                load_store::$handler::<B, $update>(core, bus, op)
            }
        }
    };
    ($name:ident, plain $handler:expr) => {
        struct $name;
        impl Part for $name {
            #[inline(always)]
            fn quick<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Did {
                // These never fault.
                let _ = $handler(core, bus, op);
                Did::Done
            }
            #[inline(always)]
            fn whole<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
                $handler(core, bus, op)
            }
        }
    };
    ($name:ident, branch $handler:expr) => {
        struct $name;
        impl Part for $name {
            const NEEDS_PC: bool = true;
            #[inline(always)]
            fn quick<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Did {
                // These always go to `npc`.
                let _ = $handler(core, bus, op);
                Did::Branched
            }
            #[inline(always)]
            fn whole<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
                $handler(core, bus, op)
            }
        }
    };
}

fn pair<B: Bus, F: Part, S: Part>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    match F::quick(core, bus, op) {
        Did::Done => {}
        // The driver goes on with the second one's own slot.
        Did::Nothing => return first::<B, F>(core, bus, op),
        Did::Branched => return Flow::Branch,
    }
    if S::NEEDS_PC {
        core.state.pc = core.state.pc.wrapping_add(4);
    }
    match S::quick(core, bus, op.next()) {
        Did::Done => Flow::Pair,
        Did::Nothing => second::<B, S>(core, bus, op),
        Did::Branched => Flow::Branch,
    }
}

/// The first instruction of a pair, when the table cannot do it.
#[cold]
#[inline(never)]
fn first<B: Bus, F: Part>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    F::whole(core, bus, op)
}

/// The second instruction of a pair, when the table cannot do it.
#[cold]
#[inline(never)]
fn second<B: Bus, S: Part>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    core.state.pc = core.state.pc.wrapping_add(4);
    match S::whole(core, bus, op.next()) {
        Flow::Next => Flow::Pair,
        flow => flow,
    }
}

part!(Lwz, storage quick_loads lwz false);
part!(Lbz, storage quick_loads lbz false);
part!(Lwzx, storage quick_loads lwzx false);
part!(Stw, storage quick_stores stw false);
part!(Stwu, storage quick_stores stw true);
part!(Lhz, storage quick_loads lhz false);
part!(Addi, plain integer::addi);
part!(Addis, plain integer::addis);
part!(Add, plain integer::add::<B, false, false>);
part!(Or, plain integer::or::<B, false>);
part!(Ori, plain integer::ori);
part!(Andi, plain integer::andi);
part!(Rlwinm, plain integer::rlwinm::<B, false>);
part!(Cmpi, plain integer::cmpi);
part!(Cmpli, plain integer::cmpli);
part!(Cmpl, plain integer::cmpl);
part!(Cmp, plain integer::cmp);
part!(Subf, plain integer::subf::<B, false, false>);
part!(And, plain integer::and::<B, false>);
part!(Mflr, plain system::mfspr_of::<B, 8>);
part!(Mtlr, plain system::mtspr_of::<B, 8>);
part!(Bclr, branch branch::bclr);
part!(Bc, branch branch::bc_cr);
part!(Jump, branch branch::b::<B, false>);
part!(Bl, branch branch::b::<B, true>);

/// The instructions that pairs are made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lwz,
    Lbz,
    Lwzx,
    Stw,
    Addi,
    Addis,
    Add,
    Or,
    Ori,
    Andi,
    Rlwinm,
    Cmpi,
    Cmpli,
    Cmpl,
    Stwu,
    Lhz,
    Cmp,
    Subf,
    And,
    Mflr,
    Mtlr,
    Bclr,
    Bc,
    B,
    Bl,
}

fn kind(op: Op) -> Option<Kind> {
    Some(match op.primary() {
        10 => Kind::Cmpli,
        11 => Kind::Cmpi,
        14 => Kind::Addi,
        15 => Kind::Addis,
        16 if !op.lk() && !op.aa() && op.rt() & 4 != 0 => Kind::Bc,
        // A branch to itself is for the driver to see.
        18 if op.lk() => Kind::Bl,
        18 if op.aa() || op.li() != 0 => Kind::B,
        21 if !op.rc() => Kind::Rlwinm,
        24 => Kind::Ori,
        28 => Kind::Andi,
        32 => Kind::Lwz,
        34 => Kind::Lbz,
        36 => Kind::Stw,
        37 if op.ra() != 0 => Kind::Stwu,
        40 => Kind::Lhz,
        19 if op.xo() == 16 => Kind::Bclr,
        31 => match op.xo() {
            0 => Kind::Cmp,
            23 => Kind::Lwzx,
            28 if !op.rc() => Kind::And,
            40 if !op.rc() => Kind::Subf,
            339 if op.spr() == 8 => Kind::Mflr,
            467 if op.spr() == 8 => Kind::Mtlr,
            32 => Kind::Cmpl,
            266 if !op.rc() => Kind::Add,
            444 if !op.rc() => Kind::Or,
            _ => return None,
        },
        _ => return None,
    })
}

/// The handler that does `word` and then `next`, if they are such a pair. The two must lie in one page.
pub(crate) fn decode<B: Bus>(word: u32, next: u32) -> Option<Handler<B>> {
    macro_rules! by_second {
        ($first:ident, $second:expr) => {
            match $second {
                Kind::Lwz => pair::<B, $first, Lwz>,
                Kind::Lbz => pair::<B, $first, Lbz>,
                Kind::Lwzx => pair::<B, $first, Lwzx>,
                Kind::Stw => pair::<B, $first, Stw>,
                Kind::Addi => pair::<B, $first, Addi>,
                Kind::Addis => pair::<B, $first, Addis>,
                Kind::Add => pair::<B, $first, Add>,
                Kind::Or => pair::<B, $first, Or>,
                Kind::Ori => pair::<B, $first, Ori>,
                Kind::Andi => pair::<B, $first, Andi>,
                Kind::Rlwinm => pair::<B, $first, Rlwinm>,
                Kind::Cmpi => pair::<B, $first, Cmpi>,
                Kind::Cmpli => pair::<B, $first, Cmpli>,
                Kind::Cmpl => pair::<B, $first, Cmpl>,
                Kind::Stwu => pair::<B, $first, Stwu>,
                Kind::Lhz => pair::<B, $first, Lhz>,
                Kind::Cmp => pair::<B, $first, Cmp>,
                Kind::Subf => pair::<B, $first, Subf>,
                Kind::And => pair::<B, $first, And>,
                Kind::Mflr => pair::<B, $first, Mflr>,
                Kind::Mtlr => pair::<B, $first, Mtlr>,
                Kind::Bclr => pair::<B, $first, Bclr>,
                Kind::Bc => pair::<B, $first, Bc>,
                Kind::B => pair::<B, $first, Jump>,
                Kind::Bl => pair::<B, $first, Bl>,
            }
        };
    }
    let (first, second) = (kind(Op::new(word))?, kind(Op::new(next))?);
    Some(match first {
        Kind::Lwz => by_second!(Lwz, second),
        Kind::Lbz => by_second!(Lbz, second),
        Kind::Lwzx => by_second!(Lwzx, second),
        Kind::Stw => by_second!(Stw, second),
        Kind::Addi => by_second!(Addi, second),
        Kind::Addis => by_second!(Addis, second),
        Kind::Add => by_second!(Add, second),
        Kind::Or => by_second!(Or, second),
        Kind::Ori => by_second!(Ori, second),
        Kind::Andi => by_second!(Andi, second),
        Kind::Rlwinm => by_second!(Rlwinm, second),
        Kind::Cmpi => by_second!(Cmpi, second),
        Kind::Cmpli => by_second!(Cmpli, second),
        Kind::Cmpl => by_second!(Cmpl, second),
        Kind::Stwu => by_second!(Stwu, second),
        Kind::Lhz => by_second!(Lhz, second),
        Kind::Cmp => by_second!(Cmp, second),
        Kind::Subf => by_second!(Subf, second),
        Kind::And => by_second!(And, second),
        Kind::Mflr => by_second!(Mflr, second),
        Kind::Mtlr => by_second!(Mtlr, second),
        Kind::Bc | Kind::B | Kind::Bl | Kind::Bclr => return None,
    })
}
