//! Dropout of values and of images.

use crate::act::{Act, ActShape};
use crate::backend::Backend;
use crate::pass::Pass;
use crate::scalar::Scalar;
use dfdx::tensor::Tape;
use ksdsl_engine::ops;

/// In a training pass, zeroes each element with probability `p` and scales the others by
/// `1 / (1 - p)` (Srivastava et al. 2014, inverted); the identity in inference.
pub fn dropout<S: ActShape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    pass: &mut Pass<E, D>,
    x: Act<S, E, D, T>,
    p: f64,
) -> Result<Act<S, E, D, T>, D::Err> {
    if !pass.is_training() || p <= 0.0 {
        return Ok(x);
    }
    let seed = pass.dropout_seed();
    let shape = x.shape;
    x.then(shape, |x| ops::dropout(p, seed, x))
}

/// In a training pass, zeroes each image with probability `p` and scales the others by `1 / (1 - p)` (Huang et al.
/// 2016, scaled as dropout is); the identity in inference.
pub fn stochastic_depth<S: ActShape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    pass: &mut Pass<E, D>,
    x: Act<S, E, D, T>,
    p: f64,
) -> Result<Act<S, E, D, T>, D::Err> {
    if !pass.is_training() || p <= 0.0 {
        return Ok(x);
    }
    let seed = pass.dropout_seed();
    let shape = x.shape;
    x.then(shape, |x| ops::stochastic_depth(p, seed, x))
}
