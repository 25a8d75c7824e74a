//! Assembles every `kernels/NAME.s` into an ELF image and writes the table of kernels that the crate includes.
//!
//! A kernel's head says what it is, one `#! key: value` a line: `summary` (required), `checks` (how many lines it
//! reports, required), `privileged` (yes unless it says no). `kernels/NAME.qemu`, if there is one, lists the
//! checks that QEMU is known to fail: a line `# reason`, then their names.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use ppc440_asm::Assembler;

/// Where the images lie in RAM; `lib.inc.s` says the same as `BASE`.
const BASE: u32 = 0x0010_0000;

fn main() {
    let folder = Path::new("kernels");
    println!("cargo::rerun-if-changed={}", folder.display());
    if let Err(message) = generate(folder) {
        // A build script's panic is its way to say why it failed.
        panic!("{message}");
    }
}

fn generate(folder: &Path) -> Result<(), String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let read =
        |path: &Path| fs::read_to_string(path).map_err(|e| format!("Cannot read {}: {e}", path.display()));
    let mut names = vec![];
    let mut assembler = Assembler::new().base(BASE);
    for entry in fs::read_dir(folder).map_err(|e| format!("Cannot list {}: {e}", folder.display()))? {
        let path = entry.map_err(|e| e.to_string())?.path();
        let file = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if file.ends_with(".inc.s") {
            assembler = assembler.include(file, &read(&path)?);
        } else if let Some(name) = file.strip_suffix(".s") {
            names.push(name.to_owned());
        }
    }
    names.sort();
    let mut table = String::from("&[\n");
    for name in names {
        let file = format!("{name}.s");
        let text = read(&folder.join(&file))?;
        let program = assembler.assemble(&file, &text).map_err(|e| e.to_string())?;
        fs::write(out.join(format!("{name}.elf")), program.to_elf(program.base))
            .map_err(|e| e.to_string())?;

        let head = |key: &str| {
            text.lines().map_while(|l| l.strip_prefix("#!")).find_map(|l| {
                let (k, value) = l.split_once(':')?;
                (k.trim() == key).then(|| value.trim().to_owned())
            })
        };
        let summary = head("summary").ok_or(format!("{file}: No \"#! summary:\" line"))?;
        let checks: u32 = head("checks")
            .and_then(|n| n.parse().ok())
            .ok_or(format!("{file}: No \"#! checks: NUMBER\" line"))?;
        let privileged = head("privileged").is_none_or(|v| v != "no");
        let differences = folder.join(format!("{name}.qemu"));
        let differences = if differences.exists() { read(&differences)? } else { String::new() };
        let _ = write!(
            table,
            "Microkernel {{ name: {name:?}, summary: {summary:?}, checks: {checks}, privileged: {privileged}, \
             image: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.elf\")), \
             qemu: QemuExpectation {{ differs: &["
        );
        for (check, reason) in differing_checks(&differences).map_err(|e| format!("{name}.qemu: {e}"))? {
            let _ = write!(table, "Difference {{ check: {check:?}, reason: {reason:?} }}, ");
        }
        table.push_str("] } },\n");
    }
    table.push_str("]\n");
    fs::write(out.join("kernels.rs"), table).map_err(|e| e.to_string())
}

/// Names with the reason that stands above them.
fn differing_checks(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut reason = None;
    let mut found: Vec<(&str, &str)> = vec![];
    for line in text.lines() {
        if let Some(text) = line.strip_prefix('#') {
            reason = Some(text.trim());
            continue;
        }
        for check in line.split_whitespace() {
            let reason = reason.ok_or("A check stands above the first reason")?;
            if found.iter().any(|(name, _)| *name == check) {
                return Err(format!("{check} is listed twice"));
            }
            found.push((check, reason));
        }
    }
    Ok(found)
}
