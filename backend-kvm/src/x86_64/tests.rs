//! The engine in its machine: what it can reach, what happens when it goes astray, and how calls are answered. Each test
//! needs a KVM and says so where there is none.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use vmm_plugin::api::{Clock, CpuState, Engine as _, EngineConfig, Exit, NEVER, attention, treatment};
use vmm_plugin::bus::{BusHost, RamRange, Signals, serve};

use super::engine::{KvmEngine, Time};
use super::protocol::{MAILBOX, command};
use super::space::Rights;

const RAM: usize = 4 << 20;
/// A register whose reads are stable, and one that takes posted writes.
const STATUS: u64 = 0x8000_0000;
const PORT: u64 = 0x8000_0004;

/// What happened at the pins, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Read(u64),
    Write(u64, u64),
    Dcr(u16, u32),
    Advance,
    Idle,
}

/// A host with RAM, two registers, and a clock that stands still.
struct Host {
    ram: *mut u8,
    signals: Arc<Signals>,
    now: Cell<u64>,
    /// A register was written.
    written: Arc<AtomicBool>,
    events: RefCell<Vec<Event>>,
}

const LAYOUT: Layout = match Layout::from_size_align(RAM, 4096) {
    Ok(layout) => layout,
    Err(_) => unreachable!(),
};

impl Host {
    fn new() -> Rc<Self> {
        Rc::new(Self {
            // SAFETY: the layout has a size.
            ram: unsafe { alloc_zeroed(LAYOUT) },
            signals: Arc::new(Signals::new(&[(0, RAM as u64)])),
            now: Cell::new(0),
            written: Arc::default(),
            events: RefCell::default(),
        })
    }

    fn write(&self, pa: usize, words: &[u32]) {
        for (index, word) in words.iter().enumerate() {
            assert!(pa + 4 * index + 4 <= RAM);
            // SAFETY: inside the allocation; no engine runs.
            unsafe { self.ram.add(pa + 4 * index).cast::<[u8; 4]>().write(word.to_be_bytes()) };
        }
    }

    fn happened(&self, event: Event) {
        self.events.borrow_mut().push(event);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout.
        unsafe { dealloc(self.ram, LAYOUT) };
    }
}

// SAFETY: the memory lives as long as this, whole pages, and no reference into it exists.
unsafe impl BusHost for Host {
    fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }
    fn ram(&self) -> Vec<RamRange> {
        vec![RamRange { pa: 0, ptr: self.ram, len: RAM }]
    }
    fn read(&self, pa: u64, _: u8) -> u64 {
        self.happened(Event::Read(pa));
        0x60
    }
    fn write(&self, pa: u64, _: u8, value: u64) {
        self.happened(Event::Write(pa, value));
        self.written.store(true, Ordering::Release);
    }
    fn dcr_read(&self, dcrn: u16) -> u32 {
        u32::from(dcrn) * 3
    }
    fn dcr_write(&self, dcrn: u16, value: u32) {
        self.happened(Event::Dcr(dcrn, value));
    }
    fn now(&self) -> u64 {
        self.now.get()
    }
    fn advance(&self, retired: u64) -> u64 {
        self.now.set(self.now.get() + retired);
        self.happened(Event::Advance);
        NEVER
    }
    fn idle(&self, until: u64) -> u64 {
        self.happened(Event::Idle);
        if until != NEVER {
            self.now.set(self.now.get().max(until));
        }
        self.now.get()
    }
    fn armed(&self) -> u32 {
        attention::EXT
    }
    fn treatment(&self, pa: u64, _: u8) -> u32 {
        match pa {
            STATUS => treatment::STABLE_READ,
            PORT => treatment::POSTED_WRITE,
            _ => 0,
        }
    }
    fn failed(&self, message: String) {
        panic!("{message}");
    }
}

const CONFIG: EngineConfig =
    EngineConfig { tb_hz: 1_000_000, clock: Clock::Host, shadow_pages: 0, tlb_policy: 0 };

/// An engine, or a word about why there is none.
fn engine(host: &Rc<Host>, config: EngineConfig, time: Time) -> Option<KvmEngine> {
    if let Err(why) = super::probe(Path::new(crate::DEVICE)) {
        println!("skipped: no {}: {why}", crate::DEVICE);
        return None;
    }
    let device = CString::new(crate::DEVICE).expect("no NUL");
    Some(KvmEngine::new(&device, &config, serve(Rc::clone(host)), time).expect("an engine"))
}

/// A state in which the first 256 MB are mapped and the program at 0 is next, with device space at 0x8000_0000.
fn state() -> CpuState {
    let mut state = CpuState::reset(0x4222_18D3);
    state.reset_entry = 0;
    state.pc = 0;
    // 256 MB pages, valid, TS 0; supervisor may do everything; device space is inhibited and guarded.
    for (entry, (place, attributes)) in state.tlb.iter_mut().zip([(0, 0), (0x8000_0000, 0x0500)]) {
        entry.word0 = place | 0x290;
        entry.word1 = place;
        entry.word2 = attributes | 0x07;
    }
    state
}

/// `b .`
const SELF: u32 = 0x4800_0000;

const fn li(register: u32, value: u32) -> u32 {
    0x3800_0000 | register << 21 | value & 0xFFFF
}
const fn lis(register: u32, value: u32) -> u32 {
    0x3C00_0000 | register << 21 | value & 0xFFFF
}
const fn lbz(register: u32, offset: u32, base: u32) -> u32 {
    0x8800_0000 | register << 21 | base << 16 | offset
}
const fn stb(register: u32, offset: u32, base: u32) -> u32 {
    0x9800_0000 | register << 21 | base << 16 | offset
}
const fn dcr(op: u32, register: u32, dcrn: u32) -> u32 {
    0x7C00_0000 | register << 21 | (dcrn & 31) << 16 | (dcrn >> 5) << 11 | op << 1
}

#[test]
fn a_program_runs_and_its_registers_come_back() {
    let host = Host::new();
    let Some(mut engine) = engine(&host, CONFIG, Time::Counter) else { return };
    host.write(0, &[li(3, 42), dcr(323, 4, 0xC0), dcr(451, 3, 0xC1), SELF]);
    assert!(engine.set_state(&state()).is_empty());
    assert_eq!(engine.run(3), Exit::Budget);
    let mut after = CpuState::reset(0);
    engine.get_state(&mut after);
    assert_eq!((after.gpr[3], after.gpr[4], after.pc), (42, 0xC0 * 3, 12));
    assert_eq!(engine.retired(), 3);
    assert!(host.events.borrow().contains(&Event::Dcr(0xC1, 42)));
}

#[test]
fn only_what_the_engine_needs_is_mapped() {
    let host = Host::new();
    let Some(mut engine) = engine(&host, CONFIG, Time::Counter) else { return };
    let mapped: Vec<_> = engine.mappings().iter().map(|m| (m.what, m.rights)).collect();
    assert_eq!(
        mapped,
        [
            ("descriptor tables", Rights::SystemReadWrite),
            ("fault stubs", Rights::SystemReadExecute),
            ("fault stacks", Rights::SystemReadWrite),
            ("engine constants", Rights::Read),
            ("engine text", Rights::ReadExecute),
            ("engine data", Rights::ReadWrite),
            ("stack", Rights::ReadWrite),
            ("mailbox", Rights::ReadWrite),
            ("attention page", Rights::Read),
            ("code cache, to write", Rights::ReadWrite),
            ("code cache, to execute", Rights::ReadExecute),
            ("heap", Rights::ReadWrite),
            ("guest RAM", Rights::ReadWrite),
        ]
    );
    for pair in engine.mappings().windows(2) {
        assert!(pair[0].va + pair[0].len <= pair[1].va, "{pair:x?}");
    }
    let text = engine.inspect("kvm");
    assert!(mapped.iter().all(|(what, _)| text.contains(what)), "{text}");
    let ram = engine.mappings().last().expect("RAM");
    assert_eq!(ram.len, RAM as u64);
}

/// Sends the engine astray and returns what the host says to that.
fn astray(what: u32, address: u64) -> Option<String> {
    let host = Host::new();
    let mut engine = engine(&host, CONFIG, Time::Counter)?;
    let why = engine.execute(what, address).expect_err("the engine cannot survive that");
    // It is not entered again, and says why.
    assert_eq!(engine.run(1), Exit::Error(why.clone()));
    let mut after = CpuState::reset(7);
    engine.get_state(&mut after);
    assert_eq!(after.pvr, 7, "no state comes out of a broken engine");
    Some(why)
}

#[test]
fn a_wild_read_is_an_error_that_names_address_and_instruction() {
    // An address of this process means nothing in there.
    let secret = Box::new(42u8);
    let address = std::ptr::from_ref(&*secret).expose_provenance() as u64;
    let Some(why) = astray(command::WILD_READ, address) else { return };
    assert!(why.contains(&format!("read address {address:#x}, which is not mapped")), "{why}");
    assert!(why.contains("RIP 0x"), "{why}");
}

#[test]
fn a_wild_write_is_an_error() {
    let Some(why) = astray(command::WILD_WRITE, 0) else { return };
    assert!(why.contains("wrote address 0x0, which is not mapped"), "{why}");
    // The attention page may be read only.
    let why = astray(command::WILD_WRITE, super::protocol::SHARED_PAGE).expect("an engine");
    assert!(why.contains("which it may not"), "{why}");
    // Ring 0's pages are no business of ring 3.
    let why = astray(command::WILD_READ, super::traps::VA).expect("an engine");
    assert!(why.contains("which it may not"), "{why}");
}

#[test]
fn data_cannot_be_executed() {
    let Some(why) = astray(command::WILD_CALL, MAILBOX) else { return };
    assert!(why.contains("executed address") && why.contains("which it may not"), "{why}");
}

#[test]
fn a_panic_comes_out_as_words() {
    let Some(why) = astray(command::PANIC, 0) else { return };
    assert!(why.contains("panicked") && why.contains("There is no command 8"), "{why}");
}

#[test]
fn an_engine_that_hears_nothing_is_given_up() {
    let host = Host::new();
    let Some(mut engine) = engine(&host, CONFIG, Time::Counter) else { return };
    host.signals.raise(attention::STOP);
    let started = Instant::now();
    let why = engine.execute(command::HANG, 0).expect_err("it never comes back");
    assert!(why.contains("did not stop"), "{why}");
    assert!(started.elapsed() > Duration::from_millis(900), "it had time to hear");
}

#[test]
fn a_stop_reaches_a_running_guest() {
    let host = Host::new();
    let Some(mut engine) = engine(&host, CONFIG, Time::Counter) else { return };
    // A sign of life, then a loop that never leaves the machine: addi 3,3,1; b .-4
    host.write(0, &[lis(5, 0x8000), stb(3, 8, 5), 0x3863_0001, 0x4BFF_FFFC]);
    assert!(engine.set_state(&state()).is_empty());
    let (signals, written) = (Arc::clone(&host.signals), Arc::clone(&host.written));
    let other = std::thread::spawn(move || {
        while !written.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(50));
        signals.raise(attention::STOP);
    });
    assert_eq!(engine.run(u64::MAX), Exit::Stop);
    other.join().expect("the thread ends");
    let mut after = CpuState::reset(0);
    engine.get_state(&mut after);
    assert!(matches!(after.pc, 8 | 12), "The guest was stopped at {:#x}", after.pc);
}

/// Twenty characters as a driver sends them: look at the status, write.
fn driver() -> Vec<u32> {
    let mut program = vec![lis(5, 0x8000)];
    for character in 0..20 {
        program.extend([lbz(6, 0, 5), li(7, 0x41 + character), stb(7, 4, 5)]);
    }
    program.push(SELF);
    program
}

fn device_events(host: &Host) -> (usize, Vec<u64>) {
    let events = host.events.borrow();
    let reads = events.iter().filter(|event| matches!(event, Event::Read(_))).count();
    let written = events.iter().filter_map(|event| match event {
        Event::Write(PORT, value) => Some(*value),
        _ => None,
    });
    (reads, written.collect())
}

#[test]
fn posted_writes_arrive_in_order_and_stable_reads_stay_inside() {
    let host = Host::new();
    let Some(mut engine) = engine(&host, CONFIG, Time::Counter) else { return };
    host.write(0, &driver());
    assert!(engine.set_state(&state()).is_empty());
    assert_eq!(engine.run(61), Exit::Budget);
    let (reads, written) = device_events(&host);
    assert_eq!(written, (0x41..0x41 + 20).collect::<Vec<u64>>());
    assert_eq!(reads, 1, "the first read is the only one");
    let stats = engine.stats();
    let stat = |name: &str| stats.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
    assert_eq!((stat("posted_writes"), stat("kept_reads")), (Some(19), Some(19)));
}

#[test]
fn a_guest_that_polls_is_heard_of() {
    let host = Host::new();
    let Some(mut engine) = engine(&host, CONFIG, Time::Counter) else { return };
    // lis 5; lbz 6,0(5); b .-4
    host.write(0, &[lis(5, 0x8000), lbz(6, 0, 5), 0x4BFF_FFFC]);
    assert!(engine.set_state(&state()).is_empty());
    assert_eq!(engine.run(201), Exit::Budget);
    let (reads, _) = device_events(&host);
    assert!((10..=20).contains(&reads), "{reads} of 100 reads were told");
}

#[test]
fn under_icount_every_access_is_made_at_its_tick() {
    let host = Host::new();
    let config = EngineConfig { clock: Clock::Icount, ..CONFIG };
    let Some(mut engine) = engine(&host, config, Time::Counter) else { return };
    host.write(0, &driver());
    assert!(engine.set_state(&state()).is_empty());
    assert_eq!(engine.run(61), Exit::Budget);
    let (reads, written) = device_events(&host);
    assert_eq!((reads, written.len()), (20, 20));
    assert!(host.now.get() >= 60 && host.now.get() <= 61, "the clock is at {}", host.now.get());
}

#[test]
fn under_icount_sleep_is_a_jump_that_needs_nobody() {
    let host = Host::new();
    let config = EngineConfig { clock: Clock::Icount, ..CONFIG };
    let Some(mut engine) = engine(&host, config, Time::Counter) else { return };
    // DEC 1000 with its interrupt enabled, EE and WE; the vector at 0x100 stops: b .
    host.write(0, &[SELF]);
    host.write(0x100, &[li(3, 7), SELF]);
    let mut state = state();
    (state.dec, state.tcr, state.msr, state.ivor[10]) = (1000, 0x0400_0000, 0x0004_8000, 0x100);
    assert!(engine.set_state(&state).is_empty());
    assert_eq!(engine.run(1), Exit::Budget);
    let mut after = CpuState::reset(0);
    engine.get_state(&mut after);
    assert_eq!((after.gpr[3], after.pc), (7, 0x104));
    assert_eq!(after.tb, 1001, "1000 ticks of sleep and an instruction");
    assert!(!host.events.borrow().contains(&Event::Idle));
}

#[test]
fn time_can_be_asked_for_where_there_is_no_counter() {
    let host = Host::new();
    let Some(mut engine) = engine(&host, CONFIG, Time::Call) else { return };
    // mftb 3; b .-4
    host.write(0, &[0x7C6C_42E6, 0x4BFF_FFFC]);
    assert!(engine.set_state(&state()).is_empty());
    host.now.set(123_456);
    assert_eq!(engine.run(20), Exit::Budget);
    let mut after = CpuState::reset(0);
    engine.get_state(&mut after);
    assert_eq!(after.gpr[3], 123_456, "the time base began at 0 with the state");
}

#[test]
fn code_that_a_device_wrote_is_executed_as_it_is_now() {
    let host = Host::new();
    let Some(mut engine) = engine(&host, CONFIG, Time::Counter) else { return };
    // li 3,1; b .-4
    host.write(0, &[li(3, 1), 0x4BFF_FFFC]);
    assert!(engine.set_state(&state()).is_empty());
    assert_eq!(engine.run(10_000), Exit::Budget);
    host.write(0, &[li(3, 2)]);
    // More ranges than one answer holds, the page in question among them.
    for page in (0..RAM as u64 / 4096).step_by(2) {
        host.signals.mark_dma_dirty(page * 4096, 1);
    }
    assert_eq!(engine.run(10_000), Exit::Budget);
    let mut after = CpuState::reset(0);
    engine.get_state(&mut after);
    assert_eq!(after.gpr[3], 2);
    assert_eq!(host.signals.attention() & attention::DMA, 0);
    let stats = engine.stats();
    let calls = stats.iter().find(|(name, _)| name == "calls_dirty").map(|(_, value)| *value);
    assert_eq!(calls, Some(2), "512 ranges come in two answers");
}

#[test]
fn what_the_engine_cannot_is_refused_in_a_sentence() {
    let host = Host::new();
    let Some(mut engine) = engine(&host, CONFIG, Time::Counter) else { return };
    assert!(engine.record("tlb").expect_err("it cannot").0.contains("--backend interp"));
    let device = CString::new(crate::DEVICE).expect("no NUL");
    let config = EngineConfig { tlb_policy: 99, ..CONFIG };
    let refused = KvmEngine::new(&device, &config, serve(Rc::clone(&host)), Time::Counter).err();
    assert!(refused.expect("refused").0.contains("no TLB policy number 99"));
}
