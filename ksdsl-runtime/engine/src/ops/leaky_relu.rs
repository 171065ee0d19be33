//! Leaky ReLU (Maas et al. 2013).

use super::pointwise::pointwise;
use super::{Args, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{constant, operand};
use crate::param::Param;
use crate::real::Real;
use crate::tape::Tape;

/// `x` where it is positive, `slope * x` elsewhere: PyTorch's `leaky_relu`, whose derivative at 0 is the slope.
#[derive(Clone, Copy, Debug)]
pub struct LeakyRelu {
    /// The factor of values that are not positive.
    pub slope: f64,
}

impl Operation for LeakyRelu {
    const NAME: &'static str = "leaky_relu";
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(args: &Args<'_>) -> Option<Self> {
        args.real("slope").map(|slope| Self { slope })
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let (value, slope) = (operand(0), constant(self.slope));
        let forward = value.clone().if_positive(value.clone(), slope.clone() * value.clone());
        pointwise(x, forward, value.if_positive(constant(1.0), slope))
    }
}
