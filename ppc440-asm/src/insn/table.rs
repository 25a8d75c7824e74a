//! The regular instructions of the 440EP and their extended mnemonics: name, fixed bits, operands, and which of
//! the suffixes `o` (OE) and `.` (Rc) the name takes. Opcodes: Book E and the PPC440x5 core manual.

use super::Pattern;
use super::field::{Field, Rotate, Rotate2};

/// Suffixes that a name takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suffix {
    None,
    /// `.` sets Rc.
    Rc,
    /// `o` sets OE, `.` sets Rc.
    OeRc,
}

struct Row {
    name: &'static str,
    word: u32,
    suffix: Suffix,
    fields: &'static [Field],
}

const RT: Field = Field::Gpr(21);
const RS: Field = Field::Gpr(21);
const RA: Field = Field::Gpr(16);
const RB: Field = Field::Gpr(11);
const RSB: Field = Field::GprTwice;
const FRT: Field = Field::Fpr(21);
const FRS: Field = Field::Fpr(21);
const FRA: Field = Field::Fpr(16);
const FRB: Field = Field::Fpr(11);
const FRC: Field = Field::Fpr(6);
const BF: Field = Field::Cr(23);
const BFO: Field = Field::CrOptional(23);
const BFA: Field = Field::Cr(18);
const BT: Field = Field::CrBit(21);
const BA: Field = Field::CrBit(16);
const BB: Field = Field::CrBit(11);
const BC: Field = Field::CrBit(6);
const SH: Field = Field::Unsigned { shift: 11, bits: 5 };
const TO: Field = Field::Unsigned { shift: 21, bits: 5 };
const WS: Field = Field::Unsigned { shift: 11, bits: 5 };
const CT: Field = Field::UnsignedOptional { shift: 21, bits: 5 };
const MO: Field = Field::UnsignedOptional { shift: 21, bits: 5 };
const FXM: Field = Field::Unsigned { shift: 12, bits: 8 };
const FLM: Field = Field::Unsigned { shift: 17, bits: 8 };
const FPSCR_BIT: Field = Field::Unsigned { shift: 21, bits: 5 };
const FPSCR_IMM: Field = Field::Unsigned { shift: 12, bits: 4 };
const L: Field = Field::Unsigned { shift: 21, bits: 1 };
const E: Field = Field::Unsigned { shift: 15, bits: 1 };
const SI: Field = Field::Si;
const UI: Field = Field::Ui;
const MEM: Field = Field::Memory;

/// Primary opcode.
const fn op(primary: u32) -> u32 {
    primary << 26
}

/// Primary and extended opcode (bits 21:30).
const fn x(primary: u32, extended: u32) -> u32 {
    primary << 26 | extended << 1
}

const fn row(name: &'static str, word: u32, fields: &'static [Field]) -> Row {
    Row { name, word, suffix: Suffix::None, fields }
}

const fn rc(name: &'static str, word: u32, fields: &'static [Field]) -> Row {
    Row { name, word, suffix: Suffix::Rc, fields }
}

const fn oe(name: &'static str, word: u32, fields: &'static [Field]) -> Row {
    Row { name, word, suffix: Suffix::OeRc, fields }
}

const INTEGER: &[Row] = &[
    row("addi", op(14), &[RT, RA, SI]),
    row("addis", op(15), &[RT, RA, Field::SiAny]),
    row("addic", op(12), &[RT, RA, SI]),
    row("addic.", op(13), &[RT, RA, SI]),
    row("subfic", op(8), &[RT, RA, SI]),
    row("mulli", op(7), &[RT, RA, SI]),
    oe("add", x(31, 266), &[RT, RA, RB]),
    oe("addc", x(31, 10), &[RT, RA, RB]),
    oe("adde", x(31, 138), &[RT, RA, RB]),
    oe("addme", x(31, 234), &[RT, RA]),
    oe("addze", x(31, 202), &[RT, RA]),
    oe("subf", x(31, 40), &[RT, RA, RB]),
    oe("subfc", x(31, 8), &[RT, RA, RB]),
    oe("subfe", x(31, 136), &[RT, RA, RB]),
    oe("subfme", x(31, 232), &[RT, RA]),
    oe("subfze", x(31, 200), &[RT, RA]),
    oe("neg", x(31, 104), &[RT, RA]),
    oe("mullw", x(31, 235), &[RT, RA, RB]),
    rc("mulhw", x(31, 75), &[RT, RA, RB]),
    rc("mulhwu", x(31, 11), &[RT, RA, RB]),
    oe("divw", x(31, 491), &[RT, RA, RB]),
    oe("divwu", x(31, 459), &[RT, RA, RB]),
    row("andi.", op(28), &[RA, RS, UI]),
    row("andis.", op(29), &[RA, RS, UI]),
    row("ori", op(24), &[RA, RS, UI]),
    row("oris", op(25), &[RA, RS, UI]),
    row("xori", op(26), &[RA, RS, UI]),
    row("xoris", op(27), &[RA, RS, UI]),
    rc("and", x(31, 28), &[RA, RS, RB]),
    rc("andc", x(31, 60), &[RA, RS, RB]),
    rc("or", x(31, 444), &[RA, RS, RB]),
    rc("orc", x(31, 412), &[RA, RS, RB]),
    rc("xor", x(31, 316), &[RA, RS, RB]),
    rc("nand", x(31, 476), &[RA, RS, RB]),
    rc("nor", x(31, 124), &[RA, RS, RB]),
    rc("eqv", x(31, 284), &[RA, RS, RB]),
    rc("extsb", x(31, 954), &[RA, RS]),
    rc("extsh", x(31, 922), &[RA, RS]),
    rc("cntlzw", x(31, 26), &[RA, RS]),
    rc("slw", x(31, 24), &[RA, RS, RB]),
    rc("srw", x(31, 536), &[RA, RS, RB]),
    rc("sraw", x(31, 792), &[RA, RS, RB]),
    rc("srawi", x(31, 824), &[RA, RS, SH]),
    rc("rlwinm", op(21), &[RA, RS, SH, Field::MbMe]),
    rc("rlwimi", op(20), &[RA, RS, SH, Field::MbMe]),
    rc("rlwnm", op(23), &[RA, RS, RB, Field::MbMe]),
    row("cmp", x(31, 0), &[BF, L, RA, RB]),
    row("cmpl", x(31, 32), &[BF, L, RA, RB]),
    row("cmpi", op(11), &[BF, L, RA, SI]),
    row("cmpli", op(10), &[BF, L, RA, UI]),
    row("tw", x(31, 4), &[TO, RA, RB]),
    row("twi", op(3), &[TO, RA, SI]),
    row("isel", x(31, 15), &[RT, RA, RB, BC]),
    rc("dlmzb", x(31, 78), &[RA, RS, RB]),
];

const INTEGER_EXTENDED: &[Row] = &[
    row("li", op(14), &[RT, SI]),
    row("lis", op(15), &[RT, Field::SiAny]),
    row("la", op(14), &[RT, MEM]),
    row("subi", op(14), &[RT, RA, Field::SiNegated]),
    row("subis", op(15), &[RT, RA, Field::SiNegated]),
    row("subic", op(12), &[RT, RA, Field::SiNegated]),
    row("subic.", op(13), &[RT, RA, Field::SiNegated]),
    oe("sub", x(31, 40), &[RT, RB, RA]),
    oe("subc", x(31, 8), &[RT, RB, RA]),
    rc("mr", x(31, 444), &[RA, RSB]),
    rc("not", x(31, 124), &[RA, RSB]),
    row("nop", op(24), &[]),
    row("xnop", op(26), &[]),
    row("cmpw", x(31, 0), &[BFO, RA, RB]),
    row("cmplw", x(31, 32), &[BFO, RA, RB]),
    row("cmpwi", op(11), &[BFO, RA, SI]),
    row("cmplwi", op(10), &[BFO, RA, UI]),
    rc("slwi", op(21), &[RA, RS, Field::Rotate(Rotate::Slwi)]),
    rc("srwi", op(21), &[RA, RS, Field::Rotate(Rotate::Srwi)]),
    rc("clrlwi", op(21), &[RA, RS, Field::Rotate(Rotate::Clrlwi)]),
    rc("clrrwi", op(21), &[RA, RS, Field::Rotate(Rotate::Clrrwi)]),
    rc("rotlwi", op(21), &[RA, RS, Field::Rotate(Rotate::Rotlwi)]),
    rc("rotrwi", op(21), &[RA, RS, Field::Rotate(Rotate::Rotrwi)]),
    rc("rotlw", op(23) | 31 << 1, &[RA, RS, RB]),
    rc("extlwi", op(21), &[RA, RS, Field::Rotate2(Rotate2::Extlwi)]),
    rc("extrwi", op(21), &[RA, RS, Field::Rotate2(Rotate2::Extrwi)]),
    rc("inslwi", op(20), &[RA, RS, Field::Rotate2(Rotate2::Inslwi)]),
    rc("insrwi", op(20), &[RA, RS, Field::Rotate2(Rotate2::Insrwi)]),
    rc("clrlslwi", op(21), &[RA, RS, Field::Rotate2(Rotate2::Clrlslwi)]),
    row("trap", x(31, 4) | 31 << 21, &[]),
];

/// TO fields of the trap mnemonics `twXX` and `twXXi`.
const TRAPS: [(&str, u32); 14] = [
    ("lt", 16),
    ("le", 20),
    ("eq", 4),
    ("ge", 12),
    ("gt", 8),
    ("nl", 12),
    ("ne", 24),
    ("ng", 20),
    ("llt", 2),
    ("lle", 6),
    ("lge", 5),
    ("lgt", 1),
    ("lnl", 5),
    ("lng", 6),
];

const MEMORY: &[Row] = &[
    row("lbz", op(34), &[RT, MEM]),
    row("lhz", op(40), &[RT, MEM]),
    row("lha", op(42), &[RT, MEM]),
    row("lwz", op(32), &[RT, MEM]),
    row("lbzu", op(35), &[RT, Field::MemoryLoadUpdate]),
    row("lhzu", op(41), &[RT, Field::MemoryLoadUpdate]),
    row("lhau", op(43), &[RT, Field::MemoryLoadUpdate]),
    row("lwzu", op(33), &[RT, Field::MemoryLoadUpdate]),
    row("stb", op(38), &[RS, MEM]),
    row("sth", op(44), &[RS, MEM]),
    row("stw", op(36), &[RS, MEM]),
    row("stbu", op(39), &[RS, Field::MemoryUpdate]),
    row("sthu", op(45), &[RS, Field::MemoryUpdate]),
    row("stwu", op(37), &[RS, Field::MemoryUpdate]),
    row("lmw", op(46), &[RT, Field::MemoryLmw]),
    row("stmw", op(47), &[RS, MEM]),
    row("lbzx", x(31, 87), &[RT, RA, RB]),
    row("lhzx", x(31, 279), &[RT, RA, RB]),
    row("lhax", x(31, 343), &[RT, RA, RB]),
    row("lwzx", x(31, 23), &[RT, RA, RB]),
    row("lbzux", x(31, 119), &[RT, Field::RaLoadUpdate, RB]),
    row("lhzux", x(31, 311), &[RT, Field::RaLoadUpdate, RB]),
    row("lhaux", x(31, 375), &[RT, Field::RaLoadUpdate, RB]),
    row("lwzux", x(31, 55), &[RT, Field::RaLoadUpdate, RB]),
    row("stbx", x(31, 215), &[RS, RA, RB]),
    row("sthx", x(31, 407), &[RS, RA, RB]),
    row("stwx", x(31, 151), &[RS, RA, RB]),
    row("stbux", x(31, 247), &[RS, Field::RaUpdate, RB]),
    row("sthux", x(31, 439), &[RS, Field::RaUpdate, RB]),
    row("stwux", x(31, 183), &[RS, Field::RaUpdate, RB]),
    row("lhbrx", x(31, 790), &[RT, RA, RB]),
    row("lwbrx", x(31, 534), &[RT, RA, RB]),
    row("sthbrx", x(31, 918), &[RS, RA, RB]),
    row("stwbrx", x(31, 662), &[RS, RA, RB]),
    row("lswi", x(31, 597), &[RT, RA, Field::ByteCount]),
    row("lswx", x(31, 533), &[RT, RA, RB]),
    row("stswi", x(31, 725), &[RS, RA, Field::ByteCount]),
    row("stswx", x(31, 661), &[RS, RA, RB]),
    row("lwarx", x(31, 20), &[RT, RA, RB]),
    row("stwcx.", x(31, 150) | 1, &[RS, RA, RB]),
    row("lfs", op(48), &[FRT, MEM]),
    row("lfd", op(50), &[FRT, MEM]),
    row("stfs", op(52), &[FRS, MEM]),
    row("stfd", op(54), &[FRS, MEM]),
    row("lfsu", op(49), &[FRT, Field::MemoryUpdate]),
    row("lfdu", op(51), &[FRT, Field::MemoryUpdate]),
    row("stfsu", op(53), &[FRS, Field::MemoryUpdate]),
    row("stfdu", op(55), &[FRS, Field::MemoryUpdate]),
    row("lfsx", x(31, 535), &[FRT, RA, RB]),
    row("lfdx", x(31, 599), &[FRT, RA, RB]),
    row("stfsx", x(31, 663), &[FRS, RA, RB]),
    row("stfdx", x(31, 727), &[FRS, RA, RB]),
    row("lfsux", x(31, 567), &[FRT, Field::RaUpdate, RB]),
    row("lfdux", x(31, 631), &[FRT, Field::RaUpdate, RB]),
    row("stfsux", x(31, 695), &[FRS, Field::RaUpdate, RB]),
    row("stfdux", x(31, 759), &[FRS, Field::RaUpdate, RB]),
    row("stfiwx", x(31, 983), &[FRS, RA, RB]),
];

const CONDITION: &[Row] = &[
    row("crand", x(19, 257), &[BT, BA, BB]),
    row("crandc", x(19, 129), &[BT, BA, BB]),
    row("creqv", x(19, 289), &[BT, BA, BB]),
    row("crnand", x(19, 225), &[BT, BA, BB]),
    row("crnor", x(19, 33), &[BT, BA, BB]),
    row("cror", x(19, 449), &[BT, BA, BB]),
    row("crorc", x(19, 417), &[BT, BA, BB]),
    row("crxor", x(19, 193), &[BT, BA, BB]),
    row("crset", x(19, 289), &[Field::CrBitThrice]),
    row("crclr", x(19, 193), &[Field::CrBitThrice]),
    row("crmove", x(19, 449), &[BT, Field::CrBitTwice]),
    row("crnot", x(19, 33), &[BT, Field::CrBitTwice]),
    row("mcrf", x(19, 0), &[BF, BFA]),
    row("mcrxr", x(31, 512), &[BF]),
    row("mfcr", x(31, 19), &[RT]),
    row("mtcrf", x(31, 144), &[FXM, RS]),
    row("mtcr", x(31, 144) | 0xFF << 12, &[RS]),
];

const SYSTEM: &[Row] = &[
    row("sc", op(17) | 2, &[]),
    row("rfi", x(19, 50), &[]),
    row("rfci", x(19, 51), &[]),
    row("rfmci", x(19, 38), &[]),
    row("isync", x(19, 150), &[]),
    row("msync", x(31, 598), &[]),
    row("sync", x(31, 598), &[]),
    row("mbar", x(31, 854), &[MO]),
    // The name of opcode 854 before Book E; Linux uses it on the 440.
    row("eieio", x(31, 854), &[]),
    row("mfmsr", x(31, 83), &[RT]),
    row("mtmsr", x(31, 146), &[RS]),
    row("wrtee", x(31, 131), &[RS]),
    row("wrteei", x(31, 163), &[E]),
    row("mfspr", x(31, 339), &[RT, Field::Spr]),
    row("mtspr", x(31, 467), &[Field::Spr, RS]),
    // The instruction of its own, as compilers for classic PowerPC emit it; `mftb rt` reads SPR 268.
    row("mftb", x(31, 371), &[RT, Field::Spr]),
    row("mfdcr", x(31, 323), &[RT, Field::Dcr]),
    row("mtdcr", x(31, 451), &[Field::Dcr, RS]),
    row("tlbre", x(31, 946), &[RT, RA, WS]),
    row("tlbwe", x(31, 978), &[RS, RA, WS]),
    rc("tlbsx", x(31, 914), &[RT, RA, RB]),
    row("tlbsync", x(31, 566), &[]),
    row("dcba", x(31, 758), &[RA, RB]),
    row("dcbf", x(31, 86), &[RA, RB]),
    row("dcbi", x(31, 470), &[RA, RB]),
    row("dcbst", x(31, 54), &[RA, RB]),
    row("dcbt", x(31, 278), &[CT, RA, RB]),
    row("dcbtst", x(31, 246), &[CT, RA, RB]),
    row("dcbz", x(31, 1014), &[RA, RB]),
    row("icbi", x(31, 982), &[RA, RB]),
    row("icbt", x(31, 22), &[CT, RA, RB]),
    row("dccci", x(31, 454), &[RA, RB]),
    row("dccci", x(31, 454), &[]),
    row("iccci", x(31, 966), &[RA, RB]),
    row("iccci", x(31, 966), &[]),
    row("dcread", x(31, 486), &[RT, RA, RB]),
    row("icread", x(31, 998), &[RA, RB]),
];

/// Multiply-accumulate, primary opcode 4 (PPC440x5 core manual, appendix on implementation-specific
/// instructions).
const MAC: &[Row] = &[
    oe("macchw", x(4, 172), &[RT, RA, RB]),
    oe("macchws", x(4, 236), &[RT, RA, RB]),
    oe("macchwsu", x(4, 204), &[RT, RA, RB]),
    oe("macchwu", x(4, 140), &[RT, RA, RB]),
    oe("machhw", x(4, 44), &[RT, RA, RB]),
    oe("machhws", x(4, 108), &[RT, RA, RB]),
    oe("machhwsu", x(4, 76), &[RT, RA, RB]),
    oe("machhwu", x(4, 12), &[RT, RA, RB]),
    oe("maclhw", x(4, 428), &[RT, RA, RB]),
    oe("maclhws", x(4, 492), &[RT, RA, RB]),
    oe("maclhwsu", x(4, 460), &[RT, RA, RB]),
    oe("maclhwu", x(4, 396), &[RT, RA, RB]),
    oe("nmacchw", x(4, 174), &[RT, RA, RB]),
    oe("nmacchws", x(4, 238), &[RT, RA, RB]),
    oe("nmachhw", x(4, 46), &[RT, RA, RB]),
    oe("nmachhws", x(4, 110), &[RT, RA, RB]),
    oe("nmaclhw", x(4, 430), &[RT, RA, RB]),
    oe("nmaclhws", x(4, 494), &[RT, RA, RB]),
    rc("mulchw", x(4, 168), &[RT, RA, RB]),
    rc("mulchwu", x(4, 136), &[RT, RA, RB]),
    rc("mulhhw", x(4, 40), &[RT, RA, RB]),
    rc("mulhhwu", x(4, 8), &[RT, RA, RB]),
    rc("mullhw", x(4, 424), &[RT, RA, RB]),
    rc("mullhwu", x(4, 392), &[RT, RA, RB]),
];

const FLOAT: &[Row] = &[
    rc("fadd", x(63, 21), &[FRT, FRA, FRB]),
    rc("fadds", x(59, 21), &[FRT, FRA, FRB]),
    rc("fsub", x(63, 20), &[FRT, FRA, FRB]),
    rc("fsubs", x(59, 20), &[FRT, FRA, FRB]),
    rc("fmul", x(63, 25), &[FRT, FRA, FRC]),
    rc("fmuls", x(59, 25), &[FRT, FRA, FRC]),
    rc("fdiv", x(63, 18), &[FRT, FRA, FRB]),
    rc("fdivs", x(59, 18), &[FRT, FRA, FRB]),
    rc("fmadd", x(63, 29), &[FRT, FRA, FRC, FRB]),
    rc("fmadds", x(59, 29), &[FRT, FRA, FRC, FRB]),
    rc("fmsub", x(63, 28), &[FRT, FRA, FRC, FRB]),
    rc("fmsubs", x(59, 28), &[FRT, FRA, FRC, FRB]),
    rc("fnmadd", x(63, 31), &[FRT, FRA, FRC, FRB]),
    rc("fnmadds", x(59, 31), &[FRT, FRA, FRC, FRB]),
    rc("fnmsub", x(63, 30), &[FRT, FRA, FRC, FRB]),
    rc("fnmsubs", x(59, 30), &[FRT, FRA, FRC, FRB]),
    rc("fsqrt", x(63, 22), &[FRT, FRB]),
    rc("fsqrts", x(59, 22), &[FRT, FRB]),
    rc("fres", x(59, 24), &[FRT, FRB]),
    rc("frsqrte", x(63, 26), &[FRT, FRB]),
    rc("fsel", x(63, 23), &[FRT, FRA, FRC, FRB]),
    rc("fmr", x(63, 72), &[FRT, FRB]),
    rc("fneg", x(63, 40), &[FRT, FRB]),
    rc("fabs", x(63, 264), &[FRT, FRB]),
    rc("fnabs", x(63, 136), &[FRT, FRB]),
    rc("frsp", x(63, 12), &[FRT, FRB]),
    rc("fctiw", x(63, 14), &[FRT, FRB]),
    rc("fctiwz", x(63, 15), &[FRT, FRB]),
    row("fcmpu", x(63, 0), &[BF, FRA, FRB]),
    row("fcmpo", x(63, 32), &[BF, FRA, FRB]),
    rc("mffs", x(63, 583), &[FRT]),
    row("mcrfs", x(63, 64), &[BF, BFA]),
    rc("mtfsf", x(63, 711), &[FLM, FRB]),
    rc("mtfsfi", x(63, 134), &[BF, FPSCR_IMM]),
    rc("mtfsb0", x(63, 70), &[FPSCR_BIT]),
    rc("mtfsb1", x(63, 38), &[FPSCR_BIT]),
];

const GROUPS: [&[Row]; 7] = [INTEGER, INTEGER_EXTENDED, MEMORY, CONDITION, SYSTEM, MAC, FLOAT];

/// The patterns of a mnemonic, in the order in which they are tried.
pub(crate) fn patterns(mnemonic: &str) -> impl Iterator<Item = Pattern> + '_ {
    let (undotted, dot) = match mnemonic.strip_suffix('.') {
        Some(name) => (name, 1),
        None => (mnemonic, 0),
    };
    let without_o = undotted.strip_suffix('o');
    let rows = GROUPS.into_iter().flatten().filter_map(move |row| {
        let suffixes = match row.suffix {
            _ if row.name == mnemonic => 0,
            Suffix::Rc | Suffix::OeRc if row.name == undotted => dot,
            Suffix::OeRc if Some(row.name) == without_o => dot | 1 << 10,
            _ => return None,
        };
        Some(Pattern { word: row.word | suffixes, fields: row.fields })
    });
    rows.chain(trap(mnemonic))
}

fn trap(mnemonic: &str) -> Option<Pattern> {
    const REGISTERS: &[Field] = &[RA, RB];
    const IMMEDIATE: &[Field] = &[RA, SI];
    let condition = mnemonic.strip_prefix("tw")?;
    let to = |name: &str| TRAPS.iter().find(|(n, _)| *n == name).map(|(_, to)| to << 21);
    if let Some(to) = to(condition) {
        return Some(Pattern { word: x(31, 4) | to, fields: REGISTERS });
    }
    to(condition.strip_suffix('i')?).map(|to| Pattern { word: op(3) | to, fields: IMMEDIATE })
}
