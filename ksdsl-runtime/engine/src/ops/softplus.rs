//! Softplus.

use super::pointwise::pointwise;
use super::{Args, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Unary, constant, operand};
use crate::param::Param;
use crate::real::Real;
use crate::tape::Tape;

/// `ln(1 + e^x)`, with the derivative `1 / (1 + e^-x)`: PyTorch's `softplus`, which is `x` itself above 20, where both are
/// the same in `f32`.
#[derive(Clone, Copy, Debug)]
pub struct Softplus;

impl Operation for Softplus {
    const NAME: &'static str = "softplus";
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(_: &Args<'_>) -> Option<Self> {
        Some(Self)
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let value = operand(0);
        let large = value.clone() - constant(20.0);
        let forward = large
            .clone()
            .if_positive(value.clone(), value.clone().map(Unary::Exp).map(Unary::Ln1P));
        let sigmoid = constant(1.0) / (constant(1.0) + (constant(0.0) - value).map(Unary::Exp));
        pointwise(x, forward, large.if_positive(constant(1.0), sigmoid))
    }
}
