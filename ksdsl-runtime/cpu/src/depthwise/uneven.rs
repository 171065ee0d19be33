//! Parts of a map that are too [uneven](crate::uneven) for Toom-Cook's algorithm, by block of channels.

use super::lines::Part;
use crate::simd::Lanes;
use crate::uneven;

/// Most lanes of a vector.
const MOST_LANES: usize = 16;

/// The greatest magnitude in each column of a part, of the channels of one block: lanes beyond the last
/// channel are zero.
#[inline(always)]
fn columns<V: Lanes>(part: &Part, channel: usize) -> Vec<[u32; MOST_LANES]> {
    let (width, channels) = (part.size.width, part.size.channels);
    let lanes = V::LANES.min(channels - channel);
    let mut greatest = vec![[0.0_f32; MOST_LANES]; width];
    for row in part.inside(0) {
        let y = row.wrapping_add_signed(part.origin[0]);
        let pixels = &part.image[y * width * channels..][..width * channels];
        for (pixel, greatest) in pixels.chunks_exact(channels).zip(&mut greatest) {
            let pixel = &pixel[channel..channel + lanes];
            // SAFETY: below `Level::run`; the pixel has `lanes` values, `greatest` a vector or more.
            unsafe {
                let value: V = super::toom::load(pixel.as_ptr(), lanes);
                let most = V::load(greatest.as_ptr());
                value.abs().greater_bits(most).store(greatest.as_mut_ptr());
            }
        }
    }
    greatest.iter().map(|lanes| lanes.map(f32::to_bits)).collect()
}

/// Windows of `length` columns of a map, each a column behind the one before.
#[derive(Clone, Copy)]
pub(super) struct Windows {
    /// The first column of the first one; it may be outside the map.
    pub(super) first: isize,
    pub(super) length: usize,
    pub(super) count: usize,
}

/// Whether the block of channels from `channel` on is uneven in these windows. An output reads a window as long as a
/// row of taps.
///
/// The algorithm mixes along the rows only, so of a window its columns count.
#[inline(always)]
pub(super) fn is_uneven<V: Lanes>(part: &Part, channel: usize, windows: Windows) -> bool {
    let columns = columns::<V>(part, channel);
    let of_lane = |lane: usize, columns: &[[u32; MOST_LANES]]| {
        let bits = columns.iter().map(|column| column[lane]);
        [bits.clone().max().unwrap_or(0), bits.min().unwrap_or(0)]
    };
    (0..V::LANES).any(|lane| {
        let [greatest, least] = of_lane(lane, &columns);
        // No window has less than its least column.
        if !uneven::is_uneven(greatest, least) {
            return false;
        }
        let Windows { first, length, count } = windows;
        let windows = (0..count.cast_signed()).filter_map(|window| {
            let first = first + window;
            let clip = |at: isize| usize::try_from(at).unwrap_or(0).min(columns.len());
            let window = &columns[clip(first)..clip(first + length.cast_signed())];
            (!window.is_empty()).then(|| of_lane(lane, window)[0])
        });
        uneven::is_uneven(greatest, windows.min().unwrap_or(greatest))
    })
}
