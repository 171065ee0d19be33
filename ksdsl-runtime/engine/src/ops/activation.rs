//! Activation functions, element by element.

use crate::act::Act;
use crate::act::GradCell;
use crate::exec::Exec;
use crate::pending;
use crate::real::Real;
use crate::size::Activation;
use crate::tape::Tape;

/// An activation function, as part of the operation before it where that can be.
///
/// # Errors
/// If the executor fails.
pub fn activation<E: Real, X: Exec<E>, T: Tape<E, X>>(
    kind: Activation,
    mut x: Act<E, X, T>,
) -> Result<Act<E, X, T>, X::Err> {
    if x.value.take_activation(kind, T::RECORDS) {
        return Ok(x);
    }
    let size = x.size;
    let x = x.ready()?;
    drop(x.saved);
    let (mut context, grad) = (x.context, GradCell::new(T::RECORDS));
    let y = pending::activate(kind, x.data, x.grad, &mut context, &grad)?;
    Ok(Act {
        size,
        context,
        value: pending::Value::ready(y),
        grad,
    })
}
