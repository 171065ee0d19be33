//! Convolutions: which kernels compute which.
//!
//! A pointwise convolution is a product of the map as it lies in memory, by cuBLAS. Those whose output
//! channels read one input channel each have kernels of their own. All others are products that gather
//! from the map (`gather.rs`).

use super::buf::{CudaBuf, CudaKernel, CudaKernelGradient, Packing};
use super::gather::{self, Finish};
use super::gpu::{Matrix, Product};
use super::grid::{Grid, parts};
use super::layers::{Affine, Done, int, long};
use super::real::CudaReal;
use super::source::{Arg, Sizes};
use ksdsl_engine::size::{ConvSize, RowSize};

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Pointwise,
    /// Kernels for any stride, dilation and number of outputs per input.
    Depthwise,
    /// Kernels for this square size, stride and dilation 1, one output per input.
    DepthwiseStrips(usize),
    Gathered,
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
    Method::Gathered
}

fn taps(size: &ConvSize) -> usize {
    size.window.kernel[0] * size.window.kernel[1]
}

/// Inputs of a group.
fn inputs(size: &ConvSize) -> usize {
    size.input.channels / size.groups
}

fn packing(size: &ConvSize) -> Packing {
    let inner = match method(size) {
        Method::Depthwise | Method::DepthwiseStrips(_) => size.output.channels,
        Method::Pointwise | Method::Gathered => inputs(size),
    };
    Packing {
        inner,
        taps: taps(size),
        transposed: None,
    }
}

/// The packing for the data gradient.
fn data_packing(size: &ConvSize) -> Packing {
    Packing {
        transposed: (method(size) == Method::Gathered).then_some(size.output.channels / size.groups),
        ..packing(size)
    }
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
        Method::Gathered => gather::forward(&size, x, weights, Finish::default(), &y),
    })?;
    Ok(y)
}

/// The output, with a bias and a tail.
pub(super) fn forward_with_tail<E: CudaReal>(
    size: ConvSize,
    x: &CudaBuf<E>,
    kernel: &CudaKernel<E>,
    affine: &Affine<'_, E>,
) -> Done<CudaBuf<E>> {
    if let (Method::Gathered, Some(finish)) = (method(&size), Finish::of(affine)) {
        let y = x.gpu().scratch::<E>(size.output.len())?;
        kernel.packed(packing(&size), |weights| gather::forward(&size, x, weights, finish, &y))?;
        return Ok(y);
    }
    let y = forward(size, x, kernel)?;
    if !affine.is_nothing() {
        let rows = RowSize {
            rows: size.output.rows(),
            channels: size.output.channels,
        };
        affine.run(rows, &y, &y)?;
    }
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
    kernel.packed(data_packing(&size), |weights| match method(&size) {
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
        Method::Gathered => gather::data(&size, weights, dy, &dx, add),
    })?;
    Ok(dx)
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
        Method::Gathered => gather::weight(&size, x, dy, sum),
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
