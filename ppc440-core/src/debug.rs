//! Debug events in internal debug mode, as guest ptrace and kgdb use them (IBM PPC440x5 core manual, debug facilities).
//!
//! Only the slow driver runs while an event is enabled, so nothing here costs anything otherwise. Left out: freezing
//! of timers (DBCR0\[FT\]) and external debug mode, which needs a JTAG probe.

use crate::bits::{dbcr0, dbsr, msr};
use crate::core::Core;
use crate::exception::{Exception, Interrupt};
use crate::op::Op;

/// Does `address` match a pair of compare registers under a two-bit mode: 0 exact, 1 exact with mask (data only),
/// 2 inclusive range, 3 exclusive range. Returns which of the two matched.
fn pair_matches(address: u32, pair: [u32; 2], mode: u32, bit_mask_mode: bool) -> [bool; 2] {
    let inside = address >= pair[0] && address < pair[1];
    match mode {
        2 => [inside, inside],
        3 => [!inside, !inside],
        1 if bit_mask_mode => [address & pair[1] == pair[0] & pair[1], false],
        _ => [address == pair[0], address == pair[1]],
    }
}

impl Core {
    /// Whether a two-bit user/supervisor selection (0 both, 2 supervisor only, 3 user only) admits the current state.
    fn debug_state_admits(&self, selection: u32) -> bool {
        match selection & 3 {
            2 => self.state.msr & msr::PR == 0,
            3 => self.state.msr & msr::PR != 0,
            _ => true,
        }
    }

    /// Records `events` in DBSR. True if they become a debug interrupt now; with MSR\[DE\] off they are remembered as
    /// imprecise.
    fn record_debug_events(&mut self, events: u32) -> bool {
        let enabled = self.state.msr & msr::DE != 0 && self.state.dbcr[0] & dbcr0::IDM != 0;
        self.state.dbsr |= events | if enabled { 0 } else { dbsr::IDE };
        enabled
    }

    /// IAC events for the instruction at `pc`. True if the debug interrupt must be taken instead of executing it.
    #[cold]
    pub(crate) fn instruction_address_event(&mut self) -> bool {
        let control = self.state.dbcr[0];
        let modes = self.state.dbcr[1];
        let iac = self.state.iac;
        let pc = self.state.pc;
        let mut events = 0;
        for (half, shift) in [(0usize, 16u32), (2, 0)] {
            let fields = modes >> shift;
            let matched = pair_matches(pc, [iac[half], iac[half + 1]], (fields >> 6) & 3, false);
            for (which, admits) in [(fields >> 14), (fields >> 10)].into_iter().enumerate() {
                let bit = dbcr0::IAC1 >> (half + which);
                if control & bit != 0 && matched[which] && self.debug_state_admits(admits) {
                    events |= bit;
                }
            }
        }
        events != 0 && self.record_debug_events(events)
    }

    /// DAC and DVC events for a data access of `len` bytes at `ea`; `value` is what a store writes, or a load read.
    /// True if the debug interrupt must be taken.
    #[cold]
    pub(crate) fn data_address_event(&mut self, ea: u32, len: u32, write: bool) -> bool {
        let control = self.state.dbcr[0];
        let modes = self.state.dbcr[2];
        let [dac1, dac2] = self.state.dac;
        let mode = (modes >> 22) & 3;
        let mut matched = [false; 2];
        for address in (0..len.max(1)).map(|offset| ea.wrapping_add(offset)) {
            let here = pair_matches(address, [dac1, dac2], mode, true);
            matched = [matched[0] || here[0], matched[1] || here[1]];
        }
        let bits = if write { [dbcr0::DAC1W, dbcr0::DAC2W] } else { [dbcr0::DAC1R, dbcr0::DAC2R] };
        let mut events = 0;
        for which in 0..2 {
            let admits = modes >> (30 - 4 * which);
            if control & bits[which] != 0 && matched[which] && self.debug_state_admits(admits) {
                events |= bits[which];
            }
        }
        events != 0 && self.record_debug_events(events)
    }

    /// A trap instruction whose condition holds. True if the debug interrupt comes before the program interrupt.
    pub(crate) fn trap_event(&mut self) -> bool {
        self.debugging() && self.state.dbcr[0] & dbcr0::TRAP != 0 && self.record_debug_events(dbcr0::TRAP)
    }

    /// Would the branch `op` at `pc` be taken? Looks only.
    fn would_branch(&self, op: Op) -> bool {
        let bo = op.rt() as u32;
        let condition = bo & 16 != 0 || (self.state.cr << op.ra() >> 31) == (bo >> 3) & 1;
        let counter = bo & 4 != 0 || (self.state.ctr != 1) != (bo & 2 != 0);
        match (op.primary(), op.xo()) {
            (18, _) => true,
            (16, _) | (19, 16) => condition && counter,
            (19, 528) => condition,
            _ => false,
        }
    }

    /// BRT and RET events of the instruction `op` at `pc`, which they suppress: CSRR0 is the branch or return itself
    /// (440x5 core manual, 8.3.6). BRT does not occur while MSR\[DE\] is off; then RET is recorded for rfi only. True if
    /// the debug interrupt must be taken.
    #[cold]
    pub(crate) fn before_instruction_event(&mut self, op: Op) -> bool {
        let control = self.state.dbcr[0];
        let enabled = self.state.msr & msr::DE != 0;
        let is_return = op.primary() == 19
            && match op.xo() {
                50 => true,
                38 | 51 => enabled,
                _ => false,
            };
        let mut events = 0;
        if enabled && self.would_branch(op) {
            events |= control & dbcr0::BRT;
        }
        if is_return && self.state.msr & msr::PR == 0 {
            events |= control & dbcr0::RET;
        }
        events != 0 && self.record_debug_events(events)
    }

    /// ICMP event after an instruction completed. It does not occur if MSR\[DE\] was off when the instruction began:
    /// the rfi that turns DE on again is not the step that a debugger waits for.
    #[cold]
    pub(crate) fn instruction_complete_event(&mut self, msr_before: u32) {
        let events = self.state.dbcr[0] & dbcr0::ICMP;
        if msr_before & msr::DE != 0 && events != 0 && self.record_debug_events(events) {
            self.account();
            self.deliver(Exception::plain(Interrupt::Debug), self.state.pc);
            self.chain = 0;
            self.at_boundary = true;
        }
    }

    /// IRPT event: an interrupt of the non-critical class was taken.
    pub(crate) fn debug_interrupt_event(&mut self, interrupt: Interrupt) {
        let critical = matches!(
            interrupt,
            Interrupt::CriticalInput | Interrupt::Watchdog | Interrupt::Debug | Interrupt::MachineCheck
        );
        if self.debugging() && !critical && self.state.dbcr[0] & dbcr0::IRPT != 0 {
            // Taken at the interrupt's own vector, before its first instruction.
            self.record_debug_events(dbcr0::IRPT);
            self.update_enables();
        }
    }
}
