//! One token of a sequence.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Loops, View, constant, operand};
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;
use std::rc::Rc;

/// The token at one position, as a vector: PyTorch's `x[:, index]`. The positions of a map count row by row. In a pass over
/// the next positions of a sequence it is the newest one, see [`Past`](crate::past::Past).
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// The position, from 0.
    pub index: usize,
}

impl Operation for Token {
    const NAMES: &'static [&'static str] = &["token"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        call.size("index").map(|index| Self { index })
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        inputs[0].of_one_pixel()
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let from = x.size;
        let (size, tokens) = (self.output(&[from]), from.height * from.width);
        let index = match x.context.past {
            Some(_) => tokens - 1,
            None => self.index,
        };
        let x = x.ready()?;
        // Images, the one position, channels.
        let loops = Loops {
            output: vec![from.batch, 1, from.channels],
            summed: Vec::new(),
            views: vec![View::steps([tokens * from.channels, 0, 1]).with_table(&[1], vec![index * from.channels])],
            value: operand(0),
        };
        let y = x.context.exec.compute(&loops, &[&x.data])?;
        drop(x.saved);
        let grad = x.grad;
        let backward = move |exec: &X, dy: X::Buf| {
            let chosen = (0..tokens).map(|token| if token == index { E::one() } else { E::zero() });
            let chosen = exec.upload(chosen.collect())?;
            let loops = Loops {
                output: vec![from.batch, tokens, from.channels],
                summed: Vec::new(),
                views: vec![View::steps([0, 1, 0]), View::steps([from.channels, 0, 1])],
                value: operand(0).if_positive(operand(1), constant(0.0)),
            };
            grad.add(exec, exec.compute(&loops, &[&chosen, &dy])?)
        };
        Ok(Act::output(x.context, size, Rc::new(y), backward))
    }
}
