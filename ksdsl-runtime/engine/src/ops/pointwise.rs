//! Operations whose output is, element by element, an expression of one input.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Expr, Loops, operand};
use crate::param::Param;
use crate::real::Real;
use crate::tape::Tape;
use std::rc::Rc;

/// An operation that is an expression of operand 0, its input.
pub(super) trait Pointwise: Sized {
    /// See [`Operation::NAMES`].
    const NAMES: &'static [&'static str];

    /// See [`Operation::of`].
    fn of(call: &Call<'_>) -> Option<Self>;

    /// The output.
    fn value(&self) -> Expr;

    /// The derivative of the output with respect to the input.
    fn derivative(&self) -> Expr;
}

impl<P: Pointwise> Operation for P {
    const NAMES: &'static [&'static str] = P::NAMES;
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        P::of(call)
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let (size, x) = (x.size, x.ready()?);
        let loops = Loops::elementwise(size.len(), 1, self.value());
        let y = x.context.exec.compute(&loops, &[&x.data])?;
        let (input, grad, derivative) = (x.saved, x.grad, self.derivative());
        let backward = move |exec: &X, dy: X::Buf| {
            let loops = Loops::elementwise(size.len(), 2, derivative * operand(1));
            let dx = exec.compute(&loops, &[&*input.get(exec)?, &dy])?;
            grad.add(exec, dx)
        };
        Ok(Act::output(x.context, size, Rc::new(y), backward))
    }
}
