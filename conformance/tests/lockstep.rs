//! Lock step: random user-level programs on each engine, through the interface that plugins have, against
//! `Core::step`. After each slice of instructions the whole state must be the same, and RAM at the end of a program.
//!
//! Translated code has a hundred million instructions compared. `LOCKSTEP_INSTRUCTIONS` says how many instructions each
//! test compares, `LOCKSTEP_SEED` after which seed it begins.

use conformance::programs::{Program, RAM, Random};
use ppc440_core::core::{Core, Stop};
use ppc440_core::state::CpuState;
use vmm_plugin::api::{Backend, Clock, Engine, EngineConfig, Exit};
use vmm_plugin::bus::PluginBus;
use vmm_plugin::bus::testing::TestBus;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Steps the reference until `instructions` have retired or something ends it.
fn step(core: &mut Core, bus: &mut PluginBus, instructions: u64) -> Option<Stop> {
    let end = core.retired() + instructions;
    while core.retired() < end {
        if let Some(stop) = core.step(bus) {
            return Some(stop);
        }
    }
    None
}

fn same_end(exit: &Exit, stop: Option<Stop>) -> bool {
    matches!(
        (exit, stop),
        (Exit::Budget, None)
            | (Exit::Halted, Some(Stop::Halted))
            | (Exit::GuestFatal(_), Some(Stop::Fatal(_)))
    )
}

fn differences(ours: &CpuState, reference: &CpuState) -> Vec<String> {
    let mut found = vec![];
    ours.compare(reference, |name, index, a, b| {
        // Where a reservation lies that is not held is nobody's business.
        let gone =
            ours.reserve_valid == 0 && reference.reserve_valid == 0 && name.starts_with("reserve_addr");
        // The clocks of two machines under the host's time differ; programs cannot see them.
        if !gone && !matches!(name, "tb" | "dec") {
            found.push(format!("{name}[{index}]: {a:#x}, stepped {b:#x}"));
        }
    });
    found
}

/// Two machines with the same program: an engine's and the reference's.
struct Pair {
    engine: Box<dyn Engine>,
    test: TestBus,
    other: TestBus,
    bus: PluginBus,
    reference: Core,
    icount: bool,
    ours: CpuState,
    stepped: CpuState,
}

impl Pair {
    fn new(backend: &dyn Backend, clock: Clock) -> Self {
        let config = EngineConfig { tb_hz: 400_000_000, clock, shadow_pages: 0, tlb_policy: 0 };
        let (test, other) = (TestBus::new(&[(0, RAM)]), TestBus::new(&[(0, RAM)]));
        let engine = backend.create(&config, test.bus()).expect("The engine starts");
        let state = CpuState::reset(0);
        let icount = clock == Clock::Icount;
        let (bus, reference) = (other.bus(), Core::new(&state, icount));
        Self { engine, test, other, bus, reference, icount, ours: state.clone(), stepped: state }
    }

    fn start(&mut self, program: &Program) {
        self.test.write_ram(0, &program.ram);
        self.other.write_ram(0, &program.ram);
        assert!(
            self.engine.set_state(&program.state).is_empty(),
            "the engine takes every field of the state"
        );
        self.reference = Core::new(&program.state, self.icount);
        self.ours = program.state.clone();
        self.stepped = program.state.clone();
    }

    /// Runs both for some instructions; true if the program can go on. What differs, if anything does, is the error.
    fn advance(&mut self, instructions: u64) -> Result<bool, String> {
        let exit = self.engine.run(instructions);
        let stop = step(&mut self.reference, &mut self.bus, instructions);
        self.engine.get_state(&mut self.ours);
        self.reference.snapshot(&mut self.bus, &mut self.stepped);
        let mut found = differences(&self.ours, &self.stepped);
        if !(same_end(&exit, stop) || exit == Exit::Halted && self.reference_spins()) {
            found.push(format!("{exit:?} against {stop:?}"));
        }
        if found.is_empty() { Ok(exit == Exit::Budget) } else { Err(found.join("\n")) }
    }

    /// Whether the reference executes a branch to itself with interrupts off: `step` goes on doing that, an engine may
    /// know that it is the end.
    fn reference_spins(&mut self) -> bool {
        let before = self.stepped.clone();
        let stop = step(&mut self.reference, &mut self.bus, 1);
        self.reference.snapshot(&mut self.bus, &mut self.stepped);
        stop.is_none() && differences(&self.stepped, &before).is_empty()
    }

    fn same_ram(&self) -> Result<(), String> {
        let (a, b) = (self.test.read_ram(0, RAM as usize), self.other.read_ram(0, RAM as usize));
        match (0..a.len()).find(|at| a[*at] != b[*at]) {
            Some(at) => Err(format!("RAM at {at:#x} is {:#04x}, stepped {:#04x}", a[at], b[at])),
            None => Ok(()),
        }
    }
}

/// The first instruction after which a fresh engine differs within `limit` instructions, as far as that can be had:
/// an engine may differ only after a history that this does not repeat.
fn narrow(backend: &dyn Backend, clock: Clock, program: &Program, limit: u64) -> String {
    let fails = |n: u64| {
        let mut pair = Pair::new(backend, clock);
        pair.start(program);
        pair.advance(n).and_then(|_| pair.same_ram()).err()
    };
    let Some(mut found) = fails(limit) else { return "A fresh engine agrees in one slice".into() };
    let (mut good, mut bad) = (0, limit);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        match fails(middle) {
            Some(difference) => (bad, found) = (middle, difference),
            None => good = middle,
        }
    }
    let bus = TestBus::new(&[(0, RAM)]);
    bus.write_ram(0, &program.ram);
    let mut core = Core::new(&program.state, false);
    let mut trace = vec![];
    let mut port = bus.bus();
    while core.retired() < bad {
        trace.push(core.registers().pc);
        if core.step(&mut port).is_some() {
            break;
        }
    }
    let last: Vec<_> = trace.iter().rev().take(6).rev().map(|pc| program.show(*pc)).collect();
    format!("The first difference comes with instruction {bad}:\n{}\n{found}", last.join("\n"))
}

/// How much is compared, and of what.
struct Plan {
    make: fn(u64) -> Program,
    /// Programs have the seeds after this one.
    first_seed: u64,
    /// Instructions in all, unless `LOCKSTEP_INSTRUCTIONS` says otherwise.
    total: u64,
    /// Most instructions between two comparisons.
    longest_slice: u32,
    /// Each program runs for as many of the longest slices.
    slices: u64,
    /// The bus stands still under the host's clock. An engine with a clock of its own must count instructions.
    clock: Clock,
}

impl Plan {
    /// Ordinary programs, ten million instructions.
    const fn new(first_seed: u64, longest_slice: u32) -> Self {
        Self {
            make: Program::new,
            first_seed,
            total: 10_000_000,
            longest_slice,
            slices: 15,
            clock: Clock::Host,
        }
    }
}

/// Returns the engine's counters; none if it cannot run here.
fn lockstep(name: &str, backend: &dyn Backend, plan: &Plan) -> Option<Vec<(String, u64)>> {
    if let Err(why) = backend.probe() {
        println!("skipped: {why}");
        return None;
    }
    let total = number("LOCKSTEP_INSTRUCTIONS", plan.total);
    let mut pair = Pair::new(backend, plan.clock);
    let mut seed = number("LOCKSTEP_SEED", plan.first_seed);
    let (first, mut compared, mut programs) = (seed + 1, 0, 0);
    let failed = |seed: u64, program: &Program, executed: u64, difference: String| -> ! {
        panic!(
            "{name}, seed {seed} (again: LOCKSTEP_SEED={} LOCKSTEP_INSTRUCTIONS=1):\n{difference}\n{}",
            seed - 1,
            narrow(backend, plan.clock, program, executed)
        )
    };
    while compared < total {
        seed += 1;
        programs += 1;
        let program = (plan.make)(seed);
        pair.start(&program);
        let mut random = Random::new(!seed);
        let mut executed = 0;
        let mut going = true;
        while going && executed < plan.slices * u64::from(plan.longest_slice) {
            let slice = u64::from(1 + random.below(plan.longest_slice));
            executed += slice;
            going =
                pair.advance(slice).unwrap_or_else(|difference| failed(seed, &program, executed, difference));
        }
        if let Err(difference) = pair.same_ram() {
            failed(seed, &program, executed, difference);
        }
        compared += executed;
    }
    println!("{name}: {compared} instructions of {programs} programs, seeds {first} to {seed}");
    Some(pair.engine.stats())
}

#[test]
fn interp_and_step_agree() {
    lockstep("interp", &backend_interp::Interp, &Plan::new(1, 4000));
}

#[test]
fn interp_and_step_agree_on_programs_that_change_themselves() {
    let plan = Plan { make: Program::self_modifying, ..Plan::new(1_000_000, 4000) };
    lockstep("interp, self-modifying", &backend_interp::Interp, &plan);
}

#[test]
fn translated_code_and_step_agree() {
    // The last thousand instructions of a slice are not translated.
    let plan = Plan { total: 75_000_000, slices: 3, ..Plan::new(4_000_000, 10_000) };
    lockstep("jit", &backend_jit::JitBackend, &plan);
}

#[test]
fn translated_code_and_step_agree_on_programs_that_change_themselves() {
    let plan =
        Plan { make: Program::self_modifying, total: 25_000_000, slices: 3, ..Plan::new(5_000_000, 10_000) };
    let Some(stats) = lockstep("jit, self-modifying", &backend_jit::JitBackend, &plan) else { return };
    // Otherwise this test would show nothing.
    let dropped = stats.iter().find(|(name, _)| name == "dropped_by_store").map_or(0, |(_, count)| *count);
    assert!(dropped > 100, "Only {dropped} blocks were ever written");
}

#[test]
fn unicorn_and_step_agree_where_unicorn_executes_all_it_can() {
    lockstep("unicorn, eager", &backend_unicorn::Unicorn { eager: true }, &Plan::new(2_000_000, 2000));
}

#[test]
fn unicorn_and_step_agree_as_guests_are_run() {
    lockstep("unicorn", &backend_unicorn::Unicorn { eager: false }, &Plan::new(3_000_000, 20_000));
}

#[test]
fn the_engine_in_a_virtual_machine_and_step_agree() {
    // A slice costs two exits, which are dear where KVM is software: long slices, and fewer of them.
    let plan = Plan { slices: 3, clock: Clock::Icount, ..Plan::new(6_000_000, 20_000) };
    lockstep("kvm", &backend_kvm::Kvm, &plan);
}
