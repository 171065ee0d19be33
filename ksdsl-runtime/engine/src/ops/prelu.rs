//! Leaky ReLU with learned slopes (He et al. 2015).

use super::{Call, Operation, rows};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Loops, View, constant, operand};
use crate::param::Param;
use crate::real::Real;
use crate::tape::Tape;
use std::rc::Rc;

/// `x` where it is positive, `weight * x` elsewhere, with a weight for each channel or one for all: PyTorch's `prelu`.
#[derive(Clone, Copy, Debug)]
pub struct Prelu {
    /// Whether each channel has a weight.
    pub per_channel: bool,
}

impl Operation for Prelu {
    const NAMES: &'static [&'static str] = &["prelu"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 1];

    fn of(call: &Call<'_>) -> Option<Self> {
        let per_channel = call.size("per_channel")? == 1;
        Some(Self { per_channel })
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        [weight]: [Param<E, X>; 1],
    ) -> Result<Act<E, X, T>, X::Err> {
        let (map, size, per_channel) = (x.size, x.size.by_rows(), self.per_channel);
        // One weight for all is read with steps of 0.
        let elements = move |kinds: &str, value| {
            let mut loops = rows::map(size, kinds, value);
            if !per_channel {
                loops.views[1] = View::steps([0, 0]);
            }
            loops
        };
        let x = x.ready()?;
        let value = operand(0).if_positive(operand(0), operand(1) * operand(0));
        let y = x
            .context
            .exec
            .compute(&elements("xc", value), &[&x.data, weight.values()])?;
        let (input, grad) = (x.saved, x.grad);
        let backward = move |exec: &X, dy: X::Buf| {
            let x = input.get(exec)?;
            let slope = operand(0).if_positive(constant(1.0), operand(1));
            let dx = exec.compute(&elements("xcx", slope * operand(2)), &[&x, weight.values(), &dy])?;
            let below = operand(0).if_positive(constant(0.0), operand(0) * operand(1));
            let mut of_weight = exec.compute(&rows::channel_sums(size, "xx", below), &[&x, &dy])?;
            if !per_channel {
                let all = Loops {
                    output: vec![1],
                    summed: vec![size.channels],
                    views: vec![View::steps([0, 1])],
                    value: operand(0),
                };
                of_weight = exec.compute(&all, &[&of_weight])?;
            }
            weight.add(exec, of_weight)?;
            grad.add(exec, dx)
        };
        Ok(Act::output(x.context, map, Rc::new(y), backward))
    }
}
