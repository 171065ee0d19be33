//! The weight gradient of a depthwise convolution in `f32`.
//!
//! `dw[ky][kx] = sum over pixels of x[y * stride + ky * dilation - pad, ...] * dy[y, x]`, each tap
//! a dot product of two planes. A tile of 2 x 9 or 3 x 7 taps (3 x 3 with 16 registers) is summed in
//! registers over a band of rows: a source row meets the rows of `dy` it belongs to at the tile's
//! two or three `ky` at once, so 18 multiply-adds cost 11 loads. (3 x 9 would fit 32 registers by
//! count, but the compiler then keeps half of the sums in memory.) For large kernels and wide maps
//! `x` and `dy` are transformed as in [`super::toom`], and the products summed are those of the five
//! points, with a kernel of a third of the width.

use super::lines::{Lines, Part, plane_len};
use super::toom::{self, POINTS, TILE, Tiling};
use super::toom_weight::{self, Outputs};
use super::uneven::{self, Windows};
use crate::par;
use crate::simd::{Lanes, Level, Operation};
use ksdsl_engine::size::{Algorithm, ConvSize, MapSize};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most rows of taps in a tile; `dy` has one row less of zeros above and below.
const TILE_ROWS: usize = 3;
/// Rows of zeros above the output gradient of a band, and below.
const ZEROS: usize = TILE_ROWS - 1;
/// Output rows copied as planes at once.
const BAND: usize = 16;
/// Tasks to have at least, where there are as many bands.
const TASKS: usize = 16;

/// Whether Toom-Cook's way is faster than the direct one, measured in paired runs on one core
/// (`depthwise::tests::toom_against_direct`): from 7x7 on for maps 32 wide, at every level; not for 5x5,
/// and no gain for maps 16 wide.
fn toom_pays(size: &ConvSize) -> bool {
    let [height, taps] = size.window.kernel;
    toom::takes(&size.window) && height >= 7 && taps >= 7 && size.output.width >= 24
}

/// Adds the gradient to `dweight`, `[channel][ky][kx]`.
pub(super) fn backward(level: Level, size: &ConvSize, x: &[f32], dy: &[f32], dweight: &mut [f32]) {
    backward_by(is_toom(size), level, size, x, dy, dweight);
}

/// Whether Toom-Cook's algorithm is taken.
pub(super) fn is_toom(size: &ConvSize) -> bool {
    let toom = match size.algorithm {
        Algorithm::Auto | Algorithm::Training => toom_pays(size),
        Algorithm::ToomCook => toom::takes(&size.window),
        Algorithm::Direct | Algorithm::Winograd => false,
    };
    toom && compared(size) > 0
}

/// How the gradient is cut.
pub(super) struct Cut {
    /// Blocks of channels of a group, and groups of them.
    group: usize,
    groups: usize,
    /// Bands of output rows, of all images and of a part.
    bands: usize,
    per_part: usize,
    /// Sums of a block.
    per_block: usize,
    products: Products,
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
    fn part_len(&self) -> usize {
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

/// As [`backward`], by Toom-Cook's algorithm or directly.
pub(super) fn backward_by(toom: bool, level: Level, size: &ConvSize, x: &[f32], dy: &[f32], dweight: &mut [f32]) {
    let (lanes, channels) = (level.lanes(), size.input.channels);
    let cut = Cut::new(toom, level, size);
    let Cut {
        group,
        groups,
        bands,
        per_part,
        per_block,
        products,
    } = cut;
    let blocks = channels.div_ceil(lanes);
    // `[part][block][point][ky][kx][lane]`.
    let mut sums = Lines::scratch(cut.sums_len());
    let uneven = AtomicBool::new(false);
    par::for_rows(&mut sums, group * per_block, 1, |index, sums| {
        let (part, block) = (index / groups, index % groups * group);
        let first = part * per_part;
        level.run(Task {
            size,
            x,
            dy,
            bands: first..bands.min(first + per_part),
            blocks: block..blocks.min(block + group),
            sums,
            products,
            uneven: &uneven,
        });
    });
    if uneven.into_inner() {
        // The sums are of the points; a part of them cannot be of the taps.
        drop(sums);
        return backward_by(false, level, size, x, dy, dweight);
    }
    let part_len = cut.part_len();
    for (channel, dweight) in dweight.chunks_exact_mut(super::taps(size)).enumerate() {
        for sums in sums.chunks_exact(part_len) {
            let sums = &sums[channel / lanes * per_block + channel % lanes..];
            products.add(size.window.kernel, |place| sums[place * lanes], dweight);
        }
    }
}

/// The windows of both maps that are compared.
fn windows(size: &ConvSize) -> [Windows; 2] {
    let (taps, width, length) = (size.window.kernel[1], size.output.width, compared(size));
    let of_outputs = Windows {
        first: 0,
        length,
        count: width - length + 1,
    };
    let length = taps.min(width);
    let of_inputs = Windows {
        first: -size.window.pad[1].cast_signed(),
        length,
        count: taps + width - length,
    };
    [of_inputs, of_outputs]
}

/// Columns of a window of output gradients: a tap reads a row of them, but the algorithm's error is that of tiles, so
/// half as many as taps. Some two windows have no column in common, and each tap multiplies one of them with pixels
/// inside the map.
fn compared(size: &ConvSize) -> usize {
    let (window, width) = (&size.window, size.output.width);
    let (taps, pad) = (window.kernel[1], window.pad[1]);
    let multiplied = (0..taps).map(|tap| {
        let end = (size.input.width + pad).saturating_sub(tap).min(width);
        end.saturating_sub(pad.saturating_sub(tap))
    });
    let least = multiplied.min().unwrap_or(0);
    taps.div_ceil(2).min(width / 2).min(least)
}

/// Which products are summed.
#[derive(Clone, Copy)]
struct Products {
    /// Taps, or groups of them, of a row and in all.
    kernel: [usize; 2],
    /// Whether pixels and taps are transformed, in tiles of three.
    toom: bool,
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
    fn planes(self) -> usize {
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
    fn tiles(self, columns: usize) -> [usize; 2] {
        let tiles = columns.div_ceil(TILE);
        [tiles + self.kernel[1] - 1, tiles]
    }

    /// Values of a plane of a point of each map, of these rows.
    fn tiled_len(self, rows: [usize; 2], columns: usize, lanes: usize) -> [usize; 2] {
        let tiles = self.tiles(columns);
        [0, 1].map(|map| plane_len([rows[map], tiles[map]], lanes))
    }

    /// Adds one channel's sums to the gradient of its kernel, `[ky][kx]`.
    fn add(self, kernel: [usize; 2], sum: impl Fn(usize) -> f32, dweight: &mut [f32]) {
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
fn extents(size: &ConvSize, rows: usize) -> [[usize; 2]; 2] {
    let window = &size.window;
    let reach = |axis: usize, outputs: usize| {
        outputs.saturating_sub(1) * window.stride[axis] + (window.kernel[axis] - 1) * window.dilation[axis] + 1
    };
    [
        [reach(0, rows), reach(1, size.output.width)],
        [rows + 2 * ZEROS, size.output.width],
    ]
}

/// What `rows` output rows from `top` on read of `x` and `dy`.
fn parts<'a>(size: &ConvSize, x: &'a [f32], dy: &'a [f32], [image, top, rows]: [usize; 3]) -> [Part<'a>; 2] {
    let window = &size.window;
    let [of_x, of_dy] = extents(size, rows);
    let above = (top * window.stride[0]).cast_signed() - window.pad[0].cast_signed();
    let row_len = size.output.width * size.output.channels;
    let (x_len, dy_len) = (x.len() / size.input.batch, dy.len() / size.output.batch);
    let x = Part {
        image: &x[image * x_len..][..x_len],
        size: size.input,
        origin: [above, -window.pad[1].cast_signed()],
        extent: of_x,
    };
    // The band as an image of its own: beyond it there are zeros, not the next band.
    let band = &dy[image * dy_len + top * row_len..][..rows * row_len];
    let dy = Part {
        image: band,
        size: MapSize {
            height: rows,
            ..size.output
        },
        origin: [-ZEROS.cast_signed(), 0],
        extent: of_dy,
    };
    [x, dy]
}

/// The gradient of some blocks of channels over some bands.
struct Task<'a, 'b> {
    size: &'a ConvSize,
    x: &'a [f32],
    dy: &'a [f32],
    bands: Range<usize>,
    blocks: Range<usize>,
    /// `[block][point][ky][kx][lane]`.
    sums: &'b mut [f32],
    products: Products,
    /// Set if the maps are too uneven for Toom-Cook's algorithm.
    uneven: &'a AtomicBool,
}

impl Operation for Task<'_, '_> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        self.sums.fill(0.0);
        let (height, first) = (self.size.output.height, self.blocks.start * V::LANES);
        let per_image = height.div_ceil(BAND);
        let mut planes = [Lines::scratch(0), Lines::scratch(0)];
        for band in self.bands.clone() {
            let (image, top) = (band / per_image, band % per_image * BAND);
            let rows = BAND.min(height - top);
            let parts = parts(self.size, self.x, self.dy, [image, top, rows]);
            let inside = parts[0].inside(0);
            let columns = if self.products.toom {
                self.transform::<V>(first, parts, &mut planes)
            } else {
                self.copy::<V>(first, parts, &mut planes)
            };
            let points = self.blocks.len() * self.products.planes();
            let kernel = self.products.kernel;
            let sums = self.sums.chunks_exact_mut(kernel[0] * kernel[1] * V::LANES);
            let [x, dy] = [0, 1].map(|map| planes[map].chunks_exact(planes[map].len() / points));
            for ((x, dy), sums) in x.zip(dy).zip(sums) {
                let planes = Planes {
                    x,
                    dy,
                    rows,
                    columns,
                    inside: inside.clone(),
                    stride: self.size.window.stride,
                    dilation: self.size.window.dilation,
                };
                planes.all_taps::<V>(kernel, sums);
            }
        }
    }
}

impl Task<'_, '_> {
    /// Copies the blocks as planes; returns the columns of both.
    #[inline(always)]
    fn copy<V: Lanes>(&self, first: usize, [x, dy]: [Part; 2], planes: &mut [Lines; 2]) -> [usize; 2] {
        planes[0].resize(self.blocks.len() * x.len(V::LANES));
        planes[1].resize(self.blocks.len() * dy.len(V::LANES));
        x.copy::<V>(first, &mut planes[0]);
        dy.copy::<V>(first, &mut planes[1]);
        [x.extent[1], dy.extent[1]]
    }

    /// Transforms the blocks to five planes each; returns the columns of both.
    #[inline(always)]
    fn transform<V: Lanes>(&self, first: usize, [x, dy]: [Part; 2], planes: &mut [Lines; 2]) -> [usize; 2] {
        let columns = self.products.tiles(dy.extent[1]);
        let rows = [x.extent[0], dy.extent[0]];
        let lens = self.products.tiled_len(rows, dy.extent[1], V::LANES);
        let x = Tiling {
            columns: columns[0],
            len: lens[0],
            part: x,
        };
        let dy = Outputs {
            columns: columns[1],
            len: lens[1],
            part: dy,
        };
        let [of_x, of_dy] = windows(self.size);
        for block in self.blocks.clone() {
            let channel = block * V::LANES;
            if uneven::is_uneven::<V>(&x.part, channel, of_x) || uneven::is_uneven::<V>(&dy.part, channel, of_dy) {
                self.uneven.store(true, Ordering::Relaxed);
            }
        }
        planes[0].resize(self.blocks.len() * POINTS * x.len);
        planes[1].resize(self.blocks.len() * POINTS * dy.len);
        x.transform::<V>(first, &mut planes[0]);
        dy.transform::<V>(first, &mut planes[1]);
        columns
    }
}

/// The planes of a band of `rows` output rows.
struct Planes<'a> {
    x: &'a [f32],
    /// With `TILE_ROWS - 1` rows of zeros above and below.
    dy: &'a [f32],
    rows: usize,
    /// Columns of `x` and of `dy`.
    columns: [usize; 2],
    /// Rows of `x` inside the map; the others are zero and are left out.
    inside: Range<usize>,
    stride: [usize; 2],
    dilation: [usize; 2],
}

impl Planes<'_> {
    /// All taps, in tiles: three rows of taps share a source row only if it is the next row both
    /// of the window and of the map.
    #[inline(always)]
    fn all_taps<V: Lanes>(&self, kernel: [usize; 2], sums: &mut [f32]) {
        let shared = self.stride[0] == 1 && self.dilation[0] == 1;
        let three = !V::MANY || kernel[1] < 9;
        let mut ky = 0;
        while ky < kernel[0] {
            let row = &mut sums[ky * kernel[1] * V::LANES..];
            match kernel[0] - ky {
                left if shared && three && left >= 3 && left != 4 => {
                    self.tap_rows::<V, 3>(ky, kernel[1], row);
                    ky += 3;
                }
                left if shared && left >= 2 => {
                    self.tap_rows::<V, 2>(ky, kernel[1], row);
                    ky += 2;
                }
                _ => {
                    self.tap_rows::<V, 1>(ky, kernel[1], row);
                    ky += 1;
                }
            }
        }
    }

    /// `T` rows of taps, in tiles of the usual widths so that most kernels take one.
    #[inline(always)]
    fn tap_rows<V: Lanes, const T: usize>(&self, ky: usize, kernel: usize, sums: &mut [f32]) {
        let mut kx = 0;
        while kx < kernel {
            kx += match kernel - kx {
                9.. if V::MANY && const { T < TILE_ROWS } => self.tile::<V, T, 9>(ky, kx, kernel, sums),
                7.. if V::MANY => self.tile::<V, T, 7>(ky, kx, kernel, sums),
                5.. if V::MANY => self.tile::<V, T, 5>(ky, kx, kernel, sums),
                3.. => self.tile::<V, T, 3>(ky, kx, kernel, sums),
                2 => self.tile::<V, T, 2>(ky, kx, kernel, sums),
                _ => self.tile::<V, T, 1>(ky, kx, kernel, sums),
            };
        }
    }

    /// Adds the gradient of the `T` x `U` taps from `(ky, kx)` on; `sums` starts at row `ky`.
    /// Returns `U`.
    #[inline(always)]
    fn tile<V: Lanes, const T: usize, const U: usize>(
        &self,
        ky: usize,
        kx: usize,
        kernel: usize,
        sums: &mut [f32],
    ) -> usize {
        // SAFETY: below `Level::run`.
        let mut total = unsafe { [[V::zero(); U]; T] };
        for row in 0..self.rows + T - 1 {
            // Row `row - t` of the band reads this source row at tap `ky + t`.
            let from = row * self.stride[0] + ky * self.dilation[0];
            if self.inside.contains(&from) {
                self.add_row::<V, T, U>(from, row, kx, &mut total);
            }
        }
        for (t, total) in total.iter().enumerate() {
            let sums = &mut sums[(t * kernel + kx) * V::LANES..][..U * V::LANES];
            for (&total, sum) in total.iter().zip(sums.chunks_exact_mut(V::LANES)) {
                // SAFETY: below `Level::run`; the chunk has `LANES` values.
                unsafe { total.add(V::load(sum.as_ptr())).store(sum.as_mut_ptr()) };
            }
        }
        U
    }

    /// The products of source row `from` with the rows `row - t` of `dy`.
    #[allow(clippy::needless_range_loop, reason = "one counter for several arrays")]
    #[inline(always)]
    fn add_row<V: Lanes, const T: usize, const U: usize>(
        &self,
        from: usize,
        row: usize,
        kx: usize,
        total: &mut [[V; U]; T],
    ) {
        let (lanes, [columns, width]) = (V::LANES, self.columns);
        let (step, tap) = (self.stride[1] * lanes, self.dilation[1] * lanes);
        let x = &self.x[(from * columns + kx * self.dilation[1]) * lanes..];
        let x = &x[..(width - 1) * step + (U - 1) * tap + lanes];
        let dy: [&[f32]; T] = std::array::from_fn(|t| {
            let row = row + TILE_ROWS - 1 - t;
            &self.dy[row * width * lanes..][..width * lanes]
        });
        let (x, dy) = (x.as_ptr(), dy.map(<[f32]>::as_ptr));
        for pixel in 0..width {
            // SAFETY: below `Level::run`. The rows of `dy` have `width` vectors; `x` was cut to
            // what the last pixel reads at the last tap.
            unsafe {
                let dy: [V; T] = std::array::from_fn(|t| V::load(dy[t].add(pixel * lanes)));
                for u in 0..U {
                    let value = V::load(x.add(pixel * step + u * tap));
                    for t in 0..T {
                        total[t][u] = value.mul_add(dy[t], total[t][u]);
                    }
                }
            }
        }
    }
}
