//! Memory for translated code, and the only place that writes it. The embedder gives two views of the same memory, one
//! writable and one executable, which may be the same address where nothing forbids that. Everything is addressed by
//! offset, and every write is checked against the length.

use core::fmt;

/// Memory for translated code, owned by the embedder.
pub struct CodeMemory {
    write: *mut u8,
    exec: *const u8,
    len: usize,
}

impl fmt::Debug for CodeMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeMemory").field("len", &self.len).finish_non_exhaustive()
    }
}

impl CodeMemory {
    /// `len` bytes that are written at `write` and executed at `exec`.
    ///
    /// # Safety
    /// As long as the result lives, both views must be mapped, be the same memory, and be used by nothing else; the
    /// memory must lie at one stretch of at most 2 GB, and `exec` must be executable.
    #[must_use]
    pub unsafe fn new(write: *mut u8, exec: *const u8, len: usize) -> Self {
        Self { write, exec, len: len.min(1 << 30) }
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no memory at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The address at which offset `at` is executed.
    pub(crate) fn address(&self, at: usize) -> usize {
        self.exec as usize + at
    }

    /// Copies `code` to offset `at`.
    pub(crate) fn write(&mut self, at: usize, code: &[u8]) {
        assert!(at <= self.len && code.len() <= self.len - at, "The code memory is too small");
        // SAFETY: the range lies inside the writable view (just checked), which nothing else uses (`new`).
        unsafe { core::ptr::copy_nonoverlapping(code.as_ptr(), self.write.add(at), code.len()) };
    }

    /// Lets the jump whose displacement stands at offset `at` go to offset `target`.
    pub(crate) fn patch_jump(&mut self, at: usize, target: usize) {
        let rel = (target as i64 - (at as i64 + 4)) as i32;
        self.write(at, &rel.to_le_bytes());
    }
}
