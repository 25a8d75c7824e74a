//! UART: the 16550A of the 4xx family.
//!
//! Sixteen-byte FIFOs with trigger levels, the character timeout, THRE semantics, line errors that travel with their
//! characters, loopback and modem status, as in National Semiconductor's PC16550D data sheet. The 4xx chips connect
//! the interrupt output straight to the UIC, so OUT2 gates nothing. Left out: the DMA pins (FCR bit 3 does nothing),
//! and a break that the guest sends is visible only in loopback.
//!
//! Transmitting is immediate by default: a character written to THR is gone at once and THRE is set again, so a guest
//! never waits for a line that does not exist; [`Pace::Line`] takes the time that the divisor says. Received
//! characters wait until the guest listens ([`Input::Listening`]), so that input piped in at the start is not lost
//! when a driver probes the chip and clears its FIFOs; a guest that uses RTS also holds them back with it.
//!
//! # Threat model
//! The guest writes all registers; the host's terminal chooses the received bytes. Both FIFOs are bounded at sixteen;
//! every access is constant time; a zero divisor is counted as one. Restored state is cut to the FIFO's size.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use vmm_plugin::api::{NEVER, ResetKind, treatment};

use crate::device::{Access, Device, Mmio, SerialPort, StateError, from_json, to_json};
use crate::pins::{CharSink, Line, Time};

/// Register offsets, as the data sheet names them.
pub mod reg {
    /// Receiver buffer (read), transmitter holding register (write); divisor low byte while LCR\[DLAB\] is set.
    pub const RBR_THR: u64 = 0;
    /// Interrupt enable; divisor high byte while LCR\[DLAB\] is set.
    pub const IER: u64 = 1;
    /// Interrupt identification (read), FIFO control (write).
    pub const IIR_FCR: u64 = 2;
    /// Line control.
    pub const LCR: u64 = 3;
    /// Modem control.
    pub const MCR: u64 = 4;
    /// Line status.
    pub const LSR: u64 = 5;
    /// Modem status.
    pub const MSR: u64 = 6;
    /// Scratch.
    pub const SCR: u64 = 7;
}

/// Depth of both FIFOs in characters.
pub const FIFO_SIZE: usize = 16;

/// IER: received data available (and character timeout).
const IER_ERBFI: u8 = 0x01;
/// IER: transmitter holding register empty.
const IER_ETBEI: u8 = 0x02;
/// IER: receiver line status.
const IER_ELSI: u8 = 0x04;
/// IER: modem status.
const IER_EDSSI: u8 = 0x08;
const IIR_NONE: u8 = 0x01;
const IIR_MODEM_STATUS: u8 = 0x00;
const IIR_THR_EMPTY: u8 = 0x02;
const IIR_RECEIVED_DATA: u8 = 0x04;
const IIR_LINE_STATUS: u8 = 0x06;
const IIR_TIMEOUT: u8 = 0x0C;
const IIR_FIFOS_ENABLED: u8 = 0xC0;
const FCR_ENABLE: u8 = 0x01;
const FCR_RESET_RECEIVER: u8 = 0x02;
const FCR_RESET_TRANSMITTER: u8 = 0x04;
const FCR_TRIGGER: u8 = 0xC0;
const LCR_WORD_LENGTH: u8 = 0x03;
const LCR_STOP_BITS: u8 = 0x04;
const LCR_PARITY: u8 = 0x08;
const LCR_BREAK: u8 = 0x40;
const LCR_DLAB: u8 = 0x80;
const MCR_DTR: u8 = 0x01;
const MCR_RTS: u8 = 0x02;
const MCR_OUT1: u8 = 0x04;
const MCR_OUT2: u8 = 0x08;
const MCR_LOOP: u8 = 0x10;
const LSR_DR: u8 = 0x01;
const LSR_OE: u8 = 0x02;
const LSR_FE: u8 = 0x08;
const LSR_BI: u8 = 0x10;
const LSR_THRE: u8 = 0x20;
const LSR_TEMT: u8 = 0x40;
const LSR_FIFO_ERROR: u8 = 0x80;
const MSR_DCTS: u8 = 0x01;
const MSR_DDSR: u8 = 0x02;
const MSR_TERI: u8 = 0x04;
const MSR_DDCD: u8 = 0x08;
const MSR_CTS: u8 = 0x10;
const MSR_DSR: u8 = 0x20;
const MSR_RI: u8 = 0x40;
const MSR_DCD: u8 = 0x80;
/// A terminal is there, switched on and listening.
const MSR_CONNECTED: u8 = MSR_CTS | MSR_DSR | MSR_DCD;

/// How fast characters leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// At once.
    #[default]
    Immediate,
    /// At the rate that clock and divisor give.
    Line,
}

/// When characters from the host are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Input {
    /// While the guest listens: the receive interrupt has been enabled for a millisecond (a driver that probes the
    /// chip enables it for a moment) and RTS, if the guest uses it, is raised; or LSR is polled again and again
    /// with RTS raised. A guest that polls without RTS is believed much later: Linux's boot wrappers poll five thousand
    /// times, to let a person edit the command line, and would swallow what was meant for the system.
    #[default]
    Listening,
    /// Whenever there is room.
    Always,
}

/// What surrounds the chip.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Number of the port, for display.
    pub port: u32,
    /// Input clock in Hz; the bit rate is this divided by 16 and by the divisor.
    pub clock_hz: u32,
    /// How fast characters leave.
    pub pace: Pace,
    /// When characters from the host are taken.
    pub input: Input,
}

/// So many reads of LSR in a row, with nothing received and nothing sent, are a guest that waits for input. Loops
/// that wait for the transmitter read it once.
const POLLS_FOR_INPUT: u32 = 1000;

/// So often a guest polls that does not raise RTS: a loop without delay is there within milliseconds.
const POLLS_WITHOUT_RTS: u32 = 100_000;

/// Receive interrupts that are enabled for less than this, in 1/1000 s, are a probe and no listening.
const LISTENING_AFTER_MS: u64 = 1;

/// A received character with the line errors that arrived with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Received {
    byte: u8,
    /// PE, FE and BI in their LSR positions.
    errors: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    ier: u8,
    fcr: u8,
    lcr: u8,
    mcr: u8,
    scr: u8,
    divisor: u16,
    rx: VecDeque<Received>,
    overrun: bool,
    /// The character timeout has passed.
    timeout: bool,
    timeout_at: u64,
    /// Characters that wait behind the one being shifted out; used at line pace only.
    tx: VecDeque<u8>,
    shifting: Option<u8>,
    shifted_at: u64,
    /// The THRE interrupt is latched.
    thr_empty: bool,
    /// The delta bits of MSR.
    deltas: u8,
    /// The guest has raised RTS since reset.
    uses_rts: bool,
    /// Tick from which an enabled receive interrupt counts as listening; [`NEVER`] while it is off.
    listens_at: u64,
    /// Reads of LSR in a row that found nothing received.
    polls: u32,
}

impl Default for State {
    fn default() -> Self {
        Self {
            ier: 0,
            fcr: 0,
            lcr: 0,
            mcr: 0,
            scr: 0,
            divisor: 0,
            rx: VecDeque::with_capacity(FIFO_SIZE),
            overrun: false,
            timeout: false,
            timeout_at: NEVER,
            tx: VecDeque::with_capacity(FIFO_SIZE),
            shifting: None,
            shifted_at: NEVER,
            thr_empty: false,
            deltas: 0,
            uses_rts: false,
            listens_at: NEVER,
            polls: 0,
        }
    }
}

/// One 16550A, generic over its interrupt line, its output and its time.
#[derive(Debug)]
pub struct Uart<L, S, T> {
    config: Config,
    state: State,
    /// The host was told to keep characters; it wants to hear when there is room.
    refused: bool,
    line: L,
    sink: S,
    time: T,
}

impl<L: Line, S: CharSink, T: Time> Uart<L, S, T> {
    /// A UART after reset.
    pub fn new(config: Config, line: L, sink: S, time: T) -> Self {
        Self { config, state: State::default(), refused: false, line, sink, time }
    }

    const fn fifos(&self) -> bool {
        self.state.fcr & FCR_ENABLE != 0
    }
    const fn looped(&self) -> bool {
        self.state.mcr & MCR_LOOP != 0
    }
    const fn depth(&self) -> usize {
        if self.fifos() { FIFO_SIZE } else { 1 }
    }
    fn trigger(&self) -> usize {
        if !self.fifos() {
            return 1;
        }
        [1, 4, 8, 14][usize::from(self.state.fcr >> 6)]
    }

    /// Ticks that one character takes on the line.
    fn character_time(&self) -> u64 {
        let lcr = self.state.lcr;
        // In half bits: start, 5 to 8 data bits, parity, and 1, 1.5 (with 5 data bits) or 2 stop bits.
        let data = u64::from(lcr & LCR_WORD_LENGTH) + 5;
        let stop = match (lcr & LCR_STOP_BITS != 0, data) {
            (false, _) => 2,
            (true, 5) => 3,
            (true, _) => 4,
        };
        let half_bits = 2 + 2 * data + 2 * u64::from(lcr & LCR_PARITY != 0) + stop;
        let divisor = u64::from(self.state.divisor.max(1));
        self.time.span(half_bits * 16 * divisor, 2 * u64::from(self.config.clock_hz)).max(1)
    }

    /// The character timeout runs from the last arrival or read while characters wait in the FIFO.
    fn restart_timeout(&mut self) {
        self.state.timeout = false;
        self.state.timeout_at = if self.fifos() && !self.state.rx.is_empty() {
            self.time.ticks().saturating_add(4 * self.character_time())
        } else {
            NEVER
        };
    }

    fn arrive(&mut self, received: Received) {
        if self.state.rx.len() >= self.depth() {
            self.state.overrun = true;
            if self.fifos() {
                return;
            }
            // Without FIFOs the new character destroys the old one.
            self.state.rx.clear();
        }
        self.state.rx.push_back(received);
        self.restart_timeout();
    }

    /// The line goes to break for at least a character: one zero character with BI and FE arrives.
    pub fn receive_break(&mut self) {
        self.arrive(Received { byte: 0, errors: LSR_BI | LSR_FE });
        self.update();
    }

    /// The tick from which a character from the host would be taken, as things are: 0 is now.
    fn listens_at(&self) -> u64 {
        let s = &self.state;
        let polls = if s.mcr & MCR_RTS != 0 { POLLS_FOR_INPUT } else { POLLS_WITHOUT_RTS };
        if self.looped() || s.rx.len() >= self.depth() {
            NEVER
        } else if self.config.input == Input::Always || s.polls >= polls {
            0
        } else if s.mcr & MCR_RTS != 0 || !s.uses_rts {
            s.listens_at
        } else {
            NEVER
        }
    }

    fn listens(&self) -> bool {
        match self.listens_at() {
            0 => true,
            NEVER => false,
            at => at <= self.time.ticks(),
        }
    }

    fn identification(&self) -> u8 {
        let s = &self.state;
        let errors = s.overrun || s.rx.front().is_some_and(|first| first.errors != 0);
        let enabled = |bit| s.ier & bit != 0;
        if enabled(IER_ELSI) && errors {
            IIR_LINE_STATUS
        } else if enabled(IER_ERBFI) && s.rx.len() >= self.trigger() {
            IIR_RECEIVED_DATA
        } else if enabled(IER_ERBFI) && s.timeout {
            IIR_TIMEOUT
        } else if enabled(IER_ETBEI) && s.thr_empty {
            IIR_THR_EMPTY
        } else if enabled(IER_EDSSI) && s.deltas != 0 {
            IIR_MODEM_STATUS
        } else {
            IIR_NONE
        }
    }

    fn update(&self) {
        self.line.set(self.identification() != IIR_NONE);
    }

    fn line_status(&self) -> u8 {
        let s = &self.state;
        let first = s.rx.front().map_or(0, |first| LSR_DR | first.errors);
        let overrun = if s.overrun { LSR_OE } else { 0 };
        let thre = if s.tx.is_empty() { LSR_THRE } else { 0 };
        let temt = if s.tx.is_empty() && s.shifting.is_none() { LSR_TEMT } else { 0 };
        let any = self.fifos() && s.rx.iter().any(|received| received.errors != 0);
        first | overrun | thre | temt | if any { LSR_FIFO_ERROR } else { 0 }
    }

    /// The four modem inputs; in loopback they are the four modem outputs.
    const fn modem_inputs(&self) -> u8 {
        if !self.looped() {
            return MSR_CONNECTED;
        }
        let mcr = self.state.mcr;
        (if mcr & MCR_RTS != 0 { MSR_CTS } else { 0 })
            | (if mcr & MCR_DTR != 0 { MSR_DSR } else { 0 })
            | (if mcr & MCR_OUT1 != 0 { MSR_RI } else { 0 })
            | (if mcr & MCR_OUT2 != 0 { MSR_DCD } else { 0 })
    }

    fn write_mcr(&mut self, value: u8) {
        let before = self.modem_inputs();
        self.state.mcr = value & (MCR_DTR | MCR_RTS | MCR_OUT1 | MCR_OUT2 | MCR_LOOP);
        self.state.uses_rts |= self.state.mcr & (MCR_RTS | MCR_LOOP) == MCR_RTS;
        let after = self.modem_inputs();
        let changed = before ^ after;
        for (input, delta) in [(MSR_CTS, MSR_DCTS), (MSR_DSR, MSR_DDSR), (MSR_DCD, MSR_DDCD)] {
            if changed & input != 0 {
                self.state.deltas |= delta;
            }
        }
        // RI reports its trailing edge only.
        if before & !after & MSR_RI != 0 {
            self.state.deltas |= MSR_TERI;
        }
    }

    fn write_fcr(&mut self, value: u8) {
        let toggled = (value ^ self.state.fcr) & FCR_ENABLE != 0;
        if toggled || value & FCR_RESET_RECEIVER != 0 {
            self.state.rx.clear();
            self.state.timeout = false;
            self.state.timeout_at = NEVER;
        }
        if toggled || value & FCR_RESET_TRANSMITTER != 0 {
            self.state.tx.clear();
            self.state.thr_empty = true;
        }
        self.state.fcr = if value & FCR_ENABLE != 0 { value & (FCR_ENABLE | FCR_TRIGGER) } else { 0 };
    }

    fn write_lcr(&mut self, value: u8) {
        let begins_break = value & !self.state.lcr & LCR_BREAK != 0;
        self.state.lcr = value;
        if begins_break && self.looped() {
            self.arrive(Received { byte: 0, errors: LSR_BI | LSR_FE });
        }
    }

    fn write_ier(&mut self, value: u8) {
        let value = value & (IER_ERBFI | IER_ETBEI | IER_ELSI | IER_EDSSI);
        // Enabling the THRE interrupt while THR is empty raises it at once.
        if value & !self.state.ier & IER_ETBEI != 0 && self.state.tx.is_empty() {
            self.state.thr_empty = true;
        }
        if value & IER_ERBFI == 0 {
            self.state.listens_at = NEVER;
        } else if self.state.listens_at == NEVER {
            self.state.listens_at =
                self.time.ticks().saturating_add(self.time.span(LISTENING_AFTER_MS, 1000));
        }
        self.state.ier = value;
    }

    fn transmit(&mut self, byte: u8) {
        self.state.polls = 0;
        // Writing THR takes the interrupt back; it returns when THR is empty again.
        self.state.thr_empty = false;
        match self.config.pace {
            Pace::Immediate => {
                self.sent(byte);
                self.state.thr_empty = true;
            }
            Pace::Line => {
                if self.state.tx.len() < self.depth() {
                    self.state.tx.push_back(byte);
                }
                if self.state.shifting.is_none() {
                    let now = self.time.ticks();
                    self.shift(now);
                }
            }
        }
    }

    /// Moves the next character from THR or the FIFO to the shift register at tick `now`.
    fn shift(&mut self, now: u64) {
        self.state.shifting = self.state.tx.pop_front();
        self.state.shifted_at = match self.state.shifting {
            Some(_) => now.saturating_add(self.character_time()),
            None => NEVER,
        };
        if self.state.shifting.is_some() && self.state.tx.is_empty() {
            self.state.thr_empty = true;
        }
    }

    /// A character has left the shift register.
    fn sent(&mut self, byte: u8) {
        if self.looped() {
            // Five to seven bit characters lose their high bits on the way.
            let kept = 0xFF >> (3 - (self.state.lcr & LCR_WORD_LENGTH));
            self.arrive(Received { byte: byte & kept, errors: 0 });
        } else {
            self.sink.send(&[byte]);
        }
    }

    fn read_register(&mut self, offset: u64) -> u8 {
        let dlab = self.state.lcr & LCR_DLAB != 0;
        let value = match offset {
            reg::RBR_THR if dlab => self.state.divisor as u8,
            reg::IER if dlab => (self.state.divisor >> 8) as u8,
            reg::RBR_THR => {
                let byte = self.state.rx.pop_front().map_or(0, |first| first.byte);
                self.restart_timeout();
                byte
            }
            reg::IER => self.state.ier,
            reg::IIR_FCR => {
                let id = self.identification();
                if id == IIR_THR_EMPTY {
                    self.state.thr_empty = false;
                }
                id | if self.fifos() { IIR_FIFOS_ENABLED } else { 0 }
            }
            reg::LCR => self.state.lcr,
            reg::MCR => self.state.mcr,
            reg::LSR => {
                let status = self.line_status();
                if status & LSR_DR == 0 {
                    self.state.polls = self.state.polls.saturating_add(1);
                }
                self.state.overrun = false;
                if let Some(first) = self.state.rx.front_mut() {
                    first.errors = 0;
                }
                status
            }
            reg::MSR => self.modem_inputs() | std::mem::take(&mut self.state.deltas),
            reg::SCR => self.state.scr,
            _ => 0,
        };
        self.update();
        value
    }

    fn write_register(&mut self, offset: u64, value: u8) {
        let dlab = self.state.lcr & LCR_DLAB != 0;
        match offset {
            reg::RBR_THR if dlab => self.state.divisor = self.state.divisor & 0xFF00 | u16::from(value),
            reg::IER if dlab => self.state.divisor = self.state.divisor & 0x00FF | u16::from(value) << 8,
            reg::RBR_THR => self.transmit(value),
            reg::IER => self.write_ier(value),
            reg::IIR_FCR => self.write_fcr(value),
            reg::LCR => self.write_lcr(value),
            reg::MCR => self.write_mcr(value),
            reg::SCR => self.state.scr = value,
            _ => {}
        }
        self.update();
    }
}

impl<L: Line, S: CharSink, T: Time> Mmio for Uart<L, S, T> {
    fn read(&mut self, access: Access) -> u64 {
        access.read_bytes(|offset| self.read_register(offset))
    }
    fn write(&mut self, access: Access, value: u64) {
        access.write_bytes(value, |offset, byte| self.write_register(offset, byte));
    }
    /// A character that leaves at once and comes back nowhere may leave later: LSR says the same before and after, and
    /// the THRE interrupt of a real line is later still. LSR stays as it is while nothing is received; whoever reads
    /// it over and over is still heard of, as engines do not keep it for long.
    fn treatment(&self, access: Access) -> u32 {
        let s = &self.state;
        if access.len != 1 || self.config.pace != Pace::Immediate || self.looped() {
            return 0;
        }
        match access.offset {
            reg::RBR_THR if s.lcr & LCR_DLAB == 0 => treatment::POSTED_WRITE,
            reg::LSR if s.rx.is_empty() && !s.overrun => treatment::STABLE_READ,
            _ => 0,
        }
    }
}

impl<L: Line, S: CharSink, T: Time> SerialPort for Uart<L, S, T> {
    fn receive(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        for &byte in bytes {
            if !self.listens() {
                break;
            }
            self.arrive(Received { byte, errors: 0 });
            taken += 1;
        }
        self.refused = taken < bytes.len();
        self.update();
        taken
    }
}

impl<L: Line, S: CharSink, T: Time> Device for Uart<L, S, T> {
    fn name(&self) -> String {
        format!("UART{}", self.config.port)
    }
    fn mmio(&mut self) -> Option<&mut dyn Mmio> {
        Some(self)
    }
    fn serial(&mut self) -> Option<&mut dyn SerialPort> {
        Some(self)
    }
    fn reset(&mut self, _kind: ResetKind) {
        self.state = State::default();
        self.update();
    }
    fn deadline(&self) -> u64 {
        // The host offers again once the FIFO has run empty: a burst a service, not a character a service.
        let offer = if self.refused && self.state.rx.is_empty() { self.listens_at() } else { NEVER };
        offer.min(self.state.timeout_at).min(self.state.shifted_at)
    }
    fn service(&mut self, now: u64) {
        if self.listens_at() <= now {
            self.refused = false;
        }
        if self.state.timeout_at <= now {
            self.state.timeout_at = NEVER;
            self.state.timeout = !self.state.rx.is_empty();
        }
        // Each round starts a later deadline, and at most a FIFO's worth of characters is waiting.
        while self.state.shifted_at <= now {
            let done = self.state.shifted_at;
            if let Some(byte) = self.state.shifting.take() {
                self.sent(byte);
            }
            self.shift(done);
        }
        self.update();
    }
    fn save(&self) -> serde_json::Value {
        to_json(&self.state)
    }
    fn restore(&mut self, saved: &serde_json::Value) -> Result<(), StateError> {
        let mut state: State = from_json(saved)?;
        state.rx.truncate(FIFO_SIZE);
        state.tx.truncate(FIFO_SIZE);
        if state.shifting.is_none() {
            state.shifted_at = NEVER;
        }
        self.state = state;
        // Whatever the host still holds is offered afresh.
        self.refused = true;
        self.update();
        Ok(())
    }
    fn describe(&self) -> String {
        let s = &self.state;
        let rate = self.config.clock_hz / 16 / u32::from(s.divisor.max(1));
        format!(
            "{rate} baud, IER {:02x} LCR {:02x} MCR {:02x} FCR {:02x}, {} received waiting, {} to send",
            s.ier,
            s.lcr,
            s.mcr,
            s.fcr,
            s.rx.len(),
            s.tx.len() + usize::from(s.shifting.is_some()),
        )
    }
}

#[cfg(test)]
mod tests;
