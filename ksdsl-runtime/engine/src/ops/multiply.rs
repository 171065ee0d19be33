//! Products.

use super::gate::gate;
use super::{Call, Joined, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;
use std::cmp::Ordering;
use std::rc::Rc;

/// Products, element by element, or with one factor for each channel of each image.
#[derive(Clone, Copy, Debug)]
pub struct Multiply;

impl Operation for Multiply {
    const NAMES: &'static [&'static str] = &["multiply"];
    type Inputs<A> = Joined<A>;
    type Params<A> = [A; 0];

    fn of(_: &Call<'_>) -> Option<Self> {
        Some(Self)
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        let largest = inputs.iter().copied().max_by_key(MapSize::rows);
        largest.unwrap_or(inputs[0])
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        inputs: Joined<Act<E, X, T>>,
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        inputs.fold(|a, b| match a.size.rows().cmp(&b.size.rows()) {
            Ordering::Greater => gate(a, b),
            Ordering::Less => gate(b, a),
            Ordering::Equal => multiply(a, b),
        })
    }
}

fn multiply<E: Real, X: Exec<E>, T: Tape<E, X>>(a: Act<E, X, T>, b: Act<E, X, T>) -> Result<Act<E, X, T>, X::Err> {
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
