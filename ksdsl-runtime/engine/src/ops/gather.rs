//! Tokens by their places.

use super::{Call, Operation, lengths};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Loops, View, operand};
use crate::param::Param;
use crate::real::Real;
use crate::size::{MapSize, RowSize};
use crate::tape::Tape;
use std::rc::Rc;

/// The tokens of each item, the first input, at the places that its second input says, from 0: PyTorch's
/// `take_along_dim`. Places are values of the element type, as ids are, and so are their sums with the tokens of the items
/// before; `f32` has all integers up to 2^24.
#[derive(Clone, Copy, Debug)]
pub struct Gather;

impl Gather {
    /// The rows of all items that the places are.
    fn rows<E: Real, X: Exec<E>>(exec: &X, [x, places]: [MapSize; 2], indices: &X::Buf) -> Result<X::Buf, X::Err> {
        let tokens = x.height * x.width;
        let indices = lengths::checked(exec, tokens.saturating_sub(1), indices)?;
        let places = places.height * places.width * places.channels;
        let starts = exec.upload((0..x.batch).map(|item| E::of((item * tokens) as f64)).collect())?;
        let loops = Loops {
            output: vec![x.batch, places],
            summed: Vec::new(),
            views: vec![View::steps([places, 1]), View::steps([1, 0])],
            value: operand(0) + operand(1),
        };
        exec.compute(&loops, &[&indices, &starts])
    }
}

impl Operation for Gather {
    const NAMES: &'static [&'static str] = &["gather"];
    type Inputs<A> = [A; 2];
    type Params<A> = [A; 0];

    fn of(_: &Call<'_>) -> Option<Self> {
        Some(Self)
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        let places = inputs[1];
        MapSize {
            height: 1,
            width: places.height * places.width * places.channels,
            ..inputs[0]
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x, places]: [Act<E, X, T>; 2],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let (sizes, output) = ([x.size, places.size], self.output(&[x.size, places.size]));
        let table = RowSize {
            rows: x.size.batch * x.size.height * x.size.width,
            channels: x.size.channels,
        };
        let (x, places) = (x.ready()?, places.ready()?);
        let context = x.context.merge(places.context);
        let exec = &context.exec;
        let rows = Self::rows(exec, sizes, &places.data)?;
        let y = exec.gather_rows(table, &x.data, &rows)?;
        drop(x.saved);
        let grad = x.grad;
        let backward = move |exec: &X, dy: X::Buf| {
            let mut dx = exec.zeroed(table.rows * table.channels)?;
            exec.scatter_add_rows(table, &dy, &rows, &mut dx)?;
            grad.add(exec, dx)
        };
        Ok(Act::output(context, output, Rc::new(y), backward))
    }
}
