//! Norm outputs that are recomputed block by block where they are read.

use super::affine::Affine;
use super::columns::{Columns, Terms, add_columns};
use super::function;
use super::vector::{Vector, VectorPass, dispatch};
use crate::CpuBuf;
use crate::real::CpuReal;
use crate::simd::Level;
use ksdsl_engine::exec::Recipe;

/// A map that is stored, or recomputed where it is read.
pub(crate) enum Operand<'a, E: CpuReal> {
    Kept(&'a [E]),
    Recomputed(Box<Recomputed<'a, E>>),
}

pub(crate) struct Recomputed<'a, E: CpuReal> {
    level: Level,
    affine: Affine<'a, E>,
    /// Mean of the activated input for each column of a wide row, of a batch norm that nothing but a
    /// residual follows.
    mean: Option<CpuBuf<E>>,
    columns: Columns,
    input: Operand<'a, E>,
    residual: Option<Operand<'a, E>>,
}

impl<'a, E: CpuReal> Operand<'a, E> {
    pub(crate) fn new(recipe: &Recipe<'a, CpuBuf<E>>) -> Self {
        match recipe {
            Recipe::Kept(map) => Self::Kept(map),
            Recipe::Recompute {
                tail,
                input,
                factor,
                offset,
                mean,
                residual,
                ..
            } => {
                let level = Level::current();
                let columns = Columns::new::<E>(level, factor.len());
                Self::Recomputed(Box::new(Recomputed {
                    level,
                    affine: Affine::new(*tail, factor, offset, None),
                    mean: mean.filter(|_| tail.after.is_none()).map(|mean| columns.tile(mean)),
                    columns,
                    input: Self::new(input),
                    residual: residual.as_deref().map(Self::new),
                }))
            }
        }
    }

    /// Each piece but the last must be a multiple of this many rows.
    pub(crate) fn multiple(&self) -> usize {
        match self {
            Self::Kept(_) => 1,
            Self::Recomputed(made) => made.columns.repeat(),
        }
    }

    /// What this is made of, if it is made of a norm whose [sums](Recomputed::add_sums) can be given.
    pub(crate) fn norm(&self) -> Option<&Recomputed<'a, E>> {
        match self {
            Self::Recomputed(made) if made.mean.is_some() => Some(made),
            _ => None,
        }
    }

    /// As many elements as `piece` has, from `at` on: where they are kept, or else made in `piece`.
    /// Both must be whole wide rows, `at` counted from the start of the map.
    pub(crate) fn piece<'p>(&'p self, at: usize, piece: &'p mut [E]) -> &'p [E] {
        match self {
            Self::Kept(map) => &map[at..at + piece.len()],
            Self::Recomputed(made) => {
                made.write(at, piece, &mut []);
                piece
            }
        }
    }
}

impl<E: CpuReal> Recomputed<'_, E> {
    /// Values per wide row, of each of which there are two sums.
    pub(crate) fn width(&self) -> usize {
        self.columns.width
    }

    /// Adds the columns of a wide row to those of the channels.
    pub(crate) fn fold(&self, wide: &[f64], sums: &mut [f64]) {
        self.columns.fold(wide, sums);
    }

    /// Makes the elements from `at` on in `y`, and what they are made of before the norm, `g`, there if
    /// it is as long. All are whole wide rows.
    pub(crate) fn write(&self, at: usize, y: &mut [E], g: &mut [E]) {
        let len = y.len();
        assert!(g.is_empty() || g.len() == len, "a piece of another length");
        let mut scratch = match &self.residual {
            Some(Operand::Recomputed(_)) => CpuBuf::scratch(len),
            _ => CpuBuf::scratch(0),
        };
        let residual = match &self.residual {
            Some(Operand::Kept(map)) => Some(map[at..at + len].as_ptr()),
            Some(Operand::Recomputed(made)) => {
                made.write(at, &mut scratch, &mut []);
                Some(scratch.as_ptr())
            }
            None => None,
        };
        let mut z = match &self.input {
            Operand::Kept(map) => map[at..at + len].as_ptr(),
            Operand::Recomputed(made) => {
                made.write(at, y, &mut []);
                y.as_ptr()
            }
        };
        let mut before = self.affine.before();
        if !g.is_empty() {
            let ahead = residual.unwrap_or(z);
            // SAFETY: all are as long as the piece, here and below; `y` may be `z`.
            unsafe {
                match before.take() {
                    Some(kind) => function::values(self.level, kind, z, g.as_mut_ptr(), len, ahead),
                    None => z.copy_to(g.as_mut_ptr(), len),
                }
            }
            z = g.as_ptr();
        }
        // SAFETY: as above.
        unsafe { self.affine.map_with(before, residual, z, y.as_mut_ptr(), len) };
    }

    /// Adds to the sums, two for each column of a wide row, those of `dy` and of `dy (g - mean)`.
    pub(crate) fn add_sums(&self, dy: &[E], g: &[E], sums: &mut [f64]) {
        assert!(dy.len() == g.len() && sums.len() == 2 * self.columns.width, "sums");
        let mean = self.mean.as_ref().expect("a norm of which sums can be told");
        dispatch::<E>(
            self.level,
            Products {
                dy,
                g,
                mean,
                columns: self.columns,
                sums,
            },
        );
    }
}

/// Sums of `dy` and of `dy (g - mean)`, per column.
struct Products<'a, E> {
    dy: &'a [E],
    g: &'a [E],
    mean: &'a [E],
    columns: Columns,
    sums: &'a mut [f64],
}

impl<E: CpuReal> VectorPass<E> for Products<'_, E> {
    #[inline(always)]
    unsafe fn run<V: Vector<E>>(self) {
        let terms = Product(self.dy.as_ptr(), self.g.as_ptr(), self.mean.as_ptr());
        let run = self.columns.run_len();
        for from in (0..self.dy.len()).step_by(run) {
            let len = run.min(self.dy.len() - from);
            // SAFETY: the elements lie in both slices; `mean` and `sums` are as wide as a wide row.
            unsafe { add_columns::<E, V, 2>(&terms, from, len, self.columns.width, self.sums.as_mut_ptr()) };
        }
    }
}

struct Product<E>(*const E, *const E, *const E);

impl<E> Terms<E, 2> for Product<E> {
    #[inline(always)]
    unsafe fn add<V: Vector<E>>(&self, at: usize, column: usize, count: usize, [sum, product]: [V; 2]) -> [V; 2] {
        // SAFETY: the caller vouches for the elements and columns.
        unsafe {
            let dy = V::load(self.0.add(at), count);
            let distance = V::load(self.1.add(at), count).sub(V::load(self.2.add(column), count));
            [sum.add(dy), dy.mul_add(distance, product)]
        }
    }
}
