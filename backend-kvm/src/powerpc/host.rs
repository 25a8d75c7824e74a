//! What a PowerPC host says of its own clocks: `/proc/device-tree` and `/proc/cpuinfo`.

use std::fs;
use std::path::Path;

/// The CPU's clock in Hz from the first processor node of the host's tree; `None` if it does not say.
pub(crate) fn cpu_hz(proc: &Path) -> Option<u32> {
    let cpus = proc.join("device-tree/cpus");
    let mut nodes: Vec<_> = fs::read_dir(cpus).ok()?.flatten().map(|item| item.path()).collect();
    nodes.sort();
    nodes.into_iter().find_map(|node| frequency(&fs::read(node.join("clock-frequency")).ok()?))
}

/// One cell, or two of which the first is 0: big endian, as all of a device tree.
fn frequency(property: &[u8]) -> Option<u32> {
    let low = match property.len() {
        4 => property,
        8 if property.starts_with(&[0; 4]) => &property[4..],
        _ => return None,
    };
    low.try_into().ok().map(u32::from_be_bytes).filter(|hz| *hz != 0)
}

/// The time base's frequency in Hz from the line `timebase : 400000000`; `None` if there is none.
pub(crate) fn timebase_hz(proc: &Path) -> Option<u32> {
    let text = fs::read_to_string(proc.join("cpuinfo")).ok()?;
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == "timebase")
        .and_then(|(_, value)| value.trim().parse().ok())
        .filter(|hz| *hz != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bamboo() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        let cpu = dir.path().join("device-tree/cpus/cpu@0");
        fs::create_dir_all(&cpu).expect("folders");
        fs::write(dir.path().join("device-tree/cpus/name"), "cpus\0").expect("a file");
        fs::write(cpu.join("clock-frequency"), 0x1FCA_055B_u32.to_be_bytes()).expect("a file");
        let cpuinfo = "processor\t: 0\ncpu\t\t: 440EP Rev. B\nclock\t\t: 533.333331MHz\n\n\
                       timebase\t: 400000000\nplatform\t: Bamboo\n";
        fs::write(dir.path().join("cpuinfo"), cpuinfo).expect("a file");
        dir
    }

    #[test]
    fn both_clocks_are_the_hosts() {
        let host = bamboo();
        assert_eq!(cpu_hz(host.path()), Some(533_333_339));
        assert_eq!(timebase_hz(host.path()), Some(400_000_000));
    }

    #[test]
    fn a_host_that_does_not_say_forces_nothing() {
        let empty = tempfile::tempdir().expect("a folder");
        assert_eq!((cpu_hz(empty.path()), timebase_hz(empty.path())), (None, None));
        let host = bamboo();
        fs::write(host.path().join("cpuinfo"), "timebase\t: fast\n").expect("a file");
        assert_eq!(timebase_hz(host.path()), None);
        assert_eq!(frequency(&[0, 0, 0, 0, 0, 0, 1, 0]), Some(256));
        assert_eq!(frequency(&[0, 0, 0, 1, 0, 0, 1, 0]), None, "more than 32 bits hold");
        assert_eq!(frequency(&[0; 4]), None);
        assert_eq!(frequency(b"fast"), Some(u32::from_be_bytes(*b"fast")));
    }
}
