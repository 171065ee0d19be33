//! Upsampling by a whole factor.

use super::resample::{Weights, resampled};
use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;

/// Maps that are so many times as high and wide: PyTorch's `interpolate` with `scale_factor` and, for the bilinear mode,
/// `align_corners=False`.
#[derive(Clone, Copy, Debug)]
pub struct Upsample {
    /// The factor of the height, at least 1.
    pub factor_height: usize,
    /// That of the width.
    pub factor_width: usize,
    /// Between the nearest pixels, or the nearest pixel alone.
    pub bilinear: bool,
}

impl Operation for Upsample {
    const NAMES: &'static [&'static str] = &["upsample"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let [factor_height, factor_width] = call.sizes(["factor_height", "factor_width"])?;
        let bilinear = call.size("bilinear")? == 1;
        (factor_height > 0 && factor_width > 0).then_some(Self {
            factor_height,
            factor_width,
            bilinear,
        })
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        MapSize {
            height: inputs[0].height * self.factor_height,
            width: inputs[0].width * self.factor_width,
            ..inputs[0]
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let to = self.output(&[x.size]);
        let weights = [(x.size.height, self.factor_height), (x.size.width, self.factor_width)];
        let weights = weights.map(|(length, factor)| self.weights(length, factor));
        resampled(x, to, weights)
    }
}

impl Upsample {
    /// The weights of the pixels that each pixel of an output line is made of.
    fn weights(&self, length: usize, factor: usize) -> Weights {
        let of = |to: usize| {
            if !self.bilinear {
                return vec![(to / factor, 1.0)];
            }
            // The centre of the pixel, in pixels of the input; beyond the border, the border's.
            let at = ((to as f64 + 0.5) / factor as f64 - 0.5).max(0.0);
            let first = (at as usize).min(length - 1);
            let part = at - first as f64;
            vec![(first, 1.0 - part), ((first + 1).min(length - 1), part)]
        };
        Weights((0..length * factor).map(of).collect())
    }
}
