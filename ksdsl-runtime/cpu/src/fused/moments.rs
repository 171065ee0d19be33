//! Mean and variance per channel, gathered while a convolution computes its output.

use super::columns::{Columns, Terms, add_columns};
use super::function;
use super::vector::{Vector, VectorPass, dispatch};
use crate::finish::Finish;
use crate::par::{self, Start};
use crate::real::CpuReal;
use crate::simd::Level;
use crate::{CpuBuf, threads};
use ksdsl_engine::size::{Activation, RowSize};
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

/// Wide rows at the start of a piece whose mean is the origin of its sums.
const ORIGIN: usize = 8;
/// Most pieces of a map that is there already.
const PARTS: usize = 64;

/// Gathers the statistics of `g = before(z)` from pieces of `z`, and keeps `g` where it is not `z`.
///
/// The sums of a piece are of distances to an origin near its mean, short runs of them in the
/// element type, so that a mean far from zero costs no accuracy. The pieces are combined in the
/// order of their rows (Chan, Golub & LeVeque 1983): the bits do not depend on threads.
pub(crate) struct Moments<'a, E> {
    size: RowSize,
    level: Level,
    columns: Columns,
    before: Option<Activation>,
    g: Option<Start<E>>,
    pieces: Mutex<Vec<Piece>>,
    borrowed: PhantomData<&'a mut [E]>,
}

/// What one piece contributes.
struct Piece {
    first: usize,
    rows: usize,
    /// Means, then sums of squared distances to them, per channel.
    moments: Vec<f64>,
}

impl<'a, E: CpuReal> Moments<'a, E> {
    /// For an output of this size; `before(z)` is written to `g`, which must be as long as `z` and
    /// is needed exactly if there is `before`.
    ///
    /// # Panics
    /// If `g` is missing or of another length.
    pub(crate) fn new(size: RowSize, before: Option<Activation>, g: Option<&'a mut [E]>) -> Self {
        assert_eq!(before.is_some(), g.is_some(), "a buffer for what comes before the norm");
        let len = size.rows * size.channels;
        assert!(g.as_ref().is_none_or(|g| g.len() == len), "a buffer of another length");
        let level = Level::current();
        Self {
            size,
            level,
            columns: Columns::new::<E>(level, size.channels),
            before,
            g: g.map(|g| Start(g.as_mut_ptr())),
            pieces: Mutex::new(Vec::new()),
            borrowed: PhantomData,
        }
    }

    /// Mean and biased variance per channel, once every row has been received.
    ///
    /// # Panics
    /// If rows are missing.
    pub(crate) fn into_statistics(self) -> (CpuBuf<E>, CpuBuf<E>) {
        let mut pieces = self.pieces.into_inner().unwrap_or_else(PoisonError::into_inner);
        pieces.sort_unstable_by_key(|piece| piece.first);
        let channels = self.size.channels;
        let mut total = vec![0.0; 2 * channels];
        let mut rows = 0;
        for piece in &pieces {
            assert_eq!(piece.first, rows, "each row must be received once");
            let (piece_means, piece_squares) = piece.moments.split_at(channels);
            let (means, squares) = total.split_at_mut(channels);
            self.level.vectorised(
                #[inline(always)]
                || combine(rows, means, squares, piece.rows, piece_means, piece_squares),
            );
            rows += piece.rows;
        }
        assert_eq!(rows, self.size.rows, "every row must be received");
        let mut mean = CpuBuf::scratch(channels);
        let mut variance = CpuBuf::scratch(channels);
        for channel in 0..channels {
            mean[channel] = E::of(total[channel]);
            variance[channel] = E::of(total[channels + channel] / rows.max(1) as f64);
        }
        (mean, variance)
    }

    fn keep(&self, piece: Piece) {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.push(piece);
    }

    fn gather(&self, first: usize, values: &[E]) -> Piece {
        let Columns { channels, width } = self.columns;
        let rows = values.len() / channels;
        let origin = self.origin(values);
        let tiled = self.columns.tile(&origin);
        let mut sums = vec![0.0; 2 * width];
        dispatch(
            self.level,
            Gather {
                values,
                origin: &tiled,
                columns: self.columns,
                sums: &mut sums,
            },
        );
        let mut moments = vec![0.0; 2 * channels];
        let (means, squares) = moments.split_at_mut(channels);
        self.columns.fold(&sums[..width], means);
        self.columns.fold(&sums[width..], squares);
        for ((mean, square), origin) in means.iter_mut().zip(squares).zip(&origin) {
            let distance = *mean / rows as f64;
            *square = (*square - *mean * distance).max(0.0);
            *mean = origin.wide() + distance;
        }
        Piece { first, rows, moments }
    }

    /// The mean of the first rows, roughly.
    fn origin(&self, values: &[E]) -> Vec<E> {
        let channels = self.columns.channels;
        let rows = (values.len() / channels).min(ORIGIN);
        let mut origin = vec![E::zero(); channels];
        for row in values.chunks_exact(channels).take(rows) {
            origin.iter_mut().zip(row).for_each(|(sum, &value)| *sum += value);
        }
        let share = E::of(1.0 / rows as f64);
        origin.iter_mut().for_each(|sum| *sum *= share);
        origin
    }
}

/// Mean and biased variance per channel of a map that is there already.
pub(crate) fn statistics<E: CpuReal>(size: RowSize, x: &[E]) -> (CpuBuf<E>, CpuBuf<E>) {
    assert_eq!(x.len(), size.rows * size.channels, "the map's length");
    let moments = Moments::new(size, None, None);
    let part = par::items_per_part(size.rows, par::rows_per_task(size.channels), PARTS);
    threads::for_each(size.rows.div_ceil(part), &|index| {
        let first = index * part;
        let last = size.rows.min(first + part);
        moments.keep(moments.gather(first, &x[first * size.channels..last * size.channels]));
    });
    moments.into_statistics()
}

/// Adds the moments of `more` rows to those of `rows`.
#[inline(always)]
fn combine(
    rows: usize,
    means: &mut [f64],
    squares: &mut [f64],
    more: usize,
    piece_means: &[f64],
    piece_squares: &[f64],
) {
    let share = more as f64 / (rows + more) as f64;
    let weight = rows as f64 * share;
    let columns = means.iter_mut().zip(squares).zip(piece_means.iter().zip(piece_squares));
    for ((mean, square), (piece_mean, piece_square)) in columns {
        let distance = piece_mean - *mean;
        *mean += distance * share;
        *square += piece_square + distance * distance * weight;
    }
}

impl<E: CpuReal> Finish<E> for Moments<'_, E> {
    fn finish(&self, first: usize, pixels: &mut [E]) {
        let at = first * self.columns.channels;
        assert!(
            at + pixels.len() <= self.size.rows * self.size.channels,
            "rows beyond the end"
        );
        if pixels.is_empty() {
            return;
        }
        let piece = match (&self.g, self.before) {
            (Some(g), Some(kind)) => {
                // SAFETY: `g` is as long as the output, and each row is received once: nobody else
                // has these elements.
                let g = unsafe { std::slice::from_raw_parts_mut(g.at(at), pixels.len()) };
                let z = pixels.as_ptr();
                // SAFETY: as long as each other.
                unsafe { function::values(self.level, kind, z, g.as_mut_ptr(), pixels.len(), z) };
                self.gather(first, g)
            }
            _ => self.gather(first, pixels),
        };
        self.keep(piece);
    }
}

/// Sums of distances to an origin and of their squares, per column.
struct Gather<'a, E> {
    values: &'a [E],
    origin: &'a [E],
    columns: Columns,
    sums: &'a mut [f64],
}

impl<E: CpuReal> VectorPass<E> for Gather<'_, E> {
    #[inline(always)]
    unsafe fn run<V: Vector<E>>(self) {
        let terms = Distances(self.values.as_ptr(), self.origin.as_ptr());
        let run = self.columns.run_len();
        for from in (0..self.values.len()).step_by(run) {
            let len = run.min(self.values.len() - from);
            // SAFETY: the elements lie in `values`; `origin` and `sums` are as wide as a wide row.
            unsafe { add_columns::<E, V, 2>(&terms, from, len, self.columns.width, self.sums.as_mut_ptr()) };
        }
    }
}

struct Distances<E>(*const E, *const E);

impl<E> Terms<E, 2> for Distances<E> {
    #[inline(always)]
    unsafe fn add<V: Vector<E>>(&self, at: usize, column: usize, count: usize, [sum, square]: [V; 2]) -> [V; 2] {
        // SAFETY: the caller vouches for the elements and columns.
        unsafe {
            let distance = V::load(self.0.add(at), count).sub(V::load(self.1.add(column), count));
            [sum.add(distance), distance.mul_add(distance, square)]
        }
    }
}
