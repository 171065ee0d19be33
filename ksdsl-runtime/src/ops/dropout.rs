//! What draws in training: dropout of values and of images, noise.

use crate::act::{Act, ActShape, Untyped};
use crate::backend::Backend;
use crate::pass::Pass;
use crate::scalar::Scalar;
use dfdx::tensor::Tape;
use ksdsl_engine::{Exec, ops};

/// In a training pass, zeroes each element with probability `p` and scales the others by
/// `1 / (1 - p)` (Srivastava et al. 2014, inverted); the identity in inference.
pub fn dropout<S: ActShape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    pass: &mut Pass<E, D>,
    x: Act<S, E, D, T>,
    p: f64,
) -> Result<Act<S, E, D, T>, D::Err> {
    dropped(pass, x, p, ops::dropout)
}

/// In a training pass, zeroes each image with probability `p` and scales the others by `1 / (1 - p)` (Huang et al.
/// 2016, scaled as dropout is); the identity in inference.
pub fn stochastic_depth<S: ActShape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    pass: &mut Pass<E, D>,
    x: Act<S, E, D, T>,
    p: f64,
) -> Result<Act<S, E, D, T>, D::Err> {
    dropped(pass, x, p, ops::stochastic_depth)
}

/// What `run` makes of `x` with the next seed, in a training pass.
fn dropped<S: ActShape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    pass: &mut Pass<E, D>,
    x: Act<S, E, D, T>,
    p: f64,
    run: impl FnOnce(f64, u64, Untyped<E, D, T>) -> Result<Untyped<E, D, T>, <D::Exec as Exec<E>>::Err>,
) -> Result<Act<S, E, D, T>, D::Err> {
    if !pass.is_training() || p <= 0.0 {
        return Ok(x);
    }
    let seed = pass.dropout_seed();
    let shape = x.shape;
    x.then(shape, |x| run(p, seed, x))
}

/// Adds numbers of the normal distribution with a standard deviation of `std`, cut at three of them. In a training pass each
/// value gets its own; in inference they are a function of position and channel.
pub fn noise<S: ActShape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    pass: &mut Pass<E, D>,
    x: Act<S, E, D, T>,
    std: f64,
) -> Result<Act<S, E, D, T>, D::Err> {
    let seed = pass.is_training().then(|| pass.dropout_seed());
    let shape = x.shape;
    x.then(shape, |x| ops::noise(std, seed, x))
}
