//! Cutting work into tasks by sizes alone, so that results do not depend on the thread count.

use super::simd::Level;
use super::{CpuBuf, threads};
use crate::scalar::Scalar;
use std::ops::Range;

/// Elements of an element-wise task: large enough to hide the cost of handing it over.
pub(super) const ELEMENTS_PER_TASK: usize = 1 << 14;

/// Items per part so that there are at most `max_parts` parts of at least `least` items.
pub(super) fn items_per_part(items: usize, least: usize, max_parts: usize) -> usize {
    items.div_ceil(max_parts).max(least).max(1)
}

/// Rows per task of a kernel that touches each of `row_len` elements of a row about once.
pub(super) fn rows_per_task(row_len: usize) -> usize {
    ELEMENTS_PER_TASK.div_ceil(row_len.max(1))
}

/// Calls `kernel(first_row, rows)` on pieces of `rows_per_task` rows of `dst`, in parallel.
///
/// The kernel runs inside [`Level::vectorised`]; mark its closure `#[inline(always)]`.
pub(super) fn for_rows<E: Send>(
    dst: &mut [E],
    row_len: usize,
    rows_per_task: usize,
    kernel: impl Fn(usize, &mut [E]) + Sync,
) {
    let (len, all) = (row_len * rows_per_task, dst.len());
    if all == 0 {
        return;
    }
    let level = Level::current();
    let start = Start(dst.as_mut_ptr());
    threads::for_each(all.div_ceil(len.max(1)), &|index| {
        let first = index * len;
        // SAFETY: the pieces lie inside `dst`, which is borrowed until the loop is done, and do not
        // overlap: `for_each` hands out each index once.
        let part = unsafe { std::slice::from_raw_parts_mut(start.at(first), len.min(all - first)) };
        level.scope(|| {
            level.vectorised(
                #[inline(always)]
                || kernel(index * rows_per_task, part),
            );
        });
    });
}

/// Calls `kernel` on ranges of `rows_per_task` of `rows` rows, in parallel.
pub(super) fn for_ranges(rows: usize, rows_per_task: usize, kernel: impl Fn(Range<usize>) + Sync) {
    let level = Level::current();
    threads::for_each(rows.div_ceil(rows_per_task.max(1)), &|index| {
        let first = index * rows_per_task;
        level.scope(|| kernel(first..rows.min(first + rows_per_task)));
    });
}

/// The start of a slice whose pieces several threads write.
pub(super) struct Start<E>(pub(super) *mut E);

impl<E> Start<E> {
    /// # Safety
    /// As for [`pointer::add`].
    pub(super) unsafe fn at(&self, index: usize) -> *mut E {
        // SAFETY: the caller vouches for the index.
        unsafe { self.0.add(index) }
    }
}

// SAFETY: used for disjoint pieces of a slice of `Send` elements only.
unsafe impl<E: Send> Send for Start<E> {}
// SAFETY: as above.
unsafe impl<E: Send> Sync for Start<E> {}

/// The sum over parts of `rows_per_part` of `rows` rows of what `kernel(rows, sums)` adds to its
/// `len` sums; the parts run in parallel and are added in order.
pub(super) fn sum_parts<E: Scalar>(
    rows: usize,
    rows_per_part: usize,
    len: usize,
    kernel: impl Fn(Range<usize>, &mut [E]) + Sync,
) -> CpuBuf<E> {
    let parts = rows.div_ceil(rows_per_part).max(1);
    let mut partials = CpuBuf::zeros(parts * len);
    for_rows(
        &mut partials,
        len,
        1,
        #[inline(always)]
        |part, sums| {
            let first = part * rows_per_part;
            kernel(first..rows.min(first + rows_per_part), sums);
        },
    );
    if parts == 1 {
        return partials;
    }
    let mut total = CpuBuf::scratch(len);
    for_rows(
        &mut total,
        1,
        ELEMENTS_PER_TASK,
        #[inline(always)]
        |first, total| {
            let columns = first..first + total.len();
            total.copy_from_slice(&partials[columns.clone()]);
            for part in partials.chunks_exact(len).skip(1) {
                for (sum, &more) in total.iter_mut().zip(&part[columns.clone()]) {
                    *sum += more;
                }
            }
        },
    );
    total
}
