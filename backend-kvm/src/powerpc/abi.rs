//! The user interface of KVM on a 32-bit PowerPC 440 host: request numbers, structures, constants.
//!
//! Specified by Linux's `linux/kvm.h` and `asm/kvm.h` for powerpc up to 3.15, the last version with a KVM for the 440;
//! every number, size and offset below was read off a running 3.12 host and is held by assertions. The structures
//! have the same layout on every host (all alignments are natural and at most 8), the request numbers are PowerPC's
//! on every host, so that the tests of the run loop are the same everywhere. Left out: what a 440's KVM does not
//! have (dirty log, irqfd, MP state, the e500's software TLB) and the debug sections, which it does not fill.
//!
//! One of this crate's places with unsafe code: structures as bytes.
#![expect(unsafe_code, reason = "structures as bytes for the kernel")]

/// PowerPC's encoding of a request: 13 bits of size, and a direction of none 1, read 2, write 4 at bit 29. The generic
/// encoding of other architectures differs in all of it.
const fn request(direction: u32, number: u32, size: usize) -> u32 {
    assert!(size < 1 << 13);
    (direction << 29) | ((size as u32) << 16) | (KVMIO << 8) | number
}
const fn io(number: u32) -> u32 {
    request(1, number, 0)
}
const fn ior<T>(number: u32) -> u32 {
    request(2, number, size_of::<T>())
}
const fn iow<T>(number: u32) -> u32 {
    request(4, number, size_of::<T>())
}
const fn iowr<T>(number: u32) -> u32 {
    request(6, number, size_of::<T>())
}

/// The type letter of all requests.
const KVMIO: u32 = 0xAE;

/// Asks for the API version.
pub(crate) const GET_API_VERSION: u32 = io(0x00);
/// Makes a virtual machine; returns its descriptor.
pub(crate) const CREATE_VM: u32 = io(0x01);
/// Asks for a capability: 0 is absent.
pub(crate) const CHECK_EXTENSION: u32 = io(0x03);
/// Bytes of the run page.
pub(crate) const GET_VCPU_MMAP_SIZE: u32 = io(0x04);
/// Makes a virtual CPU; returns its descriptor.
pub(crate) const CREATE_VCPU: u32 = io(0x41);
/// Gives the guest memory.
pub(crate) const SET_USER_MEMORY_REGION: u32 = iow::<MemoryRegion>(0x46);
/// Runs the guest until something needs user space.
pub(crate) const RUN: u32 = io(0x80);
/// Copies the base registers out.
pub(crate) const GET_REGS: u32 = ior::<Regs>(0x81);
/// Copies the base registers in.
pub(crate) const SET_REGS: u32 = iow::<Regs>(0x82);
/// Copies the special registers out.
pub(crate) const GET_SREGS: u32 = ior::<Sregs>(0x83);
/// Copies the special registers in.
pub(crate) const SET_SREGS: u32 = iow::<Sregs>(0x84);
/// Translates an effective address by the guest's TLB.
pub(crate) const TRANSLATE: u32 = iowr::<Translation>(0x85);
/// Drives the external interrupt input.
pub(crate) const INTERRUPT: u32 = iow::<u32>(0x86);
/// Sets the signal mask that holds while the guest runs. The number counts only the length word.
pub(crate) const SET_SIGNAL_MASK: u32 = iow::<u32>(0x8b);
/// Turns a capability of a virtual CPU on.
pub(crate) const ENABLE_CAP: u32 = iow::<EnableCap>(0xa3);
/// Reads one register.
pub(crate) const GET_ONE_REG: u32 = iow::<OneReg>(0xab);
/// Writes one register.
pub(crate) const SET_ONE_REG: u32 = iow::<OneReg>(0xac);

/// The only API version there is since 2007.
pub(crate) const API_VERSION: i32 = 12;

/// Capabilities that matter here, by their names in `linux/kvm.h`.
pub(crate) mod cap {
    /// Memory by `KVM_SET_USER_MEMORY_REGION`.
    pub(crate) const USER_MEMORY: u32 = 3;
    /// Segment registers: a Book III-S host, no Book E one.
    pub(crate) const PPC_SEGSTATE: u32 = 43;
    /// `KVM_INTERRUPT_UNSET`.
    pub(crate) const PPC_UNSET_IRQ: u32 = 53;
    /// `KVM_ENABLE_CAP`.
    pub(crate) const ENABLE_CAP: u32 = 54;
    /// `KVM_INTERRUPT_SET_LEVEL`.
    pub(crate) const PPC_IRQ_LEVEL: u32 = 58;
    /// Book E special registers in `kvm_sregs`.
    pub(crate) const PPC_BOOKE_SREGS: u32 = 62;
    /// The e500's shared software TLB, which a 440 does not have.
    pub(crate) const SW_TLB: u32 = 69;
    /// `KVM_GET_ONE_REG` and `KVM_SET_ONE_REG`.
    pub(crate) const ONE_REG: u32 = 70;
    /// Exits when the guest's watchdog expires for the last time.
    pub(crate) const PPC_BOOKE_WATCHDOG: u32 = 83;
}

/// Reasons for which `KVM_RUN` returns.
pub(crate) mod exit {
    /// Not understood; the payload says more.
    pub(crate) const UNKNOWN: u32 = 0;
    /// A debug event.
    pub(crate) const DEBUG: u32 = 4;
    /// An access to what is not memory.
    pub(crate) const MMIO: u32 = 6;
    /// A signal came.
    pub(crate) const INTR: u32 = 10;
    /// mtdcr or mfdcr.
    pub(crate) const DCR: u32 = 15;
    /// The guest's watchdog expired for the last time.
    pub(crate) const WATCHDOG: u32 = 21;
}

/// `KVM_INTERRUPT`: asserted until the guest takes the interrupt.
pub(crate) const INTERRUPT_SET: u32 = 0_u32.wrapping_sub(1);
/// `KVM_INTERRUPT`: withdrawn.
pub(crate) const INTERRUPT_UNSET: u32 = 0_u32.wrapping_sub(2);
/// `KVM_INTERRUPT`: asserted until withdrawn.
pub(crate) const INTERRUPT_SET_LEVEL: u32 = 0_u32.wrapping_sub(3);

/// `kvm_sregs.u.e.features`: CSRR0/1, ESR, DEAR, MCSR, TSR, TCR, DEC, TB, USPRG0.
pub(crate) const FEATURE_BASE: u32 = 1 << 0;
/// `kvm_sregs.u.e.features`: PIR, MCSRR0/1, DECAR, IVPR.
pub(crate) const FEATURE_ARCH206: u32 = 1 << 1;
/// `kvm_sregs.u.e.features`: IVOR0-15.
pub(crate) const FEATURE_IVOR: u32 = 1 << 5;
/// `kvm_sregs.u.e.update_special`: without its bit a register that runs on by itself is not set.
pub(crate) const UPDATE_MCSR: u32 = 1 << 0;
/// See [`UPDATE_MCSR`].
pub(crate) const UPDATE_TSR: u32 = 1 << 1;
/// See [`UPDATE_MCSR`].
pub(crate) const UPDATE_DEC: u32 = 1 << 2;

/// Number of `KVM_GET_ONE_REG`: a 64-bit PowerPC register.
const ONE_REG_U64: u64 = 0x1030_0000_0000_0000;
/// Instruction address compare 1-4 follow each other.
pub(crate) const ONE_REG_IAC1: u64 = ONE_REG_U64 | 2;
/// Data address compare 1 and 2 follow each other.
pub(crate) const ONE_REG_DAC1: u64 = ONE_REG_U64 | 6;

/// A structure of integers only, in which every byte has a meaning of its own.
///
/// # Safety
/// `repr(C)`, any bit pattern valid, no padding.
pub(crate) unsafe trait Plain: Copy {
    /// The structure as the kernel sees it.
    fn bytes(&self) -> &[u8] {
        // SAFETY: the implementer vouches that all bytes are initialised (no padding); the borrow is `self`'s.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), size_of::<Self>()) }
    }
    /// As [`Plain::bytes`], to be written.
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and the implementer vouches that any bytes are a value.
        unsafe { std::slice::from_raw_parts_mut(std::ptr::from_mut(self).cast(), size_of::<Self>()) }
    }
}

macro_rules! plain {
    ($($type:ty: $size:literal),* $(,)?) => { $(
        const _: () = assert!(size_of::<$type>() == $size);
        // SAFETY: repr(C), integers and arrays of them only; the sizes of the fields sum up to the asserted size (the
        // assertions on offsets below and the test `no_structure_has_padding` hold that).
        unsafe impl Plain for $type {}
    )* };
}

plain! {
    u32: 4,
    MemoryRegion: 32,
    Regs: 392,
    Sregs: 1232,
    Translation: 24,
    EnableCap: 104,
    OneReg: 16,
    SignalMask: 12,
}

/// `struct kvm_userspace_memory_region`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct MemoryRegion {
    pub(crate) slot: u32,
    pub(crate) flags: u32,
    pub(crate) guest_phys_addr: u64,
    pub(crate) memory_size: u64,
    pub(crate) userspace_addr: u64,
}

/// `struct kvm_regs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Regs {
    pub(crate) pc: u64,
    pub(crate) cr: u64,
    pub(crate) ctr: u64,
    pub(crate) lr: u64,
    pub(crate) xer: u64,
    pub(crate) msr: u64,
    pub(crate) srr0: u64,
    pub(crate) srr1: u64,
    pub(crate) pid: u64,
    pub(crate) sprg: [u64; 8],
    pub(crate) gpr: [u64; 32],
}

/// `struct kvm_sregs` with its Book E part.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Sregs {
    pub(crate) pvr: u32,
    gap: u32,
    implementation: [u8; 256],
    pub(crate) features: u32,
    pub(crate) impl_id: u32,
    pub(crate) update_special: u32,
    pub(crate) pir: u32,
    sprg8_9: [u64; 2],
    pub(crate) csrr0: u64,
    dsrr0: u64,
    pub(crate) mcsrr0: u64,
    pub(crate) csrr1: u32,
    dsrr1: u32,
    pub(crate) mcsrr1: u32,
    pub(crate) esr: u32,
    pub(crate) dear: u64,
    pub(crate) ivpr: u64,
    mcivpr: u64,
    pub(crate) mcsr: u64,
    pub(crate) tsr: u32,
    pub(crate) tcr: u32,
    pub(crate) decar: u32,
    pub(crate) dec: u32,
    pub(crate) tb: u64,
    debug: [u32; 14],
    /// USPRG0 by its other name.
    pub(crate) vrsave: u32,
    epcr: u32,
    mas: [u32; 8],
    pub(crate) ivor_low: [u32; 16],
    rest: [u32; 170],
}

impl Default for Sregs {
    fn default() -> Self {
        Self {
            pvr: 0,
            gap: 0,
            implementation: [0; 256],
            features: 0,
            impl_id: 0,
            update_special: 0,
            pir: 0,
            sprg8_9: [0; 2],
            csrr0: 0,
            dsrr0: 0,
            mcsrr0: 0,
            csrr1: 0,
            dsrr1: 0,
            mcsrr1: 0,
            esr: 0,
            dear: 0,
            ivpr: 0,
            mcivpr: 0,
            mcsr: 0,
            tsr: 0,
            tcr: 0,
            decar: 0,
            dec: 0,
            tb: 0,
            debug: [0; 14],
            vrsave: 0,
            epcr: 0,
            mas: [0; 8],
            ivor_low: [0; 16],
            rest: [0; 170],
        }
    }
}

/// `struct kvm_translation`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Translation {
    pub(crate) linear_address: u64,
    pub(crate) physical_address: u64,
    pub(crate) valid: u8,
    pub(crate) writeable: u8,
    pub(crate) usermode: u8,
    pad: [u8; 5],
}

/// `struct kvm_enable_cap`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct EnableCap {
    pub(crate) cap: u32,
    pub(crate) flags: u32,
    pub(crate) args: [u64; 4],
    pad: [u8; 64],
}

impl EnableCap {
    /// Asks for a capability without arguments.
    pub(crate) const fn new(cap: u32) -> Self {
        Self { cap, flags: 0, args: [0; 4], pad: [0; 64] }
    }
}

/// `struct kvm_one_reg`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct OneReg {
    pub(crate) id: u64,
    /// Address of the value.
    pub(crate) addr: u64,
}

/// `struct kvm_signal_mask` with the kernel's set of 64 signals: signal n is bit (n - 1) modulo the width of a `long`
/// of the `long` with number (n - 1) divided by that width.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct SignalMask {
    /// Bytes of `set`.
    pub(crate) len: u32,
    pub(crate) set: [u8; 8],
}

impl SignalMask {
    /// The set of the signals that `blocked` names.
    pub(crate) fn new(blocked: impl Fn(u32) -> bool) -> Self {
        let long = size_of::<std::ffi::c_ulong>();
        let mut set = [0; 8];
        for signal in (1..=64).filter(|&signal| blocked(signal)) {
            let bit = signal as usize - 1;
            let (word, bit) = (bit / (8 * long), bit % (8 * long));
            let byte = if cfg!(target_endian = "big") { long - 1 - bit / 8 } else { bit / 8 };
            set[word * long + byte] |= 1 << (bit % 8);
        }
        Self { len: 8, set }
    }
}

/// `struct kvm_run`: the page that a virtual CPU shares with the kernel.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Run {
    pub(crate) request_interrupt_window: u8,
    padding1: [u8; 7],
    pub(crate) exit_reason: u32,
    pub(crate) ready_for_interrupt_injection: u8,
    padding2: [u8; 3],
    x86: [u64; 2],
    /// What the reason is about; a union in C.
    pub(crate) payload: [u8; 256],
    pub(crate) valid_regs: u64,
    pub(crate) dirty_regs: u64,
    shared: [u64; 256],
}

impl Run {
    /// A page of zeros.
    #[cfg(test)]
    pub(crate) const ZERO: Self = Self {
        request_interrupt_window: 0,
        padding1: [0; 7],
        exit_reason: 0,
        ready_for_interrupt_injection: 0,
        padding2: [0; 3],
        x86: [0; 2],
        payload: [0; 256],
        valid_regs: 0,
        dirty_regs: 0,
        shared: [0; 256],
    };

    /// A `u32` of the payload.
    pub(crate) fn word(&self, at: usize) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.payload[at..at + 4]);
        u32::from_ne_bytes(bytes)
    }
    /// A `u64` of the payload.
    pub(crate) fn long(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.payload[at..at + 8]);
        u64::from_ne_bytes(bytes)
    }
}

/// Offsets inside [`Run::payload`].
pub(crate) mod payload {
    /// MMIO: physical address, `u64`.
    pub(crate) const MMIO_ADDRESS: usize = 0;
    /// MMIO: the data as they lie in memory, 8 bytes.
    pub(crate) const MMIO_DATA: usize = 8;
    /// MMIO: bytes, `u32`.
    pub(crate) const MMIO_LEN: usize = 16;
    /// MMIO: 1 for a write, `u8`.
    pub(crate) const MMIO_IS_WRITE: usize = 20;
    /// DCR: number, `u32`.
    pub(crate) const DCR_NUMBER: usize = 0;
    /// DCR: value, `u32`.
    pub(crate) const DCR_DATA: usize = 4;
    /// DCR: 1 for a write, `u8`.
    pub(crate) const DCR_IS_WRITE: usize = 8;
    /// Unknown: the hardware's reason, `u64`.
    pub(crate) const HARDWARE_REASON: usize = 0;
}

/// On a PowerPC host the C library's macros must build the same numbers from the same structures.
#[cfg(all(target_os = "linux", target_arch = "powerpc"))]
const _: () = {
    use libc::{_IO, _IOR, _IOW, _IOWR};
    const fn same(ours: u32, theirs: libc::Ioctl) {
        assert!(ours as libc::Ioctl == theirs);
    }
    same(GET_API_VERSION, _IO(KVMIO, 0x00));
    same(CREATE_VM, _IO(KVMIO, 0x01));
    same(CHECK_EXTENSION, _IO(KVMIO, 0x03));
    same(GET_VCPU_MMAP_SIZE, _IO(KVMIO, 0x04));
    same(CREATE_VCPU, _IO(KVMIO, 0x41));
    same(SET_USER_MEMORY_REGION, _IOW::<MemoryRegion>(KVMIO, 0x46));
    same(RUN, _IO(KVMIO, 0x80));
    same(GET_REGS, _IOR::<Regs>(KVMIO, 0x81));
    same(SET_REGS, _IOW::<Regs>(KVMIO, 0x82));
    same(GET_SREGS, _IOR::<Sregs>(KVMIO, 0x83));
    same(SET_SREGS, _IOW::<Sregs>(KVMIO, 0x84));
    same(TRANSLATE, _IOWR::<Translation>(KVMIO, 0x85));
    same(INTERRUPT, _IOW::<u32>(KVMIO, 0x86));
    same(SET_SIGNAL_MASK, _IOW::<u32>(KVMIO, 0x8b));
    same(ENABLE_CAP, _IOW::<EnableCap>(KVMIO, 0xa3));
    same(GET_ONE_REG, _IOW::<OneReg>(KVMIO, 0xab));
    same(SET_ONE_REG, _IOW::<OneReg>(KVMIO, 0xac));
};

/// What was read off the running host.
const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<Run>() == 2352);
    assert!(offset_of!(Run, request_interrupt_window) == 0);
    assert!(offset_of!(Run, exit_reason) == 8);
    assert!(offset_of!(Run, ready_for_interrupt_injection) == 12);
    assert!(offset_of!(Run, payload) + payload::MMIO_ADDRESS == 32);
    assert!(offset_of!(Run, payload) + payload::MMIO_DATA == 40);
    assert!(offset_of!(Run, payload) + payload::MMIO_LEN == 48);
    assert!(offset_of!(Run, payload) + payload::MMIO_IS_WRITE == 52);
    assert!(offset_of!(Run, payload) + payload::DCR_NUMBER == 32);
    assert!(offset_of!(Run, payload) + payload::DCR_DATA == 36);
    assert!(offset_of!(Run, payload) + payload::DCR_IS_WRITE == 40);
    assert!(offset_of!(Run, payload) + payload::HARDWARE_REASON == 32);
    assert!(offset_of!(Sregs, features) == 264);
    assert!(offset_of!(Sregs, update_special) == 272);
    assert!(offset_of!(Sregs, pir) == 276);
    assert!(offset_of!(Sregs, csrr0) == 296);
    assert!(offset_of!(Sregs, mcsrr0) == 312);
    assert!(offset_of!(Sregs, csrr1) == 320);
    assert!(offset_of!(Sregs, mcsrr1) == 328);
    assert!(offset_of!(Sregs, esr) == 332);
    assert!(offset_of!(Sregs, dear) == 336);
    assert!(offset_of!(Sregs, ivpr) == 344);
    assert!(offset_of!(Sregs, mcsr) == 360);
    assert!(offset_of!(Sregs, tsr) == 368);
    assert!(offset_of!(Sregs, tcr) == 372);
    assert!(offset_of!(Sregs, decar) == 376);
    assert!(offset_of!(Sregs, dec) == 380);
    assert!(offset_of!(Sregs, tb) == 384);
    assert!(offset_of!(Sregs, vrsave) == 448);
    assert!(offset_of!(Sregs, ivor_low) == 488);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_numbers_are_those_of_a_running_host() {
        let known = [
            (GET_API_VERSION, 0x2000_ae00),
            (CREATE_VM, 0x2000_ae01),
            (CHECK_EXTENSION, 0x2000_ae03),
            (GET_VCPU_MMAP_SIZE, 0x2000_ae04),
            (CREATE_VCPU, 0x2000_ae41),
            (SET_USER_MEMORY_REGION, 0x8020_ae46),
            (RUN, 0x2000_ae80),
            (GET_REGS, 0x4188_ae81),
            (SET_REGS, 0x8188_ae82),
            (GET_SREGS, 0x44d0_ae83),
            (SET_SREGS, 0x84d0_ae84),
            (TRANSLATE, 0xc018_ae85),
            (INTERRUPT, 0x8004_ae86),
            (SET_SIGNAL_MASK, 0x8004_ae8b),
            (ENABLE_CAP, 0x8068_aea3),
            (GET_ONE_REG, 0x8010_aeab),
            (SET_ONE_REG, 0x8010_aeac),
        ];
        for (ours, theirs) in known {
            assert_eq!(ours, theirs, "{ours:#x} {theirs:#x}");
        }
    }

    #[test]
    fn no_structure_has_padding() {
        assert_eq!(2 * 4 + 3 * 8, size_of::<MemoryRegion>());
        assert_eq!((9 + 8 + 32) * 8, size_of::<Regs>());
        let sregs = 4 * 2 + 256 + 4 * 4 + 8 * 5 + 4 * 4 + 8 * 4 + 4 * 4 + 8 + 4 * (14 + 2 + 8 + 16 + 170);
        assert_eq!(sregs, size_of::<Sregs>());
        assert_eq!(8 * 2 + 3 + 5, size_of::<Translation>());
        assert_eq!(4 * 2 + 8 * 4 + 64, size_of::<EnableCap>());
        assert_eq!(4 + 8, size_of::<SignalMask>());
    }

    #[test]
    fn a_signal_is_one_bit_of_the_hosts_long_words() {
        let mask = SignalMask::new(|signal| signal == 1 || signal == 34);
        assert_eq!(mask.len, 8);
        let expected = if cfg!(all(target_endian = "big", target_pointer_width = "32")) {
            [0, 0, 0, 1, 0, 0, 0, 2]
        } else {
            ((1_u64 << 33) | 1).to_ne_bytes()
        };
        assert_eq!(mask.set, expected);
        assert_eq!(SignalMask::new(|_| true).set, [0xff; 8]);
    }

    #[test]
    fn bytes_are_the_structure() {
        let mut region = MemoryRegion { slot: 7, ..MemoryRegion::default() };
        assert_eq!(region.bytes()[..4], 7_u32.to_ne_bytes());
        region.bytes_mut()[8..16].copy_from_slice(&0x1_0000_0000_u64.to_ne_bytes());
        assert_eq!(region.guest_phys_addr, 0x1_0000_0000);
    }
}
