//! Cache management. There is no cache, so most of these only check what the hardware would check; dcbz writes.
//!
//! Read permission is needed by icbi, dcbf and dcbst, write permission by dcbz and dcbi; dcbt, dcbtst, icbt and dcba
//! never fault (facts section 2.4).

use mmu_core::Access;

use crate::bits::{esr, mmucr, msr, storage};
use crate::bus::Bus;
use crate::core::{Core, Flow};
use crate::exception::{Exception, Interrupt};
use crate::op::Op;

/// Bytes in a cache line.
const LINE: u32 = 32;

fn check(core: &mut Core, op: Op, access: Access, cause: u32, user_lock: u32, lock_cause: u32) -> Flow {
    let ea = core.ea_x(op);
    if let Err(flow) = core.resolve_data(ea, access, cause) {
        return flow;
    }
    if core.state.msr & msr::PR != 0 && core.state.mmucr & user_lock != 0 {
        return core.raise(Exception::data(Interrupt::DataStorage, lock_cause, ea));
    }
    if core.debugging() && core.data_address_event(ea, 1, access == Access::Store) {
        return core.raise(Exception::plain(Interrupt::Debug));
    }
    Flow::Next
}

/// dcbst: as a load.
pub(super) fn dcbst<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    check(core, op, Access::Load, 0, 0, 0)
}

/// dcbf: as a load; MMUCR\[DULXE\] keeps users from it.
pub(super) fn dcbf<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    check(core, op, Access::Load, 0, mmucr::DULXE, esr::DLK0)
}

/// icbi: as a load; MMUCR\[IULXE\] keeps users from it. Stores have already dropped decoded code.
pub(super) fn icbi<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    check(core, op, Access::Load, 0, mmucr::IULXE, esr::DLK1)
}

/// dcbi: privileged, as a store.
pub(super) fn dcbi<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    if core.state.msr & msr::PR != 0 {
        return core.raise(Exception::program(esr::PPR));
    }
    check(core, op, Access::Store, esr::ST, 0, 0)
}

/// dcbz: zeroes the 32 bytes around the address; write-through and inhibited pages raise an alignment exception.
pub(super) fn dcbz<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    let ea = core.ea_x(op);
    let line = ea & !(LINE - 1);
    if let Some(pa) = core.mmu.fast_write(line, LINE)
        && (0..4).all(|quarter| bus.store_u64(pa + 8 * quarter, 0))
    {
        return Flow::Next;
    }
    let at = match core.resolve_data(ea, Access::Store, esr::ST) {
        Ok(at) => at,
        Err(flow) => return flow,
    };
    if at.attributes & (storage::W | storage::I) != 0 {
        return core.raise(Exception::data(Interrupt::Alignment, esr::ST, ea));
    }
    if core.debugging() && core.data_address_event(ea, LINE, true) {
        return core.raise(Exception::plain(Interrupt::Debug));
    }
    let pa = at.pa & !u64::from(LINE - 1);
    for quarter in 0..4 {
        if !bus.store_u64(pa + 8 * quarter, 0) {
            core.sync_clock(bus);
            bus.write(pa + 8 * quarter, 8, 0);
        }
    }
    core.note_code_write(pa, LINE);
    core.code_flow()
}
