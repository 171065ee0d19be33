//! Depthwise convolution in `f32` by Toom-Cook's algorithm along the rows: 15 products do the work
//! of 27.
//!
//! The taps of a row are cut into groups of three, the outputs into tiles of three, and a group and
//! a tile meet in F(3, 3): with the points 0, 1, -1, 2 and infinity, five products of transformed
//! values instead of nine. A group further right reads the tile of the input further right, so that
//! the input is transformed once for all groups and for all rows of the kernel; groups and rows are
//! summed before the transformation back. What remains between the transformations is, for each of
//! the five points, a convolution over tiles with a kernel of a third of the width.
//!
//! Bands of a block of channels that are too [`uneven`] for this are computed directly.

mod transform;

use super::lines::{Lines, Part, blocks_len, plane_len};
use super::rows::{Convolution, for_bands, put};
use super::tile::{Grid, Output};
use super::uneven::{self, Windows};
use crate::finish::Finish;
use crate::real::CpuReal;
use crate::simd::{Lanes, Level, Operation, prefetch};
use ksdsl_engine::size::{MapSize, Window};
pub(super) use transform::{Tiling, load};

/// Outputs of a tile, and taps of a group.
pub(super) const TILE: usize = 3;
/// Products of a tile and a group.
pub(super) const POINTS: usize = 5;
/// Output rows whose sums are kept at once.
const ROWS: usize = 4;

/// Most lanes of a vector.
const MOST_LANES: usize = 16;

/// Values of the transformed kernels of so many channels.
pub(super) fn weights_len(lanes: usize, [height, width]: [usize; 2], channels: usize) -> usize {
    blocks_len(lanes, channels, POINTS * height * width.div_ceil(TILE))
}

/// Values of the planes of the points of a block, for these rows and columns of tiles.
fn block_len(extent: [usize; 2], lanes: usize) -> usize {
    POINTS * plane_len(extent, lanes)
}

/// Tiles of the output and of the input in a row.
fn columns(conv: &Convolution) -> [usize; 2] {
    let tiles = conv.output.width.div_ceil(TILE);
    [tiles, tiles + conv.kernel[1].div_ceil(TILE) - 1]
}

/// The scratch for `count` output rows: planes and sums.
pub(super) fn scratch(conv: &Convolution, lanes: usize, count: usize) -> [usize; 2] {
    let [tiles, columns] = columns(conv);
    let len = block_len([conv.reach(0, count), columns], lanes);
    let group = Part::most_blocks(len, conv.input.channels.div_ceil(lanes));
    [group * len, POINTS * ROWS * tiles * lanes]
}

/// Kernels, `[channel][ky][kx]` (rotated by 180 degrees if `rotated`), transformed:
/// `[block][point][ky][group][lane]`. The taps of a group are the coefficients of a polynomial,
/// whose values at the points are divided by what the interpolation divides by.
pub(super) fn weights(lanes: usize, kernel: [usize; 2], weight: &[f32], rotated: bool) -> Lines {
    let [height, width] = kernel;
    let (taps, groups) = (height * width, width.div_ceil(TILE));
    let channels = weight.len() / taps;
    let plane = height * groups * lanes;
    let mut form = Lines::scratch(weights_len(lanes, kernel, channels));
    for (form, weight) in form.chunks_exact_mut(POINTS * plane).zip(weight.chunks(lanes * taps)) {
        for place in 0..height * groups {
            let (ky, first) = (place / groups, place % groups * TILE);
            let mut group = [[0.0; MOST_LANES]; TILE];
            for (kx, tap) in (first..width).zip(&mut group) {
                let at = ky * width + kx;
                let at = if rotated { taps - 1 - at } else { at };
                for (value, weight) in tap.iter_mut().zip(weight.chunks_exact(taps)) {
                    *value = weight[at];
                }
            }
            let [a, b, c] = group;
            for lane in 0..lanes {
                let (a, b, c, at) = (a[lane], b[lane], c[lane], place * lanes + lane);
                form[at] = a / 2.0;
                form[plane + at] = -(a + b + c) / 2.0;
                form[2 * plane + at] = -(a - b + c) / 6.0;
                form[3 * plane + at] = (a + 2.0 * b + 4.0 * c) / 6.0;
                form[4 * plane + at] = c;
            }
        }
    }
    form
}

/// Whether a convolution can be computed this way.
pub(super) fn takes(window: &Window) -> bool {
    window.stride == [1, 1] && window.dilation[1] == 1
}

/// Computes all of `y`; the weights are those of [`weights`].
pub(super) fn run<E: CpuReal>(conv: &Convolution, level: Level, y: Option<&mut [E]>, finish: Option<&dyn Finish<E>>) {
    for_bands(&conv.output, conv.bands, y, finish, |row, count, y| {
        level.run(Band { conv, row, count, y });
    });
}

/// `count` output rows of one image from `row`, counted over the batch, on.
struct Band<'a, 'b> {
    conv: &'a Convolution<'a>,
    row: usize,
    count: usize,
    y: &'b mut [f32],
}

impl Operation for Band<'_, '_> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let (conv, count) = (self.conv, self.count);
        let [tiles, columns] = columns(conv);
        let groups = conv.kernel[1].div_ceil(TILE);
        let part = conv.part(self.row, count, columns * TILE + POINTS - TILE);
        let tiling = Tiling {
            columns,
            len: plane_len([part.extent[0], columns], V::LANES),
            part,
        };
        let windows = Windows {
            first: tiling.part.origin[1],
            length: conv.kernel[1],
            count: conv.output.width,
        };
        let (block_len, blocks) = (POINTS * tiling.len, conv.input.channels.div_ceil(V::LANES));
        let group = Part::most_blocks(block_len, blocks);
        let [mut planes, mut sums] = scratch(conv, V::LANES, count).map(Lines::scratch);
        let weights = POINTS * conv.kernel[0] * groups * V::LANES;
        for first in (0..blocks).step_by(group) {
            let planes = &mut planes[..group.min(blocks - first) * block_len];
            tiling.transform::<V>(first * V::LANES, planes);
            for (block, planes) in (first..).zip(planes.chunks_exact(block_len)) {
                if uneven::is_uneven::<V>(&tiling.part, block * V::LANES, windows) {
                    conv.blocks::<V>(self.row, count, block..block + 1, self.y);
                    continue;
                }
                let block = Block {
                    conv,
                    tiling: &tiling,
                    planes,
                    weight: &conv.weight[block * weights..][..weights],
                    bias: &conv.bias[block * V::LANES..][..V::LANES],
                    channel: block * V::LANES,
                    tiles,
                };
                for row in (0..count).step_by(ROWS) {
                    block.rows::<V>(row..count.min(row + ROWS), &mut sums, self.y);
                }
            }
        }
    }
}

/// One block of channels.
struct Block<'a> {
    conv: &'a Convolution<'a>,
    tiling: &'a Tiling<'a>,
    planes: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    channel: usize,
    /// Tiles in an output row.
    tiles: usize,
}

impl Block<'_> {
    /// The output rows `rows`, at most [`ROWS`].
    #[inline(always)]
    fn rows<V: Lanes>(&self, rows: std::ops::Range<usize>, sums: &mut [f32], y: &mut [f32]) {
        let (conv, tiling) = (self.conv, self.tiling);
        let groups = conv.kernel[1].div_ceil(TILE);
        let (weights, plane) = (conv.kernel[0] * groups * V::LANES, ROWS * self.tiles * V::LANES);
        let points = self
            .planes
            .chunks_exact(tiling.len)
            .zip(self.weight.chunks_exact(weights));
        for (point, (values, weight)) in points.enumerate() {
            let grid = Grid {
                plane: values,
                columns: tiling.columns,
                inside: tiling.part.inside(0),
                weight,
                kernel: [conv.kernel[0], groups],
                stride: [1, 1],
                dilation: [conv.dilation[0], 1],
            };
            let mut out = Sums {
                first: rows.start,
                tiles: self.tiles,
                sums: &mut sums[point * plane..][..plane],
                size: conv.output,
                // Three of the five points ask for one pixel each of every tile.
                y: y.as_ptr().wrapping_add(point * conv.output.channels + self.channel),
                ask: point < TILE,
            };
            grid.convolve::<V>(rows.clone(), self.tiles, &mut out);
        }
        for row in rows.clone() {
            let row_len = conv.output.width * conv.output.channels;
            let sums = &sums[(row - rows.start) * self.tiles * V::LANES..];
            self.transform_back::<V>(sums, plane, &mut y[row * row_len..][..row_len]);
        }
    }

    /// Makes one output row of the sums, whose points are `plane` apart.
    #[inline(always)]
    fn transform_back<V: Lanes>(&self, sums: &[f32], plane: usize, y: &mut [f32]) {
        let channels = self.conv.output.channels;
        let lanes = V::LANES.min(channels - self.channel);
        for (tile, pixels) in y.chunks_mut(TILE * channels).enumerate() {
            let sums = &sums[tile * V::LANES..][..(POINTS - 1) * plane + V::LANES];
            let count = pixels.len() / channels;
            let pixels = &mut pixels[self.channel..][..(count - 1) * channels + lanes];
            // SAFETY: below `Level::run`. `sums` was cut to reach from the first point to the last,
            // `pixels` from the first pixel to the last lane of the last; the bias has `LANES`
            // values.
            unsafe {
                let mut values = [V::zero(); POINTS];
                for (point, value) in values.iter_mut().enumerate() {
                    *value = V::load(sums.as_ptr().add(point * plane));
                }
                let [a, b, c, d, e] = values;
                let bias = V::load(self.bias.as_ptr());
                let (sum, difference, two) = (b.add(c).add(bias), b.sub(c).add(bias), V::splat(2.0));
                let twice = d.add(d);
                let values = [a.add(d).add(sum), difference.add(twice), twice.mul_add(two, sum).add(e)];
                let pixels = pixels.as_mut_ptr();
                if count == TILE && lanes == V::LANES {
                    for (p, value) in values.iter().enumerate() {
                        value.store(pixels.add(p * channels));
                    }
                } else {
                    put(values[0], pixels, lanes);
                    if count > 1 {
                        put(values[1], pixels.add(channels), lanes);
                    }
                    if count > 2 {
                        put(values[2], pixels.add(2 * channels), lanes);
                    }
                }
            }
        }
    }
}

/// The sums of one point of some rows, `[row][tile][lane]`.
struct Sums<'a> {
    first: usize,
    tiles: usize,
    sums: &'a mut [f32],
    size: MapSize,
    /// Where to ask for pixels of the output; only asked for, never read.
    y: *const f32,
    ask: bool,
}

impl Output for Sums<'_> {
    #[inline(always)]
    fn ask_for(&self, [row, tile]: [usize; 2], [height, width]: [usize; 2]) {
        if self.ask {
            for r in row..row + height {
                for t in tile..tile + width {
                    let pixel = r * self.size.width + TILE * t;
                    prefetch(self.y.wrapping_add(pixel * self.size.channels));
                }
            }
        }
    }

    #[inline(always)]
    fn start<V: Lanes>(&self) -> V {
        // SAFETY: below `Level::run`.
        unsafe { V::zero() }
    }

    #[inline(always)]
    fn put<V: Lanes, const R: usize, const P: usize>(&mut self, [row, tile]: [usize; 2], sums: &[[V; P]; R]) {
        let at = (row - self.first) * self.tiles + tile;
        let to = &mut self.sums[at * V::LANES..][..((R - 1) * self.tiles + P) * V::LANES];
        for (r, sums) in sums.iter().enumerate() {
            for (p, &sum) in sums.iter().enumerate() {
                // SAFETY: below `Level::run`; `to` was cut to what the tile fills.
                unsafe { sum.store(to.as_mut_ptr().add((r * self.tiles + p) * V::LANES)) };
            }
        }
    }
}
