//! Layers that are deferred until their consumer is known.
//!
//! A convolution's output goes through memory once for the convolution itself and once more for
//! each of norm, activation and residual, unless they are computed together. So a convolution does
//! not run at once: its [`Value`] waits, takes up the activation, norm, residual and activation that
//! follow, and is computed when something else asks for it.
//!
//! In inference all of that becomes the tail of the convolution. In training the batch's statistics
//! are gathered while the convolution runs; what follows the norm is one more pass, and the output
//! is recomputed from the convolution's output in the backward pass rather than kept ([`Saved`]).
mod conv;
mod gate;
mod norm;

use crate::act::{Context, GradCell};
use crate::exec::Exec;
use crate::real::Real;
use crate::saved::Saved;
use crate::size::Activation;
use crate::tape::Tape;
pub(crate) use conv::{ConvStep, activate};
pub(crate) use gate::GateStep;
pub(crate) use norm::{NormSource, NormStep};
use std::rc::Rc;

/// Values, and how to have them again in the backward pass.
type Computed<E, X> = Result<(Rc<<X as Exec<E>>::Buf>, Saved<E, X>), <X as Exec<E>>::Err>;

/// An activation's values, there or to come.
#[derive(Debug)]
pub(crate) enum Value<E: Real, X: Exec<E>> {
    /// There.
    Ready(Rc<X::Buf>, Saved<E, X>),
    /// A convolution or linear layer that did not run yet.
    Conv(Box<ConvStep<E, X>>),
    /// The input of a norm with its statistics.
    Norm(Box<NormStep<E, X>>),
    /// A map and the gate of its channels.
    Gate(Box<GateStep<E, X>>),
}
/// One of the inputs of an operation.
#[derive(Debug)]
pub(crate) struct Branch<E: Real, X: Exec<E>> {
    pub(crate) data: Rc<X::Buf>,
    pub(crate) saved: Saved<E, X>,
    pub(crate) grad: GradCell<X::Buf>,
}
impl<E: Real, X: Exec<E>> Value<E, X> {
    /// Values that are there and kept for the backward pass.
    pub(crate) fn ready(data: Rc<X::Buf>) -> Self {
        Self::Ready(data.clone(), Saved::Kept(data))
    }

    /// Computes the values, if that has not been done, and records the backward pass, for the
    /// gradient that gathers in `grad`.
    pub(crate) fn compute<T: Tape<E, X>>(
        self,
        context: &mut Context<E, X, T>,
        grad: &GradCell<X::Buf>,
    ) -> Computed<E, X> {
        match self {
            Self::Ready(data, saved) => Ok((data, saved)),
            Self::Conv(step) => step.compute(context, grad),
            Self::Norm(step) => step.compute(context, grad),
            Self::Gate(step) => step.compute(context, grad),
        }
    }

    /// Whether an operation was taken up, or is chained to the one before it.
    pub(crate) fn is_fused(&self) -> bool {
        match self {
            Self::Ready(..) => false,
            Self::Conv(step) => step.behind.is_some() || !step.is_bare(),
            Self::Norm(step) => step.tail.after.is_some() || step.residual.is_some(),
            Self::Gate(step) => step.after.is_some() || step.residual.is_some(),
        }
    }

    /// Takes up an activation. `false`: it must be a pass of its own.
    pub(crate) fn take_activation(&mut self, kind: Activation, taped: bool) -> bool {
        match self {
            Self::Conv(step) if step.is_bare() => {
                step.before = Some(kind);
                true
            }
            Self::Conv(step) if !taped && step.after.is_none() => {
                step.after = Some(kind);
                true
            }
            Self::Norm(step) if step.tail.after.is_none() && kind == Activation::Relu => {
                step.tail.after = Some(kind);
                true
            }
            Self::Gate(step) if step.after.is_none() && kind == Activation::Relu => {
                step.after = Some(kind);
                true
            }
            _ => false,
        }
    }

    /// Whether a residual can be taken up.
    pub(crate) fn takes_residual(&self, taped: bool) -> bool {
        match self {
            Self::Ready(..) => false,
            Self::Conv(step) => !taped && step.is_open(),
            Self::Norm(step) => step.tail.after.is_none() && step.residual.is_none(),
            Self::Gate(step) => step.after.is_none() && step.residual.is_none(),
        }
    }

    /// Takes up a residual, if it [can](Self::takes_residual).
    pub(crate) fn take_residual(&mut self, residual: Branch<E, X>) {
        match self {
            Self::Ready(..) => debug_assert!(false, "nothing waits here"),
            Self::Conv(step) => step.residual = Some(residual.data),
            Self::Norm(step) => step.residual = Some(residual),
            Self::Gate(step) => step.residual = Some(residual),
        }
    }

    /// Whether a convolution waits that can take up a norm with running statistics, in inference.
    pub(crate) fn is_open_conv(&self) -> bool {
        matches!(self, Self::Conv(step) if step.is_plain())
    }

    /// Takes up such a norm, if it can; in inference only.
    pub(crate) fn take_affine(&mut self, factor: X::Buf, offset: X::Buf) {
        match self {
            Self::Conv(step) => step.affine = Some((factor, offset)),
            _ => debug_assert!(false, "no convolution waits here"),
        }
    }
}
