//! Backward through `y = after(factor * before(z) + offset + residual)` and the statistics.
//!
//! With `dy'` the gradient before `after`: first the sums over the rows of `dy'` and of
//! `dy' * (g - mean)`, then `dz = before'(z) * factor * (dy' - average - (g - mean) * slope)`.

mod run;

use super::columns::{APART, AddAll, Columns};
use super::function;
use super::vector::dispatch;
use crate::par::{self, ELEMENTS_PER_TASK, Start};
use crate::real::CpuReal;
use crate::simd::Level;
use crate::{CpuBuf, threads};
use ksdsl_engine::size::{Activation, RowSize, Tail};
use run::{Mask, Reduce, Run, Tiled, Write};
use std::ops::Range;

/// Most parts whose sums are added.
const PARTS: usize = 64;

/// What the backward pass knows of the forward pass.
#[derive(Clone, Copy)]
pub(crate) struct Backward<'a, E> {
    /// Rows and channels of the maps.
    pub(crate) size: RowSize,
    /// The activations; `after` must be `None` or ReLU.
    pub(crate) tail: Tail,
    /// The convolution's output.
    pub(crate) z: &'a [E],
    /// Mean of `before(z)` per channel.
    pub(crate) mean: &'a [E],
    /// Scale by standard deviation, per channel.
    pub(crate) factor: &'a [E],
    /// Per channel; read only if the sign of `y` must be found again.
    pub(crate) offset: &'a [E],
    /// What was added; as `offset`.
    pub(crate) residual: Option<&'a [E]>,
    /// The output, if it was kept: its sign is read instead of computed.
    pub(crate) y: Option<&'a [E]>,
}

/// Sums over the rows, per channel.
pub(crate) struct Sums {
    /// Of `dy'`: the gradient of the shift.
    pub(crate) dy: CpuBuf<f64>,
    /// Of `dy' * (g - mean)`.
    pub(crate) product: CpuBuf<f64>,
}

impl Sums {
    /// Sums that are known.
    pub(crate) fn of<E: CpuReal>([dy, product]: [&[E]; 2]) -> Self {
        let wide = |values: &[E]| {
            let mut wide = CpuBuf::scratch(values.len());
            wide.iter_mut()
                .zip(values)
                .for_each(|(wide, value)| *wide = value.wide());
            wide
        };
        Self {
            dy: wide(dy),
            product: wide(product),
        }
    }

    /// Adds the gradients of scale and shift, and returns `average` and `slope` per channel.
    pub(crate) fn into_coefficients<E: CpuReal>(
        self,
        rows: usize,
        variance: &[E],
        eps: f64,
        dscale: &mut [E],
        dshift: &mut [E],
    ) -> (CpuBuf<E>, CpuBuf<E>) {
        let mut average = CpuBuf::scratch(variance.len());
        let mut slope = CpuBuf::scratch(variance.len());
        for channel in 0..variance.len() {
            let inverse = 1.0 / (variance[channel].wide() + eps).sqrt();
            let (sum, product) = (self.dy[channel], self.product[channel]);
            dshift[channel] += E::of(sum);
            dscale[channel] += E::of(product * inverse);
            average[channel] = E::of(sum / rows as f64);
            slope[channel] = E::of(product / rows as f64 * inverse * inverse);
        }
        (average, slope)
    }
}

/// Rows of a part of [`Backward::reduce`].
pub(crate) fn reduce_part(size: RowSize, columns: Columns) -> usize {
    let least = par::rows_per_task(size.channels).next_multiple_of(columns.repeat());
    par::items_per_part(size.rows, least, PARTS).next_multiple_of(columns.repeat())
}

/// Tasks of [`Backward::gradient`].
pub(crate) fn gradient_tasks(size: RowSize, columns: Columns) -> usize {
    (size.rows * size.channels).div_ceil(task_len(columns))
}

/// Elements of such a task.
fn task_len(columns: Columns) -> usize {
    ELEMENTS_PER_TASK.next_multiple_of(columns.width)
}

impl<E: CpuReal> Backward<'_, E> {
    fn check(&self, len: usize) {
        let after = self.tail.after;
        assert!(
            matches!(after, None | Some(Activation::Relu)),
            "{after:?} after the norm"
        );
        assert!(
            len == self.size.rows * self.size.channels && self.z.len() == len,
            "maps of another length"
        );
        let others = [self.residual, self.y].into_iter().flatten();
        assert!(others.into_iter().all(|map| map.len() == len), "maps of another length");
        let channels = [self.mean, self.factor, self.offset];
        assert!(
            channels.iter().all(|values| values.len() == self.size.channels),
            "values per channel"
        );
    }

    /// The sums that [`Backward::gradient`] needs and the gradients of scale and shift are made of.
    ///
    /// # Panics
    /// If lengths differ or `after` is not supported.
    pub(crate) fn reduce(&self, dy: &[E]) -> Sums {
        self.check(dy.len());
        let RowSize { rows, channels } = self.size;
        let level = Level::current();
        let columns = Columns::new::<E>(level, channels);
        let tiled = Tiled::new(columns, self);
        let part = reduce_part(self.size, columns);
        let sums = par::sum_parts(rows, part, 2 * channels, |rows, sums: &mut [f64]| {
            let (from, to) = (rows.start * channels, rows.end * channels);
            let mut wide = CpuBuf::zeros(2 * columns.width);
            self.in_runs(&tiled, level, from..to, (dy.as_ptr(), false), |run| {
                // SAFETY: `dy` is as long as the map, and `wide` as two wide rows.
                let pass = unsafe { Reduce(run, dy.as_ptr().add(run.at), wide.as_mut_ptr()) };
                dispatch(level, pass);
            });
            let (first, second) = sums.split_at_mut(channels);
            columns.fold(&wide[..columns.width], first);
            columns.fold(&wide[columns.width..], second);
        });
        let (mut first, mut second) = (CpuBuf::scratch(channels), CpuBuf::scratch(channels));
        first.copy_from_slice(&sums[..channels]);
        second.copy_from_slice(&sums[channels..]);
        Sums {
            dy: first,
            product: second,
        }
    }

    /// Writes `dz` over `dy`, or, given another buffer, `dz` there and `dy'` over `dy`: the gradient
    /// of the residual.
    ///
    /// # Panics
    /// As [`Backward::reduce`].
    pub(crate) fn gradient(&self, average: &[E], slope: &[E], dy: &mut [E], dz: Option<&mut [E]>) {
        let keep = dz.is_some() && self.tail.after.is_some();
        assert!(
            dz.as_ref().is_none_or(|dz| dz.len() == dy.len()),
            "maps of another length"
        );
        let (start, len) = (dy.as_mut_ptr(), dy.len());
        let dz = dz.map_or(start, |dz| dz.as_mut_ptr());
        // SAFETY: as long as the map, which is checked; both are borrowed mutably.
        unsafe { self.write(average, slope, start, keep, dz, len) };
    }

    /// # Safety
    /// `dy` and `dz` must be good for `len` elements, `dy` for writing only if `keep`.
    unsafe fn write(&self, average: &[E], slope: &[E], dy: *mut E, keep: bool, dz: *mut E, len: usize) {
        self.check(len);
        if len == 0 {
            return;
        }
        let pieces = Pieces::new(*self, average, slope);
        let task = task_len(pieces.tiled.columns);
        let (dy, dz) = (Start(dy), Start(dz));
        threads::for_each(len.div_ceil(task), &|index| {
            let at = index * task;
            // SAFETY: the pieces do not overlap, and the caller vouches for the maps.
            unsafe { pieces.write(at..len.min(at + task), dy.at(at), keep, dz.at(at)) };
        });
    }

    /// Calls `f` with the runs of the elements `range`, each with `g` at hand, and with the
    /// derivative of `before` too if asked; the run of `dy` is fetched meanwhile.
    fn in_runs(
        &self,
        tiled: &Tiled<E>,
        level: Level,
        range: Range<usize>,
        (dy, slopes): (*const E, bool),
        mut f: impl FnMut(Run<'_, E>),
    ) {
        let run_len = tiled.columns.run_len();
        let mut scratch = self.tail.before.map(|_| CpuBuf::scratch(tiled.columns.run_scratch()));
        for at in range.clone().step_by(run_len) {
            let len = run_len.min(range.end - at);
            let mut run = self.run(tiled, at, len);
            if let (Some(kind), Some(scratch)) = (self.tail.before, &mut scratch) {
                let (g, second) = scratch.split_at_mut(run_len + APART);
                let (g, second) = (g.as_mut_ptr(), second.as_mut_ptr());
                let mut ahead = dy.wrapping_add(at);
                if slopes {
                    // SAFETY: both are as long as a run.
                    unsafe { function::values_and_slopes(level, kind, run.g, g, second, len, ahead) };
                    run.slopes = Some(second);
                    ahead = run.g;
                }
                // The sign of `y` must be found the same way in all passes, from the same `g`.
                if !slopes || matches!(run.mask, Mask::Affine | Mask::Sum(_)) {
                    // SAFETY: as above.
                    unsafe { function::values(level, kind, run.g, g, len, ahead) };
                }
                run.g = g;
            }
            f(run);
        }
    }

    /// The run of `len` elements from `at` on, with `z` as `g`.
    fn run<'t>(&self, tiled: &'t Tiled<E>, at: usize, len: usize) -> Run<'t, E> {
        let part = |map: &[E]| map[at..at + len].as_ptr();
        let mask = match (self.tail.after, self.y, self.residual) {
            (None, ..) => Mask::None,
            (Some(_), Some(y), _) => Mask::Output(part(y)),
            (Some(_), None, Some(residual)) => Mask::Sum(part(residual)),
            (Some(_), None, None) => Mask::Affine,
        };
        Run {
            at,
            len,
            g: part(self.z),
            slopes: None,
            mask,
            tiled,
        }
    }
}

/// [`Backward::gradient`] piece by piece, for work that goes on with each of them while it is in the
/// cache.
pub(crate) struct Pieces<'a, E: CpuReal> {
    backward: Backward<'a, E>,
    level: Level,
    tiled: Tiled<E>,
    average: CpuBuf<E>,
    slope: CpuBuf<E>,
}

impl<'a, E: CpuReal> Pieces<'a, E> {
    /// With the coefficients of the [`Sums`] of the whole map.
    pub(crate) fn new(backward: Backward<'a, E>, average: &[E], slope: &[E]) -> Self {
        let level = Level::current();
        let columns = Columns::new::<E>(level, backward.size.channels);
        Self {
            level,
            tiled: Tiled::new(columns, &backward),
            average: columns.tile(average),
            slope: columns.tile(slope),
            backward,
        }
    }

    /// Each piece but the last must be a multiple of this many rows.
    pub(crate) fn multiple(&self) -> usize {
        self.tiled.columns.repeat()
    }

    /// Writes `dz` of the rows from `first` on, as many as `dy` has, and adds its column sums to
    /// `sums`, `f64` for each column of a wide row.
    ///
    /// # Panics
    /// If lengths differ or rows lie outside the map.
    pub(crate) fn rows(&self, first: usize, dy: &mut [E], dz: &mut [E], sums: &mut [f64]) {
        let columns = self.tiled.columns;
        let at = first * columns.channels;
        assert!(
            dy.len() == dz.len() && at + dy.len() <= self.backward.z.len() && sums.len() == columns.width,
            "a piece outside the map"
        );
        // SAFETY: both are as long as the range, which lies in the map.
        unsafe { self.write(at..at + dy.len(), dy.as_mut_ptr(), false, dz.as_mut_ptr()) };
        let (start, len) = (dz.as_ptr(), dz.len());
        let sums = sums.as_mut_ptr();
        dispatch::<E>(self.level, AddAll::new(start, len, columns, sums));
    }

    /// Adds the sums of [`Pieces::rows`] to those of the channels.
    pub(crate) fn fold(&self, wide: &[f64], sums: &mut [f64]) {
        self.tiled.columns.fold(wide, sums);
    }

    /// Columns of a wide row.
    pub(crate) fn width(&self) -> usize {
        self.tiled.columns.width
    }

    /// # Safety
    /// `dy` and `dz` must be good for the elements of `range`, whole wide rows of the map, `dy` for
    /// writing only if `keep`.
    unsafe fn write(&self, range: Range<usize>, dy: *mut E, keep: bool, dz: *mut E) {
        let ahead = dy.cast_const().wrapping_sub(range.start);
        let (first, backward) = (range.start, &self.backward);
        backward.in_runs(&self.tiled, self.level, range, (ahead, true), |run| {
            let at = run.at - first;
            // SAFETY: runs lie in the range, for which the caller vouches.
            let (dy, dz) = unsafe { (dy.add(at), dz.add(at)) };
            let (average, slope) = (self.average.as_ptr(), self.slope.as_ptr());
            let pass = Write {
                run,
                average,
                slope,
                dy,
                keep,
                dz,
            };
            dispatch(self.level, pass);
        });
    }
}
