//! Gates in waiting.

use super::{Branch, Computed};
use crate::act::{Context, GradCell};
use crate::exec::Exec;
use crate::real::Real;
use crate::saved::Saved;
use crate::size::{Activation, MapSize};
use crate::tape::Tape;
use std::rc::Rc;

/// A gate (squeeze-and-excitation) with what follows it.
#[derive(Debug)]
pub(crate) struct GateStep<E: Real, X: Exec<E>> {
    pub(crate) size: MapSize,
    pub(crate) input: Branch<E, X>,
    pub(crate) gate: Branch<E, X>,
    pub(crate) residual: Option<Branch<E, X>>,
    pub(crate) after: Option<Activation>,
}

impl<E: Real, X: Exec<E>> GateStep<E, X> {
    pub(crate) fn compute<T: Tape<E, X>>(
        self,
        context: &mut Context<E, X, T>,
        grad: &GradCell<X::Buf>,
    ) -> Computed<E, X> {
        let Self {
            size,
            input,
            gate,
            residual,
            after,
        } = self;
        let added = residual.as_ref().map(|residual| &*residual.data);
        let y = context.exec.gate_forward(size, &input.data, &gate.data, added, after)?;
        let y = Rc::new(y);
        let saved = Saved::Kept(y.clone());
        if T::RECORDS {
            let output = after.map(|_| y.clone());
            let (x, dx, scale, dscale) = (input.saved, input.grad, gate.saved, gate.grad);
            let residual = residual.map(|residual| residual.grad);
            context.record(grad, move |exec, dy| {
                let (x, scale) = (x.get(exec)?, scale.get(exec)?);
                let (gradient, gate, dresidual) =
                    exec.gate_backward(size, &x, &scale, output.as_deref(), dy, residual.is_some())?;
                if let (Some(grad), Some(dresidual)) = (residual, dresidual) {
                    grad.add(exec, dresidual)?;
                }
                dx.add(exec, gradient)?;
                dscale.add(exec, gate)
            });
        }
        Ok((y, saved))
    }
}
