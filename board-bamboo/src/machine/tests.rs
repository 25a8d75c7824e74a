use std::cell::{Cell, RefCell};
use std::rc::Rc;

use vmm_plugin::api::{Clock, Constraints, NEVER};
use vmm_plugin::host::{HostCalls, RamPointer};

use super::*;

/// What a host keeps for a machine under test.
#[derive(Debug, Default)]
struct Kept {
    ram: RefCell<Vec<u64>>,
    attention: Cell<u32>,
    output: RefCell<Vec<(u32, u8)>>,
    now: Cell<u64>,
}

#[derive(Debug)]
struct TestHost(Rc<Kept>);

impl HostCalls for TestHost {
    fn map_ram(&mut self, pa: u64, len: u64) -> Option<RamPointer> {
        assert_eq!(pa, 0);
        let mut ram = self.0.ram.borrow_mut();
        *ram = vec![0; len as usize / 8];
        Some(RamPointer { ptr: ram.as_mut_ptr().cast(), len: len as usize })
    }
    fn set_attention(&mut self, bits: u32, level: bool) {
        let old = self.0.attention.get();
        self.0.attention.set(if level { old | bits } else { old & !bits });
    }
    fn mark_dma_dirty(&mut self, _pa: u64, _len: u64) {}
    fn char_write(&mut self, port: u32, bytes: &[u8]) {
        self.0.output.borrow_mut().extend(bytes.iter().map(|&byte| (port, byte)));
    }
    fn now(&mut self) -> u64 {
        self.0.now.get()
    }
    fn wall_clock(&mut self) -> u64 {
        1_000_000_000
    }
    fn clock(&self) -> Clock {
        Clock::Icount
    }
}

/// A machine and its host. Fields are dropped in order: the machine before the RAM that it points to.
pub(crate) struct Bench {
    pub(crate) machine: Bamboo,
    kept: Rc<Kept>,
}

pub(crate) fn bench(config: &BoardConfig) -> Result<Bench, String> {
    let kept = Rc::<Kept>::default();
    let host = BoardHost::new(Box::new(TestHost(Rc::clone(&kept))));
    let machine = Bamboo::create(config, host).map_err(|refusal| refusal.0)?;
    Ok(Bench { machine, kept })
}

pub(crate) fn with_memory(megabytes: u64) -> Bench {
    bench(&BoardConfig { memory: Some(megabytes << 20), ..BoardConfig::default() }).unwrap()
}

impl Bench {
    pub(crate) fn ram(&self, address: u64, len: usize) -> Vec<u8> {
        self.machine.ram.read(address, len).unwrap()
    }
    fn attention(&self, bit: u32) -> bool {
        self.kept.attention.get() & bit != 0
    }
}

const UART0: u64 = 0xEF60_0300;
const UART1: u64 = 0xEF60_0400;
const UIC0: u16 = 0xC0;
const UIC1: u16 = 0xD0;
const ER: u16 = 2;
const PR: u16 = 4;

#[test]
fn a_serial_port_sends_to_its_own_channel() {
    let mut b = with_memory(16);
    b.machine.write(UART0, 1, u64::from(b'a'));
    b.machine.write(UART1, 1, u64::from(b'b'));
    assert_eq!(*b.kept.output.borrow(), [(0, b'a'), (1, b'b')]);
    assert_eq!(b.machine.core().serial_ports, 4);
}

#[test]
fn a_received_character_interrupts_the_core_and_the_deadline_is_told() {
    let mut b = with_memory(16);
    b.machine.dcr_write(UIC0 + PR, 0xFFFF_FFFF);
    b.machine.dcr_write(UIC0, 0xFFFF_FFFF);
    b.machine.dcr_write(UIC0 + ER, 0x8000_0000);
    b.machine.write(UART0 + 4, 1, 0x0B);
    b.machine.write(UART0 + 2, 1, 0x87);
    b.machine.write(UART0 + 1, 1, 1);
    b.kept.now.set(400_000);
    assert!(!b.attention(attention::EXT));
    assert_eq!(b.machine.char_input(0, b"x"), 1);
    assert!(!b.attention(attention::EXT), "one character is below the trigger level");
    assert!(b.attention(attention::BOARD), "the character timeout is a new deadline");
    let due = b.machine.service(400_000);
    assert_ne!(due, NEVER);
    b.kept.now.set(due);
    b.machine.service(due);
    assert!(b.attention(attention::EXT));
    assert_eq!(b.machine.read(UART0, 1), u64::from(b'x'));
    b.machine.dcr_write(UIC0, 0x8000_0000);
    assert!(!b.attention(attention::EXT));
}

#[test]
fn armed_follows_the_enables_of_both_controllers() {
    let mut b = with_memory(16);
    assert_eq!(b.machine.armed(), 0);
    b.machine.dcr_write(UIC0 + ER, 0x0000_0002);
    assert_eq!(b.machine.armed(), 0, "the cascade is open but nothing behind it");
    b.machine.dcr_write(UIC1 + ER, 0x8000_0000);
    assert_eq!(b.machine.armed(), attention::EXT);
    b.machine.dcr_write(UIC0 + 3, 0x0000_0002);
    assert_eq!(b.machine.armed(), attention::CRIT);
}

#[test]
fn unclaimed_places_read_zero_and_an_empty_pci_slot_reads_ones() {
    let mut b = with_memory(16);
    assert_eq!((b.machine.read(0xEF60_8000, 4), b.machine.dcr_read(0x3F0)), (0, 0));
    b.machine.write(0xEEC0_0000, 4, 0x0008_0080);
    assert_eq!(b.machine.read(0xEEC0_0004, 4), 0xFFFF_FFFF);
    b.machine.write(0xEEC0_0000, 4, 0x0000_0080);
    assert_eq!(b.machine.read(0xEEC0_0004, 4), 0x1410_7F02);
}

#[test]
fn the_guest_tree_states_memory_and_clocks_and_no_private_hardware() {
    let b = with_memory(768);
    let tree = &b.machine.tree;
    assert_eq!(tree.memory().unwrap().cells("reg"), [0, 0, 768 << 20]);
    assert_eq!(tree.node("/cpus/cpu").unwrap().cell("timebase-frequency"), Some(400_000_000));
    assert_eq!(tree.node("/plb").unwrap().cell("clock-frequency"), Some(133_333_332));
    assert_eq!(tree.node("/plb/opb/serial").unwrap().cell("clock-frequency"), Some(11_059_200));
    assert_ne!(
        tree.node("/plb/opb/ethernet@ef600f00").unwrap().get("local-mac-address"),
        Some([0; 6].as_slice())
    );
    assert!(!tree.root.to_string().contains("ppc440-vmm"));
}

#[test]
fn constraints_go_before_the_tree_and_the_tree_before_the_board() {
    let mut tree = tree::bamboo();
    tree.node_mut("/cpus/cpu").unwrap().set("clock-frequency", 333_000_000);
    tree.node_mut("/memory").unwrap().set("reg", [0, 0, 64 << 20]);
    let config = BoardConfig { tree: Some(tree.to_blob().unwrap()), ..BoardConfig::default() };
    let b = bench(&config).unwrap();
    let core = b.machine.core();
    assert_eq!((core.cpu_hz, core.tb_hz, core.pvr), (333_000_000, 333_000_000, DEFAULT_PVR));
    assert_eq!(b.machine.ram.size(), 64 << 20);
    let constraints = Constraints { pvr: 0x4222_1850, tb_hz: 512_000_000, ..Constraints::default() };
    let core = bench(&BoardConfig { constraints, ..config }).unwrap().machine.core();
    assert_eq!((core.cpu_hz, core.tb_hz, core.pvr), (333_000_000, 512_000_000, 0x4222_1850));
}

#[test]
fn what_cannot_be_is_refused_in_one_sentence() {
    let refuse = |config: BoardConfig| bench(&config).map(|_| ()).unwrap_err();
    let tree =
        |tree: Vec<u8>| BoardConfig { tree: Some(tree), tree_name: "x.dtb".into(), ..BoardConfig::default() };
    assert!(
        refuse(BoardConfig { memory: Some(5 << 20), ..BoardConfig::default() }).starts_with("Memory of 5 MB")
    );
    assert!(refuse(tree(b"nonsense".to_vec())).starts_with("Device tree x.dtb: No flattened device tree"));
    let empty = Tree::default().to_blob().unwrap();
    assert!(refuse(tree(empty)).contains("interrupt controllers"));
    let strap = BoardConfig { straps: vec![("x".into(), "y".into())], ..BoardConfig::default() };
    assert!(refuse(strap).starts_with("Strap x is unknown"));
}

#[test]
fn state_survives_a_round_trip_through_a_second_machine() {
    let mut b = with_memory(16);
    b.machine.write(UART0 + 7, 1, 0x5A);
    b.machine.dcr_write(UIC0 + ER, 0x1234_5678);
    let saved = b.machine.save();
    let mut other = with_memory(16);
    other.machine.restore(&saved).unwrap();
    assert_eq!((other.machine.read(UART0 + 7, 1), other.machine.dcr_read(UIC0 + ER)), (0x5A, 0x1234_5678));
    assert_eq!(other.machine.save(), saved);
    assert!(other.machine.restore(b"{}").is_err());
    other.machine.reset(ResetKind::System);
    assert_eq!(other.machine.dcr_read(UIC0 + ER), 0);
}

#[test]
fn every_device_has_a_line() {
    let text = with_memory(16).machine.describe();
    for name in ["UIC0", "UIC1", "UART0", "UART3", "PCI"] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is missing in\n{text}");
    }
}
