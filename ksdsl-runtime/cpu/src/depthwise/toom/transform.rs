//! The input of tiles at the points of the transform.

use super::super::lines::Part;
use super::{POINTS, TILE};
use crate::simd::{Lanes, prefetch};

/// A part of an image in tiles that overlap by two columns.
pub(in crate::depthwise) struct Tiling<'a> {
    pub(in crate::depthwise) part: Part<'a>,
    /// Tiles in a row.
    pub(in crate::depthwise) columns: usize,
    /// Values of the plane of one point.
    pub(in crate::depthwise) len: usize,
}

impl Tiling<'_> {
    /// Transforms the channels from `first` on into as many blocks as `planes` holds, each
    /// `[point][row][tile][lane]`. Rows outside the map are not written.
    #[inline(always)]
    pub(in crate::depthwise) fn transform<V: Lanes>(&self, first: usize, planes: &mut [f32]) {
        let part = &self.part;
        let (width, channels) = (part.size.width, part.size.channels);
        for row in part.inside(0) {
            let y = row.wrapping_add_signed(part.origin[0]);
            let pixels = &part.image[y * width * channels..][..width * channels];
            for (block, plane) in planes.chunks_exact_mut(POINTS * self.len).enumerate() {
                let plane = &mut plane[row * self.columns * V::LANES..];
                self.transform_row::<V>(pixels, first + block * V::LANES, plane);
            }
        }
    }

    /// One row, `pixels`, of one block, whose first channel is `channel`; `plane` starts at the row.
    /// Neighbouring tiles have two pixels in common, which stay in registers.
    #[inline(always)]
    fn transform_row<V: Lanes>(&self, pixels: &[f32], channel: usize, plane: &mut [f32]) {
        let (width, channels) = (self.part.size.width, self.part.size.channels);
        let row = Row {
            from: pixels[channel..].as_ptr(),
            width: width.cast_signed(),
            channels,
            lanes: V::LANES.min(channels - channel),
        };
        let plane = &mut plane[..(POINTS - 1) * self.len + self.columns * V::LANES];
        let mut x = self.part.origin[1];
        // SAFETY: below `Level::run`. `row` reads only inside `pixels`; `plane` was cut to reach from
        // the first tile of the first point to the last tile of the last.
        unsafe {
            let (mut a, mut b) = (row.pixel::<V>(x), row.pixel::<V>(x + 1));
            for tile in 0..self.columns {
                let (c, d, e);
                if x >= -2 && x + 5 <= row.width && row.lanes == V::LANES {
                    let from = row.from.wrapping_offset((x + 2) * channels.cast_signed());
                    let below = from.wrapping_add(width * channels);
                    c = V::load(from);
                    d = V::load(from.add(channels));
                    e = V::load(from.add(2 * channels));
                    prefetch(below);
                    prefetch(below.wrapping_add(channels));
                    prefetch(below.wrapping_add(2 * channels));
                } else {
                    (c, d, e) = (row.pixel::<V>(x + 2), row.pixel::<V>(x + 3), row.pixel::<V>(x + 4));
                }
                let values = transform([a, b, c, d, e]);
                for (point, value) in values.iter().enumerate() {
                    value.store(plane.as_mut_ptr().add(point * self.len + tile * V::LANES));
                }
                (a, b) = (d, e);
                x += TILE.cast_signed();
            }
        }
    }
}

/// A row of pixels, of each of which the first `lanes` channels from `from` on are read.
struct Row {
    from: *const f32,
    width: isize,
    channels: usize,
    lanes: usize,
}

impl Row {
    /// The pixel at `x`, zero outside the row.
    ///
    /// # Safety
    /// Below [`Level::run`] only; all pixels inside the row must be there.
    #[inline(always)]
    unsafe fn pixel<V: Lanes>(&self, x: isize) -> V {
        // SAFETY: the caller vouches for the pixel.
        unsafe {
            if x < 0 || x >= self.width {
                V::zero()
            } else {
                load::<V>(self.from.add(x.unsigned_abs() * self.channels), self.lanes)
            }
        }
    }
}

/// The first `lanes` values at `from`, zeros in the other lanes.
///
/// # Safety
/// Below [`Level::run`] only; the values must be there.
#[inline(always)]
pub(in crate::depthwise) unsafe fn load<V: Lanes>(from: *const f32, lanes: usize) -> V {
    // SAFETY: the caller vouches for the values.
    unsafe {
        if lanes == V::LANES {
            V::load(from)
        } else {
            V::load_some(from, lanes)
        }
    }
}

/// The transformation of five input pixels.
///
/// # Safety
/// Below [`Level::run`] only.
#[inline(always)]
unsafe fn transform<V: Lanes>([a, b, c, d, e]: [V; POINTS]) -> [V; POINTS] {
    // SAFETY: the caller vouches for the CPU's features.
    unsafe {
        let (two, three) = (V::splat(2.0), V::splat(3.0));
        let db = d.sub(b);
        [
            a.sub(c).mul_add(two, db),
            db.sub(b.add(c)),
            b.sub(c).mul_add(three, db),
            db,
            e.sub(c).sub(db.add(db)),
        ]
    }
}
