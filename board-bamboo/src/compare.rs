//! Tells in which respects two device trees describe different hardware.

use devices_4xx::tree::{Node, Tree};

/// Properties that firmware or a boot fills in, and numbers by which a tree names its own nodes.
const FILLED_IN: [&str; 8] = [
    "clock-frequency",
    "timebase-frequency",
    "local-mac-address",
    "bootargs",
    "linux,initrd-start",
    "linux,initrd-end",
    "linux,phandle",
    "phandle",
];
/// More differences than these are counted, not listed.
const LISTED: usize = 10;

/// The differences, one sentence each, `ours` first.
pub(crate) fn differences(ours: &Tree, theirs: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    nodes(&ours.root, &theirs.root, "", &mut found);
    if found.len() > LISTED {
        let more = found.len() - LISTED;
        found.truncate(LISTED);
        found.push(format!("and {more} more"));
    }
    found
}

fn nodes(ours: &Node, theirs: &Node, path: &str, found: &mut Vec<String>) {
    let shown = if path.is_empty() { "/" } else { path };
    let is_memory = ours.string("device_type") == Some("memory");
    let compared = |name: &str| !(FILLED_IN.contains(&name) || is_memory && name == "reg");
    for (name, value) in ours.properties.iter().filter(|(name, _)| compared(name)) {
        match theirs.get(name) {
            None => found.push(format!("{shown} has no {name}")),
            Some(other) if other != value => found.push(format!("{shown} has another {name}")),
            Some(_) => {}
        }
    }
    for (name, _) in theirs.properties.iter().filter(|(name, _)| compared(name) && ours.get(name).is_none()) {
        found.push(format!("{shown} has {name} besides"));
    }
    for child in &ours.children {
        let path = format!("{path}/{}", child.name);
        match theirs.children.iter().find(|other| other.name == child.name) {
            Some(other) => nodes(child, other, &path, found),
            None => found.push(format!("{path} is missing")),
        }
    }
    for child in &theirs.children {
        if !ours.children.iter().any(|our| our.name == child.name) {
            found.push(format!("{path}/{} is there besides", child.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_counts_and_what_firmware_fills_in_does_not() {
        let ours = crate::tree::bamboo();
        let mut theirs = ours.clone();
        assert!(differences(&ours, &theirs).is_empty());
        theirs.node_mut("/memory").unwrap().set("reg", [0, 0, 1 << 27]);
        theirs.node_mut("/cpus/cpu").unwrap().set("clock-frequency", 1);
        assert!(differences(&ours, &theirs).is_empty());
        theirs.node_mut("/plb/opb/serial@ef600400").unwrap().set("reg", [0, 8]);
        theirs.node_mut("/plb").unwrap().children.remove(0);
        theirs.root.children.push(Node::new("extra"));
        let all = differences(&ours, &theirs).join("; ");
        assert_eq!(
            all,
            "/plb/sdram is missing; /plb/opb/serial@ef600400 has another reg; /extra is there besides"
        );
    }
}
