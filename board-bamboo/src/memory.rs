//! RAM sizes that the 440EP's SDRAM controller can hold: up to four banks, each a power of two from 4 to 512 MB.

use crate::Refusal;

/// One megabyte.
pub(crate) const MB: u64 = 1 << 20;
/// RAM where nothing else is said.
pub(crate) const DEFAULT_SIZE: u64 = 128 * MB;
const SMALLEST_BANK: u64 = 4 * MB;
const LARGEST_BANK: u64 = 512 * MB;
const BANKS: usize = 4;

/// SDRAM0_BnCR: the bank is enabled.
const ENABLE: u32 = 1;
/// SDRAM0_BnCR: 13 row and 9 or 10 column address bits, the mode of the soldered chips.
const MODE: u32 = 0x0000_2000;

/// The banks of a RAM size, in bytes, largest first.
///
/// # Errors
/// A size that no four banks add up to.
pub(crate) fn banks(size: u64) -> Result<Vec<u64>, Refusal> {
    let mut banks = Vec::new();
    let mut left = size;
    while left >= SMALLEST_BANK && banks.len() < BANKS {
        let bank = (1 << left.ilog2()).min(LARGEST_BANK);
        banks.push(bank);
        left -= bank;
    }
    if left == 0 && !banks.is_empty() {
        return Ok(banks);
    }
    let shown = if size.is_multiple_of(MB) { format!("{} MB", size / MB) } else { format!("{size} bytes") };
    Err(Refusal(format!(
        "Memory of {shown} does not fit the Bamboo: it has four banks of 4 to 512 MB, each a power of two, for example 128M or 768M"
    )))
}

/// SDRAM0_B0CR to B3CR for these banks, from address 0 up.
pub(crate) fn bank_registers(banks: &[u64]) -> [u32; BANKS] {
    let mut registers = [0; BANKS];
    let mut base = 0;
    for (register, &bank) in registers.iter_mut().zip(banks) {
        // 4 MB is size code 0, each next power of two one more.
        let code = (bank / SMALLEST_BANK).ilog2();
        *register = (base as u32 & 0xFF80_0000) | code << 17 | MODE | ENABLE;
        base += bank;
    }
    registers
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a boot wrapper adds the enabled banks up.
    fn sum(registers: &[u32]) -> u64 {
        let enabled = registers.iter().filter(|&&register| register & ENABLE != 0);
        enabled.map(|register| (4 << 20) << (register >> 17 & 7)).sum()
    }

    #[test]
    fn every_sum_of_four_banks_is_accepted_and_adds_up() {
        for megabytes in [4, 16, 64, 100, 128, 256, 384, 512, 768, 1024, 1792, 2048] {
            let banks = banks(megabytes * MB).unwrap();
            assert_eq!(sum(&bank_registers(&banks)), megabytes * MB);
        }
        assert_eq!(bank_registers(&banks(128 * MB).unwrap()), [0x000A_2001, 0, 0, 0]);
        assert_eq!(bank_registers(&banks(768 * MB).unwrap())[1], 0x200C_2001);
    }

    #[test]
    fn other_sizes_are_refused_with_the_way_out() {
        for size in [0, 1, 2 * MB, 5 * MB, 124 * MB + 1, 124 * MB, 2052 * MB, 4096 * MB, u64::MAX] {
            if let Ok(banks) = banks(size) {
                assert_eq!((size, banks.len()), (124 * MB, 5), "only five banks would do");
            }
        }
        assert!(banks(124 * MB).unwrap_err().0.starts_with("Memory of 124 MB does not fit"));
    }
}
