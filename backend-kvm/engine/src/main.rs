//! The engine that runs in ring 3 of a virtual machine: the translator around the reference core, a heap, and a bus
//! whose devices are outside. No operating system lies below it and no code in ring 0 helps it: what it may touch is
//! what the host mapped, and the only way out is a call (see [`protocol`]).
#![no_std]
#![no_main]

extern crate alloc;

mod bus;
mod exit;
mod heap;
mod memory;
#[expect(dead_code, unreachable_pub, reason = "the host compiles the same file and uses the rest")]
mod protocol;

use alloc::boxed::Box;
use core::fmt::Write as _;
use core::panic::PanicInfo;

use ppc440_core::core::{Core, Stop};
use ppc440_core::options::Options;
use ppc440_core::state::CpuState;
use ppc440_jit::{CodeMemory, Jit};

use bus::VmBus;
use exit::{leave, mailbox};
use heap::Heap;
use protocol::{CODE_EXEC, CODE_WRITE, Config, HEAP, TEXT, call, command, outcome};

#[global_allocator]
static ALLOCATOR: Heap = Heap::new();

/// Where the host enters, once, with the stack pointer as after a call.
///
/// # Safety
/// Only for the host.
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() -> ! {
    let config = mailbox().config;
    // SAFETY: the host mapped the heap, and this is the first thing that the engine does.
    unsafe { ALLOCATOR.init(HEAP as usize, config.heap_len as usize) };
    Engine::new(&config).serve()
}

struct Engine {
    jit: Box<Jit<VmBus>>,
    bus: VmBus,
}

impl Engine {
    fn new(config: &Config) -> Self {
        // The host has looked at the policy's number.
        let options = Options::from_numbers(config.icount != 0, config.shadow_pages, config.tlb_policy)
            .unwrap_or_default();
        let core = Core::with_options(&CpuState::reset(0), options);
        let (write, exec) = (CODE_WRITE as usize, CODE_EXEC as usize);
        // SAFETY: the host mapped the same memory at both addresses, to be written at the first and executed at the
        // second, and nothing else uses it.
        let memory = unsafe {
            CodeMemory::new(
                core::ptr::with_exposed_provenance_mut(write),
                core::ptr::with_exposed_provenance(exec),
                config.code_len as usize,
            )
        };
        Self { jit: Box::new(Jit::new(core, memory)), bus: VmBus::new(config) }
    }

    fn serve(mut self) -> ! {
        loop {
            self.tell();
            self.bus.call(call::DONE);
            let (what, argument) = (mailbox().command, mailbox().argument);
            match what {
                command::RUN => self.run(argument),
                command::GET_STATE => {
                    let state = &mut mailbox().state;
                    self.jit.core().snapshot(&mut self.bus, state);
                }
                command::SET_STATE => {
                    let now = ppc440_core::bus::Bus::now(&mut self.bus);
                    self.jit.core_mut().restore(&mailbox().state, now);
                    // A new state comes with new RAM more often than not.
                    self.jit.flush();
                }
                command::DESCRIBE => say(&self.jit.core().describe_shadows()),
                other => astray(other, argument as usize),
            }
        }
    }

    fn run(&mut self, budget: u64) {
        let stop = self.jit.run(&mut self.bus, budget);
        let (kind, detail) = match stop {
            Stop::Budget => (outcome::BUDGET, 0),
            Stop::Reset(kind) => (outcome::RESET, kind),
            Stop::Halted => (outcome::HALTED, 0),
            Stop::Requested => (outcome::STOP, 0),
            Stop::Fatal(interrupt) => {
                let mut text = Text::new();
                // A text that is cut short is still a text.
                let _ = write!(text, "{interrupt:?}");
                text.done();
                (outcome::FATAL, 0)
            }
        };
        let mail = mailbox();
        (mail.outcome, mail.detail) = (kind, detail);
    }

    /// Brings the mailbox's figures up to date.
    fn tell(&self) {
        let jit = self.jit.stats();
        let mmu = self.jit.core().mmu_stats();
        let counts = self.bus.counts;
        let mail = mailbox();
        mail.retired = self.jit.core().retired();
        mail.stats = [
            jit.translated,
            jit.translated_words,
            jit.code_bytes,
            jit.chained,
            jit.full,
            jit.entered,
            jit.helped,
            mmu.hits,
            mmu.misses,
            mmu.guest_misses,
            mmu.drops,
            mmu.evictions,
            mmu.recycled_contexts,
            mmu.tlb_writes,
            ALLOCATOR.used() as u64,
            counts.posted,
            counts.kept,
            counts.read,
            counts.write,
            counts.dcr,
            counts.advance,
            counts.idle,
            counts.now,
            counts.dirty,
        ];
    }
}

/// What only tests ask for, to see that the walls hold. A guest cannot: commands come from the host alone.
#[cold]
fn astray(what: u32, address: usize) {
    let at = core::ptr::with_exposed_provenance_mut::<u8>(address);
    match what {
        // SAFETY: none; the host's test wants to see it fail.
        command::WILD_READ => mailbox().value = u64::from(unsafe { at.read_volatile() }),
        // SAFETY: as above.
        command::WILD_WRITE => unsafe { at.write_volatile(1) },
        command::WILD_CALL => {
            // SAFETY: as above.
            let function: extern "C" fn() = unsafe { core::mem::transmute(address) };
            function();
        }
        command::HANG => loop {
            core::hint::spin_loop();
        },
        other => panic!("There is no command {other}"),
    }
}

/// The mailbox's text, being written.
struct Text(usize);

impl Text {
    fn new() -> Self {
        Self(0)
    }
    fn done(self) {
        mailbox().text_len = self.0 as u64;
    }
}

impl core::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let taken = text.len().min(TEXT - self.0);
        mailbox().text[self.0..self.0 + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.0 += taken;
        if taken == text.len() { Ok(()) } else { Err(core::fmt::Error) }
    }
}

fn say(what: &str) {
    let mut text = Text::new();
    // What is too long is cut.
    let _ = text.write_str(what);
    text.done();
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let mut text = Text::new();
    // What is too long is cut.
    let _ = write!(text, "{info}");
    text.done();
    loop {
        let mail = mailbox();
        (mail.call, mail.posted_count, mail.ticks) = (call::PANIC, 0, 0);
        leave();
    }
}

/// The compiled `alloc` refers to the unwinder, which a program that aborts does not have.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    panic!("Nothing unwinds here");
}

/// As above.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
