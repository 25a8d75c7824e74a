//! A backend and a board through the C tables and back: what goes in on one side comes out on the other, and panics
//! stop in between.

use std::cell::RefCell;
use std::rc::Rc;

use ppc440_core::bus::{Bus, attention};
use vmm_plugin::api::*;
use vmm_plugin::bus::{PluginBus, testing::TestBus};
use vmm_plugin::host::{BoardHost, HostCalls, RamPointer};
use vmm_plugin::load::{LoadError, LoadedBackend, LoadedBoard, Plugin, silent_host};

/// An engine that does what the budget says.
struct Odd {
    bus: PluginBus,
    state: CpuState,
}

const PANIC: u64 = 1000;

struct OddBackend;

impl Backend for OddBackend {
    fn info(&self) -> Info {
        Info { id: "odd".into(), summary: "x".repeat(500), rank: 7, caps: caps::STEP | caps::ICOUNT }
    }
    fn probe(&self) -> Result<(), Refusal> {
        Err("Only with a friend's help".into())
    }
    fn constraints(&self) -> Constraints {
        Constraints { pvr: 1, cpu_hz: 2, tb_hz: 3, initial_mapping: 4 }
    }
    fn create(&self, config: &EngineConfig, bus: PluginBus) -> Result<Box<dyn Engine>, Refusal> {
        if config.tb_hz == 0 {
            return Err("No time".into());
        }
        assert!(config.tb_hz != 13, "thirteen");
        assert_eq!(config.clock, Clock::Icount);
        Ok(Box::new(Odd { bus, state: CpuState::reset(config.tb_hz) }))
    }
}

impl Engine for Odd {
    fn run(&mut self, budget: u64) -> Exit {
        match budget {
            0 => Exit::Budget,
            1 => Exit::Reset(ResetKind::Core),
            2 => Exit::Reset(ResetKind::Chip),
            3 => Exit::Reset(ResetKind::System),
            4 => Exit::Halted,
            5 => Exit::Stop,
            6 => Exit::Debug,
            7 => Exit::GuestFatal("a vector".into()),
            8 => Exit::Error("an engine".into()),
            PANIC => panic!("number {budget}"),
            _ => {
                let value = self.bus.read(budget, 8);
                self.bus.dcr_write(1023, value as u32);
                Exit::Budget
            }
        }
    }
    fn get_state(&mut self, state: &mut CpuState) {
        *state = self.state.clone();
    }
    fn set_state(&mut self, state: &CpuState) -> Vec<&'static str> {
        self.state = state.clone();
        vec!["tlb", "made up"]
    }
    fn retired(&self) -> u64 {
        u64::MAX
    }
    fn stats(&self) -> Vec<(String, u64)> {
        vec![("one".into(), 1), ("many".into(), u64::MAX)]
    }
}

/// A machine that remembers what it was told.
struct Memory {
    host: BoardHost,
    config: BoardConfig,
    log: Vec<String>,
}

struct MemoryBoard;

impl Board for MemoryBoard {
    fn info(&self) -> Info {
        Info { id: "memory".into(), summary: "Grüße".into(), rank: 0, caps: 0 }
    }
    fn default_tree(&self) -> Vec<u8> {
        vec![0xd0, 0x0d, 0xfe, 0xed, 0, 1]
    }
    fn create(&self, config: &BoardConfig, mut host: BoardHost) -> Result<Box<dyn Machine>, Refusal> {
        let len = config.memory.ok_or("Say how much memory")?;
        host.map_ram(0, len).ok_or("No RAM")?;
        Ok(Box::new(Memory { host, config: config.clone(), log: Vec::new() }))
    }
}

impl Machine for Memory {
    fn core(&self) -> CoreDescription {
        CoreDescription { pvr: 9, cpu_hz: 8, tb_hz: 7, serial_ports: 6 }
    }
    fn load(&mut self, images: &Images) -> Result<CpuState, Refusal> {
        if images.kernel.is_empty() {
            return Err(Refusal(format!("{} is empty", images.kernel_name)));
        }
        self.log.push(format!("{images:?}"));
        let mut state = CpuState::reset(9);
        state.tlb[63].word0 = 0xdead_b000;
        state.fpr[31] = u64::MAX;
        Ok(state)
    }
    fn read(&mut self, pa: u64, len: u8) -> u64 {
        assert!(pa != 0xbad, "a bad read");
        pa << 8 | u64::from(len)
    }
    fn write(&mut self, pa: u64, len: u8, value: u64) {
        self.log.push(format!("write {pa:x} {len} {value:x}"));
        self.host.set_attention(attention::EXT, value != 0);
        self.host.mark_dma_dirty(pa, 4096);
        self.host.char_write(2, b"out");
    }
    fn dcr_read(&mut self, dcrn: u16) -> u32 {
        u32::from(dcrn) + 1
    }
    fn dcr_write(&mut self, dcrn: u16, value: u32) {
        self.log.push(format!("dcr {dcrn} {value}"));
    }
    fn service(&mut self, now: u64) -> u64 {
        now + self.host.now() + self.host.wall_clock() + u64::from(self.host.clock() == Clock::Icount)
    }
    fn armed(&mut self) -> u32 {
        attention::CRIT
    }
    fn char_input(&mut self, port: u32, bytes: &[u8]) -> usize {
        self.log.push(format!("input {port} {bytes:?}"));
        bytes.len() - 1
    }
    fn reset(&mut self, kind: ResetKind) {
        self.log.push(format!("reset {kind:?}"));
    }
    fn save(&mut self) -> Vec<u8> {
        vec![0, 255, 0]
    }
    fn restore(&mut self, saved: &[u8]) -> Result<(), Refusal> {
        if saved == [0, 255, 0] { Ok(()) } else { Err("Not mine".into()) }
    }
    fn describe(&mut self) -> String {
        format!("{}\n{:?}", self.log.join("\n"), self.config)
    }
}

vmm_plugin::plugin! { backends: [OddBackend], boards: [MemoryBoard] }

/// A host that writes down what the board does.
#[derive(Debug, Clone, Default)]
struct Notes(Rc<RefCell<Vec<String>>>);

impl HostCalls for Notes {
    fn map_ram(&mut self, pa: u64, len: u64) -> Option<RamPointer> {
        self.0.borrow_mut().push(format!("ram {pa:x} {len:x}"));
        // Nobody touches it in these tests.
        (len < 1 << 40).then_some(RamPointer { ptr: std::ptr::dangling_mut(), len: len as usize })
    }
    fn set_attention(&mut self, bits: u32, level: bool) {
        self.0.borrow_mut().push(format!("attention {bits} {level}"));
    }
    fn mark_dma_dirty(&mut self, pa: u64, len: u64) {
        self.0.borrow_mut().push(format!("dirty {pa:x} {len}"));
    }
    fn char_write(&mut self, port: u32, bytes: &[u8]) {
        self.0.borrow_mut().push(format!("char {port} {bytes:?}"));
    }
    fn now(&mut self) -> u64 {
        1000
    }
    fn wall_clock(&mut self) -> u64 {
        100_000
    }
    fn clock(&self) -> Clock {
        Clock::Icount
    }
    fn fail(&mut self, message: &str) {
        self.0.borrow_mut().push(format!("fail {message}"));
    }
}

fn plugin() -> Plugin {
    Plugin::linked(&PLUGIN, silent_host()).expect("A good plugin")
}

fn backend() -> LoadedBackend {
    plugin().backends().remove(0)
}

fn board() -> LoadedBoard {
    plugin().boards().remove(0)
}

fn engine(test: &TestBus) -> Box<dyn Engine> {
    let config = EngineConfig { tb_hz: 400, clock: Clock::Icount, shadow_pages: 5, tlb_policy: 6 };
    backend().create(&config, test.bus()).expect("An engine")
}

fn machine(notes: &Notes) -> Box<dyn Machine> {
    let config = BoardConfig {
        tree: Some(vec![1, 2, 3]),
        tree_name: "a tree".into(),
        memory: Some(1 << 20),
        constraints: Constraints { pvr: 5, ..Constraints::default() },
        straps: vec![("boot".into(), "spi".into()), ("empty".into(), String::new())],
        clock: Clock::Icount,
    };
    board().create(&config, BoardHost::new(Box::new(notes.clone()))).expect("A machine")
}

#[test]
fn a_plugin_tells_its_crates_name_version_and_licence() {
    let plugin = plugin();
    assert_eq!(plugin.name(), "vmm-plugin");
    assert_eq!(plugin.version(), env!("CARGO_PKG_VERSION"));
    assert_eq!(plugin.licence(), "MIT OR Apache-2.0");
}

#[test]
fn a_backend_is_the_same_on_both_sides() {
    let backend = backend();
    let info = backend.info();
    assert_eq!((info.id.as_str(), info.rank, info.caps), ("odd", 7, caps::STEP | caps::ICOUNT));
    assert_eq!(info.summary, "x".repeat(159), "what is too long is cut");
    assert_eq!(backend.probe(), Err("Only with a friend's help".into()));
    assert_eq!(backend.constraints(), OddBackend.constraints());
}

#[test]
fn refusals_and_panics_of_create_are_sentences() {
    let test = TestBus::new(&[]);
    let create = |tb_hz| {
        let config = EngineConfig { tb_hz, clock: Clock::Icount, shadow_pages: 0, tlb_policy: 0 };
        backend().create(&config, test.bus()).err().expect("A refusal").0
    };
    assert_eq!(create(0), "No time");
    assert_eq!(create(13), "Panicked: thirteen");
}

#[test]
fn every_exit_crosses() {
    let mut engine = engine(&TestBus::new(&[]));
    for (budget, exit) in [
        (0, Exit::Budget),
        (1, Exit::Reset(ResetKind::Core)),
        (2, Exit::Reset(ResetKind::Chip)),
        (3, Exit::Reset(ResetKind::System)),
        (4, Exit::Halted),
        (5, Exit::Stop),
        (6, Exit::Debug),
        (7, Exit::GuestFatal("a vector".into())),
        (8, Exit::Error("an engine".into())),
    ] {
        assert_eq!(engine.run(budget), exit);
    }
}

#[test]
fn state_refused_fields_and_counters_cross() {
    let mut engine = engine(&TestBus::new(&[]));
    let mut state = CpuState::reset(0);
    engine.get_state(&mut state);
    assert_eq!(state, CpuState::reset(400));
    state.gpr[31] = 31;
    state.tlb[0].tid = 255;
    assert_eq!(engine.set_state(&state), ["tlb", "made up"]);
    let mut back = CpuState::reset(0);
    engine.get_state(&mut back);
    assert_eq!(back, state);
    assert_eq!(engine.retired(), u64::MAX);
    assert_eq!(engine.stats(), [("one".to_owned(), 1), ("many".to_owned(), u64::MAX)]);
}

#[test]
fn an_engine_reaches_the_bus_of_its_host() {
    let mut test = TestBus::new(&[]);
    test.on_read(|pa, len| pa + u64::from(len));
    let written = Rc::new(RefCell::new(Vec::new()));
    let list = Rc::clone(&written);
    test.on_dcr_write(move |dcrn, value| list.borrow_mut().push((dcrn, value)));
    assert_eq!(engine(&test).run(0x8_1234_5678), Exit::Budget);
    assert_eq!(*written.borrow(), [(1023, 0x1234_5680)]);
}

#[test]
fn an_engine_that_panicked_is_not_called_again() {
    let mut engine = engine(&TestBus::new(&[]));
    assert_eq!(engine.run(PANIC), Exit::Error("Panicked: number 1000".into()));
    assert_eq!(engine.run(0), Exit::Error("Panicked: number 1000".into()));
    assert_eq!(engine.set_state(&CpuState::reset(0)), ["all"]);
    assert_eq!(engine.retired(), 0);
}

#[test]
fn a_board_is_the_same_on_both_sides() {
    let board = board();
    assert_eq!(board.info().summary, "Grüße");
    assert_eq!(board.default_tree(), MemoryBoard.default_tree());
    let notes = Notes::default();
    let refused = |config: BoardConfig| {
        let host = BoardHost::new(Box::new(notes.clone()));
        board.create(&config, host).err().expect("A refusal").0
    };
    assert_eq!(refused(BoardConfig::default()), "Say how much memory");
    assert_eq!(refused(BoardConfig { memory: Some(1 << 40), ..BoardConfig::default() }), "No RAM");
}

#[test]
fn a_machine_is_the_same_on_both_sides() {
    let notes = Notes::default();
    let mut machine = machine(&notes);
    assert_eq!(machine.core(), CoreDescription { pvr: 9, cpu_hz: 8, tb_hz: 7, serial_ports: 6 });
    assert_eq!(machine.read(0xf_ffff_ffff, 4), 0xfff_ffff_ff04);
    machine.write(0x1000, 8, u64::MAX);
    machine.write(0x2000, 1, 0);
    assert_eq!(machine.dcr_read(1023), 1024);
    machine.dcr_write(3, u32::MAX);
    assert_eq!(machine.service(5), 5 + 1000 + 100_000 + 1);
    assert_eq!(machine.armed(), attention::CRIT);
    assert_eq!(machine.char_input(1, b"abc"), 2);
    machine.reset(ResetKind::Chip);
    assert_eq!(machine.save(), [0, 255, 0]);
    assert_eq!(machine.restore(&[0, 255, 0]), Ok(()));
    assert_eq!(machine.restore(&[]), Err("Not mine".into()));
    let described = machine.describe();
    for text in [
        "write 1000 8 ffffffffffffffff",
        "dcr 3 4294967295",
        "input 1 [97, 98, 99]",
        "reset Chip",
        "tree: Some([1, 2, 3]), tree_name: \"a tree\", memory: Some(1048576)",
        "pvr: 5",
        "straps: [(\"boot\", \"spi\"), (\"empty\", \"\")], clock: Icount",
    ] {
        assert!(described.contains(text), "{text} is not in {described}");
    }
    let attention = ["attention 1 true", "dirty 1000 4096", "char 2 [111, 117, 116]", "attention 1 false"];
    let noted = notes.0.borrow().clone();
    assert_eq!(noted[0], "ram 0 100000");
    assert_eq!(noted[1..5], attention);
}

#[test]
fn images_and_the_first_state_cross() {
    let mut machine = machine(&Notes::default());
    let images = Images {
        kernel: vec![0x7f],
        kernel_name: "vmlinux".into(),
        initrd: Some(Vec::new()),
        initrd_name: "rd".into(),
        append: Some("quiet".into()),
        load_address: Some(0),
    };
    let state = machine.load(&images).expect("A state");
    assert_eq!((state.pvr, state.tlb[63].word0, state.fpr[31]), (9, 0xdead_b000, u64::MAX));
    assert!(machine.describe().contains(&format!("{images:?}")));
    let none = Images { kernel: vec![1], ..Images::default() };
    machine.load(&none).expect("A state");
    assert!(machine.describe().contains(&format!("{none:?}")), "what is not there stays away");
    let empty = Images { kernel_name: "nothing".into(), ..Images::default() };
    assert_eq!(machine.load(&empty).err(), Some("nothing is empty".into()));
}

#[test]
fn a_machine_that_panicked_fails_its_host_and_is_not_called_again() {
    let notes = Notes::default();
    let mut machine = machine(&notes);
    assert_eq!(machine.read(0xbad, 1), 0);
    assert_eq!(notes.0.borrow().last().map(String::as_str), Some("fail Panicked: a bad read"));
    assert_eq!(machine.read(0x10, 1), 0, "it would be 0x1001");
    assert_eq!(machine.load(&Images::default()).err(), Some("Panicked: a bad read".into()));
    assert_eq!(machine.char_input(0, b"abc"), 3, "characters do not pile up");
}

#[test]
fn tables_that_do_not_fit_are_refused_before_they_are_read() {
    let refuse = |table: &vmm_plugin::abi::VmmPlugin| {
        // SAFETY: a table is not looked at beyond what does not fit.
        unsafe { Plugin::loaded(table, silent_host(), Box::new(())) }.err()
    };
    let copy = |size: u32, abi: u32| vmm_plugin::abi::VmmPlugin {
        size,
        abi,
        name: std::ptr::null(),
        version: std::ptr::null(),
        licence: std::ptr::null(),
        init: None,
        deinit: None,
        backends: std::ptr::null(),
        backend_count: 0,
        boards: std::ptr::null(),
        board_count: 0,
    };
    let whole = size_of::<vmm_plugin::abi::VmmPlugin>() as u32;
    assert_eq!(refuse(&copy(whole, 2)), Some(LoadError::Abi { found: 2 }));
    assert_eq!(refuse(&copy(8, 1)), Some(LoadError::Size { table: "VmmPlugin", found: 8 }));
    assert_eq!(refuse(&copy(whole, 1)), None, "an empty plugin is a plugin");
    // SAFETY: null is allowed.
    let null = unsafe { Plugin::loaded(std::ptr::null(), silent_host(), Box::new(())) };
    assert_eq!(null.err(), Some(LoadError::Nothing));
}

#[test]
fn the_library_stays_as_long_as_anything_of_it() {
    struct Library(std::sync::Arc<std::sync::atomic::AtomicBool>);
    impl Drop for Library {
        fn drop(&mut self) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let gone = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_gone = || gone.load(std::sync::atomic::Ordering::SeqCst);
    let library = Box::new(Library(gone.clone()));
    // SAFETY: the table is static.
    let plugin = unsafe { Plugin::loaded(&raw const PLUGIN, silent_host(), library) }.expect("A plugin");
    let backend = plugin.backends().remove(0);
    drop(plugin);
    let config = EngineConfig { tb_hz: 400, clock: Clock::Icount, shadow_pages: 0, tlb_policy: 0 };
    let engine = backend.create(&config, TestBus::new(&[]).bus()).expect("An engine");
    drop(backend);
    assert!(!is_gone(), "an engine is left");
    drop(engine);
    assert!(is_gone());
}
