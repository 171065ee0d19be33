//! The hyperbolic tangent.

use super::pointwise::pointwise;
use super::{Args, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Unary, constant, operand};
use crate::param::Param;
use crate::real::Real;
use crate::tape::Tape;

/// `tanh(x)`, with the derivative `1 - tanh(x)^2`.
#[derive(Clone, Copy, Debug)]
pub struct Tanh;

impl Operation for Tanh {
    const NAME: &'static str = "tanh";
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
        let tanh = operand(0).map(Unary::Tanh);
        pointwise(x, tanh.clone(), constant(1.0) - tanh.clone() * tanh)
    }
}
