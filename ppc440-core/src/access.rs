//! Storage access: the fast path through the direct-mapped table, and the exact slow path.
//!
//! An access that crosses into another page is translated for both pages before anything is read or written, so a
//! fault leaves no trace and the instruction can be restarted. DEAR is then the first byte of the page that faulted.

use mmu_core::{Access, Fault};

use crate::bits::{ccr0, esr, storage};
use crate::bus::Bus;
use crate::core::{Core, Flow};
use crate::exception::{Exception, Interrupt};
use crate::mmu::Resolved;

/// Smallest page: beyond it the next byte may be translated differently.
const GRAIN: u32 = 1024;

/// What an access asks for besides its address and length.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// ESR bits of an exception: ST for stores, FP for floating-point, AP for auxiliary.
    pub(crate) esr: u32,
    /// The access must not cross a multiple of this many bytes, else it is an alignment exception.
    pub(crate) boundary: u32,
    /// Alignment in bytes that CCR0\[FLSTA\] demands; 1 for bytes and floating point.
    pub(crate) natural: u32,
}

impl Kind {
    pub(crate) const fn integer(len: u32) -> Self {
        Self { esr: 0, boundary: 0, natural: len }
    }
    /// A floating-point access: crossing 16 bytes is an alignment exception on the 440 (facts section 2.6).
    pub(crate) const FLOAT: Self = Self { esr: esr::FP, boundary: 16, natural: 1 };
    /// lwarx and stwcx.: always word aligned.
    pub(crate) const RESERVE: Self = Self { esr: 0, boundary: 4, natural: 4 };
}

/// One or two translated pieces of an access.
#[derive(Clone, Copy)]
struct Pieces {
    first: Resolved,
    /// Bytes in the first piece, and the translation of the rest.
    second: Option<(u32, Resolved)>,
}

macro_rules! fast_paths {
    ($($load:ident $store:ident $len:literal $ty:ty, $bus_load:ident $bus_store:ident;)*) => { $(
        /// Loads a big-endian value at `ea`.
        #[inline(always)]
        pub(crate) fn $load<B: Bus>(&mut self, bus: &mut B, ea: u32) -> Result<$ty, Flow> {
            if let Some(pa) = self.mmu.fast_read(ea, $len)
                && let Some(value) = bus.$bus_load(pa)
            {
                return Ok(value);
            }
            self.load_slow(bus, ea, $len, Kind::integer($len)).map(|value| value as $ty)
        }

        /// Stores a big-endian value at `ea`.
        #[inline(always)]
        pub(crate) fn $store<B: Bus>(&mut self, bus: &mut B, ea: u32, value: $ty) -> Flow {
            if let Some(pa) = self.mmu.fast_write(ea, $len)
                && bus.$bus_store(pa, value)
            {
                return Flow::Next;
            }
            self.store_slow(bus, ea, $len, u64::from(value), Kind::integer($len))
        }
    )* };
}

impl Core {
    fast_paths! {
        load_u8 store_u8 1 u8, load_u8 store_u8;
        load_u16 store_u16 2 u16, load_u16 store_u16;
        load_u32 store_u32 4 u32, load_u32 store_u32;
    }

    /// Loads for the floating-point unit.
    #[inline(always)]
    pub(crate) fn load_float<B: Bus>(&mut self, bus: &mut B, ea: u32, len: u32) -> Result<u64, Flow> {
        if (ea & 15) + len <= 16
            && let Some(pa) = self.mmu.fast_read(ea, len)
        {
            let value = if len == 8 { bus.load_u64(pa) } else { bus.load_u32(pa).map(u64::from) };
            if let Some(value) = value {
                return Ok(value);
            }
        }
        self.load_slow(bus, ea, len, Kind::FLOAT)
    }

    /// Stores for the floating-point unit.
    #[inline(always)]
    pub(crate) fn store_float<B: Bus>(&mut self, bus: &mut B, ea: u32, len: u32, value: u64) -> Flow {
        if (ea & 15) + len <= 16
            && let Some(pa) = self.mmu.fast_write(ea, len)
        {
            let done = if len == 8 { bus.store_u64(pa, value) } else { bus.store_u32(pa, value as u32) };
            if done {
                return Flow::Next;
            }
        }
        self.store_slow(bus, ea, len, value, Kind::FLOAT)
    }

    /// The exception of a data access that `fault`ed at `ea`.
    #[cold]
    fn data_fault(&mut self, fault: Fault, ea: u32, cause: u32) -> Flow {
        let interrupt = match fault {
            Fault::Miss => {
                self.missed = Some((self.state.pc, ea, cause & esr::ST != 0));
                Interrupt::DataTlb
            }
            Fault::Protection => Interrupt::DataStorage,
        };
        self.raise(Exception::data(interrupt, cause, ea))
    }

    /// Translates one address for a data access; `cause` is the ESR of its exceptions.
    pub(crate) fn resolve_data(&mut self, ea: u32, access: Access, cause: u32) -> Result<Resolved, Flow> {
        self.mmu.hint(self.state.pc, self.state.gpr[1]);
        match self.mmu.resolve(&self.tlb, ea, access) {
            Ok(resolved) => Ok(resolved),
            Err(fault) => Err(self.data_fault(fault, ea, cause)),
        }
    }

    /// Translates and checks a whole access.
    fn resolve_access(&mut self, ea: u32, len: u32, access: Access, kind: Kind) -> Result<Pieces, Flow> {
        let cause = kind.esr | if access == Access::Store { esr::ST } else { 0 };
        let first = self.resolve_data(ea, access, cause)?;
        let in_first = GRAIN - (ea & (GRAIN - 1));
        let mut second = None;
        if in_first < len {
            let next = ea.wrapping_add(in_first);
            let rest = self.resolve_data(next, access, cause)?;
            if rest.pa != first.pa + u64::from(in_first) || rest.attributes != first.attributes {
                second = Some((in_first, rest));
            }
        }
        let misaligned = (kind.boundary != 0 && (ea & (kind.boundary - 1)) + len > kind.boundary)
            || (self.state.ccr[0] & ccr0::FLSTA != 0 && ea & (kind.natural - 1) != 0);
        if misaligned {
            return Err(self.raise(Exception::data(Interrupt::Alignment, cause, ea)));
        }
        if self.debugging() && self.data_address_event(ea, len, access == Access::Store) {
            return Err(self.raise(Exception::plain(Interrupt::Debug)));
        }
        Ok(Pieces { first, second })
    }

    /// The exact way to load `len` (1, 2, 4 or 8) bytes.
    #[cold]
    #[inline(never)]
    pub(crate) fn load_slow<B: Bus>(
        &mut self,
        bus: &mut B,
        ea: u32,
        len: u32,
        kind: Kind,
    ) -> Result<u64, Flow> {
        let pieces = self.resolve_access(ea, len, Access::Load, kind)?;
        let Pieces { first, second } = pieces;
        let Some((in_first, rest)) = second else {
            return Ok(self.read_physical(bus, first, len));
        };
        // Two pages that are not neighbours: byte by byte. The bytes of a little-endian page count from the right.
        let mut value = 0u64;
        for offset in 0..len {
            let (piece, at) = if offset < in_first { (first, offset) } else { (rest, offset - in_first) };
            let byte = self.read_physical(bus, Resolved { pa: piece.pa + u64::from(at), ..piece }, 1);
            let place = if piece.attributes & storage::E != 0 { offset } else { len - 1 - offset };
            value |= byte << (8 * place);
        }
        Ok(value)
    }

    /// The exact way to store `len` (1, 2, 4 or 8) bytes.
    #[cold]
    #[inline(never)]
    pub(crate) fn store_slow<B: Bus>(
        &mut self,
        bus: &mut B,
        ea: u32,
        len: u32,
        value: u64,
        kind: Kind,
    ) -> Flow {
        let pieces = match self.resolve_access(ea, len, Access::Store, kind) {
            Ok(pieces) => pieces,
            Err(flow) => return flow,
        };
        let Pieces { first, second } = pieces;
        let Some((in_first, rest)) = second else {
            self.write_physical(bus, first, len, value);
            return self.code_flow();
        };
        for offset in 0..len {
            let (piece, at) = if offset < in_first { (first, offset) } else { (rest, offset - in_first) };
            let place = if piece.attributes & storage::E != 0 { offset } else { len - 1 - offset };
            self.write_physical(
                bus,
                Resolved { pa: piece.pa + u64::from(at), ..piece },
                1,
                value >> (8 * place),
            );
        }
        self.code_flow()
    }

    /// What a store returns: whether decoded code must be dropped before the next instruction.
    #[inline]
    pub(crate) fn code_flow(&self) -> Flow {
        if self.code_writes.is_empty() { Flow::Next } else { Flow::CodeWrite }
    }

    /// Reads within one page, by the page's byte order.
    fn read_physical<B: Bus>(&mut self, bus: &mut B, at: Resolved, len: u32) -> u64 {
        let ram = match len {
            1 => bus.load_u8(at.pa).map(u64::from),
            2 => bus.load_u16(at.pa).map(u64::from),
            4 => bus.load_u32(at.pa).map(u64::from),
            _ => bus.load_u64(at.pa),
        };
        let value = ram.unwrap_or_else(|| {
            self.sync_clock(bus);
            bus.read(at.pa, len as u8)
        });
        swap_if(value, len, at.attributes & storage::E != 0)
    }

    /// Writes within one page, by the page's byte order, and notes writes to decoded code.
    fn write_physical<B: Bus>(&mut self, bus: &mut B, at: Resolved, len: u32, value: u64) {
        let value = swap_if(value, len, at.attributes & storage::E != 0);
        let ram = match len {
            1 => bus.store_u8(at.pa, value as u8),
            2 => bus.store_u16(at.pa, value as u16),
            4 => bus.store_u32(at.pa, value as u32),
            _ => bus.store_u64(at.pa, value),
        };
        if ram {
            self.note_code_write(at.pa, len);
        } else {
            self.sync_clock(bus);
            bus.write(at.pa, len as u8, value);
        }
    }

    /// Remembers that `len` bytes at `pa` were written, if decoded code of them may be held.
    pub(crate) fn note_code_write(&mut self, pa: u64, len: u32) {
        if self.mmu.is_code_page(pa) || self.mmu.is_code_page(pa + u64::from(len - 1)) {
            self.code_writes.push((pa, len));
        }
    }

    /// Fetches the instruction at `pc`.
    pub(crate) fn fetch<B: Bus>(&mut self, bus: &mut B) -> Result<u32, Flow> {
        let pc = self.state.pc;
        if self.state.reset_entry != 0 && pc >= 0xFFFF_F000 {
            // The shadow entry of reset: real address ERPN || EPN from the RSTCFG pins, here the top of 4 GB.
            let at = Resolved { pa: u64::from(pc), attributes: storage::I, block: 4096 };
            return Ok(self.read_physical(bus, at, 4) as u32);
        }
        self.mmu.hint(pc, self.state.gpr[1]);
        match self.mmu.resolve(&self.tlb, pc, Access::Fetch) {
            Ok(at) => Ok(self.read_physical(bus, at, 4) as u32),
            Err(Fault::Miss) => Err(self.raise(Exception::plain(Interrupt::InstructionTlb))),
            Err(Fault::Protection) => Err(self.raise(Exception {
                interrupt: Interrupt::InstructionStorage,
                esr: Some(0),
                dear: None,
            })),
        }
    }
}

/// The value with its `len` bytes reversed if `swap`.
fn swap_if(value: u64, len: u32, swap: bool) -> u64 {
    if swap { value.swap_bytes() >> (64 - 8 * len) } else { value }
}
