//! What the host and the engine inside the virtual machine agree on: where things lie in the engine's address space,
//! and the mailbox, one block of memory that both see. Both sides are compiled from this one file.
//!
//! The engine is a server. It starts, builds itself from [`Config`], and asks for work by the call
//! [`call::DONE`]; the host puts a [`command`] into the mailbox and lets it go on. While it works it makes other calls:
//! a device register, a device control register, time, sleep. A call is one `out` to [`PORT`]; nothing else leaves the
//! virtual machine. The host trusts nothing that it finds in the mailbox: all counts are bounded, all values plain
//! numbers, and the engine does not run while the host reads.

use ppc440_core::state::CpuState;

/// The I/O port of a call, the only one that ring 3 may use.
pub const PORT: u16 = 0x10;

/// Top of the engine's stack. The page below its bottom is not mapped.
pub const STACK_TOP: u64 = 0x1_0000_0000;
/// Bytes of the stack.
pub const STACK_LEN: u64 = 1 << 20;
/// Where the mailbox lies.
pub const MAILBOX: u64 = 0x1_4000_0000;
/// Where the page with the attention word lies, to be read only.
pub const SHARED_PAGE: u64 = 0x1_8000_0000;
/// Where translated code is written.
pub const CODE_WRITE: u64 = 0x2_0000_0000;
/// Where it is executed.
pub const CODE_EXEC: u64 = 0x2_4000_0000;
/// Where the engine's heap begins.
pub const HEAP: u64 = 0x10_0000_0000;
/// Bytes at the end of the heap for tables of which little is ever touched: those of data translations.
pub const SPARSE_LEN: u64 = 512 << 20;
/// Where guest RAM begins: each range in a part of its own of [`RAM_PART`] bytes.
pub const RAM: u64 = 0x100_0000_0000;
/// Distance between the parts of two RAM ranges.
pub const RAM_PART: u64 = 1 << 40;
/// Most RAM ranges.
pub const RAM_RANGES: usize = 8;

/// Posted writes that wait at most.
pub const POSTED: usize = 512;
/// Ranges of written pages that one answer holds.
pub const DIRTY: usize = 256;
/// Bytes of text that one answer holds.
pub const TEXT: usize = 128 << 10;

/// What the engine asks of the host.
pub mod call {
    /// The command is done (or the engine has just started): `outcome`, `retired` and `stats` are current.
    pub const DONE: u32 = 1;
    /// Read a device register: `pa`, `len`. Answer: `value`, `treatment`.
    pub const READ: u32 = 2;
    /// Write a device register: `pa`, `len`, `value`. Answer: `treatment`.
    pub const WRITE: u32 = 3;
    /// Read device control register `pa`. Answer: `value`.
    pub const DCR_READ: u32 = 4;
    /// Write device control register `pa`.
    pub const DCR_WRITE: u32 = 5;
    /// Run device work that is due. Answer: `deadline`.
    pub const ADVANCE: u32 = 6;
    /// Sleep until an attention bit, a deadline, or tick `value`.
    pub const IDLE: u32 = 7;
    /// Tell the time. (Every answer does.)
    pub const NOW: u32 = 8;
    /// Take the pages that devices wrote. Answer: `dirty`, `dirty_count`, and `value` non-zero if there are more.
    pub const DIRTY: u32 = 9;
    /// The engine panicked: `text` says how. It must not be entered again.
    pub const PANIC: u32 = 10;
}

/// What the host asks of the engine.
pub mod command {
    /// Run for `argument` instructions. Result: `outcome`, `detail`.
    pub const RUN: u32 = 1;
    /// Copy the state into `state`.
    pub const GET_STATE: u32 = 2;
    /// Take over `state`, and forget what was translated.
    pub const SET_STATE: u32 = 3;
    /// Describe the shadows of the guest's TLB in `text`.
    pub const DESCRIBE: u32 = 4;
    /// For tests: read the byte at address `argument`, which the engine has no business with.
    pub const WILD_READ: u32 = 5;
    /// For tests: write the byte at address `argument`.
    pub const WILD_WRITE: u32 = 6;
    /// For tests: call address `argument`.
    pub const WILD_CALL: u32 = 7;
    /// For tests: panic.
    pub const PANIC: u32 = 8;
    /// For tests: never come back, and look at no attention word.
    pub const HANG: u32 = 9;
}

/// Why a run ended.
pub mod outcome {
    /// The budget is spent.
    pub const BUDGET: u32 = 0;
    /// A reset; `detail` is its kind.
    pub const RESET: u32 = 1;
    /// Nothing can ever wake the core.
    pub const HALTED: u32 = 2;
    /// The host asked for it.
    pub const STOP: u32 = 3;
    /// A vector faults on itself; `text` names it.
    pub const FATAL: u32 = 4;
}

/// Names of the counters in [`Mailbox::stats`].
pub const STATS: [&str; 24] = [
    "translated_blocks",
    "translated_instructions",
    "code_bytes",
    "chained_jumps",
    "full",
    "entered",
    "core_calls",
    "shadow_hits",
    "shadow_misses",
    "guest_tlb_misses",
    "shadow_drops",
    "shadow_evictions",
    "recycled_contexts",
    "tlb_writes",
    "heap_bytes",
    "posted_writes",
    "kept_reads",
    "calls_read",
    "calls_write",
    "calls_dcr",
    "calls_advance",
    "calls_idle",
    "calls_now",
    "calls_dirty",
];

/// A range of guest RAM.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Window {
    /// Guest physical address (the 440's).
    pub pa: u64,
    /// Where it lies in the engine's address space.
    pub va: u64,
    /// Bytes.
    pub len: u64,
}

/// What the engine is built from; written once, before it starts.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Config {
    /// Non-zero: one retired instruction is one tick.
    pub icount: u32,
    /// Replacement policy, as in the plugin interface.
    pub tlb_policy: u32,
    /// Shadow pages; 0 is the default.
    pub shadow_pages: u32,
    /// Offset of the attention word in the shared page.
    pub attention: u32,
    /// Ranges in `ram`.
    pub ram_count: u32,
    /// Timebase ticks for each tick of the time stamp counter, as a fraction of 2^32; 0: time must be asked for.
    pub tsc_scale: u32,
    /// Ticks in which a posted write must reach its device.
    pub linger: u64,
    /// Bytes of the heap.
    pub heap_len: u64,
    /// Bytes of code memory.
    pub code_len: u64,
    /// Guest RAM.
    pub ram: [Window; RAM_RANGES],
}

/// A write that waits.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Posted {
    /// Guest physical address.
    pub pa: u64,
    /// Bytes.
    pub len: u64,
    /// Value.
    pub value: u64,
}

/// A range of RAM that a device wrote.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct DirtyRange {
    /// Guest physical address of the first page.
    pub pa: u64,
    /// Pages of 4 KB.
    pub pages: u64,
}

/// The block that both sides see. All zeros is a valid one.
#[derive(Debug)]
#[repr(C)]
pub struct Mailbox {
    /// See [`Config`].
    pub config: Config,

    /// Host to engine: what to do next, one of [`command`].
    pub command: u32,
    /// Engine to host: one of [`call`].
    pub call: u32,
    /// Argument of the command.
    pub argument: u64,

    /// Argument of the call: an address.
    pub pa: u64,
    /// Argument of the call: bytes.
    pub len: u64,
    /// Argument of the call, and its answer.
    pub value: u64,
    /// Under icount: ticks that passed since the last call.
    pub ticks: u64,
    /// Writes in `posted`, which come before the call.
    pub posted_count: u64,

    /// Answer: tick of the board's next deadline, as of the last `ADVANCE` or, under icount, the last ticks that passed.
    pub deadline: u64,
    /// Every answer: machine time in ticks.
    pub now: u64,
    /// Every answer: the host's time stamp counter at that time.
    pub tsc: u64,
    /// Every answer: which inputs some enabled source could assert.
    pub armed: u32,
    /// Answer: how the register may be treated.
    pub treatment: u32,
    /// Answer: ranges in `dirty`.
    pub dirty_count: u64,

    /// Why the run ended, one of [`outcome`].
    pub outcome: u32,
    /// More about it.
    pub detail: u32,
    /// Instructions retired since the engine started.
    pub retired: u64,
    /// Bytes in `text`.
    pub text_len: u64,
    /// Counters, see [`STATS`].
    pub stats: [u64; STATS.len()],

    /// The core's state, for the commands about it.
    pub state: CpuState,
    /// Writes that wait.
    pub posted: [Posted; POSTED],
    /// Pages that devices wrote.
    pub dirty: [DirtyRange; DIRTY],
    /// Text.
    pub text: [u8; TEXT],
}
