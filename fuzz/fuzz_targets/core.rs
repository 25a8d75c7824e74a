//! Any program: the oracle `Core::step` and the caching driver end alike, and nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ppc440_core::core::{Core, Stop};
use ppc440_core::interp::Interpreter;
use ppc440_vmm_fuzz::programs::Input;

fuzz_target!(|input: Input| {
    let (state, mut bus) = input.machine();
    let mut other = bus.clone();
    let mut driver = Interpreter::new(Core::new(&state, true));
    let mut stepped = Core::new(&state, true);
    for slice in [1, 100, 900] {
        let end = driver.run(&mut bus, slice);
        let target = driver.core().retired();
        let mut stop = None;
        while stepped.retired() < target && stop.is_none() {
            stop = stepped.step(&mut other);
        }
        if end != Stop::Budget {
            return;
        }
        assert_eq!(stop, None, "the oracle stopped where the driver went on");
        let (mut ran, mut reference) = (state.clone(), state.clone());
        driver.core().snapshot(&mut bus, &mut ran);
        stepped.snapshot(&mut other, &mut reference);
        ran.compare(&reference, |name, index, x, y| panic!("{name}[{index}]: run {x:#x}, stepped {y:#x}"));
        assert!(bus.ram == other.ram, "RAM differs");
    }
});
