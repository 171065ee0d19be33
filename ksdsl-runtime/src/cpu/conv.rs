//! Convolution: pointwise as a linear layer, depthwise directly, 3x3 by Winograd's algorithm where
//! that pays (see `conv_method`), all else by unrolling.

use super::conv_method::{Method, method};
use super::im2col::{columns, roll_up, unroll};
use super::matmul::{Mat, matmul};
use super::{CpuBuf, depthwise, linear, par, winograd};
use crate::geometry::ConvSize;
use crate::scalar::Scalar;

/// Elements of one unrolled tile: half a megabyte in `f32`, so that it stays in the L2 cache.
const TILE_ELEMENTS: usize = 1 << 17;
/// Most parts whose weight gradients are summed; fewer for large kernels, see [`weight_parts`].
const WEIGHT_PARTS: usize = 16;

/// Output rows per tile.
fn tile_rows(size: &ConvSize) -> usize {
    (TILE_ELEMENTS / (size.output.width * columns(size)).max(1)).max(1)
}

/// Weights as `[group][ky][kx][in / groups][out / groups]`.
fn pack<E: Scalar>(size: &ConvSize, weight: &[E]) -> CpuBuf<E> {
    let mut packed = CpuBuf::scratch(weight.len());
    for_weights(size, |plain, at| packed[at] = weight[plain]);
    packed
}

/// Calls `f(index in PyTorch's layout, index in the packed layout)` for each weight.
fn for_weights(size: &ConvSize, mut f: impl FnMut(usize, usize)) {
    let taps = size.window.kernel[0] * size.window.kernel[1];
    let inputs = size.input.channels / size.groups;
    let outputs = size.output.channels / size.groups;
    for out in 0..size.output.channels {
        let (group, column) = (out / outputs, out % outputs);
        for input in 0..inputs {
            for tap in 0..taps {
                let plain = (out * inputs + input) * taps + tap;
                f(plain, ((group * taps + tap) * inputs + input) * outputs + column);
            }
        }
    }
}

pub(super) fn conv_forward<E: Scalar>(
    size: ConvSize,
    x: &CpuBuf<E>,
    weight: &CpuBuf<E>,
    bias: Option<&CpuBuf<E>>,
) -> CpuBuf<E> {
    match method::<E>(&size) {
        Method::Pointwise(linear) => linear::linear_forward(linear, x, weight, bias),
        Method::Depthwise => depthwise::forward(&size, x, weight, bias, None),
        Method::Winograd => winograd::forward(&size, x, weight, bias.map(|bias| &bias[..])),
        Method::Unrolled => forward_unrolled(&size, x, weight, bias),
    }
}

fn forward_unrolled<E: Scalar>(
    size: &ConvSize,
    x: &CpuBuf<E>,
    weight: &CpuBuf<E>,
    bias: Option<&CpuBuf<E>>,
) -> CpuBuf<E> {
    let (width, channels) = (size.output.width, size.output.channels);
    let (depth, outputs) = (columns(size), channels / size.groups);
    let packed = pack(size, weight);
    let mut y = CpuBuf::scratch(size.output.len());
    // At least eight tasks, if there are rows enough.
    let all_rows = size.output.batch * size.output.height;
    let rows = tile_rows(size).min(all_rows.div_ceil(8)).max(1);
    par::for_rows(&mut y, width * channels, rows, |first, part| {
        let pixels = part.len() / channels;
        let mut unrolled = CpuBuf::scratch(pixels * depth);
        if let Some(bias) = bias {
            part.chunks_exact_mut(channels)
                .for_each(|pixel| pixel.copy_from_slice(bias));
        }
        for group in 0..size.groups {
            unroll(size, group, first..first + pixels / width, x, &mut unrolled);
            let kernel = &packed[group * depth * outputs..][..depth * outputs];
            matmul(
                &mut part[group * outputs..],
                channels,
                bias.is_some(),
                Mat::new(&unrolled, pixels, depth, depth),
                Mat::new(kernel, depth, outputs, outputs),
            );
        }
    });
    y
}

pub(super) fn conv_backward_data<E: Scalar>(size: ConvSize, weight: &CpuBuf<E>, dy: &CpuBuf<E>) -> CpuBuf<E> {
    match method::<E>(&size) {
        Method::Pointwise(linear) => linear::linear_backward_data(linear, weight, dy),
        Method::Depthwise => depthwise::backward_data(&size, weight, dy, None),
        Method::Winograd => winograd::backward_data(&size, weight, dy),
        Method::Unrolled => backward_data_unrolled(&size, weight, dy),
    }
}

/// One task per image: the windows of an image overlap, those of two images do not.
fn backward_data_unrolled<E: Scalar>(size: &ConvSize, weight: &CpuBuf<E>, dy: &CpuBuf<E>) -> CpuBuf<E> {
    let (height, width, channels) = (size.output.height, size.output.width, size.output.channels);
    let (depth, outputs) = (columns(size), channels / size.groups);
    let packed = pack(size, weight);
    let rows = tile_rows(size);
    let mut dx = CpuBuf::scratch(size.input.len());
    let image_len = size.input.height * size.input.width * size.input.channels;
    par::for_rows(&mut dx, image_len, 1, |image, dx| {
        dx.fill(E::zero());
        let mut unrolled = CpuBuf::scratch(rows.min(height) * width * depth);
        for first in (0..height).step_by(rows) {
            let tile = first..height.min(first + rows);
            let pixels = tile.len() * width;
            let dy = &dy[(image * height + first) * width * channels..][..pixels * channels];
            for group in 0..size.groups {
                let kernel = &packed[group * depth * outputs..][..depth * outputs];
                matmul(
                    &mut unrolled,
                    depth,
                    false,
                    Mat::new(&dy[group * outputs..], pixels, outputs, channels),
                    Mat::new(kernel, depth, outputs, outputs).transposed(),
                );
                roll_up(size, group, tile.clone(), &unrolled, dx);
            }
        }
    });
    dx
}

pub(super) fn conv_backward_weight<E: Scalar>(size: ConvSize, x: &CpuBuf<E>, dy: &CpuBuf<E>, dweight: &mut CpuBuf<E>) {
    match method::<E>(&size) {
        Method::Pointwise(linear) => linear::linear_backward_weight(linear, x, dy, dweight),
        Method::Depthwise => depthwise::backward_weight(&size, x, dy, dweight),
        Method::Winograd => winograd::backward_weight(&size, x, dy, dweight),
        Method::Unrolled => backward_weight_unrolled(&size, x, dy, dweight),
    }
}

/// Parts of a weight gradient of `len` elements: at most 64 MB of partial sums in `f32`.
fn weight_parts(len: usize) -> usize {
    ((1 << 24) / len.max(1)).clamp(2, WEIGHT_PARTS)
}

fn backward_weight_unrolled<E: Scalar>(size: &ConvSize, x: &CpuBuf<E>, dy: &CpuBuf<E>, dweight: &mut CpuBuf<E>) {
    let (width, channels) = (size.output.width, size.output.channels);
    let (depth, outputs) = (columns(size), channels / size.groups);
    let tile = tile_rows(size);
    let all_rows = size.output.batch * size.output.height;
    let part = par::items_per_part(all_rows, 1, weight_parts(dweight.len()));
    let packed = par::sum_parts(all_rows, part, dweight.len(), |rows, sums: &mut [E]| {
        let mut unrolled = CpuBuf::scratch(tile.min(rows.len()) * width * depth);
        for first in rows.clone().step_by(tile) {
            let tile = first..rows.end.min(first + tile);
            let pixels = tile.len() * width;
            let dy = &dy[first * width * channels..][..pixels * channels];
            for group in 0..size.groups {
                unroll(size, group, tile.clone(), x, &mut unrolled);
                matmul(
                    &mut sums[group * depth * outputs..][..depth * outputs],
                    outputs,
                    true,
                    Mat::new(&unrolled, pixels, depth, depth).transposed(),
                    Mat::new(&dy[group * outputs..], pixels, outputs, channels),
                );
            }
        }
    });
    for_weights(size, |plain, at| dweight[plain] += packed[at]);
}
