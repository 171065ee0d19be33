//! Maps whose rows and columns are weighted sums of those of others, which several operations share.

use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Loops, View, constant, operand};
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;
use std::rc::Rc;

/// For each pixel of a line, the pixels of another line that it is a sum of, with their weights, of which none is negative.
#[derive(Clone, Debug)]
pub(super) struct Weights(pub(super) Vec<Vec<(usize, f64)>>);

impl Weights {
    /// For each pixel of a line a window of another: the sum of its pixels divided by a count.
    pub(super) fn averages(windows: impl Iterator<Item = (std::ops::Range<usize>, usize)>) -> Self {
        let of = |(window, counted): (std::ops::Range<usize>, usize)| {
            let part = 1.0 / counted as f64;
            window.map(|from| (from, part)).collect()
        };
        Self(windows.map(of).collect())
    }

    /// The gradient's way: for each of `length` pixels, the pixels that it is a part of.
    fn transposed(&self, length: usize) -> Self {
        let mut back = vec![Vec::new(); length];
        for (to, parts) in self.0.iter().enumerate() {
            for &(from, weight) in parts {
                back[from].push((to, weight));
            }
        }
        Self(back)
    }

    /// The most pixels that one is a sum of; at least one.
    fn most(&self) -> usize {
        self.0.iter().map(Vec::len).max().unwrap_or(0).max(1)
    }

    /// Offsets and weights as tables with [`Weights::most`] columns; what is missing has the weight 0.
    fn tables<E: Real>(&self, step: usize) -> (Vec<usize>, Vec<E>) {
        let padded = self.0.iter().flat_map(|parts| {
            let missing = std::iter::repeat_n((0, 0.0), self.most() - parts.len());
            parts.iter().copied().chain(missing)
        });
        padded.map(|(at, weight)| (at * step, E::of(weight))).unzip()
    }
}

/// The map of the size `to` whose rows and columns are these sums, and its backward pass.
pub(super) fn resampled<E: Real, X: Exec<E>, T: Tape<E, X>>(
    x: Act<E, X, T>,
    to: MapSize,
    [rows, columns]: [Weights; 2],
) -> Result<Act<E, X, T>, X::Err> {
    let from = x.size;
    let x = x.ready()?;
    let y = resample(&x.context.exec, from, to, [&rows, &columns], &x.data)?;
    drop(x.saved);
    let grad = x.grad;
    let backward = move |exec: &X, dy: X::Buf| {
        let [rows, columns] = [rows.transposed(from.height), columns.transposed(from.width)];
        grad.add(exec, resample(exec, to, from, [&rows, &columns], &dy)?)
    };
    Ok(Act::output(x.context, to, Rc::new(y), backward))
}

/// A map whose rows and columns are weighted sums of those of `x`.
fn resample<E: Real, X: Exec<E>>(
    exec: &X,
    from: MapSize,
    to: MapSize,
    [rows, columns]: [&Weights; 2],
    x: &X::Buf,
) -> Result<X::Buf, X::Err> {
    let (row_offsets, row_weights) = rows.tables(from.width * from.channels);
    let (column_offsets, column_weights) = columns.tables(from.channels);
    let image = from.height * from.width * from.channels;
    let weight = operand(1) * operand(2);
    // Images, rows, columns, channels; rows and columns of the sum.
    let loops = Loops {
        output: vec![to.batch, to.height, to.width, to.channels],
        summed: vec![rows.most(), columns.most()],
        views: vec![
            View::steps([image, 0, 0, 1, 0, 0])
                .with_table(&[1, 4], row_offsets)
                .with_table(&[2, 5], column_offsets),
            View::steps([0, rows.most(), 0, 0, 1, 0]),
            View::steps([0, 0, columns.most(), 0, 0, 1]),
        ],
        // What has no weight is not read: 0 times infinity is NaN.
        value: weight.if_positive(operand(0) * operand(1) * operand(2), constant(0.0)),
    };
    let (row_weights, column_weights) = (exec.upload(row_weights)?, exec.upload(column_weights)?);
    exec.compute(&loops, &[x, &row_weights, &column_weights])
}
