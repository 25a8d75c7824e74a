//! Finds room in RAM for what comes with a kernel.

use crate::Refusal;

/// Free space in RAM: everything below a limit but what is taken.
#[derive(Debug, Default, Clone)]
pub(crate) struct Layout {
    /// Taken ranges, [start, end).
    taken: Vec<(u64, u64)>,
}

impl Layout {
    /// Marks a range as taken.
    pub(crate) fn take(&mut self, start: u64, len: u64) {
        self.taken.push((start, start.saturating_add(len)));
    }

    /// Takes the highest free place of `len` bytes below `limit`, aligned to `align` (a power of two).
    pub(crate) fn highest(&mut self, len: u64, align: u64, limit: u64) -> Option<u64> {
        let mut start = limit.checked_sub(len)? & !(align - 1);
        // Each round moves below a taken range, so there are no more rounds than ranges.
        while let Some(&(below, _)) = self.taken.iter().find(|&&(from, to)| from < start + len && start < to)
        {
            start = below.checked_sub(len)? & !(align - 1);
        }
        self.take(start, len);
        Some(start)
    }

    /// As [`Layout::highest`]; the refusal names the thing.
    pub(crate) fn place(&mut self, what: &str, len: u64, limit: u64, ram: u64) -> Result<u64, Refusal> {
        self.highest(len, 4096, limit).ok_or_else(|| {
            let (kb, mb) = (len.div_ceil(1024), ram >> 20);
            Refusal(format!(
                "{what} of {kb} KB does not fit beside the kernel in {mb} MB of RAM; give the machine more with --memory"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_stacked_down_from_the_limit_around_what_is_taken() {
        let mut layout = Layout::default();
        layout.take(0, 0x10_0000);
        layout.take(0x20_0000, 0x1000);
        assert_eq!(layout.highest(0x1800, 0x1000, 0x20_3000), Some(0x20_1000));
        assert_eq!(layout.highest(0x1800, 0x1000, 0x20_3000), Some(0x1F_E000), "below the taken page");
        assert_eq!(layout.highest(0x1000, 0x1000, 0x20_3000), Some(0x1F_D000));
        assert_eq!(layout.highest(0x10_0000, 0x1000, 0x20_3000), None, "only less than a megabyte is left");
        assert_eq!(layout.highest(u64::MAX, 0x1000, 0x20_3000), None);
    }

    #[test]
    fn a_refusal_is_one_sentence_with_sizes() {
        let error = Layout::default().place("Initrd x.gz", 5 << 20, 4 << 20, 4 << 20).unwrap_err();
        assert_eq!(
            error.0,
            "Initrd x.gz of 5120 KB does not fit beside the kernel in 4 MB of RAM; give the machine more with --memory"
        );
    }
}
