//! Pins what is emitted: the code of each instruction family, and how many host instructions each common guest instruction
//! costs. A change of the emitter shows here and in review; `INSTA_UPDATE=always cargo test -p ppc440-jit snapshots`
//! takes the new code for right.

extern crate std;

use std::boxed::Box;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::format;
use std::string::String;
use std::vec::Vec;

use core::mem::{offset_of, size_of};

use iced_x86::{
    Code, Decoder, DecoderOptions, Formatter as _, Instruction, IntelFormatter, Mnemonic, OpKind, Register,
    SymbolResolver, SymbolResult,
};
use ppc440_core::state::CpuState;

use crate::fixed::{Stubs, fixed_code};
use crate::frame::{ANCHOR, BIAS, EXITS, Frame, SLOTS};
use crate::translate::{MOST, Source, mode, translate};

/// Effective address of the snippets.
const PC: u32 = 0xC000_1000;
/// Where their code would lie.
const AT: usize = 0x10_0000;
/// Stands for the semantics of any instruction.
const HANDLER: usize = 0x7EED_0000;

/// The code of a block of these words, as if more of its page followed.
fn code(words: &[u32], mode: u8) -> Vec<u8> {
    translated(words, mode, None)
}

/// The code of a block, or of a trace.
fn translated(words: &[u32], mode: u8, path: Option<&[u32]>) -> Vec<u8> {
    let (_, mut stubs) = fixed_code();
    // Not what this host happens to have.
    (stubs.has_fma, stubs.has_movbe) = (true, true);
    assert!(words.len() < MOST);
    let source = Source {
        words,
        pc: PC,
        mode,
        page: 0x123,
        block: 0,
        first_site: 0,
        at: AT,
        page_ends: false,
        path,
        slots: 0..SLOTS as u32,
        exits: 0..EXITS as u32,
        side: None,
    };
    let made = translate(source, &stubs, &|_| HANDLER, true).expect("it can be translated");
    assert!(made.words <= words.len());
    made.code
}

fn assembled(text: &str) -> Vec<u32> {
    let image =
        ppc440_asm::assemble(&text.replace(';', "\n"), PC).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    image.bytes.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]])).collect()
}

fn decoded(code: &[u8]) -> Vec<Instruction> {
    Decoder::with_ip(64, code, AT as u64, DecoderOptions::NONE).into_iter().collect()
}

/// Names for what lies at an offset from RBP, so that a field that moves changes nothing here.
fn rbp_name(displacement: i64) -> String {
    let state = displacement + i64::from(BIAS);
    if let Ok(at) = usize::try_from(state)
        && at < size_of::<CpuState>()
    {
        macro_rules! scalars {
            ($($name:ident)*) => { $( if at == offset_of!(CpuState, $name) { return stringify!($name).into(); } )* };
        }
        macro_rules! arrays {
            ($($name:ident $count:literal $size:literal)*) => { $(
                let start = offset_of!(CpuState, $name);
                if (start..start + $count * $size).contains(&at) {
                    let rest = (at - start) % $size;
                    let more = if rest == 0 { String::new() } else { format!(".{rest}") };
                    return format!("{}{}{more}", stringify!($name), (at - start) / $size);
                }
            )* };
        }
        scalars!(pc fpscr cr xer lr ctr msr esr dear mcsr ivpr pid mmucr usprg0 pvr dec decar tcr tsr dbsr
            reserve_valid reserve_addr reserve_addr_high reset_entry);
        arrays!(gpr 32 4 fpr 32 8 srr 2 4 csrr 2 4 mcsrr 2 4 sprg 8 4 ivor 16 4 ccr 2 4);
        return "state".into();
    }
    macro_rules! frame {
        ($($name:ident $count:literal $size:literal)*) => { $(
            let start = offset_of!(Frame, $name) as i64 - ANCHOR as i64;
            if (start..start + $count * $size).contains(&displacement) {
                let index = (displacement - start) / $size;
                return if $count == 1 { stringify!($name).into() } else { format!("{}{index}", stringify!($name)) };
            }
        )* };
    }
    frame!(left 1 8 data_table 1 8 fetch_table 1 8 jumps 1 8 ram 1 8 cr 8 8 codes 16 8 spread 256 4 carry 1 4 float_word 1 4
        float_compared 1 4 float_operands 3 8 slots 8192 24);
    "core".into()
}

/// Names for the formatter.
struct Names {
    places: BTreeMap<u64, String>,
}

impl SymbolResolver for Names {
    fn symbol(
        &mut self,
        instruction: &Instruction,
        _: u32,
        operand: Option<u32>,
        address: u64,
        _: u32,
    ) -> Option<SymbolResult<'_>> {
        let name = match instruction.op_kind(operand?) {
            OpKind::Memory if instruction.memory_base() == Register::RBP => rbp_name(address as i64),
            OpKind::NearBranch64 => self.places.get(&address)?.clone(),
            _ => return None,
        };
        Some(SymbolResult::with_string(address, name))
    }
}

fn stub_names() -> BTreeMap<u64, String> {
    let (_, stubs) = fixed_code();
    let Stubs {
        enter,
        exit,
        call,
        slow,
        access,
        write_tlb,
        return_from_interrupt,
        call_and_end,
        leave,
        indirect,
        indirect_slow,
        wait,
        pack,
        unpack,
        ..
    } = stubs;
    [
        ("enter", enter),
        ("exit", exit),
        ("call", call),
        ("slow", slow),
        ("access", access),
        ("write_tlb_0", write_tlb[0]),
        ("write_tlb_1", write_tlb[1]),
        ("write_tlb_2", write_tlb[2]),
        ("return_from_interrupt", return_from_interrupt),
        ("call_and_end", call_and_end),
        ("leave", leave),
        ("indirect", indirect),
        ("indirect_slow", indirect_slow),
        ("wait", wait),
        ("pack", pack),
        ("unpack", unpack),
    ]
    .into_iter()
    .map(|(name, at)| (at as u64, format!("stub_{name}")))
    .collect()
}

/// The code as text, with names for places.
fn listing(code: &[u8]) -> String {
    let instructions = decoded(code);
    let targets: BTreeSet<u64> = instructions
        .iter()
        .filter(|i| i.op0_kind() == OpKind::NearBranch64)
        .map(Instruction::near_branch_target)
        .collect();
    let mut places = stub_names();
    let inside = AT as u64..(AT + code.len()) as u64;
    for (number, target) in targets.into_iter().filter(|target| inside.contains(target)).enumerate() {
        places.insert(target, format!("L{}", number + 1));
    }
    let mut formatter = IntelFormatter::with_options(Some(Box::new(Names { places: places.clone() })), None);
    formatter.options_mut().set_space_after_operand_separator(true);
    formatter.options_mut().set_hex_prefix("0x");
    formatter.options_mut().set_hex_suffix("");
    formatter.options_mut().set_uppercase_hex(false);
    formatter.options_mut().set_branch_leading_zeros(false);
    formatter.options_mut().set_show_branch_size(false);
    let mut text = String::new();
    for instruction in &instructions {
        assert_ne!(instruction.code(), Code::INVALID, "{text}");
        if let Some(place) = places.get(&instruction.ip()) {
            let _ = writeln!(text, "  {place}:");
        }
        let mut line = String::new();
        formatter.format(instruction, &mut line);
        let _ = writeln!(text, "    {line}");
    }
    text
}

/// Host instructions on the straight way through a block: to the first jump that is always taken, which leaves it.
fn straight(words: &[u32], mode: u8) -> usize {
    let code = code(words, mode);
    let leaves = |i: &Instruction| matches!(i.mnemonic(), Mnemonic::Jmp | Mnemonic::Ret);
    decoded(&code).iter().take_while(|i| !leaves(i)).count()
}

/// What one more of an instruction costs in a block that has one already.
fn cost(text: &str) -> usize {
    let once = assembled(text);
    let twice = [&once[..], &once[..]].concat();
    straight(&twice, mode::FLOAT) - straight(&once, mode::FLOAT)
}

fn family(snippets: &[&str]) -> String {
    let mut text = String::new();
    for snippet in snippets {
        let _ = writeln!(text, "{snippet}\n{}", listing(&code(&assembled(snippet), mode::FLOAT)));
    }
    text
}

fn pinned(name: &str, text: &str) {
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(name, text) });
}

macro_rules! families {
    ($($test:ident: $snippets:expr;)*) => { $(
        #[test]
        fn $test() {
            pinned(stringify!($test), &family(&$snippets));
        }
    )* };
}

families! {
    integer: [
        "add 3,4,9", "addi 3,3,1", "subf. 5,6,7", "addic 3,4,5", "adde 3,4,5", "mullw 3,4,5", "divw 3,4,5",
        "neg 3,4", "rlwinm 3,4,5,6,7", "rlwimi 3,4,5,6,7", "srawi 3,4,2", "slw 3,4,5", "cntlzw 3,4", "extsb 3,4",
        "andi. 3,4,255", "xor 3,4,5", "addo 3,4,5",
    ];
    compare_and_condition: [
        "cmpwi 3,5", "cmplw 7,3,4", "mfcr 3", "crxor 6,6,6", "isel 3,4,5,2",
    ];
    memory: [
        "lwz 3,8(4)", "lwz 3,8(4); lwz 5,12(4)", "stw 3,8(4)", "lbzx 3,4,5", "lhau 3,2(4)", "stwu 1,-16(1)",
        "lwarx 3,0,4", "stwcx. 3,0,4", "dcbz 0,4", "lmw 28,0(4)",
    ];
    branch: [
        "b .+64", "b .+8192", "bl .+64", "blr", "bctrl", "bdnz .+64", "cmpwi 3,0; beq .+64", "bc 4,10,.+64",
    ];
    float: [
        "fadd 1,2,3", "fmul 1,2,3", "fmadd 1,2,3,4", "fdivs 1,2,3", "fmr 1,2", "fneg 1,2", "fcmpu 0,1,2", "lfd 1,8(4)",
        "stfs 1,8(4)",
    ];
    system: [
        "mfspr 3,272", "mtspr 272,3", "mfspr 3,8", "mtspr 48,3", "wrteei 0", "wrteei 1", "mtmsr 3", "mfmsr 3",
        "isync", "sc", "rfi", "tlbwe 3,4,0", "mfdcr 3,0", "tw 31,3,3",
    ];
}

/// A loop of two blocks, whose branch is seldom taken: the way past it is the trace.
#[test]
fn trace() {
    let words = assembled("lbzu 5,1(3); cmpwi 5,32; beq .+8; addi 14,14,1; add 15,15,5; bdnz .-20");
    let path: Vec<u32> = (0..words.len() as u32).map(|index| PC + 4 * index).collect();
    pinned("trace", &listing(&translated(&words, mode::FLOAT, Some(&path))));
}

/// The floating-point unit is off: the core raises the exception.
#[test]
fn float_unavailable() {
    pinned("float_unavailable", &listing(&code(&assembled("fadd 1,2,3"), 0)));
}

#[test]
fn host_instructions_per_guest_instruction() {
    let mut text = String::from("One more of the same in a block, on its straight way.\n\n");
    for snippet in [
        "add 3,4,9",
        "addi 3,3,1",
        "add. 3,4,9",
        "addic 3,4,5",
        "adde 3,4,9",
        "subf 3,4,9",
        "mullw 3,4,9",
        "rlwinm 3,4,5,6,7",
        "rlwimi 3,4,5,6,7",
        "srawi 3,4,2",
        "slw 3,4,9",
        "and 3,4,9",
        "ori 3,4,1",
        "extsb 3,4",
        "cntlzw 3,4",
        "cmpwi 3,5",
        "cmplw 7,3,4",
        "crxor 6,6,6",
        "mfcr 3",
        "lwz 3,8(4)",
        "lwzx 3,4,9",
        "lbz 3,8(4)",
        "lhz 3,8(4)",
        "stw 3,8(4)",
        "stb 3,8(4)",
        "stwu 3,-16(1)",
        "mflr 3",
        "mtlr 3",
        "mtctr 3",
        "mfspr 3,272",
        "fadd 1,2,3",
        "fmul 1,2,3",
        "fmadd 1,2,3,4",
        "fadds 1,2,3",
        "fmr 1,2",
        "lfd 1,8(4)",
        "stfd 1,8(4)",
        "beq .+64",
        "bdnz .+64",
        "wrteei 0",
        "isync",
        "lwarx 3,0,4",
        "stwcx. 3,0,4",
    ] {
        let _ = writeln!(text, "{:>4}  {snippet}", cost(snippet));
    }
    pinned("host_instructions_per_guest_instruction", &text);
}
