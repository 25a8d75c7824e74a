//! The core's state in words: a register dump, and the TLB as a table.

use std::fmt::Write as _;

use vmm_plugin::api::CpuState;

/// All registers that tell where a guest is and why.
pub(crate) fn dump(state: &CpuState) -> String {
    let mut text = String::new();
    let mut line = |fields: &[(&str, u32)]| {
        for (name, value) in fields {
            // Writing to a string cannot fail.
            let _ = write!(text, "{name:>5} {value:08x} ");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    };
    line(&[("pc", state.pc), ("msr", state.msr), ("lr", state.lr), ("ctr", state.ctr)]);
    line(&[("cr", state.cr), ("xer", state.xer), ("pid", state.pid), ("mmucr", state.mmucr)]);
    for first in (0..32).step_by(4) {
        let names: Vec<String> = (first..first + 4).map(|n| format!("r{n}")).collect();
        let fields: Vec<(&str, u32)> =
            names.iter().zip(first..).map(|(name, n)| (name.as_str(), state.gpr[n])).collect();
        line(&fields);
    }
    line(&[
        ("srr0", state.srr[0]),
        ("srr1", state.srr[1]),
        ("csrr0", state.csrr[0]),
        ("csrr1", state.csrr[1]),
    ]);
    line(&[("mcsr0", state.mcsrr[0]), ("mcsr1", state.mcsrr[1]), ("mcsr", state.mcsr), ("esr", state.esr)]);
    line(&[("dear", state.dear), ("ivpr", state.ivpr), ("dec", state.dec), ("tsr", state.tsr)]);
    line(&[("tcr", state.tcr), ("dbsr", state.dbsr), ("dbcr0", state.dbcr[0]), ("pvr", state.pvr)]);
    line(&[
        ("spg0", state.sprg[0]),
        ("spg1", state.sprg[1]),
        ("spg2", state.sprg[2]),
        ("spg3", state.sprg[3]),
    ]);
    line(&[
        ("ivor0", state.ivor[0]),
        ("ivor1", state.ivor[1]),
        ("ivor2", state.ivor[2]),
        ("ivor3", state.ivor[3]),
    ]);
    let _ = writeln!(text, "   tb {:016x}", state.tb);
    text
}

/// The valid entries of the guest's TLB (PPC440x5 core manual, chapter "Memory management": words 0-2).
pub(crate) fn tlb(state: &CpuState) -> String {
    let mut text = String::from(" #  EPN      size  TS TID  RPN         WIMGE U0-3 user super\n");
    let mut valid = 0;
    for (index, entry) in state.tlb.iter().enumerate() {
        if entry.word0 & 0x200 == 0 {
            continue;
        }
        valid += 1;
        let size = match entry.word0 >> 4 & 0xf {
            0 => "1K",
            1 => "4K",
            2 => "16K",
            3 => "64K",
            4 => "256K",
            5 => "1M",
            7 => "16M",
            9 => "256M",
            _ => "?",
        };
        let rpn = u64::from(entry.word1 & 0xf) << 32 | u64::from(entry.word1 & 0xffff_fc00);
        let flags = |bits: u32, names: &str, top: u32| -> String {
            names.chars().zip(0..).map(|(name, n)| if bits & top >> n != 0 { name } else { '-' }).collect()
        };
        let _ = writeln!(
            text,
            "{index:2}  {:08x} {size:>4}   {}  {:02x}  {rpn:09x}   {} {:x}    {}  {}",
            entry.word0 & 0xffff_fc00,
            entry.word0 >> 8 & 1,
            entry.tid & 0xff,
            flags(entry.word2, "WIMGE", 0x800),
            entry.word2 >> 12 & 0xf,
            flags(entry.word2, "xwr", 0x20),
            flags(entry.word2, "xwr", 0x4),
        );
    }
    let _ = writeln!(text, "{valid} of {} entries are valid", state.tlb.len());
    text
}
