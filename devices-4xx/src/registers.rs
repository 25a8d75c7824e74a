//! Files of 32-bit registers: what most configuration blocks are made of.
//!
//! A block states its registers as a table (offset or index, manual name, reset value, how writes act); the file
//! keeps their values. Indirect blocks of the 4xx family (CPR0, SDR0, SDRAM0, EBC0) put such a file behind an address
//! and a data DCR. A register that the table does not list reads zero and ignores writes.

use std::collections::BTreeMap;

use crate::device::{StateError, from_json, merge, to_json};

/// How a write acts on a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The bits in the mask take the value written.
    ReadWrite(u32),
    /// The bits in the mask are cleared where a one is written.
    WriteOneToClear(u32),
    /// Writes do nothing.
    ReadOnly,
}

/// One register.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Byte offset, DCR offset or indirect index, as the block counts.
    pub at: u32,
    /// The manual's name.
    pub name: &'static str,
    /// Value after reset.
    pub reset: u32,
    /// How a write acts.
    pub kind: Kind,
}

/// A register of which all bits can be written and that is zero after reset.
#[must_use]
pub const fn rw(at: u32, name: &'static str) -> Spec {
    Spec { at, name, reset: 0, kind: Kind::ReadWrite(!0) }
}

/// A status register that writing ones clears.
#[must_use]
pub const fn w1c(at: u32, name: &'static str) -> Spec {
    Spec { at, name, reset: 0, kind: Kind::WriteOneToClear(!0) }
}

/// A register that always reads the same.
#[must_use]
pub const fn ro(at: u32, name: &'static str, value: u32) -> Spec {
    Spec { at, name, reset: value, kind: Kind::ReadOnly }
}

/// The values of a block's registers.
#[derive(Debug, Clone)]
pub struct RegisterFile {
    specs: &'static [Spec],
    /// What reset loads: the table's values, or what the board's straps and firmware left.
    resets: Vec<u32>,
    values: Vec<u32>,
}

impl RegisterFile {
    /// The registers of a table, which is sorted by `at`, after reset.
    #[must_use]
    pub fn new(specs: &'static [Spec]) -> Self {
        debug_assert!(specs.is_sorted_by(|a, b| a.at < b.at), "the table is sorted and without doubles");
        let resets: Vec<_> = specs.iter().map(|spec| spec.reset).collect();
        Self { specs, values: resets.clone(), resets }
    }

    /// As [`RegisterFile::new`], with other reset values for some: (at, value) pairs in a row. Pairs for registers
    /// that do not exist are left out.
    #[must_use]
    pub fn with_resets(specs: &'static [Spec], pairs: &[u32]) -> Self {
        let mut file = Self::new(specs);
        for pair in pairs.chunks_exact(2) {
            if let Some(index) = file.index(pair[0]) {
                file.resets[index] = pair[1];
            }
        }
        file.reset();
        file
    }

    fn index(&self, at: u32) -> Option<usize> {
        self.specs.binary_search_by_key(&at, |spec| spec.at).ok()
    }

    /// A register's value; zero for one that does not exist.
    #[must_use]
    pub fn get(&self, at: u32) -> u32 {
        self.index(at).map_or(0, |index| self.values[index])
    }

    /// Sets a register whatever its kind.
    pub fn set(&mut self, at: u32, value: u32) {
        if let Some(index) = self.index(at) {
            self.values[index] = value;
        }
    }

    /// A guest's write of the bytes under `mask`.
    pub fn write(&mut self, at: u32, value: u32, mask: u32) {
        let Some(index) = self.index(at) else { return };
        let old = self.values[index];
        self.values[index] = match self.specs[index].kind {
            Kind::ReadWrite(bits) => merge(old, value, mask & bits),
            Kind::WriteOneToClear(bits) => old & !(value & mask & bits),
            Kind::ReadOnly => old,
        };
    }

    /// Every register takes its reset value.
    pub fn reset(&mut self) {
        self.values.clone_from(&self.resets);
    }

    /// The values by name.
    #[must_use]
    pub fn save(&self) -> serde_json::Value {
        to_json(
            &self
                .specs
                .iter()
                .map(|spec| spec.name)
                .zip(self.values.iter().copied())
                .collect::<BTreeMap<_, _>>(),
        )
    }

    /// Takes the values that [`RegisterFile::save`] returned; registers that it does not name are reset.
    ///
    /// # Errors
    /// What is no map from names to numbers.
    pub fn restore(&mut self, saved: &serde_json::Value) -> Result<(), StateError> {
        let saved: BTreeMap<String, u32> = from_json(saved)?;
        self.reset();
        for (spec, value) in self.specs.iter().zip(&mut self.values) {
            if let Some(&old) = saved.get(spec.name) {
                *value = old;
            }
        }
        Ok(())
    }

    /// The registers that are not zero, by name.
    #[must_use]
    pub fn describe(&self) -> String {
        let shown = self.specs.iter().zip(&self.values).filter(|&(_, &value)| value != 0);
        shown.map(|(spec, value)| format!("{} {value:08x}", spec.name)).collect::<Vec<_>>().join(" ")
    }
}

/// An address and a data DCR in front of a register file.
#[derive(Debug, Clone)]
pub struct Indirect {
    /// The selected index.
    pub address: u32,
    /// The registers.
    pub file: RegisterFile,
}

impl Indirect {
    /// A file behind address DCR 0 and data DCR 1, with index 0 selected.
    #[must_use]
    pub const fn new(file: RegisterFile) -> Self {
        Self { address: 0, file }
    }

    /// Reads the address DCR (0) or the data DCR (1).
    #[must_use]
    pub fn dcr_read(&self, offset: u16) -> u32 {
        match offset {
            0 => self.address,
            1 => self.file.get(self.address),
            _ => 0,
        }
    }

    /// Writes the address DCR (0) or the data DCR (1).
    pub fn dcr_write(&mut self, offset: u16, value: u32) {
        match offset {
            0 => self.address = value,
            1 => self.file.write(self.address, value, !0),
            _ => {}
        }
    }

    /// After reset.
    pub fn reset(&mut self) {
        self.address = 0;
        self.file.reset();
    }

    /// The address and the file.
    #[must_use]
    pub fn save(&self) -> serde_json::Value {
        to_json(&(self.address, self.file.save()))
    }

    /// What [`Indirect::save`] returned.
    ///
    /// # Errors
    /// What does not fit.
    pub fn restore(&mut self, saved: &serde_json::Value) -> Result<(), StateError> {
        let (address, file): (u32, serde_json::Value) = from_json(saved)?;
        self.file.restore(&file)?;
        self.address = address;
        Ok(())
    }
}

/// Reset values that a node carries for its block, see the board's private fragment.
pub(crate) const RESET_VALUES: &str = "ppc440-vmm,reset-values";

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: &[Spec] = &[
        rw(0, "A"),
        w1c(4, "B"),
        ro(8, "C", 7),
        Spec { at: 12, name: "D", reset: 1, kind: Kind::ReadWrite(0xF) },
    ];

    #[test]
    fn each_kind_of_register_takes_writes_its_own_way() {
        let mut file = RegisterFile::new(TABLE);
        file.write(0, 0x1234_5678, 0xFFFF_0000);
        file.set(4, 0xFF);
        file.write(4, 0x0F, 0x03);
        file.write(8, 0, !0);
        file.write(12, 0xFF, !0);
        file.write(16, 1, !0);
        assert_eq!([0, 4, 8, 12, 16].map(|at| file.get(at)), [0x1234_0000, 0xFC, 7, 0xF, 0]);
        assert_eq!(file.describe(), "A 12340000 B 000000fc C 00000007 D 0000000f");
        let saved = file.save();
        file.reset();
        assert_eq!([0, 4, 8, 12].map(|at| file.get(at)), [0, 0, 7, 1]);
        file.restore(&saved).unwrap();
        assert_eq!(file.get(4), 0xFC);
        assert!(file.restore(&serde_json::json!([1])).is_err());
    }

    #[test]
    fn a_board_gives_other_reset_values() {
        let file = RegisterFile::with_resets(TABLE, &[12, 9, 99, 1, 0]);
        assert_eq!((file.get(12), file.get(0)), (9, 0));
    }
}
