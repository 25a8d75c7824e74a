//! What translated code sees besides the guest's registers: a structure that it reaches through RBP.

use core::ffi::c_void;
use core::mem::offset_of;

use ppc440_core::core::Core;
use ppc440_core::translate::{ATTENTION_MASK, DATA_LOSSES, STATE_OFFSET, fetch_table, selection};

use crate::cache::JumpEntry;
use crate::emit::{Mem, RBP, Reg};

/// RBP points this far into the guest's registers.
pub(crate) const BIAS: i32 = 128;

/// The memory that translated code works on. `repr(C)`, as it is reached by offset.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Frame {
    pub(crate) core: Core,
    /// Instructions that may retire before the driver must be asked, as of the last time that R12 was written back.
    pub(crate) left: i64,
    /// The tables of the current context.
    pub(crate) data_table: *const u8,
    pub(crate) fetch_table: *const u8,
    /// The jump cache of the current mode.
    pub(crate) jumps: *const JumpEntry,
    /// All parts of the data table.
    pub(crate) data_words: *const u64,
    /// Where the guest's physical address 0 lies.
    pub(crate) ram: *mut u8,
    /// CR by fields, see [`condition`](crate::condition); the core has it only while no translated code runs.
    pub(crate) cr: [u64; 8],
    /// [`CODES`](crate::condition::CODES)
    pub(crate) codes: [u64; 16],
    /// XER\[CA\] as a number, which the core's XER has only while no translated code runs.
    pub(crate) carry: u32,
    /// The last floating-point operation whose FPRF, FR and FI are not yet in the FPSCR (0: none), and its operands.
    pub(crate) float_word: u32,
    /// FPCC of a comparison after that, which is not yet in the FPSCR either (0: none).
    pub(crate) float_compared: u32,
    pub(crate) float_operands: [u64; 3],
    /// The fields at the last mfcr, and what it gave: most often it comes back by mtcrf.
    pub(crate) saved_cr: [u64; 8],
    pub(crate) saved_value: u32,
    /// [`FIRST`](crate::condition::FIRST)
    pub(crate) first: [u32; 32],
    /// [`SPREAD`](crate::condition::SPREAD)
    pub(crate) spread: [u32; 256],
    /// Pages that traces go to again and again.
    pub(crate) slots: [Slot; SLOTS],
    /// How often traces were left by their ways out since that was looked at.
    pub(crate) exits: [u32; EXITS],
    /// The argument of the functions below.
    pub(crate) owner: *mut c_void,
    /// `fn(owner, place, handler) -> 0 or where to go on`; see [`Place`](crate::translate::Place).
    pub(crate) call: usize,
    /// `fn(owner, place) -> 0 or where to go on`.
    pub(crate) slow: usize,
    /// `fn(owner, place | kind << 32, ea) -> 0, AGAIN or where to go on`: a load or store that the table does not answer;
    /// see [`AccessKind`](crate::translate::AccessKind).
    pub(crate) access: usize,
    /// `fn(owner, place, value, index) -> 0, or the place with a bit above it`: tlbwe, for each WS. Leaves the guest's registers
    /// alone.
    pub(crate) write_tlb: [usize; 3],
    /// `fn(owner, place) -> where to go on`: after a tlbwe that took the block's page away.
    pub(crate) lost_page: usize,
    /// `fn(owner, place) -> where to go on`: rfi.
    pub(crate) return_from_interrupt: usize,
    /// `fn(owner, place, handler) -> where to go on`.
    pub(crate) call_and_end: usize,
    /// `fn(owner, site) -> where to go on`.
    pub(crate) leave: usize,
    /// `fn(owner, target) -> where to go on`.
    pub(crate) lookup: usize,
    /// `fn(owner, ticks)`: the guest looks at the clock until so much time has passed.
    pub(crate) wait: usize,
}

/// Slots that traces share out.
pub(crate) const SLOTS: usize = 8192;
/// Ways out of traces that are counted.
pub(crate) const EXITS: usize = 8192;

/// Where a way out is counted.
pub(crate) const fn exit_count(exit: u32) -> Mem {
    Mem::new(RBP, (offset_of!(Frame, exits) + 4 * exit as usize) as i32 - ANCHOR as i32)
}

/// A run of pages where an access of a trace went last: effective addresses of which all have the same distance from their host
/// addresses. In front of the slots of a trace stands one that tells for which table they are: its address as `host`, and how
/// many words that table had lost ([`DATA_LOSSES`]) when they were empty as the lower half of `page`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Slot {
    /// The first page's effective address, or [`Slot::EMPTY`].
    pub(crate) page: i64,
    /// Its host address.
    pub(crate) host: u64,
    /// The last byte of the run at which an access of this length may begin, counted from the first: below 2^31.
    pub(crate) last: u64,
    /// How often the access went elsewhere.
    pub(crate) turns: u32,
}

impl Slot {
    /// No page: further below all than a run is long.
    pub(crate) const EMPTY: i64 = -1 << 31;
    /// A slot that nobody has.
    pub(crate) const FREE: Self = Self { page: Self::EMPTY, host: 0, last: 0, turns: 0 };
}

/// Where a slot lies.
pub(crate) const fn slot_place(slot: u32) -> Mem {
    Mem::new(RBP, (offset_of!(Frame, slots) + slot as usize * size_of::<Slot>()) as i32 - ANCHOR as i32)
}

/// Where the fields of a slot lie: page, host, last, turns.
pub(crate) const fn slot_fields(slot: u32) -> [Mem; 4] {
    fields_at(slot_place(slot))
}

/// The same, of the slot whose address is in `at`.
pub(crate) const fn run_fields(at: Reg) -> [Mem; 4] {
    fields_at(Mem::new(at, 0))
}

const fn fields_at(slot: Mem) -> [Mem; 4] {
    [
        slot.plus(offset_of!(Slot, page) as i32),
        slot.plus(offset_of!(Slot, host) as i32),
        slot.plus(offset_of!(Slot, last) as i32),
        slot.plus(offset_of!(Slot, turns) as i32),
    ]
}

/// Where RBP points.
pub(crate) const ANCHOR: usize = offset_of!(Frame, core) + STATE_OFFSET + BIAS as usize;

macro_rules! frame_field {
    ($name:ident) => {
        $crate::emit::Mem::new(
            $crate::emit::RBP,
            core::mem::offset_of!($crate::frame::Frame, $name) as i32 - $crate::frame::ANCHOR as i32,
        )
    };
}
pub(crate) use frame_field;

pub(crate) const FETCH_TABLE: Mem = frame_field!(fetch_table);
pub(crate) const DATA_TABLE: Mem = frame_field!(data_table);
pub(crate) const DATA_LOSSES_FIELD: Mem = core_field(DATA_LOSSES);
pub(crate) const ATTENTION_MASK_FIELD: Mem = core_field(ATTENTION_MASK);

/// What lies in the core at `offset` from its beginning.
pub(crate) const fn core_field(offset: usize) -> Mem {
    Mem::new(RBP, (offset_of!(Frame, core) + offset) as i32 - ANCHOR as i32)
}

/// A field of an entry of the core's [`selection`] table; `entry` is the offset of the entry.
pub(crate) const fn selection_field(entry: Reg, offset: usize) -> Mem {
    Mem::indexed(RBP, entry, 0, (offset_of!(Frame, core) + selection::TABLE + offset) as i32 - ANCHOR as i32)
}

/// Where a field of CR lies.
pub(crate) const fn cr_field(field: u32) -> Mem {
    Mem::new(RBP, (offset_of!(Frame, cr) + 8 * field as usize) as i32 - ANCHOR as i32)
}

/// The code of the field in the register `bits`.
pub(crate) const fn cr_code(bits: Reg) -> Mem {
    Mem::indexed(RBP, bits, 3, offset_of!(Frame, codes) as i32 - ANCHOR as i32)
}

/// All parts of the data table.
pub(crate) const DATA_WORDS: Mem = frame_field!(data_words);
pub(crate) const RAM: Mem = frame_field!(ram);
pub(crate) const CARRY: Mem = frame_field!(carry);
pub(crate) const FLOAT_WORD: Mem = frame_field!(float_word);
pub(crate) const FLOAT_COMPARED: Mem = frame_field!(float_compared);

/// Where an operand of the last floating-point operation is noted.
pub(crate) const fn float_operand(index: usize) -> Mem {
    Mem::new(RBP, (offset_of!(Frame, float_operands) + 8 * index) as i32 - ANCHOR as i32)
}

/// Offset of a page's entry in the fetch table.
pub(crate) const fn fetch_slot(ea: u32) -> i32 {
    ((ea >> 12) as usize % fetch_table::ENTRIES * 8) as i32
}
