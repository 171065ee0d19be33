//! Attention and the embedding of positions in a pass, as `ksdsl-runtime` does them.

use super::buffer::{Buffer, Meter};
use super::kernel::{LANES, product, transposed};
use super::memory::{Act, Pass, has_one_layout};
use super::pending::Saved;
use super::wide;
use crate::ir::{Layer, Shape};
use std::rc::Rc;

/// Weights of a block of queries.
const BLOCK: u128 = 1 << 15;
/// Queries of a block, at least.
const LEAST: u128 = 8;

/// Values whose columns a task sums, in whole rows.
const PIECE: u128 = 1 << 14;

/// One head of one image: what a task works on.
struct Head {
    tokens: u128,
    depth: u128,
    /// Channels of all heads.
    channels: u128,
}

impl Head {
    fn new(shape: Shape, heads: u128) -> Self {
        Self {
            tokens: wide(shape.pixels()),
            depth: wide(shape.channels()) / heads.max(1),
            channels: wide(shape.channels()),
        }
    }

    /// Queries of a block.
    fn block(&self) -> u128 {
        (BLOCK / self.tokens.max(1)).max(LEAST).min(self.tokens).max(1)
    }

    /// A packed matrix with a row for each token.
    fn rows(&self) -> u128 {
        product(&[self.tokens, self.depth.next_multiple_of(LANES)])
    }

    /// The same transposed.
    fn columns(&self) -> u128 {
        product(&[self.tokens.next_multiple_of(LANES), self.depth])
    }

    /// Scratch of the forward pass: keys, values, weights and outputs of a block.
    fn forward(&self) -> u128 {
        let block = product(&[self.block(), self.tokens + self.depth]);
        self.rows() + self.columns() + block
    }

    /// Scratch of the backward pass: keys both ways round, values, weights of a block and their
    /// gradients, its gradient of queries, those of keys and values, and a product of a block.
    fn backward(&self) -> u128 {
        let packed = self.rows() + 2 * self.columns();
        let block = product(&[self.block(), 2 * self.tokens + self.depth]);
        let gradients = product(&[2, self.tokens, self.depth]);
        let sums = transposed(self.block(), self.tokens, self.depth, self.channels);
        packed + block + gradients + sums
    }
}

impl Pass<'_> {
    pub(super) fn attend(&mut self, heads: u128, inputs: [Act; 3]) -> Act {
        let shape = inputs[0].shape;
        let inputs = inputs.map(|input| self.ready(input));
        let head = Head::new(shape, heads);
        let y = Rc::new(self.map(shape));
        let tasks = heads * self.batch;
        self.context.meter.scratch(head.forward(), tasks);
        let training = self.context.training;
        let inputs = inputs.map(|input| (training.then_some(input.saved), input.gradient));
        let meter = self.context.meter.clone();
        self.output(shape, y, move |dy| {
            let kept = inputs.each_ref().map(|(saved, _)| saved.as_ref().map(Saved::get));
            let gradients = [(); 3].map(|()| dy.alike());
            meter.scratch(head.backward(), tasks);
            drop((kept, dy));
            for ((_, gradient), more) in inputs.iter().zip(gradients) {
                gradient.add(more);
            }
        })
    }

    pub(super) fn position_embedding(&mut self, layer: &Layer, x: Act) -> Act {
        let x = self.ready(x);
        drop(x.saved);
        let params = self.params(layer);
        let values = wide(layer.output.elements());
        let one_layout = has_one_layout(layer.output);
        let ordered = (!one_layout).then(|| self.values(values));
        let y = Rc::new(Buffer::owned(x.data));
        drop(ordered);
        let (meter, batch) = (self.context.meter.clone(), self.batch);
        self.output(layer.output, y, move |dy| {
            for param in &params {
                param.accumulate(&meter);
            }
            if one_layout {
                column_sums(&meter, batch, values);
            } else {
                let _sums = meter.buffer(values);
                column_sums(&meter, batch, values);
                let _ordered = meter.buffer(values);
                column_sums(&meter, 1, values);
            }
            x.gradient.add(dy);
        })
    }
}

/// Sums of so many rows: in double precision for each piece, and of all.
fn column_sums(meter: &Rc<Meter>, rows: u128, values: u128) {
    let piece = PIECE.next_multiple_of(values.max(1));
    let pieces = product(&[rows, values]).div_ceil(piece);
    let _pieces = meter.buffer(product(&[2, pieces, values]));
    meter.scratch(2 * values, pieces);
    drop(meter.buffer(2 * values));
}
