//! Tokens as the windows of maps.

use super::windows::in_windows;
use super::{Call, Operation, positions};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;

/// The maps of this size whose windows tokens are: the opposite of [`Windows`](super::Windows).
#[derive(Clone, Copy, Debug)]
pub struct MergeWindows {
    /// Rows of a window.
    pub height: usize,
    /// Columns of a window.
    pub width: usize,
    /// Rows of the map.
    pub map_height: usize,
    /// Columns of the map.
    pub map_width: usize,
}

impl Operation for MergeWindows {
    const NAMES: &'static [&'static str] = &["merge_windows"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let [height, width] = call.sizes(["height", "width"])?;
        let [map_height, map_width] = call.sizes(["map_height", "map_width"])?;
        let merge = Self {
            height,
            width,
            map_height,
            map_width,
        };
        (height > 0 && width > 0).then_some(merge)
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        MapSize {
            height: self.map_height,
            width: self.map_width,
            ..inputs[0]
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let places = in_windows([self.map_height, self.map_width], [self.height, self.width]);
        let mut sources = vec![0; places.len()];
        for (token, place) in places.into_iter().enumerate() {
            sources[place] = token;
        }
        let size = self.output(&[x.size]);
        positions::moved(x, size, sources)
    }
}
