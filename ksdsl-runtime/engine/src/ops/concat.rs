//! Concatenation along channels.

use crate::act::Act;
use crate::exec::Exec;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;
use std::rc::Rc;

/// First the channels of `a`, then those of `b`.
///
/// # Errors
/// If the executor fails.
pub fn concat<E: Real, X: Exec<E>, T: Tape<E, X>>(a: Act<E, X, T>, b: Act<E, X, T>) -> Result<Act<E, X, T>, X::Err> {
    let (rows, left, right) = (a.size.rows(), a.size.channels, b.size.channels);
    let size = MapSize {
        channels: left + right,
        ..a.size
    };
    let (a, b) = (a.ready()?, b.ready()?);
    let context = a.context.merge(b.context);
    let y = context.exec.concat(rows, left, right, &a.data, &b.data)?;
    let (grad_a, grad_b) = (a.grad, b.grad);
    let backward = move |exec: &X, dy: X::Buf| {
        let (da, db) = exec.split(rows, left, right, &dy)?;
        grad_a.add(exec, da)?;
        grad_b.add(exec, db)
    };
    Ok(Act::output(context, size, Rc::new(y), backward))
}
