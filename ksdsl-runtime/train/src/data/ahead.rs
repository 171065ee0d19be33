//! Things made before they are asked for, on threads of their own.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Why nothing was made: what the panic said.
pub(super) type Panic = String;

/// Threads that make things, at most.
const MOST_WORKERS: usize = 64;

/// How the thing of a position is made.
pub(super) type Make<T> = dyn Fn(u64) -> T + Send + Sync;

/// Makes the things of positions 0, 1, 2, ... in advance. What is made depends on the position alone, not on how
/// many threads there are or which of them made it.
pub(super) struct Ahead<T> {
    shared: Arc<Shared<T>>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared<T> {
    make: Box<Make<T>>,
    /// How many things may be in the making or ready.
    most: u64,
    state: Mutex<State<T>>,
    /// There may be room for another thing, or it is time to stop.
    room: Condvar,
    /// A thing is ready.
    ready: Condvar,
}

struct State<T> {
    /// Grows when the position is changed: what older claims make is of no use.
    generation: u64,
    /// The position that is taken next.
    taken: u64,
    /// The position that is claimed next by a worker.
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

    /// What a worker does.
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

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

impl<T: Send + 'static> Ahead<T> {
    /// Starts `workers` threads that make things of positions from `first` on, at most `most` before they are
    /// taken.
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

    /// The thing of a position; waits until it is made. After another position than the one before plus one, making
    /// starts anew from there.
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

    /// How many things are ready.
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
