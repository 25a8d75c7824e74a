//! DMA: the four-channel DMA-to-PLB3 controller, DCRs 0x100 to 0x126 (PPC440EP user's manual, "DMA-to-PLB3
//! Controller").
//!
//! Polite: a channel that is switched on stops at once with an error status, as one does whose addresses do not
//! exist, so that software which waits for an end sees one. Left out: moving data, scatter/gather, interrupts.
//!
//! # Threat model
//! Registers without side effects.

use vmm_plugin::api::ResetKind;

use crate::device::{Dcr, Device, StateError};
use crate::registers::{RegisterFile, Spec, rw, w1c};

const SR: u32 = 0x20;
/// DMA_CRn: channel enable.
const CR_CE: u32 = 0x8000_0000;
/// DMA_SR: error in channel 0; the other channels follow to the right.
const SR_RI0: u32 = 0x0080_0000;
/// DCRs of one channel: CR, CTC, SAH, SAL, DAH, DAL, SGH, SGL.
const CHANNEL: u32 = 8;
const CHANNELS: u32 = 4;

static REGISTERS: &[Spec] = &[
    rw(0x00, "CR0"),
    rw(0x01, "CTC0"),
    rw(0x02, "SAH0"),
    rw(0x03, "SAL0"),
    rw(0x04, "DAH0"),
    rw(0x05, "DAL0"),
    rw(0x06, "SGH0"),
    rw(0x07, "SGL0"),
    rw(0x08, "CR1"),
    rw(0x09, "CTC1"),
    rw(0x0A, "SAH1"),
    rw(0x0B, "SAL1"),
    rw(0x0C, "DAH1"),
    rw(0x0D, "DAL1"),
    rw(0x0E, "SGH1"),
    rw(0x0F, "SGL1"),
    rw(0x10, "CR2"),
    rw(0x11, "CTC2"),
    rw(0x12, "SAH2"),
    rw(0x13, "SAL2"),
    rw(0x14, "DAH2"),
    rw(0x15, "DAL2"),
    rw(0x16, "SGH2"),
    rw(0x17, "SGL2"),
    rw(0x18, "CR3"),
    rw(0x19, "CTC3"),
    rw(0x1A, "SAH3"),
    rw(0x1B, "SAL3"),
    rw(0x1C, "DAH3"),
    rw(0x1D, "DAL3"),
    rw(0x1E, "SGH3"),
    rw(0x1F, "SGL3"),
    w1c(SR, "SR"),
    rw(0x23, "SGC"),
    rw(0x25, "SLP"),
    rw(0x26, "POL"),
];

/// The controller.
#[derive(Debug)]
pub struct Dma {
    registers: RegisterFile,
}

impl Dma {
    /// A controller after reset.
    #[must_use]
    pub fn new() -> Self {
        Self { registers: RegisterFile::new(REGISTERS) }
    }
}

impl Default for Dma {
    fn default() -> Self {
        Self::new()
    }
}

impl Dcr for Dma {
    fn dcr_read(&mut self, offset: u16) -> u32 {
        self.registers.get(offset.into())
    }
    fn dcr_write(&mut self, offset: u16, value: u32) {
        let at = u32::from(offset);
        self.registers.write(at, value, !0);
        let channel = at / CHANNEL;
        if at % CHANNEL == 0 && channel < CHANNELS && value & CR_CE != 0 {
            self.registers.set(at, value & !CR_CE);
            self.registers.set(SR, self.registers.get(SR) | SR_RI0 >> channel);
        }
    }
}

impl Device for Dma {
    fn name(&self) -> String {
        "DMA0".into()
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

    #[test]
    fn a_channel_that_is_switched_on_ends_with_an_error() {
        let mut dma = Dma::new();
        dma.dcr_write(0x08, CR_CE | 1);
        assert_eq!((dma.dcr_read(0x08), dma.dcr_read(0x20)), (1, SR_RI0 >> 1));
        dma.dcr_write(0x20, SR_RI0 >> 1);
        assert_eq!(dma.dcr_read(0x20), 0);
        dma.dcr_write(0x09, CR_CE);
        assert_eq!((dma.dcr_read(0x09), dma.dcr_read(0x20)), (CR_CE, 0), "only CR starts a channel");
    }
}
