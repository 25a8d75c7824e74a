//! The host's side: from C tables back to the traits of [`crate::api`], so that a host uses a plugin in the same way
//! whether it was loaded or linked.
//!
//! A [`Plugin`] checks ABI and sizes before it looks at anything else, runs `init`, and keeps the library (through
//! whatever the loader hands it) until the last backend, board, engine and machine is gone; then it runs `deinit`.

mod backend;
mod board;

pub use backend::LoadedBackend;
pub use board::LoadedBoard;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::abi::{ABI, VmmBackend, VmmBoard, VmmBytes, VmmHost, VmmPlugin};
use crate::ffi::{Pieces, c_text, outcome};

/// Why a plugin cannot be used. The file is not named: the loader knows it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The entry function returned null.
    #[error("It has the plugin symbol but offers no plugin")]
    Nothing,
    /// Another version of the interface.
    #[error("It was built for plugin ABI {found}, this program has ABI {ABI}; build both from one version")]
    Abi {
        /// The plugin's number.
        found: u32,
    },
    /// A table is smaller than this ABI has it.
    #[error("Its table {table} has {found} bytes, too few for ABI {ABI}; rebuild it")]
    Size {
        /// The table's type.
        table: &'static str,
        /// Its size in bytes.
        found: u32,
    },
    /// A table lacks an entry that every plugin must have.
    #[error("Its table {table} has no entry `{entry}`, which every plugin must have")]
    Lacks {
        /// The table's type.
        table: &'static str,
        /// The entry.
        entry: &'static str,
    },
    /// `init` refused or panicked.
    #[error("Its initialization failed: {0}")]
    Init(String),
}

/// A plugin that is ready for use. Clones share it.
#[derive(Clone)]
pub struct Plugin {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    version: String,
    licence: String,
    backends: Vec<backend::Table>,
    boards: Vec<board::Table>,
    deinit: Option<unsafe extern "C" fn()>,
    /// The library. Last, so that it goes after all else.
    _library: Box<dyn Any + Send + Sync>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(deinit) = self.deinit {
            // SAFETY: init succeeded, and no instance is left: each holds this.
            unsafe { deinit() };
        }
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin").field("name", &self.name()).field("version", &self.version()).finish()
    }
}

impl Plugin {
    /// Takes a plugin that is linked into this program.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn linked(table: &'static VmmPlugin, host: &'static VmmHost) -> Result<Self, LoadError> {
        // SAFETY: a plugin's table that this program links came from `plugin!` or from an author who vouches for it,
        // and there is no library to go away.
        unsafe { Self::loaded(table, host, Box::new(())) }
    }

    /// Takes a plugin from a table that came out of a library; `library` keeps it loaded.
    ///
    /// # Errors
    /// See [`LoadError`].
    ///
    /// # Safety
    /// `table` is null or was returned by the library's entry function, and the library keeps the promises of
    /// [`crate::abi`].
    pub unsafe fn loaded(
        table: *const VmmPlugin,
        host: &'static VmmHost,
        library: Box<dyn Any + Send + Sync>,
    ) -> Result<Self, LoadError> {
        if table.is_null() {
            return Err(LoadError::Nothing);
        }
        // Only size and ABI may be looked at before both are known to fit.
        // SAFETY: not null, and every ABI has these two first.
        let (size, found) = unsafe { ((&raw const (*table).size).read(), (&raw const (*table).abi).read()) };
        if found != ABI {
            return Err(LoadError::Abi { found });
        }
        check_size::<VmmPlugin>("VmmPlugin", size)?;
        // SAFETY: it is of our ABI and at least as large as our type.
        let table = unsafe { &*table };
        // SAFETY: the tables of a plugin of our ABI, which live as long as the library.
        let (backends, boards) =
            unsafe { (list(table.backends, table.backend_count), list(table.boards, table.board_count)) };
        let mut inner = Inner {
            // SAFETY: NUL-terminated strings of a plugin of our ABI.
            name: unsafe { c_text(table.name) },
            // SAFETY: as above.
            version: unsafe { c_text(table.version) },
            // SAFETY: as above.
            licence: unsafe { c_text(table.licence) },
            backends: backends
                .iter()
                // SAFETY: not null, valid, and its size is looked at first.
                .map(|table: &*const VmmBackend| backend::Table::new(unsafe { &**table }))
                .collect::<Result<_, _>>()?,
            boards: boards
                .iter()
                // SAFETY: tables of a plugin of our ABI begin with their size.
                .map(|table: &*const VmmBoard| unsafe { board::Table::new(*table) })
                .collect::<Result<_, _>>()?,
            deinit: None,
            _library: library,
        };
        if let Some(init) = table.init {
            // SAFETY: an entry of the table, called once and first; the host lives for ever.
            let result = Pieces::collect(|why| unsafe { init(host, why) });
            outcome(result).map_err(|refusal| LoadError::Init(refusal.0))?;
        }
        inner.deinit = table.deinit;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The plugin's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }
    /// Its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.inner.version
    }
    /// Its licence, an SPDX expression.
    #[must_use]
    pub fn licence(&self) -> &str {
        &self.inner.licence
    }
    /// Its backends.
    #[must_use]
    pub fn backends(&self) -> Vec<LoadedBackend> {
        (0..self.inner.backends.len()).map(|index| LoadedBackend::new(self.clone(), index)).collect()
    }
    /// Its boards.
    #[must_use]
    pub fn boards(&self) -> Vec<LoadedBoard> {
        (0..self.inner.boards.len()).map(|index| LoadedBoard::new(self.clone(), index)).collect()
    }
}

fn check_size<T>(table: &'static str, found: u32) -> Result<(), LoadError> {
    if (found as usize) < size_of::<T>() { Err(LoadError::Size { table, found }) } else { Ok(()) }
}

/// A copy of a table of `found` bytes, at least `oldest` of them; what it lacks at its end is zero.
///
/// # Safety
/// `table` points to `found` bytes, and `T` may be all zeros.
pub(crate) unsafe fn grown<T>(
    name: &'static str,
    table: *const T,
    found: u32,
    oldest: usize,
) -> Result<T, LoadError> {
    if (found as usize) < oldest {
        return Err(LoadError::Size { table: name, found });
    }
    let mut copy = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: the caller vouches for `found` bytes, and no more than the copy holds are taken; the rest may be zero.
    unsafe {
        let bytes = (found as usize).min(size_of::<T>());
        std::ptr::copy_nonoverlapping(table.cast::<u8>(), copy.as_mut_ptr().cast(), bytes);
        Ok(copy.assume_init())
    }
}

/// # Safety
/// `first` points to `count` pointers, or `count` is 0.
unsafe fn list<'a, T>(first: *const *const T, count: usize) -> &'a [*const T] {
    if count == 0 || first.is_null() {
        return &[];
    }
    // SAFETY: the caller vouches for it.
    unsafe { std::slice::from_raw_parts(first, count) }
}

/// A host that shows no message, for tests.
#[must_use]
pub fn silent_host() -> &'static VmmHost {
    unsafe extern "C" fn log_enabled(_: *mut std::ffi::c_void, _: u32, _: VmmBytes) -> u32 {
        0
    }
    unsafe extern "C" fn log(_: *mut std::ffi::c_void, _: u32, _: VmmBytes, _: VmmBytes) {}
    static HOST: VmmHost = VmmHost {
        size: size_of::<VmmHost>() as u32,
        abi: ABI,
        ctx: std::ptr::null_mut(),
        log_enabled: Some(log_enabled),
        log: Some(log),
    };
    &HOST
}
