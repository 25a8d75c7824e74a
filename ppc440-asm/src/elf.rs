//! A minimal big-endian PowerPC ELF executable: header, one program header, the image, and a symbol table so that
//! `objdump -d` and `gdb` name what they show. Layout: System V ABI, PowerPC Processor Supplement.

use alloc::vec;
use alloc::vec::Vec;

use crate::Program;

const HEADER: u32 = 52;
const PROGRAM_HEADER: u32 = 32;
const SECTION_HEADER: u32 = 40;
/// File offset of the image; aligned so that tools which map files accept it.
const IMAGE_OFFSET: u32 = 0x1000;

const EM_PPC: u16 = 20;
const PT_LOAD: u32 = 1;
const SHT_PROGBITS: u32 = 1;
const SHT_SYMTAB: u32 = 2;
const SHT_STRTAB: u32 = 3;

struct Writer(Vec<u8>);

impl Writer {
    fn half(&mut self, value: u16) {
        self.0.extend(value.to_be_bytes());
    }

    fn words(&mut self, values: &[u32]) {
        for value in values {
            self.0.extend(value.to_be_bytes());
        }
    }

    fn pad_to(&mut self, length: u32) {
        self.0.resize(self.0.len().max(length as usize), 0);
    }

    fn here(&self) -> u32 {
        self.0.len() as u32
    }
}

pub(crate) fn write(program: &Program, entry: u32) -> Vec<u8> {
    let size = program.bytes.len() as u32;
    let end = program.base.wrapping_add(size);
    let mut names = vec![0u8];
    let mut symbols = Writer(vec![0; 16]);
    for (name, value) in &program.symbols {
        // Labels belong to the section; everything else is an absolute value.
        let inside = (program.base..=end).contains(value);
        symbols.words(&[names.len() as u32, *value, 0]);
        symbols.0.extend([0, 0]);
        symbols.half(if inside { 1 } else { 0xFFF1 });
        names.extend(name.bytes().chain([0]));
    }
    let section_names = b"\0.text\0.symtab\0.strtab\0.shstrtab\0";

    let image_end = IMAGE_OFFSET + size;
    let symtab = image_end.next_multiple_of(4);
    let strtab = symtab + symbols.here();
    let shstrtab = strtab + names.len() as u32;
    let sections = (shstrtab + section_names.len() as u32).next_multiple_of(4);

    let mut out = Writer(vec![0x7F, b'E', b'L', b'F', 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    out.half(2); // executable
    out.half(EM_PPC);
    out.words(&[1, entry, HEADER, sections, 0]);
    for value in [HEADER as u16, PROGRAM_HEADER as u16, 1, SECTION_HEADER as u16, 5, 4] {
        out.half(value);
    }
    out.words(&[PT_LOAD, IMAGE_OFFSET, program.base, program.base, size, size, 7, 0x1000]);
    out.pad_to(IMAGE_OFFSET);
    out.0.extend(&program.bytes);
    out.pad_to(symtab);
    out.0.extend(&symbols.0);
    out.0.extend(&names);
    out.0.extend(section_names);
    out.pad_to(sections);
    out.words(&[0; 10]);
    out.words(&[1, SHT_PROGBITS, 7, program.base, IMAGE_OFFSET, size, 0, 0, 4, 0]);
    let locals = symbols.here() / 16;
    out.words(&[7, SHT_SYMTAB, 0, 0, symtab, symbols.here(), 3, locals, 4, 16]);
    out.words(&[15, SHT_STRTAB, 0, 0, strtab, names.len() as u32, 0, 0, 1, 0]);
    out.words(&[23, SHT_STRTAB, 0, 0, shstrtab, section_names.len() as u32, 0, 0, 1, 0]);
    out.0
}
