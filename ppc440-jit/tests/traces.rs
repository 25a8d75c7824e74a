//! Loops of several blocks: that they become traces, and that traces are nothing but fast.

#[expect(unreachable_pub, reason = "also included by the README's example")]
mod common;

use common::{PointerBus, code_memory};
use ppc440_core::core::{Core, Stop};
use ppc440_core::flat::FlatBus;
use ppc440_core::state::CpuState;
use ppc440_jit::Jit;

const CODE: u32 = 0x1000;
const RAM: usize = 0x8000;

/// Runs the program on both in slices of a length that shifts against every loop; returns the traces that were made.
fn traces_of(program: &str) -> u64 {
    let image = ppc440_asm::assemble(program, CODE).expect("it assembles");
    let mut step_bus = FlatBus::new(RAM);
    step_bus.fill(CODE as usize, &image.bytes);
    let mut run_bus = PointerBus::new(&step_bus.ram);
    let mut state = CpuState::reset(0x4222_18D3);
    (state.pc, state.reset_entry) = (CODE, 0);
    for page in 0..RAM as u32 / 0x1000 {
        let at = page * 0x1000;
        state.tlb[page as usize] = mmu_core::TlbEntry { word0: at | 0x210, word1: at, word2: 0x7, tid: 0 };
    }
    let mut jit = Jit::new(Core::new(&state, true), code_memory(1 << 20));
    jit.set_hot(1);
    let mut stepper = Core::new(&state, true);
    for slice in [3001, 1500, 2048, 4099, 1031, 1999].into_iter().cycle().take(24) {
        let stopped = jit.run(&mut run_bus, slice);
        while stepper.retired() < jit.core().retired() {
            assert_eq!(stepper.step(&mut step_bus), None);
        }
        let (mut ran, mut stepped) = (state.clone(), state.clone());
        jit.core().snapshot(&mut run_bus, &mut ran);
        stepper.snapshot(&mut step_bus, &mut stepped);
        ran.compare(&stepped, |name, index, a, b| {
            panic!("{name}[{index}] run {a:x} step {b:x} after {}", stepper.retired())
        });
        assert!(run_bus.contents() == step_bus.ram, "RAM differs");
        if stopped != Stop::Budget {
            assert_eq!(stopped, Stop::Halted);
            break;
        }
    }
    jit.stats().traces
}

#[test]
fn a_loop_through_branches_calls_and_returns_is_a_trace() {
    let traces = traces_of(
        "li 3,4000\n li 4,0\n li 14,7\nloop:\n andi. 5,3,3\n beq other\n addi 4,4,1\n b join\n\
         other:\n bl square\njoin:\n xor 14,14,4\n addic. 3,3,-1\n bne loop\n b .\n\
         square:\n mullw 6,3,3\n add 4,4,6\n blr\n",
    );
    assert!(traces > 0);
}

#[test]
fn a_counted_loop_keeps_ctr_on_every_way_out() {
    let traces = traces_of(
        "li 3,300\nagain:\n li 7,40\n mtctr 7\nloop:\n mfctr 8\n cmpwi 8,3\n beq skip\n addi 4,4,1\n\
         skip:\n bdnz loop\n mfctr 9\n add 20,20,9\n addic. 3,3,-1\n bne again\n b .\n",
    );
    assert!(traces > 0);
    let traces = traces_of(
        "li 3,300\nagain:\n li 7,40\n mtctr 7\nloop:\n andi. 8,4,7\n beq skip\n addi 5,5,1\n\
         skip:\n addi 4,4,3\n bdnz loop\n mfctr 9\n add 20,20,9\n addic. 3,3,-1\n bne again\n b .\n",
    );
    assert!(traces > 0);
}

#[test]
fn more_registers_than_the_host_has_are_shared_out() {
    let traces = traces_of(
        "li 3,2000\n lis 25,0\n ori 25,25,0x4000\nloop:\n addi 5,5,1\n addi 6,6,2\n add 7,7,5\n add 11,11,6\n\
         rlwinm. 0,3,0,31,31\n beq even\n addi 12,12,3\n add 13,13,12\n stw 13,0(25)\n\
         even:\n lwz 15,0(25)\n add 16,16,15\n xor 17,17,16\n addi 18,18,5\n add 19,19,18\n stw 17,4(25)\n\
         lhz 21,6(25)\n lwz 22,3(25)\n add 23,22,21\n addic. 3,3,-1\n bne loop\n b .\n",
    );
    assert!(traces > 0);
}

#[test]
fn a_trace_that_changes_its_own_code_goes_on_with_the_new_one() {
    // After 700 rounds the addend becomes 5, after 1,400 it is 1 again.
    let traces = traces_of(
        "li 3,2100\n lis 10,0\n ori 10,10,patch\n lwz 11,0(10)\n addi 12,11,4\nloop:\n\
         cmpwi 3,1400\n beq change\n cmpwi 3,700\n beq back\n b patch\n\
         change:\n stw 12,0(10)\n b patch\nback:\n stw 11,0(10)\n\
         patch:\n addi 4,4,1\n addic. 3,3,-1\n bne loop\n b .\n",
    );
    assert!(traces > 0);
}

#[test]
fn accesses_on_the_way_fault_with_everything_in_place() {
    // Each 512th round reads beyond what is mapped; the handler skips the load.
    let traces = traces_of(
        "lis 9,0\n ori 9,9,handler\n mtspr 413,9\n li 3,3000\n lis 26,0x7000\nloop:\n andi. 5,3,511\n li 24,0x4000\n\
         bne near\n mr 24,26\nnear:\n lwz 27,0(24)\n add 28,28,27\n addi 29,29,1\n addic. 3,3,-1\n bne loop\n b .\n .balign 16\n\
         handler:\n mfspr 30,26\n addi 30,30,4\n mtspr 26,30\n mfspr 31,61\n add 28,28,31\n rfi\n",
    );
    assert!(traces > 0);
}

#[test]
fn an_interrupt_comes_between_the_same_two_instructions_whatever_its_period() {
    // The handler adds up where it came from.
    for period in 0x110..0x130 {
        let traces = traces_of(&format!(
            "lis 9,0\n ori 9,9,handler\n mtspr 410,9\n li 9,{period}\n mtspr 54,9\n mtspr 22,9\n lis 9,0x0440\n\
             mtspr 340,9\n wrteei 1\nloop:\n addi 3,3,1\n andi. 5,3,1\n beq even\n addi 4,4,3\neven:\n xor 14,14,4\n\
             bl next\n b loop\nnext:\n addi 15,15,1\n blr\n .balign 16\n\
             handler:\n mtspr 272,9\n mfspr 9,26\n add 20,20,9\n lis 9,0x0800\n mtspr 336,9\n mfspr 9,272\n rfi\n"
        ));
        assert!(traces > 0);
    }
}
