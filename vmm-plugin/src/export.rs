//! The plugin's side: from trait implementations to C tables.
//!
//! [`plugin!`](crate::plugin!) makes `pub static PLUGIN` and enters it in the *plugin set*: a link section in which
//! every plugin crate of one image leaves one pointer. The C symbol `vmm_plugin` is defined once, here, and returns
//! the first member of the set. So a cdylib, whose image holds one plugin crate, exports its own table; and a program
//! that links several plugins as rlibs has one symbol and no clash, and lists them by their `PLUGIN`s. (A
//! `#[no_mangle]` static in each plugin would define the symbol twice there: cargo makes rlib and cdylib from the
//! same object code, and a cargo feature to tell them apart is switched on for both whenever the workspace is built
//! as one.)

mod backend;
mod board;
mod log;
mod set;

pub use set::Entry;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::abi::{ABI, VmmBackend, VmmBoard, VmmHost, VmmPlugin, VmmSink};
use crate::api::{Backend, Board, Refusal};

/// The table of a backend; [`plugin!`](crate::plugin!) calls it.
#[must_use]
pub const fn backend<T: Backend + 'static>(instance: &'static T) -> VmmBackend {
    backend::table(instance)
}

/// The table of a board; [`plugin!`](crate::plugin!) calls it.
#[must_use]
pub const fn board<T: Board + 'static>(instance: &'static T) -> VmmBoard {
    board::table(instance)
}

/// What `init` of every plugin does: forwards `tracing` to the host, then runs the plugin's own part.
///
/// # Safety
/// `host` lives as long as the image; `why` is a valid sink.
#[doc(hidden)]
pub unsafe fn init(host: *const VmmHost, why: *const VmmSink, own: fn() -> Result<(), Refusal>) -> i32 {
    // SAFETY: the caller vouches for the sink and the host.
    unsafe {
        crate::ffi::guard(why, || {
            log::forward(host.as_ref());
            own()
        })
    }
}

/// Runs a plugin's own `deinit`; a panic stops here.
#[doc(hidden)]
pub fn deinit(own: fn()) {
    let _ = catch_unwind(AssertUnwindSafe(own));
}

/// The parts of a plugin that its macro fills in.
#[doc(hidden)]
#[derive(Debug)]
pub struct Parts {
    /// NUL-terminated.
    pub name: &'static str,
    /// NUL-terminated.
    pub version: &'static str,
    /// NUL-terminated.
    pub licence: &'static str,
    /// Calls [`init`].
    pub init: unsafe extern "C" fn(*const VmmHost, *const VmmSink) -> i32,
    /// Calls [`deinit`].
    pub deinit: unsafe extern "C" fn(),
    /// Backends.
    pub backends: &'static [&'static VmmBackend],
    /// Boards.
    pub boards: &'static [&'static VmmBoard],
}

/// Makes the plugin's table.
#[doc(hidden)]
#[must_use]
pub const fn plugin(parts: Parts) -> VmmPlugin {
    VmmPlugin {
        size: size_of::<VmmPlugin>() as u32,
        abi: ABI,
        name: parts.name.as_ptr().cast(),
        version: parts.version.as_ptr().cast(),
        licence: parts.licence.as_ptr().cast(),
        init: Some(parts.init),
        deinit: Some(parts.deinit),
        backends: parts.backends.as_ptr().cast(),
        backend_count: parts.backends.len(),
        boards: parts.boards.as_ptr().cast(),
        board_count: parts.boards.len(),
    }
}

/// Makes a crate a plugin: defines `pub static PLUGIN` and, in the crate's cdylib, the exported symbol.
///
/// `backends` and `boards` list constant expressions (unit structs, struct literals, or statics) of types that
/// implement [`Backend`](crate::api::Backend) and [`Board`](crate::api::Board). `name`, version and licence are the
/// crate's, from its Cargo.toml. `init` (a `fn() -> Result<(), Refusal>`) and `deinit` (a `fn()`) are optional.
///
/// ```
/// use vmm_plugin::api::*;
/// # use vmm_plugin::bus::PluginBus;
/// struct Toy;
/// impl Backend for Toy {
///     fn info(&self) -> Info {
///         Info { id: "toy".into(), summary: "Does nothing".into(), rank: 0, caps: 0 }
///     }
///     fn probe(&self) -> Result<(), Refusal> {
///         Err("Toy is only an example".into())
///     }
///     fn create(&self, _: &EngineConfig, _: PluginBus) -> Result<Box<dyn Engine>, Refusal> {
///         Err("Toy is only an example".into())
///     }
/// }
/// vmm_plugin::plugin! { backends: [Toy], boards: [] }
/// # fn main() {
/// let plugin = vmm_plugin::load::Plugin::linked(&PLUGIN, vmm_plugin::load::silent_host()).unwrap();
/// assert_eq!(plugin.backends()[0].info().id, "toy");
/// # }
/// ```
#[macro_export]
macro_rules! plugin {
    (
        backends: [$($backend:expr),* $(,)?],
        boards: [$($board:expr),* $(,)?]
        $(, init: $init:expr)? $(, deinit: $deinit:expr)? $(,)?
    ) => {
        /// This crate's plugin table, for programs that link it instead of loading it.
        pub static PLUGIN: $crate::abi::VmmPlugin = {
            unsafe extern "C" fn init(
                host: *const $crate::abi::VmmHost,
                why: *const $crate::abi::VmmSink,
            ) -> i32 {
                let own: fn() -> Result<(), $crate::api::Refusal> = $crate::plugin!(@or || Ok(()) $(, $init)?);
                // SAFETY: the loader vouches for both, as the table demands.
                unsafe { $crate::export::init(host, why, own) }
            }
            unsafe extern "C" fn deinit() {
                let own: fn() = $crate::plugin!(@or || () $(, $deinit)?);
                $crate::export::deinit(own);
            }
            $crate::export::plugin($crate::export::Parts {
                name: concat!(env!("CARGO_PKG_NAME"), "\0"),
                version: concat!(env!("CARGO_PKG_VERSION"), "\0"),
                licence: concat!(env!("CARGO_PKG_LICENSE"), "\0"),
                init,
                deinit,
                backends: const { &[$(&const { $crate::export::backend(&$backend) }),*] },
                boards: const { &[$(&const { $crate::export::board(&$board) }),*] },
            })
        };
        const _: () = {
            // SAFETY: the section holds `Entry`s and nothing else.
            #[used]
            #[unsafe(link_section = "vmm_plugins")]
            static ENTRY: $crate::export::Entry = $crate::export::Entry::of(&PLUGIN);
        };
    };
    (@or $default:expr) => { $default };
    (@or $default:expr, $given:expr) => { $given };
}
