//! The Bamboo's device tree, as its hardware says it and Linux's bindings spell it.
//!
//! Written from facts about the board and the 440EP; a test compares it, node by node, with the tree that the
//! kernel's own build makes for this board when `VMM_TEST_DTB` points to that. Fields that firmware fills in (memory,
//! clocks, MAC addresses) are zero here; [`crate::fixup`] fills them. Hardware that no tree mentions is in
//! [`crate::private`].

use devices_4xx::tree::{Node, Tree};

/// phandle of the CPU, which is the parent of all DCRs.
const CPU: u32 = 1;
const UIC0: u32 = 2;
const MAL: u32 = 3;
const UIC1: u32 = 4;
const ZMII: u32 = 5;

/// Interrupt senses as cells.
const RISING: u32 = 1;
const LEVEL_HIGH: u32 = 4;
const LEVEL_LOW: u32 = 8;

/// The tree with every field that firmware fills in left zero.
pub(crate) fn bamboo() -> Tree {
    let root = Node::new("")
        .with("#address-cells", 2)
        .with("#size-cells", 1)
        .with("model", "amcc,bamboo")
        .with("compatible", "amcc,bamboo")
        .with("dcr-parent", CPU)
        .child(aliases())
        .child(cpus())
        .child(Node::new("memory").with("device_type", "memory").with("reg", [0, 0, 0]))
        .child(uic(0, UIC0))
        .child(
            uic(1, UIC1).with("interrupts", [30, LEVEL_HIGH, 31, LEVEL_HIGH]).with("interrupt-parent", UIC0),
        )
        .child(Node::new("sdr").with("compatible", "ibm,sdr-440ep").with("dcr-reg", [0x00E, 2]))
        .child(Node::new("cpr").with("compatible", "ibm,cpr-440ep").with("dcr-reg", [0x00C, 2]))
        .child(plb())
        .child(Node::new("chosen").with("stdout-path", "/plb/opb/serial@ef600300"));
    Tree { root, ..Tree::default() }
}

fn aliases() -> Node {
    let mut node = Node::new("aliases");
    for (n, address) in ["ef600e00", "ef600f00"].iter().enumerate() {
        node.set(&format!("ethernet{n}"), format!("/plb/opb/ethernet@{address}").as_str());
    }
    for (n, address) in ["ef600300", "ef600400", "ef600500", "ef600600"].iter().enumerate() {
        node.set(&format!("serial{n}"), format!("/plb/opb/serial@{address}").as_str());
    }
    node
}

fn cpus() -> Node {
    let cpu = Node::new("cpu@0")
        .with("device_type", "cpu")
        // "440EP" in the model is what makes Linux use the FPU: the 440GR has the same PVR and none.
        .with("model", "PowerPC,440EP")
        .with("reg", 0)
        .with("clock-frequency", 0)
        .with("timebase-frequency", 0)
        .with("i-cache-line-size", 32)
        .with("d-cache-line-size", 32)
        .with("i-cache-size", 32 << 10)
        .with("d-cache-size", 32 << 10)
        .with("dcr-controller", ())
        .with("dcr-access-method", "native")
        .with("phandle", CPU);
    Node::new("cpus").with("#address-cells", 1).with("#size-cells", 0).child(cpu)
}

fn uic(index: u32, phandle: u32) -> Node {
    Node::new(&format!("interrupt-controller{index}"))
        .with("compatible", ["ibm,uic-440ep", "ibm,uic"])
        .with("interrupt-controller", ())
        .with("cell-index", index)
        .with("dcr-reg", [0x0C0 + 0x10 * index, 9])
        .with("#address-cells", 0)
        .with("#size-cells", 0)
        .with("#interrupt-cells", 2)
        .with("phandle", phandle)
}

fn plb() -> Node {
    Node::new("plb")
        .with("compatible", ["ibm,plb-440ep", "ibm,plb-440gp", "ibm,plb4"])
        .with("#address-cells", 2)
        .with("#size-cells", 1)
        .with("ranges", ())
        .with("clock-frequency", 0)
        .child(
            Node::new("sdram")
                .with("compatible", ["ibm,sdram-440ep", "ibm,sdram-405gp"])
                .with("dcr-reg", [0x010, 2]),
        )
        .child(
            Node::new("dma")
                .with("compatible", ["ibm,dma-440ep", "ibm,dma-440gp"])
                .with("dcr-reg", [0x100, 0x27]),
        )
        .child(mal())
        .child(opb())
        .child(pci())
}

/// The MAL is its own interrupt nexus: its five interrupts go to both controllers.
fn mal() -> Node {
    let map = [(0, UIC0, 10), (1, UIC0, 11), (2, UIC1, 0), (3, UIC1, 1), (4, UIC1, 2)];
    let map: Vec<u32> = map.iter().flat_map(|&(n, uic, input)| [n, uic, input, LEVEL_HIGH]).collect();
    Node::new("mcmal")
        .with("compatible", ["ibm,mcmal-440ep", "ibm,mcmal-440gp", "ibm,mcmal"])
        .with("dcr-reg", [0x180, 0x62])
        .with("num-tx-chans", 4)
        .with("num-rx-chans", 2)
        .with("interrupt-parent", MAL)
        .with("interrupts", [0, 1, 2, 3, 4])
        .with("#interrupt-cells", 1)
        .with("#address-cells", 0)
        .with("#size-cells", 0)
        .with("interrupt-map", map)
        .with("phandle", MAL)
}

fn opb() -> Node {
    let ebc = Node::new("ebc")
        .with("compatible", ["ibm,ebc-440ep", "ibm,ebc-440gp", "ibm,ebc"])
        .with("dcr-reg", [0x012, 2])
        .with("#address-cells", 2)
        .with("#size-cells", 1)
        .with("clock-frequency", 0)
        .with("interrupts", [5, RISING])
        .with("interrupt-parent", UIC1);
    let usb = Node::new("usb@ef601000")
        .with("compatible", "ohci-be")
        .with("reg", [0xEF60_1000, 0x80])
        .with("interrupts", [8, RISING, 9, RISING])
        .with("interrupt-parent", UIC1);
    Node::new("opb")
        .with("compatible", ["ibm,opb-440ep", "ibm,opb-440gp", "ibm,opb"])
        .with("#address-cells", 1)
        .with("#size-cells", 1)
        .with("ranges", [0, 0, 0, 0x8000_0000, 0x8000_0000, 0, 0x8000_0000, 0x8000_0000])
        .with("interrupt-parent", UIC1)
        .with("interrupts", [7, LEVEL_HIGH])
        .with("clock-frequency", 0)
        .child(ebc)
        .child(serial(0xEF60_0300, 0, 115_200))
        .child(serial(0xEF60_0400, 1, 0))
        .child(serial(0xEF60_0500, 3, 0))
        .child(serial(0xEF60_0600, 4, 0))
        .child(iic(0xEF60_0700, 2))
        .child(iic(0xEF60_0800, 7))
        .child(
            Node::new("emac-zmii@ef600d00")
                .with("compatible", ["ibm,zmii-440ep", "ibm,zmii-440gp", "ibm,zmii"])
                .with("reg", [0xEF60_0D00, 12])
                .with("phandle", ZMII),
        )
        .child(emac(0))
        .child(emac(1))
        .child(usb)
}

fn serial(address: u32, input: u32, speed: u32) -> Node {
    Node::new(&format!("serial@{address:x}"))
        .with("device_type", "serial")
        .with("compatible", "ns16550")
        .with("reg", [address, 8])
        .with("virtual-reg", address)
        .with("clock-frequency", 0)
        .with("current-speed", speed)
        .with("interrupt-parent", UIC0)
        .with("interrupts", [input, LEVEL_HIGH])
}

fn iic(address: u32, input: u32) -> Node {
    Node::new(&format!("i2c@{address:x}"))
        .with("compatible", ["ibm,iic-440ep", "ibm,iic-440gp", "ibm,iic"])
        .with("reg", [address, 0x14])
        .with("interrupt-parent", UIC0)
        .with("interrupts", [input, LEVEL_HIGH])
}

fn emac(index: u32) -> Node {
    let address = 0xEF60_0E00 + 0x100 * index;
    let input = 28 + 2 * index;
    Node::new(&format!("ethernet@{address:x}"))
        .with("device_type", "network")
        .with("compatible", ["ibm,emac-440ep", "ibm,emac-440gp", "ibm,emac"])
        .with("interrupt-parent", UIC1)
        .with("interrupts", [input, LEVEL_HIGH, input + 1, LEVEL_HIGH])
        .with("reg", [address, 0x70])
        .with("local-mac-address", [0_u8; 6].as_slice())
        .with("mal-device", MAL)
        .with("mal-tx-channel", [2 * index, 2 * index + 1])
        .with("mal-rx-channel", index)
        .with("cell-index", index)
        .with("max-frame-size", 1500)
        .with("rx-fifo-size", 4096)
        .with("tx-fifo-size", 2048)
        .with("phy-mode", "rmii")
        .with("phy-map", 0)
        .with("zmii-device", ZMII)
        .with("zmii-channel", index)
}

/// The outbound windows: 512 MB of memory, the first megabyte of PCI memory (for ISA devices), and I/O.
fn pci() -> Node {
    const MEMORY: u32 = 0x0200_0000;
    const PREFETCHABLE: u32 = 0x4000_0000;
    const IO: u32 = 0x0100_0000;
    let ranges = [
        [MEMORY, 0, 0xA000_0000, 0, 0xA000_0000, 0, 0x2000_0000],
        [MEMORY, 0, 0, 0, 0xE000_0000, 0, 0x0010_0000],
        [IO, 0, 0, 0, 0xE800_0000, 0, 0x0001_0000],
    ];
    // One line a slot, INTA to INTD tied together: IDSEL 1 to 4 on inputs 28 down to 25.
    let slots = (1..=4).flat_map(|idsel: u32| [idsel << 11, 0, 0, 0, UIC0, 29 - idsel, LEVEL_LOW]);
    let reg = [0, 0xEEC0_0000, 8, 0, 0xEED0_0000, 4, 0, 0xEED0_0000, 4, 0, 0xEF40_0000, 0x40];
    Node::new("pci@ec000000")
        .with("device_type", "pci")
        .with("#interrupt-cells", 1)
        .with("#size-cells", 2)
        .with("#address-cells", 3)
        .with("compatible", ["ibm,plb440ep-pci", "ibm,plb-pci"])
        .with("primary", ())
        .with("reg", reg)
        .with("ranges", ranges.concat())
        .with("dma-ranges", [MEMORY | PREFETCHABLE, 0, 0, 0, 0, 0, 0x8000_0000])
        .with("interrupt-map-mask", [0xF800, 0, 0, 0])
        .with("interrupt-map", slots.collect::<Vec<u32>>())
}
