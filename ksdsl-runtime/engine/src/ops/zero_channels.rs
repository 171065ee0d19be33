//! Channels of zeros around others.

use super::channels::taken;
use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;

/// Channels of zeros before and after those of the input (He et al. 2016, section 4.2, option A).
#[derive(Clone, Copy, Debug)]
pub struct ZeroChannels {
    /// How many are before.
    pub before: usize,
    /// How many are after.
    pub after: usize,
}

impl Operation for ZeroChannels {
    const NAMES: &'static [&'static str] = &["zero_channels"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let (before, after) = (call.size("before")?, call.size("after")?);
        Some(Self { before, after })
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        MapSize {
            channels: self.before + inputs[0].channels + self.after,
            ..inputs[0]
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let zeros = |count| std::iter::repeat_n(None, count);
        let own = (0..x.size.channels).map(Some);
        taken(x, zeros(self.before).chain(own).chain(zeros(self.after)).collect())
    }
}
