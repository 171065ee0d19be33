//! Prefetching on worker threads.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// A worker's panic message.
pub(super) type Panic = String;

/// The maximum number of workers.
const MOST_WORKERS: usize = 64;

/// Creates the item at a position.
pub(super) type Make<T> = dyn Fn(u64) -> T + Send + Sync;

/// Prefetches the items at positions 0, 1, 2, ... An item depends only on its position, not on the number of workers.
pub(super) struct Ahead<T> {
    shared: Arc<Shared<T>>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared<T> {
    make: Box<Make<T>>,
    /// The maximum number of items in preparation or ready.
    most: u64,
    state: Mutex<State<T>>,
    /// Signals room for another item, or the end.
    room: Condvar,
    /// Signals that an item is ready.
    ready: Condvar,
}

struct State<T> {
    /// Incremented when the position changes: items of older generations are discarded.
    generation: u64,
    /// The next position to take.
    taken: u64,
    /// The next position to claim by a worker.
    claimed: u64,
    ready: BTreeMap<u64, Result<T, Panic>>,
    stop: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code that could panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room and claims a position: it and the generation.
    fn claim(&self) -> Option<(u64, u64)> {
        let full = |state: &mut State<T>| !state.stop && state.claimed >= state.taken.saturating_add(self.most);
        let state = self.room.wait_while(self.lock(), full);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if state.stop {
            return None;
        }
        let position = state.claimed;
        state.claimed += 1;
        Some((position, state.generation))
    }

    fn made(&self, position: u64) -> Result<T, Panic> {
        catch_unwind(AssertUnwindSafe(|| (self.make)(position))).map_err(|panic| message(&*panic))
    }

    /// The loop of a worker.
    fn work(&self) {
        while let Some((position, generation)) = self.claim() {
            let thing = self.made(position);
            let mut state = self.lock();
            if state.generation == generation {
                state.ready.insert(position, thing);
                self.ready.notify_all();
            }
        }
    }
}

/// The message of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a message".to_owned())
}

impl<T: Send + 'static> Ahead<T> {
    /// Starts `workers` threads that prefetch at most `most` items, from position `first` on.
    pub(super) fn new(make: Box<Make<T>>, first: u64, workers: usize, most: u64) -> Self {
        let shared = Arc::new(Shared {
            make,
            most: most.max(1),
            state: Mutex::new(State {
                generation: 0,
                taken: first,
                claimed: first,
                ready: BTreeMap::new(),
                stop: false,
            }),
            room: Condvar::new(),
            ready: Condvar::new(),
        });
        let spawn = |index| {
            let shared = Arc::clone(&shared);
            let named = thread::Builder::new().name(format!("ksdsl-data-{index}"));
            // Without the thread there is only less help; without any, the caller makes things itself. Where one
            // cannot be started the next cannot either.
            let body = move || {
                quiet::step_back();
                shared.work();
            };
            named.spawn(body).ok()
        };
        let workers = (0..workers.min(MOST_WORKERS)).map_while(spawn).collect();
        Self { shared, workers }
    }

    /// The item at a position; waits until it is ready. A position that is not the successor of the last one restarts
    /// prefetching from there.
    pub(super) fn take(&self, position: u64) -> Result<T, Panic> {
        if self.workers.is_empty() {
            return self.shared.made(position);
        }
        let mut state = self.shared.lock();
        if state.taken != position {
            state.generation += 1;
            state.ready.clear();
            (state.taken, state.claimed) = (position, position);
            self.shared.room.notify_all();
        }
        loop {
            if let Some(thing) = state.ready.remove(&position) {
                state.taken += 1;
                self.shared.room.notify_one();
                return thing;
            }
            state = self.shared.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The number of items that are ready.
    #[cfg(test)]
    pub(super) fn ready(&self) -> usize {
        self.shared.lock().ready.len()
    }
}

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.room.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches the panics of what it calls.
            let _ = worker.join();
        }
    }
}

/// How a thread keeps out of the way of those that compute.
#[cfg(target_os = "linux")]
mod quiet {
    use rustix::thread::{sched_getaffinity, sched_setaffinity};

    /// How much less of a CPU the thread gets where others want it: by the scheduler's table about a tenth. Where
    /// they wait for it, it gets all.
    const NICENESS: i32 = 10;

    /// Lets the calling thread run on all CPUs, for it inherits the one of its parent where that is tied to one,
    /// and lets others go first. A refusal leaves the thread as it is.
    pub(super) fn step_back() {
        let process = rustix::process::getpid();
        if let (Ok(own), Ok(all)) = (sched_getaffinity(None), sched_getaffinity(Some(process)))
            && own.count() < all.count()
        {
            let _ = sched_setaffinity(None, &all);
        }
        // On Linux this holds for the calling thread alone.
        let _ = rustix::process::nice(NICENESS);
    }
}

/// How a thread keeps out of the way of those that compute.
#[cfg(not(target_os = "linux"))]
mod quiet {
    pub(super) fn step_back() {}
}

#[cfg(test)]
#[path = "ahead_tests.rs"]
mod tests;
