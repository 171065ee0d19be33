//! The functions of activations for `f32`, on vectors, with fused multiply-adds where the vectors have
//! them.
//!
//! All of them need what [`Lanes`] needs: call them below `Level::run` only.

use super::pieces;
use super::single::{LN_2, TAIL};
use crate::simd::Lanes;

/// `1 / sqrt(2 pi)`.
pub(crate) const DENSITY: f64 = 0.398_942_280_401_432_7;
/// Coefficients of `exp(r)`, lowest first, minimax for `|r| <= ln(2) / 2`.
const EXP: [f32; 7] = [
    1.0,
    1.0,
    4.999_999e-1,
    1.666_642e-1,
    4.166_822_6e-2,
    8.374_822e-3,
    1.383_683_1e-3,
];
/// Where the lower tail of the normal distribution ends: beyond, it would not be a normal
/// number, and is zero in [`gelu_and_slope`].
const END: f32 = 12.8;

/// Where `Phi(-t)` ends as a polynomial, and the middle of the range it was made for.
const NEAR_END: f32 = 5.6;
const MIDDLE: f32 = 2.75;
/// Coefficients, lowest first, of `Phi(-t) / (5.6 - t)^6` in `t - 2.75`: minimax (by Remez'
/// exchange, in 40 digits) for t from 0 to 5.5, for the error of `Phi(-t) (min(t, 1) + 1/4)`,
/// which is at most 8.2e-8.
const NEAR: [f32; 11] = [
    5.560_462_3e-6,
    -5.262_795e-6,
    1.984_653_6e-6,
    1.409_802_8e-7,
    -3.076_014_8e-7,
    8.375_384e-8,
    1.350_987_8e-8,
    -1.170_500_9e-8,
    1.685_686_3e-9,
    1.761_161_8e-9,
    2.194_934_4e-10,
];

/// The polynomial with these coefficients, lowest first.
#[inline(always)]
unsafe fn polynomial<V: Lanes, const D: usize, const N: usize>(coefficients: [f32; D], x: [V; N]) -> [V; N] {
    // SAFETY: the caller vouches for the features, here and below.
    unsafe {
        let mut sums = [V::splat(coefficients[D - 1]); N];
        let mut degree = D - 1;
        while degree > 0 {
            degree -= 1;
            let next = V::splat(coefficients[degree]);
            for (sum, &x) in sums.iter_mut().zip(&x) {
                *sum = sum.mul_add(x, next);
            }
        }
        sums
    }
}

/// `exp(x)` for `x` from -87 to 88.
#[inline(always)]
unsafe fn exp<V: Lanes, const N: usize>(x: [V; N]) -> [V; N] {
    // SAFETY: as above.
    unsafe {
        let (mut n, mut r) = (x, x);
        for (n, r) in n.iter_mut().zip(&mut r) {
            *n = r.mul(V::splat(std::f32::consts::LOG2_E)).round();
            *r = n.mul_add(V::splat(-LN_2[0]), *r);
            *r = n.mul_add(V::splat(-LN_2[1]), *r);
        }
        let mut power = polynomial(EXP, r);
        for (power, n) in power.iter_mut().zip(n) {
            *power = power.mul(n.power_of_two());
        }
        power
    }
}

/// Where the sigmoid ends below: beyond, it would soon not be a normal number.
const LEAST: f32 = -88.0;

/// `1 / (1 + exp(-x))`, zero from [`LEAST`] down, so that `x` times it is zero too.
#[inline(always)]
pub(crate) unsafe fn sigmoid<V: Lanes>(x: V) -> V {
    // SAFETY: as above. The limits stand first so that a NaN stays one.
    unsafe {
        let within = V::splat(LEAST).max(V::splat(87.0).min(x));
        let one = V::splat(1.0);
        let [exp] = exp([V::zero().sub(within)]);
        x.sub(V::splat(LEAST)).unless_negative(one.div(one.add(exp)))
    }
}

/// `Phi(-t)` and `exp(-t^2 / 2)` for `t` from 0 to [`END`].
#[inline(always)]
unsafe fn lower_tail<V: Lanes, const N: usize>(t: [V; N]) -> ([V; N], [V; N]) {
    // SAFETY: as above.
    unsafe {
        let (mut square, mut inverse, mut q) = (t, t, t);
        for ((square, inverse), q) in square.iter_mut().zip(&mut inverse).zip(&mut q) {
            *inverse = V::splat(1.0).div(square.add(V::splat(4.0)));
            *q = inverse.mul_add(V::splat(-8.0), V::splat(1.0));
            *square = square.mul(*square).mul(V::splat(-0.5));
        }
        let density = exp(square);
        let mut tail = polynomial(TAIL, q);
        for ((tail, &density), &inverse) in tail.iter_mut().zip(&density).zip(&inverse) {
            *tail = density.mul(tail.mul(inverse));
        }
        (tail, density)
    }
}

/// `x Phi(x)`, as `max(x, 0) - |x| Phi(-|x|)`, within 2e-7 of the greater of 1 and `|x|`; zero
/// below -5.6, or -5.9 by [`pieces`], where vectors have tables. Without exponentials: `Phi(-t)` is a
/// polynomial with a sixfold zero at the end.
///
/// Several vectors at once, step by step: one alone is a chain of operations that each wait for
/// the one before, longer than a CPU looks ahead for what it could do meanwhile.
#[inline(always)]
pub(crate) unsafe fn gelu<V: Lanes, const N: usize>(x: [V; N]) -> [V; N] {
    // SAFETY: as above.
    unsafe {
        if V::TABLES {
            return pieces::gelu(x);
        }
        let (mut t, mut middle) = (x, x);
        for (t, middle) in t.iter_mut().zip(&mut middle) {
            *t = V::splat(NEAR_END).min(t.abs());
            *middle = t.sub(V::splat(MIDDLE));
        }
        let mut near = polynomial(NEAR, middle);
        for ((near, &t), &x) in near.iter_mut().zip(&t).zip(&x) {
            let left = V::splat(NEAR_END).sub(t);
            let cube = left.mul(left).mul(left);
            let minus = V::zero().sub(t);
            *near = near.mul(cube.mul(cube)).mul_add(minus, V::zero().max(x));
        }
        near
    }
}

/// `x Phi(x)` and its derivative: `w = Phi(-|x|) - |x| phi(x)` where `x <= 0`, `1 - w` elsewhere. Several
/// at once, as in [`gelu`].
#[inline(always)]
pub(crate) unsafe fn gelu_and_slope<V: Lanes, const N: usize>(x: [V; N]) -> ([V; N], [V; N]) {
    // SAFETY: as above.
    unsafe {
        if V::TABLES {
            return pieces::gelu_and_slope(x);
        }
        let mut t = x;
        for t in &mut t {
            *t = V::splat(END).min(t.abs());
        }
        let (mut value, mut slope) = lower_tail(t);
        for (((value, slope), &t), &x) in value.iter_mut().zip(&mut slope).zip(&t).zip(&x) {
            let left = V::splat(END).sub(t);
            (*value, *slope) = (left.unless_negative(*value), left.unless_negative(*slope));
            let minus = V::zero().sub(t);
            let w = minus.mul(V::splat(DENSITY as f32)).mul_add(*slope, *value);
            let upper = w.mul_add(V::splat(-2.0), V::splat(1.0));
            *value = minus.mul_add(*value, V::zero().max(x));
            *slope = w.add(x.where_positive(upper));
        }
        (value, slope)
    }
}
