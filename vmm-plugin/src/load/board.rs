//! A plugin's board and its machines as the traits that the host uses, and the host's table that a machine gets.

use std::cell::RefCell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ppc440_core::state::CpuState;

use super::{LoadError, Plugin, grown};
use crate::abi::*;
use crate::api::{
    Board, BoardConfig, Clock, CoreDescription, Images, Info, Machine, NEVER, Refusal, ResetKind,
};
use crate::ffi::{Pieces, borrow, outcome, panic_text, text, unfill};
use crate::host::BoardHost;

macro_rules! table {
    (required: { $($entry:ident: $type:ty,)* } optional: { $($option:ident: $option_type:ty,)* }) => {
        /// A board's table, checked and copied out.
        #[derive(Debug, Clone, Copy)]
        pub(super) struct Table {
            ctx: *const c_void,
            $($entry: $type,)*
            $($option: Option<$option_type>,)*
        }
        impl Table {
            /// # Safety
            /// `table` points to as many bytes of a [`VmmBoard`] as its `size` says.
            pub(super) unsafe fn new(table: *const VmmBoard) -> Result<Self, LoadError> {
                // Without what was added later, which an older plugin does not have.
                const OLDEST: usize = std::mem::offset_of!(VmmBoard, treatment);
                // SAFETY: the caller vouches for it, and a board of nothing but zeros is valid: everything may be null.
                let table = unsafe { grown::<VmmBoard>("VmmBoard", table, (*table).size, OLDEST)? };
                Ok(Self {
                    ctx: table.ctx,
                    $($entry: table
                        .$entry
                        .ok_or(LoadError::Lacks { table: "VmmBoard", entry: stringify!($entry) })?,)*
                    $($option: table.$option,)*
                })
            }
        }
    };
}

table! {
    required: {
        info: unsafe extern "C" fn(*const c_void, *mut VmmInfo),
        create: unsafe extern "C" fn(
            *const c_void,
            *const VmmBoardConfig,
            *const VmmBoardHost,
            *mut *mut c_void,
            *const VmmSink,
        ) -> i32,
        destroy: unsafe extern "C" fn(*mut c_void),
        core: unsafe extern "C" fn(*mut c_void, *mut CoreDescription),
        load: unsafe extern "C" fn(*mut c_void, *const VmmImages, *mut CpuState, *const VmmSink) -> i32,
        read: unsafe extern "C" fn(*mut c_void, u64, u32) -> u64,
        write: unsafe extern "C" fn(*mut c_void, u64, u32, u64),
    }
    optional: {
        default_tree: unsafe extern "C" fn(*const c_void, *const VmmSink),
        dcr_read: unsafe extern "C" fn(*mut c_void, u32) -> u32,
        dcr_write: unsafe extern "C" fn(*mut c_void, u32, u32),
        service: unsafe extern "C" fn(*mut c_void, u64) -> u64,
        armed: unsafe extern "C" fn(*mut c_void) -> u32,
        char_input: unsafe extern "C" fn(*mut c_void, u32, VmmBytes) -> usize,
        reset: unsafe extern "C" fn(*mut c_void, u32),
        save: unsafe extern "C" fn(*mut c_void, *const VmmSink),
        restore: unsafe extern "C" fn(*mut c_void, VmmBytes, *const VmmSink) -> i32,
        describe: unsafe extern "C" fn(*mut c_void, *const VmmSink),
        treatment: unsafe extern "C" fn(*mut c_void, u64, u32) -> u32,
    }
}

// SAFETY: the factory's entries may be called from any thread and the table's contents never change; entries that take
// a machine are only reached through `LoadedMachine`, which stays on its thread.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

/// A board of a [`Plugin`], which it keeps.
#[derive(Debug, Clone)]
pub struct LoadedBoard {
    plugin: Plugin,
    table: Table,
}

impl LoadedBoard {
    pub(super) fn new(plugin: Plugin, index: usize) -> Self {
        let table = plugin.inner.boards[index];
        Self { plugin, table }
    }

    /// The plugin that it comes from.
    #[must_use]
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }
}

// SAFETY of all calls below: entries of a table of our ABI, whose library `plugin` keeps, on the threads that the
// table demands, with pointers that live as long as the call.

impl Board for LoadedBoard {
    fn info(&self) -> Info {
        let mut info = VmmInfo { id: [0; 32], summary: [0; 160], rank: 0, reserved: 0, caps: 0 };
        // SAFETY: see above.
        unsafe { (self.table.info)(self.table.ctx, &raw mut info) };
        Info { id: unfill(&info.id), summary: unfill(&info.summary), rank: info.rank, caps: info.caps }
    }

    fn default_tree(&self) -> Vec<u8> {
        let Some(default_tree) = self.table.default_tree else { return Vec::new() };
        // SAFETY: see above.
        Pieces::collect(|out| unsafe { default_tree(self.table.ctx, out) }).1.bytes()
    }

    fn create(&self, config: &BoardConfig, host: BoardHost) -> Result<Box<dyn Machine>, Refusal> {
        let served = Served::new(host);
        let tree = config.tree.as_deref().map(VmmBytes::lend);
        let straps: Vec<VmmStrap> = config
            .straps
            .iter()
            .map(|(name, value)| VmmStrap {
                name: VmmBytes::lend(name.as_bytes()),
                value: VmmBytes::lend(value.as_bytes()),
            })
            .collect();
        let config = VmmBoardConfig {
            size: size_of::<VmmBoardConfig>() as u32,
            clock: match config.clock {
                Clock::Host => 0,
                Clock::Icount => 1,
            },
            tree: tree.as_ref().map_or(std::ptr::null(), std::ptr::from_ref),
            tree_name: VmmBytes::lend(config.tree_name.as_bytes()),
            memory: config.memory.unwrap_or(0),
            constraints: config.constraints,
            straps: straps.as_ptr(),
            strap_count: straps.len(),
        };
        let mut machine = std::ptr::null_mut();
        // SAFETY: see above; the host's table outlives the machine, `LoadedMachine` keeps both.
        outcome(Pieces::collect(|why| unsafe {
            (self.table.create)(
                self.table.ctx,
                &raw const config,
                &raw const served.table,
                &raw mut machine,
                why,
            )
        }))?;
        if machine.is_null() {
            return Err("The board returned no machine".into());
        }
        Ok(Box::new(LoadedMachine {
            machine,
            table: self.table,
            _host: served,
            _plugin: self.plugin.clone(),
        }))
    }
}

/// One machine. Fields drop in order: what the machine uses goes after it.
struct LoadedMachine {
    machine: *mut c_void,
    table: Table,
    _host: Box<Served>,
    _plugin: Plugin,
}

impl Drop for LoadedMachine {
    fn drop(&mut self) {
        // SAFETY: see above; it is the last call.
        unsafe { (self.table.destroy)(self.machine) };
    }
}

impl Machine for LoadedMachine {
    fn core(&self) -> CoreDescription {
        let mut core = CoreDescription { pvr: 0, cpu_hz: 0, tb_hz: 0, serial_ports: 0 };
        // SAFETY: see above.
        unsafe { (self.table.core)(self.machine, &raw mut core) };
        core
    }

    fn load(&mut self, images: &Images) -> Result<CpuState, Refusal> {
        let initrd = images.initrd.as_deref().map(VmmBytes::lend);
        let append = images.append.as_deref().map(|append| VmmBytes::lend(append.as_bytes()));
        let given = VmmImages {
            size: size_of::<VmmImages>() as u32,
            has_load_address: u32::from(images.load_address.is_some()),
            kernel: VmmBytes::lend(&images.kernel),
            kernel_name: VmmBytes::lend(images.kernel_name.as_bytes()),
            initrd: initrd.as_ref().map_or(std::ptr::null(), std::ptr::from_ref),
            initrd_name: VmmBytes::lend(images.initrd_name.as_bytes()),
            append: append.as_ref().map_or(std::ptr::null(), std::ptr::from_ref),
            load_address: images.load_address.unwrap_or(0),
        };
        let mut state = CpuState::reset(0);
        // SAFETY: see above.
        outcome(Pieces::collect(|why| unsafe {
            (self.table.load)(self.machine, &raw const given, &raw mut state, why)
        }))?;
        Ok(state)
    }

    fn read(&mut self, pa: u64, len: u8) -> u64 {
        // SAFETY: see above.
        unsafe { (self.table.read)(self.machine, pa, u32::from(len)) }
    }
    fn write(&mut self, pa: u64, len: u8, value: u64) {
        // SAFETY: see above.
        unsafe { (self.table.write)(self.machine, pa, u32::from(len), value) }
    }
    fn dcr_read(&mut self, dcrn: u16) -> u32 {
        // SAFETY: see above.
        self.table.dcr_read.map_or(0, |entry| unsafe { entry(self.machine, u32::from(dcrn)) })
    }
    fn dcr_write(&mut self, dcrn: u16, value: u32) {
        if let Some(entry) = self.table.dcr_write {
            // SAFETY: see above.
            unsafe { entry(self.machine, u32::from(dcrn), value) };
        }
    }
    fn service(&mut self, now: u64) -> u64 {
        // SAFETY: see above.
        self.table.service.map_or(NEVER, |entry| unsafe { entry(self.machine, now) })
    }
    fn armed(&mut self) -> u32 {
        // SAFETY: see above.
        self.table.armed.map_or(0, |entry| unsafe { entry(self.machine) })
    }
    fn char_input(&mut self, port: u32, bytes: &[u8]) -> usize {
        // A board without the entry has no use for characters: they are taken, and lost.
        let Some(entry) = self.table.char_input else { return bytes.len() };
        // SAFETY: see above.
        unsafe { entry(self.machine, port, VmmBytes::lend(bytes)) }.min(bytes.len())
    }
    fn reset(&mut self, kind: ResetKind) {
        if let Some(entry) = self.table.reset {
            // SAFETY: see above.
            unsafe { entry(self.machine, kind as u32) };
        }
    }
    fn save(&mut self) -> Vec<u8> {
        let Some(entry) = self.table.save else { return Vec::new() };
        // SAFETY: see above.
        Pieces::collect(|out| unsafe { entry(self.machine, out) }).1.bytes()
    }
    fn restore(&mut self, saved: &[u8]) -> Result<(), Refusal> {
        let Some(entry) = self.table.restore else { return Err("The board cannot restore a state".into()) };
        // SAFETY: see above.
        outcome(Pieces::collect(|why| unsafe { entry(self.machine, VmmBytes::lend(saved), why) }))
    }
    fn treatment(&mut self, pa: u64, len: u8) -> u32 {
        let Some(treatment) = self.table.treatment else { return 0 };
        // SAFETY: see above.
        unsafe { treatment(self.machine, pa, u32::from(len)) }
    }
    fn describe(&mut self) -> String {
        let Some(entry) = self.table.describe else { return String::new() };
        // SAFETY: see above.
        Pieces::collect(|out| unsafe { entry(self.machine, out) }).1.text()
    }
}

/// A [`BoardHost`] behind the table that a machine gets. Boxed: the table's context points to it.
struct Served {
    table: VmmBoardHost,
    host: RefCell<BoardHost>,
}

impl Served {
    fn new(host: BoardHost) -> Box<Self> {
        let table = VmmBoardHost {
            size: size_of::<VmmBoardHost>() as u32,
            abi: ABI,
            ctx: std::ptr::null_mut(),
            map_ram: Some(map_ram),
            set_attention: Some(set_attention),
            mark_dma_dirty: Some(mark_dma_dirty),
            char_write: Some(char_write),
            now: Some(now),
            wall_clock: Some(wall_clock),
            clock: Some(clock),
            fail: Some(fail),
        };
        let mut served = Box::new(Self { table, host: RefCell::new(host) });
        served.table.ctx = (&raw mut served.host).cast();
        served
    }
}

/// Calls the host; a panic, or a host that is called from within its own call, fails the machine instead.
///
/// # Safety
/// `ctx` comes from the table of a [`Served`] that is alive.
unsafe fn call<R: Default>(ctx: *mut c_void, f: impl FnOnce(&mut BoardHost) -> R) -> R {
    // SAFETY: the caller vouches for it.
    let cell = unsafe { &*ctx.cast::<RefCell<BoardHost>>() };
    let Ok(mut host) = cell.try_borrow_mut() else { return R::default() };
    catch_unwind(AssertUnwindSafe(|| f(&mut host))).unwrap_or_else(|payload| {
        let text = panic_text(&*payload);
        let _ = catch_unwind(AssertUnwindSafe(|| host.fail(&text)));
        R::default()
    })
}

// SAFETY of all entries: only the table of a `Served` leads here, which the machine's owner keeps alive; pointers are
// used for what the table says of them.

unsafe extern "C" fn map_ram(ctx: *mut c_void, pa: u64, len: u64, out: *mut VmmRam) -> i32 {
    // SAFETY: see above.
    let Some(ram) = (unsafe { call(ctx, |host| host.map_ram(pa, len)) }) else { return VMM_REFUSED };
    // SAFETY: see above.
    unsafe { out.write(VmmRam { pa, len: ram.len as u64, ptr: ram.ptr, first_page: 0 }) };
    VMM_OK
}
unsafe extern "C" fn set_attention(ctx: *mut c_void, bits: u32, level: u32) {
    // SAFETY: see above.
    unsafe { call(ctx, |host| host.set_attention(bits, level != 0)) };
}
unsafe extern "C" fn mark_dma_dirty(ctx: *mut c_void, pa: u64, len: u64) {
    // SAFETY: see above.
    unsafe { call(ctx, |host| host.mark_dma_dirty(pa, len)) };
}
unsafe extern "C" fn char_write(ctx: *mut c_void, port: u32, bytes: VmmBytes) {
    // SAFETY: see above.
    unsafe { call(ctx, |host| host.char_write(port, borrow(bytes))) };
}
unsafe extern "C" fn now(ctx: *mut c_void) -> u64 {
    // SAFETY: see above.
    unsafe { call(ctx, |host| host.now()) }
}
unsafe extern "C" fn wall_clock(ctx: *mut c_void) -> u64 {
    // SAFETY: see above.
    unsafe { call(ctx, |host| host.wall_clock()) }
}
unsafe extern "C" fn clock(ctx: *mut c_void) -> u32 {
    // SAFETY: see above.
    unsafe { call(ctx, |host| u32::from(host.clock() == Clock::Icount)) }
}
unsafe extern "C" fn fail(ctx: *mut c_void, message: VmmBytes) {
    // SAFETY: see above.
    unsafe { call(ctx, |host| host.fail(&text(message))) };
}
