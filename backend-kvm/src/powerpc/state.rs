//! The 440's state in KVM's terms, both ways.
//!
//! KVM gives user space the base and special registers and, one by one, the address compare registers. It has no door
//! to the guest's TLB, the floating-point registers, MMUCR, the cache control registers or DBCR0. What it refused is
//! found by looking, not by belief: after a state was put in it is taken out again, and every field that differs is
//! refused.

use ppc440_core::state::CpuState;

use super::abi::{
    FEATURE_ARCH206, FEATURE_BASE, FEATURE_IVOR, ONE_REG_DAC1, ONE_REG_IAC1, Regs, Sregs, UPDATE_DEC,
    UPDATE_MCSR, UPDATE_TSR,
};
use super::sys::Sys;
use super::vm::{Error, Vm};

/// Copies out what KVM tells; the rest is as after a reset, without a valid TLB entry.
pub(crate) fn get<S: Sys>(vm: &mut Vm<S>) -> Result<CpuState, Error> {
    let regs = vm.regs()?;
    let sregs = vm.sregs()?;
    let mut state = CpuState::reset(sregs.pvr);
    state.reset_entry = 0;
    from_regs(&mut state, &regs);
    from_sregs(&mut state, &sregs);
    for (id, register) in (ONE_REG_IAC1..).zip(&mut state.iac) {
        *register = vm.one_reg(id).unwrap_or(0) as u32;
    }
    for (id, register) in (ONE_REG_DAC1..).zip(&mut state.dac) {
        *register = vm.one_reg(id).unwrap_or(0) as u32;
    }
    Ok(state)
}

/// Copies a state in and returns the names of the fields that KVM did not take.
pub(crate) fn set<S: Sys>(vm: &mut Vm<S>, state: &CpuState) -> Result<Vec<&'static str>, Error> {
    let mut sregs = vm.sregs()?;
    to_sregs(&mut sregs, state);
    vm.set_sregs(sregs)?;
    for (id, register) in (ONE_REG_IAC1..).zip(&state.iac).chain((ONE_REG_DAC1..).zip(&state.dac)) {
        // Whether it was taken shows below.
        vm.set_one_reg(id, u64::from(*register));
    }
    vm.set_regs(to_regs(state))?;
    let taken = get(vm)?;
    let mut refused = Vec::new();
    state.compare(&taken, |name, _, _, _| {
        let field = name.split('.').next().unwrap_or(name);
        // DEC runs on between the two looks.
        if field != "dec" && refused.last() != Some(&field) {
            refused.push(field);
        }
    });
    // 0 stands still.
    if (state.dec == 0) != (taken.dec == 0) && taken.dec > state.dec {
        refused.push("dec");
    }
    Ok(refused)
}

fn from_regs(state: &mut CpuState, regs: &Regs) {
    // The upper halves are 0 on a 32-bit core.
    let low = |value: u64| value as u32;
    state.pc = low(regs.pc);
    state.cr = low(regs.cr);
    state.ctr = low(regs.ctr);
    state.lr = low(regs.lr);
    state.xer = low(regs.xer);
    state.msr = low(regs.msr);
    state.srr = [low(regs.srr0), low(regs.srr1)];
    state.pid = low(regs.pid);
    state.sprg = regs.sprg.map(low);
    state.gpr = regs.gpr.map(low);
}

fn to_regs(state: &CpuState) -> Regs {
    Regs {
        pc: state.pc.into(),
        cr: state.cr.into(),
        ctr: state.ctr.into(),
        lr: state.lr.into(),
        xer: state.xer.into(),
        msr: state.msr.into(),
        srr0: state.srr[0].into(),
        srr1: state.srr[1].into(),
        pid: state.pid.into(),
        sprg: state.sprg.map(u64::from),
        gpr: state.gpr.map(u64::from),
    }
}

fn from_sregs(state: &mut CpuState, sregs: &Sregs) {
    if sregs.features & FEATURE_BASE != 0 {
        state.csrr = [sregs.csrr0 as u32, sregs.csrr1];
        state.esr = sregs.esr;
        state.dear = sregs.dear as u32;
        state.mcsr = sregs.mcsr as u32;
        state.tsr = sregs.tsr;
        state.tcr = sregs.tcr;
        state.dec = sregs.dec;
        state.tb = sregs.tb;
        state.usprg0 = sregs.vrsave;
    }
    if sregs.features & FEATURE_ARCH206 != 0 {
        state.pir = sregs.pir;
        state.mcsrr = [sregs.mcsrr0 as u32, sregs.mcsrr1];
        state.decar = sregs.decar;
        state.ivpr = sregs.ivpr as u32;
    }
    if sregs.features & FEATURE_IVOR != 0 {
        state.ivor = sregs.ivor_low;
    }
}

/// Changes what may be changed; PVR and PIR stay KVM's own, or it would refuse all of them.
fn to_sregs(sregs: &mut Sregs, state: &CpuState) {
    sregs.csrr0 = state.csrr[0].into();
    sregs.csrr1 = state.csrr[1];
    sregs.esr = state.esr;
    sregs.dear = state.dear.into();
    sregs.mcsr = state.mcsr.into();
    sregs.tsr = state.tsr;
    sregs.tcr = state.tcr;
    sregs.dec = state.dec;
    sregs.vrsave = state.usprg0;
    sregs.mcsrr0 = state.mcsrr[0].into();
    sregs.mcsrr1 = state.mcsrr[1];
    sregs.decar = state.decar;
    sregs.ivpr = state.ivpr.into();
    sregs.ivor_low = state.ivor;
    sregs.update_special = UPDATE_MCSR | UPDATE_TSR | UPDATE_DEC;
}

/// Whether the state can go on under the TLB that KVM gives a new virtual CPU: its instructions must lie one to one in
/// the first `mapped` bytes, by an entry of TS 0.
pub(crate) fn fits_initial_mapping(state: &CpuState, mapped: u32) -> bool {
    const IS: u32 = 0x20;
    state.msr & IS == 0 && state.pc < mapped && maps_to(state, state.pc) == Some(u64::from(state.pc))
}

/// The physical address of `ea` for an instruction fetch with IS 0, by a plain search: this happens once a boot.
fn maps_to(state: &CpuState, ea: u32) -> Option<u64> {
    const V: u32 = 0x200;
    const TS: u32 = 0x100;
    state.tlb.iter().find_map(|entry| {
        let size = 1024_u64 << (2 * ((entry.word0 >> 4) & 15));
        let base = u64::from(entry.word0 & 0xFFFF_FC00) & !(size - 1);
        let offset = u64::from(ea).checked_sub(base)?;
        let tid = entry.tid & 0xFF;
        let matches = entry.word0 & (V | TS) == V && offset < size && (tid == 0 || tid == state.pid & 0xFF);
        let real = (u64::from(entry.word1 & 15) << 32) | u64::from(entry.word1 & 0xFFFF_FC00);
        matches.then(|| (real & !(size - 1)) + offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_at_its_entry_fits_and_a_running_one_does_not() {
        let mut state = CpuState::reset(0x4222_18D3);
        state.pc = 0x1000;
        assert!(!fits_initial_mapping(&state, 16 << 20), "nothing maps it");
        state.tlb[5].word0 = 0x0000_0290;
        state.tlb[5].word2 = 7;
        assert!(fits_initial_mapping(&state, 16 << 20));
        state.pc = 16 << 20;
        assert!(!fits_initial_mapping(&state, 16 << 20), "beyond what KVM maps");
        state.pc = 0x1000;
        state.msr = 0x20;
        assert!(!fits_initial_mapping(&state, 16 << 20), "KVM's entry has TS 0");
        state.msr = 0;
        state.tlb[5].word1 = 0x1000_0000;
        assert!(!fits_initial_mapping(&state, 16 << 20), "mapped elsewhere");
        let mut running = CpuState::reset(0x4222_18D3);
        running.pc = 0xC000_1000;
        running.tlb[63].word0 = 0xC000_0290;
        assert_eq!(maps_to(&running, running.pc), Some(0x1000));
        assert!(!fits_initial_mapping(&running, 16 << 20));
    }
}
