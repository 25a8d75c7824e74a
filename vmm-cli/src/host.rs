//! What stands between an engine and a machine: RAM, pins, time, console output, and the dispatch of bus accesses. It
//! lives on the vCPU's thread; other threads reach it through [`Control`] only.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use vmm_plugin::api::{Clock, Machine, NEVER, attention};
use vmm_plugin::bus::{BusHost, RamRange, Signals};
use vmm_plugin::host::{HostCalls, RamPointer};

use crate::clock::MachineClock;
use crate::console::Output;
use crate::control::Control;
use crate::input::Input;
use crate::ram::GuestRam;
use crate::verdict::Verdict;

/// While a port's input waits because the guest does not take it, it is offered again after this time.
const OFFER_AGAIN: Duration = Duration::from_millis(2);
/// How long a panicking kernel may go on talking.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The part that the board sees.
#[derive(Debug)]
pub(crate) struct BoardSide {
    ram: RefCell<Vec<GuestRam>>,
    /// Pins that the board drove before it was complete.
    early: Cell<u32>,
    signals: OnceCell<Arc<Signals>>,
    pub(crate) clock: MachineClock,
    pub(crate) output: RefCell<Output>,
    pub(crate) control: Arc<Control>,
}

impl BoardSide {
    pub(crate) fn new(clock: Clock, output: Output, control: Arc<Control>) -> Rc<Self> {
        Rc::new(Self {
            ram: RefCell::new(Vec::new()),
            early: Cell::new(0),
            signals: OnceCell::new(),
            clock: MachineClock::new(clock),
            output: RefCell::new(output),
            control,
        })
    }

    /// Ends the board's creation: RAM is what it is from here on.
    pub(crate) fn seal(&self) -> &Arc<Signals> {
        self.signals.get_or_init(|| {
            let ranges: Vec<_> =
                self.ram.borrow().iter().map(|ram| (ram.range().pa, ram.range().len as u64)).collect();
            let signals = Arc::new(Signals::new(&ranges));
            signals.raise(self.early.get());
            signals
        })
    }

    fn stop(&self, verdict: Verdict) {
        self.control.stop(verdict);
    }

    /// Writes console output that waits.
    pub(crate) fn flush(&self) {
        self.talk(Output::flush);
    }

    /// Does something with the output and ends the run if that is what came out.
    fn talk(&self, what: impl FnOnce(&mut Output) -> Option<Verdict>) {
        let (verdict, panicked) = {
            let mut output = self.output.borrow_mut();
            let before = output.panicked();
            (what(&mut output), output.panicked() && !before)
        };
        if let Some(verdict) = verdict {
            self.stop(verdict);
        } else if panicked {
            // The kernel may finish its words, but not for ever; it need not say anything more.
            let control = Arc::clone(&self.control);
            std::thread::spawn(move || {
                std::thread::sleep(LAST_WORDS);
                control.stop(Verdict::Panic);
            });
        }
    }

    /// Marks all RAM as written behind the engine's back.
    pub(crate) fn mark_all_dirty(&self) {
        for ram in &*self.ram.borrow() {
            self.seal().mark_dma_dirty(ram.range().pa, ram.range().len as u64);
        }
    }
}

/// The board's handle on its side.
#[derive(Debug)]
pub(crate) struct Calls(pub(crate) Rc<BoardSide>);

impl HostCalls for Calls {
    fn map_ram(&mut self, pa: u64, len: u64) -> Option<RamPointer> {
        let mut ranges = self.0.ram.borrow_mut();
        let whole = pa.is_multiple_of(4096)
            && len.is_multiple_of(4096)
            && len != 0
            && pa.checked_add(len)? <= 1 << 36;
        if self.0.signals.get().is_some() || !whole || ranges.iter().any(|ram| ram.overlaps(pa, len)) {
            return None;
        }
        let ram = GuestRam::new(pa, len).ok()?;
        let pointer = RamPointer { ptr: ram.range().ptr, len: ram.range().len };
        ranges.push(ram);
        Some(pointer)
    }
    fn set_attention(&mut self, bits: u32, level: bool) {
        match (self.0.signals.get(), level) {
            (Some(signals), true) => signals.raise(bits),
            (Some(signals), false) => signals.lower(bits),
            (None, true) => self.0.early.set(self.0.early.get() | bits),
            (None, false) => self.0.early.set(self.0.early.get() & !bits),
        }
    }
    fn mark_dma_dirty(&mut self, pa: u64, len: u64) {
        // Before the machine is complete there is no engine that could have seen anything.
        if let Some(signals) = self.0.signals.get() {
            signals.mark_dma_dirty(pa, len);
        }
    }
    fn char_write(&mut self, port: u32, bytes: &[u8]) {
        self.0.talk(|output| output.send(port as usize, bytes));
    }
    fn now(&mut self) -> u64 {
        self.0.clock.now()
    }
    fn wall_clock(&mut self) -> u64 {
        self.0.clock.wall()
    }
    fn clock(&self) -> Clock {
        self.0.clock.kind()
    }
    fn fail(&mut self, message: &str) {
        self.0.stop(Verdict::Error(format!("The board failed: {message}")));
    }
}

/// The part that the engine sees.
pub(crate) struct Host {
    pub(crate) board: Rc<BoardSide>,
    pub(crate) machine: RefCell<Box<dyn Machine>>,
    signals: Arc<Signals>,
    input: RefCell<Input>,
    ports: usize,
    deadline: Cell<u64>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("board", &self.board).finish_non_exhaustive()
    }
}

impl Host {
    pub(crate) fn new(
        board: Rc<BoardSide>,
        machine: Box<dyn Machine>,
        ports: usize,
        input: Input,
    ) -> Rc<Self> {
        let signals = Arc::clone(board.seal());
        let (machine, input) = (RefCell::new(machine), RefCell::new(input));
        Rc::new(Self { board, machine, signals, input, ports, deadline: Cell::new(0) })
    }

    /// Runs the machine's due work now, whatever the deadline was.
    pub(crate) fn service_soon(&self) {
        self.deadline.set(0);
        self.signals.raise(attention::BOARD);
    }

    /// Hands on input that is due, then runs device work.
    fn service(&self, now: u64) {
        // The bit goes first: what is queued from here on sets it again.
        self.signals.lower(attention::BOARD);
        let mut machine = self.machine.borrow_mut();
        let again = self.board.clock.ticks(OFFER_AGAIN).max(1);
        let mut input = self.input.borrow_mut();
        let next = input.deliver(now, again, self.ports, &self.board.control, &mut **machine);
        let next = next.unwrap_or_else(|message| {
            self.board.stop(Verdict::Error(message));
            NEVER
        });
        self.deadline.set(machine.service(now).min(next));
    }

    /// Tells, at the end of a run, what input was left.
    pub(crate) fn finish(&self) {
        self.input.borrow().finish();
    }
}

// SAFETY: RAM is mapped, page aligned, and kept by the board's side, which `board` holds; the ranges are final once
// sealed, and the signals were made for them; this program keeps no reference into RAM.
unsafe impl BusHost for Host {
    fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }
    fn ram(&self) -> Vec<RamRange> {
        self.board.ram.borrow().iter().map(GuestRam::range).collect()
    }
    fn read(&self, pa: u64, len: u8) -> u64 {
        self.machine.borrow_mut().read(pa, len)
    }
    fn write(&self, pa: u64, len: u8, value: u64) {
        self.machine.borrow_mut().write(pa, len, value);
    }
    fn dcr_read(&self, dcrn: u16) -> u32 {
        self.machine.borrow_mut().dcr_read(dcrn)
    }
    fn dcr_write(&self, dcrn: u16, value: u32) {
        self.machine.borrow_mut().dcr_write(dcrn, value);
    }
    fn now(&self) -> u64 {
        self.board.clock.now()
    }

    fn advance(&self, retired: u64) -> u64 {
        self.board.clock.advance(retired);
        let now = self.board.clock.now();
        if now >= self.deadline.get() || self.signals.attention() & attention::BOARD != 0 {
            self.service(now);
        }
        if self.board.output.borrow().is_waiting() {
            self.board.flush();
        }
        self.deadline.get()
    }

    fn idle(&self, until: u64) -> u64 {
        self.board.flush();
        let target = until.min(self.deadline.get());
        // `unpark` leaves a token, so a bit that is set between the look and the sleep is not lost.
        while self.signals.attention() == 0 {
            let now = self.board.clock.now();
            if now >= target {
                break;
            }
            if self.board.clock.kind() == Clock::Icount && target != NEVER {
                self.board.clock.jump(target);
                break;
            }
            if target == NEVER {
                std::thread::park();
            } else {
                std::thread::park_timeout(self.board.clock.duration(target - now));
            }
        }
        self.board.clock.now()
    }

    fn treatment(&self, pa: u64, len: u8) -> u32 {
        self.machine.borrow_mut().treatment(pa, len)
    }

    fn armed(&self) -> u32 {
        self.machine.borrow_mut().armed()
    }

    fn failed(&self, message: String) {
        self.board.stop(Verdict::Error(format!("The bus failed: {message}")));
    }
}
