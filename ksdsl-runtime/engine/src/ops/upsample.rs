//! Upsampling by a whole factor.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Loops, View, operand};
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;
use std::rc::Rc;

/// Maps that are `factor` times as high and wide: PyTorch's `interpolate` with `scale_factor` and, for the bilinear mode,
/// `align_corners=False`.
#[derive(Clone, Copy, Debug)]
pub struct Upsample {
    /// The factor, at least 1.
    pub factor: usize,
    /// Between the nearest pixels, or the nearest pixel alone.
    pub bilinear: bool,
}

impl Operation for Upsample {
    const NAMES: &'static [&'static str] = &["upsample"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let (factor, bilinear) = (call.size("factor")?, call.size("bilinear")? == 1);
        (factor > 0).then_some(Self { factor, bilinear })
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        MapSize {
            height: inputs[0].height * self.factor,
            width: inputs[0].width * self.factor,
            ..inputs[0]
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let (from, to) = (x.size, self.output(&[x.size]));
        let x = x.ready()?;
        let [rows, columns] = [from.height, from.width].map(|length| self.weights(length));
        let exec = &x.context.exec;
        let y = resample(exec, from, to, [&rows, &columns], &x.data)?;
        drop(x.saved);
        let grad = x.grad;
        let backward = move |exec: &X, dy: X::Buf| {
            let [rows, columns] = [rows.transposed(from.height), columns.transposed(from.width)];
            grad.add(exec, resample(exec, to, from, [&rows, &columns], &dy)?)
        };
        Ok(Act::output(x.context, to, Rc::new(y), backward))
    }
}

impl Upsample {
    /// The weights of the pixels that each pixel of an output line is made of.
    fn weights(&self, length: usize) -> Weights {
        let of = |to: usize| {
            if !self.bilinear {
                return vec![(to / self.factor, 1.0)];
            }
            // The centre of the pixel, in pixels of the input; beyond the border, the border's.
            let at = ((to as f64 + 0.5) / self.factor as f64 - 0.5).max(0.0);
            let first = (at as usize).min(length - 1);
            let part = at - first as f64;
            vec![(first, 1.0 - part), ((first + 1).min(length - 1), part)]
        };
        Weights((0..length * self.factor).map(of).collect())
    }
}

/// For each pixel of a line, the pixels of another line that it is a sum of, with their weights.
struct Weights(Vec<Vec<(usize, f64)>>);

impl Weights {
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

    /// The most pixels that one is a sum of.
    fn most(&self) -> usize {
        self.0.iter().map(Vec::len).max().unwrap_or(0)
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
        value: operand(0) * operand(1) * operand(2),
    };
    let (row_weights, column_weights) = (exec.upload(row_weights)?, exec.upload(column_weights)?);
    exec.compute(&loops, &[x, &row_weights, &column_weights])
}
