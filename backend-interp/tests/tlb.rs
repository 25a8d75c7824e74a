//! Choosing, looking at and recording the shadow TLB, through the plugin's C tables as the program does it.

use backend_interp::PLUGIN;
use mmu_core::trace::{Decoder, Event, Outcome};
use mmu_core::{Access, EffectiveAddress, TlbEntry};
use ppc440_core::state::CpuState;
use vmm_plugin::api::{Backend, Clock, Engine, EngineConfig, Exit, PolicyKind};
use vmm_plugin::bus::testing::TestBus;
use vmm_plugin::load::{Plugin, silent_host};

/// An engine about to load a word from its second page and then to halt; its RAM must outlive it.
fn engine(config: EngineConfig) -> (TestBus, Box<dyn Engine>) {
    let backend = Plugin::linked(&PLUGIN, silent_host()).unwrap().backends().remove(0);
    let bus = TestBus::new(&[(0, 0x2000)]);
    // lwz r3,0x1004(0) ; b .
    bus.write_ram(0, &[0x80, 0x60, 0x10, 0x04, 0x48, 0, 0, 0]);
    let engine = backend.create(&config, bus.bus()).unwrap();
    (bus, engine)
}

fn config() -> EngineConfig {
    EngineConfig { tb_hz: 400_000_000, clock: Clock::Icount, shadow_pages: 0, tlb_policy: 0 }
}

fn state() -> CpuState {
    let mut state = CpuState::reset(0x4222_18D3);
    (state.pc, state.reset_entry) = (0, 0);
    state.gpr[1] = 0x1800;
    for (index, page) in [(0, 0), (62, 0x1000)] {
        state.tlb[index] = TlbEntry { word0: page | 0x210, word1: page, word2: 0x7, tid: 0 };
    }
    state
}

#[test]
fn every_policy_and_size_is_taken_and_shown() {
    for (number, kind) in (1..).zip(PolicyKind::ALL) {
        let (_bus, mut engine) = engine(EngineConfig { tlb_policy: number, shadow_pages: 7, ..config() });
        let told = engine.inspect("tlb");
        assert!(told.starts_with(&format!("0 of 7 shadows in use, policy {kind}\n")), "{told}");
    }
    let backend = Plugin::linked(&PLUGIN, silent_host()).unwrap().backends().remove(0);
    let bus = TestBus::new(&[(0, 4096)]);
    let refused = backend.create(&EngineConfig { tlb_policy: 7, ..config() }, bus.bus()).err().unwrap();
    assert_eq!(refused.0, "Backend interp has no TLB policy number 7; it has 0 to 6");
}

#[test]
fn a_small_pool_evicts_and_gives_the_same_result() {
    let (_bus, mut small) = engine(EngineConfig { shadow_pages: 1, ..config() });
    assert!(small.set_state(&state()).is_empty());
    assert_eq!(small.run(1000), Exit::Halted);
    let stats = small.stats();
    let evictions = stats.iter().find(|(name, _)| name == "shadow_evictions").unwrap().1;
    assert!(evictions > 0, "{stats:?}");
}

#[test]
fn entries_are_shown_with_the_contexts_that_they_are_shadowed_in() {
    let (_bus, mut engine) = engine(config());
    assert!(engine.set_state(&state()).is_empty());
    assert_eq!(engine.run(1000), Exit::Halted);
    let told = engine.inspect("tlb");
    let entry = |index| format!("entry {index} is shadowed in context 0 (pid 00, AS 0, super)");
    assert_eq!(told.lines().collect::<Vec<_>>(), [entry(0), entry(62)]);
}

#[test]
fn shadows_in_a_pool_are_shown_with_the_entries_that_they_shadow() {
    let (_bus, mut engine) = engine(EngineConfig { shadow_pages: 64, ..config() });
    assert!(engine.set_state(&state()).is_empty());
    assert_eq!(engine.run(1000), Exit::Halted);
    let told = engine.inspect("tlb");
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("2 of 64 "), "{told}");
    assert_eq!(lines[1], "entry 0 is shadowed by 1");
    assert!(lines[2].contains("00000000   4K -> 000000000 xwr context"), "{told}");
    assert!(lines[2].ends_with("(pid 00, AS 0, super)"), "{told}");
    assert_eq!(lines[3], "entry 62 is shadowed by 1");
    assert!(lines[4].contains("00001000   4K -> 000001000 xwr"), "{told}");
    assert_eq!(engine.inspect("weather"), "");
}

#[test]
fn a_recording_tells_entries_and_references() {
    let (_bus, mut engine) = engine(config());
    assert_eq!(engine.recorded(), []);
    assert!(engine.record("weather").unwrap_err().0.contains("`weather`"));
    engine.record("tlb").unwrap();
    assert!(engine.set_state(&state()).is_empty());
    let mut trace = engine.recorded();
    assert_eq!(engine.run(1000), Exit::Halted);
    trace.extend(engine.recorded());
    assert_eq!(engine.recorded(), []);
    let events: Vec<Event> = Decoder::new(&trace).unwrap().collect::<Result<_, _>>().unwrap();
    for (index, ea) in [(0, 0), (62, 0x1000)] {
        let write = Event::Write { index, ws: 0, value: ea | 0x210, stid: 0 };
        assert!(events.contains(&write), "{events:?}");
    }
    assert!(events.contains(&Event::Stack { sp: EffectiveAddress(0x1800) }), "{events:?}");
    let accesses: Vec<&Event> = events.iter().filter(|event| matches!(event, Event::Access { .. })).collect();
    let installed =
        |ea, access| Event::Access { ea: EffectiveAddress(ea), access, outcome: Outcome::Installed };
    assert_eq!(accesses[0], &installed(0, Access::Fetch));
    assert!(accesses.contains(&&installed(0x1000, Access::Load)), "{accesses:?}");
}
