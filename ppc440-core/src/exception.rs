//! Exceptions and interrupts: which vector, which save registers, which MSR bits survive (IBM PPC440x5 core manual,
//! interrupts and exceptions; facts section 2.5).

use crate::bits::{self, msr};
use crate::core::Core;

/// Interrupt types by their IVOR number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Interrupt {
    /// Critical input.
    CriticalInput = 0,
    /// Machine check.
    MachineCheck = 1,
    /// Data storage: a permission failed.
    DataStorage = 2,
    /// Instruction storage: no execute permission.
    InstructionStorage = 3,
    /// External input.
    External = 4,
    /// Alignment.
    Alignment = 5,
    /// Program: illegal, privileged, trap, floating-point enabled.
    Program = 6,
    /// Floating-point unavailable: MSR\[FP\] is 0.
    FpUnavailable = 7,
    /// System call.
    SystemCall = 8,
    /// Auxiliary processor unavailable.
    ApUnavailable = 9,
    /// Decrementer.
    Decrementer = 10,
    /// Fixed interval timer.
    FixedIntervalTimer = 11,
    /// Watchdog timer.
    Watchdog = 12,
    /// Data TLB error: no entry matches.
    DataTlb = 13,
    /// Instruction TLB error: no entry matches.
    InstructionTlb = 14,
    /// Debug.
    Debug = 15,
}

/// A synchronous exception on its way to its vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The vector.
    pub interrupt: Interrupt,
    /// New ESR (without MCI, which is kept); `None` leaves ESR alone.
    pub esr: Option<u32>,
    /// New DEAR; `None` leaves DEAR alone.
    pub dear: Option<u32>,
}

impl Exception {
    /// An exception that sets neither ESR nor DEAR.
    #[must_use]
    pub const fn plain(interrupt: Interrupt) -> Self {
        Self { interrupt, esr: None, dear: None }
    }
    /// A program exception with its cause.
    #[must_use]
    pub const fn program(cause: u32) -> Self {
        Self { interrupt: Interrupt::Program, esr: Some(cause), dear: None }
    }
    /// A data-side exception at address `dear`.
    #[must_use]
    pub const fn data(interrupt: Interrupt, esr: u32, dear: u32) -> Self {
        Self { interrupt, esr: Some(esr), dear: Some(dear) }
    }
}

/// Synchronous exceptions that may follow each other with no instruction completing in between before the guest is
/// declared unable to go on: two vectors that fault on each other have shown themselves by then.
const FATAL_CHAIN: u32 = 64;

impl Core {
    /// Goes to the vector of `exception`, which stands for the instruction at `return_to` (or the next one, for sc and
    /// asynchronous interrupts). The caller has accounted the instructions retired so far.
    pub(crate) fn deliver(&mut self, exception: Exception, return_to: u32) {
        let Exception { interrupt, esr, dear } = exception;
        let msr = self.begin_interrupt(interrupt, esr, dear, return_to);
        self.set_msr(msr);
    }

    /// Everything of [`Core::deliver`] but the new MSR, which is returned. Inlined, so that a known interrupt costs no more than
    /// it must.
    #[inline(always)]
    pub(crate) fn begin_interrupt(
        &mut self,
        interrupt: Interrupt,
        esr: Option<u32>,
        dear: Option<u32>,
        return_to: u32,
    ) -> u32 {
        let s = &mut self.state;
        if let Some(cause) = esr {
            s.esr = (s.esr & bits::esr::MCI) | cause;
        }
        if let Some(address) = dear {
            s.dear = address;
        }
        let old = s.msr;
        let kept = match interrupt {
            Interrupt::CriticalInput | Interrupt::Watchdog | Interrupt::Debug => {
                s.csrr = [return_to, old];
                msr::ME
            }
            Interrupt::MachineCheck => {
                // The 440EP's Linux expects CSRR, U-Boot and the "A" cores' Linux MCSRR: both get the state.
                s.csrr = [return_to, old];
                s.mcsrr = [return_to, old];
                s.esr |= bits::esr::MCI;
                0
            }
            _ => {
                s.srr = [return_to, old];
                msr::CE | msr::ME | msr::DE
            }
        };
        let vector = (s.ivpr & 0xFFFF_0000) | (s.ivor[interrupt as usize] & 0xFFF0);
        s.pc = vector;
        self.seq_pc = vector;
        self.chain += 1;
        self.chain_interrupt = interrupt;
        self.context_synchronize();
        old & kept
    }

    /// True once exceptions have followed each other for so long, with nothing completing, that they always will.
    pub(crate) fn is_fatal(&self) -> bool {
        self.chain > FATAL_CHAIN
    }
}
