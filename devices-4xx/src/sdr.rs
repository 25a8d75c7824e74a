//! SDR0: system device control of the 440EP, behind DCRs 0x00E and 0x00F.
//!
//! Copies of the boot straps, pin functions, serial clock selection and the modes of the Ethernet blocks, as the
//! PPC440EP user's manual ("Chip Control") names them. Linux toggles only MFR; boot wrappers read UART0-3. Left out:
//! soft resets (SRST0/1) reset nothing, pin functions connect nothing.
//!
//! # Threat model
//! Registers without side effects.

use vmm_plugin::api::ResetKind;

use crate::device::{Dcr, Device, StateError};
use crate::registers::{Indirect, RegisterFile, Spec, ro, rw};

static REGISTERS: &[Spec] = &[
    ro(0x020, "SDSTP0", 0),
    ro(0x021, "SDSTP1", 0),
    ro(0x040, "PINSTP", 0),
    rw(0x060, "SDCS0"),
    ro(0x080, "ECID0", 0),
    ro(0x081, "ECID1", 0),
    ro(0x082, "ECID2", 0),
    ro(0x083, "ECID3", 0),
    rw(0x0E1, "DDR0"),
    rw(0x100, "EBC"),
    rw(0x120, "UART0"),
    rw(0x121, "UART1"),
    rw(0x122, "UART2"),
    rw(0x123, "UART3"),
    rw(0x180, "CP440"),
    rw(0x1C0, "XCR"),
    rw(0x1C1, "XPLLC"),
    rw(0x1C2, "XPLLD"),
    rw(0x200, "SRST0"),
    rw(0x201, "SRST1"),
    rw(0x240, "AMP0"),
    rw(0x241, "AMP1"),
    rw(0x300, "PCI0"),
    rw(0x320, "USB0"),
    rw(0x4000, "CUST0"),
    ro(0x4001, "SDSTP2", 0),
    rw(0x4002, "CUST1"),
    ro(0x4003, "SDSTP3", 0),
    rw(0x4004, "CUST2"),
    rw(0x4006, "CUST3"),
    rw(0x4100, "PFC0"),
    rw(0x4101, "PFC1"),
    rw(0x4102, "PFC2"),
    rw(0x4103, "PFC3"),
    rw(0x4104, "PFC4"),
    rw(0x4300, "MFR"),
];

/// The block.
#[derive(Debug)]
pub struct Sdr {
    registers: Indirect,
}

impl Sdr {
    /// The block with what straps and pins chose, as (index, value) pairs.
    #[must_use]
    pub fn new(resets: &[u32]) -> Self {
        Self { registers: Indirect::new(RegisterFile::with_resets(REGISTERS, resets)) }
    }
}

impl Dcr for Sdr {
    fn dcr_read(&mut self, offset: u16) -> u32 {
        self.registers.dcr_read(offset)
    }
    fn dcr_write(&mut self, offset: u16, value: u32) {
        self.registers.dcr_write(offset, value);
    }
}

impl Device for Sdr {
    fn name(&self) -> String {
        "SDR0".into()
    }
    fn dcr(&mut self) -> Option<&mut dyn Dcr> {
        Some(self)
    }
    fn reset(&mut self, kind: ResetKind) {
        if kind != ResetKind::Core {
            self.registers.reset();
        }
    }
    fn save(&self) -> serde_json::Value {
        self.registers.save()
    }
    fn restore(&mut self, state: &serde_json::Value) -> Result<(), StateError> {
        self.registers.restore(state)
    }
    fn describe(&self) -> String {
        self.registers.file.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How the EMAC driver switches the clock source of a port for its reset and back.
    #[test]
    fn linux_toggles_the_ethernet_clock_and_finds_the_rest_unchanged() {
        let mut sdr = Sdr::new(&[0x120, 0x0080_0000, 0x4300, 0x0300_0000]);
        sdr.dcr_write(0, 0x4300);
        let mfr = sdr.dcr_read(1);
        sdr.dcr_write(1, mfr | 0x0800_0000);
        assert_eq!(sdr.dcr_read(1), 0x0B00_0000);
        sdr.dcr_write(1, mfr);
        assert_eq!(sdr.dcr_read(1), 0x0300_0000);
        sdr.dcr_write(0, 0x120);
        assert_eq!(sdr.dcr_read(1), 0x0080_0000);
        sdr.dcr_write(0, 0x7777);
        assert_eq!(sdr.dcr_read(1), 0, "a register that does not exist");
    }
}
