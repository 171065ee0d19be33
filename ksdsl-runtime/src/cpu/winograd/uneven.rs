//! Tiles that are too [uneven](super::super::uneven) for the 36 points: they are computed directly. Which
//! they are follows from the pixels of the tile alone.

use super::super::par;
use super::super::simd::{Lanes, Level, Operation};
use super::super::uneven::{self, HUGE};
use super::kernel::Direction;
use super::tiles::{SIDE, Tile, Tiling, inside};
use crate::geometry::MapSize;
use crate::scalar::Scalar;
use std::ops::Range;

/// Taps of a kernel.
const TAPS: usize = 9;
/// Side of a tile of the input.
const WIDE: usize = SIDE + 2;

/// The greatest magnitude of the channels of each pixel of a band, as the bits of an `f32` without a
/// sign: their order is that of the values, infinity and NaNs behind all others.
struct Magnitudes {
    bits: Vec<u32>,
    /// Pixels of a row of the band.
    line: usize,
}

impl Magnitudes {
    fn new(tiling: &Tiling, side: usize) -> Self {
        let line = tiling.across * SIDE + side - SIDE;
        Self {
            bits: vec![0; side * line],
            line,
        }
    }

    /// Reads the band that begins with the tile `at` of `map`, whose first pixel lies `pad` before it.
    fn read<E: Scalar>(&mut self, map: MapSize, x: &[E], at: &Tile, pad: [usize; 2]) {
        self.bits.fill(0);
        let rows = inside(at.top, pad[0], self.bits.len() / self.line, map.height);
        let columns = inside(0, pad[1], self.line, map.width);
        for row in rows {
            let line = at.image * map.height + at.top + row - pad[0];
            let first = (line * map.width + columns.start - pad[1].min(columns.start)) * map.channels;
            let to = &mut self.bits[row * self.line..][columns.clone()];
            magnitudes(&x[first..first + to.len() * map.channels], map.channels, to);
        }
    }

    /// The rows of a square of `N` pixels from this column on.
    fn square<const N: usize>(&self, left: usize) -> [[u32; N]; N] {
        std::array::from_fn(|row| std::array::from_fn(|column| self.bits[row * self.line + left + column]))
    }
}

/// Writes the greatest magnitude of each pixel.
fn magnitudes<E: Scalar>(x: &[E], channels: usize, to: &mut [u32]) {
    if let Some(x) = E::f32s(x) {
        return Level::current().run(Greatest { x, channels, to });
    }
    for (pixel, to) in x.chunks_exact(channels).zip(to) {
        let bits = pixel.iter().map(|value| (value.wide().abs() as f32).to_bits());
        *to = bits.max().unwrap_or(0);
    }
}

/// The greatest magnitude of each pixel of `channels` values.
struct Greatest<'a> {
    x: &'a [f32],
    channels: usize,
    to: &'a mut [u32],
}

impl Operation for Greatest<'_> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        for (pixel, to) in self.x.chunks_exact(self.channels).zip(self.to) {
            let mut lanes = [0.0; 16];
            let mut vectors = pixel.chunks_exact(V::LANES);
            // SAFETY: below `Level::run`; the chunks have `LANES` values, and `lanes` at least as many.
            unsafe {
                let mut most = V::zero();
                for vector in &mut vectors {
                    most = V::load(vector.as_ptr()).abs().greater_bits(most);
                }
                let rest = vectors.remainder();
                if !rest.is_empty() {
                    most = V::load_some(rest.as_ptr(), rest.len()).abs().greater_bits(most);
                }
                most.store(lanes.as_mut_ptr());
            }
            *to = lanes.iter().fold(0, |most, lane| most.max(lane.to_bits()));
        }
    }
}

/// Whether a tile is to be computed directly, by the magnitudes of its pixels; it has this many rows and
/// columns of outputs.
fn is_uneven(tile: &[[u32; WIDE]; WIDE], rows: usize, columns: usize) -> bool {
    let greatest = tile.as_flattened().iter().fold(0, |most, &bits| most.max(bits));
    let across = tile.map(|row| -> [u32; SIDE] {
        std::array::from_fn(|column| row[column].max(row[column + 1]).max(row[column + 2]))
    });
    let windows = (0..rows.min(SIDE)).flat_map(|row| {
        let [first, second, third] = [across[row], across[row + 1], across[row + 2]];
        (0..columns.min(SIDE)).map(move |column| first[column].max(second[column]).max(third[column]))
    });
    let least = windows.min().unwrap_or(u32::MAX);
    uneven::is_uneven(greatest, least)
}

impl Tiling {
    /// The tiles of these bands that are to be computed directly, in order.
    pub(super) fn uneven<E: Scalar>(&self, bands: Range<usize>, x: &[E]) -> Vec<Tile> {
        let mut magnitudes = Magnitudes::new(self, WIDE);
        self.tiles(bands)
            .filter(|tile| {
                if tile.left == 0 {
                    magnitudes.read(self.from, x, tile, self.pad);
                }
                let square = magnitudes.square(tile.left);
                is_uneven(&square, self.to.height - tile.top, self.to.width - tile.left)
            })
            .collect()
    }

    /// As [`Tiling::uneven`] for a weight gradient, with those whose output gradients may overflow.
    pub(super) fn uneven_pairs<E: Scalar>(&self, bands: Range<usize>, x: &[E], dy: &[E]) -> Vec<Tile> {
        let mut inputs = self.uneven(bands.clone(), x).into_iter().peekable();
        let mut magnitudes = Magnitudes::new(self, SIDE);
        self.tiles(bands)
            .filter(|tile| {
                if tile.left == 0 {
                    magnitudes.read(self.to, dy, tile, [0; 2]);
                }
                let square = magnitudes.square::<SIDE>(tile.left);
                let huge = square.as_flattened().iter().any(|&bits| bits >= HUGE);
                let by_input = inputs.next_if(|found| found.index == tile.index).is_some();
                huge || by_input
            })
            .collect()
    }

    /// The windows of a tile's outputs, `[pixel][channel][tap]`, and where these pixels lie in `to`, counted
    /// in pixels.
    fn windows<E: Scalar>(&self, at: &Tile, x: &[E]) -> (Vec<E>, Vec<usize>) {
        let (from, to) = (&self.from, &self.to);
        let columns = from.channels * TAPS;
        let [rows, across] = [SIDE.min(to.height - at.top), SIDE.min(to.width - at.left)];
        let mut windows = vec![E::zero(); rows * across * columns];
        let mut pixels = Vec::with_capacity(rows * across);
        for (index, window) in windows.chunks_exact_mut(columns).enumerate() {
            let (y, x0) = (at.top + index / across, at.left + index % across);
            pixels.push((at.image * to.height + y) * to.width + x0);
            for tap in 0..TAPS {
                let (row, column) = (y + tap / 3, x0 + tap % 3);
                let inside = |at: usize, pad: usize, len: usize| at.checked_sub(pad).filter(|&at| at < len);
                let place = inside(row, self.pad[0], from.height).zip(inside(column, self.pad[1], from.width));
                if let Some((row, column)) = place {
                    let pixel = ((at.image * from.height + row) * from.width + column) * from.channels;
                    let values = window[tap..].iter_mut().step_by(TAPS);
                    values.zip(&x[pixel..]).for_each(|(to, &value)| *to = value);
                }
            }
        }
        (windows, pixels)
    }

    /// Adds what these tiles contribute to the gradient of the kernel, `[out][in][tap]`.
    pub(super) fn add_directly<E: Scalar>(&self, tiles: &[Tile], x: &[E], dy: &[E], dweight: &mut [E]) {
        let (columns, outputs) = (self.from.channels * TAPS, self.to.channels);
        for tile in tiles {
            let (windows, pixels) = self.windows(tile, x);
            par::for_rows(
                dweight,
                columns,
                par::rows_per_task(columns),
                #[inline(always)]
                |first, rows| {
                    for (output, sums) in (first..).zip(rows.chunks_exact_mut(columns)) {
                        for (window, pixel) in windows.chunks_exact(columns).zip(&pixels) {
                            let dy = dy[pixel * outputs + output];
                            sums.iter_mut().zip(window).for_each(|(sum, &x)| *sum += dy * x);
                        }
                    }
                },
            );
        }
    }
}

/// A kernel as it comes, `[out][in][tap]`, and what it is for.
#[derive(Clone, Copy)]
pub(super) struct Plain<'a, E> {
    pub(super) weight: &'a [E],
    pub(super) direction: Direction,
}

impl<E: Scalar> Plain<'_, E> {
    /// Computes the uneven tiles of these bands anew; `y` is the output from the first of them on.
    #[inline(always)]
    pub(super) fn mend(&self, tiling: &Tiling, bands: Range<usize>, x: &[E], bias: Option<&[E]>, y: &mut [E]) {
        let (before, outputs) = (tiling.offset(bands.start), tiling.to.channels);
        let mut kernel = Vec::new();
        for tile in tiling.uneven(bands, x) {
            let (windows, pixels) = tiling.windows(&tile, x);
            let columns = tiling.from.channels * TAPS;
            kernel.resize(columns, E::zero());
            for output in 0..outputs {
                self.kernel_of(output, [outputs, tiling.from.channels], &mut kernel);
                let bias = bias.map_or(E::zero(), |bias| bias[output]);
                for (window, pixel) in windows.chunks_exact(columns).zip(&pixels) {
                    y[pixel * outputs + output - before] = dot(&kernel, window) + bias;
                }
            }
        }
    }

    /// The kernel of channel `to` of the result, `[from][tap]`.
    fn kernel_of(&self, to: usize, [tos, froms]: [usize; 2], kernel: &mut [E]) {
        match self.direction {
            Direction::Forward => kernel.copy_from_slice(&self.weight[to * froms * TAPS..][..froms * TAPS]),
            Direction::BackwardData => {
                for (from, taps) in kernel.chunks_exact_mut(TAPS).enumerate() {
                    let weight = &self.weight[(from * tos + to) * TAPS..][..TAPS];
                    taps.iter_mut()
                        .zip(weight.iter().rev())
                        .for_each(|(tap, &weight)| *tap = weight);
                }
            }
        }
    }
}

/// The sum of the products, in lanes that are added in the end.
#[inline(always)]
fn dot<E: Scalar>(a: &[E], b: &[E]) -> E {
    const LANES: usize = 16;
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [E::zero(); LANES];
    for (a, b) in a.iter().zip(b) {
        for (sum, (&a, &b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let rest: E = a_rest.iter().zip(b_rest).map(|(&a, &b)| a * b).sum();
    sums.into_iter().sum::<E>() + rest
}
