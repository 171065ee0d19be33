//! Products, element by element.

use crate::act::Act;
use crate::exec::Exec;
use crate::real::Real;
use crate::tape::Tape;
use std::rc::Rc;

/// `a * b`.
///
/// # Errors
/// If the executor fails.
pub fn multiply<E: Real, X: Exec<E>, T: Tape<E, X>>(a: Act<E, X, T>, b: Act<E, X, T>) -> Result<Act<E, X, T>, X::Err> {
    let (a, b) = (a.ready()?, b.ready()?);
    let saved = T::RECORDS.then_some((a.saved, b.saved));
    let context = a.context.merge(b.context);
    let y = context.exec.multiply(Rc::unwrap_or_clone(a.data), &b.data)?;
    let (grad_a, grad_b) = (a.grad, b.grad);
    let backward = move |exec: &X, dy: X::Buf| {
        let Some((a, b)) = saved else { return Ok(()) };
        grad_a.add(exec, exec.multiply(dy.clone(), &*b.get(exec)?)?)?;
        grad_b.add(exec, exec.multiply(dy, &*a.get(exec)?)?)
    };
    Ok(Act::output(context, a.size, Rc::new(y), backward))
}
