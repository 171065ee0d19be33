//! Right factors whose values fit in fewer bits than an `f32` has, for products of one row, which are bound by reading them.
//!
//! The values are those of the `f32` matrix, bit for bit, so the product is, too: only matrices are narrowed whose values
//! are all of a narrower type, such as those of a checkpoint in bf16 or those that were rounded to it.

use super::super::par;
use super::super::simd::{Lanes, Level, Operation, prefetch};
use super::Mat;
use super::panels::{Shape, panel_width};
use super::tile::{Init, RUN};
use crate::weight_type::int8_scale;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes ahead of what is read that lines are asked for: see `tile`.
const AHEAD: usize = 4096;

/// A right factor in panels, as [`Shape`] lays them out.
#[derive(Debug)]
pub(in super::super) struct Narrow {
    pub(super) shape: Shape,
    values: Values,
}

#[derive(Debug)]
enum Values {
    /// The upper halves of the values.
    Bf16(Vec<u16>),
    /// Integers, and a factor for each column, with the padding of the last panel.
    Int8(Vec<i8>, Vec<f32>),
}

impl Narrow {
    /// The matrix, if its values are those of a narrower type: integers from -127 to 127 times a factor for each column,
    /// which is that of the greatest one, or bf16.
    pub(in super::super) fn of(b: Mat<'_, f32>) -> Option<Self> {
        assert!(b.fits(), "a factor lies outside its slice");
        let (rows, cols) = (b.rows, b.cols);
        let shape = Shape {
            level: Level::current(),
            rows,
            cols,
        };
        let value = |row: usize, column: usize| b.values[row * b.row_stride + column * b.col_stride];
        if let Some(scales) = scales(b) {
            let exact = |row: usize, column: usize| {
                let (value, scale) = (value(row, column), scales[column]);
                let integer = if scale > 0.0 {
                    (value / scale).round_ties_even() as i8
                } else {
                    0
                };
                let same = (f32::from(integer) * scale).to_bits() == value.to_bits();
                same.then_some(integer)
            };
            if let Some(values) = packed(shape, &exact) {
                let mut scales = scales;
                scales.resize(cols.next_multiple_of(panel_width(shape.level)), 0.0);
                let values = Values::Int8(values, scales);
                return Some(Self { shape, values });
            }
        }
        let exact = |row: usize, column: usize| {
            let bits = value(row, column).to_bits();
            (bits & 0xFFFF == 0).then_some((bits >> 16) as u16)
        };
        let values = Values::Bf16(packed(shape, &exact)?);
        Some(Self { shape, values })
    }

    /// Its rows and columns.
    pub(super) fn size(&self) -> [usize; 2] {
        [self.shape.rows, self.shape.cols]
    }

    /// Adds the products of some terms with the columns of a panel to what `init` says.
    ///
    /// # Safety
    /// `c` and `init` must have the values of the panel's columns.
    pub(super) unsafe fn panel(&self, panel: usize, (first, terms): (usize, &[f32]), c: *mut f32, init: Init) {
        let Shape { level, rows, cols } = self.shape;
        assert!(first + terms.len() <= rows, "terms beyond the rows");
        let width = panel_width(level);
        let columns = width.min(cols - panel * width);
        let vectors = columns.div_ceil(level.lanes());
        let start = panel * rows * width + first * vectors * level.lanes();
        match &self.values {
            Values::Bf16(values) => level.run(RowPanel {
                terms,
                values: values[start..].as_ptr(),
                scales: c.cast_const(),
                vectors,
                columns,
                c,
                init,
            }),
            Values::Int8(values, scales) => level.run(RowPanel {
                terms,
                values: values[start..].as_ptr(),
                scales: scales[panel * width..].as_ptr(),
                vectors,
                columns,
                c,
                init,
            }),
        }
    }
}

/// The factors of all columns, if the first column may have one, which tells most matrices.
fn scales(b: Mat<'_, f32>) -> Option<Vec<f32>> {
    let column = |column: usize| (0..b.rows).map(move |row| b.values[row * b.row_stride + column * b.col_stride]);
    let scale = |at: usize| int8_scale(column(at).fold(0.0, |most: f32, value| most.max(value.abs())));
    if b.cols == 0 {
        return None;
    }
    let first = scale(0);
    let fits = |value: f32| first == 0.0 || (value / first).round_ties_even() * first == value;
    if !column(0).all(fits) {
        return None;
    }
    let mut scales = vec![0.0; b.cols];
    par::for_rows(&mut scales, 1, par::rows_per_task(b.rows), |first, scales| {
        for (at, to) in scales.iter_mut().enumerate() {
            *to = scale(first + at);
        }
    });
    Some(scales)
}

/// The panels of narrow values, if there is one for each value.
fn packed<T: Copy + Default + Send>(
    shape: Shape,
    value: &(impl Fn(usize, usize) -> Option<T> + Sync),
) -> Option<Vec<T>> {
    // One column and one row tell most matrices.
    let told =
        (0..shape.rows).all(|row| value(row, 0).is_some()) && (0..shape.cols).all(|column| value(0, column).is_some());
    if !told {
        return None;
    }
    let mut all = vec![T::default(); shape.len()];
    let mut rest = &mut all[..];
    let exact = AtomicBool::new(true);
    for (first, columns, width) in shape.panels() {
        let (panel, after) = rest.split_at_mut(shape.rows * width);
        rest = after;
        par::for_rows(panel, width, par::rows_per_task(width), |row, part| {
            for (row, to) in (row..).zip(part.chunks_exact_mut(width)) {
                for (column, to) in to[..columns].iter_mut().enumerate() {
                    match value(row, first + column) {
                        Some(value) => *to = value,
                        None => exact.store(false, Ordering::Relaxed),
                    }
                }
            }
        });
        if !exact.load(Ordering::Relaxed) {
            return None;
        }
    }
    Some(all)
}

/// A narrow type.
trait Stored: Copy {
    /// Whether values are multiplied by a factor.
    const SCALED: bool;
    /// The values of a vector.
    ///
    /// # Safety
    /// As for [`Lanes::load`].
    unsafe fn load<V: Lanes>(from: *const Self) -> V;
}

impl Stored for u16 {
    const SCALED: bool = false;
    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const Self) -> V {
        // SAFETY: as the caller's.
        unsafe { V::load_bf16(from) }
    }
}

impl Stored for i8 {
    const SCALED: bool = true;
    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const Self) -> V {
        // SAFETY: as the caller's.
        unsafe { V::load_i8(from) }
    }
}

/// A row times a panel.
struct RowPanel<'a, T> {
    terms: &'a [f32],
    /// Row after row, as wide as the vectors.
    values: *const T,
    /// For each column, if values are scaled.
    scales: *const f32,
    vectors: usize,
    columns: usize,
    c: *mut f32,
    init: Init,
}

impl<T: Stored> Operation for RowPanel<'_, T> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        // SAFETY: `Narrow::panel` vouches for the pointers, `Level::run` for the features.
        unsafe {
            match self.vectors {
                1 => self.tile::<V, 1>(),
                2 => self.tile::<V, 2>(),
                3 => self.tile::<V, 3>(),
                _ => self.tile::<V, 4>(),
            }
        }
    }
}

impl<T: Stored> RowPanel<'_, T> {
    /// In the order of [`super::tile`]: the bits are the same.
    #[inline(always)]
    unsafe fn tile<V: Lanes, const N: usize>(&self) {
        // SAFETY: as in `run`; the last vector is masked where there are no columns left.
        unsafe {
            let rest = self.columns - (N - 1) * V::LANES;
            let full = |v: usize| v + 1 < N || rest == V::LANES;
            let from = |start: *const f32, v: usize| {
                let start = start.wrapping_add(v * V::LANES);
                if full(v) {
                    V::load(start)
                } else {
                    V::load_some(start, rest)
                }
            };
            let mut scales = [V::zero(); N];
            if T::SCALED {
                for (v, scale) in scales.iter_mut().enumerate() {
                    *scale = V::load(self.scales.add(v * V::LANES));
                }
            }
            let mut total = [V::zero(); N];
            let mut started = true;
            match self.init {
                Init::Zero => started = false,
                Init::Sum => (0..N).for_each(|v| total[v] = from(self.c.cast_const(), v)),
                Init::Bias(bias) => (0..N).for_each(|v| total[v] = from(bias, v)),
            }
            let mut b = self.values;
            for run in self.terms.chunks(RUN) {
                let mut sums = [V::zero(); N];
                for &term in run {
                    let term = V::splat(term);
                    for (v, sum) in sums.iter_mut().enumerate() {
                        let at = b.wrapping_add(v * V::LANES);
                        prefetch(at.wrapping_byte_add(AHEAD).cast());
                        let mut column = T::load::<V>(at);
                        if T::SCALED {
                            column = column.mul(scales[v]);
                        }
                        *sum = term.mul_add(column, *sum);
                    }
                    b = b.wrapping_add(N * V::LANES);
                }
                for v in 0..N {
                    total[v] = if started { sums[v].add(total[v]) } else { sums[v] };
                }
                started = true;
            }
            for (v, sum) in total.into_iter().enumerate() {
                let to = self.c.wrapping_add(v * V::LANES);
                if full(v) {
                    sum.store(to);
                } else {
                    sum.store_some(to, rest);
                }
            }
        }
    }
}
