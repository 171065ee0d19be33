//! Operations whose output is, element by element, an expression of one input.

use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Expr, Loops};
use crate::real::Real;
use crate::tape::Tape;
use std::rc::Rc;

/// `forward` of operand 0, the input; backward, `derivative` of operand 0, which times the output's gradient is the
/// input's.
///
/// # Errors
/// If the executor fails.
pub(crate) fn pointwise<E: Real, X: Exec<E>, T: Tape<E, X>>(
    x: Act<E, X, T>,
    forward: Expr,
    derivative: Expr,
) -> Result<Act<E, X, T>, X::Err> {
    let (size, x) = (x.size, x.ready()?);
    let y = x
        .context
        .exec
        .compute(&Loops::elementwise(size.len(), 1, forward), &[&x.data])?;
    let (input, grad) = (x.saved, x.grad);
    let backward = move |exec: &X, dy: X::Buf| {
        let loops = Loops::elementwise(size.len(), 2, derivative * Expr::Operand(1));
        let dx = exec.compute(&loops, &[&*input.get(exec)?, &dy])?;
        grad.add(exec, dx)
    };
    Ok(Act::output(x.context, size, Rc::new(y), backward))
}
