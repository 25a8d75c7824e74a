//! Made-up traces, to try the lab without a recording: a guest that refills its TLB as Linux on a 440
//! does (round robin below two pinned kernel entries, three `tlbwe` for a refill), under three
//! patterns of use. They show that the lab works; they are not measurements of Linux.

use mmu_core::trace::{Encoder, Event, MAGIC, Outcome};
use mmu_core::{Access, EffectiveAddress, Mode, PageSize, Tlb, TlbEntry};

struct Guest {
    tlb: Tlb,
    encoder: Encoder,
    bytes: Vec<u8>,
    mode: Mode,
    /// The entry that the next refill replaces.
    next: u8,
    random: u64,
}

/// Linux pins the kernel in the highest entries and refills the others.
const HIGH_WATER: u8 = 61;

impl Guest {
    fn new() -> Self {
        let mut guest = Self {
            tlb: Tlb::new(),
            encoder: Encoder::new(),
            bytes: MAGIC.to_vec(),
            mode: Mode::default(),
            next: 0,
            random: 440,
        };
        guest.switch(0, false);
        for (index, ea) in [(63, 0xc000_0000), (62, 0xd000_0000)] {
            let word0 = ea | TlbEntry::V | u32::from(PageSize::M256.code()) << TlbEntry::SIZE_SHIFT;
            guest.write(index, 1, ea - 0xc000_0000, 0);
            guest.write(index, 2, TlbEntry::SR | TlbEntry::SW | TlbEntry::SX, 0);
            guest.write(index, 0, word0, 0);
        }
        guest
    }

    fn record(&mut self, event: Event) {
        let record = self.encoder.encode(&event);
        self.bytes.extend_from_slice(record.as_bytes());
    }

    fn below(&mut self, n: u32) -> u32 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((self.random >> 32) * u64::from(n)) >> 32) as u32
    }

    fn switch(&mut self, pid: u8, user: bool) {
        self.mode = Mode { pid, address_space: false, user };
        self.record(Event::Mode { pid, instruction_space: false, data_space: false, user });
    }

    fn write(&mut self, index: u8, ws: u8, value: u32, stid: u8) {
        self.tlb.write_word(index, ws, value, stid);
        self.record(Event::Write { index, ws, value, stid: if ws == 0 { stid } else { 0 } });
    }

    /// One reference; a miss runs the guest's handler, which touches the kernel's tables.
    fn touch(&mut self, ea: u32, access: Access) {
        let ea = EffectiveAddress(ea);
        let mode = self.mode;
        let missed = self.tlb.translate(ea, access, mode).is_err();
        let outcome = if missed { Outcome::GuestMiss } else { Outcome::Hit };
        self.record(Event::Access { ea, access, outcome });
        if missed {
            self.switch(mode.pid, false);
            self.touch(0xc000_0400, Access::Fetch);
            self.touch(0xc100_0000 + (u32::from(mode.pid) << 13) + (ea.0 >> 21 << 2), Access::Load);
            self.touch(
                0xc200_0000 + (u32::from(mode.pid) << 20) + (ea.0 >> 12 << 3) % 0x10_0000,
                Access::Load,
            );
            let index = self.next;
            self.next = if index == HIGH_WATER { 0 } else { index + 1 };
            let word0 =
                (ea.0 & !0xfff) | TlbEntry::V | u32::from(PageSize::K4.code()) << TlbEntry::SIZE_SHIFT;
            let frame = (ea.0 >> 12).wrapping_mul(0x9e37) & 0x7fff;
            self.write(index, 1, frame << 12, mode.pid);
            self.write(index, 0, word0, mode.pid);
            self.write(index, 2, 0x3f, mode.pid);
            self.switch(mode.pid, mode.user);
            self.touch(ea.0, access);
        }
    }

    /// A few steps of a program: code, stack and data, most of it near the last.
    fn compute(&mut self, steps: u32, code_pages: u32, data_pages: u32) {
        let (mut code, stack) = (0, 0x7fff_f000 - (u32::from(self.mode.pid) << 13));
        self.record(Event::Stack { sp: EffectiveAddress(stack) });
        for _ in 0..steps {
            if self.below(4) == 0 {
                code = self.below(code_pages);
            }
            self.touch(0x1000_0000 + (code << 12), Access::Fetch);
            self.touch(stack, Access::Store);
            // Low pages are popular.
            let page = self.below(data_pages).min(self.below(data_pages)).min(self.below(data_pages));
            self.touch(0x1800_0000 + (page << 12), Access::Load);
        }
    }

    fn system_call(&mut self, work: u32) {
        let mode = self.mode;
        // The kernel runs with PID 0 while it does not touch user memory.
        self.switch(0, false);
        for _ in 0..work {
            let code = self.below(24);
            self.touch(0xc001_0000 + (code << 12), Access::Fetch);
            let data = self.below(40);
            self.touch(0xc0a0_0000 + (data << 12) + (u32::from(mode.pid) << 16), Access::Load);
        }
        self.switch(mode.pid, mode.user);
    }
}

/// The trace of that name.
pub(crate) fn trace(name: &str) -> Result<Vec<u8>, String> {
    let mut guest = Guest::new();
    match name {
        // Much of the kernel, once; then short-lived programs.
        "boot" => {
            for step in 0..6000u32 {
                let page = if step % 3 == 0 { step / 8 } else { guest.below(60) };
                guest.touch(0xc000_0000 + (page << 12), Access::Fetch);
                let data = guest.below(600);
                guest.touch(0xc080_0000 + (data << 12), Access::Store);
            }
            for pid in 1..20 {
                guest.switch(pid, true);
                for _ in 0..10 {
                    guest.compute(20, 20, 30);
                    guest.system_call(12);
                }
            }
        }
        // One large program, now and then the kernel.
        "compile" => {
            guest.switch(5, true);
            for _ in 0..250 {
                guest.compute(60, 150, 400);
                guest.system_call(10);
            }
        }
        // Two small programs that wake each other.
        "pipe" => {
            for turn in 0..2000u32 {
                guest.switch(3 + (turn % 2) as u8, true);
                guest.compute(3, 4, 6);
                guest.system_call(6);
            }
        }
        other => return Err(format!("No synthetic trace {other}; there are boot, compile, pipe")),
    }
    Ok(guest.bytes)
}
