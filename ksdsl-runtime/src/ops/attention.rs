//! Attention over the positions of maps, and the embedding of positions.

use crate::act::{Act, ActShape, Map, has_one_layout};
use crate::backend::Backend;
use crate::geometry::{AttentionSize, MapSize, RowSize};
use crate::param::{Param, ParamArg};
use crate::scalar::Scalar;
use dfdx::shapes::{Dim, Rank4};
use dfdx::tensor::Tape;
use std::borrow::Cow;
use std::rc::Rc;

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
        let size = AttentionSize {
            batch: shape.0.size(),
            tokens: H * W,
            channels: C,
            heads: HEADS,
        };
        let (q, k, v) = (q.ready()?, k.ready()?, v.ready()?);
        let saved = T::OWNS_TAPE.then_some([q.saved, k.saved, v.saved]);
        let grads = [q.grad, k.grad, v.grad];
        let context = q.context.merge(k.context).merge(v.context);
        let y = context.device.attention_forward(size, &q.data, &k.data, &v.data)?;
        let backward = move |device: &D, dy: D::Buf| {
            let Some([q, k, v]) = saved else { return Ok(()) };
            let (q, k, v) = (q.get(device)?, k.get(device)?, v.get(device)?);
            let gradients = device.attention_backward(size, &q, &k, &v, &dy)?;
            for (grad, gradient) in grads.iter().zip(gradients) {
                grad.add(device, gradient)?;
            }
            Ok(())
        };
        Ok(Act::output(context, shape, Rc::new(y), backward))
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
    x: Map<B, C, H, W, E, D, T>,
    weight: impl ParamArg<Rank4<1, C, H, W>, E, D>,
) -> Result<Map<B, C, H, W, E, D, T>, D::Err> {
    let map = MapSize {
        batch: 1,
        ..x.shape.map_size()
    };
    let rows = RowSize {
        rows: x.shape.0.size(),
        channels: map.len(),
    };
    let mut x = x.ready()?;
    drop(x.saved);
    let weight = weight.bind(&mut x.context)?;
    let device = &x.context.device;
    let embedding = if has_one_layout(map) {
        Cow::Borrowed(weight.values())
    } else {
        Cow::Owned(device.nchw_to_nhwc(map, weight.values())?)
    };
    let y = device.add_to_rows(rows, Rc::unwrap_or_clone(x.data), &embedding)?;
    drop(embedding);
    let grad = x.grad;
    let backward = move |device: &D, dy: D::Buf| {
        embedding_backward(device, map, rows, &weight, &dy)?;
        grad.add(device, dy)
    };
    Ok(Act::output(x.context, x.shape, Rc::new(y), backward))
}

/// Adds the sums of `dy` over the images to the gradient of an embedding.
fn embedding_backward<E: Scalar, D: Backend<E>>(
    device: &D,
    map: MapSize,
    rows: RowSize,
    weight: &Param<E, D>,
    dy: &D::Buf,
) -> Result<(), D::Err> {
    weight.accumulate_values(device, |dweight| {
        if has_one_layout(map) {
            return device.bias_backward(rows, dy, dweight);
        }
        let mut sums = Backend::zeroed(device, map.len())?;
        device.bias_backward(rows, dy, &mut sums)?;
        let sums = device.nhwc_to_nchw(map, &sums)?;
        device.bias_backward(RowSize { rows: 1, ..rows }, &sums, dweight)
    })
}
