use proptest::prelude::*;

use super::*;

fn sample() -> Tree {
    let serial = Node::new("serial@ef600300")
        .with("compatible", ["ns16550a", "ns16550"])
        .with("reg", [0xEF60_0300, 8]);
    let root = Node::new("")
        .with("model", "test")
        .with("empty", ())
        .child(Node::new("plb").with("ranges", ()).child(serial.with("phandle", 7)))
        .child(Node::new("memory").with("device_type", "memory").with("reg", [0, 0, 0x0800_0000]));
    Tree { reserved: vec![(0x1000, 0x2000)], boot_cpu: 0, root }
}

#[test]
fn a_tree_survives_writing_and_reading() {
    let tree = sample();
    assert_eq!(Tree::parse(&tree.to_blob().unwrap()).unwrap(), tree);
}

#[test]
fn nodes_are_found_by_path_with_and_without_unit_address() {
    let tree = sample();
    let node = tree.node("/plb/serial").unwrap();
    assert_eq!(tree.node("/plb/serial@ef600300"), Some(node));
    assert_eq!(node.strings("compatible").collect::<Vec<_>>(), ["ns16550a", "ns16550"]);
    assert!(node.is_compatible("ns16550") && !node.is_compatible("ns"));
    assert_eq!(node.cells("reg"), [0xEF60_0300, 8]);
    assert_eq!((node.phandle(), node.cell("absent"), tree.node("/plb/x")), (Some(7), None, None));
    assert_eq!(tree.memory().unwrap().cells("reg"), [0, 0, 0x0800_0000]);
}

#[test]
fn properties_are_replaced_and_nodes_made() {
    let mut tree = sample();
    tree.node_mut("/plb/serial").unwrap().set("reg", [1, 2]);
    tree.top_level("chosen").set("bootargs", "console=ttyS0");
    tree.top_level("chosen").set("bootargs", "quiet");
    assert_eq!(tree.node("/plb/serial").unwrap().cells("reg"), [1, 2]);
    assert_eq!(tree.node("/chosen").unwrap().string("bootargs"), Some("quiet"));
}

#[test]
fn each_kind_of_damage_has_its_error() {
    let blob = sample().to_blob().unwrap();
    let broken = |at: usize, word: u32| {
        let mut blob = blob.clone();
        blob[at..at + 4].copy_from_slice(&word.to_be_bytes());
        Tree::parse(&blob).unwrap_err()
    };
    assert_eq!(Tree::parse(b"\x7fELF...."), Err(TreeError::Magic(0x7F45_4C46)));
    assert!(matches!(Tree::parse(&blob[..3]), Err(TreeError::Truncated { .. })));
    assert!(matches!(Tree::parse(&blob[..blob.len() - 1]), Err(TreeError::Truncated { .. })));
    assert_eq!(broken(4, u32::MAX), TreeError::TooLarge(u32::MAX as usize));
    assert_eq!(broken(20, 3), TreeError::Version(3));
    assert!(matches!(broken(8, 0xFFFF_FFF0), TreeError::Truncated { .. }));
    let structure = be32(&blob, 8).unwrap() as usize;
    assert!(matches!(broken(structure, 0x77), TreeError::Malformed(_)));
    assert!(
        matches!(broken(structure + 8 + 4, u32::MAX), TreeError::Malformed(_)),
        "a property longer than the block"
    );
}

#[test]
fn nesting_is_bounded() {
    let mut node = Node::new("x");
    for _ in 0..MAX_DEPTH {
        node = Node::new("x").child(node);
    }
    let tree = Tree { root: Node { name: String::new(), ..node }, ..Tree::default() };
    assert_eq!(Tree::parse(&tree.to_blob().unwrap()), Err(TreeError::TooDeep));
}

#[test]
fn a_name_that_the_format_forbids_is_named() {
    let mut tree = sample();
    tree.root.set("a b", 1);
    assert!(tree.to_blob().unwrap_err().to_string().contains("\"a b\""));
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Tree::parse(&bytes);
    }

    #[test]
    fn any_damage_to_a_good_tree_is_survived(hits in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6)) {
        let mut blob = sample().to_blob().unwrap();
        for (at, byte) in hits {
            let at = usize::from(at) % blob.len();
            blob[at] = byte;
        }
        if let Ok(tree) = Tree::parse(&blob) {
            let _ = tree.to_blob();
            tree.root.walk(&mut |node| {
                let _ = (node.cells("reg"), node.strings("compatible").count(), node.child_cells());
            });
        }
    }
}
