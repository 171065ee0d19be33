//! Dropout.

use crate::act::Act;
use crate::backend::Backend;
use crate::pass::Pass;
use crate::scalar::Scalar;
use dfdx::shapes::Shape;
use dfdx::tensor::Tape;
use std::rc::Rc;

/// In a training pass, zeroes each element with probability `p` and scales the others by
/// `1 / (1 - p)` (Srivastava et al. 2014, inverted); the identity in inference.
pub fn dropout<S: Shape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    pass: &mut Pass<E, D>,
    x: Act<S, E, D, T>,
    p: f64,
) -> Result<Act<S, E, D, T>, D::Err> {
    if !pass.is_training() || p <= 0.0 {
        return Ok(x);
    }
    let seed = pass.dropout_seed();
    let x = x.ready()?;
    drop(x.saved);
    let grad = x.grad;
    let y = x.context.device.dropout(p, seed, Rc::unwrap_or_clone(x.data))?;
    let backward = move |device: &D, dy: D::Buf| {
        let dx = device.dropout(p, seed, dy)?;
        grad.add(device, dx)
    };
    Ok(Act::output(x.context, x.shape, Rc::new(y), backward))
}
