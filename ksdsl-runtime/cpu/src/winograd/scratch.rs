//! What the kernels of this module allocate, by the functions they allocate by.

use super::points::{POINTS, room};
use super::{bands_per_task, few_tiles, gradient_bands};
use crate::gemm::{packed_room, transposed_scratch};
use crate::simd::Level;
use crate::winograd::tiles::Tiling;
use ksdsl_engine::size::ConvSize;

/// Elements of the points of all tiles or of those of a task, before and after the products.
pub(crate) enum Scratch {
    /// Of all tiles, before the output is allocated.
    Whole([usize; 2]),
    /// Of each of so many tasks.
    OfTasks([usize; 2], usize),
}

/// The forward pass, or the data gradient.
pub(crate) fn convolve(size: &ConvSize, backward: bool) -> Scratch {
    let tiling = if backward {
        Tiling::backward_data(size)
    } else {
        Tiling::forward(size)
    };
    let points = |bands: usize| [tiling.from, tiling.to].map(|map| room(bands * tiling.across * map.channels));
    if few_tiles(&tiling) {
        return Scratch::Whole(points(tiling.bands()));
    }
    let step = bands_per_task(&tiling);
    Scratch::OfTasks(points(step.min(tiling.bands())), tiling.bands().div_ceil(step))
}

/// The points of a block of tiles of both maps, what a product needs of scratch, and the number of products.
pub(crate) fn backward_weight(level: Level, size: &ConvSize) -> ([usize; 2], [usize; 2], usize) {
    let tiling = Tiling::forward(size);
    let tiles = gradient_bands(&tiling) * tiling.across;
    let (inputs, outputs) = (tiling.from.channels, tiling.to.channels);
    let product = transposed_scratch(level, tiles, inputs, [outputs, outputs]);
    (
        [inputs, outputs].map(|channels| room(tiles * channels)),
        product,
        POINTS,
    )
}

/// The points of a kernel's gradient, or of a kernel before it is packed.
pub(crate) fn points(size: &ConvSize) -> usize {
    room(size.input.channels * size.output.channels)
}

/// A transformed kernel: the factors of the points.
pub(crate) fn form(level: Level, size: &ConvSize, backward: bool) -> Vec<usize> {
    let [inputs, outputs] = [size.input.channels, size.output.channels];
    let sizes = if backward { [outputs, inputs] } else { [inputs, outputs] };
    vec![packed_room(level, sizes); POINTS]
}
