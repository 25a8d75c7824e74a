//! The part of Unicorn's C interface that this engine uses, as a safe type.
//!
//! [`Uc`] is a Unicorn instance set up as a 440 in problem state with a virtual TLB, together with the [`Hooks`] that
//! Unicorn calls while it executes. The hooks' owner is reachable only between executions ([`Uc::hooks`]), so the
//! callbacks never alias a live reference. What is left out on purpose: MMIO, `count`, `timeout` and stops from other
//! threads, all of which are inexact or slow in Unicorn 2.1.5 (a stop from outside repeats a load or store).

use core::cell::UnsafeCell;
use core::ffi::c_void;

use sys::{ControlType, HookType, MemType, PpcCpuModel, RegisterPPC, uc_error};
use unicorn_engine as sys;

/// Size of the buffer for translated code, in bytes. Unicorn's default is 1 GB; each 8-instruction block takes about
/// 600 bytes, and a full buffer only means that everything is translated again.
const CODE_BUFFER: u32 = 16 << 20;

/// Problem state, Unicorn's MSR\[PR\].
pub(crate) const MSR_PR: u32 = 0x4000;
/// Address spaces 1 for fetches and data, Unicorn's MSR\[IS\] and MSR\[DS\].
pub(crate) const MSR_IS_DS: u32 = 0x30;

/// What an access in Unicorn wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    Read,
    Write,
    Fetch,
}

/// One 4 KB translation handed to Unicorn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    /// Physical address of the page, which must be mapped.
    pub(crate) pa: u32,
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) execute: bool,
}

/// What Unicorn calls while it executes.
pub(crate) trait Hooks {
    /// Block `[pc, pc + bytes)` is about to be executed. True stops before its first instruction.
    fn block(&mut self, pc: u32, bytes: u32) -> bool;
    /// Translates the page at `va` for an access; `None` ends the execution with [`End::Refused`].
    fn fill(&mut self, va: u32, wants: Wants) -> Option<Page>;
}

/// Why an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// [`Hooks::block`] asked for it: PC is the first instruction of that block.
    Stopped,
    /// The instruction at PC raised an exception and had no effect.
    Trapped,
    /// The instruction at PC, or its fetch, needs a page that [`Hooks::fill`] refused. It had no effect.
    Refused,
}

/// The registers that move between the core's state and Unicorn's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(crate) gpr: [u32; 32],
    pub(crate) cr: u32,
    pub(crate) lr: u32,
    pub(crate) ctr: u32,
}

/// Registers in the order of [`REGISTER_IDS`]: 32 GPRs, CR, LR, CTR and PC. Unicorn reads and writes four bytes of
/// each.
const REGISTERS: usize = 36;

const REGISTER_IDS: [i32; REGISTERS] = {
    let mut ids = [0; REGISTERS];
    let mut n = 0;
    while n < 32 {
        ids[n] = RegisterPPC::R0 as i32 + n as i32;
        n += 1;
    }
    ids[32] = RegisterPPC::CR as i32;
    ids[33] = RegisterPPC::LR as i32;
    ids[34] = RegisterPPC::CTR as i32;
    ids[35] = RegisterPPC::PC as i32;
    ids
};

/// What the C callbacks point to.
struct Shared<H> {
    hooks: H,
    /// The last end of execution was a trap that the interrupt hook saw.
    trapped: bool,
    stopped: bool,
}

/// A Unicorn instance with its hooks. It is neither `Send` nor `Sync`: it stays on the thread that made it.
pub(crate) struct Uc<H: Hooks> {
    handle: *mut sys::uc_engine,
    shared: Box<UnsafeCell<Shared<H>>>,
    values: Box<[u64; REGISTERS]>,
    pointers: Box<[*mut c_void; REGISTERS]>,
    msr: u32,
}

impl<H: Hooks> core::fmt::Debug for Uc<H> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Uc({:p})", self.handle)
    }
}

/// Turns Unicorn's status into a result.
fn check(status: uc_error) -> Result<(), uc_error> {
    if status == uc_error::OK { Ok(()) } else { Err(status) }
}

const fn write_control(control: ControlType) -> ControlType {
    ControlType(control.0 | ControlType::IO_WRITE.0)
}

unsafe extern "C" fn on_block<H: Hooks>(uc: *mut sys::uc_engine, address: u64, size: u32, data: *mut c_void) {
    // SAFETY: `data` is the `Shared<H>` that `Uc::new` registered; it lives as long as the instance, and nobody
    // refers to it while Unicorn executes (`Uc::execute` takes `&mut self` and keeps no reference).
    let shared = unsafe { &mut *data.cast::<Shared<H>>() };
    if shared.hooks.block(address as u32, size) {
        shared.stopped = true;
        // SAFETY: the instance is alive: it is calling us. Stopping from a block hook is exact.
        unsafe { sys::uc_emu_stop(uc) };
    }
}

unsafe extern "C" fn on_interrupt<H: Hooks>(uc: *mut sys::uc_engine, _number: u32, data: *mut c_void) {
    // SAFETY: as in `on_block`.
    let shared = unsafe { &mut *data.cast::<Shared<H>>() };
    shared.trapped = true;
    // SAFETY: as in `on_block`.
    unsafe { sys::uc_emu_stop(uc) };
}

unsafe extern "C" fn on_fill<H: Hooks>(
    _uc: *mut sys::uc_engine,
    va: u64,
    kind: MemType,
    result: *mut sys::TlbEntry,
    data: *mut c_void,
) -> bool {
    // SAFETY: as in `on_block`; the fill hook is never called from inside another hook.
    let shared = unsafe { &mut *data.cast::<Shared<H>>() };
    let wants = match kind {
        MemType::WRITE => Wants::Write,
        MemType::FETCH => Wants::Fetch,
        _ => Wants::Read,
    };
    let Some(page) = shared.hooks.fill(va as u32, wants) else { return false };
    let mut perms = 0;
    for (allowed, bit) in
        [(page.read, sys::Prot::READ), (page.write, sys::Prot::WRITE), (page.execute, sys::Prot::EXEC)]
    {
        if allowed {
            perms |= bit.0;
        }
    }
    // SAFETY: Unicorn passes a valid place for the answer.
    unsafe { *result = sys::TlbEntry { paddr: u64::from(page.pa), perms: sys::Prot(perms) } };
    true
}

impl<H: Hooks> Uc<H> {
    /// Makes an instance with no memory mapped.
    ///
    /// # Errors
    /// Unicorn's own error.
    pub(crate) fn new(hooks: H) -> Result<Self, uc_error> {
        let mut handle = core::ptr::null_mut();
        // SAFETY: `handle` is a valid place for the result.
        check(unsafe {
            sys::uc_open(sys::Arch::PPC, sys::Mode(sys::Mode::PPC32.0 | sys::Mode::BIG_ENDIAN.0), &mut handle)
        })?;
        let mut values = Box::new([0u64; REGISTERS]);
        let first = values.as_mut_ptr();
        // SAFETY: each pointer stays inside the boxed array, which never moves.
        let pointers = Box::new(core::array::from_fn(|n| unsafe { first.add(n) }.cast::<c_void>()));
        let shared = Box::new(UnsafeCell::new(Shared { hooks, trapped: false, stopped: false }));
        let mut uc = Self { handle, shared, values, pointers, msr: 0 };
        uc.configure()?;
        Ok(uc)
    }

    fn configure(&mut self) -> Result<(), uc_error> {
        let h = self.handle;
        let none = 0u64;
        // SAFETY: the instance is alive; each control gets the arguments that unicorn.h documents for it. The CPU
        // model and the buffer size come first because the others initialise the engine.
        unsafe {
            check(sys::uc_ctl(
                h,
                write_control(ControlType::CPU_MODEL),
                PpcCpuModel::UC_CPU_PPC32_440EPB as i32,
            ))?;
            check(sys::uc_ctl(h, write_control(ControlType::TCG_BUFFER_SIZE), CODE_BUFFER))?;
            check(sys::uc_ctl(h, write_control(ControlType::TLB_TYPE), sys::TlbType::VIRTUAL as i32))?;
            // Without this the `until` of an execution, address 0, would be an exit.
            check(sys::uc_ctl(h, write_control(ControlType::UC_USE_EXITS), 1i32))?;
            check(sys::uc_ctl(h, write_control(ControlType::UC_EXITS), &raw const none, 0usize))?;
        }
        self.hook(HookType::BLOCK, on_block::<H> as *mut c_void)?;
        self.hook(HookType::INTR, on_interrupt::<H> as *mut c_void)?;
        self.hook(HookType::TLB_FILL, on_fill::<H> as *mut c_void)
    }

    fn hook(&mut self, kind: HookType, callback: *mut c_void) -> Result<(), uc_error> {
        let mut id = 0;
        // SAFETY: the callback has the signature that unicorn.h gives for this hook, and its data outlives the
        // instance: `drop` closes the instance before the box is freed. begin > end means every address.
        check(unsafe {
            sys::uc_hook_add(self.handle, &mut id, kind.0 as i32, callback, self.shared.get().cast(), 1, 0)
        })
    }

    /// What the callbacks work on.
    pub(crate) fn hooks(&mut self) -> &mut H {
        &mut self.shared.get_mut().hooks
    }

    /// As [`Uc::hooks`], to look at.
    pub(crate) fn hooks_ref(&self) -> &H {
        // SAFETY: callbacks run only inside `execute` and the like, which take `&mut self`.
        unsafe { &(*self.shared.get()).hooks }
    }

    /// Maps `len` bytes of host memory at physical address `pa`.
    ///
    /// # Safety
    /// `ptr` must be valid for reads and writes of `len` bytes for as long as this instance lives, and nobody may hold
    /// a Rust reference into it while [`Uc::execute`] runs.
    pub(crate) unsafe fn map(&mut self, pa: u32, len: u64, ptr: *mut u8) -> Result<(), uc_error> {
        // SAFETY: promised by the caller.
        check(unsafe { sys::uc_mem_map_ptr(self.handle, u64::from(pa), len, sys::Prot::ALL.0, ptr.cast()) })
    }

    /// Maps one page of Unicorn's own memory at physical address `pa` and fills its start with `words`.
    pub(crate) fn map_code(&mut self, pa: u32, words: &[u32]) -> Result<(), uc_error> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        // SAFETY: the instance is alive; Unicorn allocates the memory and copies the bytes.
        unsafe {
            check(sys::uc_mem_map(self.handle, u64::from(pa), 4096, sys::Prot::ALL.0))?;
            check(sys::uc_mem_write(self.handle, u64::from(pa), bytes.as_ptr().cast(), bytes.len() as u64))
        }
    }

    /// Executes from `pc` with Unicorn's MSR set to `msr`. Returns why it ended, and PC.
    ///
    /// # Errors
    /// A failure inside Unicorn.
    pub(crate) fn execute(&mut self, pc: u32, msr: u32) -> Result<(End, u32), uc_error> {
        self.set_msr(msr)?;
        let shared = self.shared.get_mut();
        (shared.trapped, shared.stopped) = (false, false);
        // SAFETY: the instance is alive. The callbacks get the pointer that they were registered with; `shared` above
        // is not used again before the call returns.
        let status = unsafe { sys::uc_emu_start(self.handle, u64::from(pc), 0, 0, 0) };
        let mut after = 0u64;
        // SAFETY: PC is four bytes, `after` has eight.
        check(unsafe { sys::uc_reg_read(self.handle, RegisterPPC::PC as i32, (&raw mut after).cast()) })?;
        let after = after as u32;
        let shared = self.shared.get_mut();
        match status {
            // Unicorn moves PC past the instruction before it calls the hook, whatever the exception.
            uc_error::OK if shared.trapped => Ok((End::Trapped, after.wrapping_sub(4))),
            uc_error::OK if shared.stopped => Ok((End::Stopped, after)),
            uc_error::EXCEPTION => Ok((End::Refused, after)),
            uc_error::OK => Err(uc_error::EXCEPTION),
            other => Err(other),
        }
    }

    /// Copies the registers out of Unicorn.
    pub(crate) fn read_registers(&mut self, out: &mut Registers) -> Result<(), uc_error> {
        // SAFETY: every pointer has room for eight bytes and every one of these registers is four bytes long.
        check(unsafe {
            sys::uc_reg_read_batch(
                self.handle,
                REGISTER_IDS.as_ptr(),
                self.pointers.as_mut_ptr(),
                REGISTERS as i32 - 1,
            )
        })?;
        for (gpr, value) in out.gpr.iter_mut().zip(self.values.iter()) {
            *gpr = *value as u32;
        }
        (out.cr, out.lr, out.ctr) = (self.values[32] as u32, self.values[33] as u32, self.values[34] as u32);
        Ok(())
    }

    /// Copies the registers into Unicorn. PC is not among them: [`Uc::execute`] sets it.
    pub(crate) fn write_registers(&mut self, from: &Registers) -> Result<(), uc_error> {
        for (value, gpr) in self.values.iter_mut().zip(from.gpr.iter()) {
            *value = u64::from(*gpr);
        }
        (self.values[32], self.values[33], self.values[34]) =
            (from.cr.into(), from.lr.into(), from.ctr.into());
        // SAFETY: as in `read_registers`.
        check(unsafe {
            sys::uc_reg_write_batch(
                self.handle,
                REGISTER_IDS.as_ptr(),
                self.pointers.as_ptr(),
                REGISTERS as i32 - 1,
            )
        })
    }

    /// Reads GPR `n`.
    pub(crate) fn read_gpr(&mut self, n: u32) -> Result<u32, uc_error> {
        let mut value = 0u64;
        // SAFETY: a GPR is four bytes, `value` has eight.
        check(unsafe {
            sys::uc_reg_read(self.handle, RegisterPPC::R0 as i32 + n as i32, (&raw mut value).cast())
        })?;
        Ok(value as u32)
    }

    /// Writes GPR `n`.
    pub(crate) fn write_gpr(&mut self, n: u32, value: u32) -> Result<(), uc_error> {
        let value = u64::from(value);
        // SAFETY: as in `read_gpr`.
        check(unsafe {
            sys::uc_reg_write(self.handle, RegisterPPC::R0 as i32 + n as i32, (&raw const value).cast())
        })
    }

    fn set_msr(&mut self, msr: u32) -> Result<(), uc_error> {
        if self.msr != msr {
            let value = u64::from(msr);
            // SAFETY: MSR is four bytes, `value` has eight.
            check(unsafe {
                sys::uc_reg_write(self.handle, RegisterPPC::MSR as i32, (&raw const value).cast())
            })?;
            self.msr = msr;
        }
        Ok(())
    }

    /// Drops every translation that [`Hooks::fill`] handed out. Translated code stays.
    pub(crate) fn flush_tlb(&mut self) -> Result<(), uc_error> {
        // SAFETY: the instance is alive and not executing.
        check(unsafe { sys::uc_ctl(self.handle, write_control(ControlType::TLB_FLUSH)) })
    }

    /// Drops translated code of `[va, va + bytes)` in the context of the last execution; asks [`Hooks::fill`] where
    /// that is.
    pub(crate) fn remove_code(&mut self, va: u32, bytes: u32) -> Result<(), uc_error> {
        // SAFETY: the instance is alive and not executing.
        check(unsafe {
            sys::uc_ctl(
                self.handle,
                write_control(ControlType::TB_REMOVE_CACHE),
                u64::from(va),
                u64::from(va) + u64::from(bytes) - 1,
            )
        })
    }

    /// Drops all translated code.
    pub(crate) fn flush_code(&mut self) -> Result<(), uc_error> {
        // SAFETY: the instance is alive and not executing.
        check(unsafe { sys::uc_ctl(self.handle, write_control(ControlType::TB_FLUSH)) })
    }
}

impl<H: Hooks> Drop for Uc<H> {
    fn drop(&mut self) {
        // SAFETY: the handle came from `uc_open` and is closed once. The boxes that it points to are freed after.
        unsafe { sys::uc_close(self.handle) };
    }
}

#[cfg(test)]
mod tests {
    use ppc440_core::core::Core;
    use ppc440_core::flat::FlatBus;
    use ppc440_core::state::CpuState;

    use super::*;

    /// Maps every page to itself and never stops.
    struct Identity;

    impl Hooks for Identity {
        fn block(&mut self, _: u32, _: u32) -> bool {
            false
        }
        fn fill(&mut self, va: u32, _: Wants) -> Option<Page> {
            Some(Page { pa: va, read: true, write: true, execute: true })
        }
    }

    const FPSCR_FR: u32 = 0x0004_0000;
    const FPSCR_FI: u32 = 0x0002_0000;
    const MSR_FP: u32 = 0x2000;
    const SC: u32 = 0x4400_0002;

    fn write<T>(uc: &mut Uc<Identity>, register: i32, value: T) {
        // SAFETY: each caller passes a value of the register's size.
        check(unsafe { sys::uc_reg_write(uc.handle, register, (&raw const value).cast()) })
            .expect("register");
    }

    fn read(uc: &mut Uc<Identity>, register: i32) -> u64 {
        let mut value = 0u64;
        // SAFETY: eight bytes hold any of these registers.
        check(unsafe { sys::uc_reg_read(uc.handle, register, (&raw mut value).cast()) }).expect("register");
        value
    }

    /// Operands with every kind of number in them.
    fn operand(random: &mut u64) -> u64 {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        let bits = *random;
        match bits >> 60 {
            0 => bits & 1 << 63,
            1 => bits & 1 << 63 | 0x7FF << 52,
            2 => bits | 0x7FF << 52,
            3 => bits & !(0x7FF << 52),
            4 => f64::from(bits as i32).to_bits(),
            // Exponents close to each other: sums that are inexact.
            _ => bits & !(0x7FF << 52) | (1000 + (bits >> 32 & 63)) << 52,
        }
    }

    /// Executes `word` with f1-f3 as operands on both sides. Returns the differences of f4 and of FPSCR.
    fn both(uc: &mut Uc<Identity>, word: u32, operands: [u64; 3]) -> (bool, u32) {
        let mut state = CpuState::reset(0x4222_18D3);
        (state.pc, state.reset_entry, state.msr) = (0x1000, 0, MSR_FP);
        state.tlb[0] = mmu_core::TlbEntry { word0: 0x210, word1: 0, word2: 0x3F, tid: 0 };
        state.tlb[0].word0 |= 0x1000;
        state.tlb[0].word1 = 0x1000;
        state.fpr[1..4].copy_from_slice(&operands);
        let mut bus = FlatBus::new(0x2000);
        bus.fill(0x1000, &word.to_be_bytes());
        let mut core = Core::new(&state, false);
        assert_eq!(core.step(&mut bus), None);

        for (n, operand) in (1..).zip(operands) {
            write(uc, RegisterPPC::FPR0 as i32 + n, operand);
        }
        write(uc, RegisterPPC::FPR0 as i32 + 4, 0u64);
        write(uc, RegisterPPC::FPSCR as i32, 0u64);
        let code: Vec<u8> = [word, SC].iter().flat_map(|word| word.to_be_bytes()).collect();
        // SAFETY: the page is Unicorn's own, and the slice has the length that is given.
        check(unsafe { sys::uc_mem_write(uc.handle, 0x1000, code.as_ptr().cast(), code.len() as u64) })
            .expect("code");
        assert_eq!(uc.execute(0x1000, MSR_PR | MSR_FP).expect("Unicorn executes"), (End::Trapped, 0x1004));
        let result = read(uc, RegisterPPC::FPR0 as i32 + 4) != core.registers().fpr[4];
        (result, read(uc, RegisterPPC::FPSCR as i32) as u32 ^ core.registers().fpscr)
    }

    /// f4 from f1, f2 and f3 by each arithmetic instruction.
    const ARITHMETIC: [(&str, u32); 14] = [
        ("fadd", 0xFC81_102A),
        ("fsub", 0xFC81_1028),
        ("fmul", 0xFC81_00F2),
        ("fdiv", 0xFC81_1024),
        ("fmadd", 0xFC81_10FA),
        ("fnmsub", 0xFC81_10FC),
        ("fadds", 0xEC81_102A),
        ("fmuls", 0xEC81_00F2),
        ("fdivs", 0xEC81_1024),
        ("fmadds", 0xEC81_10FA),
        ("frsp", 0xFC80_0818),
        ("fctiw", 0xFC80_081C),
        ("fctiwz", 0xFC80_081E),
        ("fcmpu", 0xFC01_1000),
    ];

    /// Why no floating-point instruction is executed by Unicorn. If this fails Unicorn has become better, and
    /// [`crate::scan`] may trust it more.
    #[test]
    fn unicorn_never_sets_fr_so_floating_point_is_for_the_core() {
        let mut random = 0x9E37_79B9_7F4A_7C15;
        let mut wrong_fr = 0;
        for (name, word) in ARITHMETIC {
            let (mut results, mut status, mut bits) = (0, 0, 0);
            for _ in 0..200 {
                // A fresh instance each time would be slow: the page is rewritten, so its code is dropped.
                let mut uc = Uc::new(Identity).expect("Unicorn starts");
                uc.map_code(0x1000, &[SC]).expect("a page");
                let operands = [operand(&mut random), operand(&mut random), operand(&mut random)];
                let (result, fpscr) = both(&mut uc, word, operands);
                results += u32::from(result);
                status += u32::from(fpscr != 0);
                bits |= fpscr;
                wrong_fr += u32::from(fpscr & FPSCR_FR != 0);
            }
            println!("{name}: {results} results and {status} FPSCRs of 200 differ, bits {bits:#010x}");
            // A comparison rounds nothing.
            assert!(name != "fcmpu" || bits & (FPSCR_FR | FPSCR_FI) == 0);
        }
        assert!(wrong_fr > 100, "FR was wrong only {wrong_fr} times");
    }
}
