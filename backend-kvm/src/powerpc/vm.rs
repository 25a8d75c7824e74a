//! A virtual machine with one virtual CPU, in the terms of KVM's interface but with names and types.
//!
//! It asks for capabilities before it uses them and keeps what it found; nothing here knows a bus or a run loop.
#![expect(unsafe_code, reason = "a door for guest RAM that its caller vouches for")]

use std::fmt;
use std::io;
use std::time::Duration;

use super::abi::{self, EnableCap, MemoryRegion, Plain, Regs, Run, Sregs, Translation, cap};
use super::sys::{Argument, Node, Sys};

/// Memory slots of a 440's KVM.
pub(crate) const MEMORY_SLOTS: usize = 32;
/// The only virtual CPU.
const VCPU: u32 = 0;
/// `ENOTSUPP` of Linux, which some requests return although it is meant for the kernel alone.
const ENOTSUPP: i32 = 524;

/// Why a virtual machine cannot be had or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A request failed.
    #[error("{what} failed: {error}")]
    Failed {
        /// The request's name.
        what: &'static str,
        /// The kernel's answer.
        error: io::Error,
    },
    /// Another version of the interface.
    #[error("The kernel's KVM has API version {0}; version {version} is needed", version = abi::API_VERSION)]
    Version(u32),
    /// Capabilities without which nothing goes.
    #[error("This kernel's KVM lacks {}; Linux 2.6.39 to 3.15 with CONFIG_KVM_440 has it", .0.join(", "))]
    Lacks(Vec<&'static str>),
    /// KVM for another PowerPC.
    #[error("This kernel's KVM runs guests of {0}, not of a PowerPC 440")]
    OtherProcessor(&'static str),
}

/// Which of the optional capabilities this host has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// An interrupt can be withdrawn.
    pub(crate) unset_irq: bool,
    /// An interrupt can be a level.
    pub(crate) irq_level: bool,
    /// Single registers can be read and written.
    pub(crate) one_reg: bool,
    /// The watchdog's last expiry reaches user space.
    pub(crate) watchdog: bool,
}

impl Capabilities {
    /// Name, presence and what is lost without it.
    pub(crate) fn table(self) -> [(&'static str, bool, &'static str); 4] {
        [
            ("KVM_CAP_PPC_UNSET_IRQ", self.unset_irq, "an interrupt that went away again reaches the guest"),
            ("KVM_CAP_PPC_IRQ_LEVEL", self.irq_level, "the interrupt input is asserted anew at each entry"),
            ("KVM_CAP_ONE_REG", self.one_reg, "IAC and DAC cannot be set"),
            ("KVM_CAP_PPC_BOOKE_WATCHDOG", self.watchdog, "the guest's watchdog resets nothing"),
        ]
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, present, loss) in self.table() {
            if present {
                writeln!(f, "{name}: yes")?;
            } else {
                writeln!(f, "{name}: no; {loss}")?;
            }
        }
        Ok(())
    }
}

/// How a `KVM_RUN` ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// The signal came, or the kernel asks to be called again.
    Interrupted,
    /// The run page tells why.
    Exited,
}

/// The virtual machine.
#[derive(Debug)]
pub(crate) struct Vm<S> {
    pub(crate) sys: S,
    capabilities: Capabilities,
}

impl<S: Sys> Vm<S> {
    /// Looks at the interface's version and capabilities and makes a virtual machine with its CPU, without memory.
    pub(crate) fn new(sys: S) -> Result<Self, Error> {
        let mut vm = Self { sys, capabilities: Capabilities::default() };
        let version = vm.system("KVM_GET_API_VERSION", abi::GET_API_VERSION, 0)?;
        if version != abi::API_VERSION as u32 {
            return Err(Error::Version(version));
        }
        if vm.has(cap::PPC_SEGSTATE)? {
            return Err(Error::OtherProcessor("a Book III-S processor"));
        }
        if vm.has(cap::SW_TLB)? {
            return Err(Error::OtherProcessor("an e500"));
        }
        let required =
            [("KVM_CAP_USER_MEMORY", cap::USER_MEMORY), ("KVM_CAP_PPC_BOOKE_SREGS", cap::PPC_BOOKE_SREGS)];
        let mut missing = Vec::new();
        for (name, number) in required {
            if !vm.has(number)? {
                missing.push(name);
            }
        }
        if !missing.is_empty() {
            return Err(Error::Lacks(missing));
        }
        vm.capabilities = Capabilities {
            unset_irq: vm.has(cap::PPC_UNSET_IRQ)?,
            irq_level: vm.has(cap::PPC_IRQ_LEVEL)?,
            one_reg: vm.has(cap::ONE_REG)?,
            watchdog: vm.has(cap::ENABLE_CAP)? && vm.has(cap::PPC_BOOKE_WATCHDOG)?,
        };
        vm.renew()?;
        Ok(vm)
    }

    /// Makes virtual machine and CPU anew: the only way to KVM's initial TLB, and the reset of a core.
    pub(crate) fn renew(&mut self) -> Result<(), Error> {
        self.system("KVM_CREATE_VM", abi::CREATE_VM, 0)?;
        let made = self.sys.request(Node::Vm, abi::CREATE_VCPU, Argument::Value(VCPU));
        made.map_err(|error| Error::Failed { what: "KVM_CREATE_VCPU", error })?;
        let mut mask =
            self.sys.run_mask().map_err(|error| Error::Failed { what: "Reading the signal mask", error })?;
        self.put("KVM_SET_SIGNAL_MASK", abi::SET_SIGNAL_MASK, &mut mask)?;
        if self.capabilities.watchdog {
            let mut enable = EnableCap::new(cap::PPC_BOOKE_WATCHDOG);
            self.put("KVM_ENABLE_CAP", abi::ENABLE_CAP, &mut enable)?;
        }
        Ok(())
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn system(&mut self, what: &'static str, request: u32, value: u32) -> Result<u32, Error> {
        let answer = self.sys.request(Node::System, request, Argument::Value(value));
        answer.map_err(|error| Error::Failed { what, error })
    }

    fn has(&mut self, number: u32) -> Result<bool, Error> {
        self.system("KVM_CHECK_EXTENSION", abi::CHECK_EXTENSION, number).map(|answer| answer != 0)
    }

    fn put<T: Plain>(&mut self, what: &'static str, request: u32, structure: &mut T) -> Result<(), Error> {
        let answer = self.sys.request(Node::Vcpu, request, Argument::Bytes(structure.bytes_mut()));
        answer.map(drop).map_err(|error| Error::Failed { what, error })
    }

    /// Gives memory number `slot` to the guest.
    ///
    /// # Safety
    /// As [`Sys::set_memory`].
    pub(crate) unsafe fn set_memory(&mut self, slot: u32, pa: u64, host: u64, len: u64) -> Result<(), Error> {
        let region =
            MemoryRegion { slot, flags: 0, guest_phys_addr: pa, memory_size: len, userspace_addr: host };
        // SAFETY: the caller's promise is the same.
        let answer = unsafe { self.sys.set_memory(region) };
        answer.map_err(|error| Error::Failed { what: "KVM_SET_USER_MEMORY_REGION", error })
    }

    pub(crate) fn regs(&mut self) -> Result<Regs, Error> {
        let mut regs = Regs::default();
        self.put("KVM_GET_REGS", abi::GET_REGS, &mut regs)?;
        Ok(regs)
    }
    pub(crate) fn set_regs(&mut self, mut regs: Regs) -> Result<(), Error> {
        self.put("KVM_SET_REGS", abi::SET_REGS, &mut regs)
    }
    pub(crate) fn sregs(&mut self) -> Result<Sregs, Error> {
        let mut sregs = Sregs::default();
        self.put("KVM_GET_SREGS", abi::GET_SREGS, &mut sregs)?;
        Ok(sregs)
    }
    pub(crate) fn set_sregs(&mut self, mut sregs: Sregs) -> Result<(), Error> {
        self.put("KVM_SET_SREGS", abi::SET_SREGS, &mut sregs)
    }

    /// One register; `None` where this KVM does not have it.
    pub(crate) fn one_reg(&mut self, id: u64) -> Option<u64> {
        let mut value = 0;
        let known = self.capabilities.one_reg;
        (known && self.sys.one_reg(abi::GET_ONE_REG, id, &mut value).is_ok()).then_some(value)
    }
    /// Sets one register; false where this KVM does not have it.
    pub(crate) fn set_one_reg(&mut self, id: u64, mut value: u64) -> bool {
        self.capabilities.one_reg && self.sys.one_reg(abi::SET_ONE_REG, id, &mut value).is_ok()
    }

    /// The physical address of an effective one by the guest's TLB, as an access with this PID in this address space
    /// finds it; `None` where nothing is mapped or KVM does not say.
    pub(crate) fn translate(&mut self, ea: u32, pid: u8, space: bool) -> Option<u64> {
        let mut translation = Translation::default();
        // Book E's KVM takes all three in one number.
        translation.linear_address = u64::from(space) << 40 | u64::from(pid) << 32 | u64::from(ea);
        self.put("KVM_TRANSLATE", abi::TRANSLATE, &mut translation).ok()?;
        (translation.valid != 0).then_some(translation.physical_address)
    }

    /// Drives the external interrupt input, see [`abi::INTERRUPT`].
    pub(crate) fn interrupt(&mut self, mut how: u32) -> Result<(), Error> {
        self.put("KVM_INTERRUPT", abi::INTERRUPT, &mut how)
    }

    /// Runs the guest.
    pub(crate) fn run(&mut self) -> Result<Ran, Error> {
        match self.sys.request(Node::Vcpu, abi::RUN, Argument::Value(0)) {
            Ok(_) => Ok(Ran::Exited),
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => Ok(Ran::Interrupted),
                _ => Err(Error::Failed { what: "KVM_RUN", error }),
            },
        }
    }

    /// The page that tells why the guest stopped.
    pub(crate) fn page(&mut self) -> Result<&mut Run, Error> {
        let gone = || Error::Failed {
            what: "Looking at the run page",
            error: io::Error::from_raw_os_error(ENOTSUPP),
        };
        self.sys.run_page().ok_or_else(gone)
    }

    /// Lets the kernel finish the access for which the guest stopped, without running the guest on: a loaded register
    /// gets its value at the next `KVM_RUN` only. False if the guest ran into something new.
    pub(crate) fn finish_access(&mut self) -> Result<bool, Error> {
        self.sys.kick().map_err(|error| Error::Failed { what: "Sending a signal", error })?;
        let ran = self.run()?;
        self.sys.take_kick();
        Ok(ran == Ran::Interrupted)
    }

    /// Has the guest interrupted after a time.
    pub(crate) fn arm(&mut self, after: Duration) -> Result<(), Error> {
        self.sys.arm(after).map_err(|error| Error::Failed { what: "Setting the timer", error })
    }
}
