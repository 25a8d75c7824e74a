//! Which model serves which `compatible` string.

use crate::builder::{Plug, Site};
use crate::pci::{PciBridge, Window};
use crate::uart::{Config, Uart};

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
    Model { compatible: &["ns16550", "ns16550a"], make: uart },
    Model { compatible: &["ibm,plb-pci"], make: pci },
];

fn uart(site: &Site<'_>) -> Result<Plug, String> {
    let config = Config {
        port: site.index,
        clock_hz: site.node.cell("clock-frequency").unwrap_or(0),
        pace: site.options.pace,
        flow_control: site.options.flow_control,
    };
    Ok(Uart::new(config, site.line(0), site.pins.serial(site.index), site.time.clone()).into())
}

/// The node's `reg` lists the configuration registers, interrupt acknowledge, special cycle and the local registers.
fn pci(site: &Site<'_>) -> Result<Plug, String> {
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
    Ok(Plug { device: Box::new(PciBridge::new(windows)), extra: site.outbound.clone() })
}
