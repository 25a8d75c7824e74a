//! The system calls behind a virtual machine: requests to KVM's files, the run page, and the signal that interrupts a
//! running guest.
//!
//! [`Sys`] is all that the run loop knows of the system, so that tests put a KVM of their own in its place;
//! [`Linux`] is the real one.
//!
//! **Stopping without a race.** The signal is blocked in the thread at all times but during `KVM_RUN`, which gets a
//! mask without it (`KVM_SET_SIGNAL_MASK`). A signal that comes at any moment before `KVM_RUN` stays pending and makes
//! it return at once; one that comes while the guest runs interrupts it; so none is lost. It is taken with
//! `sigtimedwait`. A handler that does nothing must be there all the same: a signal whose default action ends the
//! process does so the moment it is sent to a thread that does not block it, and in `KVM_RUN` this one does not. A POSIX
//! timer that is directed at this thread sends it.
//!
//! One of this crate's places with unsafe code: ioctl, mmap, signals and the timer.
#![expect(unsafe_code, reason = "system calls")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::ptr::NonNull;
use std::time::Duration;

use super::abi::{self, MemoryRegion, OneReg, Plain, Run, SignalMask};

/// Which of KVM's files a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// `/dev/kvm`.
    System,
    /// The virtual machine.
    Vm,
    /// The virtual CPU.
    Vcpu,
}

/// What goes with a request.
#[derive(Debug)]
pub(crate) enum Argument<'a> {
    /// A number.
    Value(u32),
    /// A structure that is read or written.
    Bytes(&'a mut [u8]),
}

/// What the run loop needs of the system.
pub(crate) trait Sys {
    /// Makes a request. `CREATE_VM` and `CREATE_VCPU` replace what was there before; the descriptors stay inside.
    fn request(&mut self, node: Node, request: u32, argument: Argument<'_>) -> io::Result<u32>;
    /// Reads or writes one register.
    fn one_reg(&mut self, request: u32, id: u64, value: &mut u64) -> io::Result<()>;
    /// Gives memory to the virtual machine.
    ///
    /// # Safety
    /// The memory stays valid, and nobody holds a reference into it, as long as the virtual machine lives.
    unsafe fn set_memory(&mut self, region: MemoryRegion) -> io::Result<()>;
    /// The page that the virtual CPU shares with the kernel; `None` before there is one.
    fn run_page(&mut self) -> Option<&mut Run>;
    /// The mask for `KVM_RUN`: what this thread blocks, without the signal that interrupts the guest.
    fn run_mask(&self) -> io::Result<SignalMask>;
    /// Sends the signal after a time; replaces what was armed before.
    fn arm(&mut self, after: Duration) -> io::Result<()>;
    /// Sends the signal now.
    fn kick(&mut self) -> io::Result<()>;
    /// Takes the signal if it is pending.
    fn take_kick(&mut self);
    /// Makes code that was written to guest memory visible to instruction fetches.
    ///
    /// # Safety
    /// The range is mapped.
    unsafe fn publish_code(&mut self, start: *mut u8, len: usize);
}

/// The real system.
#[derive(Debug)]
pub(crate) struct Linux {
    system: OwnedFd,
    vm: Option<OwnedFd>,
    // The mapping goes before the file that it maps.
    page: Option<Page>,
    vcpu: Option<OwnedFd>,
    kicker: Kicker,
}

impl Linux {
    /// Opens KVM for the calling thread.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let system = File::options().read(true).write(true).open(path)?.into();
        Ok(Self { system, vm: None, page: None, vcpu: None, kicker: Kicker::new()? })
    }

    fn descriptor(&self, node: Node) -> io::Result<RawFd> {
        let file = match node {
            Node::System => Some(&self.system),
            Node::Vm => self.vm.as_ref(),
            Node::Vcpu => self.vcpu.as_ref(),
        };
        file.map(AsRawFd::as_raw_fd).ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))
    }

    fn call(&self, node: Node, request: u32, argument: *mut libc::c_void) -> io::Result<u32> {
        let descriptor = self.descriptor(node)?;
        // SAFETY: the callers pass what the request wants (a number, or memory of the encoded size).
        let result = unsafe { libc::ioctl(descriptor, request as libc::Ioctl, argument) };
        u32::try_from(result).map_err(|_| io::Error::last_os_error())
    }
}

impl Sys for Linux {
    fn request(&mut self, node: Node, request: u32, argument: Argument<'_>) -> io::Result<u32> {
        let argument = match argument {
            Argument::Value(value) => value as usize as *mut libc::c_void,
            Argument::Bytes(bytes) => {
                let encoded = (request >> 16) as usize & 0x1FFF;
                assert!(bytes.len() >= encoded, "Request {request:#x} has {} bytes", bytes.len());
                bytes.as_mut_ptr().cast()
            }
        };
        match request {
            abi::CREATE_VM => {
                (self.page, self.vcpu, self.vm) = (None, None, None);
                let descriptor = self.call(node, request, argument)?;
                // SAFETY: a descriptor that the kernel just made for us.
                self.vm = Some(unsafe { OwnedFd::from_raw_fd(descriptor as RawFd) });
                Ok(0)
            }
            abi::CREATE_VCPU => {
                let bytes = self.call(Node::System, abi::GET_VCPU_MMAP_SIZE, std::ptr::null_mut())?;
                let descriptor = self.call(node, request, argument)?;
                // SAFETY: a descriptor that the kernel just made for us.
                let vcpu = unsafe { OwnedFd::from_raw_fd(descriptor as RawFd) };
                self.page = Some(Page::map(&vcpu, bytes as usize)?);
                self.vcpu = Some(vcpu);
                Ok(0)
            }
            // Memory has a door of its own.
            abi::SET_USER_MEMORY_REGION | abi::GET_ONE_REG | abi::SET_ONE_REG => {
                Err(io::Error::from_raw_os_error(libc::EINVAL))
            }
            _ => self.call(node, request, argument),
        }
    }

    fn one_reg(&mut self, request: u32, id: u64, value: &mut u64) -> io::Result<()> {
        let mut register = OneReg { id, addr: std::ptr::from_mut(value) as usize as u64 };
        self.call(Node::Vcpu, request, register.bytes_mut().as_mut_ptr().cast()).map(drop)
    }

    unsafe fn set_memory(&mut self, mut region: MemoryRegion) -> io::Result<()> {
        self.call(Node::Vm, abi::SET_USER_MEMORY_REGION, region.bytes_mut().as_mut_ptr().cast()).map(drop)
    }

    fn run_page(&mut self) -> Option<&mut Run> {
        // SAFETY: the mapping is at least that large (`Page::map`), lives as long as `self`, and the kernel writes to
        // it only during KVM_RUN, which takes `&mut self`.
        self.page.as_mut().map(|page| unsafe { page.start.cast::<Run>().as_mut() })
    }

    fn run_mask(&self) -> io::Result<SignalMask> {
        let blocked = blocked_signals()?;
        let own = self.kicker.signal;
        Ok(SignalMask::new(|signal| signal != own as u32 && is_member(&blocked, signal as libc::c_int)))
    }

    fn arm(&mut self, after: Duration) -> io::Result<()> {
        self.kicker.arm(after)
    }

    fn kick(&mut self) -> io::Result<()> {
        self.kicker.kick()
    }

    fn take_kick(&mut self) {
        self.kicker.take();
    }

    unsafe fn publish_code(&mut self, start: *mut u8, len: usize) {
        // SAFETY: the caller vouches for the range.
        unsafe { publish_resident(start, len) };
    }
}

/// The mapped run page.
#[derive(Debug)]
struct Page {
    start: NonNull<u8>,
    len: usize,
}

impl Page {
    fn map(vcpu: &OwnedFd, len: usize) -> io::Result<Self> {
        if len < size_of::<Run>() {
            let message = format!("KVM's run page has {len} bytes; {} are needed", size_of::<Run>());
            return Err(io::Error::other(message));
        }
        let (access, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping at a place that the system chooses touches nothing that exists.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, access, shared, vcpu.as_raw_fd(), 0) };
        match NonNull::new(start.cast::<u8>()) {
            Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => Ok(Self { start, len }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and references into it borrow its owner.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// The signal that interrupts the guest, and the timer that sends it. It belongs to the thread that made it.
#[derive(Debug)]
struct Kicker {
    signal: libc::c_int,
    timer: libc::timer_t,
    thread: libc::pthread_t,
}

impl Kicker {
    fn new() -> io::Result<Self> {
        // The lowest real-time signal that the C library leaves to programs: nobody's habit gives it a meaning.
        let signal = libc::SIGRTMIN();
        // SAFETY: all zero is a valid sigaction: no flags, an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: the handler does nothing, so it may run anywhere; the old action is not wanted.
        if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let set = only(signal);
        // SAFETY: `set` is a valid set; the old one is not wanted.
        let failed = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed));
        }
        // SAFETY: all zero is a valid sigevent.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = signal;
        // SAFETY: no arguments, cannot fail. The same for pthread_self.
        event.sigev_notify_thread_id = unsafe { libc::gettid() };
        let mut timer: libc::timer_t = std::ptr::null_mut();
        // SAFETY: both pointers are valid for the call.
        if unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: as above.
        Ok(Self { signal, timer, thread: unsafe { libc::pthread_self() } })
    }

    fn arm(&self, after: Duration) -> io::Result<()> {
        // A time of zero would disarm.
        let after = after.max(Duration::from_nanos(1));
        // SAFETY: all zero is a valid itimerspec (it has padding on some targets).
        let mut time: libc::itimerspec = unsafe { std::mem::zeroed() };
        time.it_value.tv_sec = after.as_secs() as libc::time_t;
        time.it_value.tv_nsec = after.subsec_nanos() as _;
        // SAFETY: the timer is ours, the pointer valid for the call.
        if unsafe { libc::timer_settime(self.timer, 0, &raw const time, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    fn kick(&self) -> io::Result<()> {
        // SAFETY: the thread is this one, which lives.
        match unsafe { libc::pthread_kill(self.thread, self.signal) } {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Takes the signal as often as it is pending: the timer and `kick` may both have sent it.
    fn take(&self) -> bool {
        let set = only(self.signal);
        // SAFETY: all zero is a valid timespec (it has padding on some targets).
        let at_once: libc::timespec = unsafe { std::mem::zeroed() };
        let mut taken = false;
        loop {
            // SAFETY: the pointers are valid for the call; who sent the signal is not wanted.
            let signal =
                unsafe { libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const at_once) };
            if signal == self.signal {
                taken = true;
            } else if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return taken;
            }
        }
    }
}

impl Drop for Kicker {
    fn drop(&mut self) {
        // SAFETY: the timer is ours and not used again.
        unsafe { libc::timer_delete(self.timer) };
        // The signal stays blocked, so what the timer already sent ends here and not in a default action.
        self.take();
    }
}

/// The handler of the signal. It never runs in practice: the signal is taken before it is unblocked in user space.
extern "C" fn nothing(_: libc::c_int) {}

fn only(signal: libc::c_int) -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set; sigaddset gets an initialised one.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        set.assume_init()
    }
}

fn blocked_signals() -> io::Result<libc::sigset_t> {
    let mut set = only(libc::SIGRTMIN());
    // SAFETY: without a new set the call only stores the old one, into a valid place.
    match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut set) } {
        0 => Ok(set),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

fn is_member(set: &libc::sigset_t, signal: libc::c_int) -> bool {
    // SAFETY: the set is initialised; a number that is no signal gives an error, which is no membership.
    unsafe { libc::sigismember(set, signal) == 1 }
}

/// Publishes those pages of the range that exist: RAM that was never touched has no code, and touching it costs memory.
///
/// # Safety
/// The range is mapped.
unsafe fn publish_resident(start: *mut u8, len: usize) {
    // SAFETY: no memory is involved.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096).max(1);
    let first = start as usize / page * page;
    let pages = (start as usize + len).saturating_sub(first).div_ceil(page);
    let mut resident = vec![0_u8; pages];
    // SAFETY: the range is mapped (the caller), whole pages of it are asked for, and the vector has a byte for each.
    let asked =
        unsafe { libc::mincore(first as *mut libc::c_void, pages * page, resident.as_mut_ptr().cast()) };
    for (number, resident) in resident.iter().enumerate() {
        // A kernel that does not tell gets everything published.
        if asked != 0 || resident & 1 != 0 {
            publish((first + number * page) as *const u8, page);
        }
    }
}

/// Writes data cache lines back and drops them from the instruction cache, which a 440 does not keep coherent.
#[cfg(target_arch = "powerpc")]
fn publish(start: *const u8, len: usize) {
    /// Bytes of a 440's cache lines.
    const LINE: usize = 32;
    for offset in (0..len).step_by(LINE) {
        let line = start.wrapping_add(offset);
        // SAFETY: cache operations change no memory that a program can see; on an address that is not mapped they
        // would fault, and the caller's range is.
        unsafe { core::arch::asm!("dcbst 0, {0}", in(reg) line, options(nostack, preserves_flags)) };
    }
    // SAFETY: a barrier.
    unsafe { core::arch::asm!("sync", options(nostack, preserves_flags)) };
    for offset in (0..len).step_by(LINE) {
        let line = start.wrapping_add(offset);
        // SAFETY: as above.
        unsafe { core::arch::asm!("icbi 0, {0}", in(reg) line, options(nostack, preserves_flags)) };
    }
    // SAFETY: barriers.
    unsafe { core::arch::asm!("sync", "isync", options(nostack, preserves_flags)) };
}

/// Elsewhere (in tests) there is nothing to do.
#[cfg(not(target_arch = "powerpc"))]
fn publish(_: *const u8, _: usize) {}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_timers_signal_stays_pending_until_it_is_taken() {
        let kicker = Kicker::new().expect("a timer");
        assert!(!kicker.take(), "nothing was sent yet");
        kicker.arm(Duration::from_millis(1)).expect("armed");
        let started = Instant::now();
        // A signal that is not blocked would end the process here.
        while !kicker.take() {
            assert!(started.elapsed() < Duration::from_secs(10), "the signal does not come");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!kicker.take(), "one arming is one signal");
    }

    #[test]
    fn kicks_before_the_guest_runs_are_not_lost_and_count_once() {
        let kicker = Kicker::new().expect("a timer");
        kicker.kick().expect("sent");
        kicker.kick().expect("sent");
        assert!(kicker.take());
        assert!(!kicker.take());
    }

    #[test]
    fn a_signal_where_it_is_not_blocked_interrupts_and_kills_nothing() {
        let kicker = Kicker::new().expect("a timer");
        kicker.arm(Duration::from_millis(20)).expect("armed");
        let mut open = blocked_signals().expect("a set");
        // SAFETY: an initialised set.
        unsafe { libc::sigdelset(&raw mut open, kicker.signal) };
        // As KVM_RUN does, this call waits with a mask of its own.
        // SAFETY: no files, no time limit, a valid mask.
        let result = unsafe { libc::ppoll(std::ptr::null_mut(), 0, std::ptr::null(), &raw const open) };
        assert_eq!((result, io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EINTR)));
    }

    #[test]
    fn the_signal_is_blocked_but_not_in_the_mask_of_the_run() {
        let path = Path::new("/dev/null");
        let system = Linux::open(path).expect("any file opens");
        let mask = system.run_mask().expect("a mask");
        let signal = system.kicker.signal as u32;
        assert!(is_member(&blocked_signals().expect("a set"), signal as libc::c_int));
        let alone = SignalMask::new(|other| other == signal);
        assert!(mask.set.iter().zip(alone.set).all(|(mask, alone)| mask & alone == 0));
    }

    #[test]
    fn requests_to_what_was_not_made_fail() {
        let mut system = Linux::open(Path::new("/dev/null")).expect("any file opens");
        let error = system.request(Node::Vcpu, abi::RUN, Argument::Value(0)).expect_err("no virtual CPU");
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        assert!(system.run_page().is_none());
        let error = system.request(Node::System, abi::CREATE_VM, Argument::Value(0)).expect_err("no KVM");
        // Emulators of user programs do not know the request at all.
        assert!(matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::ENOSYS | libc::EINVAL)), "{error}");
    }

    #[test]
    fn publishing_code_leaves_memory_as_it_is() {
        let mut code = vec![0x60_u8; 3 * 4096];
        // SAFETY: the vector is mapped.
        unsafe { publish_resident(code.as_mut_ptr().wrapping_add(100), 5000) };
        assert!(code.iter().all(|byte| *byte == 0x60));
    }
}
