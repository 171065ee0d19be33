//! 3x3 convolutions with stride 1 by Winograd's minimal filtering F(4x4, 3x3): 36 products instead
//! of 144 for each tile of 4 x 4 outputs and each pair of channels (Lavin & Gray 2016, section 4).
//!
//! Tiles of 6 x 6 inputs, the kernel and, for its gradient, tiles of 4 x 4 output gradients are
//! mapped to 36 points (`lanes`); at each point a convolution is a product of matrices:
//!
//! | | per point |
//! | --- | --- |
//! | output | `[tiles x in] [in x out]` |
//! | data gradient | `[tiles x out] [out x in]`, the kernel flipped |
//! | weight gradient | `[tiles x in]^T [tiles x out]`, summed over all tiles, then mapped back once |
//!
//! Time unrolled over time by this module, batch 64, AVX-512, two (busy) cores, medians of paired
//! runs, two sessions (`tests/kernels/winograd_speed.rs`):
//!
//! | | output | data gradient | weight gradient |
//! | --- | --- | --- | --- |
//! | 64 channels, 32x32 | 2.4, 2.7 | 2.0, 2.7 | 1.8, 1.6 |
//! | 128 channels, 16x16 | 3.0, 2.8 | 3.4, 3.6 | 2.3, 1.8 |
//! | 256 channels, 8x8 | 2.0, 2.1 | 4.4, 6.4 | 2.6, 2.8 |
//! | 16 channels, 8x8 | 1.7, 1.7 | 2.3, 2.2 | 1.9, 1.9 |
//! | 32 channels, 8x8 | 2.5, 2.4 | 2.8, 3.0 | 2.3, 2.5 |
//!
//! All tasks are cut by sizes alone and every sum is taken in one order, so results do not depend
//! on the number of threads.

mod kernel;
mod lanes;
mod points;
#[cfg(test)]
mod tests;
mod tiles;
mod tiles_f32;
mod vectors;

use super::finish::Finish;
use super::gemm::{Packed, Start, add_transposed, product};
use super::kernel::{CpuKernel, Form};
use super::matmul::Mat;
use super::{CpuBuf, par};
use crate::geometry::ConvSize;
use crate::scalar::Scalar;
use kernel::Direction;
pub(super) use kernel::add_gradient;
use points::{POINTS, pieces, scratch, stride};
use std::ops::Range;
use tiles::Tiling;

/// Elements of the 36 points, before and after the products, that a task works on: half a megabyte
/// in `f32`, so that they stay in the L2 cache.
const TASK_ELEMENTS: usize = 1 << 17;
/// But at least as many tiles, or reading the kernel from the L3 cache would cost more than the
/// products: 36 `in out` elements for 36 `tiles in out` multiply-adds.
const LEAST_TILES: usize = 48;
/// Elements of the 36 points of both factors of a weight gradient that are made before they are
/// multiplied: 2 MB in `f32`, so that the caches hold them. At least as many tiles as there are
/// channels, though: each time the products are added, all of the sums are read and written.
const WEIGHT_ELEMENTS: usize = 1 << 19;
/// Fewest tasks, if there are bands enough.
const LEAST_TASKS: usize = 8;

/// Whether this module can compute the convolution and its gradients.
pub(super) fn takes(size: &ConvSize) -> bool {
    let window = &size.window;
    !size.input.is_empty()
        && !size.output.is_empty()
        && size.groups == 1
        && window.kernel == [3, 3]
        && window.stride == [1, 1]
        && window.dilation == [1, 1]
        && window.pad.iter().all(|&pad| pad <= 2)
}

/// `y = conv(x, kernel) + bias`.
pub(super) fn forward<E: Scalar>(
    size: &ConvSize,
    x: &[E],
    kernel: &CpuKernel<E>,
    bias: Option<&[E]>,
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    let (outputs, inputs) = (size.output.channels, size.input.channels);
    let kernel = kernel.form(Form::Winograd, |weight| {
        kernel::transform(weight, outputs, inputs, Direction::Forward)
    });
    convolve(&Tiling::forward(size), x, &kernel, bias, finish)
}

/// The gradient with respect to the input.
pub(super) fn backward_data<E: Scalar>(
    size: &ConvSize,
    kernel: &CpuKernel<E>,
    dy: &[E],
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    let (outputs, inputs) = (size.output.channels, size.input.channels);
    let kernel = kernel.form(Form::WinogradBackward, |weight| {
        kernel::transform(weight, outputs, inputs, Direction::BackwardData)
    });
    convolve(&Tiling::backward_data(size), dy, &kernel, None, finish)
}

/// A zero gradient for [`backward_weight`].
pub(super) fn no_gradient<E: Scalar>(outputs: usize, inputs: usize) -> CpuBuf<E> {
    CpuBuf::zeros(POINTS * stride(inputs * outputs))
}

/// Adds the gradient with respect to the transformed kernel to `sums`.
pub(super) fn backward_weight<E: Scalar>(size: &ConvSize, x: &[E], dy: &[E], sums: &mut [E]) {
    add_products(&Tiling::forward(size), x, dy, sums);
}

/// Bands of a task of [`convolve`].
fn bands_per_task(tiling: &Tiling) -> usize {
    let per_tile = POINTS * (tiling.from.channels + tiling.to.channels);
    let tiles = (TASK_ELEMENTS / per_tile.max(1)).max(LEAST_TILES);
    let most = tiling.bands().div_ceil(LEAST_TASKS);
    (tiles / tiling.across.max(1)).min(most).max(1)
}

/// Convolves with a transformed kernel.
fn convolve<E: Scalar>(
    tiling: &Tiling,
    x: &[E],
    kernel: &[Packed<E>],
    bias: Option<&[E]>,
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    let mut y = CpuBuf::scratch(tiling.to.len());
    let step = bands_per_task(tiling);
    let (mut tasks, mut rest) = (Vec::new(), &mut y[..]);
    for first in (0..tiling.bands()).step_by(step) {
        let bands = first..tiling.bands().min(first + step);
        let len = tiling.offset(bands.end) - tiling.offset(first);
        let (part, after) = rest.split_at_mut(len);
        tasks.push((bands, part));
        rest = after;
    }
    par::for_rows(
        &mut tasks,
        1,
        1,
        #[inline(always)]
        |_, tasks| {
            for (bands, y) in tasks {
                convolve_bands(tiling, bands.clone(), x, kernel, bias, y);
                if let Some(finish) = finish {
                    finish.finish(tiling.offset(bands.start) / tiling.to.channels, y);
                }
            }
        },
    );
    y
}

/// One task of [`convolve`]: input transform, 36 products, output transform.
#[inline(always)]
fn convolve_bands<E: Scalar>(
    tiling: &Tiling,
    bands: Range<usize>,
    x: &[E],
    kernel: &[Packed<E>],
    bias: Option<&[E]>,
    y: &mut [E],
) {
    let (inputs, outputs) = (tiling.from.channels, tiling.to.channels);
    let tiles = bands.len() * tiling.across;
    let (mut from, mut to) = (scratch(tiles * inputs), scratch(tiles * outputs));
    for points in &mut pieces(&mut from, tiles * inputs, tiles * inputs) {
        tiling.transform_input(bands.clone(), x, points);
    }
    for (p, kernel) in kernel.iter().enumerate() {
        product(
            &mut to[p * stride(tiles * outputs)..][..tiles * outputs],
            outputs,
            Start::Zero,
            Mat::new(&from[p * stride(tiles * inputs)..], tiles, inputs, inputs),
            kernel,
        );
    }
    tiling.transform_output(bands, (&to, stride(tiles * outputs)), bias, y);
}

/// Adds the products of a weight gradient to `sums`, 36 matrices `[in][out]`.
///
/// Blocks of tiles follow each other; in a block first the tiles, then the points are shared out.
fn add_products<E: Scalar>(tiling: &Tiling, x: &[E], dy: &[E], sums: &mut [E]) {
    let (inputs, outputs) = (tiling.from.channels, tiling.to.channels);
    let tiles = (WEIGHT_ELEMENTS / (POINTS * (inputs + outputs))).max(inputs.min(outputs));
    let step = (tiles / tiling.across.max(1)).clamp(1, tiling.bands().max(1));
    for first in (0..tiling.bands()).step_by(step) {
        let bands = first..tiling.bands().min(first + step);
        let tiles = bands.len() * tiling.across;
        let (mut left, mut right) = (scratch(tiles * inputs), scratch(tiles * outputs));
        transform_both(tiling, bands, x, dy, &mut left, &mut right);
        par::for_rows(sums, stride(inputs * outputs), 1, |p, sums| {
            add_transposed(
                &mut sums[..inputs * outputs],
                outputs,
                Mat::new(&left[p * stride(tiles * inputs)..], tiles, inputs, inputs),
                Mat::new(&right[p * stride(tiles * outputs)..], tiles, outputs, outputs),
            );
        });
    }
}

/// Transforms the inputs and output gradients of these bands.
fn transform_both<E: Scalar>(tiling: &Tiling, bands: Range<usize>, x: &[E], dy: &[E], left: &mut [E], right: &mut [E]) {
    let (inputs, outputs) = (tiling.from.channels, tiling.to.channels);
    let tiles = bands.len() * tiling.across;
    let step = bands_per_task(tiling).min(bands.len().div_ceil(LEAST_TASKS));
    let piece = step * tiling.across;
    let left = pieces(left, tiles * inputs, piece * inputs);
    let right = pieces(right, tiles * outputs, piece * outputs);
    let mut tasks: Vec<_> = left.into_iter().zip(right).collect();
    par::for_rows(
        &mut tasks,
        1,
        1,
        #[inline(always)]
        |task, tasks| {
            let first = bands.start + task * step;
            let part = first..bands.end.min(first + step);
            for (left, right) in tasks {
                tiling.transform_input(part.clone(), x, left);
                tiling.transform_gradient(part.clone(), dy, right);
            }
        },
    );
}
