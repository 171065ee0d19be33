//! The tiles of `f32` maps: their addresses, and the maps of `vectors`.

use super::super::simd::Level;
use super::points::POINTS;
use super::tiles::{SIDE, Tile, Tiling, inside};
use super::vectors::{Gradient, Input, Output, PIXELS, TileOf};
use ksdsl_engine::size::MapSize;
use std::array::from_fn;
use std::ops::Range;

/// A slice that is written at several places at a time.
#[derive(Clone, Copy)]
struct Target {
    start: *mut f32,
    len: usize,
}

impl Target {
    fn of(values: &mut [f32]) -> Self {
        Self {
            start: values.as_mut_ptr(),
            len: values.len(),
        }
    }

    /// The address of `len` values from `first` on.
    fn at(self, first: usize, len: usize) -> *mut f32 {
        assert!(first + len <= self.len, "a tile lies outside its slice");
        self.start.wrapping_add(first)
    }
}

/// The pixels of a square of `side` pixels whose rows and columns inside the map are given, the
/// first of them at element `corner`; those outside are at `outside`.
fn pixels<const N: usize>(
    map: &MapSize,
    side: usize,
    (rows, columns): (&Range<usize>, &Range<usize>),
    corner: usize,
    x: &[f32],
    outside: &[f32],
) -> [*const f32; N] {
    from_fn(|pixel| {
        let (row, column) = (pixel / side, pixel % side);
        if !rows.contains(&row) || !columns.contains(&column) {
            return outside.as_ptr();
        }
        let ahead = (row - rows.start) * map.width + column - columns.start;
        x[corner + ahead * map.channels..][..map.channels].as_ptr()
    })
}

impl Tiling {
    /// As [`Tiling::transform_input`].
    pub(super) fn transform_input_f32(&self, bands: Range<usize>, x: &[f32], points: &mut [&mut [f32]]) {
        let map = self.from;
        let zeros = vec![0.0; map.channels];
        let points: [_; POINTS] = from_fn(|p| Target::of(points[p]));
        let tile = |at: Tile| {
            let (rows, columns) = (
                inside(at.top, self.pad[0], 6, map.height),
                inside(at.left, self.pad[1], 6, map.width),
            );
            let corner = self.corner(&at, rows.start, columns.start);
            TileOf {
                from: pixels(&map, 6, (&rows, &columns), corner, x, &zeros),
                to: points.map(|point| point.at(at.index * map.channels, map.channels)),
                channels: map.channels,
            }
        };
        // All pixels and points lie in their slices, or the slices above would have panicked.
        Level::current().run(Input(self.tiles(bands).map(tile)));
    }

    /// As [`Tiling::transform_gradient`].
    pub(super) fn transform_gradient_f32(&self, bands: Range<usize>, dy: &[f32], points: &mut [&mut [f32]]) {
        let map = self.to;
        let zeros = vec![0.0; map.channels];
        let points: [_; POINTS] = from_fn(|p| Target::of(points[p]));
        let tile = |at: Tile| {
            let (rows, columns) = (0..SIDE.min(map.height - at.top), 0..SIDE.min(map.width - at.left));
            let pixel = (at.image * map.height + at.top) * map.width + at.left;
            TileOf {
                from: pixels(&map, SIDE, (&rows, &columns), pixel * map.channels, dy, &zeros),
                to: points.map(|point| point.at(at.index * map.channels, map.channels)),
                channels: map.channels,
            }
        };
        // As above.
        Level::current().run(Gradient(self.tiles(bands).map(tile)));
    }

    /// As [`Tiling::transform_output`].
    pub(super) fn transform_output_f32(
        &self,
        bands: Range<usize>,
        (points, stride): (&[f32], usize),
        bias: Option<&[f32]>,
        y: &mut [f32],
    ) {
        let (map, before) = (self.to, self.offset(bands.start));
        let (mut outside, zeros) = (vec![0.0; map.channels], vec![0.0; map.channels]);
        let (y, outside) = (Target::of(y), Target::of(&mut outside));
        let bias = &bias.unwrap_or(&zeros)[..map.channels];
        let tile = |at: Tile| {
            let corner = ((at.image * map.height + at.top) * map.width + at.left) * map.channels - before;
            let to: [*mut f32; PIXELS] = from_fn(|pixel| {
                let (row, column) = (pixel / SIDE, pixel % SIDE);
                if at.top + row >= map.height || at.left + column >= map.width {
                    return outside.at(0, map.channels);
                }
                y.at(corner + (row * map.width + column) * map.channels, map.channels)
            });
            let first = at.index * map.channels;
            TileOf {
                from: from_fn(|p| points[p * stride + first..][..map.channels].as_ptr()),
                to,
                channels: map.channels,
            }
        };
        // As above; the pixels of a tile do not overlap.
        Level::current().run(Output(self.tiles(bands).map(tile), bias.as_ptr()));
    }
}
