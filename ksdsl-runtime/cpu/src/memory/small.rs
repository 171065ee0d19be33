//! Small blocks that a thread freed, for the next ones of the same size: the allocator takes longer, as it splits and joins
//! what is aligned to more than its own units.

use super::{LINE, SMALL};
use std::alloc::{Layout, dealloc};
use std::cell::RefCell;
use std::ptr::NonNull;

/// Sizes of small blocks, in lines of the cache.
const SIZES: usize = if super::EXACT { 1 } else { SMALL / LINE };
/// Blocks of a size that a thread keeps, at most: 4 MB of all sizes.
const KEPT: usize = 32;

/// Blocks of each size.
struct Free([Vec<NonNull<u8>>; SIZES]);

thread_local! {
    static FREE: RefCell<Free> = const { RefCell::new(Free([const { Vec::new() }; SIZES])) };
}

/// Which of the sizes a block of this layout has.
fn size(layout: Layout) -> Option<usize> {
    let lines = layout.size().checked_sub(1)? / LINE;
    (!super::EXACT && lines < SIZES).then_some(lines)
}

/// A block that was [given](give) with the same layout.
pub(super) fn take(layout: Layout) -> Option<NonNull<u8>> {
    let size = size(layout)?;
    FREE.try_with(|free| free.borrow_mut().0[size].pop()).ok()?
}

/// Keeps a block of the allocator's; `false`: there is no room for it.
///
/// # Safety
/// It must be of this layout, initialised, and used by nobody else.
pub(super) unsafe fn give(start: NonNull<u8>, layout: Layout) -> bool {
    let Some(size) = size(layout) else { return false };
    // The thread may be at its end.
    let kept = FREE.try_with(|free| {
        let blocks = &mut free.borrow_mut().0[size];
        let room = blocks.len() < KEPT;
        if room {
            blocks.push(start);
        }
        room
    });
    kept.unwrap_or(false)
}

impl Drop for Free {
    fn drop(&mut self) {
        for (size, blocks) in self.0.iter().enumerate() {
            for start in blocks {
                // SAFETY: they were allocated with this layout, as `give` demands.
                unsafe { dealloc(start.as_ptr(), super::layout((size + 1) * LINE)) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Block, EXACT};
    use super::KEPT;

    /// A block of the same size is used again, one of another is not, and only so many are kept.
    #[test]
    fn freed_blocks_are_used_again() {
        if EXACT {
            return;
        }
        let address = |bytes| Block::new(bytes).0.start().as_ptr() as usize;
        let first = address(700);
        assert_eq!([address(704), address(641)], [first; 2]);
        let (block, zero) = Block::new(700);
        assert!(!zero, "what was written before may be there");
        let (other, _) = Block::new(64);
        assert_ne!(block.start(), other.start());
        let many: Vec<_> = (0..2 * KEPT).map(|_| Block::new(128).0).collect();
        drop(many);
        let again: Vec<_> = (0..2 * KEPT).map(|_| Block::new(128)).collect();
        assert_eq!(again.iter().filter(|(_, zero)| !zero).count(), KEPT);
    }
}
