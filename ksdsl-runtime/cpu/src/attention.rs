//! Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1), one head of one image at a time.
//!
//! With the queries `Q`, keys `K` and values `V` of a head, `[tokens][depth]` each: the weights are
//! `P = softmax(Q K^T / sqrt(depth))` row by row, the output is `P V`. Queries are taken in blocks
//! whose weights stay in the cache. The backward pass makes the weights again from queries and keys,
//! bit by bit the same, rather than keep them: they grow with the square of the tokens.
//!
//! In causal attention the products of a block stop at the last key that any of its queries sees. Where several heads of
//! queries share one of keys and values, the forward pass has a task for each of the former, and the backward pass one
//! for each of the latter, which adds the gradients of its heads of queries in their order.

use super::CpuBuf;
use super::gemm::Mat;
use super::gemm::{Packed, Start as From, add_transposed, leading_product, packed_room, transposed_scratch};
use super::par::{self, Cut, Start};
use super::simd::Level;
use crate::real::CpuReal;
use ksdsl_engine::size::AttentionSize;
use std::ops::Range;

/// Weights of a block of queries: in `f32`, with as many gradients, half of an L2 cache at most.
const BLOCK: usize = 1 << 15;
/// Queries of a block, at least.
const LEAST: usize = 8;
/// Queries of a block of causal attention, at most, in whole tiles: products of a block have all keys that one of its
/// queries sees.
const CAUSAL: usize = 24;
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
    /// The head with this number, counted over all images, of maps with so many heads.
    fn new(index: usize, heads: usize, tokens: usize, depth: usize) -> Self {
        let (image, head) = (index / heads.max(1), index % heads.max(1));
        let stride = heads * depth;
        Self {
            first: image * tokens * stride + head * depth,
            tokens,
            depth,
            stride,
        }
    }

    fn rows<E>(self, map: &[E], rows: Range<usize>) -> Mat<'_, E> {
        let first = self.first + rows.start * self.stride;
        Mat::new(&map[first..], rows.len(), self.depth, self.stride)
    }

    fn all<E>(self, map: &[E]) -> Mat<'_, E> {
        self.rows(map, 0..self.tokens)
    }
}

/// A head of queries, and the head of keys and values that it reads.
#[derive(Clone, Copy)]
struct Pair {
    size: AttentionSize,
    queries: Head,
    keys: Head,
}

impl Pair {
    /// That of the head of queries with this number, counted over all images.
    fn new(size: &AttentionSize, index: usize) -> Self {
        let depth = size.depth();
        Self {
            size: *size,
            queries: Head::new(index, size.heads, size.queries, depth),
            keys: Head::new(index / size.group(), size.key_heads, size.keys, depth),
        }
    }

    /// Blocks of queries.
    fn blocks(self) -> impl Iterator<Item = Block> {
        let block = self.block();
        let tokens = self.queries.tokens;
        (0..tokens).step_by(block).map(move |first| {
            let rows = first..tokens.min(first + block);
            let seen = self.size.seen(rows.end - 1);
            Block { rows, seen }
        })
    }

    /// Queries of a block.
    fn block(self) -> usize {
        let most = if self.size.causal { CAUSAL } else { usize::MAX };
        (BLOCK / self.keys.tokens.max(1))
            .max(LEAST)
            .min(most)
            .min(self.queries.tokens)
            .max(1)
    }

    /// What keys transposed, values (or keys) and values transposed take as factors.
    fn factors(self, level: Level) -> [usize; 3] {
        let (rows, columns) = ([self.keys.tokens, self.keys.depth], [self.keys.depth, self.keys.tokens]);
        [columns, rows, columns].map(|sizes| packed_room(level, sizes))
    }

    /// Elements of the weights and of the output rows of a block, and of the gradient of keys or values.
    fn lengths(self) -> [usize; 3] {
        let (keys, depth) = (self.keys.tokens, self.keys.depth);
        [self.block() * keys, self.block() * depth, keys * depth]
    }

    fn scale<E: CpuReal>(self) -> E {
        E::of(1.0 / (self.keys.depth as f64).sqrt())
    }
}

/// Some queries, and how many keys the last of them sees.
struct Block {
    rows: Range<usize>,
    seen: usize,
}

/// The scratch of a head in the forward pass: factors, weights, output rows.
pub(super) fn forward_scratch(level: Level, size: &AttentionSize) -> [usize; 4] {
    let pair = Pair::new(size, 0);
    let [keys, values, _] = pair.factors(level);
    let [weights, rows, _] = pair.lengths();
    [keys, values, weights, rows]
}

/// The scratch of a head of keys in the backward pass: factors, weights and slopes, rows and gradients, then that of the
/// products that are added to gradients.
pub(super) fn backward_scratch(level: Level, size: &AttentionSize) -> [usize; 10] {
    let pair = Pair::new(size, 0);
    let [keys, rows_of_keys, values] = pair.factors(level);
    let [weights, rows, gradient] = pair.lengths();
    let Head { depth, stride, .. } = pair.queries;
    let [panels, strip] = transposed_scratch(level, pair.block(), pair.keys.tokens, [depth, stride]);
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

pub(super) fn forward<E: CpuReal>(size: AttentionSize, q: &[E], k: &[E], v: &[E]) -> CpuBuf<E> {
    let mut y = CpuBuf::scratch(size.len());
    // SAFETY: `y` is not used until all tasks are done.
    let heads = unsafe { Heads::of(&mut y) };
    par::for_ranges(Cut::new(size.batch * size.heads, 1), |index| {
        let pair = Pair::new(&size, index.start);
        let depth = pair.keys.depth;
        let keys = Packed::new(pair.keys.all(k).transposed());
        let values = Packed::new(pair.keys.all(v));
        let [weights, rows_of_y, _] = pair.lengths();
        let [mut weights, mut rows_of_y] = [weights, rows_of_y].map(CpuBuf::scratch);
        for block in pair.blocks() {
            let (first, count) = (block.rows.start, block.rows.len());
            let queries = pair.queries.rows(q, block.rows.clone());
            let weights = weights_of(pair, &block, queries, &keys, &mut weights);
            leading_product(&mut rows_of_y, depth, From::Zero, weights, (&values, depth));
            // SAFETY: each head is one task's.
            unsafe { heads.write(pair.queries, first, &rows_of_y[..count * depth]) };
        }
    });
    y
}

/// The gradients with respect to queries, keys and values: with `dP = dY V^T` and
/// `dS = P (dP - rowsum(P dP)) / sqrt(depth)`, products element by element,
/// `dQ = dS K`, `dK = dS^T Q` and `dV = P^T dY`.
pub(super) fn backward<E: CpuReal>(size: AttentionSize, q: &[E], k: &[E], v: &[E], dy: &[E]) -> [CpuBuf<E>; 3] {
    let mut gradients = [size.len(), size.key_len(), size.key_len()].map(CpuBuf::scratch);
    // SAFETY: the gradients are not used until all tasks are done.
    let [dq, dk, dv] = gradients.each_mut().map(|map| unsafe { Heads::of(map) });
    par::for_ranges(Cut::new(size.batch * size.key_heads, 1), |index| {
        let first = index.start * size.group();
        let pair = Pair::new(&size, first);
        let Head { tokens, depth, .. } = pair.keys;
        let keys = Packed::new(pair.keys.all(k).transposed());
        let values = Packed::new(pair.keys.all(v).transposed());
        let rows_of_keys = Packed::new(pair.keys.all(k));
        let [weights, rows_of_dq, gradient] = pair.lengths();
        let [mut weights, mut slopes, mut rows_of_dq] = [weights, weights, rows_of_dq].map(CpuBuf::scratch);
        let [mut head_dk, mut head_dv] = [gradient; 2].map(CpuBuf::zeros);
        let pairs = (first..first + size.group()).map(|index| Pair::new(&size, index));
        for (pair, block) in pairs.flat_map(|pair| pair.blocks().map(move |block| (pair, block))) {
            let (first, count) = (block.rows.start, block.rows.len());
            let [q, dy] = [q, dy].map(|map| pair.queries.rows(map, block.rows.clone()));
            let weights = weights_of(pair, &block, q, &keys, &mut weights);
            add_transposed(&mut head_dv, depth, weights, dy);
            leading_product(&mut slopes, tokens, From::Zero, dy, (&values, block.seen));
            softmax_backward(pair, &block, weights.values, &mut slopes);
            let slopes = Mat::new(&slopes, count, block.seen, tokens);
            add_transposed(&mut head_dk, depth, slopes, q);
            leading_product(&mut rows_of_dq, depth, From::Zero, slopes, (&rows_of_keys, depth));
            // SAFETY: each head is one task's.
            unsafe { dq.write(pair.queries, first, &rows_of_dq[..count * depth]) };
        }
        // SAFETY: as above.
        unsafe {
            dk.write(pair.keys, 0, &head_dk);
            dv.write(pair.keys, 0, &head_dv);
        }
    });
    gradients
}

/// The weights of a block of queries for the keys that it sees, in `buffer`.
fn weights_of<'b, E: CpuReal>(
    pair: Pair,
    block: &Block,
    queries: Mat<'_, E>,
    keys: &Packed<E>,
    buffer: &'b mut [E],
) -> Mat<'b, E> {
    let tokens = pair.keys.tokens;
    leading_product(buffer, tokens, From::Zero, queries, (keys, block.seen));
    let scale = pair.scale();
    Level::current().vectorised(
        #[inline(always)]
        || {
            for (query, row) in block.rows.clone().zip(buffer.chunks_exact_mut(tokens.max(1))) {
                softmax(&mut row[..block.seen], pair.size.seen(query), scale);
            }
        },
    );
    Mat::new(buffer, queries.rows, block.seen, tokens)
}

/// The softmax of the first `seen` values of a row times `scale`, and 0 for the others: the greatest value becomes
/// `exp(0)`, so none overflows.
#[inline(always)]
pub(super) fn softmax<E: CpuReal>(row: &mut [E], seen: usize, scale: E) {
    let (row, rest) = row.split_at_mut(whole(seen, row.len()));
    rest.fill(E::zero());
    if let Some(&first) = row.first() {
        row[seen..].fill(first);
    }
    let greatest = reduce(row, E::neg_infinity(), |a, b| if b > a { b } else { a });
    row.iter_mut().for_each(|x| *x = ((*x - greatest) * scale).plain_exp());
    row[seen..].fill(E::zero());
    let inverse = E::one() / reduce(row, E::zero(), |a, b| a + b);
    row.iter_mut().for_each(|x| *x *= inverse);
}

/// `slopes = weights * (slopes - rowsum(weights * slopes)) * scale`, and 0 for keys that are not seen.
fn softmax_backward<E: CpuReal>(pair: Pair, block: &Block, weights: &[E], slopes: &mut [E]) {
    let (tokens, scale) = (pair.keys.tokens.max(1), pair.scale::<E>());
    Level::current().vectorised(
        #[inline(always)]
        || {
            let rows = weights.chunks_exact(tokens).zip(slopes.chunks_exact_mut(tokens));
            for (query, (weights, slopes)) in block.rows.clone().zip(rows) {
                let seen = pair.size.seen(query);
                slopes[seen..block.seen].fill(E::zero());
                let whole = whole(seen, block.seen);
                let (weights, of_whole) = (&weights[..whole], &mut slopes[..whole]);
                let mean = dot(weights, of_whole);
                for (slope, &weight) in of_whole.iter_mut().zip(weights) {
                    *slope = weight * (*slope - mean) * scale;
                }
                slopes[seen..block.seen].fill(E::zero());
            }
        },
    );
}

/// The first values of a row, `seen` or some more, so that they fill whole vectors: values one by one take longer than
/// some that are thrown away.
#[inline(always)]
fn whole(seen: usize, len: usize) -> usize {
    seen.next_multiple_of(SUMS).min(len)
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
pub(super) fn dot<E: CpuReal>(a: &[E], b: &[E]) -> E {
    let mut parts = [E::zero(); SUMS];
    for (a, b) in a.chunks(SUMS).zip(b.chunks(SUMS)) {
        for (part, (&a, &b)) in parts.iter_mut().zip(a.iter().zip(b)) {
            *part += a * b;
        }
    }
    parts.into_iter().fold(E::zero(), |a, b| a + b)
}
