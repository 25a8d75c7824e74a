//! Guest RAM as the loader sees it: one range from physical address 0, filled and read through checked copies.
//!
//! The only module of this crate with unsafe code. Engines access the same memory, but never while a loader runs:
//! machine and engine share the vCPU's thread (see the thread contract in `vmm_plugin::api`).
#![expect(unsafe_code, reason = "guest RAM comes as a pointer, because engines access it without a call")]

use vmm_plugin::host::RamPointer;

/// RAM from physical address 0.
#[derive(Debug)]
pub(crate) struct Ram {
    pointer: RamPointer,
}

/// Something does not lie in RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutsideRam;

impl Ram {
    /// RAM at address 0 that a host's `map_ram` returned. The host keeps the memory as long as the machine lives,
    /// which is what makes the copies below sound.
    pub(crate) const fn new(pointer: RamPointer) -> Self {
        Self { pointer }
    }

    /// Bytes.
    pub(crate) const fn size(&self) -> u64 {
        self.pointer.len as u64
    }

    fn offset(&self, address: u64, len: usize) -> Result<usize, OutsideRam> {
        let start = usize::try_from(address).map_err(|_| OutsideRam)?;
        match start.checked_add(len) {
            Some(end) if end <= self.pointer.len => Ok(start),
            _ => Err(OutsideRam),
        }
    }

    /// Copies `bytes` to physical address `address`; nothing is written unless all of them fit.
    pub(crate) fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), OutsideRam> {
        let offset = self.offset(address, bytes.len())?;
        // SAFETY: offset and length lie in the range, by the check above; the host keeps the range alive and no
        // engine runs; `bytes` is ours, so they cannot overlap.
        unsafe { self.pointer.ptr.add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    /// Fills `len` bytes from `address` with zeros; nothing is written unless all of them are RAM.
    pub(crate) fn zero(&mut self, address: u64, len: u64) -> Result<(), OutsideRam> {
        let len = usize::try_from(len).map_err(|_| OutsideRam)?;
        let offset = self.offset(address, len)?;
        // SAFETY: as in `write`.
        unsafe { self.pointer.ptr.add(offset).write_bytes(0, len) };
        Ok(())
    }

    /// A copy of `len` bytes from `address`.
    #[cfg(test)]
    pub(crate) fn read(&self, address: u64, len: usize) -> Result<Vec<u8>, OutsideRam> {
        let offset = self.offset(address, len)?;
        let mut bytes = vec![0; len];
        // SAFETY: as in `write`, in the other direction.
        unsafe { self.pointer.ptr.add(offset).copy_to_nonoverlapping(bytes.as_mut_ptr(), len) };
        Ok(bytes)
    }
}
