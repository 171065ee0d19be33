//! The weight gradient of a depthwise convolution in `f32`.
//!
//! `dw[ky][kx] = sum over pixels of x[y * stride + ky * dilation - pad, ...] * dy[y, x]`, each tap
//! a dot product of two planes. A tile of 2 x 9 or 3 x 7 taps (3 x 3 with 16 registers) is summed in
//! registers over a band of rows: a source row meets the rows of `dy` it belongs to at the tile's
//! two or three `ky` at once, so 18 multiply-adds cost 11 loads. (3 x 9 would fit 32 registers by
//! count, but the compiler then keeps half of the sums in memory.) For large kernels and wide maps
//! `x` and `dy` are transformed as in [`super::toom`], and the products summed are those of the five
//! points, with a kernel of a third of the width.

use super::lines::{Lines, Part};
use super::toom::{self, POINTS, Tiling};
use super::toom_weight::Outputs;
use super::uneven::{self, Windows};
use super::weight_cut::{BAND, Cut, Products, ZEROS, extents};
use super::weight_taps::Planes;
use crate::par;
use crate::simd::{Lanes, Level, Operation};
use ksdsl_engine::size::{Algorithm, ConvSize, MapSize};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether Toom-Cook's way is faster than the direct one, measured in paired runs on one core
/// (`depthwise::speeds::toom_against_direct`): from 7x7 on for maps 32 wide, at every level; not for 5x5,
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
