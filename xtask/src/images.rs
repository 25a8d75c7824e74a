//! All guest images together, and the variables under which tests find them.

use std::path::PathBuf;
use std::process::Command;
use std::thread;

use anyhow::{Result, anyhow};

use crate::cache::Cache;
use crate::kernel::Kernel;
use crate::valgrind::Valgrind;
use crate::{KernelSource, SetupArgs, busybox, initramfs, kernel, packages, programs, qemu, valgrind};

/// Names and values of the variables that tell tests where the images are.
pub(crate) struct Images {
    variables: Vec<(&'static str, PathBuf)>,
}

impl Images {
    /// Sets all variables for a child.
    pub(crate) fn apply(&self, command: &mut Command) {
        command.envs(self.variables.iter().map(|(name, path)| (name, path)));
    }

    /// A table for people.
    pub(crate) fn listing(&self) -> String {
        self.variables.iter().map(|(name, path)| format!("{name:<28} {}\n", path.display())).collect()
    }

    /// Shell commands for `eval`.
    pub(crate) fn exports(&self) -> String {
        self.variables
            .iter()
            .map(|(name, path)| {
                format!("export {name}='{}'\n", path.display().to_string().replace('\'', r"'\''"))
            })
            .collect()
    }
}

/// The two files that a boot needs.
pub(crate) struct BootImages {
    /// The kernel as ELF.
    pub(crate) kernel: Kernel,
    /// The root file system.
    pub(crate) initrd: PathBuf,
}

/// Builds kernel and root file system, both at the same time.
pub(crate) fn boot(cache: &Cache, setup: &SetupArgs, source: &KernelSource) -> Result<BootImages> {
    packages::require(&[packages::GUEST, packages::SOURCES], setup)?;
    let (kernel, initrd) = thread::scope(|scope| {
        let kernel = scope.spawn(|| kernel::ensure(cache, source.kernel_source.as_deref()));
        let initrd = root_file_system(cache);
        (join(kernel), initrd)
    });
    Ok(BootImages { kernel: kernel?, initrd: initrd? })
}

/// Builds only the kernel, for a root file system of the user's.
pub(crate) fn kernel_only(cache: &Cache, setup: &SetupArgs, source: &KernelSource) -> Result<Kernel> {
    packages::require(&[packages::GUEST], setup)?;
    kernel::ensure(cache, source.kernel_source.as_deref())
}

fn root_file_system(cache: &Cache) -> Result<PathBuf> {
    let programs = programs::ensure(cache)?;
    let busybox = busybox::ensure(cache)?;
    initramfs::ensure(cache, "initramfs", &busybox, &programs, None)
}

/// Builds everything that tests use, the kernel beside the rest.
pub(crate) fn build(setup: &SetupArgs, source: &KernelSource) -> Result<Images> {
    let cache = Cache::open()?;
    packages::require(&[packages::GUEST, packages::SOURCES], setup)?;
    let (kernel, rest) = thread::scope(|scope| {
        let kernel = scope.spawn(|| kernel::ensure(&cache, source.kernel_source.as_deref()));
        let rest = rest_of_images(&cache, setup);
        (join(kernel), rest)
    });
    let (kernel, rest) = (kernel?, rest?);
    let Rest { programs, initrd, valgrind, valgrind_initrd, qemu } = rest;
    Ok(Images {
        variables: vec![
            ("VMM_TEST_VMLINUX", kernel.file("vmlinux")),
            ("VMM_TEST_UIMAGE", kernel.file("uImage")),
            ("VMM_TEST_CUIMAGE", kernel.file("cuImage.bamboo")),
            ("VMM_TEST_TREEIMAGE", kernel.file("treeImage.bamboo")),
            ("VMM_TEST_DTB", kernel.file("bamboo.dtb")),
            ("VMM_TEST_SYSTEM_MAP", kernel.file("System.map")),
            ("VMM_TEST_INITRD", initrd),
            ("VMM_TEST_GUEST_DIR", programs),
            ("VMM_TEST_VALGRIND_INITRD", valgrind_initrd),
            ("VMM_TEST_VALGRIND_DIR", valgrind.dir),
            ("VMM_TEST_VALGRIND_SRC", valgrind.source),
            ("VMM_TEST_QEMU", qemu.program),
            ("VMM_TEST_QEMU_LIB", qemu.data),
        ],
    })
}

struct Rest {
    programs: PathBuf,
    initrd: PathBuf,
    valgrind: Valgrind,
    valgrind_initrd: PathBuf,
    qemu: qemu::Qemu,
}

fn rest_of_images(cache: &Cache, setup: &SetupArgs) -> Result<Rest> {
    let programs = programs::ensure(cache)?;
    let qemu = qemu::ensure(cache, setup)?;
    let busybox = busybox::ensure(cache)?;
    let initrd = initramfs::ensure(cache, "initramfs", &busybox, &programs, None)?;
    let valgrind = valgrind::ensure(cache)?;
    let valgrind_initrd =
        initramfs::ensure(cache, "initramfs-valgrind", &busybox, &programs, Some(&valgrind))?;
    Ok(Rest { programs, initrd, valgrind, valgrind_initrd, qemu })
}

fn join<T>(handle: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    handle.join().unwrap_or_else(|_| Err(anyhow!("A build thread panicked")))
}
