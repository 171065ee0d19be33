//! Matrix products: of `f32` with kernels of our own, of `f64`, the reference precision, by the
//! `gemm` crate.
//!
//! The right factor is packed once and used many times ([`Packed`]); of the left one each value is
//! broadcast from where it lies, so rows need only have their terms in order. A tile of the product
//! stays in registers over all terms: 6 rows of 4 vectors with AVX-512 (24 of 32 registers), 6 of 2
//! with AVX2 (12 of 16).

mod panels;
mod strassen;
#[cfg(test)]
pub(super) mod tests;
mod tile;
mod transposed;

use super::CpuBuf;
use super::matmul::{Mat, matmul};
use super::simd::Level;
use crate::scalar::Scalar;
pub(super) use panels::{Aligned, Shape};
use strassen::Quarters;
use tile::{Init, Product};
pub(super) use tile::{Rows, Terms};
pub(super) use transposed::{add_gathered, add_transposed};

/// What a product is added to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start<'a, E> {
    /// Nothing: what was there is overwritten.
    Zero,
    /// What is there.
    #[cfg_attr(not(test), expect(dead_code))]
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
pub(super) struct Packed<E: Scalar> {
    rows: usize,
    cols: usize,
    form: Form<E>,
}

#[derive(Debug)]
enum Form<E: Scalar> {
    /// In panels for the tiles of a level, and in quarters if it is large.
    Panels(Shape, Aligned, Option<Quarters>),
    /// Row after row.
    Plain(CpuBuf<E>),
}

impl<E: Scalar> Packed<E> {
    /// As [`Packed::new`], and for Strassen's algorithm if it is large enough: for products of many
    /// rows, as packing takes longer.
    pub(super) fn for_many_rows(b: Mat<'_, E>) -> Self {
        let mut packed = Self::new(b);
        if let (Form::Panels(shape, _, quarters), Some(values)) = (&mut packed.form, E::f32s(b.values)) {
            *quarters = Quarters::new(*shape, values, [b.row_stride, b.col_stride]);
        }
        packed
    }

    /// Packs a matrix for the level in force.
    pub(super) fn new(b: Mat<'_, E>) -> Self {
        assert!(b.fits(), "a factor lies outside its slice");
        let (rows, cols) = (b.rows, b.cols);
        let form = if let Some(values) = E::f32s(b.values) {
            let level = Level::current();
            let shape = Shape { level, rows, cols };
            let mut packed = Aligned::scratch(shape.len());
            shape.pack(values, [b.row_stride, b.col_stride], &mut packed);
            Form::Panels(shape, packed, None)
        } else {
            let mut plain = CpuBuf::scratch(rows * cols);
            for (row, to) in plain.chunks_exact_mut(cols.max(1)).enumerate() {
                let from = b.values[row * b.row_stride..].iter().step_by(b.col_stride.max(1));
                to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
            }
            Form::Plain(plain)
        };
        Self { rows, cols, form }
    }

    /// Terms of each sum.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of the products.
    pub(super) fn cols(&self) -> usize {
        self.cols
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
pub(super) fn product<E: Scalar>(c: &mut [E], c_stride: usize, start: Start<'_, E>, a: Mat<'_, E>, b: &Packed<E>) {
    match &b.form {
        Form::Panels(_, _, quarters) => {
            assert!(
                a.fits() && a.col_stride == 1 && a.cols == b.rows,
                "unfit factors of a product"
            );
            let done = quarters
                .as_ref()
                .map_or(0, |quarters| large_product(c, c_stride, start, a, quarters, b));
            if done == a.rows {
                return;
            }
            let (c, values) = (&mut c[done * c_stride..], &a.values[done * a.row_stride..]);
            let rows = Rows::Strided(a.row_stride);
            let terms = Terms::contiguous(a.cols);
            gather_product(
                c,
                Rows::Strided(c_stride),
                start,
                (values, a.rows - done, rows, terms),
                b,
            );
        }
        Form::Plain(plain) => {
            check_bias(start, b.cols);
            if let Start::Bias(bias) = start {
                let rows = c.chunks_mut(c_stride.max(1)).take(a.rows);
                rows.for_each(|row| row[..b.cols].copy_from_slice(&bias[..b.cols]));
            }
            let add = !matches!(start, Start::Zero);
            matmul(c, c_stride, add, a, Mat::new(plain, b.rows, b.cols, b.cols));
        }
    }
}

/// As [`product`] for a large right factor, of as many rows as can be taken; returns how many.
fn large_product<E: Scalar>(
    c: &mut [E],
    c_stride: usize,
    start: Start<'_, E>,
    a: Mat<'_, E>,
    quarters: &Quarters,
    b: &Packed<E>,
) -> usize {
    let bias = match start {
        Start::Zero => std::ptr::null(),
        Start::Sum => return 0,
        Start::Bias(bias) => bias.as_ptr(),
    };
    check_bias(start, b.cols);
    let inside = a.rows == 0 || (a.rows - 1) * c_stride + b.cols <= c.len();
    assert!(inside, "the product lies outside its slice");
    // SAFETY: `a` fits its slice and the product its own, as asserted here and by the caller; `c` is
    // borrowed exclusively, and only `f32` has quarters.
    unsafe {
        quarters.product(
            a.rows,
            [a.values.as_ptr().cast(), bias.cast()],
            a.row_stride,
            c.as_mut_ptr().cast(),
            c_stride,
        )
    }
}

/// As [`product`], for `f32` only: `a` is given as the values, the number of rows, where they
/// start, and where the terms lie in a row.
pub(super) fn gather_product<E: Scalar>(
    c: &mut [E],
    c_rows: Rows<'_>,
    start: Start<'_, E>,
    (values, rows, a_rows, terms): (&[E], usize, Rows<'_>, Terms<'_>),
    b: &Packed<E>,
) {
    if rows == 0 || b.cols == 0 {
        return;
    }
    let (Form::Panels(shape, panels, _), Some(values)) = (&b.form, E::f32s(values)) else {
        unreachable!("only `f32` has panels");
    };
    check_bias(start, b.cols);
    assert_eq!(terms.count(), b.rows, "the inner sizes of a matrix product differ");
    let inside = terms.count() == 0 || a_rows.last(rows) + terms.last() < values.len();
    assert!(inside, "a factor lies outside its slice");
    assert!(
        c_rows.last(rows) + b.cols <= c.len(),
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
        b: shape.columns(panels.as_ptr()),
        c: c.as_mut_ptr().cast(),
        c_rows,
        init,
    });
}
