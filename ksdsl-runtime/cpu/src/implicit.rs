//! Convolutions as products whose left factor is read from the input itself.
//!
//! In NHWC the channels of a tap, and the taps of a row of the window, lie one after the other, so
//! a row of the unrolled matrix is a few runs of the input: nothing needs to be copied but the
//! padding. Where windows reach over a border, the rows of the input under a task's output rows are
//! copied with zeros around them, which is less than a ninth of the unrolled matrix for 3x3.

use super::CpuBuf;
use super::gemm::{Packed, Rows, Start, Terms, add_gathered, gather_product, gathered_scratch};
use super::simd::Level;
use crate::real::CpuReal;
use ksdsl_engine::size::ConvSize;
use std::ops::Range;

/// The input under some output rows of one image.
struct Under<'a, E> {
    values: &'a [E],
    /// Elements from one row to the next.
    line: usize,
}

/// Elements from the first to the last tap of a window, and one.
fn reach(size: &ConvSize, axis: usize) -> usize {
    size.window.kernel[axis].saturating_sub(1) * size.window.dilation[axis] + 1
}

/// Rows and pixels per row of the input under `rows` output rows.
fn extent(size: &ConvSize, rows: usize) -> [usize; 2] {
    let along = |axis: usize, outputs: usize| outputs.saturating_sub(1) * size.window.stride[axis] + reach(size, axis);
    [along(0, rows), along(1, size.output.width)]
}

/// Elements a copy of the input under `rows` output rows takes.
pub(super) fn copied_len(size: &ConvSize, rows: usize) -> usize {
    extent(size, rows).iter().product::<usize>() * size.input.channels
}

/// Elements of the copy that `rows` output rows are computed with.
pub(super) fn scratch(size: &ConvSize, rows: usize) -> usize {
    copied_len(size, rows.min(size.output.height))
}

/// The same of their weight gradient: the copy, and the output gradient of an image and a group as a factor.
pub(super) fn weight_scratch(level: Level, size: &ConvSize, rows: usize) -> [usize; 2] {
    let pixels = rows.min(size.output.height) * size.output.width;
    let outputs = size.output.channels / size.groups;
    [scratch(size, rows), gathered_scratch(level, pixels, outputs)]
}

/// The input under these output rows of `image`, copied where windows reach over a border.
fn under<'a, E: CpuReal>(
    size: &ConvSize,
    image: usize,
    rows: Range<usize>,
    x: &'a [E],
    copy: &'a mut [E],
) -> Under<'a, E> {
    let (map, window) = (&size.input, &size.window);
    let x = &x[image * map.height * map.width * map.channels..][..map.height * map.width * map.channels];
    let top = rows.start * window.stride[0];
    let [height, width] = extent(size, rows.len());
    if window.pad == [0, 0] && top + height <= map.height && width <= map.width {
        let line = map.width * map.channels;
        let values = &x[top * line..];
        return Under { values, line };
    }
    let line = width * map.channels;
    let copy = &mut copy[..height * line];
    let left = window.pad[1] * map.channels;
    for (row, to) in copy.chunks_exact_mut(line).enumerate() {
        let from = (top + row).checked_sub(window.pad[0]).filter(|&row| row < map.height);
        let Some(from) = from else {
            to.fill(E::zero());
            continue;
        };
        let from = &x[from * map.width * map.channels..][..map.width * map.channels];
        let len = from.len().min(line.saturating_sub(left));
        let start = left.min(line);
        to[..start].fill(E::zero());
        to[start..start + len].copy_from_slice(&from[..len]);
        to[start + len..].fill(E::zero());
    }
    Under { values: copy, line }
}

/// The taps of a window as runs of the input: where they start, and their length.
fn taps(size: &ConvSize, line: usize) -> (Vec<usize>, usize) {
    let [kernel_y, kernel_x] = size.window.kernel;
    let [dilation_y, dilation_x] = size.window.dilation;
    let width = size.input.channels / size.groups;
    if size.groups == 1 && dilation_x == 1 {
        return (
            (0..kernel_y).map(|ky| ky * dilation_y * line).collect(),
            kernel_x * width,
        );
    }
    let tap = |at: usize| {
        let (ky, kx) = (at / kernel_x, at % kernel_x);
        ky * dilation_y * line + kx * dilation_x * size.input.channels
    };
    ((0..kernel_y * kernel_x).map(tap).collect(), width)
}

/// Cuts output rows, numbered over the batch, at the images: `f(image, rows of it)`.
fn for_images(size: &ConvSize, rows: Range<usize>, mut f: impl FnMut(usize, Range<usize>)) {
    let (height, mut first) = (size.output.height, rows.start);
    while first < rows.end {
        let (image, y) = (first / height, first % height);
        let count = (height - y).min(rows.end - first);
        f(image, y..y + count);
        first += count;
    }
}

/// The output rows from `first` on that `y` holds, for `f32` only.
pub(super) fn forward<E: CpuReal>(
    size: &ConvSize,
    rows: Range<usize>,
    x: &[E],
    kernels: &[Packed<E>],
    bias: Option<&[E]>,
    y: &mut [E],
) {
    let (width, channels) = (size.output.width, size.output.channels);
    let (inputs, outputs) = (size.input.channels / size.groups, channels / size.groups);
    let mut copy = CpuBuf::scratch(scratch(size, rows.len()));
    let (mut starts, first) = (Vec::new(), rows.start);
    for_images(size, rows, |image, rows| {
        let under = under(size, image, rows.clone(), x, &mut copy);
        let (segments, len) = taps(size, under.line);
        let terms = Terms {
            segments: &segments,
            len,
            step: 1,
        };
        let [down, right] = [
            size.window.stride[0] * under.line,
            size.window.stride[1] * size.input.channels,
        ];
        starts.clear();
        starts.extend((0..rows.len() * width).map(|pixel| pixel / width * down + pixel % width * right));
        let part = &mut y[(image * size.output.height + rows.start - first) * width * channels..];
        for (group, kernel) in kernels.iter().enumerate() {
            gather_product(
                &mut part[group * outputs..],
                Rows::Strided(channels),
                Start::bias(bias.map(|bias| &bias[group * outputs..])),
                (
                    &under.values[group * inputs..],
                    starts.len(),
                    Rows::Listed(&starts),
                    terms,
                ),
                kernel,
            );
        }
    });
}

/// Adds the weight gradient of these output rows to `sums`, `[group][ky][kx][in][out]`, of which
/// only `columns` of the unrolled matrix, in each group, are computed and stored. For `f32` only.
pub(super) fn backward_weight<E: CpuReal>(
    size: &ConvSize,
    rows: Range<usize>,
    columns: Range<usize>,
    x: &[E],
    dy: &[E],
    sums: &mut [E],
) {
    let (width, channels) = (size.output.width, size.output.channels);
    let (inputs, outputs) = (size.input.channels / size.groups, channels / size.groups);
    let mut copy = CpuBuf::scratch(scratch(size, rows.len()));
    for_images(size, rows, |image, rows| {
        let under = under(size, image, rows.clone(), x, &mut copy);
        let (segments, len) = taps(size, under.line);
        let starts: Vec<_> = segments.iter().flat_map(|&start| start..start + len).collect();
        let starts = &starts[columns.clone()];
        let lines: Vec<_> = (0..rows.len())
            .map(|row| row * size.window.stride[0] * under.line)
            .collect();
        let terms = Terms {
            segments: &lines,
            len: width,
            step: size.window.stride[1] * size.input.channels,
        };
        let dy = &dy[(image * size.output.height + rows.start) * width * channels..];
        for (group, sums) in sums.chunks_exact_mut(starts.len() * outputs).enumerate() {
            add_gathered(
                sums,
                (
                    &under.values[group * inputs..],
                    starts.len(),
                    Rows::Listed(starts),
                    terms,
                ),
                (&dy[group * outputs..], channels, outputs),
            );
        }
    });
}
