//! Attention over the positions of maps, and the embedding of positions.

use crate::act::Map;
use crate::backend::Backend;
use crate::param::ParamArg;
use crate::scalar::Scalar;
use dfdx::shapes::{Dim, Rank4};
use dfdx::tensor::Tape;
use ksdsl_engine::ops::{self, Operation};

/// Scaled dot-product attention with `HEADS` heads: PyTorch's `scaled_dot_product_attention`. The
/// tokens are the positions of maps, row by row; head `h` has the channels from
/// `h * channels / HEADS` on.
pub struct Attend<const HEADS: usize>;

impl<const HEADS: usize> Attend<HEADS> {
    /// What each query, a position of `q`, finds in the values `v` by the keys `k`.
    ///
    /// # Panics
    /// If batch sizes are known at run time only and differ (as dfdx's own operations do).
    pub fn apply<B: Dim, const C: usize, const H: usize, const W: usize, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
        q: Map<B, C, H, W, E, D, T>,
        k: Map<B, C, H, W, E, D, T>,
        v: Map<B, C, H, W, E, D, T>,
    ) -> Result<Map<B, C, H, W, E, D, T>, D::Err> {
        const {
            assert!(
                HEADS > 0 && C.is_multiple_of(HEADS),
                "the heads must divide the channels"
            );
        }
        let shape = q.shape;
        assert!(
            shape == k.shape && shape == v.shape,
            "queries, keys and values of different batch sizes"
        );
        q.then(shape, |q| ops::Attend::full(HEADS).run([q, k.untyped, v.untyped], []))
    }
}

/// Adds the map `weight` to each of `x` (Dosovitskiy et al. 2020, equation 1).
pub fn position_embedding<
    B: Dim,
    const C: usize,
    const H: usize,
    const W: usize,
    E: Scalar,
    D: Backend<E>,
    T: Tape<E, D>,
>(
    mut x: Map<B, C, H, W, E, D, T>,
    weight: impl ParamArg<Rank4<1, C, H, W>, E, D>,
) -> Result<Map<B, C, H, W, E, D, T>, D::Err> {
    let (shape, weight) = (x.shape, weight.bind(x.context_mut())?);
    x.then(shape, |x| ops::PositionEmbedding.run([x], [weight]))
}
