//! Depthwise convolution: one kernel per channel, directly, vectorised over the channels.
//!
//! `f32` has kernels of its own: [`rows`] from planes of one vector of channels, [`small`] straight
//! from the map for small kernels, [`toom`] for wide ones, [`strided`] for the data gradient of
//! strided convolutions, [`weight`] and [`small_weight`]. `f64`, the reference precision, takes the
//! [`generic`] way.

mod form;
mod generic;
mod lines;
mod rows;
pub(super) mod scratch;
mod small;
mod small_strided;
mod small_weight;
#[cfg(test)]
mod speeds;
mod strided;
#[cfg(test)]
mod tests;
mod tile;
mod toom;
mod toom_weight;
mod uneven;
mod weight;
mod weight_cut;
mod weight_taps;

use super::CpuBuf;
use super::finish::Finish;
use super::kernel::{CpuKernel, Purpose};
use super::par;
use super::simd::Level;
use crate::real::CpuReal;
pub(crate) use form::Form;
use form::Way;
use ksdsl_engine::size::{Algorithm, ConvSize, MapSize};
use lines::{Lines, blocks};
use rows::Convolution;
use std::sync::Arc;

/// The convolution; `finish` receives the output piece by piece.
pub(super) fn forward<E: CpuReal>(
    size: &ConvSize,
    x: &[E],
    kernel: &CpuKernel<E>,
    bias: Option<&CpuBuf<E>>,
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    if let (Some(x), Some(weight)) = (E::f32s(x), E::f32s(kernel.plain())) {
        let bias = bias.and_then(|bias| E::f32s(bias));
        let form = forward_form(size, kernel, weight);
        let mut y = CpuBuf::scratch(size.output.len());
        forward_with(&form, size, x, bias, Some(&mut y), finish);
        return y;
    }
    generic::forward(size, x, kernel.plain(), bias, finish)
}

/// The gradient with respect to the input; `finish` receives it piece by piece.
pub(super) fn backward_data<E: CpuReal>(
    size: &ConvSize,
    kernel: &CpuKernel<E>,
    dy: &[E],
    finish: Option<&dyn Finish<E>>,
) -> CpuBuf<E> {
    if let (Some(weight), Some(dy)) = (E::f32s(kernel.plain()), E::f32s(dy)) {
        let form = kernel.form(Purpose::DepthwiseBackward(*size), |_| Form::backward_data(size, weight));
        let mut dx = CpuBuf::scratch(size.input.len());
        backward_data_with(&form, size, dy, &mut dx, finish);
        return dx;
    }
    generic::backward_data(size, kernel.plain(), dy, finish)
}

/// Adds the gradient with respect to the weights, `[channel][ky][kx]`, to `dweight`.
pub(super) fn backward_weight<E: CpuReal>(size: &ConvSize, x: &[E], dy: &[E], dweight: &mut [E]) {
    if let (Some(x), Some(dy)) = (E::f32s(x), E::f32s(dy)) {
        if let Some(dweight) = E::f32s_mut(dweight) {
            let level = Level::current();
            if is_small_gradient(level, size) {
                small_weight::backward(level, size, x, dy, dweight);
            } else {
                weight::backward(level, size, x, dy, dweight);
            }
        }
        return;
    }
    generic::backward_weight(size, x, dy, dweight);
}

/// Whether the weight gradient is taken straight from the maps.
fn is_small_gradient(level: Level, size: &ConvSize) -> bool {
    small::weight_pays(level, size) && size.algorithm != Algorithm::ToomCook
}

/// The convolution; `finish` receives the output in pieces of [`tasks`], which are kept nowhere else. For
/// `f32` only.
pub(super) fn forward_through<E: CpuReal>(
    size: &ConvSize,
    x: &[E],
    kernel: &CpuKernel<E>,
    bias: Option<&CpuBuf<E>>,
    finish: &dyn Finish<E>,
) {
    if let (Some(x), Some(weight)) = (E::f32s(x), E::f32s(kernel.plain())) {
        let bias = bias.and_then(|bias| E::f32s(bias));
        let form = forward_form(size, kernel, weight);
        forward_with(&form, size, x, bias, None, Some(finish));
    }
}

/// The kernel as the forward pass takes it; `weight` are its values.
fn forward_form<E: CpuReal>(size: &ConvSize, kernel: &CpuKernel<E>, weight: &[f32]) -> Arc<Form> {
    let size = size.for_rules();
    kernel.form(Purpose::Depthwise(size), |_| Form::forward(&size, weight))
}

/// Whether the forward pass of `f32` can be computed from some rows of the input at a time at a level, see [`Rows`].
pub(super) fn takes_rows(level: Level, size: &ConvSize) -> bool {
    form::kind(level, size, false) == form::Kind::Small
}

/// The tasks of the forward pass, as rows of the output of all images.
pub(super) fn cut(size: &ConvSize) -> par::Cut {
    rows::bands(&size.output, taps(size), size.unit)
}

/// The forward pass of an image from some rows of its input at a time. For `f32` only, see [`takes_rows`].
pub(super) struct Rows {
    size: ConvSize,
    form: Arc<Form>,
    bias: Lines,
}

impl Rows {
    /// With the kernel prepared; `None` if `E` is not `f32`.
    pub(super) fn new<E: CpuReal>(size: &ConvSize, kernel: &CpuKernel<E>, bias: Option<&CpuBuf<E>>) -> Option<Self> {
        let form = forward_form(size, kernel, E::f32s(kernel.plain())?);
        let bias = bias_blocks(form.level, size.input.channels, bias.and_then(|bias| E::f32s(bias)));
        let size = *size;
        Some(Self { size, form, bias })
    }

    /// The rows of the output from `row` on that `y` holds; `source` are the rows of the input from `first` on, all that
    /// these read.
    pub(super) fn run<E: CpuReal>(&self, (source, first): (&[E], usize), row: usize, y: &mut [E]) {
        let (Some(source), Some(y), Way::Small(weight)) = (E::f32s(source), E::f32s_mut(y), &self.form.way) else {
            unreachable!("only `f32` of small windows is computed by rows");
        };
        let (size, window) = (&self.size, &self.size.window);
        let rows_of = |map: &MapSize, len: usize| MapSize {
            batch: 1,
            height: len / (map.width * map.channels).max(1),
            ..*map
        };
        let maps = [rows_of(&size.input, source.len()), rows_of(&size.output, y.len())];
        let top = (row * window.stride[0]).cast_signed() - window.pad[0].cast_signed() - first.cast_signed();
        let conv = Convolution {
            source,
            origin: [top, -window.pad[1].cast_signed()],
            weight,
            plain: weight,
            bias: &self.bias,
            ..convolution(size, maps)
        };
        small::rows(&conv, self.form.level, y);
    }
}

/// The number of tasks of the forward pass, and their size in pixels.
pub(super) fn tasks(size: &ConvSize) -> [usize; 2] {
    let bands = cut(size);
    [bands.tasks(), bands.task().min(size.output.height) * size.output.width]
}

/// The convolution with a kernel in the form for it, to `y` if there is one; `E` is `f32`.
pub(super) fn forward_with<E: CpuReal>(
    form: &Form,
    size: &ConvSize,
    x: &[f32],
    bias: Option<&[f32]>,
    y: Option<&mut [E]>,
    finish: Option<&dyn Finish<E>>,
) {
    let window = &size.window;
    let origin = window.pad.map(|pad| -pad.cast_signed());
    run(form, size, [size.input, size.output], origin, x, bias, y, finish);
}

/// The data gradient with a kernel in the form for it; `E` is `f32`.
///
/// For stride 1, input `i` is read by output `i + pad - k * dilation` at tap `k`, that is by
/// `i + pad - (kernel - 1) * dilation + k' * dilation` at tap `kernel - 1 - k'`.
pub(super) fn backward_data_with<E: CpuReal>(
    form: &Form,
    size: &ConvSize,
    dy: &[f32],
    dx: &mut [E],
    finish: Option<&dyn Finish<E>>,
) {
    if let Way::Strided(kernels) = &form.way {
        return strided::backward_data(form.level, size, kernels, dy, dx, finish);
    }
    let window = &size.window;
    let reach = |axis: usize| ((window.kernel[axis] - 1) * window.dilation[axis]).cast_signed();
    let origin = [0, 1].map(|axis| window.pad[axis].cast_signed() - reach(axis));
    run(
        form,
        size,
        [size.output, size.input],
        origin,
        dy,
        None,
        Some(dx),
        finish,
    );
}

/// The convolution from the first map to the second, whose first tap of the first output reads
/// `origin`.
#[allow(clippy::too_many_arguments, reason = "the operands of a convolution")]
fn run<E: CpuReal>(
    form: &Form,
    size: &ConvSize,
    [input, output]: [MapSize; 2],
    origin: [isize; 2],
    source: &[f32],
    bias: Option<&[f32]>,
    y: Option<&mut [E]>,
    finish: Option<&dyn Finish<E>>,
) {
    let (weight, plain) = match &form.way {
        Way::Direct(weight) | Way::Small(weight) => (weight, weight),
        Way::Toom([weight, plain]) => (weight, plain),
        Way::Strided(_) => unreachable!("phases are for data gradients only"),
    };
    let conv = Convolution {
        source,
        origin,
        weight,
        plain,
        bias: &bias_blocks(form.level, input.channels, bias),
        ..convolution(size, [input, output])
    };
    let run = match form.way {
        Way::Toom(_) => toom::run,
        Way::Small(_) => small::run,
        _ => rows::run,
    };
    run(&conv, form.level, y, finish);
}

/// The sizes of a convolution from the first map to the second.
fn convolution(size: &ConvSize, [input, output]: [MapSize; 2]) -> Convolution<'static> {
    let window = &size.window;
    Convolution {
        source: &[],
        input,
        output,
        kernel: window.kernel,
        stride: window.stride,
        dilation: window.dilation,
        origin: [0; 2],
        weight: &[],
        plain: &[],
        bias: &[],
        bands: rows::bands(&output, taps(size), size.unit),
    }
}

fn taps(size: &ConvSize) -> usize {
    size.window.kernel[0] * size.window.kernel[1]
}

fn bias_blocks(level: Level, channels: usize, bias: Option<&[f32]>) -> Lines {
    let zeros = vec![0.0; channels];
    blocks(level.lanes(), 1, bias.unwrap_or(&zeros), &[0])
}
