//! Activation functions, element by element.

use crate::act::{Act, ActShape};
use crate::backend::Backend;
use crate::scalar::Scalar;
use dfdx::tensor::Tape;
use ksdsl_engine::ops::{Activation, Operation};

macro_rules! activations {
    ($($(#[$doc:meta])* $name:ident => $kind:ident),* $(,)?) => {
        $(
            $(#[$doc])*
            pub fn $name<S: ActShape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
                x: Act<S, E, D, T>,
            ) -> Result<Act<S, E, D, T>, D::Err> {
                let shape = x.shape;
                x.then(shape, |x| Activation::$kind.run([x], []))
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
    /// `min(max(x, 0), 6)` (Sandler et al. 2018).
    relu6 => Relu6,
}
