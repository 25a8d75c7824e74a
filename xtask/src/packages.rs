//! What the system must have before a build can start, and how it gets there.
//!
//! Nothing is installed behind the user's back: missing packages are listed with the one command that
//! installs them, and installed after a yes on the terminal, with `--install`, or when `CI=true`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{SetupArgs, progress};

/// How often a package command is tried: mirrors have bad moments.
const ATTEMPTS: u32 = 3;

/// Something a build needs from the system.
pub(crate) enum Need {
    /// A program in the search path, and its Debian package.
    Program(&'static str, &'static str),
    /// A file, and its Debian package.
    File(&'static str, &'static str),
    /// The dynamic library libclang, which bindgen loads.
    LibClang,
}

/// What building guest programs and the kernel takes.
pub(crate) const GUEST: &[Need] = &[
    Need::Program("powerpc-linux-gnu-gcc", "gcc-powerpc-linux-gnu"),
    Need::File("/usr/powerpc-linux-gnu/lib/libc.a", "libc6-dev-powerpc-cross"),
    Need::Program("gcc", "gcc"),
    Need::File("/usr/include/stdio.h", "libc6-dev"),
    Need::Program("make", "make"),
    Need::Program("bc", "bc"),
    Need::Program("bison", "bison"),
    Need::Program("flex", "flex"),
    Need::Program("perl", "perl"),
    Need::Program("mkimage", "u-boot-tools"),
    Need::Program("bzip2", "bzip2"),
    Need::Program("xz", "xz-utils"),
];

/// What linking a program for a PowerPC host takes.
pub(crate) const CROSS: &[Need] = &[
    Need::Program("powerpc-linux-gnu-gcc", "gcc-powerpc-linux-gnu"),
    Need::File("/usr/powerpc-linux-gnu/lib/libc.a", "libc6-dev-powerpc-cross"),
];

/// What unpacking Debian sources takes.
pub(crate) const SOURCES: &[Need] = &[Need::Program("dpkg-source", "dpkg-dev")];

/// What building the workspace takes beyond Rust: Unicorn is C, built by CMake and read by bindgen.
pub(crate) const WORKSPACE: &[Need] = &[
    Need::Program("cmake", "cmake"),
    Need::Program("make", "make"),
    Need::Program("g++", "g++"),
    Need::Program("pkg-config", "pkg-config"),
    Need::LibClang,
];

impl Need {
    fn package(&self) -> &'static str {
        match self {
            Self::Program(_, package) | Self::File(_, package) => package,
            Self::LibClang => "libclang-dev",
        }
    }

    fn is_there(&self) -> bool {
        match self {
            Self::Program(name, _) => in_search_path(name),
            Self::File(path, _) => Path::new(path).exists(),
            Self::LibClang => std::env::var_os("LIBCLANG_PATH").is_some() || has_libclang(),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Program(name, _) => format!("the program {name}"),
            Self::File(path, _) => format!("the file {path}"),
            Self::LibClang => "the library libclang.so".to_owned(),
        }
    }
}

fn in_search_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// Where Debian and its relatives put libclang: beside the other libraries or inside an LLVM folder.
fn has_libclang() -> bool {
    let holds = |dir: &Path| {
        fs::read_dir(dir).is_ok_and(|items| {
            items.flatten().any(|item| item.file_name().to_string_lossy().starts_with("libclang.so"))
        })
    };
    let llvm = fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|item| item.file_name().to_string_lossy().starts_with("llvm-"));
    let multiarch = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let fixed = ["/usr/lib", "/usr/lib64", "/usr/local/lib", multiarch.as_str()];
    fixed.iter().any(|dir| holds(Path::new(dir)))
        || llvm.into_iter().any(|dir| holds(&dir.path().join("lib")))
}

/// Whether this machine is Debian, where packages and sources have the names that we know.
pub(crate) fn is_debian() -> bool {
    os_release("ID").as_deref() == Some("debian")
}

/// A value of `/etc/os-release`, unquoted.
pub(crate) fn os_release(name: &str) -> Option<String> {
    value_of(&fs::read_to_string("/etc/os-release").ok()?, name)
}

fn value_of(text: &str, name: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim().trim_matches('"').to_owned())
}

/// Makes sure that everything needed is there.
///
/// # Errors
/// When something is missing and may not or cannot be installed; the message is the whole instruction.
pub(crate) fn require(needs: &[&[Need]], setup: &SetupArgs) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().copied().flatten().filter(|need| !need.is_there()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_debian() {
        let list: Vec<String> = missing.iter().map(|need| format!("  {}", need.describe())).collect();
        bail!("This machine lacks\n{}\n\n{}", list.join("\n"), elsewhere());
    }
    let packages: BTreeSet<&str> = missing.iter().map(|need| need.package()).collect();
    let packages: Vec<&str> = packages.into_iter().collect();
    let become_root = !rustix::process::geteuid().is_root();
    let sudo = if become_root { "sudo " } else { "" };
    let list = packages.join(" ");
    let by_hand = format!("{sudo}apt-get update && {sudo}apt-get install --no-install-recommends {list}");
    progress::finish();
    if !(setup.install || ci() || agreed(&packages, &by_hand)?) {
        bail!(
            "Missing Debian packages: {}. Install them with\n  {by_hand}\nor repeat with --install",
            packages.join(" ")
        );
    }
    let mut update = vec!["update", "-q"];
    let mut install = vec!["install", "-q", "-y", "--no-install-recommends"];
    install.extend(&packages);
    if become_root {
        ensure!(in_search_path("sudo"), "Packages are missing and there is no sudo; as root: {by_hand}");
    }
    for arguments in [&mut update, &mut install] {
        apt_get(become_root, arguments)?;
    }
    let still: Vec<String> =
        missing.iter().filter(|need| !need.is_there()).map(|need| need.describe()).collect();
    ensure!(still.is_empty(), "After the installation there is still no {}", still.join(", no "));
    Ok(())
}

fn apt_get(become_root: bool, arguments: &[&str]) -> Result<()> {
    let mut attempt = 1;
    loop {
        let mut command = if become_root { Command::new("sudo") } else { Command::new("env") };
        let status = command
            .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"])
            .args(arguments)
            // Results go to standard output, and this is none.
            .stdout(std::io::stderr())
            .status()
            .context("Cannot run apt-get")?;
        if status.success() {
            return Ok(());
        }
        ensure!(attempt < ATTEMPTS, "apt-get {} failed {ATTEMPTS} times ({status})", arguments.join(" "));
        progress::line(&format!("apt-get {} failed, trying again", arguments.join(" ")));
        std::thread::sleep(std::time::Duration::from_secs(5 * u64::from(attempt)));
        attempt += 1;
    }
}

fn ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

fn agreed(packages: &[&str], by_hand: &str) -> Result<bool> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Ok(false);
    }
    eprintln!("Missing Debian packages: {}", packages.join(" "));
    eprint!("Run `{by_hand}` now? [y/N] ");
    std::io::stderr().flush().context("Cannot write to the terminal")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("Cannot read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The one screen for a machine that is not Debian.
pub(crate) fn elsewhere() -> String {
    "Guest images are built from Debian's sources, fetched from a Debian machine's own mirrors.\n\
     Elsewhere:\n\
     \x20 * cargo xtask boot --kernel-source DIR\n\
     \x20   builds a Linux tree of yours (6.1 is tested) with 44x/bamboo_defconfig. It needs GNU make, gcc,\n\
     \x20   bc, bison, flex, perl, mkimage (u-boot-tools) and the cross compiler powerpc-linux-gnu-gcc.\n\
     \x20   Add --initrd FILE: the root file system comes from Debian's busybox source otherwise.\n\
     \x20 * cargo xtask boot --kernel FILE --initrd FILE\n\
     \x20   boots a vmlinux, uImage, cuImage or treeImage and a root file system of yours; nothing is built.\n\
     \x20 * The VMM itself needs Rust with a C linker, and for the Unicorn backend cmake, make, g++,\n\
     \x20   pkg-config and libclang (packages of the same names on most systems)."
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_values_lose_their_quotes() {
        let text = "PRETTY_NAME=\"Some System 12\"\nID=debian\nVERSION_CODENAME=bookworm\n";
        assert_eq!(value_of(text, "ID").as_deref(), Some("debian"));
        assert_eq!(value_of(text, "PRETTY_NAME").as_deref(), Some("Some System 12"));
        assert_eq!(value_of(text, "NAME"), None);
    }

    #[test]
    fn the_other_systems_screen_fits_on_one_and_names_both_ways_out() {
        let text = elsewhere();
        assert!(text.lines().count() <= 20 && text.lines().all(|line| line.len() <= 110), "{text}");
        assert!(text.contains("--kernel-source DIR") && text.contains("--kernel FILE --initrd FILE"));
    }
}
