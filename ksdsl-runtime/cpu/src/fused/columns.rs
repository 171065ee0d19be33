//! Walking over rows of channels with whole vectors.
//!
//! Rows that are no multiple of the vector width are taken several at a time where that makes one:
//! 16 rows of 17 channels are 17 vectors of 16 lanes. So parameters per channel are laid out as
//! often as there are rows in such a wide row, and sums are kept for each of its columns.

use super::vector::{Vector, VectorPass, lanes};
use crate::CpuBuf;
use crate::real::CpuReal;
use crate::simd::Level;

/// Wide rows have at least this many elements where rows are short,
const LEAST: usize = 64;
/// and at most so many; longer rows stay as they are.
const MOST: usize = 1088;
/// Rows whose sums are kept in the element type: few enough for little rounding.
const RUN: usize = 32;
/// Elements of a run, some kilobytes in each of several buffers, but at least [`RUN`] / 4 rows.
const RUN_LEN: usize = 2048;

/// Elements between two buffers so that they are not a multiple of 4 KiB apart, which would make
/// loads wait for unrelated stores.
pub(super) const APART: usize = 96;

/// How rows are taken together.
#[derive(Clone, Copy)]
pub(crate) struct Columns {
    /// Elements of a row.
    pub(crate) channels: usize,
    /// Elements of a wide row.
    pub(crate) width: usize,
}

impl Columns {
    /// For rows of `channels` elements.
    pub(crate) fn new<E: CpuReal>(level: Level, channels: usize) -> Self {
        let lanes = lanes::<E>(level);
        // The greatest power of two that divides the channels; lanes are a power of two.
        let whole = lanes / lanes.min(1 << channels.trailing_zeros().min(8));
        let width = if channels * whole <= MOST {
            channels * whole
        } else {
            channels
        };
        let width = width * LEAST.div_ceil(width.max(1)).max(1);
        Self { channels, width }
    }

    /// Rows in a wide row.
    pub(crate) fn repeat(&self) -> usize {
        self.width / self.channels
    }

    /// `values` per channel for each column of a wide row.
    pub(crate) fn tile<E: CpuReal>(&self, values: &[E]) -> CpuBuf<E> {
        assert_eq!(values.len(), self.channels, "values per channel");
        let mut tiled = CpuBuf::scratch(self.width);
        for row in tiled.chunks_exact_mut(self.channels) {
            row.copy_from_slice(values);
        }
        tiled
    }

    /// Elements of a run: whole wide rows.
    pub(crate) fn run_len(&self) -> usize {
        self.width * (RUN_LEN / self.width).clamp(RUN / 4, RUN)
    }

    /// Elements that an activation of a run is computed in, and its derivative.
    pub(crate) fn run_scratch(&self) -> usize {
        2 * self.run_len() + APART
    }

    /// Adds the columns of a wide row to those of `channels`.
    pub(crate) fn fold(&self, wide: &[f64], sums: &mut [f64]) {
        for row in wide.chunks_exact(self.channels) {
            sums.iter_mut().zip(row).for_each(|(sum, more)| *sum += more);
        }
    }
}

/// Calls `f(element, column, count)` for each vector of `len` elements in rows of `width`; `count`
/// is `LANES` except at ends.
///
/// # Safety
/// As for [`Vector`].
#[inline(always)]
pub(crate) unsafe fn for_vectors<E, V: Vector<E>>(len: usize, width: usize, mut f: impl FnMut(usize, usize, usize)) {
    let mut row = 0;
    while row < len {
        let end = width.min(len - row);
        let mut column = 0;
        while column + V::LANES <= end {
            f(row + column, column, V::LANES);
            column += V::LANES;
        }
        if column < end {
            f(row + column, column, end - column);
        }
        row += width;
    }
}

/// What is summed over rows: `N` sums per column.
pub(crate) trait Terms<E, const N: usize> {
    /// `sums` and the terms of the `count` elements from `at` on, which lie in columns from
    /// `column` on. Mark implementations `#[inline(always)]`.
    ///
    /// # Safety
    /// As for [`Vector`].
    unsafe fn add<V: Vector<E>>(&self, at: usize, column: usize, count: usize, sums: [V; N]) -> [V; N];
}

/// Adds the terms of the `len` elements from `from` on to the sums per column of a wide row, each
/// of `width`. Meant for a run: sums are kept in vectors of `E` until its end.
///
/// # Safety
/// As for [`Vector`]; `sums` must be good for `N * width` values.
#[inline(always)]
pub(crate) unsafe fn add_columns<E, V: Vector<E>, const N: usize>(
    terms: &impl Terms<E, N>,
    from: usize,
    len: usize,
    width: usize,
    sums: *mut f64,
) {
    let rows = len / width;
    let rest = len % width;
    // SAFETY: the caller vouches for all of it.
    unsafe {
        add_whole::<E, V, N>(terms, from, (rows, width), width, sums);
        if rest > 0 {
            add_whole::<E, V, N>(terms, from + rows * width, (1, rest), width, sums);
        }
    }
}

/// As [`add_columns`] for the first `columns` of each of `rows` rows.
///
/// # Safety
/// As for [`add_columns`].
#[inline(always)]
unsafe fn add_whole<E, V: Vector<E>, const N: usize>(
    terms: &impl Terms<E, N>,
    from: usize,
    (rows, columns): (usize, usize),
    width: usize,
    sums: *mut f64,
) {
    let mut column = 0;
    // SAFETY: the caller vouches for features and pointers.
    unsafe {
        while column + 4 * V::LANES <= columns {
            add_block::<E, V, N, 4>(terms, from, rows, column, V::LANES, width, sums);
            column += 4 * V::LANES;
        }
        while column + V::LANES <= columns {
            add_block::<E, V, N, 1>(terms, from, rows, column, V::LANES, width, sums);
            column += V::LANES;
        }
        if column < columns {
            add_block::<E, V, N, 1>(terms, from, rows, column, columns - column, width, sums);
        }
    }
}

/// `K` vectors of columns from `column` on, the last of `count` elements.
///
/// # Safety
/// As for [`add_columns`].
#[inline(always)]
unsafe fn add_block<E, V: Vector<E>, const N: usize, const K: usize>(
    terms: &impl Terms<E, N>,
    from: usize,
    rows: usize,
    column: usize,
    count: usize,
    width: usize,
    sums: *mut f64,
) {
    // SAFETY: the caller vouches for features and pointers.
    unsafe {
        let mut block = [[V::splat(0.0); N]; K];
        for row in 0..rows {
            for (k, block) in block.iter_mut().enumerate() {
                let column = column + k * V::LANES;
                *block = terms.add(from + row * width + column, column, count, *block);
            }
        }
        for (k, block) in block.iter().enumerate() {
            for (n, sum) in block.iter().enumerate() {
                sum.add_to(sums.add(n * width + column + k * V::LANES), count);
            }
        }
    }
}

/// The terms of `len` elements.
pub(crate) struct AddAll<T> {
    pub(crate) terms: T,
    pub(crate) len: usize,
    pub(crate) columns: Columns,
    /// For each column of a wide row.
    pub(crate) sums: *mut f64,
}

impl<E> AddAll<Plain<E>> {
    /// The `len` elements from `start` on.
    pub(crate) fn new(start: *const E, len: usize, columns: Columns, sums: *mut f64) -> Self {
        let terms = Plain(start);
        Self {
            terms,
            len,
            columns,
            sums,
        }
    }
}

impl<E: CpuReal, T: Terms<E, 1>> VectorPass<E> for AddAll<T> {
    #[inline(always)]
    unsafe fn run<V: Vector<E>>(self) {
        let run = self.columns.run_len();
        for from in (0..self.len).step_by(run) {
            let len = run.min(self.len - from);
            // SAFETY: the caller vouches for features and pointers.
            unsafe { add_columns::<E, V, 1>(&self.terms, from, len, self.columns.width, self.sums) };
        }
    }
}

/// The elements themselves.
pub(crate) struct Plain<E>(pub(crate) *const E);

impl<E> Terms<E, 1> for Plain<E> {
    #[inline(always)]
    unsafe fn add<V: Vector<E>>(&self, at: usize, _: usize, count: usize, [sum]: [V; 1]) -> [V; 1] {
        // SAFETY: the caller vouches for the elements.
        unsafe { [sum.add(V::load(self.0.add(at), count))] }
    }
}
