//! Weight gradients: `c += a^T b` for tall `a` and `b`.

use super::super::simd::{Level, prefetch};
use super::panels::{AHEAD, Aligned, LINE, Shape, panel_width};
use super::tile::{Columns, Init, Product, Rows, Terms};
use super::{Mat, plain};
use crate::real::CpuReal;

/// Rows of both factors that are multiplied at a time.
const BLOCK: usize = 256;
/// Columns of the left factor that are copied together: those of some tiles.
const STRIP: usize = 48;
/// Distance of rows, in elements, from which on their columns fall into a few sets of the cache.
const FAR: usize = 192;

/// Whether `b`, of `cols` columns in rows `stride` apart, is read where it lies.
fn is_direct(level: Level, cols: usize, stride: usize) -> bool {
    stride < FAR && cols.is_multiple_of(level.lanes())
}

/// Values of a strip of the left factor, whose rows lie `stride` apart; none where it is read in place.
fn strip_len(block: usize, stride: usize) -> usize {
    if stride < FAR { 0 } else { block * STRIP }
}

/// Values of the panels of the right factor; none where it is read in place.
fn panels_len(direct: bool, shape: Shape) -> usize {
    if direct { 0 } else { shape.len() }
}

/// The scratch of [`add_transposed`] of this many rows in `f32`, for the distance of the rows of `a` and the columns of
/// `b` with the distance of its rows.
pub(in super::super) fn transposed_scratch(
    level: Level,
    rows: usize,
    left: usize,
    [cols, stride]: [usize; 2],
) -> [usize; 2] {
    let block = rows.min(BLOCK);
    let shape = Shape {
        level,
        rows: block,
        cols,
    };
    let panels = panels_len(is_direct(level, cols, stride), shape);
    [panels, strip_len(block, left)].map(Aligned::room)
}

/// The scratch of [`add_gathered`] of this many rows of `b`.
pub(in super::super) fn gathered_scratch(level: Level, rows: usize, cols: usize) -> usize {
    super::packed_room(level, [rows, cols])
}

/// `c += a^T b`, where row `i` of `c` starts at `i * c_stride`; the rows of `a` and of `b` are
/// contiguous.
pub(in super::super) fn add_transposed<E: CpuReal>(c: &mut [E], c_stride: usize, a: Mat<'_, E>, b: Mat<'_, E>) {
    product_of_transposed(c, c_stride, true, a, b);
}

/// As [`add_transposed`]; what was in `c` counts only with `adds`.
pub(in super::super) fn product_of_transposed<E: CpuReal>(
    c: &mut [E],
    c_stride: usize,
    adds: bool,
    a: Mat<'_, E>,
    b: Mat<'_, E>,
) {
    let (rows, cols) = (a.cols, b.cols);
    if rows == 0 || cols == 0 {
        return;
    }
    assert!(
        a.rows == b.rows && a.col_stride == 1 && b.col_stride == 1,
        "unfit factors"
    );
    assert!(a.fits() && b.fits(), "a factor lies outside its slice");
    assert!(
        (rows - 1) * c_stride + cols <= c.len(),
        "the product lies outside its slice"
    );
    let (Some(left), Some(right)) = (E::f32s(a.values), E::f32s(b.values)) else {
        return plain::product_of_transposed(c, c_stride, adds, a, b);
    };
    if a.rows == 0 {
        return clear(c, c_stride, adds, [rows, cols]);
    }
    let level = Level::current();
    let direct = is_direct(level, cols, b.row_stride);
    let block = a.rows.min(BLOCK);
    let shape = Shape {
        level,
        rows: block,
        cols,
    };
    let mut panels = Aligned::scratch(panels_len(direct, shape));
    let mut strip = Aligned::scratch(strip_len(block, a.row_stride));
    for first_row in (0..a.rows).step_by(block) {
        let block = block.min(a.rows - first_row);
        let right = &right[first_row * b.row_stride..];
        let columns = if direct {
            Columns {
                start: right.as_ptr(),
                count: cols,
                all: cols,
                panel: panel_width(level),
                step: Some(b.row_stride),
                skip: 0,
            }
        } else {
            let shape = Shape { rows: block, ..shape };
            level.vectorised(
                #[inline(always)]
                || shape.pack(right, [b.row_stride, 1], &mut panels),
            );
            shape.columns(panels.as_ptr())
        };
        let left = &left[first_row * a.row_stride..];
        let width = if strip.is_empty() { rows } else { STRIP };
        for first in (0..rows).step_by(width) {
            let width = width.min(rows - first);
            let (a, step) = if strip.is_empty() {
                (&left[first..], a.row_stride)
            } else {
                level.vectorised(
                    #[inline(always)]
                    || copy_columns(&mut strip[..block * STRIP], &left[first..], a.row_stride, width),
                );
                (&strip[..], STRIP)
            };
            // All of both factors and the product lie in their slices, as asserted; `c` is
            // borrowed exclusively.
            level.run(Product {
                rows: width,
                a: a.as_ptr(),
                a_rows: Rows::Strided(1),
                terms: Terms {
                    segments: &[0],
                    len: block,
                    step,
                },
                b: columns,
                c: c[first * c_stride..].as_mut_ptr().cast(),
                c_rows: Rows::Strided(c_stride),
                init: if adds || first_row > 0 { Init::Sum } else { Init::Zero },
            });
        }
    }
}

/// Copies the first `width` columns of rows that lie `stride` apart.
#[inline(always)]
fn copy_columns(strip: &mut [f32], left: &[f32], stride: usize, width: usize) {
    for (to, from) in strip.chunks_exact_mut(STRIP).zip(left.chunks(stride)) {
        for line in (0..STRIP).step_by(LINE) {
            prefetch(from.as_ptr().wrapping_add(AHEAD * stride + line));
        }
        match (to.first_chunk_mut::<STRIP>(), from.first_chunk::<STRIP>()) {
            // Of a known length: a copy without a call.
            (Some(to), Some(from)) if width == STRIP => *to = *from,
            _ => to[..width].copy_from_slice(&from[..width]),
        }
    }
}

/// The product of no terms.
fn clear<E: CpuReal>(c: &mut [E], c_stride: usize, adds: bool, [rows, cols]: [usize; 2]) {
    for row in 0..if adds { 0 } else { rows } {
        c[row * c_stride..][..cols].fill(E::zero());
    }
}

/// `c += a b` for `f32` only, where `a` is given as in [`super::gather_product`], and the rows of
/// `b`, of `cols` values, lie `b_stride` apart.
pub(in super::super) fn add_gathered<E: CpuReal>(
    c: &mut [E],
    (values, rows, a_rows, terms): (&[E], usize, Rows<'_>, Terms<'_>),
    (b, b_stride, cols): (&[E], usize, usize),
) {
    let (Some(values), Some(b)) = (E::f32s(values), E::f32s(b)) else {
        unreachable!("only `f32` has panels");
    };
    if rows == 0 || cols == 0 || terms.count() == 0 {
        return;
    }
    assert!(
        a_rows.last(rows) + terms.last() < values.len(),
        "a factor lies outside its slice"
    );
    assert!(
        (terms.count() - 1) * b_stride + cols <= b.len(),
        "a factor lies outside its slice"
    );
    assert!(rows * cols <= c.len(), "the product lies outside its slice");
    let level = Level::current();
    let shape = Shape {
        level,
        rows: terms.count(),
        cols,
    };
    let mut panels = Aligned::scratch(shape.len());
    level.vectorised(
        #[inline(always)]
        || shape.pack(b, [b_stride, 1], &mut panels),
    );
    // All of both factors and the product lie in their slices, as asserted; `c` is borrowed
    // exclusively.
    level.run(Product {
        rows,
        a: values.as_ptr(),
        a_rows,
        terms,
        b: shape.columns(panels.as_ptr()),
        c: c.as_mut_ptr().cast(),
        c_rows: Rows::Strided(cols),
        init: Init::Sum,
    });
}
