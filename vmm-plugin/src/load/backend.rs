//! A plugin's backend and its engines as the traits that the host uses.

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::sync::Mutex;

use ppc440_core::state::CpuState;

use super::{LoadError, Plugin, check_size};
use crate::abi::*;
use crate::api::{Backend, Clock, Constraints, Engine, EngineConfig, Exit, Info, Refusal, ResetKind};
use crate::bus::PluginBus;
use crate::ffi::{Pieces, collect_counters, outcome, unfill};

/// A backend's table, checked and copied out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    ctx: *const c_void,
    info: unsafe extern "C" fn(*const c_void, *mut VmmInfo),
    probe: Option<unsafe extern "C" fn(*const c_void, *const VmmSink) -> i32>,
    constraints: Option<unsafe extern "C" fn(*const c_void, *mut Constraints)>,
    create: unsafe extern "C" fn(
        *const c_void,
        *const VmmEngineConfig,
        *const VmmBus,
        *mut *mut c_void,
        *const VmmSink,
    ) -> i32,
    destroy: unsafe extern "C" fn(*mut c_void),
    run: unsafe extern "C" fn(*mut c_void, u64, *mut VmmExit, *const VmmSink) -> i32,
    get_state: unsafe extern "C" fn(*mut c_void, *mut CpuState, *const VmmSink) -> i32,
    set_state: unsafe extern "C" fn(*mut c_void, *const CpuState, *const VmmSink, *const VmmSink) -> i32,
    retired: unsafe extern "C" fn(*mut c_void) -> u64,
    stats: Option<unsafe extern "C" fn(*mut c_void, *const VmmCounterSink)>,
    extension: Option<unsafe extern "C" fn(*const c_void, VmmBytes) -> *const c_void>,
}

// SAFETY: the factory's entries may be called from any thread and the table's contents never change; entries that take
// an engine are only reached through `LoadedEngine`, which stays on its thread.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl Table {
    pub(super) fn new(table: &VmmBackend) -> Result<Self, LoadError> {
        check_size::<VmmBackend>("VmmBackend", table.size)?;
        macro_rules! need {
            ($entry:ident) => {
                table.$entry.ok_or(LoadError::Lacks { table: "VmmBackend", entry: stringify!($entry) })?
            };
        }
        Ok(Self {
            ctx: table.ctx,
            info: need!(info),
            probe: table.probe,
            constraints: table.constraints,
            create: need!(create),
            destroy: need!(destroy),
            run: need!(run),
            get_state: need!(get_state),
            set_state: need!(set_state),
            retired: need!(retired),
            stats: table.stats,
            extension: table.extension,
        })
    }

    /// The backend's [`VmmInspect`], if it has one of at least our size.
    ///
    /// # Safety
    /// The library is initialised and kept loaded.
    unsafe fn inspect(&self) -> Option<VmmInspect> {
        // SAFETY: an entry of a table of our ABI; the caller vouches for the library.
        let table = unsafe { self.extension?(self.ctx, VmmBytes::lend(VMM_EXTENSION_INSPECT.as_bytes())) };
        let table = table.cast::<VmmInspect>();
        // SAFETY: null, or it begins with its size; only if that fits is the rest looked at.
        unsafe {
            (!table.is_null() && (&raw const (*table).size).read() as usize >= size_of::<VmmInspect>())
                .then(|| table.read())
        }
    }
}

/// A backend of a [`Plugin`], which it keeps.
#[derive(Debug, Clone)]
pub struct LoadedBackend {
    plugin: Plugin,
    table: Table,
}

impl LoadedBackend {
    pub(super) fn new(plugin: Plugin, index: usize) -> Self {
        let table = plugin.inner.backends[index];
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

impl Backend for LoadedBackend {
    fn info(&self) -> Info {
        let mut info = VmmInfo { id: [0; 32], summary: [0; 160], rank: 0, reserved: 0, caps: 0 };
        // SAFETY: see above.
        unsafe { (self.table.info)(self.table.ctx, &raw mut info) };
        Info { id: unfill(&info.id), summary: unfill(&info.summary), rank: info.rank, caps: info.caps }
    }

    fn probe(&self) -> Result<(), Refusal> {
        let Some(probe) = self.table.probe else { return Ok(()) };
        // SAFETY: see above.
        outcome(Pieces::collect(|why| unsafe { probe(self.table.ctx, why) }))
    }

    fn constraints(&self) -> Constraints {
        let mut constraints = Constraints::default();
        if let Some(entry) = self.table.constraints {
            // SAFETY: see above.
            unsafe { entry(self.table.ctx, &raw mut constraints) };
        }
        constraints
    }

    fn create(&self, config: &EngineConfig, bus: PluginBus) -> Result<Box<dyn Engine>, Refusal> {
        let config = VmmEngineConfig {
            size: size_of::<VmmEngineConfig>() as u32,
            tb_hz: config.tb_hz,
            clock: match config.clock {
                Clock::Host => 0,
                Clock::Icount => 1,
            },
            shadow_pages: config.shadow_pages,
            tlb_policy: config.tlb_policy,
            reserved: 0,
        };
        let mut engine = std::ptr::null_mut();
        // SAFETY: see above; the bus outlives the engine, `LoadedEngine` keeps both.
        outcome(Pieces::collect(|why| unsafe {
            (self.table.create)(self.table.ctx, &raw const config, bus.table(), &raw mut engine, why)
        }))?;
        if engine.is_null() {
            return Err("The backend returned no engine".into());
        }
        // SAFETY: see above.
        let inspect = unsafe { self.table.inspect() };
        let (table, plugin) = (self.table, self.plugin.clone());
        Ok(Box::new(LoadedEngine { engine, table, inspect, _bus: bus, _plugin: plugin }))
    }
}

/// One engine. Fields drop in order: what the engine uses goes after it.
struct LoadedEngine {
    engine: *mut c_void,
    table: Table,
    inspect: Option<VmmInspect>,
    _bus: PluginBus,
    _plugin: Plugin,
}

impl Drop for LoadedEngine {
    fn drop(&mut self) {
        // SAFETY: see above; it is the last call.
        unsafe { (self.table.destroy)(self.engine) };
    }
}

/// The static name of a state field that a plugin told. The names of `CpuState`'s fields are few; a plugin that makes
/// up new ones for ever is cut off.
fn intern(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match names.get(name) {
        Some(known) => known,
        None if names.len() >= 256 => "other",
        None => {
            let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
            names.insert(name);
            name
        }
    }
}

impl Engine for LoadedEngine {
    fn run(&mut self, budget: u64) -> Exit {
        let mut exit = VmmExit { kind: VMM_EXIT_ERROR, detail: 0 };
        let (status, why) =
            // SAFETY: see above.
            Pieces::collect(|why| unsafe { (self.table.run)(self.engine, budget, &raw mut exit, why) });
        if status != VMM_OK {
            return Exit::Error(outcome((status, why)).err().map_or_else(String::new, |refusal| refusal.0));
        }
        match exit.kind {
            VMM_EXIT_BUDGET => Exit::Budget,
            VMM_EXIT_RESET => Exit::Reset(match exit.detail {
                1 => ResetKind::Core,
                2 => ResetKind::Chip,
                _ => ResetKind::System,
            }),
            VMM_EXIT_HALTED => Exit::Halted,
            VMM_EXIT_STOP => Exit::Stop,
            VMM_EXIT_DEBUG => Exit::Debug,
            VMM_EXIT_GUEST_FATAL => Exit::GuestFatal(why.text()),
            VMM_EXIT_ERROR => Exit::Error(why.text()),
            other => Exit::Error(format!("The engine returned the unknown exit {other}")),
        }
    }

    fn get_state(&mut self, state: &mut CpuState) {
        // SAFETY: see above. A refusal leaves the state as it was; the next `run` tells why.
        let _ = Pieces::collect(|why| unsafe { (self.table.get_state)(self.engine, state, why) });
    }

    fn set_state(&mut self, state: &CpuState) -> Vec<&'static str> {
        let ((status, _), refused) = Pieces::collect(|refused| {
            // SAFETY: see above.
            Pieces::collect(|why| unsafe { (self.table.set_state)(self.engine, state, refused, why) })
        });
        if status != VMM_OK {
            return vec!["all"];
        }
        refused.0.iter().map(|name| intern(&String::from_utf8_lossy(name))).collect()
    }

    fn retired(&self) -> u64 {
        // SAFETY: see above.
        unsafe { (self.table.retired)(self.engine) }
    }

    fn stats(&self) -> Vec<(String, u64)> {
        match self.table.stats {
            // SAFETY: see above.
            Some(stats) => collect_counters(|out| unsafe { stats(self.engine, out) }),
            None => Vec::new(),
        }
    }

    fn inspect(&mut self, topic: &str) -> String {
        let Some(describe) = self.inspect.and_then(|table| table.describe) else { return String::new() };
        let topic = VmmBytes::lend(topic.as_bytes());
        // SAFETY: see above.
        Pieces::collect(|out| unsafe { describe(self.engine, topic, out) }).1.text()
    }

    fn record(&mut self, topic: &str) -> Result<(), Refusal> {
        match self.inspect.and_then(|table| table.record) {
            Some(record) => {
                let topic = VmmBytes::lend(topic.as_bytes());
                // SAFETY: see above.
                outcome(Pieces::collect(|why| unsafe { record(self.engine, topic, why) }))
            }
            None => {
                Err(format!("This backend cannot record `{topic}`; `vmm run --help` says which can").into())
            }
        }
    }

    fn recorded(&mut self) -> Vec<u8> {
        let Some(recorded) = self.inspect.and_then(|table| table.recorded) else { return Vec::new() };
        // SAFETY: see above.
        Pieces::collect(|out| unsafe { recorded(self.engine, out) }).1.bytes()
    }
}
