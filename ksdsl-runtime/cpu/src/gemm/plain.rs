//! Products of `f64`, the reference precision, in loops that the compiler vectorises.

use super::super::simd::Level;
use super::{Mat, Start};
use crate::real::CpuReal;

/// Rows and columns of a tile, whose sums stay in registers.
const ROWS: usize = 4;
const COLUMNS: usize = 8;
/// Rows whose products a weight gradient sums before it adds the sum to what is in memory.
const RUN: usize = 128;

/// As [`super::leading_product`], with the right factor row after row, `stride` apart, and with its first `cols` columns.
/// `a` must fit its slice, and a bias must have a value per column.
pub(super) fn product<E: CpuReal>(
    c: &mut [E],
    c_stride: usize,
    start: Start<'_, E>,
    a: Mat<'_, E>,
    (b, stride, cols): (&[E], usize, usize),
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
                    let term = |term: usize| of_a.map(|row| row[term]);
                    let sums = tile(a.cols, term, &b[column..], stride, width);
                    for (row, sums) in sums.iter().enumerate().take(rows) {
                        let c = &mut c[(first + row) * c_stride + column..][..width];
                        add_start(c, start, column, sums);
                    }
                }
            }
        },
    );
}

/// As [`super::product_of_transposed`]. The matrices must fit their slices.
pub(super) fn product_of_transposed<E: CpuReal>(
    c: &mut [E],
    c_stride: usize,
    adds: bool,
    a: Mat<'_, E>,
    b: Mat<'_, E>,
) {
    Level::current().vectorised(
        #[inline(always)]
        || {
            for run in (0..a.rows.max(1)).step_by(RUN) {
                let start = if adds || run > 0 { Start::Sum } else { Start::Zero };
                let terms = RUN.min(a.rows - run);
                let (a_run, b_run) = (&a.values[run * a.row_stride..], &b.values[run * b.row_stride..]);
                for first in (0..a.cols).step_by(ROWS) {
                    let rows = ROWS.min(a.cols - first);
                    for column in (0..b.cols).step_by(COLUMNS) {
                        let width = COLUMNS.min(b.cols - column);
                        let term = |term: usize| padded(&a_run[term * a.row_stride + first..][..rows]);
                        let sums = tile(terms, term, &b_run[column..], b.row_stride, width);
                        for (row, sums) in sums.iter().enumerate().take(rows) {
                            let c = &mut c[(first + row) * c_stride + column..][..width];
                            add_start(c, start, column, sums);
                        }
                    }
                }
            }
        },
    );
}

/// The values, and zeros where there are fewer than `N`.
#[inline(always)]
fn padded<E: CpuReal, const N: usize>(values: &[E]) -> [E; N] {
    let mut all = [E::zero(); N];
    all[..values.len()].copy_from_slice(values);
    all
}

/// The sums over `terms` of a tile of `width` columns: `a` gives the values of a term in all rows, and the rows of
/// the right factor lie `stride` apart.
#[inline(always)]
fn tile<E: CpuReal>(
    terms: usize,
    a: impl Fn(usize) -> [E; ROWS],
    b: &[E],
    stride: usize,
    width: usize,
) -> [[E; COLUMNS]; ROWS] {
    let mut sums = [[E::zero(); COLUMNS]; ROWS];
    for term in 0..terms {
        let columns: [E; COLUMNS] = padded(&b[term * stride..][..width]);
        for (sums, a) in sums.iter_mut().zip(a(term)) {
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum += a * column;
            }
        }
    }
    sums
}

#[inline(always)]
fn add_start<E: CpuReal>(c: &mut [E], start: Start<'_, E>, column: usize, sums: &[E; COLUMNS]) {
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
