//! Batch and layer normalisation, and the sums over rows they are made of.

use super::buf::{CudaBuf, maybe};
use super::gpu::Gpu;
use super::grid::{Grid, parts, wide_parts};
use super::layers::{Affine, Done, int, kind, long};
use super::real::CudaReal;
use super::source::Arg;
use ksdsl_engine::exec::{LayerNormOutput, NormBackward};
use ksdsl_engine::size::{Activation, RowSize, Tail};
use std::borrow::Cow;
use std::sync::Arc;

pub(super) fn norm_apply<E: CudaReal>(
    size: RowSize,
    tail: Tail,
    x: Cow<'_, CudaBuf<E>>,
    affine: (&CudaBuf<E>, &CudaBuf<E>),
    residual: Option<&CudaBuf<E>>,
) -> Done<CudaBuf<E>> {
    let affine = Affine {
        bias: None,
        tail,
        affine: Some(affine),
        residual,
    };
    match x {
        Cow::Borrowed(x) => {
            let y = x.gpu().scratch(x.len())?;
            affine.run(size, x, &y)?;
            Ok(y)
        }
        Cow::Owned(x) => {
            affine.run(size, &x, &x)?;
            Ok(x)
        }
    }
}

/// Sums over the rows: one partial sum of `sums` values per channel for each part.
struct Partials {
    grid: Grid,
    finish: Grid,
    parts: usize,
    each: usize,
    buf: CudaBuf<f64>,
}

impl Partials {
    fn new(gpu: &Arc<Gpu>, size: RowSize, sums: usize) -> Done<Self> {
        let (parts, each) = parts(size.rows, size.channels);
        Self::of(gpu, size, sums, (parts, each), Grid::parts(parts, size.channels))
    }

    /// For a wide kernel.
    fn wide<E: CudaReal>(gpu: &Arc<Gpu>, size: RowSize, sums: usize) -> Done<Self> {
        let (parts, each) = wide_parts::<E>(size.rows, size.channels);
        let grid = Grid::wide_parts::<E>(parts, size.channels);
        Self::of(gpu, size, sums, (parts, each), grid)
    }

    fn of(gpu: &Arc<Gpu>, size: RowSize, sums: usize, (parts, each): (usize, usize), grid: Grid) -> Done<Self> {
        Ok(Self {
            grid,
            finish: Grid::finish(size.channels),
            parts,
            each,
            buf: gpu.scratch(parts * sums * size.channels)?,
        })
    }

    /// Adds the sums number `index` of `sums` to `to`.
    fn add<E: CudaReal>(&self, size: RowSize, [index, sums]: [usize; 2], to: &CudaBuf<E>) -> Done<()> {
        let from = self.buf.at() + (index * size.channels * size_of::<f64>()) as u64;
        let args = [
            int(size.channels),
            int(self.parts),
            long(sums * size.channels),
            Arg::Pointer(from),
            to.arg(),
        ];
        to.gpu().launch::<E>("add_parts", self.finish, &args)
    }
}

pub(super) fn bias_backward<E: CudaReal>(size: RowSize, dy: &CudaBuf<E>, dbias: &CudaBuf<E>) -> Done<()> {
    let partials = Partials::new(dy.gpu(), size, 1)?;
    let args = [
        long(size.rows),
        int(size.channels),
        long(partials.each),
        dy.arg(),
        partials.buf.arg(),
    ];
    dy.gpu().launch::<E>("column_sums", partials.grid, &args)?;
    partials.add(size, [0, 1], dbias)
}

/// What [`moments`] does on the way: adds a bias in place, and writes the activated values.
#[derive(Clone, Copy)]
pub(super) struct OnTheWay<'a, E> {
    pub(super) bias: Option<&'a CudaBuf<E>>,
    pub(super) before: Option<Activation>,
    pub(super) activated: Option<&'a CudaBuf<E>>,
}

/// Mean and biased variance of `before(x + bias)` per channel.
pub(super) fn moments<E: CudaReal>(
    size: RowSize,
    x: &CudaBuf<E>,
    on_the_way: OnTheWay<'_, E>,
) -> Done<(CudaBuf<E>, CudaBuf<E>)> {
    let gpu = x.gpu();
    let partials = Partials::wide::<E>(gpu, size, 2)?;
    let args = [
        long(size.rows),
        int(size.channels),
        long(partials.each),
        x.arg(),
        maybe(on_the_way.bias),
        kind(on_the_way.before),
        x.arg(),
        maybe(on_the_way.activated),
        partials.buf.arg(),
    ];
    gpu.launch::<E>("moments", partials.grid, &args)?;
    let (mean, variance) = (gpu.scratch(size.channels)?, gpu.scratch(size.channels)?);
    let args = [
        int(size.channels),
        int(partials.parts),
        long(size.rows),
        partials.buf.arg(),
        mean.arg(),
        variance.arg(),
    ];
    gpu.launch::<E>("moments_finish", partials.finish, &args)?;
    Ok((mean, variance))
}

pub(super) fn norm_coefficients<E: CudaReal>(
    [mean, variance, scale, shift]: [&CudaBuf<E>; 4],
    eps: f64,
) -> Done<(CudaBuf<E>, CudaBuf<E>)> {
    let (gpu, channels) = (mean.gpu(), mean.len());
    let (factor, offset) = (gpu.scratch(channels)?, gpu.scratch(channels)?);
    let args = [
        int(channels),
        Arg::Double(eps),
        mean.arg(),
        variance.arg(),
        scale.arg(),
        shift.arg(),
        factor.arg(),
        offset.arg(),
    ];
    gpu.launch::<E>("norm_coefficients", Grid::flat(channels), &args)?;
    Ok((factor, offset))
}

/// What both kernels of the backward pass take of the forward pass.
fn forward_args<E: CudaReal>(norm: &NormBackward<'_, CudaBuf<E>>) -> [Arg<E>; 7] {
    [
        norm.input.arg(),
        kind(norm.tail.before),
        kind(norm.tail.after),
        maybe(norm.output),
        norm.mean.arg(),
        norm.factor.arg(),
        norm.offset.arg(),
    ]
}

/// The gradients with respect to the input and, if wanted, to the residual.
pub(super) fn norm_backward<E: CudaReal>(
    norm: NormBackward<'_, CudaBuf<E>>,
    dy: CudaBuf<E>,
    residual: bool,
    sums: [&CudaBuf<E>; 2],
) -> Done<(CudaBuf<E>, Option<CudaBuf<E>>)> {
    let (gpu, size) = (dy.gpu().clone(), norm.size);
    let (average, slope) = norm_sums(&norm, &dy, sums)?;
    // Without a residual dx takes the place of dy; with one the residual's gradient does.
    let dx = if residual {
        Some(gpu.scratch::<E>(dy.len())?)
    } else {
        None
    };
    let mut args = vec![long(size.rows), int(size.channels)];
    args.extend(forward_args(&norm));
    args.extend([average.arg(), slope.arg(), dy.arg()]);
    args.push(dx.as_ref().unwrap_or(&dy).arg());
    args.push(maybe(residual.then_some(&dy)));
    gpu.launch::<E>("norm_gradient", Grid::wide_rows::<E>(size.rows, size.channels), &args)?;
    Ok(match dx {
        Some(dx) => (dx, Some(dy)),
        None => (dy, None),
    })
}

/// Adds the gradients of scale and shift; gives what is to be taken away from that of the output.
fn norm_sums<E: CudaReal>(
    norm: &NormBackward<'_, CudaBuf<E>>,
    dy: &CudaBuf<E>,
    [dscale, dshift]: [&CudaBuf<E>; 2],
) -> Done<(CudaBuf<E>, CudaBuf<E>)> {
    let (gpu, size) = (dy.gpu(), norm.size);
    let partials = Partials::wide::<E>(gpu, size, 2)?;
    let mut args = vec![long(size.rows), int(size.channels), long(partials.each)];
    args.extend(forward_args(norm));
    args.extend([dy.arg(), partials.buf.arg()]);
    gpu.launch::<E>("norm_reduce", partials.grid, &args)?;
    let [average, slope] = [gpu.scratch::<E>(size.channels)?, gpu.scratch::<E>(size.channels)?];
    let args = [
        int(size.channels),
        int(partials.parts),
        long(size.rows),
        Arg::Double(norm.eps),
        norm.variance.arg(),
        partials.buf.arg(),
        dscale.arg(),
        dshift.arg(),
        average.arg(),
        slope.arg(),
    ];
    gpu.launch::<E>("norm_finish", partials.finish, &args)?;
    Ok((average, slope))
}

pub(super) fn blend_statistics<E: CudaReal>(
    running: &CudaBuf<E>,
    batch: &CudaBuf<E>,
    momentum: f64,
    factor: f64,
) -> Done<CudaBuf<E>> {
    let blended = running.gpu().scratch(running.len())?;
    let args = [
        long(running.len()),
        Arg::Double(momentum),
        Arg::Double(factor),
        running.arg(),
        batch.arg(),
        blended.arg(),
    ];
    running.gpu().launch::<E>("blend", Grid::flat(running.len()), &args)?;
    Ok(blended)
}

pub(super) fn layer_norm_forward<E: CudaReal>(
    size: RowSize,
    [x, scale, shift]: [&CudaBuf<E>; 3],
    eps: f64,
) -> Done<LayerNormOutput<CudaBuf<E>>> {
    let gpu = x.gpu();
    let output = gpu.scratch(x.len())?;
    let (mean, inverse_std) = (gpu.scratch(size.rows)?, gpu.scratch(size.rows)?);
    let args = [
        long(size.rows),
        int(size.channels),
        Arg::Double(eps),
        x.arg(),
        scale.arg(),
        shift.arg(),
        output.arg(),
        mean.arg(),
        inverse_std.arg(),
    ];
    gpu.launch::<E>("layer_norm_forward", Grid::warps(size.rows), &args)?;
    Ok(LayerNormOutput {
        output,
        mean,
        inverse_std,
    })
}

pub(super) fn layer_norm_backward<E: CudaReal>(
    size: RowSize,
    [x, mean, inverse_std, scale, dy]: [&CudaBuf<E>; 5],
    [dscale, dshift]: [&CudaBuf<E>; 2],
) -> Done<CudaBuf<E>> {
    let gpu = x.gpu();
    let partials = Partials::new(gpu, size, 2)?;
    let args = [
        long(size.rows),
        int(size.channels),
        long(partials.each),
        x.arg(),
        mean.arg(),
        inverse_std.arg(),
        dy.arg(),
        partials.buf.arg(),
    ];
    gpu.launch::<E>("layer_norm_reduce", partials.grid, &args)?;
    partials.add(size, [0, 2], dscale)?;
    partials.add(size, [1, 2], dshift)?;
    let dx = gpu.scratch(x.len())?;
    let args = [
        long(size.rows),
        int(size.channels),
        x.arg(),
        mean.arg(),
        inverse_std.arg(),
        scale.arg(),
        dy.arg(),
        dx.arg(),
    ];
    gpu.launch::<E>("layer_norm_backward", Grid::warps(size.rows), &args)?;
    Ok(dx)
}
