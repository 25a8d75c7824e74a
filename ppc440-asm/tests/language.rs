//! What the language does beyond single instructions: labels, directives, macros, conditionals, errors.

use ppc440_asm::{Assembler, ErrorKind, assemble};

fn words(text: &str) -> Vec<u32> {
    assemble(text, 0).unwrap_or_else(|e| panic!("{e}")).words().collect()
}

fn bytes(text: &str) -> Vec<u8> {
    assemble(text, 0).unwrap_or_else(|e| panic!("{e}")).bytes
}

fn error(text: &str) -> ErrorKind {
    assemble(text, 0).expect_err("the text is wrong").kind
}

#[test]
fn a_local_label_reference_takes_the_nearest_on_its_side() {
    assert_eq!(
        words("1: b 1b\n b 1f\n1: b 1b\n 1: nop"),
        [0x4800_0000, 0x4800_0004, 0x4800_0000, 0x6000_0000]
    );
}

#[test]
fn two_local_labels_at_one_address_are_told_apart_by_order() {
    let program = assemble("1: .space 0\n .long 1f - 1b\n1:", 0).unwrap();
    assert_eq!(program.words().next(), Some(4));
}

#[test]
fn a_label_after_its_use_is_found_in_every_kind_of_operand() {
    assert_eq!(
        words("lis r3, end@ha\n lwz r4, end@l(r3)\n b end\n .long end, end - 4\n .org 0x18\nend:"),
        [0x3C60_0000, 0x8083_0018, 0x4800_0010, 0x18, 0x14, 0]
    );
}

#[test]
fn the_base_address_counts_in_labels_and_in_dot() {
    let program = assemble("a: .long a, ., . - a\n", 0x8000_1000).unwrap();
    assert_eq!(program.words().collect::<Vec<_>>(), [0x8000_1000, 0x8000_1000, 0]);
}

#[test]
fn high_adjusted_and_low_halves_add_up_to_the_value() {
    for value in [0u32, 0x7FFF, 0x8000, 0xFFFF_8000, 0x1234_F678, 0xFFFF_FFFF] {
        let code = words(&format!("lis r3, {value:#x}@ha\n addi r3, r3, {value:#x}@l"));
        let low = i32::from(code[1] as u16 as i16) as u32;
        assert_eq!((code[0] << 16).wrapping_add(low), value);
    }
}

#[test]
fn precedence_is_that_of_gnu_as() {
    let text =
        ".long 1<<2+3, 1+2*3, 0xF0|0xF&0x3, -2+3, ~0 & 0xFF, (1+2)*3, 7%4, 3==3, 3!=3, 2>1 && 1, 'a', '\\n'";
    assert_eq!(words(text), [7, 7, 3, 1, 0xFF, 9, 3, u32::MAX, 0, 1, 97, 10]);
}

#[test]
fn numbers_are_read_in_four_bases() {
    assert_eq!(words(".long 0x1F, 0b101, 017, 10, 0xffffffff, -1"), [31, 5, 15, 10, u32::MAX, u32::MAX]);
}

#[test]
fn data_directives_have_the_sizes_of_gnu_as_for_powerpc() {
    assert_eq!(
        bytes(".byte 1, -1\n.word 2\n.short -2\n.long 3\n.quad 0x0123456789abcdef"),
        [1, 255, 0, 2, 255, 254, 0, 0, 0, 3, 1, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF]
    );
}

#[test]
fn strings_take_escapes_and_an_optional_zero() {
    assert_eq!(bytes(r##".ascii "a\n\"", "\x41\101" ; .asciz "#;" "##), b"a\n\"AA#;\0");
}

#[test]
fn floating_point_data_is_ieee_754() {
    assert_eq!(bytes(".float 1.5\n.double -0.0"), [0x3F, 0xC0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn gaps_in_code_are_filled_with_nops_and_org_leaves_zeros() {
    assert_eq!(words("blr\n.align 3\nblr\n.org 0x10"), [0x4E80_0020, 0x6000_0000, 0x4E80_0020, 0]);
    assert_eq!(
        bytes(".byte 1\n.align 2\n.balign 8, 0xFF\n.fill 2, 2, 0x0102"),
        [1, 0, 0, 0, 255, 255, 255, 255, 1, 2, 1, 2]
    );
}

#[test]
fn set_symbols_count_as_they_stand_at_their_use() {
    assert_eq!(words(".set n, 1\n.long n\n.set n, n + 1\n.long n\n n = 7\n.long n"), [1, 2, 7]);
}

#[test]
fn macros_take_defaults_names_and_a_counter() {
    let text = "
        .macro  put a, b=5, rest:vararg
        l\\@: .long \\a, \\b
        .ifnb \\rest
        .long \\rest
        .endif
        .endm
        put 1
        put b=2, a=3
        put 1, 2, 8, 9";
    assert_eq!(words(text), [1, 5, 3, 2, 1, 2, 8, 9]);
}

#[test]
fn a_macro_may_define_a_macro_and_use_another() {
    let text = "
        .macro outer name, value
        .macro \\name x
        .long \\x + \\value
        .endm
        .endm
        outer add10, 10
        add10 1
        add10 2";
    assert_eq!(words(text), [11, 12]);
}

#[test]
fn repetitions_and_conditionals_nest() {
    let text = "
        .set i, 0
        .rept 4
        .if i == 1
        .long 100
        .elseif i == 2
        .irp x, 7, 8
        .long \\x
        .endr
        .else
        .long i
        .endif
        .set i, i + 1
        .endr";
    assert_eq!(words(text), [0, 100, 7, 8, 3]);
}

#[test]
fn skipped_lines_need_not_make_sense() {
    assert_eq!(
        words(".if 0\n nonsense 1 2 3\n .if 1\n more:\n .endif\n .else\n nop\n .endif"),
        [0x6000_0000]
    );
}

#[test]
fn comments_of_all_kinds_vanish() {
    assert_eq!(
        words("nop # a 'comment\n// b\nnop /* c\n d */ nop\n.byte '#', '\"', ';', 0"),
        [0x6000_0000, 0x6000_0000, 0x6000_0000, 0x2322_3B00]
    );
}

#[test]
fn an_error_names_the_line_also_inside_macros_and_includes() {
    let text = "nop\n.macro m x\nnop\nli r3, \\x\n.endm\n\nm 0x12345\n";
    let error = assemble(text, 0).unwrap_err();
    assert_eq!((error.line, error.in_macro.as_str()), (7, "m"));
    let error =
        Assembler::new().include("b.s", "\n\nfrob").assemble("a.s", "nop\n.include \"b.s\"").unwrap_err();
    assert_eq!(error.to_string(), "b.s: Line 3: Unknown instruction or directive \"frob\"");
    let error = assemble("/* two\nlines */\nb far\n", 0).unwrap_err();
    assert_eq!((error.line, error.kind), (3, ErrorKind::UndefinedSymbol("far".into())));
}

#[test]
fn wrong_operands_are_refused_with_their_reason() {
    assert_eq!(
        error("add r3, r4"),
        ErrorKind::OperandCount { mnemonic: "add".into(), expected: "3".into(), found: 2 }
    );
    assert_eq!(
        error("add r3, f4, r5"),
        ErrorKind::OperandKind { index: 2, expected: "a general purpose register" }
    );
    assert_eq!(
        error("fadd f1, r2, f3"),
        ErrorKind::OperandKind { index: 2, expected: "a floating-point register" }
    );
    assert_eq!(error("srawi r3, r4, 32"), ErrorKind::OperandRange { index: 3, value: 32, min: 0, max: 31 });
    assert_eq!(error("beq .+0x8000"), ErrorKind::BranchTarget { from: 0, target: 0x8000 });
    assert_eq!(error("b .+2"), ErrorKind::BranchTarget { from: 0, target: 2 });
    assert!(matches!(error("lwzu r3, 4(r3)"), ErrorKind::InvalidForm(_)));
    assert!(matches!(error("stwu r3, 4(0)"), ErrorKind::InvalidForm(_)));
    assert!(matches!(error("lmw r3, 4(r5)"), ErrorKind::InvalidForm(_)));
    assert!(matches!(error("rlwinm r3, r4, 0, 0x5"), ErrorKind::OperandKind { .. }));
    assert_eq!(error("addx r3, r4, r5"), ErrorKind::UnknownMnemonic("addx".into()));
    assert_eq!(error("addio r3, r4, 5"), ErrorKind::UnknownMnemonic("addio".into()));
    assert_eq!(error("cmpw. r3, r4"), ErrorKind::UnknownMnemonic("cmpw.".into()));
}

#[test]
fn wrong_structure_is_refused_with_its_reason() {
    assert_eq!(error("a: nop\na: nop"), ErrorKind::Redefined("a".into()));
    assert_eq!(error("a: nop\n.set a, 1"), ErrorKind::Redefined("a".into()));
    assert_eq!(error(".space end\nend:"), ErrorKind::ForwardReference(".space"));
    assert_eq!(error("b 1f\n1: b 2b"), ErrorKind::UndefinedLocal("2b".into()));
    assert_eq!(error(".byte 1\nnop"), ErrorKind::Misaligned(1));
    assert_eq!(error("nop\n.org 0"), ErrorKind::OrgBackwards { from: 4, to: 0 });
    assert_eq!(error(".byte 256"), ErrorKind::DataRange { value: 256, bytes: 1 });
    assert_eq!(error(".long 1/0"), ErrorKind::DivisionByZero);
    assert!(matches!(error(".if 1"), ErrorKind::Syntax(_)));
    assert!(matches!(error(".endif"), ErrorKind::Syntax(_)));
    assert!(matches!(error(".macro m"), ErrorKind::Syntax(_)));
    assert!(matches!(error(".macro m x:req\n.endm\nm"), ErrorKind::User(_)));
}

#[test]
fn no_source_can_take_all_memory_or_all_stack() {
    assert_eq!(error(".space 0x7fffffff"), ErrorKind::TooLarge("Image"));
    assert_eq!(
        error(".rept 100000000\n.rept 100000000\n.endr\n.endr"),
        ErrorKind::TooLarge("Number of statements")
    );
    assert_eq!(error(".macro m\nm\n.endm\nm"), ErrorKind::TooLarge("Nesting of macros"));
    assert!(matches!(error(&format!(".long {}1", "(".repeat(100_000))), ErrorKind::TooLarge(_)));
    assert!(matches!(error(&format!(".long {}1", "-".repeat(100_000))), ErrorKind::TooLarge(_)));
    assert!(matches!(error(&format!(".long 1{}", "+1".repeat(100_000))), ErrorKind::TooLarge(_)));
}

#[test]
fn the_image_may_end_at_the_end_of_the_address_space() {
    let program = assemble("nop\nb 0xfffff000", 0xFFFF_FFF8).unwrap();
    assert_eq!(program.words().collect::<Vec<_>>(), [0x6000_0000, 0x4BFF_F004]);
    assert_eq!(assemble("nop\nnop\nnop", 0xFFFF_FFF8).unwrap_err().kind, ErrorKind::TooLarge("Image"));
}

#[test]
fn the_elf_file_holds_the_image_at_its_address() {
    let elf = assemble("start: nop\nend: blr", 0x2000).unwrap().to_elf(0x2000);
    let word = |at: usize| u32::from_be_bytes(elf[at..at + 4].try_into().unwrap());
    assert_eq!(&elf[..6], b"\x7FELF\x01\x02");
    assert_eq!((word(16), word(24)), (0x0002_0014, 0x2000), "type and machine; entry");
    let header = word(28) as usize;
    let [kind, offset, virt, phys, file, memory] = [0, 4, 8, 12, 16, 20].map(|o| word(header + o));
    assert_eq!((kind, virt, phys, file, memory), (1, 0x2000, 0x2000, 8, 8));
    assert_eq!((word(offset as usize), word(offset as usize + 4)), (0x6000_0000, 0x4E80_0020));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_assembler_panic(text in "[ -~\n]{0,80}") {
        let _ = assemble(&text, 0);
    }

    #[test]
    fn no_text_made_of_the_language_makes_the_assembler_panic(
        parts in proptest::collection::vec(proptest::sample::select(&PARTS[..]), 0..20)
    ) {
        let _ = assemble(&parts.join(" "), 0xFFFF_FF00);
    }
}

const PARTS: [&str; 44] = [
    "add",
    "lwz",
    "beq",
    "mtspr",
    "rlwinm",
    "b",
    "lmw",
    "1:",
    "1b",
    "1f",
    "x:",
    "x",
    "r3",
    "f4",
    "cr1",
    "4*cr1+eq",
    ",",
    ",",
    ",",
    "(r4)",
    "(",
    ")",
    "0x7fff",
    "-1",
    "@ha",
    "@l",
    "\n",
    "\n",
    "\n",
    ".macro m a",
    ".endm",
    "m",
    ".rept 2",
    ".endr",
    ".if 1",
    ".else",
    ".endif",
    ".long",
    ".align",
    ".org",
    ".space",
    ".ascii",
    "\"a\\x\"",
    "\\a",
];
