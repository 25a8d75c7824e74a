//! What the engine must get right beyond single instructions: written code, changed translations, time, budgets and
//! stops. Each program also runs on a bare core, which must end in the same state.

use backend_unicorn::Unicorn;
use mmu_core::TlbEntry;
use ppc440_core::bus::attention;
use ppc440_core::core::Core;
use ppc440_core::state::CpuState;
use vmm_plugin::api::{Backend, Clock, Engine, EngineConfig, Exit};
use vmm_plugin::bus::testing::TestBus;

const RAM: u64 = 0x4_0000;
const CONFIG: EngineConfig =
    EngineConfig { tb_hz: 400_000_000, clock: Clock::Host, shadow_pages: 0, tlb_policy: 0 };

/// Supervisor code at 0xC000_0000, in a 256 MB page that allows everything and maps physical 0.
fn start(source: &str) -> (TestBus, Box<dyn Engine>, CpuState) {
    let program = ppc440_asm::assemble(source, 0xC000_0000).expect("the program assembles");
    let test = TestBus::new(&[(0, RAM)]);
    test.write_ram(0, &program.bytes);
    let engine = Unicorn { eager: true }.create(&CONFIG, test.bus()).expect("Unicorn starts");
    let mut state = CpuState::reset(0x4222_18D3);
    (state.pc, state.reset_entry, state.msr) = (0xC000_0000, 0, 0);
    state.tlb[63] = TlbEntry { word0: 0xC000_0290, word1: 0, word2: 0x3F, tid: 0 };
    (test, engine, state)
}

fn stat(engine: &dyn Engine, name: &str) -> u64 {
    engine.stats().into_iter().find(|(key, _)| key == name).map_or(0, |(_, value)| value)
}

/// Runs `instructions` on the engine and on a core that only steps; their states must agree. Returns the state.
fn run_both(
    source: &str,
    instructions: u64,
    change: impl FnOnce(&mut CpuState),
) -> (CpuState, Box<dyn Engine>) {
    let (test, mut engine, mut state) = start(source);
    change(&mut state);
    let other = TestBus::new(&[(0, RAM)]);
    other.write_ram(0, &test.read_ram(0, RAM as usize));
    assert!(engine.set_state(&state).is_empty());
    assert_eq!(engine.run(instructions), Exit::Budget);
    let mut core = Core::new(&state, false);
    let mut bus = other.bus();
    while core.retired() < instructions {
        assert_eq!(core.step(&mut bus), None);
    }
    let (mut ours, mut theirs) = (state.clone(), state);
    engine.get_state(&mut ours);
    core.snapshot(&mut bus, &mut theirs);
    ours.compare(&theirs, |name, index, a, b| panic!("{name}[{index}]: engine {a:#x}, step {b:#x}"));
    assert_eq!(test.read_ram(0, RAM as usize), other.read_ram(0, RAM as usize));
    assert_eq!(engine.retired(), instructions);
    (ours, engine)
}

#[test]
fn code_that_rewrites_itself_is_executed_as_written_without_icbi() {
    // The function at `patch` is `li 3,n` for n = 1, 2, 3...; each call adds what it returns.
    let source = "
        lis 4,patch@ha
        addi 4,4,patch@l
        lis 7,0x3860
    loop:
        addi 7,7,1
        stw 7,0(4)
        bl patch
        add 8,8,3
        addi 9,9,1
        b loop
    patch:
        li 3,0
        blr
    ";
    let rounds = 2000;
    let (state, engine) = run_both(source, 3 + 8 * rounds, |_| {});
    assert_eq!(u64::from(state.gpr[8]), rounds * (rounds + 1) / 2);
    assert!(stat(&*engine, "code_drops") > 10, "the page was executed and written in turn");
}

#[test]
fn data_on_a_page_with_code_does_not_cost_the_code() {
    let source = "
        lis 4,data@ha
        addi 4,4,data@l
    loop:
        addi 3,3,1
        xor 5,3,5
        b store
    store:
        stw 3,0(4)
        b loop
    data:
        .long 0
    ";
    let (state, engine) = run_both(source, 60, |_| {});
    assert!(state.gpr[3] > 10);
    assert!(stat(&*engine, "code_drops") <= 1);
}

#[test]
fn code_that_a_device_writes_is_executed_as_written() {
    let (test, mut engine, state) = start("1: li 3,1\n add 4,4,3\n b 1b\n");
    engine.set_state(&state);
    assert_eq!(engine.run(300), Exit::Budget);
    assert!(stat(&*engine, "native") > 100);
    test.write_ram(0, &0x3860_0002u32.to_be_bytes());
    test.mark_dma_dirty(0, 4);
    assert_eq!(engine.run(300), Exit::Budget);
    let mut after = state;
    engine.get_state(&mut after);
    assert_eq!(after.gpr[3], 2);
    assert_eq!(after.gpr[4], 100 + 200);
}

#[test]
fn a_rewritten_tlb_entry_is_seen_by_the_next_load() {
    // Entry 5 maps 0x1000_0000 to 0x1_0000 and 0x1_1000 in turn; the words there are 1 and 0x100.
    let source = "
        lis 4,0x1000
        lis 5,1
        li 6,1
        lis 10,0xC001
        stw 6,0(10)
        li 6,0x100
        stw 6,0x1000(10)
        li 6,5
    loop:
        tlbwe 5,6,1
        lwz 7,0(4)
        add 8,8,7
        xori 5,5,0x1000
        addi 9,9,1
        addi 11,11,1
        b loop
    ";
    let (state, engine) = run_both(source, 8 + 7 * 100, |state| {
        state.tlb[5] = TlbEntry { word0: 0x1000_0210, word1: 0, word2: 0x3F, tid: 0 };
    });
    assert_eq!(state.gpr[8], 50 + 50 * 0x100);
    assert!(stat(&*engine, "tlb_flushes") > 10);
}

#[test]
fn a_pid_write_changes_what_a_load_sees() {
    let source = "
        lis 4,0x1000
        li 6,1
        lis 10,0xC001
        stw 6,0(10)
        li 6,0x100
        stw 6,0x1000(10)
        li 6,1
    loop:
        mtspr 48,6
        lwz 7,0(4)
        add 8,8,7
        xori 6,6,3
        b loop
    ";
    let (state, _) = run_both(source, 7 + 5 * 100, |state| {
        state.tlb[5] = TlbEntry { word0: 0x1000_0210, word1: 0x1_0000, word2: 0x3F, tid: 1 };
        state.tlb[6] = TlbEntry { word0: 0x1000_0210, word1: 0x1_1000, word2: 0x3F, tid: 2 };
    });
    assert_eq!(state.gpr[8], 50 + 50 * 0x100);
}

#[test]
fn the_time_base_and_the_users_sprgs_are_read_from_the_core() {
    let source = "1: mfspr 3,268\n mfspr 4,269\n mfspr 5,261\n mfspr 6,256\n addi 7,7,1\n b 1b\n";
    let (state, _) = run_both(source, 200, |state| {
        state.tb = 0x1234_5678_9ABC_DEF0;
        state.sprg[5] = 0x5555_0005;
        state.usprg0 = 0x0256_0256;
    });
    assert_eq!(state.gpr[3..7], [0x9ABC_DEF0, 0x1234_5678, 0x5555_0005, 0x0256_0256]);
}

#[test]
fn every_budget_is_kept_to_the_instruction() {
    let (_test, mut engine, state) =
        start("1: addi 3,3,1\n addi 4,4,1\n cmpwi 3,0\n beq 1b\n addic 5,5,-1\n b 1b\n");
    engine.set_state(&state);
    let mut expected = 0;
    for budget in (1..60).chain([1000, 40_000]) {
        expected += budget;
        assert_eq!(engine.run(budget), Exit::Budget);
        assert_eq!(engine.retired(), expected);
    }
    assert!(stat(&*engine, "native") > 30_000);
}

#[test]
fn a_request_to_stop_ends_a_loop() {
    let (test, mut engine, state) = start("1: addi 3,3,1\n xor 4,3,4\n b 1b\n");
    engine.set_state(&state);
    assert_eq!(engine.run(100_000), Exit::Budget);
    test.raise(attention::STOP);
    assert_eq!(engine.run(u64::MAX), Exit::Stop);
    test.lower(attention::STOP);
    assert_eq!(engine.run(100), Exit::Budget);
}

#[test]
fn a_loop_to_itself_with_nothing_to_wake_it_is_halted() {
    let (test, mut engine, state) = start("nop\n1: b 1b\n");
    test.set_armed(0);
    engine.set_state(&state);
    assert_eq!(engine.run(u64::MAX), Exit::Halted);
}

#[test]
fn ram_above_4_gb_and_several_ranges_are_used() {
    let program =
        ppc440_asm::assemble("1: lwz 3,0(9)\n addi 3,3,1\n stw 3,0(9)\n b 1b\n", 0).expect("it assembles");
    let test = TestBus::new(&[(0, 0x1_0000), (0x8000_0000, 0x1_0000), (0x1_0000_0000, 0x1_0000)]);
    test.write_ram(0x8000_0000, &program.bytes);
    let mut engine = Unicorn { eager: true }.create(&CONFIG, test.bus()).expect("Unicorn starts");
    let mut state = CpuState::reset(0x4222_18D3);
    (state.pc, state.reset_entry) = (0x2000_0000, 0);
    state.tlb[0] = TlbEntry { word0: 0x2000_0210, word1: 0x8000_0000, word2: 0x3F, tid: 0 };
    state.tlb[1] = TlbEntry { word0: 0x3000_0210, word1: 1, word2: 0x3F, tid: 0 };
    state.gpr[9] = 0x3000_0010;
    engine.set_state(&state);
    assert_eq!(engine.run(400), Exit::Budget);
    assert_eq!(test.read_ram(0x1_0000_0010, 4), 100u32.to_be_bytes());
    assert_eq!(test.read_ram(0x10, 4), [0; 4], "the address was not cut to 32 bits");
}

#[test]
fn icount_is_refused_in_one_sentence() {
    let config = EngineConfig { clock: Clock::Icount, ..CONFIG };
    let refused = Unicorn { eager: false }.create(&config, TestBus::new(&[(0, RAM)]).bus());
    assert!(refused.is_err_and(|refusal| refusal.0.contains("--backend interp")));
}
