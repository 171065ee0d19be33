//! What the kernels need of an element type.

use crate::buf::Plain;
use crate::special;
use ksdsl_engine::Real;

/// An element type of the kernels: `f32` or `f64`.
pub trait CpuReal: Real + Plain {
    /// `1 / (1 + exp(-self))`.
    fn sigmoid(self) -> Self;
    /// `exp(self)`; for `f32` plain arithmetic, so that loops become vectors.
    fn plain_exp(self) -> Self;
    /// The normal distribution function and `exp(-self^2 / 2)`.
    fn normal(self) -> (Self, Self);
    /// The values if this type is `f32`, for the kernels that only `f32` has.
    fn f32s(values: &[Self]) -> Option<&[f32]>;
    /// As [`CpuReal::f32s`].
    fn f32s_mut(values: &mut [Self]) -> Option<&mut [f32]>;
}

macro_rules! real {
    ($float:ty, $functions:ident, $f32s:path) => {
        impl CpuReal for $float {
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

real!(f32, single, Some);
real!(f64, double, none);
