//! One boot of Linux, from the kernel's first instruction through the guest's self test to its reset, executed three
//! times: by `Core::step` without any cache, by the interpreter's caching driver, and by translated code. The whole
//! state is compared every hundred thousand instructions or so, RAM now and then and at the end, and every byte of the
//! console.
//!
//! `BOOT_INSTRUCTIONS` ends the comparison early.

mod whole;

use conformance::programs::Random;
use conformance::vmm;
use vmm_plugin::api::{Backend, Exit, Images};
use whole::{Stepping, Whole};

/// RAM in bytes.
const MEMORY: u64 = 32 << 20;
/// Slices between two comparisons of RAM.
const RAM_EVERY: u64 = 256;
/// Most instructions of a slice; translated code needs some thousands to get going.
const SLICE: u32 = 200_000;

fn images() -> Option<Images> {
    let (kernel, initrd) = (vmm::image("VMM_TEST_VMLINUX")?, vmm::image("VMM_TEST_INITRD")?);
    let read = |path: &std::path::Path| std::fs::read(path).expect("An image can be read");
    Some(Images {
        kernel: read(&kernel),
        kernel_name: kernel.display().to_string(),
        initrd: Some(read(&initrd)),
        initrd_name: initrd.display().to_string(),
        append: Some("console=ttyS0 rdinit=/init vmmtest=selftest".into()),
        load_address: None,
    })
}

fn start(backend: &dyn Backend, images: &Images) -> Whole {
    Whole::new(backend, MEMORY, images).expect("The machine starts")
}

fn ram_difference(ours: &Whole, reference: &Whole) -> Option<String> {
    let (a, b) = (ours.ram(), reference.ram());
    let at = (0..a.len()).find(|at| a[*at] != b[*at])?;
    Some(format!("RAM at {at:#x} is {:#04x}, stepped {:#04x}", a[at], b[at]))
}

/// What differs between an engine that ended its slice with `exit` and the reference, which ended it with `expected`.
fn difference(ours: &mut Whole, exit: &Exit, reference: &mut Whole, expected: &Exit) -> Option<String> {
    let mut found = vec![];
    ours.state().compare(&reference.state(), |name, index, a, b| {
        found.push(format!("{name}[{index}] {a:#x}, stepped {b:#x}"));
    });
    if exit != expected {
        found.push(format!("{exit:?}, stepped {expected:?}"));
    }
    if ours.engine.retired() != reference.engine.retired() {
        found.push(format!("{} retired, stepped {}", ours.engine.retired(), reference.engine.retired()));
    }
    (!found.is_empty()).then(|| found.join("\n"))
}

/// The first instruction after which a second boot differs, which is known to be equal before `good` and to differ
/// after `bad`: in ever smaller slices, as far as the difference survives them.
fn narrow(backend: &dyn Backend, images: &Images, mut good: u64, mut bad: u64) -> String {
    let mut told = String::from("A second boot did not show it");
    let mut slice = (bad - good).div_ceil(40).max(1);
    loop {
        let (mut ours, mut reference) = (start(backend, images), start(&Stepping, images));
        for machine in [&mut ours, &mut reference] {
            machine.engine.run(good);
        }
        let mut found = None;
        let mut at = good;
        while at < bad && found.is_none() {
            let (exit, expected) = (ours.engine.run(slice), reference.engine.run(slice));
            found = difference(&mut ours, &exit, &mut reference, &expected);
            at += slice;
        }
        let Some(found) = found else { return told };
        (good, bad) = (at - slice, at);
        told = format!("Between instructions {good} and {bad}:\n{found}");
        if slice == 1 {
            return told;
        }
        slice = slice.div_ceil(40);
    }
}

#[test]
fn a_boot_by_each_engine_equals_a_stepped_one() {
    let Some(images) = images() else { return };
    let mut backends: Vec<&dyn Backend> = vec![&backend_interp::Interp];
    match backend_jit::JitBackend.probe() {
        Ok(()) => backends.push(&backend_jit::JitBackend),
        Err(why) => println!("skipped: {why}"),
    }
    let limit =
        std::env::var("BOOT_INSTRUCTIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
    let mut reference = start(&Stepping, &images);
    let mut machines: Vec<_> = backends.iter().map(|backend| start(*backend, &images)).collect();
    let name = |which: usize| backends[which].info().id;
    let mut random = Random::new(440);
    let (mut executed, mut slices) = (0, 0);
    let exit = loop {
        let slice = u64::from(1 + random.below(SLICE));
        let expected = reference.engine.run(slice);
        for (which, ours) in machines.iter_mut().enumerate() {
            let exit = ours.engine.run(slice);
            if let Some(difference) = difference(ours, &exit, &mut reference, &expected) {
                let end = executed + slice;
                let close = narrow(backends[which], &images, executed, end);
                panic!("{}, between instructions {executed} and {end}:\n{difference}\n{close}", name(which));
            }
        }
        (executed, slices) = (reference.engine.retired(), slices + 1);
        let ends = expected != Exit::Budget || executed >= limit;
        if ends || slices % RAM_EVERY == 0 {
            for (which, ours) in machines.iter().enumerate() {
                if let Some(difference) = ram_difference(ours, &reference) {
                    panic!("{}, before instruction {executed}: {difference}", name(which));
                }
            }
        }
        if ends {
            break expected;
        }
    };
    let console = reference.console();
    for (which, ours) in machines.iter().enumerate() {
        assert!(ours.console() == console, "{}: the console differs", name(which));
    }
    println!("{executed} instructions, {slices} states compared, {} bytes of console", console.len());
    if executed < limit {
        let console = String::from_utf8_lossy(&console);
        assert!(matches!(exit, Exit::Reset(_)), "{exit:?}\n{console}");
        assert!(console.contains("vmmtest: selftest: exit 0"), "{console}");
    }
}
