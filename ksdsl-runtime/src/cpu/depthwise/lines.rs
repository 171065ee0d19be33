//! Maps as planes of one vector of channels: `[row][column][lane]`, with zeros where the window
//! reaches beyond the map.
//!
//! In NHWC the pixels of one channel are `channels` values apart, so that a few cache sets hold
//! all of a block's pixels when there are many channels (1 KB apart for 256: 4 sets of 64). As
//! planes they are consecutive lines of the cache, and no kernel has to look for borders.

use crate::cpu::CpuBuf;
use crate::cpu::simd::Lanes;
use crate::geometry::MapSize;
use std::ops::{Deref, DerefMut};

/// Values per line of the cache.
const LINE: usize = 16;

/// Scratch that starts at a line of the cache, so that no vector straddles two.
pub(super) struct Lines {
    values: CpuBuf<f32>,
    start: usize,
    len: usize,
}

impl Lines {
    /// `len` values that must be written before they are read.
    pub(super) fn scratch(len: usize) -> Self {
        let values = CpuBuf::<f32>::scratch(len + LINE);
        // `usize::MAX` where the offset cannot be told: then any place is right, only slower.
        let start = values.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Self { values, start, len }
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

    /// Copies the channels from `first` on to `plane`; lanes beyond the last channel become zero.
    #[inline(always)]
    pub(super) fn copy<V: Lanes>(&self, first: usize, plane: &mut [f32]) {
        let lanes = V::LANES;
        let [rows, columns] = self.extent;
        let (ys, xs) = (self.inside(0), self.inside(1));
        for (row, line) in plane[..rows * columns * lanes]
            .chunks_exact_mut(columns * lanes)
            .enumerate()
        {
            if !ys.contains(&row) || xs.is_empty() {
                line.fill(0.0);
                continue;
            }
            line[..xs.start * lanes].fill(0.0);
            line[xs.end * lanes..].fill(0.0);
            // Both are inside the map here, so the sums are not negative.
            let y = row.wrapping_add_signed(self.origin[0]);
            let x = xs.start.wrapping_add_signed(self.origin[1]);
            let pixels = &self.image[(y * self.size.width + x) * self.size.channels..];
            let line = &mut line[xs.start * lanes..xs.end * lanes];
            copy_channels::<V>(pixels, self.size.channels, first, line);
        }
    }
}

/// Copies a vector of channels from `first` on of each pixel; zeros beyond the last channel.
#[inline(always)]
fn copy_channels<V: Lanes>(pixels: &[f32], channels: usize, first: usize, line: &mut [f32]) {
    let pixels = pixels.chunks_exact(channels).zip(line.chunks_exact_mut(V::LANES));
    if first + V::LANES <= channels {
        for (pixel, lanes) in pixels {
            lanes.copy_from_slice(&pixel[first..first + V::LANES]);
        }
    } else {
        for (pixel, lanes) in pixels {
            let (some, none) = lanes.split_at_mut(channels - first);
            some.copy_from_slice(&pixel[first..]);
            none.fill(0.0);
        }
    }
}

/// Per-channel rows of `len` values, `[channel][len]`, as `[block][len][lane]`: value `at(i)` of
/// the row at place `i`, zeros beyond the last channel.
pub(super) fn blocks(lanes: usize, channels: usize, len: usize, values: &[f32], at: impl Fn(usize) -> usize) -> Lines {
    let count = channels.div_ceil(lanes);
    let mut packed = Lines::scratch(count * len * lanes);
    for (index, value) in packed.iter_mut().enumerate() {
        let channel = index / (len * lanes) * lanes + index % lanes;
        let place = at(index / lanes % len);
        *value = if channel < channels {
            values[channel * len + place]
        } else {
            0.0
        };
    }
    packed
}
