//! What the weight gradient needs of Toom-Cook's algorithm (see [`super::toom`]): by transposition,
//! the same five products of transformed values, of the input as in the forward pass and of `dy`,
//! summed over all tiles and transformed to the three taps of a group only once.

use super::lines::Part;
use super::toom::{POINTS, TILE, load};
use crate::simd::{Lanes, prefetch};

/// `dy` in tiles of three columns that do not overlap.
pub(super) struct Outputs<'a> {
    pub(super) part: Part<'a>,
    /// Tiles in a row.
    pub(super) columns: usize,
    /// Values of the plane of one point.
    pub(super) len: usize,
}

impl Outputs<'_> {
    /// Transforms the channels from `first` on into as many blocks as `planes` holds, each
    /// `[point][row][tile][lane]`; rows outside the map become zero.
    #[inline(always)]
    pub(super) fn transform<V: Lanes>(&self, first: usize, planes: &mut [f32]) {
        let part = &self.part;
        let (width, channels) = (part.size.width, part.size.channels);
        let inside = part.inside(0);
        let row_len = self.columns * V::LANES;
        for plane in planes.chunks_exact_mut(self.len) {
            plane[..inside.start * row_len].fill(0.0);
            plane[inside.end * row_len..].fill(0.0);
        }
        for row in inside {
            let y = row.wrapping_add_signed(part.origin[0]);
            let pixels = &part.image[y * width * channels..][..width * channels];
            for tile in 0..self.columns {
                let at = row * row_len + tile * V::LANES;
                let pixels = &pixels[tile * TILE * channels + first..];
                self.transform_tile::<V>(pixels, TILE.min(width - tile * TILE), &mut planes[at..]);
            }
        }
    }

    /// The first `count` pixels of `pixels`, for all blocks; `planes` starts at the tile's place in
    /// the first.
    #[inline(always)]
    fn transform_tile<V: Lanes>(&self, pixels: &[f32], count: usize, planes: &mut [f32]) {
        let (width, channels) = (self.part.size.width, self.part.size.channels);
        let left = channels.min(pixels.len() - (count - 1) * channels);
        for (block, plane) in planes.chunks_mut(POINTS * self.len).enumerate() {
            let lanes = V::LANES.min(left - block * V::LANES);
            let from = pixels[block * V::LANES..][..(count - 1) * channels + lanes].as_ptr();
            let plane = &mut plane[..(POINTS - 1) * self.len + V::LANES];
            // SAFETY: below `Level::run`. `from` was cut to reach up to the last lane of the last
            // pixel, `plane` from the first point to the last.
            unsafe {
                let mut values = [V::zero(); TILE];
                for (p, value) in values.iter_mut().enumerate() {
                    if p < count {
                        *value = load::<V>(from.wrapping_add(p * channels), lanes);
                        prefetch(from.wrapping_add((width + p) * channels));
                    }
                }
                for (point, value) in transform(values).iter().enumerate() {
                    value.store(plane.as_mut_ptr().add(point * self.len));
                }
            }
        }
    }
}

/// The transformation of three pixels of `dy`: the transpose of what makes outputs of products.
///
/// # Safety
/// Below [`crate::simd::Level::run`] only.
#[inline(always)]
unsafe fn transform<V: Lanes>([a, b, c]: [V; TILE]) -> [V; POINTS] {
    // SAFETY: the caller vouches for the CPU's features.
    unsafe {
        let (sum, two) = (a.add(c), V::splat(2.0));
        [a, sum.add(b), sum.sub(b), c.mul_add(two, b).mul_add(two, a), c]
    }
}

/// The gradient of the three taps of a group, of the sums of products: the transpose of what
/// transforms the taps.
pub(super) fn taps([a, b, c, d, e]: [f32; POINTS]) -> [f32; TILE] {
    let (b, c, d) = (b / 2.0, c / 6.0, d / 6.0);
    [a / 2.0 - b - c + d, c - b + 2.0 * d, 4.0 * d - b - c + e]
}
