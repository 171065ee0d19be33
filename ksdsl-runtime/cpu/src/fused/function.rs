//! Activations over slices: a function, or a function and its derivative at once.

use super::columns::for_vectors;
use super::formulas::{formulas, with_constant};
use super::vector::{Vector, VectorPass, dispatch};
use crate::real::CpuReal;
use crate::simd::{Level, prefetch};
use ksdsl_engine::size::Activation;

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

impl<E: CpuReal> VectorPass<E> for Values<E> {
    #[inline(always)]
    unsafe fn run<V: Vector<E>>(self) {
        // SAFETY: the caller vouches for features and pointers.
        unsafe {
            match self.kind {
                Activation::Gelu if V::MANY => self.gelus::<V, 4>(),
                Activation::Gelu => self.gelus::<V, 2>(),
                kind => with_constant!(kind, KIND => self.each::<V>(
                    #[inline(always)]
                    |x| formulas::<E, V>(KIND, x).0,
                )),
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

impl<E: CpuReal, const MULTIPLY: bool> VectorPass<E> for Slopes<E, MULTIPLY> {
    #[inline(always)]
    unsafe fn run<V: Vector<E>>(self) {
        // SAFETY: the caller vouches for features and pointers.
        unsafe {
            match self.kind {
                Activation::Gelu if V::MANY => self.gelus::<V, 4>(),
                Activation::Gelu => self.gelus::<V, 1>(),
                kind => with_constant!(kind, KIND => self.each::<V>(
                    #[inline(always)]
                    |x| formulas::<E, V>(KIND, x),
                )),
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
                |x| formulas::<E, V>(Activation::Gelu, x),
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
