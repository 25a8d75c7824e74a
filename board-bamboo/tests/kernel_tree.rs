//! The board's tree against the one that the kernel's own build makes.
//!
//! `VMM_TEST_DTB` names that file (`bamboo.dtb` of a Linux build); without it the test has nothing to compare and
//! says so. Both trees are compared as sets: nodes by path, properties by name and bytes. The differences that may
//! be are listed with their reason; an entry that no longer applies fails too.

use std::collections::BTreeMap;

use board_bamboo::BambooBoard;
use devices_4xx::tree::{Node, Tree};
use vmm_plugin::api::Board;

/// (path, property, reason).
const JUSTIFIED: &[(&str, &str, &str)] = &[];

/// Every property of every node, by path and name; a node itself counts as a property without a name.
fn flatten(node: &Node, path: &str, into: &mut BTreeMap<(String, String), Vec<u8>>) {
    let shown = if path.is_empty() { "/" } else { path };
    into.insert((shown.into(), String::new()), Vec::new());
    for (name, value) in &node.properties {
        into.insert((shown.into(), name.clone()), value.clone());
    }
    for child in &node.children {
        flatten(child, &format!("{path}/{}", child.name), into);
    }
}

fn flat(blob: &[u8]) -> BTreeMap<(String, String), Vec<u8>> {
    let mut map = BTreeMap::new();
    flatten(&Tree::parse(blob).expect("a device tree").root, "", &mut map);
    map
}

#[test]
fn our_tree_equals_the_kernels_node_by_node() {
    let Ok(path) = std::env::var("VMM_TEST_DTB") else {
        eprintln!("VMM_TEST_DTB is not set: nothing to compare with");
        return;
    };
    let theirs = flat(&std::fs::read(&path).expect("VMM_TEST_DTB can be read"));
    let ours = flat(&BambooBoard.default_tree());
    let keys: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let different: Vec<_> = keys.into_iter().filter(|key| ours.get(*key) != theirs.get(*key)).collect();
    let is_justified =
        |(path, name): &&&(String, String)| JUSTIFIED.iter().any(|(p, n, _)| path == p && name == n);
    let unexplained: Vec<_> = different.iter().filter(|key| !is_justified(key)).collect();
    assert!(unexplained.is_empty(), "the trees differ in {unexplained:?}");
    assert_eq!(different.len(), JUSTIFIED.len(), "a justified difference is gone");
}

#[test]
fn our_tree_can_be_written_and_read() {
    let tree = Tree::parse(&BambooBoard.default_tree()).expect("the tree is well formed");
    assert_eq!(tree.root.string("compatible"), Some("amcc,bamboo"));
}
