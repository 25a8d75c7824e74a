//! For engines that execute part of the guest themselves and leave the rest to a [`Core`]: what they must tell it, and
//! what they must ask it.

use crate::core::Core;

impl Core {
    /// Goes on at `pc` after `retired` instructions were executed elsewhere, with their registers already in
    /// [`Core::registers_mut`]. Asynchronous interrupts may be taken before the instruction at `pc`.
    pub fn resume_at(&mut self, pc: u32, retired: u64) {
        self.set_pc(pc, retired);
        self.at_boundary = true;
    }

    /// Whether an interrupt other than by a pin is due as soon as the core samples: a timer's, a debug event's, or a
    /// floating-point exception that was enabled late.
    #[must_use]
    pub fn interrupt_is_due(&self) -> bool {
        self.internal_interrupt()
    }

    /// Whether decoded code of the RAM page at `pa` is held: stores to it that bypass the core's own paths must be
    /// told with [`Core::code_written`], or left to the core.
    #[must_use]
    pub fn holds_code(&self, pa: u64) -> bool {
        self.mmu.is_code_page(pa)
    }

    /// Tells that `len` bytes at `pa` were written by other means than the core's stores.
    pub fn code_written(&mut self, pa: u64, len: u32) {
        self.note_code_write(pa, len);
    }
}
