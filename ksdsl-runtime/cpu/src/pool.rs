//! Pooling, one image per task, vectorised over the channels.

use super::im2col::taps_inside;
use super::{CpuBuf, fused, par};
use crate::real::CpuReal;
use ksdsl_engine::size::{MapSize, PoolKind, PoolSize};

/// Whether a tap replaces the best one so far: the first of equals wins, and the last NaN wins over
/// all, as in PyTorch.
#[inline(always)]
fn beats<E: CpuReal>(value: E, best: E) -> bool {
    value > best || value.is_nan()
}

/// Calls `f(tap, input pixel)` for the taps of output pixel `(y, x)` inside the map, in order.
#[inline(always)]
fn for_taps(size: &PoolSize, y: usize, x: usize, mut f: impl FnMut(usize)) {
    let (input, window) = (&size.input, &size.window);
    let (top, left) = (y * window.stride[0], x * window.stride[1]);
    let [step_y, step_x] = window.dilation;
    let [pad_y, pad_x] = window.pad;
    for ky in taps_inside(top, pad_y, step_y, window.kernel[0], input.height) {
        let line = (top + ky * step_y - pad_y) * input.width;
        for kx in taps_inside(left, pad_x, step_x, window.kernel[1], input.width) {
            f(line + left + kx * step_x - pad_x);
        }
    }
}

/// `1 / (taps of the window)`: padding counts.
fn share<E: CpuReal>(size: &PoolSize) -> E {
    E::of(1.0 / (size.window.kernel[0] * size.window.kernel[1]) as f64)
}

pub(super) fn pool_forward<E: CpuReal>(kind: PoolKind, size: PoolSize, x: &CpuBuf<E>) -> CpuBuf<E> {
    let channels = size.input.channels;
    let (height, width) = (size.output.height, size.output.width);
    let image_len = size.input.height * size.input.width * channels;
    let mut y = CpuBuf::scratch(size.output.len());
    par::for_rows(
        &mut y,
        width * channels,
        par::rows_per_task(width * channels * size.window.kernel[0] * size.window.kernel[1]),
        #[inline(always)]
        |first, part| {
            for (pixel, y) in part.chunks_exact_mut(channels).enumerate() {
                let row = first + pixel / width;
                let x = &x[row / height * image_len..][..image_len];
                pool_pixel(kind, &size, x, (row % height, pixel % width), y);
            }
        },
    );
    y
}

#[inline(always)]
fn pool_pixel<E: CpuReal>(kind: PoolKind, size: &PoolSize, x: &[E], at: (usize, usize), y: &mut [E]) {
    let channels = y.len();
    match kind {
        PoolKind::Max => {
            y.fill(E::neg_infinity());
            for_taps(size, at.0, at.1, |pixel| {
                for (best, &x) in y.iter_mut().zip(&x[pixel * channels..][..channels]) {
                    *best = if beats(x, *best) { x } else { *best };
                }
            });
        }
        PoolKind::Average => {
            y.fill(E::zero());
            for_taps(size, at.0, at.1, |pixel| {
                for (sum, &x) in y.iter_mut().zip(&x[pixel * channels..][..channels]) {
                    *sum += x;
                }
            });
            let share = share::<E>(size);
            y.iter_mut().for_each(|y| *y *= share);
        }
    }
}

pub(super) fn pool_backward<E: CpuReal>(kind: PoolKind, size: PoolSize, x: &CpuBuf<E>, dy: &CpuBuf<E>) -> CpuBuf<E> {
    let channels = size.input.channels;
    let (height, width) = (size.output.height, size.output.width);
    let image_len = size.input.height * size.input.width * channels;
    let mut dx = CpuBuf::scratch(size.input.len());
    par::for_rows(
        &mut dx,
        image_len,
        1,
        #[inline(always)]
        |image, dx| {
            let x = &x[image * image_len..][..image_len];
            dx.fill(E::zero());
            for pixel in 0..height * width {
                let dy = &dy[(image * height * width + pixel) * channels..][..channels];
                let at = (pixel / width, pixel % width);
                match kind {
                    PoolKind::Max => spread_max(&size, x, at, dy, dx),
                    PoolKind::Average => spread_average(&size, at, dy, dx),
                }
            }
        },
    );
    dx
}

/// Channels that are compared at once.
const LANES: usize = 16;

/// Gives each channel's gradient to the first greatest pixel of the window.
#[inline(always)]
fn spread_max<E: CpuReal>(size: &PoolSize, x: &[E], at: (usize, usize), dy: &[E], dx: &mut [E]) {
    let channels = dy.len();
    for (block, dy) in dy.chunks(LANES).enumerate() {
        let first = block * LANES;
        let mut best = Best::<E>::new();
        for_taps(size, at.0, at.1, |pixel| {
            best.meet(pixel, &x[pixel * channels + first..][..dy.len()]);
        });
        for_taps(size, at.0, at.1, |pixel| {
            let dx = &mut dx[pixel * channels + first..][..dy.len()];
            for ((dx, &dy), &winner) in dx.iter_mut().zip(dy).zip(&best.pixels) {
                *dx += if winner == pixel { dy } else { E::zero() };
            }
        });
    }
}

/// The first greatest pixel of each of some channels, and its value.
struct Best<E> {
    values: [E; LANES],
    pixels: [usize; LANES],
    any: bool,
}

impl<E: CpuReal> Best<E> {
    fn new() -> Self {
        Self {
            values: [E::neg_infinity(); LANES],
            pixels: [0; LANES],
            any: false,
        }
    }

    /// Meets a pixel's values of at most [`LANES`] channels.
    #[inline(always)]
    fn meet(&mut self, pixel: usize, values: &[E]) {
        let lanes = self.values.iter_mut().zip(&mut self.pixels).zip(values);
        for ((best, winner), &value) in lanes {
            let better = !self.any || beats(value, *best);
            *best = if better { value } else { *best };
            *winner = if better { pixel } else { *winner };
        }
        self.any = true;
    }
}

#[inline(always)]
fn spread_average<E: CpuReal>(size: &PoolSize, at: (usize, usize), dy: &[E], dx: &mut [E]) {
    let channels = dy.len();
    let share = share::<E>(size);
    for_taps(size, at.0, at.1, |pixel| {
        for (dx, &dy) in dx[pixel * channels..][..channels].iter_mut().zip(dy) {
            *dx += dy * share;
        }
    });
}

pub(super) fn global_pool_forward<E: CpuReal>(kind: PoolKind, size: MapSize, x: &CpuBuf<E>) -> CpuBuf<E> {
    let (channels, pixels) = (size.channels, size.height * size.width);
    let mut y = CpuBuf::scratch(size.batch * channels);
    if kind == PoolKind::Average {
        let sums = fused::image_sums(size, x);
        let means = sums.iter().map(|sum| E::of(sum / pixels as f64));
        y.iter_mut().zip(means).for_each(|(y, mean)| *y = mean);
        return y;
    }
    par::for_rows(
        &mut y,
        channels,
        par::rows_per_task(pixels * channels),
        #[inline(always)]
        |first, part| {
            for (image, y) in part.chunks_exact_mut(channels).enumerate() {
                whole_max(&x[(first + image) * pixels * channels..][..pixels * channels], y);
            }
        },
    );
    y
}

#[inline(always)]
fn whole_max<E: CpuReal>(x: &[E], y: &mut [E]) {
    y.fill(E::neg_infinity());
    for row in x.chunks_exact(y.len()) {
        for (best, &x) in y.iter_mut().zip(row) {
            *best = if beats(x, *best) { x } else { *best };
        }
    }
}

pub(super) fn global_pool_backward<E: CpuReal>(
    kind: PoolKind,
    size: MapSize,
    x: Option<&CpuBuf<E>>,
    dy: &CpuBuf<E>,
) -> CpuBuf<E> {
    let (channels, pixels) = (size.channels, size.height * size.width);
    let share = E::of(1.0 / pixels as f64);
    let mut dx = CpuBuf::scratch(size.len());
    par::for_rows(
        &mut dx,
        pixels * channels,
        par::rows_per_task(pixels * channels),
        #[inline(always)]
        |first, part| {
            for (image, dx) in part.chunks_exact_mut(pixels * channels).enumerate() {
                let dy = &dy[(first + image) * channels..][..channels];
                let x = x.map(|x| &x[(first + image) * dx.len()..][..dx.len()]);
                match (kind, x) {
                    (PoolKind::Max, Some(x)) => send_to_max(x, dy, dx),
                    _ => dx.chunks_exact_mut(channels).for_each(|dx| {
                        dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx = dy * share);
                    }),
                }
            }
        },
    );
    dx
}

/// Gives each channel's gradient to its first greatest pixel.
#[inline(always)]
fn send_to_max<E: CpuReal>(x: &[E], dy: &[E], dx: &mut [E]) {
    let channels = dy.len();
    dx.fill(E::zero());
    for (block, dy) in dy.chunks(LANES).enumerate() {
        let first = block * LANES;
        let mut best = Best::<E>::new();
        for (pixel, x) in x.chunks_exact(channels).enumerate() {
            best.meet(pixel, &x[first..][..dy.len()]);
        }
        for (lane, (&dy, &pixel)) in dy.iter().zip(&best.pixels).enumerate() {
            dx[pixel * channels + first + lane] = dy;
        }
    }
}
