//! The two address types of the 440: 32-bit effective addresses, which programs use, and 36-bit
//! physical ("real") addresses, which the TLB makes of them (PPC440 User's Manual, chapter "Memory
//! Management"). There are no virtual addresses as a type: on the 440 a virtual address is an
//! effective address with the address space and the PID beside it, which is what [`Mode`] holds.
//!
//! [`Mode`]: crate::Mode

use core::fmt;

/// An address as a program forms it: 32 bits, before translation.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct EffectiveAddress(pub u32);

/// An address behind the TLB: 36 bits, ERPN (4 bits) followed by RPN and the offset in the page.
///
/// The translation never produces a value of 2^36 or above; a value built by hand may hold anything.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct PhysicalAddress(pub u64);

impl EffectiveAddress {
    /// The first byte of the aligned block of `size` bytes (a power of two) that holds this address.
    #[must_use]
    pub const fn align_down(self, size: u32) -> Self {
        Self(self.0 & !(size.wrapping_sub(1)))
    }
}

impl fmt::Display for EffectiveAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Display for PhysicalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:09x}", self.0)
    }
}

impl fmt::LowerHex for EffectiveAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

impl fmt::LowerHex for PhysicalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

impl From<u32> for EffectiveAddress {
    fn from(value: u32) -> Self {
        Self(value)
    }
}

impl From<EffectiveAddress> for u32 {
    fn from(value: EffectiveAddress) -> Self {
        value.0
    }
}

impl From<PhysicalAddress> for u64 {
    fn from(value: PhysicalAddress) -> Self {
        value.0
    }
}
