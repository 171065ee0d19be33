//! Dropout.

use crate::act::Act;
use crate::exec::Exec;
use crate::real::Real;
use crate::tape::Tape;
use std::rc::Rc;

/// Zeroes each element with probability `p` and scales the others by `1 / (1 - p)` (Srivastava et al. 2014, inverted);
/// `seed` decides which.
///
/// # Errors
/// If the executor fails.
pub fn dropout<E: Real, X: Exec<E>, T: Tape<E, X>>(p: f64, seed: u64, x: Act<E, X, T>) -> Result<Act<E, X, T>, X::Err> {
    let size = x.size;
    let (x, context, grad) = x.ready()?.into_values();
    let y = context.exec.dropout(p, seed, x)?;
    let backward = move |exec: &X, dy: X::Buf| {
        let dx = exec.dropout(p, seed, dy)?;
        grad.add(exec, dx)
    };
    Ok(Act::output(context, size, Rc::new(y), backward))
}
