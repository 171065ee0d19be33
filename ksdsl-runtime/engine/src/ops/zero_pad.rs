//! Rows and columns of zeros around maps.

use super::resample::{Weights, resampled};
use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;

/// Zeros around maps: PyTorch's `pad`.
#[derive(Clone, Copy, Debug)]
pub struct ZeroPad {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns on the left.
    pub left: usize,
    /// Columns on the right.
    pub right: usize,
}

/// The pixels of a line between zeros.
fn padded(length: usize, before: usize, after: usize) -> Weights {
    let none = |count| std::iter::repeat_n(Vec::new(), count);
    let own = (0..length).map(|at| vec![(at, 1.0)]);
    Weights(none(before).chain(own).chain(none(after)).collect())
}

impl Operation for ZeroPad {
    const NAMES: &'static [&'static str] = &["zero_pad"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        Some(Self {
            top: call.size("top")?,
            bottom: call.size("bottom")?,
            left: call.size("left")?,
            right: call.size("right")?,
        })
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        MapSize {
            height: self.top + inputs[0].height + self.bottom,
            width: self.left + inputs[0].width + self.right,
            ..inputs[0]
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let rows = padded(x.size.height, self.top, self.bottom);
        let columns = padded(x.size.width, self.left, self.right);
        let to = self.output(&[x.size]);
        resampled(x, to, [rows, columns])
    }
}
