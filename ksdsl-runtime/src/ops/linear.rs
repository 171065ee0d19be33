//! The linear layer.

use crate::act::{Act, Flat, Map};
use crate::backend::Backend;
use crate::param::{BiasArg, WeightArg};
use crate::scalar::Scalar;
use dfdx::shapes::{Const, Dim, Rank2};
use dfdx::tensor::Tape;
use ksdsl_engine::ops;

/// `x weight^T + bias` with `weight` as `[O][I]`: PyTorch's `linear`.
pub fn linear<B: Dim, const I: usize, const O: usize, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    x: Flat<B, I, E, D, T>,
    weight: impl WeightArg<Rank2<O, I>, E, D>,
    bias: impl BiasArg<O, E, D>,
) -> Result<Flat<B, O, E, D, T>, D::Err> {
    let shape = (x.shape.0, Const);
    let bind = |context: &mut _| Ok((weight.bind_weight(context)?, bias.bind_bias(context)?));
    let untyped = ops::linear(O, x.untyped, bind, D::failed)?;
    Ok(Act {
        shape,
        device: x.device,
        untyped,
    })
}

/// A linear layer on the features of each token, or the channels at each position.
pub fn linear_at<
    B: Dim,
    const I: usize,
    const O: usize,
    const H: usize,
    const W: usize,
    E: Scalar,
    D: Backend<E>,
    T: Tape<E, D>,
>(
    x: Map<B, I, H, W, E, D, T>,
    weight: impl WeightArg<Rank2<O, I>, E, D>,
    bias: impl BiasArg<O, E, D>,
) -> Result<Map<B, O, H, W, E, D, T>, D::Err> {
    let shape = (x.shape.0, Const, Const, Const);
    let bind = |context: &mut _| Ok((weight.bind_weight(context)?, bias.bind_bias(context)?));
    let untyped = ops::linear(O, x.untyped, bind, D::failed)?;
    Ok(Act {
        shape,
        device: x.device,
        untyped,
    })
}
