//! Sums.

use super::{Call, Joined, Operation};
use crate::act::{Act, Ready};
use crate::exec::Exec;
use crate::param::Param;
use crate::pending::Branch;
use crate::real::Real;
use crate::tape::Tape;
use std::rc::Rc;

/// Sums, such as the end of a residual.
#[derive(Clone, Copy, Debug)]
pub struct Add;

impl Operation for Add {
    const NAMES: &'static [&'static str] = &["add"];
    type Inputs<A> = Joined<A>;
    type Params<A> = [A; 0];

    fn of(_: &Call<'_>) -> Option<Self> {
        Some(Self)
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        inputs: Joined<Act<E, X, T>>,
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        inputs.fold(add)
    }
}

fn add<E: Real, X: Exec<E>, T: Tape<E, X>>(a: Act<E, X, T>, b: Act<E, X, T>) -> Result<Act<E, X, T>, X::Err> {
    // A sum is the same either way round. The branch that waits takes up the other.
    let (mut waiting, other) = match (a.value.takes_residual(T::RECORDS), b.value.takes_residual(T::RECORDS)) {
        (true, _) => (a, b.ready()?),
        (false, true) => (b, a.ready()?),
        (false, false) => return add_now(a.ready()?, b.ready()?),
    };
    waiting.value.take_residual(Branch {
        data: other.data,
        saved: other.saved,
        grad: other.grad,
    });
    waiting.context = waiting.context.merge(other.context);
    Ok(waiting)
}

fn add_now<E: Real, X: Exec<E>, T: Tape<E, X>>(a: Ready<E, X, T>, b: Ready<E, X, T>) -> Result<Act<E, X, T>, X::Err> {
    drop((a.saved, b.saved));
    // Adding in place needs a buffer of one's own.
    let (into, other) = if Rc::strong_count(&a.data) == 1 {
        (a.data, b.data)
    } else {
        (b.data, a.data)
    };
    let context = a.context.merge(b.context);
    let y = context.exec.add(Rc::unwrap_or_clone(into), &other)?;
    let (grad_a, grad_b) = (a.grad, b.grad);
    let backward = move |exec: &X, dy: X::Buf| {
        grad_a.add(exec, dy.clone())?;
        grad_b.add(exec, dy)
    };
    Ok(Act::output(context, a.size, Rc::new(y), backward))
}
