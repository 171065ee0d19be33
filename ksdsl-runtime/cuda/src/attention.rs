//! Attention: products by cuBLAS around a softmax of our own. Images are taken some at a time, so
//! that the weights of all heads, whose number grows with the square of the tokens, fit in memory.

use super::buf::CudaBuf;
use super::gpu::{Gpu, Matrix, Product};
use super::grid::Grid;
use super::layers::{Done, int, long};
use super::real::CudaReal;
use super::source::Arg;
use ksdsl_engine::size::AttentionSize;
use std::ops::Range;

/// Most bytes of weights at a time.
const WEIGHT_BYTES: usize = 256 << 20;

/// The matrices of some images: weights `[head][image][query][key]`.
struct Heads<E> {
    size: AttentionSize,
    images: Range<usize>,
    element: std::marker::PhantomData<E>,
}

/// Sizes of a product: rows, columns, and products of a sum.
type Sides = [usize; 3];

impl<E: CudaReal> Heads<E> {
    fn runs(size: AttentionSize) -> impl Iterator<Item = Self> {
        let image = size.heads * size.queries * size.keys * size_of::<E>();
        let each = (WEIGHT_BYTES / image.max(1)).max(1);
        (0..size.batch).step_by(each).map(move |first| Self {
            size,
            images: first..size.batch.min(first + each),
            element: std::marker::PhantomData,
        })
    }

    /// Rows of weights.
    fn rows(&self) -> usize {
        self.size.heads * self.images.len() * self.size.queries
    }

    fn scratch(&self, like: &CudaBuf<E>) -> Done<CudaBuf<E>> {
        like.gpu().scratch(self.rows() * self.size.keys)
    }

    /// The channels of a head of queries, for all images of the run.
    fn queries(&self, buf: &CudaBuf<E>, head: usize) -> Matrix {
        self.map(buf, [self.size.queries, self.size.channels], head)
    }

    /// The channels of the head of keys, or of values, that a head of queries reads.
    fn keys(&self, buf: &CudaBuf<E>, head: usize) -> Matrix {
        let sizes = [self.size.keys, self.size.key_channels()];
        self.map(buf, sizes, head / self.size.group())
    }

    fn map(&self, buf: &CudaBuf<E>, [tokens, channels]: [usize; 2], head: usize) -> Matrix {
        let first = self.images.start * tokens * channels + head * self.size.depth();
        Matrix {
            at: buf.at() + (first * size_of::<E>()) as u64,
            pitch: channels,
            transposed: false,
            step: tokens * channels,
        }
    }

    fn weights(&self, buf: &CudaBuf<E>, head: usize) -> Matrix {
        let image = self.size.queries * self.size.keys;
        Matrix {
            at: buf.at() + (head * self.images.len() * image * size_of::<E>()) as u64,
            pitch: self.size.keys,
            transposed: false,
            step: image,
        }
    }

    /// `c = a b` for all images.
    fn product(&self, gpu: &Gpu, sides: Sides, factors: [Matrix; 3]) -> Done<()> {
        self.product_onto(gpu, sides, factors, false)
    }

    /// `c = a b`, or `c += a b`, for all images.
    fn product_onto(&self, gpu: &Gpu, [rows, columns, inner]: Sides, [a, b, c]: [Matrix; 3], add: bool) -> Done<()> {
        gpu.product::<E>(Product {
            rows,
            columns,
            inner,
            a,
            b,
            c,
            alpha: 1.0,
            add,
            batch: self.images.len(),
        })
    }

    /// `p = softmax(q k' / sqrt(depth))` of all heads.
    fn attend(&self, q: &CudaBuf<E>, k: &CudaBuf<E>) -> Done<CudaBuf<E>> {
        let weights = self.scratch(q)?;
        let AttentionSize { queries, keys, .. } = self.size;
        for head in 0..self.size.heads {
            let (q, k) = (self.queries(q, head), transposed(self.keys(k, head)));
            let sides = [queries, keys, self.size.depth()];
            self.product(weights.gpu(), sides, [q, k, self.weights(&weights, head)])?;
        }
        self.for_rows("softmax", &[&weights])?;
        Ok(weights)
    }

    /// Runs a kernel on the rows of these weights.
    fn for_rows(&self, kernel: &'static str, weights: &[&CudaBuf<E>]) -> Done<()> {
        let scale = E::of(1.0 / (self.size.depth() as f64).sqrt());
        // Row `r` is query `r % queries`; it sees that many keys and one more, or all.
        let causal_rows = if self.size.causal { self.size.queries } else { 0 };
        let mut args = vec![
            long(self.rows()),
            int(self.size.keys),
            int(causal_rows),
            Arg::Real(scale),
        ];
        args.extend(weights.iter().map(|weights| weights.arg()));
        weights[0].gpu().launch::<E>(kernel, Grid::warps(self.rows()), &args)
    }
}

fn transposed(matrix: Matrix) -> Matrix {
    Matrix {
        transposed: true,
        ..matrix
    }
}

pub(super) fn forward<E: CudaReal>(size: AttentionSize, [q, k, v]: [&CudaBuf<E>; 3]) -> Done<CudaBuf<E>> {
    let y = q.gpu().scratch(size.len())?;
    for run in Heads::runs(size) {
        let p = run.attend(q, k)?;
        for head in 0..size.heads {
            let factors = [run.weights(&p, head), run.keys(v, head), run.queries(&y, head)];
            run.product(y.gpu(), [size.queries, size.depth(), size.keys], factors)?;
        }
    }
    Ok(y)
}

pub(super) fn backward<E: CudaReal>(
    size: AttentionSize,
    [q, k, v]: [&CudaBuf<E>; 3],
    dy: &CudaBuf<E>,
) -> Done<[CudaBuf<E>; 3]> {
    let gpu = q.gpu();
    let [dq, dk, dv] = [
        gpu.scratch(size.len())?,
        gpu.scratch(size.key_len())?,
        gpu.scratch(size.key_len())?,
    ];
    let (queries, keys, depth) = (size.queries, size.keys, size.depth());
    // What the heads of queries that share one of keys add to it: the first overwrites.
    let shares = |head: usize| !head.is_multiple_of(size.group());
    for run in Heads::runs(size) {
        let (p, ds) = (run.attend(q, k)?, run.scratch(q)?);
        for head in 0..size.heads {
            let (weights, above) = (run.weights(&p, head), run.queries(dy, head));
            let factors = [transposed(weights), above, run.keys(&dv, head)];
            run.product_onto(gpu, [keys, depth, queries], factors, shares(head))?;
            let factors = [above, transposed(run.keys(v, head)), run.weights(&ds, head)];
            run.product(gpu, [queries, keys, depth], factors)?;
        }
        run.for_rows("softmax_backward", &[&p, &ds])?;
        for head in 0..size.heads {
            let scores = run.weights(&ds, head);
            let factors = [scores, run.keys(k, head), run.queries(&dq, head)];
            run.product(gpu, [queries, depth, keys], factors)?;
            let factors = [transposed(scores), run.queries(q, head), run.keys(&dk, head)];
            run.product_onto(gpu, [keys, depth, queries], factors, shares(head))?;
        }
    }
    Ok([dq, dk, dv])
}
