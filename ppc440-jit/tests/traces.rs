//! Loops of several blocks: that they become traces, and that traces are nothing but fast.

#[expect(unreachable_pub, reason = "also included by the README's example")]
mod common;

use common::{PointerBus, code_memory};
use ppc440_core::bus::Bus as _;
use ppc440_core::core::{Core, Stop};
use ppc440_core::flat::FlatBus;
use ppc440_core::state::CpuState;
use ppc440_jit::{Jit, JitStats};

const CODE: u32 = 0x1000;
const RAM: usize = 0x8000;

/// Runs the program on both in slices of a length that shifts against every loop; returns the traces that were made.
fn traces_of(program: &str) -> u64 {
    let slices = [3001, 1500, 2048, 4099, 1031, 1999].into_iter().cycle().take(24);
    run(program, slices, |_| ()).traces
}

/// Runs the program on both in `slices`, from a state that `setup` may change: every page of RAM is mapped by the entry of its
/// number to itself.
fn run(program: &str, slices: impl IntoIterator<Item = u64>, setup: impl Fn(&mut CpuState)) -> JitStats {
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
    setup(&mut state);
    let mut jit = Jit::new(Core::new(&state, true), code_memory(1 << 20));
    jit.set_hot(1);
    let mut stepper = Core::new(&state, true);
    for slice in slices {
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
    jit.stats()
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

/// A loop whose accesses go through two pages, on and off words, across the boundary, too.
const WANDERER: &str = "li 3,32767\n rlwinm 3,3,2,0,29\n li 24,0x4000\nloop:\n\
    addi 25,25,1021\n rlwinm 25,25,0,20,31\n add 26,24,25\n lwz 5,0(26)\n xor 14,14,5\n addi 27,26,1\n stw 25,4(27)\n\
    lhzx 6,27,25\n add 15,15,6\n andi. 7,3,3\n beq skip\n addi 8,8,1\nskip:\n addic. 3,3,-1\n bne loop\n b .\n";

/// The entry of a page of 4 KB that supervisors may read, write and execute.
fn page(ea: u32, pa: u32) -> mmu_core::TlbEntry {
    mmu_core::TlbEntry { word0: ea | 0x210, word1: pa, word2: 0x7, tid: 0 }
}

#[test]
fn accesses_that_go_from_page_to_page() {
    assert!(traces_of(WANDERER) > 0);
}

#[test]
fn accesses_that_roam_are_led_past_their_slots() {
    // The two pages do not lie in a row.
    let stats = run(WANDERER, [300_001; 4], |state| {
        (state.tlb[4], state.tlb[5]) = (page(0x4000, 0x5000), page(0x5000, 0x4000));
    });
    assert!(stats.traces > 0 && stats.roaming > 0, "{stats:?}");
    // All in one page, and aligned.
    let steady = WANDERER.replace("25,25,0,20,31", "25,25,0,22,29").replace("27,26,1", "27,26,4");
    let stats = run(&steady, [300_001; 4], |_| ());
    assert!(stats.traces > 0 && stats.roaming == 0, "{stats:?}");
}

#[test]
fn pages_in_a_row_are_one_run() {
    // Accesses across the boundary are in it, too: nothing goes elsewhere.
    let stats = run(WANDERER, [300_001; 4], |_| ());
    assert!(stats.traces > 0 && stats.roaming == 0, "{stats:?}");
    assert!(stats.helped < 400, "each round had an access across the boundary: {stats:?}");
}

/// A loop that goes through four pages from page 4 on, and a handler that counts the accesses that fault and skips them.
const STROLLER: &str = "lis 9,0\n ori 9,9,handler\n mtspr 402,9\n mtspr 413,9\n li 3,20000\n li 24,0x4000\nloop:\n\
    addi 25,25,997\n rlwinm 25,25,0,18,31\n lwzx 5,24,25\n addi 5,5,3\n sthx 5,24,25\n andi. 7,3,3\n beq skip\n\
    addi 8,8,1\nskip:\n addic. 3,3,-1\n bne loop\n b .\n .balign 16\n\
    handler:\n mfspr 30,26\n addi 30,30,4\n mtspr 26,30\n mfspr 31,61\n add 28,28,31\n addi 29,29,1\n rfi\n";

#[test]
fn a_run_ends_where_something_else_begins() {
    // Before a hole, a page that cannot be written, and one that lies elsewhere.
    let (row, mut hole, mut fixed) = (page(0x6000, 0x6000), page(0x6000, 0x6000), page(0x6000, 0x6000));
    hole.word0 &= !0x200;
    fixed.word2 = 0x5;
    for third in [row, hole, fixed, page(0x6000, 0x3000)] {
        let stats = run(STROLLER, [40_001; 6], |state| state.tlb[6] = third);
        assert!(stats.traces > 0, "{stats:?}");
    }
}

#[test]
fn a_run_ends_with_the_address_space() {
    // The last page and the first one lie in a row in memory; the access between them is two.
    let program = STROLLER.replace("li 24,0x4000", "li 24,-4096").replace("25,25,0,18,31", "25,25,0,19,31");
    let stats = run(&program, [40_001; 6], |state| {
        (state.tlb[6], state.tlb[0]) = (page(0xFFFF_F000, 0x6000), page(0, 0x7000));
    });
    assert!(stats.traces > 0, "{stats:?}");
}

#[test]
fn a_run_is_forgotten_when_a_page_in_its_middle_is_mapped_elsewhere() {
    // Every so often entry 5 leads from page 5 to page 3, or back.
    let program = STROLLER.replace(
        "addic. 3,3,-1",
        "andi. 7,3,255\n bne stay\n xori 22,22,0x6000\n tlbwe 22,21,1\n isync\nstay:\n addic. 3,3,-1",
    );
    let stats = run(&program, [40_001; 6], |state| (state.gpr[21], state.gpr[22]) = (5, 0x5000));
    assert!(stats.traces > 0, "{stats:?}");
}

/// A loop that adds to a word in page 4 some times, again and again, with something else between.
fn visits(between: &str) -> String {
    format!(
        "li 3,900\n li 21,4\n li 22,0x5000\n li 23,0x4000\n li 24,0x4000\nagain:\n li 7,12\n mtctr 7\n b loop\n nop\n\
         loop:\n lwz 5,0(24)\n addi 5,5,3\n stw 5,0(24)\n andi. 6,21,3\n beq even\n addi 8,8,1\neven:\n bdnz loop\n\
         {between}\n addic. 3,3,-1\n bne again\n b .\n"
    )
}

#[test]
fn a_page_that_is_mapped_elsewhere_between_two_visits() {
    // Its entry leads to page 5, then to page 4 again.
    assert!(traces_of(&visits("tlbwe 22,21,1\n mr 20,22\n mr 22,23\n mr 23,20\n isync")) > 0);
}

#[test]
fn two_processes_with_different_pages_at_the_same_address() {
    let program = visits("xori 20,20,3\n mtspr 48,20\n isync");
    let slices = [3001, 1500, 2048, 4099, 1031, 1999].into_iter().cycle().take(24);
    let stats = run(&program, slices, |state| {
        (state.pid, state.gpr[20]) = (1, 1);
        let entry = |pa, tid| mmu_core::TlbEntry { word0: 0x4210, word1: pa, word2: 0x7, tid };
        (state.tlb[4], state.tlb[20]) = (entry(0x4000, 1), entry(0x5000, 2));
    });
    assert!(stats.traces > 0);
}

#[test]
fn a_page_that_is_written_and_executed_in_turn() {
    // The word that the loop adds to is an instruction, `addi 9,9,n`, and the next one returns.
    let program = visits("bl code").replace("li 24,0x4000", "li 24,0x4000\n bl fill")
        + "fill:\n lis 5,0x3929\n stw 5,0(24)\n lis 5,0x4E80\n ori 5,5,0x0020\n stw 5,4(24)\n blr\n\
           code:\n mfspr 18,8\n mtctr 24\n bctrl\n mtspr 8,18\n blr\n";
    assert!(traces_of(&program) > 0);
}

/// Runs the program as [`traces_of`]; returns the side traces that were made.
fn sides_of(program: &str) -> u64 {
    let slices = [3001, 1500, 2048, 4099, 1031, 1999].into_iter().cycle().take(48);
    let stats = run(program, slices, |_| ());
    assert!(stats.traces > 0, "{stats:?}");
    stats.side_traces
}

#[test]
fn ways_out_that_are_often_taken_lead_to_side_traces() {
    // Each of eight ways through the loop is as frequent as the others.
    let sides = sides_of(
        "li 3,30000\n li 10,0x4000\nloop:\n andi. 5,3,1\n beq a\n addi 4,4,1\n stw 4,0(10)\na:\n andi. 5,3,2\n beq b\n\
         xor 14,14,4\n lwz 15,0(10)\n add 16,16,15\nb:\n andi. 5,3,4\n beq c\n bl more\nc:\n addic. 3,3,-1\n bne loop\n\
         b .\nmore:\n addi 17,17,7\n add 18,18,17\n sth 18,6(10)\n blr\n",
    );
    assert!(sides >= 2, "{sides}");
}

#[test]
fn a_side_trace_leads_through_the_outer_loop_back_into_the_inner_one() {
    // The inner loop holds CTR in a register, and the way through the outer one reads and writes it in every way there is.
    let sides = sides_of(
        "li 3,3000\n li 10,0x4000\n lis 11,0\n ori 11,11,again\nouter:\n andi. 7,3,15\n addi 7,7,5\n mtctr 7\n\
         inner:\n lwz 5,0(10)\n add 4,4,5\n rlwinm 6,4,3,0,31\n stw 6,0(10)\n bdnz inner\n mfctr 9\n add 20,20,9\n\
         mtctr 11\n bctrl\nagain:\n mfctr 9\n xor 21,21,9\n mfspr 22,8\n addic. 3,3,-1\n bne outer\n b .\n",
    );
    assert!(sides > 0, "{sides}");
}

#[test]
fn a_way_out_to_where_rounds_begin_needs_no_side_trace() {
    // A trace that was made of the last round of the inner loop goes on into the outer one.
    for rounds in 2..6 {
        let program = format!(
            "li 3,9000\nouter:\n li 7,{rounds}\ninner:\n addi 4,4,1\n xor 14,14,4\n add 15,15,14\n add 16,16,15\n\
             add 17,17,16\n add 18,18,17\n addic. 7,7,-1\n bne inner\n addi 19,19,1\n addic. 3,3,-1\n bne outer\n b .\n"
        );
        assert!(traces_of(&program) > 0);
    }
}

#[test]
fn an_interrupt_comes_between_the_same_two_instructions_of_side_traces() {
    for period in 0x110..0x130 {
        let sides = sides_of(&format!(
            "lis 9,0\n ori 9,9,handler\n mtspr 410,9\n li 9,{period}\n mtspr 54,9\n mtspr 22,9\n lis 9,0x0440\n\
             mtspr 340,9\n wrteei 1\nloop:\n addi 3,3,1\n andi. 5,3,1\n beq even\n addi 4,4,3\n b join\neven:\n\
             xor 14,14,4\n addi 16,16,1\n add 17,17,16\njoin:\n bl next\n b loop\nnext:\n addi 15,15,1\n blr\n .balign 16\n\
             handler:\n mtspr 272,9\n mfspr 9,26\n add 20,20,9\n lis 9,0x0800\n mtspr 336,9\n mfspr 9,272\n rfi\n"
        ));
        assert!(sides > 0, "{sides}");
    }
}

/// A loop with two ways; `a` and `b` are instructions of the one where the trace was made and the other.
fn two_ways(before: &str, a: &str, b: &str) -> String {
    format!(
        "lis 9,0\n ori 9,9,handler\n mtspr 402,9\n mtspr 413,9\n lis 3,1\n li 24,0x4000\n lis 26,0x7000\n lis 10,0\n\
         ori 10,10,first\n lis 12,0\n ori 12,12,second\n lwz 11,0(10)\n lwz 13,0(12)\nloop:\n {before}\n andi. 5,3,1\n\
         beq even\n addi 4,4,1\nfirst:\n addi 14,14,1\n {a}\n b join\neven:\n xor 15,15,4\nsecond:\n addi 16,16,1\n {b}\n\
         add 17,17,16\njoin:\n addic. 3,3,-1\n bne loop\n b .\n .balign 16\n\
         handler:\n mfspr 30,26\n addi 30,30,4\n mtspr 26,30\n mfspr 31,61\n add 28,28,31\n addi 29,29,1\n rfi\n"
    )
}

#[test]
fn accesses_of_side_traces_fault_with_everything_in_place() {
    let far =
        "andi. 5,3,510\n mr 25,24\n bne near\n mr 25,26\nnear:\n lwz 27,0(25)\n add 20,20,27\n stw 20,4(25)";
    assert!(sides_of(&two_ways("nop", "nop", far)) > 0);
    assert!(sides_of(&two_ways("nop", far, "nop")) > 0);
}

#[test]
fn what_changes_the_code_of_one_of_a_family_changes_all() {
    // Now and then a way is changed, by the other one or by itself.
    for place in ["10", "12"] {
        let change = format!(
            "andi. 5,3,1022\n bne stay\n lwz 18,0({place})\n xori 18,18,6\n stw 18,0({place})\n isync\nstay:\n addi 19,19,1"
        );
        assert!(sides_of(&two_ways("nop", &change, "nop")) > 0);
        assert!(sides_of(&two_ways("nop", "nop", &change)) > 0);
        assert!(sides_of(&two_ways(&change.replace("1022", "1023"), "nop", "nop")) > 0);
    }
    // Only the side trace comes to what is changed here.
    let function = "handler2:\n mfspr 23,8\nthird:\n addi 21,21,1\n andi. 5,3,1022\n bne last\n lis 18,0\n ori 18,18,third\n\
        lwz 22,0(18)\n xori 22,22,6\n stw 22,0(18)\n isync\nlast:\n mtspr 8,23\n blr\n";
    assert!(sides_of(&(two_ways("nop", "nop", "bl handler2") + function)) > 0);
}

#[test]
fn slots_of_side_traces_are_forgotten_when_the_table_loses_a_word() {
    // Page 5 is mapped to itself and to page 6 in turn.
    let program = two_ways(
        "andi. 5,3,510\n bne stay\n xori 22,22,0x3000\n tlbwe 22,21,1\n isync\nstay:\n addi 19,19,1",
        "lwz 6,0x1010(24)\n add 6,6,3\n stw 6,0x1010(24)",
        "lwz 6,0x1010(24)\n addi 6,6,3\n stw 6,0x1010(24)",
    );
    let slices = [3001, 1500, 2048, 4099, 1031, 1999].into_iter().cycle().take(48);
    let stats = run(&program, slices, |state| (state.gpr[21], state.gpr[22]) = (5, 0x5000));
    assert!(stats.side_traces > 0, "{stats:?}");
}

#[test]
fn a_pin_that_a_device_raises_in_a_trace_is_looked_at_where_the_trace_branches_next() {
    // Under the host's clock; the handler notes the round.
    let program = "lis 9,0\n ori 9,9,handler\n mtspr 404,9\n lis 3,1\n lis 26,1\n wrteei 1\nloop:\n lwz 6,0(26)\n addi 4,4,1\n\
        andi. 5,3,1\n beq even\n addi 14,14,1\neven:\n addic. 3,3,-1\n bne loop\n b .\n .balign 16\nhandler:\n mr 20,3\n b .\n";
    let image = ppc440_asm::assemble(program, CODE).expect("it assembles");
    let mut state = CpuState::reset(0x4222_18D3);
    (state.pc, state.reset_entry) = (CODE, 0);
    (state.tlb[1], state.tlb[2]) = (page(CODE, CODE), page(0x1_0000, 0x10_0000));
    let machine = |reads| {
        let mut bus = PointerBus::new(&[0; RAM]);
        for (at, &byte) in (u64::from(CODE)..).zip(&image.bytes) {
            assert!(bus.store_u8(at, byte));
        }
        bus.rings_in = reads;
        bus
    };
    for reads in (20_000..21_000).step_by(97) {
        let (mut run_bus, mut step_bus) = (machine(reads), machine(reads));
        let mut jit = Jit::new(Core::new(&state, false), code_memory(1 << 20));
        jit.set_hot(1);
        while jit.core().registers().gpr[20] == 0 {
            let _ = jit.run(&mut run_bus, 5000);
            assert!(jit.core().retired() < 1 << 20);
        }
        assert!(jit.stats().traces > 0);
        let mut stepper = Core::new(&state, false);
        while stepper.registers().gpr[20] == 0 {
            assert_eq!(stepper.step(&mut step_bus), None);
        }
        assert_eq!(jit.core().registers().gpr[20], stepper.registers().gpr[20]);
    }
}
