//! The run loop: KVM executes the guest, and everything that it cannot do itself goes to the bus.
//!
//! Before each entry the loop runs due device work, looks at the attention bits, brings the interrupt input up to date
//! and sets a timer for the next device deadline or the next look, whichever is first: other threads only set
//! attention bits, and a guest that runs undisturbed would not see them. Idling (MSR\[WE\]) happens inside the kernel.
//!
//! A 440's KVM counts no instructions, has no critical and no machine check input, and cannot be given a TLB; what it
//! does with DBCR0 and with a guest that spins for ever is told in [`spin`].
#![expect(unsafe_code, reason = "guest RAM is handed to the kernel")]

use std::time::Duration;

use ppc440_core::bus::{Bus, NEVER, attention};
use ppc440_core::state::CpuState;
use vmm_plugin::api::{Engine, EngineConfig, Exit, ResetKind};
use vmm_plugin::bus::{PluginBus, RamRange};

use super::abi::{INTERRUPT_SET, INTERRUPT_SET_LEVEL, INTERRUPT_UNSET, exit, payload};
use super::spin::{self, Spin};
use super::state;
use super::sys::Sys;
use super::vm::{Error, MEMORY_SLOTS, Ran, Vm};

/// Bytes from address 0 that KVM maps for a new virtual CPU.
pub(crate) const INITIAL_MAPPING: u32 = 16 << 20;

/// The longest time between two looks at the attention bits: as often as a Linux guest's own clock ticks.
const LOOK: Duration = Duration::from_millis(4);
/// Undisturbed looks in a row after which a guest is suspected to spin for ever.
const LOOKS_UNTIL_SUSPECT: u32 = 16;

/// How often the guest stopped, by reason.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    mmio: u64,
    dcr: u64,
    interrupted: u64,
    interrupts: u64,
}

/// One 440 core inside KVM.
pub(crate) struct KvmEngine<S: Sys> {
    // The virtual machine goes before the bus, whose RAM it uses.
    vm: Vm<S>,
    bus: PluginBus,
    tb_hz: u64,
    /// RAM as the virtual machine has it.
    ram_generation: u32,
    /// A virtual CPU that has run has a TLB of the guest's own; a new state needs a new one.
    used: bool,
    /// Why the guest cannot be run, to be told by the next run.
    unfit: Option<String>,
    /// The kernel still has to put a value into a register of the guest.
    unfinished: bool,
    /// An exit that came while an access was finished; the next run returns it.
    late: Option<Exit>,
    /// The level that KVM was told last.
    asserted: bool,
    told_of_pins: u32,
    undisturbed: u32,
    counts: Counts,
}

impl<S: Sys> KvmEngine<S> {
    /// Puts the bus's RAM into a new virtual machine.
    ///
    /// # Errors
    /// What the kernel refused.
    pub(crate) fn new(vm: Vm<S>, bus: PluginBus, config: &EngineConfig) -> Result<Self, Error> {
        let mut engine = Self {
            vm,
            ram_generation: bus.ram_generation(),
            bus,
            tb_hz: u64::from(config.tb_hz).max(1),
            used: false,
            unfit: None,
            unfinished: false,
            late: None,
            asserted: false,
            told_of_pins: 0,
            undisturbed: 0,
            counts: Counts::default(),
        };
        engine.give_memory()?;
        Ok(engine)
    }

    fn give_memory(&mut self) -> Result<(), Error> {
        let ranges = self.bus.ram();
        if ranges.len() > MEMORY_SLOTS {
            let error = std::io::Error::other(format!(
                "the machine has {} ranges of RAM, KVM {MEMORY_SLOTS} slots",
                ranges.len()
            ));
            return Err(Error::Failed { what: "Giving the guest its RAM", error });
        }
        for (slot, RamRange { pa, ptr, len }) in (0..).zip(ranges) {
            // SAFETY: the bus keeps its RAM as long as it lives, and it is dropped after the virtual machine; nobody
            // holds references into guest RAM while an engine runs (the bus's contract).
            unsafe { self.vm.set_memory(slot, pa, ptr as usize as u64, len as u64)? };
        }
        Ok(())
    }

    /// Makes all code in RAM visible to the guest's instruction fetches.
    fn publish_all(&mut self) {
        for range in self.bus.ram() {
            // SAFETY: the bus's RAM is mapped.
            unsafe { self.vm.sys.publish_code(range.ptr, range.len) };
        }
    }

    fn publish_dirty(&mut self) {
        let ranges = self.bus.ram();
        let sys = &mut self.vm.sys;
        self.bus.take_dma_dirty(&mut |pa| {
            let inside = |range: &&RamRange| pa >= range.pa && pa - range.pa < range.len as u64;
            if let Some(range) = ranges.iter().find(inside) {
                let offset = (pa - range.pa) as usize;
                let len = (range.len - offset).min(4096);
                // SAFETY: `offset + len` is inside the range, which is mapped.
                unsafe { sys.publish_code(range.ptr.wrapping_add(offset), len) };
            }
        });
    }

    fn set_state_or_error(&mut self, state: &CpuState) -> Result<Vec<&'static str>, Error> {
        if self.used {
            self.vm.renew()?;
            self.give_memory()?;
            (self.used, self.unfinished, self.asserted, self.late) = (false, false, false, None);
        }
        let mut refused = state::set(&mut self.vm, state)?;
        self.unfit = (!state::fits_initial_mapping(state, INITIAL_MAPPING)).then(|| {
            format!(
                "A guest cannot go on at PC {:#010x} under KVM: its TLB cannot be written from user space, and KVM's own \
                 maps the first {} MB one to one. Start the guest from its entry, or use --backend interp",
                state.pc,
                INITIAL_MAPPING >> 20
            )
        });
        // The fresh TLB is KVM's, whatever the state said.
        refused.retain(|field| *field != "reset_entry");
        self.publish_all();
        Ok(refused)
    }

    /// Brings the interrupt input up to the pins' level.
    fn drive_interrupt(&mut self, bits: u32) -> Result<(), Error> {
        let asserted = bits & attention::EXT != 0;
        let can = self.vm.capabilities();
        let how = match (asserted, self.asserted) {
            (true, false) if can.irq_level => Some(INTERRUPT_SET_LEVEL),
            // Without levels KVM forgets the input when the guest takes the interrupt: it is told again and again.
            (true, _) if !can.irq_level => Some(INTERRUPT_SET),
            (false, true) if can.unset_irq => Some(INTERRUPT_UNSET),
            _ => None,
        };
        self.asserted = asserted;
        let Some(how) = how else { return Ok(()) };
        self.counts.interrupts += u64::from(asserted);
        self.vm.interrupt(how)
    }

    fn tell_of_pins(&mut self, bits: u32) {
        let new = bits & (attention::CRIT | attention::MCHECK) & !self.told_of_pins;
        self.told_of_pins |= new;
        if new & attention::CRIT != 0 {
            tracing::warn!(
                "A critical interrupt is asserted; KVM on a 440 host has no such input and the guest will not see it"
            );
        }
        if new & attention::MCHECK != 0 {
            tracing::warn!(
                "A machine check is asserted; KVM on a 440 host has no such input and the guest will not see it"
            );
        }
    }

    /// How long the guest may run until this loop must look again.
    fn until_look(&mut self, deadline: u64, end: u64) -> Duration {
        let next = deadline.min(end);
        if next == NEVER {
            return LOOK;
        }
        let ticks = next.saturating_sub(self.bus.now());
        let nanoseconds = u128::from(ticks) * 1_000_000_000 / u128::from(self.tb_hz);
        u64::try_from(nanoseconds).map_or(LOOK, Duration::from_nanos).min(LOOK)
    }

    /// Completes what the kernel has left to do, so that the registers are the guest's.
    fn settle(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.unfinished) && !self.vm.finish_access()? {
            // The guest ran into its next access instead: serving it now keeps it from being lost.
            self.late = self.serve()?;
        }
        Ok(())
    }

    fn run_or_error(&mut self, budget: u64) -> Result<Exit, Error> {
        if let Some(why) = &self.unfit {
            return Ok(Exit::Error(why.clone()));
        }
        if let Some(exit) = self.late.take() {
            return Ok(exit);
        }
        let end = self.bus.now().saturating_add(budget);
        loop {
            let deadline = self.bus.advance(0);
            let bits = self.bus.attention();
            if bits & attention::DMA != 0 {
                self.publish_dirty();
            }
            if self.bus.ram_generation() != self.ram_generation {
                return Ok(Exit::Error(
                    "RAM moved while the guest runs; KVM on a 440 host keeps using its old place".into(),
                ));
            }
            if bits & attention::RESET != 0 {
                return Ok(Exit::Reset(ResetKind::System));
            }
            if bits & attention::STOP != 0 {
                self.settle()?;
                return Ok(Exit::Stop);
            }
            if self.bus.now() >= end {
                self.settle()?;
                return Ok(Exit::Budget);
            }
            self.tell_of_pins(bits);
            self.drive_interrupt(bits)?;
            let look = self.until_look(deadline, end);
            self.vm.arm(look)?;
            (self.used, self.unfinished) = (true, false);
            match self.vm.run()? {
                Ran::Interrupted => {
                    self.vm.sys.take_kick();
                    self.counts.interrupted += 1;
                    self.undisturbed += 1;
                    if self.undisturbed >= LOOKS_UNTIL_SUSPECT {
                        self.undisturbed = 0;
                        if let Some(exit) = self.suspect()? {
                            return Ok(exit);
                        }
                    }
                }
                Ran::Exited => {
                    self.undisturbed = 0;
                    if let Some(exit) = self.serve()? {
                        return Ok(exit);
                    }
                }
            }
        }
    }

    /// Looks whether the guest spins for ever, and what that means.
    fn suspect(&mut self) -> Result<Option<Exit>, Error> {
        let armed = self.bus.armed();
        Ok(match spin::look(&mut self.vm, &self.bus, armed)? {
            Spin::No => None,
            Spin::Halted => Some(Exit::Halted),
            Spin::Reset(kind) => Some(Exit::Reset(kind)),
        })
    }

    /// Does what the guest stopped for.
    fn serve(&mut self) -> Result<Option<Exit>, Error> {
        let page = self.vm.page()?;
        match page.exit_reason {
            exit::MMIO => self.mmio(),
            exit::DCR => self.dcr(),
            exit::INTR => Ok(None),
            exit::WATCHDOG => self.watchdog().map(Some),
            exit::DEBUG => Ok(Some(Exit::Debug)),
            exit::UNKNOWN => self.unknown().map(Some),
            other => {
                let pc = self.vm.regs()?.pc;
                Ok(Some(Exit::Error(format!(
                    "KVM stopped the guest at PC {pc:#010x} for reason {other}, which a 440 does not have"
                ))))
            }
        }
    }

    fn mmio(&mut self) -> Result<Option<Exit>, Error> {
        self.counts.mmio += 1;
        let page = self.vm.page()?;
        let pa = page.long(payload::MMIO_ADDRESS);
        let len = page.word(payload::MMIO_LEN);
        let size = match len {
            1 | 2 | 4 | 8 => len as usize,
            _ => return Ok(Some(Exit::Error(format!("KVM reports an access of {len} bytes at {pa:#x}")))),
        };
        let data = payload::MMIO_DATA..payload::MMIO_DATA + size;
        if page.payload[payload::MMIO_IS_WRITE] != 0 {
            // The bytes as they would lie in memory, and memory is big endian.
            let value = page.payload[data].iter().fold(0, |value, byte| (value << 8) | u64::from(*byte));
            self.bus.write(pa, size as u8, value);
        } else {
            let value = self.bus.read(pa, size as u8).to_be_bytes();
            self.vm.page()?.payload[data].copy_from_slice(&value[8 - size..]);
            self.unfinished = true;
        }
        Ok(None)
    }

    fn dcr(&mut self) -> Result<Option<Exit>, Error> {
        self.counts.dcr += 1;
        let page = self.vm.page()?;
        // The instruction's field has ten bits.
        let number = page.word(payload::DCR_NUMBER) as u16 & 0x3FF;
        let value = page.word(payload::DCR_DATA);
        if page.payload[payload::DCR_IS_WRITE] != 0 {
            self.bus.dcr_write(number, value);
        } else {
            let value = self.bus.dcr_read(number);
            self.vm.page()?.payload[payload::DCR_DATA..payload::DCR_DATA + 4]
                .copy_from_slice(&value.to_ne_bytes());
            self.unfinished = true;
        }
        Ok(None)
    }

    /// The watchdog's last expiry: the reset that TCR\[WRC\] names.
    fn watchdog(&mut self) -> Result<Exit, Error> {
        Ok(match (self.vm.sregs()?.tcr >> 28) & 3 {
            0 => Exit::Error("The guest's watchdog expired, but TCR[WRC] asks for no reset".into()),
            1 => Exit::Reset(ResetKind::Core),
            2 => Exit::Reset(ResetKind::Chip),
            _ => Exit::Reset(ResetKind::System),
        })
    }

    fn unknown(&mut self) -> Result<Exit, Error> {
        let reason = self.vm.page()?.long(payload::HARDWARE_REASON);
        let pc = self.vm.regs()?.pc;
        Ok(Exit::Error(if reason >> 32 == 0xFFFF_FFFF {
            format!(
                "KVM cannot emulate the instruction {:#010x} at PC {pc:#010x}; --backend interp can",
                reason as u32
            )
        } else {
            format!("KVM does not know why the guest stopped at PC {pc:#010x} (hardware reason {reason:#x})")
        }))
    }
}

impl<S: Sys> Engine for KvmEngine<S> {
    /// Runs until the time of `budget` timebase ticks has passed: KVM counts no instructions.
    fn run(&mut self, budget: u64) -> Exit {
        self.run_or_error(budget).unwrap_or_else(|error| Exit::Error(error.to_string()))
    }

    fn get_state(&mut self, state: &mut CpuState) {
        match self.settle().and_then(|()| state::get(&mut self.vm)) {
            Ok(taken) => *state = taken,
            Err(error) => tracing::error!("The guest's state cannot be had: {error}"),
        }
    }

    fn set_state(&mut self, state: &CpuState) -> Vec<&'static str> {
        self.set_state_or_error(state).unwrap_or_else(|error| {
            // The next run tells; a guest without its registers must not run.
            self.unfit = Some(format!("The guest's state cannot be set: {error}"));
            vec!["pc", "gpr", "msr"]
        })
    }

    /// Always 0: KVM counts no instructions.
    fn retired(&self) -> u64 {
        0
    }

    fn stats(&self) -> Vec<(String, u64)> {
        [
            ("kvm_mmio_exits", self.counts.mmio),
            ("kvm_dcr_exits", self.counts.dcr),
            ("kvm_signal_exits", self.counts.interrupted),
            ("kvm_interrupts_asserted", self.counts.interrupts),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn inspect(&mut self, topic: &str) -> String {
        if topic != "kvm" {
            return String::new();
        }
        let mut text = self.vm.capabilities().to_string();
        for (slot, range) in self.bus.ram().iter().enumerate() {
            let (pa, last) = (range.pa, range.pa + (range.len as u64 - 1));
            text.push_str(&format!("memory slot {slot}: {pa:#011x}-{last:#011x}\n"));
        }
        text
    }
}
