//! The memory of CPU buffers, and how much of it is in use.
//!
//! Activations, gradients and scratch lie in one arena for all element types: chunks of 64 MB or
//! more, in which a buffer takes the shortest free range that holds it and joins its neighbours
//! when it is dropped. So the memory of one layer serves all others, whatever their sizes, and a
//! training step finds its pages mapped already. Buffers of up to 4 KB are the allocator's, and kept by the thread that
//! drops them for its next ones: they would only cut the free ranges short. Scratch of tasks lies in smaller arenas, one for each thread of a
//! team, which so finds it in its own caches.
//!
//! The arena belongs to the process and keeps its chunks until [`release`] is called. It could
//! live as long as a model or a trainer instead, but models are plain structs of tensors, which
//! loops of all kinds train: there is no owner that all of them have, and without one every step
//! would map and clear its pages afresh. For the same reason the arena is shared: a second model,
//! or a validation pass, uses what the first left. Call [`release`] when a large model is done and
//! the process continues with other work.
//!
//! For sanitizers, `RUSTFLAGS="--cfg ksdsl_exact_buffers"` gives each buffer an allocation of its
//! own, without rounding, so that an access outside of it is noticed; Miri gets that always.
//!
//! ```
//! use ksdsl_cpu::{CpuBuf, memory};
//!
//! memory::reset_peak();
//! let before = memory::in_use();
//! let (a, b) = (CpuBuf::<f32>::zeros(1 << 20), CpuBuf::<f64>::zeros(1000));
//! drop((a, b));
//! assert_eq!(memory::in_use(), before);
//! assert_eq!(memory::peak(), before + memory::footprint(4 << 20) + memory::footprint(8000));
//! memory::release();
//! ```

mod arena;
mod chunk;
mod small;

use super::threads;
use arena::{Arena, Place};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where buffers start, in bytes: a cache line, which is also the widest vector.
pub(super) const LINE: usize = 64;
/// Buffers of more bytes than that lie in the arena.
const SMALL: usize = if EXACT { usize::MAX } else { 4096 };
/// Buffers of at least that many bytes are staggered.
const LARGE: usize = 128 << 10;
/// The distance of two neighbours that are staggered, modulo [`PAGE`]: about 0.38 of it, so that
/// five buffers in a row start at least 11 lines apart (Knuth 1998, 6.4, on the golden ratio).
const STAGGER: usize = 25 * LINE;
/// Addresses that differ by a multiple of this share a set of the first-level cache, and a load
/// from one seems to depend on a store to the other.
const PAGE: usize = 4096;
/// A chunk has at least that many bytes.
const CHUNK: usize = 64 << 20;
const EXACT: bool = cfg!(any(miri, ksdsl_exact_buffers));

/// For all that outlives a task.
static ARENA: Mutex<Arena> = Mutex::new(Arena::new(CHUNK));
/// For the scratch of tasks: one for each thread of a team (in larger teams, for several), which so finds
/// its scratch in its own caches.
static OF_THREADS: [Mutex<Arena>; 64] = [const { Mutex::new(Arena::new(1)) }; 64];
static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The arena that serves this thread now, as an index of [`OF_THREADS`].
fn nearest() -> Option<usize> {
    threads::member().map(|member| member % OF_THREADS.len())
}

fn arena(of_thread: Option<usize>) -> MutexGuard<'static, Arena> {
    let arena = of_thread.map_or(&ARENA, |index| &OF_THREADS[index]);
    // Nothing but a failed assertion of its own can panic while it is locked.
    arena.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All of them, one after the other.
fn arenas() -> impl Iterator<Item = MutexGuard<'static, Arena>> {
    std::iter::once(None).chain((0..OF_THREADS.len()).map(Some)).map(arena)
}

/// Bytes of the buffers that are alive, each with its [`footprint`]. Tensors of dfdx, and buffers
/// made of a vector by [`CpuBuf::from_vec`](super::CpuBuf::from_vec), are not counted.
pub fn in_use() -> usize {
    IN_USE.load(Ordering::Relaxed)
}

/// The most [`in_use`] has ever been, or since the last [`reset_peak`]: exact, whichever threads
/// allocate.
pub fn peak() -> usize {
    PEAK.load(Ordering::Relaxed)
}

/// Starts [`peak`] anew at what is in use. What other threads allocate in the same moment may be
/// missed.
pub fn reset_peak() {
    PEAK.store(in_use(), Ordering::Relaxed);
}

/// Bytes of the chunks, in use or not. Pages that were never written cost nothing, though they
/// count here.
pub fn reserved() -> usize {
    arenas().map(|arena| arena.reserved()).sum()
}

/// Gives the chunks in which no buffer is alive back to the system; returns how many bytes that
/// were.
pub fn release() -> usize {
    arenas().map(|mut arena| arena.release()).sum()
}

/// What a buffer of `bytes` takes: whole cache lines, and for large ones up to 4 KB more, so that
/// neighbours do not start at the same offset within a page.
pub fn footprint(bytes: usize) -> usize {
    let lines = bytes.checked_next_multiple_of(if EXACT { 1 } else { LINE });
    let taken = lines.and_then(|lines| {
        let wanted = if lines < LARGE || EXACT { lines } else { STAGGER };
        lines.checked_add(wanted.wrapping_sub(lines) % PAGE)
    });
    taken.expect("a buffer larger than the address space")
}

/// Memory of one buffer: initialised, unique, aligned to [`LINE`].
#[derive(Debug)]
pub(super) struct Block {
    start: NonNull<u8>,
    /// Bytes taken; none if there is no memory behind `start`.
    taken: usize,
    /// In which arena, and where; `None`: it is the allocator's.
    place: Option<(Option<usize>, Place)>,
}

// SAFETY: a block owns its memory, as a box does; the arena is locked where it is returned.
unsafe impl Send for Block {}
// SAFETY: a shared block only tells its start.
unsafe impl Sync for Block {}

impl Block {
    /// A block of `bytes`; the second is whether they are all zero.
    pub(super) fn new(bytes: usize) -> (Self, bool) {
        let taken = footprint(bytes);
        let layout = layout(taken);
        let reused = small::take(layout);
        let (place, start) = match taken {
            _ if reused.is_some() => (None, reused),
            // The layout's own alignment serves as an address.
            0 => (
                None,
                Some(NonNull::without_provenance(LINE.try_into().expect("not zero"))),
            ),
            // SAFETY: the size is not zero.
            1..=SMALL => (None, NonNull::new(unsafe { alloc_zeroed(layout) })),
            _ => {
                let nearest = nearest();
                let range = arena(nearest).take(taken);
                range.map_or((None, None), |(place, start)| (Some((nearest, place)), Some(start)))
            }
        };
        let start = start.unwrap_or_else(|| handle_alloc_error(layout));
        let now = IN_USE.fetch_add(taken, Ordering::Relaxed) + taken;
        PEAK.fetch_max(now, Ordering::Relaxed);
        let block = Self { start, taken, place };
        (block, place.is_none() && reused.is_none())
    }

    /// The first byte.
    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        IN_USE.fetch_sub(self.taken, Ordering::Relaxed);
        match self.place {
            Some((of_thread, place)) => arena(of_thread).give(place, self.taken),
            None if self.taken == 0 => {}
            // SAFETY: allocated so in `new`.
            None => unsafe {
                let layout = layout(self.taken);
                if !small::give(self.start, layout) {
                    dealloc(self.start.as_ptr(), layout);
                }
            },
        }
    }
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, LINE).expect("a buffer larger than the address space")
}
