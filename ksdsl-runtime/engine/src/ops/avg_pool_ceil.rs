//! Average pooling over windows of which not all pixels count.

use super::resample::{Weights, resampled};
use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;

/// Averages over windows, of which the last may reach beyond the padded map: PyTorch's `avg_pool2d` with `ceil_mode`.
/// Padding counts as zeros or, with `count_include_pad=False`, not at all; what is beyond it does not count.
#[derive(Clone, Copy, Debug)]
pub struct AvgPoolCeil {
    /// Height of the window.
    pub kernel_height: usize,
    /// Width of the window.
    pub kernel_width: usize,
    /// Step from row to row.
    pub stride_height: usize,
    /// Step from column to column.
    pub stride_width: usize,
    /// Rows of padding above, and below.
    pub pad_height: usize,
    /// Columns of padding on the left, and on the right.
    pub pad_width: usize,
    /// Whether padding counts.
    pub count_pad: bool,
    /// Whether a last window may reach beyond the padding.
    pub ceil: bool,
}

/// Windows along one axis.
struct Windows {
    kernel: usize,
    stride: usize,
    pad: usize,
    count_pad: bool,
    ceil: bool,
}

impl Windows {
    /// How many windows there are: the last begins in the map or in the padding before it.
    fn count(&self, length: usize) -> usize {
        let beyond = (length + 2 * self.pad).saturating_sub(self.kernel);
        if !self.ceil {
            return beyond / self.stride + 1;
        }
        let last = beyond.div_ceil(self.stride);
        last + usize::from(last * self.stride < length + self.pad)
    }

    fn weights(&self, length: usize) -> Weights {
        let window = |at: usize| {
            let start = at * self.stride;
            let end = (start + self.kernel).min(length + 2 * self.pad);
            let inside = |place: usize| place.saturating_sub(self.pad).min(length);
            let pixels = inside(start)..inside(end);
            let counted = if self.count_pad { end - start } else { pixels.len() };
            (pixels, counted)
        };
        Weights::averages((0..self.count(length)).map(window))
    }
}

impl AvgPoolCeil {
    fn windows(&self) -> [Windows; 2] {
        let along = |kernel, stride, pad| Windows {
            kernel,
            stride,
            pad,
            count_pad: self.count_pad,
            ceil: self.ceil,
        };
        [
            along(self.kernel_height, self.stride_height, self.pad_height),
            along(self.kernel_width, self.stride_width, self.pad_width),
        ]
    }
}

impl Operation for AvgPoolCeil {
    const NAMES: &'static [&'static str] = &["avg_pool_ceil"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let positive = |name| call.size(name).filter(|size| *size > 0);
        Some(Self {
            kernel_height: positive("kernel_height")?,
            kernel_width: positive("kernel_width")?,
            stride_height: positive("stride_height")?,
            stride_width: positive("stride_width")?,
            pad_height: call.size("pad_height")?,
            pad_width: call.size("pad_width")?,
            count_pad: call.size("count_pad")? == 1,
            ceil: call.size("ceil")? == 1,
        })
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        let [rows, columns] = self.windows();
        MapSize {
            height: rows.count(inputs[0].height),
            width: columns.count(inputs[0].width),
            ..inputs[0]
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let [rows, columns] = self.windows();
        let weights = [rows.weights(x.size.height), columns.weights(x.size.width)];
        let to = self.output(&[x.size]);
        resampled(x, to, weights)
    }
}
