//! A learned factor for all values.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Loops, View, operand};
use crate::param::Param;
use crate::real::Real;
use crate::tape::Tape;
use std::rc::Rc;

/// `weight * x`, with one weight: SkipInit (De & Smith 2020).
#[derive(Clone, Copy, Debug)]
pub struct Gain;

impl Operation for Gain {
    const NAMES: &'static [&'static str] = &["gain"];
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
        let (map, size) = (x.size, x.size.by_rows());
        // The weight is read with steps of 0.
        let scaled = Loops {
            output: vec![size.rows, size.channels],
            summed: Vec::new(),
            views: vec![View::steps([size.channels, 1]), View::steps([0, 0])],
            value: operand(0) * operand(1),
        };
        let x = x.ready()?;
        let y = x.context.exec.compute(&scaled, &[&x.data, weight.values()])?;
        let (input, grad) = (x.saved, x.grad);
        let backward = move |exec: &X, dy: X::Buf| {
            let x = input.get(exec)?;
            // Sums of rows first: they are summed in parallel.
            let of_rows = exec.compute(&super::rows::row_sums(size, "xx", operand(0) * operand(1)), &[&x, &dy])?;
            let all = Loops {
                output: vec![1],
                summed: vec![size.rows],
                views: vec![View::steps([0, 1])],
                value: operand(0),
            };
            weight.add(exec, exec.compute(&all, &[&of_rows])?)?;
            grad.add(exec, exec.compute(&scaled, &[&dy, weight.values()])?)
        };
        Ok(Act::output(x.context, map, Rc::new(y), backward))
    }
}
