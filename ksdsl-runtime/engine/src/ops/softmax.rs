//! Softmax over channels.

use super::{Call, Operation, rows};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Unary, constant, operand};
use crate::param::Param;
use crate::real::Real;
use crate::tape::Tape;
use std::rc::Rc;

/// `e^x / sum(e^x)` over the channels of each position, or its logarithm: PyTorch's `softmax` and `log_softmax`.
#[derive(Clone, Copy, Debug)]
pub struct Softmax {
    /// Whether the output is the logarithm.
    pub log: bool,
}

impl Operation for Softmax {
    const NAMES: &'static [&'static str] = &["softmax"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let log = call.size("log")? == 1;
        Some(Self { log })
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let (map, size, log) = (x.size, x.size.by_rows(), self.log);
        let (x, context, grad) = x.ready()?.into_values();
        let exec = &context.exec;
        // Less the maximum: no exponential is above 1, and the sum is at least 1.
        let maxima = rows::maxima(exec, size, &x)?;
        let less = operand(0) - operand(1);
        let sums = exec.compute(
            &rows::row_sums(size, "xr", less.clone().map(Unary::Exp)),
            &[&x, &maxima],
        )?;
        let value = match log {
            true => less - (operand(2) - constant(1.0)).map(Unary::Ln1P),
            false => less.map(Unary::Exp) / operand(2),
        };
        let y = Rc::new(exec.compute(&rows::map(size, "xrr", value), &[&x, &maxima, &sums])?);
        let output = y.clone();
        let backward = move |exec: &X, dy: X::Buf| {
            // Of the logarithm l: dx = dy - e^l sum(dy). Of the weights y: dx = y (dy - sum(y dy)).
            let addend = if log { operand(1) } else { operand(0) * operand(1) };
            let sums = exec.compute(&rows::row_sums(size, "xx", addend), &[&output, &dy])?;
            let value = match log {
                true => operand(1) - operand(0).map(Unary::Exp) * operand(2),
                false => operand(0) * (operand(1) - operand(2)),
            };
            grad.add(
                exec,
                exec.compute(&rows::map(size, "xxr", value), &[&output, &dy, &sums])?,
            )
        };
        Ok(Act::output(context, map, y, backward))
    }
}
