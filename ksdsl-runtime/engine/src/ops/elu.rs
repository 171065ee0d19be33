//! ELU (Clevert et al. 2016).

use super::pointwise::pointwise;
use super::{Args, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Unary, constant, operand};
use crate::param::Param;
use crate::real::Real;
use crate::tape::Tape;

/// `x` where it is positive, `alpha * (e^x - 1)` elsewhere: PyTorch's `elu`.
#[derive(Clone, Copy, Debug)]
pub struct Elu {
    /// The limit of very negative values is its negative.
    pub alpha: f64,
}

impl Operation for Elu {
    const NAME: &'static str = "elu";
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(args: &Args<'_>) -> Option<Self> {
        args.real("alpha").map(|alpha| Self { alpha })
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let (value, alpha) = (operand(0), constant(self.alpha));
        let below = alpha.clone() * value.clone().map(Unary::ExpM1);
        let slope = alpha * value.clone().map(Unary::Exp);
        let forward = value.clone().if_positive(value.clone(), below);
        pointwise(x, forward, value.if_positive(constant(1.0), slope))
    }
}
