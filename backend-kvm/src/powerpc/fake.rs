//! A KVM of our own for tests: it answers requests by number, reads and writes structures at the offsets that were read
//! off a running host, and plays a guest that is a list of steps. What it does is the documented interface's, not
//! this backend's idea of it: values of loads reach a register at the next `KVM_RUN`, data of MMIO lie as in memory,
//! a pending signal ends `KVM_RUN` at once, special registers are taken under the kernel's conditions only.
#![expect(unsafe_code, reason = "the doors that it implements are unsafe ones")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::abi::{MemoryRegion, Run, SignalMask};
use super::sys::{Argument, Node, Sys};

/// The host's PVR.
pub(super) const PVR: u32 = 0x4222_18D3;
/// The signal that interrupts the guest.
const SIGNAL: u32 = 35;

/// One thing that the guest does, or that happens to it.
pub(super) enum Step {
    /// Loads from a device; `reversed` is a byte-reversed load.
    Load { pa: u64, len: usize, register: usize, reversed: bool },
    /// Stores to a device.
    Store { pa: u64, len: usize, value: u64 },
    /// mfdcr.
    DcrRead { number: u32, register: usize },
    /// mtdcr.
    DcrWrite { number: u32, value: u32 },
    /// Something outside happens now, for example another thread sets an attention bit.
    Meanwhile(Box<dyn FnOnce()>),
    /// Runs with EE on until it takes an external interrupt.
    TakeInterrupt,
    /// `KVM_RUN` returns with this reason and payload.
    Exit { reason: u32, payload: Vec<u8> },
    /// `KVM_RUN` fails with this number.
    Fail(i32),
}

/// The kernel's side, which tests look into.
pub(super) struct Kernel {
    pub(super) version: u32,
    pub(super) capabilities: BTreeSet<u32>,
    pub(super) known_one_regs: BTreeMap<u64, u64>,
    pub(super) vms: u32,
    pub(super) regions: Vec<MemoryRegion>,
    pub(super) regs: [u8; 392],
    pub(super) sregs: [u8; 1232],
    pub(super) guest: VecDeque<Step>,
    /// Undisturbed runs until the armed timer.
    pub(super) waits: Vec<Duration>,
    pub(super) kicked: bool,
    pub(super) interrupt_requests: Vec<i32>,
    pub(super) delivered: u32,
    pub(super) enabled: Vec<u32>,
    pub(super) published: Vec<(usize, usize)>,
    mask: Option<SignalMask>,
    armed: Option<Duration>,
    /// A load whose value the next run takes from the page: place in the payload, bytes, register, reversed.
    unfinished: Option<(usize, usize, usize, bool)>,
    interrupt: Option<Level>,
    clock: Rc<Cell<u64>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Once,
    Held,
}

/// The test's handle.
#[derive(Clone)]
pub(super) struct Fake(Rc<RefCell<Kernel>>);

/// Ticks of the test machines' time base in a second.
pub(super) const TB_HZ: u32 = 1_000_000;

impl Fake {
    /// A 3.12 kernel. `clock` is the time, in ticks of [`TB_HZ`].
    pub(super) fn new(clock: Rc<Cell<u64>>) -> Self {
        Self(Rc::new(RefCell::new(Kernel {
            version: 12,
            capabilities: [3, 53, 54, 57, 58, 62, 70, 83].into(),
            known_one_regs: (2..8).map(|number| (0x1030_0000_0000_0000 | number, 0)).collect(),
            vms: 0,
            regions: Vec::new(),
            regs: [0; 392],
            sregs: [0; 1232],
            guest: VecDeque::new(),
            waits: Vec::new(),
            kicked: false,
            interrupt_requests: Vec::new(),
            delivered: 0,
            enabled: Vec::new(),
            published: Vec::new(),
            mask: None,
            armed: None,
            unfinished: None,
            interrupt: None,
            clock,
        })))
    }

    /// The system for a backend.
    pub(super) fn sys(&self) -> FakeSys {
        FakeSys { fake: self.clone(), page: None }
    }

    /// The kernel's side.
    pub(super) fn kernel(&self) -> std::cell::RefMut<'_, Kernel> {
        self.0.borrow_mut()
    }
}

/// What the backend owns: a handle, and the page that it shares with the kernel.
pub(super) struct FakeSys {
    fake: Fake,
    page: Option<Box<Run>>,
}

fn exit(page: &mut Run, reason: u32, payload: &[u8]) {
    page.exit_reason = reason;
    page.payload[..payload.len()].copy_from_slice(payload);
}

fn error(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("N bytes")
}

impl Kernel {
    /// A general purpose register.
    pub(super) fn gpr(&self, number: usize) -> u64 {
        u64::from_ne_bytes(take(&self.regs, (17 + number) * 8))
    }
    /// Sets one of the 64-bit registers of `kvm_regs` by its number there: 0 PC, 5 MSR, 17 r0.
    pub(super) fn set_reg(&mut self, number: usize, value: u64) {
        self.regs[number * 8..number * 8 + 8].copy_from_slice(&value.to_ne_bytes());
    }
    /// Sets a 32-bit special register by its offset.
    pub(super) fn set_sreg(&mut self, offset: usize, value: u32) {
        self.sregs[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
    }

    fn create_vcpu(&mut self) {
        self.regs = [0; 392];
        // r1, as this KVM sets it.
        self.set_reg(18, (16 << 20) - 8);
        self.sregs = [0; 1232];
        self.set_sreg(0, PVR);
        self.set_sreg(264, 0x23);
        (self.mask, self.unfinished, self.interrupt) = (None, None, None);
    }

    fn request(
        &mut self,
        node: Node,
        request: u32,
        argument: Argument<'_>,
        has_vcpu: bool,
    ) -> io::Result<u32> {
        match (node, request, argument) {
            (Node::System, 0x2000_ae00, Argument::Value(0)) => Ok(self.version),
            (Node::System, 0x2000_ae03, Argument::Value(number)) => {
                Ok(u32::from(self.capabilities.contains(&number)))
            }
            (Node::System, 0x2000_ae01, Argument::Value(0)) => {
                self.vms += 1;
                self.regions.clear();
                Ok(0)
            }
            (Node::Vm, 0x2000_ae41, Argument::Value(0)) if self.vms > 0 => {
                self.create_vcpu();
                Ok(0)
            }
            (Node::Vcpu, number, argument) if has_vcpu => self.vcpu_request(number, argument),
            _ => Err(error(libc::ENOTTY)),
        }
    }

    fn vcpu_request(&mut self, request: u32, argument: Argument<'_>) -> io::Result<u32> {
        match (request, argument) {
            (0x4188_ae81, Argument::Bytes(out)) => out.copy_from_slice(&self.regs),
            (0x8188_ae82, Argument::Bytes(bytes)) => self.regs.copy_from_slice(bytes),
            (0x44d0_ae83, Argument::Bytes(out)) => out.copy_from_slice(&self.sregs),
            (0x84d0_ae84, Argument::Bytes(bytes)) => self.set_sregs(bytes)?,
            (0xc018_ae85, Argument::Bytes(bytes)) => {
                let asked = u64::from_ne_bytes(take(bytes, 0));
                let (ea, pid, space) = (asked & 0xFFFF_FFFF, asked >> 32 & 0xFF, asked >> 40);
                let own = u64::from_ne_bytes(take(&self.regs, 8 * 8));
                assert_eq!((pid, space), (own, 0), "the guest's own PID and address space");
                // What KVM maps at first, and Linux later.
                let pa = match ea {
                    0..0x100_0000 => Some(ea),
                    0xC000_0000..0xD000_0000 => Some(ea - 0xC000_0000),
                    _ => None,
                };
                bytes[8..16].copy_from_slice(&pa.unwrap_or(0).to_ne_bytes());
                bytes[16] = u8::from(pa.is_some());
            }
            (0x8004_ae86, Argument::Bytes(bytes)) => {
                self.set_interrupt(i32::from_ne_bytes(take(bytes, 0)))?
            }
            (0x8004_ae8b, Argument::Bytes(bytes)) => {
                assert_eq!(u32::from_ne_bytes(take(bytes, 0)), 8, "the kernel's set has 64 signals");
                self.mask = Some(SignalMask { len: 8, set: take(bytes, 4) });
            }
            (0x8068_aea3, Argument::Bytes(bytes)) => {
                assert!(bytes[4..40].iter().all(|byte| *byte == 0), "no flags, no arguments");
                self.enabled.push(u32::from_ne_bytes(take(bytes, 0)));
            }
            _ => return Err(error(libc::ENOTTY)),
        }
        Ok(0)
    }

    fn set_sregs(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes[0..4] != self.sregs[0..4] || bytes[276..280] != self.sregs[276..280] {
            return Err(error(libc::EINVAL));
        }
        let update = u32::from_ne_bytes(take(bytes, 272));
        let mut copy = |from: usize, len: usize| {
            self.sregs[from..from + len].copy_from_slice(&bytes[from..from + len]);
        };
        for (at, len) in [(296, 8), (312, 8), (320, 4), (328, 4), (332, 4), (336, 8), (344, 8), (372, 4)] {
            copy(at, len);
        }
        for (at, len) in [(376, 4), (448, 4), (488, 64)] {
            copy(at, len);
        }
        for (bit, at, len) in [(1, 360, 8), (2, 368, 4), (4, 380, 4)] {
            if update & bit != 0 {
                copy(at, len);
            }
        }
        Ok(())
    }

    fn set_interrupt(&mut self, how: i32) -> io::Result<()> {
        self.interrupt_requests.push(how);
        let needed = match how {
            -1 => 3,
            -2 => 53,
            -3 => 58,
            _ => return Err(error(libc::EINVAL)),
        };
        if !self.capabilities.contains(&needed) {
            return Err(error(libc::EINVAL));
        }
        self.interrupt = match how {
            -1 => Some(Level::Once),
            -2 => None,
            _ => Some(Level::Held),
        };
        Ok(())
    }

    fn finish(&mut self, page: &Run) {
        let Some((at, len, register, reversed)) = self.unfinished.take() else { return };
        let mut bytes = [0; 8];
        bytes[8 - len..].copy_from_slice(&page.payload[at..at + len]);
        let value = if at == 4 {
            // A DCR's value is a number, not memory.
            u64::from(u32::from_ne_bytes(take(&page.payload, 4)))
        } else if reversed {
            bytes[8 - len..].reverse();
            u64::from_be_bytes(bytes)
        } else {
            u64::from_be_bytes(bytes)
        };
        self.set_reg(17 + register, value);
    }

    fn run(&mut self, page: &mut Run) -> io::Result<u32> {
        let unblocked = SignalMask::new(|signal| signal != SIGNAL);
        let mask = self.mask.expect("a mask was set before the first run");
        assert!(
            mask.set.iter().zip(unblocked.set).all(|(ours, all)| ours & !all == 0),
            "the signal is blocked"
        );
        self.finish(page);
        loop {
            if self.kicked {
                exit(page, 10, &[]);
                return Err(error(libc::EINTR));
            }
            match self.guest.pop_front() {
                None => self.wait(),
                Some(Step::TakeInterrupt) if self.interrupt.is_none() => {
                    self.guest.push_front(Step::TakeInterrupt);
                    self.wait();
                }
                Some(Step::TakeInterrupt) => {
                    self.delivered += 1;
                    if self.interrupt == Some(Level::Once) {
                        self.interrupt = None;
                    }
                }
                Some(Step::Meanwhile(happen)) => happen(),
                Some(Step::Fail(number)) => return Err(error(number)),
                Some(Step::Exit { reason, payload }) => {
                    exit(page, reason, &payload);
                    return Ok(0);
                }
                Some(access) => {
                    self.access(access, page);
                    return Ok(0);
                }
            }
        }
    }

    /// Runs undisturbed until the timer's signal.
    fn wait(&mut self) {
        let after = self.armed.take().expect("a guest that runs undisturbed needs a timer to stop it");
        self.waits.push(after);
        let ticks = after.as_nanos() * u128::from(TB_HZ) / 1_000_000_000;
        self.clock.set(self.clock.get() + (ticks as u64).max(1));
        self.kicked = true;
    }

    fn access(&mut self, access: Step, page: &mut Run) {
        let mut payload = [0; 24];
        let reason = match access {
            Step::Load { pa, len, register, reversed } => {
                payload[..8].copy_from_slice(&pa.to_ne_bytes());
                payload[16..20].copy_from_slice(&(len as u32).to_ne_bytes());
                self.unfinished = Some((8, len, register, reversed));
                6
            }
            Step::Store { pa, len, value } => {
                payload[..8].copy_from_slice(&pa.to_ne_bytes());
                payload[8..8 + len].copy_from_slice(&value.to_be_bytes()[8 - len..]);
                payload[16..20].copy_from_slice(&(len as u32).to_ne_bytes());
                payload[20] = 1;
                6
            }
            Step::DcrRead { number, register } => {
                payload[..4].copy_from_slice(&number.to_ne_bytes());
                self.unfinished = Some((4, 4, register, false));
                15
            }
            Step::DcrWrite { number, value } => {
                payload[..4].copy_from_slice(&number.to_ne_bytes());
                payload[4..8].copy_from_slice(&value.to_ne_bytes());
                payload[8] = 1;
                15
            }
            _ => unreachable!("not an access"),
        };
        exit(page, reason, &payload);
    }
}

impl Sys for FakeSys {
    fn request(&mut self, node: Node, request: u32, argument: Argument<'_>) -> io::Result<u32> {
        let mut kernel = self.fake.kernel();
        if (node, request) == (Node::Vm, 0x2000_ae41) {
            self.page = Some(Box::new(Run::ZERO));
        }
        match &mut self.page {
            Some(page) if (node, request) == (Node::Vcpu, 0x2000_ae80) => kernel.run(page),
            page => kernel.request(node, request, argument, page.is_some()),
        }
    }
    fn one_reg(&mut self, request: u32, id: u64, value: &mut u64) -> io::Result<()> {
        let mut kernel = self.fake.kernel();
        let register = kernel.known_one_regs.get_mut(&id).ok_or_else(|| error(libc::EINVAL))?;
        match request {
            0x8010_aeab => *value = *register,
            0x8010_aeac => *register = *value,
            _ => return Err(error(libc::ENOTTY)),
        }
        Ok(())
    }
    unsafe fn set_memory(&mut self, region: MemoryRegion) -> io::Result<()> {
        let page_aligned = |value: u64| value.is_multiple_of(4096);
        if region.slot >= 32
            || ![region.guest_phys_addr, region.memory_size, region.userspace_addr]
                .into_iter()
                .all(page_aligned)
        {
            return Err(error(libc::EINVAL));
        }
        self.fake.kernel().regions.push(region);
        Ok(())
    }
    fn run_page(&mut self) -> Option<&mut Run> {
        self.page.as_deref_mut()
    }
    fn run_mask(&self) -> io::Result<SignalMask> {
        Ok(SignalMask::new(|signal| signal == 2))
    }
    fn arm(&mut self, after: Duration) -> io::Result<()> {
        self.fake.kernel().armed = Some(after);
        Ok(())
    }
    fn kick(&mut self) -> io::Result<()> {
        self.fake.kernel().kicked = true;
        Ok(())
    }
    fn take_kick(&mut self) {
        self.fake.kernel().kicked = false;
    }
    unsafe fn publish_code(&mut self, start: *mut u8, len: usize) {
        self.fake.kernel().published.push((start as usize, len));
    }
}
