//! EMAC: an Ethernet port of the original kind, as on the 440EP (PPC440EP user's manual, "Ethernet Media Access
//! Controller").
//!
//! This model is polite and no more: the soft reset is over at once, the idle bits of MR0 follow the enables, the
//! management interface completes each operation at once and finds no PHY at any address, so that a driver's probe
//! ends with a clear message and without waiting. No frame is ever sent or received.
//!
//! # Threat model
//! Registers without side effects.

use vmm_plugin::api::ResetKind;

use crate::device::{Access, Device, Mmio, StateError};
use crate::registers::{Kind, RegisterFile, Spec, rw, w1c};

const MR0: u32 = 0x00;
const TMR0: u32 = 0x08;
const STACR: u32 = 0x5C;
/// MR0: receiver and transmitter are idle.
const MR0_RXI: u32 = 0x8000_0000;
const MR0_TXI: u32 = 0x4000_0000;
/// MR0: soft reset, clears itself.
const MR0_SRST: u32 = 0x2000_0000;
/// MR0: transmitter and receiver are enabled, wake-up is enabled.
const MR0_TXE: u32 = 0x1000_0000;
const MR0_RXE: u32 = 0x0800_0000;
const MR0_WKE: u32 = 0x0400_0000;
/// STACR: the operation is complete.
const STACR_OC: u32 = 0x0000_8000;
/// STACR: read a PHY register.
const STACR_READ: u32 = 0x0000_1000;
/// STACR: what a read of an absent PHY leaves in the data field, because nobody pulls the line down.
const STACR_ALL_ONES: u32 = 0xFFFF_0000;
/// STACR: the bits that software chooses besides the data.
const STACR_COMMAND: u32 = 0x0000_3FFF;

static REGISTERS: &[Spec] = &[
    Spec { at: MR0, name: "MR0", reset: 0, kind: Kind::ReadWrite(MR0_TXE | MR0_RXE | MR0_WKE) },
    rw(0x04, "MR1"),
    // The start bits clear themselves: there is nothing to send.
    Spec { at: TMR0, name: "TMR0", reset: 0, kind: Kind::ReadWrite(0x0000_0007) },
    rw(0x0C, "TMR1"),
    rw(0x10, "RMR"),
    w1c(0x14, "ISR"),
    rw(0x18, "ISER"),
    rw(0x1C, "IAHR"),
    rw(0x20, "IALR"),
    rw(0x24, "VTPID"),
    rw(0x28, "VTCI"),
    rw(0x2C, "PTR"),
    rw(0x30, "IAHT1"),
    rw(0x34, "IAHT2"),
    rw(0x38, "IAHT3"),
    rw(0x3C, "IAHT4"),
    rw(0x40, "GAHT1"),
    rw(0x44, "GAHT2"),
    rw(0x48, "GAHT3"),
    rw(0x4C, "GAHT4"),
    rw(0x50, "LSAH"),
    rw(0x54, "LSAL"),
    rw(0x58, "IPGVR"),
    Spec { at: STACR, name: "STACR", reset: STACR_OC, kind: Kind::ReadOnly },
    rw(0x60, "TRTR"),
    rw(0x64, "RWMR"),
    Spec { at: 0x68, name: "OCTX", reset: 0, kind: Kind::ReadOnly },
    Spec { at: 0x6C, name: "OCRX", reset: 0, kind: Kind::ReadOnly },
];

/// The port.
#[derive(Debug)]
pub struct Emac {
    index: u32,
    registers: RegisterFile,
}

impl Emac {
    /// A port; `index` is for display.
    #[must_use]
    pub fn new(index: u32) -> Self {
        Self { index, registers: RegisterFile::new(REGISTERS) }
    }

    fn get(&self, at: u32) -> u32 {
        let value = self.registers.get(at);
        if at != MR0 {
            return value;
        }
        // The transmitter never has anything to do; the receiver listens while it is on.
        value | MR0_TXI | if value & MR0_RXE == 0 { MR0_RXI } else { 0 }
    }

    fn put(&mut self, at: u32, value: u32, mask: u32) {
        match at {
            MR0 if value & mask & MR0_SRST != 0 => self.registers.reset(),
            STACR => {
                let command = crate::device::merge(self.registers.get(STACR), value, mask) & STACR_COMMAND;
                let data =
                    if command & STACR_READ != 0 { STACR_ALL_ONES } else { value & mask & STACR_ALL_ONES };
                self.registers.set(STACR, command | data | STACR_OC);
            }
            _ => self.registers.write(at, value, mask),
        }
    }
}

impl Mmio for Emac {
    fn read(&mut self, access: Access) -> u64 {
        access.read_words(|at| self.get(at as u32))
    }
    fn write(&mut self, access: Access, value: u64) {
        access.write_words(value, |at, value, mask| self.put(at as u32, value, mask));
    }
}

impl Device for Emac {
    fn name(&self) -> String {
        format!("EMAC{}", self.index)
    }
    fn mmio(&mut self) -> Option<&mut dyn Mmio> {
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
        format!("no PHY; {}", self.registers.describe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(emac: &mut Emac, at: u64) -> u32 {
        emac.read(Access::at(at, 4)) as u32
    }
    fn put(emac: &mut Emac, at: u64, value: u32) {
        emac.write(Access::at(at, 4), value.into());
    }

    /// Linux's reset waits until the port is idle and the reset bit has gone.
    #[test]
    fn a_soft_reset_is_over_at_once_and_idle_follows_the_enables() {
        let mut emac = Emac::new(0);
        put(&mut emac, 0x04, 0x1234);
        put(&mut emac, 0x00, MR0_SRST);
        assert_eq!((get(&mut emac, 0), get(&mut emac, 4)), (MR0_RXI | MR0_TXI, 0));
        put(&mut emac, 0x00, MR0_TXE | MR0_RXE);
        assert_eq!(get(&mut emac, 0), MR0_TXI | MR0_TXE | MR0_RXE);
        put(&mut emac, 0x00, 0);
        assert_eq!(get(&mut emac, 0), MR0_RXI | MR0_TXI);
        put(&mut emac, 0x08, 0x8000_0000);
        assert_eq!(get(&mut emac, 8), 0, "the start bit clears itself");
    }

    /// Linux's search for a PHY: wait for OC, give the command, wait again, look at the data.
    #[test]
    fn no_address_has_a_phy() {
        let mut emac = Emac::new(0);
        for address in 0..32 {
            assert_ne!(get(&mut emac, 0x5C) & STACR_OC, 0);
            put(&mut emac, 0x5C, STACR_READ | 0x0C00 | address << 5 | 1);
            let stacr = get(&mut emac, 0x5C);
            assert_eq!(stacr & (STACR_OC | STACR_ALL_ONES), STACR_OC | STACR_ALL_ONES);
        }
    }
}
