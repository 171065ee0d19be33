//! Attention over the positions of maps, and the embedding of positions.

use crate::act::{Act, ActShape, Flat, Map};
use crate::backend::Backend;
use crate::param::ParamArg;
use crate::scalar::Scalar;
use dfdx::shapes::{Dim, Rank2, Rank4};
use dfdx::tensor::Tape;
use ksdsl_engine::Param;
use ksdsl_engine::ops::composed::MaskedAttend;
use ksdsl_engine::ops::{self, Operation};

/// Scaled dot-product attention with `HEADS` heads: PyTorch's `scaled_dot_product_attention`. The
/// tokens are the positions of maps, row by row; head `h` has the channels from
/// `h * channels / HEADS` on. There are `KEY_HEADS` heads of keys and values, each of which serves as many heads of queries
/// (Ainslie et al. 2023). With a mask, if `CAUSAL`, a query sees only the keys up to its own position.
pub struct Attend<const HEADS: usize, const KEY_HEADS: usize, const CAUSAL: bool>;

impl<const HEADS: usize, const KEY_HEADS: usize, const CAUSAL: bool> Attend<HEADS, KEY_HEADS, CAUSAL> {
    /// What each query, a position of `q`, finds in the values `v` by the keys `k`, which may have other positions.
    ///
    /// # Panics
    /// If batch sizes are known at run time only and differ (as dfdx's own operations do).
    #[allow(clippy::type_complexity)]
    pub fn apply<
        B: Dim,
        const C: usize,
        const H: usize,
        const W: usize,
        const CK: usize,
        const HK: usize,
        const WK: usize,
        E: Scalar,
        D: Backend<E>,
        T: Tape<E, D>,
    >(
        q: Map<B, C, H, W, E, D, T>,
        k: Map<B, CK, HK, WK, E, D, T>,
        v: Map<B, CK, HK, WK, E, D, T>,
    ) -> Result<Map<B, C, H, W, E, D, T>, D::Err> {
        const {
            assert!(
                HEADS > 0 && C.is_multiple_of(HEADS),
                "the heads must divide the channels"
            );
            assert!(
                KEY_HEADS > 0 && HEADS.is_multiple_of(KEY_HEADS) && CK == C / HEADS * KEY_HEADS,
                "keys have the channels of their heads, which divide those of queries"
            );
            assert!(!CAUSAL || H * W == HK * WK, "a mask needs a key for each query");
        }
        let shape = q.shape;
        assert!(
            k.shape == v.shape && shape.0 == k.shape.0,
            "queries, keys and values of different batch sizes"
        );
        let attend = ops::Attend {
            heads: HEADS,
            key_heads: KEY_HEADS,
            causal: CAUSAL,
        };
        q.then(shape, |q| attend.run([q, k.untyped, v.untyped], []))
    }
}

/// Attention with masks, to the keys of each item up to its length if there are `lengths`.
///
/// # Panics
/// If the shapes are none of one attention, or batch sizes that are known at run time only differ.
pub fn masked_attend<S, K, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    operation: MaskedAttend,
    q: Act<S, E, D, T>,
    k: Act<K, E, D, T>,
    v: Act<K, E, D, T>,
    lengths: Option<Flat<S::Batch, 1, E, D, T>>,
) -> Result<Act<S, E, D, T>, D::Err>
where
    S: ActShape,
    K: ActShape<Batch = S::Batch>,
{
    run_masked(operation, q, [k, v], lengths, Vec::new())
}

/// As [`masked_attend`], with a bias for each distance between two positions of a grid and each head.
///
/// # Panics
/// As [`masked_attend`].
pub fn biased_attend<const R: usize, const HEADS: usize, S, K, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    operation: MaskedAttend,
    mut q: Act<S, E, D, T>,
    k: Act<K, E, D, T>,
    v: Act<K, E, D, T>,
    lengths: Option<Flat<S::Batch, 1, E, D, T>>,
    biases: impl ParamArg<Rank2<R, HEADS>, E, D>,
) -> Result<Act<S, E, D, T>, D::Err>
where
    S: ActShape,
    K: ActShape<Batch = S::Batch>,
{
    let biases = biases.bind(q.context_mut())?;
    run_masked(operation, q, [k, v], lengths, vec![biases])
}

fn run_masked<S, K, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    operation: MaskedAttend,
    q: Act<S, E, D, T>,
    [k, v]: [Act<K, E, D, T>; 2],
    lengths: Option<Flat<S::Batch, 1, E, D, T>>,
    params: Vec<Param<E, D::Exec>>,
) -> Result<Act<S, E, D, T>, D::Err>
where
    S: ActShape,
    K: ActShape<Batch = S::Batch>,
{
    let (shape, keys) = (q.shape, k.shape.map_size());
    let (queries, batch) = (shape.map_size(), lengths.as_ref().map(|n| n.shape.map_size().batch));
    assert!(
        keys.channels * operation.heads == queries.channels * operation.key_heads,
        "keys have the channels of their heads"
    );
    assert!(
        keys == v.shape.map_size()
            && [Some(keys.batch), batch]
                .iter()
                .flatten()
                .all(|batch| *batch == queries.batch),
        "queries, keys and values of different batch sizes"
    );
    let others = [k.untyped, v.untyped].into_iter().chain(lengths.map(|n| n.untyped));
    q.then(shape, |q| {
        operation.run(std::iter::once(q).chain(others).collect(), params)
    })
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
    x.then(shape, |x| ops::PositionEmbedding { tokens: false }.run([x], [weight]))
}

/// Adds the rows of `weight` to the tokens of each of `x`.
pub fn position_embedding_of_tokens<B: Dim, const L: usize, const C: usize, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    mut x: Map<B, C, 1, L, E, D, T>,
    weight: impl ParamArg<Rank2<L, C>, E, D>,
) -> Result<Map<B, C, 1, L, E, D, T>, D::Err> {
    let (shape, weight) = (x.shape, weight.bind(x.context_mut())?);
    x.then(shape, |x| ops::PositionEmbedding { tokens: true }.run([x], [weight]))
}
