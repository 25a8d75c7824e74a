//! Ways out of the straight line of a block: slow ways, on which the core executes an instruction and the block goes on; exits
//! out of its middle; jumps to other blocks. What is rarely gone is emitted behind the block.

use super::regs::Held;
use super::{Place, Translator, memory, pages};
use crate::cache::NewSite;
use crate::emit::{Alu, Cond, Hole, Mem, R12, RAX, RCX};
use crate::frame;

/// A few jumps to one place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Holes {
    list: [Option<Hole>; 8],
    pub(super) len: usize,
}

impl Holes {
    pub(super) fn push(&mut self, hole: Hole) {
        self.list[self.len] = Some(hole);
        self.len += 1;
    }
    pub(super) fn iter(self) -> impl Iterator<Item = Hole> {
        self.list.into_iter().flatten()
    }
}

/// A way out of line for the instruction at `index`.
pub(super) struct Slow {
    pub(super) holes: Holes,
    /// An access that is not aligned comes here first.
    pub(super) crossing: Option<memory::Crossing>,
    /// An access that goes elsewhere than the last time comes here first.
    pub(super) turned: Option<pages::Turned>,
    /// A plain load or store.
    pub(super) access: Option<memory::PlainAccess>,
    /// Where to go on.
    pub(super) resume: usize,
    pub(super) index: usize,
    /// Instructions since R12 was last counted down.
    pub(super) since: usize,
    /// Written back before, and read after the call.
    pub(super) spill: Held,
    pub(super) reload: Held,
    /// The host address that the block goes on with.
    pub(super) window: Option<memory::Probe>,
}

/// A branch that is taken out of the middle of a block, or a pause there.
pub(super) struct Exit {
    pub(super) hole: Hole,
    pub(super) spill: Held,
    pub(super) target: u32,
    pub(super) count: Count,
}

/// What is left to do on a way out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    /// Instructions are to be counted.
    Of(u32),
    /// They are counted, and the block itself would go on at the target.
    Done,
    /// To be counted; the target is in EAX.
    Computed(u32),
    /// They are counted; the block that a trace stands for goes on.
    Fallback,
}

impl Translator<'_> {
    /// Marks the place from which slow ways go out of line: guest registers as they are now belong to the state before
    /// the instruction.
    pub(super) fn slow_way(&self) -> Slow {
        Slow {
            holes: Holes::default(),
            crossing: None,
            turned: None,
            access: None,
            resume: 0,
            index: self.index,
            since: self.index - self.segment,
            spill: self.regs.dirty(),
            reload: Held::default(),
            window: None,
        }
    }

    /// The place where the block goes on after a slow way; guest registers as they are now are read anew there.
    pub(super) fn resume_here(&mut self, mut slow: Slow) {
        slow.resume = self.e.here();
        slow.reload = self.regs.all();
        self.slow.push(slow);
    }

    /// Ends the block: goes on at `target`, which lies in this page or not, and first looks at clock and pins if this
    /// is a point where interrupts are taken.
    ///
    /// ```text
    /// R12 -= instructions; if R12 > 0 jump to the target's block (onwards, until it is known)
    /// ask the driver
    /// ```
    /// To another page:
    /// ```text
    /// R12 -= instructions; if R12 <= 0 ask the driver
    /// if fetch_table[target] != key ask the driver
    /// jump to the target's block (onwards, until it is known)
    /// ask the driver
    /// ```
    pub(super) fn go_to(&mut self, target: u32, sampling: bool) {
        self.go_to_counting(target, sampling, self.count());
    }

    /// Instructions to count after the current one.
    pub(super) fn count(&self) -> u32 {
        (self.index + 1 - self.segment) as u32
    }

    pub(super) fn go_to_counting(&mut self, target: u32, sampling: bool, count: u32) {
        self.e.alu64_imm(Alu::Sub, R12, count);
        let mut ask = Holes::default();
        let mut key = None;
        let elsewhere = (target ^ self.source.pc) & !0xFFF != 0;
        if elsewhere {
            if sampling {
                ask.push(self.e.jump_if(Cond::LessEqual));
            }
            self.e.load64(RCX, frame::FETCH_TABLE);
            self.e.mov_imm64(RAX, u64::MAX);
            key = Some((self.source.at + self.e.here() - 8) as u32);
            self.e.alu64_mem(Alu::Cmp, RAX, Mem::new(RCX, frame::fetch_slot(target)));
            ask.push(self.e.jump_if(Cond::NotEqual));
        }
        let hole = if sampling && !elsewhere { self.e.jump_if(Cond::Greater) } else { self.e.jump() };
        ask.push(hole);
        let jump = Some((self.source.at + hole.0) as u32);
        self.ask_driver(ask, NewSite { target, sampling, jump, stub: 0, key });
    }

    /// The driver finds the block to go on with.
    pub(super) fn ask_driver(&mut self, holes: Holes, site: NewSite) {
        for hole in holes.iter() {
            self.e.bind_here(hole);
        }
        let stub = (self.source.at + self.e.here()) as u32;
        self.e.mov_imm(RAX, self.source.first_site + self.sites.len() as u32);
        let hole = self.e.jump();
        self.bind_far(hole, self.stubs.leave);
        self.sites.push(NewSite { stub, ..site });
    }

    /// The block goes on after this instruction, but may pause there, as it is a point where interrupts are taken.
    pub(super) fn pause(&mut self) {
        let spill = self.regs.dirty();
        self.e.alu64_imm(Alu::Sub, R12, self.count());
        let hole = self.e.jump_if(Cond::LessEqual);
        self.exits.push(Exit { hole, spill, target: self.pc().wrapping_add(4), count: Count::Done });
        self.segment = self.index + 1;
    }

    /// Ends the block: goes on at the address in EAX, which is computed, after a look at clock and pins.
    pub(super) fn go_to_eax(&mut self) {
        self.go_to_eax_counting(self.count());
    }

    pub(super) fn go_to_eax_counting(&mut self, count: u32) {
        self.e.alu64_imm(Alu::Sub, R12, count);
        let hole = self.e.jump_if(Cond::LessEqual);
        self.bind_far(hole, self.stubs.indirect_slow);
        let hole = self.e.jump();
        self.bind_far(hole, self.stubs.indirect);
    }

    /// Emits what stands behind the block: slow ways, and ways out of its middle.
    pub(super) fn out_of_line(&mut self) {
        for mut slow in core::mem::take(&mut self.slow) {
            if let Some(crossing) = slow.crossing {
                self.look_closer(crossing);
            }
            if let Some(turned) = slow.turned {
                self.turn(turned, &mut slow.holes);
            }
            for hole in slow.holes.iter() {
                self.e.bind_here(hole);
            }
            for (host, guest) in slow.spill.iter() {
                self.e.store(guest.place(), host);
            }
            self.swap_out();
            match &slow.access {
                Some(access) => {
                    self.call_access(access, Place::new(self.source.block, slow.index, slow.since))
                }
                None => {
                    self.load_place(slow.index, slow.since);
                    let hole = self.e.call();
                    self.bind_far(hole, self.stubs.slow);
                }
            }
            // Leaves the flags alone.
            for (host, guest) in slow.reload.iter() {
                self.e.load(host, guest.place());
            }
            self.swap_in();
            if let Some(again) = slow.access.and_then(|access| access.again) {
                let hole = self.e.jump_if(Cond::Below);
                self.e.bind(hole, again);
            }
            let mut exit = Holes::default();
            if let Some(probe) = slow.window {
                self.probe_again(&probe, &mut exit);
            }
            let hole = self.e.jump();
            self.e.bind(hole, slow.resume);
            if slow.window.is_some() {
                // What the slow way left in registers is in memory, too.
                for hole in exit.iter() {
                    self.e.bind_here(hole);
                }
                self.swap_out();
                let next = self.pc_at(slow.index).wrapping_add(4);
                self.go_to_counting(next, false, slow.since as u32 + 1);
            }
        }
        for exit in core::mem::take(&mut self.exits) {
            self.e.bind_here(exit.hole);
            for (host, guest) in exit.spill.iter() {
                self.e.store(guest.place(), host);
            }
            let target = exit.target;
            if let Count::Of(count) = exit.count
                && self.leave_trace(target, count)
            {
                continue;
            }
            self.swap_out();
            match exit.count {
                Count::Of(count) => self.go_to_counting(target, true, count),
                Count::Done => {
                    let site = NewSite { target, sampling: true, jump: None, stub: 0, key: None };
                    self.ask_driver(Holes::default(), site);
                }
                Count::Computed(count) => self.go_to_eax_counting(count),
                Count::Fallback => self.fall_back(),
            }
        }
    }
}
