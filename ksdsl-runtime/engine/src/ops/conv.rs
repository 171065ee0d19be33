//! Convolutions, and linear layers, which are convolutions of maps of one pixel.
//!
//! What they read is bound when their input is computed, so that it is not in memory while the deferred convolution
//! before runs, nor the sum of its gradient while that one's backward pass does.

use crate::act::{Act, Context, Ready};
use crate::exec::Exec;
use crate::param::Param;
use crate::pending::{ConvStep, Value};
use crate::real::Real;
use crate::size::ConvSize;
use crate::tape::Tape;
use crate::weight::Weight;

/// The kernel of a layer and its bias, if there is one.
pub type Weights<E, X> = (Weight<E, X>, Option<Param<E, X>>);

/// Convolves `x` and adds a bias, when what follows is known. Its sizes are those of `size` but for the unit.
///
/// # Errors
/// Those of `bind`, and the executor's through `failed`.
pub fn conv<E: Real, X: Exec<E>, T: Tape<E, X>, R>(
    size: ConvSize,
    x: Act<E, X, T>,
    bind: impl FnOnce(&mut Context<E, X, T>) -> Result<Weights<E, X>, R>,
    failed: impl Fn(X::Err) -> R,
) -> Result<Act<E, X, T>, R> {
    let size = ConvSize {
        unit: x.context.unit,
        ..size
    };
    let (mut x, behind) = x.ready_or_waiting(size).map_err(failed)?;
    let weights = bind(&mut x.context)?;
    Ok(wait(x, behind, size, weights))
}

/// `x weight^T + bias`, when what follows is known.
///
/// # Errors
/// Those of `bind`, and the executor's through `failed`.
pub fn linear<E: Real, X: Exec<E>, T: Tape<E, X>, R>(
    outputs: usize,
    x: Act<E, X, T>,
    bind: impl FnOnce(&mut Context<E, X, T>) -> Result<Weights<E, X>, R>,
    failed: impl Fn(X::Err) -> R,
) -> Result<Act<E, X, T>, R> {
    let size = ConvSize {
        unit: x.context.unit,
        ..ConvSize::linear(x.size, outputs)
    };
    let mut x = x.ready().map_err(failed)?;
    let weights = bind(&mut x.context)?;
    Ok(wait(x, None, size, weights))
}

/// A convolution that is deferred until its consumer is known, fused with a deferred one before it if set.
fn wait<E: Real, X: Exec<E>, T: Tape<E, X>>(
    x: Ready<E, X, T>,
    behind: Option<Box<ConvStep<E, X>>>,
    size: ConvSize,
    (weight, bias): Weights<E, X>,
) -> Act<E, X, T> {
    let step = ConvStep {
        size,
        x: x.data,
        behind,
        saved: x.saved,
        grad: x.grad,
        weight,
        bias,
        before: None,
        affine: None,
        residual: None,
        after: None,
    };
    Act::deferred(size.output, x.context, Value::Conv(Box::new(step)))
}
