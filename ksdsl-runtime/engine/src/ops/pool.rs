//! Pooling over windows.

use crate::act::Act;
use crate::exec::Exec;
use crate::real::Real;
use crate::size::{PoolKind, PoolSize};
use crate::tape::Tape;
use std::rc::Rc;

/// The maximum or the average of each window.
///
/// # Errors
/// If the executor fails.
pub fn pool<E: Real, X: Exec<E>, T: Tape<E, X>>(
    kind: PoolKind,
    size: PoolSize,
    x: Act<E, X, T>,
) -> Result<Act<E, X, T>, X::Err> {
    let x = x.ready()?;
    let y = x.context.exec.pool_forward(kind, size, &x.data)?;
    let (input, grad) = (x.saved, x.grad);
    let backward = move |exec: &X, dy: X::Buf| {
        let dx = exec.pool_backward(kind, size, &*input.get(exec)?, &dy)?;
        grad.add(exec, dx)
    };
    Ok(Act::output(x.context, size.output, Rc::new(y), backward))
}
