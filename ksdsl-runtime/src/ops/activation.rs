//! Activation functions, element by element.

use crate::act::{Act, GradCell};
use crate::backend::Backend;
use crate::geometry::Activation;
use crate::pending::{self, Value};
use crate::scalar::Scalar;
use dfdx::shapes::Shape;
use dfdx::tensor::Tape;

fn activate<S: Shape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    kind: Activation,
    mut x: Act<S, E, D, T>,
) -> Result<Act<S, E, D, T>, D::Err> {
    if x.value.take_activation(kind, T::OWNS_TAPE) {
        return Ok(x);
    }
    let mut x = x.ready()?;
    drop(x.saved);
    let grad = GradCell::new(T::OWNS_TAPE);
    let y = pending::activate(kind, x.data, x.grad, &mut x.context, &grad)?;
    Ok(Act {
        shape: x.shape,
        context: x.context,
        value: Value::ready(y),
        grad,
    })
}

macro_rules! activations {
    ($($(#[$doc:meta])* $name:ident => $kind:ident),* $(,)?) => {
        $(
            $(#[$doc])*
            pub fn $name<S: Shape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
                x: Act<S, E, D, T>,
            ) -> Result<Act<S, E, D, T>, D::Err> {
                activate(Activation::$kind, x)
            }
        )*
    };
}

activations! {
    /// `max(x, 0)`.
    relu => Relu,
    /// `x * Phi(x)` with the exact normal distribution (Hendrycks & Gimpel 2016).
    gelu => Gelu,
    /// GELU by its approximation with a hyperbolic tangent.
    gelu_tanh => GeluTanh,
    /// `x * sigmoid(x)`.
    silu => Silu,
    /// `1 / (1 + exp(-x))`.
    sigmoid => Sigmoid,
    /// `x * min(max(x + 3, 0), 6) / 6` (Howard et al. 2019).
    hard_swish => HardSwish,
}
