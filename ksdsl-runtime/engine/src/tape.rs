//! Where operations record their backward passes.

use crate::exec::Exec;
use crate::real::Real;
use std::cell::Cell;
use std::fmt;

/// A record of backward operations, to be run in the reverse of the order they were recorded in, also of
/// tapes that were merged.
pub trait Tape<E: Real, X: Exec<E>>: Default {
    /// Whether anything is recorded; if not, nothing is kept for a backward pass.
    const RECORDS: bool;

    /// Adds an operation, which `exec` will run.
    fn record(&mut self, exec: &X, backward: impl FnOnce(&X) -> Result<(), X::Err> + 'static);

    /// The operations of both tapes.
    fn merge(self, other: Self) -> Self;
}

/// Records nothing: inference.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTape;

impl<E: Real, X: Exec<E>> Tape<E, X> for NoTape {
    const RECORDS: bool = false;

    fn record(&mut self, _: &X, _: impl FnOnce(&X) -> Result<(), X::Err> + 'static) {}

    fn merge(self, _: Self) -> Self {
        self
    }
}

/// A backward operation.
type Backward<E, X> = Box<dyn FnOnce(&X) -> Result<(), <X as Exec<E>>::Err>>;

/// A tape of the engine's own, for networks that run without another system's tensors.
pub struct Recorder<E: Real, X: Exec<E>> {
    /// Each with its place in the order of recording.
    operations: Vec<(u64, Backward<E, X>)>,
}

impl<E: Real, X: Exec<E>> Default for Recorder<E, X> {
    fn default() -> Self {
        Self { operations: Vec::new() }
    }
}

impl<E: Real, X: Exec<E>> fmt::Debug for Recorder<E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorder({})", self.operations.len())
    }
}

thread_local! {
    static RECORDED: Cell<u64> = const { Cell::new(0) };
}

impl<E: Real, X: Exec<E>> Tape<E, X> for Recorder<E, X> {
    const RECORDS: bool = true;

    fn record(&mut self, _: &X, backward: impl FnOnce(&X) -> Result<(), X::Err> + 'static) {
        let place = RECORDED.get();
        RECORDED.set(place + 1);
        self.operations.push((place, Box::new(backward)));
    }

    fn merge(mut self, mut other: Self) -> Self {
        self.operations.append(&mut other.operations);
        self
    }
}

impl<E: Real, X: Exec<E>> Recorder<E, X> {
    /// Runs all operations, the last first.
    ///
    /// # Errors
    /// The first of an operation; those that are left do not run.
    pub fn run(mut self, exec: &X) -> Result<(), X::Err> {
        self.operations.sort_by_key(|(place, _)| *place);
        while let Some((_, backward)) = self.operations.pop() {
            backward(exec)?;
        }
        Ok(())
    }
}
