//! Which model serves which `compatible` string.
//!
//! Hardware with a binding is found by the binding's string; what no binding describes has a string of our own that
//! begins with `ppc440-vmm,` and comes from a board's private fragment. Properties of our own: `ppc440-vmm,reset-values`
//! ((index, value) cells that straps or firmware leave in an indirect block) and `ppc440-vmm,contents` (bytes of a
//! memory).

use crate::builder::{Plug, Site};
use crate::registers::RESET_VALUES;
use crate::{
    cpm, cpr, dma, ebc, emac, flash, fpga, gpio, gpt, i2c, iic, mal, ndfc, nvram, ohci, opb_arbiter,
};
use crate::{pci, plb, sdr, sdram, spi, uart, usb_device, zmii};

/// Bytes that a memory holds.
const CONTENTS: &str = "ppc440-vmm,contents";
/// Rate of the GPT's counter where the node states none, in Hz.
const GPT_RATE: u32 = 66_666_666;

/// A model and the strings that it serves.
#[derive(Debug)]
pub struct Model {
    /// `compatible` strings.
    pub compatible: &'static [&'static str],
    /// Makes a device at a site.
    pub make: fn(&Site<'_>) -> Result<Plug, String>,
}

impl Model {
    /// The model that serves a `compatible` string.
    #[must_use]
    pub fn find(compatible: &str) -> Option<&'static Self> {
        STANDARD.iter().find(|model| model.compatible.contains(&compatible))
    }
}

/// All models but the interrupt controllers, which the builder makes itself.
pub static STANDARD: &[Model] = &[
    Model { compatible: &["ns16550", "ns16550a"], make: make_uart },
    Model { compatible: &["ibm,plb-pci"], make: make_pci },
    Model {
        compatible: &["ibm,cpr-440ep"],
        make: |site| Ok(cpr::Cpr::new(&site.node.cells(RESET_VALUES)).into()),
    },
    Model {
        compatible: &["ibm,sdr-440ep"],
        make: |site| Ok(sdr::Sdr::new(&site.node.cells(RESET_VALUES)).into()),
    },
    Model {
        compatible: &["ibm,sdram-440ep", "ibm,sdram-405gp"],
        make: |site| Ok(sdram::Sdram::new(&site.node.cells(RESET_VALUES)).into()),
    },
    Model { compatible: &["ibm,ebc"], make: |site| Ok(ebc::Ebc::new(&site.node.cells(RESET_VALUES)).into()) },
    Model { compatible: &["ibm,mcmal"], make: make_mal },
    Model { compatible: &["ibm,emac"], make: |site| Ok(emac::Emac::new(site.index).into()) },
    Model { compatible: &["ibm,zmii"], make: |_| Ok(zmii::Zmii::new().into()) },
    Model { compatible: &["ibm,dma-440ep", "ibm,dma-440gp"], make: |_| Ok(dma::Dma::new().into()) },
    Model { compatible: &["ohci-be"], make: |site| Ok(ohci::Ohci::new(site.time.clone()).into()) },
    Model { compatible: &["ibm,iic"], make: make_iic },
    Model { compatible: &["ibm,gpio-440ep", "ibm,ppc4xx-gpio"], make: make_gpio },
    Model { compatible: &["ibm,ndfc", "ppc440-vmm,ndfc"], make: |_| Ok(ndfc::Ndfc::new().into()) },
    Model { compatible: &["ppc440-vmm,cpm", "ibm,cpm"], make: |_| Ok(cpm::Cpm::default().into()) },
    Model {
        compatible: &["ppc440-vmm,plb-arbiter"],
        make: |site| Ok(plb::PlbArbiter::new(site.index).into()),
    },
    Model {
        compatible: &["ppc440-vmm,opb-arbiter"],
        make: |_| Ok(opb_arbiter::OpbArbiter::default().into()),
    },
    Model { compatible: &["ppc440-vmm,gpt"], make: make_gpt },
    Model { compatible: &["ppc440-vmm,spi"], make: |site| Ok(spi::Spi::new(site.line(0)).into()) },
    Model { compatible: &["ppc440-vmm,usb-device"], make: |_| Ok(usb_device::UsbDevice.into()) },
    Model { compatible: &["dallas,ds1556"], make: make_nvram },
    Model { compatible: &["amcc,bamboo-fpga"], make: |_| Ok(fpga::Fpga::new().into()) },
    Model { compatible: &["ppc440-vmm,flash"], make: make_flash },
];

fn make_uart(site: &Site<'_>) -> Result<Plug, String> {
    let config = uart::Config {
        port: site.index,
        clock_hz: site.node.cell("clock-frequency").unwrap_or(0),
        pace: site.options.pace,
        input: site.options.input,
    };
    Ok(uart::Uart::new(config, site.line(0), site.pins.serial(site.index), site.time.clone()).into())
}

/// The node's `reg` lists the configuration registers, interrupt acknowledge, special cycle and the local registers.
fn make_pci(site: &Site<'_>) -> Result<Plug, String> {
    use pci::Window;
    let mut windows = vec![Window::Config, Window::Acknowledge, Window::Acknowledge, Window::Registers];
    if site.windows.len() < windows.len() {
        return Err(format!(
            "Its reg has {} entries; a PCI bridge needs {}",
            site.windows.len(),
            windows.len()
        ));
    }
    windows.resize(site.windows.len(), Window::Outbound);
    windows.extend(site.outbound.iter().map(|_| Window::Outbound));
    Ok(Plug { device: Box::new(pci::PciBridge::new(windows)), extra: site.outbound.clone() })
}

fn make_mal(site: &Site<'_>) -> Result<Plug, String> {
    let channels = |name| site.node.cell(name).unwrap_or(32);
    Ok(mal::Mal::new(channels("num-tx-chans"), channels("num-rx-chans")).into())
}

fn make_iic(site: &Site<'_>) -> Result<Plug, String> {
    let eeproms = site.node.children.iter().filter(|node| node.is_compatible("ppc440-vmm,eeprom"));
    let devices = eeproms.map(|node| i2c::Eeprom {
        address: (node.cell("reg").unwrap_or(0) & 0x7F) as u8,
        contents: node.get(CONTENTS).unwrap_or_default().to_vec(),
    });
    Ok(iic::Iic::new(site.index, i2c::I2cBus::new(devices.take(128).collect()), site.line(0)).into())
}

fn make_gpio(site: &Site<'_>) -> Result<Plug, String> {
    // Nothing on the boards pulls a pin low.
    Ok(gpio::Gpio::new(site.index, !0).into())
}

fn make_gpt(site: &Site<'_>) -> Result<Plug, String> {
    let rate = site.node.cell("clock-frequency").filter(|&hz| hz != 0).unwrap_or(GPT_RATE);
    Ok(gpt::Gpt::new(rate, site.lines.clone(), site.time.clone()).into())
}

fn make_nvram(site: &Site<'_>) -> Result<Plug, String> {
    const LARGEST: u64 = 128 << 10;
    match site.windows.first().copied().flatten() {
        Some(window) if (16..=LARGEST).contains(&window.len) => {
            Ok(nvram::Nvram::new(window.len as usize, site.time.clone()).into())
        }
        _ => Err(format!("An NVRAM has 16 to {LARGEST} bytes")),
    }
}

fn make_flash(site: &Site<'_>) -> Result<Plug, String> {
    Ok(flash::Flash::new(site.node.get(CONTENTS).unwrap_or_default().to_vec()).into())
}
