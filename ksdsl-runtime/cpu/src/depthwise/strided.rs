//! The data gradient of strided depthwise convolutions in `f32`.
//!
//! Input `i` is read by output `o` at the taps `k` with `o stride + k dilation = i + pad`. For inputs
//! of the same remainder by the stride these are the same taps, at a constant distance, and
//! neighbouring inputs read neighbouring outputs: for each remainder of rows and columns, a phase, it
//! is a convolution of stride 1 with a part of the kernel, flipped, all over the same planes of
//! `dy`.

use super::lines::{Lines, Part, blocks, plane_len};
use super::rows::{Pixels, bands, for_bands};
use super::tile::Grid;
use crate::finish::Finish;
use crate::par::Cut;
use crate::real::CpuReal;
use crate::simd::{Lanes, Level, Operation};
use ksdsl_engine::size::ConvSize;
use std::ops::Range;

/// Along one axis, the inputs of one remainder by the stride in a range of inputs.
struct Phase {
    /// The first of the inputs, and how many there are.
    first: usize,
    count: usize,
    /// The output that the first input is read by at the first of its taps.
    output: isize,
    /// Taps, and the distance of their outputs.
    taps: usize,
    step: usize,
}

/// The taps of the inputs of a remainder by the stride, the last first: their outputs ascend.
fn taps(size: &ConvSize, axis: usize, remainder: usize) -> Vec<usize> {
    let window = &size.window;
    let meets = |tap: &usize| {
        let shifted = (remainder + window.pad[axis]).cast_signed() - (tap * window.dilation[axis]).cast_signed();
        shifted.rem_euclid(window.stride[axis].cast_signed()) == 0
    };
    (0..window.kernel[axis]).rev().filter(meets).collect()
}

/// The phases of a range of inputs, by remainder; those without inputs among them.
fn phases(size: &ConvSize, axis: usize, inputs: &Range<usize>) -> Vec<Phase> {
    let window = &size.window;
    let (stride, dilation) = (window.stride[axis], window.dilation[axis]);
    let phase = |remainder| {
        let first = inputs.start + (remainder + stride - inputs.start % stride) % stride;
        let taps = taps(size, axis, remainder);
        let last = taps.first().map_or(0, |tap| tap * dilation);
        let next = taps.get(1).map_or(last, |tap| tap * dilation);
        Phase {
            first,
            count: inputs.end.saturating_sub(first).div_ceil(stride),
            output: ((first + window.pad[axis]).cast_signed() - last.cast_signed()).div_euclid(stride.cast_signed()),
            taps: taps.len(),
            step: (last - next) / stride,
        }
    };
    (0..stride).map(phase).collect()
}

/// The number of taps of each phase.
pub(super) fn phase_taps(size: &ConvSize) -> impl Iterator<Item = usize> + use<> {
    let [rows, columns] = [0, 1].map(|axis| {
        let remainders = 0..size.window.stride[axis];
        remainders
            .map(|remainder| taps(size, axis, remainder).len())
            .collect::<Vec<_>>()
    });
    rows.into_iter()
        .flat_map(move |ys| columns.clone().into_iter().map(move |xs| ys * xs))
}

/// The first of the outputs that read these inputs along an axis, and how many they are.
fn span(size: &ConvSize, axis: usize, inputs: Range<usize>) -> (isize, usize) {
    let window = &size.window;
    let stride = window.stride[axis].cast_signed();
    let reach = ((window.kernel[axis] - 1) * window.dilation[axis]).cast_signed();
    let first = (inputs.start + window.pad[axis]).cast_signed() - reach;
    let first = first.div_euclid(stride);
    let last = (inputs.end - 1 + window.pad[axis]).cast_signed() / stride;
    (first, (last - first + 1).unsigned_abs())
}

/// Values of the planes for these rows of the input of an image.
pub(super) fn planes_len(lanes: usize, size: &ConvSize, rows: Range<usize>) -> usize {
    let (_, height) = span(size, 0, rows);
    let (_, width) = span(size, 1, 0..size.input.width);
    let len = plane_len([height, width], lanes);
    Part::most_blocks(len, size.input.channels.div_ceil(lanes)) * len
}

/// How the rows of the input are cut.
pub(super) fn cut(size: &ConvSize) -> Cut {
    bands(&size.input, super::taps(size), size.unit)
}

/// The part of the kernel of each phase, `[block][ky][kx][lane]`.
pub(super) fn weights(lanes: usize, size: &ConvSize, weight: &[f32]) -> Vec<Lines> {
    let [rows, columns] = [0, 1].map(|axis| {
        let remainders = 0..size.window.stride[axis];
        remainders
            .map(|remainder| taps(size, axis, remainder))
            .collect::<Vec<_>>()
    });
    let part = |ys: &[usize], xs: &[usize]| {
        let row = |y: usize| xs.iter().map(move |x| y * size.window.kernel[1] + x);
        let places: Vec<usize> = ys.iter().flat_map(|&y| row(y)).collect();
        blocks(lanes, super::taps(size), weight, &places)
    };
    let parts = rows.iter().flat_map(|ys| columns.iter().map(move |xs| (ys, xs)));
    parts.map(|(ys, xs)| part(ys, xs)).collect()
}

/// Computes all of `dx`; `kernels` are those of [`weights`].
pub(super) fn backward_data<E: CpuReal>(
    level: Level,
    size: &ConvSize,
    kernels: &[Lines],
    dy: &[f32],
    dx: &mut [E],
    finish: Option<&dyn Finish<E>>,
) {
    let strided = Strided {
        size,
        dy,
        kernels,
        zeros: &[0.0; 16],
    };
    for_bands(&size.input, cut(size), Some(dx), finish, |row, count, dx| {
        let (image, y) = (row / size.input.height, row % size.input.height);
        let rows = y..y + count;
        level.run(Band {
            strided: &strided,
            image,
            rows,
            dx,
        });
    });
}

struct Strided<'a> {
    size: &'a ConvSize,
    dy: &'a [f32],
    /// The part of the kernel of each phase, `[block][ky][kx][lane]`.
    kernels: &'a [Lines],
    zeros: &'a [f32],
}

/// Rows of the input of one image.
struct Band<'a, 'b> {
    strided: &'a Strided<'a>,
    image: usize,
    rows: Range<usize>,
    dx: &'b mut [f32],
}

impl<'a> Band<'a, '_> {
    /// All outputs that read these inputs.
    fn part(&self) -> Part<'a> {
        let size = self.strided.size;
        let len = size.output.height * size.output.width * size.output.channels;
        let (top, height) = span(size, 0, self.rows.clone());
        let (left, width) = span(size, 1, 0..size.input.width);
        Part {
            image: &self.strided.dy[self.image * len..][..len],
            size: size.output,
            origin: [top, left],
            extent: [height, width],
        }
    }
}

impl Operation for Band<'_, '_> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let size = self.strided.size;
        let part = self.part();
        let phases = [phases(size, 0, &self.rows), phases(size, 1, &(0..size.input.width))];
        let (len, blocks) = (part.len(V::LANES), size.input.channels.div_ceil(V::LANES));
        let group = Part::most_blocks(len, blocks);
        let mut planes = Lines::scratch(planes_len(V::LANES, size, self.rows.clone()));
        for first in (0..blocks).step_by(group) {
            let planes = &mut planes[..group.min(blocks - first) * len];
            part.copy::<V>(first * V::LANES, planes);
            for (block, plane) in (first..).zip(planes.chunks_exact(len)) {
                for (index, kernel) in self.strided.kernels.iter().enumerate() {
                    let at = [index / phases[1].len(), index % phases[1].len()];
                    let phase = [&phases[0][at[0]], &phases[1][at[1]]];
                    if phase[0].count > 0 && phase[1].count > 0 {
                        let grid = grid::<V>(&part, plane, kernel, phase, block);
                        let at = [phase[0].first - self.rows.start, phase[1].first];
                        let mut pixels = Pixels {
                            bias: self.strided.zeros,
                            channel: block * V::LANES,
                            size: size.input,
                            start: at[0] * size.input.width + at[1],
                            step: size.window.stride,
                            y: &mut *self.dx,
                        };
                        grid.convolve::<V>(0..phase[0].count, phase[1].count, &mut pixels);
                    }
                }
            }
        }
    }
}

/// The convolution of one phase of one block.
#[inline(always)]
fn grid<'a, V: Lanes>(part: &Part, plane: &'a [f32], kernel: &'a [f32], phase: [&Phase; 2], block: usize) -> Grid<'a> {
    let taps = phase[0].taps * phase[1].taps;
    // Without taps nothing is read, and the sums are zero.
    let start = |axis: usize| match taps {
        0 => 0,
        _ => (phase[axis].output - part.origin[axis]).unsigned_abs(),
    };
    let (top, left) = (start(0), start(1));
    let inside = part.inside(0);
    let inside = match taps {
        0 => 0..0,
        _ => inside.start.saturating_sub(top)..inside.end.saturating_sub(top),
    };
    Grid {
        plane: &plane[(top * part.extent[1] + left) * V::LANES..],
        columns: part.extent[1],
        inside,
        weight: &kernel[block * taps * V::LANES..][..taps * V::LANES],
        kernel: [phase[0].taps.max(1), phase[1].taps.max(1)],
        stride: [1, 1],
        dilation: [phase[0].step, phase[1].step].map(|step| step.max(1)),
    }
}
