//! A machine's devices as one thing: the bus, the interrupt controllers and what the core may still expect of them.

use std::rc::Rc;

use vmm_plugin::api::ResetKind;

use crate::bus::SystemBus;
use crate::device::StateError;
use crate::host::SharedLine;
use crate::uic::{Armed, Uic};

/// An interrupt controller and where its outputs go.
#[derive(Clone)]
pub struct Controller {
    /// The controller.
    pub uic: Rc<Uic<SharedLine>>,
    /// Index of the controller above, and its inputs for the non-critical and the critical output; `None` feeds the
    /// core.
    pub parent: Option<(usize, u8, Option<u8>)>,
    /// The node's phandle.
    pub phandle: Option<u32>,
}

impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller").field("parent", &self.parent).finish_non_exhaustive()
    }
}

/// All devices of a machine.
#[derive(Debug)]
pub struct System {
    /// The bus that they sit on.
    pub bus: SystemBus,
    /// The interrupt controllers, each after the one that it feeds; the first feeds the core.
    controllers: Vec<Controller>,
}

impl System {
    /// Puts a bus and its interrupt controllers together.
    #[must_use]
    pub const fn new(bus: SystemBus, controllers: Vec<Controller>) -> Self {
        Self { bus, controllers }
    }

    /// Which core inputs an enabled source could still assert one day.
    #[must_use]
    pub fn armed(&self) -> Armed {
        let mut armed = vec![Armed::default(); self.controllers.len()];
        for (index, controller) in self.controllers.iter().enumerate().rev() {
            let below = self.controllers.iter().zip(&armed).filter_map(|(child, armed)| match child.parent {
                Some((parent, noncritical, critical)) if parent == index => {
                    Some((noncritical, critical, *armed))
                }
                _ => None,
            });
            let cascades: Vec<_> = below
                .flat_map(|(noncritical, critical, armed)| {
                    let critical = critical.map(|input| (input, armed.critical));
                    [Some((noncritical, armed.noncritical)), critical].into_iter().flatten()
                })
                .collect();
            armed[index] = controller.uic.armed(&cascades);
        }
        armed.first().copied().unwrap_or_default()
    }

    /// Resets every device.
    pub fn reset(&mut self, kind: ResetKind) {
        self.bus.reset(kind);
    }

    /// Every device's state as JSON text.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        serde_json::to_vec(&self.bus.save()).unwrap_or_default()
    }

    /// Restores what [`System::save`] returned.
    ///
    /// # Errors
    /// What does not fit.
    pub fn restore(&mut self, saved: &[u8]) -> Result<(), StateError> {
        let saved: Vec<(String, serde_json::Value)> = serde_json::from_slice(saved)
            .map_err(|error| StateError(format!("The device snapshot is not readable: {error}")))?;
        self.bus.restore(&saved)
    }
}
