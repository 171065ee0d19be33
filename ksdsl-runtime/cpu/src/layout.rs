//! Between dfdx's NCHW tensors and NHWC activations: transposes of each image.

use super::{CpuBuf, par};
use crate::real::CpuReal;
use ksdsl_engine::size::MapSize;

/// Side of the square blocks a transpose moves, so that both sides stay in the L1 cache.
const BLOCK: usize = 32;

/// Transposes each of `batch` matrices of `rows` by `cols`.
fn transpose<E: CpuReal>(batch: usize, rows: usize, cols: usize, x: &[E]) -> CpuBuf<E> {
    let mut y = CpuBuf::scratch(batch * rows * cols);
    let task = par::rows_per_task(rows).next_multiple_of(BLOCK);
    par::for_rows(&mut y, rows, task, |first, part| {
        // Columns of one matrix after the other.
        let (mut first, mut rest) = (first, part);
        while !rest.is_empty() {
            let (matrix, from) = (first / cols, first % cols);
            let count = (cols - from).min(rest.len() / rows);
            let (y, more) = std::mem::take(&mut rest).split_at_mut(count * rows);
            let x = &x[matrix * rows * cols + from..];
            for top in (0..rows).step_by(BLOCK) {
                for left in (0..count).step_by(BLOCK) {
                    for col in left..count.min(left + BLOCK) {
                        for row in top..rows.min(top + BLOCK) {
                            y[col * rows + row] = x[row * cols + col];
                        }
                    }
                }
            }
            (first, rest) = (first + count, more);
        }
    });
    y
}

pub(super) fn nchw_to_nhwc<E: CpuReal>(size: MapSize, x: &CpuBuf<E>) -> CpuBuf<E> {
    transpose(size.batch, size.channels, size.height * size.width, x)
}

pub(super) fn nhwc_to_nchw<E: CpuReal>(size: MapSize, x: &CpuBuf<E>) -> CpuBuf<E> {
    transpose(size.batch, size.height * size.width, size.channels, x)
}
