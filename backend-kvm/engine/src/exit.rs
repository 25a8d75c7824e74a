//! Out of the virtual machine and back: the mailbox, and the one instruction that leaves.

use core::arch::asm;

use crate::protocol::{MAILBOX, Mailbox, PORT, SHARED_PAGE};

/// The mailbox. The reference must end before the next [`leave`]: the host changes the mailbox there.
pub(crate) fn mailbox() -> &'static mut Mailbox {
    // SAFETY: the host maps the mailbox here before the engine starts, for ever, readable and writable, and any bytes
    // are a valid one. One thread of execution, and the callers in this crate hold one reference at a time.
    unsafe { &mut *core::ptr::with_exposed_provenance_mut(MAILBOX as usize) }
}

/// Leaves with the call that stands in the mailbox; returns when the host has answered.
#[inline(never)]
pub(crate) fn leave() {
    // SAFETY: the task state segment allows ring 3 this port. The host changes the mailbox and guest RAM meanwhile, which
    // is why the instruction counts as one that touches memory.
    unsafe { asm!("out {}, al", const PORT, in("al") 0u8, options(nostack, preserves_flags)) };
}

/// The word at `offset` in the shared page.
#[inline(always)]
pub(crate) fn shared_word(offset: u32) -> u32 {
    use core::sync::atomic::{AtomicU32, Ordering};
    // SAFETY: the host maps the page here for ever, and tells an aligned offset inside it; all sides use atomics.
    let word =
        unsafe { &*core::ptr::with_exposed_provenance::<AtomicU32>(SHARED_PAGE as usize + offset as usize) };
    word.load(Ordering::Relaxed)
}

/// The time stamp counter.
#[inline(always)]
pub(crate) fn time_stamp() -> u64 {
    // SAFETY: the instruction reads a counter; CR4[TSD] is clear.
    unsafe { core::arch::x86_64::_rdtsc() }
}
