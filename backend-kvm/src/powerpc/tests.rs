//! The run loop and the state against [`super::fake`]'s kernel.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ppc440_core::bus::{NEVER, attention};
use ppc440_core::state::CpuState;
use vmm_plugin::api::{Clock, Engine, EngineConfig, Exit, ResetKind};
use vmm_plugin::bus::testing::TestBus;

use super::engine::KvmEngine;
use super::fake::{Fake, FakeSys, PVR, Step, TB_HZ};
use super::vm::{Error, Vm};

const CONFIG: EngineConfig =
    EngineConfig { tb_hz: TB_HZ, clock: Clock::Host, shadow_pages: 0, tlb_policy: 0 };
/// MSR[EE].
const EE: u64 = 0x8000;

struct Bench {
    // The engine's bus goes before the test's, which then tells what went wrong in its closures.
    engine: KvmEngine<FakeSys>,
    fake: Fake,
    bus: TestBus,
}

fn bench() -> Bench {
    bench_without(&[])
}

fn bench_without(capabilities: &[u32]) -> Bench {
    let bus = TestBus::new(&[(0, 32 << 20), (0x8000_0000, 8192)]);
    let fake = Fake::new(bus.clock());
    fake.kernel().capabilities.retain(|number| !capabilities.contains(number));
    let vm = Vm::new(fake.sys()).expect("a virtual machine");
    let engine = KvmEngine::new(vm, bus.bus(), &CONFIG).expect("an engine");
    Bench { engine, fake, bus }
}

/// A kernel's entry: one entry that maps the first 256 MB one to one.
fn entry(pc: u32) -> CpuState {
    let mut state = CpuState::reset(PVR);
    state.reset_entry = 0;
    state.pc = pc;
    state.tlb[0].word0 = 0x290;
    state.tlb[0].word2 = 7;
    state
}

impl Bench {
    fn boot(&mut self) {
        self.engine.set_state(&entry(0x1000));
    }
    fn guest(&self, steps: impl IntoIterator<Item = Step>) {
        self.fake.kernel().guest.extend(steps);
    }
    /// The guest's last step: the host wants the run to end.
    fn stop(&self) -> Step {
        let signals = self.bus.signals().clone();
        Step::Meanwhile(Box::new(move || signals.raise(attention::STOP)))
    }
    fn run(&mut self) -> Exit {
        self.engine.run(NEVER)
    }
}

#[test]
fn ram_becomes_memory_slots() {
    let bench = bench();
    let slots: Vec<_> = bench
        .fake
        .kernel()
        .regions
        .iter()
        .map(|region| (region.slot, region.guest_phys_addr, region.memory_size))
        .collect();
    assert_eq!(slots, [(0, 0, 32 << 20), (1, 0x8000_0000, 8192)]);
}

#[test]
fn loads_and_stores_reach_devices_as_numbers_of_their_size() {
    for (len, value) in [(1, 0x12), (2, 0x1234), (4, 0x1234_5678), (8, 0x1234_5678_9ABC_DEF0)] {
        let mut bench = bench();
        let writes = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&writes);
        bench.bus.on_write(move |pa, len, value| seen.borrow_mut().push((pa, len, value)));
        bench.bus.on_read(move |pa, asked| {
            assert_eq!((pa, usize::from(asked)), (0xEF60_0300, len));
            value
        });
        bench.boot();
        let load = |register, reversed| Step::Load { pa: 0xEF60_0300, len, register, reversed };
        bench.guest([load(3, false), load(4, true), Step::Store { pa: 0x1_0000_0000, len, value }]);
        bench.guest([bench.stop()]);
        assert_eq!(bench.run(), Exit::Stop);
        let mut state = CpuState::reset(0);
        bench.engine.get_state(&mut state);
        let reversed = value.swap_bytes() >> (64 - 8 * len);
        assert_eq!((state.gpr[3], state.gpr[4]), (value as u32, reversed as u32), "{len} bytes");
        assert_eq!(*writes.borrow(), [(0x1_0000_0000, len as u8, value)]);
    }
}

#[test]
fn device_control_registers_are_read_and_written() {
    let mut bench = bench();
    let writes = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&writes);
    bench.bus.on_dcr_write(move |number, value| seen.borrow_mut().push((number, value)));
    bench.bus.on_dcr_read(|number| 0xABCD_0000 + u32::from(number));
    bench.boot();
    bench.guest([
        Step::DcrRead { number: 0xC6, register: 9 },
        Step::DcrWrite { number: 0xC0, value: 0xFFFF_FFFE },
        bench.stop(),
    ]);
    assert_eq!(bench.run(), Exit::Stop);
    assert_eq!(bench.fake.kernel().gpr(9), 0xABCD_00C6);
    assert_eq!(*writes.borrow(), [(0xC0, 0xFFFF_FFFE)]);
}

#[test]
fn a_load_is_in_its_register_before_the_state_is_looked_at() {
    let mut bench = bench();
    let signals = bench.bus.signals().clone();
    bench.bus.on_read(move |_, _| {
        // The device's answer and the host's wish to stop come together: the kernel has not seen the value yet.
        signals.raise(attention::STOP);
        0x55
    });
    bench.boot();
    let next = Step::Load { pa: 0xEF60_0305, len: 1, register: 6, reversed: false };
    bench.guest([Step::Load { pa: 0xEF60_0305, len: 1, register: 5, reversed: false }, next]);
    assert_eq!(bench.run(), Exit::Stop);
    let mut state = CpuState::reset(0);
    bench.engine.get_state(&mut state);
    assert_eq!((state.gpr[5], state.gpr[6]), (0x55, 0), "the next access was not begun");
    assert_eq!(bench.fake.kernel().guest.len(), 1);
}

#[test]
fn a_signal_that_comes_before_the_guest_runs_is_not_lost() {
    let mut bench = bench();
    bench.boot();
    bench.fake.kernel().kicked = true;
    bench.guest([Step::Store { pa: 0x9000_0000, len: 4, value: 1 }, bench.stop()]);
    assert_eq!(bench.run(), Exit::Stop);
    assert!(bench.engine.stats().contains(&("kvm_signal_exits".into(), 2)));
    assert!(!bench.fake.kernel().kicked, "the signal was taken");
}

#[test]
fn a_guest_that_runs_undisturbed_is_stopped_within_one_look() {
    let mut bench = bench();
    bench.boot();
    bench.guest([bench.stop()]);
    assert_eq!(bench.run(), Exit::Stop);
    assert_eq!(bench.fake.kernel().waits, [Duration::from_millis(4)]);
}

#[test]
fn a_device_deadline_interrupts_the_guest_in_time() {
    let mut bench = bench();
    let serviced = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&serviced);
    let signals = bench.bus.signals().clone();
    bench.bus.on_service(move |now| {
        seen.borrow_mut().push(now);
        if now >= 1500 {
            signals.raise(attention::STOP);
        }
        if now < 1500 { 1500 } else { NEVER }
    });
    bench.boot();
    assert_eq!(bench.run(), Exit::Stop);
    assert_eq!(*serviced.borrow(), [0, 1500]);
    assert_eq!(bench.fake.kernel().waits, [Duration::from_micros(1500)]);
}

#[test]
fn a_budget_is_a_time_in_ticks() {
    let mut bench = bench();
    bench.boot();
    assert_eq!(bench.engine.run(10_000), Exit::Budget);
    assert!((10_000..10_010).contains(&bench.bus.now()), "{}", bench.bus.now());
    assert_eq!(bench.engine.retired(), 0);
}

/// The interrupt controller: the guest's acknowledgement takes the pin back.
fn acknowledging(bench: &mut Bench) {
    let signals = bench.bus.signals().clone();
    bench.bus.on_dcr_write(move |_, _| signals.lower(attention::EXT));
}

#[test]
fn a_level_interrupt_is_set_and_withdrawn_once() {
    let mut bench = bench();
    acknowledging(&mut bench);
    bench.boot();
    bench.bus.raise(attention::EXT);
    bench.guest([
        Step::TakeInterrupt,
        Step::DcrRead { number: 0xC6, register: 3 },
        Step::DcrWrite { number: 0xC0, value: 1 },
        Step::Store { pa: 0x9000_0000, len: 4, value: 1 },
        bench.stop(),
    ]);
    assert_eq!(bench.run(), Exit::Stop);
    let kernel = bench.fake.kernel();
    assert_eq!((kernel.delivered, &kernel.interrupt_requests[..]), (1, &[-3, -2][..]));
}

#[test]
fn without_levels_the_interrupt_is_asserted_until_the_guest_acknowledges() {
    let mut bench = bench_without(&[58]);
    acknowledging(&mut bench);
    bench.boot();
    bench.bus.raise(attention::EXT);
    bench.guest([
        Step::TakeInterrupt,
        // Still asserted: another source of the controller.
        Step::DcrRead { number: 0xC6, register: 3 },
        Step::TakeInterrupt,
        Step::DcrWrite { number: 0xC0, value: 1 },
        Step::Store { pa: 0x9000_0000, len: 4, value: 1 },
        bench.stop(),
    ]);
    assert_eq!(bench.run(), Exit::Stop);
    let kernel = bench.fake.kernel();
    assert_eq!(kernel.delivered, 2);
    assert_eq!(kernel.interrupt_requests, [-1, -1, -2]);
}

#[test]
fn without_withdrawal_nothing_is_withdrawn() {
    let mut bench = bench_without(&[58, 53]);
    acknowledging(&mut bench);
    bench.boot();
    bench.bus.raise(attention::EXT);
    bench.guest([Step::TakeInterrupt, Step::DcrWrite { number: 0xC0, value: 1 }, bench.stop()]);
    assert_eq!(bench.run(), Exit::Stop);
    assert_eq!(bench.fake.kernel().interrupt_requests, [-1]);
}

#[test]
fn the_watchdog_asks_for_the_reset_that_tcr_names() {
    for (wrc, kind) in [(1, ResetKind::Core), (2, ResetKind::Chip), (3, ResetKind::System)] {
        let mut bench = bench();
        bench.boot();
        bench.fake.kernel().set_sreg(372, wrc << 28);
        bench.guest([Step::Exit { reason: 21, payload: Vec::new() }]);
        assert_eq!(bench.run(), Exit::Reset(kind));
        assert_eq!(bench.fake.kernel().enabled, [83]);
    }
    let bench = bench_without(&[83]);
    assert!(bench.fake.kernel().enabled.is_empty(), "what is not offered is not enabled");
}

#[test]
fn an_instruction_that_kvm_cannot_emulate_is_named() {
    let mut bench = bench();
    bench.boot();
    bench.fake.kernel().set_reg(0, 0xC000_1234);
    let reason = 0xFFFF_FFFF_7C00_06AC_u64.to_ne_bytes().to_vec();
    bench.guest([Step::Exit { reason: 0, payload: reason }]);
    let Exit::Error(message) = bench.run() else { panic!("an error") };
    assert!(message.contains("0x7c0006ac") && message.contains("0xc0001234"), "{message}");
    assert!(message.contains("--backend interp"), "{message}");
}

#[test]
fn what_no_440_reports_ends_the_run_with_its_number() {
    let exit = |reason, payload| [Step::Exit { reason, payload }];
    let mut hostile = vec![0; 24];
    hostile[16..20].copy_from_slice(&3_u32.to_ne_bytes());
    for (steps, said) in [
        (exit(23, Vec::new()), "reason 23"),
        (exit(6, hostile), "3 bytes"),
        (exit(0, 7_u64.to_ne_bytes().to_vec()), "hardware reason 0x7"),
        ([Step::Fail(libc::EFAULT)], "KVM_RUN failed"),
    ] {
        let mut bench = bench();
        bench.boot();
        bench.guest(steps);
        let Exit::Error(message) = bench.run() else { panic!("an error about {said}") };
        assert!(message.contains(said), "{message}");
    }
    let mut bench = bench();
    bench.boot();
    bench.guest(exit(4, Vec::new()));
    assert_eq!(bench.run(), Exit::Debug);
}

#[test]
fn the_state_goes_in_and_out_as_far_as_kvm_takes_it() {
    let mut bench = bench();
    let mut state = entry(0x1000);
    for (number, register) in (0x100..).zip(&mut state.gpr) {
        *register = number;
    }
    (state.cr, state.xer, state.lr, state.ctr, state.msr) = (0x2400_0000, 0x2000_0000, 0x10, 0x20, 0x1000);
    (state.srr, state.csrr, state.mcsrr) = ([1, 2], [3, 4], [5, 6]);
    (state.esr, state.dear, state.mcsr, state.ivpr) = (7, 8, 9, 0xC000_0000);
    state.ivor = std::array::from_fn(|number| 16 * number as u32);
    state.sprg = [11, 12, 13, 14, 15, 16, 17, 18];
    (state.pid, state.usprg0) = (19, 20);
    (state.dec, state.decar, state.tcr, state.tsr) = (1_000_000, 21, 0x0400_0000, 0x0800_0000);
    (state.iac, state.dac) = ([0x30, 0x34, 0x38, 0x3c], [0x40, 0x44]);
    // The TLB alone cannot be set, and says so.
    assert_eq!(bench.engine.set_state(&state), ["tlb"]);
    let mut taken = CpuState::reset(0);
    bench.engine.get_state(&mut taken);
    let mut different = Vec::new();
    state.compare(&taken, |name, _, _, _| different.push(name));
    assert!(different.iter().all(|name| name.starts_with("tlb")), "{different:?}");
}

#[test]
fn what_kvm_does_not_take_is_returned_by_name() {
    let mut bench = bench();
    let mut state = entry(0x1000);
    state.pvr = 0x5234_1234;
    state.fpr[3] = 1;
    state.fpscr = 2;
    state.mmucr = 3;
    state.ccr[1] = 4;
    state.dbcr[0] = 5;
    state.tb = 6;
    state.pir = 7;
    state.tlb = [mmu_core::TlbEntry::default(); 64];
    let refused = bench.engine.set_state(&state);
    assert_eq!(refused, ["fpr", "fpscr", "mmucr", "pvr", "pir", "ccr", "tb", "dbcr"]);
    bench.fake.kernel().known_one_regs.clear();
    state = entry(0x1000);
    state.iac[0] = 0x100;
    assert_eq!(bench.engine.set_state(&state), ["iac", "tlb"]);
}

#[test]
fn a_guest_that_runs_already_cannot_be_taken_over() {
    let mut bench = bench();
    let mut state = entry(0xC000_1000);
    state.tlb[0].word0 = 0xC000_0290;
    assert!(bench.engine.set_state(&state).contains(&"tlb"));
    let Exit::Error(message) = bench.run() else { panic!("an error") };
    assert!(message.contains("TLB cannot be written from user space"), "{message}");
    assert!(message.contains("0xc0001000") && message.contains("16 MB"), "{message}");
    bench.boot();
    bench.guest([bench.stop()]);
    assert_eq!(bench.run(), Exit::Stop, "another state runs");
}

#[test]
fn a_new_state_after_a_run_gets_a_new_virtual_machine() {
    let mut bench = bench();
    bench.boot();
    assert_eq!(bench.fake.kernel().vms, 1, "what has not run is as good as new");
    bench.guest([bench.stop()]);
    assert_eq!(bench.run(), Exit::Stop);
    bench.bus.lower(attention::STOP);
    bench.boot();
    assert_eq!(bench.fake.kernel().vms, 2);
    assert_eq!(bench.fake.kernel().regions.len(), 2, "with its memory");
    bench.guest([bench.stop()]);
    assert_eq!(bench.run(), Exit::Stop);
}

#[test]
fn code_that_is_loaded_or_copied_by_devices_is_published() {
    let mut bench = bench();
    bench.boot();
    let ranges: Vec<usize> = bench.fake.kernel().published.drain(..).map(|(_, len)| len).collect();
    assert_eq!(ranges, [32 << 20, 8192]);
    bench.bus.mark_dma_dirty(0x8000_1000, 1);
    bench.guest([bench.stop()]);
    assert_eq!(bench.run(), Exit::Stop);
    let start = bench.bus.bus().ram()[1].ptr as usize;
    assert_eq!(bench.fake.kernel().published, [(start + 4096, 4096)]);
}

#[test]
fn the_boards_reset_ends_the_run() {
    let mut bench = bench();
    bench.boot();
    bench.bus.raise(attention::RESET);
    assert_eq!(bench.run(), Exit::Reset(ResetKind::System));
}

/// Linux's end at 0xC0002000: instructions before a branch to itself.
fn spinning(bench: &Bench, before: &[u32], msr: u64) {
    bench.bus.write_ram(0x2000, &0x4800_0000_u32.to_be_bytes());
    for (back, instruction) in (1..).zip(before.iter().rev()) {
        bench.bus.write_ram(0x2000 - 4 * back, &instruction.to_be_bytes());
    }
    let mut kernel = bench.fake.kernel();
    kernel.set_reg(0, 0xC000_2000);
    kernel.set_reg(8, 17);
    kernel.set_reg(5, msr);
}

#[test]
fn a_guest_that_spins_with_nothing_enabled_is_halted() {
    let mut bench = bench();
    bench.boot();
    bench.bus.set_armed(attention::EXT);
    spinning(&bench, &[0x6000_0000], 0x0002_1000);
    assert_eq!(bench.run(), Exit::Halted);
    for (msr, armed, tcr) in [(EE, 0, 0), (0x0002_0000, attention::CRIT, 0), (0, 0, 0x3000_0000)] {
        let mut bench = self::bench();
        bench.boot();
        bench.bus.set_armed(armed);
        spinning(&bench, &[0x6000_0000], msr);
        bench.fake.kernel().set_sreg(372, tcr);
        assert_eq!(bench.engine.run(200_000), Exit::Budget, "msr {msr:#x}, tcr {tcr:#x}: it may wake");
    }
}

#[test]
fn a_spin_after_a_write_to_dbcr0_is_a_reset() {
    // mfspr r9,308; oris r9,r9,0x3000; mtspr 308,r9
    let code = [0x7D34_4AA6, 0x6529_3000, 0x7D34_4BA6];
    for (value, msr, expected) in [
        // Linux waits for the reset with interrupts on.
        (0x3000_0000, EE, Exit::Reset(ResetKind::System)),
        (0x2000_0000, 0, Exit::Reset(ResetKind::Chip)),
        (0x1000_0000, 0, Exit::Reset(ResetKind::Core)),
        (0x0800_0000, 0, Exit::Budget),
    ] {
        let mut bench = bench();
        bench.boot();
        spinning(&bench, &code, msr);
        bench.fake.kernel().set_reg(17 + 9, value);
        assert_eq!(bench.engine.run(200_000), expected, "{value:#x}");
    }
}

#[test]
fn a_kernel_that_lacks_something_is_told_what() {
    let vm = |capabilities: &[u32], version| {
        let fake = Fake::new(Rc::default());
        fake.kernel().capabilities = capabilities.iter().copied().collect();
        fake.kernel().version = version;
        Vm::new(fake.sys()).map(|vm| vm.capabilities())
    };
    assert!(matches!(vm(&[3, 62], 11), Err(Error::Version(11))));
    let error = vm(&[53], 12).expect_err("nothing but that").to_string();
    assert!(error.contains("KVM_CAP_USER_MEMORY, KVM_CAP_PPC_BOOKE_SREGS"), "{error}");
    let error = vm(&[3, 62, 69], 12).expect_err("an e500").to_string();
    assert!(error.contains("e500"), "{error}");
    let error = vm(&[3, 43], 12).expect_err("a server processor").to_string();
    assert!(error.contains("Book III-S"), "{error}");
    let least = vm(&[3, 62], 12).expect("enough to run");
    let text = least.to_string();
    assert_eq!(text.matches(": no; ").count(), 4, "{text}");
}

#[test]
fn what_the_virtual_machine_is_made_of_can_be_inspected() {
    let mut bench = bench();
    let text = bench.engine.inspect("kvm");
    assert!(text.contains("KVM_CAP_PPC_IRQ_LEVEL: yes"), "{text}");
    assert!(text.contains("memory slot 1: 0x080000000-0x080001fff"), "{text}");
    assert_eq!(bench.engine.inspect("tlb"), "");
}

#[test]
fn what_kvm_cannot_do_is_refused_at_creation() {
    for config in [
        EngineConfig { clock: Clock::Icount, ..CONFIG },
        EngineConfig { tlb_policy: 1, ..CONFIG },
        EngineConfig { shadow_pages: 64, ..CONFIG },
    ] {
        let refusal = super::allowed(&config).expect_err("a refusal");
        assert!(refusal.0.contains("--backend interp"), "{refusal}");
    }
    super::allowed(&CONFIG).expect("allowed");
}
