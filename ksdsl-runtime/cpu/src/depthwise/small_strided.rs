//! The inner loop of [`super::small`] for strides other than 1.

use super::rows::put;
use super::small::{AHEAD, Walk, ask_for};
use super::toom::load;
use crate::simd::{Lanes, prefetch};

impl<const S: usize> Walk<'_, S> {
    /// At step `x` the outputs `x` of all rows are computed. A source pixel is loaded for each of the columns that read it,
    /// but once for all rows: 5 x 5 loads for the 50 multiply-adds of two rows of a 5x5 kernel, 15 for the 18 of a 3x3 one.
    ///
    /// # Safety
    /// As for [`Walk::run`].
    #[allow(clippy::needless_range_loop, reason = "one counter for several arrays")]
    #[inline(always)]
    pub(super) unsafe fn run_strided<
        V: Lanes,
        const K: usize,
        const R: usize,
        const STRIDE: usize,
        const FULL: bool,
    >(
        &self,
    ) {
        let (conv, channels) = (self.conv, self.conv.input.channels);
        let lanes = if FULL { V::LANES } else { self.lanes };
        let y_len = conv.output.width * channels;
        // Nine vectors stay in registers where there are 32.
        let hold = V::MANY && K == 3;
        let [source_len, output_len] = [STRIDE * STRIDE * R * V::LANES, R * V::LANES];
        // SAFETY: the caller vouches for features and pointers; pixels are read and written inside
        // their rows only.
        unsafe {
            let weight = |ky: usize, kx: usize| V::load(self.weight.add((ky * K + kx) * V::LANES));
            let held: [[V; K]; K] = std::array::from_fn(|ky| std::array::from_fn(|kx| weight(ky, kx)));
            let bias = V::load(self.bias);
            for x in 0..conv.output.width {
                let [source, output] = self.ahead;
                ask_for([source.wrapping_add(x * source_len)], source_len);
                ask_for([output.wrapping_add(x * output_len)], output_len);
                let mut sums = [bias; R];
                for kx in 0..K {
                    let column = (x * STRIDE + kx).wrapping_add_signed(conv.origin[1]);
                    if column >= conv.input.width {
                        continue;
                    }
                    for s in 0..S {
                        let from = self.rows[s].add(column * channels);
                        if kx + STRIDE >= K {
                            prefetch(from.wrapping_add(AHEAD * channels));
                        }
                        let source = load::<V>(from, lanes);
                        for r in 0..R {
                            if s >= r * STRIDE && s - r * STRIDE < K {
                                let ky = s - r * STRIDE;
                                let weight = if hold { held[ky][kx] } else { weight(ky, kx) };
                                sums[r] = source.mul_add(weight, sums[r]);
                            }
                        }
                    }
                }
                for r in 0..R {
                    let to = self.y.add(r * y_len + x * channels);
                    prefetch(to.wrapping_add(AHEAD * channels));
                    put(sums[r], to, lanes);
                }
            }
        }
    }
}
