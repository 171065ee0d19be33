//! Tiles that are too [uneven](super::super::uneven) for the 36 points: they are computed directly. Which
//! they are follows from the pixels of the tile, at the edge of the map from those of the last whole tile.

use super::super::gemm::Mat;
use super::super::gemm::add_transposed;
use super::super::par;
use super::super::simd::{Lanes, Level, Operation};
use super::super::uneven::{self, HUGE};
use super::kernel::Direction;
use super::tiles::{SIDE, Tile, Tiling, inside};
use crate::real::CpuReal;
use ksdsl_engine::size::MapSize;
use std::ops::Range;

/// Taps of a kernel.
const TAPS: usize = 9;
/// Side of a tile of the input.
const WIDE: usize = SIDE + 2;
/// Side of the squares of output gradients that are compared.
const SQUARE: usize = SIDE / 2;
/// Tiles that are computed directly at a time: 256 pixels or fewer.
const TILES: usize = 16;
/// Channels of the output for which a task computes them.
const OUTPUTS: usize = 48;

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
    fn read<E: CpuReal>(&mut self, map: MapSize, x: &[E], at: &Tile, pad: [usize; 2]) {
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
fn magnitudes<E: CpuReal>(x: &[E], channels: usize, to: &mut [u32]) {
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

/// The greatest magnitude of a tile of inputs, and the least of those that are the greatest in the window of an
/// output; the tile has this many rows and columns of outputs.
fn of_inputs(tile: &[[u32; WIDE]; WIDE], [rows, columns]: [usize; 2]) -> [u32; 2] {
    let across = tile.map(|row| -> [u32; SIDE] {
        std::array::from_fn(|column| row[column].max(row[column + 1]).max(row[column + 2]))
    });
    let windows = (0..rows.min(SIDE)).flat_map(|row| {
        let [first, second, third] = [across[row], across[row + 1], across[row + 2]];
        (0..columns.min(SIDE)).map(move |column| first[column].max(second[column]).max(third[column]))
    });
    [greatest(tile), windows.min().unwrap_or(u32::MAX)]
}

/// The greatest magnitude of a tile of output gradients, and the least of those that are the greatest in a square
/// of 2 x 2 of them.
fn of_outputs(tile: &[[u32; SIDE]; SIDE], [rows, columns]: [usize; 2]) -> [u32; 2] {
    let squares = (0..rows.min(SIDE)).step_by(SQUARE).flat_map(|row| {
        let rows = [tile[row], tile[row + 1]];
        let columns = (0..columns.min(SIDE)).step_by(SQUARE);
        columns.map(move |column| {
            rows.iter()
                .fold(0, |most, row| most.max(row[column]).max(row[column + 1]))
        })
    });
    [greatest(tile), squares.min().unwrap_or(u32::MAX)]
}

fn greatest<const N: usize>(tile: &[[u32; N]; N]) -> u32 {
    tile.as_flattened().iter().fold(0, |most, &bits| most.max(bits))
}

impl Tiling {
    /// The whole tile that a tile is judged by: for one that is cut by the edge of the map the one that ends there, so
    /// that a value that is far greater than all others is not alone in it.
    fn whole(&self, tile: &Tile) -> Tile {
        Tile {
            top: tile.top.min(self.to.height.saturating_sub(SIDE)),
            left: tile.left.min(self.to.width.saturating_sub(SIDE)),
            ..*tile
        }
    }

    /// The tiles of these bands that are to be computed directly, in order.
    pub(super) fn uneven<E: CpuReal>(&self, bands: Range<usize>, x: &[E]) -> Vec<Tile> {
        let mut magnitudes = Magnitudes::new(self, WIDE);
        self.tiles(bands)
            .filter(|tile| {
                let whole = self.whole(tile);
                if tile.left == 0 {
                    magnitudes.read(self.from, x, &whole, self.pad);
                }
                let outputs = [self.to.height - whole.top, self.to.width - whole.left];
                let [greatest, least] = of_inputs(&magnitudes.square(whole.left), outputs);
                uneven::is_uneven(greatest, least)
            })
            .collect()
    }

    /// Whether each tap multiplies three rows and three columns of outputs or more with pixels inside the map. Then,
    /// with padding of at most 2, it does so with some whole window of inputs and some whole square of outputs of
    /// each whole tile: in a tile that is even it multiplies values that are not far less than the greatest.
    fn taps_see_windows(&self) -> bool {
        let axes = [
            (self.from.height, self.to.height, self.pad[0]),
            (self.from.width, self.to.width, self.pad[1]),
        ];
        axes.into_iter()
            .all(|(from, to, pad)| (0..3).all(|tap| inside(tap, pad, to, from).len() >= 3))
    }

    /// The tiles of these bands whose part of a weight gradient is to be computed directly, in order.
    pub(super) fn uneven_pairs<E: CpuReal>(&self, bands: Range<usize>, x: &[E], dy: &[E]) -> Vec<Tile> {
        if !self.taps_see_windows() {
            return self.tiles(bands).collect();
        }
        let (mut inputs, mut outputs) = (Magnitudes::new(self, WIDE), Magnitudes::new(self, SIDE));
        self.tiles(bands)
            .filter(|tile| {
                let whole = self.whole(tile);
                if tile.left == 0 {
                    inputs.read(self.from, x, &whole, self.pad);
                    outputs.read(self.to, dy, &whole, [0; 2]);
                }
                let cut = [self.to.height - whole.top, self.to.width - whole.left];
                // A tap may have no NaN though each window has one: that may be in another channel.
                let uneven = |[greatest, least]: [u32; 2]| greatest >= HUGE || uneven::is_uneven(greatest, least);
                uneven(of_inputs(&inputs.square(whole.left), cut))
                    || uneven(of_outputs(&outputs.square(whole.left), cut))
            })
            .collect()
    }

    /// Appends the windows of a tile's outputs, `[pixel][channel][tap]`, and where these pixels lie in `to`, counted
    /// in pixels.
    fn windows<E: CpuReal>(&self, at: &Tile, x: &[E], windows: &mut Vec<E>, pixels: &mut Vec<usize>) {
        let (from, to) = (&self.from, &self.to);
        let columns = from.channels * TAPS;
        let [rows, across] = [SIDE.min(to.height - at.top), SIDE.min(to.width - at.left)];
        let before = windows.len();
        windows.resize(before + rows * across * columns, E::zero());
        for (index, window) in windows[before..].chunks_exact_mut(columns).enumerate() {
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
    }

    /// Adds what these tiles contribute to the gradient of the kernel, `[out][in][tap]`: products of the output
    /// gradients and the windows of some tiles at a time.
    pub(super) fn add_directly<E: CpuReal>(&self, tiles: &[Tile], x: &[E], dy: &[E], dweight: &mut [E]) {
        let (columns, outputs) = (self.from.channels * TAPS, self.to.channels);
        for tiles in tiles.chunks(TILES) {
            let (mut windows, mut pixels) = (Vec::new(), Vec::new());
            for tile in tiles {
                self.windows(tile, x, &mut windows, &mut pixels);
            }
            let dy: Vec<E> = pixels
                .iter()
                .flat_map(|pixel| &dy[pixel * outputs..][..outputs])
                .copied()
                .collect();
            let windows = Mat::new(&windows, pixels.len(), columns, columns);
            par::for_rows(dweight, columns, OUTPUTS, |first, rows| {
                let dy = Mat::new(&dy[first..], pixels.len(), rows.len() / columns, outputs);
                add_transposed(rows, columns, dy, windows);
            });
        }
    }
}

/// A kernel as it comes, `[out][in][tap]`, and what it is for.
#[derive(Clone, Copy)]
pub(super) struct Plain<'a, E> {
    pub(super) weight: &'a [E],
    pub(super) direction: Direction,
}

impl<E: CpuReal> Plain<'_, E> {
    /// Computes the uneven tiles of these bands anew; `y` is the output from the first of them on.
    #[inline(always)]
    pub(super) fn mend(&self, tiling: &Tiling, bands: Range<usize>, x: &[E], bias: Option<&[E]>, y: &mut [E]) {
        let (before, outputs) = (tiling.offset(bands.start), tiling.to.channels);
        let mut kernel = Vec::new();
        for tile in tiling.uneven(bands, x) {
            let (mut windows, mut pixels) = (Vec::new(), Vec::new());
            tiling.windows(&tile, x, &mut windows, &mut pixels);
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
fn dot<E: CpuReal>(a: &[E], b: &[E]) -> E {
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
