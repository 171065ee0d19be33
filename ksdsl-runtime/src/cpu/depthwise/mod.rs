//! Depthwise convolution: one kernel per channel, directly, vectorised over the channels.
//!
//! `f32` has kernels of its own: [`rows`] from planes of one vector of channels, [`toom`] for wide
//! kernels, [`strided`] for the data gradient of strided convolutions, and [`weight`]. `f64`, the
//! reference precision, takes the [`generic`] way.

mod generic;
mod lines;
mod rows;
mod strided;
#[cfg(test)]
mod tests;
mod tile;
mod toom;
mod toom_weight;
mod weight;

use super::CpuBuf;
use super::finish::Finish;
use super::simd::Level;
use crate::geometry::ConvSize;
use crate::scalar::Scalar;
use lines::{Lines, blocks};
use rows::Convolution;

/// The convolution; `finish` receives the output piece by piece.
pub(super) fn forward<E: Scalar>(
    size: &ConvSize,
    x: &[E],
    weight: &[E],
    bias: Option<&CpuBuf<E>>,
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    if let (Some(x), Some(weight)) = (E::f32s(x), E::f32s(weight)) {
        let bias = bias.and_then(|bias| E::f32s(bias));
        let mut y = CpuBuf::scratch(size.output.len());
        forward_f32(Level::current(), size, x, weight, bias, &mut y, finish);
        return y;
    }
    generic::forward(size, x, weight, bias, finish)
}

/// The gradient with respect to the input; `finish` receives it piece by piece.
pub(super) fn backward_data<E: Scalar>(
    size: &ConvSize,
    weight: &[E],
    dy: &[E],
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    if let (Some(weight), Some(dy)) = (E::f32s(weight), E::f32s(dy)) {
        let mut dx = CpuBuf::scratch(size.input.len());
        backward_data_f32(Level::current(), size, weight, dy, &mut dx, finish);
        return dx;
    }
    generic::backward_data(size, weight, dy, finish)
}

/// Adds the gradient with respect to the weights, `[channel][ky][kx]`, to `dweight`.
pub(super) fn backward_weight<E: Scalar>(size: &ConvSize, x: &[E], dy: &[E], dweight: &mut [E]) {
    if let (Some(x), Some(dy)) = (E::f32s(x), E::f32s(dy)) {
        if let Some(dweight) = E::f32s_mut(dweight) {
            weight::backward(Level::current(), size, x, dy, dweight);
        }
        return;
    }
    generic::backward_weight(size, x, dy, dweight);
}

fn forward_f32<E: Scalar>(
    level: Level,
    size: &ConvSize,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [E],
    finish: Option<&dyn Finish<E>>,
) {
    let (window, channels) = (&size.window, size.input.channels);
    let toom = toom::pays(window.kernel, window.stride, window.dilation);
    let conv = Convolution {
        source: x,
        input: size.input,
        output: size.output,
        kernel: window.kernel,
        stride: window.stride,
        dilation: window.dilation,
        origin: window.pad.map(|pad| -pad.cast_signed()),
        weight: &if toom {
            toom::weights(level.lanes(), channels, window.kernel, weight, false)
        } else {
            blocks(level.lanes(), taps(size), weight, &Vec::from_iter(0..taps(size)))
        },
        bias: &bias_blocks(level, channels, bias),
    };
    let run = if toom { toom::run } else { rows::run };
    run(&conv, level, y, finish);
}

/// For stride 1: input `i` is read by output `i + pad - k * dilation` at tap `k`, that is by
/// `i + pad - (kernel - 1) * dilation + k' * dilation` at tap `kernel - 1 - k'`.
fn backward_data_f32<E: Scalar>(
    level: Level,
    size: &ConvSize,
    weight: &[f32],
    dy: &[f32],
    dx: &mut [E],
    finish: Option<&dyn Finish<E>>,
) {
    if size.window.stride != [1, 1] {
        return strided::backward_data(level, size, weight, dy, dx, finish);
    }
    let (window, channels, taps) = (&size.window, size.input.channels, taps(size));
    let reach = |axis: usize| ((window.kernel[axis] - 1) * window.dilation[axis]).cast_signed();
    let toom = toom::pays(window.kernel, window.stride, window.dilation);
    let conv = Convolution {
        source: dy,
        input: size.output,
        output: size.input,
        kernel: window.kernel,
        stride: [1, 1],
        dilation: window.dilation,
        origin: [0, 1].map(|axis| window.pad[axis].cast_signed() - reach(axis)),
        weight: &if toom {
            toom::weights(level.lanes(), channels, window.kernel, weight, true)
        } else {
            blocks(level.lanes(), taps, weight, &Vec::from_iter((0..taps).rev()))
        },
        bias: &bias_blocks(level, channels, None),
    };
    let run = if toom { toom::run } else { rows::run };
    run(&conv, level, dx, finish);
}

fn taps(size: &ConvSize) -> usize {
    size.window.kernel[0] * size.window.kernel[1]
}

fn bias_blocks(level: Level, channels: usize, bias: Option<&[f32]>) -> Lines {
    let zeros = vec![0.0; channels];
    blocks(level.lanes(), 1, bias.unwrap_or(&zeros), &[0])
}
