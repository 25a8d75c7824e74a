use super::*;
use crate::image::tests::{gzip, tree_image, uimage};
use crate::machine::tests::{Bench, bench, with_memory};
use devices_4xx::tree::Tree;
use vmm_plugin::api::{BoardConfig, Constraints, Machine};

/// A kernel that unpacks to 6 MB, linked at 0.
fn kernel() -> Vec<u8> {
    uimage([5, 7, 2, 1], 0, 0, &gzip(&vec![0x60; 6 << 20]))
}

fn images(kernel: Vec<u8>, initrd: Option<usize>) -> Images {
    Images {
        kernel,
        kernel_name: "k".into(),
        initrd: initrd.map(|len| vec![0x1D; len]),
        initrd_name: "i".into(),
        append: Some("console=ttyS0".into()),
        load_address: None,
    }
}

/// The tree that r3 points to.
fn guest_tree(bench: &Bench, state: &CpuState) -> (u64, Tree) {
    let at = u64::from(state.gpr[3]);
    let size = Tree::blob_size(&bench.ram(at, 8)).unwrap();
    (at, Tree::parse(&bench.ram(at, size)).unwrap())
}

fn initrd_bounds(tree: &Tree) -> (u64, u64) {
    let chosen = tree.node("/chosen").unwrap();
    let cell = |name| u64::from(chosen.cell(name).unwrap());
    (cell("linux,initrd-start"), cell("linux,initrd-end"))
}

#[test]
fn tree_and_initrd_lie_in_ram_beside_the_kernel_at_every_size() {
    // A 32-bit host has no 2 GB in one piece.
    let fits = |megabytes: &u64| isize::try_from(megabytes << 20).is_ok();
    for megabytes in [16, 32, 64, 128, 256, 512, 768, 1024, 2048].into_iter().filter(fits) {
        let mut b = with_memory(megabytes);
        let state = b.machine.load(&images(kernel(), Some(1_300_000))).unwrap();
        let (at, tree) = guest_tree(&b, &state);
        let (start, end) = initrd_bounds(&tree);
        let len = tree.to_blob().unwrap().len() as u64;
        let top = (megabytes << 20).saturating_sub(4 << 10).min(256 << 20);
        assert!(start >= 7 << 20 && end <= top && end - start == 1_300_000, "initrd {start:#x} to {end:#x}");
        assert!(at >= 7 << 20 && at + len <= top && at % 8 == 0, "tree at {at:#x}");
        assert!(at >= end || at + len <= start);
        assert_eq!(b.ram(start, 4), [0x1D; 4]);
        assert_eq!(b.ram(0, 4), [0x60; 4]);
        assert_eq!(tree.node("/chosen").unwrap().string("bootargs"), Some("console=ttyS0"));
        assert_eq!(tree.memory().unwrap().cells("reg"), [0, 0, (megabytes << 20) as u32]);
        assert_eq!((state.pc, state.msr, state.gpr[3]), (0, 0, at as u32));
    }
}

#[test]
fn a_large_initrd_goes_above_the_first_256_megabytes_if_it_must() {
    let mut b = with_memory(768);
    let state = b.machine.load(&images(kernel(), Some(300 << 20))).unwrap();
    let (start, end) = initrd_bounds(&guest_tree(&b, &state).1);
    assert!(start >= 7 << 20 && end < 768 << 20 && end - start == 300 << 20);
}

#[test]
fn an_initrd_that_does_not_fit_is_refused_in_one_sentence() {
    let error = with_memory(16).machine.load(&images(kernel(), Some(12 << 20))).unwrap_err().0;
    assert_eq!(
        error,
        "Initrd i of 12288 KB does not fit beside the kernel in 16 MB of RAM; give the machine more with --memory"
    );
    let error = with_memory(4).machine.load(&images(kernel(), None)).unwrap_err().0;
    assert!(error.starts_with("Kernel k unpacks to more than the 4 MB"));
}

#[test]
fn the_tree_lies_in_what_the_host_maps_at_entry() {
    let constraints = Constraints { initial_mapping: 16 << 20, ..Constraints::default() };
    let config = BoardConfig { memory: Some(256 << 20), constraints, ..BoardConfig::default() };
    let mut b = bench(&config).unwrap();
    let state = b.machine.load(&images(kernel(), Some(1000))).unwrap();
    let (at, tree) = guest_tree(&b, &state);
    assert!((7 << 20..16 << 20).contains(&at));
    assert!(initrd_bounds(&tree).0 > 128 << 20, "the initrd need not be mapped");
}

#[test]
fn an_absent_command_line_leaves_the_trees_own() {
    let mut tree = crate::tree::bamboo();
    tree.top_level("chosen").set("bootargs", "from the tree");
    let config = BoardConfig { tree: Some(tree.to_blob().unwrap()), ..BoardConfig::default() };
    for (append, wanted) in [(None, "from the tree"), (Some("mine".to_string()), "mine")] {
        let mut b = bench(&config).unwrap();
        let state = b.machine.load(&Images { append, ..images(kernel(), None) }).unwrap();
        let chosen = guest_tree(&b, &state).1;
        let chosen = chosen.node("/chosen").unwrap();
        assert_eq!(chosen.string("bootargs"), Some(wanted));
        assert_eq!(chosen.get("linux,initrd-start"), None);
    }
}

#[test]
fn a_command_line_that_no_kernel_takes_is_refused() {
    for append in ["x".repeat(2048), "a\0b".into()] {
        let images = Images { append: Some(append), ..images(kernel(), None) };
        assert!(with_memory(16).machine.load(&images).unwrap_err().0.starts_with("The command line of"));
    }
}

#[test]
fn a_wrapper_gets_what_u_boot_gives_it() {
    let wrapper = uimage([5, 7, 2, 1], 0x60_0000, 0x60_0004, &gzip(&[7; 4096]));
    let mut b = with_memory(64);
    let state = b.machine.load(&images(wrapper, Some(5000))).unwrap();
    let [info, start, end, line, line_end] = [3, 4, 5, 6, 7].map(|n| u64::from(state.gpr[n]));
    assert_eq!((state.pc, end - start), (0x60_0004, 5000));
    assert_eq!(b.ram(start, 4), [0x1D; 4]);
    assert_eq!(b.ram(line, 14), b"console=ttyS0\0");
    assert_eq!(line_end - line, 13);
    assert_eq!(b.ram(info + 4, 4), (64_u32 << 20).to_be_bytes());
    assert!([info, start, line].iter().all(|&at| at > 8 << 20), "out of the way of wrapper and kernel");
    assert_eq!(b.ram(0x60_0000, 2), [7, 7]);
}

#[test]
fn a_tree_image_gets_its_command_line_and_initrd_through_the_tree_it_carries() {
    let blob = crate::tree::bamboo().to_blob().unwrap();
    let payload = |room: usize| {
        let mut payload = vec![0x48; 4096];
        payload.extend(&blob);
        payload.resize(payload.len() + room, 0);
        payload.extend([0x49; 512]);
        payload.resize(payload.len().next_multiple_of(512), 0x49);
        payload
    };
    let file = |room| {
        let payload = payload(room);
        tree_image(0x60_0000, (payload.len() / 512) as u32, 0x60_0000, &payload)
    };
    let mut b = with_memory(128);
    let state = b.machine.load(&images(file(1024), Some(5000))).unwrap();
    assert_eq!(state.pc, 0x60_0000);
    let tree = Tree::parse(&b.ram(0x60_1000, blob.len() + 1024)).unwrap();
    assert_eq!(tree.node("/chosen").unwrap().string("bootargs"), Some("console=ttyS0"));
    let (start, end) = initrd_bounds(&tree);
    assert_eq!((end - start, b.ram(start, 2)), (5000, vec![0x1D, 0x1D]));
    let error = with_memory(128).machine.load(&images(file(16), Some(5000))).unwrap_err().0;
    assert!(error.contains("bytes of room for its device tree"), "{error}");
    let none = tree_image(0x60_0000, 1, 0x60_0000, &[0x48; 512]);
    let error = with_memory(128).machine.load(&images(none.clone(), None)).unwrap_err().0;
    assert!(error.contains("without a device tree inside"), "{error}");
    let bare = Images { append: None, ..images(none, None) };
    assert!(with_memory(128).machine.load(&bare).is_ok());
}

#[test]
fn a_machine_can_be_loaded_again_after_a_reset() {
    let mut b = with_memory(32);
    let first = b.machine.load(&images(kernel(), Some(1000))).unwrap();
    b.machine.reset(vmm_plugin::api::ResetKind::System);
    let again = b.machine.load(&images(kernel(), Some(1000))).unwrap();
    first.compare(&again, |name, index, a, b| panic!("{name}[{index}] is {a:#x}, then {b:#x}"));
}
