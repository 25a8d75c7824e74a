//! What the fuzz targets share: a Bamboo machine over a host that keeps everything to itself, and programs for a core
//! alone.

pub mod programs;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use vmm_plugin::api::{Board, BoardConfig, Clock, Machine, Refusal};
use vmm_plugin::host::{BoardHost, HostCalls, RamPointer};

/// A host without files, terminals or threads.
#[derive(Debug, Default)]
struct Host {
    ram: RefCell<Vec<Vec<u64>>>,
    now: Cell<u64>,
}

#[derive(Debug)]
struct Calls(Rc<Host>);

impl HostCalls for Calls {
    fn map_ram(&mut self, _: u64, len: u64) -> Option<RamPointer> {
        // No tree may ask for more than a host would give.
        let len = usize::try_from(len).ok().filter(|len| *len <= 4 << 30)?;
        let mut block = vec![0u64; len / 8];
        let pointer = RamPointer { ptr: block.as_mut_ptr().cast(), len };
        self.0.ram.borrow_mut().push(block);
        Some(pointer)
    }
    fn set_attention(&mut self, _: u32, _: bool) {}
    fn mark_dma_dirty(&mut self, _: u64, _: u64) {}
    fn char_write(&mut self, _: u32, _: &[u8]) {}
    fn now(&mut self) -> u64 {
        self.0.now.get()
    }
    fn wall_clock(&mut self) -> u64 {
        1_000_000_000
    }
    fn clock(&self) -> Clock {
        Clock::Icount
    }
}

/// A machine with its host. Fields are dropped in order: the machine before the RAM that it points to.
pub struct Bench {
    /// The machine.
    pub machine: Box<dyn Machine>,
    host: Rc<Host>,
}

impl Bench {
    /// Builds a machine.
    ///
    /// # Errors
    /// What the board says.
    pub fn new(config: &BoardConfig) -> Result<Self, Refusal> {
        let host = Rc::<Host>::default();
        let machine =
            board_bamboo::BambooBoard.create(config, BoardHost::new(Box::new(Calls(Rc::clone(&host)))))?;
        Ok(Self { machine, host })
    }

    /// A machine with 16 MB of RAM and the board's own tree.
    #[must_use]
    pub fn plain() -> Self {
        let config = BoardConfig { memory: Some(16 << 20), clock: Clock::Icount, ..BoardConfig::default() };
        Self::new(&config).expect("the board's own tree is right")
    }

    /// Lets `ticks` pass and runs what is due.
    pub fn pass(&mut self, ticks: u64) {
        let now = self.host.now.get().saturating_add(ticks);
        self.host.now.set(now);
        let next = self.machine.service(now);
        assert!(next > now, "a deadline that is not in the future would stop time");
    }
}
