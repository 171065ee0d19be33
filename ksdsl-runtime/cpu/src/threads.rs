//! The threads that kernels run on: one team per process, made at the first use.
//!
//! A parallel loop is a few microseconds of work when a batch is small, so the caller takes part,
//! and workers watch for the next loop for a while before they sleep. Which thread takes which index
//! never shows in a result, because tasks are cut by sizes alone.
//!
//! Each thread has a range of the indices, the same part of every loop, and goes through it in order; one
//! that is done helps the others from the far ends of theirs. So a thread finds in its own caches what it
//! wrote there in the layer before, which matters where cores share none (measured, see
//! docs/benchmarks.md).
//!
//! Workers stay on CPUs of their own (see `place`). A loop started while the team is busy, by
//! another thread or from inside a task, runs on the thread that started it.

use super::{place, scoped};
use std::cell::{Cell, RefCell};
use std::hint::spin_loop;
use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};

/// The environment variable that sets the number of threads.
pub const THREADS_VARIABLE: &str = "KSDSL_THREADS";
/// Threads of a team, at most, where the system has not more to run at once: more only wait for each other.
const MOST_THREADS: usize = 64;
/// Turns of waiting before a worker sleeps: some tens of microseconds.
const PATIENCE: u32 = 20_000;
/// Turns of waiting after which a thread offers its CPU to others.
const POLITE: u32 = 2_000;
/// Set in [`Shared::gate`] while no loop may be joined.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// A loop body without its lifetime; see [`Team::run`] for why that is sound.
#[derive(Clone, Copy)]
struct Body(*const (dyn Fn(usize) + Sync));
// SAFETY: the body is `Sync`, and it is only ever shared.
unsafe impl Send for Body {}

/// The indices of a loop that belong to one thread, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Share {
    start: AtomicUsize,
    end: AtomicUsize,
    /// Tickets that were asked for. Each of the first `end - start` is good for one index.
    tickets: AtomicUsize,
    /// Tickets that others used, for indices from the end down.
    lent: AtomicUsize,
}

impl Share {
    /// Starts anew with these indices; nobody takes any meanwhile.
    fn set(&self, range: Range<usize>) {
        self.start.store(range.start, Ordering::Relaxed);
        self.end.store(range.end, Ordering::Relaxed);
        self.tickets.store(0, Ordering::Relaxed);
        self.lent.store(0, Ordering::Relaxed);
    }

    /// A ticket, if there is one left.
    fn ticket(&self) -> Option<()> {
        let len = self.end.load(Ordering::Relaxed) - self.start.load(Ordering::Relaxed);
        (self.tickets.fetch_add(1, Ordering::Relaxed) < len).then_some(())
    }

    /// The owner's indices, in order. There are as many indices as tickets, so what the owner takes from
    /// the start never meets what others take from the end.
    fn own(&self) -> impl Iterator<Item = usize> + '_ {
        let start = self.start.load(Ordering::Relaxed);
        (start..).map_while(|index| self.ticket().map(|()| index))
    }

    /// Indices for somebody else, from the end down.
    fn others(&self) -> impl Iterator<Item = usize> + '_ {
        let last = self.end.load(Ordering::Relaxed).wrapping_sub(1);
        std::iter::from_fn(move || self.ticket().map(|()| last - self.lent.fetch_add(1, Ordering::Relaxed)))
    }
}

struct Shared {
    /// The loop that is offered; read only by threads inside the gate, written only while it is
    /// closed and empty.
    body: Mutex<Option<Body>>,
    /// One for each thread, the caller first.
    shares: Box<[Share]>,
    /// The number of workers that take part in the loop, and [`CLOSED`].
    gate: AtomicUsize,
    /// Grows with every loop.
    round: AtomicUsize,
    panicked: AtomicBool,
    stop: AtomicBool,
}

impl Shared {
    /// Hands out all indices below `count`.
    fn deal(&self, count: usize) {
        let threads = self.shares.len();
        for (index, share) in self.shares.iter().enumerate() {
            let part = |index: usize| count / threads * index + count % threads * index / threads;
            share.set(part(index)..part(index + 1));
        }
    }

    /// Takes indices as the thread `member` until there are none left.
    fn work(&self, member: usize, body: &(dyn Fn(usize) + Sync)) {
        self.shares[member].own().for_each(body);
        for step in 1..self.shares.len() {
            self.shares[(member + step) % self.shares.len()].others().for_each(body);
        }
    }

    /// Takes all indices away that nobody took yet.
    fn give_up(&self) {
        for share in &self.shares {
            share.tickets.store(usize::MAX / 2, Ordering::Relaxed);
        }
    }

    /// Joins the loop that is offered as the thread `member`, if it still is.
    fn join(&self, member: usize) {
        let enter = |gate| (gate & CLOSED == 0).then_some(gate + 1);
        if self
            .gate
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, enter)
            .is_err()
        {
            return;
        }
        let body = *self.body.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Body(body)) = body {
            // SAFETY: the gate counts this thread, so `Team::run`, which borrows the body, waits.
            let body = unsafe { &*body };
            if catch_unwind(AssertUnwindSafe(|| self.work(member, body))).is_err() {
                self.panicked.store(true, Ordering::Relaxed);
                self.give_up();
            }
        }
        self.gate.fetch_sub(1, Ordering::Release);
    }
}

/// A caller and its workers.
struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl Team {
    /// A team of `threads`, the caller among them, or of as many as are available: see [`set_threads`].
    fn new(threads: usize) -> Self {
        let asked = threads.clamp(1, most_threads());
        let shared = Arc::new(Shared {
            body: Mutex::new(None),
            shares: (0..asked).map(|_| Share::default()).collect(),
            gate: AtomicUsize::new(CLOSED),
            round: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        // Without a thread there is only less help, and where one cannot be started the next cannot either.
        let workers = (1..asked).map_while(|index| {
            let shared = shared.clone();
            let named = thread::Builder::new().name(format!("ksdsl-{index}"));
            named.spawn(move || attend(&shared, index, asked)).ok()
        });
        let team = Self {
            workers: workers.collect(),
            shared,
        };
        let threads = team.workers.len() + 1;
        if threads == asked {
            return team;
        }
        // What the system refused, memory or threads, is needed for the work as well: half of what there was.
        drop(team);
        Self::new(threads / 2)
    }

    /// Calls `body` with every index below `count`, on all threads, and waits until all is done.
    fn run(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        /// Ends the loop, also when the body panics on this thread: nobody may use the body later.
        struct End<'a>(&'a Shared);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.gate.fetch_or(CLOSED, Ordering::AcqRel);
                let mut turns = 0;
                while self.0.gate.load(Ordering::Acquire) != CLOSED {
                    wait(&mut turns);
                }
                *self.0.body.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
        }
        place::apart_from_workers(self.workers.len() + 1);
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes. `End` closes the gate and waits until every worker
        // that entered has left, before `body`'s borrow ends.
        let erased = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync), *const (dyn Fn(usize) + Sync + 'static)>(body)
        };
        *shared.body.lock().unwrap_or_else(PoisonError::into_inner) = Some(Body(erased));
        shared.deal(count);
        shared.gate.store(0, Ordering::Release);
        shared.round.fetch_add(1, Ordering::Release);
        for worker in &self.workers {
            worker.thread().unpark();
        }
        let end = End(shared);
        shared.work(0, body);
        drop(end);
        assert!(!shared.panicked.swap(false, Ordering::Relaxed), "a kernel panicked");
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker catches the panics of its tasks.
            let _ = worker.join();
        }
    }
}

/// What a worker does: looks out for loops.
fn attend(shared: &Shared, index: usize, threads: usize) {
    place::worker(index, threads);
    MEMBER.set(Some(index));
    let (mut seen, mut turns) = (0, 0);
    while !shared.stop.load(Ordering::Acquire) {
        let round = shared.round.load(Ordering::Acquire);
        if round != seen {
            seen = round;
            turns = 0;
            shared.join(index);
        } else if turns < PATIENCE {
            wait(&mut turns);
        } else {
            // Whoever starts a loop unparks: no loop is missed between the look and the sleep.
            thread::park();
            turns = 0;
        }
    }
}

/// One turn of waiting.
fn wait(turns: &mut u32) {
    *turns += 1;
    if turns.is_multiple_of(POLITE) {
        thread::yield_now();
    } else {
        spin_loop();
    }
}

thread_local! {
    /// Which thread of its team this is; `None` outside of loops.
    static MEMBER: Cell<Option<usize>> = const { Cell::new(None) };
    /// Whether loops run on this thread alone.
    static ALONE: Cell<bool> = const { Cell::new(false) };
    /// The team of [`with_threads`].
    static OWN: RefCell<Option<Rc<Team>>> = const { RefCell::new(None) };
}

/// Threads of a team, at most.
fn most_threads() -> usize {
    MOST_THREADS.max(thread::available_parallelism().map_or(1, NonZeroUsize::get))
}

fn team() -> &'static Mutex<Team> {
    static TEAM: OnceLock<Mutex<Team>> = OnceLock::new();
    TEAM.get_or_init(|| Mutex::new(Team::new(default_threads())))
}

/// The value of [`THREADS_VARIABLE`], or one thread per core.
fn default_threads() -> usize {
    let value = std::env::var_os(THREADS_VARIABLE).unwrap_or_default();
    let set = threads_in(&value.to_string_lossy()).unwrap_or_else(|problem| {
        // Nobody may listen.
        let _ = writeln!(
            std::io::stderr(),
            "warning: {problem}; there is one thread for each core"
        );
        None
    });
    set.unwrap_or_else(place::cores)
}

/// The number of threads in the text of [`THREADS_VARIABLE`]; none in a blank one.
fn threads_in(text: &str) -> Result<Option<usize>, String> {
    use std::num::IntErrorKind::{Empty, PosOverflow};
    match text.trim().parse::<NonZeroUsize>() {
        Ok(threads) => Ok(Some(threads.get())),
        Err(error) if *error.kind() == Empty => Ok(None),
        // More than there can be.
        Err(error) if *error.kind() == PosOverflow => Ok(Some(usize::MAX)),
        Err(_) => Err(format!(
            "the environment variable {THREADS_VARIABLE} is `{text}`, not a number of threads such as 4"
        )),
    }
}

/// Sets the number of threads that kernels run on, including the calling thread. The default is the environment
/// variable `KSDSL_THREADS`, or one thread per core available to the process. Results do not depend on it.
///
/// The maximum is 64 or the number of hardware threads, whichever is larger. If the system refuses to start a
/// thread, half of those it allowed are used: [`threads`] returns the actual number.
pub fn set_threads(threads: NonZeroUsize) {
    let mut team = team().lock().unwrap_or_else(PoisonError::into_inner);
    if team.workers.len() + 1 != threads.get() {
        *team = Team::new(threads.get());
    }
}

/// The number of threads that kernels run on.
pub fn threads() -> usize {
    if let Some(own) = OWN.with_borrow(Option::clone) {
        return own.workers.len() + 1;
    }
    team().lock().unwrap_or_else(PoisonError::into_inner).workers.len() + 1
}

/// Runs `f` with a separate team of this many threads for the kernels that it calls on this thread; at most as
/// many as [`set_threads`] allows.
pub fn with_threads<R>(threads: NonZeroUsize, f: impl FnOnce() -> R) -> R {
    /// Puts the former team back, after a panic too.
    struct Restore(Option<Rc<Team>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            OWN.set(self.0.take());
        }
    }
    let _restore = Restore(OWN.replace(Some(Rc::new(Team::new(threads.get())))));
    f()
}

/// Which thread of its team this is, the first being the one that started the loop; `None` outside of
/// loops that run in parallel.
pub(super) fn member() -> Option<usize> {
    MEMBER.get()
}

/// Work in multiply-adds below which a second thread costs more than it saves: a loop costs about a microsecond, and what
/// one core wrote must travel to the other.
const LEAST_WORK: usize = 300_000;

/// Runs the loops that `f` starts on this thread alone if they are little work, in multiply-adds, in all.
pub(super) fn for_work<R>(work: usize, f: impl FnOnce() -> R) -> R {
    scoped::with_value(&ALONE, ALONE.get() || work < LEAST_WORK, f)
}

/// Calls `body` with every index below `count`, in parallel where the team is free.
pub(super) fn for_each(count: usize, body: &(dyn Fn(usize) + Sync)) {
    if count <= 1 || ALONE.get() || MEMBER.get().is_some() {
        return (0..count).for_each(body);
    }
    if let Some(own) = OWN.with_borrow(Option::clone) {
        return run(&own, count, body);
    }
    match team().try_lock() {
        Ok(team) => run(&team, count, body),
        Err(TryLockError::Poisoned(team)) => run(&team.into_inner(), count, body),
        Err(TryLockError::WouldBlock) => (0..count).for_each(body),
    }
}

fn run(team: &Team, count: usize, body: &(dyn Fn(usize) + Sync)) {
    /// The thread may start loops again, after a panic too.
    struct Outside;
    impl Drop for Outside {
        fn drop(&mut self) {
            MEMBER.set(None);
        }
    }
    if team.workers.is_empty() {
        return (0..count).for_each(body);
    }
    MEMBER.set(Some(0));
    let _outside = Outside;
    team.run(count, body);
}

#[cfg(test)]
mod tests;
