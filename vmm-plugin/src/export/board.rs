//! [`Board`] and [`Machine`] behind C tables. Each entry catches panics: one in a machine is told to the host through
//! [`VmmBoardHost::fail`], and that machine is not called again.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ppc440_core::state::CpuState;

use crate::abi::*;
use crate::api::{
    Board, BoardConfig, Clock, Constraints, CoreDescription, Images, Machine, NEVER, Refusal, ResetKind,
};
use crate::ffi::{borrow, fill, guard, panic_text, put, text};
use crate::host::{BoardHost, HostCalls, RamPointer};

/// What a machine pointer points to.
struct Slot {
    machine: Box<dyn Machine>,
    host: TableHost,
    /// What a panic said; the machine is not called again.
    broken: Option<String>,
}

pub(super) const fn table<T: Board + 'static>(instance: &'static T) -> VmmBoard {
    VmmBoard {
        size: size_of::<VmmBoard>() as u32,
        reserved: 0,
        ctx: std::ptr::from_ref(instance).cast(),
        info: Some(info::<T>),
        default_tree: Some(default_tree::<T>),
        create: Some(create::<T>),
        destroy: Some(destroy),
        core: Some(core),
        load: Some(load),
        read: Some(read),
        write: Some(write),
        dcr_read: Some(dcr_read),
        dcr_write: Some(dcr_write),
        service: Some(service),
        armed: Some(armed),
        char_input: Some(char_input),
        reset: Some(reset),
        save: Some(save),
        restore: Some(restore),
        describe: Some(describe),
        extension: None,
        treatment: Some(treatment),
    }
}

/// The host's table as the board's host.
#[derive(Debug, Clone, Copy)]
struct TableHost {
    ctx: *mut c_void,
    map_ram: unsafe extern "C" fn(*mut c_void, u64, u64, *mut VmmRam) -> i32,
    set_attention: unsafe extern "C" fn(*mut c_void, u32, u32),
    mark_dma_dirty: unsafe extern "C" fn(*mut c_void, u64, u64),
    char_write: unsafe extern "C" fn(*mut c_void, u32, VmmBytes),
    now: unsafe extern "C" fn(*mut c_void) -> u64,
    wall_clock: unsafe extern "C" fn(*mut c_void) -> u64,
    clock: unsafe extern "C" fn(*mut c_void) -> u32,
    fail: unsafe extern "C" fn(*mut c_void, VmmBytes),
}

impl TableHost {
    /// Takes a host's table apart.
    ///
    /// # Safety
    /// `host` is valid and keeps the promises of [`VmmBoardHost`] as long as the result is used.
    unsafe fn new(host: *const VmmBoardHost) -> Result<Self, Refusal> {
        // SAFETY: the caller vouches for it.
        let host = unsafe { &*host };
        macro_rules! need {
            ($entry:ident) => {
                host.$entry.ok_or(concat!("The board's host lacks `", stringify!($entry), "`"))?
            };
        }
        Ok(Self {
            ctx: host.ctx,
            map_ram: need!(map_ram),
            set_attention: need!(set_attention),
            mark_dma_dirty: need!(mark_dma_dirty),
            char_write: need!(char_write),
            now: need!(now),
            wall_clock: need!(wall_clock),
            clock: need!(clock),
            fail: need!(fail),
        })
    }
}

// SAFETY of all calls: entries of a table for which the caller of `TableHost::new` vouched, on the vCPU's thread.
impl HostCalls for TableHost {
    fn map_ram(&mut self, pa: u64, len: u64) -> Option<RamPointer> {
        let mut ram = VmmRam { pa, len: 0, ptr: std::ptr::null_mut(), first_page: 0 };
        // SAFETY: see above.
        let status = unsafe { (self.map_ram)(self.ctx, pa, len, &raw mut ram) };
        (status == VMM_OK && !ram.ptr.is_null())
            .then_some(RamPointer { ptr: ram.ptr, len: usize::try_from(ram.len).ok()? })
    }
    fn set_attention(&mut self, bits: u32, level: bool) {
        // SAFETY: see above.
        unsafe { (self.set_attention)(self.ctx, bits, u32::from(level)) };
    }
    fn mark_dma_dirty(&mut self, pa: u64, len: u64) {
        // SAFETY: see above.
        unsafe { (self.mark_dma_dirty)(self.ctx, pa, len) };
    }
    fn char_write(&mut self, port: u32, bytes: &[u8]) {
        // SAFETY: see above.
        unsafe { (self.char_write)(self.ctx, port, VmmBytes::lend(bytes)) };
    }
    fn now(&mut self) -> u64 {
        // SAFETY: see above.
        unsafe { (self.now)(self.ctx) }
    }
    fn wall_clock(&mut self) -> u64 {
        // SAFETY: see above.
        unsafe { (self.wall_clock)(self.ctx) }
    }
    fn clock(&self) -> Clock {
        // SAFETY: see above.
        if unsafe { (self.clock)(self.ctx) } == 0 { Clock::Host } else { Clock::Icount }
    }
    fn fail(&mut self, message: &str) {
        // SAFETY: see above.
        unsafe { (self.fail)(self.ctx, VmmBytes::lend(message.as_bytes())) };
    }
}

/// # Safety
/// `ctx` is the one that [`table`] put into the table for `T`.
unsafe fn instance<T: 'static>(ctx: *const c_void) -> &'static T {
    // SAFETY: the caller vouches for it.
    unsafe { &*ctx.cast::<T>() }
}

/// # Safety
/// `machine` came from [`create`], was not destroyed, and this is its thread.
unsafe fn slot<'a>(machine: *mut c_void) -> &'a mut Slot {
    // SAFETY: the caller vouches for it; a machine's host does not re-enter the machine.
    unsafe { &mut *machine.cast::<Slot>() }
}

impl Slot {
    /// Calls the machine unless it broke; a panic breaks it and is told to the host.
    fn call<R>(&mut self, f: impl FnOnce(&mut dyn Machine) -> R) -> Result<R, Refusal> {
        if let Some(broken) = &self.broken {
            return Err(Refusal(broken.clone()));
        }
        catch_unwind(AssertUnwindSafe(|| f(&mut *self.machine))).map_err(|payload| {
            let text = panic_text(&*payload);
            // SAFETY: an entry of the host's table, as all calls of `TableHost`.
            unsafe { (self.host.fail)(self.host.ctx, VmmBytes::lend(text.as_bytes())) };
            self.broken = Some(text.clone());
            Refusal(text)
        })
    }
}

// SAFETY of all entries: the loader calls them as the table demands (valid pointers, the right thread), and each
// pointer is used for what the table says of it.

unsafe extern "C" fn info<T: Board + 'static>(ctx: *const c_void, out: *mut VmmInfo) {
    // SAFETY: see above.
    let (instance, out) = unsafe { (instance::<T>(ctx), &mut *out) };
    *out = VmmInfo { id: [0; 32], summary: [0; 160], rank: 0, reserved: 0, caps: 0 };
    if let Ok(info) = catch_unwind(AssertUnwindSafe(|| instance.info())) {
        fill(&mut out.id, &info.id);
        fill(&mut out.summary, &info.summary);
    }
}

unsafe extern "C" fn default_tree<T: Board + 'static>(ctx: *const c_void, out: *const VmmSink) {
    // SAFETY: see above.
    let instance = unsafe { instance::<T>(ctx) };
    let tree = catch_unwind(AssertUnwindSafe(|| instance.default_tree())).unwrap_or_default();
    // SAFETY: see above.
    unsafe { put(out, &tree) };
}

/// # Safety
/// As for [`borrow`], for the configuration and everything that it points to.
unsafe fn config(config: &VmmBoardConfig) -> BoardConfig {
    // SAFETY: the caller vouches for it.
    unsafe {
        let straps = if config.strap_count == 0 {
            &[]
        } else {
            std::slice::from_raw_parts(config.straps, config.strap_count)
        };
        BoardConfig {
            tree: config.tree.as_ref().map(|tree| borrow(*tree).to_vec()),
            tree_name: text(config.tree_name),
            memory: (config.memory != 0).then_some(config.memory),
            constraints: Constraints { ..config.constraints },
            straps: straps.iter().map(|strap| (text(strap.name), text(strap.value))).collect(),
            clock: if config.clock == 0 { Clock::Host } else { Clock::Icount },
        }
    }
}

unsafe extern "C" fn create<T: Board + 'static>(
    ctx: *const c_void,
    from: *const VmmBoardConfig,
    host: *const VmmBoardHost,
    machine: *mut *mut c_void,
    why: *const VmmSink,
) -> i32 {
    // SAFETY: see above.
    unsafe {
        guard(why, || {
            let host = TableHost::new(host)?;
            let made = instance::<T>(ctx).create(&config(&*from), BoardHost::new(Box::new(host)))?;
            *machine = Box::into_raw(Box::new(Slot { machine: made, host, broken: None })).cast();
            Ok(())
        })
    }
}

unsafe extern "C" fn destroy(machine: *mut c_void) {
    // SAFETY: see above; `create` made it from a box, and nobody uses it after this.
    let slot = unsafe { Box::from_raw(machine.cast::<Slot>()) };
    let _ = catch_unwind(AssertUnwindSafe(|| drop(slot)));
}

unsafe extern "C" fn core(machine: *mut c_void, out: *mut CoreDescription) {
    let none = CoreDescription { pvr: 0, cpu_hz: 0, tb_hz: 0, serial_ports: 0 };
    // SAFETY: see above.
    unsafe { out.write(slot(machine).call(|machine| machine.core()).unwrap_or(none)) };
}

unsafe extern "C" fn load(
    machine: *mut c_void,
    images: *const VmmImages,
    state: *mut CpuState,
    why: *const VmmSink,
) -> i32 {
    // SAFETY: see above; the state is initialised by the caller.
    unsafe {
        guard(why, || {
            let images = &*images;
            let images = Images {
                kernel: borrow(images.kernel).to_vec(),
                kernel_name: text(images.kernel_name),
                initrd: images.initrd.as_ref().map(|initrd| borrow(*initrd).to_vec()),
                initrd_name: text(images.initrd_name),
                append: images.append.as_ref().map(|append| text(*append)),
                load_address: (images.has_load_address != 0).then_some(images.load_address),
            };
            *state = slot(machine).call(|machine| machine.load(&images))??;
            Ok(())
        })
    }
}

unsafe extern "C" fn read(machine: *mut c_void, pa: u64, len: u32) -> u64 {
    // SAFETY: see above.
    unsafe { slot(machine) }.call(|machine| machine.read(pa, len as u8)).unwrap_or(0)
}

unsafe extern "C" fn write(machine: *mut c_void, pa: u64, len: u32, value: u64) {
    // SAFETY: see above. What a panic said went to the host.
    let _ = unsafe { slot(machine) }.call(|machine| machine.write(pa, len as u8, value));
}

unsafe extern "C" fn dcr_read(machine: *mut c_void, dcrn: u32) -> u32 {
    // SAFETY: see above.
    unsafe { slot(machine) }.call(|machine| machine.dcr_read(dcrn as u16)).unwrap_or(0)
}

unsafe extern "C" fn dcr_write(machine: *mut c_void, dcrn: u32, value: u32) {
    // SAFETY: see above.
    let _ = unsafe { slot(machine) }.call(|machine| machine.dcr_write(dcrn as u16, value));
}

unsafe extern "C" fn service(machine: *mut c_void, now: u64) -> u64 {
    // SAFETY: see above.
    unsafe { slot(machine) }.call(|machine| machine.service(now)).unwrap_or(NEVER)
}

unsafe extern "C" fn armed(machine: *mut c_void) -> u32 {
    // SAFETY: see above.
    unsafe { slot(machine) }.call(|machine| machine.armed()).unwrap_or(0)
}

unsafe extern "C" fn char_input(machine: *mut c_void, port: u32, bytes: VmmBytes) -> usize {
    // SAFETY: see above.
    let (slot, bytes) = unsafe { (slot(machine), borrow(bytes)) };
    slot.call(|machine| machine.char_input(port, bytes)).unwrap_or(bytes.len())
}

unsafe extern "C" fn reset(machine: *mut c_void, kind: u32) {
    let kind = match kind {
        1 => ResetKind::Core,
        2 => ResetKind::Chip,
        _ => ResetKind::System,
    };
    // SAFETY: see above.
    let _ = unsafe { slot(machine) }.call(|machine| machine.reset(kind));
}

unsafe extern "C" fn save(machine: *mut c_void, out: *const VmmSink) {
    // SAFETY: see above.
    unsafe { put(out, &slot(machine).call(|machine| machine.save()).unwrap_or_default()) };
}

unsafe extern "C" fn restore(machine: *mut c_void, saved: VmmBytes, why: *const VmmSink) -> i32 {
    // SAFETY: see above.
    unsafe { guard(why, || slot(machine).call(|machine| machine.restore(borrow(saved)))?) }
}

unsafe extern "C" fn describe(machine: *mut c_void, out: *const VmmSink) {
    // SAFETY: see above.
    let text = unsafe { slot(machine) }.call(|machine| machine.describe()).unwrap_or_else(|broken| broken.0);
    // SAFETY: see above.
    unsafe { put(out, text.as_bytes()) };
}

unsafe extern "C" fn treatment(machine: *mut c_void, pa: u64, len: u32) -> u32 {
    // SAFETY: see above.
    unsafe { slot(machine) }.call(|machine| machine.treatment(pa, len as u8)).unwrap_or(0)
}
