//! Activations over slices: a function, or a function and its derivative at once.

use super::columns::for_vectors;
use super::vector::{Pass, Vector, dispatch};
use crate::real::CpuReal;
use crate::simd::{Level, prefetch};
use ksdsl_engine::size::Activation;

/// The cubic coefficient of GELU's tanh form (Hendrycks & Gimpel 2016).
const CUBIC: f64 = 0.044_715;
/// `2 sqrt(2 / pi)`.
const ROOT: f64 = 1.595_769_121_605_730_7;
/// So far out every activation is at its limit, to rounding, in `f32` and in `f64`: zero below; further
/// out terms of a formula may overflow, and an infinity times zero is not a limit.
pub(super) const FAR: f64 = 1e4;

/// Writes `kind` of the elements at `x` to `y`, which may be `x`. What is `ahead`, as many elements
/// that are used next, is fetched into the cache meanwhile; it may be any address.
///
/// # Safety
/// Both pointers must be good for `len` elements.
#[inline]
pub(crate) unsafe fn values<E: CpuReal>(
    level: Level,
    kind: Activation,
    x: *const E,
    y: *mut E,
    len: usize,
    ahead: *const E,
) {
    dispatch(level, Values { kind, x, y, len, ahead });
}

/// Writes `kind` of the elements at `x` to `y` and the derivatives to `slopes`; `ahead` as in
/// [`values`].
///
/// # Safety
/// The pointers must be good for `len` elements; only `x` may be one of the others.
#[allow(clippy::too_many_arguments)]
#[inline]
pub(crate) unsafe fn values_and_slopes<E: CpuReal>(
    level: Level,
    kind: Activation,
    x: *const E,
    y: *mut E,
    slopes: *mut E,
    len: usize,
    ahead: *const E,
) {
    dispatch(
        level,
        Slopes::<E, false> {
            kind,
            x,
            y,
            slopes,
            len,
            ahead,
        },
    );
}

/// Multiplies each element at `dy` by the derivative of `kind` at that of `x`.
///
/// # Safety
/// Both pointers must be good for `len` elements.
#[inline]
pub(crate) unsafe fn multiply_by_slopes<E: CpuReal>(
    level: Level,
    kind: Activation,
    x: *const E,
    dy: *mut E,
    len: usize,
) {
    dispatch(
        level,
        Slopes::<E, true> {
            kind,
            x,
            y: dy,
            slopes: dy,
            len,
            ahead: x,
        },
    );
}

struct Values<E> {
    kind: Activation,
    x: *const E,
    y: *mut E,
    len: usize,
    ahead: *const E,
}

impl<E: CpuReal> Pass<E> for Values<E> {
    #[inline(always)]
    unsafe fn run<V: Vector<E>>(self) {
        // SAFETY: the caller vouches for features and pointers.
        unsafe {
            match self.kind {
                Activation::Relu => self.each::<V>(
                    #[inline(always)]
                    |x| relu(x),
                ),
                Activation::Gelu if V::MANY => self.gelus::<V, 4>(),
                Activation::Gelu => self.gelus::<V, 2>(),
                Activation::GeluTanh => self.each::<V>(
                    #[inline(always)]
                    |x| gated(x, gelu_tanh(near(x)).0),
                ),
                Activation::Silu => self.each::<V>(
                    #[inline(always)]
                    |x| gated(x, x.sigmoid()),
                ),
                Activation::Sigmoid => self.each::<V>(
                    #[inline(always)]
                    |x| x.sigmoid(),
                ),
                Activation::HardSwish => self.each::<V>(
                    #[inline(always)]
                    |x| hard_swish(x),
                ),
            }
        }
    }
}

impl<E: CpuReal> Values<E> {
    /// # Safety
    /// As for [`values`] and [`Vector`].
    #[inline(always)]
    unsafe fn each<V: Vector<E>>(self, f: impl Fn(V) -> V) {
        // SAFETY: the caller vouches for features and pointers.
        unsafe {
            for_vectors::<E, V>(
                self.len,
                self.len,
                #[inline(always)]
                |at, _, count| {
                    prefetch(self.ahead.wrapping_add(at).cast());
                    f(V::load(self.x.add(at), count)).store(self.y.add(at), count);
                },
            );
        }
    }
}

impl<E: CpuReal> Values<E> {
    /// `N` vectors at once.
    ///
    /// # Safety
    /// As for [`Values::each`].
    #[inline(always)]
    unsafe fn gelus<V: Vector<E>, const N: usize>(mut self) {
        // SAFETY: the caller vouches for features and pointers.
        unsafe {
            while self.len >= N * V::LANES {
                let mut x = [V::splat(0.0); N];
                for (n, x) in x.iter_mut().enumerate() {
                    prefetch(self.ahead.wrapping_add(n * V::LANES).cast());
                    *x = V::load(self.x.add(n * V::LANES), V::LANES);
                }
                for (n, value) in V::gelu(x).iter().enumerate() {
                    value.store(self.y.add(n * V::LANES), V::LANES);
                }
                (self.x, self.y) = (self.x.add(N * V::LANES), self.y.add(N * V::LANES));
                self.ahead = self.ahead.wrapping_add(N * V::LANES);
                self.len -= N * V::LANES;
            }
            self.each::<V>(
                #[inline(always)]
                |x| V::gelu([x])[0],
            );
        }
    }
}

/// Writes values and slopes, or multiplies what is at `slopes` by them.
struct Slopes<E, const MULTIPLY: bool> {
    kind: Activation,
    x: *const E,
    y: *mut E,
    slopes: *mut E,
    len: usize,
    ahead: *const E,
}

impl<E: CpuReal, const MULTIPLY: bool> Pass<E> for Slopes<E, MULTIPLY> {
    #[inline(always)]
    unsafe fn run<V: Vector<E>>(self) {
        // SAFETY: the caller vouches for features and pointers.
        unsafe {
            match self.kind {
                Activation::Relu => self.each::<V>(
                    #[inline(always)]
                    |x| (relu(x), x.unless_negative(V::splat(1.0))),
                ),
                Activation::Gelu if V::MANY => self.gelus::<V, 4>(),
                Activation::Gelu => self.gelus::<V, 1>(),
                Activation::GeluTanh => self.each::<V>(
                    #[inline(always)]
                    |x| {
                        let near = near(x);
                        let (gate, slope) = gelu_tanh(near);
                        let rest = V::splat(1.0).sub(gate);
                        (gated(x, gate), near.mul(gate).mul(rest).mul_add(slope, gate))
                    },
                ),
                Activation::Silu => self.each::<V>(
                    #[inline(always)]
                    |x| {
                        let gate = x.sigmoid();
                        let rest = V::splat(1.0).sub(gate);
                        (gated(x, gate), gate.mul(near(x).mul_add(rest, V::splat(1.0))))
                    },
                ),
                Activation::Sigmoid => self.each::<V>(
                    #[inline(always)]
                    |x| {
                        let gate = x.sigmoid();
                        (gate, gate.mul(V::splat(1.0).sub(gate)))
                    },
                ),
                Activation::HardSwish => self.each::<V>(
                    #[inline(always)]
                    |x| (hard_swish(x), hard_swish_slope(x)),
                ),
            }
        }
    }
}

impl<E: CpuReal, const MULTIPLY: bool> Slopes<E, MULTIPLY> {
    /// # Safety
    /// As for [`values_and_slopes`] and [`Vector`].
    #[inline(always)]
    unsafe fn each<V: Vector<E>>(self, f: impl Fn(V) -> (V, V)) {
        // SAFETY: the caller vouches for features and pointers.
        unsafe {
            for_vectors::<E, V>(
                self.len,
                self.len,
                #[inline(always)]
                |at, _, count| {
                    prefetch(self.ahead.wrapping_add(at).cast());
                    let (value, slope) = f(V::load(self.x.add(at), count));
                    self.put(at, count, value, slope);
                },
            );
        }
    }
}

impl<E: CpuReal, const MULTIPLY: bool> Slopes<E, MULTIPLY> {
    /// `N` vectors at once.
    ///
    /// # Safety
    /// As for [`Slopes::each`].
    #[inline(always)]
    unsafe fn gelus<V: Vector<E>, const N: usize>(mut self) {
        // SAFETY: the caller vouches for features and pointers.
        unsafe {
            while self.len >= N * V::LANES {
                let mut x = [V::splat(0.0); N];
                for (n, x) in x.iter_mut().enumerate() {
                    prefetch(self.ahead.wrapping_add(n * V::LANES).cast());
                    *x = V::load(self.x.add(n * V::LANES), V::LANES);
                }
                let (values, slopes) = V::gelu_and_slope(x);
                for (n, (value, slope)) in values.iter().zip(&slopes).enumerate() {
                    self.put(n * V::LANES, V::LANES, *value, *slope);
                }
                (self.x, self.y) = (self.x.add(N * V::LANES), self.y.add(N * V::LANES));
                self.slopes = self.slopes.add(N * V::LANES);
                self.ahead = self.ahead.wrapping_add(N * V::LANES);
                self.len -= N * V::LANES;
            }
            self.each::<V>(
                #[inline(always)]
                |x| {
                    let ([value], [slope]) = V::gelu_and_slope([x]);
                    (value, slope)
                },
            );
        }
    }

    /// Writes what was computed of the `count` elements from `at` on.
    ///
    /// # Safety
    /// As for [`Slopes::each`].
    #[inline(always)]
    unsafe fn put<V: Vector<E>>(&self, at: usize, count: usize, value: V, slope: V) {
        // SAFETY: the caller vouches for features and pointers.
        unsafe {
            let slopes = self.slopes.add(at);
            if MULTIPLY {
                slope.mul(V::load(slopes, count)).store(slopes, count);
            } else {
                value.store(self.y.add(at), count);
                slope.store(slopes, count);
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
