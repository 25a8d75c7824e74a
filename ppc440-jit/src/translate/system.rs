//! Special-purpose registers that are plain memory, the machine state register's reads, and what does nothing.

use core::mem::offset_of;

use ppc440_core::op::Op;
use ppc440_core::state::CpuState;

use super::{Translator, field, state};
use crate::emit::{Alu, Mem, RAX};

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
            9 => field!(ctr),
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
}
