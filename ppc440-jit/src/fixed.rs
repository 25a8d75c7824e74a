//! The fixed code around the blocks: how the driver enters, how an instruction calls the core, how a jump finds its target.

mod condition;
mod runs;
mod tlbwe;

use core::mem::offset_of;

use ppc440_core::bits::xer;
use ppc440_core::state::CpuState;
use ppc440_core::translate::fetch_table;

use crate::cache::{JUMPS, JumpEntry};
use crate::emit::{
    Alu, Cond, Emitter, Mem, R11, R12, R13, R14, R15, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP, Shift,
};
use crate::enter::AGAIN;
use crate::frame::{CARRY, FETCH_TABLE, frame_field};
use crate::translate::{FIXED, gpr_place, state};

/// Offsets of the fixed code.
#[derive(Debug, Default)]
pub(crate) struct Stubs {
    /// `extern "sysv64" fn(anchor, host address)`.
    pub(crate) enter: usize,
    /// Jumped to: returns to the driver.
    pub(crate) exit: usize,
    /// Called with a place in EAX and the address of the instruction's semantics in RCX.
    pub(crate) call: usize,
    /// Called with a place in EAX.
    pub(crate) slow: usize,
    /// Called with a place and, above it, the kind of access in RAX, and its effective address in EDX. Sets the carry
    /// flag if the access shall be tried again.
    pub(crate) access: usize,
    /// By WS: called with a place in EAX, the value in EDX and the entry's number in ECX. Keeps the registers that always hold a
    /// guest register, and no others.
    pub(crate) write_tlb: [usize; 3],
    /// Jumped to with a place in EAX.
    pub(crate) return_from_interrupt: usize,
    /// Jumped to with a place in EAX and the address of the semantics in RCX.
    pub(crate) call_and_end: usize,
    /// Jumped to with a site in EAX.
    pub(crate) leave: usize,
    /// Jumped to with an effective address in EAX: through the jump cache.
    pub(crate) indirect: usize,
    /// Likewise, without the cache.
    pub(crate) indirect_slow: usize,
    /// Called with a number of ticks in EAX.
    pub(crate) wait: usize,
    /// Called: EAX <- CR. Changes RCX and RDX.
    pub(crate) pack: usize,
    /// Called: CR <- EAX. Changes RCX.
    pub(crate) unpack: usize,
    /// For loads and for stores: called with an effective address in RAX, the address of a slot in RCX and the length of an access
    /// in RDX; RAX <- the host address, or sets the carry flag. Changes RCX and RDX.
    pub(crate) find_run: [usize; 2],
    /// The host multiplies and adds with one rounding.
    pub(crate) has_fma: bool,
    /// The host loads and stores with bytes reversed.
    pub(crate) has_movbe: bool,
}

/// Makes the fixed code, for offset 0.
pub(crate) fn fixed_code() -> (alloc::vec::Vec<u8>, Stubs) {
    let mut e = Emitter::default();
    let mut stubs = Stubs::default();
    let saved = [RBX, RBP, R12, R13, R14, R15];

    // Six registers and the return address leave the stack 8 bytes off a multiple of 16.
    stubs.enter = e.here();
    for register in saved {
        e.push(register);
    }
    e.alu64_imm(Alu::Sub, RSP, 8);
    e.mov64(RBP, RDI);
    e.mov64(RAX, RSI);
    reload(&mut e);
    e.jump_reg(RAX);

    stubs.exit = e.here();
    e.alu64_imm(Alu::Add, RSP, 8);
    for register in saved.into_iter().rev() {
        e.pop(register);
    }
    e.ret();

    stubs.call = e.here();
    e.mov64(RDX, RCX);
    called(&mut e, frame_field!(call));

    stubs.slow = e.here();
    called(&mut e, frame_field!(slow));

    stubs.wait = e.here();
    called(&mut e, frame_field!(wait));

    // XER[CA] is the function's affair.
    stubs.access = e.here();
    e.alu64_imm(Alu::Sub, RSP, 8);
    store_kept(&mut e);
    call_owner(&mut e, frame_field!(access));
    load_kept(&mut e);
    e.alu64_imm(Alu::Add, RSP, 8);
    e.test64(RAX, RAX);
    let not_done = e.jump_if(Cond::NotEqual);
    // The carry flag is clear.
    e.ret();
    e.bind_here(not_done);
    e.alu64_imm(Alu::Cmp, RAX, AGAIN as u32);
    let elsewhere = e.jump_if(Cond::NotEqual);
    e.set_carry();
    e.ret();
    e.bind_here(elsewhere);
    e.alu64_imm(Alu::Add, RSP, 8);
    e.jump_reg(RAX);

    // Nothing of the guest's is looked at but what is passed, so only what the call may destroy is saved.
    let destroyed = || FIXED.into_iter().filter(|(host, _)| !saved.contains(host));
    for (ws, stub) in stubs.write_tlb.iter_mut().enumerate() {
        *stub = e.here();
        if ws != 0 {
            for hole in tlbwe::write_word(&mut e, ws) {
                e.bind_here(hole);
            }
        }
        e.alu64_imm(Alu::Sub, RSP, 8);
        for (host, gpr) in destroyed() {
            e.store(gpr_place(gpr), host);
        }
        call_owner(&mut e, frame_field!(write_tlb).plus(8 * ws as i32));
        for (host, gpr) in destroyed() {
            e.load(host, gpr_place(gpr));
        }
        e.alu64_imm(Alu::Add, RSP, 8);
        e.test64(RAX, RAX);
        let lost = e.jump_if(Cond::NotEqual);
        e.ret();
        e.bind_here(lost);
        e.alu64_imm(Alu::Add, RSP, 8);
        ask(&mut e, frame_field!(lost_page));
    }

    // XER[CA] is the function's affair.
    stubs.return_from_interrupt = e.here();
    store_kept(&mut e);
    call_owner(&mut e, frame_field!(return_from_interrupt));
    load_kept(&mut e);
    e.jump_reg(RAX);

    stubs.call_and_end = e.here();
    e.mov64(RDX, RCX);
    ask(&mut e, frame_field!(call_and_end));

    stubs.leave = e.here();
    ask(&mut e, frame_field!(leave));

    stubs.pack = e.here();
    condition::pack(&mut e);

    stubs.unpack = e.here();
    condition::unpack(&mut e);

    for (store, stub) in [false, true].into_iter().zip(&mut stubs.find_run) {
        *stub = e.here();
        runs::find(&mut e, store);
    }

    // The fetch table tells which RAM page the target lies in now; the jump cache's entry must be of that page.
    //
    //     RDX = fetch_table[EAX]; if its tag is not EAX's page, ask
    //     RDX = EAX | page << 32; if jumps[EAX].key != RDX, ask; jump to jumps[EAX].host
    stubs.indirect = e.here();
    e.mov(RCX, RAX);
    e.shift_imm(Shift::Shr, RCX, 12);
    e.alu_imm(Alu::And, RCX, fetch_table::ENTRIES as u32 - 1);
    e.load64(RDX, FETCH_TABLE);
    e.load64(RDX, Mem::indexed(RDX, RCX, 3, 0));
    e.mov(RCX, RAX);
    e.alu_imm(Alu::And, RCX, 0xFFF);
    e.alu64(Alu::Or, RDX, RCX);
    e.alu(Alu::Cmp, RDX, RAX);
    let miss = e.jump_if(Cond::NotEqual);
    e.mov(RCX, RAX);
    e.alu_imm(Alu::And, RCX, (JUMPS as u32 - 1) << 2);
    // Registers that blocks share out among themselves are free between blocks.
    e.load64(R11, frame_field!(jumps));
    e.alu64_mem(Alu::Cmp, RDX, Mem::indexed(R11, RCX, 2, offset_of!(JumpEntry, key) as i32));
    let other = e.jump_if(Cond::NotEqual);
    e.jump_mem(Mem::indexed(R11, RCX, 2, offset_of!(JumpEntry, host) as i32));
    e.bind_here(miss);
    e.bind_here(other);

    stubs.indirect_slow = e.here();
    ask(&mut e, frame_field!(lookup));
    (e.code, stubs)
}

/// Calls the function at `function` with the owner, RAX, RDX and RCX as its arguments.
fn call_owner(e: &mut Emitter, function: Mem) {
    e.mov64(RSI, RAX);
    e.load64(RDI, frame_field!(owner));
    e.call_mem(function);
}

/// Calls the function at `function` with the owner, RAX and RDX as its arguments, and goes where it says.
fn ask(e: &mut Emitter, function: Mem) {
    spill(e);
    call_owner(e, function);
    reload(e);
    e.jump_reg(RAX);
}

/// Likewise for code that was called itself, which leaves the stack 8 bytes off: returns if the function says 0.
fn called(e: &mut Emitter, function: Mem) {
    e.alu64_imm(Alu::Sub, RSP, 8);
    spill(e);
    call_owner(e, function);
    reload(e);
    e.alu64_imm(Alu::Add, RSP, 8);
    e.test64(RAX, RAX);
    let elsewhere = e.jump_if(Cond::NotEqual);
    e.ret();
    e.bind_here(elsewhere);
    e.alu64_imm(Alu::Add, RSP, 8);
    e.jump_reg(RAX);
}

/// Where XER lies.
const XER: Mem = state(offset_of!(CpuState, xer));
/// XER\[CA\] as a bit number.
const CA_BIT: u32 = xer::CA.trailing_zeros();

/// Writes back the guest registers that always have a host register.
fn store_fixed(e: &mut Emitter) {
    for (host, gpr) in FIXED {
        e.store(gpr_place(gpr), host);
    }
}

/// Reads them.
fn load_fixed(e: &mut Emitter) {
    for (host, gpr) in FIXED {
        e.load(host, gpr_place(gpr));
    }
}

/// Writes back what is in host registers from one block to the next.
fn store_kept(e: &mut Emitter) {
    e.store64(frame_field!(left), R12);
    store_fixed(e);
}

/// Reads it.
fn load_kept(e: &mut Emitter) {
    e.load64(R12, frame_field!(left));
    e.load64(R15, frame_field!(data_table));
    load_fixed(e);
}

/// Writes back what blocks keep from one to the next outside the core's registers. Changes neither EAX nor RDX.
fn spill(e: &mut Emitter) {
    e.load(R11, CARRY);
    e.shift_imm(Shift::Shl, R11, CA_BIT);
    e.load(RCX, XER);
    e.alu_imm(Alu::And, RCX, !xer::CA);
    e.alu(Alu::Or, RCX, R11);
    e.store(XER, RCX);
    store_kept(e);
}

/// The opposite, after anything may have changed.
fn reload(e: &mut Emitter) {
    e.load(RCX, XER);
    e.shift_imm(Shift::Shr, RCX, CA_BIT);
    e.alu_imm(Alu::And, RCX, 1);
    e.store(CARRY, RCX);
    load_kept(e);
}
