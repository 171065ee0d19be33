//! Differences.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Loops, constant, operand};
use crate::param::Param;
use crate::real::Real;
use crate::tape::Tape;
use std::rc::Rc;

/// `a - b`, element by element.
#[derive(Clone, Copy, Debug)]
pub struct Subtract;

impl Operation for Subtract {
    const NAMES: &'static [&'static str] = &["subtract"];
    type Inputs<A> = [A; 2];
    type Params<A> = [A; 0];

    fn of(_: &Call<'_>) -> Option<Self> {
        Some(Self)
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [a, b]: [Act<E, X, T>; 2],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let size = a.size;
        let (a, b) = (a.ready()?, b.ready()?);
        let context = a.context.merge(b.context);
        let loops = Loops::elementwise(size.len(), 2, operand(0) - operand(1));
        let y = context.exec.compute(&loops, &[&a.data, &b.data])?;
        drop((a.saved, b.saved));
        let (grad_a, grad_b) = (a.grad, b.grad);
        let backward = move |exec: &X, dy: X::Buf| {
            let negative = Loops::elementwise(size.len(), 1, constant(0.0) - operand(0));
            grad_b.add(exec, exec.compute(&negative, &[&dy])?)?;
            grad_a.add(exec, dy)
        };
        Ok(Act::output(context, size, Rc::new(y), backward))
    }
}
