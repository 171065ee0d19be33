//! Maps to feature vectors.

use crate::act::{Flat, Map};
use crate::backend::Backend;
use crate::scalar::Scalar;
use dfdx::shapes::{Const, Dim};
use dfdx::tensor::Tape;
use ksdsl_engine::ops::{self, Operation};

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
    let shape = (x.shape.0, Const);
    x.then(shape, |x| ops::Flatten.run([x], []))
}
