//! Depthwise convolution in `f32`: output rows from planes of one vector of channels.
//!
//! The forward pass of any stride and dilation, and the data gradient of stride 1, which is the
//! forward pass over `dy` with the kernel turned round.

use super::lines::{Lines, Part};
use super::tile::{Grid, Output};
use crate::cpu::finish::Finish;
use crate::cpu::par;
use crate::cpu::simd::{Lanes, Level, Operation, prefetch};
use crate::geometry::MapSize;
use crate::scalar::Scalar;

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
    /// `[block][lane]`.
    pub(super) bias: &'a [f32],
}

impl<'a> Convolution<'a> {
    /// What `count` output rows from `row`, counted over the batch, on read, `columns` wide.
    pub(super) fn part(&self, row: usize, count: usize, columns: usize) -> Part<'a> {
        let (image, y) = (row / self.output.height, row % self.output.height);
        let len = self.input.height * self.input.width * self.input.channels;
        let rows = (count - 1) * self.stride[0] + (self.kernel[0] - 1) * self.dilation[0] + 1;
        Part {
            image: &self.source[image * len..][..len],
            size: self.input,
            origin: [self.origin[0] + (y * self.stride[0]).cast_signed(), self.origin[1]],
            extent: [rows, columns],
        }
    }
}

/// Calls `run(row, count, y)` for bands of `count` output rows of one image, in parallel, and hands
/// each to `finish` while it is in the cache; `E` is `f32`.
pub(super) fn for_bands<E: Scalar>(
    conv: &Convolution,
    y: &mut [E],
    finish: Option<&dyn Finish<E>>,
    run: impl Fn(usize, usize, &mut [f32]) + Sync,
) {
    let (width, height) = (conv.output.width, conv.output.height);
    let row_len = width * conv.output.channels;
    let taps = conv.kernel[0] * conv.kernel[1];
    let task = par::rows_per_task(row_len * taps).max(BAND.min(height));
    par::for_rows(y, row_len, task, |first, part| {
        let (mut row, mut rest) = (first, part);
        while !rest.is_empty() {
            let count = (height - row % height).min(rest.len() / row_len);
            let (band, more) = rest.split_at_mut(count * row_len);
            if let Some(y) = E::f32s_mut(band) {
                run(row, count, y);
            }
            if let Some(finish) = finish {
                finish.finish(row * width, band);
            }
            (row, rest) = (row + count, more);
        }
    });
}

/// Computes all of `y`.
pub(super) fn run<E: Scalar>(conv: &Convolution, level: Level, y: &mut [E], finish: Option<&dyn Finish<E>>) {
    for_bands(conv, y, finish, |row, count, y| {
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
        let (conv, width) = (self.conv, self.conv.output.width);
        let columns = (width - 1) * conv.stride[1] + (conv.kernel[1] - 1) * conv.dilation[1] + 1;
        let part = conv.part(self.row, self.count, columns);
        let taps = conv.kernel[0] * conv.kernel[1];
        let (len, blocks) = (part.len(V::LANES), conv.input.channels.div_ceil(V::LANES));
        let group = Part::most_blocks(len, blocks);
        let mut planes = Lines::scratch(group * len);
        for first in (0..blocks).step_by(group) {
            let planes = &mut planes[..group.min(blocks - first) * len];
            part.copy::<V>(first * V::LANES, planes);
            for (block, plane) in (first..).zip(planes.chunks_exact(len)) {
                let grid = Grid {
                    plane,
                    columns,
                    inside: part.inside(0),
                    weight: &conv.weight[block * taps * V::LANES..][..taps * V::LANES],
                    kernel: conv.kernel,
                    stride: conv.stride,
                    dilation: conv.dilation,
                };
                let mut pixels = Pixels {
                    bias: &conv.bias[block * V::LANES..][..V::LANES],
                    channel: block * V::LANES,
                    size: conv.output,
                    y: &mut *self.y,
                };
                grid.convolve::<V>(0..self.count, width, &mut pixels);
            }
        }
    }
}

/// One block of channels of the output.
struct Pixels<'a> {
    bias: &'a [f32],
    channel: usize,
    size: MapSize,
    y: &'a mut [f32],
}

impl Output for Pixels<'_> {
    /// Prefetches the pixels a tile is about to write: lines `channels` apart, which the CPU does
    /// not foresee by itself.
    #[inline(always)]
    fn ask_for(&self, [row, x]: [usize; 2], [height, width]: [usize; 2]) {
        for r in row..row + height {
            for p in x..x + width {
                let at = (r * self.size.width + p) * self.size.channels + self.channel;
                prefetch(self.y.as_ptr().wrapping_add(at));
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
        let channels = self.size.channels;
        let lanes = V::LANES.min(channels - self.channel);
        let first = (row * self.size.width + x) * channels + self.channel;
        let y = &mut self.y[first..][..((R - 1) * self.size.width + P - 1) * channels + lanes];
        for (r, sums) in sums.iter().enumerate() {
            for (p, &sum) in sums.iter().enumerate() {
                let pixel = y.as_mut_ptr().wrapping_add((r * self.size.width + p) * channels);
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
