//! What KVM this host has, and whether it serves a 440 guest.
//!
//! The probe opens the device, asks for the API version and looks at the processor, so that each case has its own
//! answer: no KVM at all, no permission, a KVM of another age, a KVM for another architecture (and then by which means
//! it virtualizes), or one that serves. It creates no machine and
//! changes nothing.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The only API version that a kernel since 2007 answers.
pub const API_VERSION: i32 = 12;

/// By which means a host of another architecture virtualizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// Intel VMX, as the processor says.
    Vmx,
    /// AMD SVM, as the processor says.
    Svm,
    /// PVM, a KVM in software: its module is loaded.
    Pvm,
    /// The processor shows neither: a kernel with another KVM in software, or a hypervisor that hides what it has.
    Software,
    /// The processor cannot be asked from here.
    Unknown,
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vmx => "by VMX",
            Self::Svm => "by SVM",
            Self::Pvm => "by PVM, in software",
            Self::Software => "without VMX or SVM",
            Self::Unknown => "by means unknown",
        })
    }
}

/// What the probe found; each prints as one sentence that names the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The device does not exist.
    Absent(PathBuf),
    /// It exists, and this user may not open it.
    Forbidden(PathBuf),
    /// Opening failed otherwise.
    Unusable(PathBuf, String),
    /// The file answers no KVM request.
    NoKvm(PathBuf),
    /// It answers, with another API version.
    Version(i32),
    /// KVM works, and can hold the engine.
    Ready(Means),
    /// KVM works, and runs guests of an architecture for which this backend has no arm.
    OtherArchitecture {
        /// The host's architecture.
        host: &'static str,
        /// How it virtualizes.
        means: Means,
    },
    /// KVM works on a PowerPC host.
    PowerPc,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(path) => {
                write!(
                    f,
                    "{} does not exist: this kernel has no KVM, or its module is not loaded",
                    path.display()
                )
            }
            Self::Forbidden(path) => {
                write!(
                    f,
                    "{} may not be opened by this user: join the group that owns it (often kvm)",
                    path.display()
                )
            }
            Self::Unusable(path, why) => write!(f, "{} cannot be opened: {why}", path.display()),
            Self::NoKvm(path) => {
                write!(f, "{} does not answer KVM requests: it is another device", path.display())
            }
            Self::Version(version) => {
                write!(f, "The kernel's KVM has API version {version}; version {API_VERSION} is needed")
            }
            Self::Ready(means) => write!(f, "KVM can hold the engine ({means})"),
            Self::OtherArchitecture { host, means } => write!(
                f,
                "KVM on this host runs {host} guests ({means}), and backend kvm has no use for that; take --backend interp"
            ),
            Self::PowerPc => f.write_str("KVM of a PowerPC host"),
        }
    }
}

/// Looks at the device at `path` and at the processor.
#[must_use]
pub fn probe(path: &Path) -> Finding {
    match open(path) {
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => Finding::Absent(path.into()),
            io::ErrorKind::PermissionDenied => Finding::Forbidden(path.into()),
            // ENODEV and ENXIO: a node in /dev with no driver behind it.
            _ if matches!(error.raw_os_error(), Some(6 | 19)) => Finding::Absent(path.into()),
            _ => Finding::Unusable(path.into(), error.to_string()),
        },
        Ok(None) => Finding::NoKvm(path.into()),
        Ok(Some(API_VERSION)) => architecture(),
        Ok(Some(version)) => Finding::Version(version),
    }
}

fn architecture() -> Finding {
    if cfg!(any(target_arch = "powerpc", target_arch = "powerpc64")) {
        Finding::PowerPc
    } else if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        Finding::Ready(means())
    } else {
        Finding::OtherArchitecture { host: std::env::consts::ARCH, means: means() }
    }
}

/// Opens the device and asks for the API version; `None` if it does not answer.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn open(path: &Path) -> io::Result<Option<i32>> {
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    let kvm =
        kvm_ioctls::Kvm::new_with_path(name).map_err(|errno| io::Error::from_raw_os_error(errno.errno()))?;
    let version = kvm.get_api_version();
    Ok((version >= 0).then_some(version))
}

/// Opens the device. What it answers is not asked for where there is no binding for the request.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn open(path: &Path) -> io::Result<Option<i32>> {
    std::fs::OpenOptions::new().read(true).write(true).open(path).map(|_| Some(API_VERSION))
}

/// What the processor says of itself. A hypervisor above may hide VMX and SVM and still offer KVM in software.
#[cfg(target_arch = "x86_64")]
fn means() -> Means {
    use std::arch::x86_64::{__cpuid, __get_cpuid_max};
    let vmx = __cpuid(1).ecx & (1 << 5) != 0;
    let svm = __get_cpuid_max(0x8000_0000).0 >= 0x8000_0001 && __cpuid(0x8000_0001).ecx & (1 << 2) != 0;
    if Path::new("/sys/module/kvm_pvm").exists() {
        Means::Pvm
    } else if vmx {
        Means::Vmx
    } else if svm {
        Means::Svm
    } else {
        Means::Software
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn means() -> Means {
    Means::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_does_not_exist_is_absent() {
        let path = Path::new("/nonexistent/kvm");
        assert_eq!(probe(path), Finding::Absent(path.into()));
        assert!(probe(path).to_string().starts_with("/nonexistent/kvm does not exist"));
    }

    #[test]
    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn a_file_that_is_no_kvm_says_so() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        assert_eq!(probe(file.path()), Finding::NoKvm(file.path().into()));
        assert_eq!(probe(Path::new("/dev/null")), Finding::NoKvm("/dev/null".into()));
    }

    #[test]
    fn a_directory_cannot_be_opened_for_writing() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        assert!(matches!(probe(directory.path()), Finding::Unusable(..)));
    }

    #[test]
    fn every_finding_is_one_sentence_that_names_the_thing() {
        let path = PathBuf::from("/dev/kvm");
        let findings = [
            Finding::Absent(path.clone()),
            Finding::Forbidden(path.clone()),
            Finding::Unusable(path.clone(), "Too many open files".into()),
            Finding::NoKvm(path),
            Finding::Version(11),
            Finding::Ready(Means::Pvm),
            Finding::OtherArchitecture { host: "aarch64", means: Means::Unknown },
            Finding::PowerPc,
        ];
        for finding in findings {
            let text = finding.to_string();
            assert!(text.contains("kvm") || text.contains("KVM"), "{text}");
            assert!(!text.ends_with('.') && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    fn the_backend_is_usable_exactly_where_kvm_is_ready() {
        use vmm_plugin::api::Backend;
        match (probe(Path::new(crate::DEVICE)), crate::Kvm.probe()) {
            (Finding::Ready(_), Ok(())) => {}
            (finding, Err(refusal)) => assert_eq!(refusal.0, finding.to_string()),
            (finding, Ok(())) => panic!("usable, though {finding}"),
        }
    }
}
