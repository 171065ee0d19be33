//! Pooling over channels.

use super::global_pool::pooled;
use super::{Call, Operation, rows};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::{MapSize, PoolKind};
use crate::tape::Tape;

/// The maximum or the mean over the channels of each position: a map of one channel.
#[derive(Clone, Copy, Debug)]
pub struct ChannelPool {
    /// Whether it is the maximum rather than the mean.
    pub max: bool,
}

impl Operation for ChannelPool {
    const NAMES: &'static [&'static str] = &["channel_max", "channel_mean"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        Some(Self {
            max: call.name == "channel_max",
        })
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        MapSize {
            channels: 1,
            ..inputs[0]
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let kind = if self.max { PoolKind::Max } else { PoolKind::Average };
        let (lines, to) = (rows::as_lines(x.size.by_rows()), self.output(&[x.size]));
        pooled(kind, x, lines, to)
    }
}
