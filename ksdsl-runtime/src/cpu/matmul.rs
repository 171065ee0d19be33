//! Matrix products of slices: a checked wrapper of the `gemm` crate.

use crate::scalar::Scalar;

/// A matrix in a slice: element `(i, j)` at `i * row_stride + j * col_stride`.
#[derive(Clone, Copy)]
pub(super) struct Mat<'a, E> {
    pub(super) values: &'a [E],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
}

impl<'a, E> Mat<'a, E> {
    /// Rows of `cols` values that start `row_stride` apart.
    pub(super) fn new(values: &'a [E], rows: usize, cols: usize, row_stride: usize) -> Self {
        Self {
            values,
            rows,
            cols,
            row_stride,
            col_stride: 1,
        }
    }

    /// The transposed matrix.
    pub(super) fn transposed(self) -> Self {
        Self {
            values: self.values,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// Whether all elements lie in the slice.
    pub(super) fn fits(&self) -> bool {
        let last = self.rows.saturating_sub(1) * self.row_stride + self.cols.saturating_sub(1) * self.col_stride;
        self.rows == 0 || self.cols == 0 || last < self.values.len()
    }
}

/// `c = a b`, or `c += a b` when `add`, where row `i` of `c` starts at `i * c_stride`.
pub(super) fn matmul<E: Scalar>(c: &mut [E], c_stride: usize, add: bool, a: Mat<'_, E>, b: Mat<'_, E>) {
    let (rows, cols, depth) = (a.rows, b.cols, a.cols);
    if rows == 0 || cols == 0 {
        return;
    }
    assert_eq!(depth, b.rows, "the inner sizes of a matrix product differ");
    assert!(a.fits() && b.fits(), "a factor lies outside its slice");
    assert!(
        (rows == 1 || c_stride >= cols) && (rows - 1) * c_stride + cols <= c.len(),
        "the product lies outside its slice"
    );
    let stride = |value: usize| value as isize;
    // SAFETY: the assertions above bound all three matrices, the rows of `c` do not overlap, and
    // `c` is borrowed exclusively.
    unsafe {
        E::gemm(
            rows,
            cols,
            depth,
            c.as_mut_ptr(),
            1,
            stride(c_stride),
            add,
            a.values.as_ptr(),
            stride(a.col_stride),
            stride(a.row_stride),
            b.values.as_ptr(),
            stride(b.col_stride),
            stride(b.row_stride),
            E::one(),
            E::one(),
        );
    }
}
