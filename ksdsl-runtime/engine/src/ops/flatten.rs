//! Maps to feature vectors.

use super::{Call, Operation, to_nchw, to_nhwc};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;
use std::rc::Rc;

/// Maps as vectors in PyTorch's order (channel, row, column), so that the weights of a following linear layer mean the
/// same there.
#[derive(Clone, Copy, Debug)]
pub struct Flatten;

impl Operation for Flatten {
    const NAMES: &'static [&'static str] = &["flatten"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(_: &Call<'_>) -> Option<Self> {
        Some(Self)
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        let map = inputs[0];
        MapSize {
            batch: map.batch,
            height: 1,
            width: 1,
            channels: map.height * map.width * map.channels,
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let (map, size) = (x.size, self.output(&[x.size]));
        let x = x.ready()?;
        drop(x.saved);
        let y = match map.has_one_layout() {
            true => x.data,
            false => Rc::new(to_nchw(&x.context.exec, map, Rc::unwrap_or_clone(x.data))?),
        };
        let grad = x.grad;
        let backward = move |exec: &X, dy: X::Buf| {
            let dx = to_nhwc(exec, map, dy)?;
            grad.add(exec, dx)
        };
        Ok(Act::output(x.context, size, y, backward))
    }
}
