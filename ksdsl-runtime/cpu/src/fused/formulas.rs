//! The activations' formulas.

use super::vector::Vector;
use ksdsl_engine::size::Activation;

/// The cubic coefficient of GELU's tanh form (Hendrycks & Gimpel 2016).
const CUBIC: f64 = 0.044_715;
/// `2 sqrt(2 / pi)`.
const ROOT: f64 = 1.595_769_121_605_730_7;
/// So far out every activation is at its limit, to rounding, in `f32` and in `f64`: zero below; further
/// out terms of a formula may overflow, and an infinity times zero is not a limit.
pub(super) const FAR: f64 = 1e4;

/// An expression with the activation as a constant of this name, so that no loop chooses.
macro_rules! with_constant {
    ($kind:expr, $KIND:ident => $value:expr) => {
        with_constant!(@of $kind, $KIND, $value, Relu Gelu GeluTanh Silu Sigmoid HardSwish Relu6)
    };
    (@of $kind:expr, $KIND:ident, $value:expr, $($Kind:ident)+) => {
        match $kind {
            $(Activation::$Kind => {
                const $KIND: Activation = Activation::$Kind;
                $value
            })+
        }
    };
}
pub(super) use with_constant;

/// Value and derivative of an activation.
///
/// # Safety
/// As for [`Vector`].
#[inline(always)]
pub(super) unsafe fn formulas<E, V: Vector<E>>(kind: Activation, x: V) -> (V, V) {
    // SAFETY: the caller vouches for the features.
    unsafe {
        let one = V::splat(1.0);
        match kind {
            Activation::Relu => (relu(x), x.unless_negative(one)),
            Activation::Gelu => {
                let ([value], [slope]) = V::gelu_and_slope([x]);
                (value, slope)
            }
            Activation::GeluTanh => {
                let near = near(x);
                let (gate, slope) = gelu_tanh(near);
                (gated(x, gate), near.mul(gate).mul(one.sub(gate)).mul_add(slope, gate))
            }
            Activation::Silu => {
                let gate = x.sigmoid();
                (gated(x, gate), gate.mul(near(x).mul_add(one.sub(gate), one)))
            }
            Activation::Sigmoid => {
                let gate = x.sigmoid();
                (gate, gate.mul(one.sub(gate)))
            }
            Activation::HardSwish => (hard_swish(x), hard_swish_slope(x)),
            Activation::Relu6 => {
                let six = V::splat(6.0);
                let slope = x.unless_negative(six.sub(x).unless_negative(one));
                (six.min(relu(x)), slope)
            }
        }
    }
}

/// `max(x, 0)`; a NaN stays one.
///
/// # Safety
/// As for [`Vector`].
#[inline(always)]
pub(crate) unsafe fn relu<E, V: Vector<E>>(x: V) -> V {
    // SAFETY: the caller vouches for the features.
    unsafe { V::splat(0.0).max(x) }
}

/// `x`, or the next of the ends ±[`FAR`]; a NaN stays one.
///
/// # Safety
/// As for [`Vector`].
#[inline(always)]
unsafe fn near<E, V: Vector<E>>(x: V) -> V {
    // SAFETY: the caller vouches for the features.
    unsafe { V::splat(-FAR).max(V::splat(FAR).min(x)) }
}

/// `x gate`, for a gate that is zero far below: then -0 also for minus infinity.
///
/// # Safety
/// As for [`Vector`].
#[inline(always)]
unsafe fn gated<E, V: Vector<E>>(x: V, gate: V) -> V {
    // SAFETY: the caller vouches for the features.
    unsafe { V::splat(-FAR).max(x).mul(gate) }
}

/// `(1 + tanh(u)) / 2` with `u = sqrt(2/pi) (x + 0.044715 x^3)`, which is the sigmoid of `2 u`, and
/// twice the derivative of `u`.
///
/// # Safety
/// As for [`Vector`].
#[inline(always)]
unsafe fn gelu_tanh<E, V: Vector<E>>(x: V) -> (V, V) {
    // SAFETY: the caller vouches for the features.
    unsafe {
        let square = x.mul(x);
        let inner = square.mul_add(V::splat(ROOT * CUBIC), V::splat(ROOT)).mul(x);
        let slope = square.mul_add(V::splat(3.0 * ROOT * CUBIC), V::splat(ROOT));
        (inner.sigmoid(), slope)
    }
}

/// # Safety
/// As for [`Vector`].
#[inline(always)]
unsafe fn hard_swish<E, V: Vector<E>>(x: V) -> V {
    // SAFETY: the caller vouches for the features.
    unsafe {
        let gate = V::splat(6.0).min(relu(x.add(V::splat(3.0))));
        gated(x, gate.mul(V::splat(1.0 / 6.0)))
    }
}

/// 0 up to -3, 1 from 3 on, `x / 3 + 1/2` between.
///
/// # Safety
/// As for [`Vector`].
#[inline(always)]
unsafe fn hard_swish_slope<E, V: Vector<E>>(x: V) -> V {
    // SAFETY: the caller vouches for the features.
    unsafe {
        let three = V::splat(3.0);
        let less = three
            .sub(x)
            .where_positive(x.mul_add(V::splat(1.0 / 3.0), V::splat(-0.5)));
        x.add(three).unless_negative(less.add(V::splat(1.0)))
    }
}
