//! Depthwise convolution in `f32`: output rows from planes of one vector of channels.
//!
//! The forward pass of any stride and dilation, and the data gradient of stride 1, which is the
//! forward pass over `dy` with the kernel rotated by 180 degrees.

use super::lines::{Lines, Part, plane_len};
use super::tile::{Grid, Output};
use crate::CpuBuf;
use crate::finish::Finish;
use crate::par::{self, Cut};
use crate::real::CpuReal;
use crate::simd::{Lanes, Level, Operation, prefetch};
use ksdsl_engine::size::MapSize;
use std::ops::Range;

/// Output rows of one task: more would leave too few tasks to share out, fewer would copy the
/// rows that neighbouring tasks have in common (`kernel - 1`) more often.
pub(super) const BAND: usize = 16;

/// A convolution of one channel at a time.
pub(super) struct Convolution<'a> {
    pub(super) source: &'a [f32],
    pub(super) input: MapSize,
    pub(super) output: MapSize,
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    /// The row and column of the source that the first tap of the first output reads.
    pub(super) origin: [isize; 2],
    /// `[block][ky][kx][lane]`; for [`super::toom`] what it makes of that.
    pub(super) weight: &'a [f32],
    /// `[block][ky][kx][lane]`.
    pub(super) plain: &'a [f32],
    /// `[block][lane]`.
    pub(super) bias: &'a [f32],
    /// The tasks.
    pub(super) bands: Cut,
}

impl<'a> Convolution<'a> {
    /// Rows (axis 0) or columns (axis 1) that so many outputs read.
    pub(super) fn reach(&self, axis: usize, outputs: usize) -> usize {
        outputs.saturating_sub(1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis] + 1
    }

    /// Rows and columns that `count` output rows read.
    fn extent(&self, count: usize) -> [usize; 2] {
        [self.reach(0, count), self.reach(1, self.output.width)]
    }

    /// Most output rows of an image that a task computes together.
    pub(super) fn most_rows(&self) -> usize {
        self.bands.task().min(self.output.height)
    }

    /// Values of the planes for `count` output rows of so many blocks of channels.
    pub(super) fn planes_len(&self, lanes: usize, count: usize, blocks: usize) -> usize {
        let len = plane_len(self.extent(count), lanes);
        Part::most_blocks(len, blocks) * len
    }

    /// Elements of the band of a task whose output is kept nowhere else.
    pub(super) fn band_len(&self) -> usize {
        band_len(&self.output, self.bands)
    }

    /// What `count` output rows from `row`, counted over the batch, on read, `columns` wide.
    pub(super) fn part(&self, row: usize, count: usize, columns: usize) -> Part<'a> {
        let (image, y) = (row / self.output.height, row % self.output.height);
        let len = self.input.height * self.input.width * self.input.channels;
        let rows = self.reach(0, count);
        Part {
            image: &self.source[image * len..][..len],
            size: self.input,
            origin: [self.origin[0] + (y * self.stride[0]).cast_signed(), self.origin[1]],
            extent: [rows, columns],
        }
    }
}

/// Calls `run(row, count, y)` for bands of `count` output rows of one image, in parallel, and hands
/// each to `finish` while it is in the cache; `E` is `f32`. Without a `y`, each band lies in scratch that
/// `finish` is the last to see.
pub(super) fn for_bands<E: CpuReal>(
    output: &MapSize,
    cut: Cut,
    y: Option<&mut [E]>,
    finish: Option<&dyn Finish<E>>,
    run: impl Fn(usize, usize, &mut [f32]) + Sync,
) {
    let (width, height) = (output.width, output.height);
    let row_len = width * output.channels;
    let run = |row: usize, count: usize, band: &mut [E]| {
        if let Some(y) = E::f32s_mut(band) {
            run(row, count, y);
        }
        if let Some(finish) = finish {
            finish.finish(row * width, band);
        }
    };
    let Some(y) = y else {
        par::for_ranges(cut, |rows| {
            let mut band = CpuBuf::scratch(band_len(output, cut));
            let mut row = rows.start;
            while row < rows.end {
                let count = (height - row % height).min(rows.end - row);
                run(row, count, &mut band[..count * row_len]);
                row += count;
            }
        });
        return;
    };
    par::for_cut(y, row_len, cut, |first, part| {
        let (mut row, mut rest) = (first, part);
        while !rest.is_empty() {
            let count = (height - row % height).min(rest.len() / row_len);
            let (band, more) = rest.split_at_mut(count * row_len);
            run(row, count, band);
            (row, rest) = (row + count, more);
        }
    });
}

/// Elements of the most rows of an image in a task.
fn band_len(output: &MapSize, cut: Cut) -> usize {
    cut.task().min(output.height) * output.width * output.channels
}

/// How [`for_bands`] cuts the rows of all images; by the rows of `unit` images, if given. An even number of tasks of as many
/// rows, or one: so two threads have as much to do each.
pub(super) fn bands(output: &MapSize, taps: usize, unit: Option<usize>) -> Cut {
    let rows = unit.unwrap_or(output.batch) * output.height;
    let least = par::rows_per_task(output.width * output.channels * taps);
    let tasks = rows.div_ceil(least.max(BAND.min(output.height)));
    let tasks = tasks
        .max(rows.div_ceil(least).min(2))
        .next_multiple_of(2)
        .min(rows.div_ceil(least));
    let units = unit.map_or(1, |unit| output.batch.div_ceil(unit.max(1)));
    Cut::even(output.batch * output.height, tasks * units, 1)
}

/// Computes all of `y`.
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
        let blocks = 0..self.conv.input.channels.div_ceil(V::LANES);
        self.conv.blocks::<V>(self.row, self.count, blocks, self.y);
    }
}

impl Convolution<'_> {
    /// These blocks of channels of `count` output rows of one image from `row`, counted over the batch, on,
    /// which `y` holds.
    #[inline(always)]
    pub(super) fn blocks<V: Lanes>(&self, row: usize, count: usize, blocks: Range<usize>, y: &mut [f32]) {
        let (conv, width) = (self, self.output.width);
        let columns = conv.reach(1, width);
        let part = conv.part(row, count, columns);
        let taps = conv.kernel[0] * conv.kernel[1];
        let len = part.len(V::LANES);
        let group = Part::most_blocks(len, blocks.len());
        let mut planes = Lines::scratch(conv.planes_len(V::LANES, count, blocks.len()));
        for first in blocks.clone().step_by(group) {
            let planes = &mut planes[..group.min(blocks.end - first) * len];
            part.copy::<V>(first * V::LANES, planes);
            for (block, plane) in (first..).zip(planes.chunks_exact(len)) {
                let grid = Grid {
                    plane,
                    columns,
                    inside: part.inside(0),
                    weight: &conv.plain[block * taps * V::LANES..][..taps * V::LANES],
                    kernel: conv.kernel,
                    stride: conv.stride,
                    dilation: conv.dilation,
                };
                let mut pixels = Pixels {
                    bias: &conv.bias[block * V::LANES..][..V::LANES],
                    channel: block * V::LANES,
                    size: conv.output,
                    start: 0,
                    step: [1, 1],
                    y: &mut *y,
                };
                grid.convolve::<V>(0..count, width, &mut pixels);
            }
        }
    }
}

/// One block of channels of the output.
pub(super) struct Pixels<'a> {
    pub(super) bias: &'a [f32],
    pub(super) channel: usize,
    pub(super) size: MapSize,
    /// The place in `y` of the first pixel, in pixels.
    pub(super) start: usize,
    /// The distance in `y` of neighbouring rows and columns, in rows and columns.
    pub(super) step: [usize; 2],
    pub(super) y: &'a mut [f32],
}

impl Pixels<'_> {
    /// Where in `y` the block's channels of the pixel `(row, x)` start.
    #[inline(always)]
    fn place(&self, row: usize, x: usize) -> usize {
        let pixel = self.start + row * self.step[0] * self.size.width + x * self.step[1];
        pixel * self.size.channels + self.channel
    }
}

impl Output for Pixels<'_> {
    /// Prefetches the pixels a tile is about to write: lines `channels` apart, which the CPU does
    /// not foresee by itself.
    #[inline(always)]
    fn ask_for(&self, [row, x]: [usize; 2], [height, width]: [usize; 2]) {
        for r in row..row + height {
            for p in x..x + width {
                prefetch(self.y.as_ptr().wrapping_add(self.place(r, p)));
            }
        }
    }

    #[inline(always)]
    fn start<V: Lanes>(&self) -> V {
        debug_assert!(self.bias.len() >= V::LANES);
        // SAFETY: below `Level::run`; a block of biases has `LANES` values.
        unsafe { V::load(self.bias.as_ptr()) }
    }

    #[inline(always)]
    fn put<V: Lanes, const R: usize, const P: usize>(&mut self, [row, x]: [usize; 2], sums: &[[V; P]; R]) {
        let lanes = V::LANES.min(self.size.channels - self.channel);
        let (first, last) = (self.place(row, x), self.place(row + R - 1, x + P - 1));
        let origin = self.place(0, 0);
        let (down, right) = (self.place(1, 0) - origin, self.place(0, 1) - origin);
        let y = &mut self.y[first..last + lanes];
        for (r, sums) in sums.iter().enumerate() {
            for (p, &sum) in sums.iter().enumerate() {
                let pixel = y.as_mut_ptr().wrapping_add(r * down + p * right);
                // SAFETY: below `Level::run`; `y` was cut to reach up to the last lane of the last
                // pixel.
                unsafe { put(sum, pixel, lanes) };
            }
        }
    }
}

/// Writes the first `lanes` values of a vector.
///
/// # Safety
/// Below `Level::run` only; there must be room for the values at `to`.
#[inline(always)]
pub(super) unsafe fn put<V: Lanes>(vector: V, to: *mut f32, lanes: usize) {
    // SAFETY: the caller vouches for the place.
    unsafe {
        if lanes == V::LANES {
            vector.store(to);
        } else {
            vector.store_some(to, lanes);
        }
    }
}
