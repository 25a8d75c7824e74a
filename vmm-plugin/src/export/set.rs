//! The plugin set of this image (see [`super`]) and the exported symbol. Unsafe because only the linker knows where a
//! section begins and ends.

use crate::abi::VmmPlugin;

/// A member of the plugin set.
#[derive(Debug)]
#[repr(transparent)]
pub struct Entry(Option<&'static VmmPlugin>);

impl Entry {
    /// The entry of a plugin.
    #[must_use]
    pub const fn of(plugin: &'static VmmPlugin) -> Self {
        Self(Some(plugin))
    }
}

// So that the section exists in images without a plugin too.
// SAFETY: the section holds `Entry`s and nothing else.
#[used]
#[unsafe(link_section = "vmm_plugins")]
static NONE: Entry = Entry(None);

// The names are the linker's: it defines them for every section whose name is a C identifier.
unsafe extern "C" {
    #[link_name = "__start_vmm_plugins"]
    static START: Entry;
    #[link_name = "__stop_vmm_plugins"]
    static STOP: Entry;
}

fn entries() -> &'static [Entry] {
    let (start, stop) = (&raw const START, &raw const STOP);
    // SAFETY: both bound one section of this image, which only ever holds `Entry`s, which are as large as a pointer
    // and leave no gaps, and which nobody writes.
    unsafe { std::slice::from_raw_parts(start, stop.offset_from_unsigned(start)) }
}

/// The exported symbol, [`crate::abi::ENTRY_SYMBOL`]: this image's plugin, or null where there is none.
///
/// Any thread. The table lives as long as the image.
// SAFETY: no other crate of this workspace defines the name, and C plugins are images of their own.
#[unsafe(no_mangle)]
#[expect(unreachable_pub, reason = "the linker reaches it")]
pub extern "C" fn vmm_plugin() -> *const VmmPlugin {
    entries().iter().find_map(|entry| entry.0).map_or(std::ptr::null(), |plugin| plugin)
}
