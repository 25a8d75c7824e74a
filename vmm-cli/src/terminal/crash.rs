//! The terminal's settings as they were found, kept where a signal handler can reach them. Unsafe because handlers of
//! crash signals are: they call nothing but functions that POSIX calls async-signal-safe (tcsetattr, sigaction).

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Leaked, so that it is there whenever a signal comes; null until a terminal was changed.
static FOUND: AtomicPtr<libc::termios> = AtomicPtr::new(ptr::null_mut());

/// Signals of a crash, and what handled each before.
const CRASHES: [libc::c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT];
static BEFORE: [AtomicPtr<libc::sigaction>; 5] = [const { AtomicPtr::new(ptr::null_mut()) }; 5];

/// Remembers the settings of standard input, once, and has crashes put them back.
pub(super) fn remember() {
    let mut found = MaybeUninit::<libc::termios>::uninit();
    // SAFETY: the pointer is valid for a write of this type.
    if unsafe { libc::tcgetattr(libc::STDIN_FILENO, found.as_mut_ptr()) } != 0 {
        return;
    }
    // SAFETY: tcgetattr succeeded and filled it.
    let found = Box::into_raw(Box::new(unsafe { found.assume_init() }));
    if FOUND.compare_exchange(ptr::null_mut(), found, Ordering::AcqRel, Ordering::Acquire).is_err() {
        // SAFETY: it came from a box just now, and nobody else has it.
        drop(unsafe { Box::from_raw(found) });
        return;
    }
    for (signal, before) in CRASHES.into_iter().zip(&BEFORE) {
        let mut old = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: all-zero is a valid sigaction: no flags, an empty mask.
        let mut new: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        new.sa_sigaction = crashed as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // The runtime's own handler runs on an alternate stack too, for the sake of stack overflows.
        new.sa_flags = libc::SA_ONSTACK;
        // SAFETY: both pointers are valid, and the handler is async-signal-safe.
        if unsafe { libc::sigaction(signal, &raw const new, old.as_mut_ptr()) } == 0 {
            // SAFETY: sigaction succeeded and filled it.
            before.store(Box::into_raw(Box::new(unsafe { old.assume_init() })), Ordering::Release);
        }
    }
}

/// Puts the terminal back as it was found. Async-signal-safe.
pub(super) fn put_back() {
    let found = FOUND.load(Ordering::Acquire);
    if !found.is_null() {
        // SAFETY: once set it is never changed nor freed.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, found) };
    }
}

/// Puts the terminal back and the former handler too; the instruction that crashed runs again and meets that one.
extern "C" fn crashed(signal: libc::c_int) {
    put_back();
    for (crash, before) in CRASHES.into_iter().zip(&BEFORE) {
        let before = before.load(Ordering::Acquire);
        if crash == signal && !before.is_null() {
            // SAFETY: filled by sigaction, never freed.
            unsafe { libc::sigaction(signal, before, ptr::null_mut()) };
        }
    }
    if signal == libc::SIGABRT {
        // abort() raises again by itself; a signal that was sent would not come again.
        // SAFETY: async-signal-safe; the former handler is in place.
        unsafe { libc::raise(signal) };
    }
}
