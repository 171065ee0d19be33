//! The weight gradient of a depthwise convolution in `f32`.
//!
//! `dw[ky][kx] = sum over pixels of x[y * stride + ky * dilation - pad, ...] * dy[y, x]`, each tap
//! a dot product of two planes. A tile of up to 3 x 9 taps (3 x 3 with 16 registers) is summed in
//! registers over a band of rows: a source row meets the rows of `dy` it belongs to at the tile's
//! three `ky` at once, so 27 multiply-adds cost 12 loads.

use super::lines::{Lines, Part};
use crate::cpu::par;
use crate::cpu::simd::{Lanes, Level, Operation};
use crate::geometry::ConvSize;

/// Most rows of taps in a tile; `dy` has one row less of zeros above and below.
const TILE_ROWS: usize = 3;
/// Output rows copied as planes at once: two planes of 32 x 32 pixels are 128 KB.
const BAND: usize = 32;
/// Tasks to have at least, where there are as many bands.
const TASKS: usize = 16;

/// Adds the gradient to `dweight`, `[channel][ky][kx]`.
pub(super) fn backward(level: Level, size: &ConvSize, x: &[f32], dy: &[f32], dweight: &mut [f32]) {
    let (lanes, channels, taps) = (level.lanes(), size.input.channels, super::taps(size));
    let blocks = channels.div_ceil(lanes);
    let bands = size.output.height.div_ceil(BAND) * size.output.batch;
    let per_part = par::items_per_part(bands, 1, TASKS.div_ceil(blocks));
    let parts = bands.div_ceil(per_part);
    let mut sums = Lines::scratch(parts * blocks * taps * lanes);
    par::for_rows(&mut sums, taps * lanes, 1, |index, sums| {
        let (part, block) = (index / blocks, index % blocks);
        let first = part * per_part;
        level.run(Task {
            size,
            x,
            dy,
            bands: first..bands.min(first + per_part),
            block,
            sums,
        });
    });
    for (channel, dweight) in dweight.chunks_exact_mut(taps).enumerate() {
        for part in 0..parts {
            let sums = &sums[(part * blocks + channel / lanes) * taps * lanes..];
            for (tap, dweight) in dweight.iter_mut().enumerate() {
                *dweight += sums[tap * lanes + channel % lanes];
            }
        }
    }
}

/// The gradient of one block of channels over some bands.
struct Task<'a, 'b> {
    size: &'a ConvSize,
    x: &'a [f32],
    dy: &'a [f32],
    bands: std::ops::Range<usize>,
    block: usize,
    /// `[ky][kx][lane]`.
    sums: &'b mut [f32],
}

impl Operation for Task<'_, '_> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        self.sums.fill(0.0);
        let per_image = self.size.output.height.div_ceil(BAND);
        for band in self.bands {
            let (image, top) = (band / per_image, band % per_image * BAND);
            let rows = BAND.min(self.size.output.height - top);
            let planes = Planes::new::<V>(self.size, self.x, self.dy, [image, top, rows], self.block * V::LANES);
            planes.all_taps::<V>(self.size.window.kernel, self.sums);
        }
    }
}

/// The planes of a band of `rows` output rows.
struct Planes {
    x: Lines,
    /// With `TILE_ROWS - 1` rows of zeros above and below.
    dy: Lines,
    rows: usize,
    /// Columns of `x` and of `dy`.
    columns: [usize; 2],
    /// Rows of `x` inside the map; the others are zero and are left out.
    inside: std::ops::Range<usize>,
    stride: [usize; 2],
    dilation: [usize; 2],
}

impl Planes {
    #[inline(always)]
    fn new<V: Lanes>(size: &ConvSize, x: &[f32], dy: &[f32], [image, top, rows]: [usize; 3], channel: usize) -> Self {
        let (window, zeros) = (&size.window, TILE_ROWS - 1);
        let reach = |axis: usize, outputs: usize| {
            (outputs - 1) * window.stride[axis] + (window.kernel[axis] - 1) * window.dilation[axis] + 1
        };
        let above = (top * window.stride[0]).cast_signed() - window.pad[0].cast_signed();
        let x_len = size.input.len() / size.input.batch;
        let x_part = Part {
            image: &x[image * x_len..][..x_len],
            size: size.input,
            origin: [above, -window.pad[1].cast_signed()],
            extent: [reach(0, rows), reach(1, size.output.width)],
        };
        let dy_len = size.output.len() / size.output.batch;
        let dy_part = Part {
            image: &dy[image * dy_len..][..dy_len],
            size: size.output,
            origin: [top.cast_signed(), 0],
            extent: [rows, size.output.width],
        };
        let (columns, width) = (x_part.extent[1], size.output.width);
        let mut x = Lines::scratch(x_part.extent[0] * columns * V::LANES);
        x_part.copy::<V>(channel, &mut x);
        let mut dy = Lines::scratch((rows + 2 * zeros) * width * V::LANES);
        let edge = zeros * width * V::LANES;
        dy[..edge].fill(0.0);
        dy_part.copy::<V>(channel, &mut dy[edge..]);
        dy[edge + rows * width * V::LANES..].fill(0.0);
        Self {
            x,
            dy,
            rows,
            columns: [columns, width],
            inside: x_part.inside(0),
            stride: window.stride,
            dilation: window.dilation,
        }
    }

    /// All taps, in tiles: three rows of taps share a source row only if it is the next row both
    /// of the window and of the map.
    #[inline(always)]
    fn all_taps<V: Lanes>(&self, kernel: [usize; 2], sums: &mut [f32]) {
        let shared = self.stride[0] == 1 && self.dilation[0] == 1;
        let mut ky = 0;
        while ky < kernel[0] {
            let row = &mut sums[ky * kernel[1] * V::LANES..];
            match kernel[0] - ky {
                left if shared && left >= 3 && left != 4 => {
                    self.tap_rows::<V, 3>(ky, kernel[1], row);
                    ky += 3;
                }
                left if shared && left >= 2 => {
                    self.tap_rows::<V, 2>(ky, kernel[1], row);
                    ky += 2;
                }
                _ => {
                    self.tap_rows::<V, 1>(ky, kernel[1], row);
                    ky += 1;
                }
            }
        }
    }

    /// `T` rows of taps, in tiles of the usual widths so that most kernels take one.
    #[inline(always)]
    fn tap_rows<V: Lanes, const T: usize>(&self, ky: usize, kernel: usize, sums: &mut [f32]) {
        let mut kx = 0;
        while kx < kernel {
            kx += match kernel - kx {
                9.. if V::MANY => self.tile::<V, T, 9>(ky, kx, kernel, sums),
                7.. if V::MANY => self.tile::<V, T, 7>(ky, kx, kernel, sums),
                5.. if V::MANY => self.tile::<V, T, 5>(ky, kx, kernel, sums),
                3.. => self.tile::<V, T, 3>(ky, kx, kernel, sums),
                2 => self.tile::<V, T, 2>(ky, kx, kernel, sums),
                _ => self.tile::<V, T, 1>(ky, kx, kernel, sums),
            };
        }
    }

    /// Adds the gradient of the `T` x `U` taps from `(ky, kx)` on; `sums` starts at row `ky`.
    /// Returns `U`.
    #[inline(always)]
    fn tile<V: Lanes, const T: usize, const U: usize>(
        &self,
        ky: usize,
        kx: usize,
        kernel: usize,
        sums: &mut [f32],
    ) -> usize {
        // SAFETY: below `Level::run`.
        let mut total = unsafe { [[V::zero(); U]; T] };
        for row in 0..self.rows + T - 1 {
            // Row `row - t` of the band reads this source row at tap `ky + t`.
            let from = row * self.stride[0] + ky * self.dilation[0];
            if self.inside.contains(&from) {
                self.add_row::<V, T, U>(from, row, kx, &mut total);
            }
        }
        for (t, total) in total.iter().enumerate() {
            let sums = &mut sums[(t * kernel + kx) * V::LANES..][..U * V::LANES];
            for (&total, sum) in total.iter().zip(sums.chunks_exact_mut(V::LANES)) {
                // SAFETY: below `Level::run`; the chunk has `LANES` values.
                unsafe { total.add(V::load(sum.as_ptr())).store(sum.as_mut_ptr()) };
            }
        }
        U
    }

    /// The products of source row `from` with the rows `row - t` of `dy`.
    #[inline(always)]
    fn add_row<V: Lanes, const T: usize, const U: usize>(
        &self,
        from: usize,
        row: usize,
        kx: usize,
        total: &mut [[V; U]; T],
    ) {
        let (lanes, [columns, width]) = (V::LANES, self.columns);
        let (step, tap) = (self.stride[1] * lanes, self.dilation[1] * lanes);
        let x = &self.x[(from * columns + kx * self.dilation[1]) * lanes..];
        let x = &x[..(width - 1) * step + (U - 1) * tap + lanes];
        let dy: [&[f32]; T] = std::array::from_fn(|t| {
            let row = row + TILE_ROWS - 1 - t;
            &self.dy[row * width * lanes..][..width * lanes]
        });
        let (x, dy) = (x.as_ptr(), dy.map(<[f32]>::as_ptr));
        for pixel in 0..width {
            // SAFETY: below `Level::run`. The rows of `dy` have `width` vectors; `x` was cut to
            // what the last pixel reads at the last tap.
            unsafe {
                let dy: [V; T] = std::array::from_fn(|t| V::load(dy[t].add(pixel * lanes)));
                for u in 0..U {
                    let value = V::load(x.add(pixel * step + u * tap));
                    for t in 0..T {
                        total[t][u] = value.mul_add(dy[t], total[t][u]);
                    }
                }
            }
        }
    }
}
