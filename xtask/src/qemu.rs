//! The peer: QEMU 10 from Debian, unpacked beside the system. Older ones prove little, because the 440's
//! TLB handling was reworked in 9.0.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::apt::Apt;
use crate::cache::{Cache, Key};
use crate::packages;
use crate::progress::Task;
use crate::{SetupArgs, run};

/// The peer as it lies in the cache.
pub(crate) struct Qemu {
    /// A script that starts `qemu-system-ppc` with the unpacked libraries and data.
    pub(crate) program: PathBuf,
    /// The data folder (`-L`).
    pub(crate) data: PathBuf,
}

/// Fetches and unpacks the peer, or finds it in the cache.
pub(crate) fn ensure(cache: &Cache, setup: &SetupArgs) -> Result<Qemu> {
    let own = packages::os_release("VERSION_CODENAME").unwrap_or_default();
    // Debian 12 has 7.2 and its backports have 10; later releases have 10 or newer themselves.
    let backports = own == "bookworm";
    let key = Key::new("qemu", 1).text("release", &own).text("host", std::env::consts::ARCH);
    let dir = cache.ensure(&key, |out| {
        ensure!(packages::is_debian(), "QEMU is fetched from Debian's archive.\n{}", packages::elsewhere());
        packages::require(&[packages::SOURCES], setup)?;
        let task = Task::new("qemu");
        let apt = Apt::open(cache, "peer", &own, backports, &task)?;
        let suite = format!("{own}-backports");
        let wanted = ["qemu-system-ppc", "qemu-system-data"];
        let debs = apt.closure(&wanted, backports.then_some(suite.as_str()), &task)?;
        for deb in debs {
            apt.unpack(&deb, out, &task)?;
        }
        write_starter(out)?;
        let version = run::output(run::tool("sh").arg(starter(out)).arg("--version"))?;
        ensure!(major(&version) >= Some(10), "Debian's QEMU is too old to compare with: {version}");
        task.done(version.lines().next().unwrap_or_default());
        Ok(())
    })?;
    Ok(Qemu { program: starter(&dir), data: dir.join("usr/share/qemu") })
}

fn starter(dir: &Path) -> PathBuf {
    dir.join("qemu-system-ppc")
}

/// Writes the script that finds everything relative to itself, because the entry is renamed when complete.
fn write_starter(dir: &Path) -> Result<()> {
    let path = starter(dir);
    let multiarch = format!("{}-linux-gnu", std::env::consts::ARCH);
    let script = format!(
        "#!/bin/sh\nhere=$(dirname \"$(readlink -f \"$0\")\")\n\
         export LD_LIBRARY_PATH=\"$here/usr/lib/{multiarch}:$here/lib/{multiarch}\"\n\
         exec \"$here/usr/bin/qemu-system-ppc\" -L \"$here/usr/share/qemu\" \"$@\"\n"
    );
    fs::write(&path, script).with_context(|| format!("Cannot write {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("Cannot make {} executable", path.display()))
}

/// The major number in `QEMU emulator version 10.0.2 (...)`.
fn major(version: &str) -> Option<u32> {
    version.split("version ").nth(1)?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_the_banner() {
        assert_eq!(major("QEMU emulator version 10.0.2 (Debian 1:10.0.2)\nCopyright"), Some(10));
        assert_eq!(major("QEMU emulator version 7.2.22"), Some(7));
        assert_eq!(major("something else"), None);
    }
}
