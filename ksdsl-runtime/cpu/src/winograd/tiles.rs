//! Cutting maps into tiles, and maps to and from the 36 points.
//!
//! A *band* is a row of tiles: 4 rows of the output of one image. Bands are numbered over the
//! batch, tiles from left to right in a band, and tasks work on whole bands, so that a task's
//! output is one slice.

use super::lanes::{self, LANES, Lanes, Square};
use crate::real::CpuReal;
use ksdsl_engine::size::{ConvSize, MapSize};
use std::ops::Range;

/// Side of an output tile.
pub(super) const SIDE: usize = 4;

/// A 3x3 convolution with stride 1 from `from` to `to`, cut into tiles of 4 x 4 pixels of `to`.
#[derive(Clone, Copy)]
pub(super) struct Tiling {
    pub(super) from: MapSize,
    pub(super) to: MapSize,
    pub(super) pad: [usize; 2],
    /// Bands per image.
    down: usize,
    /// Tiles per band.
    pub(super) across: usize,
}

/// One tile: its number among the tiles of the task, and where it lies.
pub(super) struct Tile {
    pub(super) index: usize,
    pub(super) image: usize,
    pub(super) top: usize,
    pub(super) left: usize,
}

/// The part of `len` pixels from `origin - pad` that lies inside a map of `limit` pixels, counted
/// from the tile's first pixel.
#[inline(always)]
pub(super) fn inside(origin: usize, pad: usize, len: usize, limit: usize) -> Range<usize> {
    let end = (limit + pad).saturating_sub(origin).min(len);
    pad.saturating_sub(origin).min(end)..end
}

/// Copies `from` to lanes; lanes beyond it keep what they held. `FULL` says that it fills them all:
/// the two cases are compiled apart, or both would become one call of `memcpy`.
#[inline(always)]
fn load<E: CpuReal, const FULL: bool>(lanes: &mut Lanes<E>, from: &[E]) {
    let len = if FULL { LANES } else { from.len() };
    lanes[..len].copy_from_slice(&from[..len]);
}

/// Copies the first lanes to `to`; `FULL` as for [`load`].
#[inline(always)]
fn store<E: CpuReal, const FULL: bool>(to: &mut [E], lanes: &Lanes<E>) {
    let len = if FULL { LANES } else { to.len() };
    to[..len].copy_from_slice(&lanes[..len]);
}

/// Something to do for a run of at most [`LANES`] channels.
trait Run {
    fn run<const FULL: bool>(&mut self, channels: Range<usize>);
}

/// Goes through the channels in runs.
#[inline(always)]
fn for_runs(channels: usize, mut run: impl Run) {
    let full = channels / LANES * LANES;
    for first in (0..full).step_by(LANES) {
        run.run::<true>(first..first + LANES);
    }
    if full < channels {
        run.run::<false>(full..channels);
    }
}

/// `points[p][first..]` of one tile receive the transform of a tile of `map`.
struct ToPoints<'a, 'p, E, const N: usize> {
    x: &'a [E],
    map: MapSize,
    /// Rows and columns of the tile that lie inside the map.
    rows: Range<usize>,
    columns: Range<usize>,
    /// The element of the map where pixel `(rows.start, columns.start)` begins.
    corner: usize,
    /// Pixels outside the map stay zero for all channels.
    tile: &'a mut Square<E, N>,
    to: &'a mut Square<E, 6>,
    first: usize,
    points: &'a mut [&'p mut [E]],
}

impl<E: CpuReal, const N: usize> ToPoints<'_, '_, E, N> {
    #[inline(always)]
    fn clear_border(&mut self) {
        if self.rows.len() < N || self.columns.len() < N {
            *self.tile = lanes::zeros();
        }
    }

    #[inline(always)]
    fn gather<const FULL: bool>(&mut self, channels: &Range<usize>) {
        for row in self.rows.clone() {
            let line = self.corner + (row - self.rows.start) * self.map.width * self.map.channels;
            for column in self.columns.clone() {
                let pixel = line + (column - self.columns.start) * self.map.channels;
                let from = &self.x[pixel + channels.start..pixel + channels.end];
                load::<E, FULL>(&mut self.tile[row][column], from);
            }
        }
    }

    #[inline(always)]
    fn scatter<const FULL: bool>(&mut self, channels: &Range<usize>) {
        for (points, lanes) in self.points.iter_mut().zip(self.to.as_flattened()) {
            let to = &mut points[self.first + channels.start..self.first + channels.end];
            store::<E, FULL>(to, lanes);
        }
    }
}

impl<E: CpuReal> Run for ToPoints<'_, '_, E, 6> {
    #[inline(always)]
    fn run<const FULL: bool>(&mut self, channels: Range<usize>) {
        self.gather::<FULL>(&channels);
        lanes::input(self.tile, self.to);
        self.scatter::<FULL>(&channels);
    }
}

impl<E: CpuReal> Run for ToPoints<'_, '_, E, 4> {
    #[inline(always)]
    fn run<const FULL: bool>(&mut self, channels: Range<usize>) {
        self.gather::<FULL>(&channels);
        lanes::output_gradient(self.tile, self.to);
        self.scatter::<FULL>(&channels);
    }
}

/// A tile of `map` receives the transform of the points `points[p * stride + first..]`.
struct FromPoints<'a, E> {
    points: &'a [E],
    stride: usize,
    first: usize,
    bias: Option<&'a [E]>,
    y: &'a mut [E],
    map: MapSize,
    /// Rows and columns of the tile that lie inside the map.
    rows: usize,
    columns: usize,
    /// The element of `y` where the tile begins.
    corner: usize,
    from: &'a mut Square<E, 6>,
}

impl<E: CpuReal> Run for FromPoints<'_, E> {
    #[inline(always)]
    fn run<const FULL: bool>(&mut self, channels: Range<usize>) {
        let mut tile = lanes::zeros();
        for (p, lanes) in self.from.as_flattened_mut().iter_mut().enumerate() {
            let point = p * self.stride + self.first;
            load::<E, FULL>(lanes, &self.points[point + channels.start..point + channels.end]);
        }
        lanes::output(self.from, &mut tile);
        let mut shift = [E::zero(); LANES];
        if let Some(bias) = self.bias {
            load::<E, FULL>(&mut shift, &bias[channels.clone()]);
        }
        for (row, tile) in tile.iter().enumerate().take(self.rows) {
            let line = self.corner + row * self.map.width * self.map.channels;
            for (column, lanes) in tile.iter().enumerate().take(self.columns) {
                let pixel = line + column * self.map.channels;
                let sum = std::array::from_fn(|lane| lanes[lane] + shift[lane]);
                store::<E, FULL>(&mut self.y[pixel + channels.start..pixel + channels.end], &sum);
            }
        }
    }
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
    pub(super) fn tiles(&self, bands: Range<usize>) -> impl Iterator<Item = Tile> + use<> {
        let (first, across, down) = (bands.start, self.across, self.down);
        (0..bands.len() * across).map(move |index| Tile {
            index,
            image: (first + index / across) / down,
            top: (first + index / across) % down * SIDE,
            left: index % across * SIDE,
        })
    }

    /// The element where the first pixel of an input tile that lies inside begins, its row and
    /// column being `row` and `column` of the tile. A tile may lie outside altogether; then nothing
    /// is read from there.
    #[inline(always)]
    pub(super) fn corner(&self, at: &Tile, row: usize, column: usize) -> usize {
        let line = at.image * self.from.height + (at.top + row).saturating_sub(self.pad[0]);
        let pixel = line * self.from.width + (at.left + column).saturating_sub(self.pad[1]);
        pixel * self.from.channels
    }

    /// Transforms the input tiles of these bands: `points[p][tile][channel]`.
    #[inline(always)]
    pub(super) fn transform_input<E: CpuReal>(&self, bands: Range<usize>, x: &[E], points: &mut [&mut [E]]) {
        if let Some(x) = E::f32s(x) {
            let points = points.iter_mut().filter_map(|point| E::f32s_mut(point));
            return self.transform_input_f32(bands, x, &mut points.collect::<Vec<_>>());
        }
        let map = self.from;
        let (mut tile, mut to) = (lanes::zeros(), lanes::zeros());
        for at in self.tiles(bands) {
            let rows = inside(at.top, self.pad[0], 6, map.height);
            let columns = inside(at.left, self.pad[1], 6, map.width);
            let (rows_start, columns_start) = (rows.start, columns.start);
            let mut run = ToPoints::<E, 6> {
                x,
                map,
                rows,
                columns,
                corner: self.corner(&at, rows_start, columns_start),
                tile: &mut tile,
                to: &mut to,
                first: at.index * map.channels,
                points: &mut *points,
            };
            run.clear_border();
            for_runs(map.channels, run);
        }
    }

    /// Transforms the output gradients of these bands: `points[p][tile][channel]`.
    #[inline(always)]
    pub(super) fn transform_gradient<E: CpuReal>(&self, bands: Range<usize>, dy: &[E], points: &mut [&mut [E]]) {
        if let Some(dy) = E::f32s(dy) {
            let points = points.iter_mut().filter_map(|point| E::f32s_mut(point));
            return self.transform_gradient_f32(bands, dy, &mut points.collect::<Vec<_>>());
        }
        let map = self.to;
        let (mut tile, mut to) = (lanes::zeros(), lanes::zeros());
        for at in self.tiles(bands) {
            let pixel = (at.image * map.height + at.top) * map.width + at.left;
            let mut run = ToPoints::<E, 4> {
                x: dy,
                map,
                rows: 0..SIDE.min(map.height - at.top),
                columns: 0..SIDE.min(map.width - at.left),
                corner: pixel * map.channels,
                tile: &mut tile,
                to: &mut to,
                first: at.index * map.channels,
                points: &mut *points,
            };
            run.clear_border();
            for_runs(map.channels, run);
        }
    }

    /// Transforms products back: `y` is the output from the first of these bands on, and point `p`
    /// of `points` lies at `p * stride`.
    #[inline(always)]
    pub(super) fn transform_output<E: CpuReal>(
        &self,
        bands: Range<usize>,
        (points, stride): (&[E], usize),
        bias: Option<&[E]>,
        y: &mut [E],
    ) {
        if let (Some(points), Some(y)) = (E::f32s(points), E::f32s_mut(y)) {
            let bias = bias.and_then(|bias| E::f32s(bias));
            return self.transform_output_f32(bands, (points, stride), bias, y);
        }
        let map = self.to;
        let before = self.offset(bands.start);
        let mut from = lanes::zeros();
        for at in self.tiles(bands) {
            let pixel = (at.image * map.height + at.top) * map.width + at.left;
            let run = FromPoints {
                points,
                stride,
                first: at.index * map.channels,
                bias,
                y: &mut *y,
                map,
                rows: map.height - at.top,
                columns: map.width - at.left,
                corner: pixel * map.channels - before,
                from: &mut from,
            };
            for_runs(map.channels, run);
        }
    }
}
