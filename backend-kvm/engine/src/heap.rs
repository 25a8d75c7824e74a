//! The engine's heap: one stretch of memory, handed out in blocks whose sizes are powers of two. A freed block goes to
//! the list of its size and is used again for that size only. The engine allocates little and in few sizes (tables, a
//! block for each page of guest code, vectors that double), so this wastes no more than a factor of two and never
//! searches. Memory that was never handed out was never touched, is zero, and costs the host nothing. Blocks of
//! [`SPARSE`] bytes and more are tables of which little is ever touched; they come from the other end of the stretch,
//! which the host keeps in small pages.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::null_mut;

/// The smallest block: room for a list's link.
const SMALLEST: u32 = 4;
/// Blocks of so many bytes and more lie at the end of the stretch.
const SPARSE: usize = 64 << 20;
/// Sizes: 2^4 to 2^47.
const SIZES: usize = 44;

struct Inner {
    next: usize,
    end: usize,
    start: usize,
    free: [*mut u8; SIZES],
}

/// The allocator. Empty until [`Heap::init`].
pub(crate) struct Heap(UnsafeCell<Inner>);

// SAFETY: the engine has one thread of execution and no interrupts.
unsafe impl Sync for Heap {}

impl Heap {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(Inner { next: 0, end: 0, start: 0, free: [null_mut(); SIZES] }))
    }

    /// Gives it `len` bytes at `start`, a multiple of 4096.
    ///
    /// # Safety
    /// The memory is mapped, used by nothing else, and this is called once, before the first allocation.
    pub(crate) unsafe fn init(&self, start: usize, len: usize) {
        // SAFETY: one thread of execution, and no other borrow: see the callers in this file.
        let inner = unsafe { &mut *self.0.get() };
        (inner.start, inner.next, inner.end) = (start, start, start + len);
    }

    /// Bytes handed out at some time.
    pub(crate) fn used(&self) -> usize {
        // SAFETY: as in `init`.
        let inner = unsafe { &*self.0.get() };
        inner.next - inner.start
    }
}

impl Heap {
    /// A block for the layout, and whether it was used before; null if there is none.
    fn take(&self, layout: Layout) -> (*mut u8, bool) {
        let size = size_of(layout);
        let list = (size - SMALLEST) as usize;
        if list >= SIZES || layout.align() > 4096 {
            return (null_mut(), false);
        }
        // SAFETY: one thread of execution; the borrow ends with this function, which calls nobody.
        let inner = unsafe { &mut *self.0.get() };
        let first = inner.free[list];
        if !first.is_null() {
            // SAFETY: a block in a list holds the link to the next.
            inner.free[list] = unsafe { first.cast::<*mut u8>().read() };
            return (first, true);
        }
        let bytes = 1usize << size;
        if bytes >= SPARSE {
            return match inner.end.checked_sub(bytes) {
                Some(at) if at >= inner.next => {
                    inner.end = at;
                    (core::ptr::with_exposed_provenance_mut(at), false)
                }
                _ => (null_mut(), false),
            };
        }
        let at = inner.next.next_multiple_of(bytes.min(4096));
        match at.checked_add(bytes) {
            Some(end) if end <= inner.end => {
                inner.next = end;
                (core::ptr::with_exposed_provenance_mut(at), false)
            }
            _ => (null_mut(), false),
        }
    }
}

/// Which size serves the layout.
fn size_of(layout: Layout) -> u32 {
    let bytes = layout.size().max(layout.align()).max(1 << SMALLEST);
    usize::BITS - (bytes - 1).leading_zeros()
}

// SAFETY: blocks are disjoint: each is cut from memory that was never handed out, or comes from a list of blocks that
// were given back. A block of 2^n bytes is aligned to 2^n or 4096, whichever is less, and larger alignments are refused.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.take(layout).0
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (block, used) = self.take(layout);
        if used {
            // SAFETY: the block is ours and at least so long.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let list = (size_of(layout) - SMALLEST) as usize;
        // SAFETY: as in `alloc`; the block is ours, at least 16 bytes long and no longer used.
        unsafe {
            let inner = &mut *self.0.get();
            block.cast::<*mut u8>().write(inner.free[list]);
            inner.free[list] = block;
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller vouches for the layout, which has this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        if size_of(new) == size_of(layout) {
            return block;
        }
        // SAFETY: as for the two functions; the blocks are disjoint.
        unsafe {
            let moved = self.alloc(new);
            if !moved.is_null() {
                core::ptr::copy_nonoverlapping(block, moved, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}
