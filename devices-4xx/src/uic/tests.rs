use std::cell::Cell;
use std::rc::Rc;

use super::*;

type Wire = Rc<Cell<bool>>;
type Shared = Rc<dyn Line>;

fn uic() -> (Rc<Uic<Wire>>, Wire, Wire) {
    let (ext, crit) = (Wire::default(), Wire::default());
    (Rc::new(Uic::new(0, ext.clone(), crit.clone())), ext, crit)
}

/// What Linux writes to every controller before it uses it.
fn linux_init<L: Line>(uic: &Uic<L>) {
    for (register, value) in [(reg::ER, 0), (reg::CR, 0), (reg::TR, 0), (reg::SR, 0xFFFF_FFFF)] {
        uic.put(register, value);
    }
}

/// How Linux sets a line's sense: TR and PR read, changed, written back, then the stale status cleared.
fn linux_set_type<L: Line>(uic: &Uic<L>, n: u8, edge: bool, high: bool) {
    let bit = mask(n);
    let with = |value: u32, on| if on { value | bit } else { value & !bit };
    uic.put(reg::PR, with(uic.get(reg::PR), high));
    uic.put(reg::TR, with(uic.get(reg::TR), edge));
    uic.put(reg::SR, bit);
}

/// How Linux unmasks: a level line's status is cleared first.
fn linux_unmask<L: Line>(uic: &Uic<L>, n: u8) {
    if uic.get(reg::TR) & mask(n) == 0 {
        uic.put(reg::SR, mask(n));
    }
    uic.put(reg::ER, uic.get(reg::ER) | mask(n));
}

#[test]
fn a_level_source_asserts_until_both_source_and_status_are_cleared() {
    let (uic, ext, crit) = uic();
    let line = uic.input(0, false);
    linux_init(&uic);
    linux_set_type(&uic, 0, false, true);
    linux_unmask(&uic, 0);
    assert!(!ext.get());
    line.set(true);
    assert!(ext.get() && !crit.get());
    assert_eq!(uic.get(reg::MSR), 0x8000_0000);
    uic.put(reg::SR, 0x8000_0000);
    assert!(ext.get(), "a level that is still there sets its status again");
    line.set(false);
    assert!(ext.get(), "the status is latched");
    uic.put(reg::SR, 0x8000_0000);
    assert!(!ext.get());
}

#[test]
fn an_edge_source_is_latched_once() {
    let (uic, ext, _) = uic();
    let line = uic.input(5, false);
    linux_init(&uic);
    linux_set_type(&uic, 5, true, true);
    linux_unmask(&uic, 5);
    line.set(true);
    uic.put(reg::SR, mask(5));
    assert!(!ext.get(), "the level that stays is no second edge");
    line.set(false);
    assert!(!ext.get(), "the falling edge is not the selected one");
    line.set(true);
    assert!(ext.get());
}

#[test]
fn a_falling_edge_counts_where_polarity_says_so() {
    let (uic, ext, _) = uic();
    let line = uic.input(23, true);
    linux_init(&uic);
    linux_set_type(&uic, 23, true, false);
    linux_unmask(&uic, 23);
    assert!(!ext.get());
    line.set(true);
    assert!(ext.get());
}

#[test]
fn a_pci_slot_line_idles_high_and_is_active_low() {
    let (uic, ext, _) = uic();
    let line = uic.input(28, true);
    linux_init(&uic);
    linux_set_type(&uic, 28, false, false);
    linux_unmask(&uic, 28);
    assert!(!ext.get());
    line.set(true);
    assert!(ext.get());
    line.set(false);
    uic.put(reg::SR, mask(28));
    assert!(!ext.get());
}

#[test]
fn the_wrong_polarity_sees_an_idle_line_as_asserted() {
    let (uic, ext, _) = uic();
    let _line = uic.input(3, false);
    linux_init(&uic);
    linux_set_type(&uic, 3, false, false);
    linux_unmask(&uic, 3);
    assert!(ext.get());
}

#[test]
fn a_critical_input_drives_the_critical_output_and_the_vector() {
    let (uic, ext, crit) = uic();
    let lines: Vec<_> = [4, 9].map(|n| uic.input(n, false)).into();
    linux_init(&uic);
    uic.put(reg::PR, 0xFFFF_FFFF);
    uic.put(reg::SR, 0xFFFF_FFFF);
    uic.put(reg::CR, mask(4) | mask(9));
    uic.put(reg::ER, mask(4) | mask(9));
    uic.put(reg::VCR, 0xFFFF_0000 | VCR_PRO);
    assert_eq!(uic.get(reg::VR), 0);
    lines.iter().for_each(|line| line.set(true));
    assert!(crit.get() && !ext.get());
    assert_eq!(uic.get(reg::VR), 0xFFFF_0000 + 4 * 512);
    uic.put(reg::VCR, 0xFFFF_0000);
    assert_eq!(uic.get(reg::VR), 0xFFFF_0000 + (31 - 9) * 512);
}

#[test]
fn a_cascade_passes_both_outputs_on() {
    let (root, ext, crit) = uic();
    let outputs = [30, 31].map(|n| Rc::new(root.input(n, false)) as Shared);
    let [noncritical, critical] = outputs;
    let child = Rc::new(Uic::new(1, noncritical, critical));
    let line = child.input(0, false);
    for uic in [&*root as &dyn Fn2, &*child] {
        uic.init();
    }
    linux_set_type(&root, 30, false, true);
    linux_unmask(&root, 30);
    linux_set_type(&child, 0, false, true);
    linux_unmask(&child, 0);
    line.set(true);
    assert!(ext.get() && !crit.get());
    assert_eq!((root.get(reg::MSR), child.get(reg::MSR)), (mask(30), mask(0)));
    line.set(false);
    child.put(reg::SR, mask(0));
    root.put(reg::SR, mask(30));
    assert!(!ext.get());
}

/// Lets a test treat controllers with different outputs alike.
trait Fn2 {
    fn init(&self);
}
impl<L: Line> Fn2 for Uic<L> {
    fn init(&self) {
        linux_init(self);
    }
}

#[test]
fn two_sources_on_one_input_are_a_wired_or() {
    let (uic, ext, _) = uic();
    let (a, b) = (uic.input(25, true), uic.input(25, true));
    linux_init(&uic);
    linux_set_type(&uic, 25, false, false);
    linux_unmask(&uic, 25);
    a.set(true);
    b.set(true);
    b.set(true);
    a.set(false);
    uic.put(reg::SR, mask(25));
    assert!(ext.get(), "the other source still asserts");
    b.set(false);
    uic.put(reg::SR, mask(25));
    assert!(!ext.get());
}

#[test]
fn software_sets_a_status_through_srs() {
    let (uic, ext, _) = uic();
    linux_init(&uic);
    uic.put(reg::TR, mask(7));
    uic.put(reg::SR, 0xFFFF_FFFF);
    uic.put(reg::ER, mask(7));
    uic.put(reg::SRS, mask(7));
    assert!(ext.get());
    uic.put(reg::SR, mask(7));
    assert!(!ext.get());
}

#[test]
fn armed_tells_what_the_enables_leave_possible() {
    let (uic, ..) = uic();
    let _line = uic.input(0, false);
    uic.put(reg::PR, 0xFFFF_FFFF);
    uic.put(reg::SR, 0xFFFF_FFFF);
    assert_eq!(uic.armed(&[]), Armed::default());
    uic.put(reg::ER, mask(0) | mask(1));
    assert_eq!(uic.armed(&[]).attention(), attention::EXT);
    uic.put(reg::CR, mask(1));
    assert_eq!(uic.armed(&[]).attention(), attention::EXT, "nothing is connected to input 1");
    uic.put(reg::CR, mask(0));
    assert_eq!(uic.armed(&[]).attention(), attention::CRIT);
    assert_eq!(uic.armed(&[(0, false)]), Armed::default(), "a cascade that cannot fire arms nothing");
}

#[test]
fn state_survives_a_round_trip() {
    let (mut uic, ext, _) = uic();
    let line = uic.input(2, false);
    linux_init(&uic);
    linux_set_type(&uic, 2, false, true);
    linux_unmask(&uic, 2);
    line.set(true);
    let saved = uic.save();
    uic.reset(ResetKind::System);
    assert!(!ext.get());
    uic.restore(&saved).unwrap();
    assert!(ext.get());
    assert!(uic.restore(&serde_json::json!({"sr": "x"})).is_err());
}
