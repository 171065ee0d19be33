//! Cutting maps into tiles, and maps to and from the 36 points.
//!
//! A *band* is a row of tiles: 4 rows of the output of one image. Bands are numbered over the
//! batch, tiles from left to right in a band, and tasks work on whole bands, so that a task's
//! output is one slice.

use super::lanes::{self, LANES, Lanes};
use super::points::POINTS;
use crate::geometry::{ConvSize, MapSize};
use crate::scalar::Scalar;
use std::ops::Range;

/// Side of an output tile.
const SIDE: usize = 4;

/// A 3x3 convolution with stride 1 from `from` to `to`, cut into tiles of 4 x 4 pixels of `to`.
#[derive(Clone, Copy)]
pub(super) struct Tiling {
    pub(super) from: MapSize,
    pub(super) to: MapSize,
    pad: [usize; 2],
    /// Bands per image.
    down: usize,
    /// Tiles per band.
    pub(super) across: usize,
}

/// One tile: its number among the tiles of the task, and where it lies.
struct Tile {
    index: usize,
    image: usize,
    top: usize,
    left: usize,
}

/// The part of `len` pixels from `origin - pad` that lies inside a map of `limit` pixels, counted
/// from the tile's first pixel.
#[inline(always)]
fn inside(origin: usize, pad: usize, len: usize, limit: usize) -> Range<usize> {
    let end = (limit + pad).saturating_sub(origin).min(len);
    pad.saturating_sub(origin).min(end)..end
}

/// Copies `from` to lanes; lanes beyond it keep what they held.
#[inline(always)]
fn load<E: Scalar>(lanes: &mut Lanes<E>, from: &[E]) {
    match from.try_into() {
        Ok(all) => *lanes = all,
        Err(_) => lanes[..from.len()].copy_from_slice(from),
    }
}

/// Copies the first lanes to `to`.
#[inline(always)]
fn store<E: Scalar>(to: &mut [E], lanes: &Lanes<E>) {
    match to.len() {
        LANES => to.copy_from_slice(lanes),
        some => to.copy_from_slice(&lanes[..some]),
    }
}

/// The runs of at most [`LANES`] channels.
#[inline(always)]
fn runs(channels: usize) -> impl Iterator<Item = Range<usize>> {
    (0..channels)
        .step_by(LANES)
        .map(move |first| first..channels.min(first + LANES))
}

impl Tiling {
    /// The convolution itself.
    pub(super) fn forward(size: &ConvSize) -> Self {
        Self::new(size.input, size.output, size.window.pad)
    }

    /// Its data gradient: a convolution of the output gradient with the flipped kernel. Input pixel
    /// `i` receives output pixels `i + pad - tap`, that is `i + tap' - (2 - pad)` for the flipped
    /// tap `tap' = 2 - tap`.
    pub(super) fn backward_data(size: &ConvSize) -> Self {
        Self::new(size.output, size.input, size.window.pad.map(|pad| 2 - pad))
    }

    fn new(from: MapSize, to: MapSize, pad: [usize; 2]) -> Self {
        let (down, across) = (to.height.div_ceil(SIDE), to.width.div_ceil(SIDE));
        Self {
            from,
            to,
            pad,
            down,
            across,
        }
    }

    pub(super) fn bands(&self) -> usize {
        self.to.batch * self.down
    }

    /// The number of `to`'s elements before band `band`.
    pub(super) fn offset(&self, band: usize) -> usize {
        let row = band / self.down * self.to.height + band % self.down * SIDE;
        row * self.to.width * self.to.channels
    }

    #[inline(always)]
    fn tiles(&self, bands: Range<usize>) -> impl Iterator<Item = Tile> {
        let (first, across, down) = (bands.start, self.across, self.down);
        (0..bands.len() * across).map(move |index| Tile {
            index,
            image: (first + index / across) / down,
            top: (first + index / across) % down * SIDE,
            left: index % across * SIDE,
        })
    }

    /// Transforms the input tiles of these bands: `points[p][tile][channel]`.
    #[inline(always)]
    pub(super) fn transform_input<E: Scalar>(&self, bands: Range<usize>, x: &[E], points: &mut [&mut [E]]) {
        let map = &self.from;
        let mut to = lanes::zeros();
        for at in self.tiles(bands) {
            let rows = inside(at.top, self.pad[0], 6, map.height);
            let columns = inside(at.left, self.pad[1], 6, map.width);
            // Pixels outside the map stay zero for all channels.
            let mut tile = lanes::zeros();
            for run in runs(map.channels) {
                for row in rows.clone() {
                    let line = (at.image * map.height + at.top + row - self.pad[0]) * map.width;
                    for column in columns.clone() {
                        let pixel = (line + at.left + column - self.pad[1]) * map.channels;
                        load(&mut tile[row][column], &x[pixel + run.start..pixel + run.end]);
                    }
                }
                lanes::input(&tile, &mut to);
                let first = at.index * map.channels;
                for (points, lanes) in points.iter_mut().zip(to.as_flattened()) {
                    store(&mut points[first + run.start..first + run.end], lanes);
                }
            }
        }
    }

    /// Transforms the output gradients of these bands: `points[p][tile][channel]`.
    #[inline(always)]
    pub(super) fn transform_gradient<E: Scalar>(&self, bands: Range<usize>, dy: &[E], points: &mut [&mut [E]]) {
        let map = &self.to;
        let mut to = lanes::zeros();
        for at in self.tiles(bands) {
            let mut tile = lanes::zeros();
            for run in runs(map.channels) {
                for row in 0..SIDE.min(map.height - at.top) {
                    let line = (at.image * map.height + at.top + row) * map.width;
                    for column in 0..SIDE.min(map.width - at.left) {
                        let pixel = (line + at.left + column) * map.channels;
                        load(&mut tile[row][column], &dy[pixel + run.start..pixel + run.end]);
                    }
                }
                lanes::output_gradient(&tile, &mut to);
                let first = at.index * map.channels;
                for (points, lanes) in points.iter_mut().zip(to.as_flattened()) {
                    store(&mut points[first + run.start..first + run.end], lanes);
                }
            }
        }
    }

    /// Transforms products back: `y` is the output from the first of these bands on, and point `p`
    /// of `points` lies at `p * stride`.
    #[inline(always)]
    pub(super) fn transform_output<E: Scalar>(
        &self,
        bands: Range<usize>,
        (points, stride): (&[E], usize),
        bias: Option<&[E]>,
        y: &mut [E],
    ) {
        let map = &self.to;
        let before = self.offset(bands.start);
        let (mut from, mut tile) = (lanes::zeros(), lanes::zeros());
        for at in self.tiles(bands) {
            for run in runs(map.channels) {
                let first = at.index * map.channels;
                for (p, lanes) in from.as_flattened_mut().iter_mut().enumerate().take(POINTS) {
                    let point = p * stride + first;
                    load(lanes, &points[point + run.start..point + run.end]);
                }
                lanes::output(&from, &mut tile);
                let mut shift = [E::zero(); LANES];
                if let Some(bias) = bias {
                    load(&mut shift, &bias[run.clone()]);
                }
                for (row, tile) in tile.iter().enumerate().take(map.height - at.top) {
                    let line = (at.image * map.height + at.top + row) * map.width;
                    for (column, lanes) in tile.iter().enumerate().take(map.width - at.left) {
                        let pixel = (line + at.left + column) * map.channels - before;
                        let sum = std::array::from_fn(|lane| lanes[lane] + shift[lane]);
                        store(&mut y[pixel + run.start..pixel + run.end], &sum);
                    }
                }
            }
        }
    }
}
