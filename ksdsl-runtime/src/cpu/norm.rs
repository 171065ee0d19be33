//! Batch and layer normalisation; all statistics are summed in `f64`.

use super::{CpuBuf, par};
use crate::backend::LayerNormOutput;
use crate::geometry::RowSize;
use crate::scalar::Scalar;

/// Most parts whose per-channel sums are added.
const PARTS: usize = 64;

/// Two sums per channel over all rows: `f(row, channel values of the first sum, of the second)`.
#[inline(always)]
fn column_sums(size: RowSize, f: impl Fn(usize, &mut [f64], &mut [f64]) + Sync) -> CpuBuf<f64> {
    let RowSize { rows, channels } = size;
    let part = par::items_per_part(rows, par::rows_per_task(channels), PARTS);
    par::sum_parts(
        rows,
        part,
        2 * channels,
        #[inline(always)]
        |rows, sums: &mut [f64]| {
            let (first, second) = sums.split_at_mut(channels);
            for row in rows {
                f(row, first, second);
            }
        },
    )
}

/// Mean and biased variance per channel, in one pass: the first row is subtracted before
/// squaring, so a mean far from zero costs no accuracy.
pub(super) fn statistics<E: Scalar>(size: RowSize, x: &[E]) -> (CpuBuf<E>, CpuBuf<E>) {
    let RowSize { rows, channels } = size;
    let origin = &x[..channels.min(x.len())];
    let sums = column_sums(
        size,
        #[inline(always)]
        |row, sums, squares| {
            let x = &x[row * channels..][..channels];
            let columns = sums.iter_mut().zip(squares).zip(x).zip(origin);
            for (((sum, square), x), origin) in columns {
                let distance = x.wide() - origin.wide();
                *sum += distance;
                *square += distance * distance;
            }
        },
    );
    let (mut mean, mut variance) = (CpuBuf::zeros(channels), CpuBuf::zeros(channels));
    for (channel, origin) in origin.iter().enumerate() {
        let distance = sums[channel] / rows as f64;
        let square = sums[channels + channel] / rows as f64;
        mean[channel] = E::of(origin.wide() + distance);
        variance[channel] = E::of((square - distance * distance).max(0.0));
    }
    (mean, variance)
}

/// `1 / sqrt(variance + eps)` for each channel.
fn inverse_stds<E: Scalar>(variance: &[E], eps: f64) -> impl Iterator<Item = f64> {
    variance
        .iter()
        .map(move |variance| 1.0 / (variance.wide() + eps).sqrt())
}

/// `(x - mean) * factor + shift`, per channel, in place.
fn normalise<E: Scalar>(channels: usize, x: &mut [E], mean: &[E], factor: &[E], shift: &[E]) {
    par::for_rows(
        x,
        channels,
        par::rows_per_task(channels),
        #[inline(always)]
        |_, part| {
            for row in part.chunks_exact_mut(channels) {
                let columns = row.iter_mut().zip(mean).zip(factor).zip(shift);
                for (((x, &mean), &factor), &shift) in columns {
                    *x = (*x - mean) * factor + shift;
                }
            }
        },
    );
}

fn factors<E: Scalar>(variance: &[E], scale: &[E], eps: f64) -> Vec<E> {
    let pairs = inverse_stds(variance, eps).zip(scale);
    pairs.map(|(inverse, scale)| E::of(inverse * scale.wide())).collect()
}

/// `dx = scale / std * (dy - mean(dy) - xhat * mean(dy * xhat))`.
#[allow(clippy::too_many_arguments)]
pub(super) fn batch_norm_backward<E: Scalar>(
    size: RowSize,
    x: &CpuBuf<E>,
    mean: &CpuBuf<E>,
    variance: &CpuBuf<E>,
    scale: &CpuBuf<E>,
    eps: f64,
    dy: &CpuBuf<E>,
    dscale: &mut CpuBuf<E>,
    dshift: &mut CpuBuf<E>,
) -> CpuBuf<E> {
    let RowSize { rows, channels } = size;
    let sums = column_sums(
        size,
        #[inline(always)]
        |row, sums, products| {
            let (x, dy) = (&x[row * channels..][..channels], &dy[row * channels..][..channels]);
            let columns = sums.iter_mut().zip(products).zip(x).zip(dy).zip(&mean[..]);
            for ((((sum, product), x), dy), mean) in columns {
                *sum += dy.wide();
                *product += dy.wide() * (x.wide() - mean.wide());
            }
        },
    );
    // Per channel: the factor before the bracket, mean(dy), and mean(dy * xhat) / std.
    let mut coefficients = Vec::with_capacity(3 * channels);
    for (channel, inverse) in inverse_stds(variance, eps).enumerate() {
        let (sum, product) = (sums[channel], sums[channels + channel]);
        dshift[channel] += E::of(sum);
        dscale[channel] += E::of(product * inverse);
        let factor = scale[channel].wide() * inverse;
        let slope = product / rows as f64 * inverse * inverse;
        coefficients.push([E::of(factor), E::of(sum / rows as f64), E::of(slope)]);
    }
    let column = |index: usize| -> Vec<E> { coefficients.iter().map(|c| c[index]).collect() };
    let (factor, average, slope) = (column(0), column(1), column(2));
    let mut dx = CpuBuf::scratch(x.len());
    par::for_rows(
        &mut dx,
        channels,
        par::rows_per_task(channels),
        #[inline(always)]
        |first, part| {
            let rows = first * channels..first * channels + part.len();
            let inputs = x[rows.clone()]
                .chunks_exact(channels)
                .zip(dy[rows].chunks_exact(channels));
            for (dx, (x, dy)) in part.chunks_exact_mut(channels).zip(inputs) {
                let columns = dx.iter_mut().zip(x).zip(dy).zip(&mean[..]);
                let parameters = factor.iter().zip(&average).zip(&slope);
                for ((((dx, &x), &dy), &mean), ((&factor, &average), &slope)) in columns.zip(parameters) {
                    *dx = factor * (dy - average - (x - mean) * slope);
                }
            }
        },
    );
    dx
}

pub(super) fn blend_statistics<E: Scalar>(
    running: &CpuBuf<E>,
    batch: &CpuBuf<E>,
    momentum: f64,
    factor: f64,
) -> CpuBuf<E> {
    let mut blended = CpuBuf::scratch(running.len());
    let pairs = running.iter().zip(batch.iter());
    for (blended, (running, batch)) in blended.iter_mut().zip(pairs) {
        *blended = E::of(running.wide() * (1.0 - momentum) + batch.wide() * factor * momentum);
    }
    blended
}

pub(super) fn layer_norm_forward<E: Scalar>(
    size: RowSize,
    x: &CpuBuf<E>,
    scale: &CpuBuf<E>,
    shift: &CpuBuf<E>,
    eps: f64,
) -> LayerNormOutput<CpuBuf<E>> {
    let RowSize { rows, channels } = size;
    let task = par::rows_per_task(channels);
    // Mean and inverse standard deviation, interleaved so that one pass can write both.
    let mut pairs = CpuBuf::scratch(2 * rows);
    par::for_rows(
        &mut pairs,
        2,
        task,
        #[inline(always)]
        |first, part| {
            let lines = x[first * channels..].chunks_exact(channels);
            for (pair, x) in part.chunks_exact_mut(2).zip(lines) {
                let mean = x.iter().map(|x| x.wide()).sum::<f64>() / channels as f64;
                let squares = x.iter().map(|x| (x.wide() - mean) * (x.wide() - mean));
                let variance = squares.sum::<f64>() / channels as f64;
                pair.copy_from_slice(&[E::of(mean), E::of(1.0 / (variance + eps).sqrt())]);
            }
        },
    );
    let mut output = CpuBuf::scratch(x.len());
    par::for_rows(
        &mut output,
        channels,
        task,
        #[inline(always)]
        |first, part| {
            let lines = x[first * channels..].chunks_exact(channels);
            let lines = lines.zip(pairs[2 * first..].chunks_exact(2));
            for (y, (x, pair)) in part.chunks_exact_mut(channels).zip(lines) {
                let columns = y.iter_mut().zip(x).zip(&scale[..]).zip(&shift[..]);
                for (((y, &x), &scale), &shift) in columns {
                    *y = (x - pair[0]) * pair[1] * scale + shift;
                }
            }
        },
    );
    let every_second = |from: usize| {
        let mut half = CpuBuf::scratch(rows);
        for (value, pair) in half.iter_mut().zip(pairs.chunks_exact(2)) {
            *value = pair[from];
        }
        half
    };
    let (mean, inverse_std) = (every_second(0), every_second(1));
    LayerNormOutput {
        output,
        mean,
        inverse_std,
    }
}

/// With `g = dy * scale`: `dx = (g - mean(g) - xhat * mean(g * xhat)) / std`, per row.
#[allow(clippy::too_many_arguments)]
pub(super) fn layer_norm_backward<E: Scalar>(
    size: RowSize,
    x: &CpuBuf<E>,
    mean: &CpuBuf<E>,
    inverse_std: &CpuBuf<E>,
    scale: &CpuBuf<E>,
    dy: &CpuBuf<E>,
    dscale: &mut CpuBuf<E>,
    dshift: &mut CpuBuf<E>,
) -> CpuBuf<E> {
    let channels = size.channels;
    let sums = column_sums(
        size,
        #[inline(always)]
        |row, sums, products| {
            let (x, dy) = (&x[row * channels..][..channels], &dy[row * channels..][..channels]);
            let (mean, inverse) = (mean[row].wide(), inverse_std[row].wide());
            for (((sum, product), x), dy) in sums.iter_mut().zip(products).zip(x).zip(dy) {
                *sum += dy.wide();
                *product += dy.wide() * (x.wide() - mean) * inverse;
            }
        },
    );
    for channel in 0..channels {
        dshift[channel] += E::of(sums[channel]);
        dscale[channel] += E::of(sums[channels + channel]);
    }
    let mut dx = CpuBuf::scratch(x.len());
    par::for_rows(
        &mut dx,
        channels,
        par::rows_per_task(channels),
        #[inline(always)]
        |first, part| {
            for (row, dx) in part.chunks_exact_mut(channels).enumerate() {
                let row = first + row;
                let line = row * channels..(row + 1) * channels;
                layer_norm_row(&x[line.clone()], mean[row], inverse_std[row], scale, &dy[line], dx);
            }
        },
    );
    dx
}

#[inline(always)]
fn layer_norm_row<E: Scalar>(x: &[E], mean: E, inverse_std: E, scale: &[E], dy: &[E], dx: &mut [E]) {
    let (mut sum, mut product) = (0.0, 0.0);
    for ((x, dy), scale) in x.iter().zip(dy).zip(scale) {
        let g = dy.wide() * scale.wide();
        sum += g;
        product += g * (x.wide() - mean.wide()) * inverse_std.wide();
    }
    let average = E::of(sum / x.len() as f64);
    let slope = E::of(product / x.len() as f64) * inverse_std;
    for (((dx, &x), &dy), &scale) in dx.iter_mut().zip(x).zip(dy).zip(scale) {
        *dx = (dy * scale - average - (x - mean) * slope) * inverse_std;
    }
}
