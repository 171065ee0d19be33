//! Activation functions that have kernels, element by element.

use super::{Call, Operation};
use crate::act::{Act, GradCell};
use crate::exec::Exec;
use crate::param::Param;
use crate::pending;
use crate::real::Real;
pub use crate::size::Activation;
use crate::tape::Tape;

/// An activation function, as part of the operation before it where that can be.
impl Operation for Activation {
    const NAMES: &'static [&'static str] = &["relu", "gelu", "gelu_tanh", "silu", "sigmoid", "hard_swish", "relu6"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        Some(match call.name {
            "relu" => Self::Relu,
            "gelu" => Self::Gelu,
            "gelu_tanh" => Self::GeluTanh,
            "silu" => Self::Silu,
            "sigmoid" => Self::Sigmoid,
            "hard_swish" => Self::HardSwish,
            "relu6" => Self::Relu6,
            _ => return None,
        })
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [mut x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        if x.value.take_activation(*self, T::RECORDS) {
            return Ok(x);
        }
        let size = x.size;
        let x = x.ready()?;
        drop(x.saved);
        let (mut context, grad) = (x.context, GradCell::new(T::RECORDS));
        let y = pending::activate(*self, x.data, x.grad, &mut context, &grad)?;
        Ok(Act {
            size,
            context,
            value: pending::Value::ready(y),
            grad,
        })
    }
}
