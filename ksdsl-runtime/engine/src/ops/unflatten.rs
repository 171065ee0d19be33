//! Vectors to maps.

use super::{Call, Operation, to_nchw, to_nhwc};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;
use std::rc::Rc;

/// Vectors as maps, in PyTorch's order (channel, row, column): what `flatten` makes a vector of.
#[derive(Clone, Copy, Debug)]
pub struct Unflatten {
    /// Channels of the map.
    pub channels: usize,
    /// Its rows.
    pub height: usize,
    /// Its columns; the product of the three is the number of features.
    pub width: usize,
}

impl Operation for Unflatten {
    const NAMES: &'static [&'static str] = &["unflatten"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        Some(Self {
            channels: call.size("channels")?,
            height: call.size("height")?,
            width: call.size("width")?,
        })
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        MapSize {
            batch: inputs[0].batch,
            height: self.height,
            width: self.width,
            channels: self.channels,
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let size = self.output(&[x.size]);
        let x = x.ready()?;
        drop(x.saved);
        let y = match size.has_one_layout() {
            true => x.data,
            false => Rc::new(to_nhwc(&x.context.exec, size, Rc::unwrap_or_clone(x.data))?),
        };
        let grad = x.grad;
        let backward = move |exec: &X, dy: X::Buf| {
            let dx = to_nchw(exec, size, dy)?;
            grad.add(exec, dx)
        };
        Ok(Act::output(x.context, size, y, backward))
    }
}
