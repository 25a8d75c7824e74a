//! One Bamboo: RAM, the devices that its tree describes, and the pins that lead to the host.

use devices_4xx::builder::{self, Options};
use devices_4xx::host::SharedHost;
use devices_4xx::system::System;
use devices_4xx::tree::Tree;
use vmm_plugin::api::{
    BoardConfig, CoreDescription, CpuState, Images, Machine, Refusal, ResetKind, attention,
};
use vmm_plugin::host::BoardHost;

use crate::clocks::{Clocks, DEFAULT_CPU};
use crate::entry::BoardInfo;
use crate::fixup::{self, Facts};
use crate::loader::{self, Target};
use crate::memory;
use crate::private;
use crate::ram::Ram;
use crate::straps::Straps;
use crate::tree;

/// The 440EP, revision B.
const DEFAULT_PVR: u32 = 0x4222_18D3;

/// A Bamboo that has been built.
#[derive(Debug)]
pub(crate) struct Bamboo {
    host: SharedHost,
    system: System,
    ram: Ram,
    /// What a guest sees, without a boot's own additions.
    tree: Tree,
    info: BoardInfo,
    core: CoreDescription,
    initial_mapping: u64,
}

impl Bamboo {
    /// Builds the machine that `config` describes.
    pub(crate) fn create(config: &BoardConfig, mut host: BoardHost) -> Result<Self, Refusal> {
        let straps = Straps::parse(&config.straps)?;
        let mut tree = match &config.tree {
            Some(blob) => Tree::parse(blob)
                .map_err(|error| Refusal(format!("Device tree {}: {error}", config.tree_name)))?,
            None => tree::bamboo(),
        };
        let size = config.memory.or_else(|| fixup::stated_memory(&tree)).unwrap_or(memory::DEFAULT_SIZE);
        let banks = memory::banks(size)?;
        let clocks = clocks(config, &tree)?;
        let macs = straps.macs;
        fixup::machine(&mut tree, &Facts { memory: size, clocks: &clocks, macs });
        let mut hardware = tree.clone();
        private::merge(&mut hardware, &clocks, &banks, &macs);
        let ram = host.map_ram(0, size);
        let ram = ram.ok_or_else(|| Refusal(format!("The host has no {} MB for guest RAM", size >> 20)))?;
        if (ram.len as u64) < size {
            return Err(Refusal(format!("The host gave {} bytes of RAM instead of {size}", ram.len)));
        }
        let host = SharedHost::new(host, clocks.timebase);
        let options = Options { pace: straps.pace, input: straps.input };
        let system = builder::build(&hardware, &host, options).map_err(|error| Refusal(error.to_string()))?;
        let pvr = match config.constraints.pvr {
            0 => DEFAULT_PVR,
            pvr => pvr,
        };
        let core = CoreDescription {
            pvr,
            cpu_hz: clocks.cpu,
            tb_hz: clocks.timebase,
            serial_ports: system.bus.serial_ports() as u32,
        };
        let info =
            BoardInfo { memory: size, cpu_hz: clocks.cpu, plb_hz: clocks.plb, opb_hz: clocks.opb, macs };
        let initial_mapping = config.constraints.initial_mapping.into();
        Ok(Self { host, system, ram: Ram::new(ram), tree, info, core, initial_mapping })
    }

    /// Tells the host when a device's deadline has come closer.
    fn after_access(&mut self) {
        if self.system.bus.take_moved() {
            self.host.with(|host| host.set_attention(attention::BOARD, true));
        }
    }
}

/// What the host forces goes before what the tree states, and that before the board's own clocks.
fn clocks(config: &BoardConfig, tree: &Tree) -> Result<Clocks, Refusal> {
    let forced = |hz: u32| (hz != 0).then_some(hz);
    let stated = |property| fixup::stated_clock(tree, property);
    let cpu = forced(config.constraints.cpu_hz).or_else(|| stated("clock-frequency")).unwrap_or(DEFAULT_CPU);
    let timebase = forced(config.constraints.tb_hz).or_else(|| stated("timebase-frequency")).unwrap_or(cpu);
    Clocks::new(cpu, timebase)
}

impl Machine for Bamboo {
    fn core(&self) -> CoreDescription {
        self.core
    }

    fn load(&mut self, images: &Images) -> Result<CpuState, Refusal> {
        let target = Target {
            tree: &self.tree,
            info: &self.info,
            pvr: self.core.pvr,
            initial_mapping: self.initial_mapping,
        };
        let state = loader::load(&target, &mut self.ram, images)?;
        // Engines may hold translations of what lay there before a reboot.
        let size = self.ram.size();
        self.host.with(|host| host.mark_dma_dirty(0, size));
        Ok(state)
    }

    fn read(&mut self, pa: u64, len: u8) -> u64 {
        let value = self.system.bus.read(pa, len);
        self.after_access();
        value
    }

    fn write(&mut self, pa: u64, len: u8, value: u64) {
        self.system.bus.write(pa, len, value);
        self.after_access();
    }

    fn dcr_read(&mut self, dcrn: u16) -> u32 {
        let value = self.system.bus.dcr_read(dcrn);
        self.after_access();
        value
    }

    fn dcr_write(&mut self, dcrn: u16, value: u32) {
        self.system.bus.dcr_write(dcrn, value);
        self.after_access();
    }

    fn service(&mut self, now: u64) -> u64 {
        // The host lowers BOARD before it calls: lowering it here could lose what another thread has just queued.
        self.system.bus.service(now)
    }

    fn armed(&mut self) -> u32 {
        self.system.armed().attention()
    }

    fn char_input(&mut self, port: u32, bytes: &[u8]) -> usize {
        let taken = self.system.bus.receive(port, bytes);
        self.after_access();
        taken
    }

    fn reset(&mut self, kind: ResetKind) {
        self.system.reset(kind);
        self.after_access();
    }

    fn save(&mut self) -> Vec<u8> {
        self.system.save()
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), Refusal> {
        self.system.restore(saved).map_err(|error| Refusal(error.to_string()))?;
        self.after_access();
        Ok(())
    }

    fn treatment(&mut self, pa: u64, len: u8) -> u32 {
        self.system.bus.treatment(pa, len)
    }

    fn describe(&mut self) -> String {
        self.system.bus.describe()
    }
}

#[cfg(test)]
pub(crate) mod tests;
