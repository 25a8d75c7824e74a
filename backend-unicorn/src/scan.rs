//! Which instructions Unicorn may execute: those for which it does exactly what the reference core does, or traps.
//!
//! A block that holds any other instruction is executed by the core. The list is positive: an encoding that is not on
//! it, with its reserved bits zero, is never executed by Unicorn. Left to the core on purpose:
//!
//! * what is privileged, and what Unicorn answers silently with zero: mftb and mfspr of the time base (268, 269), of
//!   SPRG4-7 (260-263) and of USPRG0;
//! * all of floating point: Unicorn never computes FPSCR\[FR\], does not raise the alignment exception of an access that
//!   crosses 16 bytes, and keeps the registers where they would have to be moved each time;
//! * multiply-accumulate: Unicorn does not write the result of the plain forms;
//! * divisions: their undefined results differ;
//! * mtxer: Unicorn keeps XER bits that the 440 does not implement;
//! * lwarx and stwcx. unless both stand in one block with no access between them: Unicorn's reservation compares
//!   values and cannot be moved;
//! * an unconditional branch to itself, where the core waits instead of spinning.

/// The block may be executed by Unicorn.
pub(crate) const NATIVE: u16 = 0x8000;
/// It may change XER.
pub(crate) const XER: u16 = 0x4000;
/// It holds lwarx and stwcx. pairs.
pub(crate) const ATOMIC: u16 = 0x2000;

/// What one instruction is to the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Only registers.
    Plain,
    /// Registers and XER.
    Xer,
    /// May trap or access memory.
    Memory,
    /// Ends the block.
    Branch,
    Lwarx,
    Stwcx,
    /// For the core.
    Core,
}

const fn rt(word: u32) -> u32 {
    (word >> 21) & 31
}
const fn ra(word: u32) -> u32 {
    (word >> 16) & 31
}
const fn rb(word: u32) -> u32 {
    (word >> 11) & 31
}

/// Judges a block of instruction words: [`NATIVE`] with [`XER`] and [`ATOMIC`] as they apply, or 0.
pub(crate) fn scan(words: impl Iterator<Item = u32>) -> u16 {
    let mut flags = NATIVE;
    // Registers that make up the address of an open reservation.
    let mut open: Option<(u32, u32)> = None;
    for word in words {
        let kind = classify(word);
        match kind {
            Kind::Core => return 0,
            Kind::Xer => flags |= XER,
            Kind::Memory if open.is_some() => return 0,
            Kind::Branch if open.is_some() => return 0,
            Kind::Lwarx => {
                let (a, b) = (ra(word), rb(word));
                if open.is_some() || rt(word) == b || (a != 0 && rt(word) == a) {
                    return 0;
                }
                open = Some((a, b));
                flags |= ATOMIC;
                continue;
            }
            Kind::Stwcx => {
                if open != Some((ra(word), rb(word))) {
                    return 0;
                }
                open = None;
            }
            Kind::Plain | Kind::Memory | Kind::Branch => {}
        }
        if let Some((a, b)) = open {
            // Every register that such an instruction can write is named in its RT or RA field.
            for written in [rt(word), ra(word)] {
                if written == b || (a != 0 && written == a) {
                    return 0;
                }
            }
        }
    }
    if open.is_some() { 0 } else { flags }
}

/// Is this lwarx?
pub(crate) const fn is_lwarx(word: u32) -> bool {
    word & 0xFC00_07FF == 0x7C00_0028
}

/// Is this stwcx.?
pub(crate) const fn is_stwcx(word: u32) -> bool {
    word & 0xFC00_07FF == 0x7C00_012D
}

fn when(valid: bool, kind: Kind) -> Kind {
    if valid { kind } else { Kind::Core }
}

fn classify(word: u32) -> Kind {
    match word >> 26 {
        3 => Kind::Memory,
        4 => multiply_halfwords(word),
        7 | 14 | 15 | 20 | 21 | 23..=29 => Kind::Plain,
        8 | 12 | 13 => Kind::Xer,
        // cmpli, cmpi: bit 9 is reserved and L must be 0.
        10 | 11 => when(word & 0x0060_0000 == 0, Kind::Plain),
        16 => Kind::Branch,
        // sc traps.
        17 => when(word == 0x4400_0002, Kind::Branch),
        18 => when(word != 0x4800_0000, Kind::Branch),
        19 => branch_unit(word),
        31 => extended(word),
        // lwz, lbz, lhz, lha and their update forms
        32 | 34 | 40 | 42 => Kind::Memory,
        33 | 35 | 41 | 43 => when(ra(word) != 0 && ra(word) != rt(word), Kind::Memory),
        // stw, stb, sth and their update forms
        36 | 38 | 44 => Kind::Memory,
        37 | 39 | 45 => when(ra(word) != 0, Kind::Memory),
        // lmw: RA must not be loaded.
        46 => when(ra(word) < rt(word), Kind::Memory),
        47 => Kind::Memory,
        _ => Kind::Core,
    }
}

/// Primary opcode 4: of the multiply and accumulate instructions Unicorn gets only those right that accumulate nothing;
/// the plain accumulating forms do not even write RT [measured by lock step].
fn multiply_halfwords(word: u32) -> Kind {
    when(matches!((word >> 1) & 0x3FF, 8 | 40 | 136 | 168 | 392 | 424), Kind::Plain)
}

fn branch_unit(word: u32) -> Kind {
    match (word >> 1) & 0x3FF {
        // mcrf
        0 => when(word & 0x0063_F801 == 0, Kind::Plain),
        // bclr; bcctr must not decrement CTR.
        16 => when(word & 0xF800 == 0, Kind::Branch),
        528 => when(word & 0xF800 == 0 && rt(word) & 4 != 0, Kind::Branch),
        33 | 129 | 193 | 225 | 257 | 289 | 417 | 449 => when(word & 1 == 0, Kind::Plain),
        150 => when(word == 0x4C00_012C, Kind::Branch),
        _ => Kind::Core,
    }
}

fn extended(word: u32) -> Kind {
    let no_rc = word & 1 == 0;
    let no_rb = rb(word) == 0;
    let xo = (word >> 1) & 0x3FF;
    match xo & 0x1FF {
        // subfc, addc, subfe, adde
        8 | 10 | 136 | 138 => return Kind::Xer,
        // subfze, addze, subfme, addme
        200 | 202 | 232 | 234 => return when(no_rb, Kind::Xer),
        // subf, mullw, add: XER only with OE
        40 | 235 | 266 => return if xo & 0x200 != 0 { Kind::Xer } else { Kind::Plain },
        // neg
        104 => return when(no_rb, if xo & 0x200 != 0 { Kind::Xer } else { Kind::Plain }),
        _ => {}
    }
    match xo {
        // cmp, cmpl: L must be 0.
        0 | 32 => when(no_rc && word & 0x0060_0000 == 0, Kind::Plain),
        // tw
        4 => when(no_rc, Kind::Memory),
        // mulhwu, mulhw, slw, and, andc, nor, eqv, xor, orc, or, nand, srw
        11 | 75 | 24 | 28 | 60 | 124 | 284 | 316 | 412 | 444 | 476 | 536 => Kind::Plain,
        // cntlzw, extsh, extsb
        26 | 922 | 954 => when(no_rb, Kind::Plain),
        // sraw, srawi, dlmzb
        792 | 824 | 78 => Kind::Xer,
        // mfcr, mtcrf, mcrxr
        19 => when(word & 0x001F_F801 == 0, Kind::Plain),
        144 => when(word & 0x0010_0801 == 0, Kind::Plain),
        512 => when(word & 0x007F_F801 == 0, Kind::Xer),
        // mfspr, mtspr: XER (read only), LR, CTR, with the halves of the number swapped
        339 => when(no_rc && matches!(ra(word) | rb(word) << 5, 1 | 8 | 9), Kind::Plain),
        467 => when(no_rc && matches!(ra(word) | rb(word) << 5, 8 | 9), Kind::Plain),
        20 => when(no_rc, Kind::Lwarx),
        150 => when(!no_rc, Kind::Stwcx),
        // lwzx, lbzx, lhzx, lhax, lwbrx, lhbrx
        23 | 87 | 279 | 343 | 534 | 790 => when(no_rc, Kind::Memory),
        // lwzux, lbzux, lhzux, lhaux
        55 | 119 | 311 | 375 => when(no_rc && ra(word) != 0 && ra(word) != rt(word), Kind::Memory),
        // stwx, stbx, sthx, stwbrx, sthbrx
        151 | 215 | 407 | 662 | 918 => when(no_rc, Kind::Memory),
        // stwux, stbux, sthux
        183 | 247 | 439 => when(no_rc && ra(word) != 0, Kind::Memory),
        // stswi, stswx
        725 | 661 => when(no_rc, Kind::Memory),
        // dcbst, dcbf, icbi, dcbz
        54 | 86 | 982 | 1014 => when(no_rc && rt(word) == 0, Kind::Memory),
        // dcbt, dcbtst, icbt, dcba: hints
        278 | 246 | 22 | 758 => when(no_rc && rt(word) == 0, Kind::Plain),
        // msync, mbar
        598 | 854 => when(word & 0x03FF_F801 == 0, Kind::Plain),
        _ => Kind::Core,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(words: &[u32]) -> u16 {
        scan(words.iter().copied())
    }

    #[test]
    fn plain_code_is_native_and_says_whether_xer_changes() {
        assert_eq!(judge(&[0x3863_0001, 0x4BFF_FFFC]), NATIVE);
        assert_eq!(judge(&[0x7C63_0E70, 0x4E80_0020]), NATIVE | XER);
    }

    #[test]
    fn what_unicorn_answers_silently_wrong_is_for_the_core() {
        // mftb r3, mfspr r3,269, mfspr r3,SPRG4 (260), mfspr r3,USPRG0 (256), mtxer r3, lfd, divw
        for word in
            [0x7C6C_42E6, 0x7C6D_42A6, 0x7C64_42A6, 0x7C60_42A6, 0x7C61_03A6, 0xC803_0000, 0x7C64_2BD6]
        {
            assert_eq!(judge(&[0x3863_0001, word]), 0, "{word:#010x}");
        }
    }

    #[test]
    fn mfxer_mflr_and_mtctr_are_native() {
        for word in [0x7C61_02A6, 0x7C68_02A6, 0x7C69_03A6] {
            assert_eq!(judge(&[word]), NATIVE, "{word:#010x}");
        }
    }

    #[test]
    fn a_reservation_is_native_only_as_a_closed_pair() {
        let (lwarx, add, stwcx, bne) = (0x7CE0_2828, 0x7CE7_2214, 0x7CE0_292D, 0x40A2_FFF4);
        assert_eq!(judge(&[lwarx, add, stwcx, bne]), NATIVE | ATOMIC);
        assert_eq!(judge(&[lwarx, add, bne]), 0, "left open");
        assert_eq!(judge(&[stwcx, bne]), 0, "opened elsewhere");
        assert_eq!(judge(&[lwarx, 0x38A5_0004, stwcx, bne]), 0, "the address register changes");
        assert_eq!(judge(&[lwarx, 0x9006_0000, stwcx, bne]), 0, "a store between could hit the word");
    }

    #[test]
    fn waiting_loops_and_invalid_forms_are_for_the_core() {
        // b ., lwzu r3,0(r3), lwzu r3,0(0), lmw r3,0(r4), bdnzctr
        for word in [0x4800_0000, 0x8463_0000, 0x8460_0000, 0xB864_0000, 0x4E00_0420] {
            assert_eq!(judge(&[word]), 0, "{word:#010x}");
        }
    }
}
