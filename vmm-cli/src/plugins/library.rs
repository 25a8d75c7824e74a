//! Loads one library. Unsafe because its code runs, and because nobody can check that it is what it claims to be.

use std::path::Path;

use libloading::{Library, Symbol};
use vmm_plugin::abi::{ENTRY_SYMBOL, VmmPluginEntry};
use vmm_plugin::api::Refusal;
use vmm_plugin::load::Plugin;

/// Loads a plugin; the error names the file.
pub(super) fn load(path: &Path) -> Result<Plugin, Refusal> {
    let name = path.display();
    if !path.is_file() {
        return Err(Refusal(format!("There is no plugin file {name}")));
    }
    // A bare file name would be looked for on the system's library path.
    let absolute =
        path.canonicalize().map_err(|error| Refusal(format!("Cannot open plugin {name}: {error}")))?;
    // SAFETY: the file is named like a plugin on the search path, or the user named it: its code is trusted to run.
    let library = unsafe { Library::new(&absolute) }
        .map_err(|error| Refusal(format!("{name} is not a library that can be loaded: {}", cause(&error))))?;
    // SAFETY: a symbol of this name is a function of this type, by the plugin ABI.
    let entry: Symbol<'_, VmmPluginEntry> = unsafe { library.get(ENTRY_SYMBOL) }.map_err(|_| {
        Refusal(format!("{name} is a library but no plugin: it does not export `{ENTRY_SYMBOL}`"))
    })?;
    // SAFETY: as above; the function only returns a pointer.
    let table = unsafe { entry() };
    // SAFETY: the table came from the library, which is handed over to be kept.
    unsafe { Plugin::loaded(table, crate::log::host(), Box::new(library)) }
        .map_err(|error| Refusal(format!("Plugin {name} cannot be used. {error}")))
}

/// What the dynamic linker said, without the path that the sentence names already.
fn cause(error: &libloading::Error) -> String {
    let text = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    match text.split_once(": ") {
        Some((path, rest)) if path.starts_with('/') => rest.to_owned(),
        _ => text,
    }
}
