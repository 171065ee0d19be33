//! Concatenation along channels.

use crate::act::{Act, ActShape};
use crate::backend::Backend;
use crate::scalar::Scalar;
use dfdx::shapes::{Const, Dim};
use dfdx::tensor::Tape;
use ksdsl_engine::ops::{self, Operation};

/// A shape that joins with `R` along channels and gives `Y`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` and `{R}` do not join along channels to `{Y}`",
    note = "everything but the channels must be the same"
)]
pub trait ConcatShape<R: ActShape, Y: ActShape>: ActShape {
    /// Fails to compile unless the channels add up.
    const CHECK: ();

    /// The joined shape.
    fn joined(&self) -> Y;
}

impl<B: Dim, const L: usize, const R: usize, const Y: usize, const H: usize, const W: usize>
    ConcatShape<(B, Const<R>, Const<H>, Const<W>), (B, Const<Y>, Const<H>, Const<W>)>
    for (B, Const<L>, Const<H>, Const<W>)
{
    const CHECK: () = assert!(L + R == Y, "the channels do not add up to the output's");

    fn joined(&self) -> (B, Const<Y>, Const<H>, Const<W>) {
        (self.0, Const, Const, Const)
    }
}

impl<B: Dim, const L: usize, const R: usize, const Y: usize> ConcatShape<(B, Const<R>), (B, Const<Y>)>
    for (B, Const<L>)
{
    const CHECK: () = assert!(L + R == Y, "the features do not add up to the output's");

    fn joined(&self) -> (B, Const<Y>) {
        (self.0, Const)
    }
}

/// Joins two maps (or two feature vectors) along channels: first those of `a`, then those of `b`.
///
/// # Panics
/// If both batch sizes are known at run time only and differ (as dfdx's own operations do).
pub fn concat<L, R, Y, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    a: Act<L, E, D, T>,
    b: Act<R, E, D, T>,
) -> Result<Act<Y, E, D, T>, D::Err>
where
    L: ConcatShape<R, Y>,
    R: ActShape,
    Y: ActShape,
{
    const { <L as ConcatShape<R, Y>>::CHECK };
    let rows = [a.shape.map_size().rows(), b.shape.map_size().rows()];
    assert_eq!(rows[0], rows[1], "cannot join different batch sizes");
    let shape = a.shape.joined();
    a.then(shape, |a| ops::Concat.run([a, b.untyped].into(), []))
}
