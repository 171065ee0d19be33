//! Initial values of parameters, sampled from the device's generator.

use dfdx::dtypes::Dtype;
use dfdx::shapes::Shape;
use dfdx::tensor::Tensor;
use dfdx::tensor_ops::Device;
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// A distribution over `f64` that is rounded to any element type: so the same seed gives the same
/// network up to rounding in `f32` and `f64`.
enum Values {
    /// Uniform on `[-bound, bound)`.
    Uniform(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// Always this value.
    Constant(f64),
}

impl<E: Dtype> Distribution<E> for Values {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> E {
        let value = match *self {
            Self::Uniform(bound) => bound * (2.0 * rng.r#gen::<f64>() - 1.0),
            Self::Normal(std) => std * Distribution::<f64>::sample(&StandardNormal, rng),
            Self::Constant(value) => value,
        };
        E::from_f64(value).unwrap_or_default()
    }
}

/// Fills with values uniform on `[-bound, bound)`. PyTorch's default for convolutions and linear
/// layers is `bound = 1 / sqrt(fan_in)`.
pub fn uniform<S: Shape, E: Dtype, D: Device<E>>(tensor: &mut Tensor<S, E, D>, bound: f64) -> Result<(), D::Err> {
    tensor.try_fill_with_distr(Values::Uniform(bound))
}

/// Fills with normal values of mean 0 and standard deviation `std`.
pub fn normal<S: Shape, E: Dtype, D: Device<E>>(tensor: &mut Tensor<S, E, D>, std: f64) -> Result<(), D::Err> {
    tensor.try_fill_with_distr(Values::Normal(std))
}

/// Fills with zeros.
pub fn zeros<S: Shape, E: Dtype, D: Device<E>>(tensor: &mut Tensor<S, E, D>) -> Result<(), D::Err> {
    tensor.try_fill_with_zeros()
}

/// Fills with ones.
pub fn ones<S: Shape, E: Dtype, D: Device<E>>(tensor: &mut Tensor<S, E, D>) -> Result<(), D::Err> {
    tensor.try_fill_with_ones()
}

/// Fills with `value`.
pub fn constant<S: Shape, E: Dtype, D: Device<E>>(tensor: &mut Tensor<S, E, D>, value: f64) -> Result<(), D::Err> {
    tensor.try_fill_with_distr(Values::Constant(value))
}
