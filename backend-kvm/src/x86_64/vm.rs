//! The virtual machine: memory, one virtual processor that begins in ring 3 at the engine's entry, and what its exits
//! mean. Needs nothing of KVM but memory slots and port exits, so it is the same on VMX, on SVM and on a KVM in software.

use kvm_bindings::{
    CpuId, KVM_MAX_CPUID_ENTRIES, KVM_MEM_READONLY, kvm_regs, kvm_segment, kvm_userspace_memory_region,
    kvm_xcrs,
};
use kvm_ioctls::{Cap, Kvm, VcpuExit, VcpuFd, VmFd};
use vmm_plugin::api::Refusal;
use vmm_plugin::bus::RamRange;

use super::image;
use super::memory::{Block, LARGE, prefer_large_pages};
use super::protocol::{
    CODE_EXEC, CODE_WRITE, HEAP, MAILBOX, Mailbox, PORT, RAM, RAM_PART, RAM_RANGES, SHARED_PAGE, SPARSE_LEN,
    STACK_LEN, STACK_TOP, Window,
};
use super::space::{Mapping, Rights, Space};
use super::traps::{self, Fault};

/// Where the machine's own memory begins in its physical address space. What lies below is left to KVM.
const BASE: u64 = 1 << 32;
/// Parts of that memory, as offsets.
const TABLES_END: u64 = 1 << 20;
const TRAPS_AT: u64 = TABLES_END;
const MAILBOX_AT: u64 = 2 << 20;
const STACK_AT: u64 = 4 << 20;
const IMAGE_AT: u64 = 6 << 20;
/// Three pages below 4 GB that KVM wants for itself on processors which cannot run real mode in a machine.
const KVM_PAGES: usize = 0xFFFB_D000;

/// Bytes of translated code; all of it is dropped when they are used up.
pub(super) const CODE_LEN: u64 = 32 << 20;
/// Heap besides what a guest's RAM may demand: tables, and the bookkeeping of [`CODE_LEN`] bytes of blocks.
const HEAP_LEN: u64 = 192 << 20;

const _: () = assert!(size_of::<Mailbox>() as u64 <= STACK_AT - MAILBOX_AT);

/// A virtual machine that stands still. Fields drop in order: the machine goes before its memory.
#[derive(Debug)]
pub(super) struct Vm {
    vcpu: VcpuFd,
    _vm: VmFd,
    pub(super) tsc_khz: u32,
    space: Space,
    block: Block,
    heap_len: u64,
    windows: Vec<Window>,
}

fn round(len: u64) -> u64 {
    len.next_multiple_of(LARGE)
}

fn pages(len: u64) -> u64 {
    len.next_multiple_of(4096)
}

impl Vm {
    /// A machine with the engine in it, ready to start, that can reach `ram` and, to read, the page at `shared`.
    pub(super) fn new(device: &std::ffi::CStr, ram: &[RamRange], shared: *const u8) -> Result<Self, Refusal> {
        let failed = |what: &'static str| {
            move |error: kvm_ioctls::Error| Refusal(format!("KVM: {what} failed: {error}"))
        };
        if ram.len() > RAM_RANGES {
            let count = ram.len();
            return Err(
                format!("Backend kvm takes {RAM_RANGES} ranges of RAM; this board has {count}").into()
            );
        }
        let kvm = Kvm::new_with_path(device).map_err(failed("opening the device"))?;
        let vm = kvm.create_vm().map_err(failed("KVM_CREATE_VM"))?;
        vm.set_tss_address(KVM_PAGES).map_err(failed("KVM_SET_TSS_ADDR"))?;

        let image_len: u64 = image::segments().map(|(segment, _)| round(segment.len)).sum();
        let code_at = IMAGE_AT + image_len;
        let heap_at = code_at + CODE_LEN;
        // A page of guest code takes a little more than a page of bookkeeping.
        let ram_len: u64 = ram.iter().map(|range| range.len as u64).sum();
        let heap_len = round(HEAP_LEN + ram_len + ram_len / 4) + SPARSE_LEN;
        let mut block = Block::new(heap_at + heap_len)?;
        block.prefer_small_pages(heap_at + heap_len - SPARSE_LEN, SPARSE_LEN);
        let mut space = Space::new(BASE, TABLES_END);
        traps::write(&mut block, TRAPS_AT);

        let mut parts = vec![
            ("descriptor tables", traps::VA, TRAPS_AT, traps::DATA_LEN, Rights::SystemReadWrite),
            (
                "fault stubs",
                traps::VA + traps::DATA_LEN,
                TRAPS_AT + traps::DATA_LEN,
                traps::STUBS_LEN,
                Rights::SystemReadExecute,
            ),
            (
                "fault stacks",
                traps::VA + traps::DATA_LEN + traps::STUBS_LEN,
                TRAPS_AT + traps::DATA_LEN + traps::STUBS_LEN,
                traps::STACK_LEN,
                Rights::SystemReadWrite,
            ),
            ("mailbox", MAILBOX, MAILBOX_AT, pages(size_of::<Mailbox>() as u64), Rights::ReadWrite),
            ("stack", STACK_TOP - STACK_LEN, STACK_AT, STACK_LEN, Rights::ReadWrite),
            ("code cache, to write", CODE_WRITE, code_at, CODE_LEN, Rights::ReadWrite),
            ("code cache, to execute", CODE_EXEC, code_at, CODE_LEN, Rights::ReadExecute),
            ("heap", HEAP, heap_at, heap_len, Rights::ReadWrite),
        ];
        let mut at = IMAGE_AT;
        for (segment, bytes) in image::segments() {
            let (what, rights) = match (segment.write, segment.execute) {
                (true, _) => ("engine data", Rights::ReadWrite),
                (false, true) => ("engine text", Rights::ReadExecute),
                (false, false) => ("engine constants", Rights::Read),
            };
            block.write(at, bytes);
            parts.push((what, segment.va, at, round(segment.len), rights));
            at += round(segment.len);
        }
        for (what, va, at, len, rights) in parts {
            space.map(&mut block, Mapping { what, va, len, rights }, BASE + at)?;
        }

        let mut slots = vec![(BASE, block.host_address(), block.len(), 0)];
        let mut next = BASE + round(block.len());
        let mut windows = Vec::new();
        for (index, range) in (0..).zip(ram) {
            prefer_large_pages(range.ptr, range.len);
            let host = range.ptr.expose_provenance() as u64;
            // The same distance from a large page everywhere, so that large pages can be used.
            let (pa, len) = (next + host % LARGE, range.len as u64);
            let va = RAM + index * RAM_PART + host % LARGE;
            space.map(&mut block, Mapping { what: "guest RAM", va, len, rights: Rights::ReadWrite }, pa)?;
            slots.push((pa, host, len, 0));
            windows.push(Window { pa: range.pa, va, len });
            next = round(pa + len);
        }
        let read_only = if kvm.check_extension(Cap::ReadonlyMem) { KVM_MEM_READONLY } else { 0 };
        let mapping = Mapping { what: "attention page", va: SHARED_PAGE, len: 4096, rights: Rights::Read };
        space.map(&mut block, mapping, next)?;
        slots.push((next, shared.expose_provenance() as u64, 4096, read_only));
        for (slot, (guest_phys_addr, userspace_addr, memory_size, flags)) in (0..).zip(slots) {
            let region =
                kvm_userspace_memory_region { slot, flags, guest_phys_addr, memory_size, userspace_addr };
            set_memory(&vm, region).map_err(failed("KVM_SET_USER_MEMORY_REGION"))?;
        }

        let vcpu = vm.create_vcpu(0).map_err(failed("KVM_CREATE_VCPU"))?;
        let cpuid =
            kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(failed("KVM_GET_SUPPORTED_CPUID"))?;
        start(&vcpu, &cpuid, space.root()).map_err(|(what, error)| failed(what)(error))?;
        let tsc_khz = vcpu.get_tsc_khz().unwrap_or(0);
        Ok(Self { vcpu, _vm: vm, tsc_khz, space, block, heap_len, windows })
    }

    /// Guest RAM as the engine sees it.
    pub(super) fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// Bytes of the engine's heap.
    pub(super) fn heap_len(&self) -> u64 {
        self.heap_len
    }

    /// What the engine can reach.
    pub(super) fn mappings(&self) -> &[Mapping] {
        self.space.mappings()
    }

    /// The mailbox. The machine stands still as long as the reference is used.
    pub(super) fn mailbox(&mut self) -> &mut Mailbox {
        self.block.mailbox(MAILBOX_AT)
    }

    /// The processor, for signals.
    pub(super) fn vcpu(&self) -> &VcpuFd {
        &self.vcpu
    }

    /// Lets the engine run until it makes a call. Signals are passed over unless the engine was given up.
    pub(super) fn enter(&mut self, given_up: impl Fn() -> bool) -> Result<(), String> {
        loop {
            let faulted = match self.vcpu.run() {
                Ok(VcpuExit::IoOut(PORT, _)) => return Ok(()),
                Ok(VcpuExit::IoOut(traps::FAULT_PORT, _)) => true,
                Ok(VcpuExit::Shutdown) => {
                    return Err(
                        "The engine's virtual machine shut down: a fault could not be delivered".into()
                    );
                }
                Ok(VcpuExit::MmioRead(pa, _) | VcpuExit::MmioWrite(pa, _)) => {
                    return Err(format!(
                        "The engine in the virtual machine used physical address {pa:#x}, where nothing is"
                    ));
                }
                Ok(other) => {
                    return Err(format!("KVM ended the engine's virtual machine with {other:?}"));
                }
                Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => false,
                Err(error) => return Err(format!("KVM: KVM_RUN failed: {error}")),
            };
            if faulted {
                return Err(self.fault());
            }
            if given_up() {
                return Err("The engine in the virtual machine did not stop when it was told to".into());
            }
        }
    }

    fn fault(&self) -> String {
        let read = || {
            let regs = self.vcpu.get_regs().ok()?;
            let sregs = self.vcpu.get_sregs().ok()?;
            Fault::read(&self.block, TRAPS_AT, regs.rip, regs.rsp, sregs.cr2)
        };
        match read() {
            Some(fault) => fault.to_string(),
            None => "The engine in the virtual machine faulted, and KVM does not tell where".into(),
        }
    }
}

fn set_memory(vm: &VmFd, region: kvm_userspace_memory_region) -> Result<(), kvm_ioctls::Error> {
    // SAFETY: the memory outlives the machine: the block is dropped after it, and a bus keeps RAM and shared page as
    // long as it lives, which the engine holds beside the machine.
    unsafe { vm.set_user_memory_region(region) }
}

/// Puts the processor into ring 3 of 64-bit mode, at the engine's entry.
fn start(vcpu: &VcpuFd, cpuid: &CpuId, root: u64) -> Result<(), (&'static str, kvm_ioctls::Error)> {
    const CR0_PE_MP_ET_NE_WP_PG: u64 = 1 | 1 << 1 | 1 << 4 | 1 << 5 | 1 << 16 | 1 << 31;
    const CR4_PAE_OSFXSR_OSXMMEXCPT: u64 = 1 << 5 | 1 << 9 | 1 << 10;
    const CR4_OSXSAVE: u64 = 1 << 18;
    const EFER_LME_LMA_NXE: u64 = 1 << 8 | 1 << 10 | 1 << 11;
    const XSAVE: u32 = 1 << 26;
    const AVX: u32 = 1 << 28;
    vcpu.set_cpuid2(cpuid).map_err(|error| ("KVM_SET_CPUID2", error))?;
    let features = cpuid.as_slice().iter().find(|leaf| leaf.function == 1).map_or(0, |leaf| leaf.ecx);
    let mut sregs = vcpu.get_sregs().map_err(|error| ("KVM_GET_SREGS", error))?;
    sregs.cr0 = CR0_PE_MP_ET_NE_WP_PG;
    sregs.cr3 = root;
    sregs.cr4 = CR4_PAE_OSFXSR_OSXMMEXCPT | if features & XSAVE != 0 { CR4_OSXSAVE } else { 0 };
    sregs.efer = EFER_LME_LMA_NXE;
    (sregs.gdt.base, sregs.gdt.limit) = (traps::GDT_VA, traps::GDT_LIMIT);
    (sregs.idt.base, sregs.idt.limit) = (traps::IDT_VA, traps::IDT_LIMIT);
    let flat = kvm_segment { limit: u32::MAX, present: 1, dpl: 3, s: 1, g: 1, ..kvm_segment::default() };
    sregs.cs = kvm_segment { selector: traps::USER_CODE, type_: 11, l: 1, ..flat };
    let data = kvm_segment { selector: traps::USER_DATA, type_: 3, db: 1, ..flat };
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    sregs.tr = kvm_segment {
        base: traps::TSS_VA,
        limit: traps::TSS_LIMIT,
        selector: traps::TASK,
        type_: 11,
        present: 1,
        ..kvm_segment::default()
    };
    vcpu.set_sregs(&sregs).map_err(|error| ("KVM_SET_SREGS", error))?;
    if features & XSAVE != 0 {
        let mut xcrs = kvm_xcrs { nr_xcrs: 1, ..kvm_xcrs::default() };
        xcrs.xcrs[0].value = if features & AVX != 0 { 7 } else { 3 };
        vcpu.set_xcrs(&xcrs).map_err(|error| ("KVM_SET_XCRS", error))?;
    }
    let regs = kvm_regs { rip: image::entry(), rsp: STACK_TOP - 8, rflags: 2, ..kvm_regs::default() };
    vcpu.set_regs(&regs).map_err(|error| ("KVM_SET_REGS", error))
}
