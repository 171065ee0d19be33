//! Embeddings.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::{MapSize, RowSize};
use crate::tape::Tape;
use std::rc::Rc;

/// The rows of a table, the parameter, that ids name: PyTorch's `nn.Embedding`. The input has one channel, the ids as
/// values of the element type (`f32` has all integers up to 2^24), and gets no gradient.
#[derive(Clone, Copy, Debug)]
pub struct Embedding {
    /// Rows of the table: ids are integers from 0 to `vocabulary - 1`.
    pub vocabulary: usize,
    /// Values of a row: the channels of the output.
    pub features: usize,
}

impl Operation for Embedding {
    const NAMES: &'static [&'static str] = &["embedding"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 1];

    fn of(call: &Call<'_>) -> Option<Self> {
        let (vocabulary, features) = (call.size("vocabulary")?, call.size("features")?);
        Some(Self { vocabulary, features })
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        MapSize {
            channels: self.features,
            ..inputs[0]
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [ids]: [Act<E, X, T>; 1],
        [weight]: [Param<E, X>; 1],
    ) -> Result<Act<E, X, T>, X::Err> {
        let size = self.output(&[ids.size]);
        let table = RowSize {
            rows: self.vocabulary,
            channels: self.features,
        };
        let ids = ids.ready()?;
        let y = ids.context.exec.gather_rows(table, weight.values(), &ids.data)?;
        let saved = ids.saved;
        let backward = move |exec: &X, dy: X::Buf| {
            let ids = saved.get(exec)?;
            weight.accumulate_values(exec, |dweight| exec.scatter_add_rows(table, &dy, &ids, dweight))
        };
        Ok(Act::output(ids.context, size, Rc::new(y), backward))
    }
}
