//! The same values, position by position, under other sizes.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;

/// Makes a sequence of the positions of a map, row by row, or a vector of the tokens of a sequence. Nothing moves:
/// sequences are maps of one row, and values are stored position by position.
#[derive(Clone, Copy, Debug)]
pub struct Reshape {
    /// Whether it makes a vector rather than a sequence.
    pub vector: bool,
}

impl Operation for Reshape {
    const NAMES: &'static [&'static str] = &["to_tokens", "to_signal", "flatten_tokens"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        Some(Self {
            vector: call.name == "flatten_tokens",
        })
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        let map = inputs[0];
        let positions = map.height * map.width;
        let [width, channels] = match self.vector {
            true => [1, positions * map.channels],
            false => [positions, map.channels],
        };
        MapSize {
            batch: map.batch,
            height: 1,
            width,
            channels,
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let size = self.output(&[x.size]);
        let x = x.ready()?;
        let grad = x.grad;
        drop(x.saved);
        let backward = move |exec: &X, dy: X::Buf| grad.add(exec, dy);
        Ok(Act::output(x.context, size, x.data, backward))
    }
}
