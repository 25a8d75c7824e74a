//! An instruction word and its fields, by the names of Book I (fields are numbered from the most significant bit).

/// One 32-bit instruction word; for handlers of pairs also the word after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op(pub u32, u32);

macro_rules! register_fields {
    ($($(#[$doc:meta])* $name:ident = $shift:literal;)*) => { $(
        $(#[$doc])*
        #[inline(always)]
        #[must_use]
        pub const fn $name(self) -> usize {
            ((self.0 >> $shift) & 31) as usize
        }
    )* };
}

impl Op {
    /// A word on its own.
    #[inline(always)]
    #[must_use]
    pub const fn new(word: u32) -> Self {
        Self(word, 0)
    }
    /// A word with the one after it.
    #[inline(always)]
    #[must_use]
    pub(crate) const fn with_next(word: u32, next: u32) -> Self {
        Self(word, next)
    }
    /// The word after it, if it was made with one.
    #[inline(always)]
    #[must_use]
    pub(crate) const fn next(self) -> Self {
        Self(self.1, 0)
    }

    register_fields! {
        /// RT, RS, FRT, FRS, TO and BO: bits 6:10.
        rt = 21;
        /// RA, FRA, BI: bits 11:15.
        ra = 16;
        /// RB, FRB, SH, NB: bits 16:20.
        rb = 11;
        /// FRC, MB, BC of isel: bits 21:25.
        rc_reg = 6;
        /// ME: bits 26:30.
        me = 1;
    }

    /// Primary opcode, bits 0:5.
    #[inline(always)]
    #[must_use]
    pub const fn primary(self) -> u32 {
        self.0 >> 26
    }
    /// Extended opcode of the X, XL and XFX forms, bits 21:30.
    #[inline(always)]
    #[must_use]
    pub const fn xo(self) -> u32 {
        (self.0 >> 1) & 0x3FF
    }
    /// Rc, bit 31: record into CR0 (CR1 for floating point).
    #[inline(always)]
    #[must_use]
    pub const fn rc(self) -> bool {
        self.0 & 1 != 0
    }
    /// LK, bit 31: update the link register.
    #[inline(always)]
    #[must_use]
    pub const fn lk(self) -> bool {
        self.0 & 1 != 0
    }
    /// AA, bit 30: the branch target is absolute.
    #[inline(always)]
    #[must_use]
    pub const fn aa(self) -> bool {
        self.0 & 2 != 0
    }
    /// OE, bit 21: update XER[OV, SO].
    #[inline(always)]
    #[must_use]
    pub const fn oe(self) -> bool {
        self.0 & 0x400 != 0
    }
    /// SI or D, bits 16:31, sign extended.
    #[inline(always)]
    #[must_use]
    pub const fn si(self) -> u32 {
        self.0 as u16 as i16 as i32 as u32
    }
    /// UI, bits 16:31.
    #[inline(always)]
    #[must_use]
    pub const fn ui(self) -> u32 {
        self.0 & 0xFFFF
    }
    /// LI || 0b00 of an I-form branch, sign extended.
    #[inline(always)]
    #[must_use]
    pub const fn li(self) -> u32 {
        (((self.0 & 0x03FF_FFFC) << 6) as i32 >> 6) as u32
    }
    /// BD || 0b00 of a B-form branch, sign extended.
    #[inline(always)]
    #[must_use]
    pub const fn bd(self) -> u32 {
        (self.0 & 0xFFFC) as u16 as i16 as i32 as u32
    }
    /// BF or CRFD, bits 6:8: a condition register field.
    #[inline(always)]
    #[must_use]
    pub const fn bf(self) -> u32 {
        (self.0 >> 23) & 7
    }
    /// BFA, bits 11:13.
    #[inline(always)]
    #[must_use]
    pub const fn bfa(self) -> u32 {
        (self.0 >> 18) & 7
    }
    /// FXM of mtcrf, bits 12:19.
    #[inline(always)]
    #[must_use]
    pub const fn fxm(self) -> u32 {
        (self.0 >> 12) & 0xFF
    }
    /// SPRN, TBRN or DCRN, bits 11:20, its halves swapped back.
    #[inline(always)]
    #[must_use]
    pub const fn spr(self) -> u32 {
        ((self.0 >> 16) & 0x1F) | ((self.0 >> 6) & 0x3E0)
    }
    /// The mask of a rotate instruction: ones from bit MB through bit ME, wrapping.
    #[inline(always)]
    #[must_use]
    pub const fn mask(self) -> u32 {
        let (mb, me) = (self.rc_reg() as u32, self.me() as u32);
        let from = 0xFFFF_FFFFu32 >> mb;
        let to = 0xFFFF_FFFFu32 << (31 - me);
        if mb <= me { from & to } else { from | to }
    }
}
