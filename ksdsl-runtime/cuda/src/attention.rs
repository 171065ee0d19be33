//! Attention: products by cuBLAS around a softmax of our own. Images are taken some at a time, so
//! that the weights of all heads, whose number grows with the square of the tokens, fit in memory.

use super::buf::CudaBuf;
use super::gpu::{Matrix, Product};
use super::grid::Grid;
use super::layers::{Done, int, long};
use super::real::CudaReal;
use super::source::Arg;
use ksdsl_engine::size::AttentionSize;
use std::ops::Range;

/// Most bytes of weights at a time.
const WEIGHT_BYTES: usize = 256 << 20;

/// The matrices of some images: weights `[head][image][token][token]`.
struct Heads<E> {
    size: AttentionSize,
    images: Range<usize>,
    element: std::marker::PhantomData<E>,
}

impl<E: CudaReal> Heads<E> {
    fn runs(size: AttentionSize) -> impl Iterator<Item = Self> {
        let image = size.heads * size.tokens * size.tokens * size_of::<E>();
        let each = (WEIGHT_BYTES / image.max(1)).max(1);
        (0..size.batch).step_by(each).map(move |first| Self {
            size,
            images: first..size.batch.min(first + each),
            element: std::marker::PhantomData,
        })
    }

    /// Rows of weights.
    fn rows(&self) -> usize {
        self.size.heads * self.images.len() * self.size.tokens
    }

    fn scratch(&self, like: &CudaBuf<E>) -> Done<CudaBuf<E>> {
        like.gpu().scratch(self.rows() * self.size.tokens)
    }

    /// The channels of a head, for all images of the run.
    fn map(&self, buf: &CudaBuf<E>, head: usize) -> Matrix {
        let size = self.size;
        let first = self.images.start * size.tokens * size.channels + head * size.depth();
        Matrix {
            at: buf.at() + (first * size_of::<E>()) as u64,
            pitch: size.channels,
            transposed: false,
            step: size.tokens * size.channels,
        }
    }

    fn weights(&self, buf: &CudaBuf<E>, head: usize) -> Matrix {
        let (tokens, image) = (self.size.tokens, self.size.tokens * self.size.tokens);
        Matrix {
            at: buf.at() + (head * self.images.len() * image * size_of::<E>()) as u64,
            pitch: tokens,
            transposed: false,
            step: image,
        }
    }

    /// `c = a b` with `columns` columns and sums of `inner` products, for all images.
    fn product(&self, buf: &CudaBuf<E>, [columns, inner]: [usize; 2], [a, b, c]: [Matrix; 3]) -> Done<()> {
        buf.gpu().product::<E>(Product {
            rows: self.size.tokens,
            columns,
            inner,
            a,
            b,
            c,
            alpha: 1.0,
            add: false,
            batch: self.images.len(),
        })
    }

    /// `p = softmax(q k' / sqrt(depth))` of all heads.
    fn attend(&self, q: &CudaBuf<E>, k: &CudaBuf<E>) -> Done<CudaBuf<E>> {
        let weights = self.scratch(q)?;
        let (tokens, depth) = (self.size.tokens, self.size.depth());
        for head in 0..self.size.heads {
            let (q, k) = (self.map(q, head), transposed(self.map(k, head)));
            self.product(&weights, [tokens, depth], [q, k, self.weights(&weights, head)])?;
        }
        let args = [long(self.rows()), int(tokens), self.scale(), weights.arg()];
        weights.gpu().launch::<E>("softmax", Grid::warps(self.rows()), &args)?;
        Ok(weights)
    }

    fn scale(&self) -> Arg<E> {
        Arg::Real(E::of(1.0 / (self.size.depth() as f64).sqrt()))
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
            let factors = [run.weights(&p, head), run.map(v, head), run.map(&y, head)];
            run.product(&y, [size.depth(), size.tokens], factors)?;
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
        gpu.scratch(size.len())?,
        gpu.scratch(size.len())?,
    ];
    let (tokens, depth) = (size.tokens, size.depth());
    for run in Heads::runs(size) {
        let (p, ds) = (run.attend(q, k)?, run.scratch(q)?);
        for head in 0..size.heads {
            let (weights, above) = (run.weights(&p, head), run.map(dy, head));
            run.product(&p, [depth, tokens], [transposed(weights), above, run.map(&dv, head)])?;
            let factors = [above, transposed(run.map(v, head)), run.weights(&ds, head)];
            run.product(&p, [tokens, depth], factors)?;
        }
        let args = [long(run.rows()), int(tokens), run.scale(), p.arg(), ds.arg()];
        gpu.launch::<E>("softmax_backward", Grid::warps(run.rows()), &args)?;
        for head in 0..size.heads {
            let scores = run.weights(&ds, head);
            run.product(&p, [depth, tokens], [scores, run.map(k, head), run.map(&dq, head)])?;
            run.product(
                &p,
                [depth, tokens],
                [transposed(scores), run.map(q, head), run.map(&dk, head)],
            )?;
        }
    }
    Ok([dq, dk, dv])
}
