//! MAL: the memory access layer, the DMA engine between RAM and the Ethernet ports (DCRs 0x180 on).
//!
//! As the PPC440EP user's manual ("Memory Access Layer") names the registers. This model is polite and no more: the
//! soft reset is over at once, registers read back what was written, channels can be switched on and off, and no
//! descriptor is ever touched, because no frame ever comes from an Ethernet port that found no PHY.
//!
//! # Threat model
//! Registers without side effects; channels beyond those that exist cannot be switched on.

use vmm_plugin::api::ResetKind;

use crate::device::{Dcr, Device, StateError};
use crate::registers::{Kind, RegisterFile, Spec, rw, w1c};

const CFG: u32 = 0x00;
const TXCASR: u32 = 0x04;
const TXCARR: u32 = 0x05;
const RXCASR: u32 = 0x10;
const RXCARR: u32 = 0x11;
/// CFG: soft reset, clears itself.
const CFG_SR: u32 = 0x8000_0000;

static REGISTERS: &[Spec] = &[
    rw(CFG, "CFG"),
    w1c(0x01, "ESR"),
    rw(0x02, "IER"),
    Spec { at: TXCASR, name: "TXCASR", reset: 0, kind: Kind::ReadOnly },
    w1c(0x06, "TXEOBISR"),
    w1c(0x07, "TXDEIR"),
    rw(0x08, "TXBADDR"),
    rw(0x09, "RXBADDR"),
    Spec { at: RXCASR, name: "RXCASR", reset: 0, kind: Kind::ReadOnly },
    w1c(0x12, "RXEOBISR"),
    w1c(0x13, "RXDEIR"),
    rw(0x20, "TXCTP0R"),
    rw(0x21, "TXCTP1R"),
    rw(0x22, "TXCTP2R"),
    rw(0x23, "TXCTP3R"),
    rw(0x40, "RXCTP0R"),
    rw(0x41, "RXCTP1R"),
    rw(0x60, "RCBS0"),
    rw(0x61, "RCBS1"),
];

/// The engine.
#[derive(Debug)]
pub struct Mal {
    registers: RegisterFile,
    /// Masks of the channels that exist.
    tx: u32,
    rx: u32,
}

/// Masks of the first `count` channels: channel 0 is the most significant bit.
const fn channels(count: u32) -> u32 {
    if count == 0 { 0 } else { !0 << (32 - if count > 32 { 32 } else { count }) }
}

impl Mal {
    /// An engine with so many transmit and receive channels.
    #[must_use]
    pub fn new(tx_channels: u32, rx_channels: u32) -> Self {
        Self { registers: RegisterFile::new(REGISTERS), tx: channels(tx_channels), rx: channels(rx_channels) }
    }

    /// Writes to CASR switch channels on, writes to CARR off; both read what is on.
    fn switch(&mut self, active: u32, on: u32, off: u32) {
        let value = self.registers.get(active);
        self.registers.set(active, (value | on) & !off);
    }
}

impl Dcr for Mal {
    fn dcr_read(&mut self, offset: u16) -> u32 {
        match u32::from(offset) {
            TXCARR => self.registers.get(TXCASR),
            RXCARR => self.registers.get(RXCASR),
            at => self.registers.get(at),
        }
    }
    fn dcr_write(&mut self, offset: u16, value: u32) {
        match u32::from(offset) {
            CFG if value & CFG_SR != 0 => self.registers.reset(),
            TXCASR => self.switch(TXCASR, value & self.tx, 0),
            TXCARR => self.switch(TXCASR, 0, value),
            RXCASR => self.switch(RXCASR, value & self.rx, 0),
            RXCARR => self.switch(RXCASR, 0, value),
            at => self.registers.write(at, value, !0),
        }
    }
}

impl Device for Mal {
    fn name(&self) -> String {
        "MAL0".into()
    }
    fn dcr(&mut self) -> Option<&mut dyn Dcr> {
        Some(self)
    }
    fn reset(&mut self, _kind: ResetKind) {
        self.registers.reset();
    }
    fn save(&self) -> serde_json::Value {
        self.registers.save()
    }
    fn restore(&mut self, state: &serde_json::Value) -> Result<(), StateError> {
        self.registers.restore(state)
    }
    fn describe(&self) -> String {
        self.registers.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linux's probe: a soft reset that must be seen to end, the configuration, rings, interrupts.
    #[test]
    fn linux_resets_and_configures_the_engine() {
        let mut mal = Mal::new(4, 2);
        mal.dcr_write(0x20, 0x1234);
        mal.dcr_write(0, CFG_SR);
        assert_eq!((mal.dcr_read(0) & CFG_SR, mal.dcr_read(0x20)), (0, 0));
        mal.dcr_write(0, 0x0087_C0C2);
        mal.dcr_write(0, mal.registers.get(0) | 4);
        assert_eq!(mal.dcr_read(0), 0x0087_C0C6);
        for at in [0x01, 0x06, 0x07, 0x12, 0x13] {
            mal.dcr_write(at, 0xFFFF_FFFF);
            assert_eq!(mal.dcr_read(at), 0);
        }
    }

    #[test]
    fn channels_are_switched_one_by_one_and_only_those_that_exist() {
        let mut mal = Mal::new(4, 2);
        mal.dcr_write(0x04, 0xFFFF_FFFF);
        mal.dcr_write(0x10, 0xFFFF_FFFF);
        assert_eq!((mal.dcr_read(0x05), mal.dcr_read(0x11)), (0xF000_0000, 0xC000_0000));
        mal.dcr_write(0x05, 0x8000_0000);
        assert_eq!(mal.dcr_read(0x04), 0x7000_0000);
    }
}
