//! Large pieces of memory from the system.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// What chunks start at and are multiples of: a huge page of x86-64 and of AArch64 with 4 KB pages.
pub(super) const HUGE_PAGE: usize = 2 << 20;

/// A range of memory whose bytes are all initialised, whatever was done to it since.
#[derive(Debug)]
pub(super) struct Chunk {
    /// What the allocator gave, somewhat before `start`.
    base: NonNull<u8>,
    layout: Layout,
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a chunk owns its memory, as a box does.
unsafe impl Send for Chunk {}

impl Chunk {
    /// At least `bytes` of zeros, or `None` if the system has no more.
    pub(super) fn new(bytes: usize) -> Option<Self> {
        let bytes = bytes.max(1).checked_next_multiple_of(HUGE_PAGE)?;
        // Aligned by hand: for an alignment that `malloc` does not know by itself, the standard
        // library writes the zeros, which touches every page; otherwise they are the system's.
        let layout = Layout::from_size_align(bytes.checked_add(HUGE_PAGE)?, align_of::<usize>()).ok()?;
        // SAFETY: the size is not zero.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        let before = base.addr().get().wrapping_neg() % HUGE_PAGE;
        // SAFETY: `before` is less than the page by which the allocation is larger than `bytes`.
        let start = unsafe { base.add(before) };
        prefer_huge_pages(start, bytes);
        Some(Self {
            base,
            layout,
            start,
            bytes,
        })
    }

    /// Bytes from the start, which is aligned to [`HUGE_PAGE`].
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A pointer to the byte at `offset`, good for reading and writing all of the chunk.
    pub(super) fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset <= self.bytes, "an offset outside of its chunk");
        // SAFETY: inside the allocation, or one past its end.
        unsafe { self.start.add(offset) }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout. Whoever holds a pointer into the chunk sees to it that
        // the chunk is not dropped before (see `Arena::release`).
        unsafe { dealloc(self.base.as_ptr(), self.layout) };
    }
}

/// Asks for huge pages: fewer page faults at the first use, fewer misses of the TLB ever after.
#[cfg(all(target_os = "linux", not(miri)))]
fn prefer_huge_pages(start: NonNull<u8>, bytes: usize) {
    use rustix::mm::{Advice, madvise};
    // SAFETY: the advice changes no contents, and the range is ours. A refusal changes nothing.
    let _ = unsafe { madvise(start.as_ptr().cast(), bytes, Advice::LinuxHugepage) };
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn prefer_huge_pages(_: NonNull<u8>, _: usize) {}
