//! Convolutions, and linear layers, which are convolutions of maps of one pixel.

use crate::act::{Act, Ready};
use crate::exec::Exec;
use crate::param::{Param, Weight};
use crate::pending::{ConvStep, Value};
use crate::real::Real;
use crate::size::ConvSize;
use crate::tape::Tape;

/// Convolves `x` and adds `bias`, when what follows is known. Its sizes are those of `size` but for the unit.
///
/// # Errors
/// If the executor fails.
pub fn conv<E: Real, X: Exec<E>, T: Tape<E, X>>(
    size: ConvSize,
    x: Act<E, X, T>,
    weight: Weight<E, X>,
    bias: Option<Param<E, X>>,
) -> Result<Act<E, X, T>, X::Err> {
    let size = ConvSize {
        unit: x.context.unit,
        ..size
    };
    let (x, behind) = x.ready_or_waiting(size)?;
    Ok(wait(x, behind, size, weight, bias))
}

/// `x weight^T + bias`, when what follows is known.
///
/// # Errors
/// If the executor fails.
pub fn linear<E: Real, X: Exec<E>, T: Tape<E, X>>(
    outputs: usize,
    x: Act<E, X, T>,
    weight: Weight<E, X>,
    bias: Option<Param<E, X>>,
) -> Result<Act<E, X, T>, X::Err> {
    let size = ConvSize {
        unit: x.context.unit,
        ..ConvSize::linear(x.size, outputs)
    };
    Ok(wait(x.ready()?, None, size, weight, bias))
}

/// A convolution that is deferred until its consumer is known, fused with a deferred one before it if set.
fn wait<E: Real, X: Exec<E>, T: Tape<E, X>>(
    x: Ready<E, X, T>,
    behind: Option<Box<ConvStep<E, X>>>,
    size: ConvSize,
    weight: Weight<E, X>,
    bias: Option<Param<E, X>>,
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
