//! Gates: a factor for each channel of each image.

use crate::act::Act;
use crate::exec::Exec;
use crate::pending::{Branch, GateStep, Value};
use crate::real::Real;
use crate::tape::Tape;

/// Scales each channel of each image of `x` by `gate`: squeeze-and-excitation (Hu et al. 2018, equation 4).
pub(super) fn gate<E: Real, X: Exec<E>, T: Tape<E, X>>(
    x: Act<E, X, T>,
    gate: Act<E, X, T>,
) -> Result<Act<E, X, T>, X::Err> {
    let (x, gate) = (x.ready()?, gate.ready()?);
    let branch = |data, saved, grad| Branch { data, saved, grad };
    let size = x.size;
    let step = GateStep {
        size,
        input: branch(x.data, x.saved, x.grad),
        gate: branch(gate.data, gate.saved, gate.grad),
        residual: None,
        after: None,
    };
    let context = x.context.merge(gate.context);
    Ok(Act::deferred(size, context, Value::Gate(Box::new(step))))
}
