//! What firmware fills into a device tree before a kernel sees it: memory, clocks, MAC addresses, and the chosen node.

use devices_4xx::tree::{Node, Tree};

use crate::clocks::{Clocks, SERIAL_CLOCK};

/// What a machine's tree gets before anything is booted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// RAM in bytes, from physical address 0.
    pub(crate) memory: u64,
    pub(crate) clocks: &'a Clocks,
    pub(crate) macs: [[u8; 6]; 2],
}

/// RAM in bytes that the tree's memory node states; `None` where it is missing or zero.
pub(crate) fn stated_memory(tree: &Tree) -> Option<u64> {
    let (address_cells, size_cells) = tree.root.child_cells();
    if size_cells == 0 {
        return None;
    }
    let cells = tree.memory()?.cells("reg");
    let entries = cells.chunks_exact(address_cells + size_cells);
    let sizes =
        entries.map(|entry| entry[address_cells..].iter().fold(0_u64, |n, &cell| n << 32 | u64::from(cell)));
    let total = sizes.fold(0, u64::saturating_add);
    (total != 0).then_some(total)
}

/// A clock of the boot CPU that the tree states; `None` where it is missing or zero.
pub(crate) fn stated_clock(tree: &Tree, property: &str) -> Option<u32> {
    let cpu = tree.node("/cpus")?.children.first()?;
    cpu.cell(property).filter(|&hz| hz != 0)
}

/// Fills `facts` in. Clocks of UARTs and MAC addresses that the tree states already are kept.
pub(crate) fn machine(tree: &mut Tree, facts: &Facts<'_>) {
    memory(tree, facts.memory);
    let clocks = facts.clocks;
    tree.root.walk_mut(&mut |node| {
        let kind = |model: &str| node.is_compatible(model);
        let clock = if node.string("device_type") == Some("cpu") {
            node.set("timebase-frequency", clocks.timebase);
            Some(clocks.cpu)
        } else if kind("ibm,plb4") {
            Some(clocks.plb)
        } else if kind("ibm,opb") {
            Some(clocks.opb)
        } else if kind("ibm,ebc") {
            Some(clocks.ebc)
        } else if kind("ns16550") && node.cell("clock-frequency").unwrap_or(0) == 0 {
            Some(SERIAL_CLOCK)
        } else {
            None
        };
        if let Some(hz) = clock {
            node.set("clock-frequency", hz);
        }
    });
    for (index, mac) in facts.macs.iter().enumerate() {
        mac_address(tree, index, mac);
    }
}

fn memory(tree: &mut Tree, size: u64) {
    let (address_cells, size_cells) = tree.root.child_cells();
    let wide = |value: u64, cells: usize| -> Vec<u32> {
        (0..cells).rev().map(|i| if i < 2 { (value >> (32 * i)) as u32 } else { 0 }).collect()
    };
    let reg = [wide(0, address_cells), wide(size, size_cells)].concat();
    let is_memory = |node: &Node| node.string("device_type") == Some("memory");
    let at = tree.root.children.iter().position(is_memory);
    let node = match at {
        Some(at) => &mut tree.root.children[at],
        None => tree.top_level("memory"),
    };
    node.set("device_type", "memory");
    node.set("reg", reg);
}

/// The EMAC with that index gets an address unless it has one.
fn mac_address(tree: &mut Tree, index: usize, mac: &[u8; 6]) {
    let mut seen = 0;
    tree.root.walk_mut(&mut |node| {
        if node.string("device_type") != Some("network") {
            return;
        }
        let own = node.get("local-mac-address").unwrap_or_default();
        let number = node.cell("cell-index").map_or(seen, |index| index as usize);
        if number == index && own.iter().all(|&byte| byte == 0) {
            node.set("local-mac-address", mac.as_slice());
        }
        seen += 1;
    });
}

/// Fills in what a boot adds. An absent command line leaves the tree's own.
pub(crate) fn chosen(tree: &mut Tree, append: Option<&str>, initrd: Option<(u64, u64)>) {
    let node = tree.top_level("chosen");
    if let Some(append) = append {
        node.set("bootargs", append);
    }
    if let Some((start, end)) = initrd {
        node.set("linux,initrd-start", start as u32);
        node.set("linux,initrd-end", end as u32);
    }
}
