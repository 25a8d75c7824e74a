//! One TLB entry in its architected form: the three words that `tlbwe` writes and `tlbre` reads, and
//! the TID that travels through MMUCR\[STID\] (PPC440 User's Manual, "TLB Entry Fields"). Bit
//! constants carry the manual's names. The parity fields (word 0 bits 28:31, word 1 bits 22:23) are
//! left out: they read as zero, as on hardware with CCR0\[CRPE\] clear. The cache attributes that the
//! 460 cores add to word 2 (bits 11:15) are left out too.

use crate::address::{EffectiveAddress, PhysicalAddress};
use core::fmt;

/// The page sizes that a 440 TLB entry can have.
///
/// The discriminant is the entry's SIZE code; the size is 4^code KiB.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum PageSize {
    /// 1 KiB, SIZE 0.
    K1 = 0,
    /// 4 KiB, SIZE 1.
    K4 = 1,
    /// 16 KiB, SIZE 2.
    K16 = 2,
    /// 64 KiB, SIZE 3.
    K64 = 3,
    /// 256 KiB, SIZE 4.
    K256 = 4,
    /// 1 MiB, SIZE 5.
    M1 = 5,
    /// 16 MiB, SIZE 7.
    M16 = 7,
    /// 256 MiB, SIZE 9.
    M256 = 9,
}

impl PageSize {
    /// Every size, smallest first.
    pub const ALL: [Self; 8] =
        [Self::K1, Self::K4, Self::K16, Self::K64, Self::K256, Self::M1, Self::M16, Self::M256];

    /// The SIZE code (0-5, 7 or 9), as in word 0 bits 24:27.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The size of a SIZE code; `None` for the codes that the 440 does not implement (6, 8, 10 and
    /// above).
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::K1,
            1 => Self::K4,
            2 => Self::K16,
            3 => Self::K64,
            4 => Self::K256,
            5 => Self::M1,
            7 => Self::M16,
            9 => Self::M256,
            _ => return None,
        })
    }

    /// The size's base-2 logarithm: 10 to 28.
    #[must_use]
    pub const fn shift(self) -> u32 {
        10 + 2 * self as u32
    }

    /// The size in bytes: 1,024 to 268,435,456.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        1 << self.shift()
    }

    /// The bits of an effective address that select the page: ones above the offset.
    #[must_use]
    pub const fn mask(self) -> u32 {
        !(self.bytes() - 1)
    }
}

/// The storage attributes of a page: word 2 bits U0-U3, W, I, M, G and E, at their places in word 2.
///
/// Translation does not depend on them; an engine reads them to tell memory from I/O (I, G), to
/// choose the byte order (E) and for its own purposes (U0-U3).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Attributes(pub u32);

impl Attributes {
    /// All attribute bits of word 2.
    pub const MASK: u32 = TlbEntry::U0
        | TlbEntry::U1
        | TlbEntry::U2
        | TlbEntry::U3
        | TlbEntry::W
        | TlbEntry::I
        | TlbEntry::M
        | TlbEntry::G
        | TlbEntry::E;

    /// Write-through (W).
    #[must_use]
    pub const fn write_through(self) -> bool {
        self.0 & TlbEntry::W != 0
    }

    /// Caching inhibited (I).
    #[must_use]
    pub const fn caching_inhibited(self) -> bool {
        self.0 & TlbEntry::I != 0
    }

    /// Memory coherence required (M); without effect on a 440.
    #[must_use]
    pub const fn memory_coherent(self) -> bool {
        self.0 & TlbEntry::M != 0
    }

    /// Guarded (G).
    #[must_use]
    pub const fn guarded(self) -> bool {
        self.0 & TlbEntry::G != 0
    }

    /// Little-endian page (E).
    #[must_use]
    pub const fn little_endian(self) -> bool {
        self.0 & TlbEntry::E != 0
    }

    /// The user-definable attributes as four bits, U0 the highest.
    #[must_use]
    pub const fn user_defined(self) -> u8 {
        ((self.0 >> 12) & 0xf) as u8
    }
}

/// A TLB entry as `tlbwe` writes it: three words and the TID.
///
/// The fields are raw, so that a table of entries can be part of a plain state structure; whatever
/// they hold is accepted. Bits outside [`TlbEntry::WORD0_MASK`] and its sisters are dropped when the
/// entry is put into a [`Tlb`](crate::Tlb), and so read back as zero.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
#[repr(C)]
pub struct TlbEntry {
    /// EPN, V, TS and SIZE.
    pub word0: u32,
    /// RPN and ERPN.
    pub word1: u32,
    /// Storage attributes and access control.
    pub word2: u32,
    /// Translation ID: 0 matches every PID, 1-255 that PID alone. Only the low 8 bits are kept.
    pub tid: u32,
}

impl TlbEntry {
    /// An entry with nothing in it: V = 0 and all else zero.
    pub const EMPTY: Self = Self { word0: 0, word1: 0, word2: 0, tid: 0 };

    /// Word 0: effective page number, bits 0:21. The bits below the page size are ignored.
    pub const EPN: u32 = 0xffff_fc00;
    /// Word 0: valid.
    pub const V: u32 = 0x200;
    /// Word 0: translation space, compared with MSR\[IS\] for fetches and MSR\[DS\] for data.
    pub const TS: u32 = 0x100;
    /// Word 0: page size code, bits 24:27.
    pub const SIZE: u32 = 0xf0;
    /// How far SIZE stands above bit 31.
    pub const SIZE_SHIFT: u32 = 4;
    /// The implemented bits of word 0.
    pub const WORD0_MASK: u32 = Self::EPN | Self::V | Self::TS | Self::SIZE;

    /// Word 1: real page number, bits 0:21. The bits below the page size are ignored.
    pub const RPN: u32 = 0xffff_fc00;
    /// Word 1: extended real page number, the high 4 bits of the physical address.
    pub const ERPN: u32 = 0xf;
    /// The implemented bits of word 1.
    pub const WORD1_MASK: u32 = Self::RPN | Self::ERPN;

    /// Word 2: user-definable attribute 0.
    pub const U0: u32 = 0x8000;
    /// Word 2: user-definable attribute 1.
    pub const U1: u32 = 0x4000;
    /// Word 2: user-definable attribute 2.
    pub const U2: u32 = 0x2000;
    /// Word 2: user-definable attribute 3.
    pub const U3: u32 = 0x1000;
    /// Word 2: write-through.
    pub const W: u32 = 0x800;
    /// Word 2: caching inhibited.
    pub const I: u32 = 0x400;
    /// Word 2: memory coherence required.
    pub const M: u32 = 0x200;
    /// Word 2: guarded.
    pub const G: u32 = 0x100;
    /// Word 2: little-endian.
    pub const E: u32 = 0x80;
    /// Word 2: user state may execute.
    pub const UX: u32 = 0x20;
    /// Word 2: user state may write.
    pub const UW: u32 = 0x10;
    /// Word 2: user state may read.
    pub const UR: u32 = 0x08;
    /// Word 2: supervisor state may execute.
    pub const SX: u32 = 0x04;
    /// Word 2: supervisor state may write.
    pub const SW: u32 = 0x02;
    /// Word 2: supervisor state may read.
    pub const SR: u32 = 0x01;
    /// The implemented bits of word 2.
    pub const WORD2_MASK: u32 =
        Attributes::MASK | Self::UX | Self::UW | Self::UR | Self::SX | Self::SW | Self::SR;

    /// The entry with its unimplemented bits cleared, as the TLB keeps it.
    #[must_use]
    pub const fn masked(self) -> Self {
        Self {
            word0: self.word0 & Self::WORD0_MASK,
            word1: self.word1 & Self::WORD1_MASK,
            word2: self.word2 & Self::WORD2_MASK,
            tid: self.tid & 0xff,
        }
    }

    /// V: the entry takes part in translation.
    #[must_use]
    pub const fn valid(&self) -> bool {
        self.word0 & Self::V != 0
    }

    /// TS: the address space that the entry belongs to.
    #[must_use]
    pub const fn ts(&self) -> bool {
        self.word0 & Self::TS != 0
    }

    /// The page size, or `None` when SIZE holds a code that the 440 does not implement; such an
    /// entry matches nothing.
    #[must_use]
    pub const fn size(&self) -> Option<PageSize> {
        PageSize::from_code(((self.word0 & Self::SIZE) >> Self::SIZE_SHIFT) as u8)
    }

    /// The EPN field as written, as an address: bits below the page size are not cleared.
    #[must_use]
    pub const fn epn(&self) -> EffectiveAddress {
        EffectiveAddress(self.word0 & Self::EPN)
    }

    /// The RPN field as written, as the low 32 bits of a physical address.
    #[must_use]
    pub const fn rpn(&self) -> u32 {
        self.word1 & Self::RPN
    }

    /// The ERPN field: bits 32-35 of the physical address.
    #[must_use]
    pub const fn erpn(&self) -> u8 {
        (self.word1 & Self::ERPN) as u8
    }

    /// The storage attributes.
    #[must_use]
    pub const fn attributes(&self) -> Attributes {
        Attributes(self.word2 & Attributes::MASK)
    }

    /// May user (`true`) or supervisor (`false`) state load from the page?
    #[must_use]
    pub const fn readable(&self, user: bool) -> bool {
        self.word2 & if user { Self::UR } else { Self::SR } != 0
    }

    /// May user (`true`) or supervisor (`false`) state store to the page?
    #[must_use]
    pub const fn writable(&self, user: bool) -> bool {
        self.word2 & if user { Self::UW } else { Self::SW } != 0
    }

    /// May user (`true`) or supervisor (`false`) state fetch from the page?
    #[must_use]
    pub const fn executable(&self, user: bool) -> bool {
        self.word2 & if user { Self::UX } else { Self::SX } != 0
    }

    /// The page's first effective address; `None` for an unimplemented SIZE.
    #[must_use]
    pub const fn page_start(&self) -> Option<EffectiveAddress> {
        match self.size() {
            Some(size) => Some(EffectiveAddress(self.word0 & size.mask())),
            None => None,
        }
    }

    /// The page's first physical address, 36 bits; `None` for an unimplemented SIZE.
    #[must_use]
    pub const fn frame_start(&self) -> Option<PhysicalAddress> {
        match self.size() {
            Some(size) => Some(PhysicalAddress(
                ((self.word1 & Self::ERPN) as u64) << 32 | (self.word1 & size.mask()) as u64,
            )),
            None => None,
        }
    }
}

impl fmt::Display for TlbEntry {
    /// Decodes the entry on one line, as a monitor would show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bit = |mask: u32, name: char| if self.word2 & mask != 0 { name } else { '-' };
        let (Some(size), Some(ea), Some(pa)) = (self.size(), self.page_start(), self.frame_start()) else {
            return write!(f, "invalid SIZE {:x}", (self.word0 & Self::SIZE) >> Self::SIZE_SHIFT);
        };
        let (amount, unit) =
            if size.shift() < 20 { (size.bytes() >> 10, 'K') } else { (size.bytes() >> 20, 'M') };
        write!(
            f,
            "{} AS{} TID {:3} {ea} -> {pa} {amount:3}{unit} ",
            if self.valid() { 'V' } else { '-' },
            u8::from(self.ts()),
            self.tid
        )?;
        for (mask, name) in [
            (Self::U0, '0'),
            (Self::U1, '1'),
            (Self::U2, '2'),
            (Self::U3, '3'),
            (Self::W, 'W'),
            (Self::I, 'I'),
            (Self::M, 'M'),
            (Self::G, 'G'),
            (Self::E, 'E'),
        ] {
            write!(f, "{}", bit(mask, name))?;
        }
        write!(f, " S{}{}{}", bit(Self::SR, 'r'), bit(Self::SW, 'w'), bit(Self::SX, 'x'))?;
        write!(f, " U{}{}{}", bit(Self::UR, 'r'), bit(Self::UW, 'w'), bit(Self::UX, 'x'))
    }
}
