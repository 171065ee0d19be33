//! Convolutions, and linear layers, which are convolutions of maps of one pixel.

use crate::act::{Act, Context, Ready};
use crate::exec::Exec;
use crate::param::{Param, Weight};
use crate::pending::{ConvStep, Value};
use crate::real::Real;
use crate::size::ConvSize;
use crate::tape::Tape;

/// The input of a convolution or linear layer whose parameters are still to be bound: after the layers before it ran,
/// so that the parameters of both are not in memory at the same time.
#[derive(Debug)]
pub struct ConvInput<E: Real, X: Exec<E>, T> {
    size: ConvSize,
    x: Ready<E, X, T>,
    /// A convolution that is deferred and fused with this one.
    behind: Option<Box<ConvStep<E, X>>>,
}

/// The input of a convolution of these sizes (but for the unit, which the input has).
///
/// # Errors
/// If the executor fails.
pub fn conv_input<E: Real, X: Exec<E>, T: Tape<E, X>>(
    size: ConvSize,
    x: Act<E, X, T>,
) -> Result<ConvInput<E, X, T>, X::Err> {
    let size = ConvSize {
        unit: x.context.unit,
        ..size
    };
    let (x, behind) = x.ready_or_waiting(size)?;
    Ok(ConvInput { size, x, behind })
}

/// The input of a linear layer of this many outputs.
///
/// # Errors
/// If the executor fails.
pub fn linear_input<E: Real, X: Exec<E>, T: Tape<E, X>>(
    outputs: usize,
    x: Act<E, X, T>,
) -> Result<ConvInput<E, X, T>, X::Err> {
    let size = ConvSize {
        unit: x.context.unit,
        ..ConvSize::linear(x.size, outputs)
    };
    let x = x.ready()?;
    Ok(ConvInput { size, x, behind: None })
}

impl<E: Real, X: Exec<E>, T: Tape<E, X>> ConvInput<E, X, T> {
    /// What the input carries, for binding parameters.
    pub fn context_mut(&mut self) -> &mut Context<E, X, T> {
        &mut self.x.context
    }

    /// The convolution with `weight` plus `bias`, or `x weight^T + bias`; it runs when what follows is known.
    pub fn conv(self, weight: Weight<E, X>, bias: Option<Param<E, X>>) -> Act<E, X, T> {
        let step = ConvStep {
            size: self.size,
            x: self.x.data,
            behind: self.behind,
            saved: self.x.saved,
            grad: self.x.grad,
            weight,
            bias,
            before: None,
            affine: None,
            residual: None,
            after: None,
        };
        Act::deferred(self.size.output, self.x.context, Value::Conv(Box::new(step)))
    }
}
