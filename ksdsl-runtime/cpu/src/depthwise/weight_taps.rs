//! The taps of a weight gradient: the products of the planes of a band, summed in registers.

use crate::simd::Lanes;
use std::ops::Range;

/// Most rows of taps in a tile; `dy` has one row less of zeros above and below.
pub(super) const TILE_ROWS: usize = 3;

/// The planes of a band of `rows` output rows.
pub(super) struct Planes<'a> {
    pub(super) x: &'a [f32],
    /// With `TILE_ROWS - 1` rows of zeros above and below.
    pub(super) dy: &'a [f32],
    pub(super) rows: usize,
    /// Columns of `x` and of `dy`.
    pub(super) columns: [usize; 2],
    /// Rows of `x` inside the map; the others are zero and are left out.
    pub(super) inside: Range<usize>,
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
}

impl Planes<'_> {
    /// All taps, in tiles: three rows of taps share a source row only if it is the next row both
    /// of the window and of the map.
    #[inline(always)]
    pub(super) fn all_taps<V: Lanes>(&self, kernel: [usize; 2], sums: &mut [f32]) {
        let shared = self.stride[0] == 1 && self.dilation[0] == 1;
        let three = !V::MANY || kernel[1] < 9;
        let mut ky = 0;
        while ky < kernel[0] {
            let row = &mut sums[ky * kernel[1] * V::LANES..];
            match kernel[0] - ky {
                left if shared && three && left >= 3 && left != 4 => {
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
                9.. if V::MANY && const { T < TILE_ROWS } => self.tile::<V, T, 9>(ky, kx, kernel, sums),
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
    #[allow(clippy::needless_range_loop, reason = "one counter for several arrays")]
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
