//! What a plugin author implements: [`Backend`] and [`Engine`] for an execution backend, [`Board`] and [`Machine`] for
//! a board. The macro [`crate::plugin!`] wraps implementations into the C tables of [`crate::abi`]; the host sees the
//! same traits again on its side of the boundary, whether a plugin came through `dlopen` or was linked in.
//!
//! Threads: a `Machine` and an `Engine` are created, used and dropped on one thread, the vCPU's. Other threads reach
//! a machine only through [`attention`] bits and the host's queues.

pub use ppc440_core::state::CpuState;

use ppc440_core::core::Stop;

pub use ppc440_core::bus::{NEVER, attention};
pub use ppc440_core::options::{PolicyKind, UnknownPolicy, policy_by_number};

use crate::bus::PluginBus;
use crate::host::BoardHost;

/// Why a plugin refused something: one clear sentence that names the thing and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl<S: Into<String>> From<S> for Refusal {
    fn from(message: S) -> Self {
        Self(message.into())
    }
}

/// What is printed about a backend or board, and how it ranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The name that the flag takes, for example `interp`.
    pub id: String,
    /// One line for `vmm backends` and `vmm boards`.
    pub summary: String,
    /// `--backend auto` takes the usable backend of the highest rank. Boards leave it 0.
    pub rank: u32,
    /// What the backend can do, see [`caps`].
    pub caps: u64,
}

/// Capability bits of a backend.
pub mod caps {
    /// Honours `icount`: one retired instruction is one timebase tick, identical on every engine that has this.
    pub const ICOUNT: u64 = 1 << 0;
    /// `run(1)` executes exactly one instruction, so lock step works.
    pub const STEP: u64 = 1 << 1;
    /// Can drop a single translation, so `--tlb-policy` and `--shadow-size` make sense.
    pub const DROP_PAGE: u64 = 1 << 2;
    /// A guest that breaks the engine still holds nothing of the host process.
    pub const SANDBOX: u64 = 1 << 3;
}

/// What a host forces on a guest. Zero means "no constraint".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Constraints {
    /// The only PVR that the engine can show.
    pub pvr: u32,
    /// CPU clock in Hz.
    pub cpu_hz: u32,
    /// Timebase frequency in Hz.
    pub tb_hz: u32,
    /// Bytes from address 0 that are mapped when the guest is entered; the kernel, tree and initrd must fit where the
    /// boot protocol needs them mapped.
    pub initial_mapping: u32,
}

/// How a machine keeps time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum Clock {
    /// The timebase follows the host's monotonic clock.
    #[default]
    Host = 0,
    /// One retired instruction is one timebase tick.
    Icount = 1,
}

/// What an engine is created with.
#[derive(Debug, Clone, Copy)]
pub struct EngineConfig {
    /// Timebase frequency in Hz.
    pub tb_hz: u32,
    /// How time passes.
    pub clock: Clock,
    /// Shadow pages that the engine may hold; 0 takes the engine's default.
    pub shadow_pages: u32,
    /// Replacement policy: 0 takes the default, `n` is number `n - 1` of [`PolicyKind::ALL`]; see
    /// [`policy_by_number`].
    pub tlb_policy: u32,
}

/// Why [`Engine::run`] returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// The budget is spent.
    Budget,
    /// The guest or a device asked for a reset.
    Reset(ResetKind),
    /// Nothing that is enabled can ever wake the core again.
    Halted,
    /// [`attention::STOP`] was seen.
    Stop,
    /// A debug event stopped the core for an attached debugger.
    Debug,
    /// An exception vector faults on itself: the guest cannot go on.
    GuestFatal(String),
    /// The engine itself failed.
    Error(String),
}

impl From<Stop> for Exit {
    /// Why a core of ppc440-core stopped, in the host's words.
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Budget => Self::Budget,
            Stop::Reset(1) => Self::Reset(ResetKind::Core),
            Stop::Reset(2) => Self::Reset(ResetKind::Chip),
            Stop::Reset(_) => Self::Reset(ResetKind::System),
            Stop::Halted => Self::Halted,
            Stop::Requested => Self::Stop,
            Stop::Fatal(interrupt) => Self::GuestFatal(format!(
                "The {interrupt:?} vector faults on itself: no instruction completes any more"
            )),
        }
    }
}

/// How much a reset resets (the encoding of `DBCR0[RST]` and `TCR[WRC]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum ResetKind {
    /// The core only.
    Core = 1,
    /// The chip.
    Chip = 2,
    /// The system.
    System = 3,
}

/// An execution backend: a factory of engines.
pub trait Backend: Sync {
    /// Names and ranks the backend.
    fn info(&self) -> Info;
    /// Whether this host can run it.
    ///
    /// # Errors
    /// Why not, in one sentence.
    fn probe(&self) -> Result<(), Refusal>;
    /// What this host forces on a guest.
    fn constraints(&self) -> Constraints {
        Constraints::default()
    }
    /// Makes an engine on the calling thread. The engine owns its half of the bus.
    ///
    /// # Errors
    /// What could not be had, in one sentence.
    fn create(&self, config: &EngineConfig, bus: PluginBus) -> Result<Box<dyn Engine>, Refusal>;
}

/// One running 440 core.
pub trait Engine {
    /// Executes until `budget` instructions have retired (exactly, with [`caps::STEP`]) or something ends the run.
    fn run(&mut self, budget: u64) -> Exit;
    /// Copies the state out.
    fn get_state(&mut self, state: &mut CpuState);
    /// Copies a state in. Returns the names of fields that the engine cannot set (empty: all were set).
    fn set_state(&mut self, state: &CpuState) -> Vec<&'static str>;
    /// Instructions retired since creation.
    fn retired(&self) -> u64;
    /// Counters for `info stats`, as (name, value).
    fn stats(&self) -> Vec<(String, u64)> {
        Vec::new()
    }
    /// Text about `topic`, empty if there is nothing to tell. The topic `tlb`: what shadows the guest's TLB;
    /// `jit`: what was translated.
    fn inspect(&mut self, topic: &str) -> String {
        let _ = topic;
        String::new()
    }
    /// Starts to record `topic` in bounded memory. The topic `tlb`: [`mmu-core`'s trace
    /// format](https://docs.rs/mmu-core/latest/mmu_core/trace/), which `policy-lab` replays. The topics
    /// `blocks` and `perf-map`: translated code, as text lines.
    ///
    /// # Errors
    /// That the engine cannot, in one sentence.
    fn record(&mut self, topic: &str) -> Result<(), Refusal> {
        Err(format!("This backend cannot record `{topic}`; `vmm run --help` says which can").into())
    }
    /// What was recorded since the last call; the pieces of all calls in a row are the recording.
    fn recorded(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

/// A file given to boot from.
#[derive(Debug, Clone, Default)]
pub struct Images {
    /// The kernel in any format that the board recognises.
    pub kernel: Vec<u8>,
    /// Where it came from, for messages.
    pub kernel_name: String,
    /// The initial RAM disk.
    pub initrd: Option<Vec<u8>>,
    /// Where it came from, for messages.
    pub initrd_name: String,
    /// The kernel command line.
    pub append: Option<String>,
    /// Where a raw image goes (physical); recognised formats know it themselves.
    pub load_address: Option<u64>,
}

/// What a machine is created with.
#[derive(Debug, Clone, Default)]
pub struct BoardConfig {
    /// A flattened device tree that describes the machine; `None` takes the board's own.
    pub tree: Option<Vec<u8>>,
    /// Where it came from, for messages.
    pub tree_name: String,
    /// RAM size in bytes; `None` takes the tree's, else the board's default.
    pub memory: Option<u64>,
    /// What the backend forces.
    pub constraints: Constraints,
    /// Board straps as `name=value`, see the board's README.
    pub straps: Vec<(String, String)>,
    /// Time source; under icount a machine must not look at the host's clock.
    pub clock: Clock,
}

/// How a device register may be treated by an engine to which leaving its place is dear; see [`Machine::treatment`].
pub mod treatment {
    /// Writes may be kept and made later, a millisecond at most, in order and before any other call. No register for
    /// which [`STABLE_READ`] was told changes by them.
    pub const POSTED_WRITE: u32 = 1 << 0;
    /// Reads give the same value, and do nothing that matters. An engine asks again now and then, so that a device can
    /// tell a guest that polls.
    pub const STABLE_READ: u32 = 1 << 1;
}

/// A board: a factory of machines.
pub trait Board: Sync {
    /// Names the board.
    fn info(&self) -> Info;
    /// The board's own flattened device tree.
    fn default_tree(&self) -> Vec<u8>;
    /// Builds a machine. It asks `host` for its RAM before it returns.
    ///
    /// # Errors
    /// What is wrong with the tree, the memory size or a strap, in one sentence.
    fn create(&self, config: &BoardConfig, host: BoardHost) -> Result<Box<dyn Machine>, Refusal>;
}

/// One machine: everything behind a core's pins.
pub trait Machine {
    /// PVR of the core that this machine carries, its timebase and CPU clock in Hz, and the number of serial ports.
    fn core(&self) -> CoreDescription;
    /// Puts the images into RAM and returns the state in which the core starts.
    ///
    /// # Errors
    /// What is wrong with a file, in one sentence that names it.
    fn load(&mut self, images: &Images) -> Result<CpuState, Refusal>;
    /// Reads a device register.
    fn read(&mut self, pa: u64, len: u8) -> u64;
    /// Writes a device register.
    fn write(&mut self, pa: u64, len: u8, value: u64);
    /// Reads a device control register.
    fn dcr_read(&mut self, dcrn: u16) -> u32;
    /// Writes a device control register.
    fn dcr_write(&mut self, dcrn: u16, value: u32);
    /// Runs device work that is due at tick `now`; returns the tick of the next deadline or [`NEVER`].
    fn service(&mut self, now: u64) -> u64;
    /// Which of [`attention::EXT`] and [`attention::CRIT`] an enabled source could still assert one day.
    fn armed(&mut self) -> u32;
    /// Characters from the host for serial port `port`; returns how many were taken (a full FIFO takes fewer; the
    /// rest is offered again after the next `service`).
    fn char_input(&mut self, port: u32, bytes: &[u8]) -> usize;
    /// Resets the devices as the hardware would.
    fn reset(&mut self, kind: ResetKind);
    /// Saves every device's state.
    fn save(&mut self) -> Vec<u8>;
    /// Restores what [`Machine::save`] returned.
    ///
    /// # Errors
    /// What does not fit, in one sentence.
    fn restore(&mut self, saved: &[u8]) -> Result<(), Refusal>;
    /// How the register of `len` bytes at `pa`, which was accessed last, may be treated: bits of [`treatment`]. It holds
    /// until the attention word changes or the machine is called, except for accesses to registers that have a
    /// treatment themselves. Under icount nobody asks, as time is exact there.
    fn treatment(&mut self, pa: u64, len: u8) -> u32 {
        let _ = (pa, len);
        0
    }
    /// One line a device, for `info devices`.
    fn describe(&mut self) -> String;
}

/// What a board says of its core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct CoreDescription {
    /// Processor version register.
    pub pvr: u32,
    /// CPU clock in Hz.
    pub cpu_hz: u32,
    /// Timebase frequency in Hz.
    pub tb_hz: u32,
    /// Serial ports that `--serialN` can connect.
    pub serial_ports: u32,
}
