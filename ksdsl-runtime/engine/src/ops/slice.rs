//! Some of the channels.

use super::channels::taken;
use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;

/// The channels from one to one before another: `x[:, start:end]`.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// The first channel.
    pub start: usize,
    /// The channel after the last; above `start`.
    pub end: usize,
}

impl Operation for Slice {
    const NAMES: &'static [&'static str] = &["slice"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let (start, end) = (call.size("start")?, call.size("end")?);
        (start < end).then_some(Self { start, end })
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        MapSize {
            channels: self.end - self.start,
            ..inputs[0]
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        taken(x, (self.start..self.end).map(Some).collect())
    }
}
