//! Vectors of any element type: those of [`Lanes`] for `f32`, arrays otherwise.

use super::formulas::FAR;
use crate::real::CpuReal;
use crate::simd::{Lanes, Level, Operation};
use crate::special::lanes;
use std::any::TypeId;
use std::marker::PhantomData;

/// A vector of [`Vector::LANES`] elements.
///
/// # Safety
/// All methods need the CPU features of the type, and its element type to be `E`: call them only
/// below [`dispatch`]. Pointers must be good for `count <= LANES` elements; they need no alignment.
pub(crate) trait Vector<E>: Copy {
    /// Elements per vector.
    const LANES: usize;
    /// Whether there are registers for many vectors.
    const MANY: bool;
    /// The `count` elements at `from`, zeros in the other lanes.
    unsafe fn load(from: *const E, count: usize) -> Self;
    /// Writes the first `count` elements to `to`.
    unsafe fn store(self, to: *mut E, count: usize);
    /// `value` in every lane.
    unsafe fn splat(value: f64) -> Self;
    /// `self * factor + sum`.
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self;
    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
    /// `self - other`.
    unsafe fn sub(self, other: Self) -> Self;
    /// `self * other`.
    unsafe fn mul(self, other: Self) -> Self;
    /// The greater of both; `other` where one is a NaN.
    unsafe fn max(self, other: Self) -> Self;
    /// The lesser of both; `other` where one is a NaN.
    unsafe fn min(self, other: Self) -> Self;
    /// `value` where `self > 0`, zero elsewhere, also where `self` is a NaN.
    unsafe fn where_positive(self, value: Self) -> Self;
    /// Zero where `self <= 0`, `value` elsewhere, also where `self` is a NaN.
    unsafe fn unless_negative(self, value: Self) -> Self;
    /// Adds the first `count` elements to those at `to`.
    unsafe fn add_to(self, to: *mut f64, count: usize);
    /// `1 / (1 + exp(-self))`.
    unsafe fn sigmoid(self) -> Self;
    /// `x * Phi(x)`, with the normal distribution function, of several vectors.
    unsafe fn gelu<const N: usize>(x: [Self; N]) -> [Self; N];
    /// [`Vector::gelu`] and its derivative.
    unsafe fn gelu_and_slope<const N: usize>(x: [Self; N]) -> ([Self; N], [Self; N]);
}

/// A kernel, for any vector type.
pub(crate) trait VectorPass<E> {
    /// Runs it; mark the implementation `#[inline(always)]`.
    ///
    /// # Safety
    /// As for the methods of [`Vector`].
    unsafe fn run<V: Vector<E>>(self);
}

/// Elements of the vectors that [`dispatch`] chooses.
pub(crate) fn lanes<E: CpuReal>(level: Level) -> usize {
    if is_f32::<E>() { level.lanes() } else { BLOCK }
}

/// Runs `pass` with the vectors of this level, which must be one of [`Level::available`].
pub(crate) fn dispatch<E: CpuReal>(level: Level, pass: impl VectorPass<E>) {
    if is_f32::<E>() {
        level.run(Single(pass, PhantomData));
    } else {
        level.vectorised(
            #[inline(always)]
            // SAFETY: arrays need no features.
            || unsafe { pass.run::<Block<E>>() },
        );
    }
}

fn is_f32<E: CpuReal>() -> bool {
    TypeId::of::<E>() == TypeId::of::<f32>()
}

/// A pass over `f32` as an [`Operation`].
struct Single<P, E>(P, PhantomData<E>);

impl<E: CpuReal, P: VectorPass<E>> Operation for Single<P, E> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        // SAFETY: made by `dispatch` where `E` is `f32`, and run below `Level::run`.
        unsafe { self.0.run::<Few<V>>() }
    }
}

/// [`Lanes`] as a vector of the `E` that is `f32`.
#[derive(Clone, Copy)]
struct Few<V>(V);

impl<E: CpuReal, V: Lanes> Vector<E> for Few<V> {
    const LANES: usize = V::LANES;
    const MANY: bool = V::MANY;
    #[inline(always)]
    unsafe fn load(from: *const E, count: usize) -> Self {
        // SAFETY: the caller vouches for features, element type and pointer, here and below.
        unsafe {
            Self(if count == V::LANES {
                V::load(from.cast())
            } else {
                V::load_some(from.cast(), count)
            })
        }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut E, count: usize) {
        // SAFETY: as above.
        unsafe {
            if count == V::LANES {
                self.0.store(to.cast());
            } else {
                self.0.store_some(to.cast(), count);
            }
        }
    }
    #[inline(always)]
    unsafe fn splat(value: f64) -> Self {
        // SAFETY: as above.
        Self(unsafe { V::splat(value as f32) })
    }
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { self.0.mul_add(factor.0, sum.0) })
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { self.0.add(other.0) })
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { self.0.sub(other.0) })
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { self.0.mul(other.0) })
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { self.0.max(other.0) })
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { self.0.min(other.0) })
    }
    #[inline(always)]
    unsafe fn where_positive(self, value: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { self.0.where_positive(value.0) })
    }
    #[inline(always)]
    unsafe fn unless_negative(self, value: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { self.0.unless_negative(value.0) })
    }
    #[inline(always)]
    unsafe fn add_to(self, to: *mut f64, count: usize) {
        // SAFETY: as above.
        unsafe {
            if count == V::LANES {
                self.0.add_to(to);
            } else {
                let mut values = [0.0; 16];
                self.0.store(values.as_mut_ptr());
                for (lane, &value) in values.iter().enumerate().take(count) {
                    *to.add(lane) += f64::from(value);
                }
            }
        }
    }
    #[inline(always)]
    unsafe fn sigmoid(self) -> Self {
        // SAFETY: as above.
        Self(unsafe { lanes::sigmoid(self.0) })
    }
    #[inline(always)]
    unsafe fn gelu<const N: usize>(x: [Self; N]) -> [Self; N] {
        // SAFETY: as above.
        wrap(unsafe { lanes::gelu(unwrap(x)) })
    }
    #[inline(always)]
    unsafe fn gelu_and_slope<const N: usize>(x: [Self; N]) -> ([Self; N], [Self; N]) {
        // SAFETY: as above.
        let (values, slopes) = unsafe { lanes::gelu_and_slope(unwrap(x)) };
        (wrap(values), wrap(slopes))
    }
}

#[inline(always)]
fn wrap<V: Copy, const N: usize>(x: [V; N]) -> [Few<V>; N] {
    let mut all = [Few(x[0]); N];
    for (few, &x) in all.iter_mut().zip(&x) {
        *few = Few(x);
    }
    all
}

#[inline(always)]
fn unwrap<V: Copy, const N: usize>(x: [Few<V>; N]) -> [V; N] {
    let mut all = [x[0].0; N];
    for (vector, few) in all.iter_mut().zip(&x) {
        *vector = few.0;
    }
    all
}

/// Elements of a [`Block`].
const BLOCK: usize = 8;

/// Elements of any type, without intrinsics.
#[derive(Clone, Copy)]
struct Block<E>([E; BLOCK]);

impl<E: CpuReal> Block<E> {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(E, E) -> E) -> Self {
        Self(std::array::from_fn(|lane| f(self.0[lane], other.0[lane])))
    }
}

impl<E: CpuReal> Vector<E> for Block<E> {
    const LANES: usize = BLOCK;
    const MANY: bool = false;
    #[inline(always)]
    unsafe fn load(from: *const E, count: usize) -> Self {
        let mut values = [E::zero(); BLOCK];
        // SAFETY: the caller vouches for `count` elements.
        let from = unsafe { std::slice::from_raw_parts(from, count) };
        values[..count].copy_from_slice(from);
        Self(values)
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut E, count: usize) {
        // SAFETY: the caller vouches for `count` elements.
        unsafe { std::ptr::copy_nonoverlapping(self.0.as_ptr(), to, count) }
    }
    #[inline(always)]
    unsafe fn splat(value: f64) -> Self {
        Self([E::of(value); BLOCK])
    }
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] * factor.0[lane] + sum.0[lane]))
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    unsafe fn where_positive(self, value: Self) -> Self {
        self.zip(value, |by, value| if by > E::zero() { value } else { E::zero() })
    }
    #[inline(always)]
    unsafe fn unless_negative(self, value: Self) -> Self {
        self.zip(value, |by, value| if by <= E::zero() { E::zero() } else { value })
    }
    #[inline(always)]
    unsafe fn add_to(self, to: *mut f64, count: usize) {
        for (lane, value) in self.0.iter().enumerate().take(count) {
            // SAFETY: the caller vouches for `count` elements.
            unsafe { *to.add(lane) += value.wide() };
        }
    }
    #[inline(always)]
    unsafe fn sigmoid(self) -> Self {
        Self(self.0.map(E::sigmoid))
    }
    #[inline(always)]
    unsafe fn gelu<const N: usize>(x: [Self; N]) -> [Self; N] {
        x.map(|x| Self(x.0.map(gelu)))
    }
    #[inline(always)]
    unsafe fn gelu_and_slope<const N: usize>(x: [Self; N]) -> ([Self; N], [Self; N]) {
        let slope = |x: E| {
            let (phi, density) = x.normal();
            let near = x.max(E::of(-FAR)).min(E::of(FAR));
            phi + near * density * E::of(lanes::DENSITY)
        };
        (x.map(|x| Self(x.0.map(gelu))), x.map(|x| Self(x.0.map(slope))))
    }
}

/// `x Phi(x)`; of a NaN the distribution function is one.
fn gelu<E: CpuReal>(x: E) -> E {
    x.max(E::of(-FAR)) * x.normal().0
}
