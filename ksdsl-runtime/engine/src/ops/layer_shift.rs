//! A learned number for each channel, which is added.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::tape::Tape;
use std::rc::Rc;

/// `x + weight`, with a weight for each channel.
#[derive(Clone, Copy, Debug)]
pub struct LayerShift;

impl Operation for LayerShift {
    const NAMES: &'static [&'static str] = &["layer_shift"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 1];

    fn of(_: &Call<'_>) -> Option<Self> {
        Some(Self)
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        [weight]: [Param<E, X>; 1],
    ) -> Result<Act<E, X, T>, X::Err> {
        let (size, rows) = (x.size, x.size.by_rows());
        let (x, context, grad) = x.ready()?.into_values();
        let y = context.exec.add_to_rows(rows, x, weight.values())?;
        let backward = move |exec: &X, dy: X::Buf| {
            weight.accumulate_values(exec, |sum| exec.bias_backward(rows, &dy, sum))?;
            grad.add(exec, dy)
        };
        Ok(Act::output(context, size, Rc::new(y), backward))
    }
}
