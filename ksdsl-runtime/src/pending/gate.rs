//! Gates in waiting.

use super::{Branch, Computed};
use crate::act::{Context, GradCell};
use crate::backend::Backend;
use crate::geometry::{Activation, MapSize};
use crate::saved::Saved;
use crate::scalar::Scalar;
use dfdx::tensor::Tape;
use std::rc::Rc;

/// A gate (squeeze-and-excitation) with what follows it.
#[derive(Debug)]
pub(crate) struct GateStep<E: Scalar, D: Backend<E>> {
    pub(crate) size: MapSize,
    pub(crate) input: Branch<E, D>,
    pub(crate) gate: Branch<E, D>,
    pub(crate) residual: Option<Branch<E, D>>,
    pub(crate) after: Option<Activation>,
}

impl<E: Scalar, D: Backend<E>> GateStep<E, D> {
    pub(super) fn compute<T: Tape<E, D>>(
        self,
        context: &mut Context<E, D, T>,
        grad: &GradCell<D::Buf>,
    ) -> Computed<E, D> {
        let Self {
            size,
            input,
            gate,
            residual,
            after,
        } = self;
        let added = residual.as_ref().map(|residual| &*residual.data);
        let y = context
            .device
            .gate_forward(size, &input.data, &gate.data, added, after)?;
        let y = Rc::new(y);
        let saved = Saved::Kept(y.clone());
        if T::OWNS_TAPE {
            let output = after.map(|_| y.clone());
            let (x, dx, scale, dscale) = (input.saved, input.grad, gate.saved, gate.grad);
            let residual = residual.map(|residual| residual.grad);
            context.record(grad, move |device, dy| {
                let (x, scale) = (x.get(device)?, scale.get(device)?);
                let (gradient, gate, dresidual) =
                    device.gate_backward(size, &x, &scale, output.as_deref(), dy, residual.is_some())?;
                if let (Some(grad), Some(dresidual)) = (residual, dresidual) {
                    grad.add(device, dresidual)?;
                }
                dx.add(device, gradient)?;
                dscale.add(device, gate)
            });
        }
        Ok((y, saved))
    }
}
