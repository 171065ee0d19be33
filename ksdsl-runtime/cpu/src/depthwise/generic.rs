//! Depthwise convolution: one kernel per channel, directly, vectorised over the channels.
//!
//! Forward pass and data gradient are the same loop over pixels; only the taps of a pixel differ.

use crate::finish::Finish;
use crate::im2col::taps_inside;
use crate::real::CpuReal;
use crate::{CpuBuf, par};
use ksdsl_engine::size::ConvSize;
use std::ops::Range;

/// Channels summed at once: the sums stay in registers over all taps.
const LANES: usize = 64;

/// A tap of a pixel: where the source pixel and the tap's weights start.
type Tap = (usize, usize);

/// Weights as `[ky][kx][channel]`.
fn pack<E: CpuReal>(size: &ConvSize, weight: &[E]) -> CpuBuf<E> {
    let taps = size.window.kernel[0] * size.window.kernel[1];
    let channels = size.input.channels;
    let mut packed = CpuBuf::scratch(weight.len());
    for channel in 0..channels {
        for tap in 0..taps {
            packed[tap * channels + channel] = weight[channel * taps + tap];
        }
    }
    packed
}

/// Rows per task of a pass over the rows of a map, each element costing one turn per tap.
fn task_rows(size: &ConvSize, row_len: usize) -> usize {
    let taps = size.window.kernel[0] * size.window.kernel[1];
    par::rows_per_task(row_len * taps)
}

pub(super) fn forward<E: CpuReal>(
    size: &ConvSize,
    x: &[E],
    weight: &[E],
    bias: Option<&CpuBuf<E>>,
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    let packed = pack(size, weight);
    let (channels, width) = (size.output.channels, size.output.width);
    let mut y = CpuBuf::scratch(size.output.len());
    par::for_rows(
        &mut y,
        width * channels,
        task_rows(size, width * channels),
        #[inline(always)]
        |first, part| {
            let mut taps = Vec::new();
            for (pixel, y) in part.chunks_exact_mut(channels).enumerate() {
                forward_taps(size, first + pixel / width, pixel % width, &mut taps);
                sum_taps(y, x, &packed, &taps, bias.map(|bias| &**bias));
            }
            if let Some(finish) = finish {
                finish.finish(first * width, part);
            }
        },
    );
    y
}

pub(super) fn backward_data<E: CpuReal>(
    size: &ConvSize,
    weight: &[E],
    dy: &[E],
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    let packed = pack(size, weight);
    let (channels, width) = (size.input.channels, size.input.width);
    let mut dx = CpuBuf::scratch(size.input.len());
    par::for_rows(
        &mut dx,
        width * channels,
        task_rows(size, width * channels),
        #[inline(always)]
        |first, part| {
            let mut taps = Vec::new();
            for (pixel, dx) in part.chunks_exact_mut(channels).enumerate() {
                backward_taps(size, first + pixel / width, pixel % width, &mut taps);
                sum_taps(dx, dy, &packed, &taps, None);
            }
            if let Some(finish) = finish {
                finish.finish(first * width, part);
            }
        },
    );
    dx
}

/// The taps of output pixel `x` of row `row` (over the batch) that lie inside the input.
fn forward_taps(size: &ConvSize, row: usize, x: usize, taps: &mut Vec<Tap>) {
    let (input, window) = (&size.input, &size.window);
    let (image, y) = (row / size.output.height, row % size.output.height);
    let origin = [y * window.stride[0], x * window.stride[1]];
    let inside = |axis: usize, len: usize| {
        let (pad, dilation) = (window.pad[axis], window.dilation[axis]);
        taps_inside(origin[axis], pad, dilation, window.kernel[axis], len)
    };
    taps.clear();
    for ky in inside(0, input.height) {
        let iy = origin[0] + ky * window.dilation[0] - window.pad[0];
        for kx in inside(1, input.width) {
            let ix = origin[1] + kx * window.dilation[1] - window.pad[1];
            let source = (image * input.height + iy) * input.width + ix;
            let tap = ky * window.kernel[1] + kx;
            taps.push((source * input.channels, tap * input.channels));
        }
    }
}

/// The output pixels, with their taps, that read input pixel `x` of row `row` (over the batch).
fn backward_taps(size: &ConvSize, row: usize, x: usize, taps: &mut Vec<Tap>) {
    let (output, window) = (&size.output, &size.window);
    let (image, y) = (row / size.input.height, row % size.input.height);
    let place = |axis: usize, at: usize, tap: usize, len: usize| {
        let shifted = (at + window.pad[axis]).checked_sub(tap * window.dilation[axis])?;
        let out = shifted / window.stride[axis];
        (shifted.is_multiple_of(window.stride[axis]) && out < len).then_some(out)
    };
    taps.clear();
    for ky in 0..window.kernel[0] {
        let Some(oy) = place(0, y, ky, output.height) else {
            continue;
        };
        for kx in 0..window.kernel[1] {
            let Some(ox) = place(1, x, kx, output.width) else {
                continue;
            };
            let source = (image * output.height + oy) * output.width + ox;
            let tap = ky * window.kernel[1] + kx;
            taps.push((source * output.channels, tap * output.channels));
        }
    }
}

/// `out[c] = bias[c] + sum over taps of source[c] * weight[c]`.
#[inline(always)]
fn sum_taps<E: CpuReal>(out: &mut [E], source: &[E], weight: &[E], taps: &[Tap], bias: Option<&[E]>) {
    let mut first = 0;
    let mut blocks = out.chunks_exact_mut(LANES);
    for block in &mut blocks {
        let mut sums = [E::zero(); LANES];
        if let Some(bias) = bias {
            sums.copy_from_slice(&bias[first..first + LANES]);
        }
        for &(from, tap) in taps {
            let source = &source[from + first..][..LANES];
            let weight = &weight[tap + first..][..LANES];
            for lane in 0..LANES {
                sums[lane] += source[lane] * weight[lane];
            }
        }
        block.copy_from_slice(&sums);
        first += LANES;
    }
    let rest = blocks.into_remainder();
    match bias {
        Some(bias) => rest.copy_from_slice(&bias[first..]),
        None => rest.fill(E::zero()),
    }
    for &(from, tap) in taps {
        let source = &source[from + first..][..rest.len()];
        let weight = &weight[tap + first..][..rest.len()];
        for ((sum, &source), &weight) in rest.iter_mut().zip(source).zip(weight) {
            *sum += source * weight;
        }
    }
}

pub(super) fn backward_weight<E: CpuReal>(size: &ConvSize, x: &[E], dy: &[E], dweight: &mut [E]) {
    let all_rows = size.output.batch * size.output.height;
    let least = par::rows_per_task(size.output.width * dweight.len());
    let part = par::items_per_part(all_rows, least, 16);
    let packed = par::sum_parts(
        all_rows,
        part,
        dweight.len(),
        #[inline(always)]
        |rows, sums: &mut [E]| {
            for row in rows {
                add_row(size, row, x, dy, sums);
            }
        },
    );
    let taps = size.window.kernel[0] * size.window.kernel[1];
    let channels = size.input.channels;
    for channel in 0..channels {
        for tap in 0..taps {
            dweight[channel * taps + tap] += packed[tap * channels + channel];
        }
    }
}

/// Adds one output row's part of the weight gradient, `[ky][kx][channel]`.
#[inline(always)]
fn add_row<E: CpuReal>(size: &ConvSize, row: usize, x: &[E], dy: &[E], sums: &mut [E]) {
    let (input, output, window) = (&size.input, &size.output, &size.window);
    let channels = input.channels;
    let (image, y) = (row / output.height, row % output.height);
    let top = y * window.stride[0];
    let ys = taps_inside(top, window.pad[0], window.dilation[0], window.kernel[0], input.height);
    for ky in ys {
        let iy = top + ky * window.dilation[0] - window.pad[0];
        let line = &x[(image * input.height + iy) * input.width * channels..];
        for kx in 0..window.kernel[1] {
            let shift = kx * window.dilation[1];
            let outs = outputs_inside(shift, window.pad[1], window.stride[1], input.width, output.width);
            if outs.is_empty() {
                continue;
            }
            let sums = &mut sums[(ky * window.kernel[1] + kx) * channels..][..channels];
            let x = &line[(outs.start * window.stride[1] + shift - window.pad[1]) * channels..];
            let dy = &dy[(row * output.width + outs.start) * channels..];
            add_products(sums, x, window.stride[1] * channels, dy, outs.len());
        }
    }
}

/// The outputs whose tap at `shift` lies inside a line of `width` pixels.
fn outputs_inside(shift: usize, pad: usize, stride: usize, width: usize, outputs: usize) -> Range<usize> {
    let start = pad.saturating_sub(shift).div_ceil(stride).min(outputs);
    let end = (width + pad).saturating_sub(shift).div_ceil(stride).min(outputs);
    start..end.max(start)
}

/// `sums[c] += sum over p of x[p * x_step + c] * dy[p * channels + c]`.
#[inline(always)]
fn add_products<E: CpuReal>(sums: &mut [E], x: &[E], x_step: usize, dy: &[E], pixels: usize) {
    let channels = sums.len();
    let mut first = 0;
    let mut blocks = sums.chunks_exact_mut(LANES);
    for block in &mut blocks {
        let mut total = [E::zero(); LANES];
        for pixel in 0..pixels {
            let x = &x[pixel * x_step + first..][..LANES];
            let dy = &dy[pixel * channels + first..][..LANES];
            for lane in 0..LANES {
                total[lane] += x[lane] * dy[lane];
            }
        }
        for (sum, total) in block.iter_mut().zip(total) {
            *sum += total;
        }
        first += LANES;
    }
    let rest = blocks.into_remainder();
    for pixel in 0..pixels {
        let x = &x[pixel * x_step + first..][..rest.len()];
        let dy = &dy[pixel * channels + first..][..rest.len()];
        for ((sum, &x), &dy) in rest.iter_mut().zip(x).zip(dy) {
            *sum += x * dy;
        }
    }
}
