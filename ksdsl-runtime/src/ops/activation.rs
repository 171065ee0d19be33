//! Activation functions, element by element.

use crate::act::Act;
use crate::backend::Backend;
use crate::geometry::Activation;
use crate::scalar::Scalar;
use dfdx::shapes::Shape;
use dfdx::tensor::Tape;
use std::rc::Rc;

/// Whether the backward pass of `kind` needs the output rather than the input, so that the
/// forward pass can work in place.
fn saves_output(kind: Activation) -> bool {
    matches!(kind, Activation::Relu | Activation::Sigmoid)
}

fn activate<S: Shape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    kind: Activation,
    x: Act<S, E, D, T>,
) -> Result<Act<S, E, D, T>, D::Err> {
    let input = (T::OWNS_TAPE && !saves_output(kind)).then(|| x.data.clone());
    let y = x.device.activation_forward(kind, Rc::unwrap_or_clone(x.data))?;
    let y = Rc::new(y);
    let output = (T::OWNS_TAPE && saves_output(kind)).then(|| y.clone());
    let saved = input.or(output);
    let grad = x.grad;
    let backward = move |device: &D, dy: D::Buf| match saved {
        Some(saved) => {
            let dx = device.activation_backward(kind, &saved, dy)?;
            grad.add(device, dx)
        }
        None => Ok(()),
    };
    Ok(Act::output(x.tape, x.device, x.shape, y, backward))
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
