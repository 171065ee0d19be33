//! The linear layer.

use super::conv::wait;
use crate::act::{ActShape, Flat};
use crate::backend::Backend;
use crate::geometry::{Algorithm, ConvSize, Window};
use crate::param::BiasArg;
use crate::scalar::Scalar;
use crate::weight::WeightArg;
use dfdx::shapes::{Const, Dim, Rank2};
use dfdx::tensor::Tape;

/// `x weight^T + bias` with `weight` as `[O][I]`: PyTorch's `linear`.
pub fn linear<B: Dim, const I: usize, const O: usize, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    x: Flat<B, I, E, D, T>,
    weight: impl WeightArg<Rank2<O, I>, E, D>,
    bias: impl BiasArg<O, E, D>,
) -> Result<Flat<B, O, E, D, T>, D::Err> {
    let shape = (x.shape.0, Const);
    // A convolution of maps of one pixel.
    let size = ConvSize {
        input: x.shape.map_size(),
        output: shape.map_size(),
        window: Window {
            kernel: [1; 2],
            stride: [1; 2],
            pad: [0; 2],
            dilation: [1; 2],
        },
        groups: 1,
        algorithm: Algorithm::Auto,
        unit: x.context.unit,
    };
    let mut x = x.ready()?;
    let weight = weight.bind_weight(&mut x.context)?;
    let bias = bias.bind_bias(&mut x.context)?;
    Ok(wait(x, None, shape, size, weight, bias))
}
