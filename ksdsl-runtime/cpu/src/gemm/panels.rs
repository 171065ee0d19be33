//! The right factor of a product in panels as wide as a tile, and aligned scratch.

use super::super::simd::{Level, prefetch};
use super::super::{CpuBuf, par};
use super::tile::Columns;
use std::ops::{Deref, DerefMut};

/// Values per line of the cache.
pub(super) const LINE: usize = 16;

/// Columns of a full panel: those of a tile at this level.
pub(in super::super) fn panel_width(level: Level) -> usize {
    if level == Level::Avx512 { 64 } else { 16 }
}

/// Scratch from the pool that starts at a line of the cache.
#[derive(Debug)]
pub(in super::super) struct Aligned {
    values: CpuBuf<f32>,
    start: usize,
}

impl Aligned {
    /// Values that are allocated for `len`.
    pub(in super::super) fn room(len: usize) -> usize {
        len + LINE
    }

    /// `len` values that must be written before they are read.
    pub(in super::super) fn scratch(len: usize) -> Self {
        let values = CpuBuf::<f32>::scratch(Self::room(len));
        // `usize::MAX` where the offset cannot be told: then any place is right, only slower.
        let start = values.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Self { values, start }
    }
}

impl Deref for Aligned {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        let len = self.values.len() - LINE;
        &self.values[self.start..][..len]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        let len = self.values.len() - LINE;
        &mut self.values[self.start..][..len]
    }
}

/// How many rows ahead of the one that is packed lines are asked for.
pub(super) const AHEAD: usize = 8;
/// Rows that are transposed together: those of a line of the cache.
const TRANSPOSED: usize = LINE;

/// Packs rows of `columns` values of a panel of rows of `width`.
#[inline(always)]
fn pack_rows(panel: &mut [f32], width: usize, columns: usize, values: &[f32], [row_stride, col_stride]: [usize; 2]) {
    if row_stride == 1 && col_stride != 1 {
        return transpose_rows(panel, width, columns, values, col_stride);
    }
    for (row, to) in panel.chunks_exact_mut(width).enumerate() {
        let from = &values[row * row_stride..];
        if col_stride == 1 {
            // Rows may lie far apart, where the CPU does not foresee the next one.
            for line in (0..columns).step_by(LINE) {
                prefetch(from.as_ptr().wrapping_add(AHEAD * row_stride + line));
            }
            to[..columns].copy_from_slice(&from[..columns]);
        } else {
            let from = from.iter().step_by(col_stride);
            to[..columns].iter_mut().zip(from).for_each(|(to, &from)| *to = from);
        }
        to[columns..].fill(0.0);
    }
}

/// As [`pack_rows`] where columns are contiguous, `stride` apart: whole lines of them are read at a time.
#[inline(always)]
fn transpose_rows(panel: &mut [f32], width: usize, columns: usize, values: &[f32], stride: usize) {
    for (block, to) in panel.chunks_mut(TRANSPOSED * width).enumerate() {
        for column in 0..columns {
            let from = &values[column * stride + block * TRANSPOSED..];
            let to = to[column..].iter_mut().step_by(width);
            to.zip(from).for_each(|(to, &from)| *to = from);
        }
        for row in to.chunks_exact_mut(width) {
            row[columns..].fill(0.0);
        }
    }
}

/// The shape of a packed factor: panels of [`panel_width`] columns, the last one of as many whole
/// vectors as its columns need, each panel `[row][column]`.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Shape {
    pub(in super::super) level: Level,
    pub(in super::super) rows: usize,
    pub(in super::super) cols: usize,
}

impl Shape {
    /// Elements with the padding.
    pub(in super::super) fn len(&self) -> usize {
        self.cols.next_multiple_of(self.level.lanes()) * self.rows
    }

    /// Panels as `(first column, columns, columns with the padding)`.
    pub(in super::super) fn panels(self) -> impl Iterator<Item = (usize, usize, usize)> {
        let width = panel_width(self.level);
        (0..self.cols).step_by(width).map(move |first| {
            let columns = width.min(self.cols - first);
            (first, columns, columns.next_multiple_of(self.level.lanes()))
        })
    }

    /// Packs rows of a matrix whose element `(i, j)` lies at `i * row_stride + j * col_stride`.
    #[inline(always)]
    pub(super) fn pack(self, values: &[f32], strides: [usize; 2], packed: &mut [f32]) {
        let mut rest = &mut packed[..self.len()];
        for (first, columns, width) in self.panels() {
            let (panel, after) = rest.split_at_mut(self.rows * width);
            rest = after;
            pack_rows(panel, width, columns, &values[first * strides[1]..], strides);
        }
    }

    /// As [`Shape::pack`], in parallel.
    pub(super) fn pack_in_parallel(self, values: &[f32], strides: [usize; 2], packed: &mut [f32]) {
        let mut rest = &mut packed[..self.len()];
        for (first, columns, width) in self.panels() {
            let (panel, after) = rest.split_at_mut(self.rows * width);
            rest = after;
            par::for_rows(
                panel,
                width,
                par::rows_per_task(width),
                #[inline(always)]
                |row, part| {
                    let values = &values[row * strides[0] + first * strides[1]..];
                    pack_rows(part, width, columns, values, strides);
                },
            );
        }
    }

    /// The packed columns for a product.
    ///
    /// # Safety
    /// `packed` must hold [`Shape::len`] values while the columns are used.
    pub(super) fn columns(self, packed: *const f32) -> Columns {
        Columns {
            start: packed,
            count: self.cols,
            all: self.cols,
            panel: self.rows * panel_width(self.level),
            step: None,
            skip: 0,
        }
    }
}
