//! The machine's bus: which device answers at which physical address and DCR, and what is due when.
//!
//! Devices are plugged in with the ranges that they claim; two devices never share a byte. An access is dispatched
//! whole where one range holds all of it and byte by byte where it does not. What nobody claims reads zero, ignores
//! writes and is told once a 4 KB page or DCR, in the log at level info and by [`SystemBus::describe`]: on the hardware
//! such an access times out and completes, and kernels rely on that (facts of the PPC440EP: unclaimed DCR accesses
//! raise no exception).
//!
//! # Threat model
//! The guest chooses addresses, lengths and values. The set of unclaimed pages that are remembered is bounded; lookups are logarithmic.

use std::collections::BTreeSet;

use vmm_plugin::api::{NEVER, ResetKind};

use crate::device::{Access, Device, StateError};

/// Number of device control registers of a 4xx core.
pub const DCR_COUNT: usize = 1024;
/// Unclaimed pages that are told singly; after these one last line says that there are more.
const TOLD_PAGES: usize = 256;

/// Two devices claim the same place, or a place that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Two devices claim the same bytes.
    #[error("{name} at {start:#x} overlaps {other}")]
    MmioOverlap {
        /// The later device.
        name: String,
        /// First address of its range.
        start: u64,
        /// The earlier device.
        other: String,
    },
    /// Two devices claim the same DCR.
    #[error("{name} claims DCR {dcr:#x}, which {other} has")]
    DcrOverlap {
        /// The later device.
        name: String,
        /// The register.
        dcr: u16,
        /// The earlier device.
        other: String,
    },
    /// A range that is empty, wraps, or lies beyond the DCRs.
    #[error("{name} claims {len:#x} at {start:#x}, which is no valid range")]
    BadRange {
        /// The device.
        name: String,
        /// First address or DCR.
        start: u64,
        /// Bytes or registers.
        len: u64,
    },
}

/// Names a plugged-in device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceId(usize);

#[derive(Debug)]
struct Claim {
    start: u64,
    /// Last byte, inclusive.
    last: u64,
    device: usize,
    window: usize,
}

/// All devices of a machine.
#[derive(Default)]
pub struct SystemBus {
    devices: Vec<Box<dyn Device>>,
    /// Sorted by address, disjoint.
    claims: Vec<Claim>,
    /// (device, register offset) of each claimed DCR; 1,024 long once anything is claimed.
    dcrs: Vec<Option<(usize, u16)>>,
    serial: Vec<DeviceId>,
    /// Pages and DCRs that were used although nobody claims them.
    unclaimed: BTreeSet<u64>,
    unclaimed_dcrs: BTreeSet<u16>,
    earliest: u64,
    moved: bool,
}

impl std::fmt::Debug for SystemBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.devices.iter().map(|device| device.name()).collect();
        f.debug_struct("SystemBus").field("devices", &names).finish_non_exhaustive()
    }
}

impl SystemBus {
    /// A bus without devices.
    #[must_use]
    pub fn new() -> Self {
        Self { earliest: NEVER, ..Self::default() }
    }

    /// Plugs a device in. It answers nowhere until ranges are claimed for it.
    pub fn plug(&mut self, device: Box<dyn Device>) -> DeviceId {
        self.devices.push(device);
        DeviceId(self.devices.len() - 1)
    }

    /// Gives `len` bytes at `start` to a device as its window of number `window`.
    ///
    /// # Errors
    /// An empty or wrapping range, or one that another device has.
    pub fn claim_mmio(
        &mut self,
        id: DeviceId,
        start: u64,
        len: u64,
        window: usize,
    ) -> Result<(), ClaimError> {
        let name = |i: usize| self.devices[i].name();
        let last = match len.checked_sub(1).and_then(|more| start.checked_add(more)) {
            Some(last) => last,
            None => return Err(ClaimError::BadRange { name: name(id.0), start, len }),
        };
        let at = self.claims.partition_point(|claim| claim.last < start);
        if let Some(other) = self.claims.get(at).filter(|other| other.start <= last) {
            return Err(ClaimError::MmioOverlap { name: name(id.0), start, other: name(other.device) });
        }
        self.claims.insert(at, Claim { start, last, device: id.0, window });
        Ok(())
    }

    /// Gives `len` DCRs from `start` to a device; its register offsets begin at `offset`.
    ///
    /// # Errors
    /// A range beyond the DCRs, or one that another device has.
    pub fn claim_dcr(&mut self, id: DeviceId, start: u32, len: u32, offset: u16) -> Result<(), ClaimError> {
        let bad = || ClaimError::BadRange {
            name: self.devices[id.0].name(),
            start: u64::from(start),
            len: u64::from(len),
        };
        let end =
            start.checked_add(len).filter(|&end| len > 0 && end as usize <= DCR_COUNT).ok_or_else(bad)?;
        self.dcrs.resize(DCR_COUNT, None);
        for dcr in start..end {
            if let Some((other, _)) = self.dcrs[dcr as usize] {
                let name = |i: usize| self.devices[i].name();
                return Err(ClaimError::DcrOverlap { name: name(id.0), dcr: dcr as u16, other: name(other) });
            }
        }
        for dcr in start..end {
            self.dcrs[dcr as usize] = Some((id.0, (dcr - start) as u16 + offset));
        }
        Ok(())
    }

    /// Makes a device the next serial port.
    pub fn add_serial(&mut self, id: DeviceId) {
        self.serial.push(id);
    }

    /// How many serial ports there are.
    #[must_use]
    pub const fn serial_ports(&self) -> usize {
        self.serial.len()
    }

    fn find(&self, pa: u64) -> Option<&Claim> {
        let at = self.claims.partition_point(|claim| claim.last < pa);
        self.claims.get(at).filter(|claim| claim.start <= pa)
    }

    /// A device may have moved its deadline.
    fn touched(&mut self, device: usize) {
        let deadline = self.devices[device].deadline();
        if deadline < self.earliest {
            self.earliest = deadline;
            self.moved = true;
        }
    }

    /// Whether a deadline has come closer since the last call: the host must ask for the new one.
    pub fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Reads `len` bytes (1 to 8; anything else reads zero) at physical address `pa`.
    pub fn read(&mut self, pa: u64, len: u8) -> u64 {
        if !(1..=8).contains(&len) {
            return 0;
        }
        match self.find(pa) {
            Some(claim) if claim.last - pa >= u64::from(len - 1) => {
                let access = Access { window: claim.window, offset: pa - claim.start, len };
                let device = claim.device;
                let value = self.devices[device].mmio().map_or(0, |mmio| mmio.read(access));
                self.touched(device);
                value
            }
            Some(_) => self.read_split(pa, len),
            None if self.find(pa.saturating_add(u64::from(len - 1))).is_some() => self.read_split(pa, len),
            None => {
                self.tell_unclaimed(pa, "read");
                0
            }
        }
    }

    /// An access across the edge of a range.
    fn read_split(&mut self, pa: u64, len: u8) -> u64 {
        if len == 1 {
            return 0;
        }
        (0..u64::from(len)).fold(0, |value, i| value << 8 | self.read(pa.wrapping_add(i), 1) & 0xFF)
    }

    /// Writes the low `len` bytes (1 to 8; anything else writes nothing) of `value` at physical address `pa`.
    pub fn write(&mut self, pa: u64, len: u8, value: u64) {
        if !(1..=8).contains(&len) {
            return;
        }
        match self.find(pa) {
            Some(claim) if claim.last - pa >= u64::from(len - 1) => {
                let access = Access { window: claim.window, offset: pa - claim.start, len };
                let device = claim.device;
                if let Some(mmio) = self.devices[device].mmio() {
                    mmio.write(access, value);
                }
                self.touched(device);
            }
            Some(_) => self.write_split(pa, len, value),
            None if self.find(pa.saturating_add(u64::from(len - 1))).is_some() => {
                self.write_split(pa, len, value)
            }
            None => self.tell_unclaimed(pa, "written"),
        }
    }

    /// How the register of `len` bytes at `pa`, which was accessed last, may be treated; see [`crate::device::Mmio`].
    pub fn treatment(&mut self, pa: u64, len: u8) -> u32 {
        let Some(claim) = self.find(pa) else { return 0 };
        if len == 0 || claim.last - pa < u64::from(len - 1) {
            return 0;
        }
        let access = Access { window: claim.window, offset: pa - claim.start, len };
        let device = claim.device;
        self.devices[device].mmio().map_or(0, |mmio| mmio.treatment(access))
    }

    fn write_split(&mut self, pa: u64, len: u8, value: u64) {
        if len > 1 {
            for i in 0..len {
                let byte = value >> (8 * (len - 1 - i)) & 0xFF;
                self.write(pa.wrapping_add(u64::from(i)), 1, byte);
            }
        }
    }

    fn tell_unclaimed(&mut self, pa: u64, what: &str) {
        if self.unclaimed.len() > TOLD_PAGES || !self.unclaimed.insert(pa >> 12) {
            return;
        }
        if self.unclaimed.len() > TOLD_PAGES {
            tracing::info!("More unclaimed addresses are used; no further ones are told");
        } else {
            tracing::info!("Unclaimed address {pa:#x} is {what}: reads return 0, writes are ignored");
        }
    }

    /// Reads a device control register.
    pub fn dcr_read(&mut self, dcrn: u16) -> u32 {
        let Some((device, offset)) = self.find_dcr(dcrn, "read") else { return 0 };
        let value = self.devices[device].dcr().map_or(0, |dcr| dcr.dcr_read(offset));
        self.touched(device);
        value
    }

    /// Writes a device control register.
    pub fn dcr_write(&mut self, dcrn: u16, value: u32) {
        let Some((device, offset)) = self.find_dcr(dcrn, "written") else { return };
        if let Some(dcr) = self.devices[device].dcr() {
            dcr.dcr_write(offset, value);
        }
        self.touched(device);
    }

    fn find_dcr(&mut self, dcrn: u16, what: &str) -> Option<(usize, u16)> {
        let found = self.dcrs.get(usize::from(dcrn)).copied().flatten();
        // DCR numbers have ten bits, which bounds the set.
        if found.is_none() && usize::from(dcrn) < DCR_COUNT && self.unclaimed_dcrs.insert(dcrn) {
            tracing::info!("Unclaimed DCR {dcrn:#x} is {what}: reads return 0, writes are ignored");
        }
        found
    }

    /// Runs what is due at tick `now`; returns the next deadline.
    pub fn service(&mut self, now: u64) -> u64 {
        self.moved = false;
        if self.earliest <= now {
            for device in &mut self.devices {
                if device.deadline() <= now {
                    device.service(now);
                }
            }
        }
        self.earliest = self.devices.iter().map(|device| device.deadline()).min().unwrap_or(NEVER);
        self.earliest
    }

    /// Offers received characters to serial port `port`; returns how many were taken. Without such a port all are
    /// swallowed.
    pub fn receive(&mut self, port: u32, bytes: &[u8]) -> usize {
        let Some(&DeviceId(device)) = self.serial.get(port as usize) else { return bytes.len() };
        let taken = self.devices[device].serial().map_or(bytes.len(), |serial| serial.receive(bytes));
        self.touched(device);
        taken
    }

    /// Resets every device.
    pub fn reset(&mut self, kind: ResetKind) {
        // Later devices feed earlier ones (interrupt controllers come first): sources fall silent before sinks.
        for device in self.devices.iter_mut().rev() {
            device.reset(kind);
        }
        self.earliest = self.devices.iter().map(|device| device.deadline()).min().unwrap_or(NEVER);
        self.moved = true;
    }

    /// Every device's state, in the order in which they were plugged in.
    #[must_use]
    pub fn save(&self) -> Vec<(String, serde_json::Value)> {
        self.devices.iter().map(|device| (device.name(), device.save())).collect()
    }

    /// Restores what [`SystemBus::save`] returned.
    ///
    /// # Errors
    /// Another set of devices, or a state that does not fit its device.
    pub fn restore(&mut self, saved: &[(String, serde_json::Value)]) -> Result<(), StateError> {
        let names = |wanted: Vec<String>| wanted.join(", ");
        let ours: Vec<_> = self.devices.iter().map(|device| device.name()).collect();
        let theirs: Vec<_> = saved.iter().map(|(name, _)| name.clone()).collect();
        if ours != theirs {
            let (ours, theirs) = (names(ours), names(theirs));
            return Err(StateError(format!(
                "The snapshot has the devices {theirs}; this machine has {ours}"
            )));
        }
        // Sources before sinks, so that an interrupt controller has the last word about its own latches.
        for (device, (name, state)) in self.devices.iter_mut().zip(saved).rev() {
            device
                .restore(state)
                .map_err(|error| StateError(format!("State of {name} does not fit: {error}")))?;
        }
        self.earliest = self.devices.iter().map(|device| device.deadline()).min().unwrap_or(NEVER);
        self.moved = true;
        Ok(())
    }

    /// One line a device: where it answers and what it says of itself; then what was used that nobody claims.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for (index, device) in self.devices.iter().enumerate() {
            let mmio = self.claims.iter().filter(|claim| claim.device == index);
            let mmio = mmio.map(|claim| format!("{:08x}-{:08x}", claim.start, claim.last));
            let dcrs: Vec<_> =
                (0..self.dcrs.len()).filter(|&n| self.dcrs[n].is_some_and(|(d, _)| d == index)).collect();
            let dcrs =
                dcrs.first().zip(dcrs.last()).map(|(first, last)| format!("dcr {first:03x}-{last:03x}"));
            let places: Vec<_> = mmio.chain(dcrs).collect();
            text += &format!("{:<12} {}: {}\n", device.name(), places.join(" "), device.describe());
        }
        if !(self.unclaimed.is_empty() && self.unclaimed_dcrs.is_empty()) {
            let pages = self.unclaimed.iter().take(TOLD_PAGES).map(|page| format!("{:08x}", page << 12));
            let more = (self.unclaimed.len() > TOLD_PAGES).then(|| "...".to_owned());
            let dcrs = self.unclaimed_dcrs.iter().map(|dcrn| format!("dcr {dcrn:03x}"));
            let places: Vec<_> = pages.chain(more).chain(dcrs).collect();
            text += &format!("{:<12} {}\n", "(unclaimed)", places.join(" "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Dcr, Mmio};

    /// Eight bytes of memory, a DCR, and a deadline.
    #[derive(Default)]
    struct Probe {
        bytes: [u8; 8],
        dcr: u32,
        deadline: Option<u64>,
    }
    impl Mmio for Probe {
        fn read(&mut self, access: Access) -> u64 {
            access.read_bytes(|at| self.bytes[at as usize])
        }
        fn write(&mut self, access: Access, value: u64) {
            self.deadline = Some(50);
            access.write_bytes(value, |at, byte| self.bytes[at as usize] = byte);
        }
    }
    impl Dcr for Probe {
        fn dcr_read(&mut self, offset: u16) -> u32 {
            self.dcr + u32::from(offset)
        }
        fn dcr_write(&mut self, _offset: u16, value: u32) {
            self.dcr = value;
        }
    }
    impl Device for Probe {
        fn name(&self) -> String {
            "Probe".into()
        }
        fn mmio(&mut self) -> Option<&mut dyn Mmio> {
            Some(self)
        }
        fn dcr(&mut self) -> Option<&mut dyn Dcr> {
            Some(self)
        }
        fn reset(&mut self, _kind: ResetKind) {
            *self = Self::default();
        }
        fn deadline(&self) -> u64 {
            self.deadline.unwrap_or(NEVER)
        }
        fn service(&mut self, _now: u64) {
            self.deadline = None;
        }
        fn save(&self) -> serde_json::Value {
            self.dcr.into()
        }
        fn restore(&mut self, state: &serde_json::Value) -> Result<(), StateError> {
            self.dcr = crate::device::from_json(state)?;
            Ok(())
        }
    }

    fn bus() -> SystemBus {
        let mut bus = SystemBus::new();
        let id = bus.plug(Box::<Probe>::default());
        bus.claim_mmio(id, 0x1000, 8, 0).unwrap();
        bus.claim_dcr(id, 0x10, 2, 0).unwrap();
        bus
    }

    #[test]
    fn an_access_across_the_edge_of_a_range_is_split_into_bytes() {
        let mut bus = bus();
        bus.write(0x0FFE, 4, 0x1122_3344);
        assert_eq!(bus.read(0x1000, 2), 0x3344);
        bus.write(0x1006, 4, 0x5566_7788);
        assert_eq!(bus.read(0x1004, 8), 0x0000_5566_0000_0000);
        assert_eq!(bus.read(0x0FFC, 8), 0x0000_0000_3344_0000);
    }

    #[test]
    fn unclaimed_places_read_zero_and_lengths_are_checked() {
        let mut bus = bus();
        assert_eq!((bus.read(0x2000, 4), bus.dcr_read(0x3FF), bus.dcr_read(0xFFFF)), (0, 0, 0));
        bus.write(u64::MAX, 8, 1);
        bus.dcr_write(0x20, 1);
        assert_eq!((bus.read(u64::MAX - 2, 8), bus.read(0x1000, 0), bus.read(0x1000, 9)), (0, 0, 0));
        let told = bus.describe();
        assert!(told.ends_with("(unclaimed)  00002000 fffffffffffff000 dcr 020 dcr 3ff\n"), "{told}");
        (0..5000).for_each(|page| bus.write(page << 12 | 0x10_0000_0000, 1, 0));
        assert!(bus.unclaimed.len() <= TOLD_PAGES + 1, "the set of pages is bounded");
    }

    #[test]
    fn overlapping_and_impossible_claims_are_refused() {
        let mut bus = bus();
        let id = bus.plug(Box::<Probe>::default());
        assert!(matches!(bus.claim_mmio(id, 0x1007, 1, 0), Err(ClaimError::MmioOverlap { .. })));
        assert!(matches!(bus.claim_mmio(id, 0xFFF, 2, 0), Err(ClaimError::MmioOverlap { .. })));
        assert!(matches!(bus.claim_mmio(id, 5, 0, 0), Err(ClaimError::BadRange { .. })));
        assert!(matches!(bus.claim_mmio(id, u64::MAX, 2, 0), Err(ClaimError::BadRange { .. })));
        assert!(matches!(bus.claim_dcr(id, 0x11, 2, 0), Err(ClaimError::DcrOverlap { .. })));
        assert!(matches!(bus.claim_dcr(id, 0x3FF, 2, 0), Err(ClaimError::BadRange { .. })));
        bus.claim_mmio(id, u64::MAX, 1, 0).unwrap();
        bus.claim_mmio(id, 0x1008, 1, 0).unwrap();
    }

    #[test]
    fn a_deadline_that_comes_closer_is_told_once() {
        let mut bus = bus();
        assert_eq!(bus.service(0), NEVER);
        bus.write(0x1000, 1, 0);
        assert!(bus.take_moved() && !bus.take_moved());
        assert_eq!(bus.service(10), 50);
        assert_eq!(bus.service(50), NEVER);
    }

    #[test]
    fn a_snapshot_of_other_devices_is_refused() {
        let mut bus = bus();
        bus.dcr_write(0x10, 7);
        let saved = bus.save();
        bus.reset(ResetKind::System);
        bus.restore(&saved).unwrap();
        assert_eq!(bus.dcr_read(0x11), 8);
        assert!(bus.restore(&[]).is_err());
        assert!(bus.restore(&[("Probe".into(), "x".into())]).unwrap_err().to_string().contains("Probe"));
    }
}
