//! IIC: the I2C controller of the 4xx family (PPC440EP user's manual, "IIC Bus Interface").
//!
//! Master transfers of one to four bytes with chaining and repeated start, the four-byte master buffer, status and
//! extended status, the interrupt, soft reset, and direct control of both wires. A transfer is over as soon as it is
//! started. Left out: slave mode, ten-bit addresses of devices (none has one), lost arbitration.
//!
//! # Threat model
//! The guest writes all registers; the buffer is bounded at four bytes and every access is constant time.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use vmm_plugin::api::ResetKind;

use crate::device::{Access, Device, Mmio, StateError, from_json, to_json};
use crate::i2c::{I2cBus, Wires};
use crate::pins::Line;

/// Byte register offsets.
pub mod reg {
    /// Master data buffer.
    pub const MDBUF: u64 = 0x00;
    /// Low master address.
    pub const LMADR: u64 = 0x04;
    /// High master address.
    pub const HMADR: u64 = 0x05;
    /// Control.
    pub const CNTL: u64 = 0x06;
    /// Mode control.
    pub const MDCNTL: u64 = 0x07;
    /// Status.
    pub const STS: u64 = 0x08;
    /// Extended status.
    pub const EXTSTS: u64 = 0x09;
    /// Interrupt mask.
    pub const INTRMSK: u64 = 0x0D;
    /// Transfer count.
    pub const XFRCNT: u64 = 0x0E;
    /// Extended control and slave status.
    pub const XTCNTLSS: u64 = 0x0F;
    /// Direct control.
    pub const DIRECTCNTL: u64 = 0x10;
}

const CNTL_HMT: u8 = 0x80;
const CNTL_AMD: u8 = 0x40;
const CNTL_RPST: u8 = 0x08;
const CNTL_CHT: u8 = 0x04;
const CNTL_RW: u8 = 0x02;
const CNTL_PT: u8 = 0x01;
const MDCNTL_FMDB: u8 = 0x40;
const MDCNTL_FSDB: u8 = 0x80;
const MDCNTL_EINT: u8 = 0x04;
const STS_MDBS: u8 = 0x20;
const STS_MDBF: u8 = 0x10;
const STS_ERR: u8 = 0x04;
const STS_IRQA: u8 = 0x02;
const STS_SCMP: u8 = 0x08;
const EXTSTS_IRQP: u8 = 0x80;
/// Extended status: the bus is free, or this master holds it between parts of a transfer.
const EXTSTS_BCS_FREE: u8 = 0x40;
const EXTSTS_BCS_MASTER: u8 = 0x30;
const EXTSTS_IRQD: u8 = 0x08;
const EXTSTS_LA: u8 = 0x04;
const EXTSTS_ICT: u8 = 0x02;
const EXTSTS_XFRA: u8 = 0x01;
const EXTSTS_CLEARABLE: u8 = EXTSTS_IRQP | EXTSTS_IRQD | EXTSTS_LA | EXTSTS_ICT | EXTSTS_XFRA;
const INTRMSK_EIHE: u8 = 0x08;
const INTRMSK_EITA: u8 = 0x02;
const INTRMSK_EIMTC: u8 = 0x01;
const XTCNTLSS_SRST: u8 = 0x01;
const DIRCNTL_SDAC: u8 = 0x08;
const DIRCNTL_SCC: u8 = 0x04;
const DIRCNTL_MSDA: u8 = 0x02;
const DIRCNTL_MSC: u8 = 0x01;
/// Size of the master buffer.
const BUFFER: usize = 4;
/// Byte registers.
const SIZE: usize = 0x14;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    /// Registers that only keep what is written, by offset.
    plain: [u8; SIZE],
    buffer: VecDeque<u8>,
    sts: u8,
    extsts: u8,
    /// Bytes that the last transfer moved.
    count: u8,
    /// Between two parts of a chained transfer.
    chained: bool,
    wires: Wires,
}

/// One controller with its bus, generic over its interrupt line.
#[derive(Debug)]
pub struct Iic<L> {
    index: u32,
    state: State,
    bus: I2cBus,
    line: L,
}

impl<L: Line> Iic<L> {
    /// A controller after reset; `index` is for display.
    pub fn new(index: u32, bus: I2cBus, line: L) -> Self {
        Self { index, state: State::default(), bus, line }
    }

    fn plain(&self, at: u64) -> u8 {
        self.state.plain.get(at as usize).copied().unwrap_or(0)
    }

    const fn in_reset(&self) -> bool {
        self.state.plain[reg::XTCNTLSS as usize] & XTCNTLSS_SRST != 0
    }

    /// Moves the bytes that CNTL asks for.
    fn transfer(&mut self, cntl: u8) {
        let count = usize::from(cntl >> 4 & 3) + 1;
        let read = cntl & CNTL_RW != 0;
        let address = self.plain(reg::LMADR) >> 1;
        self.state.count = 0;
        self.state.sts &= !STS_ERR;
        self.state.extsts &= !(EXTSTS_XFRA | EXTSTS_ICT);
        // Ten-bit addresses are acknowledged by nobody here.
        let acknowledged = self.state.chained || cntl & CNTL_AMD == 0 && self.bus.start(address, read);
        let mut complete = acknowledged;
        if acknowledged && read {
            self.state.buffer = (0..count).map(|_| self.bus.read()).collect();
            self.state.count = count as u8;
        } else if acknowledged {
            for _ in 0..count {
                // A write of more bytes than were put into the buffer is incomplete.
                let Some(byte) = self.state.buffer.pop_front() else {
                    self.state.extsts |= EXTSTS_ICT;
                    complete = false;
                    break;
                };
                complete &= self.bus.write(byte);
                self.state.count += 1;
            }
        }
        self.state.chained = complete && cntl & CNTL_CHT != 0;
        let holds = complete && cntl & (CNTL_CHT | CNTL_RPST) != 0;
        if !complete {
            // An aborted transfer ends in a stop and leaves the buffer empty.
            self.state.buffer.clear();
            self.state.sts |= STS_ERR;
            self.state.extsts |= EXTSTS_XFRA;
        }
        if !holds {
            self.bus.stop();
        }
        let bus_state = if holds { EXTSTS_BCS_MASTER } else { EXTSTS_BCS_FREE };
        self.state.extsts = self.state.extsts & EXTSTS_CLEARABLE | bus_state;
        let wanted = INTRMSK_EIMTC | if complete { 0 } else { INTRMSK_EITA };
        if self.plain(reg::INTRMSK) & wanted != 0 {
            self.state.sts |= STS_IRQA;
        }
    }

    /// CNTL\[HMT\]: a stop at once.
    fn halt(&mut self) {
        self.bus.stop();
        self.state.chained = false;
        self.state.extsts = self.state.extsts & EXTSTS_CLEARABLE | EXTSTS_BCS_FREE;
        if self.plain(reg::INTRMSK) & INTRMSK_EIHE != 0 {
            self.state.sts |= STS_IRQA;
        }
    }

    fn read_byte(&mut self, at: u64) -> u8 {
        match at {
            reg::MDBUF => self.state.buffer.pop_front().unwrap_or(0),
            reg::STS => {
                let (held, full) = (!self.state.buffer.is_empty(), self.state.buffer.len() >= BUFFER);
                self.state.sts | if held { STS_MDBS } else { 0 } | if full { STS_MDBF } else { 0 }
            }
            reg::EXTSTS => match self.state.extsts & 0x70 {
                0 => self.state.extsts | EXTSTS_BCS_FREE,
                _ => self.state.extsts,
            },
            reg::XFRCNT => self.state.count,
            reg::DIRECTCNTL => {
                let wires = &self.state.wires;
                let monitor =
                    if wires.data() { DIRCNTL_MSDA } else { 0 } | if wires.clock() { DIRCNTL_MSC } else { 0 };
                self.plain(at) & (DIRCNTL_SDAC | DIRCNTL_SCC) | monitor
            }
            _ => self.plain(at),
        }
    }

    fn write_byte(&mut self, at: u64, value: u8) {
        let Some(plain) = self.state.plain.get_mut(at as usize) else { return };
        match at {
            reg::MDBUF => {
                if self.state.buffer.len() < BUFFER {
                    self.state.buffer.push_back(value);
                }
            }
            reg::CNTL => {
                *plain = value & !(CNTL_PT | CNTL_HMT);
                if value & CNTL_HMT != 0 {
                    self.halt();
                } else if value & CNTL_PT != 0 && !self.in_reset() {
                    self.transfer(value);
                }
            }
            reg::MDCNTL => {
                *plain = value & !(MDCNTL_FMDB | MDCNTL_FSDB);
                if value & MDCNTL_FMDB != 0 {
                    self.state.buffer.clear();
                }
            }
            reg::STS => self.state.sts &= !(value & (STS_IRQA | STS_SCMP)),
            reg::EXTSTS => {
                self.state.extsts &= !(value & EXTSTS_CLEARABLE);
                if value & EXTSTS_XFRA != 0 {
                    self.state.sts &= !STS_ERR;
                }
            }
            reg::XFRCNT => self.state.count = value & 0x77,
            reg::XTCNTLSS => {
                // The upper bits are status that a one clears; there is no slave to set them.
                *plain = value & 0x0F;
                if value & XTCNTLSS_SRST != 0 {
                    self.soft_reset();
                }
            }
            reg::DIRECTCNTL => {
                *plain = value & (DIRCNTL_SDAC | DIRCNTL_SCC);
                self.drive_wires();
            }
            _ => *plain = value,
        }
    }

    /// The wires follow software only while the controller is held in reset.
    fn drive_wires(&mut self) {
        if self.in_reset() {
            let control = self.plain(reg::DIRECTCNTL);
            let (clock, data) = (control & DIRCNTL_SCC != 0, control & DIRCNTL_SDAC != 0);
            self.state.wires.drive(clock, data, &mut self.bus);
        }
    }

    fn soft_reset(&mut self) {
        self.bus.stop();
        let kept = self.plain(reg::XTCNTLSS);
        self.state = State::default();
        self.state.plain[reg::XTCNTLSS as usize] = kept;
        // Both wires are let go.
        self.state.plain[reg::DIRECTCNTL as usize] = DIRCNTL_SDAC | DIRCNTL_SCC;
    }

    fn update(&self) {
        self.line.set(self.state.sts & STS_IRQA != 0 && self.plain(reg::MDCNTL) & MDCNTL_EINT != 0);
    }
}

impl<L: Line> Mmio for Iic<L> {
    fn read(&mut self, access: Access) -> u64 {
        let value = access.read_bytes(|at| self.read_byte(at));
        self.update();
        value
    }
    fn write(&mut self, access: Access, value: u64) {
        access.write_bytes(value, |at, byte| self.write_byte(at, byte));
        self.update();
    }
}

impl<L: Line> Device for Iic<L> {
    fn name(&self) -> String {
        format!("IIC{}", self.index)
    }
    fn mmio(&mut self) -> Option<&mut dyn Mmio> {
        Some(self)
    }
    fn reset(&mut self, _kind: ResetKind) {
        self.soft_reset();
        self.state.plain[reg::XTCNTLSS as usize] = 0;
        self.update();
    }
    fn save(&self) -> serde_json::Value {
        to_json(&(&self.state, self.bus.save()))
    }
    fn restore(&mut self, state: &serde_json::Value) -> Result<(), StateError> {
        let (mut state, bus): (State, serde_json::Value) = from_json(state)?;
        state.buffer.truncate(BUFFER);
        self.bus.restore(&bus)?;
        self.state = state;
        self.update();
        Ok(())
    }
    fn describe(&self) -> String {
        format!("{} devices; STS {:02x} EXTSTS {:02x}", self.bus.len(), self.state.sts, self.state.extsts)
    }
}

#[cfg(test)]
mod tests;
