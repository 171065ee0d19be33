//! Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1), one head of one image at a time.
//!
//! With the queries `Q`, keys `K` and values `V` of a head, `[tokens][depth]` each: the weights are
//! `P = softmax(Q K^T / sqrt(depth))` row by row, the output is `P V`. Queries are taken in blocks
//! whose weights stay in the cache. The backward pass makes the weights again from queries and keys,
//! bit by bit the same, rather than keep them: they grow with the square of the tokens.

use super::CpuBuf;
use super::gemm::Mat;
use super::gemm::{Packed, Start as From, add_transposed, packed_room, product, transposed_scratch};
use super::par::{self, Cut, Start};
use super::simd::Level;
use crate::real::CpuReal;
use ksdsl_engine::size::AttentionSize;
use std::ops::Range;

/// Weights of a block of queries: in `f32`, with as many gradients, half of an L2 cache at most.
const BLOCK: usize = 1 << 15;
/// Queries of a block, at least.
const LEAST: usize = 8;
/// Sums that are gathered side by side, so that loops become vectors of any width.
const SUMS: usize = 16;

/// One head of one image in an NHWC map: some columns of some rows.
#[derive(Clone, Copy)]
struct Head {
    /// Its first element.
    first: usize,
    tokens: usize,
    /// Its columns.
    depth: usize,
    /// Elements from row to row.
    stride: usize,
}

impl Head {
    fn new(size: &AttentionSize, index: usize) -> Self {
        let (image, head) = (index / size.heads, index % size.heads);
        Self {
            first: image * size.tokens * size.channels + head * size.depth(),
            tokens: size.tokens,
            depth: size.depth(),
            stride: size.channels,
        }
    }

    fn rows<E>(self, map: &[E], rows: Range<usize>) -> Mat<'_, E> {
        let first = self.first + rows.start * self.stride;
        Mat::new(&map[first..], rows.len(), self.depth, self.stride)
    }

    fn all<E>(self, map: &[E]) -> Mat<'_, E> {
        self.rows(map, 0..self.tokens)
    }

    /// Blocks of queries.
    fn blocks(self) -> impl Iterator<Item = Range<usize>> {
        let Self { tokens, .. } = self;
        let block = self.block();
        (0..tokens)
            .step_by(block)
            .map(move |first| first..tokens.min(first + block))
    }

    /// Queries of a block.
    fn block(self) -> usize {
        (BLOCK / self.tokens.max(1)).max(LEAST).min(self.tokens).max(1)
    }

    /// What keys transposed, values (or keys) and values transposed take as factors.
    fn factors(self, level: Level) -> [usize; 3] {
        let (rows, columns) = ([self.tokens, self.depth], [self.depth, self.tokens]);
        [columns, rows, columns].map(|sizes| packed_room(level, sizes))
    }

    /// Elements of the weights and of the output rows of a block, and of a gradient.
    fn lengths(self) -> [usize; 3] {
        let Self { tokens, depth, .. } = self;
        [self.block() * tokens, self.block() * depth, tokens * depth]
    }

    fn scale<E: CpuReal>(self) -> E {
        E::of(1.0 / (self.depth as f64).sqrt())
    }
}

/// The scratch of a head in the forward pass: factors, weights, output rows.
pub(super) fn forward_scratch(level: Level, size: &AttentionSize) -> [usize; 4] {
    let head = Head::new(size, 0);
    let [keys, values, _] = head.factors(level);
    let [weights, rows, _] = head.lengths();
    [keys, values, weights, rows]
}

/// The scratch of a head in the backward pass: factors, weights and slopes, rows and gradients, then that of the products
/// that are added to gradients.
pub(super) fn backward_scratch(level: Level, size: &AttentionSize) -> [usize; 10] {
    let head = Head::new(size, 0);
    let [keys, rows_of_keys, values] = head.factors(level);
    let [weights, rows, gradient] = head.lengths();
    let [panels, strip] = transposed_scratch(level, head.block(), head.tokens, [head.depth, head.stride]);
    [
        keys,
        values,
        rows_of_keys,
        weights,
        weights,
        rows,
        gradient,
        gradient,
        panels,
        strip,
    ]
}

/// A map whose heads are written by different tasks.
struct Heads<E> {
    start: Start<E>,
    len: usize,
}

impl<E: CpuReal> Heads<E> {
    /// # Safety
    /// `map` must be used through the result only, as long as that is used.
    unsafe fn of(map: &mut [E]) -> Self {
        Self {
            start: Start(map.as_mut_ptr()),
            len: map.len(),
        }
    }

    /// Writes rows of a head, from `first` on.
    ///
    /// # Safety
    /// No other thread may use this head meanwhile.
    unsafe fn write(&self, head: Head, first: usize, rows: &[E]) {
        for (row, from) in rows.chunks_exact(head.depth).enumerate() {
            let at = head.first + (first + row) * head.stride;
            assert!(at + head.depth <= self.len, "a head lies outside its map");
            // SAFETY: inside the map, as asserted; the head is this thread's, as the caller vouches,
            // and the columns of other heads are not touched.
            unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), self.start.at(at), head.depth) }
        }
    }
}

/// Calls `task` for every head of every image, in parallel.
fn for_heads(size: &AttentionSize, task: impl Fn(Head) + Sync) {
    par::for_ranges(Cut::new(size.batch * size.heads, 1), |index| {
        task(Head::new(size, index.start))
    });
}

pub(super) fn forward<E: CpuReal>(size: AttentionSize, q: &[E], k: &[E], v: &[E]) -> CpuBuf<E> {
    let mut y = CpuBuf::scratch(size.len());
    // SAFETY: `y` is not used until all tasks are done.
    let heads = unsafe { Heads::of(&mut y) };
    for_heads(&size, |head| {
        let depth = head.depth;
        let keys = Packed::new(head.all(k).transposed());
        let values = Packed::new(head.all(v));
        let [weights, rows_of_y, _] = head.lengths();
        let [mut weights, mut rows_of_y] = [weights, rows_of_y].map(CpuBuf::scratch);
        for rows in head.blocks() {
            let (first, count) = (rows.start, rows.len());
            let weights = weights_of(head, head.rows(q, rows), &keys, &mut weights);
            product(&mut rows_of_y, depth, From::Zero, weights, &values);
            // SAFETY: each head is one task's.
            unsafe { heads.write(head, first, &rows_of_y[..count * depth]) };
        }
    });
    y
}

/// The gradients with respect to queries, keys and values: with `dP = dY V^T` and
/// `dS = P (dP - rowsum(P dP)) / sqrt(depth)`, products element by element,
/// `dQ = dS K`, `dK = dS^T Q` and `dV = P^T dY`.
pub(super) fn backward<E: CpuReal>(size: AttentionSize, q: &[E], k: &[E], v: &[E], dy: &[E]) -> [CpuBuf<E>; 3] {
    let mut gradients = [(); 3].map(|()| CpuBuf::scratch(size.len()));
    // SAFETY: the gradients are not used until all tasks are done.
    let [dq, dk, dv] = gradients.each_mut().map(|map| unsafe { Heads::of(map) });
    for_heads(&size, |head| {
        let (tokens, depth) = (head.tokens, head.depth);
        let keys = Packed::new(head.all(k).transposed());
        let values = Packed::new(head.all(v).transposed());
        let rows_of_keys = Packed::new(head.all(k));
        let [weights, rows_of_dq, gradient] = head.lengths();
        let [mut weights, mut slopes, mut rows_of_dq] = [weights, weights, rows_of_dq].map(CpuBuf::scratch);
        let [mut head_dk, mut head_dv] = [gradient; 2].map(CpuBuf::zeros);
        for rows in head.blocks() {
            let (first, count) = (rows.start, rows.len());
            let (q, dy) = (head.rows(q, rows.clone()), head.rows(dy, rows));
            let weights = weights_of(head, q, &keys, &mut weights);
            add_transposed(&mut head_dv, depth, weights, dy);
            product(&mut slopes, tokens, From::Zero, dy, &values);
            let slopes = &mut slopes[..count * tokens];
            softmax_backward(weights.values, slopes, tokens, head.scale());
            let slopes = Mat::new(slopes, count, tokens, tokens);
            add_transposed(&mut head_dk, depth, slopes, q);
            product(&mut rows_of_dq, depth, From::Zero, slopes, &rows_of_keys);
            // SAFETY: each head is one task's.
            unsafe { dq.write(head, first, &rows_of_dq[..count * depth]) };
        }
        // SAFETY: as above.
        unsafe {
            dk.write(head, 0, &head_dk);
            dv.write(head, 0, &head_dv);
        }
    });
    gradients
}

/// The weights of some queries, in `buffer`.
fn weights_of<'b, E: CpuReal>(head: Head, queries: Mat<'_, E>, keys: &Packed<E>, buffer: &'b mut [E]) -> Mat<'b, E> {
    let (count, tokens) = (queries.rows, head.tokens);
    let weights = &mut buffer[..count * tokens];
    product(weights, tokens, From::Zero, queries, keys);
    let scale = head.scale();
    Level::current().vectorised(
        #[inline(always)]
        || {
            weights.chunks_exact_mut(tokens).for_each(|row| softmax(row, scale));
        },
    );
    Mat::new(weights, count, tokens, tokens)
}

/// The softmax of a row times `scale`: the greatest value becomes `exp(0)`, so none overflows.
#[inline(always)]
fn softmax<E: CpuReal>(row: &mut [E], scale: E) {
    let greatest = reduce(row, E::neg_infinity(), |a, b| if b > a { b } else { a });
    row.iter_mut().for_each(|x| *x = ((*x - greatest) * scale).plain_exp());
    let inverse = E::one() / reduce(row, E::zero(), |a, b| a + b);
    row.iter_mut().for_each(|x| *x *= inverse);
}

/// `slopes = weights * (slopes - rowsum(weights * slopes)) * scale`.
fn softmax_backward<E: CpuReal>(weights: &[E], slopes: &mut [E], tokens: usize, scale: E) {
    Level::current().vectorised(
        #[inline(always)]
        || {
            for (weights, slopes) in weights.chunks_exact(tokens).zip(slopes.chunks_exact_mut(tokens)) {
                let mean = dot(weights, slopes);
                for (slope, &weight) in slopes.iter_mut().zip(weights) {
                    *slope = weight * (*slope - mean) * scale;
                }
            }
        },
    );
}

/// `f` over a row, in [`SUMS`] parts that are joined in the end.
#[inline(always)]
fn reduce<E: CpuReal>(row: &[E], start: E, f: impl Fn(E, E) -> E) -> E {
    let mut parts = [start; SUMS];
    let whole = row.chunks_exact(SUMS);
    let rest = whole.remainder();
    for values in whole {
        parts
            .iter_mut()
            .zip(values)
            .for_each(|(part, &value)| *part = f(*part, value));
    }
    parts
        .iter_mut()
        .zip(rest)
        .for_each(|(part, &value)| *part = f(*part, value));
    parts.into_iter().fold(start, f)
}

/// The sum of the products of two rows, in [`SUMS`] parts.
#[inline(always)]
fn dot<E: CpuReal>(a: &[E], b: &[E]) -> E {
    let mut parts = [E::zero(); SUMS];
    for (a, b) in a.chunks(SUMS).zip(b.chunks(SUMS)) {
        for (part, (&a, &b)) in parts.iter_mut().zip(a.iter().zip(b)) {
            *part += a * b;
        }
    }
    parts.into_iter().fold(E::zero(), |a, b| a + b)
}
