//! Maps to feature vectors.

use crate::act::{Act, ActShape, Flat, Map, has_one_layout, to_nchw, to_nhwc};
use crate::backend::Backend;
use crate::scalar::Scalar;
use dfdx::shapes::{Const, Dim};
use dfdx::tensor::Tape;
use std::rc::Rc;

/// Flattens maps in PyTorch's order (channel, row, column), so that the weights of a following
/// linear layer mean the same there.
pub fn flatten<
    B: Dim,
    const C: usize,
    const H: usize,
    const W: usize,
    const N: usize,
    E: Scalar,
    D: Backend<E>,
    T: Tape<E, D>,
>(
    x: Map<B, C, H, W, E, D, T>,
) -> Result<Flat<B, N, E, D, T>, D::Err> {
    const { assert!(N == C * H * W, "flattening keeps the number of elements") };
    let shape = x.shape;
    let x = x.ready()?;
    drop(x.saved);
    let y = if has_one_layout(shape.map_size()) {
        x.data
    } else {
        Rc::new(to_nchw(&x.context.device, &shape, Rc::unwrap_or_clone(x.data))?)
    };
    let grad = x.grad;
    let backward = move |device: &D, dy: D::Buf| {
        let dx = to_nhwc(device, &shape, dy)?;
        grad.add(device, dx)
    };
    Ok(Act::output(x.context, (shape.0, Const), y, backward))
}
