//! Depthwise convolutions of 1x1, 3x3 and 5x5 with stride 1, and of 3x3 and 5x5 with stride 2, in `f32`, straight from the
//! map.
//!
//! Copying a map into planes (see [`super::lines`]) costs as much as nine taps. Here a vector of
//! channels walks along some output rows at once. Each source pixel is loaded once for all of them,
//! goes into the sums of all outputs that it has a part in, and these move on by one pixel at each
//! step: `R` rows of a 3x3 kernel take `R + 2` loads for `9 R` multiply-adds. With stride 2 the outputs of a column are
//! computed one after the other ([`super::small_strided`]). Left and right of the map there is nothing to load; rows above
//! and below it are rows of zeros.
//!
//! Along a row the pixels of some channels lie far apart, which no CPU foresees. So the rows that come
//! next are requested meanwhile, line by line as they lie in memory.

use super::lines::Lines;
use super::rows::{Convolution, for_bands, put};
use super::toom::load;
use crate::finish::Finish;
use crate::real::CpuReal;
use crate::simd::{Lanes, Level, Operation, prefetch, prefetch_to_l2};
use ksdsl_engine::size::ConvSize;

/// The prefetch distance, in pixels.
pub(super) const AHEAD: usize = 3;

/// Whether a convolution can be computed this way.
pub(super) fn takes(size: &ConvSize) -> bool {
    let window = &size.window;
    let small = window.kernel == [3, 3] || window.kernel == [5, 5];
    takes_gradients(size) || (small && window.stride == [2, 2] && window.dilation == [1, 1])
}

/// Whether its gradients can.
pub(super) fn takes_gradients(size: &ConvSize) -> bool {
    let window = &size.window;
    // Pixel by pixel, without a border.
    let pixels = window.kernel == [1, 1] && window.pad == [0, 0] && size.input == size.output;
    let small = pixels || window.kernel == [3, 3] || window.kernel == [5, 5];
    small && window.stride == [1, 1] && window.dilation == [1, 1]
}

/// Values of a map that the caches do not hold.
const LARGE: usize = 1 << 20;

/// Whether this way is faster than that by planes, measured in paired runs on one core
/// (`depthwise::speeds::small_against_planes`). Not so: 5x5 with 16 registers, where each weight is read
/// for one row of outputs alone (with stride 2 only without vectors); single pixels without vectors; and large maps with
/// AVX2, of whose lines a vector takes but half, so that they come from memory twice (not with stride 2, where the planes
/// take longer).
pub(super) fn pays(level: Level, size: &ConvSize) -> bool {
    let strided = size.window.stride != [1, 1];
    let not = match (level, size.window.kernel[0]) {
        (Level::Portable, kernel) => kernel == 1 || (kernel == 5 && strided),
        (Level::Avx2, _) if strided => false,
        (Level::Avx2, kernel) => kernel == 5 || (kernel == 3 && size.input.len() > LARGE),
        (Level::Avx512, _) => false,
    };
    takes(size) && !not
}

/// The same for the weight gradient.
pub(super) fn weight_pays(level: Level, size: &ConvSize) -> bool {
    let not = level != Level::Avx512 && size.window.kernel != [1, 1] && size.input.len() > LARGE;
    takes_gradients(size) && !not
}

/// Values of a row of zeros beside the map.
pub(super) fn zeros_len(conv: &Convolution) -> usize {
    conv.input.width * conv.input.channels
}

/// Computes all of `y`; the weights are `[block][ky][kx][lane]`.
pub(super) fn run<E: CpuReal>(conv: &Convolution, level: Level, y: Option<&mut [E]>, finish: Option<&dyn Finish<E>>) {
    let zeros = Lines::zeros(zeros_len(conv));
    for_bands(&conv.output, conv.bands, y, finish, |row, count, y| {
        let (image, row) = (row / conv.output.height, row % conv.output.height);
        let len = conv.input.height * conv.input.width * conv.input.channels;
        level.run(Band {
            conv,
            image: &conv.source[image * len..][..len],
            zeros: &zeros,
            row,
            count,
            y,
        });
    });
}

/// Computes all of `y`, of one image.
pub(super) fn rows(conv: &Convolution, level: Level, y: &mut [f32]) {
    let last = conv.origin[0] + conv.reach(0, conv.output.height).cast_signed();
    let is_inside = conv.origin[0] >= 0 && last <= conv.input.height.cast_signed();
    let zeros = Lines::zeros(if is_inside { 0 } else { zeros_len(conv) });
    level.run(Band {
        conv,
        image: conv.source,
        zeros: &zeros,
        row: 0,
        count: conv.output.height,
        y,
    });
}

/// `count` output rows of one image from `row` on.
struct Band<'a, 'b> {
    conv: &'a Convolution<'a>,
    image: &'a [f32],
    /// A row of the map.
    zeros: &'a [f32],
    row: usize,
    count: usize,
    y: &'b mut [f32],
}

impl Operation for Band<'_, '_> {
    #[inline(always)]
    fn run<V: Lanes>(mut self) {
        let mut row = 0;
        while row < self.count {
            let left = self.count - row;
            row += match (self.conv.kernel[0], self.conv.stride[0]) {
                (1, _) => self.pixels::<V>(),
                (3, 1) if V::MANY && left >= 4 => self.rows::<V, 3, 4, 6, 1>(row),
                (3, 1) if left >= 2 => self.rows::<V, 3, 2, 4, 1>(row),
                (3, 1) => self.rows::<V, 3, 1, 3, 1>(row),
                (3, _) if left >= 2 => self.rows::<V, 3, 2, 5, 2>(row),
                (3, _) => self.rows::<V, 3, 1, 3, 2>(row),
                (_, 1) if V::MANY && left >= 2 => self.rows::<V, 5, 2, 6, 1>(row),
                (_, 1) => self.rows::<V, 5, 1, 5, 1>(row),
                _ if left >= 2 => self.rows::<V, 5, 2, 7, 2>(row),
                _ => self.rows::<V, 5, 1, 5, 2>(row),
            };
        }
    }
}

impl Band<'_, '_> {
    /// `R` output rows from `row` of the band on, which read `S` rows. Returns `R`.
    #[inline(always)]
    fn rows<V: Lanes, const K: usize, const R: usize, const S: usize, const STRIDE: usize>(
        &mut self,
        row: usize,
    ) -> usize {
        let (conv, channels) = (self.conv, self.conv.input.channels);
        let from = ((self.row + row) * STRIDE).cast_signed() + conv.origin[0];
        let rows: [&[f32]; S] = std::array::from_fn(|s| {
            source_row(
                self.image,
                conv.input.width * channels,
                from + s.cast_signed(),
                self.zeros,
            )
        });
        let y_len = conv.output.width * channels;
        let next = source_row(self.image, conv.input.width * channels, from + S.cast_signed(), &[]);
        let mut ahead = [next.as_ptr(), self.y.as_ptr().wrapping_add((row + R) * y_len)];
        // Steps of a walk, and what it asks for in each.
        let steps = if STRIDE == 1 {
            conv.output.width + K - 1
        } else {
            conv.output.width
        };
        let asked = [STRIDE * STRIDE * R * V::LANES, R * V::LANES];
        for channel in (0..channels).step_by(V::LANES) {
            let walk = Walk {
                ahead,
                conv,
                rows: rows.map(|row| row[channel..].as_ptr()),
                weight: conv.weight[channel * K * K..][..K * K * V::LANES].as_ptr(),
                bias: conv.bias[channel..][..V::LANES].as_ptr(),
                y: self.y[row * y_len..][..R * y_len][channel..].as_mut_ptr(),
                lanes: V::LANES.min(channels - channel),
            };
            // SAFETY: below `Level::run`. The rows, those of `y` too, are whole and start at the
            // block's channels; the kernel and the bias of the block are there.
            unsafe {
                match (STRIDE, walk.lanes == V::LANES) {
                    (1, true) => walk.run::<V, K, R, true>(),
                    (1, false) => walk.run::<V, K, R, false>(),
                    (_, true) => walk.run_strided::<V, K, R, STRIDE, true>(),
                    (_, false) => walk.run_strided::<V, K, R, STRIDE, false>(),
                }
            }
            ahead = [0, 1].map(|which| ahead[which].wrapping_add(steps * asked[which]));
        }
        R
    }

    /// A 1x1 kernel, over all pixels of the band. Returns how many rows that are.
    #[inline(always)]
    fn pixels<V: Lanes>(&mut self) -> usize {
        let (conv, channels) = (self.conv, self.conv.input.channels);
        let x = &self.image[self.row * conv.input.width * channels..][..self.y.len()];
        for (x, y) in x.chunks_exact(channels).zip(self.y.chunks_exact_mut(channels)) {
            for (block, (x, y)) in x.chunks(V::LANES).zip(y.chunks_mut(V::LANES)).enumerate() {
                let weight = conv.weight[block * V::LANES..][..V::LANES].as_ptr();
                let bias = conv.bias[block * V::LANES..][..V::LANES].as_ptr();
                // SAFETY: below `Level::run`; both chunks have as many values, kernel and bias a
                // whole vector.
                unsafe {
                    let sum = load::<V>(x.as_ptr(), x.len()).mul_add(V::load(weight), V::load(bias));
                    put(sum, y.as_mut_ptr(), y.len());
                }
            }
        }
        self.count
    }
}

/// Row `row` of a map whose rows have `len` values; `zeros` outside of it.
#[inline(always)]
pub(super) fn source_row<'a>(image: &'a [f32], len: usize, row: isize, zeros: &'a [f32]) -> &'a [f32] {
    let inside = usize::try_from(row).ok().filter(|&row| (row + 1) * len <= image.len());
    inside.map_or(zeros, |row| &image[row * len..][..len])
}

/// Asks for `len` values from each of these places on.
#[inline(always)]
pub(super) fn ask_for<const N: usize>(places: [*const f32; N], len: usize) {
    for at in (0..len).step_by(16) {
        for place in places {
            prefetch_to_l2(place.wrapping_add(at));
        }
    }
}

/// One block of channels of some output rows; the pointers are to its channels.
pub(super) struct Walk<'a, const S: usize> {
    pub(super) conv: &'a Convolution<'a>,
    pub(super) rows: [*const f32; S],
    /// What comes after these rows, of the map and of the output; only asked for, never read.
    pub(super) ahead: [*const f32; 2],
    /// `[ky][kx][lane]`.
    pub(super) weight: *const f32,
    pub(super) bias: *const f32,
    pub(super) y: *mut f32,
    pub(super) lanes: usize,
}

impl<const S: usize> Walk<'_, S> {
    /// At step `t` the source pixel `t + origin` is added to the outputs `t - (K - 1)..=t`, the first
    /// of which is then complete.
    ///
    /// # Safety
    /// Below [`Level::run`] only; with `FULL` the block must have `LANES` channels.
    #[allow(clippy::needless_range_loop, reason = "one counter for several arrays")]
    #[inline(always)]
    unsafe fn run<V: Lanes, const K: usize, const R: usize, const FULL: bool>(&self) {
        let (conv, channels) = (self.conv, self.conv.input.channels);
        let lanes = if FULL { V::LANES } else { self.lanes };
        let y_len = conv.output.width * channels;
        // Nine vectors stay in registers where there are 32.
        let hold = V::MANY && K == 3;
        // SAFETY: the caller vouches for features and pointers; pixels are read and written inside
        // their rows only.
        unsafe {
            let weight = |ky: usize, kx: usize| V::load(self.weight.add((ky * K + kx) * V::LANES));
            let held: [[V; K]; K] = std::array::from_fn(|ky| std::array::from_fn(|kx| weight(ky, kx)));
            let bias = V::load(self.bias);
            let mut sums = [[bias; K]; R];
            for t in 0..conv.output.width + K - 1 {
                ask_for(self.ahead.map(|at| at.wrapping_add(t * R * V::LANES)), R * V::LANES);
                let x = t.wrapping_add_signed(conv.origin[1]);
                if x < conv.input.width {
                    let mut source = [V::zero(); S];
                    for s in 0..S {
                        let from = self.rows[s].add(x * channels);
                        prefetch(from.wrapping_add(AHEAD * channels));
                        source[s] = load::<V>(from, lanes);
                    }
                    for ky in 0..K {
                        for kx in 0..K {
                            let weight = if hold { held[ky][kx] } else { weight(ky, kx) };
                            for r in 0..R {
                                let sum = &mut sums[r][K - 1 - kx];
                                *sum = source[r + ky].mul_add(weight, *sum);
                            }
                        }
                    }
                }
                for r in 0..R {
                    if t + 1 >= K {
                        let to = self.y.add(r * y_len + (t + 1 - K) * channels);
                        prefetch(to.wrapping_add(AHEAD * channels));
                        put(sums[r][0], to, lanes);
                    }
                    for j in 1..K {
                        sums[r][j - 1] = sums[r][j];
                    }
                    sums[r][K - 1] = bias;
                }
            }
        }
    }
}
