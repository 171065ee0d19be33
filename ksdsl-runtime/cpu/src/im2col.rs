//! Unrolling convolutions into matrix products (Chellapilla et al. 2006).
//!
//! Output rows are numbered over the whole batch: row `r` is row `r % output.height` of image
//! `r / output.height`. One output pixel is one row of the unrolled matrix, whose columns are
//! `[ky][kx][channel of the group]`.

use crate::real::CpuReal;
use ksdsl_engine::size::ConvSize;
use std::ops::Range;

/// The taps that hit the map, for the window whose first tap is at `origin - pad`.
pub(super) fn taps_inside(origin: usize, pad: usize, dilation: usize, kernel: usize, len: usize) -> Range<usize> {
    let end = (len + pad).saturating_sub(origin).div_ceil(dilation);
    let start = pad.saturating_sub(origin).div_ceil(dilation);
    start.min(kernel)..end.min(kernel).max(start.min(kernel))
}

/// One run of `(column, input element, length)` of the unrolled matrix.
///
/// Calls `run` for every piece of the row of output pixel `(row, x)` of group `group` that lies
/// inside the map; the rest of that row is padding.
#[inline(always)]
fn for_runs(size: &ConvSize, group: usize, row: usize, x: usize, mut run: impl FnMut(usize, usize, usize)) {
    let (input, window) = (&size.input, &size.window);
    let [kernel_y, kernel_x] = window.kernel;
    let width = input.channels / size.groups;
    let (image, y) = (row / size.output.height, row % size.output.height);
    let (top, left) = (y * window.stride[0], x * window.stride[1]);
    let ys = taps_inside(top, window.pad[0], window.dilation[0], kernel_y, input.height);
    let xs = taps_inside(left, window.pad[1], window.dilation[1], kernel_x, input.width);
    if xs.is_empty() {
        return;
    }
    for ky in ys {
        let iy = top + ky * window.dilation[0] - window.pad[0];
        let line = (image * input.height + iy) * input.width;
        let element = |kx: usize| {
            let ix = left + kx * window.dilation[1] - window.pad[1];
            (line + ix) * input.channels + group * width
        };
        let column = |kx: usize| (ky * kernel_x + kx) * width;
        if size.groups == 1 && window.dilation[1] == 1 {
            run(column(xs.start), element(xs.start), xs.len() * width);
        } else {
            for kx in xs.clone() {
                run(column(kx), element(kx), width);
            }
        }
    }
}

/// Columns of the unrolled matrix.
pub(super) fn columns(size: &ConvSize) -> usize {
    size.window.kernel[0] * size.window.kernel[1] * (size.input.channels / size.groups)
}

/// Unrolls the windows of these output rows.
pub(super) fn unroll<E: CpuReal>(size: &ConvSize, group: usize, rows: Range<usize>, x: &[E], unrolled: &mut [E]) {
    let width = size.output.width;
    let bordered = size.window.pad != [0, 0] || !window_fits(size);
    let pixels = unrolled.chunks_exact_mut(columns(size));
    for (pixel, line) in pixels.enumerate().take(rows.len() * width) {
        if bordered {
            line.fill(E::zero());
        }
        for_runs(
            size,
            group,
            rows.start + pixel / width,
            pixel % width,
            |to, from, len| {
                line[to..to + len].copy_from_slice(&x[from..from + len]);
            },
        );
    }
}

/// Adds the gradients of unrolled windows to the gradient of one image; `rows` are output rows of
/// that image, and `dx` is that image alone.
///
/// Which taps lie inside the map is asked once for a row, and of pixels only at its ends: with three
/// channels there are but nine sums for each row of a window.
#[inline(always)]
pub(super) fn roll_up<E: CpuReal>(size: &ConvSize, group: usize, rows: Range<usize>, unrolled: &[E], dx: &mut [E]) {
    let (input, window) = (&size.input, &size.window);
    let [kernel_y, kernel_x] = window.kernel;
    let ([step_y, step_x], [pad_y, pad_x]) = (window.dilation, window.pad);
    let (columns, width) = (columns(size), input.channels / size.groups);
    let reach = (kernel_x.max(1) - 1) * step_x;
    let together = size.groups == 1 && step_x == 1;
    for (row, pixels) in rows.zip(unrolled.chunks_exact(size.output.width * columns)) {
        let top = row * window.stride[0];
        for ky in taps_inside(top, pad_y, step_y, kernel_y, input.height) {
            let dx = &mut dx[(top + ky * step_y - pad_y) * input.width * input.channels..];
            for (x, pixel) in pixels.chunks_exact(columns).enumerate() {
                let left = x * window.stride[1];
                let xs = if left >= pad_x && left - pad_x + reach < input.width {
                    0..kernel_x
                } else {
                    taps_inside(left, pad_x, step_x, kernel_x, input.width)
                };
                if xs.is_empty() {
                    continue;
                }
                let taps = &pixel[(ky * kernel_x + xs.start) * width..][..xs.len() * width];
                let first = (left + xs.start * step_x - pad_x) * input.channels + group * width;
                if together {
                    add_run(&mut dx[first..][..taps.len()], taps);
                    continue;
                }
                for (tap, more) in taps.chunks_exact(width).enumerate() {
                    add_run(&mut dx[first + tap * step_x * input.channels..][..width], more);
                }
            }
        }
    }
}

/// Adds a run to sums as long. Nine are the taps of a row of 3x3 over three channels.
#[inline(always)]
fn add_run<E: CpuReal>(sums: &mut [E], more: &[E]) {
    if let (Ok(sums), Ok(more)) = (<&mut [E; 9]>::try_from(&mut *sums), <&[E; 9]>::try_from(more)) {
        sums.iter_mut().zip(more).for_each(|(sum, &more)| *sum += more);
        return;
    }
    for (sum, &more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}

/// Whether no window reaches over the bottom or right edge.
fn window_fits(size: &ConvSize) -> bool {
    let reach = |axis: usize, outputs: usize| {
        outputs.saturating_sub(1) * size.window.stride[axis]
            + (size.window.kernel[axis].max(1) - 1) * size.window.dilation[axis]
    };
    reach(0, size.output.height) < size.input.height && reach(1, size.output.width) < size.input.width
}
