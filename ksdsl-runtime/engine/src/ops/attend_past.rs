//! Attention of the next positions of a sequence to all of it, as loops.

use super::composed::MaskedAttend;
use super::masked_attend::{Sizes, weights};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::past::Past;
use crate::real::Real;
use crate::size::{AttentionSize, MapSize};
use crate::tape::Tape;
use std::rc::Rc;

impl MaskedAttend {
    /// Causal attention of these sizes to a sequence.
    pub(crate) fn of_past(size: AttentionSize) -> Self {
        Self {
            heads: size.heads,
            key_heads: size.key_heads,
            causal: true,
            ..Self::PLAIN
        }
    }

    /// [`Exec::attention_to_past`] as loops.
    pub(crate) fn by_loops<E: Real, X: Exec<E>>(
        &self,
        exec: &X,
        size: AttentionSize,
        qkv: [&X::Buf; 3],
    ) -> Result<X::Buf, X::Err> {
        let queries = MapSize {
            batch: 1,
            height: 1,
            width: size.queries,
            channels: size.channels,
        };
        self.next(exec, self.sizes_of_next(queries, size.keys - size.queries), qkv, None)
    }

    fn next<E: Real, X: Exec<E>>(
        &self,
        exec: &X,
        sizes: Sizes,
        [q, k, v]: [&X::Buf; 3],
        biases: Option<&X::Buf>,
    ) -> Result<X::Buf, X::Err> {
        let scores = sizes.products.weights(exec, q, k)?;
        let scores = self.masked(exec, sizes, &scores, [None, biases])?;
        let weights = weights(exec, sizes.rows(), &scores)?;
        sizes.products.to_left(exec, &weights, v)
    }

    /// Attention of the positions of a pass to themselves and all before them.
    pub(super) fn run_with<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        past: &Past<X::Buf>,
        [q, k, v]: [Act<E, X, T>; 3],
        bias: Option<Param<E, X>>,
    ) -> Result<Act<E, X, T>, X::Err> {
        debug_assert!(!T::RECORDS, "a past is for inference");
        let (size, rows) = (q.size, k.size.by_rows());
        let (q, k, v) = (q.ready()?, k.ready()?, v.ready()?);
        let context = q.context.merge(k.context).merge(v.context);
        let (exec, sizes) = (&context.exec, self.sizes_of_next(size, past.position()));
        let y = past.with_all(exec, rows, [&k.data, &v.data], |[keys, values]| {
            self.next(exec, sizes, [&q.data, keys, values], bias.as_ref().map(Param::values))
        })?;
        Ok(Act::output(context, size, Rc::new(y), |_, _| Ok(())))
    }
}
