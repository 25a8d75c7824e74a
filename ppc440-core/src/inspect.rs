//! The shadows of the guest's TLB in words, and recording what becomes of them.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use mmu_core::Mode;

use crate::core::Core;
use crate::options::ShadowPool;

/// Shadows of one guest entry that are listed; the others are counted.
const LISTED: usize = 8;

impl Core {
    /// Which shadows are held, by the guest entry that each was made from.
    #[must_use]
    pub fn describe_shadows(&self) -> String {
        let books = self.mmu.shadow();
        // Writing to a string cannot fail.
        let mut text = String::new();
        let Some(pool) = books.pool() else {
            for index in 0..64 {
                let contexts = books.contexts_of(index);
                if !contexts.is_empty() {
                    let _ = write!(text, "entry {index} is shadowed in context");
                    for ctx in contexts {
                        let _ = write!(text, " {}{}", ctx.0, Who(books.mode_of(ctx)));
                    }
                    text.push('\n');
                }
            }
            return text;
        };
        let mut shadows = books.pooled();
        shadows.sort_by_key(|shadow| (shadow.entry, shadow.context, shadow.page.ea));
        let (held, ShadowPool { pages, policy }) = (shadows.len(), pool);
        let _ = writeln!(text, "{held} of {pages} shadows in use, policy {policy}");
        for group in shadows.chunk_by(|a, b| a.entry == b.entry) {
            let _ = writeln!(text, "entry {} is shadowed by {}", group[0].entry, group.len());
            for shadow in group.iter().take(LISTED) {
                let page = &shadow.page;
                let flag = |on: bool, name: char| if on { name } else { '-' };
                let _ = write!(
                    text,
                    "    {:08x} {:>4} -> {:09x} {}{}{} context {:2}",
                    page.ea.0,
                    Size(page.size),
                    page.pa.0,
                    flag(page.executable, 'x'),
                    flag(page.writable, 'w'),
                    flag(page.readable, 'r'),
                    shadow.context.0,
                );
                let _ = write!(text, "{}", Who(books.mode_of(shadow.context)));
                text.push('\n');
            }
            if group.len() > LISTED {
                let _ = writeln!(text, "    and {} more", group.len() - LISTED);
            }
        }
        text
    }

    /// Records the guest's TLB activity from now on, in the format of [`mmu_core::trace`]: page references, TLB
    /// writes, mode changes and drops. Everything then takes the slow path. Repeated references to the 16 pages that
    /// were used last are left out, which changes nothing for LRU and Belady's optimum with pools of 16 pages and
    /// more.
    pub fn record_tlb(&mut self) {
        self.mmu.record(&self.tlb, self.state.gpr[1]);
    }

    /// What was recorded since the last call; the first piece begins with the trace's head. 4 MB wait at most; what
    /// comes when they are full is left out, and the trace says so.
    pub fn recorded(&mut self) -> Vec<u8> {
        self.mmu.recorded(&self.tlb)
    }

    /// Events that were left out of the recording for want of memory.
    #[must_use]
    pub fn events_lost(&self) -> u64 {
        self.mmu.events_lost()
    }
}

/// Whom a context stands for.
struct Who(Option<Mode>);

impl core::fmt::Display for Who {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Some(mode) = self.0 else { return Ok(()) };
        let who = if mode.user { "user" } else { "super" };
        write!(f, " (pid {:02x}, AS {}, {who})", mode.pid, u8::from(mode.address_space))
    }
}

/// A page size.
struct Size(u32);

impl core::fmt::Display for Size {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (count, unit) = if self.0 >= 1 << 20 { (self.0 >> 20, 'M') } else { (self.0 >> 10, 'K') };
        f.pad(&alloc::format!("{count}{unit}"))
    }
}
