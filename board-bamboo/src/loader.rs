//! Puts a kernel and what belongs to it into RAM, and says how the core enters it.
//!
//! Everything but the kernel is stacked down from the top: the kernel's own memory management reserves what lies
//! there, and the distance to a BSS whose size a flat image does not tell is the largest. The top 64 KB stay free,
//! because boot wrappers leave the last 4 KB of RAM out (an erratum of the 440EP) and Linux then has no such memory.

use devices_4xx::tree::Tree;
use vmm_plugin::api::{CpuState, Images};

use crate::Refusal;
use crate::entry::{self, BoardInfo};
use crate::fixup;
use crate::image::{self, Kernel, Protocol};
use crate::layout::Layout;
use crate::ram::{OutsideRam, Ram};

/// RAM that Linux maps with its first TLB entry; the tree and, if it fits, the initrd lie in it.
const FIRST_ENTRY: u64 = 256 << 20;
/// RAM that Linux maps at all on this board (no high memory).
const LOW_MEMORY: u64 = 768 << 20;
/// Stays free at the top of RAM.
const TOP_GAP: u64 = 64 << 10;
/// Longest command line that kernels for 44x take, with its NUL.
const COMMAND_LINE_SIZE: usize = 2048;
/// What a small machine's core maps at entry where no host says otherwise.
const MAPPED: u64 = FIRST_ENTRY;

/// The machine that a kernel is loaded into.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// The tree that a guest sees, without a boot's own additions.
    pub(crate) tree: &'a Tree,
    pub(crate) info: &'a BoardInfo,
    pub(crate) pvr: u32,
    /// Bytes from 0 that are mapped at entry; 0 where nothing limits them.
    pub(crate) initial_mapping: u64,
}

fn outside(_: OutsideRam) -> Refusal {
    Refusal("The kernel does not fit into RAM; give the machine more with --memory".into())
}

/// Loads `images` and returns the state in which the core starts.
pub(crate) fn load(target: &Target<'_>, ram: &mut Ram, images: &Images) -> Result<CpuState, Refusal> {
    let append = images.append.as_deref();
    if let Some(line) = append.filter(|line| line.len() >= COMMAND_LINE_SIZE || line.contains('\0')) {
        let len = line.len();
        let limit = COMMAND_LINE_SIZE - 1;
        return Err(Refusal(format!(
            "The command line of {len} bytes is longer than {limit} or contains a NUL"
        )));
    }
    let kernel = image::recognise(&images.kernel, &images.kernel_name, images.load_address, ram.size())?;
    let initrd = match &images.initrd {
        Some(file) => Some(image::initrd(file, &images.initrd_name)?),
        None => None,
    };
    let mut boot = Boot { target, ram, images, layout: Layout::default(), kernel };
    boot.reserve_kernel();
    let mut state = entry::state(target.pvr, boot.kernel.entry, boot.ram.size());
    match boot.kernel.protocol {
        Protocol::Tree => boot.with_tree(&mut state, append, initrd)?,
        Protocol::BoardInfo => boot.with_board_info(&mut state, append, initrd)?,
        Protocol::Bare => boot.bare(append, initrd)?,
    }
    boot.write_kernel()?;
    Ok(state)
}

struct Boot<'a> {
    target: &'a Target<'a>,
    ram: &'a mut Ram,
    images: &'a Images,
    layout: Layout,
    kernel: Kernel,
}

impl Boot<'_> {
    /// The kernel's own place, with the BSS that its file does not tell of. A wrapper also unpacks its kernel to 0.
    fn reserve_kernel(&mut self) {
        for segment in &self.kernel.segments {
            self.layout.take(segment.address, segment.size.saturating_add(self.kernel.beyond));
        }
        if self.kernel.protocol != Protocol::Tree {
            let start = self.kernel.segments.first().map_or(0, |segment| segment.address);
            self.layout.take(0, start);
        }
    }

    /// The end of what may be used below `limit`.
    fn top(&self, limit: u64) -> u64 {
        let size = self.ram.size();
        let top = size.saturating_sub(TOP_GAP);
        top.min(limit)
    }

    fn write_kernel(&mut self) -> Result<(), Refusal> {
        for segment in &self.kernel.segments {
            let len = segment.bytes.len() as u64;
            self.ram.write(segment.address, &segment.bytes).map_err(outside)?;
            self.ram.zero(segment.address + len, segment.size - len).map_err(outside)?;
        }
        let Kernel { format, entry, .. } = self.kernel;
        tracing::info!("Kernel {} is a {format}, entered at {entry:#x}", self.images.kernel_name);
        Ok(())
    }

    /// Puts the initrd into the first 256 MB, else into the rest of low memory; returns its bounds.
    fn write_initrd(&mut self, initrd: Option<&[u8]>) -> Result<Option<(u64, u64)>, Refusal> {
        let Some(initrd) = initrd else { return Ok(None) };
        let len = initrd.len() as u64;
        let what = format!("Initrd {}", self.images.initrd_name);
        let (near, far, size) = (self.top(FIRST_ENTRY), self.top(LOW_MEMORY), self.ram.size());
        let start = match self.layout.highest(len, 4096, near) {
            Some(start) => start,
            None => self.layout.place(&what, len, far, size)?,
        };
        self.ram.write(start, initrd).map_err(outside)?;
        tracing::info!("{what} lies at {start:#x}, {} KB", len.div_ceil(1024));
        Ok(Some((start, start + len)))
    }

    /// Linux's own entry. The tree needs its final size before it has a place, so the initrd is placed first.
    fn with_tree(
        &mut self,
        state: &mut CpuState,
        append: Option<&str>,
        initrd: Option<&[u8]>,
    ) -> Result<(), Refusal> {
        let mapped = match self.target.initial_mapping {
            0 => MAPPED,
            limit => limit,
        };
        let mut tree = self.target.tree.clone();
        // The bounds of the initrd have a fixed size, so a first version of the tree has the final length.
        fixup::chosen(&mut tree, append, initrd.map(|_| (0, 0)));
        let len = blob(&tree)?.len() as u64;
        let limit = self.top(FIRST_ENTRY.min(mapped));
        let at = self.layout.place("The device tree", len, limit, self.ram.size())?;
        let bounds = self.write_initrd(initrd)?;
        fixup::chosen(&mut tree, append, bounds);
        self.ram.write(at, &blob(&tree)?).map_err(outside)?;
        tracing::info!("The device tree lies at {at:#x}, {len} bytes");
        entry::with_tree(state, at, mapped.min(self.ram.size().next_power_of_two()));
        Ok(())
    }

    fn with_board_info(
        &mut self,
        state: &mut CpuState,
        append: Option<&str>,
        initrd: Option<&[u8]>,
    ) -> Result<(), Refusal> {
        self.compare_trees();
        let line = append.map(|append| [append.as_bytes(), &[0]].concat()).unwrap_or_default();
        let (limit, size) = (self.top(FIRST_ENTRY), self.ram.size());
        // bd_t and command line share a place near the top, where U-Boot keeps them too.
        let info = self.target.info.bytes();
        let at = self.layout.place("The board information", (info.len() + line.len()) as u64, limit, size)?;
        self.ram.write(at, &[info.as_slice(), &line].concat()).map_err(outside)?;
        let bounds = self.write_initrd(initrd)?.unwrap_or((0, 0));
        let text = at + info.len() as u64;
        let command_line = if line.is_empty() { (0, 0) } else { (text, text + line.len() as u64 - 1) };
        entry::with_board_info(state, at, bounds, command_line);
        Ok(())
    }

    /// A treeImage takes nothing in registers. Its command line and initrd go into the tree that it carries, which
    /// may grow into the padding behind it.
    fn bare(&mut self, append: Option<&str>, initrd: Option<&[u8]>) -> Result<(), Refusal> {
        self.compare_trees();
        if append.is_none() && initrd.is_none() {
            return Ok(());
        }
        let bounds = self.write_initrd(initrd)?;
        let name = &self.images.kernel_name;
        let payload = self.kernel.segments.first_mut().map(|segment| &mut segment.bytes);
        let found = payload.and_then(|payload| image::embedded_tree(payload).map(|found| (payload, found)));
        let Some((payload, (at, mut tree))) = found else {
            return Err(Refusal(format!(
                "Kernel {name} is a treeImage without a device tree inside; --append and --initrd cannot reach it"
            )));
        };
        fixup::chosen(&mut tree, append, bounds);
        let blob = blob(&tree)?;
        let room = image::tree_room(payload, at);
        if blob.len() > room {
            return Err(Refusal(format!(
                "Kernel {name} has {room} bytes of room for its device tree and {} are needed; shorten --append",
                blob.len()
            )));
        }
        payload[at..at + blob.len()].copy_from_slice(&blob);
        Ok(())
    }

    /// A wrapper's kernel sees the wrapper's tree, not the machine's: says where they differ.
    fn compare_trees(&self) {
        let payload =
            self.kernel.segments.first().map(|segment| segment.bytes.as_slice()).unwrap_or_default();
        let name = &self.images.kernel_name;
        match image::embedded_tree(payload) {
            Some((_, tree)) => {
                for difference in crate::compare::differences(self.target.tree, &tree) {
                    tracing::warn!("The device tree in {name} differs from the machine's: {difference}");
                }
            }
            None => tracing::warn!("Kernel {name} carries no device tree"),
        }
    }
}

fn blob(tree: &Tree) -> Result<Vec<u8>, Refusal> {
    tree.to_blob().map_err(|error| Refusal(error.to_string()))
}

#[cfg(test)]
mod tests;
