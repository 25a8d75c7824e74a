//! Privileged and special-purpose-register instructions, TLB management, DCRs, and the returns from interrupts.

use mmu_core::{Access, EffectiveAddress};

use crate::bits::{dbcr0, esr, mmucr, msr, tcr, xer};
use crate::bus::Bus;
use crate::core::{Core, Flow};
use crate::exception::Exception;
use crate::exec::Handler;
use crate::op::Op;

impl Core {
    /// The program exception of a privileged instruction in problem state, if that is where we are.
    #[inline(always)]
    fn privileged(&mut self) -> Result<(), Flow> {
        if self.state.msr & msr::PR == 0 { Ok(()) } else { Err(self.raise(Exception::program(esr::PPR))) }
    }

    /// The program exception of an instruction that does not exist.
    #[cold]
    pub(crate) fn illegal(&mut self) -> Flow {
        self.raise(Exception::program(esr::PIL))
    }

    /// Goes on with the next instruction, as a point where interrupts are taken.
    #[inline(always)]
    fn synchronize(&mut self, flow: Flow) -> Flow {
        self.npc = self.state.pc.wrapping_add(4);
        flow
    }

    /// What an SPR number that names no register raises: in problem state numbers with bit 5 set are privileged.
    #[cold]
    fn no_such_spr(&mut self, spr: u32) -> Flow {
        if self.state.msr & msr::PR != 0 && spr & 0x10 != 0 {
            self.raise(Exception::program(esr::PPR))
        } else {
            self.illegal()
        }
    }
}

/// An instruction word that is no instruction.
pub(super) fn illegal<B: Bus>(core: &mut Core, _: &mut B, _: Op) -> Flow {
    core.illegal()
}

/// The handlers of mfspr and mtspr for the registers that an operating system moves all the time, each the general
/// one with the number filled in; else the general one.
macro_rules! by_spr {
    ($op:expr, $one:ident, $any:ident: $($spr:literal)*) => {
        match $op.spr() {
            $($spr => $one::<B, $spr>,)*
            _ => $any,
        }
    };
}

pub(super) fn decode_mfspr<B: Bus>(op: Op) -> Handler<B> {
    by_spr!(op, mfspr_of, mfspr: 1 8 9 26 27 48 58 59 61 62 260 261 262 263 272 273 274 275 276 277 278 279 946)
}

pub(super) fn decode_mtspr<B: Bus>(op: Op) -> Handler<B> {
    by_spr!(op, mtspr_of, mtspr: 1 8 9 26 27 48 58 59 272 273 274 275 276 277 278 279 946)
}

pub(super) fn mfspr_of<B: Bus, const SPR: u32>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    move_from(core, bus, op, SPR)
}

pub(super) fn mtspr_of<B: Bus, const SPR: u32>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    move_to(core, bus, op, SPR)
}

fn mfspr<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    move_from(core, bus, op, op.spr())
}

fn mtspr<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    move_to(core, bus, op, op.spr())
}

/// mfspr and mftb
#[inline(always)]
fn move_from<B: Bus>(core: &mut Core, bus: &mut B, op: Op, spr: u32) -> Flow {
    let s = &core.state;
    // What problem state may read.
    let value = match spr {
        1 => s.xer,
        8 => s.lr,
        9 => s.ctr,
        256 => s.usprg0,
        260..=263 => s.sprg[(spr - 256) as usize],
        268 => {
            let now = core.now(bus);
            core.timers.time_base(now) as u32
        }
        269 => {
            let now = core.now(bus);
            (core.timers.time_base(now) >> 32) as u32
        }
        _ if s.msr & msr::PR != 0 => return core.no_such_spr(spr),
        22 => {
            let now = core.now(bus);
            core.timers.dec(now)
        }
        26 | 27 => s.srr[(spr - 26) as usize],
        48 => s.pid,
        58 | 59 => s.csrr[(spr - 58) as usize],
        61 => s.dear,
        62 => s.esr,
        63 => s.ivpr,
        272..=279 => s.sprg[(spr - 272) as usize],
        286 => s.pir,
        287 => s.pvr,
        304 => s.dbsr,
        308..=310 => s.dbcr[(spr - 308) as usize],
        312..=315 => s.iac[(spr - 312) as usize],
        316 | 317 => s.dac[(spr - 316) as usize],
        318 | 319 => s.dvc[(spr - 318) as usize],
        336 => {
            let now = core.now(bus);
            core.catch_up_timers(now);
            core.state.tsr
        }
        340 => s.tcr,
        400..=415 => s.ivor[(spr - 400) as usize],
        570 | 571 => s.mcsrr[(spr - 570) as usize],
        572 => s.mcsr,
        // Linux's machine check handler for MCSRR cores saves these on every 4xx; a 440 has none.
        574 | 575 => 0,
        880..=883 => s.inv[(spr - 880) as usize],
        884..=887 => s.itv[(spr - 884) as usize],
        888 => s.ccr[1],
        912..=915 => s.dnv[(spr - 912) as usize],
        916..=919 => s.dtv[(spr - 916) as usize],
        920 | 921 => s.vlim[(spr - 920) as usize],
        923 => s.rstcfg,
        924 | 925 => s.dcdbtr[(spr - 924) as usize],
        926 | 927 => s.icdbtr[(spr - 926) as usize],
        946 => s.mmucr,
        947 => s.ccr[0],
        979 => s.icdbdr,
        1011 => s.dbdr,
        _ => return core.no_such_spr(spr),
    };
    core.state.gpr[op.rt()] = value;
    Flow::Next
}

/// mtspr
#[inline(always)]
fn move_to<B: Bus>(core: &mut Core, bus: &mut B, op: Op, spr: u32) -> Flow {
    let value = core.state.gpr[op.rt()];
    let s = &mut core.state;
    match spr {
        1 => s.xer = value & xer::ALL,
        8 => s.lr = value,
        9 => s.ctr = value,
        256 => s.usprg0 = value,
        _ if s.msr & msr::PR != 0 => return core.no_such_spr(spr),
        272..=279 => s.sprg[(spr - 272) as usize] = value,
        26 | 27 => s.srr[(spr - 26) as usize] = value,
        48 => {
            s.pid = value & 0xFF;
            core.update_context();
            // The next fetch is translated anew.
            return core.synchronize_quietly();
        }
        946 => s.mmucr = value & mmucr::ALL,
        58 | 59 => s.csrr[(spr - 58) as usize] = value,
        61 => s.dear = value,
        62 => s.esr = value,
        63 => s.ivpr = value & 0xFFFF_0000,
        22 | 54 | 284 | 285 | 336 | 340 => return timer_spr(core, bus, spr, value),
        // PIR is read-only.
        286 => {}
        304 => {
            s.dbsr &= !value;
            core.update_enables();
        }
        308 => {
            let reset = (value & dbcr0::RST) >> 28;
            s.dbcr[0] = value & !dbcr0::RST;
            core.update_context();
            core.update_enables();
            if reset != 0 {
                core.request_reset(reset);
            }
            return core.synchronize(Flow::Context);
        }
        309 => s.dbcr[1] = value,
        310 => s.dbcr[2] = value,
        312..=315 => s.iac[(spr - 312) as usize] = value & !3,
        316 | 317 => s.dac[(spr - 316) as usize] = value,
        318 | 319 => s.dvc[(spr - 318) as usize] = value,
        400..=415 => s.ivor[(spr - 400) as usize] = value & 0xFFF0,
        570 | 571 => s.mcsrr[(spr - 570) as usize] = value,
        572 => s.mcsr &= !value,
        574 | 575 => {}
        880..=883 => s.inv[(spr - 880) as usize] = value,
        884..=887 => s.itv[(spr - 884) as usize] = value,
        888 => s.ccr[1] = value,
        912..=915 => s.dnv[(spr - 912) as usize] = value,
        916..=919 => s.dtv[(spr - 916) as usize] = value,
        920 | 921 => s.vlim[(spr - 920) as usize] = value,
        947 => {
            s.ccr[0] = value;
            core.update_context();
        }
        // Read-only debug tag and data registers ignore writes.
        924..=927 | 979 => {}
        1011 => s.dbdr = value,
        _ => return core.no_such_spr(spr),
    }
    Flow::Next
}

/// The registers whose meaning is a time.
fn timer_spr<B: Bus>(core: &mut Core, bus: &mut B, spr: u32, value: u32) -> Flow {
    let now = core.now(bus);
    core.catch_up_timers(now);
    match spr {
        22 => core.timers.set_dec(now, value),
        54 => core.state.decar = value,
        284 => {
            let high = core.timers.time_base(now) & !0xFFFF_FFFF;
            core.timers.set_time_base(now, high | u64::from(value), core.state.tcr);
        }
        285 => {
            let low = core.timers.time_base(now) & 0xFFFF_FFFF;
            core.timers.set_time_base(now, low | (u64::from(value) << 32), core.state.tcr);
        }
        336 => core.state.tsr &= !value,
        _ => {
            // WRC can be set but not cleared by software.
            let sticky = core.state.tcr & tcr::WRC;
            let period = core.state.tcr & (tcr::WP | tcr::FP);
            core.state.tcr = (value & tcr::ALL) | sticky;
            if core.state.tcr & (tcr::WP | tcr::FP) != period {
                core.timers.rearm(now, core.state.tcr);
            }
        }
    }
    core.update_enables();
    // A deadline may be nearer than the one that `check_at` was computed from.
    core.check_at = 0;
    Flow::Next
}

impl Core {
    /// Leaves the straight line without being a point where interrupts are taken under icount: the caching driver
    /// looks up the page anew.
    #[inline(always)]
    fn synchronize_quietly(&mut self) -> Flow {
        Flow::Refetch
    }
}

/// mfmsr
pub(super) fn mfmsr<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    if let Err(flow) = core.privileged() {
        return flow;
    }
    core.state.gpr[op.rt()] = core.state.msr;
    Flow::Next
}

/// mtmsr
pub(super) fn mtmsr<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    if let Err(flow) = core.privileged() {
        return flow;
    }
    core.set_msr(core.state.gpr[op.rt()]);
    core.synchronize(Flow::Context)
}

fn set_ee(core: &mut Core, on: u32) -> Flow {
    if let Err(flow) = core.privileged() {
        return flow;
    }
    core.state.msr = (core.state.msr & !msr::EE) | (on & msr::EE);
    core.update_enables();
    core.synchronize(Flow::Branch)
}

/// wrtee: MSR\[EE\] from a register.
pub(super) fn wrtee<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    let on = core.state.gpr[op.rt()];
    set_ee(core, on)
}

/// wrteei: MSR\[EE\] from the instruction.
pub(super) fn wrteei<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    set_ee(core, op.0)
}

impl Core {
    /// Returns from an interrupt: PC and MSR from a pair of save/restore registers.
    #[inline]
    pub(crate) fn return_from(&mut self, pair: [u32; 2]) -> Flow {
        self.npc = pair[0] & !3;
        self.context_synchronize();
        self.set_msr(pair[1]);
        self.answer_missed(self.npc);
        Flow::Context
    }

    /// After a return from an interrupt to `pc`: an instruction that missed the TLB there comes again, and will want what the
    /// guest's handler has just put into it.
    #[inline(always)]
    pub fn answer_missed(&mut self, pc: u32) {
        if let Some((missed, ea, store)) = self.missed
            && missed == pc
        {
            self.missed = None;
            let access = if store { Access::Store } else { Access::Load };
            self.mmu.anticipate(&self.tlb, ea, access);
        }
    }
}

/// rfi
pub(super) fn rfi<B: Bus>(core: &mut Core, _: &mut B, _: Op) -> Flow {
    if let Err(flow) = core.privileged() {
        return flow;
    }
    core.return_from(core.state.srr)
}

/// rfci
pub(super) fn rfci<B: Bus>(core: &mut Core, _: &mut B, _: Op) -> Flow {
    if let Err(flow) = core.privileged() {
        return flow;
    }
    core.return_from(core.state.csrr)
}

/// rfmci
pub(super) fn rfmci<B: Bus>(core: &mut Core, _: &mut B, _: Op) -> Flow {
    if let Err(flow) = core.privileged() {
        return flow;
    }
    core.return_from(core.state.mcsrr)
}

/// isync: context synchronising.
pub(super) fn isync<B: Bus>(core: &mut Core, _: &mut B, _: Op) -> Flow {
    core.context_synchronize();
    core.synchronize(Flow::Branch)
}

/// mbar, msync, and the cache hints: memory is always in order here.
pub(super) fn nothing<B: Bus>(_: &mut Core, _: &mut B, _: Op) -> Flow {
    Flow::Next
}

/// tlbsync, dccci, iccci: privileged, with nothing left to do.
pub(super) fn privileged_nothing<B: Bus>(core: &mut Core, _: &mut B, _: Op) -> Flow {
    match core.privileged() {
        Ok(()) => Flow::Next,
        Err(flow) => flow,
    }
}

/// tlbwe RS,RA,WS: word WS of entry (RA)\[26:31\] <- (RS); word 0 takes the TID from MMUCR\[STID\].
pub(super) fn tlbwe<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    if let Err(flow) = core.privileged() {
        return flow;
    }
    if op.rb() > 2 {
        return core.illegal();
    }
    // The next word is fetched anew in any case.
    core.write_tlb(core.state.gpr[op.ra()], op.rb() as u8, core.state.gpr[op.rt()]);
    Flow::Refetch
}

/// tlbre RT,RA,WS; word 0 puts the TID into MMUCR\[STID\].
pub(super) fn tlbre<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    if let Err(flow) = core.privileged() {
        return flow;
    }
    if op.rb() > 2 {
        return core.illegal();
    }
    let index = (core.state.gpr[op.ra()] & 63) as u8;
    core.state.gpr[op.rt()] = core.tlb.read_word(index, op.rb() as u8);
    if op.rb() == 0 {
        core.state.mmucr = (core.state.mmucr & !mmucr::STID) | u32::from(core.tlb.tid(index));
    }
    Flow::Next
}

/// tlbsx[.] RT,RA,RB: the entry that translates (RA|0) + (RB) under MMUCR\[STS, STID\]. A miss leaves RT alone.
pub(super) fn tlbsx<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    if let Err(flow) = core.privileged() {
        return flow;
    }
    let ea = EffectiveAddress(core.ea_x(op));
    let space = core.state.mmucr & mmucr::STS != 0;
    let found = core.tlb.search(ea, space, (core.state.mmucr & mmucr::STID) as u8);
    if let Some(index) = found {
        core.state.gpr[op.rt()] = u32::from(index);
    }
    if op.rc() {
        let so = core.state.xer & xer::SO;
        core.state.cr = (core.state.cr & 0x0FFF_FFFF) | (u32::from(found.is_some()) << 29) | (so >> 3);
    }
    Flow::Next
}

/// mfdcr RT,DCRN
pub(super) fn mfdcr<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    if let Err(flow) = core.privileged() {
        return flow;
    }
    core.sync_clock(bus);
    core.state.gpr[op.rt()] = bus.dcr_read(op.spr() as u16);
    Flow::Next
}

/// mtdcr DCRN,RS
pub(super) fn mtdcr<B: Bus>(core: &mut Core, bus: &mut B, op: Op) -> Flow {
    if let Err(flow) = core.privileged() {
        return flow;
    }
    core.sync_clock(bus);
    bus.dcr_write(op.spr() as u16, core.state.gpr[op.rt()]);
    Flow::Next
}

/// dcread: there is no cache to read; the tag registers say "invalid".
pub(super) fn dcread<B: Bus>(core: &mut Core, _: &mut B, op: Op) -> Flow {
    if let Err(flow) = core.privileged() {
        return flow;
    }
    core.state.gpr[op.rt()] = 0;
    core.state.dcdbtr = [0; 2];
    Flow::Next
}

/// icread: as dcread, into ICDBDR.
pub(super) fn icread<B: Bus>(core: &mut Core, _: &mut B, _: Op) -> Flow {
    if let Err(flow) = core.privileged() {
        return flow;
    }
    core.state.icdbdr = 0;
    core.state.icdbtr = [0; 2];
    Flow::Next
}
