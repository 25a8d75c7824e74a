//! The pins of a machine on its host: attention bits as lines, ports as sinks, ticks and the wall clock as time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use vmm_plugin::host::BoardHost;

use crate::pins::{CharSink, Line, Time};

/// A line whose receiver is chosen at run time.
pub type SharedLine = Rc<dyn Line>;
/// A sink chosen at run time.
pub type SharedSink = Rc<dyn CharSink>;
/// A clock chosen at run time.
pub type SharedTime = Rc<dyn Time>;

/// What a machine is connected to: what the builder hands to each device.
pub trait Pins {
    /// The core's external (non-critical) interrupt input.
    fn external(&self) -> SharedLine;
    /// The core's critical interrupt input.
    fn critical(&self) -> SharedLine;
    /// Where serial port `port` sends its characters.
    fn serial(&self, port: u32) -> SharedSink;
    /// Machine time.
    fn time(&self) -> SharedTime;
}

/// A [`BoardHost`] that many devices share. No call into the host comes back into a device, so no borrow meets
/// another.
#[derive(Debug, Clone)]
pub struct SharedHost {
    host: Rc<RefCell<BoardHost>>,
    hz: u32,
}

impl SharedHost {
    /// Shares a host whose ticks come `hz` times a second (0 counts as 1).
    #[must_use]
    pub fn new(host: BoardHost, hz: u32) -> Self {
        Self { host: Rc::new(RefCell::new(host)), hz: hz.max(1) }
    }

    /// Calls into the host.
    pub fn with<R>(&self, call: impl FnOnce(&mut BoardHost) -> R) -> R {
        call(&mut self.host.borrow_mut())
    }
}

impl Pins for SharedHost {
    fn external(&self) -> SharedLine {
        Rc::new(AttentionLine::new(self, vmm_plugin::api::attention::EXT))
    }
    fn critical(&self) -> SharedLine {
        Rc::new(AttentionLine::new(self, vmm_plugin::api::attention::CRIT))
    }
    fn serial(&self, port: u32) -> SharedSink {
        Rc::new(Port { host: self.clone(), port })
    }
    fn time(&self) -> SharedTime {
        Rc::new(self.clone())
    }
}

impl Time for SharedHost {
    fn ticks(&self) -> u64 {
        self.with(BoardHost::now)
    }
    fn hz(&self) -> u32 {
        self.hz
    }
    fn wall_clock(&self) -> u64 {
        self.with(BoardHost::wall_clock)
    }
}

/// One attention bit. It remembers its level, because most updates of a device change nothing and a call across the
/// plugin boundary costs more than a comparison.
struct AttentionLine {
    host: SharedHost,
    bit: u32,
    level: Cell<Option<bool>>,
}

impl AttentionLine {
    fn new(host: &SharedHost, bit: u32) -> Self {
        Self { host: host.clone(), bit, level: Cell::new(None) }
    }
}

impl Line for AttentionLine {
    fn set(&self, asserted: bool) {
        if self.level.replace(Some(asserted)) != Some(asserted) {
            self.host.with(|host| host.set_attention(self.bit, asserted));
        }
    }
}

struct Port {
    host: SharedHost,
    port: u32,
}

impl CharSink for Port {
    fn send(&self, bytes: &[u8]) {
        self.host.with(|host| host.char_write(self.port, bytes));
    }
}
