//! Lock step: random user-level programs on each engine, through the interface that plugins have, against
//! `Core::step`. After each slice of instructions the whole state must be the same, and RAM at the end of a program.
//!
//! `LOCKSTEP_INSTRUCTIONS` says how many instructions each test compares, `LOCKSTEP_SEED` where it begins.

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
    ours: CpuState,
    stepped: CpuState,
}

impl Pair {
    fn new(backend: &dyn Backend) -> Self {
        let config = EngineConfig { tb_hz: 400_000_000, clock: Clock::Host, shadow_pages: 0, tlb_policy: 0 };
        let (test, other) = (TestBus::new(&[(0, RAM)]), TestBus::new(&[(0, RAM)]));
        let engine = backend.create(&config, test.bus()).expect("The engine starts");
        let state = CpuState::reset(0);
        let (bus, reference) = (other.bus(), Core::new(&state, false));
        Self { engine, test, other, bus, reference, ours: state.clone(), stepped: state }
    }

    fn start(&mut self, program: &Program) {
        self.test.write_ram(0, &program.ram);
        self.other.write_ram(0, &program.ram);
        assert!(
            self.engine.set_state(&program.state).is_empty(),
            "the engine takes every field of the state"
        );
        self.reference = Core::new(&program.state, false);
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
        if !same_end(&exit, stop) {
            found.push(format!("{exit:?} against {stop:?}"));
        }
        if found.is_empty() { Ok(exit == Exit::Budget) } else { Err(found.join("\n")) }
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
fn narrow(backend: &dyn Backend, program: &Program, limit: u64) -> String {
    let fails = |n: u64| {
        let mut pair = Pair::new(backend);
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

fn lockstep(name: &str, backend: &dyn Backend, first_seed: u64, longest_slice: u32) {
    let total = number("LOCKSTEP_INSTRUCTIONS", 10_000_000);
    let mut pair = Pair::new(backend);
    let mut seed = number("LOCKSTEP_SEED", first_seed);
    let mut compared = 0;
    let mut programs = 0;
    while compared < total {
        seed += 1;
        programs += 1;
        let program = Program::new(seed);
        pair.start(&program);
        let mut random = Random::new(!seed);
        let mut executed = 0;
        let mut going = true;
        while going && executed < 15 * u64::from(longest_slice) {
            let slice = u64::from(1 + random.below(longest_slice));
            executed += slice;
            going = pair.advance(slice).unwrap_or_else(|difference| {
                panic!("{name}, seed {seed}:\n{difference}\n{}", narrow(backend, &program, executed))
            });
        }
        if let Err(difference) = pair.same_ram() {
            panic!("{name}, seed {seed}: {difference}\n{}", narrow(backend, &program, executed));
        }
        compared += executed;
    }
    println!("{name}: {compared} instructions of {programs} programs");
}

#[test]
fn interp_and_step_agree() {
    lockstep("interp", &backend_interp::Interp, 1, 4000);
}

#[test]
fn unicorn_and_step_agree_where_unicorn_executes_all_it_can() {
    lockstep("unicorn, eager", &backend_unicorn::Unicorn { eager: true }, 2_000_000, 2000);
}

#[test]
fn unicorn_and_step_agree_as_guests_are_run() {
    lockstep("unicorn", &backend_unicorn::Unicorn { eager: false }, 3_000_000, 20_000);
}
