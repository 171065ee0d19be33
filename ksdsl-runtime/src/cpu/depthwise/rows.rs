//! Depthwise convolution in `f32`: output rows from planes of one vector of channels.
//!
//! The forward pass of any stride and dilation, and the data gradient of stride 1, which is the
//! forward pass over `dy` with the kernel turned round. A tile is two output rows of eight pixels
//! (four with 16 registers) kept in registers over all taps: each loaded pixel serves both rows,
//! so a tap costs `tile + 2` loads for `2 * tile` multiply-adds.

use super::lines::{Lines, Part};
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

/// A plane with the weights of its channels.
struct Plane<'a> {
    values: &'a [f32],
    /// The plane's rows inside the map; the others are zero and are left out.
    inside: std::ops::Range<usize>,
    weight: &'a [f32],
    bias: &'a [f32],
    channel: usize,
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
                let plane = Plane {
                    values,
                    inside: part.inside(0),
                    weight: &self.rows.weight[block * taps * V::LANES..][..taps * V::LANES],
                    bias: &self.rows.bias[block * V::LANES..][..V::LANES],
                    channel: block * V::LANES,
                };
                self.all_rows::<V>(&plane, y);
            }
        }
    }

    /// All rows of one block of channels, two at a time where they read the same source rows.
    #[inline(always)]
    fn all_rows<V: Lanes>(&self, plane: &Plane, y: &mut [f32]) {
        let paired = self.rows.stride[0] == 1 && self.rows.dilation[0] == 1;
        let pairs = if paired { self.count / 2 } else { 0 };
        for pair in 0..pairs {
            self.row::<V, 2>(plane, 2 * pair, y);
        }
        for row in 2 * pairs..self.count {
            self.row::<V, 1>(plane, row, y);
        }
    }

    /// `R` rows from `row` on, in tiles of 8, 4, 2 and 1 pixels.
    #[inline(always)]
    fn row<V: Lanes, const R: usize>(&self, plane: &Plane, row: usize, y: &mut [f32]) {
        let width = self.rows.output.width;
        let mut x = 0;
        while V::MANY && x + 8 <= width {
            self.tile::<V, R, 8>(plane, row, x, y);
            x += 8;
        }
        while x + 4 <= width {
            self.tile::<V, R, 4>(plane, row, x, y);
            x += 4;
        }
        if x + 2 <= width {
            self.tile::<V, R, 2>(plane, row, x, y);
            x += 2;
        }
        if x < width {
            self.tile::<V, R, 1>(plane, row, x, y);
        }
    }

    /// `R` rows of `P` pixels, from pixel `(row, x)` of the band on.
    #[inline(always)]
    fn tile<V: Lanes, const R: usize, const P: usize>(&self, plane: &Plane, row: usize, x: usize, y: &mut [f32]) {
        let rows = self.rows;
        self.ask_for(plane, [row, x], [R, P], y);
        // SAFETY: below `Level::run`; a bias block has `LANES` values.
        let mut sums = unsafe { [[V::load(plane.bias.as_ptr()); P]; R] };
        // With two rows the dilation is 1: row `ky` of the source is tap `ky` of the first and
        // tap `ky - 1` of the second.
        for ky in 0..rows.kernel[0] + R - 1 {
            let from = row * rows.stride[0] + ky * rows.dilation[0];
            if !plane.inside.contains(&from) {
                continue;
            }
            let at = from * self.extent[1] + x * rows.stride[1];
            if R == 1 || (ky > 0 && ky < rows.kernel[0]) {
                self.taps::<V, R, P, 0, R>(plane, at, ky, &mut sums);
            } else if ky == 0 {
                self.taps::<V, R, P, 0, 1>(plane, at, ky, &mut sums);
            } else {
                self.taps::<V, R, P, 1, R>(plane, at, ky, &mut sums);
            }
        }
        let channels = rows.output.channels;
        for (r, sums) in sums.iter().enumerate() {
            for (p, &sum) in sums.iter().enumerate() {
                let pixel = (row + r) * rows.output.width + x + p;
                put(sum, &mut y[pixel * channels..][..channels][plane.channel..]);
            }
        }
    }

    /// Prefetches the pixels a tile is about to write: lines `channels` apart, which the CPU does
    /// not foresee by itself.
    #[inline(always)]
    fn ask_for(&self, plane: &Plane, [row, x]: [usize; 2], [height, width]: [usize; 2], y: &[f32]) {
        let (rows, channels) = (self.rows, self.rows.output.channels);
        for r in row..row + height {
            for p in x..x + width {
                prefetch(
                    y.as_ptr()
                        .wrapping_add((r * rows.output.width + p) * channels + plane.channel),
                );
            }
        }
    }

    /// Adds the taps of one source row, whose first pixel is `at`, to the output rows `LO..HI`.
    #[allow(clippy::needless_range_loop, reason = "one counter for several arrays")]
    #[inline(always)]
    fn taps<V: Lanes, const R: usize, const P: usize, const LO: usize, const HI: usize>(
        &self,
        plane: &Plane,
        at: usize,
        ky: usize,
        sums: &mut [[V; P]; R],
    ) {
        let (kernel, lanes) = (self.rows.kernel[1], V::LANES);
        let (step, tap) = (self.rows.stride[1] * lanes, self.rows.dilation[1] * lanes);
        let source = &plane.values[at * lanes..][..(P - 1) * step + (kernel - 1) * tap + lanes];
        let last = (ky - LO) * kernel * lanes;
        debug_assert!(ky + 1 >= HI && last + kernel * lanes <= plane.weight.len());
        let (source, weight) = (source.as_ptr(), plane.weight.as_ptr());
        for kx in 0..kernel {
            // SAFETY: below `Level::run`. `source` was cut to what pixel `P - 1` reads at the last
            // tap. Weight rows run from `ky + 1 - HI`, not negative, to `ky - LO`, which lies
            // inside the kernel (asserted).
            unsafe {
                let weight: [V; R] = std::array::from_fn(|r| {
                    let row = if (LO..HI).contains(&r) { ky - r } else { ky - LO };
                    V::load(weight.add((row * kernel + kx) * lanes))
                });
                for p in 0..P {
                    let value = V::load(source.add(p * step + kx * tap));
                    for r in LO..HI {
                        sums[r][p] = value.mul_add(weight[r], sums[r][p]);
                    }
                }
            }
        }
    }
}

/// Writes a vector to the channels of a pixel, of which there may be fewer.
#[inline(always)]
fn put<V: Lanes>(vector: V, channels: &mut [f32]) {
    if channels.len() >= V::LANES {
        // SAFETY: below `Level::run`; there are `LANES` values.
        unsafe { vector.store(channels.as_mut_ptr()) }
    } else {
        let mut all = [0.0; 16];
        // SAFETY: as above: no vector has more than 16 lanes.
        unsafe { vector.store(all.as_mut_ptr()) }
        channels.copy_from_slice(&all[..channels.len()]);
    }
}
