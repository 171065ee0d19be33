//! Matrix products: of `f32` with kernels, of `f64`, the reference precision, with loops (`plain`).
//!
//! The right factor is packed once and used many times ([`Packed`]); of the left one each value is
//! broadcast from where it lies, so rows need only have their terms in order. A tile of the product
//! stays in registers over all terms: 6 rows of 4 vectors with AVX-512 (24 of 32 registers), 6 of 2
//! with AVX2 (12 of 16).

mod cut;
mod matrix;
mod narrow;
mod panels;
mod plain;
mod row;
#[cfg(test)]
mod tests;
mod tile;
mod transposed;

use super::CpuBuf;
use super::simd::Level;
use crate::real::CpuReal;
pub(super) use cut::{packing_scratch, product_by_columns, product_packing, product_transposed, transposed_room};
pub(super) use matrix::Mat;
pub(super) use narrow::Narrow;
pub(super) use panels::{Aligned, Shape};
pub(super) use row::{narrow_row_product, row_product, row_scratch};
use tile::{Columns, Init, Product};
pub(super) use tile::{ROWS, Rows, Terms};
pub(super) use transposed::{
    add_gathered, add_transposed, gathered_scratch, product_of_transposed, transposed_scratch,
};

/// What a product is added to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start<'a, E> {
    /// Nothing: what was there is overwritten.
    Zero,
    /// What is there.
    Sum,
    /// One value per column.
    Bias(&'a [E]),
}

impl<'a, E> Start<'a, E> {
    /// The bias if there is one.
    pub(super) fn bias(bias: Option<&'a [E]>) -> Self {
        bias.map_or(Self::Zero, Self::Bias)
    }
}

/// A right factor, ready for products.
#[derive(Debug)]
pub(super) struct Packed<E: CpuReal> {
    rows: usize,
    cols: usize,
    storage: Storage<E>,
}

#[derive(Debug)]
enum Storage<E: CpuReal> {
    /// In panels for the tiles of a level.
    Panels(Shape, Aligned),
    /// Row after row.
    Plain(CpuBuf<E>),
}

/// Values that a packed matrix of `f32` takes.
pub(super) fn packed_room(level: Level, [rows, cols]: [usize; 2]) -> usize {
    Aligned::room(Shape { level, rows, cols }.len())
}

impl<E: CpuReal> Packed<E> {
    /// Packs a matrix for the level in force.
    pub(super) fn new(b: Mat<'_, E>) -> Self {
        assert!(b.fits(), "a factor lies outside its slice");
        let (rows, cols) = (b.rows, b.cols);
        let storage = if let Some(values) = E::f32s(b.values) {
            let level = Level::current();
            let shape = Shape { level, rows, cols };
            let mut packed = Aligned::scratch(shape.len());
            shape.pack_in_parallel(values, [b.row_stride, b.col_stride], &mut packed);
            Storage::Panels(shape, packed)
        } else {
            let mut plain = CpuBuf::scratch(rows * cols);
            for (row, to) in plain.chunks_exact_mut(cols.max(1)).enumerate() {
                let from = b.values[row * b.row_stride..].iter().step_by(b.col_stride.max(1));
                to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
            }
            Storage::Plain(plain)
        };
        Self { rows, cols, storage }
    }
}

/// Asserts that a bias has one value per column.
fn check_bias<E>(start: Start<'_, E>, cols: usize) {
    if let Start::Bias(bias) = start {
        assert!(bias.len() >= cols, "a bias is too short");
    }
}

/// `c = start + a b`, where row `i` of `c` starts at `i * c_stride` and the rows of `a` are
/// contiguous.
///
/// Each row of the product is computed alike, whatever the other rows hold and however many there are:
/// rows may be other items of a batch.
pub(super) fn product<E: CpuReal>(c: &mut [E], c_stride: usize, start: Start<'_, E>, a: Mat<'_, E>, b: &Packed<E>) {
    assert_eq!(a.cols, b.rows, "the inner sizes of a matrix product differ");
    leading_product(c, c_stride, start, a, (b, b.cols));
}

/// As [`product`] with a part of `b`: as many of its first rows as `a` has columns, and this many of its first columns,
/// or some more, if it has them.
pub(super) fn leading_product<E: CpuReal>(
    c: &mut [E],
    c_stride: usize,
    start: Start<'_, E>,
    a: Mat<'_, E>,
    (b, cols): (&Packed<E>, usize),
) {
    assert!(
        a.fits() && a.col_stride == 1 && a.cols <= b.rows && cols <= b.cols,
        "unfit factors of a product"
    );
    match &b.storage {
        Storage::Panels(shape, _) => {
            let (rows, terms) = (Rows::Strided(a.row_stride), Terms::contiguous(a.cols));
            // Whole vectors, if the factor has them: those of a part take longer.
            let cols = cols.next_multiple_of(shape.level.lanes()).min(b.cols);
            let a = (a.values, a.rows, rows, terms);
            panel_product(c, Rows::Strided(c_stride), start, a, (b, cols));
        }
        Storage::Plain(values) => {
            check_bias(start, cols);
            plain::product(c, c_stride, start, a, (&values[..], b.cols, cols));
        }
    }
}

/// As [`product`], for `f32` only: `a` is given as the values, the number of rows, where they
/// start, and where the terms lie in a row.
pub(super) fn gather_product<E: CpuReal>(
    c: &mut [E],
    c_rows: Rows<'_>,
    start: Start<'_, E>,
    a: (&[E], usize, Rows<'_>, Terms<'_>),
    b: &Packed<E>,
) {
    assert_eq!(a.3.count(), b.rows, "the inner sizes of a matrix product differ");
    panel_product(c, c_rows, start, a, (b, b.cols));
}

/// As [`gather_product`] with as many of the rows of `b` as there are terms, and with its first columns.
fn panel_product<E: CpuReal>(
    c: &mut [E],
    c_rows: Rows<'_>,
    start: Start<'_, E>,
    (values, rows, a_rows, terms): (&[E], usize, Rows<'_>, Terms<'_>),
    (b, cols): (&Packed<E>, usize),
) {
    if rows == 0 || cols == 0 {
        return;
    }
    let (Storage::Panels(shape, panels), Some(values)) = (&b.storage, E::f32s(values)) else {
        unreachable!("only `f32` has panels");
    };
    check_bias(start, cols);
    assert!(
        terms.count() <= b.rows && cols <= b.cols,
        "a part of a factor lies outside it"
    );
    let inside = terms.count() == 0 || a_rows.last(rows) + terms.last() < values.len();
    assert!(inside, "a factor lies outside its slice");
    assert!(
        c_rows.last(rows) + cols <= c.len(),
        "the product lies outside its slice"
    );
    let init = match start {
        Start::Zero => Init::Zero,
        Start::Sum => Init::Sum,
        Start::Bias(bias) => Init::Bias(bias.as_ptr().cast()),
    };
    // All of the left factor, the terms, the right factor and the product lie in their slices, as
    // asserted; `c` is borrowed exclusively.
    shape.level.run(Product {
        rows,
        a: values.as_ptr(),
        a_rows,
        terms,
        b: Columns {
            count: cols,
            ..shape.columns(panels.as_ptr())
        },
        c: c.as_mut_ptr().cast(),
        c_rows,
        init,
    });
}
