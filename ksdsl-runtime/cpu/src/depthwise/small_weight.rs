//! The weight gradient of small depthwise windows (see [`super::small`]).
//!
//! A vector of channels walks along some rows of `dy` and the rows of `x` under them. The last `K`
//! pixels of `dy` stay in registers, so that each pixel of both maps is loaded once for all taps.

use super::lines::{Lines, blocks_len};
use super::small::{ask_for, source_row};
use super::taps;
use super::toom::load;
use crate::par;
use crate::simd::{Lanes, Level, Operation, prefetch};
use ksdsl_engine::size::ConvSize;
use std::ops::Range;

/// Most parts whose sums are added.
const PARTS: usize = 16;
/// The prefetch distance, in pixels.
const AHEAD: usize = 3;

/// Values of a row of zeros beside either map.
pub(super) fn zeros_len(size: &ConvSize) -> usize {
    size.input.width.max(size.output.width) * size.input.channels
}

/// Output rows of all images, and of a part.
pub(super) fn cut(size: &ConvSize) -> [usize; 2] {
    let rows = size.output.batch * size.output.height;
    // Fewer parts where adding their sums would cost more than the products.
    let least = (4 * taps(size)).div_ceil(size.output.width.max(1));
    [rows, par::items_per_part(rows, least, PARTS)]
}

/// Adds the gradient to `dweight`, `[channel][ky][kx]`.
pub(super) fn backward(level: Level, size: &ConvSize, x: &[f32], dy: &[f32], dweight: &mut [f32]) {
    let (taps, lanes, channels) = (taps(size), level.lanes(), size.input.channels);
    let zeros = Lines::zeros(zeros_len(size));
    let [rows, part] = cut(size);
    let sums = par::sum_parts(rows, part, blocks_len(lanes, channels, taps), |rows, sums| {
        level.run(Task {
            size,
            x,
            dy,
            zeros: &zeros,
            rows,
            sums,
        });
    });
    for (channel, dweight) in dweight.chunks_exact_mut(taps).enumerate() {
        let sums = &sums[channel / lanes * taps * lanes + channel % lanes..];
        for (tap, dweight) in dweight.iter_mut().enumerate() {
            *dweight += sums[tap * lanes];
        }
    }
}

/// The gradient over some output rows, counted over the batch.
struct Task<'a, 'b> {
    size: &'a ConvSize,
    x: &'a [f32],
    dy: &'a [f32],
    /// A row of either map.
    zeros: &'a [f32],
    rows: Range<usize>,
    /// `[block][ky][kx][lane]`.
    sums: &'b mut [f32],
}

impl Operation for Task<'_, '_> {
    #[inline(always)]
    fn run<V: Lanes>(mut self) {
        let height = self.size.output.height;
        let mut row = self.rows.start;
        while row < self.rows.end {
            let left = (self.rows.end - row).min(height - row % height);
            row += match self.size.window.kernel[0] {
                1 if left >= 4 => self.add_rows::<V, 1, 4, 4>(row),
                1 => self.add_rows::<V, 1, 1, 1>(row),
                3 if V::MANY && left >= 4 => self.add_rows::<V, 3, 4, 6>(row),
                3 if V::MANY && left >= 2 => self.add_rows::<V, 3, 2, 4>(row),
                3 => self.add_rows::<V, 3, 1, 3>(row),
                _ => self.add_rows::<V, 5, 1, 5>(row),
            };
        }
    }
}

impl Task<'_, '_> {
    /// `R` output rows of one image from `row` on, over `S` input rows. Returns `R`.
    #[inline(always)]
    fn add_rows<V: Lanes, const K: usize, const R: usize, const S: usize>(&mut self, row: usize) -> usize {
        let (size, channels) = (self.size, self.size.input.channels);
        let (image, y) = (row / size.output.height, row % size.output.height);
        let [x_len, dy_len] = [size.input.width, size.output.width].map(|width| width * channels);
        let map = &self.x[image * size.input.height * x_len..][..size.input.height * x_len];
        let from = y.cast_signed() - size.window.pad[0].cast_signed();
        let zeros = &self.zeros[..x_len];
        let x: [&[f32]; S] = std::array::from_fn(|s| source_row(map, x_len, from + s.cast_signed(), zeros));
        let dy: [&[f32]; R] = std::array::from_fn(|r| &self.dy[(row + r) * dy_len..][..dy_len]);
        let next = source_row(map, x_len, from + S.cast_signed(), &[]);
        let mut ahead = [next.as_ptr(), self.dy.as_ptr().wrapping_add((row + R) * dy_len)];
        let blocks = self.sums.chunks_exact_mut(K * K * V::LANES);
        for (channel, sums) in (0..channels).step_by(V::LANES).zip(blocks) {
            let walk = Walk {
                size,
                ahead,
                x: x.map(|row| row[channel..].as_ptr()),
                dy: dy.map(|row| row[channel..].as_ptr()),
                lanes: V::LANES.min(channels - channel),
            };
            // SAFETY: below `Level::run`. The rows are whole and start at the block's channels, and
            // there is a vector of sums for each tap.
            unsafe {
                if walk.lanes == V::LANES {
                    walk.run::<V, K, true>(sums.as_mut_ptr());
                } else {
                    walk.run::<V, K, false>(sums.as_mut_ptr());
                }
            }
            ahead = ahead.map(|at| at.wrapping_add((size.output.width + K - 1) * R * V::LANES));
        }
        R
    }
}

/// One block of channels of some rows; the pointers are to its channels.
struct Walk<'a, const R: usize, const S: usize> {
    size: &'a ConvSize,
    x: [*const f32; S],
    dy: [*const f32; R],
    /// What comes after these rows of both maps; only asked for, never read.
    ahead: [*const f32; 2],
    lanes: usize,
}

impl<const R: usize, const S: usize> Walk<'_, R, S> {
    /// At step `t`, pixel `t - pad` of `x` meets the pixels `t - kx` of `dy` at the taps `kx`.
    ///
    /// # Safety
    /// Below [`Level::run`] only; with `FULL` the block must have `LANES` channels.
    #[allow(clippy::needless_range_loop, reason = "one counter for several arrays")]
    #[inline(always)]
    unsafe fn run<V: Lanes, const K: usize, const FULL: bool>(&self, sums: *mut f32) {
        let (size, channels) = (self.size, self.size.input.channels);
        let lanes = if FULL { V::LANES } else { self.lanes };
        // SAFETY: the caller vouches for features and pointers; pixels are read inside their rows only.
        unsafe {
            let mut total = [[V::zero(); K]; K];
            let mut dy = [[V::zero(); K]; R];
            for t in 0..size.output.width + K - 1 {
                ask_for(self.ahead.map(|at| at.wrapping_add(t * R * V::LANES)), R * V::LANES);
                for r in 0..R {
                    for kx in (1..K).rev() {
                        dy[r][kx] = dy[r][kx - 1];
                    }
                    dy[r][0] = V::zero();
                    if t < size.output.width {
                        let from = self.dy[r].add(t * channels);
                        prefetch(from.wrapping_add(AHEAD * channels));
                        dy[r][0] = load::<V>(from, lanes);
                    }
                }
                let x = t.wrapping_sub(size.window.pad[1]);
                if x < size.input.width {
                    for s in 0..S {
                        let from = self.x[s].add(x * channels);
                        prefetch(from.wrapping_add(AHEAD * channels));
                        let value = load::<V>(from, lanes);
                        for ky in s.saturating_sub(R - 1)..K.min(s + 1) {
                            for kx in 0..K {
                                total[ky][kx] = value.mul_add(dy[s - ky][kx], total[ky][kx]);
                            }
                        }
                    }
                }
            }
            for (place, total) in total.as_flattened().iter().enumerate() {
                let sum = sums.add(place * V::LANES);
                total.add(V::load(sum)).store(sum);
            }
        }
    }
}
