use std::cell::{Cell, RefCell};
use std::rc::Rc;

use proptest::prelude::*;
use vmm_plugin::api::attention;

use super::*;
use crate::host::SharedSink;

/// Pins that a test reads.
#[derive(Default)]
struct TestPins {
    external: Rc<Cell<bool>>,
    critical: Rc<Cell<bool>>,
    output: Rc<RefCell<Vec<u8>>>,
    now: Rc<Cell<u64>>,
    ports: RefCell<Vec<u32>>,
}

impl Pins for TestPins {
    fn external(&self) -> SharedLine {
        self.external.clone()
    }
    fn critical(&self) -> SharedLine {
        self.critical.clone()
    }
    fn serial(&self, port: u32) -> SharedSink {
        self.ports.borrow_mut().push(port);
        self.output.clone()
    }
    fn time(&self) -> SharedTime {
        self.now.clone()
    }
}

fn uic(index: u32, phandle: u32) -> Node {
    Node::new(&format!("uic{index}"))
        .with("compatible", ["ibm,uic-440ep", "ibm,uic"])
        .with("cell-index", index)
        .with("dcr-reg", [0xC0 + 16 * index, 9])
        .with("phandle", phandle)
}

fn serial(address: u32, input: u32) -> Node {
    Node::new(&format!("serial@{address:x}"))
        .with("compatible", "ns16550")
        .with("reg", [address, 8])
        .with("interrupt-parent", 1)
        .with("interrupts", [input, 4])
}

/// Two controllers and two serial ports behind a bus that maps its children 0x8000_0000 higher.
fn sample() -> Tree {
    let opb = Node::new("opb")
        .with("#address-cells", 1)
        .with("#size-cells", 1)
        .with("ranges", [0, 0, 0x8000_0000, 0x1_0000])
        .child(serial(0x300, 0))
        .child(serial(0x400, 1));
    let root = Node::new("")
        .with("#address-cells", 2)
        .with("#size-cells", 1)
        .child(Node::new("aliases").with("serial0", "/opb/serial@400").with("serial1", "/opb/serial@300"))
        .child(uic(1, 2).with("interrupt-parent", 1).with("interrupts", [30, 4, 31, 4]))
        .child(uic(0, 1))
        .child(opb);
    Tree { root, ..Tree::default() }
}

fn made(tree: &Tree) -> (System, TestPins) {
    let pins = TestPins::default();
    (build(tree, &pins, Options::default()).unwrap(), pins)
}

fn refused(tree: &Tree) -> String {
    build(tree, &TestPins::default(), Options::default()).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn addresses_go_through_ranges_and_ports_are_numbered_by_alias() {
    let (mut system, pins) = made(&sample());
    assert_eq!(*pins.ports.borrow(), [0, 1]);
    assert_eq!(system.bus.serial_ports(), 2);
    system.bus.write(0x8000_0307, 1, 0x5A);
    assert_eq!((system.bus.read(0x8000_0307, 1), system.bus.read(0x8000_0407, 1)), (0x5A, 0));
    assert_eq!(system.bus.read(0x307, 1), 0);
    assert!(system.bus.describe().contains("UART1        80000300-80000307"));
}

#[test]
fn interrupts_reach_the_core_through_the_controller_that_the_tree_names() {
    let (mut system, pins) = made(&sample());
    // The port at 0x400 is input 1.
    system.bus.dcr_write(0xC2, 0x4000_0000);
    system.bus.write(0x8000_0401, 1, 2);
    assert!(pins.external.get() && !pins.critical.get());
    assert_eq!(system.armed().attention(), attention::EXT);
    system.bus.dcr_write(0xC3, 0x4000_0000);
    assert!(!pins.external.get() && pins.critical.get());
}

#[test]
fn an_interrupt_map_sends_each_interrupt_to_its_controller() {
    let mut tree = sample();
    let map: Vec<u32> = [[0, 1, 10, 4], [1, 2, 5, 4]].concat();
    let nexus = serial(0x500, 0)
        .with("interrupt-parent", 9)
        .with("interrupts", 1)
        .with("phandle", 9)
        .with("#interrupt-cells", 1)
        .with("#address-cells", 0)
        .with("interrupt-map", map);
    tree.node_mut("/opb").unwrap().children.push(nexus);
    let (mut system, pins) = made(&tree);
    system.bus.dcr_write(0xD2, 0x8000_0000 >> 5);
    system.bus.dcr_write(0xC2, 0x8000_0000 >> 30);
    assert!(!pins.external.get());
    system.bus.write(0x8000_0501, 1, 2);
    assert!(pins.external.get());
    assert_eq!(system.bus.dcr_read(0xD6), 0x8000_0000 >> 5);
}

#[test]
fn a_disabled_node_makes_no_device_nor_do_those_below_it() {
    let mut tree = sample();
    tree.node_mut("/opb").unwrap().set("status", "disabled");
    assert_eq!(made(&tree).0.bus.serial_ports(), 0);
}

#[test]
fn trees_that_do_not_fit_together_are_refused() {
    let change = |change: &dyn Fn(&mut Tree)| {
        let mut tree = sample();
        change(&mut tree);
        refused(&tree)
    };
    assert!(refused(&Tree::default()).contains("0 interrupt controllers"));
    let overlap = change(&|tree| tree.node_mut("/opb/serial@400").unwrap().set("reg", [0x304, 8]));
    assert_eq!(overlap, "The device tree does not fit together: UART1 at 0x80000300 overlaps UART0");
    let circle = change(&|tree| {
        let node = tree.node_mut("/uic1").unwrap();
        node.set("interrupt-parent", 2);
    });
    assert!(circle.contains("/uic1") && circle.contains("circle"), "{circle}");
    let second = change(&|tree| tree.root.children.push(uic(2, 3)));
    assert!(second.contains("2 interrupt controllers"));
    let many = change(&|tree| {
        let opb = tree.node_mut("/opb").unwrap();
        opb.children = (0..300).map(|n| serial(0x1000 + 16 * n, 0)).collect();
    });
    assert!(many.contains("256 devices"));
    let dcr = change(&|tree| tree.node_mut("/uic1").unwrap().set("dcr-reg", [0x3FF, 9]));
    assert!(dcr.contains("no valid range"));
}

/// Every standard model once, with windows, DCRs and interrupts to spare.
fn everything() -> Tree {
    let mut tree = sample();
    for (n, model) in (0..).zip(STANDARD) {
        let base = 0x10_0000 * (n + 1);
        let reg: Vec<u32> = (0..4).flat_map(|w| [0, base + 0x1_0000 * w, 0x2000]).collect();
        let node = Node::new(&format!("device{n}"))
            .with("compatible", model.compatible[0])
            .with("reg", reg)
            .with("dcr-reg", [0x100 + 0x20 * n, 0x20])
            .with("interrupt-parent", 1 + n % 2)
            .with("interrupts", [n % 28, 4, (n + 1) % 28, 1])
            .with(
                "ppc440-vmm,contents",
                [n].as_slice().iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<_>>().as_slice(),
            )
            .child(Node::new("eeprom").with("compatible", "ppc440-vmm,eeprom").with("reg", 0x50));
        tree.root.children.push(node);
    }
    tree
}

/// Something that a guest or a host does to a machine.
#[derive(Debug, Clone)]
enum Step {
    Read { pa: u64, len: u8 },
    Write { pa: u64, len: u8, value: u64 },
    DcrRead(u16),
    DcrWrite(u16, u32),
    Pass(u32),
    Input(u32, Vec<u8>),
    Reset,
    SaveAndRestore,
}

/// An address near the start of a device's window, where registers are, or anywhere.
fn address() -> impl Strategy<Value = u64> {
    let window = (0..STANDARD.len() as u64, 0_u64..4, prop_oneof![0_u64..0x110, 0x1FE0_u64..0x2008]);
    let near = window.prop_map(|(n, window, offset)| 0x10_0000 * (n + 1) + 0x1_0000 * window + offset);
    prop_oneof![8 => near, 1 => 0x8000_0300_u64..0x8000_0410, 1 => any::<u64>()]
}

/// Values that registers react to: few bits, and anything.
fn value() -> impl Strategy<Value = u64> {
    prop_oneof![(0..64_u32).prop_map(|n| 1 << n), any::<u64>(), Just(0), Just(u64::MAX), 0..256_u64]
}

fn step() -> impl Strategy<Value = Step> {
    let len = || prop_oneof![8 => Just(1_u8), 2 => Just(2), 6 => Just(4), 1 => Just(8), 1 => any::<u8>()];
    prop_oneof![
        6 => (address(), len()).prop_map(|(pa, len)| Step::Read { pa, len }),
        10 => (address(), len(), value()).prop_map(|(pa, len, value)| Step::Write { pa, len, value }),
        2 => any::<u16>().prop_map(|n| Step::DcrRead(n % 1100)),
        4 => (any::<u16>(), value()).prop_map(|(n, value)| Step::DcrWrite(n % 1100, value as u32)),
        2 => any::<u32>().prop_map(Step::Pass),
        1 => (0..4_u32, proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(port, bytes)| Step::Input(port, bytes)),
        1 => Just(Step::Reset),
        1 => Just(Step::SaveAndRestore),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever a guest does to whichever device, nothing panics and deadlines move on.
    #[test]
    fn no_sequence_of_accesses_harms_any_device(steps in proptest::collection::vec(step(), 1..400)) {
        let (mut system, pins) = made(&everything());
        for step in steps {
            match step {
                Step::Read { pa, len } => {
                    let value = system.bus.read(pa, len);
                    prop_assert!(len >= 8 || len == 0 || value < 1 << (8 * u32::from(len)));
                }
                Step::Write { pa, len, value } => system.bus.write(pa, len, value),
                Step::DcrRead(n) => {
                    system.bus.dcr_read(n);
                }
                Step::DcrWrite(n, value) => system.bus.dcr_write(n, value),
                Step::Pass(ticks) => {
                    pins.now.set(pins.now.get() + u64::from(ticks));
                    let now = pins.now.get();
                    prop_assert!(system.bus.service(now) > now);
                }
                Step::Input(port, bytes) => prop_assert!(system.bus.receive(port, &bytes) <= bytes.len()),
                Step::Reset => system.reset(vmm_plugin::api::ResetKind::System),
                Step::SaveAndRestore => {
                    let saved = system.save();
                    system.restore(&saved).unwrap();
                    prop_assert_eq!(system.save(), saved);
                }
            }
            let _ = system.armed();
        }
        let _ = system.bus.describe();
    }

    /// Whatever numbers stand in a tree, building ends, with a machine or a sentence.
    #[test]
    fn no_numbers_in_a_tree_harm_the_builder(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u32>()), 1..20)
    ) {
        let mut tree = everything();
        for (node, property, value) in changes {
            let mut count = 0;
            tree.root.walk(&mut |_| count += 1);
            let (wanted, mut seen) = (node.index(count), 0);
            tree.root.walk_mut(&mut |node| {
                if seen == wanted && !node.properties.is_empty() {
                    let at = property.index(node.properties.len());
                    let bytes = &mut node.properties[at].1;
                    let cell = property.index(bytes.len() / 4 + 1) * 4;
                    match bytes.get_mut(cell..cell + 4) {
                        Some(cell) => cell.copy_from_slice(&value.to_be_bytes()),
                        None => bytes.extend(value.to_be_bytes()),
                    }
                }
                seen += 1;
            });
        }
        if let Ok(mut system) = build(&tree, &TestPins::default(), Options::default()) {
            system.bus.write(0x10_0000, 4, 1);
            let _ = system.armed();
        }
    }
}
