//! The element types models are made of.

use crate::cpu::{Plain, special};
use dfdx::dtypes::{Dtype, NotMixedPrecision};
use num_traits::Float;
use rand_distr::uniform::SampleUniform;

/// A floating-point element type: `f32` to train and run with, `f64` to check gradients with.
pub trait Scalar:
    Dtype + NotMixedPrecision + Float + SampleUniform + Plain + std::iter::Sum + std::fmt::Display
{
    /// The error function, exact to rounding.
    fn erf(self) -> Self;
    /// Rounds a constant to this type.
    fn of(value: f64) -> Self;
    /// Widens to `f64`, exactly.
    fn wide(self) -> f64;
    /// `1 / (1 + exp(-self))`.
    #[doc(hidden)]
    fn sigmoid(self) -> Self;
    /// `exp(self)`; for `f32` plain arithmetic, so that loops become vectors.
    #[doc(hidden)]
    fn plain_exp(self) -> Self;
    /// The normal distribution function and `exp(-self^2 / 2)`.
    #[doc(hidden)]
    fn normal(self) -> (Self, Self);
    /// The values if this type is `f32`, for the kernels that only `f32` has.
    #[doc(hidden)]
    fn f32s(values: &[Self]) -> Option<&[f32]>;
    /// As [`Scalar::f32s`].
    #[doc(hidden)]
    fn f32s_mut(values: &mut [Self]) -> Option<&mut [f32]>;
}

macro_rules! scalar {
    ($float:ty, $erf:path, $functions:ident, $f32s:path) => {
        impl Scalar for $float {
            fn erf(self) -> Self {
                $erf(self)
            }
            #[inline(always)]
            fn of(value: f64) -> Self {
                value as $float
            }
            #[inline(always)]
            fn wide(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn sigmoid(self) -> Self {
                special::$functions::sigmoid(self)
            }
            #[inline(always)]
            fn plain_exp(self) -> Self {
                special::$functions::exp(self)
            }
            #[inline(always)]
            fn normal(self) -> (Self, Self) {
                special::$functions::normal(self)
            }
            fn f32s(values: &[Self]) -> Option<&[f32]> {
                $f32s(values)
            }
            fn f32s_mut(values: &mut [Self]) -> Option<&mut [f32]> {
                $f32s(values)
            }
        }
    };
}

/// `None`, as the counterpart of `Some`.
fn none<T, U>(_: T) -> Option<U> {
    None
}

scalar!(f32, libm::erff, single, Some);
scalar!(f64, libm::erf, double, none);
