//! Average pooling to a fixed size.

use super::resample::{Weights, resampled};
use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;

/// Averages over windows that cover a map evenly, `height` rows of `width`: PyTorch's `adaptive_avg_pool2d`.
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveAvgPool {
    /// Rows of the output.
    pub height: usize,
    /// Columns of the output.
    pub width: usize,
}

/// Of `outputs` windows over `length` pixels, window `i` goes from `floor(i length / outputs)` to
/// `ceil((i + 1) length / outputs)`.
fn windows(length: usize, outputs: usize) -> Weights {
    let window = |at: usize| at * length / outputs..((at + 1) * length).div_ceil(outputs);
    Weights::averages((0..outputs).map(window).map(|window| (window.clone(), window.len())))
}

impl Operation for AdaptiveAvgPool {
    const NAMES: &'static [&'static str] = &["adaptive_avg_pool"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let (height, width) = (call.size("height")?, call.size("width")?);
        (height > 0 && width > 0).then_some(Self { height, width })
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        MapSize {
            height: self.height,
            width: self.width,
            ..inputs[0]
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let weights = [windows(x.size.height, self.height), windows(x.size.width, self.width)];
        let to = self.output(&[x.size]);
        resampled(x, to, weights)
    }
}
