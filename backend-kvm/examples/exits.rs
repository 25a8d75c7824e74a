//! What leaving the virtual machine costs on this host: `cargo run --release -p backend-kvm --example exits`. Each row is
//! a loop of a guest whose only work is one kind of access, on a board that does nothing, so that what is measured is the
//! way out and back.

use rustix::time::{ClockId, clock_gettime};
use vmm_plugin::api::{Backend as _, Clock, CpuState, Engine, EngineConfig, Exit};
use vmm_plugin::bus::testing::TestBus;

const ROUNDS: u64 = 2000;

/// Nanoseconds that this thread was executed for, in the kernel and in the machine too: what else the host has to do
/// does not count.
fn processor_time() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

fn state() -> CpuState {
    let mut state = CpuState::reset(0);
    (state.reset_entry, state.pc) = (0, 0);
    // 256 MB of RAM from 0, and device space at 0x8000_0000, inhibited and guarded.
    for (entry, (place, attributes)) in state.tlb.iter_mut().zip([(0, 0), (0x8000_0000, 0x0500)]) {
        (entry.word0, entry.word1, entry.word2) = (place | 0x290, place, attributes | 0x07);
    }
    state.gpr[5] = 0x8000_0000;
    state
}

fn exits(engine: &dyn Engine) -> u64 {
    engine.stats().iter().find(|(name, _)| name == "vm_exits").map_or(0, |(_, exits)| *exits)
}

/// Nanoseconds a round of `program`, which ends with a branch to its begin: least and median of 20 batches; and exits a
/// round.
fn measure(program: &[u32], config: &EngineConfig) -> Option<(f64, f64, f64)> {
    let test = TestBus::new(&[(0, 1 << 20)]);
    let bytes: Vec<u8> = program.iter().flat_map(|word| word.to_be_bytes()).collect();
    test.write_ram(0, &bytes);
    let mut engine = match backend_kvm::Kvm.create(config, test.bus()) {
        Ok(engine) => engine,
        Err(why) => {
            println!("skipped: {why}");
            return None;
        }
    };
    assert!(engine.set_state(&state()).is_empty());
    let mut each = Vec::new();
    let before = exits(&*engine);
    for _ in 0..20 {
        let started = processor_time();
        assert_eq!(engine.run(ROUNDS / 20 * program.len() as u64), Exit::Budget);
        each.push((processor_time() - started) / (ROUNDS / 20) as f64);
    }
    each.sort_by(f64::total_cmp);
    Some((each[0], each[each.len() / 2], (exits(&*engine) - before) as f64 / ROUNDS as f64))
}

fn main() {
    const BACK: u32 = 0x4BFF_FFFC; // b .-4
    let host = EngineConfig { tb_hz: 400_000_000, clock: Clock::Host, shadow_pages: 0, tlb_policy: 0 };
    println!("{:<34} {:>9} {:>9} {:>9}", "ns for each round", "least", "median", "exits");
    for (what, program) in [
        ("addi (no exit)", [0x3863_0001, BACK]),
        ("mftb (no exit)", [0x7C6C_42E6, BACK]),
        ("lbz from a device register", [0x88C5_0000, BACK]),
        ("stb to a device register", [0x98C5_0000, BACK]),
        ("mfdcr", [0x7C80_3286, BACK]),
        ("mtdcr", [0x7C80_3386, BACK]),
    ] {
        let Some((least, median, exits)) = measure(&program, &host) else { return };
        println!("{what:<34} {least:>9.0} {median:>9.0} {exits:>9.2}");
    }
    let test = TestBus::new(&[(0, 1 << 20)]);
    let Ok(mut engine) = backend_kvm::Kvm.create(&host, test.bus()) else { return };
    let mut out = CpuState::reset(0);
    let started = processor_time();
    for _ in 0..ROUNDS {
        engine.get_state(&mut out);
    }
    println!(
        "{:<34} {:>9} {:>9.0}",
        "a command (state out)",
        "",
        (processor_time() - started) / ROUNDS as f64
    );
    let started = processor_time();
    for _ in 0..20 {
        let _ = backend_kvm::Kvm.create(&host, test.bus());
    }
    println!(
        "{:<34} {:>9} {:>9.0}",
        "making and dropping a machine",
        "",
        (processor_time() - started) / 20.0
    );
}
