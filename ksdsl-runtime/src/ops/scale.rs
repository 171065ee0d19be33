//! Factors that a visit has of its own for the output channels of a shared kernel.

use crate::act::{Act, HasChannels};
use crate::backend::Backend;
use crate::param::{BiasArg, NoBias, ParamArg};
use crate::scalar::Scalar;
use dfdx::shapes::Rank1;
use dfdx::tensor::Tape;
use ksdsl_engine::ops;

/// `factor * x + bias`, one factor and one bias for each channel (or feature). After a convolution or a
/// linear layer without bias that is the layer with the kernel `factor * kernel`, while the kernel itself
/// stays that of all its visits.
pub fn scale<const C: usize, S: HasChannels<C>, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    mut x: Act<S, E, D, T>,
    factor: impl ParamArg<Rank1<C>, E, D>,
    bias: impl BiasArg<C, E, D>,
) -> Result<Act<S, E, D, T>, D::Err> {
    let factor = factor.bind(x.context_mut())?;
    let bias = bias.bind_bias(x.context_mut())?;
    let shape = x.shape;
    x.then(shape, |x| ops::scale(x, factor, bias))
}

/// `factor * x`, with a learned factor for each channel (or feature): LayerScale (Touvron et al. 2021).
pub fn layer_scale<const C: usize, S: HasChannels<C>, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    x: Act<S, E, D, T>,
    factor: impl ParamArg<Rank1<C>, E, D>,
) -> Result<Act<S, E, D, T>, D::Err> {
    scale(x, factor, NoBias)
}
