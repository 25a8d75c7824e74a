//! A whole Bamboo in this process, without the `vmm` program: the board's devices behind a test's bus, time that is the
//! number of retired instructions, no console input. Whatever engine runs on it, it sees the same world at the same
//! instruction, so engines can be compared at any point of a boot.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use board_bamboo::BambooBoard;
use ppc440_core::core::Core;
use ppc440_core::state::CpuState;
use vmm_plugin::api::{
    Backend, Board, BoardConfig, Clock, Engine, EngineConfig, Exit, Images, Machine, Refusal,
};
use vmm_plugin::bus::testing::TestBus;
use vmm_plugin::bus::{PluginBus, Signals};
use vmm_plugin::host::{BoardHost, HostCalls, RamPointer};

/// Timebase of the board in Hz; it only scales the real-time clock.
const TB_HZ: u32 = 400_000_000;
/// What the real-time clock shows at tick 0, in seconds since 1970.
const WALL: u64 = 1_767_225_600;

/// What the board sees of the test.
#[derive(Debug)]
struct Calls {
    ram: Vec<vmm_plugin::bus::RamRange>,
    signals: Arc<Signals>,
    now: Rc<Cell<u64>>,
    console: Rc<RefCell<Vec<u8>>>,
}

impl HostCalls for Calls {
    fn map_ram(&mut self, pa: u64, len: u64) -> Option<RamPointer> {
        let range = self.ram.iter().find(|range| range.pa == pa && range.len as u64 == len)?;
        Some(RamPointer { ptr: range.ptr, len: range.len })
    }
    fn set_attention(&mut self, bits: u32, level: bool) {
        if level { self.signals.raise(bits) } else { self.signals.lower(bits) }
    }
    fn mark_dma_dirty(&mut self, pa: u64, len: u64) {
        self.signals.mark_dma_dirty(pa, len);
    }
    fn char_write(&mut self, port: u32, bytes: &[u8]) {
        if port == 0 {
            self.console.borrow_mut().extend_from_slice(bytes);
        }
    }
    fn now(&mut self) -> u64 {
        self.now.get()
    }
    fn wall_clock(&mut self) -> u64 {
        WALL + self.now.get() / u64::from(TB_HZ)
    }
    fn clock(&self) -> Clock {
        Clock::Icount
    }
}

/// A machine with an engine, ready to boot.
pub(super) struct Whole {
    /// The engine.
    pub(super) engine: Box<dyn Engine>,
    /// RAM, pins and time.
    pub(super) bus: TestBus,
    memory: u64,
    console: Rc<RefCell<Vec<u8>>>,
}

impl Whole {
    /// A Bamboo with `memory` bytes of RAM and `images` loaded, run by an engine of `backend`.
    ///
    /// # Errors
    /// What the board or the backend refuses.
    pub(super) fn new(backend: &dyn Backend, memory: u64, images: &Images) -> Result<Self, Refusal> {
        let mut bus = TestBus::new(&[(0, memory)]);
        let console = Rc::<RefCell<Vec<u8>>>::default();
        let engine_end = bus.bus();
        let calls = Calls {
            ram: engine_end.ram(),
            signals: Arc::clone(bus.signals()),
            now: bus.clock(),
            console: Rc::clone(&console),
        };
        let board_config =
            BoardConfig { memory: Some(memory), clock: Clock::Icount, ..BoardConfig::default() };
        let mut machine = BambooBoard.create(&board_config, BoardHost::new(Box::new(calls)))?;
        let state = machine.load(images)?;
        let machine: Rc<RefCell<Box<dyn Machine>>> = Rc::new(RefCell::new(machine));
        let with = || Rc::clone(&machine);
        let m = with();
        bus.on_read(move |pa, len| m.borrow_mut().read(pa, len));
        let m = with();
        bus.on_write(move |pa, len, value| m.borrow_mut().write(pa, len, value));
        let m = with();
        bus.on_dcr_read(move |dcrn| m.borrow_mut().dcr_read(dcrn));
        let m = with();
        bus.on_dcr_write(move |dcrn, value| m.borrow_mut().dcr_write(dcrn, value));
        let m = with();
        bus.on_armed(move || m.borrow_mut().armed());
        bus.on_service(move |now| machine.borrow_mut().service(now));
        let config = EngineConfig { tb_hz: TB_HZ, clock: Clock::Icount, shadow_pages: 0, tlb_policy: 0 };
        let mut engine = backend.create(&config, engine_end)?;
        let refused = engine.set_state(&state);
        if refused.is_empty() {
            Ok(Self { engine, bus, memory, console })
        } else {
            Err(format!("The engine cannot set {}", refused.join(", ")).into())
        }
    }

    /// The core's state.
    pub(super) fn state(&mut self) -> CpuState {
        let mut state = CpuState::reset(0);
        self.engine.get_state(&mut state);
        state
    }

    /// All RAM.
    #[must_use]
    pub(super) fn ram(&self) -> Vec<u8> {
        self.bus.read_ram(0, self.memory as usize)
    }

    /// What was sent out of the first serial port.
    #[must_use]
    pub(super) fn console(&self) -> Vec<u8> {
        self.console.borrow().clone()
    }
}

impl std::fmt::Debug for Whole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Whole").field("bus", &self.bus).finish_non_exhaustive()
    }
}

/// The oracle as a backend: [`Core::step`], which has no cache of any kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stepping;

impl Backend for Stepping {
    fn info(&self) -> vmm_plugin::api::Info {
        vmm_plugin::api::Info { id: "step".into(), summary: "Core::step".into(), rank: 0, caps: 0 }
    }
    fn probe(&self) -> Result<(), Refusal> {
        Ok(())
    }
    fn create(&self, config: &EngineConfig, bus: PluginBus) -> Result<Box<dyn Engine>, Refusal> {
        let core = Core::new(&CpuState::reset(0), config.clock == Clock::Icount);
        Ok(Box::new(StepEngine { core, bus }))
    }
}

struct StepEngine {
    core: Core,
    bus: PluginBus,
}

impl Engine for StepEngine {
    fn run(&mut self, budget: u64) -> Exit {
        let end = self.core.retired() + budget;
        while self.core.retired() < end {
            if let Some(stop) = self.core.step(&mut self.bus) {
                return stop.into();
            }
        }
        Exit::Budget
    }
    fn get_state(&mut self, state: &mut CpuState) {
        self.core.snapshot(&mut self.bus, state);
    }
    fn set_state(&mut self, state: &CpuState) -> Vec<&'static str> {
        let now = ppc440_core::bus::Bus::now(&mut self.bus);
        self.core.restore(state, now);
        Vec::new()
    }
    fn retired(&self) -> u64 {
        self.core.retired()
    }
}
