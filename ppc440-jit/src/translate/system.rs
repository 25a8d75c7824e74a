//! Special-purpose registers that are plain memory, the machine state register's reads, and what does nothing.

use core::mem::offset_of;

use ppc440_core::bits::msr;
use ppc440_core::bus::attention;
use ppc440_core::op::Op;
use ppc440_core::state::CpuState;
use ppc440_core::translate::selection;

use super::regs::CTR;
use super::{Translator, field, state};
use crate::emit::{Alu, Cond, Mem, R15, RAX, RCX, RDX, Reg, Shift};
use crate::frame;

/// SPRs whose reads are plain loads for supervisors.
fn readable(spr: u32) -> Option<Mem> {
    let array = |offset: usize, first: u32| state(offset + 4 * (spr - first) as usize);
    Some(match spr {
        26 | 27 => array(offset_of!(CpuState, srr), 26),
        48 => field!(pid),
        58 | 59 => array(offset_of!(CpuState, csrr), 58),
        61 => field!(dear),
        62 => field!(esr),
        272..=279 => array(offset_of!(CpuState, sprg), 272),
        946 => field!(mmucr),
        _ => return None,
    })
}

impl Translator<'_> {
    /// False if it is nothing that is translated.
    pub(super) fn system(&mut self, op: Op) -> bool {
        match op.xo() {
            4 => return self.trap(op),
            // dcbtst, dcbt, icbt, dcba, mbar, msync
            246 | 278 | 22 | 758 | 854 | 598 => {}
            19 => {
                self.load_cr();
                let rt = self.write(op.rt());
                self.e.mov(rt, RAX);
            }
            144 => self.move_to_cr(op),
            83 if !self.user() => {
                let rt = self.write(op.rt());
                self.e.load(rt, field!(msr));
            }
            339 | 371 => return self.move_from_spr(op),
            467 => return self.move_to_spr(op),
            978 => return self.write_tlb(op),
            _ => return false,
        }
        true
    }

    fn move_from_spr(&mut self, op: Op) -> bool {
        let spr = op.spr();
        if spr == 1 {
            self.move_from_xer(op);
            return true;
        }
        let place = match spr {
            8 => field!(lr),
            9 => {
                let rt = self.write(op.rt());
                match self.regs.held(CTR) {
                    Some(ctr) => self.e.mov(rt, ctr),
                    None => self.e.load(rt, field!(ctr)),
                }
                return true;
            }
            256 => field!(usprg0),
            260..=263 => state(offset_of!(CpuState, sprg) + 4 * (spr - 256) as usize),
            _ if self.user() => return false,
            _ => match readable(spr) {
                Some(place) => place,
                None => return false,
            },
        };
        let rt = self.write(op.rt());
        self.e.load(rt, place);
        true
    }

    fn move_to_spr(&mut self, op: Op) -> bool {
        let spr = op.spr();
        let rs = self.read(op.rt());
        if spr == 9
            && let Some(ctr) = self.regs.held(CTR)
        {
            self.e.mov(ctr, rs);
            self.regs.soil(ctr);
            return true;
        }
        let for_all = match spr {
            8 => Some(field!(lr)),
            9 => Some(field!(ctr)),
            256 => Some(field!(usprg0)),
            _ => None,
        };
        if let Some(place) = for_all {
            self.e.store(place, rs);
            return true;
        }
        if self.user() {
            return false;
        }
        match spr {
            48 => return self.move_to_pid(rs),
            26 | 27 | 58 | 59 | 61 | 62 | 272..=279 => {
                if let Some(place) = readable(spr) {
                    self.e.store(place, rs);
                }
            }
            946 => {
                self.e.mov(RAX, rs);
                self.e.alu_imm(Alu::And, RAX, ppc440_core::bits::mmucr::ALL);
                self.e.store(field!(mmucr), RAX);
            }
            _ => return false,
        }
        true
    }

    /// tlbwe: the core does it, by the shortest way. Windows are lost, and whatever a call may destroy.
    fn write_tlb(&mut self, op: Op) -> bool {
        if self.user() || op.rb() > 2 || self.pc() & 0xFFF == 0xFFC {
            return false;
        }
        let (rs, ra) = (self.read(op.rt()), self.read(op.ra()));
        self.flush();
        self.e.mov(RDX, rs);
        self.e.mov(RCX, ra);
        self.e.alu_imm(Alu::And, RCX, 63);
        self.forget();
        self.load_place(self.index, self.index - self.segment);
        let hole = self.e.call();
        self.bind_far(hole, self.stubs.write_tlb[op.rb()]);
        true
    }

    /// rfi, if it may end this block.
    pub(super) fn return_from_interrupt(&mut self) {
        self.flush();
        self.load_place(self.index, self.index - self.segment);
        let hole = self.e.jump();
        self.bind_far(hole, self.stubs.return_from_interrupt);
    }

    /// wrtee, wrteei: clearing EE is done here, setting it by the core, which may have an interrupt waiting.
    ///
    /// ```text
    /// if RS[EE] let the core do it
    /// MSR[EE] = 0; attention mask[EXT] = 0
    /// ```
    pub(super) fn enable(&mut self, op: Op) {
        let immediate = op.xo() == 163;
        if self.user() || immediate && op.0 & msr::EE != 0 {
            self.call();
            return;
        }
        let mut slow = self.slow_way();
        if !immediate {
            let rs = self.read(op.rt());
            slow = self.slow_way();
            self.e.test_imm(rs, msr::EE);
            slow.holes.push(self.e.jump_if(Cond::NotEqual));
        }
        self.e.alu_mem_imm(false, Alu::And, field!(msr), !msr::EE);
        self.e.alu_mem_imm(false, Alu::And, frame::ATTENTION_MASK_FIELD, !attention::EXT);
        if !immediate {
            self.resume_here(slow);
        }
    }

    /// mtspr PID: what the core remembers of the new selection is taken from its table (see
    /// [`selection`]); if it remembers nothing, or the page is not known to be fetched from the same RAM page under it,
    /// the core does it all.
    ///
    /// ```text
    /// PID = RS & 255
    /// ECX = key of the current selection with the new PID; EDX = 64 * its place
    /// if selections[EDX].key != ECX let the core do it
    /// take over parts, tables and place
    /// if fetch_table[pc] != (pc's page, RAM page) let the core do it
    /// ```
    fn move_to_pid(&mut self, rs: Reg) -> bool {
        const { assert!(selection::SIZE == 64 && selection::COUNT == 16) };
        let next = self.pc().wrapping_add(4);
        if next & 0xFFF == 0 {
            return false;
        }
        self.e.movzx8(RAX, rs);
        // Windows are host addresses of the old context.
        self.flush();
        self.forget();
        let mut slow = self.slow_way();
        self.e.store(field!(pid), RAX);
        self.e.load(RDX, frame::core_field(selection::NOW));
        self.e.shift_imm(Shift::Shl, RDX, 6);
        self.e.load(RCX, frame::selection_field(RDX, selection::KEY));
        self.e.alu_imm(Alu::And, RCX, !0xFF);
        self.e.alu(Alu::Or, RCX, RAX);
        self.e.mov(RDX, RCX);
        self.e.shift_imm(Shift::Shr, RDX, 19);
        self.e.alu(Alu::Xor, RDX, RCX);
        self.e.alu_imm(Alu::And, RDX, 15);
        self.e.mov(RAX, RDX);
        self.e.shift_imm(Shift::Shl, RDX, 6);
        self.e.alu_mem(Alu::Cmp, RCX, frame::selection_field(RDX, selection::KEY));
        slow.holes.push(self.e.jump_if(Cond::NotEqual));
        self.e.store(frame::core_field(selection::NOW), RAX);
        self.e.load64(RAX, frame::selection_field(RDX, selection::PARTS));
        self.e.store64(frame::core_field(selection::NOW_PARTS), RAX);
        self.e.load64(R15, frame::selection_field(RDX, selection::DATA_TABLE));
        self.e.store64(frame::DATA_TABLE, R15);
        self.e.load64(RCX, frame::selection_field(RDX, selection::FETCH_TABLE));
        self.e.store64(frame::FETCH_TABLE, RCX);
        self.e.mov_imm64(RAX, u64::from(next & !0xFFF) | u64::from(self.source.page) << 32);
        self.e.alu64_mem(Alu::Cmp, RAX, Mem::new(RCX, frame::fetch_slot(next)));
        slow.holes.push(self.e.jump_if(Cond::NotEqual));
        self.resume_here(slow);
        true
    }
}
