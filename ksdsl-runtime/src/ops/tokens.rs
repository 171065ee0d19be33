//! Sequences: embeddings of token ids, and a token before the others.

use crate::act::{Flat, Map};
use crate::backend::Backend;
use crate::param::ParamArg;
use crate::scalar::Scalar;
use dfdx::shapes::{Const, Dim, Rank2};
use dfdx::tensor::Tape;
use ksdsl_engine::ops::{self, Operation};
use ksdsl_engine::size::MapSize;

/// The rows of a table that token ids name: PyTorch's `nn.Embedding`. An id that is no row of it is an error.
pub fn embedding<B: Dim, const L: usize, const V: usize, const C: usize, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    mut ids: Flat<B, L, E, D, T>,
    table: impl ParamArg<Rank2<V, C>, E, D>,
) -> Result<Map<B, C, 1, L, E, D, T>, D::Err> {
    let table = table.bind(ids.context_mut())?;
    let shape = (ids.shape.0, Const, Const, Const);
    let operation = ops::Embedding {
        vocabulary: V,
        features: C,
    };
    ids.then(shape, |mut ids| {
        // A token each, where a vector is one token of all its values.
        ids.size = MapSize {
            width: L,
            channels: 1,
            ..ids.size
        };
        operation.run([ids], [table])
    })
}

/// The token `weight`, then those of `x`.
pub fn class_token<B: Dim, const C: usize, const L: usize, const L2: usize, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    mut x: Map<B, C, 1, L, E, D, T>,
    weight: impl ParamArg<Rank2<1, C>, E, D>,
) -> Result<Map<B, C, 1, L2, E, D, T>, D::Err> {
    const { assert!(L2 == L + 1, "there is one token more") };
    let weight = weight.bind(x.context_mut())?;
    let shape = (x.shape.0, Const, Const, Const);
    x.then(shape, |x| ops::PrependToken.run([x], [weight]))
}
