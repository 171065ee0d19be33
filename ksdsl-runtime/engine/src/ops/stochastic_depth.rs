//! Stochastic depth.

use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Loops, View, operand};
use crate::real::Real;
use crate::tape::Tape;
use std::rc::Rc;

/// Zeroes each image with probability `p` and scales the others by `1 / (1 - p)` (Huang et al. 2016, scaled in training
/// as in [`dropout`](super::dropout())); `seed` decides which.
///
/// # Errors
/// If the executor fails.
pub fn stochastic_depth<E: Real, X: Exec<E>, T: Tape<E, X>>(
    p: f64,
    seed: u64,
    x: Act<E, X, T>,
) -> Result<Act<E, X, T>, X::Err> {
    let size = x.size;
    let (x, context, grad) = x.ready()?.into_values();
    let exec = &context.exec;
    let factors = exec.dropout(p, seed, exec.upload(vec![E::of(1.0); size.batch])?)?;
    let image = size.height * size.width * size.channels;
    let scaled = Loops {
        output: vec![size.batch, image],
        summed: Vec::new(),
        views: vec![View::steps([image, 1]), View::steps([1, 0])],
        // Less than positive is zero: infinity times 0 would be NaN.
        value: operand(1).if_positive(operand(0) * operand(1), operand(1)),
    };
    let y = exec.compute(&scaled, &[&x, &factors])?;
    drop(x);
    let backward = move |exec: &X, dy: X::Buf| grad.add(exec, exec.compute(&scaled, &[&dy, &factors])?);
    Ok(Act::output(context, size, Rc::new(y), backward))
}
