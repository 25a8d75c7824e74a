//! What a guest that only branches to itself means.
//!
//! The kernel gives no exit for it, so the run loop looks now and then. Two things end a Linux guest this way: halting,
//! with MSR\[EE\] off, and a reset, which is a write to DBCR0\[RST\] right before the loop, whatever MSR\[EE\] is. KVM
//! keeps that write in a register that user space cannot read, so the reset is inferred from the code: the last
//! instructions before the loop write DBCR0 from a register that still holds the RST bits.

use ppc440_core::bus::{Bus, attention};
use vmm_plugin::api::ResetKind;
use vmm_plugin::bus::PluginBus;

use super::sys::Sys;
use super::vm::{Error, Vm};

/// A branch to itself.
const BRANCH_TO_SELF: u32 = 0x4800_0000;
/// `mtspr DBCR0, rS` without rS: SPR 308.
const MTDBCR0: u32 = (31 << 26) | ((308 & 31) << 16) | ((308 >> 5) << 11) | (467 << 1);
const MTDBCR0_MASK: u32 = !(31 << 21);
/// How many instructions before the loop may hold the write to DBCR0: an isync or a msync may stand between.
const LOOK_BACK: u32 = 4;

/// MSR\[CE\].
const MSR_CE: u32 = 0x0002_0000;
/// MSR\[EE\].
const MSR_EE: u32 = 0x8000;
/// MSR\[IS\].
const MSR_IS: u32 = 0x20;
/// TCR\[WRC\]: a watchdog that resets.
const TCR_WRC: u32 = 0x3000_0000;
/// TCR\[WIE\]: a watchdog that interrupts.
const TCR_WIE: u32 = 0x0800_0000;

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spin {
    /// The guest does something, or will.
    No,
    /// Nothing that is enabled can ever wake it.
    Halted,
    /// It asked for a reset and waits for it.
    Reset(ResetKind),
}

/// Looks at a guest that stands between two instructions.
pub(crate) fn look<S: Sys>(vm: &mut Vm<S>, bus: &PluginBus, armed: u32) -> Result<Spin, Error> {
    let regs = vm.regs()?;
    let (pc, msr) = (regs.pc as u32, regs.msr as u32);
    let (pid, space) = (regs.pid as u8, msr & MSR_IS != 0);
    let mut fetch =
        |address: u32| vm.translate(address, pid, space).and_then(|pa| bus.load_u32(pa & 0xF_FFFF_FFFF));
    if fetch(pc) != Some(BRANCH_TO_SELF) {
        return Ok(Spin::No);
    }
    for back in 1..=LOOK_BACK {
        let Some(instruction) = pc.checked_sub(4 * back).and_then(&mut fetch) else { break };
        if instruction & MTDBCR0_MASK == MTDBCR0 {
            let source = (instruction >> 21) & 31;
            return Ok(match (regs.gpr[source as usize] >> 28) & 3 {
                1 => Spin::Reset(ResetKind::Core),
                2 => Spin::Reset(ResetKind::Chip),
                3 => Spin::Reset(ResetKind::System),
                _ => Spin::No,
            });
        }
    }
    if msr & MSR_EE != 0 {
        return Ok(Spin::No);
    }
    let tcr = vm.sregs()?.tcr;
    let critical = msr & MSR_CE != 0 && (armed & attention::CRIT != 0 || tcr & TCR_WIE != 0);
    Ok(if critical || tcr & TCR_WRC != 0 { Spin::No } else { Spin::Halted })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_write_to_dbcr0_is_encoded_as_the_assembler_does() {
        // mtspr 308,r9
        assert_eq!(MTDBCR0 | (9 << 21), 0x7D34_4BA6);
    }
}
