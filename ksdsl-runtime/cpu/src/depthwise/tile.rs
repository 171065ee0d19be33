//! The inner loops of a depthwise convolution: a tile of the output in registers over all taps.
//!
//! A tile is four rows of up to six pixels (two rows with 16 registers): each loaded pixel
//! serves all rows, so that a tap of a full tile costs `6 + 4` loads for 24 multiply-adds.
//!
//! Each tile size is compiled for each vector type, so there are none that no convolution takes: the compiler's
//! vectors, for CPUs without AVX2, and strides other than 1 have one row. Conditions on constants are constants
//! (`const { }`), so that what they rule out is not compiled.

use crate::simd::Lanes;
use std::ops::Range;

/// A plane of vectors with the weights to convolve it with.
pub(super) struct Grid<'a> {
    /// `[row][column][lane]`.
    pub(super) plane: &'a [f32],
    /// Vectors per row of the plane.
    pub(super) columns: usize,
    /// The rows of the plane that are not zero; the others are left out and need not be there.
    pub(super) inside: Range<usize>,
    /// `[ky][kx][lane]`.
    pub(super) weight: &'a [f32],
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
}

/// Where the sums of tiles go.
pub(super) trait Output {
    /// Called before a tile of `extent` pixels at `(row, x)` is computed.
    fn ask_for(&self, at: [usize; 2], extent: [usize; 2]);
    /// What the sums start from.
    fn start<V: Lanes>(&self) -> V;
    /// Receives the sums of the tile at `(row, x)`.
    fn put<V: Lanes, const R: usize, const P: usize>(&mut self, at: [usize; 2], sums: &[[V; P]; R]);
}

impl Grid<'_> {
    /// Output rows that share source rows, and can be computed in one go.
    pub(super) fn rows_at_once<V: Lanes>(&self) -> usize {
        match self.kernel[0] {
            _ if !self.shares_rows() => 1,
            4.. if V::MANY => 4,
            2.. if V::WHOLE => 2,
            _ => 1,
        }
    }

    /// Whether output rows share source rows, whose pixels are next to each other.
    fn shares_rows(&self) -> bool {
        self.stride == [1, 1] && self.dilation[0] == 1
    }

    /// The output rows `rows`, each of `width` pixels.
    #[inline(always)]
    pub(super) fn convolve<V: Lanes>(&self, rows: Range<usize>, width: usize, out: &mut impl Output) {
        let most = self.rows_at_once::<V>();
        let mut row = rows.start;
        while row < rows.end {
            row += match most.min(rows.end - row) {
                4.. if V::MANY => self.row::<V, 4>(row, width, out),
                2.. if V::WHOLE => self.row::<V, 2>(row, width, out),
                _ => self.row::<V, 1>(row, width, out),
            };
        }
    }

    /// `R` rows from `row` on, in tiles of about the same width. Returns `R`.
    #[inline(always)]
    fn row<V: Lanes, const R: usize>(&self, row: usize, width: usize, out: &mut impl Output) -> usize {
        let most = if V::WHOLE { 6 } else { 4 };
        let mut x = 0;
        while x < width {
            let tiles = (width - x).div_ceil(most);
            x += match (width - x).div_ceil(tiles) {
                6.. if V::WHOLE => self.tile::<V, R, 6>(row, x, out),
                5 if V::WHOLE => self.tile::<V, R, 5>(row, x, out),
                4.. => self.tile::<V, R, 4>(row, x, out),
                3 if V::WHOLE => self.tile::<V, R, 3>(row, x, out),
                2.. => self.tile::<V, R, 2>(row, x, out),
                _ => self.tile::<V, R, 1>(row, x, out),
            };
        }
        R
    }

    /// `R` rows of `P` pixels from pixel `(row, x)` on. Returns `P`.
    #[inline(always)]
    fn tile<V: Lanes, const R: usize, const P: usize>(&self, row: usize, x: usize, out: &mut impl Output) -> usize {
        out.ask_for([row, x], [R, P]);
        let mut sums = [[out.start::<V>(); P]; R];
        if const { R == 1 } && self.stride[1] != 1 {
            self.add_rows::<V, R, P, false>(row, x, &mut sums);
        } else {
            self.add_rows::<V, R, P, true>(row, x, &mut sums);
        }
        // A copy: whatever becomes of it, the sums stay in registers up to here.
        let done = sums;
        out.put([row, x], &done);
        P
    }

    /// Adds all taps. With several rows, strides and the rows' dilation are 1: the source row `step` is tap
    /// `step - r` of output row `r`.
    #[inline(always)]
    fn add_rows<V: Lanes, const R: usize, const P: usize, const UNIT: bool>(
        &self,
        row: usize,
        x: usize,
        sums: &mut [[V; P]; R],
    ) {
        let last = self.kernel[0] - 1;
        for step in 0..self.kernel[0] + R - 1 {
            let from = row * self.stride[0] + step * self.dilation[0];
            if !self.inside.contains(&from) {
                continue;
            }
            let at = from * self.columns + x * self.stride[1];
            // The rows `low..high` have this tap; a kernel has at least `R` rows.
            let (low, high) = (step.saturating_sub(last), R.min(step + 1));
            match (low, high) {
                (0, high) if high == R => self.taps::<V, R, P, 0, R, UNIT>(at, step, sums),
                (0, 1) if const { R > 1 } => self.taps::<V, R, P, 0, 1, UNIT>(at, step, sums),
                (0, 2) if const { R > 2 } => self.taps::<V, R, P, 0, 2, UNIT>(at, step, sums),
                (0, 3) if const { R > 3 } => self.taps::<V, R, P, 0, 3, UNIT>(at, step, sums),
                (1, _) if const { R > 1 } => self.taps::<V, R, P, 1, R, UNIT>(at, step, sums),
                (2, _) if const { R > 2 } => self.taps::<V, R, P, 2, R, UNIT>(at, step, sums),
                (3, _) if const { R > 3 } => self.taps::<V, R, P, 3, R, UNIT>(at, step, sums),
                _ => unreachable!("a tile has at most four rows"),
            }
        }
    }

    /// Adds the taps of one source row, whose first pixel is `at`, to the output rows `LOW..HIGH`.
    #[allow(clippy::needless_range_loop, reason = "one counter for several arrays")]
    #[inline(always)]
    fn taps<V: Lanes, const R: usize, const P: usize, const LOW: usize, const HIGH: usize, const UNIT: bool>(
        &self,
        at: usize,
        step: usize,
        sums: &mut [[V; P]; R],
    ) {
        let (kernel, lanes) = (self.kernel[1], V::LANES);
        let pixel = if UNIT { lanes } else { self.stride[1] * lanes };
        let tap = self.dilation[1] * lanes;
        let source = &self.plane[at * lanes..][..(P - 1) * pixel + (kernel - 1) * tap + lanes];
        let weight = &self.weight[(step + 1 - HIGH) * kernel * lanes..][..(HIGH - LOW) * kernel * lanes];
        let (mut source, mut weight) = (source.as_ptr(), weight.as_ptr());
        // A copy, which the compiler keeps in registers.
        let mut all = *sums;
        for _ in 0..kernel {
            // SAFETY: below `Level::run`. `source` was cut to what pixel `P - 1` reads at the last
            // tap, `weight` to the rows `step + 1 - HIGH..=step - LOW`.
            unsafe {
                let mut weights = [V::zero(); R];
                for r in LOW..HIGH {
                    weights[r] = V::load(weight.add((HIGH - 1 - r) * kernel * lanes));
                }
                for p in 0..P {
                    let value = V::load(source.add(p * pixel));
                    for r in LOW..HIGH {
                        all[r][p] = value.mul_add(weights[r], all[r][p]);
                    }
                }
            }
            source = source.wrapping_add(tap);
            weight = weight.wrapping_add(lanes);
        }
        *sums = all;
    }
}
