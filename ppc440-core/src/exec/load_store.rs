//! Fixed-point and floating-point loads and stores, with reservation, multiple and string forms (Book I; facts
//! section 2.6 for what raises an alignment exception).
//!
//! Update forms with RA = 0, or RA = RT for loads, are invalid; they are decoded as illegal.

use mmu_core::Access;

use crate::access::Kind;
use crate::bits::{esr, msr, xer};
use crate::bus::Bus;
use crate::core::{Core, Flow};
use crate::exception::{Exception, Interrupt};
use crate::fpu::{double_to_single, single_to_double};
use crate::op::Op;

impl Core {
    /// (RA|0) + D
    #[inline(always)]
    pub(crate) fn ea_d(&self, op: Op) -> u32 {
        self.ra_or_zero(op).wrapping_add(op.si())
    }
    /// (RA|0) + (RB)
    #[inline(always)]
    pub(crate) fn ea_x(&self, op: Op) -> u32 {
        self.ra_or_zero(op).wrapping_add(self.state.gpr[op.rb()])
    }
}

/// Loads and stores in their four forms: D and X, without and with update of RA. Each is written twice: `quick` does it
/// if the table has the page and the RAM is near, and else does nothing and says so; `exact` does it whatever it
/// takes. The instruction is the one and then, as a tail call, the other, so that the common way needs no stack frame.
macro_rules! forms {
    ($quick:ident $exact:ident $($name:ident $ea:ident |$core:ident, $bus:ident, $op:ident, $at:ident|
        $fast:block else $slow:block)*) => {
        /// What the table can do; false, and nothing done, if it cannot.
        pub(super) mod $quick {
            use super::*;
            $(
                #[inline(always)]
                pub(in crate::exec) fn $name<B: Bus, const UPDATE: bool>(
                    $core: &mut Core,
                    $bus: &mut B,
                    $op: Op,
                ) -> bool {
                    let $at = $core.$ea($op);
                    let done = $fast;
                    if UPDATE && done {
                        $core.state.gpr[$op.ra()] = $at;
                    }
                    done
                }
            )*
        }
        /// The whole instruction.
        mod $exact {
            use super::*;
            $(
                #[cold]
                #[inline(never)]
                pub(super) fn $name<B: Bus, const UPDATE: bool>(
                    $core: &mut Core,
                    $bus: &mut B,
                    $op: Op,
                ) -> Flow {
                    let $at = $core.$ea($op);
                    let flow = $slow;
                    if UPDATE && flow != Flow::Fault {
                        $core.state.gpr[$op.ra()] = $at;
                    }
                    flow
                }
            )*
        }
        $(
            pub(super) fn $name<B: Bus, const UPDATE: bool>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
                if $quick::$name::<B, UPDATE>(core, bus, op) {
                    Flow::Next
                } else {
                    $exact::$name::<B, UPDATE>(core, bus, op)
                }
            }
        )*
    };
}

macro_rules! loads {
    ($($name:ident $ea:ident $near:ident $load:ident $len:literal |$value:ident| $result:expr;)*) => {
        forms! { quick_loads exact_loads $($name $ea |core, bus, op, ea| {
            match core.mmu.fast_read(ea, $len) {
                Some(pa) => match bus.$near(pa) {
                    Some($value) => {
                        core.state.gpr[op.rt()] = $result;
                        true
                    }
                    None => false,
                },
                None => false,
            }
        } else {
            match core.$load(bus, ea) {
                Ok($value) => {
                    core.state.gpr[op.rt()] = $result;
                    Flow::Next
                }
                Err(flow) => flow,
            }
        })* }
    };
}

loads! {
    lbz ea_d near_load_u8 load_u8 1 |value| u32::from(value);
    lhz ea_d near_load_u16 load_u16 2 |value| u32::from(value);
    lha ea_d near_load_u16 load_u16 2 |value| value as i16 as u32;
    lwz ea_d near_load_u32 load_u32 4 |value| value;
    lbzx ea_x near_load_u8 load_u8 1 |value| u32::from(value);
    lhzx ea_x near_load_u16 load_u16 2 |value| u32::from(value);
    lhax ea_x near_load_u16 load_u16 2 |value| value as i16 as u32;
    lwzx ea_x near_load_u32 load_u32 4 |value| value;
}

macro_rules! stores {
    ($($name:ident $ea:ident $near:ident $store:ident $len:literal $type:ty;)*) => {
        forms! { quick_stores exact_stores $($name $ea |core, bus, op, ea| {
            let value = core.state.gpr[op.rt()] as $type;
            core.mmu.fast_write(ea, $len).is_some_and(|pa| bus.$near(pa, value))
        } else {
            let value = core.state.gpr[op.rt()] as $type;
            core.$store(bus, ea, value)
        })* }
    };
}

stores! {
    stb ea_d near_store_u8 store_u8 1 u8;
    sth ea_d near_store_u16 store_u16 2 u16;
    stw ea_d near_store_u32 store_u32 4 u32;
    stbx ea_x near_store_u8 store_u8 1 u8;
    sthx ea_x near_store_u16 store_u16 2 u16;
    stwx ea_x near_store_u32 store_u32 4 u32;
}

/// lhbrx
pub(super) fn lhbrx<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    let ea = core.ea_x(op);
    match core.load_u16(bus, ea) {
        Ok(value) => {
            core.state.gpr[op.rt()] = u32::from(value.swap_bytes());
            Flow::Next
        }
        Err(flow) => flow,
    }
}

/// lwbrx
pub(super) fn lwbrx<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    let ea = core.ea_x(op);
    match core.load_u32(bus, ea) {
        Ok(value) => {
            core.state.gpr[op.rt()] = value.swap_bytes();
            Flow::Next
        }
        Err(flow) => flow,
    }
}

/// sthbrx
pub(super) fn sthbrx<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    let ea = core.ea_x(op);
    let value = core.state.gpr[op.rt()] as u16;
    core.store_u16(bus, ea, value.swap_bytes())
}

/// stwbrx
pub(super) fn stwbrx<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    let ea = core.ea_x(op);
    let value = core.state.gpr[op.rt()];
    core.store_u32(bus, ea, value.swap_bytes())
}

/// Floating-point loads: `DOUBLE` 8 bytes as they are, else 4 bytes widened.
pub(super) fn lf<B: Bus, const X: bool, const DOUBLE: bool, const UPDATE: bool>(
    core: &mut Core,
    bus: &mut B,
    op: Op,
) -> Flow {
    if core.state.msr & msr::FP == 0 {
        return core.raise(Exception::plain(Interrupt::FpUnavailable));
    }
    let ea = if X { core.ea_x(op) } else { core.ea_d(op) };
    match core.load_float(bus, ea, if DOUBLE { 8 } else { 4 }) {
        Ok(value) => {
            core.state.fpr[op.rt()] = if DOUBLE { value } else { single_to_double(value as u32) };
            if UPDATE {
                core.state.gpr[op.ra()] = ea;
            }
            Flow::Next
        }
        Err(flow) => flow,
    }
}

/// Floating-point stores: `DOUBLE` 8 bytes as they are, else narrowed to 4.
pub(super) fn stf<B: Bus, const X: bool, const DOUBLE: bool, const UPDATE: bool>(
    core: &mut Core,
    bus: &mut B,
    op: Op,
) -> Flow {
    if core.state.msr & msr::FP == 0 {
        return core.raise(Exception::plain(Interrupt::FpUnavailable));
    }
    let ea = if X { core.ea_x(op) } else { core.ea_d(op) };
    let value = core.state.fpr[op.rt()];
    let flow = if DOUBLE {
        core.store_float(bus, ea, 8, value)
    } else {
        core.store_float(bus, ea, 4, u64::from(double_to_single(value)))
    };
    if UPDATE && flow != Flow::Fault {
        core.state.gpr[op.ra()] = ea;
    }
    flow
}

/// stfiwx: the low word of an FPR.
pub(super) fn stfiwx<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    if core.state.msr & msr::FP == 0 {
        return core.raise(Exception::plain(Interrupt::FpUnavailable));
    }
    let ea = core.ea_x(op);
    let value = core.state.fpr[op.rt()] & 0xFFFF_FFFF;
    core.store_float(bus, ea, 4, value)
}

fn reserve(core: &mut Core, pa: u64) {
    core.state.reserve_valid = 1;
    core.state.reserve_addr = pa as u32;
    core.state.reserve_addr_high = (pa >> 32) as u32;
}

/// Is the word at `pa` reserved?
fn reserved(core: &Core, pa: u64) -> bool {
    let address = u64::from(core.state.reserve_addr) | (u64::from(core.state.reserve_addr_high) << 32);
    core.state.reserve_valid != 0 && address == pa
}

/// Ends stwcx.: the reservation is gone, CR0\[EQ\] tells whether the word was stored.
fn conditional_result(core: &mut Core, stored: bool) {
    core.state.reserve_valid = 0;
    let so = core.state.xer & xer::SO;
    core.state.cr = (core.state.cr & 0x0FFF_FFFF) | (u32::from(stored) << 29) | (so >> 3);
}

/// lwarx: loads a word and reserves it.
pub(super) fn lwarx<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    let ea = core.ea_x(op);
    if let (0, Some(pa)) = (ea & 3, core.mmu.fast_read(ea, 4))
        && let Some(value) = bus.load_u32(pa)
    {
        reserve(core, pa);
        core.state.gpr[op.rt()] = value;
        return Flow::Next;
    }
    let value = match core.load_slow(bus, ea, 4, Kind::RESERVE) {
        Ok(value) => value as u32,
        Err(flow) => return flow,
    };
    match core.resolve_data(ea, Access::Load, 0) {
        Ok(at) => {
            reserve(core, at.pa);
            core.state.gpr[op.rt()] = value;
            Flow::Next
        }
        Err(flow) => flow,
    }
}

/// stwcx.: stores the word if it is still reserved; CR0\[EQ\] tells. Address checks come first either way.
pub(super) fn stwcx<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    let ea = core.ea_x(op);
    let value = core.state.gpr[op.rt()];
    if let (0, Some(pa)) = (ea & 3, core.mmu.fast_write(ea, 4)) {
        let store = reserved(core, pa);
        if !store || bus.store_u32(pa, value) {
            conditional_result(core, store);
            return Flow::Next;
        }
    }
    let at = match core.resolve_data(ea, Access::Store, esr::ST) {
        Ok(at) => at,
        Err(flow) => return flow,
    };
    if ea & 3 != 0 {
        return core.raise(Exception::data(Interrupt::Alignment, esr::ST, ea));
    }
    let store = reserved(core, at.pa);
    let mut flow = Flow::Next;
    if store {
        flow = core.store_slow(bus, ea, 4, u64::from(value), Kind::RESERVE);
        if flow == Flow::Fault {
            return flow;
        }
    }
    conditional_result(core, store);
    flow
}

/// Checks that every byte of a multiple or string access can be reached, so that the instruction has no partial
/// effect when it cannot.
fn probe(core: &mut Core, ea: u32, len: u32, access: Access) -> Result<(), Flow> {
    let cause = if access == Access::Store { esr::ST } else { 0 };
    let mut at = ea;
    let mut left = len;
    while left != 0 {
        core.resolve_data(at, access, cause)?;
        let here = (1024 - (at & 1023)).min(left);
        at = at.wrapping_add(here);
        left -= here;
    }
    Ok(())
}

/// lmw: words into RT through R31. RA is not overwritten even where it lies in that range (an invalid form).
pub(super) fn lmw<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    let ea = core.ea_d(op);
    let words = 32 - op.rt() as u32;
    if let Err(flow) = probe(core, ea, 4 * words, Access::Load) {
        return flow;
    }
    for word in 0..words {
        match core.load_u32(bus, ea.wrapping_add(4 * word)) {
            Ok(value) => core.state.gpr[(op.rt() + word as usize) & 31] = value,
            Err(flow) => return flow,
        }
    }
    Flow::Next
}

/// stmw: words from RS through R31.
pub(super) fn stmw<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    let ea = core.ea_d(op);
    let words = 32 - op.rt() as u32;
    if let Err(flow) = probe(core, ea, 4 * words, Access::Store) {
        return flow;
    }
    let mut result = Flow::Next;
    for word in 0..words {
        let value = core.state.gpr[(op.rt() + word as usize) & 31];
        match core.store_u32(bus, ea.wrapping_add(4 * word), value) {
            Flow::Next => {}
            Flow::Fault => return Flow::Fault,
            other => result = other,
        }
    }
    result
}

/// Loads `count` bytes into registers from `first` on, wrapping past R31; unfilled bytes of the last one are 0.
fn load_string<B: Bus>(core: &mut Core, bus: &mut B, ea: u32, count: u32, first: usize) -> Flow {
    if let Err(flow) = probe(core, ea, count, Access::Load) {
        return flow;
    }
    for start in (0..count).step_by(4) {
        let bytes = (count - start).min(4);
        let mut word = 0;
        for byte in 0..bytes {
            match core.load_u8(bus, ea.wrapping_add(start + byte)) {
                Ok(value) => word |= u32::from(value) << (24 - 8 * byte),
                Err(flow) => return flow,
            }
        }
        core.state.gpr[(first + (start / 4) as usize) & 31] = word;
    }
    Flow::Next
}

/// Stores `count` bytes from registers from `first` on, wrapping past R31.
fn store_string<B: Bus>(core: &mut Core, bus: &mut B, ea: u32, count: u32, first: usize) -> Flow {
    if let Err(flow) = probe(core, ea, count, Access::Store) {
        return flow;
    }
    let mut result = Flow::Next;
    for byte in 0..count {
        let word = core.state.gpr[(first + (byte / 4) as usize) & 31];
        match core.store_u8(bus, ea.wrapping_add(byte), (word >> (24 - 8 * (byte % 4))) as u8) {
            Flow::Next => {}
            Flow::Fault => return Flow::Fault,
            other => result = other,
        }
    }
    result
}

/// NB = 0 means 32 bytes.
fn immediate_count(op: Op) -> u32 {
    if op.rb() == 0 { 32 } else { op.rb() as u32 }
}

pub(super) fn lswi<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    let ea = core.ra_or_zero(op);
    load_string(core, bus, ea, immediate_count(op), op.rt())
}

pub(super) fn lswx<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    let (ea, count) = (core.ea_x(op), core.state.xer & xer::COUNT);
    load_string(core, bus, ea, count, op.rt())
}

pub(super) fn stswi<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    let ea = core.ra_or_zero(op);
    store_string(core, bus, ea, immediate_count(op), op.rt())
}

pub(super) fn stswx<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    let (ea, count) = (core.ea_x(op), core.state.xer & xer::COUNT);
    store_string(core, bus, ea, count, op.rt())
}
