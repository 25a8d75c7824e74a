//! What a figure means, and on what it was measured: without either, numbers are noise.

use std::fs;

use serde::Serialize;

use crate::run;

/// What a figure measures, for the page and for README. Those of `guest/bench` that are not listed show their name only.
pub(super) const MEANINGS: &[(&str, &str)] = &[
    ("boot-cpu", "boot to /init, processor time"),
    ("boot-wall", "boot to /init, wall time"),
    ("idle-cpu", "idle at the prompt, share of a core"),
    ("memory-peak", "peak resident memory"),
    ("memory-beyond-guest", "memory beyond touched guest pages"),
    ("straight-line", "straight-line code run once, an instruction"),
    ("null-syscall", "null system call"),
    ("pipe-roundtrip", "pipe ping-pong of two processes"),
    ("fork-wait", "fork, exit and wait"),
    ("tlb-miss", "TLB miss, 512 pages round robin"),
    ("integer-loop", "integer loop, one iteration"),
    ("load-store", "load, add, store, one iteration"),
    ("double-madd", "double multiply and add"),
    ("memcpy-64k", "copy 64 KiB"),
    ("mixed", "lists, matrices, state machine, CRC"),
    ("md5sum-8m", "md5sum of 8 MiB"),
    ("gzip-8m", "gzip of 8 MiB"),
];

/// What a figure measures, in words.
pub(super) fn meaning(figure: &str) -> &str {
    MEANINGS.iter().find(|(name, _)| *name == figure).map_or(figure, |(_, meaning)| meaning)
}

/// The machine and the programs of a measurement.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Setting {
    /// UTC.
    pub(super) date: String,
    pub(super) command: String,
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
    /// Commit of this checkout, with a plus sign if it was changed.
    pub(super) commit: String,
    /// Version of the peer; empty without one.
    pub(super) peer: String,
    pub(super) megabytes: u32,
    pub(super) rounds: u32,
    /// One-minute load of the host before the first and after the last round, without and with the measurement.
    pub(super) load: [f64; 2],
}

impl Setting {
    /// Looks around. What cannot be found out stays empty: it is no reason not to measure.
    pub(super) fn look() -> Self {
        let output = |program: &str, arguments: &[&str]| {
            run::output(run::tool(program).args(arguments).current_dir(crate::workspace::root()))
                .unwrap_or_default()
        };
        let changed = !output("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        Self {
            date: output("date", &["-u", "+%Y-%m-%d %H:%M"]),
            command: format!("cargo xtask {}", arguments.join(" ")),
            processor: processor(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            cores: crate::workspace::jobs(),
            kernel: output("uname", &["-sr"]),
            commit: output("git", &["rev-parse", "--short", "HEAD"]) + if changed { "+" } else { "" },
            load: [load(), 0.0],
            ..Self::default()
        }
    }

    /// One line about the machine.
    pub(super) fn machine(&self) -> String {
        format!(
            "{}, {} core{}, {}",
            self.processor,
            self.cores,
            if self.cores == 1 { "" } else { "s" },
            self.kernel
        )
    }
}

/// One-minute load average of the host.
pub(super) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

fn processor(cpuinfo: &str) -> String {
    let field = |name: &str| {
        cpuinfo.lines().find_map(|line| {
            line.split_once(':')
                .filter(|(key, _)| key.trim() == name)
                .map(|(_, value)| value.trim().to_owned())
        })
    };
    field("model name").or_else(|| field("cpu")).unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_named_or_at_least_its_architecture() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: Fast 9000\n"), "Fast 9000");
        assert_eq!(processor("processor : 0\ncpu : POWER9\n"), "POWER9");
        assert_eq!(processor(""), std::env::consts::ARCH);
    }
}
