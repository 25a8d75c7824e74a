//! What an engine takes to run code for the first and only time: an image without an operating system whose code is one
//! straight line, all of it different. It says on the console when it is at the end, and then reads the clock for ever.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Machine, Results};

/// Instructions of the line that is measured, one MiB of code...
const LONG: u32 = 1 << 18;
/// ...and of the one that is subtracted, with everything else.
const SHORT: u32 = 1 << 10;
/// Where the image is loaded and begins.
const AT: u32 = 0x10_0000;
/// What it says at the end.
const SIGN: &str = "!";
const LIMIT: Duration = Duration::from_secs(60);

/// Both images.
pub(super) struct Images([PathBuf; 2]);

impl Images {
    /// Writes them into `folder`.
    pub(super) fn write(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("Cannot make {}", folder.display()))?;
        let write = |instructions: u32| {
            let path = folder.join(format!("straight-{instructions}.elf"));
            fs::write(&path, image(instructions))
                .with_context(|| format!("Cannot write {}", path.display()))?;
            Ok::<_, anyhow::Error>(path)
        };
        Ok(Self([write(SHORT)?, write(LONG)?]))
    }

    /// Processor time of an instruction of the line.
    pub(super) fn measure(&self, machine: &Machine, results: &mut Results) -> Result<()> {
        let [short, long] = &self.0;
        let short = Self::run(machine, short)?;
        let long = Self::run(machine, long)?;
        let spent = long.saturating_sub(short).as_nanos() as f64 / f64::from(LONG - SHORT);
        results.add(&machine.name, "straight-line", "ns", spent);
        Ok(())
    }

    fn run(machine: &Machine, image: &Path) -> Result<Duration> {
        let mut guest = machine.start_bare(image)?;
        guest.wait_for(SIGN, LIMIT)?;
        let spent = guest.cpu_time()?;
        guest.kill()?;
        Ok(spent)
    }
}

/// A D-form instruction.
const fn d(primary: u32, rt: u32, ra: u32, immediate: u32) -> u32 {
    primary << 26 | rt << 21 | ra << 16 | immediate & 0xFFFF
}

/// tlbwe RS,RA,WS
const fn tlbwe(rs: u32, ra: u32, ws: u32) -> u32 {
    31 << 26 | rs << 21 | ra << 16 | ws << 11 | 978 << 1
}

/// The words of the image: a line of so many instructions, then the sign.
fn words(instructions: u32) -> Vec<u32> {
    let line = (0..instructions).map(|n| {
        let (rt, ra) = (3 + n % 20, 3 + n * 7 % 20);
        match n % 4 {
            // addi, xori, addis, ori
            0 => d(14, rt, ra, n),
            1 => d(26, ra, rt, n >> 2),
            2 => d(15, rt, ra, n >> 4),
            _ => d(24, ra, rt, n >> 3),
        }
    });
    let end = [
        // TLB entry 5: 4 KB of device registers with the UART's, at their physical address.
        d(14, 4, 0, 0),
        31 << 26 | 4 << 21 | (946 & 31) << 16 | (946 >> 5) << 11 | 467 << 1,
        d(14, 4, 0, 5),
        d(15, 5, 0, 0xEF60),
        d(24, 5, 6, 0x210),
        tlbwe(6, 4, 0),
        tlbwe(5, 4, 1),
        d(14, 6, 0, 0x503),
        tlbwe(6, 4, 2),
        // isync; the sign into the UART's THR
        19 << 26 | 150 << 1,
        d(14, 7, 0, b'!' as u32),
        d(38, 7, 5, 0x300),
        // mftb; back to it
        31 << 26 | 8 << 21 | 12 << 16 | 8 << 11 | 371 << 1,
        18 << 26 | 0x03FF_FFFC,
    ];
    line.chain(end).collect()
}

/// An ELF file with one segment, loaded where it is linked.
fn image(instructions: u32) -> Vec<u8> {
    const HEADERS: u32 = 52 + 32;
    let words = words(instructions);
    let len = 4 * words.len() as u32;
    let mut file = b"\x7FELF\x01\x02\x01".to_vec();
    file.resize(16, 0);
    let halves = |a: u32, b: u32| a << 16 | b;
    // Type and machine, version, entry, where the program headers are, no sections, flags, sizes and counts.
    file.extend(
        [halves(2, 20), 1, AT, 52, 0, 0, halves(52, 32), halves(1, 0), 0]
            .into_iter()
            .flat_map(u32::to_be_bytes),
    );
    // PT_LOAD: offset, virtual and physical address, sizes, readable, writable and executable, alignment.
    file.extend([1, HEADERS, AT, AT, len, len, 7, 4].into_iter().flat_map(u32::to_be_bytes));
    file.extend(words.into_iter().flat_map(u32::to_be_bytes));
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_no_instruction_twice_in_a_row_and_ends_with_a_branch_back() {
        let words = words(LONG);
        assert_eq!(words.len() as u32, LONG + 14);
        assert!(words.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(words.last(), Some(&0x4BFF_FFFC));
    }

    #[test]
    fn the_image_is_as_long_as_its_headers_say() {
        let file = image(16);
        let word = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
        assert_eq!((word(24), word(28), word(52)), (AT, 52, 1));
        assert_eq!(file.len() as u32, word(56) + word(68));
    }
}
