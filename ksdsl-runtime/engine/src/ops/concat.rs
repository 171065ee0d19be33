//! Concatenation along channels.

use super::{Call, Joined, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;
use std::rc::Rc;

/// The channels of the first input, then those of the next.
#[derive(Clone, Copy, Debug)]
pub struct Concat;

impl Operation for Concat {
    const NAMES: &'static [&'static str] = &["concat"];
    type Inputs<A> = Joined<A>;
    type Params<A> = [A; 0];

    fn of(_: &Call<'_>) -> Option<Self> {
        Some(Self)
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        MapSize {
            channels: inputs.iter().map(|input| input.channels).sum(),
            ..inputs[0]
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        inputs: Joined<Act<E, X, T>>,
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        inputs.fold(concat)
    }
}

fn concat<E: Real, X: Exec<E>, T: Tape<E, X>>(a: Act<E, X, T>, b: Act<E, X, T>) -> Result<Act<E, X, T>, X::Err> {
    let (rows, left, right) = (a.size.rows(), a.size.channels, b.size.channels);
    let size = Concat.output(&[a.size, b.size]);
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
