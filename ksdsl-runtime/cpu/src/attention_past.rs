//! Causal attention of the last positions of a sequence to all of it, whose keys and values are kept.
//!
//! There are few queries, mostly one, so keys and values are read where they lie, once for each head of queries, and
//! nothing is packed: what [`super::attention`] does pays for many queries only.

use super::CpuBuf;
use super::attention::{dot, softmax};
use super::par::{self, Cut};
use crate::real::CpuReal;
use ksdsl_engine::size::AttentionSize;

/// Least multiply-adds of a task: a few microseconds.
const LEAST_PRODUCTS: usize = 1 << 15;

/// Heads of a task.
fn task(size: &AttentionSize) -> usize {
    let products = 2 * size.keys * size.depth();
    LEAST_PRODUCTS.div_ceil(products.max(1))
}

/// The output, of queries that are the last positions.
pub(super) fn forward<E: CpuReal>(size: AttentionSize, q: &[E], k: &[E], v: &[E]) -> CpuBuf<E> {
    let (depth, past) = (size.depth(), size.keys - size.queries);
    let mut y = CpuBuf::scratch(size.len());
    // A row is a head of a query.
    par::for_cut(
        &mut y,
        depth,
        Cut::new(size.queries * size.heads, task(&size)),
        #[inline(always)]
        |first, part| {
            let mut weights = CpuBuf::scratch(size.keys);
            for (row, y) in (first..).zip(part.chunks_exact_mut(depth.max(1))) {
                let (query, head) = (row / size.heads, row % size.heads);
                let weights = &mut weights[..past + query + 1];
                let q = &q[row * depth..(row + 1) * depth];
                attend(&size, head / size.group(), q, [k, v], weights, y);
            }
        },
    );
    y
}

/// One query of one head.
#[inline(always)]
fn attend<E: CpuReal>(
    size: &AttentionSize,
    key_head: usize,
    q: &[E],
    [k, v]: [&[E]; 2],
    weights: &mut [E],
    y: &mut [E],
) {
    let (depth, stride) = (q.len(), size.key_channels());
    let rows = |map: &'_ [E]| -> std::iter::StepBy<std::ops::Range<usize>> {
        (key_head * depth..map.len()).step_by(stride.max(1))
    };
    for (weight, at) in weights.iter_mut().zip(rows(k)) {
        *weight = dot(q, &k[at..at + depth]);
    }
    softmax(weights, weights.len(), E::of(1.0 / (depth as f64).sqrt()));
    y.fill(E::zero());
    for (&weight, at) in weights.iter().zip(rows(v)) {
        for (y, &v) in y.iter_mut().zip(&v[at..at + depth]) {
            *y += weight * v;
        }
    }
}
