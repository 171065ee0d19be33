//! Cutting work into tasks by sizes alone, so that results do not depend on the thread count.

use super::simd::Level;
use super::{CpuBuf, threads};
use crate::real::CpuReal;
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

/// Rows that are cut into tasks, from first to last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    rows: usize,
    tasks: usize,
    /// Rows that stay together, in as equal numbers for each task as there can be; the tasks of [`Cut::new`] have one.
    piece: usize,
}

impl Cut {
    /// Tasks of `task` rows, or of one if that is zero.
    pub(super) fn new(rows: usize, task: usize) -> Self {
        let piece = task.max(1);
        let tasks = rows.div_ceil(piece);
        Self { rows, tasks, piece }
    }

    /// So many tasks, or fewer, of multiples of `piece` rows.
    pub(super) fn even(rows: usize, tasks: usize, piece: usize) -> Self {
        let piece = piece.max(1);
        let tasks = tasks.max(1).min(rows.div_ceil(piece));
        Self { rows, tasks, piece }
    }

    /// Most rows of a task.
    pub(super) fn task(self) -> usize {
        self.pieces().div_ceil(self.tasks.max(1)) * self.piece
    }

    /// The number of tasks.
    pub(super) fn tasks(self) -> usize {
        self.tasks
    }

    fn pieces(self) -> usize {
        self.rows.div_ceil(self.piece)
    }

    /// The rows of a task.
    pub(super) fn range(self, task: usize) -> Range<usize> {
        let start = |task: usize| (task * self.pieces() / self.tasks * self.piece).min(self.rows);
        start(task)..start(task + 1)
    }
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
    let rows = dst.len().div_ceil(row_len.max(1));
    for_cut(dst, row_len, Cut::new(rows, rows_per_task), kernel);
}

/// Calls `body` once with each of `tasks`, in parallel on the team of [`set_threads`](super::set_threads).
pub fn in_parallel<E: Send>(tasks: &mut [E], body: impl Fn(&mut E) + Sync) {
    for_rows(tasks, 1, 1, |_, part| part.iter_mut().for_each(&body));
}

/// As [`for_rows`] for rows that are cut in this way.
pub(super) fn for_cut<E: Send>(dst: &mut [E], row_len: usize, cut: Cut, kernel: impl Fn(usize, &mut [E]) + Sync) {
    let all = dst.len();
    let level = Level::current();
    let start = Start(dst.as_mut_ptr());
    threads::for_each(cut.tasks(), &|index| {
        let rows = cut.range(index);
        let places = (rows.start * row_len).min(all)..(rows.end * row_len).min(all);
        // SAFETY: the pieces lie inside `dst`, which is borrowed until the loop is done, and do not
        // overlap: `for_each` hands out each index once, and the ranges of a cut follow one another.
        let part = unsafe { std::slice::from_raw_parts_mut(start.at(places.start), places.len()) };
        level.scope(|| {
            level.vectorised(
                #[inline(always)]
                || kernel(rows.start, part),
            );
        });
    });
}

/// Calls `kernel` on the ranges of rows of the tasks, in parallel.
pub(super) fn for_ranges(cut: Cut, kernel: impl Fn(Range<usize>) + Sync) {
    let level = Level::current();
    threads::for_each(cut.tasks(), &|index| level.scope(|| kernel(cut.range(index))));
}

/// Calls `kernel(range, parts)` on the parts of slices of one length that are cut at the same places, in parallel.
///
/// The kernel runs inside [`Level::vectorised`]; mark its closure `#[inline(always)]`.
pub(super) fn for_parts<E: Send, const N: usize>(
    slices: [&mut [E]; N],
    kernel: impl Fn(Range<usize>, [&mut [E]; N]) + Sync,
) {
    let len = slices.first().map_or(0, |slice| slice.len());
    assert!(slices.iter().all(|slice| slice.len() == len), "slices of one length");
    let level = Level::current();
    let cut = Cut::new(len, ELEMENTS_PER_TASK);
    let starts = slices.map(|slice| Start(slice.as_mut_ptr()));
    threads::for_each(cut.tasks(), &|index| {
        let range = cut.range(index);
        // SAFETY: as in `for_cut`, for each of the slices.
        let part = |start: &Start<E>| unsafe { std::slice::from_raw_parts_mut(start.at(range.start), range.len()) };
        let parts = starts.each_ref().map(part);
        level.scope(|| {
            level.vectorised(
                #[inline(always)]
                || kernel(range.clone(), parts),
            );
        });
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

/// The number of parts of [`sum_parts`].
pub(super) fn parts(rows: usize, rows_per_part: usize) -> usize {
    rows.div_ceil(rows_per_part).max(1)
}

/// The sum over parts of `rows_per_part` of `rows` rows of what `kernel(rows, sums)` adds to its
/// `len` sums; the parts run in parallel and are added in order.
pub(super) fn sum_parts<E: CpuReal>(
    rows: usize,
    rows_per_part: usize,
    len: usize,
    kernel: impl Fn(Range<usize>, &mut [E]) + Sync,
) -> CpuBuf<E> {
    let parts = parts(rows, rows_per_part);
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

#[cfg(test)]
mod tests {
    use super::Cut;

    fn check(rows: usize, cut: Cut) -> Vec<usize> {
        let ranges: Vec<_> = (0..cut.tasks()).map(|index| cut.range(index)).collect();
        let mut next = 0;
        for range in &ranges {
            assert_eq!(range.start, next);
            assert!(!range.is_empty() && range.len() <= cut.task());
            next = range.end;
        }
        assert_eq!(next, rows);
        ranges.iter().map(|range| range.len()).collect()
    }

    /// Every row once and in order; no task of more rows than said, and none empty.
    #[test]
    fn cuts_follow_one_another() {
        for rows in 0..40 {
            for task in 0..45 {
                let cut = Cut::new(rows, task);
                assert!(check(rows, cut).iter().all(|&len| len <= task.max(1)));
            }
        }
    }

    /// As many tasks as were asked for if there are pieces for them, which differ by a piece at most.
    #[test]
    fn even_cuts_differ_by_one_piece() {
        for rows in 1..60_usize {
            for (tasks, piece) in (1..10).flat_map(|tasks| [1, 6].map(|piece| (tasks, piece))) {
                let lens = check(rows, Cut::even(rows, tasks, piece));
                assert_eq!(lens.len(), tasks.min(rows.div_ceil(piece)));
                let pieces = lens.iter().map(|len| len.div_ceil(piece));
                assert!(pieces.clone().max() <= pieces.min().map(|least| least + 1));
            }
        }
    }
}
