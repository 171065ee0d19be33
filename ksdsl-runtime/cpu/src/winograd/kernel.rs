//! Kernels to the 36 points, and their gradients back.
//!
//! Separate from the convolutions: a kernel that is shared needs this once per step, not once per
//! visit.

use super::super::gemm::Mat;
use super::super::gemm::Packed;
use super::super::{CpuBuf, par};
use super::lanes::{self, LANES};
use super::points::{POINTS, pieces, room, scratch, stride};
use crate::real::CpuReal;

/// Rows of the transformed kernel per task.
const ROWS: usize = 8;

/// What a transformed kernel is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// The output from the input: matrices `[in][out]`.
    Forward,
    /// The input gradient from the output's: matrices `[out][in]` of the flipped kernel.
    BackwardData,
}

/// `G g G^T` of a kernel `[outputs][inputs][3][3]`, packed point by point.
pub(super) fn transform<E: CpuReal>(
    weight: &[E],
    outputs: usize,
    inputs: usize,
    direction: Direction,
) -> Vec<Packed<E>> {
    let points = transform_plain(weight, outputs, inputs, direction);
    let [rows, columns] = match direction {
        Direction::Forward => [inputs, outputs],
        Direction::BackwardData => [outputs, inputs],
    };
    let mut packed: Vec<_> = (0..POINTS).map(|_| None).collect();
    par::for_rows(&mut packed, 1, 1, |p, packed| {
        let point = &points[p * stride(rows * columns)..];
        packed[0] = Some(Packed::new(Mat::new(point, rows, columns, columns)));
    });
    packed.into_iter().flatten().collect()
}

fn transform_plain<E: CpuReal>(weight: &[E], outputs: usize, inputs: usize, direction: Direction) -> CpuBuf<E> {
    let forward = direction == Direction::Forward;
    // The kernel of row `r`, column `c` of the matrices starts at `r * row_step + c * column_step`.
    let (out_step, in_step) = (inputs * 9, 9);
    let [rows, columns] = if forward { [inputs, outputs] } else { [outputs, inputs] };
    let [row_step, column_step] = if forward {
        [in_step, out_step]
    } else {
        [out_step, in_step]
    };
    let mut points = scratch(rows * columns);
    let mut tasks = pieces(&mut points, rows * columns, ROWS * columns);
    par::for_rows(
        &mut tasks,
        1,
        1,
        #[inline(always)]
        |task, pieces| {
            let pieces = &mut pieces[0];
            let (mut taps, mut to) = (lanes::zeros::<E, 3>(), lanes::zeros());
            for first in (0..columns).step_by(LANES) {
                let last = columns.min(first + LANES);
                for row in 0..ROWS.min(rows - task * ROWS) {
                    for column in first..last {
                        let at = (task * ROWS + row) * row_step + column * column_step;
                        let kernel = &weight[at..at + 9];
                        for (tap, lanes) in taps.as_flattened_mut().iter_mut().enumerate() {
                            lanes[column - first] = kernel[if forward { tap } else { 8 - tap }];
                        }
                    }
                    lanes::kernel(&taps, &mut to);
                    for (piece, lanes) in pieces.iter_mut().zip(to.as_flattened()) {
                        copy(lanes, &mut piece[row * columns + first..row * columns + last]);
                    }
                }
            }
        },
    );
    points
}

/// Copies as many lanes as `to` has; all of them as one vector.
#[inline(always)]
fn copy<E: CpuReal>(lanes: &[E; LANES], to: &mut [E]) {
    match to.as_mut_array() {
        Some(to) => *to = *lanes,
        None => to.copy_from_slice(&lanes[..to.len()]),
    }
}

/// A zero gradient for [`super::backward_weight`].
pub(in super::super) fn no_gradient<E: CpuReal>(outputs: usize, inputs: usize) -> CpuBuf<E> {
    CpuBuf::zeros(room(inputs * outputs))
}

/// Adds `G^T m G` to the gradient `[outputs][inputs][3][3]`, for gradients `points` of the
/// matrices `[in][out]`.
pub(in super::super) fn add_gradient<E: CpuReal>(points: &[E], outputs: usize, inputs: usize, dweight: &mut [E]) {
    let stride = stride(inputs * outputs);
    par::for_rows(
        dweight,
        inputs * 9,
        LANES,
        #[inline(always)]
        |first, dweight| {
            let count = dweight.len() / (inputs * 9);
            let (mut from, mut taps) = (lanes::zeros(), lanes::zeros::<E, 3>());
            for input in 0..inputs {
                for (p, lanes) in from.as_flattened_mut().iter_mut().enumerate() {
                    let at = p * stride + input * outputs + first;
                    let from = &points[at..at + count];
                    match from.as_array() {
                        Some(from) => *lanes = *from,
                        None => lanes[..count].copy_from_slice(from),
                    }
                }
                lanes::kernel_gradient(&from, &mut taps);
                for output in 0..count {
                    let kernel = &mut dweight[(output * inputs + input) * 9..][..9];
                    for (sum, tap) in kernel.iter_mut().zip(taps.as_flattened()) {
                        *sum += tap[output];
                    }
                }
            }
        },
    );
}
