//! LayerScale (Touvron et al. 2021).

use super::{Call, Operation, scale};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::tape::Tape;

/// `weight * x`, with a weight for each channel.
#[derive(Clone, Copy, Debug)]
pub struct LayerScale;

impl Operation for LayerScale {
    const NAMES: &'static [&'static str] = &["layer_scale"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 1];

    fn of(_: &Call<'_>) -> Option<Self> {
        Some(Self)
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        [weight]: [Param<E, X>; 1],
    ) -> Result<Act<E, X, T>, X::Err> {
        scale(x, weight, None)
    }
}
