//! Cutting work into tasks by sizes alone, so that results do not depend on the thread count.

use super::CpuBuf;
use crate::scalar::Scalar;
use rayon::prelude::*;
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
/// The kernel runs inside [`vectorised`]; mark its closure `#[inline(always)]`.
pub(super) fn for_rows<E: Send>(
    dst: &mut [E],
    row_len: usize,
    rows_per_task: usize,
    kernel: impl Fn(usize, &mut [E]) + Sync,
) {
    let len = row_len * rows_per_task;
    if dst.is_empty() {
        return;
    }
    let task = |(index, part): (usize, &mut [E])| {
        vectorised(
            #[inline(always)]
            || kernel(index * rows_per_task, part),
        );
    };
    if dst.len() <= len {
        task((0, dst));
    } else {
        dst.par_chunks_mut(len).enumerate().for_each(task);
    }
}

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

/// Runs `f`, inlined, in a function compiled for the widest vectors this CPU has.
///
/// Rust never contracts `a * b + c` nor reorders sums, so the results are the same bits whichever
/// version runs.
#[inline(always)]
fn vectorised(f: impl FnOnce()) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw")
        {
            // SAFETY: the features that `avx512` enables were just detected.
            return unsafe { avx512(f) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { avx2(f) };
        }
    }
    f();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw")]
fn avx512(f: impl FnOnce()) {
    f();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(f: impl FnOnce()) {
    f();
}
