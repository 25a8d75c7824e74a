//! Loads and stores. The fast way finds the host address in the table of data translations of the current context;
//! everything else (a miss, a page crossing, a device, a page with held code, 1 KB and little-endian pages, debug
//! events) goes out of line to the core, which executes the whole instruction.
//!
//! Accesses that follow each other at small distances from the same register (a stack frame, a structure) share one
//! look: the first one asks for a *window* that covers all of them, and the block keeps its host address as long as the
//! register does not change. What is in a window cannot fault, as no translation changes within a block without
//! an instruction that the core executes in line, and those end all windows. If the window cannot be had (it crosses
//! a page, or holds a device), the first access goes out of line and the block ends after it.

use core::mem::offset_of;

use ppc440_core::op::Op;
use ppc440_core::state::CpuState;
use ppc440_core::translate::data_table;

use super::access::{Access, AccessKind, Base};
use super::regs::{Guest, WINDOWS};
use super::{Holes, Place, Slow, Translator, field, gpr_place};
use crate::condition;
use crate::emit::{Alu, Cond, Hole, Mem, R15, RAX, RCX, RDX, Reg, Shift};
use crate::frame;

/// Bytes whose host address a host register holds.
#[derive(Clone, Copy, Debug)]
struct Window {
    base: Base,
    /// Its effective address minus the base, modulo 2^32.
    offset: u32,
    /// Bytes.
    span: u32,
    /// It may be written, too.
    store: bool,
}

/// The windows that are held, by number.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Windows {
    held: [Option<Window>; WINDOWS],
}

impl Windows {
    /// `guest` changes: the windows that it leads to are gone.
    pub(super) fn forget(&mut self, guest: Guest) {
        for window in &mut self.held {
            window.take_if(|window| window.base.has(guest));
        }
    }

    pub(super) fn forget_all(&mut self) {
        self.held = [None; WINDOWS];
    }

    /// `gpr` grew by `by`, to be called on a copy from before it was told to change.
    pub(super) fn moved(mut self, gpr: usize, by: u32) -> Self {
        for slot in &mut self.held {
            slot.take_if(|window| window.base != Base(Some(gpr), None) && window.base.has(gpr.into()));
            if let Some(window) = slot
                && window.base.0 == Some(gpr)
            {
                window.offset = window.offset.wrapping_sub(by);
            }
        }
        self
    }
}

/// Both halves of the reserved word's physical address, the lower one first.
const RESERVED_ADDRESS: Mem = {
    assert!(offset_of!(CpuState, reserve_addr_high) == offset_of!(CpuState, reserve_addr) + 4);
    field!(reserve_addr)
};

/// Largest window in bytes: larger ones would often cross a page.
const LARGEST: u32 = 256;
/// Instructions that are searched for accesses to share a window.
const AHEAD: usize = 24;

/// A look into the table, to be emitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    base: Option<Reg>,
    index: Option<Reg>,
    offset: u32,
    span: u32,
    store: bool,
    /// Where the host address goes.
    host: Reg,
}

/// An integer load or store on its slow way.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlainAccess {
    /// The register that holds its effective address minus `offset`: until it was translated.
    at: Reg,
    offset: u32,
    kind: AccessKind,
    /// Where it is tried again.
    pub(super) again: Option<usize>,
}

/// A jump for an access that is not aligned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crossing {
    pub(super) hole: Hole,
    /// Where the access goes on if it lies in a page.
    resume: usize,
    /// Its effective address.
    at: Reg,
    span: u32,
}

impl Translator<'_> {
    /// D-form and X-form loads and stores. False if it is none that is translated.
    pub(super) fn memory(&mut self, op: Op) -> bool {
        if op.primary() == 31 {
            match op.xo() {
                535 | 567 => return self.float_access(op, Some(op.rb()), false, false, op.xo() == 567),
                599 | 631 => return self.float_access(op, Some(op.rb()), false, true, op.xo() == 631),
                663 | 695 => return self.float_access(op, Some(op.rb()), true, false, op.xo() == 695),
                727 | 759 => return self.float_access(op, Some(op.rb()), true, true, op.xo() == 759),
                1014 => return self.zero_line(op),
                20 => return self.load_and_reserve(op),
                150 if op.rc() => return self.store_conditional(op),
                // dcbst; dcbf and icbi, which MMUCR may lock for users; dcbi.
                54 => return self.touch(op, false),
                86 | 982 if !self.user() => return self.touch(op, false),
                470 if !self.user() => return self.touch(op, true),
                _ => {}
            }
        }
        match Access::of(op) {
            Some(access) => self.access(op, access),
            None => return false,
        }
        true
    }

    /// EAX <- (RA|0) + D, or (RA|0) + (RB).
    pub(super) fn effective_address(&mut self, op: Op, rb: Option<usize>) {
        let base = self.read_base(op);
        let index = rb.map(|rb| self.read(rb));
        self.sum(RAX, base, index, if rb.is_none() { op.si() } else { 0 });
    }

    /// `to` <- `base` + `index` + `offset`
    fn sum(&mut self, to: Reg, base: Option<Reg>, index: Option<Reg>, offset: u32) {
        match (base, index) {
            (None, None) => self.e.mov_imm(to, offset),
            (Some(one), None) | (None, Some(one)) if offset == 0 => self.e.mov(to, one),
            (Some(one), None) | (None, Some(one)) => self.e.lea(to, Mem::new(one, offset as i32)),
            (Some(base), Some(index)) => self.e.lea(to, Mem::indexed(base, index, 0, offset as i32)),
        }
    }

    /// RAX <- the host address of the `span` bytes at effective address EAX, else goes the slow way.
    pub(super) fn look_up(&mut self, span: u32, store: bool, slow: &mut Slow) {
        self.find_host(RAX, span, store, slow);
    }

    /// `at` <- the host address of the `span` bytes at the effective address in it, else goes the slow way.
    fn find_host(&mut self, at: Reg, span: u32, store: bool, slow: &mut Slow) {
        slow.turned = self.same_page(at, span, store);
        if slow.turned.is_none() {
            slow.crossing = self.within_page(at, span, &mut slow.holes);
            let unknown = self.translate_address(at, store);
            slow.holes.push(unknown);
        }
    }

    /// Jumps away if the `span` bytes at the effective address in `at` may lie in two pages.
    ///
    /// ```text
    /// if at & (span - 1) look closer, out of line   (2, 4, 8 bytes)
    /// if (at & 4095) > 4096 - span give up          (other lengths, but one)
    /// ```
    pub(super) fn within_page(&mut self, at: Reg, span: u32, holes: &mut Holes) -> Option<Crossing> {
        if matches!(span, 2 | 4 | 8) {
            self.e.test_low(at, span as u8 - 1);
            let hole = self.e.jump_if(Cond::NotEqual);
            return Some(Crossing { hole, resume: self.e.here(), at, span });
        }
        if span > 1 {
            self.e.mov(RDX, at);
            self.e.alu_imm(Alu::And, RDX, 0xFFF);
            self.e.alu_imm(Alu::Cmp, RDX, 4096 - span);
            holes.push(self.e.jump_if(Cond::Above));
        }
        None
    }

    /// The closer look: what is not aligned, but lies in a page, goes back; the rest falls through.
    ///
    /// ```text
    /// if ((at + span - 1) ^ at) & ~4095 == 0 go back
    /// ```
    pub(super) fn look_closer(&mut self, crossing: Crossing) {
        let Crossing { hole, resume, at, span } = crossing;
        self.e.bind_here(hole);
        self.e.lea(RDX, Mem::new(at, span as i32 - 1));
        self.e.alu(Alu::Xor, RDX, at);
        self.e.test_imm(RDX, 0xFFFF_F000);
        let back = self.e.jump_if(Cond::Equal);
        self.e.bind(back, resume);
    }

    /// `at` <- the host address of the effective address in it, else jumps away.
    ///
    /// ```text
    /// at -= table[at >> 12]; if it did not borrow give up
    /// ```
    pub(super) fn translate_address(&mut self, at: Reg, store: bool) -> Hole {
        self.e.mov(RCX, at);
        self.e.shift_imm(Shift::Shr, RCX, 12);
        let table = if store { data_table::STORES as i32 } else { 0 };
        self.e.alu64_mem(Alu::Sub, at, Mem::indexed(R15, RCX, 3, table));
        self.e.jump_if(Cond::AboveEqual)
    }

    /// Emits `probe`.
    fn probe(&mut self, probe: &Probe, slow: &mut Slow) {
        self.sum(probe.host, probe.base, probe.index, probe.offset);
        self.find_host(probe.host, probe.span, probe.store, slow);
    }

    /// Calls the core for an access; the carry flag tells whether to try it again.
    pub(super) fn call_access(&mut self, access: &PlainAccess, place: Place) {
        let &PlainAccess { at, offset, kind, again } = access;
        self.sum(RDX, Some(at), None, offset);
        let retry = if again.is_some() { AccessKind::RETRY } else { 0 };
        self.e.mov_imm64(RAX, u64::from(kind.0 | retry) << 32 | u64::from(place.0));
        let hole = self.e.call();
        self.bind_far(hole, self.stubs.access);
    }

    /// An access whose effective address is in EAX, to be tried again from here.
    fn plain_access(&self, kind: AccessKind) -> PlainAccess {
        PlainAccess { at: RAX, offset: 0, kind, again: Some(self.e.here()) }
    }

    /// Emits `probe` once more, out of line.
    pub(super) fn probe_again(&mut self, probe: &Probe, holes: &mut Holes) {
        self.sum(probe.host, probe.base, probe.index, probe.offset);
        if let Some(mut crossing) = self.within_page(probe.host, probe.span, holes) {
            let aligned = self.e.jump();
            crossing.resume = aligned.0 - 1;
            self.look_closer(crossing);
            holes.push(self.e.jump());
            self.e.bind_here(aligned);
        }
        holes.push(self.translate_address(probe.host, probe.store));
    }

    /// The host address of an access, if a window has it.
    fn in_window(&mut self, base: Base, offset: u32, access: Access) -> Option<Mem> {
        for number in 0..WINDOWS {
            if let Some(window) = self.windows.held[number]
                && window.base == base
                && (window.store || !access.store)
            {
                let at = offset.wrapping_sub(window.offset);
                if window.span.checked_sub(access.len).is_some_and(|last| at <= last)
                    && let Some(host) = self.regs.held(Guest::window(number))
                {
                    return Some(Mem::new(host, at as i32));
                }
            }
        }
        None
    }

    /// The window that serves the access at hand and those that follow it, if there are any: its offset from the
    /// base, its length, and whether it is written.
    fn window_ahead(&self, base: Base, offset: u32, access: Access) -> Option<Window> {
        let (mut low, mut high) =
            (i64::from(offset as i32), i64::from(offset as i32) + i64::from(access.len));
        let (mut store, mut shared) = (access.store, false);
        // What the base has grown by.
        let mut grown = 0i64;
        for (ahead, &word) in self.source.words[self.index..].iter().take(AHEAD).enumerate() {
            let op = Op::new(word);
            let next = Access::of(op);
            if let Some(next) = next
                && Base::of(op, next.rb) == base
            {
                let at = grown + if next.rb.is_none() { i64::from(op.si() as i32) } else { 0 };
                let (from, to) = (low.min(at), high.max(at + i64::from(next.len)));
                if to - from > i64::from(LARGEST) {
                    break;
                }
                (low, high) = (from, to);
                store |= next.store;
                shared |= ahead != 0;
            }
            match (next, op.primary()) {
                (Some(next), _) if next.update && next.rb.is_none() && base == Base(Some(op.ra()), None) => {
                    grown += i64::from(op.si() as i32);
                }
                (None, 14) if op.rt() == op.ra() && op.ra() != 0 && base == Base(Some(op.ra()), None) => {
                    grown += i64::from(op.si() as i32);
                }
                _ if changed_by(op, next).into_iter().flatten().any(|gpr| base.has(gpr.into())) => break,
                // A branch back, or one that is always taken.
                (_, 16) if op.bd() as i32 <= 0 => break,
                (_, 17..=19) => break,
                _ => {}
            }
        }
        let window = Window { base, offset: low as u32, span: (high - low) as u32, store };
        shared.then_some(window)
    }

    /// Makes room for a window; tells its number and its host register. `None` if there is no room.
    fn open_window(&mut self, window: Window) -> Option<(Window, usize, Reg)> {
        let (number, host, evicted) = self.regs.claim_window()?;
        if let Some(evicted) = evicted {
            self.e.store(evicted.place(), host);
        }
        self.windows.held[number] = Some(window);
        Some((window, number, host))
    }

    fn access(&mut self, op: Op, access: Access) {
        let Access { len, store, rb, .. } = access;
        let base = Base::of(op, rb);
        let offset = if rb.is_none() { op.si() } else { 0 };
        let registers = (base.0.map(|gpr| self.read(gpr)), base.1.map(|gpr| self.read(gpr)));
        let data = if store { self.read(op.rt()) } else { self.hold(op.rt().into()) };
        if let Some(at) = self.in_window(base, offset, access) {
            self.transfer(op, access, data, at);
            return;
        }
        let mut slow = self.slow_way();
        let mut probe = Probe { base: registers.0, index: registers.1, offset, span: len, store, host: RAX };
        let kind = AccessKind::new(len, store);
        let ahead = self.window_ahead(base, offset, access);
        let Some((window, number, host)) = ahead.and_then(|window| self.open_window(window)) else {
            slow.access = Some(self.plain_access(kind));
            self.probe(&probe, &mut slow);
            self.transfer(op, access, data, Mem::new(RAX, 0));
            self.resume_here(slow);
            return;
        };
        // A register may have been written back for it.
        slow.spill = self.regs.dirty();
        probe = Probe { offset: window.offset, span: window.span, store: window.store, host, ..probe };
        let from_start = offset.wrapping_sub(window.offset);
        slow.access = Some(PlainAccess { at: host, offset: from_start, kind, again: None });
        self.probe(&probe, &mut slow);
        self.transfer(op, access, data, Mem::new(host, offset.wrapping_sub(window.offset) as i32));
        // The instruction itself may have changed the base, or made the window useless.
        match self.windows.held[number] {
            Some(window) => slow.window = Some(Probe { offset: window.offset, ..probe }),
            None => self.regs.release(Guest::window(number)),
        }
        self.resume_here(slow);
    }

    /// The access itself, to host memory at `at`, and the update of RA.
    fn transfer(&mut self, op: Op, access: Access, data: Reg, at: Mem) {
        if access.store {
            self.store_value(access, data, at);
        }
        if access.update {
            // Before the result of a load, which may replace RB.
            self.update_base(op, access.rb);
        }
        if !access.store {
            self.load_value(access, data, at);
            self.windows.forget(op.rt().into());
            self.regs.soil(data);
        }
    }

    /// RA <- RA + D, or RA + RB
    pub(super) fn update_base(&mut self, op: Op, rb: Option<usize>) {
        let before = self.windows;
        let ra = self.modify(op.ra());
        match rb {
            None => {
                self.e.alu_imm(Alu::Add, ra, op.si());
                self.windows = before.moved(op.ra(), op.si());
            }
            Some(rb) => {
                let rb = self.read(rb);
                self.e.alu(Alu::Add, ra, rb);
            }
        }
    }

    /// lmw and stmw: the registers go through memory, one by one, once the whole range is known to lie in a page.
    pub(super) fn multiple(&mut self, op: Op, store: bool) -> bool {
        let words = 32 - op.rt();
        self.effective_address(op, None);
        self.flush();
        let mut slow = self.slow_way();
        if !store {
            // What is held of them would be stale.
            self.forget();
        }
        self.look_up(4 * words as u32, store, &mut slow);
        for word in 0..words {
            let gpr = op.rt() + word;
            let at = Mem::new(RAX, 4 * word as i32);
            match (store, self.regs.always_in(gpr)) {
                (true, Some(host)) => self.e.mov(RCX, host),
                (true, None) => self.e.load(RCX, gpr_place(gpr)),
                (false, _) => self.e.load(RCX, at),
            }
            self.e.bswap(RCX);
            match (store, self.regs.always_in(gpr)) {
                (true, _) => self.e.store(at, RCX),
                (false, Some(host)) => self.e.mov(host, RCX),
                (false, None) => self.e.store(gpr_place(gpr), RCX),
            }
        }
        self.resume_here(slow);
        true
    }

    /// dcbz: 32 zero bytes, in a page that neither device nor write-through is.
    pub(super) fn zero_line(&mut self, op: Op) -> bool {
        self.effective_address(op, Some(op.rb()));
        let mut slow = self.slow_way();
        self.e.alu_imm(Alu::And, RAX, !31);
        self.look_up(1, true, &mut slow);
        self.e.mov_imm(RCX, 0);
        for quarter in 0..4 {
            self.e.store64(Mem::new(RAX, 8 * quarter), RCX);
        }
        self.resume_here(slow);
        true
    }

    /// Cache instructions that do nothing but what an access would be checked for.
    fn touch(&mut self, op: Op, store: bool) -> bool {
        self.effective_address(op, Some(op.rb()));
        let mut slow = self.slow_way();
        self.look_up(1, store, &mut slow);
        self.resume_here(slow);
        true
    }

    /// RAX <- the host address of the aligned word at (RA|0) + (RB), RCX <- its physical address; else the slow way.
    fn look_up_reserved(&mut self, op: Op, store: bool) -> Slow {
        self.effective_address(op, Some(op.rb()));
        let mut slow = self.slow_way();
        self.e.test_imm(RAX, 3);
        slow.holes.push(self.e.jump_if(Cond::NotEqual));
        self.look_up(1, store, &mut slow);
        self.e.mov64(RCX, RAX);
        self.e.alu64_mem(Alu::Sub, RCX, frame::RAM);
        slow
    }

    /// lwarx
    ///
    /// ```text
    /// if EA & 3 go the slow way; RAX = host address; RCX = physical address
    /// reservation = RCX, valid; RT = [RAX]
    /// ```
    fn load_and_reserve(&mut self, op: Op) -> bool {
        let slow = self.look_up_reserved(op, false);
        self.e.store64(RESERVED_ADDRESS, RCX);
        self.e.store_imm(field!(reserve_valid), 1);
        let rt = self.write(op.rt());
        self.load_value(Access::load(4), rt, Mem::new(RAX, 0));
        self.resume_here(slow);
        true
    }

    /// stwcx.
    ///
    /// ```text
    /// if EA & 3 go the slow way; RAX = host address; RCX = physical address
    /// EDX = "not equal"
    /// if reservation == RCX and valid: [RAX] = RS, EDX = "equal"
    /// reservation is gone; CR0 = EDX
    /// ```
    fn store_conditional(&mut self, op: Op) -> bool {
        let rs = self.read(op.rt());
        let slow = self.look_up_reserved(op, true);
        self.e.mov_imm64(RDX, condition::code(self.so()));
        self.e.alu64_mem(Alu::Cmp, RCX, RESERVED_ADDRESS);
        let other = self.e.jump_if(Cond::NotEqual);
        self.e.alu_mem_imm(false, Alu::Cmp, field!(reserve_valid), 0);
        let none = self.e.jump_if(Cond::Equal);
        self.e.mov_imm64(RDX, condition::code(2 | self.so()));
        self.store_value(Access::store(4), rs, Mem::new(RAX, 0));
        self.e.bind_here(other);
        self.e.bind_here(none);
        self.e.store_imm(field!(reserve_valid), 0);
        self.e.store64(frame::cr_field(0), RDX);
        self.resume_here(slow);
        true
    }

    /// A host register for `guest`, with whatever is in it.
    fn hold(&mut self, guest: Guest) -> Reg {
        match self.regs.held(guest) {
            Some(host) => host,
            None => self.claim(guest),
        }
    }

    fn load_value(&mut self, access: Access, to: Reg, at: Mem) {
        match access.len {
            1 => self.e.load_zx8(to, at),
            2 => {
                self.e.load_zx16(to, at);
                if !access.reversed {
                    self.e.swap16(to);
                }
                if access.signed {
                    self.e.movsx16(to, to);
                }
            }
            _ if !access.reversed && self.stubs.has_movbe => self.e.load_reversed(to, at),
            _ => {
                self.e.load(to, at);
                if !access.reversed {
                    self.e.bswap(to);
                }
            }
        }
    }

    fn store_value(&mut self, access: Access, from: Reg, at: Mem) {
        let swap = access.len > 1 && !access.reversed;
        if swap && self.stubs.has_movbe {
            match access.len {
                2 => self.e.store16_reversed(at, from),
                _ => self.e.store_reversed(at, from),
            }
            return;
        }
        let value = if swap { RCX } else { from };
        self.e.mov(value, from);
        match access.len {
            1 => self.e.store8(at, value),
            2 => {
                if swap {
                    self.e.swap16(value);
                }
                self.e.store16(at, value);
            }
            _ => {
                if swap {
                    self.e.bswap(value);
                }
                self.e.store(at, value);
            }
        }
    }
}

/// GPRs that an instruction may change, as far as it matters for looking ahead.
fn changed_by(op: Op, access: Option<Access>) -> [Option<usize>; 2] {
    let (rt, ra) = (Some(op.rt()), Some(op.ra()));
    match (access, op.primary()) {
        (Some(access), _) => [if access.store { None } else { rt }, if access.update { ra } else { None }],
        (_, 7 | 8 | 12..=15) => [rt, None],
        (_, 20..=29) => [ra, None],
        (_, 31 | 4 | 46) => [rt, ra],
        _ => [None; 2],
    }
}
