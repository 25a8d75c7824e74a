//! What the program's threads share: the attention word, the reason to stop, input that waits for the guest, and
//! requests to the vCPU's thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use vmm_plugin::api::attention;
use vmm_plugin::bus::Signals;

use crate::verdict::Verdict;

/// What another thread asks of the vCPU's thread.
#[derive(Debug)]
pub(crate) enum Request {
    /// Text for the monitor.
    Show(Show, Sender<String>),
    /// Reset the machine as its reset button would.
    Reset,
}

/// What the monitor can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// All registers.
    Registers,
    /// The guest's TLB.
    Tlb,
    /// What the engine translated, and why some of it is gone.
    Jit,
    /// What the engine's virtual machine maps.
    Kvm,
    /// One line a device.
    Devices,
    /// The engine's counters.
    Stats,
}

/// Shared by all threads of one run.
#[derive(Debug)]
pub(crate) struct Control {
    signals: OnceLock<Arc<Signals>>,
    vcpu: OnceLock<Thread>,
    stopping: AtomicBool,
    verdict: Mutex<Option<Verdict>>,
    requests: Mutex<Vec<Request>>,
    input: Vec<Mutex<VecDeque<u8>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the mutexes guard is whole between any two operations.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Control {
    pub(crate) fn new(ports: usize) -> Self {
        Self {
            signals: OnceLock::new(),
            vcpu: OnceLock::new(),
            stopping: AtomicBool::new(false),
            verdict: Mutex::new(None),
            requests: Mutex::new(Vec::new()),
            input: (0..ports).map(|_| Mutex::default()).collect(),
        }
    }

    /// Tells which thread runs the machine; called by that thread, once.
    pub(crate) fn attach(&self, signals: &Arc<Signals>) {
        let _ = self.vcpu.set(std::thread::current());
        let _ = self.signals.set(Arc::clone(signals));
        // What was asked before there was anybody to ask.
        self.notify(attention::BOARD | if self.wants_stop() { attention::STOP } else { 0 });
    }

    fn wants_stop(&self) -> bool {
        self.stopping.load(Ordering::Acquire) || !lock(&self.requests).is_empty()
    }

    fn notify(&self, bits: u32) {
        if let Some(signals) = self.signals.get() {
            signals.raise(bits);
        }
        if let Some(vcpu) = self.vcpu.get() {
            vcpu.unpark();
        }
    }

    /// Ends the run; the first verdict counts.
    pub(crate) fn stop(&self, verdict: Verdict) {
        lock(&self.verdict).get_or_insert(verdict);
        self.stopping.store(true, Ordering::Release);
        self.notify(attention::STOP);
    }

    /// The verdict, once there is one.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        if self.stopping.load(Ordering::Acquire) { lock(&self.verdict).clone() } else { None }
    }

    /// Asks the vCPU's thread for something.
    pub(crate) fn request(&self, request: Request) {
        lock(&self.requests).push(request);
        self.notify(attention::STOP);
    }

    /// What was asked since the last call.
    pub(crate) fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut *lock(&self.requests))
    }

    /// Queues characters for a serial port.
    pub(crate) fn queue_input(&self, port: usize, bytes: &[u8]) {
        if let Some(queue) = self.input.get(port) {
            lock(queue).extend(bytes);
            self.notify(attention::BOARD);
        }
    }

    /// How many characters wait for a port.
    pub(crate) fn queued(&self, port: usize) -> usize {
        self.input.get(port).map_or(0, |queue| lock(queue).len())
    }

    /// Offers what waits for a port; `taker` says how many it took. Returns how many still wait.
    pub(crate) fn offer_input(&self, port: usize, taker: impl FnOnce(&[u8]) -> usize) -> usize {
        let Some(queue) = self.input.get(port) else { return 0 };
        let mut queue = lock(queue);
        if !queue.is_empty() {
            let taken = taker(queue.make_contiguous()).min(queue.len());
            queue.drain(..taken);
        }
        queue.len()
    }
}
