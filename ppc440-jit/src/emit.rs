//! The x86-64 encoder: exactly the instruction forms that the translator uses (Intel SDM volume 2), written into a
//! byte vector. It knows nothing of the guest. Operands are 32 bits wide unless a method says otherwise; none of the
//! moves, `lea` and conditional moves touches the flags, which the translator relies upon.

use alloc::vec::Vec;

/// A general purpose register of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reg(pub(crate) u8);

pub(crate) const RAX: Reg = Reg(0);
pub(crate) const RCX: Reg = Reg(1);
pub(crate) const RDX: Reg = Reg(2);
pub(crate) const RBX: Reg = Reg(3);
pub(crate) const RSP: Reg = Reg(4);
pub(crate) const RBP: Reg = Reg(5);
pub(crate) const RSI: Reg = Reg(6);
pub(crate) const RDI: Reg = Reg(7);
pub(crate) const R8: Reg = Reg(8);
pub(crate) const R9: Reg = Reg(9);
pub(crate) const R10: Reg = Reg(10);
pub(crate) const R11: Reg = Reg(11);
pub(crate) const R12: Reg = Reg(12);
pub(crate) const R13: Reg = Reg(13);
pub(crate) const R14: Reg = Reg(14);
pub(crate) const R15: Reg = Reg(15);

/// An SSE register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Xmm(pub(crate) u8);

/// A memory operand: base + index * scale + displacement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mem {
    base: Reg,
    index: Option<(Reg, u8)>,
    disp: i32,
}

impl Mem {
    pub(crate) const fn new(base: Reg, disp: i32) -> Self {
        Self { base, index: None, disp }
    }
    /// So many bytes further on.
    pub(crate) const fn plus(self, by: i32) -> Self {
        Self { disp: self.disp + by, ..self }
    }
    /// With an index register, as it is.
    pub(crate) const fn with_index(self, index: Reg) -> Self {
        Self { index: Some((index, 0)), ..self }
    }
    /// With an index register, scaled by 1 << `shift`.
    pub(crate) const fn indexed(base: Reg, index: Reg, shift: u8, disp: i32) -> Self {
        Self { base, index: Some((index, shift)), disp }
    }
}

/// Two-operand arithmetic by its number in the opcode map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Alu {
    Add = 0,
    Or = 1,
    Adc = 2,
    And = 4,
    Sub = 5,
    Xor = 6,
    Cmp = 7,
}

/// Shifts by their number in group 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Shift {
    Rol = 0,
    Shl = 4,
    Shr = 5,
    Sar = 7,
}

/// Condition codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Cond {
    Overflow = 0,
    Below = 2,
    AboveEqual = 3,
    Equal = 4,
    NotEqual = 5,
    BelowEqual = 6,
    Above = 7,
    Parity = 10,
    Less = 12,
    GreaterEqual = 13,
    LessEqual = 14,
    Greater = 15,
}

impl Cond {
    /// The opposite condition.
    pub(crate) fn not(self) -> Self {
        match self {
            Self::Overflow => unreachable!("never negated"),
            Self::Parity => unreachable!("never negated"),
            Self::Below => Self::AboveEqual,
            Self::AboveEqual => Self::Below,
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::BelowEqual => Self::Above,
            Self::Above => Self::BelowEqual,
            Self::Less => Self::GreaterEqual,
            Self::GreaterEqual => Self::Less,
            Self::LessEqual => Self::Greater,
            Self::Greater => Self::LessEqual,
        }
    }
}

/// Where a jump's 32-bit displacement stands, to be filled in later.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Hole(pub(crate) usize);

/// The first bytes of an instruction, eight at most: prefix, REX, up to three of opcode, ModRM, SIB, a short
/// displacement.
#[derive(Clone, Copy, Default)]
struct Start {
    bytes: u64,
    /// Bits.
    len: u32,
}

impl Start {
    #[inline(always)]
    fn push(&mut self, byte: u8) {
        self.bytes |= u64::from(byte) << self.len;
        self.len += 8;
    }

    /// `prefix` (0 for none), REX if it is needed (see [`rex`]; `byte` is an operand that is the low byte of a register),
    /// `opcode`.
    #[inline(always)]
    fn opcode(&mut self, prefix: u8, rex: u8, opcode: &[u8], byte: Option<u8>) {
        if prefix != 0 {
            self.push(prefix);
        }
        if rex != 0 || byte.is_some_and(|register| register >= 4) {
            self.push(0x40 | rex);
        }
        for &byte in opcode {
            self.push(byte);
        }
    }
}

/// The low bits of a REX prefix; `w` for 64-bit operands.
const fn rex(w: bool, reg: u8, index: u8, base: u8) -> u8 {
    (w as u8) << 3 | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3
}

/// Code under construction.
#[derive(Debug, Default)]
pub(crate) struct Emitter {
    pub(crate) code: Vec<u8>,
    /// The host's flags compare this register with 0, as signed numbers, at this place in the code.
    compared: Option<(Reg, usize)>,
}

impl Emitter {
    pub(crate) fn here(&self) -> usize {
        self.code.len()
    }
    fn byte(&mut self, value: u8) {
        self.code.push(value);
    }
    fn word(&mut self, value: u32) {
        self.code.extend_from_slice(&value.to_le_bytes());
    }

    /// REX prefix for one register, if it is needed; `w` for 64-bit operands.
    fn rex(&mut self, w: bool, reg: Reg) {
        let rex = rex(w, 0, 0, reg.0);
        if rex != 0 {
            self.byte(0x40 | rex);
        }
    }
    fn modrm_reg(&mut self, reg: u8, rm: u8) {
        self.byte(0xC0 | (reg & 7) << 3 | (rm & 7));
    }

    /// `prefix` (0 for none), REX, `opcode` bytes, register operands.
    fn rr(&mut self, prefix: u8, w: bool, opcode: &[u8], reg: u8, rm: u8, byte: Option<u8>) {
        let mut start = Start::default();
        start.opcode(prefix, rex(w, reg, 0, rm), opcode, byte);
        start.push(0xC0 | (reg & 7) << 3 | (rm & 7));
        self.start(start);
    }
    fn rm(&mut self, prefix: u8, w: bool, opcode: &[u8], reg: u8, mem: Mem, byte: Option<u8>) {
        let Mem { base, index, disp } = mem;
        let mut start = Start::default();
        let index_register = index.map_or(0, |(index, _)| index.0);
        start.opcode(prefix, rex(w, reg, index_register, base.0), opcode, byte);
        let (mode, wide) = match disp {
            0 if base.0 & 7 != 5 => (0x00, false),
            -128..=127 => (0x40, false),
            _ => (0x80, true),
        };
        match index {
            Some((index, shift)) => {
                start.push(mode | (reg & 7) << 3 | 4);
                start.push(shift << 6 | (index.0 & 7) << 3 | (base.0 & 7));
            }
            None if base.0 & 7 == 4 => {
                start.push(mode | (reg & 7) << 3 | 4);
                start.push(0x24);
            }
            None => start.push(mode | (reg & 7) << 3 | (base.0 & 7)),
        }
        if mode == 0x40 {
            start.push(disp as u8);
        }
        self.start(start);
        if wide {
            self.word(disp as u32);
        }
    }

    /// Appends all bytes at once: this is what translating mostly does.
    fn start(&mut self, start: Start) {
        let end = self.code.len() + start.len as usize / 8;
        self.code.extend_from_slice(&start.bytes.to_le_bytes());
        self.code.truncate(end);
    }

    pub(crate) fn mov(&mut self, to: Reg, from: Reg) {
        if to != from {
            self.rr(0, false, &[0x8B], to.0, from.0, None);
        }
    }
    pub(crate) fn mov64(&mut self, to: Reg, from: Reg) {
        self.rr(0, true, &[0x8B], to.0, from.0, None);
    }
    pub(crate) fn mov_imm(&mut self, to: Reg, value: u32) {
        self.rex(false, to);
        self.byte(0xB8 | (to.0 & 7));
        self.word(value);
    }
    pub(crate) fn mov_imm64(&mut self, to: Reg, value: u64) {
        self.rex(true, to);
        self.byte(0xB8 | (to.0 & 7));
        self.code.extend_from_slice(&value.to_le_bytes());
    }
    pub(crate) fn load(&mut self, to: Reg, from: Mem) {
        self.rm(0, false, &[0x8B], to.0, from, None);
    }
    pub(crate) fn load64(&mut self, to: Reg, from: Mem) {
        self.rm(0, true, &[0x8B], to.0, from, None);
    }
    pub(crate) fn store(&mut self, to: Mem, from: Reg) {
        self.rm(0, false, &[0x89], from.0, to, None);
    }
    pub(crate) fn store64(&mut self, to: Mem, from: Reg) {
        self.rm(0, true, &[0x89], from.0, to, None);
    }
    pub(crate) fn store16(&mut self, to: Mem, from: Reg) {
        self.rm(0x66, false, &[0x89], from.0, to, None);
    }
    pub(crate) fn store8(&mut self, to: Mem, from: Reg) {
        self.rm(0, false, &[0x88], from.0, to, Some(from.0));
    }
    pub(crate) fn store_imm(&mut self, to: Mem, value: u32) {
        self.rm(0, false, &[0xC7], 0, to, None);
        self.word(value);
    }
    /// The immediate is sign extended.
    pub(crate) fn store64_imm(&mut self, to: Mem, value: i32) {
        self.rm(0, true, &[0xC7], 0, to, None);
        self.word(value as u32);
    }
    pub(crate) fn load_zx8(&mut self, to: Reg, from: Mem) {
        self.rm(0, false, &[0x0F, 0xB6], to.0, from, None);
    }
    pub(crate) fn load_zx16(&mut self, to: Reg, from: Mem) {
        self.rm(0, false, &[0x0F, 0xB7], to.0, from, None);
    }
    /// `to` <- `from`, from 32 to 64 bits by the sign.
    pub(crate) fn movsx32(&mut self, to: Reg, from: Reg) {
        self.rr(0, true, &[0x63], to.0, from.0, None);
    }
    pub(crate) fn movsx8(&mut self, to: Reg, from: Reg) {
        self.rr(0, false, &[0x0F, 0xBE], to.0, from.0, Some(from.0));
    }
    pub(crate) fn movzx8(&mut self, to: Reg, from: Reg) {
        self.rr(0, false, &[0x0F, 0xB6], to.0, from.0, Some(from.0));
    }
    pub(crate) fn movzx16(&mut self, to: Reg, from: Reg) {
        self.rr(0, false, &[0x0F, 0xB7], to.0, from.0, None);
    }
    pub(crate) fn movsx16(&mut self, to: Reg, from: Reg) {
        self.rr(0, false, &[0x0F, 0xBF], to.0, from.0, None);
    }
    pub(crate) fn bswap(&mut self, reg: Reg) {
        self.rex(false, reg);
        self.code.extend_from_slice(&[0x0F, 0xC8 | (reg.0 & 7)]);
    }
    pub(crate) fn bswap64(&mut self, reg: Reg) {
        self.rex(true, reg);
        self.code.extend_from_slice(&[0x0F, 0xC8 | (reg.0 & 7)]);
    }
    /// `to` <- the word at `from`, reversed; with the upper bits cleared (MOVBE).
    pub(crate) fn load_reversed(&mut self, to: Reg, from: Mem) {
        self.rm(0, false, &[0x0F, 0x38, 0xF0], to.0, from, None);
    }
    /// The word at `to` <- `from`, reversed (MOVBE).
    pub(crate) fn store_reversed(&mut self, to: Mem, from: Reg) {
        self.rm(0, false, &[0x0F, 0x38, 0xF1], from.0, to, None);
    }
    /// The half word at `to` <- the lower half of `from`, reversed (MOVBE).
    pub(crate) fn store16_reversed(&mut self, to: Mem, from: Reg) {
        self.rm(0x66, false, &[0x0F, 0x38, 0xF1], from.0, to, None);
    }
    /// Rotates the low half of a register by 8: swaps its two bytes.
    pub(crate) fn swap16(&mut self, reg: Reg) {
        self.rr(0x66, false, &[0xC1], 0, reg.0, None);
        self.byte(8);
    }
    pub(crate) fn lea(&mut self, to: Reg, mem: Mem) {
        self.rm(0, false, &[0x8D], to.0, mem, None);
    }
    pub(crate) fn lea64(&mut self, to: Reg, mem: Mem) {
        self.rm(0, true, &[0x8D], to.0, mem, None);
    }

    pub(crate) fn alu(&mut self, op: Alu, to: Reg, from: Reg) {
        self.rr(0, false, &[(op as u8) << 3 | 3], to.0, from.0, None);
        self.note_logic(op, to);
    }
    fn note_logic(&mut self, op: Alu, to: Reg) {
        if matches!(op, Alu::And | Alu::Or | Alu::Xor) {
            self.compared = Some((to, self.here()));
        }
    }
    /// Whether the host's flags are here those of `reg` compared with 0, as signed numbers.
    pub(crate) fn has_compared(&self, reg: Reg) -> bool {
        self.compared == Some((reg, self.here()))
    }
    pub(crate) fn alu64(&mut self, op: Alu, to: Reg, from: Reg) {
        self.rr(0, true, &[(op as u8) << 3 | 3], to.0, from.0, None);
    }
    pub(crate) fn alu_mem(&mut self, op: Alu, to: Reg, from: Mem) {
        self.rm(0, false, &[(op as u8) << 3 | 3], to.0, from, None);
    }
    pub(crate) fn alu64_mem(&mut self, op: Alu, to: Reg, from: Mem) {
        self.rm(0, true, &[(op as u8) << 3 | 3], to.0, from, None);
    }
    pub(crate) fn alu_imm(&mut self, op: Alu, to: Reg, value: u32) {
        self.alu_imm_w(false, op, to, value);
        self.note_logic(op, to);
    }
    /// The immediate is sign extended.
    pub(crate) fn alu64_imm(&mut self, op: Alu, to: Reg, value: u32) {
        self.alu_imm_w(true, op, to, value);
    }
    fn alu_imm_w(&mut self, w: bool, op: Alu, to: Reg, value: u32) {
        if (-128..=127).contains(&(value as i32)) {
            self.rr(0, w, &[0x83], op as u8, to.0, None);
            self.byte(value as u8);
        } else {
            self.rr(0, w, &[0x81], op as u8, to.0, None);
            self.word(value);
        }
    }
    /// `memory` op `value` (sign extended); `w` for 64 bits.
    pub(crate) fn alu_mem_imm(&mut self, w: bool, op: Alu, memory: Mem, value: u32) {
        if (-128..=127).contains(&(value as i32)) {
            self.rm(0, w, &[0x83], op as u8, memory, None);
            self.byte(value as u8);
        } else {
            self.rm(0, w, &[0x81], op as u8, memory, None);
            self.word(value);
        }
    }
    /// The byte at `memory` & `value`, for the flags.
    pub(crate) fn test_mem8(&mut self, memory: Mem, value: u8) {
        self.rm(0, false, &[0xF6], 0, memory, None);
        self.byte(value);
    }
    pub(crate) fn test(&mut self, a: Reg, b: Reg) {
        self.rr(0, false, &[0x85], b.0, a.0, None);
    }
    pub(crate) fn test64(&mut self, a: Reg, b: Reg) {
        self.rr(0, true, &[0x85], b.0, a.0, None);
    }
    pub(crate) fn test_imm(&mut self, a: Reg, value: u32) {
        self.rr(0, false, &[0xF7], 0, a.0, None);
        self.word(value);
    }
    /// The low byte of `a` & `value`, for the flags.
    pub(crate) fn test_low(&mut self, a: Reg, value: u8) {
        self.rr(0, false, &[0xF6], 0, a.0, Some(a.0));
        self.byte(value);
    }
    pub(crate) fn not(&mut self, reg: Reg) {
        self.rr(0, false, &[0xF7], 2, reg.0, None);
    }
    pub(crate) fn neg(&mut self, reg: Reg) {
        self.rr(0, false, &[0xF7], 3, reg.0, None);
    }
    pub(crate) fn shift_imm(&mut self, op: Shift, reg: Reg, by: u32) {
        self.rr(0, false, &[0xC1], op as u8, reg.0, None);
        self.byte(by as u8);
    }
    pub(crate) fn shift64_imm(&mut self, op: Shift, reg: Reg, by: u32) {
        self.rr(0, true, &[0xC1], op as u8, reg.0, None);
        self.byte(by as u8);
    }
    /// By the low bits of CL.
    pub(crate) fn shift_cl(&mut self, op: Shift, reg: Reg) {
        self.rr(0, false, &[0xD3], op as u8, reg.0, None);
    }
    pub(crate) fn shift64_cl(&mut self, op: Shift, reg: Reg) {
        self.rr(0, true, &[0xD3], op as u8, reg.0, None);
    }
    pub(crate) fn imul(&mut self, to: Reg, from: Reg) {
        self.rr(0, false, &[0x0F, 0xAF], to.0, from.0, None);
    }
    pub(crate) fn imul_imm(&mut self, to: Reg, from: Reg, value: u32) {
        self.rr(0, false, &[0x69], to.0, from.0, None);
        self.word(value);
    }
    /// EDX:EAX <- EAX * reg.
    pub(crate) fn mul_wide(&mut self, reg: Reg, signed: bool) {
        self.rr(0, false, &[0xF7], if signed { 5 } else { 4 }, reg.0, None);
    }
    /// EAX <- EDX:EAX / reg, EDX the remainder.
    pub(crate) fn div_wide(&mut self, reg: Reg, signed: bool) {
        self.rr(0, false, &[0xF7], if signed { 7 } else { 6 }, reg.0, None);
    }
    /// EDX <- the sign of EAX.
    pub(crate) fn cdq(&mut self) {
        self.byte(0x99);
    }
    pub(crate) fn bsr(&mut self, to: Reg, from: Reg) {
        self.rr(0, false, &[0x0F, 0xBD], to.0, from.0, None);
    }
    pub(crate) fn bsf64(&mut self, to: Reg, from: Reg) {
        self.rr(0, true, &[0x0F, 0xBC], to.0, from.0, None);
    }
    /// Carry <- bit `number` (modulo 64) of `reg`.
    pub(crate) fn bit_test64(&mut self, reg: Reg, number: Reg) {
        self.rr(0, true, &[0x0F, 0xA3], number.0, reg.0, None);
    }
    pub(crate) fn set(&mut self, cond: Cond, reg: Reg) {
        self.rr(0, false, &[0x0F, 0x90 | cond as u8], 0, reg.0, Some(reg.0));
    }
    /// The byte at `to` <- 1 if `cond` holds, else 0.
    pub(crate) fn set_mem(&mut self, cond: Cond, to: Mem) {
        self.rm(0, false, &[0x0F, 0x90 | cond as u8], 0, to, None);
    }
    pub(crate) fn cmov(&mut self, cond: Cond, to: Reg, from: Reg) {
        self.rr(0, false, &[0x0F, 0x40 | cond as u8], to.0, from.0, None);
    }
    pub(crate) fn cmov64(&mut self, cond: Cond, to: Reg, from: Reg) {
        self.rr(0, true, &[0x0F, 0x40 | cond as u8], to.0, from.0, None);
    }
    /// CF <- bit `bit` of the word at `from`.
    pub(crate) fn bit_test_mem(&mut self, from: Mem, bit: u8) {
        self.rm(0, false, &[0x0F, 0xBA], 4, from, None);
        self.byte(bit);
    }
    /// CF <- 1.
    pub(crate) fn set_carry(&mut self) {
        self.byte(0xF9);
    }
    /// CF <- not CF.
    pub(crate) fn complement_carry(&mut self) {
        self.byte(0xF5);
    }

    pub(crate) fn jump_if(&mut self, cond: Cond) -> Hole {
        self.code.extend_from_slice(&[0x0F, 0x80 | cond as u8]);
        self.word(0);
        Hole(self.here() - 4)
    }
    pub(crate) fn jump(&mut self) -> Hole {
        self.byte(0xE9);
        self.word(0);
        Hole(self.here() - 4)
    }
    pub(crate) fn call(&mut self) -> Hole {
        self.byte(0xE8);
        self.word(0);
        Hole(self.here() - 4)
    }
    pub(crate) fn jump_reg(&mut self, reg: Reg) {
        self.rr(0, false, &[0xFF], 4, reg.0, None);
    }
    pub(crate) fn jump_mem(&mut self, mem: Mem) {
        self.rm(0, false, &[0xFF], 4, mem, None);
    }
    pub(crate) fn call_mem(&mut self, mem: Mem) {
        self.rm(0, false, &[0xFF], 2, mem, None);
    }
    pub(crate) fn push(&mut self, reg: Reg) {
        self.rex(false, reg);
        self.byte(0x50 | (reg.0 & 7));
    }
    pub(crate) fn pop(&mut self, reg: Reg) {
        self.rex(false, reg);
        self.byte(0x58 | (reg.0 & 7));
    }
    pub(crate) fn ret(&mut self) {
        self.byte(0xC3);
    }

    /// Scalar SSE2 with a memory or register source: `prefix` F2 double, F3 single, 66 packed or integer.
    pub(crate) fn sse(&mut self, prefix: u8, opcode: u8, to: Xmm, from: Xmm) {
        self.rr(prefix, false, &[0x0F, opcode], to.0, from.0, None);
    }
    pub(crate) fn sse_mem(&mut self, prefix: u8, opcode: u8, to: Xmm, from: Mem) {
        self.rm(prefix, false, &[0x0F, opcode], to.0, from, None);
    }
    /// Two words of `to`, then two of `from`, as the pairs of bits in `which` say (SHUFPS).
    pub(crate) fn shuffle_words(&mut self, to: Xmm, from: Xmm, which: u8) {
        self.sse(0, 0xC6, to, from);
        self.byte(which);
    }
    /// Each word of `reg` shifted left (PSLLD).
    pub(crate) fn shift_words_left(&mut self, reg: Xmm, by: u8) {
        self.rr(0x66, false, &[0x0F, 0x72], 6, reg.0, None);
        self.byte(by);
    }
    /// `to` <- the signs of the sixteen bytes (PMOVMSKB).
    pub(crate) fn signs_of_bytes(&mut self, to: Reg, from: Xmm) {
        self.rr(0x66, false, &[0x0F, 0xD7], to.0, from.0, None);
    }
    /// Loads 16 bytes (MOVDQU).
    pub(crate) fn load_wide(&mut self, to: Xmm, from: Mem) {
        self.sse_mem(0xF3, 0x6F, to, from);
    }
    /// Stores 16 bytes (MOVDQU).
    pub(crate) fn store_wide(&mut self, to: Mem, from: Xmm) {
        self.rm(0xF3, false, &[0x0F, 0x7F], from.0, to, None);
    }
    /// Stores the low 64 bits.
    pub(crate) fn store_double(&mut self, to: Mem, from: Xmm) {
        self.rm(0xF2, false, &[0x0F, 0x11], from.0, to, None);
    }
    pub(crate) fn movq_from(&mut self, to: Reg, from: Xmm) {
        self.rr(0x66, true, &[0x0F, 0x7E], from.0, to.0, None);
    }

    pub(crate) fn movd_from(&mut self, to: Reg, from: Xmm) {
        self.rr(0x66, false, &[0x0F, 0x7E], from.0, to.0, None);
    }
    pub(crate) fn movd_to(&mut self, to: Xmm, from: Reg) {
        self.rr(0x66, false, &[0x0F, 0x6E], to.0, from.0, None);
    }
    /// `a` <- `a` * `b` + `c`, or - `c`, of scalar doubles, rounded once (FMA3: VFMADD213SD, VFMSUB213SD). Registers
    /// 0-7 only.
    pub(crate) fn fused_multiply_add(&mut self, subtract: bool, a: Xmm, b: Xmm, c: Xmm) {
        let opcode = if subtract { 0xAB } else { 0xA9 };
        self.code.extend_from_slice(&[0xC4, 0xE2, 0x81 | (!b.0 & 15) << 3, opcode]);
        self.modrm_reg(a.0, c.0);
    }

    /// Lets the jump at `hole` go to `target`, both in this code.
    pub(crate) fn bind(&mut self, hole: Hole, target: usize) {
        let rel = (target as i64 - (hole.0 as i64 + 4)) as i32;
        self.code[hole.0..hole.0 + 4].copy_from_slice(&rel.to_le_bytes());
    }
    /// Lets the jump at `hole` come here.
    pub(crate) fn bind_here(&mut self, hole: Hole) {
        self.bind(hole, self.here());
    }
}
