//! Forward: `y = after(factor * before(z) + offset + residual)`.

use super::columns::{Columns, for_vectors};
use super::vector::{Vector, VectorPass, dispatch};
use super::{formulas, function};
use crate::finish::Finish;
use crate::par::{ELEMENTS_PER_TASK, Start};
use crate::real::CpuReal;
use crate::simd::Level;
use crate::{CpuBuf, threads};
use ksdsl_engine::size::{Activation, RowSize, Tail};

/// Factor and offset per channel that make batch normalisation `factor * g + offset`.
pub(crate) fn factor_and_offset<E: CpuReal>(
    mean: &[E],
    variance: &[E],
    scale: &[E],
    shift: &[E],
    eps: f64,
) -> (CpuBuf<E>, CpuBuf<E>) {
    let mut factor = CpuBuf::scratch(mean.len());
    let mut offset = CpuBuf::scratch(mean.len());
    for channel in 0..mean.len() {
        factor[channel] = E::of(scale[channel].wide() / (variance[channel].wide() + eps).sqrt());
        // With the factor as it was rounded: the mean must become the shift.
        offset[channel] = E::of(shift[channel].wide() - mean[channel].wide() * factor[channel].wide());
    }
    (factor, offset)
}

/// The map after a convolution, for its pieces or for the whole.
///
/// As a [`Finish`] it replaces each piece of `z` by its piece of `y`: inference.
pub(crate) struct Affine<'a, E: CpuReal> {
    level: Level,
    columns: Columns,
    tail: Tail,
    /// Per column of a wide row.
    factor: CpuBuf<E>,
    offset: CpuBuf<E>,
    residual: Option<&'a [E]>,
}

impl<'a, E: CpuReal> Affine<'a, E> {
    /// With `factor` and `offset` per channel and a residual as long as the output.
    pub(crate) fn new(tail: Tail, factor: &[E], offset: &[E], residual: Option<&'a [E]>) -> Self {
        let level = Level::current();
        let columns = Columns::new::<E>(level, factor.len());
        Self {
            level,
            columns,
            tail,
            factor: columns.tile(factor),
            offset: columns.tile(offset),
            residual,
        }
    }

    /// `y` of the `len` elements at `z`, the element `at` of the output and what follows.
    ///
    /// # Safety
    /// `z` and `y` must be good for `len` elements of whole rows; `y` may be `z`.
    unsafe fn map(&self, at: usize, z: *const E, y: *mut E, len: usize) {
        let residual = self.residual.map(|residual| residual[at..at + len].as_ptr());
        // SAFETY: the caller vouches for the pointers; the residual was cut to the piece.
        unsafe { self.map_with(self.tail.before, residual, z, y, len) };
    }

    /// The activation before the norm.
    pub(super) fn before(&self) -> Option<Activation> {
        self.tail.before
    }

    /// As [`Affine::map`] with the residual of these elements, after the activation `before`.
    ///
    /// # Safety
    /// As there; `residual` must be good for `len` elements too.
    pub(super) unsafe fn map_with(
        &self,
        before: Option<Activation>,
        residual: Option<*const E>,
        z: *const E,
        y: *mut E,
        len: usize,
    ) {
        // Activations of other kinds take a walk of their own.
        let clamp = match self.tail.after {
            Some(Activation::Relu) => Clamp::Relu,
            Some(Activation::Relu6) => Clamp::Relu6,
            _ => Clamp::Nothing,
        };
        let other = self.tail.after.filter(|_| clamp == Clamp::Nothing);
        let run = self.columns.run_len();
        let mut done = 0;
        while done < len {
            // Without `before` there is nothing to have in the cache for a second walk.
            let more = if before.is_some() || other.is_some() { run } else { len };
            let more = more.min(len - done);
            // SAFETY: the caller vouches for the pointers.
            unsafe {
                let (mut z, y) = (z.add(done), y.add(done));
                if let Some(kind) = before {
                    let ahead = residual.map_or(z, |residual| residual.add(done));
                    function::values(self.level, kind, z, y, more, ahead);
                    z = y;
                }
                let pass = Map {
                    z,
                    y,
                    residual: residual.map(|residual| residual.add(done)),
                    clamp,
                    len: more,
                    affine: self,
                };
                dispatch(self.level, pass);
                if let Some(kind) = other {
                    function::values(self.level, kind, y, y, more, y);
                }
            }
            done += more;
        }
    }

    /// `y` of all `z`, in parallel.
    ///
    /// # Safety
    /// Both must be good for `size`; `y` may be `z`.
    unsafe fn all(&self, size: RowSize, z: *const E, y: *mut E) {
        let len = size.rows * size.channels;
        assert_eq!(size.channels, self.columns.channels, "channels");
        assert!(
            self.residual.is_none_or(|residual| residual.len() == len),
            "a residual of another length"
        );
        if len == 0 {
            return;
        }
        let task = ELEMENTS_PER_TASK.next_multiple_of(self.columns.width);
        let (z, y) = (Start(z.cast_mut()), Start(y));
        threads::for_each(len.div_ceil(task), &|index| {
            let at = index * task;
            // SAFETY: the pieces do not overlap, and the caller vouches for the whole.
            unsafe { self.map(at, z.at(at), y.at(at), task.min(len - at)) };
        });
    }
}

impl<E: CpuReal> Finish<E> for Affine<'_, E> {
    fn finish(&self, first: usize, pixels: &mut [E]) {
        let start = pixels.as_mut_ptr();
        // SAFETY: one slice, in place.
        unsafe { self.map(first * self.columns.channels, start, start, pixels.len()) };
    }
}

/// What the pass itself does last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clamp {
    Nothing,
    Relu,
    Relu6,
}

struct Map<'a, E: CpuReal> {
    z: *const E,
    y: *mut E,
    residual: Option<*const E>,
    clamp: Clamp,
    len: usize,
    affine: &'a Affine<'a, E>,
}

impl<E: CpuReal> VectorPass<E> for Map<'_, E> {
    #[inline(always)]
    unsafe fn run<V: Vector<E>>(self) {
        // SAFETY: the caller vouches for features and pointers.
        unsafe {
            match self.clamp {
                Clamp::Nothing => self.each_added::<V>(
                    #[inline(always)]
                    |y| y,
                ),
                Clamp::Relu => self.each_added::<V>(
                    #[inline(always)]
                    |y| formulas::relu(y),
                ),
                Clamp::Relu6 => self.each_added::<V>(
                    #[inline(always)]
                    |y| formulas::formulas(Activation::Relu6, y).0,
                ),
            }
        }
    }
}

impl<E: CpuReal> Map<'_, E> {
    /// With the residual, if there is one.
    ///
    /// # Safety
    /// As for [`Affine::map`] and [`Vector`].
    #[inline(always)]
    unsafe fn each_added<V: Vector<E>>(self, end: impl Fn(V) -> V) {
        // SAFETY: as the caller's.
        unsafe {
            match self.residual {
                None => self.each::<V>(
                    #[inline(always)]
                    |_, _, y| end(y),
                ),
                Some(residual) => self.each::<V>(
                    #[inline(always)]
                    |at, count, y| end(y.add(V::load(residual.add(at), count))),
                ),
            }
        }
    }

    /// # Safety
    /// As for [`Affine::map`] and [`Vector`].
    #[inline(always)]
    unsafe fn each<V: Vector<E>>(self, end: impl Fn(usize, usize, V) -> V) {
        let (factor, offset) = (self.affine.factor.as_ptr(), self.affine.offset.as_ptr());
        // SAFETY: the caller vouches for the pointers; factor and offset are as wide as a wide row.
        unsafe {
            for_vectors::<E, V>(
                self.len,
                self.affine.columns.width,
                #[inline(always)]
                |at, column, count| {
                    let factor = V::load(factor.add(column), count);
                    let offset = V::load(offset.add(column), count);
                    let y = V::load(self.z.add(at), count).mul_add(factor, offset);
                    end(at, count, y).store(self.y.add(at), count);
                },
            );
        }
    }
}

/// `y = after(factor * g + offset + residual)`, per channel.
pub(crate) fn apply<E: CpuReal>(
    size: RowSize,
    g: &[E],
    factor: &[E],
    offset: &[E],
    residual: Option<&[E]>,
    after: Option<Activation>,
    y: &mut [E],
) {
    recall(size, Tail { before: None, after }, g, factor, offset, residual, y);
}

/// As [`apply`] with `y` instead of `g`.
pub(crate) fn apply_in_place<E: CpuReal>(
    size: RowSize,
    y: &mut [E],
    factor: &[E],
    offset: &[E],
    residual: Option<&[E]>,
    after: Option<Activation>,
) {
    assert_eq!(y.len(), size.rows * size.channels, "the map's length");
    let affine = Affine::new(Tail { before: None, after }, factor, offset, residual);
    let start = y.as_mut_ptr();
    // SAFETY: one slice of this size, in place.
    unsafe { affine.all(size, start, start) };
}

/// `y` from the convolution's output `z`, once more.
pub(crate) fn recall<E: CpuReal>(
    size: RowSize,
    tail: Tail,
    z: &[E],
    factor: &[E],
    offset: &[E],
    residual: Option<&[E]>,
    y: &mut [E],
) {
    let len = size.rows * size.channels;
    assert!(z.len() == len && y.len() == len, "maps of another length");
    let affine = Affine::new(tail, factor, offset, residual);
    // SAFETY: both are of this size.
    unsafe { affine.all(size, z.as_ptr(), y.as_mut_ptr()) };
}
