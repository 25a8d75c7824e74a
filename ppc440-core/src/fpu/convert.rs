//! Conversions between the single-precision format in memory and the double format in an FPR: Book I, the LOAD
//! and STORE functions of the floating-point load and store sections. They move bits; they never round, never
//! quiet a signalling NaN and never touch the FPSCR.

/// `lfs`: the FPR image of a single-precision word. Exact for every input; SNaNs stay signalling.
#[must_use]
pub fn single_to_double(word: u32) -> u64 {
    let sign = u64::from(word >> 31) << 63;
    let exponent = word >> 23 & 0xFF;
    let fraction = u64::from(word & 0x7F_FFFF);
    match (exponent, fraction) {
        (0, 0) => sign,
        (0, _) => {
            // A denormal is normal in double format: move its leading one to the hidden bit's place.
            let shift = fraction.leading_zeros() - 40;
            sign | u64::from(897 - shift) << 52 | (fraction << (shift + 29) & 0xF_FFFF_FFFF_FFFF)
        }
        (0xFF, _) => sign | 0x7FF << 52 | fraction << 29,
        _ => sign | u64::from(exponent + 896) << 52 | fraction << 29,
    }
}

/// `stfs`: the single-precision word of an FPR image.
///
/// Magnitudes from 2^-149 up to, but not including, 2^-126 are denormalized by truncation; smaller ones give a
/// zero, larger ones than single precision holds the bits that the architecture names (it calls both undefined).
#[must_use]
pub fn double_to_single(image: u64) -> u32 {
    let exponent = (image >> 52 & 0x7FF) as u32;
    if exponent > 896 || image << 1 == 0 {
        return (image >> 32) as u32 & 0xC000_0000 | (image >> 29) as u32 & 0x3FFF_FFFF;
    }
    let sign = (image >> 32) as u32 & 0x8000_0000;
    if exponent < 874 {
        return sign;
    }
    let significand = (image & 0xF_FFFF_FFFF_FFFF | 1 << 52) >> 29;
    sign | (significand >> (897 - exponent)) as u32
}

/// `stfiwx`: the word that is stored, which is the low half of the FPR without any conversion.
#[must_use]
pub fn stfiwx_word(image: u64) -> u32 {
    image as u32
}
