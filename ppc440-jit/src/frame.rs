//! What translated code sees besides the guest's registers, and the fixed code around the blocks: how the driver
//! enters, how an instruction calls the core, how a jump finds its target.

use core::ffi::c_void;
use core::mem::offset_of;

use ppc440_core::bits::xer;
use ppc440_core::core::Core;
use ppc440_core::state::CpuState;
use ppc440_core::translate::{ATTENTION_MASK, DATA_LOSSES, STATE_OFFSET, fetch_table, selection};

use crate::cache::{JUMPS, JumpEntry};
use crate::emit::{
    Alu, Cond, Emitter, Mem, R11, R12, R13, R14, R15, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP, Reg, Shift, Xmm,
};
use crate::enter::AGAIN;
use crate::tlbwe;
use crate::translate::{FIXED, gpr_place, state};

/// RBP points this far into the guest's registers.
pub(crate) const BIAS: i32 = 128;

/// The memory that translated code works on. `repr(C)`, as it is reached by offset.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Frame {
    pub(crate) core: Core,
    /// Instructions that may retire before the driver must be asked, as of the last time that R12 was written back.
    pub(crate) left: i64,
    /// The tables of the current context.
    pub(crate) data_table: *const u8,
    pub(crate) fetch_table: *const u8,
    /// The jump cache of the current mode.
    pub(crate) jumps: *const JumpEntry,
    /// All parts of the data table.
    pub(crate) data_words: *const u64,
    /// Where the guest's physical address 0 lies.
    pub(crate) ram: *mut u8,
    /// CR by fields, see [`condition`](crate::condition); the core has it only while no translated code runs.
    pub(crate) cr: [u64; 8],
    /// [`CODES`](crate::condition::CODES)
    pub(crate) codes: [u64; 16],
    /// XER\[CA\] as a number, which the core's XER has only while no translated code runs.
    pub(crate) carry: u32,
    /// The last floating-point operation whose FPRF, FR and FI are not yet in the FPSCR (0: none), and its operands.
    pub(crate) float_word: u32,
    /// FPCC of a comparison after that, which is not yet in the FPSCR either (0: none).
    pub(crate) float_compared: u32,
    pub(crate) float_operands: [u64; 3],
    /// The fields at the last mfcr, and what it gave: most often it comes back by mtcrf.
    pub(crate) saved_cr: [u64; 8],
    pub(crate) saved_value: u32,
    /// [`FIRST`](crate::condition::FIRST)
    pub(crate) first: [u32; 32],
    /// [`SPREAD`](crate::condition::SPREAD)
    pub(crate) spread: [u32; 256],
    /// Pages that traces go to again and again.
    pub(crate) slots: [Slot; SLOTS],
    /// The argument of the functions below.
    pub(crate) owner: *mut c_void,
    /// `fn(owner, place, handler) -> 0 or where to go on`; see [`Place`](crate::translate::Place).
    pub(crate) call: usize,
    /// `fn(owner, place) -> 0 or where to go on`.
    pub(crate) slow: usize,
    /// `fn(owner, place | kind << 32, ea) -> 0, AGAIN or where to go on`: a load or store that the table does not answer;
    /// see [`AccessKind`](crate::translate::AccessKind).
    pub(crate) access: usize,
    /// `fn(owner, place, value, index) -> 0, or the place with a bit above it`: tlbwe, for each WS. Leaves the guest's registers
    /// alone.
    pub(crate) write_tlb: [usize; 3],
    /// `fn(owner, place) -> where to go on`: after a tlbwe that took the block's page away.
    pub(crate) lost_page: usize,
    /// `fn(owner, place) -> where to go on`: rfi.
    pub(crate) return_from_interrupt: usize,
    /// `fn(owner, place, handler) -> where to go on`.
    pub(crate) call_and_end: usize,
    /// `fn(owner, site) -> where to go on`.
    pub(crate) leave: usize,
    /// `fn(owner, target) -> where to go on`.
    pub(crate) lookup: usize,
    /// `fn(owner, ticks)`: the guest looks at the clock until so much time has passed.
    pub(crate) wait: usize,
}

/// Slots that traces share out.
pub(crate) const SLOTS: usize = 8192;

/// A page that an access of a trace went to last. In front of the slots of a trace stands one that tells for which table they
/// are: its address as `host`, and how many words that table had lost ([`DATA_LOSSES`]) when they were empty as the lower half
/// of `page`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Slot {
    /// The page's effective address, or [`Slot::EMPTY`].
    pub(crate) page: i64,
    /// Its host address.
    pub(crate) host: u64,
    /// How often the access went to another page.
    pub(crate) turns: u32,
}

impl Slot {
    /// No page: far below all.
    pub(crate) const EMPTY: i64 = -1 << 31;
    /// A slot that nobody has.
    pub(crate) const FREE: Self = Self { page: Self::EMPTY, host: 0, turns: 0 };
}

/// Where the fields of a slot lie: page, host, turns.
pub(crate) const fn slot_fields(slot: u32) -> [Mem; 3] {
    let at = offset_of!(Frame, slots) + slot as usize * size_of::<Slot>();
    let page = Mem::new(RBP, at as i32 - ANCHOR as i32);
    [page, page.plus(offset_of!(Slot, host) as i32), page.plus(offset_of!(Slot, turns) as i32)]
}

/// Where RBP points.
pub(crate) const ANCHOR: usize = offset_of!(Frame, core) + STATE_OFFSET + BIAS as usize;

macro_rules! frame_field {
    ($name:ident) => {
        Mem::new(RBP, offset_of!(Frame, $name) as i32 - ANCHOR as i32)
    };
}

pub(crate) const FETCH_TABLE: Mem = frame_field!(fetch_table);
pub(crate) const DATA_TABLE: Mem = frame_field!(data_table);
pub(crate) const DATA_LOSSES_FIELD: Mem = core_field(DATA_LOSSES);
pub(crate) const ATTENTION_MASK_FIELD: Mem = core_field(ATTENTION_MASK);

/// What lies in the core at `offset` from its beginning.
pub(crate) const fn core_field(offset: usize) -> Mem {
    Mem::new(RBP, (offset_of!(Frame, core) + offset) as i32 - ANCHOR as i32)
}

/// A field of an entry of the core's [`selection`] table; `entry` is the offset of the entry.
pub(crate) const fn selection_field(entry: Reg, offset: usize) -> Mem {
    Mem::indexed(RBP, entry, 0, (offset_of!(Frame, core) + selection::TABLE + offset) as i32 - ANCHOR as i32)
}

/// Where a field of CR lies.
pub(crate) const fn cr_field(field: u32) -> Mem {
    Mem::new(RBP, (offset_of!(Frame, cr) + 8 * field as usize) as i32 - ANCHOR as i32)
}

/// The code of the field in the register `bits`.
pub(crate) const fn cr_code(bits: Reg) -> Mem {
    Mem::indexed(RBP, bits, 3, offset_of!(Frame, codes) as i32 - ANCHOR as i32)
}

/// All parts of the data table.
pub(crate) const DATA_WORDS: Mem = frame_field!(data_words);
pub(crate) const RAM: Mem = frame_field!(ram);
pub(crate) const CARRY: Mem = frame_field!(carry);
pub(crate) const FLOAT_WORD: Mem = frame_field!(float_word);
pub(crate) const FLOAT_COMPARED: Mem = frame_field!(float_compared);

/// Where an operand of the last floating-point operation is noted.
pub(crate) const fn float_operand(index: usize) -> Mem {
    Mem::new(RBP, (offset_of!(Frame, float_operands) + 8 * index) as i32 - ANCHOR as i32)
}

/// Offset of a page's entry in the fetch table.
pub(crate) const fn fetch_slot(ea: u32) -> i32 {
    ((ea >> 12) as usize % fetch_table::ENTRIES * 8) as i32
}

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
    e.mov64(RSI, RAX);
    e.load64(RDI, frame_field!(owner));
    e.call_mem(frame_field!(access));
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
    for (ws, stub) in stubs.write_tlb.iter_mut().enumerate() {
        *stub = e.here();
        if ws != 0 {
            for hole in tlbwe::write_word(&mut e, ws) {
                e.bind_here(hole);
            }
        }
        e.alu64_imm(Alu::Sub, RSP, 8);
        for (host, gpr) in FIXED.into_iter().filter(|(host, _)| !saved.contains(host)) {
            e.store(gpr_place(gpr), host);
        }
        e.mov(RSI, RAX);
        e.load64(RDI, frame_field!(owner));
        e.call_mem(frame_field!(write_tlb).plus(8 * ws as i32));
        for (host, gpr) in FIXED.into_iter().filter(|(host, _)| !saved.contains(host)) {
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
    e.mov(RSI, RAX);
    e.load64(RDI, frame_field!(owner));
    e.call_mem(frame_field!(return_from_interrupt));
    load_kept(&mut e);
    e.jump_reg(RAX);

    stubs.call_and_end = e.here();
    e.mov64(RDX, RCX);
    ask(&mut e, frame_field!(call_and_end));

    stubs.leave = e.here();
    ask(&mut e, frame_field!(leave));

    stubs.pack = e.here();
    pack_first(&mut e);
    pack(&mut e);
    let (fields, saved) = (cr_field(0), frame_field!(saved_cr));
    for pair in [0, 16, 32, 48] {
        e.load_wide(Xmm(0), fields.plus(pair));
        e.store_wide(saved.plus(pair), Xmm(0));
    }
    e.store(frame_field!(saved_value), RAX);
    e.ret();

    stubs.unpack = e.here();
    e.alu_mem(Alu::Cmp, RAX, frame_field!(saved_value));
    let other = e.jump_if(Cond::NotEqual);
    for pair in [0, 16, 32, 48] {
        e.load_wide(Xmm(0), saved.plus(pair));
        e.store_wide(fields.plus(pair), Xmm(0));
    }
    e.ret();
    e.bind_here(other);
    for field in 0..8 {
        e.mov(RCX, RAX);
        e.shift_imm(Shift::Shr, RCX, 28 - 4 * field);
        e.alu_imm(Alu::And, RCX, 15);
        e.load64(RCX, cr_code(RCX));
        e.store64(cr_field(field), RCX);
    }
    e.ret();

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

/// EAX <- CR, and returns, if no field but field 0 changed since that was done last; else goes on.
///
/// ```text
/// if fields 1 to 7 are not those saved, go on
/// RCX = field 0; if it is the one saved, EAX = value saved
/// else if its lower half alone is 0, go on
/// else EAX = first[upper 4 bits of RCX | 16 if RCX is 0] | value saved & 0x0FFFFFFF; save RCX and EAX
/// ```
fn pack_first(e: &mut Emitter) {
    const WORDS: u8 = 0x66;
    const EQUAL: u8 = 0x76;
    const AND: u8 = 0xDB;
    let (fields, saved) = (cr_field(0), frame_field!(saved_cr));
    let first = Mem::indexed(RBP, RAX, 2, offset_of!(Frame, first) as i32 - ANCHOR as i32);
    let [all, here, before] = [0, 1, 2].map(Xmm);
    for pair in [16, 32, 48] {
        let to = if pair == 16 { all } else { here };
        e.load_wide(to, fields.plus(pair));
        e.load_wide(before, saved.plus(pair));
        e.sse(WORDS, EQUAL, to, before);
        if pair != 16 {
            e.sse(WORDS, AND, all, here);
        }
    }
    e.signs_of_bytes(RDX, all);
    e.load64(RAX, fields.plus(8));
    e.load64(RCX, fields);
    e.alu_imm(Alu::Cmp, RDX, 0xFFFF);
    let another = e.jump_if(Cond::NotEqual);
    e.alu64_mem(Alu::Cmp, RAX, saved.plus(8));
    let field_1 = e.jump_if(Cond::NotEqual);
    e.load(RAX, frame_field!(saved_value));
    e.alu64_mem(Alu::Cmp, RCX, saved);
    let changed = e.jump_if(Cond::NotEqual);
    e.ret();
    e.bind_here(changed);
    e.mov(RDX, RAX);
    e.alu_imm(Alu::And, RDX, 0x0FFF_FFFF);
    e.mov64(RAX, RCX);
    e.shift64_imm(Shift::Shr, RAX, 60);
    e.test(RCX, RCX);
    let plain = e.jump_if(Cond::NotEqual);
    e.test64(RCX, RCX);
    let special = e.jump_if(Cond::NotEqual);
    e.alu_imm(Alu::Or, RAX, 16);
    e.bind_here(plain);
    e.load(RAX, first);
    e.alu(Alu::Or, RAX, RDX);
    e.store64(saved, RCX);
    e.store(frame_field!(saved_value), RAX);
    e.ret();
    e.bind_here(another);
    e.bind_here(field_1);
    e.bind_here(special);
}

/// EAX <- CR. Each kind of bit of all eight fields becomes eight signs, which a table spreads over the fields.
///
/// ```text
/// high, low = the words of the fields; zero = (low == 0)
/// LT = sign of 2 * high; SO = sign of 4 * (high ^ 2 * high); EQ = zero
/// GT = not sign of (high | zero & (high == 0))
/// EAX = 8 * spread[LT] + 4 * spread[GT] + 2 * spread[EQ] + spread[SO]
/// ```
fn pack(e: &mut Emitter) {
    const WORDS: u8 = 0x66;
    const MOVE: u8 = 0x6F;
    const EQUAL: u8 = 0x76;
    const AND: u8 = 0xDB;
    const OR: u8 = 0xEB;
    const XOR: u8 = 0xEF;
    const ADD: u8 = 0xFE;
    const TO_HALVES: u8 = 0x6B;
    const TO_BYTES: u8 = 0x63;
    let [high0, high4, low0, low4, t0, t4, nought] = [0, 1, 2, 3, 4, 5, 6].map(Xmm);
    let spread = |index: Reg| Mem::indexed(RBP, index, 2, offset_of!(Frame, spread) as i32 - ANCHOR as i32);
    for (high, low, more, first) in [(high0, low0, t0, 0), (high4, low4, t4, 4)] {
        e.load_wide(high, cr_field(first));
        e.load_wide(more, cr_field(first + 2));
        e.sse(WORDS, MOVE, low, high);
        e.shuffle_words(high, more, 0xDD);
        e.shuffle_words(low, more, 0x88);
    }
    e.sse(WORDS, XOR, nought, nought);
    for (high, low, t) in [(high0, low0, t0), (high4, low4, t4)] {
        e.sse(WORDS, EQUAL, low, nought);
        e.sse(WORDS, MOVE, t, high);
        e.sse(WORDS, EQUAL, t, nought);
        e.sse(WORDS, AND, t, low);
        e.sse(WORDS, OR, t, high);
    }
    e.sse(WORDS, TO_HALVES, low0, low4);
    e.sse(WORDS, TO_HALVES, t0, t4);
    e.sse(WORDS, TO_BYTES, t0, low0);
    e.signs_of_bytes(RDX, t0);
    for (high, t) in [(high0, t0), (high4, t4)] {
        e.sse(WORDS, MOVE, t, high);
        e.sse(WORDS, ADD, t, t);
        e.sse(WORDS, XOR, high, t);
        e.shift_words_left(high, 2);
    }
    e.sse(WORDS, TO_HALVES, t0, t4);
    e.sse(WORDS, TO_HALVES, high0, high4);
    e.sse(WORDS, TO_BYTES, t0, high0);
    e.signs_of_bytes(RAX, t0);
    // From the lowest byte on: not GT, EQ; LT, SO. Then GT, EQ, SO in EDX.
    e.movzx8(RCX, RAX);
    e.load(RCX, spread(RCX));
    e.shift_imm(Shift::Shr, RAX, 8);
    e.shift_imm(Shift::Shl, RAX, 16);
    e.alu(Alu::Or, RDX, RAX);
    e.alu_imm(Alu::Xor, RDX, 0xFF);
    for byte in 0..3 {
        e.movzx8(RAX, RDX);
        e.load(RAX, spread(RAX));
        e.lea(RCX, Mem::indexed(RAX, RCX, 1, 0));
        if byte < 2 {
            e.shift_imm(Shift::Shr, RDX, 8);
        }
    }
    e.mov(RAX, RCX);
}

/// Calls the function at `function` with the owner, EAX and RDX as its arguments, and goes where it says.
fn ask(e: &mut Emitter, function: Mem) {
    spill(e);
    e.mov(RSI, RAX);
    e.load64(RDI, frame_field!(owner));
    e.call_mem(function);
    reload(e);
    e.jump_reg(RAX);
}

/// Likewise for code that was called itself, which leaves the stack 8 bytes off: returns if the function says 0.
fn called(e: &mut Emitter, function: Mem) {
    e.alu64_imm(Alu::Sub, RSP, 8);
    spill(e);
    e.mov(RSI, RAX);
    e.load64(RDI, frame_field!(owner));
    e.call_mem(function);
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
