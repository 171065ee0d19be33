//! Maps as planes of one vector of channels: `[row][column][lane]`, with zeros where the window
//! reaches beyond the map.
//!
//! In NHWC the pixels of one channel are `channels` values apart, so that a few cache sets hold
//! all of a block's pixels when there are many channels (1 KB apart for 256: 4 sets of 64). As
//! planes they are consecutive lines of the cache, and no kernel has to look for borders.

use crate::CpuBuf;
use crate::simd::{Lanes, prefetch};
use ksdsl_engine::size::MapSize;
use std::ops::{Deref, DerefMut};

/// Values per line of the cache.
const LINE: usize = 16;
/// Room to start at a line; none for sanitizers, which are to notice what lies beyond the last value.
const ROOM: usize = if cfg!(any(miri, ksdsl_exact_buffers)) { 0 } else { LINE };
/// Values of the planes that are in use together: an eighth of an L2 cache of 1 MB, in which the maps
/// before and after, and what else a task does, want room too (measured, docs/benchmarks.md).
const GROUP: usize = 1 << 15;

/// Scratch that starts at a line of the cache, so that no vector straddles two.
pub(super) struct Lines {
    values: CpuBuf<f32>,
    start: usize,
    len: usize,
}

impl Lines {
    /// Values that are allocated for `len`.
    pub(super) fn room(len: usize) -> usize {
        len + ROOM
    }

    /// `len` values that must be written before they are read.
    pub(super) fn scratch(len: usize) -> Self {
        let values = CpuBuf::<f32>::scratch(Self::room(len));
        // `usize::MAX` where the offset cannot be told: then any place is right, only slower.
        let start = values.as_ptr().align_offset(LINE * size_of::<f32>()).min(ROOM);
        Self { values, start, len }
    }

    /// `len` zeros.
    pub(super) fn zeros(len: usize) -> Self {
        let mut lines = Self::scratch(len);
        lines.fill(0.0);
        lines
    }

    /// Makes room for `len` values, which must be written before they are read.
    pub(super) fn resize(&mut self, len: usize) {
        if Self::room(len) <= self.values.len() {
            self.len = len;
        } else {
            *self = Self::scratch(len);
        }
    }
}

impl Deref for Lines {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.values[self.start..][..self.len]
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.start..][..self.len]
    }
}

/// A part of one image, to be copied as a plane.
pub(super) struct Part<'a> {
    /// The image, `[height][width][channels]`.
    pub(super) image: &'a [f32],
    /// Its size; the batch does not matter.
    pub(super) size: MapSize,
    /// The map's row and column that the plane starts at; negative in the padding.
    pub(super) origin: [isize; 2],
    /// Rows and columns of the plane.
    pub(super) extent: [usize; 2],
}

impl Part<'_> {
    /// Rows (axis 0) or columns (axis 1) of the plane that lie inside the map.
    pub(super) fn inside(&self, axis: usize) -> std::ops::Range<usize> {
        let len = [self.size.height, self.size.width][axis];
        let origin = self.origin[axis];
        let clip = |at: isize| usize::try_from(at).unwrap_or(0).min(self.extent[axis]);
        let (start, end) = (clip(-origin), clip(len.cast_signed() - origin));
        start..end.max(start)
    }

    /// Values of a plane. An odd number of vectors, so that the same place of several planes never
    /// falls into one set of the cache.
    pub(super) fn len(&self, lanes: usize) -> usize {
        plane_len(self.extent, lanes)
    }

    /// How many of `blocks` blocks to work on at once, each of `len` values: as many as [`GROUP`] holds.
    pub(super) fn most_blocks(len: usize, blocks: usize) -> usize {
        (GROUP / len).clamp(1, blocks.max(1))
    }

    /// Copies the channels from `first` on to as many planes as `planes` holds (each of
    /// [`Part::len`] values), vector by vector; lanes beyond the last channel become zero.
    ///
    /// All planes are filled in one pass over the pixels: a pixel's vectors are neighbours in
    /// memory, and lines read one by one at a distance of `channels` cost a stall each.
    #[inline(always)]
    pub(super) fn copy<V: Lanes>(&self, first: usize, planes: &mut [f32]) {
        let [rows, columns] = self.extent;
        let (ys, xs) = (self.inside(0), self.inside(1));
        let len = self.len(V::LANES);
        for row in 0..rows {
            let at = row * columns * V::LANES;
            let (left, right) = if ys.contains(&row) && !xs.is_empty() {
                (at + xs.start * V::LANES, at + xs.end * V::LANES)
            } else {
                (at, at)
            };
            for plane in planes.chunks_exact_mut(len) {
                plane[at..left].fill(0.0);
                plane[right..at + columns * V::LANES].fill(0.0);
            }
            if left < right {
                // Both are inside the map here, so the sums are not negative.
                let y = row.wrapping_add_signed(self.origin[0]);
                let x = xs.start.wrapping_add_signed(self.origin[1]);
                let pixels = &self.image[(y * self.size.width + x) * self.size.channels..];
                self.copy_pixels::<V>(pixels, first, &mut planes[left..], xs.len());
            }
        }
    }

    /// One row of `count` pixels; `planes` starts at the first pixel of the first plane.
    #[inline(always)]
    fn copy_pixels<V: Lanes>(&self, pixels: &[f32], first: usize, planes: &mut [f32], count: usize) {
        let (channels, len) = (self.size.channels, self.len(V::LANES));
        for (index, pixel) in pixels.chunks_exact(channels).take(count).enumerate() {
            let at = index * V::LANES;
            let mut chunks = pixel[first..].chunks_exact(V::LANES);
            for (vector, plane) in (&mut chunks).zip(planes.chunks_mut(len)) {
                prefetch(vector.as_ptr().wrapping_add(self.size.width * channels));
                plane[at..at + V::LANES].copy_from_slice(vector);
            }
            let (full, some) = ((channels - first) / V::LANES, chunks.remainder());
            if let (false, Some(plane)) = (some.is_empty(), planes.chunks_mut(len).nth(full)) {
                plane[at..at + some.len()].copy_from_slice(some);
                plane[at + some.len()..at + V::LANES].fill(0.0);
            }
        }
    }
}

/// Values of a plane of these rows and columns, see [`Part::len`].
pub(super) fn plane_len([rows, columns]: [usize; 2], lanes: usize) -> usize {
    ((rows * columns) | 1) * lanes
}

/// Values of so many places of each channel in [`blocks`].
pub(super) fn blocks_len(lanes: usize, channels: usize, places: usize) -> usize {
    channels.div_ceil(lanes) * places * lanes
}

/// Per-channel rows of `len` values, `[channel][len]`, as `[block][place][lane]`: of each row the
/// values at `places`, zeros beyond the last channel.
pub(super) fn blocks(lanes: usize, len: usize, values: &[f32], places: &[usize]) -> Lines {
    let (block, channels) = (places.len() * lanes, values.len() / len);
    let mut packed = Lines::scratch(blocks_len(lanes, channels, places.len()));
    for (packed, values) in packed.chunks_exact_mut(block.max(1)).zip(values.chunks(len * lanes)) {
        if values.len() < len * lanes {
            packed.fill(0.0);
        }
        for (lane, row) in values.chunks_exact(len).enumerate() {
            for (place, &at) in places.iter().enumerate() {
                packed[place * lanes + lane] = row[at];
            }
        }
    }
    packed
}
