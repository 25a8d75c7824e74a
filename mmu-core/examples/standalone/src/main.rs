//! A project of its own that uses mmu-core for the MMU of a toy engine: a direct-mapped table answers
//! most accesses, and the bookkeeping keeps the table true to the guest's TLB.

use mmu_core::policy::Lru;
use mmu_core::{
    Access, ContextId, EffectiveAddress, Fault, Mode, PageSize, PhysicalAddress, Shadow, ShadowPage,
    ShadowSink, ShadowStorage, Tlb, TlbEntry,
};

/// One line of the engine's table.
#[derive(Copy, Clone)]
struct Line {
    ctx: ContextId,
    page: ShadowPage,
}

/// 256 lines of 4 KiB pages, chosen by page number and context.
struct SoftTlb {
    lines: [Option<Line>; 256],
}

impl SoftTlb {
    fn place(ctx: ContextId, ea: EffectiveAddress) -> usize {
        ((ea.0 >> 12) as usize ^ usize::from(ctx.0) << 3) % 256
    }

    fn probe(&self, ctx: ContextId, ea: EffectiveAddress, access: Access) -> Option<PhysicalAddress> {
        let line = self.lines[Self::place(ctx, ea)]?;
        (line.ctx == ctx && line.page.contains(ea) && line.page.allows(access))
            .then(|| line.page.translate(ea))
    }
}

impl ShadowSink for SoftTlb {
    fn install(&mut self, ctx: ContextId, page: &ShadowPage) {
        self.lines[Self::place(ctx, page.ea)] = Some(Line { ctx, page: *page });
    }

    fn drop(&mut self, ctx: ContextId, page: &ShadowPage) {
        // Another page may have taken the line meanwhile; dropping it too would be allowed.
        let line = &mut self.lines[Self::place(ctx, page.ea)];
        if line.is_some_and(|line| line.ctx == ctx && line.page.ea == page.ea) {
            *line = None;
        }
    }

    fn drop_context(&mut self, ctx: ContextId) {
        for line in &mut self.lines {
            if line.is_some_and(|line| line.ctx == ctx) {
                *line = None;
            }
        }
    }

    fn drop_all(&mut self) {
        self.lines = [None; 256];
    }
}

/// The engine owns everything: nothing borrows from anything else.
struct Machine {
    tlb: Tlb,
    shadow: Shadow<Box<ShadowStorage<1024>>, Lru>,
    soft: SoftTlb,
    slow: u32,
}

impl Machine {
    fn access(&mut self, mode: Mode, ea: u32, access: Access) -> Result<PhysicalAddress, Fault> {
        let ea = EffectiveAddress(ea);
        let ctx = self.shadow.context(mode, &mut self.soft);
        if let Some(pa) = self.soft.probe(ctx, ea, access) {
            return Ok(pa);
        }
        self.slow += 1;
        let page = self.shadow.fill(&self.tlb, ctx, mode, ea, access, &mut self.soft)?;
        Ok(page.translate(ea))
    }
}

fn main() -> Result<(), Fault> {
    let mut machine = Machine {
        tlb: Tlb::new(),
        shadow: Shadow::new(Box::default(), 16, Lru::new()),
        soft: SoftTlb { lines: [None; 256] },
        slow: 0,
    };
    let kernel = TlbEntry {
        word0: 0xc000_0000 | TlbEntry::V | u32::from(PageSize::M256.code()) << TlbEntry::SIZE_SHIFT,
        word1: 0,
        word2: TlbEntry::SR | TlbEntry::SW | TlbEntry::SX,
        tid: 0,
    };
    machine.shadow.set_entry(&mut machine.tlb, 63, kernel, &mut machine.soft);
    let mode = |pid, user| Mode { pid, address_space: false, user };
    for round in 0..1000u32 {
        // The kernel runs under the PID of whoever called it.
        let pid = (round % 2) as u8 + 1;
        let ea = 0xc000_0000 + (round % 10 << 12);
        assert_eq!(
            machine.access(mode(pid, false), ea, Access::Fetch)?,
            PhysicalAddress((ea & 0xfff_ffff).into())
        );
        assert_eq!(machine.access(mode(pid, true), ea, Access::Fetch), Err(Fault::Protection));
    }
    println!("{} entries, {} slow accesses", Tlb::<64>::ENTRIES, machine.slow);
    println!("{}", machine.tlb.entry(63));
    println!("{:?}", machine.shadow.stats());
    Ok(())
}
