//! Into translated code and out of it: the unsafe half of the driver. What makes it sound: translated code touches the
//! frame, the guest's RAM below the limit that the data table keeps, the tables of the core and the jump cache, and
//! nothing else; it runs only inside [`enter`], which borrows the whole engine and the bus; and the functions that it
//! calls get that same borrow back through the frame's `owner`, one at a time.

use core::ffi::c_void;

use ppc440_core::core::{Core, Flow};
use ppc440_core::exec::{self, Handler};
use ppc440_core::op::Op;

use crate::condition;
use crate::frame::ANCHOR;
use crate::machine::{DirectRam, Jit, Located};
use crate::translate::{AccessKind, Place, pauses};

/// What [`access`] returns if the access shall be tried again.
pub(crate) const AGAIN: usize = 1;
/// What [`write_tlb`] returns, with the place, if the block must not go on.
const LOST: u64 = 1 << 32;

/// Runs translated code at host address `host` until it leaves.
pub(crate) fn enter<B: DirectRam>(jit: &mut Jit<B>, bus: &mut B, host: usize) {
    let gate = jit.gate();
    jit.bus = bus;
    jit.frame.cr = condition::unpack(jit.frame.core.registers().cr);
    let owner: *mut Jit<B> = jit;
    // SAFETY: `gate` is the address of the fixed code's entry, which has this signature and keeps the calling
    // convention; it was written before the first block and stays. The anchor is inside the frame of `*owner`, and
    // everything it leads to is alive: see the module text.
    unsafe {
        (*owner).frame.owner = owner.cast();
        let anchor = (&raw mut *(*owner).frame).cast::<u8>().add(ANCHOR);
        let gate: extern "sysv64" fn(*mut u8, usize) = core::mem::transmute(gate);
        gate(anchor, host);
    }
    jit.bus = core::ptr::null_mut();
    jit.frame.core.registers_mut().cr = condition::pack(&jit.frame.cr);
    jit.settle_float();
}

/// Whether the host has FMA3, and the system saves its registers.
pub(crate) fn has_fma() -> bool {
    use core::arch::x86_64::__cpuid;
    const FMA: u32 = 1 << 12;
    const OSXSAVE: u32 = 1 << 27;
    const AVX: u32 = 1 << 28;
    let all = FMA | OSXSAVE | AVX;
    if __cpuid(1).ecx & all != all {
        return false;
    }
    // SAFETY: OSXSAVE says that XGETBV is there.
    unsafe { xcr0() & 6 == 6 }
}

/// Whether the host has MOVBE.
pub(crate) fn has_movbe() -> bool {
    core::arch::x86_64::__cpuid(1).ecx & 1 << 22 != 0
}

/// # Safety
/// The host must have OSXSAVE.
#[target_feature(enable = "xsave")]
unsafe fn xcr0() -> u64 {
    // SAFETY: the caller vouches for the instruction.
    unsafe { core::arch::x86_64::_xgetbv(0) }
}

/// The addresses of the functions that translated code calls.
pub(crate) struct Entries {
    pub(crate) call: usize,
    pub(crate) slow: usize,
    pub(crate) access: usize,
    pub(crate) write_tlb: [usize; 3],
    pub(crate) lost_page: usize,
    pub(crate) return_from_interrupt: usize,
    pub(crate) call_and_end: usize,
    pub(crate) leave: usize,
    pub(crate) lookup: usize,
    pub(crate) wait: usize,
}

pub(crate) fn entries<B: DirectRam>() -> Entries {
    Entries {
        call: call::<B> as *const () as usize,
        slow: slow::<B> as *const () as usize,
        access: access::<B> as *const () as usize,
        write_tlb: [
            write_tlb::<B, 0> as *const () as usize,
            write_tlb::<B, 1> as *const () as usize,
            write_tlb::<B, 2> as *const () as usize,
        ],
        lost_page: lost_page::<B> as *const () as usize,
        return_from_interrupt: return_from_interrupt::<B> as *const () as usize,
        call_and_end: call_and_end::<B> as *const () as usize,
        leave: leave::<B> as *const () as usize,
        lookup: lookup::<B> as *const () as usize,
        wait: wait::<B> as *const () as usize,
    }
}

/// The address of the semantics of `word`, for [`call`].
pub(crate) fn handler<B: DirectRam>(word: u32) -> usize {
    exec::decode::<B>(word) as *const () as usize
}

/// # Safety
/// `owner` is what [`enter`] put into the frame, and translated code is running.
unsafe fn borrow<'a, B: DirectRam>(owner: *mut c_void) -> (&'a mut Jit<B>, &'a mut B) {
    // SAFETY: `enter` holds both exclusively and does not use them while translated code runs; translated code holds
    // no reference, and calls one function at a time.
    unsafe {
        let jit = &mut *owner.cast::<Jit<B>>();
        let bus = &mut *jit.bus;
        (jit, bus)
    }
}

/// Executes one instruction by the core's semantics.
fn execute<B: DirectRam>(core: &mut Core, bus: &mut B, handler: usize, word: u32) -> Flow {
    // SAFETY: translated code passes what `handler` returned for this very bus type.
    let handler: Handler<B> = unsafe { core::mem::transmute(handler) };
    handler(core, bus, Op::new(word))
}

/// The core is at `place`; executes the instruction there by the semantics at `handler`.
fn execute_at<B: DirectRam>(jit: &mut Jit<B>, bus: &mut B, at: Located, handler: usize) -> Flow {
    jit.arrive(at.pc, at.since);
    if at.word >> 26 == 59 || at.word >> 26 == 63 {
        jit.settle_float();
    }
    let concerns_cr = condition::concerns(at.word);
    if concerns_cr {
        jit.frame.core.registers_mut().cr = condition::pack(&jit.frame.cr);
    }
    let flow = execute(&mut jit.frame.core, bus, handler, at.word);
    if concerns_cr {
        jit.frame.cr = condition::unpack(jit.frame.core.registers().cr);
    }
    flow
}

extern "sysv64" fn call<B: DirectRam>(owner: *mut c_void, place: u32, handler: usize) -> usize {
    // SAFETY: called by translated code.
    let (jit, bus) = unsafe { borrow::<B>(owner) };
    let at = jit.locate(Place(place));
    let flow = execute_at(jit, bus, at, handler);
    jit.called(bus, flow, at.block, pauses(at.word))
}

extern "sysv64" fn slow<B: DirectRam>(owner: *mut c_void, place: u32) -> usize {
    // SAFETY: called by translated code.
    let (jit, bus) = unsafe { borrow::<B>(owner) };
    let at = jit.locate(Place(place));
    let flow = execute_at(jit, bus, at, self::handler::<B>(at.word));
    jit.called(bus, flow, at.block, pauses(at.word))
}

extern "sysv64" fn access<B: DirectRam>(owner: *mut c_void, what: u64, ea: u32) -> usize {
    // SAFETY: called by translated code.
    let (jit, bus) = unsafe { borrow::<B>(owner) };
    let (place, kind) = (what as u32, AccessKind((what >> 32) as u32));
    match jit.frame.core.find_data(ea) {
        Ok(None) => jit.missed(bus, Place(place), ea, kind.esr()),
        Ok(Some(index))
            if jit.frame.core.refill(index, ea, kind.len(), kind.is_store()) && kind.may_retry() =>
        {
            AGAIN
        }
        _ => access_by_core::<B>(owner, place),
    }
}

/// The rest of [`access`]: the core executes the instruction.
#[inline(never)]
extern "sysv64" fn access_by_core<B: DirectRam>(owner: *mut c_void, place: u32) -> usize {
    // SAFETY: called by translated code.
    let (jit, _) = unsafe { borrow::<B>(owner) };
    jit.settle_carry();
    let host = slow::<B>(owner, place);
    // SAFETY: as above; `slow` is done with its own borrow.
    let (jit, _) = unsafe { borrow::<B>(owner) };
    jit.take_carry();
    host
}

extern "sysv64" fn write_tlb<B: DirectRam, const WS: u8>(
    owner: *mut c_void,
    place: u32,
    value: u32,
    index: u32,
) -> u64 {
    // SAFETY: called by translated code.
    let (jit, _) = unsafe { borrow::<B>(owner) };
    match jit.frame.core.write_tlb_common(index, WS, value) {
        Some(true) => 0,
        Some(false) => write_tlb_fetched::<B>(owner, place),
        None => write_tlb_slow::<B>(owner, place, value, index, WS),
    }
}

/// The rest of [`write_tlb`], apart from it so that the short way saves no registers.
#[inline(never)]
extern "sysv64" fn write_tlb_slow<B: DirectRam>(
    owner: *mut c_void,
    place: u32,
    value: u32,
    index: u32,
    ws: u8,
) -> u64 {
    // SAFETY: called by translated code.
    let (jit, _) = unsafe { borrow::<B>(owner) };
    if jit.write_tlb(Place(place), value, index, ws) { 0 } else { LOST | u64::from(place) }
}

/// After a tlbwe that took fetch translations away.
#[inline(never)]
extern "sysv64" fn write_tlb_fetched<B: DirectRam>(owner: *mut c_void, place: u32) -> u64 {
    // SAFETY: called by translated code.
    let (jit, _) = unsafe { borrow::<B>(owner) };
    if jit.still_fetches(Place(place)) { 0 } else { LOST | u64::from(place) }
}

extern "sysv64" fn lost_page<B: DirectRam>(owner: *mut c_void, place: u32) -> usize {
    // SAFETY: called by translated code.
    let (jit, bus) = unsafe { borrow::<B>(owner) };
    jit.lost_page(bus, Place(place))
}

extern "sysv64" fn return_from_interrupt<B: DirectRam>(owner: *mut c_void, place: u32) -> usize {
    // SAFETY: called by translated code.
    let (jit, bus) = unsafe { borrow::<B>(owner) };
    jit.return_from_interrupt(bus, Place(place))
}

extern "sysv64" fn call_and_end<B: DirectRam>(owner: *mut c_void, place: u32, handler: usize) -> usize {
    // SAFETY: called by translated code.
    let (jit, bus) = unsafe { borrow::<B>(owner) };
    let at = jit.locate(Place(place));
    let flow = execute_at(jit, bus, at, handler);
    jit.ended(bus, flow)
}

extern "sysv64" fn leave<B: DirectRam>(owner: *mut c_void, site: u32) -> usize {
    // SAFETY: called by translated code.
    let (jit, bus) = unsafe { borrow::<B>(owner) };
    jit.left_by(bus, site)
}

extern "sysv64" fn lookup<B: DirectRam>(owner: *mut c_void, target: u32) -> usize {
    // SAFETY: called by translated code.
    let (jit, bus) = unsafe { borrow::<B>(owner) };
    jit.jumped_to(bus, target)
}

extern "sysv64" fn wait<B: DirectRam>(owner: *mut c_void, ticks: u32) -> usize {
    // SAFETY: called by translated code.
    let (jit, bus) = unsafe { borrow::<B>(owner) };
    jit.wait(bus, ticks);
    0
}
