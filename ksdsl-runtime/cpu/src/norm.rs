//! Layer normalisation, running statistics and biases; all statistics are summed in `f64`.

use super::{CpuBuf, fused, par};
use crate::real::CpuReal;
use ksdsl_engine::exec::LayerNormOutput;
use ksdsl_engine::size::RowSize;

/// Most parts whose per-channel sums are added.
const PARTS: usize = 64;

/// Adds the sums over the rows.
pub(super) fn bias_backward<E: CpuReal>(size: RowSize, dy: &CpuBuf<E>, dbias: &mut CpuBuf<E>) {
    let sums = fused::column_sums(size, dy);
    for (dbias, &sum) in dbias.iter_mut().zip(sums.iter()) {
        *dbias += E::of(sum);
    }
}

pub(super) fn blend_statistics<E: CpuReal>(
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

pub(super) fn layer_norm_forward<E: CpuReal>(
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
            // Sums of a row go through several lanes, or each addition would wait for the last.
            for (pair, x) in part.chunks_exact_mut(2).zip(lines) {
                let [sum, _] = sums(
                    channels,
                    #[inline(always)]
                    |at| [x[at].wide(), 0.0],
                );
                let mean = sum / channels as f64;
                let [squares, _] = sums(
                    channels,
                    #[inline(always)]
                    |at| [(x[at].wide() - mean) * (x[at].wide() - mean), 0.0],
                );
                let variance = squares / channels as f64;
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

/// Rows of a part of the sums over all rows, and sums of a part.
pub(super) fn sums_part(size: RowSize) -> [usize; 2] {
    let part = par::items_per_part(size.rows, par::rows_per_task(size.channels), PARTS);
    [part, 2 * size.channels]
}

/// Two sums per channel over all rows: `f(row, channel values of the first sum, of the second)`.
#[inline(always)]
fn column_sums(size: RowSize, f: impl Fn(usize, &mut [f64], &mut [f64]) + Sync) -> CpuBuf<f64> {
    let RowSize { rows, channels } = size;
    let [part, len] = sums_part(size);
    par::sum_parts(
        rows,
        part,
        len,
        #[inline(always)]
        |rows, sums: &mut [f64]| {
            let (first, second) = sums.split_at_mut(channels);
            for row in rows {
                f(row, first, second);
            }
        },
    )
}

/// With `g = dy * scale`: `dx = (g - mean(g) - xhat * mean(g * xhat)) / std`, per row.
#[allow(clippy::too_many_arguments)]
pub(super) fn layer_norm_backward<E: CpuReal>(
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

/// Sums of a row that are kept side by side.
const LANES: usize = 16;

/// The sums of the terms at `0..len`, in lanes that are added in the end: the same order for every row
/// of this length.
#[allow(clippy::needless_range_loop, reason = "one counter for several arrays")]
#[inline(always)]
fn sums(len: usize, terms: impl Fn(usize) -> [f64; 2]) -> [f64; 2] {
    let mut lanes = [[0.0; LANES]; 2];
    let whole = len - len % LANES;
    for first in (0..whole).step_by(LANES) {
        let [left, right] = &mut lanes;
        for ((lane, left), right) in left.iter_mut().enumerate().zip(right) {
            let [a, b] = terms(first + lane);
            *left += a;
            *right += b;
        }
    }
    let mut sums = lanes.map(|lanes| lanes.iter().sum::<f64>());
    for at in whole..len {
        let [a, b] = terms(at);
        sums[0] += a;
        sums[1] += b;
    }
    sums
}

#[inline(always)]
fn layer_norm_row<E: CpuReal>(x: &[E], mean: E, inverse_std: E, scale: &[E], dy: &[E], dx: &mut [E]) {
    let (center, inverse) = (mean.wide(), inverse_std.wide());
    let (dy_row, scale_row) = (&dy[..x.len()], &scale[..x.len()]);
    let [sum, product] = sums(
        x.len(),
        #[inline(always)]
        |at| {
            let g = dy_row[at].wide() * scale_row[at].wide();
            [g, g * (x[at].wide() - center) * inverse]
        },
    );
    let average = E::of(sum / x.len() as f64);
    let slope = E::of(product / x.len() as f64) * inverse_std;
    for (((dx, &x), &dy), &scale) in dx.iter_mut().zip(x).zip(dy).zip(scale) {
        *dx = (dy * scale - average - (x - mean) * slope) * inverse_std;
    }
}
