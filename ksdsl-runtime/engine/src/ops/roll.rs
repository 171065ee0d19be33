//! Cyclic shifts.

use super::{Call, Operation, positions};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::tape::Tape;

/// Maps moved down and to the right, where what leaves on one side comes back on the other: PyTorch's `roll`.
#[derive(Clone, Copy, Debug)]
pub struct Roll {
    /// Rows.
    pub down: usize,
    /// Columns.
    pub right: usize,
}

impl Operation for Roll {
    const NAMES: &'static [&'static str] = &["roll"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let [down, right] = call.sizes(["down", "right"])?;
        Some(Self { down, right })
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let size = x.size;
        let from = |at: usize, by: usize, len: usize| (at + len - by % len.max(1)) % len.max(1);
        let places = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (y, x)));
        let sources =
            places.map(|(y, x)| from(y, self.down, size.height) * size.width + from(x, self.right, size.width));
        positions::moved(x, size, sources.collect())
    }
}
