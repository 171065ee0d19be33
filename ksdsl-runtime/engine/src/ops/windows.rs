//! Windows of maps as tokens, window after window.

use super::{Call, Operation, positions};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;

/// The positions of a map of this size in windows, which cover it: the windows row by row, and so the positions of each.
pub(super) fn in_windows([height, width]: [usize; 2], window: [usize; 2]) -> Vec<usize> {
    let rows = (0..height / window[0]).flat_map(|row| (0..width / window[1]).map(move |column| (row, column)));
    let places = rows.flat_map(|(row, column)| {
        let inside = (0..window[0]).flat_map(move |y| (0..window[1]).map(move |x| (y, x)));
        inside.map(move |(y, x)| (row * window[0] + y) * width + column * window[1] + x)
    });
    places.collect()
}

/// The windows of maps as the tokens of a sequence (Liu et al. 2021, `window_partition`).
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// Rows of a window; they divide the height.
    pub height: usize,
    /// Columns of a window; they divide the width.
    pub width: usize,
}

impl Operation for Windows {
    const NAMES: &'static [&'static str] = &["windows"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let [height, width] = call.sizes(["height", "width"])?;
        (height > 0 && width > 0).then_some(Self { height, width })
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        MapSize {
            height: 1,
            width: inputs[0].height * inputs[0].width,
            ..inputs[0]
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let sources = in_windows([x.size.height, x.size.width], [self.height, self.width]);
        let size = self.output(&[x.size]);
        positions::moved(x, size, sources)
    }
}
