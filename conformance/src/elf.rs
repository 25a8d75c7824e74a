//! Just enough ELF to put a microkernel's image into RAM. Real loading is the board's and is tested there.

/// Copies the loadable segments to their physical addresses and returns the entry point.
///
/// # Panics
/// If the file is no big-endian 32-bit ELF, or does not fit in `ram`: the images are our own.
#[must_use]
pub fn load(file: &[u8], ram: &mut [u8]) -> u32 {
    assert_eq!(&file[..6], b"\x7FELF\x01\x02", "A big-endian 32-bit ELF file");
    let word = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().expect("four bytes"));
    let half = |at: usize| u16::from_be_bytes(file[at..at + 2].try_into().expect("two bytes"));
    let table = word(28) as usize;
    for index in 0..usize::from(half(44)) {
        let header = table + index * usize::from(half(42));
        if word(header) == 1 {
            let [offset, physical, size] = [4, 12, 16].map(|field| word(header + field) as usize);
            ram[physical..physical + size].copy_from_slice(&file[offset..offset + size]);
        }
    }
    word(24)
}
