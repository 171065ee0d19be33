//! Numbers of tokens, and their places, that a batch brings along.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Loops, View, constant, operand};
use crate::param::Param;
use crate::real::Real;
use crate::size::{MapSize, RowSize};
use crate::tape::Tape;
use std::rc::Rc;

/// Whole numbers from 0 to `most`: as they are, or the executor's error for one that is none.
pub(super) fn checked<E: Real, X: Exec<E>>(exec: &X, most: usize, numbers: &X::Buf) -> Result<X::Buf, X::Err> {
    let table = RowSize {
        rows: most + 1,
        channels: 1,
    };
    let rows = exec.upload((0..=most).map(|row| E::of(row as f64)).collect())?;
    exec.gather_rows(table, &rows, numbers)
}

/// The mean of the first tokens of each item, as many as the second input says; zeros if those are none.
#[derive(Clone, Copy, Debug)]
pub struct MeanOfFirst;

impl MeanOfFirst {
    /// The factor of each token: the reciprocal of the length, and zero beyond it.
    fn factors<E: Real, X: Exec<E>>(exec: &X, size: MapSize, lengths: &X::Buf) -> Result<X::Buf, X::Err> {
        let tokens = size.height * size.width;
        let lengths = checked(exec, tokens, lengths)?;
        let positions = exec.upload((0..tokens).map(|token| E::of(token as f64)).collect())?;
        let loops = Loops {
            output: vec![size.batch, tokens],
            summed: Vec::new(),
            views: vec![View::steps([1, 0]), View::steps([0, 1])],
            value: (operand(0) - operand(1)).if_positive(constant(1.0) / operand(0), constant(0.0)),
        };
        exec.compute(&loops, &[&lengths, &positions])
    }
}

impl Operation for MeanOfFirst {
    const NAMES: &'static [&'static str] = &["mean_of_first"];
    type Inputs<A> = [A; 2];
    type Params<A> = [A; 0];

    fn of(_: &Call<'_>) -> Option<Self> {
        Some(Self)
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        inputs[0].of_one_pixel()
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x, lengths]: [Act<E, X, T>; 2],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let (from, size) = (x.size, self.output(&[x.size]));
        let (tokens, features) = (from.height * from.width, from.channels);
        let (x, lengths) = (x.ready()?, lengths.ready()?);
        let context = x.context.merge(lengths.context);
        let exec = &context.exec;
        let factors = Self::factors(exec, from, &lengths.data)?;
        let loops = Loops {
            output: vec![from.batch, features],
            summed: vec![tokens],
            views: vec![
                View::steps([tokens * features, 1, features]),
                View::steps([tokens, 0, 1]),
            ],
            // What is beyond the length may be no number.
            value: operand(1).if_positive(operand(0) * operand(1), constant(0.0)),
        };
        let y = exec.compute(&loops, &[&x.data, &factors])?;
        drop(x.saved);
        let grad = x.grad;
        let backward = move |exec: &X, dy: X::Buf| {
            let loops = Loops {
                output: vec![from.batch, tokens, features],
                summed: Vec::new(),
                views: vec![View::steps([features, 0, 1]), View::steps([tokens, 1, 0])],
                value: operand(0) * operand(1),
            };
            grad.add(exec, exec.compute(&loops, &[&dy, &factors])?)
        };
        Ok(Act::output(context, size, Rc::new(y), backward))
    }
}
