//! Any sequence of register accesses, characters, resets and passing time: no panic, no hang, and a machine that was
//! saved and restored describes itself as before.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use ppc440_vmm_fuzz::Bench;
use vmm_plugin::api::ResetKind;

/// Where devices live; see the board's memory map.
const BLOCKS: [u64; 24] = [
    0xEF60_0000,
    0xEF60_0300,
    0xEF60_0400,
    0xEF60_0500,
    0xEF60_0600,
    0xEF60_0700,
    0xEF60_0800,
    0xEF60_0900,
    0xEF60_0A00,
    0xEF60_0B00,
    0xEF60_0C00,
    0xEF60_0D00,
    0xEF60_0E00,
    0xEF60_0F00,
    0xEF60_1000,
    0xEEC0_0000,
    0xEED0_0000,
    0xEF40_0000,
    0xE800_0000,
    0xA000_0000,
    0x8000_0000,
    0x8000_2000,
    0x9000_0000,
    0xFFF0_0000,
];

#[derive(Arbitrary, Debug)]
enum Action {
    Read { block: u8, offset: u16, len: u8 },
    Write { block: u8, offset: u16, len: u8, value: u64 },
    ReadAnywhere { pa: u64, len: u8 },
    WriteAnywhere { pa: u64, len: u8, value: u64 },
    DcrRead(u16),
    DcrWrite(u16, u32),
    Pass(u32),
    Input { port: u8, bytes: Vec<u8> },
    Reset(u8),
    SaveAndRestore,
}

fn length(len: u8) -> u8 {
    1 << (len & 3)
}

fn place(block: u8, offset: u16) -> u64 {
    BLOCKS[usize::from(block) % BLOCKS.len()] + u64::from(offset & 0x1FF)
}

fuzz_target!(|actions: Vec<Action>| {
    let mut bench = Bench::plain();
    for action in actions {
        let machine = &mut bench.machine;
        match action {
            Action::Read { block, offset, len } => {
                machine.read(place(block, offset), length(len));
            }
            Action::Write { block, offset, len, value } => {
                machine.write(place(block, offset), length(len), value)
            }
            Action::ReadAnywhere { pa, len } => {
                machine.read(pa & 0xF_FFFF_FFFF, length(len));
            }
            Action::WriteAnywhere { pa, len, value } => machine.write(pa & 0xF_FFFF_FFFF, length(len), value),
            Action::DcrRead(dcrn) => {
                machine.dcr_read(dcrn & 0x3FF);
            }
            Action::DcrWrite(dcrn, value) => machine.dcr_write(dcrn & 0x3FF, value),
            Action::Pass(ticks) => bench.pass(u64::from(ticks)),
            Action::Input { port, bytes } => {
                let taken = machine.char_input(u32::from(port & 7), &bytes);
                assert!(taken <= bytes.len());
            }
            Action::Reset(kind) => machine.reset(match kind % 3 {
                0 => ResetKind::Core,
                1 => ResetKind::Chip,
                _ => ResetKind::System,
            }),
            Action::SaveAndRestore => {
                let saved = machine.save();
                let before = machine.describe();
                machine.restore(&saved).expect("a machine takes back what it saved");
                assert_eq!(machine.describe(), before);
            }
        }
    }
    bench.machine.armed();
    bench.machine.describe();
});
