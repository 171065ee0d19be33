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
const BAND: usize = 16;

/// A convolution of one channel at a time.
pub(super) struct Rows<'a> {
    pub(super) source: &'a [f32],
    pub(super) input: MapSize,
    pub(super) output: MapSize,
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    /// The row and column of the source that the first tap of the first output reads.
    pub(super) origin: [isize; 2],
    /// `[block][ky][kx][lane]`.
    pub(super) weight: &'a [f32],
    /// `[block][lane]`.
    pub(super) bias: &'a [f32],
}

impl Rows<'_> {
    /// Computes all of `y`, whose element type is `f32`, and hands each band of rows to `finish`
    /// while it is in the cache.
    pub(super) fn run<E: Scalar>(&self, level: Level, y: &mut [E], finish: Option<&dyn Finish<E>>) {
        let (width, height) = (self.output.width, self.output.height);
        let row_len = width * self.output.channels;
        let taps = self.kernel[0] * self.kernel[1];
        let task = par::rows_per_task(row_len * taps).max(BAND.min(height));
        par::for_rows(y, row_len, task, |first, part| {
            let (mut row, mut rest) = (first, part);
            while !rest.is_empty() {
                let count = (height - row % height).min(rest.len() / row_len);
                let (band, more) = rest.split_at_mut(count * row_len);
                if let Some(y) = E::f32s_mut(band) {
                    let band = Band::new(self, row, count);
                    level.run(Run { band, y });
                }
                if let Some(finish) = finish {
                    finish.finish(row * width, band);
                }
                (row, rest) = (row + count, more);
            }
        });
    }
}

/// A band of output rows and where they go.
struct Run<'a, 'b> {
    band: Band<'a>,
    y: &'b mut [f32],
}

impl Operation for Run<'_, '_> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        self.band.run::<V>(self.y);
    }
}

/// Some consecutive output rows of one image.
struct Band<'a> {
    rows: &'a Rows<'a>,
    image: usize,
    count: usize,
    origin: [isize; 2],
    extent: [usize; 2],
}

impl<'a> Band<'a> {
    /// `count` rows from `row`, counted over the batch, on.
    fn new(rows: &'a Rows<'a>, row: usize, count: usize) -> Self {
        let (image, y) = (row / rows.output.height, row % rows.output.height);
        let reach = |axis: usize, outputs: usize| {
            (outputs - 1) * rows.stride[axis] + (rows.kernel[axis] - 1) * rows.dilation[axis] + 1
        };
        Self {
            rows,
            image,
            count,
            origin: [rows.origin[0] + (y * rows.stride[0]).cast_signed(), rows.origin[1]],
            extent: [reach(0, count), reach(1, rows.output.width)],
        }
    }

    #[inline(always)]
    fn run<V: Lanes>(&self, y: &mut [f32]) {
        let input = self.rows.input;
        let len = input.height * input.width * input.channels;
        let part = Part {
            image: &self.rows.source[self.image * len..][..len],
            size: input,
            origin: self.origin,
            extent: self.extent,
        };
        let taps = self.rows.kernel[0] * self.rows.kernel[1];
        let (len, blocks) = (part.len(V::LANES), input.channels.div_ceil(V::LANES));
        let group = part.group(V::LANES, 0, blocks);
        let mut planes = Lines::scratch(group * len);
        for first in (0..blocks).step_by(group) {
            let planes = &mut planes[..group.min(blocks - first) * len];
            part.copy::<V>(first * V::LANES, planes);
            for (block, values) in (first..).zip(planes.chunks_exact(len)) {
                let grid = Grid {
                    plane: values,
                    columns: self.extent[1],
                    inside: part.inside(0),
                    weight: &self.rows.weight[block * taps * V::LANES..][..taps * V::LANES],
                    kernel: self.rows.kernel,
                    stride: self.rows.stride,
                    dilation: self.rows.dilation,
                };
                let mut pixels = Pixels {
                    bias: &self.rows.bias[block * V::LANES..][..V::LANES],
                    channel: block * V::LANES,
                    size: self.rows.output,
                    y,
                };
                grid.convolve::<V>(0..self.count, self.rows.output.width, &mut pixels);
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
