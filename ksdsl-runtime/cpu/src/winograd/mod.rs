//! 3x3 convolutions with stride 1 by Winograd's minimal filtering F(4x4, 3x3): 36 products instead
//! of 144 for each tile of 4 x 4 outputs and each pair of channels (Lavin & Gray 2016, section 4).
//!
//! Tiles of 6 x 6 inputs, the kernel and, for its gradient, tiles of 4 x 4 output gradients are
//! mapped to 36 points (`lanes`); at each point a convolution is a product of matrices:
//!
//! | | per point |
//! | --- | --- |
//! | output | `[tiles x in] [in x out]` |
//! | data gradient | `[tiles x out] [out x in]`, the kernel rotated by 180 degrees |
//! | weight gradient | `[tiles x in]^T [tiles x out]`, summed over all tiles, then mapped back once |
//!
//! One thread, AVX-512, effective GFLOP/s (counting the direct algorithm's operations; the peak of
//! the FMA units was 113), kernels prepared, on a shared machine:
//!
//! | | output | of it transforms | weight gradient |
//! | --- | --- | --- | --- |
//! | 64 channels, 32x32, batch 8 | 305 | 22 % | 297 |
//! | 128 channels, 16x16, batch 16 | 361 | 10 % | 337 |
//! | 256 channels, 8x8, batch 32 | 358 | 5 % | 268 |
//! | 64 channels, 32x32, batch 1 | 302 | 24 % | 298 |
//! | 128 channels, 16x16, batch 1 | 359 | 14 % | 316 |
//! | 256 channels, 8x8, batch 1 | 369 | 10 % | 188 |
//!
//! All tasks are cut by sizes alone and every sum is taken in one order, so results do not depend
//! on the number of threads.

pub(super) mod kernel;
mod lanes;
mod points;
pub(super) mod scratch;
mod tiles;
mod tiles_f32;
mod uneven;
mod vectors;

use super::finish::Finish;
use super::gemm::Mat;
use super::gemm::{Packed, Start, add_transposed, product};
use super::kernel::{CpuKernel, CpuKernelGradient, Purpose};
use super::{CpuBuf, par};
use crate::real::CpuReal;
use kernel::Direction;
use ksdsl_engine::size::ConvSize;
use points::{POINTS, pieces, scratch, stride};
use std::ops::Range;
use tiles::{Tile, Tiling};
use uneven::Plain;

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
        // Neither behind the map.
        && size.output.height <= size.input.height + window.pad[0]
        && size.output.width <= size.input.width + window.pad[1]
}

/// `y = conv(x, kernel) + bias`.
pub(super) fn forward<E: CpuReal>(
    size: &ConvSize,
    x: &[E],
    kernel: &CpuKernel<E>,
    bias: Option<&[E]>,
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    let (outputs, inputs) = (size.output.channels, size.input.channels);
    let direction = Direction::Forward;
    let points = kernel.form(Purpose::Winograd, |weight| {
        kernel::transform(weight, outputs, inputs, direction)
    });
    let weight = &kernel.plain()[..];
    let conv = Convolution {
        tiling: Tiling::forward(size),
        x,
        kernel: &points,
        plain: Plain { weight, direction },
        bias,
    };
    conv.run(finish)
}

/// The gradient with respect to the input.
pub(super) fn backward_data<E: CpuReal>(
    size: &ConvSize,
    kernel: &CpuKernel<E>,
    dy: &[E],
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    let (outputs, inputs) = (size.output.channels, size.input.channels);
    let direction = Direction::BackwardData;
    let points = kernel.form(Purpose::WinogradBackward, |weight| {
        kernel::transform(weight, outputs, inputs, direction)
    });
    let weight = &kernel.plain()[..];
    let conv = Convolution {
        tiling: Tiling::backward_data(size),
        x: dy,
        kernel: &points,
        plain: Plain { weight, direction },
        bias: None,
    };
    conv.run(finish)
}

/// Adds the gradient with respect to the kernel.
pub(super) fn backward_weight<E: CpuReal>(size: &ConvSize, x: &[E], dy: &[E], gradient: &mut CpuKernelGradient<E>) {
    let tiling = Tiling::forward(size);
    let uneven = add_products(
        &tiling,
        x,
        dy,
        gradient.winograd(size.output.channels, size.input.channels),
    );
    if !uneven.is_empty() {
        tiling.add_directly(&uneven, x, dy, gradient.plain());
    }
}

/// Bands of a task of [`Convolution::run`].
fn bands_per_task(tiling: &Tiling) -> usize {
    let per_tile = POINTS * (tiling.from.channels + tiling.to.channels);
    let tiles = (TASK_ELEMENTS / per_tile.max(1)).max(LEAST_TILES);
    let most = tiling.bands().div_ceil(LEAST_TASKS);
    (tiles / tiling.across.max(1)).min(most).max(1)
}

/// A convolution with a transformed kernel.
struct Convolution<'a, E: CpuReal> {
    tiling: Tiling,
    x: &'a [E],
    kernel: &'a [Packed<E>],
    plain: Plain<'a, E>,
    bias: Option<&'a [E]>,
}

/// Cuts a map into pieces of `step` bands.
fn cut<'a, E>(tiling: &Tiling, step: usize, y: &'a mut [E]) -> Vec<(Range<usize>, &'a mut [E])> {
    let (mut tasks, mut rest) = (Vec::new(), y);
    for first in (0..tiling.bands()).step_by(step) {
        let bands = first..tiling.bands().min(first + step);
        let len = tiling.offset(bands.end) - tiling.offset(first);
        let (part, after) = rest.split_at_mut(len);
        tasks.push((bands, part));
        rest = after;
    }
    tasks
}

/// Whether the kernel is by far more to read than all points, as with single images: then no two
/// tasks should read the same part of it.
fn few_tiles(tiling: &Tiling) -> bool {
    let (inputs, outputs) = (tiling.from.channels, tiling.to.channels);
    2 * tiling.bands() * tiling.across * (inputs + outputs) < inputs * outputs
}

impl<E: CpuReal> Convolution<'_, E> {
    fn run(&self, finish: Option<&dyn Finish<E>>) -> CpuBuf<E> {
        let tiling = &self.tiling;
        if few_tiles(tiling) {
            return self.run_by_points(finish);
        }
        let mut y = CpuBuf::scratch(tiling.to.len());
        let step = bands_per_task(tiling);
        let mut tasks = cut(tiling, step, &mut y);
        par::for_rows(
            &mut tasks,
            1,
            1,
            #[inline(always)]
            |_, tasks| {
                for (bands, y) in tasks {
                    self.bands(bands.clone(), y);
                    if let Some(finish) = finish {
                        finish.finish(tiling.offset(bands.start) / tiling.to.channels, y);
                    }
                }
            },
        );
        y
    }

    /// As [`Convolution::run`], where first the bands, then the points, then the bands are shared out.
    fn run_by_points(&self, finish: Option<&dyn Finish<E>>) -> CpuBuf<E> {
        let tiling = &self.tiling;
        let (inputs, outputs) = (tiling.from.channels, tiling.to.channels);
        let tiles = tiling.bands() * tiling.across;
        let (mut from, mut to) = (scratch(tiles * inputs), scratch(tiles * outputs));
        let mut tasks = pieces(&mut from, tiles * inputs, tiling.across * inputs);
        par::for_rows(&mut tasks, 1, 1, |band, points| {
            tiling.transform_input(band..band + 1, self.x, &mut points[0]);
        });
        par::for_rows(&mut to, stride(tiles * outputs), 1, |p, to| {
            let from = Mat::new(&from[p * stride(tiles * inputs)..], tiles, inputs, inputs);
            product(&mut to[..tiles * outputs], outputs, Start::Zero, from, &self.kernel[p]);
        });
        let mut y = CpuBuf::scratch(tiling.to.len());
        let mut tasks = cut(tiling, 1, &mut y);
        par::for_rows(&mut tasks, 1, 1, |band, tasks| {
            for (bands, y) in tasks {
                let points = &to[band * tiling.across * outputs..];
                self.transform_back(bands.clone(), (points, stride(tiles * outputs)), y);
                if let Some(finish) = finish {
                    finish.finish(tiling.offset(band) / outputs, y);
                }
            }
        });
        y
    }

    /// One task of [`Convolution::run`]: input transform, 36 products, output transform.
    #[inline(always)]
    fn bands(&self, bands: Range<usize>, y: &mut [E]) {
        let tiling = &self.tiling;
        let (inputs, outputs) = (tiling.from.channels, tiling.to.channels);
        let tiles = bands.len() * tiling.across;
        let (mut from, mut to) = (scratch(tiles * inputs), scratch(tiles * outputs));
        for points in &mut pieces(&mut from, tiles * inputs, tiles * inputs) {
            tiling.transform_input(bands.clone(), self.x, points);
        }
        for (p, kernel) in self.kernel.iter().enumerate() {
            product(
                &mut to[p * stride(tiles * outputs)..][..tiles * outputs],
                outputs,
                Start::Zero,
                Mat::new(&from[p * stride(tiles * inputs)..], tiles, inputs, inputs),
                kernel,
            );
        }
        self.transform_back(bands, (&to, stride(tiles * outputs)), y);
    }

    /// The output of these bands from their products, of uneven tiles directly.
    #[inline(always)]
    fn transform_back(&self, bands: Range<usize>, points: (&[E], usize), y: &mut [E]) {
        self.tiling.transform_output(bands.clone(), points, self.bias, y);
        self.plain.mend(&self.tiling, bands, self.x, self.bias, y);
    }
}

/// Bands of a block of a weight gradient.
fn gradient_bands(tiling: &Tiling) -> usize {
    let (inputs, outputs) = (tiling.from.channels, tiling.to.channels);
    let tiles = (WEIGHT_ELEMENTS / (POINTS * (inputs + outputs))).max(inputs.min(outputs));
    (tiles / tiling.across.max(1)).clamp(1, tiling.bands().max(1))
}

/// Adds the products of a weight gradient to `sums`, 36 matrices `[in][out]`, but those of uneven tiles,
/// which are returned.
///
/// Blocks of tiles follow each other; in a block first the tiles, then the points are shared out.
fn add_products<E: CpuReal>(tiling: &Tiling, x: &[E], dy: &[E], sums: &mut [E]) -> Vec<Tile> {
    let (inputs, outputs) = (tiling.from.channels, tiling.to.channels);
    let step = gradient_bands(tiling);
    let mut uneven = Vec::new();
    for first in (0..tiling.bands()).step_by(step) {
        let bands = first..tiling.bands().min(first + step);
        let tiles = bands.len() * tiling.across;
        let (mut left, mut right) = (scratch(tiles * inputs), scratch(tiles * outputs));
        uneven.extend(transform_both(tiling, bands, x, dy, &mut left, &mut right));
        par::for_rows(sums, stride(inputs * outputs), 1, |p, sums| {
            add_transposed(
                &mut sums[..inputs * outputs],
                outputs,
                Mat::new(&left[p * stride(tiles * inputs)..], tiles, inputs, inputs),
                Mat::new(&right[p * stride(tiles * outputs)..], tiles, outputs, outputs),
            );
        });
    }
    uneven
}

/// Transforms the inputs and output gradients of these bands; of uneven tiles, which are returned, both
/// become zero.
fn transform_both<E: CpuReal>(
    tiling: &Tiling,
    bands: Range<usize>,
    x: &[E],
    dy: &[E],
    left: &mut [E],
    right: &mut [E],
) -> Vec<Tile> {
    let (inputs, outputs) = (tiling.from.channels, tiling.to.channels);
    let tiles = bands.len() * tiling.across;
    let step = bands_per_task(tiling).min(bands.len().div_ceil(LEAST_TASKS));
    let piece = step * tiling.across;
    let left = pieces(left, tiles * inputs, piece * inputs);
    let right = pieces(right, tiles * outputs, piece * outputs);
    let mut tasks: Vec<_> = left
        .into_iter()
        .zip(right)
        .map(|(left, right)| (left, right, Vec::new()))
        .collect();
    par::for_rows(
        &mut tasks,
        1,
        1,
        #[inline(always)]
        |task, tasks| {
            let first = bands.start + task * step;
            let part = first..bands.end.min(first + step);
            for (left, right, uneven) in tasks {
                tiling.transform_input(part.clone(), x, left);
                tiling.transform_gradient(part.clone(), dy, right);
                *uneven = tiling.uneven_pairs(part.clone(), x, dy);
                for tile in uneven.iter() {
                    let clear = |points: &mut [&mut [E]], channels: usize| {
                        let rows = points
                            .iter_mut()
                            .map(|point| &mut point[tile.index * channels..][..channels]);
                        rows.for_each(|row| row.fill(E::zero()));
                    };
                    clear(left, inputs);
                    clear(right, outputs);
                }
            }
        },
    );
    tasks.into_iter().flat_map(|(.., uneven)| uneven).collect()
}
