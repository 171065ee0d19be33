//! Convolution: pointwise as a linear layer, depthwise directly, 3x3 by Winograd's algorithm where
//! that pays (see `conv_method`), all else as a product with the unrolled input. In `f32` that is
//! not made (`implicit`) but for data gradients; in `f64` it is (`im2col`).

use super::conv_method::{ConvMethod, method};
use super::finish::Finish;
use super::gemm::Mat;
use super::gemm::{Packed, Start, add_transposed, product};
use super::im2col::{columns, roll_up, unroll};
use super::implicit::{self, copied_len};
use super::kernel::{CpuKernel, CpuKernelGradient, Purpose};
use super::weight_layout::WeightLayout;
use super::{CpuBuf, depthwise, linear, par, winograd};
use crate::real::CpuReal;
use ksdsl_engine::size::{Algorithm, ConvSize};
use std::ops::Range;

/// Elements of one unrolled tile: half a megabyte in `f32`, so that it stays in the L2 cache.
const TILE_ELEMENTS: usize = 1 << 17;
/// Most parts whose weight gradients are summed; fewer for large kernels, see [`weight_parts`].
const WEIGHT_PARTS: usize = 16;
/// Parts of a weight gradient that is cut itself.
const COLUMN_PARTS: usize = 8;

/// Output rows per tile.
fn tile_rows(size: &ConvSize) -> usize {
    (TILE_ELEMENTS / (size.output.width * columns(size)).max(1)).max(1)
}

/// Output rows whose input and output stay in the L2 cache together.
fn implicit_rows(size: &ConvSize) -> usize {
    let row = copied_len(size, 1) / size.window.kernel[0].max(1) * size.window.stride[0];
    (TILE_ELEMENTS / 2 / (row + size.output.width * size.output.channels).max(1)).max(1)
}

/// Output rows of a task of the forward pass: at least eight tasks, if there are rows enough.
pub(super) fn forward_rows(size: &ConvSize, implicit: bool) -> usize {
    let all_rows = size.output.batch * size.output.height;
    let most = if implicit { implicit_rows(size) } else { tile_rows(size) };
    most.min(all_rows.div_ceil(8)).max(1)
}

/// Elements of the unrolled rows of a task of the data gradient.
pub(super) fn data_scratch(size: &ConvSize) -> usize {
    tile_rows(size).min(size.output.height) * size.output.width * columns(size)
}

/// How the weight gradient of an unrolled convolution is cut.
pub(super) enum WeightCut {
    /// Tasks of so many columns of the unrolled input, each over all output rows.
    Columns(usize),
    /// Parts of so many output rows, whose sums are added.
    Rows(usize),
}

/// The cut for a kernel of `len` elements, and the most output rows taken at a time.
pub(super) fn weight_cut(size: &ConvSize, len: usize, implicit: bool) -> (WeightCut, usize) {
    let all_rows = size.output.batch * size.output.height;
    let tile = if implicit { implicit_rows(size) } else { tile_rows(size) };
    if implicit && large_gradient(size, len) {
        return (WeightCut::Columns(columns(size).div_ceil(COLUMN_PARTS)), tile);
    }
    (
        WeightCut::Rows(par::items_per_part(all_rows, 1, weight_parts(len))),
        tile,
    )
}

/// Rows and columns of the matrices of the groups, transposed for the data gradient.
pub(super) fn matrices(size: &ConvSize, transposed: bool) -> [usize; 2] {
    let (depth, outputs) = (columns(size), size.output.channels / size.groups);
    if transposed { [outputs, depth] } else { [depth, outputs] }
}

/// The matrices of the groups, `[ky][kx][in / groups][out / groups]`.
fn pack<E: CpuReal>(size: &ConvSize, weight: &[E], transposed: bool) -> Vec<Packed<E>> {
    let (depth, outputs) = (columns(size), size.output.channels / size.groups);
    let mut packed = CpuBuf::scratch(weight.len());
    WeightLayout::of(size).lay_out(weight, &mut packed);
    let matrix = |group: usize| {
        let matrix = Mat::new(&packed[group * depth * outputs..], depth, outputs, outputs);
        Packed::new(if transposed { matrix.transposed() } else { matrix })
    };
    (0..size.groups).map(matrix).collect()
}

/// `y = conv(x, kernel) + bias`.
pub(super) fn forward<E: CpuReal>(
    size: ConvSize,
    x: &CpuBuf<E>,
    kernel: &CpuKernel<E>,
    bias: Option<&CpuBuf<E>>,
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    match method::<E>(&size) {
        ConvMethod::Pointwise(linear) => linear::forward(linear, keeps_kernel(&size), x, kernel, bias, finish),
        ConvMethod::Depthwise => depthwise::forward(&size, x, kernel, bias, finish),
        ConvMethod::Winograd => winograd::forward(&size, x, kernel, bias.map(|bias| &bias[..]), finish),
        ConvMethod::Unrolled => forward_unrolled(&size, x, kernel, bias, finish),
    }
}

/// Whether the kernel stays as it is after this pass, as far as the size tells: in inference.
pub(super) fn keeps_kernel(size: &ConvSize) -> bool {
    size.algorithm != Algorithm::Training
}

fn forward_unrolled<E: CpuReal>(
    size: &ConvSize,
    x: &CpuBuf<E>,
    kernel: &CpuKernel<E>,
    bias: Option<&CpuBuf<E>>,
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    let (width, channels) = (size.output.width, size.output.channels);
    let packed = kernel.form(Purpose::Unrolled, |weight| pack(size, weight, false));
    let mut y = CpuBuf::scratch(size.output.len());
    let implicit = E::f32s(x).is_some();
    let rows = forward_rows(size, implicit);
    par::for_rows(&mut y, width * channels, rows, |first, part| {
        let rows = first..first + part.len() / (width * channels);
        if implicit {
            implicit::forward(size, rows, x, &packed, bias.map(|bias| &bias[..]), part);
        } else {
            unrolled_rows(size, rows, x, &packed, bias.map(|bias| &bias[..]), part);
        }
        if let Some(finish) = finish {
            finish.finish(first * width, part);
        }
    });
    y
}

/// These output rows by way of the unrolled matrix.
fn unrolled_rows<E: CpuReal>(
    size: &ConvSize,
    rows: Range<usize>,
    x: &[E],
    kernels: &[Packed<E>],
    bias: Option<&[E]>,
    y: &mut [E],
) {
    let (pixels, channels) = (rows.len() * size.output.width, size.output.channels);
    let (depth, outputs) = (columns(size), channels / size.groups);
    let mut unrolled = CpuBuf::scratch(pixels * depth);
    for (group, kernel) in kernels.iter().enumerate() {
        unroll(size, group, rows.clone(), x, &mut unrolled);
        product(
            &mut y[group * outputs..],
            channels,
            Start::bias(bias.map(|bias| &bias[group * outputs..])),
            Mat::new(&unrolled, pixels, depth, depth),
            kernel,
        );
    }
}

/// The gradient with respect to the input.
pub(super) fn backward_data<E: CpuReal>(
    size: ConvSize,
    kernel: &CpuKernel<E>,
    dy: &CpuBuf<E>,
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    match method::<E>(&size) {
        ConvMethod::Pointwise(linear) => linear::backward_data(linear, kernel, dy, finish),
        ConvMethod::Depthwise => depthwise::backward_data(&size, kernel, dy, finish),
        ConvMethod::Winograd => winograd::backward_data(&size, kernel, dy, finish),
        ConvMethod::Unrolled => backward_data_unrolled(&size, kernel, dy, finish),
    }
}

/// One task per image: the windows of an image overlap, those of two images do not.
fn backward_data_unrolled<E: CpuReal>(
    size: &ConvSize,
    kernel: &CpuKernel<E>,
    dy: &CpuBuf<E>,
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    let (height, width, channels) = (size.output.height, size.output.width, size.output.channels);
    let (depth, outputs) = (columns(size), channels / size.groups);
    let packed = kernel.form(Purpose::UnrolledBackward, |weight| pack(size, weight, true));
    let rows = tile_rows(size);
    let mut dx = CpuBuf::scratch(size.input.len());
    let image_len = size.input.height * size.input.width * size.input.channels;
    par::for_rows(&mut dx, image_len, 1, |image, dx| {
        dx.fill(E::zero());
        let mut unrolled = CpuBuf::scratch(data_scratch(size));
        for first in (0..height).step_by(rows) {
            let tile = first..height.min(first + rows);
            let pixels = tile.len() * width;
            let dy = &dy[(image * height + first) * width * channels..][..pixels * channels];
            for (group, kernel) in packed.iter().enumerate() {
                product(
                    &mut unrolled,
                    depth,
                    Start::Zero,
                    Mat::new(&dy[group * outputs..], pixels, outputs, channels),
                    kernel,
                );
                roll_up(size, group, tile.clone(), &unrolled, dx);
            }
        }
        if let Some(finish) = finish {
            finish.finish(image * size.input.height * size.input.width, dx);
        }
    });
    dx
}

/// Adds the gradient with respect to the kernel to `gradient`.
pub(super) fn backward_weight<E: CpuReal>(
    size: ConvSize,
    x: &CpuBuf<E>,
    dy: &CpuBuf<E>,
    gradient: &mut CpuKernelGradient<E>,
) {
    match method::<E>(&size) {
        ConvMethod::Pointwise(linear) => linear::backward_weight(linear, x, dy, gradient),
        ConvMethod::Depthwise => depthwise::backward_weight(&size, x, dy, gradient.plain()),
        ConvMethod::Winograd => winograd::backward_weight(&size, x, dy, gradient),
        ConvMethod::Unrolled => backward_weight_unrolled(&size, x, dy, gradient.unrolled(WeightLayout::of(&size))),
    }
}

/// Parts of a weight gradient of `len` elements: at most 64 MB of partial sums in `f32`.
fn weight_parts(len: usize) -> usize {
    ((1 << 24) / len.max(1)).clamp(2, WEIGHT_PARTS)
}

fn backward_weight_unrolled<E: CpuReal>(size: &ConvSize, x: &CpuBuf<E>, dy: &CpuBuf<E>, gradient: &mut CpuBuf<E>) {
    let (width, channels) = (size.output.width, size.output.channels);
    let (depth, outputs) = (columns(size), channels / size.groups);
    let implicit = E::f32s(x).is_some();
    let all_rows = size.output.batch * size.output.height;
    let (part, tile) = match weight_cut(size, gradient.len(), implicit) {
        (WeightCut::Columns(step), tile) => return backward_weight_by_columns(size, [step, tile], x, dy, gradient),
        (WeightCut::Rows(part), tile) => (part, tile),
    };
    let packed = par::sum_parts(all_rows, part, gradient.len(), |rows, sums: &mut [E]| {
        let len = if implicit {
            0
        } else {
            tile.min(rows.len()) * width * depth
        };
        let mut unrolled = CpuBuf::scratch(len);
        for first in rows.clone().step_by(tile) {
            let tile = first..rows.end.min(first + tile);
            if implicit {
                implicit::backward_weight(size, tile, 0..depth, x, dy, sums);
                continue;
            }
            let pixels = tile.len() * width;
            let dy = &dy[first * width * channels..][..pixels * channels];
            for group in 0..size.groups {
                unroll(size, group, tile.clone(), x, &mut unrolled);
                add_transposed(
                    &mut sums[group * depth * outputs..][..depth * outputs],
                    outputs,
                    Mat::new(&unrolled, pixels, depth, depth),
                    Mat::new(&dy[group * outputs..], pixels, outputs, channels),
                );
            }
        }
    });
    super::elementwise::add_assign(gradient, &packed);
}

/// Whether the partial sums of [`WEIGHT_PARTS`] tasks are more to write and read than the maps are
/// for [`COLUMN_PARTS`] tasks that read them all.
fn large_gradient(size: &ConvSize, len: usize) -> bool {
    let maps = size.output.len() + size.input.len();
    size.groups == 1 && 3 * WEIGHT_PARTS * len > COLUMN_PARTS * maps
}

/// Each task computes the gradient of some taps and inputs. For `f32` only.
fn backward_weight_by_columns<E: CpuReal>(
    size: &ConvSize,
    [step, tile]: [usize; 2],
    x: &[E],
    dy: &[E],
    gradient: &mut [E],
) {
    let outputs = size.output.channels;
    let all_rows = size.output.batch * size.output.height;
    par::for_rows(gradient, outputs, step, |first, sums| {
        let columns = first..first + sums.len() / outputs;
        for row in (0..all_rows).step_by(tile) {
            let rows = row..all_rows.min(row + tile);
            implicit::backward_weight(size, rows, columns.clone(), x, dy, sums);
        }
    });
}
