//! Buffers that count while they are alive.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Bytes of a line of the cache: buffers take whole ones.
const LINE: u128 = 64;
/// Bytes of a value.
pub(super) const VALUE: u128 = 4;

/// Counts the bytes of the buffers that are alive.
#[derive(Debug)]
pub(super) struct Meter {
    /// Tasks that run at a time.
    threads: u128,
    now: Cell<u128>,
    peak: Cell<u128>,
}

impl Meter {
    /// An empty buffer, on this many threads.
    pub(super) fn new(threads: u128) -> Rc<Self> {
        Rc::new(Self {
            threads: threads.max(1),
            now: Cell::default(),
            peak: Cell::default(),
        })
    }

    /// Starts [`Meter::peak`] anew at what is alive.
    pub(super) fn reset_peak(&self) {
        self.peak.set(self.now.get());
    }

    /// Scratch of this many values in each of `tasks` tasks: as often as they run at a time.
    pub(super) fn scratch(self: &Rc<Self>, values: u128, tasks: u128) {
        let lines = (values * VALUE).div_ceil(LINE);
        let values = lines * (LINE / VALUE);
        drop(self.buffer(values * self.threads.min(tasks.max(1))));
    }

    /// The most bytes that were alive at one time.
    pub(super) fn peak(&self) -> u128 {
        self.peak.get()
    }

    /// A buffer of this many values of four bytes.
    pub(super) fn buffer(self: &Rc<Self>, values: u128) -> Buffer {
        let lines = (values * VALUE).div_ceil(LINE);
        let bytes = lines * LINE;
        let now = self.now.get() + bytes;
        self.now.set(now);
        self.peak.set(self.peak.get().max(now));
        let meter = self.clone();
        Buffer { bytes, meter }
    }
}

/// Some bytes, until it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: u128,
    meter: Rc<Meter>,
}

impl Buffer {
    /// One more buffer as large.
    pub(super) fn alike(&self) -> Self {
        self.meter.buffer(self.bytes / VALUE)
    }

    /// The buffer itself if nobody else holds it, otherwise a copy.
    pub(super) fn owned(this: Rc<Self>) -> Self {
        Rc::try_unwrap(this).unwrap_or_else(|shared| shared.alike())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.meter.now.set(self.meter.now.get().saturating_sub(self.bytes));
    }
}

/// Where the gradient of an activation gathers.
#[derive(Clone, Debug, Default)]
pub(super) struct Gradient(Rc<RefCell<Option<Buffer>>>);

impl Gradient {
    pub(super) fn take(&self) -> Option<Buffer> {
        self.0.take()
    }

    /// Adds in place to what is there.
    pub(super) fn add(&self, more: Buffer) {
        self.0.borrow_mut().get_or_insert(more);
    }
}
