//! The gradient of a run of rows, by vectors.

use super::super::columns::{Columns, Terms, add_columns, for_vectors};
use super::super::vector::{Vector, VectorPass};
use super::Backward;
use crate::CpuBuf;
use crate::real::CpuReal;

/// Values per column of a wide row.
pub(super) struct Tiled<E: CpuReal> {
    pub(super) columns: Columns,
    pub(super) mean: CpuBuf<E>,
    pub(super) factor: CpuBuf<E>,
    pub(super) offset: CpuBuf<E>,
}

impl<E: CpuReal> Tiled<E> {
    pub(super) fn new(columns: Columns, backward: &Backward<'_, E>) -> Self {
        Self {
            columns,
            mean: columns.tile(backward.mean),
            factor: columns.tile(backward.factor),
            offset: columns.tile(backward.offset),
        }
    }
}

/// Where the sign of `y` comes from; pointers are to the start of a run.
#[derive(Clone, Copy)]
pub(super) enum Mask<E> {
    /// No activation at the end.
    None,
    /// From `y` itself.
    Output(*const E),
    /// Computed from `g`,
    Affine,
    /// and from the residual.
    Sum(*const E),
}

/// Some wide rows; pointers are to their start.
#[derive(Clone, Copy)]
pub(super) struct Run<'a, E: CpuReal> {
    pub(super) at: usize,
    pub(super) len: usize,
    pub(super) g: *const E,
    pub(super) slopes: Option<*const E>,
    pub(super) mask: Mask<E>,
    pub(super) tiled: &'a Tiled<E>,
}

impl<E: CpuReal> Run<'_, E> {
    /// `factor * g + offset`, as the forward pass computed it.
    ///
    /// # Safety
    /// As for [`Terms::add`].
    #[inline(always)]
    pub(super) unsafe fn affine<V: Vector<E>>(&self, column: usize, count: usize, g: V) -> V {
        // SAFETY: the caller vouches for the columns.
        unsafe {
            let factor = V::load(self.tiled.factor.as_ptr().add(column), count);
            g.mul_add(factor, V::load(self.tiled.offset.as_ptr().add(column), count))
        }
    }

    /// `dy'`, from `g` and `dy`.
    ///
    /// # Safety
    /// As for [`Terms::add`].
    #[inline(always)]
    pub(super) unsafe fn masked<V: Vector<E>>(&self, at: usize, column: usize, count: usize, g: V, dy: V) -> V {
        // SAFETY: the caller vouches for elements and columns.
        unsafe {
            match self.mask {
                Mask::None => dy,
                Mask::Output(y) => V::load(y.add(at), count).unless_negative(dy),
                Mask::Affine => self.affine(column, count, g).unless_negative(dy),
                Mask::Sum(residual) => self
                    .affine(column, count, g)
                    .add(V::load(residual.add(at), count))
                    .unless_negative(dy),
            }
        }
    }
}

/// Adds a run to the sums per column of a wide row.
pub(super) struct Reduce<'a, E: CpuReal>(pub(super) Run<'a, E>, pub(super) *const E, pub(super) *mut f64);

impl<E: CpuReal> VectorPass<E> for Reduce<'_, E> {
    #[inline(always)]
    unsafe fn run<V: Vector<E>>(self) {
        let (run, sums) = (self.0, self.2);
        // SAFETY: the caller vouches for features and pointers.
        unsafe { add_columns::<E, V, 2>(&self, 0, run.len, run.tiled.columns.width, sums) };
    }
}

impl<E: CpuReal> Terms<E, 2> for Reduce<'_, E> {
    #[inline(always)]
    unsafe fn add<V: Vector<E>>(&self, at: usize, column: usize, count: usize, [sum, product]: [V; 2]) -> [V; 2] {
        // SAFETY: the caller vouches for elements and columns.
        unsafe {
            let g = V::load(self.0.g.add(at), count);
            let dy = self.0.masked(at, column, count, g, V::load(self.1.add(at), count));
            let distance = g.sub(V::load(self.0.tiled.mean.as_ptr().add(column), count));
            [sum.add(dy), dy.mul_add(distance, product)]
        }
    }
}

/// Writes the gradients of a run.
pub(super) struct Write<'a, E: CpuReal> {
    pub(super) run: Run<'a, E>,
    pub(super) average: *const E,
    pub(super) slope: *const E,
    pub(super) dy: *mut E,
    pub(super) keep: bool,
    pub(super) dz: *mut E,
}

impl<E: CpuReal> VectorPass<E> for Write<'_, E> {
    #[inline(always)]
    unsafe fn run<V: Vector<E>>(self) {
        let (run, tiled) = (self.run, self.run.tiled);
        let (mean, factor) = (tiled.mean.as_ptr(), tiled.factor.as_ptr());
        // SAFETY: the caller vouches for features and pointers.
        unsafe {
            for_vectors::<E, V>(
                run.len,
                tiled.columns.width,
                #[inline(always)]
                |at, column, count| {
                    let g = V::load(run.g.add(at), count);
                    let dy = run.masked(at, column, count, g, V::load(self.dy.add(at), count));
                    let distance = g.sub(V::load(mean.add(column), count));
                    let share = distance.mul_add(
                        V::load(self.slope.add(column), count),
                        V::load(self.average.add(column), count),
                    );
                    let mut dz = dy.sub(share).mul(V::load(factor.add(column), count));
                    if let Some(slopes) = run.slopes {
                        dz = dz.mul(V::load(slopes.add(at), count));
                    }
                    if self.keep {
                        dy.store(self.dy.add(at), count);
                    }
                    dz.store(self.dz.add(at), count);
                },
            );
        }
    }
}
