//! Scaled dot-product attention of heads, with what a mask needs.

use super::{Onnx, long};
use crate::ops::Shape;

/// The heads of an attention. Axes of queries are batch, chunk, heads of keys, heads of queries for one of keys, token and
/// feature; those of one element that the attention has not are left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    /// Heads of queries.
    pub(crate) heads: u64,
    /// Heads of keys and values.
    pub(crate) key_heads: u64,
    /// Chunks of tokens.
    pub(crate) chunks: u64,
}

impl Heads {
    fn group(&self) -> u64 {
        self.heads / self.key_heads.max(1)
    }

    /// Whether chunks, and several heads for one of keys, have axes.
    fn axes(&self) -> [bool; 2] {
        [self.chunks > 1, self.group() > 1]
    }

    /// Sizes without those of axes that are left out: of batch, chunks, heads, group, and two more.
    pub(crate) fn sizes(&self, [batch, chunks, heads, group, rows, columns]: [i64; 6]) -> Vec<i64> {
        let [has_chunks, has_group] = self.axes();
        let mut sizes = vec![batch];
        sizes.extend(has_chunks.then_some(chunks));
        sizes.push(heads);
        sizes.extend(has_group.then_some(group));
        sizes.extend([rows, columns]);
        sizes
    }

    /// Tokens, split into chunks and heads, of so many groups; the last two axes exchanged for `transposed`.
    fn split(&self, x: &str, shape: Shape, group: u64, transposed: bool, to: &mut Onnx<'_>) -> String {
        let x = tokens_of(x, shape, to);
        let (tokens, features) = (shape.pixels(), shape.channels());
        let depth = features / self.key_heads.max(1) / group.max(1);
        let [has_chunks, has_group] = self.axes();
        // Batch, chunk, token, head, group, feature.
        let mut sizes = vec![0];
        sizes.extend(has_chunks.then_some(long(self.chunks)));
        sizes.extend([long(tokens / self.chunks.max(1)), long(self.key_heads)]);
        sizes.extend(has_group.then_some(long(group)));
        sizes.push(long(depth));
        let x = to.reshape(&x, &sizes);
        let first = 1 + i64::from(has_chunks);
        let mut axes: Vec<i64> = (0..first).collect();
        let (token, head) = (first, first + 1);
        axes.push(head);
        axes.extend(has_group.then_some(head + 1));
        let feature = head + 1 + i64::from(has_group);
        axes.extend(if transposed { [feature, token] } else { [token, feature] });
        to.transpose(&x, &axes)
    }

    /// The scores of each query and key.
    pub(crate) fn scores(&self, [query, key]: [&(String, Shape); 2], to: &mut Onnx<'_>) -> String {
        let depth = query.1.channels() / self.heads.max(1);
        let scale = to.real(1.0 / (depth as f64).sqrt());
        let q = self.split(&query.0, query.1, self.group(), false, to);
        let q = to.apply("Mul", &[&q, &scale]);
        let k = self.split(&key.0, key.1, 1, true, to);
        to.apply("MatMul", &[&q, &k])
    }

    /// What queries take of values, in the shape of the queries.
    pub(crate) fn values(&self, shares: &str, value: &(String, Shape), query: Shape, to: &mut Onnx<'_>) -> String {
        let v = self.split(&value.0, value.1, 1, false, to);
        let y = to.apply("MatMul", &[shares, &v]);
        let [has_chunks, has_group] = self.axes();
        let first = 1 + i64::from(has_chunks);
        let token = first + 1 + i64::from(has_group);
        // Tokens before heads again.
        let mut axes: Vec<i64> = (0..first).collect();
        axes.push(token);
        axes.extend(first..token);
        axes.push(token + 1);
        let y = to.transpose(&y, &axes);
        let y = to.reshape(&y, &[0, long(query.pixels()), long(query.channels())]);
        match query {
            Shape::Map { height, width, .. } => {
                let y = to.transpose(&y, &[0, 2, 1]);
                to.reshape(&y, &[0, long(query.channels()), long(height), long(width)])
            }
            _ => y,
        }
    }
}

/// The positions of maps as tokens; tokens as they are.
fn tokens_of(x: &str, shape: Shape, to: &mut Onnx<'_>) -> String {
    match shape {
        Shape::Map { .. } => {
            let x = to.reshape(x, &[0, long(shape.channels()), -1]);
            to.transpose(&x, &[0, 2, 1])
        }
        _ => x.to_owned(),
    }
}
