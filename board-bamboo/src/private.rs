//! The hardware of the board that no guest's tree mentions: merged into the machine's tree before it is built, never
//! shown to a guest.
//!
//! Reset values that firmware would have left in CPR0, SDR0 and SDRAM0, on-chip blocks without a Linux binding, and
//! what sits around the chip: NVRAM with clock, FPGA, boot flash, EEPROMs. Nodes say where things are in the same
//! terms as any other tree; `compatible` strings of devices that have no binding begin with `ppc440-vmm,`.

use devices_4xx::tree::{Node, Tree};

use crate::clocks::Clocks;
use crate::memory;

/// Where the USB 2.0 device controller answers; RAM of more than this hides it.
const USB_DEVICE: u32 = 0x5000_0000;
/// The boot flash: the top megabyte.
const FLASH_BASE: u32 = 0xFFF0_0000;
const FLASH_SIZE: u32 = 1 << 20;
/// Where the board's first firmware (PIBS) keeps the MAC addresses as text.
const FLASH_MAC: [usize; 2] = [0xC_0400, 0xC_0500];
/// SDR0 register numbers.
const SDR0_UART: u32 = 0x120;
const SDR0_SDSTP: u32 = 0x20;
const SDR0_PINSTP: u32 = 0x40;
const SDR0_MFR: u32 = 0x4300;
/// SDR0_UARTn: the external serial clock.
const UART_EXTERNAL_CLOCK: u32 = 0x0080_0000;
/// SDRAM0 register numbers of the bank registers and the controller's switch.
const SDRAM0_B0CR: u32 = 0x40;
const SDRAM0_CFG0: u32 = 0x20;
const SDRAM0_RTR: u32 = 0x30;
/// What the strap EEPROM of the shipped board holds.
const STRAPS: [u32; 4] = [0xC470_42A6, 0x05D7_A190, 0x4008_2350, 0x0D05_0000];

/// Adds the private hardware to a machine's tree.
pub(crate) fn merge(tree: &mut Tree, clocks: &Clocks, banks: &[u64], macs: &[[u8; 6]; 2]) {
    let memory_size: u64 = banks.iter().sum();
    tree.root.walk_mut(&mut |node| {
        let kind = |model: &str| node.is_compatible(model);
        if kind("ibm,cpr-440ep") {
            node.set("ppc440-vmm,reset-values", clocks.cpr0());
        } else if kind("ibm,sdr-440ep") {
            node.set("ppc440-vmm,reset-values", sdr0());
        } else if kind("ibm,sdram-440ep") {
            node.set("ppc440-vmm,reset-values", sdram0(banks));
        } else if kind("ibm,iic-440ep") && node.name.ends_with("@ef600700") {
            // Linux counts these as devices on the bus only if a binding says so; they are ours alone.
            node.set("#address-cells", 1);
            node.set("#size-cells", 0);
            node.children.push(eeprom(0x50, spd(banks.first().copied().unwrap_or(0))));
            node.children.push(eeprom(0x52, STRAPS.iter().flat_map(|word| word.to_be_bytes()).collect()));
        } else if kind("ibm,opb") {
            node.children.extend(on_chip(clocks));
        }
    });
    let (address_cells, size_cells) = tree.root.child_cells();
    // The fragment below is written for the usual cells; a tree with others has its own idea of the board.
    if (address_cells, size_cells) != (2, 1) {
        return;
    }
    tree.root
        .children
        .push(Node::new("cpm").with("compatible", "ppc440-vmm,cpm").with("dcr-reg", [0x0B0, 3]));
    for dcr in [0x077, 0x081] {
        let name = format!("plb-arbiter-{dcr:x}");
        tree.root
            .children
            .push(Node::new(&name).with("compatible", "ppc440-vmm,plb-arbiter").with("dcr-reg", [dcr, 1]));
    }
    tree.root.children.extend(around_the_chip(macs));
    if memory_size <= u64::from(USB_DEVICE) {
        let usb = Node::new("usb-device@50000000")
            .with("compatible", "ppc440-vmm,usb-device")
            .with("reg", [0, USB_DEVICE, 0x400]);
        tree.root.children.push(usb);
    }
}

/// Blocks on the chip's peripheral bus.
fn on_chip(clocks: &Clocks) -> Vec<Node> {
    let node = |name: &str, compatible: &str, address: u32, size: u32| {
        Node::new(&format!("{name}@{address:x}")).with("compatible", compatible).with("reg", [address, size])
    };
    vec![
        node("timer", "ppc440-vmm,gpt", 0xEF60_0000, 0x200).with("clock-frequency", clocks.opb),
        node("spi", "ppc440-vmm,spi", 0xEF60_0900, 6),
        node("arbiter", "ppc440-vmm,opb-arbiter", 0xEF60_0A00, 0x40),
        node("gpio", "ibm,gpio-440ep", 0xEF60_0B00, 0x48),
        node("gpio", "ibm,gpio-440ep", 0xEF60_0C00, 0x48),
    ]
}

/// What hangs on the external bus.
fn around_the_chip(macs: &[[u8; 6]; 2]) -> Vec<Node> {
    let node = |name: &str, compatible: &str, address: u32, size: u32| {
        Node::new(&format!("{name}@{address:x}"))
            .with("compatible", compatible)
            .with("reg", [0, address, size])
    };
    vec![
        node("nvram", "dallas,ds1556", 0x8000_0000, 0x2000),
        node("fpga", "amcc,bamboo-fpga", 0x8000_2000, 8),
        node("nand", "ppc440-vmm,ndfc", 0x9000_0000, 0x2000),
        node("flash", "ppc440-vmm,flash", FLASH_BASE, FLASH_SIZE)
            .with("ppc440-vmm,contents", flash(macs).as_slice()),
    ]
}

/// The boot flash: blank but for the MAC addresses.
fn flash(macs: &[[u8; 6]; 2]) -> Vec<u8> {
    let mut contents = vec![0xFF; FLASH_MAC[1] + 16];
    for (at, mac) in FLASH_MAC.iter().zip(macs) {
        let text = mac.iter().map(|byte| format!("{byte:02X}")).collect::<String>() + "\0";
        contents[*at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    contents
}

fn eeprom(address: u32, contents: Vec<u8>) -> Node {
    Node::new(&format!("eeprom@{address:x}"))
        .with("compatible", "ppc440-vmm,eeprom")
        .with("reg", address)
        .with("ppc440-vmm,contents", contents.as_slice())
}

fn sdr0() -> Vec<u32> {
    let uarts = (0..4).map(|n| (SDR0_UART + n, UART_EXTERNAL_CLOCK));
    let straps = [(SDR0_SDSTP, STRAPS[0]), (SDR0_SDSTP + 1, STRAPS[1]), (SDR0_PINSTP, 0), (SDR0_MFR, 0)];
    uarts.chain(straps).flat_map(|(index, value)| [index, value]).collect()
}

fn sdram0(banks: &[u64]) -> Vec<u32> {
    let registers = memory::bank_registers(banks).into_iter();
    let registers = (0..).map(|n| SDRAM0_B0CR + 4 * n).zip(registers);
    let on = [(SDRAM0_CFG0, 0x8000_0000), (SDRAM0_RTR, 0x0410_0000)];
    registers.chain(on).flat_map(|(index, value)| [index, value]).collect()
}

/// Serial presence detect of a DDR module of one bank, 128 bytes after JEDEC's layout for DDR SDRAM; a bank of more
/// than 512 MB or less than 16 MB has no such module and is described by its nearest.
fn spd(bank: u64) -> Vec<u8> {
    let mut spd = vec![0; 128];
    // Bytes used, bytes in all (as a power of two), memory type DDR, row and column address bits, banks, data width.
    let megabytes = (bank / memory::MB).clamp(16, 512);
    let columns = if megabytes >= 128 { 10 } else { 9 };
    let rows = if megabytes >= 256 { 13 } else { 12 };
    spd[..7].copy_from_slice(&[128, 8, 7, rows, columns, 1, 32]);
    // 2.5 V interface, 7.5 ns cycle, 0.75 ns access, no ECC, refresh 7.8 us, 16-bit chips.
    spd[8..14].copy_from_slice(&[4, 0x75, 0x75, 0, 0x82, 16]);
    // Burst lengths 2, 4 and 8; four internal banks; CAS latencies 2 and 2.5.
    spd[16..19].copy_from_slice(&[0x0E, 4, 0x0C]);
    // Cycle and access at CAS 2; tRP, tRRD, tRCD (quarter ns), tRAS (ns); module density in units of 4 MB.
    spd[23..25].copy_from_slice(&[0xA0, 0x75]);
    spd[27..32].copy_from_slice(&[80, 60, 80, 45, density(megabytes)]);
    spd[62] = 0;
    spd[63] = spd[..63].iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
    spd
}

/// SPD byte 31 for DDR: bit 0 is 1 GB, bit 2 16 MB, then each bit doubles up to bit 7 with 512 MB.
fn density(megabytes: u64) -> u8 {
    4 << (megabytes / 16).max(1).ilog2().min(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flash_holds_mac_addresses_as_the_wrapper_reads_them() {
        let macs = [[2, 4, 0x40, 0x45, 0x50, 0], [2, 4, 0x40, 0x45, 0x50, 1]];
        let flash = flash(&macs);
        for (at, mac) in FLASH_MAC.iter().zip(macs) {
            let text = std::str::from_utf8(&flash[*at..at + 12]).unwrap();
            assert_eq!(u64::from_str_radix(text, 16).unwrap().to_be_bytes()[2..], mac);
            assert_eq!(flash[at + 12], 0);
        }
    }

    #[test]
    fn the_spd_checksum_covers_its_first_63_bytes() {
        let spd = spd(128 << 20);
        assert_eq!(spd[..63].iter().map(|&b| u32::from(b)).sum::<u32>() & 0xFF, u32::from(spd[63]));
        assert_eq!(spd[31], 0x20, "128 MB");
    }
}
