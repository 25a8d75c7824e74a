//! The core between two instructions: architected state, TLB, timers, and the bookkeeping that drivers share.
//!
//! [`Core`] knows how to execute one instruction ([`Core::step`], without any cache: the oracle). The caching driver
//! is [`crate::interp::Interpreter`]; other engines keep a `Core` for everything they do not execute themselves.

use alloc::vec::Vec;

use mmu_core::Tlb;

use crate::bits::{dbcr0, dbsr, esr, msr, tcr, tsr};
use crate::bus::{Bus, NEVER, attention};
use crate::exception::{Exception, Interrupt};
use crate::exec;
use crate::fpu::Fpscr;
use crate::mmu::Mmu;
use crate::op::Op;
use crate::options::Options;
use crate::slice::Slice;
use crate::state::CpuState;
use crate::timers::Timers;

/// What an instruction's semantics tells its driver.
///
/// The frequent answers differ in single bits. The caching driver tests those one after the other, as branches that
/// are predicted; answers that differ only in value would become one jump through a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[must_use]
pub enum Flow {
    /// Go on with the next word.
    Next = 0,
    /// Go on with the word after the next: two instructions were done at once (caching driver only).
    Pair = 1,
    /// Go on at `npc`; asynchronous interrupts may be taken here (a branch, sc and the like).
    Branch = 2,
    /// As `Branch`, and the translation context or an enable bit may have changed.
    Context = 4,
    /// Go on with the next word, but the page that holds it may be translated anew.
    Refetch = 8,
    /// An unconditional branch to itself: nothing but an interrupt leads on.
    SelfLoop = 12,
    /// Go on with the next word, but decoded copies of written code must be dropped first.
    CodeWrite = 16,
    /// The instruction did not complete; `pending` holds its exception.
    Fault = 20,
    /// The slot was not decoded yet (caching driver only).
    Decode = 24,
}

/// Why a driver stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The budget is spent.
    Budget,
    /// The guest (DBCR0, watchdog: 1 core, 2 chip, 3 system) or the board (3) asks for a reset.
    Reset(u32),
    /// Nothing enabled can ever wake the core.
    Halted,
    /// The host asked for it.
    Requested,
    /// Exceptions follow each other with no instruction completing; the interrupt of the last one.
    Fatal(Interrupt),
}

/// One PowerPC 440 core.
#[derive(Debug)]
pub struct Core {
    /// Architected state. `tlb`, `tb` and `dec` in it are stale; see [`Core::snapshot`].
    pub(crate) state: CpuState,
    pub(crate) tlb: Tlb,
    pub(crate) mmu: Mmu,
    pub(crate) timers: Timers,
    /// Exception of an instruction that returned [`Flow::Fault`].
    pub(crate) pending: Exception,
    /// Where [`Flow::Branch`] and its like go on.
    pub(crate) npc: u32,
    /// First instruction of the straight line that is being executed: those before `pc` in it are not yet in
    /// `retired`.
    pub(crate) seq_pc: u32,
    /// Instructions retired before `seq_pc`.
    pub(crate) retired: u64,
    /// The last data access that missed the TLB: the instruction, the address, and whether it was a store.
    pub(crate) missed: Option<(u32, u32, bool)>,
    /// Value of `retired` at which the driver must look at the clock and the pins.
    pub(crate) check_at: u64,
    /// Attention bits that matter with the current MSR.
    pub(crate) attention_mask: u32,
    /// Exceptions since an instruction last completed.
    pub(crate) chain: u32,
    pub(crate) chain_interrupt: Interrupt,
    /// One retired instruction is one tick.
    pub(crate) icount: bool,
    /// Under icount: machine time, and the number of retired instructions at which it was told.
    synced_now: u64,
    synced_retired: u64,
    /// Under the host's time: how far it is from one look to the next.
    slice: Slice,
    /// Tick of the board's next deadline.
    board_deadline: u64,
    /// Ranges of code that were written, as physical address and length.
    pub(crate) code_writes: Vec<(u64, u32)>,
    /// A reset asked for by DBCR0 or the watchdog.
    pub(crate) reset_request: Option<u32>,
    /// DBSR holds an event that may interrupt now.
    pub(crate) debug_pending: bool,
    /// MSR when the current instruction began, if a debug event was enabled then.
    pub(crate) debug_step: Option<u32>,
    /// A floating-point exception that was enabled late is to be taken.
    pub(crate) float_pending: bool,
    /// `step` is at a point where asynchronous interrupts may be taken.
    pub(crate) at_boundary: bool,
}

impl Core {
    /// A core in the given state. Under `icount` its clock is the number of retired instructions.
    #[must_use]
    pub fn new(state: &CpuState, icount: bool) -> Self {
        Self::with_options(state, Options { icount, ..Options::default() })
    }

    pub(crate) fn build(state: &CpuState, options: Options) -> Self {
        let mut core = Self {
            state: state.clone(),
            tlb: Tlb::new(),
            mmu: Mmu::new(options.pool),
            timers: Timers::new(),
            pending: Exception::plain(Interrupt::Program),
            npc: 0,
            seq_pc: state.pc,
            retired: 0,
            missed: None,
            check_at: 0,
            attention_mask: 0,
            chain: 0,
            chain_interrupt: Interrupt::Program,
            icount: options.icount,
            synced_now: 0,
            synced_retired: 0,
            slice: Slice::new(),
            board_deadline: 0,
            code_writes: Vec::new(),
            reset_request: None,
            debug_pending: false,
            debug_step: None,
            float_pending: false,
            at_boundary: true,
        };
        core.restore(state, 0);
        core
    }

    /// Takes over a whole state; `now` is the machine's time.
    pub fn restore(&mut self, state: &CpuState, now: u64) {
        self.retired = self.retired_exactly();
        self.state = state.clone();
        self.state.pc &= !3;
        self.state.pid &= 0xFF;
        self.state.fpscr = Fpscr(state.fpscr).summarized().0;
        self.mmu.invalidate_all();
        for (index, entry) in (0u8..).zip(state.tlb.iter()) {
            self.mmu.set_entry(&mut self.tlb, index, *entry);
        }
        self.seq_pc = self.state.pc;
        // A deadline of the new state may be nearer.
        self.check_at = 0;
        self.timers.tb_offset = state.tb.wrapping_sub(now);
        self.timers.set_dec(now, state.dec);
        self.timers.rearm(now, state.tcr);
        self.synced_now = now;
        self.synced_retired = self.retired;
        self.chain = 0;
        self.missed = None;
        self.reset_request = None;
        self.debug_pending = false;
        self.at_boundary = true;
        self.code_writes.clear();
        self.set_msr(state.msr);
        // Debug registers may differ, too.
        self.update_context();
    }

    /// Copies the whole state out; `bus` tells the time for TB and DEC.
    pub fn snapshot<B: Bus>(&self, bus: &mut B, out: &mut CpuState) {
        let now = self.now(bus);
        *out = self.state.clone();
        out.size = size_of::<CpuState>() as u32;
        // A copy catches up; a reset by the watchdog waits for the core itself.
        let mut timers = self.timers.clone();
        timers.process(now, out.tcr, &mut out.tsr, out.decar);
        out.tb = timers.time_base(now);
        out.dec = timers.dec(now);
        for (index, entry) in (0u8..).zip(out.tlb.iter_mut()) {
            *entry = self.tlb.entry(index);
        }
    }

    /// The architected registers. TLB, TB and DEC are elsewhere: see [`Core::snapshot`].
    #[must_use]
    pub fn registers(&self) -> &CpuState {
        &self.state
    }

    /// The registers that user code changes, for an engine that executes user code itself: GPRs, FPRs, CR, XER, LR,
    /// CTR, FPSCR. Changing `pc` is done with [`Core::set_pc`], everything else with [`Core::restore`].
    pub fn registers_mut(&mut self) -> &mut CpuState {
        &mut self.state
    }

    /// Sets the address of the next instruction, after `retired` instructions were executed elsewhere.
    pub fn set_pc(&mut self, pc: u32, retired: u64) {
        self.retired = self.retired_exactly() + retired;
        if retired != 0 {
            self.chain = 0;
        }
        self.state.pc = pc;
        self.seq_pc = pc;
    }

    /// The guest's TLB.
    #[must_use]
    pub fn tlb(&self) -> &Tlb {
        &self.tlb
    }

    /// Counters of the shadow TLB.
    #[must_use]
    pub fn mmu_stats(&self) -> mmu_core::Stats {
        self.mmu.stats()
    }

    /// Instructions retired since creation.
    #[must_use]
    pub fn retired(&self) -> u64 {
        self.retired_exactly()
    }

    /// Instructions retired before the one at `pc`.
    #[inline]
    pub(crate) fn retired_exactly(&self) -> u64 {
        self.retired + u64::from(self.state.pc.wrapping_sub(self.seq_pc) >> 2)
    }

    /// Machine time before the instruction at `pc`, in ticks.
    pub(crate) fn now<B: Bus>(&self, bus: &mut B) -> u64 {
        if self.icount { self.synced_now + (self.retired_exactly() - self.synced_retired) } else { bus.now() }
    }

    /// Brings the board's clock up to the core's and lets it do what is due. Every access to a device does this
    /// first, so that a device sees the exact tick under icount.
    pub(crate) fn sync_clock<B: Bus>(&mut self, bus: &mut B) {
        if self.icount {
            let retired = self.retired_exactly();
            self.board_deadline = bus.advance(retired - self.synced_retired);
            self.synced_now += retired - self.synced_retired;
            self.synced_retired = retired;
            // The access may move the board's deadline: ask again at the next boundary.
            self.check_at = 0;
        }
    }

    /// Sets MSR and everything that follows from it.
    #[inline(always)]
    pub(crate) fn set_msr(&mut self, value: u32) {
        let value = value & msr::ALL;
        self.state.msr = value;
        if self.mmu.select_known(self.state.pid as u8, value) && self.nothing_pending() {
            self.set_attention_mask();
            (self.debug_pending, self.float_pending) = (false, false);
        } else {
            self.follow_msr();
        }
    }

    #[inline(never)]
    fn follow_msr(&mut self) {
        self.update_context();
        self.update_enables();
    }

    /// Whether nothing is recorded that MSR lets interrupt.
    #[inline(always)]
    pub(crate) fn nothing_pending(&self) -> bool {
        self.state.msr & msr::WE | self.waiting_exceptions() == 0 && self.timer_interrupt().is_none()
    }

    /// Not 0 if an exception is recorded that interrupts once MSR lets it: a debug event or one of the floating-point unit.
    #[inline(always)]
    pub(crate) fn waiting_exceptions(&self) -> u32 {
        self.recorded_events() | self.state.fpscr & Fpscr::FEX
    }

    /// Debug events that wait for MSR\[DE\].
    #[inline(always)]
    fn recorded_events(&self) -> u32 {
        self.state.dbsr & (dbcr0::EVENTS | dbsr::UDE)
    }

    /// Which attention bits matter with the current MSR.
    #[inline(always)]
    fn set_attention_mask(&mut self) {
        let m = self.state.msr;
        let flag = |bit: u32, attention: u32| if m & bit != 0 { attention } else { 0 };
        self.attention_mask = attention::RESET
            | attention::STOP
            | attention::BOARD
            | attention::DMA
            | flag(msr::EE, attention::EXT)
            | flag(msr::CE, attention::CRIT)
            | flag(msr::ME, attention::MCHECK);
    }

    /// Recomputes translation contexts after MSR, PID or a debug register changed.
    #[inline]
    pub(crate) fn update_context(&mut self) {
        let slow_data = self.state.ccr[0] & crate::bits::ccr0::FLSTA != 0
            || self.state.dbcr[0] & dbcr0_data_events() != 0;
        self.mmu.set_mode(self.state.pid as u8, self.state.msr, slow_data);
    }

    /// Recomputes what may interrupt after MSR, TCR or TSR changed.
    #[inline]
    pub(crate) fn update_enables(&mut self) {
        self.set_attention_mask();
        if self.nothing_pending() {
            (self.debug_pending, self.float_pending) = (false, false);
        } else {
            self.update_pending();
        }
    }

    /// The part of [`Core::update_enables`] for when something may be pending.
    #[inline(never)]
    fn update_pending(&mut self) {
        let m = self.state.msr;
        // An event that was recorded while DE was off interrupts, imprecisely, once DE is on.
        let events = self.recorded_events() != 0;
        self.debug_pending = events && m & msr::DE != 0 && self.state.dbcr[0] & dbcr0::IDM != 0;
        // An enabled exception that was recorded while FE0 and FE1 were off comes due when they are set (Book I, 4.4).
        self.float_pending = m & (msr::FE0 | msr::FE1) != 0 && Fpscr(self.state.fpscr).any(Fpscr::FEX);
        if m & msr::WE != 0 || self.internal_interrupt() {
            self.check_at = 0;
        }
    }

    /// Whether an interrupt that no pin causes is pending and enabled.
    pub(crate) fn internal_interrupt(&self) -> bool {
        self.timer_interrupt().is_some() || self.debug_pending || self.float_pending
    }

    /// The timer interrupt of highest priority that is pending and enabled.
    #[inline(always)]
    fn timer_interrupt(&self) -> Option<Interrupt> {
        let s = &self.state;
        if s.tsr & tsr::WIS != 0 && s.tcr & tcr::WIE != 0 && s.msr & msr::CE != 0 {
            Some(Interrupt::Watchdog)
        } else if s.msr & msr::EE == 0 {
            None
        } else if s.tsr & tsr::FIS != 0 && s.tcr & tcr::FIE != 0 {
            Some(Interrupt::FixedIntervalTimer)
        } else if s.tsr & tsr::DIS != 0 && s.tcr & tcr::DIE != 0 {
            Some(Interrupt::Decrementer)
        } else {
            None
        }
    }

    /// The interrupt to take now, by the priority of facts section 2.5.
    fn asynchronous_interrupt(&self, pins: u32) -> Option<Interrupt> {
        let m = self.state.msr;
        if pins & attention::MCHECK != 0 && m & msr::ME != 0 {
            return Some(Interrupt::MachineCheck);
        }
        if self.debug_pending {
            return Some(Interrupt::Debug);
        }
        if pins & attention::CRIT != 0 && m & msr::CE != 0 {
            return Some(Interrupt::CriticalInput);
        }
        let timer = self.timer_interrupt();
        if timer == Some(Interrupt::Watchdog) {
            return timer;
        }
        if pins & attention::EXT != 0 && m & msr::EE != 0 {
            return Some(Interrupt::External);
        }
        timer
    }

    /// Carries out every timer event up to `now`, also those that only show in TSR.
    pub(crate) fn catch_up_timers(&mut self, now: u64) {
        let s = &mut self.state;
        if let Some(kind) = self.timers.process(now, s.tcr, &mut s.tsr, s.decar) {
            self.request_reset(kind);
        }
    }

    /// Carries out timer events that are due.
    fn run_timers(&mut self, now: u64) {
        if now >= self.timers.next(self.state.tcr) {
            self.catch_up_timers(now);
        }
    }

    /// Asks the driver to stop for a reset of `kind` (1 core, 2 chip, 3 system).
    pub(crate) fn request_reset(&mut self, kind: u32) {
        self.reset_request = Some(kind);
        self.check_at = 0;
    }

    /// The look at clock and pins between two instructions: time passes, devices run, interrupts are taken, a waiting
    /// core sleeps. `self_loop` tells that the instruction at `pc` branches to itself. Sets `check_at`, at most
    /// `limit` instructions away, and leaves `at_boundary` set only if the interrupts at this point were not sampled.
    pub(crate) fn boundary<B: Bus>(&mut self, bus: &mut B, self_loop: bool, mut limit: u64) -> Option<Stop> {
        self.at_boundary = true;
        loop {
            let deadline = bus.advance(if self.icount { self.retired - self.synced_retired } else { 0 });
            if self.icount {
                self.synced_now += self.retired - self.synced_retired;
                self.synced_retired = self.retired;
            }
            self.board_deadline = deadline;
            let now = if self.icount {
                self.synced_now
            } else {
                let now = bus.now();
                self.slice.end(now, self.retired);
                now
            };
            self.run_timers(now);
            let pins = bus.attention();
            if pins & attention::DMA != 0 {
                let (mmu, writes) = (&self.mmu, &mut self.code_writes);
                bus.take_dma_dirty(&mut |page| {
                    if mmu.is_code_page(page) {
                        writes.push((page, 4096));
                    }
                });
            }
            if let Some(kind) = self.reset_request.take() {
                return Some(Stop::Reset(kind));
            }
            if pins & attention::RESET != 0 {
                return Some(Stop::Reset(3));
            }
            if pins & attention::STOP != 0 {
                return Some(Stop::Requested);
            }
            if self.float_pending {
                self.deliver(Exception::program(esr::FP | esr::PIE), self.state.pc);
                self.debug_interrupt_event(Interrupt::Program);
            } else if let Some(interrupt) = self.asynchronous_interrupt(pins) {
                self.deliver(Exception::plain(interrupt), self.state.pc);
                if interrupt == Interrupt::MachineCheck {
                    self.state.mcsr |= 0x8000_0000;
                }
                self.chain = 0;
                self.debug_interrupt_event(interrupt);
            } else if self.state.msr & msr::WE != 0 || self_loop {
                if self.can_never_wake(bus) {
                    return Some(Stop::Halted);
                }
                let spins = self.icount && self.state.msr & msr::WE == 0;
                let furthest = if spins { now.saturating_add(limit) } else { NEVER };
                let then = bus.idle(self.timers.next(self.state.tcr).min(furthest));
                if self.icount {
                    let jumped = then.saturating_sub(self.synced_now);
                    self.synced_now = then;
                    if spins {
                        // The loop would have executed once a tick.
                        self.retired += jumped;
                        self.synced_retired += jumped;
                        limit -= jumped.min(limit);
                        if limit == 0 {
                            self.check_at = self.retired;
                            return None;
                        }
                    }
                } else {
                    // The time that it slept is not the slice's.
                    self.slice.begin(then, self.retired);
                }
                continue;
            }
            // How far to the next look: time under icount is exact, under the host's clock a slice is near enough.
            let distance = if self.icount {
                self.timers.next(self.state.tcr).min(deadline).saturating_sub(now).max(1)
            } else {
                self.slice.begin(now, self.retired)
            };
            self.check_at = self.retired.saturating_add(distance.min(limit));
            self.at_boundary = false;
            return None;
        }
    }

    /// Whether a waiting core is halted: no source that is enabled can ever fire.
    fn can_never_wake<B: Bus>(&mut self, bus: &mut B) -> bool {
        let s = &self.state;
        let armed = bus.armed();
        if s.msr & msr::EE != 0 {
            let dec = s.tcr & tcr::DIE != 0 && (self.timers.dec_running() || s.tsr & tsr::DIS != 0);
            let fit = s.tcr & tcr::FIE != 0;
            if dec || fit || armed & attention::EXT != 0 {
                return false;
            }
        }
        if s.msr & msr::CE != 0 && (armed & attention::CRIT != 0 || s.tcr & tcr::WIE != 0) {
            return false;
        }
        s.tcr & tcr::WRC == 0
    }

    /// isync, interrupts and returns: the reset entry of the shadow TLB goes (facts section 2.9).
    #[inline]
    pub(crate) fn context_synchronize(&mut self) {
        if self.state.reset_entry != 0 {
            self.state.reset_entry = 0;
        }
    }

    /// Whether debug events need the slow driver.
    #[inline]
    pub(crate) fn debugging(&self) -> bool {
        self.state.dbcr[0] & dbcr0::EVENTS != 0 && self.state.dbcr[0] & (dbcr0::IDM | dbcr0::EDM) != 0
    }

    /// Executes one instruction (or takes one interrupt) with no cache of any kind: the oracle.
    ///
    /// Returns why the guest cannot or shall not go on; `None` after a normal step.
    pub fn step<B: Bus>(&mut self, bus: &mut B) -> Option<Stop> {
        if self.at_boundary {
            self.account();
            if self.retired >= self.check_at || bus.attention() & self.attention_mask != 0 {
                let stop = self.boundary(bus, false, NEVER);
                if stop.is_some() {
                    return stop;
                }
            }
            self.at_boundary = false;
            if self.is_fatal() {
                return Some(Stop::Fatal(self.chain_interrupt));
            }
        }
        self.mmu.bypass(true);
        let flow = self.execute_one(bus);
        self.mmu.bypass(false);
        self.finish(flow);
        None
    }

    /// Fetches, decodes and executes the instruction at `pc` through the data paths that are current.
    pub(crate) fn execute_one<B: Bus>(&mut self, bus: &mut B) -> Flow {
        if self.debugging() {
            self.debug_step = Some(self.state.msr);
            if self.instruction_address_event() {
                return self.raise(Exception::plain(Interrupt::Debug));
            }
        }
        match self.fetch(bus) {
            Ok(word) if self.debug_step.is_some() && self.before_instruction_event(Op::new(word)) => {
                self.raise(Exception::plain(Interrupt::Debug))
            }
            Ok(word) => exec::decode::<B>(word)(self, bus, Op::new(word)),
            Err(flow) => flow,
        }
    }

    /// Adds the straight line up to `pc` to `retired`.
    #[inline]
    pub(crate) fn account(&mut self) {
        self.retired = self.retired_exactly();
        self.seq_pc = self.state.pc;
    }

    /// Straight-line code went on into the page at `pc`: a point where interrupts are taken.
    #[inline]
    pub(crate) fn cross_page(&mut self, pc: u32) {
        self.state.pc = pc;
        self.chain = 0;
        self.at_boundary = true;
        self.account();
    }

    /// Brings `pc` on after an instruction that was executed outside the caching loop, with its debug events.
    pub(crate) fn finish(&mut self, flow: Flow) {
        let pc = self.state.pc;
        match flow {
            Flow::Next | Flow::Pair | Flow::Refetch | Flow::CodeWrite | Flow::Decode => {
                self.state.pc = pc.wrapping_add(4);
                self.chain = 0;
                self.at_boundary = self.state.pc & 0xFFF == 0;
            }
            Flow::Branch | Flow::Context | Flow::SelfLoop => {
                self.retired = self.retired_exactly() + 1;
                self.state.pc = self.npc;
                self.seq_pc = self.npc;
                self.chain = 0;
                self.at_boundary = true;
            }
            Flow::Fault => {
                self.debug_step = None;
                self.fault();
                self.at_boundary = true;
                return;
            }
        }
        if let Some(msr_before) = self.debug_step.take() {
            self.instruction_complete_event(msr_before);
        }
    }

    /// Delivers the pending exception of the instruction at `pc`.
    pub(crate) fn fault(&mut self) {
        if self.state.pc != self.seq_pc {
            // Something completed on the way here.
            self.chain = 0;
        }
        self.account();
        let pc = self.state.pc;
        let exception = self.pending;
        if exception.interrupt == Interrupt::SystemCall {
            self.retired += 1;
            self.chain = 0;
            self.deliver(exception, pc.wrapping_add(4));
        } else if exception.interrupt == Interrupt::Debug {
            self.deliver(exception, pc);
            return;
        } else {
            self.deliver(exception, pc);
        }
        self.debug_interrupt_event(exception.interrupt);
    }

    /// Sets `pending` and tells the driver.
    #[cold]
    pub(crate) fn raise(&mut self, exception: Exception) -> Flow {
        self.pending = exception;
        Flow::Fault
    }

    /// Marks what a reset of `kind` leaves in DBSR\[MRR\] when the board restarts the core.
    pub fn reset_cause(state: &mut CpuState, kind: u32) {
        state.dbsr = (state.dbsr & !dbsr::MRR) | (kind << 28);
    }
}

const fn dbcr0_data_events() -> u32 {
    dbcr0::DAC1R | dbcr0::DAC1W | dbcr0::DAC2R | dbcr0::DAC2W
}
