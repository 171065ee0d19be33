//! Operations that join two branches element by element.

use crate::act::{Act, ActShape, Flat, Map};
use crate::backend::Backend;
use crate::scalar::Scalar;
use dfdx::shapes::Dim;
use dfdx::tensor::Tape;
use ksdsl_engine::ops::{self, Operation};

/// `a + b`: the end of a residual.
///
/// # Panics
/// If both batch sizes are known at run time only and differ (as dfdx's own operations do).
pub fn add<S: ActShape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    a: Act<S, E, D, T>,
    b: Act<S, E, D, T>,
) -> Result<Act<S, E, D, T>, D::Err> {
    assert_eq!(a.shape, b.shape, "cannot add different shapes");
    let shape = a.shape;
    a.then(shape, |a| ops::Add.run([a, b.untyped].into(), []))
}

/// `a * b`, element by element.
///
/// # Panics
/// If both batch sizes are known at run time only and differ (as dfdx's own operations do).
pub fn multiply<S: ActShape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    a: Act<S, E, D, T>,
    b: Act<S, E, D, T>,
) -> Result<Act<S, E, D, T>, D::Err> {
    assert_eq!(a.shape, b.shape, "cannot multiply different shapes");
    let shape = a.shape;
    a.then(shape, |a| ops::Multiply.run([a, b.untyped].into(), []))
}

/// Each position of `x` times its factor, which is one for all channels: a gate over positions (Woo et al. 2018).
///
/// # Panics
/// If both batch sizes are known at run time only and differ (as dfdx's own operations do).
pub fn gate_positions<
    B: Dim,
    const C: usize,
    const H: usize,
    const W: usize,
    E: Scalar,
    D: Backend<E>,
    T: Tape<E, D>,
>(
    x: Map<B, C, H, W, E, D, T>,
    factors: Map<B, 1, H, W, E, D, T>,
) -> Result<Map<B, C, H, W, E, D, T>, D::Err> {
    assert_eq!(x.shape.0, factors.shape.0, "cannot gate a batch of another size");
    let shape = x.shape;
    x.then(shape, |x| ops::Multiply.run([x, factors.untyped].into(), []))
}

/// Scales each channel of each image of `x` by `gate`: squeeze-and-excitation (Hu et al. 2018,
/// equation 4).
///
/// # Panics
/// If both batch sizes are known at run time only and differ (as dfdx's own operations do).
pub fn gate<B: Dim, const C: usize, const H: usize, const W: usize, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    x: Map<B, C, H, W, E, D, T>,
    gate: Flat<B, C, E, D, T>,
) -> Result<Map<B, C, H, W, E, D, T>, D::Err> {
    assert_eq!(x.shape.0, gate.shape.0, "cannot gate a batch of another size");
    let shape = x.shape;
    x.then(shape, |x| ops::Multiply.run([x, gate.untyped].into(), []))
}
