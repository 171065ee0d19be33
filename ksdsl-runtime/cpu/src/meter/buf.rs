//! Buffers that are only lengths, counted while they are alive.

use crate::memory::footprint;
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

/// What `len` elements take.
pub(super) fn bytes<E>(len: usize) -> u128 {
    // No buffer of a network within the compiler's limits is so large.
    footprint(len.saturating_mul(size_of::<E>()).min(usize::MAX / 2)) as u128
}

/// The bytes that are alive, and the most that ever were.
#[derive(Debug)]
pub(super) struct Tally {
    /// Tasks that run at a time.
    pub(super) threads: usize,
    now: Cell<u128>,
    peak: Cell<u128>,
}

impl Tally {
    pub(super) fn new(threads: usize) -> Rc<Self> {
        Rc::new(Self {
            threads,
            now: Cell::new(0),
            peak: Cell::new(0),
        })
    }

    pub(super) fn now(&self) -> u128 {
        self.now.get()
    }

    pub(super) fn peak(&self) -> u128 {
        self.peak.get()
    }

    pub(super) fn reset_peak(&self) {
        self.peak.set(self.now.get());
    }

    /// These bytes for a moment in each of `tasks` tasks that runs at the time.
    pub(super) fn scratch(&self, bytes: u128, tasks: usize) {
        let all = bytes * tasks.min(self.threads) as u128;
        self.peak.set(self.peak.get().max(self.now.get() + all));
    }

    fn take(&self, bytes: u128) {
        self.now.set(self.now.get() + bytes);
        self.peak.set(self.peak.get().max(self.now.get()));
    }

    fn give(&self, bytes: u128) {
        self.now.set(self.now.get() - bytes);
    }
}

/// A buffer of the [`Meter`](super::Meter).
pub struct MeterBuf {
    len: usize,
    bytes: u128,
    tally: Rc<Tally>,
}

impl MeterBuf {
    /// Values that are counted.
    pub(super) fn counted<E>(tally: &Rc<Tally>, len: usize) -> Self {
        let bytes = bytes::<E>(len);
        tally.take(bytes);
        let tally = tally.clone();
        Self { len, bytes, tally }
    }

    /// Values that are not.
    pub(super) fn outside(tally: &Rc<Tally>, len: usize) -> Self {
        let tally = tally.clone();
        Self { len, bytes: 0, tally }
    }

    /// The number of values.
    #[allow(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.len
    }
}

/// A copy is counted, that of a buffer that is not as well.
impl Clone for MeterBuf {
    fn clone(&self) -> Self {
        Self::counted::<f32>(&self.tally, self.len)
    }
}

impl Drop for MeterBuf {
    fn drop(&mut self) {
        self.tally.give(self.bytes);
    }
}

impl fmt::Debug for MeterBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MeterBuf({})", self.len)
    }
}
