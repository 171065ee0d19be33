//! Activations and their derivatives, as functions of the input.

use ksdsl_engine::Real;
use ksdsl_engine::size::Activation;
use std::f64::consts::PI;

/// `1 / (1 + exp(-x))`.
fn sigmoid<E: Real>(x: E) -> E {
    E::one() / (E::one() + (-x).exp())
}

/// From this distance on every activation is at its limit: the formulas are infinities times zero there.
const FAR: f64 = 1e4;

/// The value at an `x` that is far out: `x` above and -0 below; 1 and 0; 6 and 0.
fn limit<E: Real>(kind: Activation, x: E) -> E {
    match (kind, x > E::zero()) {
        (Activation::Sigmoid, above) => E::of(f64::from(u8::from(above))),
        (Activation::Relu6, true) => E::of(6.0),
        (_, true) => x,
        (_, false) => -E::zero(),
    }
}

/// The value of the activation at `x`; formulas at [`Activation`]. That of a NaN is one.
pub fn value<E: Real>(kind: Activation, x: E) -> E {
    let half = E::of(0.5);
    if x.abs() >= E::of(FAR) {
        return limit(kind, x);
    }
    match kind {
        Activation::Relu => {
            if x <= E::zero() {
                E::zero()
            } else {
                x
            }
        }
        Activation::Gelu => half * x * (E::one() + (x / E::of(2.0).sqrt()).erf()),
        Activation::GeluTanh => {
            let inner = E::of(2.0 / PI).sqrt() * (x + E::of(0.044715) * x.powi(3));
            half * x * (E::one() + inner.tanh())
        }
        Activation::Silu => x * sigmoid(x),
        Activation::Sigmoid => sigmoid(x),
        // `max` and `min` pass over a NaN, but the product is one.
        Activation::HardSwish => x * ((x + E::of(3.0)).max(E::zero()).min(E::of(6.0)) / E::of(6.0)),
        Activation::Relu6 => {
            if x <= E::zero() {
                E::zero()
            } else if x >= E::of(6.0) {
                E::of(6.0)
            } else {
                x
            }
        }
    }
}

/// The derivative at `x`; at the kinks what PyTorch gives: 0 for ReLU at 0, and for hard-swish 0
/// at -3 and 1 at 3. That of a NaN is one, but 1 for ReLU, ReLU6 and hard-swish, which PyTorch takes as the
/// identity there.
pub fn derivative<E: Real>(kind: Activation, x: E) -> E {
    let (zero, one, half) = (E::zero(), E::one(), E::of(0.5));
    if x.abs() >= E::of(FAR) {
        let slopes = !matches!(kind, Activation::Sigmoid | Activation::Relu6) && x > zero;
        return if slopes { one } else { zero };
    }
    match kind {
        Activation::Relu => {
            if x <= zero {
                zero
            } else {
                one
            }
        }
        Activation::Gelu => {
            // Phi(x) + x phi(x)
            let density = (-half * x * x).exp() / E::of(2.0 * PI).sqrt();
            half * (one + (x / E::of(2.0).sqrt()).erf()) + x * density
        }
        Activation::GeluTanh => {
            let root = E::of(2.0 / PI).sqrt();
            let tanh = (root * (x + E::of(0.044715) * x.powi(3))).tanh();
            let slope = root * (one + E::of(3.0 * 0.044715) * x * x);
            half * (one + tanh) + half * x * (one - tanh * tanh) * slope
        }
        Activation::Silu => sigmoid(x) + x * sigmoid(x) * (one - sigmoid(x)),
        Activation::Sigmoid => sigmoid(x) * (one - sigmoid(x)),
        Activation::HardSwish if x <= E::of(-3.0) => zero,
        Activation::HardSwish if x < E::of(3.0) => x / E::of(3.0) + half,
        Activation::HardSwish => one,
        Activation::Relu6 => {
            if x <= zero || x >= E::of(6.0) {
                zero
            } else {
                one
            }
        }
    }
}

/// The activation of every element.
pub fn forward<E: Real>(kind: Activation, x: &[E]) -> Vec<E> {
    x.iter().map(|&x| value(kind, x)).collect()
}

/// The gradient with respect to the input `x`.
pub fn backward<E: Real>(kind: Activation, x: &[E], dy: &[E]) -> Vec<E> {
    x.iter().zip(dy).map(|(&x, &dy)| derivative(kind, x) * dy).collect()
}
