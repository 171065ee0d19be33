//! Activations, in place, with the kind chosen outside the loop; the functions they are made of are
//! in `special`.

use super::CpuBuf;
use super::par::{ELEMENTS_PER_TASK, for_rows};
use crate::geometry::Activation;
use crate::scalar::Scalar;
use std::f64::consts::{FRAC_1_PI, FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// The cubic coefficient of GELU's tanh form (Hendrycks & Gimpel 2016).
const CUBIC: f64 = 0.044_715;

/// Replaces each element by `f` of it. Mark longer closures `#[inline(always)]`: a call would keep
/// the loop from becoming vectors.
#[inline(always)]
fn map<E: Scalar>(mut x: CpuBuf<E>, f: impl Fn(E) -> E + Sync) -> CpuBuf<E> {
    for_rows(
        &mut x,
        1,
        ELEMENTS_PER_TASK,
        #[inline(always)]
        |_, part| {
            for x in part {
                *x = f(*x);
            }
        },
    );
    x
}

/// Replaces each `dy` by `f(saved, dy)`.
#[inline(always)]
fn map_with<E: Scalar>(saved: &CpuBuf<E>, mut dy: CpuBuf<E>, f: impl Fn(E, E) -> E + Sync) -> CpuBuf<E> {
    for_rows(
        &mut dy,
        1,
        ELEMENTS_PER_TASK,
        #[inline(always)]
        |first, part| {
            let saved = &saved[first..first + part.len()];
            for (dy, &saved) in part.iter_mut().zip(saved) {
                *dy = f(saved, *dy);
            }
        },
    );
    dy
}

/// `(1 + tanh(u)) / 2` with `u = sqrt(2/pi) (x + 0.044715 x^3)`, which is the sigmoid of `2 u`, and
/// twice the derivative of `u`.
#[inline(always)]
fn gelu_tanh<E: Scalar>(x: E) -> (E, E) {
    let root = E::of(2.0 * (2.0 * FRAC_1_PI).sqrt());
    let square = x * x;
    let gate = (root * x * (E::one() + E::of(CUBIC) * square)).sigmoid();
    (gate, root * (E::one() + E::of(3.0 * CUBIC) * square))
}

/// `x`, at least `-limit` and at most `limit`; a NaN stays one.
#[inline(always)]
fn within<E: Scalar>(x: E, limit: E) -> E {
    let x = if x > limit { limit } else { x };
    if x < -limit { -limit } else { x }
}

pub(super) fn activation_forward<E: Scalar>(kind: Activation, x: CpuBuf<E>) -> CpuBuf<E> {
    let zero = E::zero();
    let (three, six) = (E::of(3.0), E::of(6.0));
    match kind {
        // Not `max`: a NaN must stay one.
        Activation::Relu => map(x, |x| if x < zero { zero } else { x }),
        Activation::Gelu => map(
            x,
            #[inline(always)]
            |x| x * x.normal().0,
        ),
        Activation::GeluTanh => map(
            x,
            #[inline(always)]
            |x| x * gelu_tanh(x).0,
        ),
        Activation::Silu => map(
            x,
            #[inline(always)]
            |x| x * x.sigmoid(),
        ),
        Activation::Sigmoid => map(x, E::sigmoid),
        Activation::HardSwish => map(x, |x| {
            let above = x + three;
            let above = if above < zero { zero } else { above };
            x * if above > six { six } else { above } / six
        }),
    }
}

pub(super) fn activation_backward<E: Scalar>(kind: Activation, saved: &CpuBuf<E>, dy: CpuBuf<E>) -> CpuBuf<E> {
    let (zero, one, half) = (E::zero(), E::one(), E::of(0.5));
    let (three, far) = (E::of(3.0), E::of(40.0));
    match kind {
        Activation::Relu => map_with(saved, dy, |y, dy| if y <= zero { zero } else { dy }),
        Activation::Gelu => {
            let scale = E::of(FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * 0.5);
            map_with(
                saved,
                dy,
                #[inline(always)]
                |x, dy| {
                    let (phi, density) = x.normal();
                    dy * (phi + within(x, far) * (scale * density))
                },
            )
        }
        // At `far` the derivative is 0 or 1 to rounding; beyond, its terms would overflow.
        Activation::GeluTanh => map_with(
            saved,
            dy,
            #[inline(always)]
            |x, dy| {
                let x = within(x, far);
                let (gate, slope) = gelu_tanh(x);
                dy * (gate + x * gate * (one - gate) * slope)
            },
        ),
        Activation::Silu => map_with(
            saved,
            dy,
            #[inline(always)]
            |x, dy| {
                let gate = x.sigmoid();
                dy * gate * (one + x * (one - gate))
            },
        ),
        Activation::Sigmoid => map_with(saved, dy, |y, dy| dy * y * (one - y)),
        Activation::HardSwish => map_with(saved, dy, |x, dy| {
            if x <= -three {
                zero
            } else if x < three {
                dy * (x / three + half)
            } else {
                dy
            }
        }),
    }
}
