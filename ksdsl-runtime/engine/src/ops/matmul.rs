//! Products of two sequences as matrices.

use super::products::Products;
use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;
use std::rc::Rc;

/// The matrix product of two sequences of each item, `[tokens, features]` each, of which one may be transposed: PyTorch's
/// `a @ b`, `a.mT @ b` and `a @ b.mT`.
#[derive(Clone, Copy, Debug)]
pub struct Matmul {
    /// Whether the first is transposed.
    pub first: bool,
    /// Whether the second is transposed; then the first is not.
    pub second: bool,
}

impl Matmul {
    /// The weights and the two others of one product.
    fn sizes(self, [a, b]: [MapSize; 2]) -> Products {
        let [a_rows, b_rows] = [a, b].map(|size| size.height * size.width);
        let (left, right, depth) = match (self.first, self.second) {
            // `a` has a weight for each row of the product and of `b`, or the other way round.
            (false, false) => (a_rows, b_rows, b.channels),
            (true, _) => (a_rows, a.channels, b.channels),
            (false, true) => (a_rows, b_rows, a.channels),
        };
        Products {
            items: a.batch,
            heads: 1,
            group: 1,
            left,
            right,
            depth,
        }
    }

    fn forward<E: Real, X: Exec<E>>(self, exec: &X, size: Products, a: &X::Buf, b: &X::Buf) -> Result<X::Buf, X::Err> {
        match (self.first, self.second) {
            (false, false) => size.to_left(exec, a, b),
            (true, _) => size.to_right(exec, a, b),
            (false, true) => size.weights(exec, a, b),
        }
    }

    fn backward<E: Real, X: Exec<E>>(
        self,
        exec: &X,
        size: Products,
        [a, b, dy]: [&X::Buf; 3],
    ) -> Result<[X::Buf; 2], X::Err> {
        Ok(match (self.first, self.second) {
            (false, false) => [size.weights(exec, dy, b)?, size.to_right(exec, a, dy)?],
            (true, _) => [size.weights(exec, b, dy)?, size.to_left(exec, a, dy)?],
            (false, true) => [size.to_left(exec, dy, b)?, size.to_right(exec, dy, a)?],
        })
    }
}

impl Operation for Matmul {
    const NAMES: &'static [&'static str] = &["matmul"];
    type Inputs<A> = [A; 2];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let (first, second) = (call.size("first")?, call.size("second")?);
        (first + second < 2).then_some(Self {
            first: first == 1,
            second: second == 1,
        })
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        let size = self.sizes([inputs[0], inputs[1]]);
        let (width, channels) = match (self.first, self.second) {
            (false, false) => (size.left, size.depth),
            (true, _) => (size.right, size.depth),
            (false, true) => (size.left, size.right),
        };
        MapSize {
            height: 1,
            width,
            channels,
            ..inputs[0]
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [a, b]: [Act<E, X, T>; 2],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let (operation, size, output) = (*self, self.sizes([a.size, b.size]), self.output(&[a.size, b.size]));
        let (a, b) = (a.ready()?, b.ready()?);
        let context = a.context.merge(b.context);
        let y = operation.forward(&context.exec, size, &a.data, &b.data)?;
        let (of_a, of_b) = (a.grad, b.grad);
        let saved = T::RECORDS.then_some([a.saved, b.saved]);
        let backward = move |exec: &X, dy: X::Buf| {
            let Some([a, b]) = saved else { return Ok(()) };
            let (a, b) = (a.get(exec)?, b.get(exec)?);
            let [da, db] = operation.backward(exec, size, [&*a, &*b, &dy])?;
            of_a.add(exec, da)?;
            of_b.add(exec, db)
        };
        Ok(Act::output(context, output, Rc::new(y), backward))
    }
}
