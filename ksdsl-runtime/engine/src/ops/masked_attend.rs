//! Attention with masks and relative positions.

use super::attention::scaled;
use super::products::Products;
use super::relative::{distance, distances, of_biases};
use super::{Call, Operation, lengths, rows};
use crate::act::{Act, GradCell};
use crate::exec::Exec;
use crate::loops::{Expr, Loops, Unary, View, constant, operand};
use crate::param::Param;
use crate::real::Real;
use crate::saved::Saved;
use crate::size::{AttentionSize, MapSize, RowSize};
use crate::tape::Tape;
use std::rc::Rc;

/// What stands for a score that is masked, and what each other one is above.
const HIDDEN: f64 = -1e30;
const ABOVE: f64 = -1e29;

/// Attention in which a query sees some of the keys only: those that all of these allow. One that sees none gets zeros. A
/// fourth input, if there is one, is the number of keys of each item, from 0 to all: those after them are hidden.
#[derive(Clone, Copy, Debug)]
pub struct MaskedAttend {
    /// Heads; they divide the channels of the queries.
    pub heads: usize,
    /// Heads of keys and values, as [`Attend::key_heads`](super::Attend::key_heads).
    pub key_heads: usize,
    /// Whether a query sees no later key but those of the prefix.
    pub causal: bool,
    /// A query sees the keys that are fewer positions away; 0 for all (Beltagy et al. 2020; with `causal`, Jiang et al.
    /// 2023).
    pub window: usize,
    /// So many first keys are seen by earlier queries, too (Raffel et al. 2020, section 3.2.1).
    pub prefix: usize,
    /// Queries see the keys of their own chunk of so many; 0 for one chunk. Positions count within chunks.
    pub chunk: usize,
    /// Rows of the grid whose positions, row by row, the tokens of a chunk are, if they are; 0 otherwise. The parameter, if
    /// there is one, is then a bias for each distance between two of them and each head, `[distances, heads]`, rows first
    /// (Liu et al. 2021, equation 4).
    pub grid_height: usize,
    /// Its columns.
    pub grid_width: usize,
    /// Rows of the map whose windows the chunks are, if that was moved; 0 otherwise. What was not beside each other does
    /// not see each other (Liu et al. 2021, figure 4).
    pub map_height: usize,
    /// Its columns.
    pub map_width: usize,
    /// How far it was moved up.
    pub up: usize,
    /// How far it was moved to the left.
    pub left: usize,
}

/// The sizes of a run: each chunk is an item.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    items: usize,
    chunks: usize,
    pub(super) products: Products,
    /// The positions before the queries, of a sequence that grows: keys are then those of all positions, of all chunks.
    past: Option<usize>,
}

impl Sizes {
    fn heads(self) -> usize {
        self.products.heads * self.products.group
    }

    pub(super) fn rows(self) -> RowSize {
        RowSize {
            rows: self.products.items * self.heads() * self.products.left,
            channels: self.products.right,
        }
    }

    fn scale(self) -> Expr {
        constant(1.0 / (self.products.depth as f64).sqrt())
    }
}

impl MaskedAttend {
    /// Attention to all keys, with one head.
    pub const PLAIN: Self = Self {
        heads: 1,
        key_heads: 1,
        causal: false,
        window: 0,
        prefix: 0,
        chunk: 0,
        grid_height: 0,
        grid_width: 0,
        map_height: 0,
        map_width: 0,
        up: 0,
        left: 0,
    };

    fn is_shifted(&self) -> bool {
        self.map_height > 0
    }

    /// Which parts of the map before it was moved a token of a chunk lies in, vertically and horizontally.
    fn part(&self, chunk: usize, token: usize) -> [bool; 2] {
        let (rows, columns) = (self.grid_height.max(1), self.grid_width.max(1));
        let across = (self.map_width / columns).max(1);
        let [y, x] = [
            chunk / across * rows + token / columns,
            chunk % across * columns + token % columns,
        ];
        // The last rows and columns came from the other side.
        [y + self.up >= self.map_height, x + self.left >= self.map_width]
    }

    fn sizes(&self, queries: MapSize, keys: MapSize) -> Sizes {
        let tokens = queries.height * queries.width;
        let chunks = tokens.checked_div(self.chunk).unwrap_or(1);
        let products = Products {
            items: queries.batch * chunks,
            heads: self.key_heads,
            group: self.heads / self.key_heads,
            left: tokens / chunks.max(1),
            right: keys.height * keys.width / chunks.max(1),
            depth: queries.channels / self.heads,
        };
        Sizes {
            items: queries.batch,
            chunks,
            products,
            past: None,
        }
    }

    /// Those of the next positions of a sequence.
    pub(super) fn sizes_of_next(&self, queries: MapSize, past: usize) -> Sizes {
        let plain = Self { chunk: 0, ..*self }.sizes(queries, queries);
        let products = Products {
            right: past + plain.products.left,
            ..plain.products
        };
        Sizes {
            products,
            past: Some(past),
            ..plain
        }
    }

    /// Whether it is attention without anything but chunks, which has kernels.
    fn is_plain(&self) -> bool {
        self.window == 0 && self.prefix == 0 && !self.is_shifted()
    }

    fn plain(&self, sizes: Sizes) -> AttentionSize {
        AttentionSize {
            batch: sizes.products.items,
            queries: sizes.products.left,
            keys: sizes.products.right,
            channels: sizes.products.depth * self.heads,
            heads: self.heads,
            key_heads: self.key_heads,
            causal: self.causal,
        }
    }

    fn sees(&self, chunk: usize, query: usize, key: usize) -> bool {
        let together = !self.is_shifted() || self.part(chunk, query) == self.part(chunk, key);
        let is_near = self.window == 0 || query.abs_diff(key) < self.window;
        together && is_near && (!self.causal || key <= query || key < self.prefix)
    }

    /// The positions within their chunk of a query and a key that count from the start of the sequence, if that is one
    /// chunk.
    fn in_chunk(&self, query: usize, key: usize) -> Option<[usize; 2]> {
        match self.chunk {
            0 => Some([query, key]),
            chunk => (query / chunk == key / chunk).then(|| [query, key].map(|place| place % chunk)),
        }
    }

    /// Which keys each query of each chunk sees, of one if all are the same.
    fn mask<E: Real>(&self, sizes: Sizes) -> Vec<E> {
        let Products { left, right, .. } = sizes.products;
        let chunks = if self.is_shifted() { sizes.chunks } else { 1 };
        let places = (0..chunks).flat_map(|chunk| (0..left).map(move |query| (chunk, query)));
        let sees = |(chunk, query)| {
            (0..right).map(move |key| match sizes.past {
                None => self.sees(chunk, query, key),
                Some(past) => match self.in_chunk(past + query, key) {
                    Some([query, key]) => self.sees(0, query, key),
                    None => false,
                },
            })
        };
        places
            .flat_map(sees)
            .map(|sees| E::of(f64::from(u8::from(sees))))
            .collect()
    }

    /// For each query and key the number of their distance; any, if a query sees none of its chunk there.
    fn distances(&self, sizes: Sizes) -> Vec<usize> {
        let (grid, Products { left, right, .. }) = ([self.grid_height, self.grid_width], sizes.products);
        let Some(past) = sizes.past else { return distances(grid) };
        let number = |query: usize, key: usize| match self.in_chunk(past + query, key) {
            Some([query, key]) => distance(grid, query, key),
            None => 0,
        };
        (0..left)
            .flat_map(|query| (0..right).map(move |key| number(query, key)))
            .collect()
    }

    /// Scores times the scale, with their biases, and [`HIDDEN`] where that is.
    pub(super) fn masked<E: Real, X: Exec<E>>(
        &self,
        exec: &X,
        sizes: Sizes,
        scores: &X::Buf,
        [lengths, biases]: [Option<&X::Buf>; 2],
    ) -> Result<X::Buf, X::Err> {
        let Products { left, right, .. } = sizes.products;
        let seen = exec.upload(self.mask(sizes))?;
        let of_head = left * right;
        let of_chunk = self.heads * of_head;
        let of_mask = if self.is_shifted() { of_head } else { 0 };
        // Items, chunks, heads, queries, keys.
        let mut views = vec![
            View::steps([sizes.chunks * of_chunk, of_chunk, of_head, right, 1]),
            View::steps([0, of_mask, 0, right, 1]),
        ];
        let (mut operands, mut value) = (vec![scores, &seen], operand(0) * sizes.scale());
        if let Some(biases) = biases {
            let rows = self.distances(sizes).into_iter().map(|row| row * self.heads);
            views.push(View::steps([0, 0, 1, 0, 0]).with_table(&[3, 4], rows.collect()));
            value = value + operand(operands.len());
            operands.push(biases);
        }
        value = operand(1).if_positive(value, constant(HIDDEN));
        let positions = (0..sizes.chunks * right).map(|key| E::of(key as f64));
        let positions = exec.upload(positions.collect())?;
        if let Some(lengths) = lengths {
            let at = operands.len();
            views.extend([View::steps([1, 0, 0, 0, 0]), View::steps([0, right, 0, 0, 1])]);
            value = (operand(at) - operand(at + 1)).if_positive(value, constant(HIDDEN));
            operands.extend([lengths, &positions]);
        }
        let loops = Loops {
            output: vec![sizes.items, sizes.chunks, self.heads, left, right],
            summed: Vec::new(),
            views,
            value,
        };
        exec.compute(&loops, &operands)
    }
}

/// What the backward pass needs.
struct Backward<E: Real, X: Exec<E>> {
    sizes: Sizes,
    grid: [usize; 2],
    /// Queries, keys and values.
    saved: [Saved<E, X>; 3],
    grads: [GradCell<X::Buf>; 3],
    weights: X::Buf,
    bias: Option<Param<E, X>>,
}

impl<E: Real, X: Exec<E>> Backward<E, X> {
    fn run(self, exec: &X, dy: &X::Buf) -> Result<(), X::Err> {
        let (sizes, products, rows) = (self.sizes, self.sizes.products, self.sizes.rows());
        let ([q, k, v], [of_q, of_k, of_v]) = (self.saved, self.grads);
        of_v.add(exec, products.to_right(exec, &self.weights, dy)?)?;
        let slopes = products.weights(exec, dy, &*v.get(exec)?)?;
        let slopes = of_scores(exec, rows, &self.weights, &slopes)?;
        if let Some(bias) = self.bias {
            let heads = [products.items, sizes.heads()];
            bias.add(exec, of_biases(exec, heads, self.grid, &slopes)?)?;
        }
        let scaled = Loops::elementwise(rows.rows * products.right, 1, operand(0) * sizes.scale());
        let slopes = exec.compute(&scaled, &[&slopes])?;
        of_q.add(exec, products.to_left(exec, &slopes, &*k.get(exec)?)?)?;
        of_k.add(exec, products.to_right(exec, &slopes, &*q.get(exec)?)?)
    }
}

/// The softmax of the scores that are not hidden.
pub(super) fn weights<E: Real, X: Exec<E>>(exec: &X, rows: RowSize, scores: &X::Buf) -> Result<X::Buf, X::Err> {
    let maxima = rows::maxima(exec, rows, scores)?;
    let power = || (operand(0) - operand(1)).map(Unary::Exp);
    let sums = exec.compute(&rows::row_sums(rows, "xr", power()), &[scores, &maxima])?;
    let is_any = operand(1) - constant(ABOVE);
    let value = is_any.if_positive(power() / operand(2), constant(0.0));
    exec.compute(&rows::map(rows, "xrr", value), &[scores, &maxima, &sums])
}

/// The gradient of the scores with scale and bias, of the weights and the weights' own.
fn of_scores<E: Real, X: Exec<E>>(
    exec: &X,
    rows: RowSize,
    weights: &X::Buf,
    slopes: &X::Buf,
) -> Result<X::Buf, X::Err> {
    let products = rows::row_sums(rows, "xx", operand(0) * operand(1));
    let sums = exec.compute(&products, &[weights, slopes])?;
    let value = operand(0) * (operand(1) - operand(2));
    exec.compute(&rows::map(rows, "xxr", value), &[weights, slopes, &sums])
}

impl Operation for MaskedAttend {
    const NAMES: &'static [&'static str] = &["masked_attend"];
    type Inputs<A> = Vec<A>;
    type Params<A> = Vec<A>;

    fn of(call: &Call<'_>) -> Option<Self> {
        let (heads, key_heads) = (call.size("heads")?, call.size("key_heads")?);
        // A missing number is 0.
        let size = |name| match call.real(name) {
            None => Some(0),
            Some(_) => call.size(name),
        };
        let divides = key_heads > 0 && heads > 0 && heads.is_multiple_of(key_heads);
        let attend = Self {
            heads,
            key_heads,
            causal: size("causal")? == 1,
            window: size("window")?,
            prefix: size("prefix")?,
            chunk: size("chunk")?,
            grid_height: size("grid_height")?,
            grid_width: size("grid_width")?,
            map_height: size("map_height")?,
            map_width: size("map_width")?,
            up: size("up")?,
            left: size("left")?,
        };
        divides.then_some(attend)
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        inputs: Vec<Act<E, X, T>>,
        params: Vec<Param<E, X>>,
    ) -> Result<Act<E, X, T>, X::Err> {
        let is_plain = self.is_plain() && inputs.len() == 3 && params.is_empty();
        let mut inputs = inputs.into_iter();
        let (Some(q), Some(k), Some(v)) = (inputs.next(), inputs.next(), inputs.next()) else {
            unreachable!("queries, keys and values")
        };
        let (map, sizes, bias) = (q.size, self.sizes(q.size, k.size), params.into_iter().next());
        if let Some(past) = q.context.past.clone() {
            return self.run_with(&past, [q, k, v], bias);
        }
        if is_plain {
            return scaled(self.plain(sizes), [q, k, v]);
        }
        let (products, grid) = (sizes.products, [self.grid_height, self.grid_width]);
        let (q, k, v) = (q.ready()?, k.ready()?, v.ready()?);
        let mut context = q.context.merge(k.context).merge(v.context);
        let mut lengths = None;
        if let Some(of_items) = inputs.next() {
            let of_items = of_items.ready()?;
            context = context.merge(of_items.context);
            let checked = lengths::checked(&context.exec, sizes.chunks * products.right, &of_items.data)?;
            lengths = Some(checked);
        }
        let exec = &context.exec;
        let scores = products.weights(exec, &q.data, &k.data)?;
        let biases = bias.as_ref().map(Param::values);
        let scores = self.masked(exec, sizes, &scores, [lengths.as_ref(), biases])?;
        let weights = weights(exec, sizes.rows(), &scores)?;
        drop(scores);
        let y = products.to_left(exec, &weights, &v.data)?;
        let (saved, grads) = ([q.saved, k.saved, v.saved], [q.grad, k.grad, v.grad]);
        let kept = T::RECORDS.then_some((saved, weights));
        let backward = move |exec: &X, dy: X::Buf| match kept {
            Some((saved, weights)) => Backward {
                sizes,
                grid,
                saved,
                grads,
                weights,
                bias,
            }
            .run(exec, &dy),
            None => Ok(()),
        };
        Ok(Act::output(context, map, Rc::new(y), backward))
    }
}
