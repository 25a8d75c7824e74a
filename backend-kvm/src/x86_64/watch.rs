//! The last resort against an engine that a guest has broken so far that it neither makes calls nor looks at the
//! attention word: a thread that watches, and once the host's wish to stop has gone unheard for a while, gives the
//! engine up and fetches the vCPU's thread out of KVM_RUN with a signal.
//!
//! The signal is SIGURG, which does nothing to a process that has no handler for it. It is blocked on the vCPU's thread
//! outside KVM_RUN and let through inside (KVM_SET_SIGNAL_MASK), so no handler is needed and none is disturbed.

use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use kvm_ioctls::VcpuFd;
use vmm_plugin::api::{Refusal, attention};

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(500);
/// Looks in a row at which the engine must have been deaf.
const LOOKS: u32 = 4;
/// `_IOW(0xAE, 0x8B, struct kvm_signal_mask)`.
const KVM_SET_SIGNAL_MASK: libc::c_ulong = 0x4004_AE8B;

/// What both threads see.
#[derive(Debug, Default)]
struct Shared {
    /// Goes up when the engine makes a call.
    calls: AtomicU64,
    given_up: AtomicBool,
    ended: AtomicBool,
}

/// Watches one engine, from its creation to its end.
#[derive(Debug)]
pub(super) struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// The signal was blocked before this came.
    was_blocked: bool,
}

/// The attention word, which outlives the watching thread.
struct Attention(*const AtomicU32);
// SAFETY: an atomic word that lives as long as the bus; the thread is joined before the bus goes.
unsafe impl Send for Attention {}
impl Attention {
    fn stops(&self) -> bool {
        // SAFETY: see above.
        unsafe { (*self.0).load(Ordering::Relaxed) & attention::STOP != 0 }
    }
}

fn only_sigurg() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGURG);
        set.assume_init()
    }
}

impl Watch {
    /// Watches the engine that the calling thread runs on `vcpu`. `word` is the attention word; it must live until this
    /// is dropped.
    pub(super) fn start(vcpu: &VcpuFd, word: *const u32) -> Result<Self, Refusal> {
        let set = only_sigurg();
        let mut before = MaybeUninit::uninit();
        // SAFETY: both sets are ours.
        let was_blocked = unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, before.as_mut_ptr());
            libc::sigismember(before.as_ptr(), libc::SIGURG) == 1
        };
        // struct kvm_signal_mask: the length of the kernel's set, then the set, one bit a signal from 1 on.
        #[repr(C, packed(4))]
        struct Mask {
            len: u32,
            set: u64,
        }
        let mut set = 0u64;
        for signal in 1..=64 {
            // SAFETY: initialised by pthread_sigmask.
            if signal != libc::SIGURG && unsafe { libc::sigismember(before.as_ptr(), signal) } == 1 {
                set |= 1 << (signal - 1);
            }
        }
        let mask = Mask { len: 8, set };
        // SAFETY: the request reads a `struct kvm_signal_mask` of the length that it states.
        if unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_SET_SIGNAL_MASK, &raw const mask) } != 0 {
            let error = std::io::Error::last_os_error();
            return Err(format!("KVM: KVM_SET_SIGNAL_MASK failed: {error}").into());
        }
        let shared = Arc::new(Shared::default());
        let (theirs, word) = (Arc::clone(&shared), Attention(word.cast()));
        // SAFETY: asks for the calling thread's number.
        let (process, vcpu) = unsafe { (libc::getpid(), libc::gettid()) };
        let thread = std::thread::Builder::new()
            .name("kvm-watch".into())
            .spawn(move || watch(&theirs, &word, process, vcpu))
            .map_err(|error| Refusal(format!("The host starts no thread for backend kvm: {error}")))?;
        Ok(Self { shared, thread: Some(thread), was_blocked })
    }

    /// The engine made a call.
    pub(super) fn heard(&self) {
        self.shared.calls.store(self.shared.calls.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Whether the engine was given up.
    pub(super) fn given_up(&self) -> bool {
        self.shared.given_up.load(Ordering::Acquire)
    }
}

fn watch(shared: &Shared, word: &Attention, process: libc::pid_t, vcpu: libc::pid_t) {
    let (mut calls, mut deaf) = (0, 0);
    while !shared.ended.load(Ordering::Acquire) {
        std::thread::park_timeout(PERIOD);
        let now = shared.calls.load(Ordering::Relaxed);
        deaf = if now == calls && word.stops() { deaf + 1 } else { 0 };
        calls = now;
        if deaf >= LOOKS {
            shared.given_up.store(true, Ordering::Release);
            // SAFETY: a signal that does nothing unless the thread is in KVM_RUN; the thread lives, as it joins us.
            unsafe { libc::syscall(libc::SYS_tgkill, process, vcpu, libc::SIGURG) };
            deaf = 0;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic there has been reported by itself.
            let _ = thread.join();
        }
        let set = only_sigurg();
        let none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: takes the signal if it is pending, then restores the mask; all arguments are ours.
        unsafe {
            if self.given_up() {
                libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const none);
            }
            if !self.was_blocked {
                libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
            }
        }
    }
}
