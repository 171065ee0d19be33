//! Pooling over channels.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::{MapSize, PoolKind};
use crate::tape::Tape;
use std::rc::Rc;

/// The maximum or the mean over the channels of each position: a map of one channel.
#[derive(Clone, Copy, Debug)]
pub struct ChannelPool {
    /// Whether it is the maximum rather than the mean.
    pub max: bool,
}

impl ChannelPool {
    fn kind(self) -> PoolKind {
        if self.max { PoolKind::Max } else { PoolKind::Average }
    }
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
        let (kind, to) = (self.kind(), self.output(&[x.size]));
        // The channels of a position as the pixels of an image of one row.
        let lines = MapSize {
            batch: x.size.rows(),
            height: 1,
            width: x.size.channels,
            channels: 1,
        };
        let x = x.ready()?;
        let y = x.context.exec.global_pool_forward(kind, lines, &x.data)?;
        // The mean's gradient does not depend on the values.
        let input = self.max.then_some(x.saved);
        let grad = x.grad;
        let backward = move |exec: &X, dy: X::Buf| {
            let input = input.map(|saved| saved.get(exec)).transpose()?;
            let dx = exec.global_pool_backward(kind, lines, input.as_deref(), &dy)?;
            grad.add(exec, dx)
        };
        Ok(Act::output(x.context, to, Rc::new(y), backward))
    }
}
