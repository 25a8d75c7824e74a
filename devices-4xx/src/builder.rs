//! Makes a machine from a device tree: walks the nodes, finds a model for each by `compatible`, gives it its
//! addresses, DCRs and interrupt lines, and plugs it into the bus.
//!
//! Addresses go through the `ranges` of all buses above; interrupts through `interrupt-parent` and `interrupt-map`
//! to a UIC's input, with the polarity that the tree states. Nodes that no model serves are left out: what they
//! would answer reads zero. Left out: `interrupts-extended`, and interrupt maps that select by unit address, which
//! only PCI nodes use and PCI slots do not need yet.
//!
//! # Threat model
//! The tree may come from a stranger. Numbers of devices, windows and interrupts are bounded, cascades that form a
//! cycle are refused, nothing recurses deeper than the tree's reader allows.

use std::rc::Rc;

use crate::bus::{ClaimError, SystemBus};
use crate::device::Device;
use crate::host::{Pins, SharedLine, SharedTime};
use crate::models::{Model, STANDARD};
use crate::system::{Controller, System};
use crate::tree::{Node, Tree};
use crate::uart::{Input, Pace};
use crate::uic::Uic;

/// Most devices that a machine may have.
const MAX_DEVICES: usize = 256;
/// Most windows, DCR ranges or interrupts that one node may have.
const MAX_PER_NODE: usize = 64;
/// `compatible` of the interrupt controllers.
const UIC: &str = "ibm,uic";

/// Why no machine can be made from a tree.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Two devices want the same place.
    #[error("The device tree does not fit together: {0}")]
    Claim(#[from] ClaimError),
    /// A node says something impossible.
    #[error("Device tree node {path}: {problem}")]
    Node {
        /// Path of the node.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// No usable interrupt controller.
    #[error(
        "The device tree has {0} interrupt controllers (ibm,uic) without a parent; exactly one is needed"
    )]
    RootController(usize),
    /// Too many devices.
    #[error("The device tree describes more than {MAX_DEVICES} devices")]
    TooMany,
}

/// How a machine is made beyond what the tree says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// How fast the serial ports send.
    pub pace: Pace,
    /// When the serial ports take characters from the host.
    pub input: Input,
}

/// A physical address range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub len: u64,
}

/// Where a device is being made: its node and what the tree gives it.
pub struct Site<'a> {
    /// The node's path.
    pub path: &'a str,
    /// The node.
    pub node: &'a Node,
    /// What `reg` says, in CPU physical addresses; `None` for an entry that no bus maps.
    pub windows: Vec<Option<Range>>,
    /// What `ranges` maps, in CPU physical addresses, where the node is itself a bus.
    pub outbound: Vec<Range>,
    /// One line for each interrupt that the tree connects.
    pub lines: Vec<SharedLine>,
    /// Machine time.
    pub time: SharedTime,
    /// Everything else that a machine is connected to.
    pub pins: &'a dyn Pins,
    /// How to make it.
    pub options: Options,
    /// Number among the devices of the same model, in tree order, or the `cell-index`; for serial ports the port.
    pub index: u32,
}

impl std::fmt::Debug for Site<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site")
            .field("path", &self.path)
            .field("windows", &self.windows)
            .finish_non_exhaustive()
    }
}

impl Site<'_> {
    /// The `n`th interrupt line, or one that ends nowhere.
    #[must_use]
    pub fn line(&self, n: usize) -> SharedLine {
        self.lines.get(n).cloned().unwrap_or_else(|| Rc::new(()))
    }
}

/// A device as a model makes it.
pub struct Plug {
    /// The device.
    pub device: Box<dyn Device>,
    /// Ranges that it answers besides its `reg`; their window numbers follow those of `reg`.
    pub extra: Vec<Range>,
}

impl std::fmt::Debug for Plug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plug").field("device", &self.device.name()).finish_non_exhaustive()
    }
}

impl<D: Device + 'static> From<D> for Plug {
    fn from(device: D) -> Self {
        Self { device: Box::new(device), extra: Vec::new() }
    }
}

/// A node with the nodes above it, root first.
#[derive(Clone)]
struct Place<'a> {
    path: String,
    above: Vec<&'a Node>,
    node: &'a Node,
}

impl<'a> Place<'a> {
    fn problem(&self, problem: impl Into<String>) -> BuildError {
        BuildError::Node { path: self.path.clone(), problem: problem.into() }
    }

    /// All enabled nodes below and including `node`; a disabled node takes its children with it.
    fn collect(node: &'a Node, above: &[&'a Node], path: &str, into: &mut Vec<Self>) {
        if !node.is_enabled() {
            return;
        }
        into.push(Self {
            path: if path.is_empty() { "/".into() } else { path.into() },
            above: above.to_vec(),
            node,
        });
        let above = [above, &[node]].concat();
        for child in &node.children {
            Self::collect(child, &above, &format!("{path}/{}", child.name), into);
        }
    }

    /// A property of the node or of the nearest node above that has it.
    fn inherited(&self, name: &str) -> Option<u32> {
        self.node.cell(name).or_else(|| self.above.iter().rev().find_map(|node| node.cell(name)))
    }

    /// What `reg` says, as CPU physical addresses.
    fn windows(&self) -> Vec<Option<Range>> {
        let Some(parent) = self.above.last() else { return Vec::new() };
        let (address_cells, size_cells) = parent.child_cells();
        // Children of a bus without sizes (an IIC's) have no addresses that a CPU could use.
        if size_cells == 0 || address_cells == 0 {
            return Vec::new();
        }
        let cells = self.node.cells("reg");
        let entries = cells.chunks_exact(address_cells + size_cells).take(MAX_PER_NODE);
        let ranges = entries.map(|entry| {
            let (address, size) = entry.split_at(address_cells);
            let range = Range { start: number(address), len: number(size) };
            translate(range, &self.above)
        });
        ranges.collect()
    }

    /// What `ranges` maps, as CPU physical addresses.
    fn outbound(&self) -> Vec<Range> {
        let Some(parent) = self.above.last() else { return Vec::new() };
        let (address_cells, size_cells) = self.node.child_cells();
        let parent_cells = parent.child_cells().0;
        let entry = address_cells + parent_cells + size_cells;
        if entry == 0 {
            return Vec::new();
        }
        let cells = self.node.cells("ranges");
        let ranges = cells.chunks_exact(entry).take(MAX_PER_NODE).filter_map(|entry| {
            let (parent, size) = entry[address_cells..].split_at(parent_cells);
            translate(Range { start: number(parent), len: number(size) }, &self.above)
        });
        ranges.collect()
    }
}

/// The number that big-endian cells spell; of more than two, the last two.
fn number(cells: &[u32]) -> u64 {
    cells.iter().fold(0, |n, &cell| n << 32 | u64::from(cell))
}

/// Carries a range from the bus that `above` ends with to the root through each bus's `ranges`.
fn translate(mut range: Range, above: &[&Node]) -> Option<Range> {
    for at in (1..above.len()).rev() {
        let (bus, parent) = (above[at], above[at - 1]);
        let ranges = bus.get("ranges")?;
        if ranges.is_empty() {
            continue;
        }
        let (address_cells, size_cells) = bus.child_cells();
        let parent_cells = parent.child_cells().0;
        let entry = address_cells + parent_cells + size_cells;
        if entry == 0 {
            return None;
        }
        let start = bus.cells("ranges").chunks_exact(entry).find_map(|entry| {
            let (child, rest) = entry.split_at(address_cells);
            let (target, size) = rest.split_at(parent_cells);
            let offset = range.start.checked_sub(number(child))?;
            let end = offset.checked_add(range.len)?;
            if end > number(size) { None } else { number(target).checked_add(offset) }
        })?;
        range.start = start;
    }
    Some(range)
}

/// A UIC being wired up: where its outputs go.
struct Cascade {
    /// Index of the controller above, and its inputs for the non-critical and the critical output.
    parent: Option<(usize, u8, Option<u8>)>,
    phandle: Option<u32>,
}

/// Whether a node is a serial port.
fn is_serial(node: &Node) -> bool {
    node.is_compatible("ns16550") || node.is_compatible("ns16550a")
}

/// Makes a machine from `tree`, connected to `pins`.
///
/// # Errors
/// What in the tree cannot be.
pub fn build(tree: &Tree, pins: &dyn Pins, options: Options) -> Result<System, BuildError> {
    let mut places = Vec::new();
    Place::collect(&tree.root, &[], "", &mut places);
    let mut builder = Builder {
        tree,
        places: &places,
        pins,
        options,
        bus: SystemBus::new(),
        controllers: Vec::new(),
        counts: Vec::new(),
        devices: 0,
    };
    builder.make_controllers()?;
    builder.make_devices()?;
    let mut system = System::new(builder.bus, builder.controllers);
    system.reset(vmm_plugin::api::ResetKind::System);
    Ok(system)
}

struct Builder<'a> {
    tree: &'a Tree,
    places: &'a [Place<'a>],
    pins: &'a dyn Pins,
    options: Options,
    bus: SystemBus,
    controllers: Vec<Controller>,
    /// Devices made so far by each model, by the model's address.
    counts: Vec<(*const Model, u32)>,
    devices: usize,
}

impl<'a> Builder<'a> {
    fn uic_places(&self) -> Vec<&'a Place<'a>> {
        self.places.iter().filter(|place| place.node.is_compatible(UIC)).collect()
    }

    /// Makes the interrupt controllers, each after the one that it feeds.
    fn make_controllers(&mut self) -> Result<(), BuildError> {
        let places = self.uic_places();
        let roots = places.iter().filter(|place| place.node.get("interrupts").is_none()).count();
        if roots != 1 {
            return Err(BuildError::RootController(roots));
        }
        let mut waiting = places;
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut blocked = Vec::new();
            for place in waiting {
                match self.cascade(place)? {
                    Some(cascade) => self.make_controller(place, &cascade)?,
                    None => blocked.push(place),
                }
            }
            if blocked.len() == before {
                return Err(
                    blocked[0].problem("Its interrupts lead to no interrupt controller, or in a circle")
                );
            }
            waiting = blocked;
        }
        Ok(())
    }

    /// Where a controller's outputs go; `None` while the controller above does not exist yet.
    fn cascade(&self, place: &Place<'_>) -> Result<Option<Cascade>, BuildError> {
        let phandle = place.node.phandle();
        if place.node.get("interrupts").is_none() {
            return Ok(Some(Cascade { parent: None, phandle }));
        }
        let parent =
            place.inherited("interrupt-parent").ok_or_else(|| place.problem("It has no interrupt-parent"))?;
        let Some(parent) = self.controllers.iter().position(|c| c.phandle == Some(parent)) else {
            return Ok(None);
        };
        let cells = place.node.cells("interrupts");
        let input = |n: usize| cells.get(2 * n).map(|&input| (input & 31) as u8);
        let noncritical = input(0).ok_or_else(|| place.problem("Its interrupts property is empty"))?;
        Ok(Some(Cascade { parent: Some((parent, noncritical, input(1))), phandle }))
    }

    fn make_controller(&mut self, place: &Place<'_>, cascade: &Cascade) -> Result<(), BuildError> {
        let (noncritical, critical): (SharedLine, SharedLine) = match cascade.parent {
            None => (self.pins.external(), self.pins.critical()),
            Some((parent, noncritical, critical)) => {
                let uic = &self.controllers[parent].uic;
                let critical: SharedLine = match critical {
                    Some(input) => Rc::new(uic.input(input, false)),
                    None => Rc::new(()),
                };
                (Rc::new(uic.input(noncritical, false)), critical)
            }
        };
        let index = place.node.cell("cell-index").unwrap_or(self.controllers.len() as u32);
        let uic = Rc::new(Uic::new(index, noncritical, critical));
        self.controllers.push(Controller {
            uic: Rc::clone(&uic),
            parent: cascade.parent,
            phandle: cascade.phandle,
        });
        self.plug(place, Box::new(uic), &[])
    }

    /// Plugs a device in and claims what its node gives it.
    fn plug(
        &mut self,
        place: &Place<'_>,
        device: Box<dyn Device>,
        extra: &[Range],
    ) -> Result<(), BuildError> {
        self.devices += 1;
        if self.devices > MAX_DEVICES {
            return Err(BuildError::TooMany);
        }
        let id = self.bus.plug(device);
        let windows = place.windows();
        let count = windows.len();
        let all = windows.into_iter().chain(extra.iter().copied().map(Some)).enumerate();
        let mut claimed: Vec<Range> = Vec::new();
        for (window, range) in all.take(count + MAX_PER_NODE) {
            let Some(range) = range else { continue };
            // Some trees list a place twice where reads and writes mean different things.
            if claimed.contains(&range) {
                continue;
            }
            self.bus.claim_mmio(id, range.start, range.len, window)?;
            claimed.push(range);
        }
        let mut offset = 0;
        for pair in place.node.cells("dcr-reg").chunks_exact(2).take(MAX_PER_NODE) {
            self.bus.claim_dcr(id, pair[0], pair[1], offset)?;
            offset = offset.saturating_add(u16::try_from(pair[1]).unwrap_or(u16::MAX));
        }
        if is_serial(place.node) {
            self.bus.add_serial(id);
        }
        Ok(())
    }

    fn make_devices(&mut self) -> Result<(), BuildError> {
        for (place, port) in self.ordered() {
            if place.node.is_compatible(UIC) {
                continue;
            }
            let Some(model) = place.node.strings("compatible").find_map(Model::find) else { continue };
            let index = port.unwrap_or_else(|| self.next_index(model, place.node));
            let site = Site {
                path: &place.path,
                node: place.node,
                windows: place.windows(),
                outbound: place.outbound(),
                lines: self.lines(place),
                time: self.pins.time(),
                pins: self.pins,
                options: self.options,
                index,
            };
            let plug = (model.make)(&site).map_err(|problem| place.problem(problem))?;
            self.plug(place, plug.device, &plug.extra)?;
        }
        Ok(())
    }

    /// All places, serial ports in the order of their aliases and with their numbers.
    fn ordered(&self) -> Vec<(&'a Place<'a>, Option<u32>)> {
        let is_serial = |place: &&Place<'_>| is_serial(place.node);
        let alias = |place: &Place<'_>| {
            let aliases = self.tree.node("/aliases")?;
            let named = aliases.properties.iter().filter_map(|(name, _)| {
                let number: u32 = name.strip_prefix("serial")?.parse().ok()?;
                let target = self.tree.node(aliases.string(name)?)?;
                std::ptr::eq(target, place.node).then_some(number)
            });
            named.min()
        };
        let mut serial: Vec<_> = self.places.iter().filter(is_serial).collect();
        serial.sort_by_cached_key(|place| alias(place).unwrap_or(u32::MAX));
        let others = self.places.iter().filter(|place| !is_serial(place)).map(|place| (place, None));
        serial.into_iter().zip(0..).map(|(place, port)| (place, Some(port))).chain(others).collect()
    }

    fn next_index(&mut self, model: &'static Model, node: &Node) -> u32 {
        let key = std::ptr::from_ref(model);
        let count = match self.counts.iter_mut().find(|(seen, _)| *seen == key) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                self.counts.push((key, 0));
                0
            }
        };
        node.cell("cell-index").unwrap_or(count)
    }

    /// The lines to interrupt controllers that a node's `interrupts` names.
    fn lines(&self, place: &Place<'_>) -> Vec<SharedLine> {
        let Some(parent) = place.inherited("interrupt-parent") else { return Vec::new() };
        let cells = place.node.cells("interrupts");
        if let Some(controller) = self.controller(parent) {
            return self.connect(controller, &cells);
        }
        // A nexus: the node's interrupts are numbers that its map sends on.
        let nexus = self.places.iter().find(|nexus| nexus.node.phandle() == Some(parent));
        let Some(nexus) = nexus.filter(|nexus| nexus.node.get("interrupt-map").is_some()) else {
            return Vec::new();
        };
        let width = nexus.node.cell("#interrupt-cells").unwrap_or(1).clamp(1, 4) as usize;
        let unit = nexus.node.cell("#address-cells").unwrap_or(0).min(4) as usize;
        let map = nexus.node.cells("interrupt-map");
        let inputs = cells.chunks_exact(width).take(MAX_PER_NODE).flat_map(|wanted| {
            // Each entry: unit address, child interrupt, controller, input, sense.
            let entries = map.chunks_exact(unit + width + 3);
            let hit = entries.into_iter().find(|entry| &entry[unit..unit + width] == wanted);
            let target = hit.map(|entry| &entry[unit + width..]);
            let controller = target.and_then(|target| self.controller(target[0]));
            match (controller, target) {
                (Some(controller), Some(target)) => self.connect(controller, &target[1..3]),
                _ => vec![Rc::new(()) as SharedLine],
            }
        });
        inputs.collect()
    }

    fn controller(&self, phandle: u32) -> Option<&Controller> {
        self.controllers.iter().find(|controller| controller.phandle == Some(phandle))
    }

    fn connect(&self, controller: &Controller, cells: &[u32]) -> Vec<SharedLine> {
        let inputs = cells.chunks_exact(2).take(MAX_PER_NODE);
        inputs
            .map(|pair| {
                // Sense: 1 rising edge, 2 falling edge, 4 level high, 8 level low.
                let active_low = matches!(pair[1], 2 | 8);
                Rc::new(controller.uic.input((pair[0] & 31) as u8, active_low)) as SharedLine
            })
            .collect()
    }
}

/// Whether any standard model serves a node.
#[must_use]
pub fn is_modelled(node: &Node) -> bool {
    node.is_compatible(UIC) || STANDARD.iter().any(|m| m.compatible.iter().any(|c| node.is_compatible(c)))
}

#[cfg(test)]
mod tests;
