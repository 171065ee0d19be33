//! Products with few rows in `f32`, cut into tasks by their columns: then the right factor, a kernel that is larger than
//! everything else, is read once, on all threads.
//!
//! Each value of a product is the same sum in the same order as in [`super::product`], so has the same bits.

use super::super::par::{Cut as Tasks, Start as Place};
use super::super::simd::Level;
use super::super::{CpuBuf, threads};
use super::panels::{Aligned, Shape, panel_width};
use super::tile::{Columns, Init, Product, RUN, Rows, Terms};
use super::{Mat, Packed, Start, Storage};
use crate::real::CpuReal;
use std::ops::Range;

/// Terms that are multiplied at a time: panels of this many rows stay in the L2 cache.
pub(super) const TERMS: usize = 4 * RUN;

/// The same where the panels are wide, because a task packs so many columns.
const PACKED_TERMS: usize = 2 * RUN;

/// The parts of a number of terms, in order; an empty one if there are none.
fn parts(terms: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let part = move |first| first..terms.min(first + most);
    (0..terms.max(1)).step_by(most).map(part)
}

/// What rows of `c` start with in the first part of the terms, and in the others.
fn init(start: Start<'_, f32>, first_term: usize, column: usize) -> Init {
    match start {
        _ if first_term > 0 => Init::Sum,
        Start::Zero => Init::Zero,
        Start::Sum => Init::Sum,
        Start::Bias(bias) => Init::Bias(bias[column..].as_ptr()),
    }
}

/// A product whose columns several threads write.
struct Cut<'a> {
    c: Place<f32>,
    /// Columns of the product.
    cols: usize,
    start: Start<'a, f32>,
    a: Mat<'a, f32>,
    level: Level,
}

impl<'a> Cut<'a> {
    fn new<E: CpuReal>(c: &'a mut [E], start: Start<'a, E>, a: Mat<'a, E>, [terms, cols]: [usize; 2]) -> Self {
        let start = match start {
            Start::Zero => Start::Zero,
            Start::Sum => Start::Sum,
            Start::Bias(bias) => Start::Bias(single(bias)),
        };
        let a = Mat {
            values: single(a.values),
            rows: a.rows,
            cols: a.cols,
            row_stride: a.row_stride,
            col_stride: a.col_stride,
        };
        assert!(
            a.fits() && a.col_stride == 1 && a.cols == terms,
            "unfit factors of a product"
        );
        assert!(a.rows * cols <= c.len(), "the product lies outside its slice");
        assert!(
            !matches!(start, Start::Bias(bias) if bias.len() < cols),
            "a bias is too short"
        );
        let Some(c) = E::f32s_mut(c) else {
            unreachable!("only `f32` is cut")
        };
        let c = Place(c.as_mut_ptr());
        let level = Level::current();
        Self {
            c,
            cols,
            start,
            a,
            level,
        }
    }

    /// Calls `body` with the ranges of columns of the tasks, in parallel, at the level in force.
    fn for_each(&self, tasks: Tasks, body: impl Fn(Range<usize>) + Sync) {
        threads::for_each(tasks.tasks(), &|task| self.level.scope(|| body(tasks.range(task))));
    }

    /// Runs the product of some terms with these columns, which are `b`.
    ///
    /// # Safety
    /// `b` must hold the terms and columns, and nobody else may use these columns of the product.
    unsafe fn run(&self, terms: Range<usize>, first: usize, b: Columns) {
        if self.a.rows == 0 || b.count == 0 {
            return;
        }
        // SAFETY: inside the product, whose size was asserted.
        let c = unsafe { self.c.at(first) };
        self.level.run(Product {
            rows: self.a.rows,
            a: self.a.values[terms.start.min(self.a.values.len())..].as_ptr(),
            a_rows: Rows::Strided(self.a.row_stride),
            terms: Terms::contiguous(terms.len()),
            b,
            c,
            c_rows: Rows::Strided(self.cols),
            init: init(self.start, terms.start, first),
        });
    }
}

/// Values of `f32`: nothing else is cut.
fn single<E: CpuReal>(values: &[E]) -> &[f32] {
    E::f32s(values).unwrap_or_else(|| unreachable!("only `f32` is cut"))
}

/// `c = start + a b`, whose rows are contiguous, in at most so many tasks of about as many columns, whole vectors.
pub(in super::super) fn product_by_columns<E: CpuReal>(
    c: &mut [E],
    start: Start<'_, E>,
    a: Mat<'_, E>,
    b: &Packed<E>,
    tasks: usize,
) {
    let Storage::Panels(shape, panels) = &b.storage else {
        unreachable!("only `f32` is cut")
    };
    let cut = Cut::new(c, start, a, [b.rows, b.cols]);
    let (width, lanes) = (panel_width(shape.level), shape.level.lanes());
    let tasks = Tasks::even(b.cols, tasks, lanes);
    cut.for_each(tasks, |columns| {
        let all = shape.columns(panels.as_ptr());
        for terms in parts(b.rows, TERMS) {
            let mut next = columns.start;
            while next < columns.end {
                // A part of a panel, or all that are whole.
                let (panel, first) = (next / width, next % width);
                let stored = width.min(b.cols - panel * width).next_multiple_of(lanes);
                let (end, step) = match first {
                    0 if columns.end - next >= width => (columns.end / width * width, None),
                    _ => (columns.end.min((panel + 1) * width), Some(stored)),
                };
                // SAFETY: these panels are inside the factor, and no other task has their columns.
                unsafe {
                    let b = Columns {
                        start: all.start.add(panel * all.panel + first),
                        count: end - next,
                        all: b.cols - next,
                        skip: terms.start,
                        step,
                        ..all
                    };
                    cut.run(terms.clone(), next, b);
                }
                next = end;
            }
        }
    });
}

/// Values of scratch of each task of [`product_packing`].
pub(in super::super) fn packing_scratch(level: Level, terms: usize, step: usize) -> usize {
    let (rows, cols) = (terms.min(PACKED_TERMS), step);
    Aligned::room(Shape { level, rows, cols }.len())
}

/// As [`product_by_columns`] with rows of `b`, contiguous ones, of which each task packs a part at a time.
pub(in super::super) fn product_packing<E: CpuReal>(
    c: &mut [E],
    start: Start<'_, E>,
    a: Mat<'_, E>,
    b: Mat<'_, E>,
    step: usize,
) {
    assert!(b.fits() && b.col_stride == 1, "unfit factors of a product");
    let values = single(b.values);
    let cut = Cut::new(c, start, a, [b.rows, b.cols]);
    cut.for_each(Tasks::new(b.cols, step), |columns| {
        let shape = |rows: usize, cols: usize| Shape {
            level: cut.level,
            rows,
            cols,
        };
        let mut panels = Aligned::scratch(shape(b.rows.min(PACKED_TERMS), step).len());
        for terms in parts(b.rows, PACKED_TERMS) {
            let shape = shape(terms.len(), columns.len());
            let from = &values[terms.start * b.row_stride + columns.start..];
            cut.level.vectorised(
                #[inline(always)]
                || shape.pack(from, [b.row_stride, 1], &mut panels),
            );
            // SAFETY: the panels hold these terms and columns, which no other task has.
            unsafe { cut.run(terms, columns.start, shape.columns(panels.as_ptr())) };
        }
    });
}

/// Values of the transposed left factor of [`product_transposed`], and of the scratch of each task.
pub(in super::super) fn transposed_room(level: Level, [rows, terms]: [usize; 2], step: usize) -> [usize; 2] {
    [super::packed_room(level, [terms, rows]), step * rows]
}

/// As [`product_by_columns`] with the rows of `b` transposed: `c = start + a b^T`. It is read where it lies, in order. What
/// is packed is the left factor, transposed; each task computes the transpose of its columns.
pub(in super::super) fn product_transposed<E: CpuReal>(
    c: &mut [E],
    start: Start<'_, E>,
    a: Mat<'_, E>,
    b: Mat<'_, E>,
    step: usize,
) {
    assert!(b.fits() && b.col_stride == 1, "unfit factors of a product");
    let left = Packed::new(a.transposed());
    let Storage::Panels(shape, panels) = &left.storage else {
        unreachable!("only `f32` is cut")
    };
    let (rows, values) = (a.rows, single(b.values));
    let cut = Cut::new(c, start, a, [b.cols, b.rows]);
    if rows == 0 {
        return;
    }
    cut.for_each(Tasks::new(b.rows, step), |columns| {
        let mut transposed = CpuBuf::<f32>::scratch(step * rows);
        let transposed = &mut transposed[..columns.len() * rows];
        let first = cut.first(columns.clone(), transposed);
        for terms in parts(b.cols, TERMS) {
            let from = &values[columns.start * b.row_stride + terms.start..];
            // All of `b` and of the panels lie in their slices, as asserted; `transposed` is borrowed exclusively.
            cut.level.run(Product {
                rows: columns.len(),
                a: from.as_ptr(),
                a_rows: Rows::Strided(b.row_stride),
                terms: Terms::contiguous(terms.len()),
                b: Columns {
                    skip: terms.start,
                    ..shape.columns(panels.as_ptr())
                },
                c: transposed.as_mut_ptr(),
                c_rows: Rows::Strided(rows),
                init: if terms.start > 0 { Init::Sum } else { first },
            });
        }
        // SAFETY: no other task has these columns.
        unsafe { cut.write_transposed(columns, transposed) };
    });
}

impl Cut<'_> {
    /// Sets the transpose of these columns to what they start with, unless that is nothing.
    fn first(&self, columns: Range<usize>, transposed: &mut [f32]) -> Init {
        let rows = transposed.chunks_exact_mut(self.a.rows);
        match self.start {
            Start::Zero => Init::Zero,
            Start::Sum => unreachable!("a product that is transposed is added to nothing or a bias"),
            Start::Bias(bias) => {
                rows.zip(&bias[columns]).for_each(|(row, &bias)| row.fill(bias));
                Init::Sum
            }
        }
    }

    /// Writes columns, which are given as rows.
    ///
    /// # Safety
    /// Nobody else may use these columns of the product.
    unsafe fn write_transposed(&self, columns: Range<usize>, transposed: &[f32]) {
        for row in 0..self.a.rows {
            // SAFETY: inside the product, whose size was asserted, and of these columns.
            let to =
                unsafe { std::slice::from_raw_parts_mut(self.c.at(row * self.cols + columns.start), columns.len()) };
            let from = transposed[row..].iter().step_by(self.a.rows);
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
        }
    }
}
