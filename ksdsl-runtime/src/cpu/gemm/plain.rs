//! Products of `f64`, the reference precision: every sum over the terms in order, in loops that the
//! compiler makes vectors of.

use super::super::matmul::Mat;
use super::super::simd::Level;
use super::Start;
use crate::scalar::Scalar;

/// Rows and columns of a tile, whose sums stay in registers.
const ROWS: usize = 4;
const COLUMNS: usize = 8;

/// As [`super::product`], with the right factor row after row, each of `cols` values. `a` must fit its
/// slice, and a bias must have a value per column.
pub(super) fn product<E: Scalar>(
    c: &mut [E],
    c_stride: usize,
    start: Start<'_, E>,
    a: Mat<'_, E>,
    (b, cols): (&[E], usize),
) {
    if a.rows == 0 || cols == 0 {
        return;
    }
    assert!(
        (a.rows - 1) * c_stride + cols <= c.len(),
        "the product lies outside its slice"
    );
    Level::current().vectorised(
        #[inline(always)]
        || {
            for first in (0..a.rows).step_by(ROWS) {
                let rows = ROWS.min(a.rows - first);
                // Rows that are missing repeat the last one: all tiles are alike.
                let of_a: [&[E]; ROWS] =
                    std::array::from_fn(|row| &a.values[(first + row.min(rows - 1)) * a.row_stride..][..a.cols]);
                for column in (0..cols).step_by(COLUMNS) {
                    let width = COLUMNS.min(cols - column);
                    let sums = tile(of_a, &b[column..], cols, width);
                    for (row, sums) in sums.iter().enumerate().take(rows) {
                        let c = &mut c[(first + row) * c_stride + column..][..width];
                        add_start(c, start, column, sums);
                    }
                }
            }
        },
    );
}

/// The sums of a tile of `width` columns, of which the rows of the right factor lie `stride` apart.
#[inline(always)]
fn tile<E: Scalar>(a: [&[E]; ROWS], b: &[E], stride: usize, width: usize) -> [[E; COLUMNS]; ROWS] {
    let mut sums = [[E::zero(); COLUMNS]; ROWS];
    for term in 0..a[0].len() {
        let mut columns = [E::zero(); COLUMNS];
        columns[..width].copy_from_slice(&b[term * stride..][..width]);
        for (sums, a) in sums.iter_mut().zip(a) {
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum += a[term] * column;
            }
        }
    }
    sums
}

#[inline(always)]
fn add_start<E: Scalar>(c: &mut [E], start: Start<'_, E>, column: usize, sums: &[E; COLUMNS]) {
    match start {
        Start::Zero => c.copy_from_slice(&sums[..c.len()]),
        Start::Sum => c.iter_mut().zip(sums).for_each(|(c, &sum)| *c += sum),
        Start::Bias(bias) => {
            let bias = &bias[column..];
            c.iter_mut()
                .zip(sums.iter().zip(bias))
                .for_each(|(c, (&sum, &bias))| *c = sum + bias);
        }
    }
}
