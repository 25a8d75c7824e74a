//! Instruction semantics: one function an instruction, used by every driver, and the decoder that finds it.
//!
//! The decoder follows the opcode maps of the PowerPC 440 manual. Reserved fields are ignored, as the core does;
//! invalid forms (update forms with RA = 0, or RA = RT for loads) are illegal.

mod branch;
mod cache;
mod integer;
mod load_store;
mod mac;
pub(crate) mod pairs;
mod system;

use crate::bus::Bus;
use crate::core::{Core, Flow};
use crate::fpu;
use crate::op::Op;

/// The semantics of one instruction.
pub type Handler<B> = fn(&mut Core, &mut B, Op) -> Flow;

/// Picks the instance of an instruction for its Rc (and OE) bits.
macro_rules! by_rc {
    ($op:expr, $family:ident :: $name:ident) => {
        if $op.rc() { $family::$name::<B, true> } else { $family::$name::<B, false> }
    };
}
macro_rules! by_rc_oe {
    ($op:expr, $family:ident :: $name:ident) => {
        match ($op.rc(), $op.oe()) {
            (false, false) => $family::$name::<B, false, false>,
            (true, false) => $family::$name::<B, true, false>,
            (false, true) => $family::$name::<B, false, true>,
            (true, true) => $family::$name::<B, true, true>,
        }
    };
}

/// Finds the semantics of an instruction word; words that are no instruction get the one that says so.
pub fn decode<B: Bus>(word: u32) -> Handler<B> {
    let op = Op::new(word);
    match op.primary() {
        3 => branch::twi,
        4 => mac::decode(op).unwrap_or(system::illegal),
        7 => integer::mulli,
        8 => integer::subfic,
        10 => integer::cmpli,
        11 => integer::cmpi,
        12 => integer::addic::<B, false>,
        13 => integer::addic::<B, true>,
        14 => integer::addi,
        15 => integer::addis,
        16 => match (op.lk(), op.aa(), op.rt() & 4 != 0) {
            (false, false, true) => branch::bc_cr,
            (false, ..) => branch::bc::<B, false>,
            (true, ..) => branch::bc::<B, true>,
        },
        17 => branch::sc,
        18 => match (op.lk(), op.aa(), op.li()) {
            (false, false, 0) => branch::b_self,
            (false, ..) => branch::b::<B, false>,
            (true, ..) => branch::b::<B, true>,
        },
        19 => branch_unit(op),
        20 => by_rc!(op, integer::rlwimi),
        21 => by_rc!(op, integer::rlwinm),
        23 => by_rc!(op, integer::rlwnm),
        24 => integer::ori,
        25 => integer::oris,
        26 => integer::xori,
        27 => integer::xoris,
        28 => integer::andi,
        29 => integer::andis,
        31 => extended(op),
        32..=55 => storage(op),
        59 | 63 => fpu::exec::decode(op).unwrap_or(system::illegal),
        _ => system::illegal,
    }
}

/// Primary opcode 19.
fn branch_unit<B: Bus>(op: Op) -> Handler<B> {
    match op.xo() {
        0 => branch::mcrf,
        16 => branch::bclr,
        33 => branch::crnor,
        38 => system::rfmci,
        50 => system::rfi,
        51 => system::rfci,
        129 => branch::crandc,
        150 => system::isync,
        193 => branch::crxor,
        225 => branch::crnand,
        257 => branch::crand,
        289 => branch::creqv,
        417 => branch::crorc,
        449 => branch::cror,
        528 => branch::bcctr,
        _ => system::illegal,
    }
}

/// Is an update form valid: RA is not 0, and for a fixed-point load not RT?
fn update_is_valid(op: Op, load: bool) -> bool {
    op.ra() != 0 && !(load && op.ra() == op.rt())
}

/// Picks the plain or update instance of a load or store, or illegal for an invalid update form.
macro_rules! by_update {
    ($op:expr, $load:expr, $update:expr, $name:ident) => {
        match $update {
            false => load_store::$name::<B, false>,
            true if update_is_valid($op, $load) => load_store::$name::<B, true>,
            true => system::illegal,
        }
    };
}
macro_rules! float_by_update {
    ($op:expr, $update:expr, $name:ident, $x:literal, $double:literal) => {
        match $update {
            false => load_store::$name::<B, $x, $double, false>,
            true if update_is_valid($op, false) => load_store::$name::<B, $x, $double, true>,
            true => system::illegal,
        }
    };
}

/// Primary opcodes 32-55: D-form loads and stores; odd ones update.
fn storage<B: Bus>(op: Op) -> Handler<B> {
    let update = op.primary() & 1 != 0;
    match op.primary() {
        32 | 33 => by_update!(op, true, update, lwz),
        34 | 35 => by_update!(op, true, update, lbz),
        36 | 37 => by_update!(op, false, update, stw),
        38 | 39 => by_update!(op, false, update, stb),
        40 | 41 => by_update!(op, true, update, lhz),
        42 | 43 => by_update!(op, true, update, lha),
        44 | 45 => by_update!(op, false, update, sth),
        46 => load_store::lmw,
        47 => load_store::stmw,
        48 | 49 => float_by_update!(op, update, lf, false, false),
        50 | 51 => float_by_update!(op, update, lf, false, true),
        52 | 53 => float_by_update!(op, update, stf, false, false),
        _ => float_by_update!(op, update, stf, false, true),
    }
}

/// Primary opcode 31.
fn extended<B: Bus>(op: Op) -> Handler<B> {
    // XO-form arithmetic has OE in the topmost bit of the extended opcode.
    match op.xo() & 0x1FF {
        8 => return by_rc_oe!(op, integer::subfc),
        10 => return by_rc_oe!(op, integer::addc),
        40 => return by_rc_oe!(op, integer::subf),
        104 => return by_rc_oe!(op, integer::neg),
        136 => return by_rc_oe!(op, integer::subfe),
        138 => return by_rc_oe!(op, integer::adde),
        200 => return by_rc_oe!(op, integer::subfze),
        202 => return by_rc_oe!(op, integer::addze),
        232 => return by_rc_oe!(op, integer::subfme),
        234 => return by_rc_oe!(op, integer::addme),
        235 => return by_rc_oe!(op, integer::mullw),
        266 => return by_rc_oe!(op, integer::add),
        459 => return by_rc_oe!(op, integer::divwu),
        491 => return by_rc_oe!(op, integer::divw),
        _ => {}
    }
    if op.xo() & 31 == 15 {
        return integer::isel;
    }
    match op.xo() {
        0 => integer::cmp,
        4 => branch::tw,
        11 => by_rc!(op, integer::mulhwu),
        75 => by_rc!(op, integer::mulhw),
        19 => branch::mfcr,
        24 => by_rc!(op, integer::slw),
        26 => by_rc!(op, integer::cntlzw),
        28 => by_rc!(op, integer::and),
        32 => integer::cmpl,
        60 => by_rc!(op, integer::andc),
        78 => by_rc!(op, integer::dlmzb),
        124 => by_rc!(op, integer::nor),
        144 => branch::mtcrf,
        284 => by_rc!(op, integer::eqv),
        316 => by_rc!(op, integer::xor),
        412 => by_rc!(op, integer::orc),
        444 => by_rc!(op, integer::or),
        476 => by_rc!(op, integer::nand),
        512 => branch::mcrxr,
        536 => by_rc!(op, integer::srw),
        792 => by_rc!(op, integer::sraw),
        824 => by_rc!(op, integer::srawi),
        922 => by_rc!(op, integer::extsh),
        954 => by_rc!(op, integer::extsb),

        20 => load_store::lwarx,
        150 => {
            if op.rc() {
                load_store::stwcx
            } else {
                system::illegal
            }
        }
        23 | 55 => by_update!(op, true, op.xo() == 55, lwzx),
        87 | 119 => by_update!(op, true, op.xo() == 119, lbzx),
        279 | 311 => by_update!(op, true, op.xo() == 311, lhzx),
        343 | 375 => by_update!(op, true, op.xo() == 375, lhax),
        151 | 183 => by_update!(op, false, op.xo() == 183, stwx),
        215 | 247 => by_update!(op, false, op.xo() == 247, stbx),
        407 | 439 => by_update!(op, false, op.xo() == 439, sthx),
        534 => load_store::lwbrx,
        662 => load_store::stwbrx,
        790 => load_store::lhbrx,
        918 => load_store::sthbrx,
        533 => load_store::lswx,
        597 => load_store::lswi,
        661 => load_store::stswx,
        725 => load_store::stswi,
        535 | 567 => float_by_update!(op, op.xo() == 567, lf, true, false),
        599 | 631 => float_by_update!(op, op.xo() == 631, lf, true, true),
        663 | 695 => float_by_update!(op, op.xo() == 695, stf, true, false),
        727 | 759 => float_by_update!(op, op.xo() == 759, stf, true, true),
        983 => load_store::stfiwx,

        83 => system::mfmsr,
        131 => system::wrtee,
        146 => system::mtmsr,
        163 => system::wrteei,
        339 | 371 => system::decode_mfspr(op),
        467 => system::decode_mtspr(op),
        323 => system::mfdcr,
        451 => system::mtdcr,
        914 => system::tlbsx,
        946 => system::tlbre,
        978 => system::tlbwe,
        486 => system::dcread,
        998 => system::icread,
        454 | 566 | 966 => system::privileged_nothing,
        // dcbtst, dcbt, icbt, dcba, mbar, msync
        246 | 278 | 22 | 758 | 854 | 598 => system::nothing,
        54 => cache::dcbst,
        86 => cache::dcbf,
        470 => cache::dcbi,
        982 => cache::icbi,
        1014 => cache::dcbz,
        _ => system::illegal,
    }
}
