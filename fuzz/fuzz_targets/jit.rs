//! Any program: translated code and the interpreter stop alike, in the same state with the same RAM, and nothing panics.
//! Slices are long enough that most of each is translated. Code memory, engine and RAM live as long as the process, as
//! they do under a guest that is reset.
#![no_main]

#[path = "../../ppc440-jit/tests/common/mod.rs"]
mod common;

use std::cell::RefCell;

use common::{PointerBus, code_memory};
use libfuzzer_sys::fuzz_target;
use ppc440_core::core::{Core, Stop};
use ppc440_core::interp::Interpreter;
use ppc440_core::state::CpuState;
use ppc440_jit::Jit;
use ppc440_vmm_fuzz::programs::{Input, RAM};

thread_local! {
    static ENGINE: RefCell<(Jit<PointerBus>, PointerBus)> = RefCell::new((
        Jit::new(Core::new(&CpuState::reset(0), true), code_memory(4 << 20)),
        PointerBus::new(&[0; RAM]),
    ));
}

fuzz_target!(|input: Input| {
    ENGINE.with_borrow_mut(|(jit, jit_bus)| {
        let (state, mut bus) = input.machine();
        // SAFETY: the bus has as many bytes, and no translated code runs now.
        unsafe { std::ptr::copy_nonoverlapping(bus.ram.as_ptr(), jit_bus.ram, RAM) };
        jit.core_mut().restore(&state, jit_bus.now);
        jit.flush();
        let mut interpreter = Interpreter::new(Core::new(&state, true));
        let begin = jit.core().retired();
        for slice in [3000, 1, 1500, 2500] {
            let (translated, interpreted) = (jit.run(jit_bus, slice), interpreter.run(&mut bus, slice));
            assert_eq!(translated, interpreted, "why they stopped");
            let (mut ours, mut theirs) = (state.clone(), state.clone());
            jit.core().snapshot(jit_bus, &mut ours);
            interpreter.core().snapshot(&mut bus, &mut theirs);
            ours.compare(&theirs, |name, index, x, y| {
                panic!("{name}[{index}]: translated {x:#x}, interpreted {y:#x}");
            });
            assert_eq!(jit.core().retired() - begin, interpreter.core().retired(), "instructions");
            assert!(jit_bus.contents() == bus.ram, "RAM differs");
            if translated != Stop::Budget {
                return;
            }
        }
    });
});
