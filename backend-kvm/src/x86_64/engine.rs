//! The engine as the host sees it: commands into the machine, and answers to the calls that come out of it.

use std::fmt::Write as _;
use std::path::Path;

use ppc440_core::bus::Bus;
use vmm_plugin::api::{
    Clock, CpuState, Engine, EngineConfig, Exit, PolicyKind, Refusal, ResetKind, policy_by_number,
};
use vmm_plugin::bus::PluginBus;

use super::memory::time_stamp;
use super::protocol::{
    Config, DIRTY, DirtyRange, POSTED, RAM_RANGES, STATS, TEXT, Window, call, command, outcome,
};
use super::space::Mapping;
use super::vm::{CODE_LEN, Vm};
use super::watch::Watch;
use crate::probe::probe;

/// A posted write reaches its device within this part of a second.
const LINGER: u64 = 1000;

/// One core in a virtual machine.
pub(super) struct KvmEngine {
    // Ends before the bus, whose attention word it looks at.
    watch: Watch,
    vm: Vm,
    // After the machine, which maps what the bus keeps.
    bus: PluginBus,
    icount: bool,
    /// The engine failed; it is not entered again.
    broken: Option<String>,
    ram_generation: u32,
    dirty: Vec<DirtyRange>,
    retired: u64,
    stats: [u64; STATS.len()],
    exits: u64,
}

/// What the guest's clock is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    /// The processor's counter, read inside.
    Counter,
    /// A call for each look at it.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for a test; hosts without a usable counter find it themselves")
    )]
    Call,
}

impl KvmEngine {
    pub(super) fn new(
        device: &std::ffi::CStr,
        config: &EngineConfig,
        bus: PluginBus,
        time: Time,
    ) -> Result<Self, Refusal> {
        if policy_by_number(config.tlb_policy).is_none() {
            let (number, last) = (config.tlb_policy, PolicyKind::ALL.len());
            return Err(format!("Backend kvm has no TLB policy number {number}; it has 0 to {last}").into());
        }
        let Some((shared, attention)) = bus.shared_page() else {
            return Err(
                "Backend kvm needs a vmm that keeps the attention word in a page of its own; this one is older".into()
            );
        };
        let mut vm = Vm::new(device, &bus.ram(), shared)?;
        let tsc_scale = if time == Time::Counter { scale(config.tb_hz, vm.tsc_khz) } else { 0 };
        let mut ram = [Window { pa: 0, va: 0, len: 0 }; RAM_RANGES];
        ram[..vm.windows().len()].copy_from_slice(vm.windows());
        let heap_len = vm.heap_len();
        vm.mailbox().config = Config {
            icount: u32::from(config.clock == Clock::Icount),
            tlb_policy: config.tlb_policy,
            shadow_pages: config.shadow_pages,
            attention: attention as u32,
            ram_count: vm.windows().len() as u32,
            tsc_scale,
            linger: u64::from(config.tb_hz) / LINGER,
            heap_len,
            code_len: CODE_LEN,
            ram,
        };
        let word = shared.wrapping_add(attention).cast();
        let mut engine = Self {
            watch: Watch::start(vm.vcpu(), word)?,
            vm,
            ram_generation: bus.ram_generation(),
            bus,
            icount: config.clock == Clock::Icount,
            broken: None,
            dirty: Vec::new(),
            retired: 0,
            stats: [0; STATS.len()],
            exits: 0,
        };
        engine.go().map_err(Refusal)?;
        Ok(engine)
    }

    /// What the engine can reach.
    pub(super) fn mappings(&self) -> &[Mapping] {
        self.vm.mappings()
    }

    /// Carries out a command.
    pub(super) fn execute(&mut self, command: u32, argument: u64) -> Result<(), String> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        let mail = self.vm.mailbox();
        (mail.command, mail.argument, mail.text_len) = (command, argument, 0);
        self.go()
    }

    /// Lets the engine work until it is done.
    fn go(&mut self) -> Result<(), String> {
        loop {
            let entered = self.vm.enter(|| self.watch.given_up());
            self.exits += 1;
            self.watch.heard();
            match entered.and_then(|()| self.answer()) {
                Ok(false) => {}
                Ok(true) => return Ok(()),
                Err(why) => {
                    self.broken = Some(why.clone());
                    return Err(why);
                }
            }
        }
    }

    /// Answers the call that the engine made; true if that was to say that it is done. Nothing in the mailbox is
    /// trusted: the engine works on what a guest gives it.
    fn answer(&mut self) -> Result<bool, String> {
        let mail = self.vm.mailbox();
        let (what, pa, len, value, ticks) = (mail.call, mail.pa, mail.len, mail.value, mail.ticks);
        let posted = usize::try_from(mail.posted_count).ok().filter(|count| *count <= POSTED);
        let posted =
            mail.posted[..posted.ok_or("The engine posted more writes than there is room for")?].to_vec();
        if what == call::PANIC {
            return Err(format!("The engine in the virtual machine panicked: {}", self.text()));
        }
        for write in posted {
            self.bus.write(write.pa, bytes(write.len)?, write.value);
        }
        // Under the host's clock nothing of this moves it.
        if what == call::ADVANCE || (self.icount && ticks != 0) {
            let deadline = self.bus.advance(if self.icount { ticks } else { 0 });
            self.vm.mailbox().deadline = deadline;
        }
        let (mut answer, mut treatment) = (0, 0);
        let mut dirty_count = 0;
        match what {
            call::DONE => {
                let mail = self.vm.mailbox();
                (self.retired, self.stats) = (mail.retired, mail.stats);
            }
            call::READ => {
                let len = bytes(len)?;
                answer = self.bus.read(pa, len);
                treatment = self.treatment(pa, len);
            }
            call::WRITE => {
                let len = bytes(len)?;
                self.bus.write(pa, len, value);
                treatment = self.treatment(pa, len);
            }
            call::DCR_READ => answer = u64::from(self.bus.dcr_read(pa as u16 & 1023)),
            call::DCR_WRITE => self.bus.dcr_write(pa as u16 & 1023, value as u32),
            call::IDLE => {
                let _ = self.bus.idle(value);
            }
            call::ADVANCE | call::NOW => {}
            call::DIRTY => {
                if self.dirty.is_empty() {
                    self.take_dirty();
                }
                let rest = self.dirty.split_off(self.dirty.len().min(DIRTY));
                let told = std::mem::replace(&mut self.dirty, rest);
                self.vm.mailbox().dirty[..told.len()].copy_from_slice(&told);
                dirty_count = told.len() as u64;
                answer = u64::from(!self.dirty.is_empty());
            }
            other => {
                return Err(format!("The engine in the virtual machine made call {other}, which is none"));
            }
        }
        if self.bus.ram_generation() != self.ram_generation {
            return Err("The board moved its RAM, which backend kvm cannot follow; take --backend jit".into());
        }
        let armed = self.bus.armed();
        let (now, tsc) = (self.bus.now(), time_stamp());
        let mail = self.vm.mailbox();
        (mail.value, mail.treatment, mail.dirty_count) = (answer, treatment, dirty_count);
        (mail.armed, mail.now, mail.tsc) = (armed, now, tsc);
        Ok(what == call::DONE)
    }

    fn treatment(&mut self, pa: u64, len: u8) -> u32 {
        // Under icount a device sees each access at its exact tick.
        if self.icount { 0 } else { self.bus.treatment(pa, len) }
    }

    fn take_dirty(&mut self) {
        let dirty = &mut self.dirty;
        self.bus.take_dma_dirty(&mut |pa| match dirty.last_mut() {
            Some(last) if last.pa + last.pages * 4096 == pa => last.pages += 1,
            _ => dirty.push(DirtyRange { pa, pages: 1 }),
        });
    }

    fn text(&mut self) -> String {
        let mail = self.vm.mailbox();
        let len = usize::try_from(mail.text_len).unwrap_or(usize::MAX).min(TEXT);
        String::from_utf8_lossy(&mail.text[..len]).into_owned()
    }

    fn describe(&self) -> String {
        let mut text = format!("{}; mapped in its virtual machine:\n", probe(Path::new(crate::DEVICE)));
        for Mapping { what, va, len, rights } in self.mappings() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{va:#015x}-{:#015x} {:>8} KB  {rights}  {what}", va + len - 1, len >> 10);
        }
        let _ = writeln!(text, "The engine left it {} times", self.exits);
        text
    }
}

/// The length of an access.
fn bytes(len: u64) -> Result<u8, String> {
    match len {
        1 | 2 | 4 | 8 => Ok(len as u8),
        _ => Err(format!("The engine in the virtual machine made an access of {len} bytes")),
    }
}

/// Timebase ticks for each tick of a counter, as a fraction of 2^32; 0 if the counter cannot tell the time.
fn scale(tb_hz: u32, tsc_khz: u32) -> u32 {
    use std::arch::x86_64::{__cpuid, __get_cpuid_max};
    const INVARIANT: u32 = 1 << 8;
    let invariant =
        __get_cpuid_max(0x8000_0000).0 >= 0x8000_0007 && __cpuid(0x8000_0007).edx & INVARIANT != 0;
    // A machine that names no timebase gets 1 GHz.
    let tb_hz = if tb_hz == 0 { 1_000_000_000 } else { u64::from(tb_hz) };
    let tsc_hz = u64::from(tsc_khz) * 1000;
    if !invariant || tsc_hz == 0 {
        return 0;
    }
    u32::try_from((u128::from(tb_hz) << 32) / u128::from(tsc_hz)).unwrap_or(0)
}

impl Engine for KvmEngine {
    fn run(&mut self, budget: u64) -> Exit {
        if let Err(why) = self.execute(command::RUN, budget) {
            return Exit::Error(why);
        }
        let (kind, detail) = {
            let mail = self.vm.mailbox();
            (mail.outcome, mail.detail)
        };
        match (kind, detail) {
            (outcome::BUDGET, _) => Exit::Budget,
            (outcome::RESET, 1) => Exit::Reset(ResetKind::Core),
            (outcome::RESET, 2) => Exit::Reset(ResetKind::Chip),
            (outcome::RESET, _) => Exit::Reset(ResetKind::System),
            (outcome::HALTED, _) => Exit::Halted,
            (outcome::STOP, _) => Exit::Stop,
            (outcome::FATAL, _) => Exit::GuestFatal(format!(
                "The {} vector faults on itself: no instruction completes any more",
                self.text()
            )),
            (other, _) => {
                Exit::Error(format!("The engine in the virtual machine ended with {other}, which is none"))
            }
        }
    }

    fn get_state(&mut self, state: &mut CpuState) {
        if self.execute(command::GET_STATE, 0).is_ok() {
            state.clone_from(&self.vm.mailbox().state);
            state.size = size_of::<CpuState>() as u32;
        }
    }

    fn set_state(&mut self, state: &CpuState) -> Vec<&'static str> {
        self.vm.mailbox().state.clone_from(state);
        // A failure is told by the next run.
        let _ = self.execute(command::SET_STATE, 0);
        Vec::new()
    }

    fn retired(&self) -> u64 {
        self.retired
    }

    fn stats(&self) -> Vec<(String, u64)> {
        let ours = [("retired", self.retired), ("vm_exits", self.exits)];
        let theirs = STATS.into_iter().zip(self.stats);
        ours.into_iter().chain(theirs).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn inspect(&mut self, topic: &str) -> String {
        match topic {
            "tlb" if self.execute(command::DESCRIBE, 0).is_ok() => self.text(),
            "kvm" => self.describe(),
            _ => String::new(),
        }
    }

    fn record(&mut self, topic: &str) -> Result<(), Refusal> {
        Err(format!(
            "Backend kvm cannot record `{topic}`: nothing leaves its machine; take --backend interp or jit"
        )
        .into())
    }
}
