//! The linear layer.

use crate::act::{Act, Flat};
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
