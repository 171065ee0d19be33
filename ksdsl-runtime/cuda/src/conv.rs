//! Convolutions: products of matrices by cuBLAS, or kernels of their own where each output channel
//! reads one input channel.
//!
//! A pointwise convolution is a product of the map as it lies in memory. Others are unrolled, some
//! images at a time, so that the unrolled rows stay in the GPU's L2 cache between the kernel that
//! writes them and the product that reads them; groups are a batch of products.

use super::buf::{CudaBuf, CudaKernel, CudaKernelGradient, Packing};
use super::gpu::{Grid, Matrix, Product, parts};
use super::layers::{Done, int, long};
use super::real::CudaReal;
use super::source::{Arg, Sizes};
use ksdsl_engine::size::ConvSize;
use std::ops::Range;

/// Most bytes of unrolled rows at a time, below the L2 caches of data-centre GPUs (40 to 50 MB).
const UNROLLED_BYTES: usize = 32 << 20;

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Pointwise,
    /// Kernels for any stride, dilation and number of outputs per input.
    Depthwise,
    /// Kernels for this square size, stride and dilation 1, one output per input.
    DepthwiseStrips(usize),
    Unrolled,
}

fn method(size: &ConvSize) -> Method {
    let window = size.window;
    let unit = window.stride == [1; 2] && window.dilation == [1; 2];
    let same = [size.input.height, size.input.width] == [size.output.height, size.output.width];
    if size.groups > 1 && size.groups == size.input.channels {
        let square = window.kernel[0] == window.kernel[1] && size.output.channels == size.input.channels;
        return match window.kernel[0] {
            side @ (3 | 5 | 7 | 9) if unit && square => Method::DepthwiseStrips(side),
            _ => Method::Depthwise,
        };
    }
    if window.kernel == [1; 2] && window.stride == [1; 2] && window.pad == [0; 2] && size.groups == 1 && same {
        return Method::Pointwise;
    }
    Method::Unrolled
}

fn taps(size: &ConvSize) -> usize {
    size.window.kernel[0] * size.window.kernel[1]
}

/// Inputs of a group.
fn inputs(size: &ConvSize) -> usize {
    size.input.channels / size.groups
}

/// Factors of one output.
fn factors(size: &ConvSize) -> usize {
    taps(size) * inputs(size)
}

fn packing(size: &ConvSize) -> Packing {
    let inner = match method(size) {
        Method::Depthwise | Method::DepthwiseStrips(_) => size.output.channels,
        Method::Pointwise | Method::Unrolled => inputs(size),
    };
    Packing {
        inner,
        taps: taps(size),
    }
}

/// The images of a batch in runs whose unrolled rows fit.
fn runs<E>(size: &ConvSize) -> impl Iterator<Item = Range<usize>> + use<E> {
    let batch = size.input.batch;
    let pixels = size.output.height * size.output.width;
    let image = pixels * size.groups * factors(size) * size_of::<E>();
    let each = (UNROLLED_BYTES / image.max(1)).max(1);
    (0..batch)
        .step_by(each)
        .map(move |first| first..batch.min(first + each))
}

/// The parts of an unrolled product, for the images of one run: the unrolled rows, the kernel, and the
/// output's pixels.
struct Unrolled {
    rows: usize,
    columns: Matrix,
    kernel: Matrix,
    output: Matrix,
}

impl Unrolled {
    fn new<E>(size: &ConvSize, images: &Range<usize>, columns: u64, kernel: u64, output: u64) -> Self {
        let pixels = size.output.height * size.output.width;
        let (factors, outputs) = (factors(size), size.output.channels / size.groups);
        let matrix = |at, pitch, step| Matrix {
            at,
            pitch,
            transposed: false,
            step,
        };
        let skipped = images.start * pixels * size.output.channels * size_of::<E>();
        Self {
            rows: images.len() * pixels,
            columns: matrix(columns, size.groups * factors, factors),
            kernel: matrix(kernel, factors, outputs * factors),
            output: matrix(output + skipped as u64, size.output.channels, outputs),
        }
    }
}

fn transposed(matrix: Matrix) -> Matrix {
    Matrix {
        transposed: true,
        ..matrix
    }
}

/// Writes the unrolled rows of the images.
fn unroll<E: CudaReal>(size: &ConvSize, images: &Range<usize>, x: &CudaBuf<E>, columns: &CudaBuf<E>) -> Done<()> {
    let pixels = size.output.height * size.output.width;
    let rows = images.len() * pixels * size.groups * taps(size);
    let args = [
        Arg::Sizes(Sizes::from(*size)),
        int(images.start),
        long(rows),
        x.arg(),
        columns.arg(),
    ];
    x.gpu().launch::<E>("im2col", Grid::rows(rows, inputs(size)), &args)
}

/// A buffer for the unrolled rows of the longest run.
fn columns<E: CudaReal>(size: &ConvSize, like: &CudaBuf<E>) -> Done<CudaBuf<E>> {
    let images = runs::<E>(size).map(|run| run.len()).max().unwrap_or(0);
    let pixels = size.output.height * size.output.width;
    like.gpu().scratch(images * pixels * size.groups * factors(size))
}

/// The product of a pointwise convolution's map and kernel, matrices as they lie in memory.
fn pointwise(at: [u64; 3], [rows, columns, inner]: [usize; 3], transposed: [bool; 2]) -> Product {
    let matrix = |at, pitch, transposed| Matrix {
        at,
        pitch,
        transposed,
        step: 0,
    };
    let pitch = |transposed: bool, plain: usize, other: usize| if transposed { other } else { plain };
    Product {
        rows,
        columns,
        inner,
        a: matrix(at[0], pitch(transposed[0], inner, rows), transposed[0]),
        b: matrix(at[1], pitch(transposed[1], columns, inner), transposed[1]),
        c: matrix(at[2], columns, false),
        alpha: 1.0,
        add: false,
        batch: 1,
    }
}

/// The output without a bias.
pub(super) fn forward<E: CudaReal>(size: ConvSize, x: &CudaBuf<E>, kernel: &CudaKernel<E>) -> Done<CudaBuf<E>> {
    let gpu = x.gpu();
    let y = gpu.scratch::<E>(size.output.len())?;
    kernel.packed(packing(&size), |weights| match method(&size) {
        Method::Pointwise => {
            let sizes = [size.input.rows(), size.output.channels, size.input.channels];
            gpu.product::<E>(pointwise([x.at(), weights, y.at()], sizes, [false, true]))
        }
        Method::DepthwiseStrips(side) => strips(side, Sizes::from(size), &size, [false; 2], [x.at(), weights], &y),
        Method::Depthwise => {
            let rows = size.output.rows();
            let args = [
                Arg::Sizes(Sizes::from(size)),
                long(rows),
                x.arg(),
                Arg::Pointer(weights),
                y.arg(),
            ];
            gpu.launch::<E>("depthwise_forward", Grid::rows(rows, size.output.channels), &args)
        }
        Method::Unrolled => {
            let columns = columns(&size, x)?;
            for images in runs::<E>(&size) {
                unroll(&size, &images, x, &columns)?;
                let parts = Unrolled::new::<E>(&size, &images, columns.at(), weights, y.at());
                gpu.product::<E>(Product {
                    rows: parts.rows,
                    columns: size.output.channels / size.groups,
                    inner: factors(&size),
                    a: parts.columns,
                    b: transposed(parts.kernel),
                    c: parts.output,
                    alpha: 1.0,
                    add: false,
                    batch: size.groups,
                })?;
            }
            Ok(())
        }
    })?;
    Ok(y)
}

/// Runs `depthwise_strips_*`, whose output map is that of `sizes` and as large as `map`'s output, or
/// input if rotated.
fn strips<E: CudaReal>(
    side: usize,
    sizes: Sizes,
    size: &ConvSize,
    [rotated, add]: [bool; 2],
    [x, weights]: [u64; 2],
    y: &CudaBuf<E>,
) -> Done<()> {
    const STRIP: usize = 8;
    let map = if rotated { size.input } else { size.output };
    let name = match side {
        3 => "depthwise_strips_3",
        5 => "depthwise_strips_5",
        7 => "depthwise_strips_7",
        _ => "depthwise_strips_9",
    };
    let rows = map.batch * map.height * map.width.div_ceil(STRIP);
    let args = [
        Arg::Sizes(sizes),
        long(rows),
        int(rotated.into()),
        int(add.into()),
        Arg::Pointer(x),
        Arg::Pointer(weights),
        y.arg(),
    ];
    y.gpu().launch::<E>(name, Grid::rows(rows, map.channels), &args)
}

/// The gradient with respect to the input, plus `others`.
pub(super) fn backward_data<E: CudaReal>(
    size: ConvSize,
    kernel: &CudaKernel<E>,
    dy: &CudaBuf<E>,
    others: Option<CudaBuf<E>>,
) -> Done<CudaBuf<E>> {
    let gpu = dy.gpu();
    let add = others.is_some();
    let dx = match others {
        Some(others) => others,
        None => gpu.scratch(size.input.len())?,
    };
    kernel.packed(packing(&size), |weights| match method(&size) {
        Method::Pointwise => {
            let sizes = [size.input.rows(), size.input.channels, size.output.channels];
            let product = pointwise([dy.at(), weights, dx.at()], sizes, [false; 2]);
            gpu.product::<E>(Product { add, ..product })
        }
        Method::DepthwiseStrips(side) => {
            let sizes = Sizes::from(size).rotated();
            strips(side, sizes, &size, [true, add], [dy.at(), weights], &dx)
        }
        Method::Depthwise => {
            let rows = size.input.rows();
            let args = [
                Arg::Sizes(Sizes::from(size)),
                long(rows),
                int(add.into()),
                Arg::Pointer(weights),
                dy.arg(),
                dx.arg(),
            ];
            gpu.launch::<E>("depthwise_data", Grid::rows(rows, size.input.channels), &args)
        }
        Method::Unrolled => unrolled_data(&size, weights, dy, &dx, add),
    })?;
    Ok(dx)
}

fn unrolled_data<E: CudaReal>(size: &ConvSize, weights: u64, dy: &CudaBuf<E>, dx: &CudaBuf<E>, add: bool) -> Done<()> {
    let (gpu, columns) = (dy.gpu(), columns(size, dy)?);
    for images in runs::<E>(size) {
        let parts = Unrolled::new::<E>(size, &images, columns.at(), weights, dy.at());
        gpu.product::<E>(Product {
            rows: parts.rows,
            columns: factors(size),
            inner: size.output.channels / size.groups,
            a: parts.output,
            b: parts.kernel,
            c: parts.columns,
            alpha: 1.0,
            add: false,
            batch: size.groups,
        })?;
        let rows = images.len() * size.input.height * size.input.width;
        let args = [
            Arg::Sizes(Sizes::from(*size)),
            int(images.start),
            long(rows),
            int(add.into()),
            columns.arg(),
            dx.arg(),
        ];
        gpu.launch::<E>("col2im", Grid::rows(rows, size.input.channels), &args)?;
    }
    Ok(())
}

/// Adds the gradient with respect to the kernel.
pub(super) fn backward_weight<E: CudaReal>(
    size: ConvSize,
    x: &CudaBuf<E>,
    dy: &CudaBuf<E>,
    gradient: &mut CudaKernelGradient<E>,
) -> Done<()> {
    let (gpu, sum) = (x.gpu(), gradient.packed(packing(&size))?);
    match method(&size) {
        Method::Pointwise => {
            let sizes = [size.output.channels, size.input.channels, size.input.rows()];
            let product = pointwise([dy.at(), x.at(), sum.at()], sizes, [true, false]);
            gpu.product::<E>(Product { add: true, ..product })
        }
        Method::DepthwiseStrips(side) => depthwise_weight(&size, Some(side), x, dy, sum),
        Method::Depthwise => depthwise_weight(&size, None, x, dy, sum),
        Method::Unrolled => {
            let columns = columns(&size, x)?;
            for images in runs::<E>(&size) {
                unroll(&size, &images, x, &columns)?;
                let parts = Unrolled::new::<E>(&size, &images, columns.at(), sum.at(), dy.at());
                gpu.product::<E>(Product {
                    rows: size.output.channels / size.groups,
                    columns: factors(&size),
                    inner: parts.rows,
                    a: transposed(parts.output),
                    b: parts.columns,
                    c: parts.kernel,
                    alpha: 1.0,
                    add: true,
                    batch: size.groups,
                })?;
            }
            Ok(())
        }
    }
}

fn depthwise_weight<E: CudaReal>(
    size: &ConvSize,
    side: Option<usize>,
    x: &CudaBuf<E>,
    dy: &CudaBuf<E>,
    sum: &CudaBuf<E>,
) -> Done<()> {
    let (gpu, channels, taps) = (x.gpu(), size.output.channels, taps(size));
    let lines = size.output.batch * size.output.height;
    let (parts, each) = parts(lines, channels);
    let partials = gpu.scratch::<f64>(parts * taps * channels)?;
    let (name, depth) = match side {
        None => ("depthwise_weight", taps),
        Some(side @ 3) => ("depthwise_weight_lines_3", side),
        Some(side @ 5) => ("depthwise_weight_lines_5", side),
        Some(side @ 7) => ("depthwise_weight_lines_7", side),
        Some(side) => ("depthwise_weight_lines_9", side),
    };
    let mut grid = Grid::parts(parts, channels);
    grid.blocks[2] = depth;
    let args = [
        Arg::Sizes(Sizes::from(*size)),
        long(lines),
        long(each),
        x.arg(),
        dy.arg(),
        partials.arg(),
    ];
    gpu.launch::<E>(name, grid, &args)?;
    let values = taps * channels;
    let args = [int(values), int(parts), long(values), partials.arg(), sum.arg()];
    gpu.launch::<E>("add_parts", Grid::parts(1, values), &args)
}
