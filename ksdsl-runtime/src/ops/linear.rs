//! The linear layer.

use crate::act::Flat;
use crate::backend::Backend;
use crate::param::{BiasArg, WeightArg};
use crate::scalar::Scalar;
use dfdx::shapes::{Const, Dim, Rank2};
use dfdx::tensor::Tape;
use ksdsl_engine::ops;

/// `x weight^T + bias` with `weight` as `[O][I]`: PyTorch's `linear`.
pub fn linear<B: Dim, const I: usize, const O: usize, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    mut x: Flat<B, I, E, D, T>,
    weight: impl WeightArg<Rank2<O, I>, E, D>,
    bias: impl BiasArg<O, E, D>,
) -> Result<Flat<B, O, E, D, T>, D::Err> {
    let shape = (x.shape.0, Const);
    let weight = weight.bind_weight(x.context_mut())?;
    let bias = bias.bind_bias(x.context_mut())?;
    x.then(shape, |x| ops::linear(O, x, weight, bias))
}
