//! The engine: the reference core executes everything, and Unicorn executes what is worth translating.
//!
//! The core runs in slices through its interpreter. Where a slice ends is a sample of where the guest spends its time;
//! a place that was met often enough is entered in Unicorn, which goes on until a trap, a page that it does not get,
//! a block that is for the core, an interrupt, or the end of its slice. Then registers move back and the core executes
//! what stopped it. A place from which Unicorn does not get far is left to the core for longer and longer, because an
//! entry costs as much as about 50 interpreted instructions, and one translated block as much as a thousand.

use ppc440_core::bits::xer;
use ppc440_core::bus::Bus;
use ppc440_core::core::{Core, Stop};
use ppc440_core::interp::Interpreter;
use ppc440_core::state::CpuState;
use unicorn_engine::uc_error;
use vmm_plugin::api::{Engine, Exit, Refusal as PluginRefusal};
use vmm_plugin::bus::PluginBus;

use crate::machine::{Halt, Machine, Refusal, Retired};
use crate::scan::{self, ATOMIC, NATIVE, XER};
use crate::uc::{End, MSR_IS_DS, MSR_PR, Registers, Uc};
use crate::watch::WatchedBus;

/// Instructions that the interpreter executes between two looks.
const SLICE: u64 = 1024;
/// As `SLICE`, right after Unicorn was stopped by a trap or a missing page: about one TLB miss of Linux.
const SHORT_SLICE: u64 = 96;
/// The most that Unicorn executes between two looks at the clock: tens of microseconds.
const NATIVE_SLICE: u64 = 32_768;
/// Samples after which a place is entered in Unicorn: of 1 to 64 the best compromise between boot and loops.
const HOT: u8 = 8;
/// Native instructions below which an entry did not pay.
const SHORT_STAY: u64 = 400;
/// Doublings of the time for which a place is left to the core after entries that did not pay.
const MAX_PENALTY: u8 = 12;
/// Places that are watched.
const SPOTS: usize = 8192;
/// Flushes that one entry may cause before the core goes on.
const RETRIES: u32 = 4;

/// `mtxer r0; sc` and `mfxer r0; sc`.
const MOVE_XER: [u32; 4] = [0x7C01_03A6, 0x4400_0002, 0x7C01_02A6, 0x4400_0002];
/// Offset of the second in the page.
const FROM_XER: u32 = 8;

/// A place where slices ended.
#[derive(Clone, Copy, Debug, Default)]
struct Spot {
    pc: u32,
    samples: u8,
    penalty: u8,
    /// Samples to let pass before the next entry.
    skip: u16,
}

/// How a stay in Unicorn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// At the start of a block, for the core to look at clock and pins.
    Look,
    /// At an instruction or block that the core must execute.
    Core,
}

pub(crate) struct UnicornEngine {
    uc: Uc<Machine>,
    spots: Box<[Spot; SPOTS]>,
    registers: Registers,
    /// XER as Unicorn has it.
    xer: u32,
    /// Physical page of our own code.
    own_page: u32,
    ram_generation: u32,
    /// False once Unicorn cannot be used any more.
    usable: bool,
    /// Enter Unicorn wherever that is possible, for tests.
    eager: bool,
}

fn broken(error: uc_error) -> Exit {
    Exit::Error(format!("Unicorn failed: {error}"))
}

impl UnicornEngine {
    /// An engine on the calling thread.
    pub(crate) fn new(bus: PluginBus, eager: bool) -> Result<Self, PluginRefusal> {
        let ram = bus.ram();
        let ram_generation = bus.ram_generation();
        let core = Core::new(&CpuState::reset(0), false);
        let machine = Machine::new(Interpreter::new(core), WatchedBus::new(bus));
        let failed = |error: uc_error| PluginRefusal(format!("Unicorn cannot start: {error}"));
        let mut uc = Uc::new(machine).map_err(failed)?;
        for range in &ram {
            // RAM above 4 GB stays with the core.
            let Ok(pa) = u32::try_from(range.pa) else { continue };
            let len = (range.len as u64).min((1 << 32) - range.pa);
            // SAFETY: the range is valid memory as long as the bus, which the machine inside `uc` owns and which goes
            // after the instance is closed; both sides use it through pointers only.
            unsafe { uc.map(pa, len, range.ptr) }.map_err(failed)?;
            uc.hooks().pages.add_range(pa, (len >> 12) as u32);
        }
        let is_ram =
            |pa: u32| ram.iter().any(|range| u64::from(pa).wrapping_sub(range.pa) < range.len as u64);
        let own_page =
            (0..=0xF_FFFFu32).rev().map(|page| page << 12).find(|&pa| !is_ram(pa)).ok_or_else(|| {
                PluginRefusal("RAM fills all of 4 GB: no page is left for Unicorn's own code".into())
            })?;
        uc.map_code(own_page, &MOVE_XER).map_err(failed)?;
        let spots = Box::new([Spot::default(); SPOTS]);
        let registers = Registers::default();
        Ok(Self { uc, spots, registers, xer: 0, own_page, ram_generation, usable: true, eager })
    }

    fn core(&mut self) -> &mut Core {
        self.uc.hooks().interpreter.core_mut()
    }

    /// Executes our own code at `offset`, in a context that the guest never uses.
    fn own_code(&mut self, offset: u32) -> Result<(), uc_error> {
        self.uc.hooks().own_code = true;
        let result = self.uc.execute(self.own_page + offset, 0);
        self.uc.hooks().own_code = false;
        result.map(|_| ())
    }

    fn flush(&mut self) -> Result<(), uc_error> {
        self.uc.flush_tlb()?;
        self.uc.hooks().flushed();
        Ok(())
    }

    /// Drops Unicorn's code of the page at `pa`.
    fn drop_code(&mut self, pa: u32) -> Result<(), uc_error> {
        // The page may still be mapped executable.
        self.flush()?;
        self.uc.hooks().own_code = true;
        let result = self.uc.remove_code(pa, 4096);
        let machine = self.uc.hooks();
        machine.own_code = false;
        machine.counters.code_drops += 1;
        machine.pages.forget_code(pa);
        machine.bus.watch(pa, false);
        result
    }

    fn drop_all_code(&mut self) -> Result<(), uc_error> {
        self.flush()?;
        self.uc.flush_code()?;
        let machine = self.uc.hooks();
        for pa in machine.pages.code_pages() {
            machine.pages.forget_code(pa);
            machine.bus.watch(pa, false);
        }
        Ok(())
    }

    /// Drops translated code that the core or a device has written.
    #[cold]
    fn drop_written(&mut self) -> Result<(), uc_error> {
        for (start, len) in self.uc.hooks().bus.take_writes() {
            let end = u64::from(start) + u64::from(len);
            let mut at = u64::from(start);
            while at < end {
                let next = ((at | 0xFFF) + 1).min(end);
                if self.uc.hooks().pages.overlaps_code(at as u32, (next - at) as u32) {
                    self.drop_code(at as u32 & !0xFFF)?;
                }
                at = next;
            }
        }
        Ok(())
    }

    /// Whether to enter Unicorn at PC, where a slice has ended.
    fn is_worth_entering(&mut self) -> bool {
        let eager = self.eager;
        let machine = self.uc.hooks();
        if !machine.is_native_state() {
            return false;
        }
        let pc = machine.interpreter.core().registers().pc;
        let known = machine.code_page(pc).and_then(|code| machine.pages.block(code, pc));
        let credit = machine.credit;
        if known.is_some_and(|block| block.flags & NATIVE == 0) {
            return false;
        }
        if eager {
            return true;
        }
        let spot = &mut self.spots[(pc >> 2).wrapping_mul(0x9E37_79B1) as usize >> 3 & (SPOTS - 1)];
        if spot.pc != pc {
            if spot.samples > 0 {
                spot.samples -= 1;
                return known.is_some();
            }
            *spot = Spot { pc, ..Spot::default() };
        }
        if spot.skip > 0 {
            spot.skip -= 1;
            return false;
        }
        spot.samples = spot.samples.saturating_add(1);
        known.is_some() || (spot.samples >= HOT && credit >= 0)
    }

    /// Learns from a stay of `retired` instructions that began at `pc`.
    fn judge_stay(&mut self, pc: u32, retired: u64) {
        let spot = &mut self.spots[(pc >> 2).wrapping_mul(0x9E37_79B1) as usize >> 3 & (SPOTS - 1)];
        if spot.pc != pc {
            *spot = Spot { pc, ..Spot::default() };
        }
        if retired < SHORT_STAY {
            spot.penalty = (spot.penalty + 1).min(MAX_PENALTY);
            spot.skip = 1 << spot.penalty;
        } else {
            spot.penalty = 0;
        }
    }

    /// Executes in Unicorn from PC, at most `limit` instructions.
    fn stay(&mut self, limit: u64) -> Result<Left, uc_error> {
        if self.uc.hooks().bus.has_writes() {
            self.drop_written()?;
        }
        if self.uc.hooks().prepare() {
            self.flush()?;
        }
        let state = self.core().registers();
        let entered_at = state.pc;
        let wanted_xer = state.xer;
        let msr = MSR_PR | if state.msr & MSR_PR != 0 { MSR_IS_DS } else { 0 };
        let registers = Registers { gpr: state.gpr, cr: state.cr, lr: state.lr, ctr: state.ctr };
        if self.xer != wanted_xer {
            self.uc.hooks().counters.xer_moves += 1;
            self.uc.write_gpr(0, wanted_xer)?;
            self.own_code(0)?;
            self.xer = wanted_xer;
        }
        self.uc.write_registers(&registers)?;
        self.uc.hooks().begin(limit);
        let mut pc = entered_at;
        let mut retries = 0;
        let (end, retired) = loop {
            let (end, at) = self.uc.execute(pc, msr)?;
            pc = at;
            let machine = self.uc.hooks();
            let retired = machine.retired_before(pc, end == End::Stopped);
            if end == End::Refused && retries < RETRIES {
                retries += 1;
                match machine.refusal {
                    Refusal::Core => {}
                    Refusal::Flush => {
                        self.flush()?;
                        continue;
                    }
                    Refusal::Full => {
                        self.drop_all_code()?;
                        continue;
                    }
                    Refusal::DropCode(page) => {
                        self.drop_code(page)?;
                        continue;
                    }
                }
            }
            break (end, retired);
        };
        self.take_back(pc, retired)?;
        let retired = retired.instructions;
        self.judge_stay(entered_at, retired);
        let machine = self.uc.hooks();
        machine.counters.native += retired;
        machine.counters.entries += 1;
        machine.earn(retired);
        match end {
            End::Stopped if machine.halt == Halt::Look => return Ok(Left::Look),
            End::Stopped => machine.counters.foreign += 1,
            End::Trapped => machine.counters.trapped += 1,
            End::Refused => {}
        }
        Ok(Left::Core)
    }

    /// Moves the state back into the core.
    fn take_back(&mut self, pc: u32, retired: Retired) -> Result<(), uc_error> {
        self.uc.read_registers(&mut self.registers)?;
        if retired.flags & XER != 0 {
            self.uc.hooks().counters.xer_moves += 1;
            self.own_code(FROM_XER)?;
            self.xer = self.uc.read_gpr(0)? & xer::ALL;
        }
        let (registers, value) = (&self.registers, self.xer);
        let machine = self.uc.hooks();
        let core = machine.interpreter.core_mut();
        let state = core.registers_mut();
        (state.gpr, state.cr, state.lr, state.ctr) =
            (registers.gpr, registers.cr, registers.lr, registers.ctr);
        state.xer = value;
        if retired.finished & ATOMIC != 0 {
            state.reserve_valid = 0;
        }
        core.resume_at(pc, retired.instructions);
        if retired.flags & ATOMIC != 0 && retired.partial != 0 {
            self.partial_reservation(pc, retired.partial);
        }
        Ok(())
    }

    /// A block with lwarx and stwcx. was left before its end, after `partial` instructions: the core gets the
    /// reservation as they leave it. The address registers of an open reservation have not changed since.
    #[cold]
    fn partial_reservation(&mut self, pc: u32, partial: u32) {
        let machine = self.uc.hooks();
        for n in (1..=partial).rev() {
            let Some(word) = machine.fetch(pc.wrapping_sub(4 * n)) else { return };
            let state = machine.interpreter.core().registers();
            let (ra, rb) = ((word >> 16 & 31) as usize, (word >> 11 & 31) as usize);
            let ea = state.gpr[rb].wrapping_add(if ra == 0 { 0 } else { state.gpr[ra] });
            let reservation = if scan::is_stwcx(word) {
                None
            } else if scan::is_lwarx(word) {
                machine.load_address(ea)
            } else {
                continue;
            };
            let state = machine.interpreter.core_mut().registers_mut();
            state.reserve_valid = u32::from(reservation.is_some());
            if let Some(pa) = reservation {
                (state.reserve_addr, state.reserve_addr_high) = (pa as u32, (pa >> 32) as u32);
            }
        }
    }

    /// Lets the interpreter execute: `exactly` so many instructions, or about.
    fn interpret(&mut self, instructions: u64, exactly: bool) -> Stop {
        let machine = self.uc.hooks();
        let before = machine.interpreter.core().retired();
        let Machine { interpreter, bus, .. } = machine;
        let stop = if exactly {
            interpreter.run(bus, instructions)
        } else {
            interpreter.run_about(bus, instructions)
        };
        let after = machine.interpreter.core().retired();
        machine.earn(after - before);
        stop
    }

    fn run_to(&mut self, end: u64) -> Result<Exit, uc_error> {
        // A waiting loop shows itself only to two instructions at a time.
        let usual = if self.eager { 2 } else { SLICE };
        let mut slice = usual;
        loop {
            let left = end.saturating_sub(self.core().retired());
            if left == 0 {
                return Ok(Exit::Budget);
            }
            // `run_about` may overshoot by a page.
            let stop = if !self.usable || left <= slice + 1024 {
                let part = if self.usable { left.min(slice) } else { left };
                self.interpret(part, true)
            } else {
                self.interpret(slice, false)
            };
            if stop != Stop::Budget {
                return Ok(stop.into());
            }
            slice = usual;
            let left = end.saturating_sub(self.core().retired());
            if left == 0 || !self.usable || !self.is_worth_entering() {
                continue;
            }
            if self.uc.hooks().bus.inner().ram_generation() != self.ram_generation {
                tracing::warn!("The RAM of a running machine moved: Unicorn is not used any more");
                self.usable = false;
                continue;
            }
            slice = match self.stay(left.min(NATIVE_SLICE))? {
                _ if self.eager => 1,
                // One block: the core looks at clock and pins first.
                Left::Look => 1,
                Left::Core => SHORT_SLICE,
            };
        }
    }
}

impl Engine for UnicornEngine {
    fn run(&mut self, budget: u64) -> Exit {
        let end = self.core().retired().saturating_add(budget);
        self.run_to(end).unwrap_or_else(|error| {
            self.usable = false;
            broken(error)
        })
    }

    fn get_state(&mut self, state: &mut CpuState) {
        let Machine { interpreter, bus, .. } = self.uc.hooks();
        interpreter.core().snapshot(bus, state);
    }

    fn set_state(&mut self, state: &CpuState) -> Vec<&'static str> {
        let machine = self.uc.hooks();
        let now = machine.bus.now();
        machine.interpreter.core_mut().restore(state, now);
        machine.interpreter.flush();
        // A new state comes with new RAM more often than not.
        if let Err(error) = self.drop_all_code() {
            tracing::error!("Unicorn failed: {error}");
            self.usable = false;
        }
        Vec::new()
    }

    fn retired(&self) -> u64 {
        self.uc.hooks_ref().interpreter.core().retired()
    }

    fn stats(&self) -> Vec<(String, u64)> {
        let machine = self.uc.hooks_ref();
        let c = &machine.counters;
        [
            ("retired", self.retired()),
            ("native", c.native),
            ("native_entries", c.entries),
            ("native_traps", c.trapped),
            ("foreign_blocks", c.foreign),
            ("translated_blocks", c.translated),
            ("page_fills", c.fills),
            ("pages_refused", c.refused),
            ("tlb_flushes", c.flushes),
            ("code_drops", c.code_drops),
            ("xer_moves", c.xer_moves),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}
