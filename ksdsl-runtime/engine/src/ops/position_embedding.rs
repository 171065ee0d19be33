//! Position embeddings.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::{MapSize, RowSize};
use crate::tape::Tape;
use std::borrow::Cow;
use std::rc::Rc;

/// Adds the parameter to each of the inputs (Dosovitskiy et al. 2020, equation 1): a map in PyTorch's order, or a row for
/// each token.
#[derive(Clone, Copy, Debug)]
pub struct PositionEmbedding {
    /// Whether the inputs are sequences.
    pub tokens: bool,
}

impl Operation for PositionEmbedding {
    const NAMES: &'static [&'static str] = &["position_embedding"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 1];

    fn of(call: &Call<'_>) -> Option<Self> {
        let tokens = call.size("tokens")? > 0;
        Some(Self { tokens })
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        [weight]: [Param<E, X>; 1],
    ) -> Result<Act<E, X, T>, X::Err> {
        let size = x.size;
        let map = MapSize { batch: 1, ..size };
        let rows = RowSize {
            rows: size.batch,
            channels: map.len(),
        };
        let (x, context, grad) = x.ready()?.into_values();
        let same_layout = self.tokens || map.has_one_layout();
        let embedding = match same_layout {
            true => Cow::Borrowed(weight.values()),
            false => Cow::Owned(context.exec.nchw_to_nhwc(map, weight.values())?),
        };
        let embedding = match context.past.is_some() {
            true => Cow::Owned(context.exec.read_rows(map.by_rows(), &embedding, context.position())?),
            false => embedding,
        };
        let y = context.exec.add_to_rows(rows, x, &embedding)?;
        drop(embedding);
        let backward = move |exec: &X, dy: X::Buf| {
            gather(exec, (map, same_layout), rows, &weight, &dy)?;
            grad.add(exec, dy)
        };
        Ok(Act::output(context, size, Rc::new(y), backward))
    }
}

/// Adds the sums of `dy` over the images to the gradient of an embedding.
fn gather<E: Real, X: Exec<E>>(
    exec: &X,
    (map, same_layout): (MapSize, bool),
    rows: RowSize,
    weight: &Param<E, X>,
    dy: &X::Buf,
) -> Result<(), X::Err> {
    weight.accumulate_values(exec, |dweight| {
        if same_layout {
            return exec.bias_backward(rows, dy, dweight);
        }
        let mut sums = exec.zeroed(map.len())?;
        exec.bias_backward(rows, dy, &mut sums)?;
        let sums = exec.nhwc_to_nchw(map, &sums)?;
        exec.bias_backward(RowSize { rows: 1, ..rows }, &sums, dweight)
    })
}
