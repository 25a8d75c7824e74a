//! The C tables that cross the plugin boundary.
//!
//! Everything here is plain C: a plugin may be written in any language that can fill these tables
//! (`include/vmm_plugin.h` is generated from this file). A shared library exports one symbol, the function
//! [`ENTRY_SYMBOL`], which returns its [`VmmPlugin`]. Each table begins with its size in bytes, and the plugin and
//! host tables with [`ABI`] after it; a later version with the same ABI number only adds entries at a table's end.
//! Nothing is allocated on one side and freed on the other: text and bytes come back through a [`VmmSink`] that the
//! caller provides. Rust authors do not fill these tables by hand, see [`crate::plugin!`].
//!
//! Threads: "loader's thread" is the one that loads plugins, before any instance exists and after the last one is
//! gone; "vCPU's thread" is the one that created the instance; "any thread" says what it says.

use core::ffi::{c_char, c_void};

use ppc440_core::state::CpuState;

use crate::api::{Constraints, CoreDescription};

/// Version of this interface. Plugin and host must have the same.
pub const ABI: u32 = 1;

/// Name of the one symbol that a plugin exports: a function of type [`VmmPluginEntry`].
pub const ENTRY_SYMBOL: &str = "vmm_plugin";

/// The type of the exported function. Any thread; it only returns a pointer to a table that lives as long as the
/// library.
pub type VmmPluginEntry = unsafe extern "C" fn() -> *const VmmPlugin;

/// Status: done.
pub const VMM_OK: i32 = 0;
/// Status: refused; one sentence went into the sink.
pub const VMM_REFUSED: i32 = 1;
/// Status: the plugin panicked; what it said went into the sink.
pub const VMM_PANICKED: i32 = 2;

/// Borrowed bytes (text is UTF-8, not terminated), valid until the call that carries them returns.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct VmmBytes {
    /// First byte; anything when `len` is 0.
    pub ptr: *const u8,
    /// Number of bytes.
    pub len: usize,
}

/// Where a call puts variable-length results. Called during that call, on its thread.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct VmmSink {
    /// Passed back to `put`.
    pub ctx: *mut c_void,
    /// Takes one piece: a whole message, name or blob.
    pub put: Option<unsafe extern "C" fn(ctx: *mut c_void, piece: VmmBytes)>,
}

/// Where a call puts named counters. Called during that call, on its thread.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct VmmCounterSink {
    /// Passed back to `put`.
    pub ctx: *mut c_void,
    /// Takes one counter.
    pub put: Option<unsafe extern "C" fn(ctx: *mut c_void, name: VmmBytes, value: u64)>,
}

/// What a library offers. It lives as long as the library and never changes.
#[derive(Debug)]
#[repr(C)]
pub struct VmmPlugin {
    /// `sizeof(VmmPlugin)`.
    pub size: u32,
    /// [`ABI`].
    pub abi: u32,
    /// Name, NUL-terminated.
    pub name: *const c_char,
    /// Version, NUL-terminated.
    pub version: *const c_char,
    /// SPDX licence expression, NUL-terminated.
    pub licence: *const c_char,
    /// Loader's thread, once, before anything else. `host` lives as long as the library. May be null.
    pub init: Option<unsafe extern "C" fn(host: *const VmmHost, why: *const VmmSink) -> i32>,
    /// Loader's thread, once, when no instance is left. Not called after a failed `init`. May be null.
    pub deinit: Option<unsafe extern "C" fn()>,
    /// `backend_count` pointers.
    pub backends: *const *const VmmBackend,
    /// Number of backends.
    pub backend_count: usize,
    /// `board_count` pointers.
    pub boards: *const *const VmmBoard,
    /// Number of boards.
    pub board_count: usize,
}

/// Log level: something failed.
pub const VMM_LOG_ERROR: u32 = 1;
/// Log level: something is doubtful.
pub const VMM_LOG_WARN: u32 = 2;
/// Log level: milestones.
pub const VMM_LOG_INFO: u32 = 3;
/// Log level: for developers.
pub const VMM_LOG_DEBUG: u32 = 4;
/// Log level: everything.
pub const VMM_LOG_TRACE: u32 = 5;

/// What every plugin gets from its host, whatever it offers. All entries: any thread.
#[derive(Debug)]
#[repr(C)]
pub struct VmmHost {
    /// `sizeof(VmmHost)`.
    pub size: u32,
    /// [`ABI`].
    pub abi: u32,
    /// Passed back to each entry.
    pub ctx: *mut c_void,
    /// Non-zero where a message of this level and target would be shown. The answer never changes for one target.
    pub log_enabled: Option<unsafe extern "C" fn(ctx: *mut c_void, level: u32, target: VmmBytes) -> u32>,
    /// Shows a message. `target` names the part that speaks, for example `devices_4xx::uic`.
    pub log: Option<unsafe extern "C" fn(ctx: *mut c_void, level: u32, target: VmmBytes, message: VmmBytes)>,
}

/// What is printed about a backend or board, and how it ranks.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct VmmInfo {
    /// The name that the flag takes, NUL-terminated: lower-case letters, digits and `-`.
    pub id: [c_char; 32],
    /// One line, NUL-terminated.
    pub summary: [c_char; 160],
    /// `--backend auto` takes the usable backend of the highest rank; 0 for boards.
    pub rank: u32,
    /// Zero.
    pub reserved: u32,
    /// Bits of `VMM_CAP_*`; 0 for boards.
    pub caps: u64,
}

/// Capability: honours `icount`.
pub const VMM_CAP_ICOUNT: u64 = 1 << 0;
/// Capability: `run(1)` executes exactly one instruction.
pub const VMM_CAP_STEP: u64 = 1 << 1;
/// Capability: can drop a single translation.
pub const VMM_CAP_DROP_PAGE: u64 = 1 << 2;
/// Capability: a guest that breaks the engine holds nothing of the host process.
pub const VMM_CAP_SANDBOX: u64 = 1 << 3;

/// Attention bit: external interrupt input.
pub const VMM_ATTENTION_EXT: u32 = 1 << 0;
/// Attention bit: critical interrupt input.
pub const VMM_ATTENTION_CRIT: u32 = 1 << 1;
/// Attention bit: machine check input.
pub const VMM_ATTENTION_MCHECK: u32 = 1 << 2;
/// Attention bit: the board asks for a reset, `run` returns `VMM_EXIT_RESET`.
pub const VMM_ATTENTION_RESET: u32 = 1 << 3;
/// Attention bit: the host wants `run` to return `VMM_EXIT_STOP` soon.
pub const VMM_ATTENTION_STOP: u32 = 1 << 4;
/// Attention bit: the board has work, call `advance`.
pub const VMM_ATTENTION_BOARD: u32 = 1 << 5;
/// Attention bit: a device wrote RAM, look at `dma_dirty`.
pub const VMM_ATTENTION_DMA: u32 = 1 << 6;

/// A time in timebase ticks that never comes.
pub const VMM_NEVER: u64 = 0xFFFF_FFFF_FFFF_FFFF;

/// Treatment: writes may be kept and made later, in order and with all other calls after them; no register of the
/// machine that `VMM_TREATMENT_STABLE_READ` allows to keep changes by them. A millisecond late is soon enough.
pub const VMM_TREATMENT_POSTED_WRITE: u32 = 1 << 0;
/// Treatment: reads give the same value, and do nothing that matters. An engine asks again now and then, so that a
/// device can tell a guest that polls.
pub const VMM_TREATMENT_STABLE_READ: u32 = 1 << 1;

/// One range of guest RAM in host memory.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct VmmRam {
    /// Guest physical address, a multiple of 4096.
    pub pa: u64,
    /// Bytes, a multiple of 4096.
    pub len: u64,
    /// Host memory, page aligned, valid as long as the bus.
    pub ptr: *mut u8,
    /// Index in `dma_dirty` of the bit of the first page.
    pub first_page: u64,
}

/// The outside of a core as an engine sees it. The table lives as long as the engine. All entries: vCPU's thread.
///
/// RAM is never a call: engines load and store through the pointers of `ram_ranges`, and nobody else touches it while
/// `run` executes, save device code that the entries below run on the same thread.
#[derive(Debug)]
#[repr(C)]
pub struct VmmBus {
    /// `sizeof(VmmBus)`.
    pub size: u32,
    /// [`ABI`].
    pub abi: u32,
    /// Passed back to each entry.
    pub ctx: *mut c_void,
    /// Input pins and requests, `VMM_ATTENTION_*`; read atomically. Other threads set bits in it.
    pub attention: *mut u32,
    /// Changes when `ram_ranges` would give another answer; read atomically. It changes only during calls.
    pub ram_generation: *mut u32,
    /// One bit for each 4 KB page of RAM that a device wrote; taken by atomic exchange with 0.
    /// Words are as wide as a pointer, because a 32-bit host may have no wider atomic operation; bit 0 is the lowest.
    pub dma_dirty: *mut usize,
    /// Number of words in `dma_dirty`.
    pub dma_dirty_words: usize,
    /// One bit for each word of `dma_dirty` that may be non-zero, so that taking is no scan of all RAM; exchange this
    /// first, and before it clear `VMM_ATTENTION_DMA`.
    pub dma_summary: *mut usize,
    /// Writes up to `capacity` ranges to `out` and returns how many there are.
    pub ram_ranges:
        Option<unsafe extern "C" fn(ctx: *mut c_void, out: *mut VmmRam, capacity: usize) -> usize>,
    /// Reads a device register of `len` (1, 2, 4 or 8) bytes.
    pub read: Option<unsafe extern "C" fn(ctx: *mut c_void, pa: u64, len: u32) -> u64>,
    /// Writes a device register of `len` (1, 2, 4 or 8) bytes.
    pub write: Option<unsafe extern "C" fn(ctx: *mut c_void, pa: u64, len: u32, value: u64)>,
    /// Reads a device control register (0-1023).
    pub dcr_read: Option<unsafe extern "C" fn(ctx: *mut c_void, dcrn: u32) -> u32>,
    /// Writes a device control register (0-1023).
    pub dcr_write: Option<unsafe extern "C" fn(ctx: *mut c_void, dcrn: u32, value: u32)>,
    /// Machine time in timebase ticks.
    pub now: Option<unsafe extern "C" fn(ctx: *mut c_void) -> u64>,
    /// Lets `retired` instructions' worth of time pass, runs device work that is due; returns the next deadline.
    pub advance: Option<unsafe extern "C" fn(ctx: *mut c_void, retired: u64) -> u64>,
    /// Sleeps until an attention bit, a deadline or `until`; returns the time then.
    pub idle: Option<unsafe extern "C" fn(ctx: *mut c_void, until: u64) -> u64>,
    /// Which of EXT and CRIT an enabled source could still assert one day.
    pub armed: Option<unsafe extern "C" fn(ctx: *mut c_void) -> u32>,
    /// The 4 KB page, aligned, that holds `attention` and `ram_generation` and nothing else, so that an engine behind
    /// a wall may map it; null if there is none. A table of an older host ends before it.
    pub shared_page: *const u8,
    /// How the device register of `len` bytes at `pa`, which was accessed last, may be treated: bits of
    /// `VMM_TREATMENT_*`. It holds until the attention word changes or another entry than `now` and `armed` is called,
    /// except for accesses to registers that have a treatment themselves. May be null: every access must be a call.
    pub treatment: Option<unsafe extern "C" fn(ctx: *mut c_void, pa: u64, len: u32) -> u32>,
}

/// What an engine is created with.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct VmmEngineConfig {
    /// `sizeof(VmmEngineConfig)`.
    pub size: u32,
    /// Timebase frequency in Hz.
    pub tb_hz: u32,
    /// 0 host, 1 icount.
    pub clock: u32,
    /// Shadow pages that the engine may hold; 0 takes the engine's default.
    pub shadow_pages: u32,
    /// Replacement policy: 0 takes the engine's default, 1 round robin, 2 sparing, 3 clock, 4 LRU, 5 tree pseudo-LRU,
    /// 6 random.
    pub tlb_policy: u32,
    /// Zero.
    pub reserved: u32,
}

/// Exit: the budget is spent.
pub const VMM_EXIT_BUDGET: u32 = 0;
/// Exit: the guest or a device asked for a reset; `detail` is 1 core, 2 chip, 3 system.
pub const VMM_EXIT_RESET: u32 = 1;
/// Exit: nothing that is enabled can ever wake the core.
pub const VMM_EXIT_HALTED: u32 = 2;
/// Exit: `VMM_ATTENTION_STOP` was seen.
pub const VMM_EXIT_STOP: u32 = 3;
/// Exit: a debug event for an attached debugger.
pub const VMM_EXIT_DEBUG: u32 = 4;
/// Exit: the guest cannot go on; why went into the sink.
pub const VMM_EXIT_GUEST_FATAL: u32 = 5;
/// Exit: the engine failed; why went into the sink.
pub const VMM_EXIT_ERROR: u32 = 6;

/// Why `run` returned.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct VmmExit {
    /// `VMM_EXIT_*`.
    pub kind: u32,
    /// Kind of reset; else 0.
    pub detail: u32,
}

/// An execution backend: a factory of engines. `ctx` is the first argument of the factory's entries, `engine` that
/// of an engine's.
#[derive(Debug)]
#[repr(C)]
pub struct VmmBackend {
    /// `sizeof(VmmBackend)`.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// Passed back to the factory's entries.
    pub ctx: *const c_void,
    /// Any thread. Names and ranks the backend.
    pub info: Option<unsafe extern "C" fn(ctx: *const c_void, out: *mut VmmInfo)>,
    /// Any thread. Whether this host can run it; if not, one sentence goes to `why`. May be null: it can.
    pub probe: Option<unsafe extern "C" fn(ctx: *const c_void, why: *const VmmSink) -> i32>,
    /// Any thread. What this host forces on a guest. May be null: nothing.
    pub constraints: Option<unsafe extern "C" fn(ctx: *const c_void, out: *mut Constraints)>,
    /// vCPU's thread. Makes an engine; `bus` outlives it.
    pub create: Option<
        unsafe extern "C" fn(
            ctx: *const c_void,
            config: *const VmmEngineConfig,
            bus: *const VmmBus,
            engine: *mut *mut c_void,
            why: *const VmmSink,
        ) -> i32,
    >,
    /// vCPU's thread. Frees an engine.
    pub destroy: Option<unsafe extern "C" fn(engine: *mut c_void)>,
    /// vCPU's thread. Executes until `budget` instructions have retired or something ends the run.
    pub run: Option<
        unsafe extern "C" fn(
            engine: *mut c_void,
            budget: u64,
            exit: *mut VmmExit,
            why: *const VmmSink,
        ) -> i32,
    >,
    /// vCPU's thread. Copies the state out.
    pub get_state:
        Option<unsafe extern "C" fn(engine: *mut c_void, state: *mut CpuState, why: *const VmmSink) -> i32>,
    /// vCPU's thread. Copies a state in; `refused` gets the name of each field that could not be set.
    pub set_state: Option<
        unsafe extern "C" fn(
            engine: *mut c_void,
            state: *const CpuState,
            refused: *const VmmSink,
            why: *const VmmSink,
        ) -> i32,
    >,
    /// vCPU's thread. Instructions retired since creation.
    pub retired: Option<unsafe extern "C" fn(engine: *mut c_void) -> u64>,
    /// vCPU's thread. Counters for people. May be null: none.
    pub stats: Option<unsafe extern "C" fn(engine: *mut c_void, out: *const VmmCounterSink)>,
    /// Any thread. A further table by name, or null. Optional powers only. May be null: none.
    pub extension: Option<unsafe extern "C" fn(ctx: *const c_void, name: VmmBytes) -> *const c_void>,
}

/// Name under which [`VmmBackend`]'s `extension` gives a [`VmmInspect`].
pub const VMM_EXTENSION_INSPECT: &str = "inspect";

/// Extension of a backend by the name `inspect`: its engines' insides, for people who study them. It lives as long as
/// the library. Each
/// entry may be null.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct VmmInspect {
    /// `sizeof(VmmInspect)`.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// vCPU's thread. Text about `topic` goes to `out`, nothing if there is nothing to tell. The topic `tlb` is what
    /// shadows the guest's TLB, `jit` what was translated.
    pub describe: Option<unsafe extern "C" fn(engine: *mut c_void, topic: VmmBytes, out: *const VmmSink)>,
    /// vCPU's thread. Starts to record `topic` in memory of the engine that is bounded. The topic `tlb` is the trace
    /// format of `mmu-core`; `blocks` and `perf-map` are text lines about translated code.
    pub record:
        Option<unsafe extern "C" fn(engine: *mut c_void, topic: VmmBytes, why: *const VmmSink) -> i32>,
    /// vCPU's thread. What was recorded since the last call goes to `out` and is forgotten by the engine. The pieces
    /// of all calls, in a row, are the recording.
    pub recorded: Option<unsafe extern "C" fn(engine: *mut c_void, out: *const VmmSink)>,
}

/// What a board may ask of its host. The table lives as long as the machine. All entries: vCPU's thread.
#[derive(Debug)]
#[repr(C)]
pub struct VmmBoardHost {
    /// `sizeof(VmmBoardHost)`.
    pub size: u32,
    /// [`ABI`].
    pub abi: u32,
    /// Passed back to each entry.
    pub ctx: *mut c_void,
    /// Asks for `len` bytes (a multiple of 4096) of zeroed RAM at physical address `pa`; only during `create`.
    /// Returns [`VMM_OK`] and fills `out`, or [`VMM_REFUSED`].
    pub map_ram: Option<unsafe extern "C" fn(ctx: *mut c_void, pa: u64, len: u64, out: *mut VmmRam) -> i32>,
    /// Drives attention bits as levels.
    pub set_attention: Option<unsafe extern "C" fn(ctx: *mut c_void, bits: u32, level: u32)>,
    /// Tells engines that a device wrote `len` bytes of RAM at `pa`.
    pub mark_dma_dirty: Option<unsafe extern "C" fn(ctx: *mut c_void, pa: u64, len: u64)>,
    /// Sends characters out of serial port `port`.
    pub char_write: Option<unsafe extern "C" fn(ctx: *mut c_void, port: u32, bytes: VmmBytes)>,
    /// Machine time in timebase ticks.
    pub now: Option<unsafe extern "C" fn(ctx: *mut c_void) -> u64>,
    /// Seconds since 1970-01-01 00:00 UTC for a real-time clock.
    pub wall_clock: Option<unsafe extern "C" fn(ctx: *mut c_void) -> u64>,
    /// 0 host clock, 1 icount.
    pub clock: Option<unsafe extern "C" fn(ctx: *mut c_void) -> u32>,
    /// The machine cannot go on (a panic was caught, say): the host stops the run and shows the message.
    pub fail: Option<unsafe extern "C" fn(ctx: *mut c_void, message: VmmBytes)>,
}

/// A board strap, `name=value`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct VmmStrap {
    /// Name.
    pub name: VmmBytes,
    /// Value.
    pub value: VmmBytes,
}

/// What a machine is created with.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct VmmBoardConfig {
    /// `sizeof(VmmBoardConfig)`.
    pub size: u32,
    /// 0 host clock, 1 icount.
    pub clock: u32,
    /// A flattened device tree; null takes the board's own.
    pub tree: *const VmmBytes,
    /// Where it came from, for messages.
    pub tree_name: VmmBytes,
    /// RAM in bytes; 0 takes the tree's, else the board's default.
    pub memory: u64,
    /// What the backend forces.
    pub constraints: Constraints,
    /// `strap_count` straps.
    pub straps: *const VmmStrap,
    /// Number of straps.
    pub strap_count: usize,
}

/// Files to boot from.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct VmmImages {
    /// `sizeof(VmmImages)`.
    pub size: u32,
    /// Non-zero: `load_address` counts.
    pub has_load_address: u32,
    /// The kernel.
    pub kernel: VmmBytes,
    /// Where it came from, for messages.
    pub kernel_name: VmmBytes,
    /// The initial RAM disk; null when there is none.
    pub initrd: *const VmmBytes,
    /// Where it came from, for messages.
    pub initrd_name: VmmBytes,
    /// The kernel command line; null when none was given.
    pub append: *const VmmBytes,
    /// Where a raw image goes (physical).
    pub load_address: u64,
}

/// A board: a factory of machines. `ctx` is the first argument of the factory's entries, `machine` that of a
/// machine's.
#[derive(Debug)]
#[repr(C)]
pub struct VmmBoard {
    /// `sizeof(VmmBoard)`.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// Passed back to the factory's entries.
    pub ctx: *const c_void,
    /// Any thread. Names the board.
    pub info: Option<unsafe extern "C" fn(ctx: *const c_void, out: *mut VmmInfo)>,
    /// Any thread. The board's own flattened device tree goes to `out`. May be null: none.
    pub default_tree: Option<unsafe extern "C" fn(ctx: *const c_void, out: *const VmmSink)>,
    /// vCPU's thread. Builds a machine; `host` outlives it.
    pub create: Option<
        unsafe extern "C" fn(
            ctx: *const c_void,
            config: *const VmmBoardConfig,
            host: *const VmmBoardHost,
            machine: *mut *mut c_void,
            why: *const VmmSink,
        ) -> i32,
    >,
    /// vCPU's thread. Frees a machine.
    pub destroy: Option<unsafe extern "C" fn(machine: *mut c_void)>,
    /// vCPU's thread. What the machine says of its core.
    pub core: Option<unsafe extern "C" fn(machine: *mut c_void, out: *mut CoreDescription)>,
    /// vCPU's thread. Puts the images into RAM; `state` becomes the state in which the core starts.
    pub load: Option<
        unsafe extern "C" fn(
            machine: *mut c_void,
            images: *const VmmImages,
            state: *mut CpuState,
            why: *const VmmSink,
        ) -> i32,
    >,
    /// vCPU's thread. Reads a device register of `len` (1, 2, 4 or 8) bytes.
    pub read: Option<unsafe extern "C" fn(machine: *mut c_void, pa: u64, len: u32) -> u64>,
    /// vCPU's thread. Writes a device register of `len` (1, 2, 4 or 8) bytes.
    pub write: Option<unsafe extern "C" fn(machine: *mut c_void, pa: u64, len: u32, value: u64)>,
    /// vCPU's thread. Reads a device control register. May be null: 0.
    pub dcr_read: Option<unsafe extern "C" fn(machine: *mut c_void, dcrn: u32) -> u32>,
    /// vCPU's thread. Writes a device control register. May be null: ignored.
    pub dcr_write: Option<unsafe extern "C" fn(machine: *mut c_void, dcrn: u32, value: u32)>,
    /// vCPU's thread. Runs device work due at tick `now`; returns the next deadline or [`VMM_NEVER`]. May be null: no device work.
    pub service: Option<unsafe extern "C" fn(machine: *mut c_void, now: u64) -> u64>,
    /// vCPU's thread. Which of EXT and CRIT an enabled source could still assert one day. May be null: none.
    pub armed: Option<unsafe extern "C" fn(machine: *mut c_void) -> u32>,
    /// vCPU's thread. Characters for serial port `port`; returns how many were taken. May be null: they are lost.
    pub char_input: Option<unsafe extern "C" fn(machine: *mut c_void, port: u32, bytes: VmmBytes) -> usize>,
    /// vCPU's thread. Resets the devices: 1 core, 2 chip, 3 system. May be null: nothing to reset.
    pub reset: Option<unsafe extern "C" fn(machine: *mut c_void, kind: u32)>,
    /// vCPU's thread. Every device's state goes to `out`. May be null: no state.
    pub save: Option<unsafe extern "C" fn(machine: *mut c_void, out: *const VmmSink)>,
    /// vCPU's thread. Restores what `save` gave. May be null: refused.
    pub restore:
        Option<unsafe extern "C" fn(machine: *mut c_void, saved: VmmBytes, why: *const VmmSink) -> i32>,
    /// vCPU's thread. One line a device goes to `out`. May be null: nothing to tell.
    pub describe: Option<unsafe extern "C" fn(machine: *mut c_void, out: *const VmmSink)>,
    /// Any thread. A further table by name, or null. Optional powers only. May be null: none.
    pub extension: Option<unsafe extern "C" fn(ctx: *const c_void, name: VmmBytes) -> *const c_void>,
    /// vCPU's thread. As [`VmmBus`]'s `treatment`. May be null: every access must be a call. A table of an older plugin
    /// ends before it.
    pub treatment: Option<unsafe extern "C" fn(machine: *mut c_void, pa: u64, len: u32) -> u32>,
}

// SAFETY: the tables that a library exports never change, and the entries that are reached from them without an
// instance may be called from any thread.
unsafe impl Sync for VmmPlugin {}
// SAFETY: as above.
unsafe impl Sync for VmmBackend {}
// SAFETY: as above.
unsafe impl Sync for VmmBoard {}
// SAFETY: its entries may be called from any thread, and the table never changes.
unsafe impl Sync for VmmHost {}

// The header's generator cannot follow paths, so the numbers stand twice; they are the same.
const _: () = {
    assert!(VMM_CAP_ICOUNT == crate::api::caps::ICOUNT);
    assert!(VMM_CAP_STEP == crate::api::caps::STEP);
    assert!(VMM_CAP_DROP_PAGE == crate::api::caps::DROP_PAGE);
    assert!(VMM_CAP_SANDBOX == crate::api::caps::SANDBOX);
    assert!(VMM_ATTENTION_EXT == crate::api::attention::EXT);
    assert!(VMM_ATTENTION_CRIT == crate::api::attention::CRIT);
    assert!(VMM_ATTENTION_MCHECK == crate::api::attention::MCHECK);
    assert!(VMM_ATTENTION_RESET == crate::api::attention::RESET);
    assert!(VMM_ATTENTION_STOP == crate::api::attention::STOP);
    assert!(VMM_ATTENTION_BOARD == crate::api::attention::BOARD);
    assert!(VMM_ATTENTION_DMA == crate::api::attention::DMA);
    assert!(VMM_NEVER == crate::api::NEVER);
    assert!(VMM_TREATMENT_POSTED_WRITE == crate::api::treatment::POSTED_WRITE);
    assert!(VMM_TREATMENT_STABLE_READ == crate::api::treatment::STABLE_READ);
};
