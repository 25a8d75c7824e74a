//! Pages that the accesses of a trace go to again and again. Each access of a trace has a *slot* with the pages that it went to
//! last and their host address: a run of pages that lie in a row here and there, as Linux gives them to a program that touches
//! one after the other. If it goes there again, its host address does not wait for a look into the table at a place that depends
//! on the effective one.
//!
//! Some accesses roam: they go elsewhere most times, and would only pay for looking into the slot first. The driver counts, and
//! leads those past their slots.
//!
//! What is in the slots of a trace is from one table, and is forgotten when a trace begins and the table is another one, or has
//! lost anything meanwhile. Within a trace no word of the table is lost: what could do that ends it.

use alloc::vec;
use alloc::vec::Vec;

use super::{Holes, Translator};
use crate::emit::{Alu, Cond, Hole, R15, RAX, RCX, RDX, Reg};
use crate::frame::{self, Slot, slot_fields, slot_place};

/// Most slots of a trace, with the one in front.
const MOST: usize = 32;

/// The slots of a trace.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// The one in front; `None` without slots.
    front: Option<u32>,
    /// Jumps to where they are emptied, and where that goes on.
    stale: [Option<Hole>; 2],
    begin: usize,
    /// By slot, from the one in front on, whose means nothing.
    pub(super) ways: Vec<Way>,
}

/// Offsets in the code of a trace that tell how an access comes to its host address.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Way {
    /// Where it looks into its slot, and how far there is room for what does without.
    pub(crate) look: u32,
    resume: u32,
    /// Where it goes if it roams, and behind that the jump back.
    roams: u32,
    back: u32,
    /// The displacements of jumps between these two; 0 for none.
    jumps: [u32; 2],
}

impl Way {
    /// What to put in the place of the look into the slot: what an access does that roams, if there is room, or a jump there.
    pub(crate) fn past_slot(&self, code: &[u8]) -> Vec<u8> {
        /// What does nothing, by length.
        const NOTHING: [&[u8]; 7] = [
            &[0x90],
            &[0x66, 0x90],
            &[0x0F, 0x1F, 0x00],
            &[0x0F, 0x1F, 0x40, 0x00],
            &[0x0F, 0x1F, 0x44, 0x00, 0x00],
            &[0x66, 0x0F, 0x1F, 0x44, 0x00, 0x00],
            &[0x0F, 0x1F, 0x80, 0x00, 0x00, 0x00, 0x00],
        ];
        const JUMP: u8 = 0xE9;
        let &Self { look, resume, roams, back, jumps } = self;
        let distance = roams - look;
        let Some(mut spare) = (resume - look).checked_sub(back - roams) else {
            let mut jump = vec![JUMP];
            jump.extend((distance - 5).to_le_bytes());
            return jump;
        };
        let mut new = code[roams as usize..back as usize].to_vec();
        for at in jumps.into_iter().filter(|&at| at != 0) {
            let field = &mut new[(at - roams) as usize..][..4];
            let old = u32::from_le_bytes([field[0], field[1], field[2], field[3]]);
            field.copy_from_slice(&old.wrapping_add(distance).to_le_bytes());
        }
        while spare != 0 {
            let nothing = NOTHING[(spare as usize).min(NOTHING.len()) - 1];
            new.extend(nothing);
            spare -= nothing.len() as u32;
        }
        new
    }
}

/// An access that goes elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turned {
    /// Where it looks into its slot.
    look: usize,
    hole: Hole,
    /// Where it goes on with the host address.
    resume: usize,
    /// Its effective address.
    at: Reg,
    span: u32,
    store: bool,
    slot: u32,
}

impl Translator<'_> {
    /// Empties the slots, unless they are for this table as it is now.
    ///
    /// ```text
    /// if front.host != R15 or front.page != losses empty the slots, out of line
    /// ```
    pub(super) fn begin_pages(&mut self) {
        if self.source.slots.len() < MOST {
            return;
        }
        let front = self.source.slots.start;
        let [losses, table, ..] = slot_fields(front);
        self.e.alu64_mem(Alu::Cmp, R15, table);
        let other = self.e.jump_if(Cond::NotEqual);
        self.e.load(RAX, frame::DATA_LOSSES_FIELD);
        self.e.alu_mem(Alu::Cmp, RAX, losses);
        let lost = self.e.jump_if(Cond::NotEqual);
        self.pages = Pages {
            front: Some(front),
            stale: [Some(other), Some(lost)],
            begin: self.e.here(),
            ways: vec![Way::default()],
        };
    }

    /// The other half of [`Translator::begin_pages`], out of line.
    pub(super) fn empty_slots(&mut self) {
        let Some(front) = self.pages.front else { return };
        for hole in self.pages.stale.into_iter().flatten() {
            self.e.bind_here(hole);
        }
        let [losses, table, ..] = slot_fields(front);
        self.e.store64(table, R15);
        self.e.load(RAX, frame::DATA_LOSSES_FIELD);
        self.e.store(losses, RAX);
        for slot in front + 1..front + self.pages.ways.len() as u32 {
            self.e.store64_imm(slot_fields(slot)[0], Slot::EMPTY as i32);
        }
        let back = self.e.jump();
        self.e.bind(back, self.pages.begin);
    }

    /// `at` <- the host address of the `span` bytes at the effective address in it, if they lie where this access went last. `None`,
    /// with nothing emitted, if it has no slot.
    ///
    /// ```text
    /// at -= slot.page; if at > slot.last look for the page, out of line
    /// at += slot.host
    /// ```
    pub(super) fn same_page(&mut self, at: Reg, span: u32, store: bool) -> Option<Turned> {
        let front = self.pages.front?;
        if self.pages.ways.len() == MOST {
            return None;
        }
        let slot = front + self.pages.ways.len() as u32;
        self.pages.ways.push(Way::default());
        let [page, host, last, _] = slot_fields(slot);
        let look = self.e.here();
        self.e.alu64_mem(Alu::Sub, at, page);
        self.e.alu64_mem(Alu::Cmp, at, last);
        let hole = self.e.jump_if(Cond::Above);
        self.e.alu64_mem(Alu::Add, at, host);
        Some(Turned { look, hole, resume: self.e.here(), at, span, store, slot })
    }

    /// Out of line: finds the pages in the table. What is not in the table, or not in a row, goes on behind this with its effective
    /// address where it was.
    ///
    /// ```text
    /// at += slot.page; find the run; if there is none give up; go back
    /// ```
    /// Behind it stands where an access that roams goes instead of looking into its slot:
    /// ```text
    /// if ((at + span - 1) ^ at) & ~4095 != 0 give up
    /// at -= table[at >> 12]; if it did not borrow give up; go back
    /// ```
    pub(super) fn turn(&mut self, turned: Turned, holes: &mut Holes) {
        let Turned { look, hole, resume, at, span, store, slot } = turned;
        let [page, ..] = slot_fields(slot);
        self.e.bind_here(hole);
        self.e.alu64_mem(Alu::Add, at, page);
        if at != RAX {
            self.e.mov(RAX, at);
        }
        self.e.lea64(RCX, slot_place(slot));
        self.e.mov_imm(RDX, span);
        let hole = self.e.call();
        self.bind_far(hole, self.stubs.find_run[usize::from(store)]);
        holes.push(self.e.jump_if(Cond::Below));
        if at != RAX {
            self.e.mov64(at, RAX);
        }
        let back = self.e.jump();
        self.e.bind(back, resume);
        let roams = self.e.here();
        let crossing = self.within_page(at, span, holes);
        let unknown = self.translate_address(at, store);
        holes.push(unknown);
        let behind = self.e.here();
        let back = self.e.jump();
        self.e.bind(back, resume);
        let jumps = [crossing.map_or(0, |crossing| crossing.hole.0 as u32), unknown.0 as u32];
        // Other lengths look for a crossing by a jump that is not among these.
        let room_until = if matches!(span, 1 | 2 | 4 | 8) { resume } else { look };
        if let Some(crossing) = crossing {
            self.look_closer(crossing);
            holes.push(self.e.jump());
        }
        if let Some(front) = self.pages.front {
            let [look, resume, roams, back] = [look, room_until, roams, behind].map(|at| at as u32);
            self.pages.ways[(slot - front) as usize] = Way { look, resume, roams, back, jumps };
        }
    }
}
