//! Loads and stores. The fast way finds the host address in the table of data translations of the current context;
//! everything else (a miss, a page crossing, a device, a page with held code, 1 KB and little-endian pages, debug
//! events) goes out of line to the core, which executes the whole instruction.

use ppc440_core::op::Op;
use ppc440_core::translate::data_table;

use super::regs::Guest;
use super::{Slow, Translator, gpr_place};
use crate::emit::{Alu, Cond, Mem, R14, R15, RAX, RCX, RDX, Reg, Shift};

/// What a load does with what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Access {
    /// Bytes: 1, 2, 4.
    len: u32,
    store: bool,
    signed: bool,
    /// Byte-reversed form.
    reversed: bool,
    update: bool,
}

impl Access {
    const fn load(len: u32) -> Self {
        Self { len, store: false, signed: false, reversed: false, update: false }
    }
    const fn store(len: u32) -> Self {
        Self { store: true, ..Self::load(len) }
    }
    const fn update(self, update: bool) -> Self {
        Self { update, ..self }
    }
    const fn signed(self) -> Self {
        Self { signed: true, ..self }
    }
    const fn reversed(self) -> Self {
        Self { reversed: true, ..self }
    }
}

impl Translator<'_> {
    /// D-form loads and stores of primary opcodes 32-45.
    pub(super) fn memory_d(&mut self, op: Op) -> bool {
        let update = op.primary() & 1 != 0;
        let access = match op.primary() {
            32 | 33 => Access::load(4),
            34 | 35 => Access::load(1),
            36 | 37 => Access::store(4),
            38 | 39 => Access::store(1),
            40 | 41 => Access::load(2),
            42 | 43 => Access::load(2).signed(),
            44 | 45 => Access::store(2),
            _ => return false,
        };
        self.access(op, access.update(update), None)
    }

    /// X-form loads and stores.
    pub(super) fn memory_x(&mut self, op: Op) -> bool {
        match op.xo() {
            535 | 567 => return self.float_access(op, Some(op.rb()), false, false, op.xo() == 567),
            599 | 631 => return self.float_access(op, Some(op.rb()), false, true, op.xo() == 631),
            663 | 695 => return self.float_access(op, Some(op.rb()), true, false, op.xo() == 695),
            727 | 759 => return self.float_access(op, Some(op.rb()), true, true, op.xo() == 759),
            _ => {}
        }
        if op.xo() == 1014 {
            return self.zero_line(op);
        }
        let access = match op.xo() {
            23 | 55 => Access::load(4).update(op.xo() == 55),
            87 | 119 => Access::load(1).update(op.xo() == 119),
            279 | 311 => Access::load(2).update(op.xo() == 311),
            343 | 375 => Access::load(2).signed().update(op.xo() == 375),
            151 | 183 => Access::store(4).update(op.xo() == 183),
            215 | 247 => Access::store(1).update(op.xo() == 247),
            407 | 439 => Access::store(2).update(op.xo() == 439),
            534 => Access::load(4).reversed(),
            790 => Access::load(2).reversed(),
            662 => Access::store(4).reversed(),
            918 => Access::store(2).reversed(),
            _ => return false,
        };
        self.access(op, access, Some(op.rb()))
    }

    /// EAX <- (RA|0) + D, or (RA|0) + (RB).
    pub(super) fn effective_address(&mut self, op: Op, rb: Option<usize>) {
        let base = self.read_base(op);
        match (base, rb) {
            (Some(ra), None) => self.e.lea(RAX, Mem::new(ra, op.si() as i32)),
            (None, None) => self.e.mov_imm(RAX, op.si()),
            (Some(ra), Some(rb)) => {
                let rb = self.read(rb);
                self.e.lea(RAX, Mem::indexed(ra, rb, 0, 0));
            }
            (None, Some(rb)) => {
                let rb = self.read(rb);
                self.e.mov(RAX, rb);
            }
        }
    }

    /// RAX <- the physical address of the `len` bytes at effective address EAX, else the slow way.
    ///
    /// ```text
    /// ECX = slot of the page; EDX = page of the last byte
    /// if table[ECX].tag != EDX go the slow way      (also if the bytes cross into the next page)
    /// RAX += table[ECX].delta
    /// ```
    pub(super) fn probe(&mut self, len: u32, store: bool, slow: &mut Slow) {
        const { assert!(data_table::SIZE == 16) };
        let tag = if store { data_table::WRITE } else { data_table::READ };
        self.e.mov(RCX, RAX);
        self.e.shift_imm(Shift::Shr, RCX, 8);
        self.e.alu_imm(Alu::And, RCX, (data_table::ENTRIES as u32 - 1) << 4);
        self.e.lea(RDX, Mem::new(RAX, len as i32 - 1));
        self.e.alu_imm(Alu::And, RDX, 0xFFFF_F000);
        self.e.alu_mem(Alu::Cmp, RDX, Mem::indexed(R15, RCX, 0, tag as i32));
        slow.holes.push(self.e.jump_if(Cond::NotEqual));
        self.e.alu64_mem(Alu::Add, RAX, Mem::indexed(R15, RCX, 0, data_table::DELTA as i32));
    }

    /// The guest memory at physical address RAX.
    pub(super) fn ram() -> Mem {
        Mem::indexed(R14, RAX, 0, 0)
    }

    fn access(&mut self, op: Op, access: Access, rb: Option<usize>) -> bool {
        let Access { len, store, update, .. } = access;
        if update && (op.ra() == 0 || (!store && op.ra() == op.rt())) {
            // An invalid form: illegal.
            return false;
        }
        self.effective_address(op, rb);
        let data = if store { self.read(op.rt()) } else { self.hold(op.rt().into()) };
        let mut slow = self.slow_way(alloc::vec::Vec::new());
        self.probe(len, store, &mut slow);
        if store {
            self.store_value(access, data);
        }
        if update {
            // Before the result of a load, which may replace RB.
            let ra = self.modify(op.ra());
            match rb {
                None => self.e.alu_imm(Alu::Add, ra, op.si()),
                Some(rb) => {
                    let rb = self.read(rb);
                    self.e.alu(Alu::Add, ra, rb);
                }
            }
        }
        if !store {
            self.load_value(access, data);
            self.regs.soil(data);
        }
        self.resume_here(slow);
        true
    }

    /// lmw and stmw: the registers go through memory, one by one, once the whole range is known to lie in a page.
    pub(super) fn multiple(&mut self, op: Op, store: bool) -> bool {
        let words = 32 - op.rt();
        self.effective_address(op, None);
        self.flush();
        let mut slow = self.slow_way(alloc::vec::Vec::new());
        if !store {
            // What is held of them would be stale.
            self.regs.forget();
        }
        self.probe(4 * words as u32, store, &mut slow);
        for word in 0..words {
            let place = gpr_place(op.rt() + word);
            let at = Mem::indexed(R14, RAX, 0, 4 * word as i32);
            let (from, to) = if store { (place, at) } else { (at, place) };
            self.e.load(RCX, from);
            self.e.bswap(RCX);
            self.e.store(to, RCX);
        }
        self.resume_here(slow);
        true
    }

    /// dcbz: 32 zero bytes, in a page that neither device nor write-through is.
    pub(super) fn zero_line(&mut self, op: Op) -> bool {
        self.effective_address(op, Some(op.rb()));
        let mut slow = self.slow_way(alloc::vec::Vec::new());
        self.e.alu_imm(Alu::And, RAX, !31);
        self.probe(32, true, &mut slow);
        self.e.mov_imm(RCX, 0);
        for quarter in 0..4 {
            self.e.store64(Mem::indexed(R14, RAX, 0, 8 * quarter), RCX);
        }
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

    fn load_value(&mut self, access: Access, to: Reg) {
        match access.len {
            1 => self.e.load_zx8(to, Self::ram()),
            2 => {
                self.e.load_zx16(to, Self::ram());
                if !access.reversed {
                    self.e.swap16(to);
                }
                if access.signed {
                    self.e.movsx16(to, to);
                }
            }
            _ => {
                self.e.load(to, Self::ram());
                if !access.reversed {
                    self.e.bswap(to);
                }
            }
        }
    }

    fn store_value(&mut self, access: Access, from: Reg) {
        let swap = access.len > 1 && !access.reversed;
        let value = if swap { RCX } else { from };
        self.e.mov(value, from);
        match access.len {
            1 => self.e.store8(Self::ram(), value),
            2 => {
                if swap {
                    self.e.swap16(value);
                }
                self.e.store16(Self::ram(), value);
            }
            _ => {
                if swap {
                    self.e.bswap(value);
                }
                self.e.store(Self::ram(), value);
            }
        }
    }
}
