//! Operand fields: what each accepts and where its bits go. Field names and positions are Book E's; numbers in
//! comments are IBM bit numbers (0 is the most significant).

use crate::ErrorKind;
use crate::expr::{Operand, Scope, Value};
use crate::insn::spr;

/// An operand of an instruction or of an extended mnemonic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// A GPR at the given shift: 21 RT/RS, 16 RA, 11 RB.
    Gpr(u8),
    /// A GPR that goes to both RS (6:10) and RB (16:20): `mr`, `not`.
    GprTwice,
    /// An FPR at the given shift: 21 FRT, 16 FRA, 11 FRB, 6 FRC.
    Fpr(u8),
    /// A CR field at the given shift: 23 BF, 18 BFA.
    Cr(u8),
    /// As [`Field::Cr`], may be left out (cr0).
    CrOptional(u8),
    /// A CR bit at the given shift: 21 BT, 16 BA or BI, 11 BB, 6 BC.
    CrBit(u8),
    /// A CR bit that goes to BT, BA and BB: `crset`, `crclr`.
    CrBitThrice,
    /// A CR bit that goes to BA and BB: `crmove`, `crnot`.
    CrBitTwice,
    /// An unsigned number of the given width at the given shift.
    Unsigned { shift: u8, bits: u8 },
    /// As `Unsigned`, may be left out (0).
    UnsignedOptional { shift: u8, bits: u8 },
    /// 16-bit signed immediate.
    Si,
    /// As `Si`, but values up to 0xFFFF are taken too, as in `lis`.
    SiAny,
    /// 16-bit signed immediate, negated: `subi`.
    SiNegated,
    /// 16-bit unsigned immediate.
    Ui,
    /// `d(ra)`.
    Memory,
    /// `d(ra)` of a load with update: RA neither 0 nor RT.
    MemoryLoadUpdate,
    /// `d(ra)` of a store with update: RA not 0.
    MemoryUpdate,
    /// `d(ra)` of `lmw`: RA not among RT..r31.
    MemoryLmw,
    /// RA of an indexed load with update: neither 0 nor RT.
    RaLoadUpdate,
    /// RA of an indexed store with update, or of a floating-point load with update: not 0.
    RaUpdate,
    /// Byte count of a string instruction, 1-32 (or 0 for 32).
    ByteCount,
    /// Branch target, 14 bits of word displacement; true if absolute.
    Target14(bool),
    /// As `Target14`, with a static prediction: true if the branch is likely. Sets bit y as the direction needs.
    TargetHint(bool),
    /// Branch target, 24 bits of word displacement; true if absolute.
    Target24(bool),
    /// SPR by number or name, halves swapped.
    Spr,
    /// DCR by number, halves swapped.
    Dcr,
    /// SPRG number 0-3 of `mtsprg`/`mfsprg`; 4-7 have numbers of their own in user mode when read.
    Sprg { read: bool },
    /// Two operands MB and ME, or one mask.
    MbMe,
    /// Extended rotate: one operand.
    Rotate(Rotate),
    /// Extended rotate: two operands.
    Rotate2(Rotate2),
}

/// Extended mnemonics of `rlwinm` that take one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotate {
    Slwi,
    Srwi,
    Clrlwi,
    Clrrwi,
    Rotlwi,
    Rotrwi,
}

/// Extended mnemonics of `rlwinm` and `rlwimi` that take two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotate2 {
    Extlwi,
    Extrwi,
    Inslwi,
    Insrwi,
    Clrlslwi,
}

const RA_SHIFT: u8 = 16;

impl Field {
    /// The least and the most number of operands that this field takes.
    pub(crate) fn operands(self) -> (usize, usize) {
        match self {
            Field::CrOptional(_) | Field::UnsignedOptional { .. } => (0, 1),
            Field::MbMe => (1, 2),
            Field::Rotate2(_) => (2, 2),
            _ => (1, 1),
        }
    }

    /// Puts `given` into `word`. `index` is the position of the first given operand, from 1, for messages.
    pub(crate) fn insert(
        self,
        word: u32,
        given: &[Operand],
        index: usize,
        at: u32,
        scope: &dyn Scope,
    ) -> Result<u32, ErrorKind> {
        let Some(operand) = given.first() else { return Ok(word) };
        let input = Input { operand, index, scope };
        let rt = (word >> 21) & 31;
        Ok(match self {
            Field::Gpr(shift) => word | input.gpr()? << shift,
            Field::GprTwice => {
                let register = input.gpr()?;
                word | register << 21 | register << 11
            }
            Field::Fpr(shift) => word | input.fpr()? << shift,
            Field::Cr(shift) | Field::CrOptional(shift) => word | input.cr()? << shift,
            Field::CrBit(shift) => word | input.unsigned(31)? << shift,
            Field::CrBitThrice => word | (input.unsigned(31)? * (1 << 21 | 1 << 16 | 1 << 11)),
            Field::CrBitTwice => word | (input.unsigned(31)? * (1 << 16 | 1 << 11)),
            Field::Unsigned { shift, bits } | Field::UnsignedOptional { shift, bits } => {
                word | input.unsigned((1 << bits) - 1)? << shift
            }
            Field::Si => word | low16(input.signed()?),
            Field::SiAny => word | low16(input.range(-0x8000, 0xFFFF)?),
            Field::SiNegated => word | low16(-input.range(-0x7FFF, 0x8000)?),
            Field::Ui => word | low16(input.range(0, 0xFFFF)?),
            Field::Memory => input.memory(word)?,
            Field::MemoryLoadUpdate => {
                let word = input.memory(word)?;
                check_update(word, Some(rt))?;
                word
            }
            Field::MemoryUpdate => {
                let word = input.memory(word)?;
                check_update(word, None)?;
                word
            }
            Field::MemoryLmw => {
                let word = input.memory(word)?;
                if (word >> RA_SHIFT) & 31 >= rt {
                    return Err(ErrorKind::InvalidForm("lmw would load its own base register"));
                }
                word
            }
            Field::RaLoadUpdate => {
                let word = word | input.gpr()? << RA_SHIFT;
                check_update(word, Some(rt))?;
                word
            }
            Field::RaUpdate => {
                let word = word | input.gpr()? << RA_SHIFT;
                check_update(word, None)?;
                word
            }
            Field::ByteCount => word | (input.unsigned(32)? & 31) << 11,
            Field::Target14(absolute) => word | input.target(at, absolute, 16)?,
            Field::TargetHint(likely) => {
                let displacement = input.target(at, false, 16)?;
                // Without the bit, backward branches are predicted taken and forward ones not.
                let default = displacement & 0x8000 != 0;
                word | displacement | u32::from(default != likely) << 21
            }
            Field::Target24(absolute) => word | input.target(at, absolute, 26)?,
            Field::Spr => word | spr::field(input.spr()?),
            Field::Dcr => word | spr::field(input.unsigned(1023)?),
            Field::Sprg { read } => word | spr::field(spr::sprg(input.unsigned(7)?, read)),
            Field::MbMe => {
                let (mb, me) = match given.get(1) {
                    Some(me) => {
                        (input.unsigned(31)?, Input { operand: me, index: index + 1, scope }.unsigned(31)?)
                    }
                    None => input.mask()?,
                };
                word | mb << 6 | me << 1
            }
            Field::Rotate(kind) => {
                let n = input.unsigned(31)?;
                word | match kind {
                    Rotate::Slwi => rotate(n, 0, 31 - n),
                    Rotate::Srwi => rotate((32 - n) & 31, n, 31),
                    Rotate::Clrlwi => rotate(0, n, 31),
                    Rotate::Clrrwi => rotate(0, 0, 31 - n),
                    Rotate::Rotlwi => rotate(n, 0, 31),
                    Rotate::Rotrwi => rotate((32 - n) & 31, 0, 31),
                }
            }
            Field::Rotate2(kind) => {
                let second = Input { operand: &given[1], index: index + 1, scope };
                word | rotate2(kind, &input, &second)?
            }
        })
    }
}

fn low16(value: i64) -> u32 {
    value as u32 & 0xFFFF
}

fn rotate(sh: u32, mb: u32, me: u32) -> u32 {
    sh << 11 | mb << 6 | me << 1
}

fn rotate2(kind: Rotate2, first: &Input<'_>, second: &Input<'_>) -> Result<u32, ErrorKind> {
    Ok(match kind {
        Rotate2::Clrlslwi => {
            let b = first.unsigned(31)?;
            let n = second.unsigned(b)?;
            rotate(n, b - n, 31 - n)
        }
        _ => {
            let n = first.range(1, 32)? as u32;
            let b = second.unsigned(if matches!(kind, Rotate2::Extlwi) { 31 } else { 32 - n })?;
            match kind {
                Rotate2::Extlwi => rotate(b, 0, n - 1),
                Rotate2::Extrwi => rotate((b + n) & 31, 32 - n, 31),
                Rotate2::Inslwi => rotate((32 - b) & 31, b, b + n - 1),
                _ => rotate((32 - (b + n)) & 31, b, b + n - 1),
            }
        }
    })
}

fn check_update(word: u32, rt: Option<u32>) -> Result<(), ErrorKind> {
    let ra = (word >> RA_SHIFT) & 31;
    if ra == 0 {
        return Err(ErrorKind::InvalidForm("an update form needs a base register other than r0"));
    }
    if rt == Some(ra) {
        return Err(ErrorKind::InvalidForm("a load with update cannot load its own base register"));
    }
    Ok(())
}

/// One written operand with what its messages and its value need.
struct Input<'a> {
    operand: &'a Operand,
    index: usize,
    scope: &'a dyn Scope,
}

impl<'a> Input<'a> {
    fn kind(&self, expected: &'static str) -> ErrorKind {
        ErrorKind::OperandKind { index: self.index, expected }
    }

    fn value(&self) -> Result<&'a Value, ErrorKind> {
        match self.operand {
            Operand::Value(value) => Ok(value),
            _ => Err(self.kind("a number")),
        }
    }

    fn check(&self, value: i64, min: i64, max: i64) -> Result<i64, ErrorKind> {
        if (min..=max).contains(&value) {
            Ok(value)
        } else {
            Err(ErrorKind::OperandRange { index: self.index, value, min, max })
        }
    }

    fn range(&self, min: i64, max: i64) -> Result<i64, ErrorKind> {
        self.check(self.value()?.evaluate(self.scope)?, min, max)
    }

    /// A signed 16-bit immediate. A value taken with `@l` and the like always fits.
    fn signed(&self) -> Result<i64, ErrorKind> {
        let written = self.value()?;
        let value = written.evaluate(self.scope)?;
        if written.half.is_some() { Ok(value) } else { self.check(value, -0x8000, 0x7FFF) }
    }

    fn unsigned(&self, max: u32) -> Result<u32, ErrorKind> {
        self.range(0, i64::from(max)).map(|v| v as u32)
    }

    /// A register of the right sort, or its bare number.
    fn register(&self, register: Option<u8>, max: u32, expected: &'static str) -> Result<u32, ErrorKind> {
        match (register, self.operand) {
            (Some(n), _) => Ok(u32::from(n)),
            (None, Operand::Value(value)) if value.half.is_none() => self.unsigned(max),
            _ => Err(self.kind(expected)),
        }
    }

    fn gpr(&self) -> Result<u32, ErrorKind> {
        let register = if let Operand::Gpr(n) = self.operand { Some(*n) } else { None };
        self.register(register, 31, "a general purpose register")
    }

    fn fpr(&self) -> Result<u32, ErrorKind> {
        let register = if let Operand::Fpr(n) = self.operand { Some(*n) } else { None };
        self.register(register, 31, "a floating-point register")
    }

    fn cr(&self) -> Result<u32, ErrorKind> {
        let register = if let Operand::Cr(n) = self.operand { Some(*n) } else { None };
        self.register(register, 7, "a condition register field")
    }

    fn spr(&self) -> Result<u32, ErrorKind> {
        if let Operand::Value(Value { expr: crate::expr::Expr::Symbol(name), half: None }) = self.operand
            && let Some(number) = spr::by_name(name)
            && self.scope.symbol(name).is_err()
        {
            return Ok(number);
        }
        self.unsigned(1023)
    }

    fn memory(&self, word: u32) -> Result<u32, ErrorKind> {
        let Operand::Memory(displacement, base) = self.operand else {
            return Err(self.kind("a memory operand such as 8(r1)"));
        };
        let base = Input { operand: base, ..*self }.gpr()?;
        let value = displacement.evaluate(self.scope)?;
        let value = if displacement.half.is_some() { value } else { self.check(value, -0x8000, 0x7FFF)? };
        Ok(word | base << RA_SHIFT | low16(value))
    }

    /// The displacement field of a branch; `bits` counts the two low bits that are not stored.
    fn target(&self, at: u32, absolute: bool, bits: u32) -> Result<u32, ErrorKind> {
        let target = self.value()?.evaluate(self.scope)? as u32;
        let distance = if absolute { target } else { target.wrapping_sub(at) };
        let limit = 1u32 << (bits - 1);
        let signed = distance as i32;
        if distance & 3 != 0 || signed < -(limit as i32) || signed >= limit as i32 {
            return Err(ErrorKind::BranchTarget { from: at, target });
        }
        Ok(distance & ((1 << bits) - 4))
    }

    /// MB and ME of a mask of consecutive ones, which may wrap around.
    fn mask(&self) -> Result<(u32, u32), ErrorKind> {
        let mask = self.range(-0x8000_0000, 0xFFFF_FFFF)? as u32;
        // A wrapped mask is the complement of consecutive ones inside.
        let (mb, me) = if mask & 0x8000_0001 == 0x8000_0001 && mask != u32::MAX {
            let inverse = !mask;
            (32 - inverse.trailing_zeros(), inverse.leading_zeros().wrapping_sub(1) & 31)
        } else {
            (mask.leading_zeros(), 31u32.wrapping_sub(mask.trailing_zeros()))
        };
        if mask == 0 || mask_of(mb, me) != mask {
            return Err(self.kind("a mask of consecutive ones"));
        }
        Ok((mb, me))
    }
}

/// The mask with ones from bit `mb` through bit `me`, IBM numbering, wrapping if `mb` is greater.
fn mask_of(mb: u32, me: u32) -> u32 {
    let from = u32::MAX >> (mb & 31);
    let to = u32::MAX << (31 - (me & 31));
    if mb <= me { from & to } else { from | to }
}
