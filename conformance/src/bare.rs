//! A bare core in the smallest world in which a microkernel can live: RAM, the transmitter of a UART, time that is
//! the number of retired instructions. No board, no plugins, so a failure here is the core's own.

use microkernels::Microkernel;
use mmu_core::TlbEntry;
use ppc440_core::bus::Bus;
use ppc440_core::core::{Core, Stop};
use ppc440_core::flat::FlatBus;
use ppc440_core::interp::Interpreter;
use ppc440_core::state::CpuState;

/// PVR of a 440EP revision B.
pub const PVR: u32 = 0x4222_18D3;
/// RAM of the bare world, in bytes.
pub const RAM: usize = 16 << 20;
const UART: u64 = 0xEF60_0300;
/// Transmitter holding register empty, transmitter empty.
const LSR_IDLE: u64 = 0x60;

/// RAM and a UART that only prints.
#[derive(Debug)]
pub struct BareBus {
    flat: FlatBus,
    /// The UART's line control register; its top bit gives the divisor the transmitter's address.
    lcr: u64,
    /// What was printed.
    pub console: Vec<u8>,
}

impl BareBus {
    /// RAM with `image` loaded, and the core's state at its entry: MSR 0, one 256 MB entry mapping everything below
    /// it 1:1 and one for the devices at the top.
    #[must_use]
    pub fn boot(image: &[u8]) -> (Self, CpuState) {
        let mut flat = FlatBus::new(RAM);
        let entry = crate::elf::load(image, &mut flat.ram);
        let mut state = CpuState::reset(PVR);
        state.pc = entry;
        state.reset_entry = 0;
        for (index, base) in [0, 0xE000_0000].into_iter().enumerate() {
            // Valid, 256 MB; supervisor R, W, X.
            state.tlb[index] =
                TlbEntry { word0: base | 0x290, word1: base, word2: 0x7, ..TlbEntry::default() };
        }
        (Self { flat, lcr: 0, console: vec![] }, state)
    }
}

impl Bus for BareBus {
    fn load_u8(&self, pa: u64) -> Option<u8> {
        self.flat.load_u8(pa)
    }
    fn load_u16(&self, pa: u64) -> Option<u16> {
        self.flat.load_u16(pa)
    }
    fn load_u32(&self, pa: u64) -> Option<u32> {
        self.flat.load_u32(pa)
    }
    fn load_u64(&self, pa: u64) -> Option<u64> {
        self.flat.load_u64(pa)
    }
    fn store_u8(&mut self, pa: u64, value: u8) -> bool {
        self.flat.store_u8(pa, value)
    }
    fn store_u16(&mut self, pa: u64, value: u16) -> bool {
        self.flat.store_u16(pa, value)
    }
    fn store_u32(&mut self, pa: u64, value: u32) -> bool {
        self.flat.store_u32(pa, value)
    }
    fn store_u64(&mut self, pa: u64, value: u64) -> bool {
        self.flat.store_u64(pa, value)
    }
    fn read(&mut self, pa: u64, _: u8) -> u64 {
        match pa.wrapping_sub(UART) {
            3 => self.lcr,
            5 => LSR_IDLE,
            _ => 0,
        }
    }
    fn write(&mut self, pa: u64, _: u8, value: u64) {
        match pa.wrapping_sub(UART) {
            0 if self.lcr & 0x80 == 0 => self.console.push(value as u8),
            3 => self.lcr = value,
            _ => {}
        }
    }
    fn dcr_read(&mut self, dcrn: u16) -> u32 {
        self.flat.dcr_read(dcrn)
    }
    fn dcr_write(&mut self, dcrn: u16, value: u32) {
        self.flat.dcr_write(dcrn, value);
    }
    fn attention(&self) -> u32 {
        self.flat.attention()
    }
    fn now(&mut self) -> u64 {
        self.flat.now()
    }
    fn advance(&mut self, retired: u64) -> u64 {
        self.flat.advance(retired)
    }
    fn idle(&mut self, until: u64) -> u64 {
        self.flat.idle(until)
    }
    fn armed(&mut self) -> u32 {
        self.flat.armed()
    }
    fn take_dma_dirty(&mut self, page: &mut dyn FnMut(u64)) {
        self.flat.take_dma_dirty(page);
    }
}

/// Which driver of the core runs the microkernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// [`Core::step`]: no cache of any kind.
    Step,
    /// [`Interpreter::run`]: decoded pages, shadow TLB.
    Run,
}

/// What a run ended with.
#[derive(Debug)]
pub struct Outcome {
    /// What was printed.
    pub console: String,
    /// Why the core stopped; None if it used its budget up.
    pub stop: Option<Stop>,
    /// Instructions retired.
    pub retired: u64,
}

/// Runs a microkernel for at most `budget` instructions.
#[must_use]
pub fn run(kernel: &Microkernel, driver: Driver, budget: u64) -> Outcome {
    let (mut bus, state) = BareBus::boot(kernel.image);
    let core = Core::new(&state, true);
    let (stop, retired) = match driver {
        Driver::Step => {
            let mut core = core;
            let stop = (0..budget).find_map(|_| core.step(&mut bus));
            (stop, core.retired())
        }
        Driver::Run => {
            let mut interpreter = Interpreter::new(core);
            let stop = interpreter.run(&mut bus, budget);
            (Some(stop).filter(|s| *s != Stop::Budget), interpreter.core().retired())
        }
    };
    Outcome { console: String::from_utf8_lossy(&bus.console).into_owned(), stop, retired }
}
