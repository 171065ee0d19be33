//! How a weight gradient is cut: bands of rows, groups of blocks of channels, and what is summed.

use super::lines::{Part, plane_len};
use super::toom::{POINTS, TILE};
use super::toom_weight;
use super::weight_taps::TILE_ROWS;
use crate::par;
use crate::simd::Level;
use ksdsl_engine::size::ConvSize;

/// Rows of zeros above the output gradient of a band, and below.
pub(super) const ZEROS: usize = TILE_ROWS - 1;
/// Output rows copied as planes at once.
pub(super) const BAND: usize = 16;
/// Tasks to have at least, where there are as many bands.
const TASKS: usize = 16;

/// How the gradient is cut.
pub(super) struct Cut {
    /// Blocks of channels of a group, and groups of them.
    pub(super) group: usize,
    pub(super) groups: usize,
    /// Bands of output rows, of all images and of a part.
    pub(super) bands: usize,
    pub(super) per_part: usize,
    /// Sums of a block.
    pub(super) per_block: usize,
    pub(super) products: Products,
}

impl Cut {
    pub(super) fn new(toom: bool, level: Level, size: &ConvSize) -> Self {
        let products = Products::of(size, toom);
        let blocks = size.input.channels.div_ceil(level.lanes());
        let bands = size.output.height.div_ceil(BAND) * size.output.batch;
        let group = products.most_blocks(size, level.lanes(), blocks);
        let groups = blocks.div_ceil(group);
        Self {
            group,
            groups,
            bands,
            per_part: par::items_per_part(bands, 1, TASKS.div_ceil(groups)),
            per_block: products.len() * level.lanes(),
            products,
        }
    }

    fn parts(&self) -> usize {
        self.bands.div_ceil(self.per_part)
    }

    /// Sums of a part, with unused blocks in the last group.
    pub(super) fn part_len(&self) -> usize {
        self.groups * self.group * self.per_block
    }

    /// Sums of all parts.
    pub(super) fn sums_len(&self) -> usize {
        self.parts() * self.part_len()
    }

    pub(super) fn tasks(&self) -> usize {
        self.parts() * self.groups
    }

    /// Values of the planes of both maps in a task.
    pub(super) fn planes_len(&self, level: Level, size: &ConvSize) -> [usize; 2] {
        let blocks = size.input.channels.div_ceil(level.lanes()).min(self.group);
        let planes = self.products.planes_len(size, level.lanes());
        planes.map(|len| blocks * self.products.planes() * len)
    }
}

/// Which products are summed.
#[derive(Clone, Copy)]
pub(super) struct Products {
    /// Taps, or groups of them, of a row and in all.
    pub(super) kernel: [usize; 2],
    /// Whether pixels and taps are transformed, in tiles of three.
    pub(super) toom: bool,
}

impl Products {
    fn of(size: &ConvSize, toom: bool) -> Self {
        let window = &size.window;
        let columns = if toom {
            window.kernel[1].div_ceil(TILE)
        } else {
            window.kernel[1]
        };
        Self {
            kernel: [window.kernel[0], columns],
            toom,
        }
    }

    /// Sums per channel.
    fn len(self) -> usize {
        self.planes() * self.kernel[0] * self.kernel[1]
    }

    /// Planes of a block of channels of a map.
    pub(super) fn planes(self) -> usize {
        if self.toom { POINTS } else { 1 }
    }

    /// Blocks of channels per task.
    fn most_blocks(self, size: &ConvSize, lanes: usize, blocks: usize) -> usize {
        let rows = BAND.min(size.output.height);
        let [x, dy] = extents(size, rows);
        let len = |[rows, columns]: [usize; 2]| match self.toom {
            true => POINTS * plane_len([rows, columns.div_ceil(TILE)], lanes),
            false => plane_len([rows, columns], lanes),
        };
        Part::most_blocks(len(x) + len(dy), blocks)
    }

    /// Values of a plane of each map for the most rows of a band.
    fn planes_len(self, size: &ConvSize, lanes: usize) -> [usize; 2] {
        let [x, dy] = extents(size, BAND.min(size.output.height));
        match self.toom {
            true => self.tiled_len([x[0], dy[0]], dy[1], lanes),
            false => [x, dy].map(|extent| plane_len(extent, lanes)),
        }
    }

    /// Tiles in a row of each map, for so many columns of outputs.
    pub(super) fn tiles(self, columns: usize) -> [usize; 2] {
        let tiles = columns.div_ceil(TILE);
        [tiles + self.kernel[1] - 1, tiles]
    }

    /// Values of a plane of a point of each map, of these rows.
    pub(super) fn tiled_len(self, rows: [usize; 2], columns: usize, lanes: usize) -> [usize; 2] {
        let tiles = self.tiles(columns);
        [0, 1].map(|map| plane_len([rows[map], tiles[map]], lanes))
    }

    /// Adds one channel's sums to the gradient of its kernel, `[ky][kx]`.
    pub(super) fn add(self, kernel: [usize; 2], sum: impl Fn(usize) -> f32, dweight: &mut [f32]) {
        if !self.toom {
            for (tap, dweight) in dweight.iter_mut().enumerate() {
                *dweight += sum(tap);
            }
            return;
        }
        let places = self.kernel[0] * self.kernel[1];
        for (ky, row) in dweight.chunks_exact_mut(kernel[1]).enumerate() {
            for (group, taps) in row.chunks_mut(TILE).enumerate() {
                let at = ky * self.kernel[1] + group;
                let more = toom_weight::taps([0, 1, 2, 3, 4].map(|point| sum(point * places + at)));
                for (tap, more) in taps.iter_mut().zip(more) {
                    *tap += more;
                }
            }
        }
    }
}

/// Rows and columns of `x` and `dy` under so many output rows, with zeros around those of `dy`.
pub(super) fn extents(size: &ConvSize, rows: usize) -> [[usize; 2]; 2] {
    let window = &size.window;
    let reach = |axis: usize, outputs: usize| {
        outputs.saturating_sub(1) * window.stride[axis] + (window.kernel[axis] - 1) * window.dilation[axis] + 1
    };
    [
        [reach(0, rows), reach(1, size.output.width)],
        [rows + 2 * ZEROS, size.output.width],
    ]
}
