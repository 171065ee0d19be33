//! Pixels from channels.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Loops, View, operand};
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;
use std::rc::Rc;

/// Maps `factor` times as high and wide, whose pixels are those of `factor * factor` channels (Shi et al. 2016,
/// section 3.2): PyTorch's `pixel_shuffle`.
#[derive(Clone, Copy, Debug)]
pub struct PixelShuffle {
    /// The factor, at least 1; its square divides the channels.
    pub factor: usize,
}

impl Operation for PixelShuffle {
    const NAMES: &'static [&'static str] = &["pixel_shuffle"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let factor = call.size("factor")?;
        (factor > 0).then_some(Self { factor })
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        let size = inputs[0];
        MapSize {
            height: size.height * self.factor,
            width: size.width * self.factor,
            channels: size.channels / (self.factor * self.factor),
            ..size
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let (factor, from, to) = (self.factor, x.size, self.output(&[x.size]));
        let (x, context, grad) = x.ready()?.into_values();
        let rows = from.batch * from.height;
        // Rows of the input, rows of the output in each, columns of the input, columns of the output in each, channels.
        let loops = Loops {
            output: vec![rows, factor, from.width, factor, to.channels],
            summed: Vec::new(),
            views: vec![View::steps([
                from.width * from.channels,
                factor,
                from.channels,
                1,
                factor * factor,
            ])],
            value: operand(0),
        };
        let y = context.exec.compute(&loops, &[&x])?;
        drop(x);
        let backward = move |exec: &X, dy: X::Buf| {
            let row = to.width * to.channels;
            let loops = Loops {
                output: vec![rows, from.width, to.channels, factor, factor],
                summed: Vec::new(),
                views: vec![View::steps([factor * row, factor * to.channels, 1, row, to.channels])],
                value: operand(0),
            };
            grad.add(exec, exec.compute(&loops, &[&dy])?)
        };
        Ok(Act::output(context, to, Rc::new(y), backward))
    }
}
