//! Attention.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::past::Past;
use crate::real::Real;
use crate::size::{AttentionSize, MapSize, RowSize};
use crate::tape::Tape;
use std::rc::Rc;

/// Scaled dot-product attention (Vaswani et al. 2017, equation 1): what each query, a position of the first input, finds
/// in the values, the third, by the keys, the second. Head `h` has the channels from `h * channels / heads` on. Keys and
/// values have as many positions, which may be others than those of the queries, as in cross attention.
#[derive(Clone, Copy, Debug)]
pub struct Attend {
    /// Heads; they divide the channels of the queries.
    pub heads: usize,
    /// Heads of keys and values, of as many channels each; they divide the heads. Head `h` of the queries reads the one of
    /// number `h / (heads / key_heads)`: PyTorch's `enable_gqa`.
    pub key_heads: usize,
    /// Whether a query sees only the keys up to its own position; there are then as many keys as queries.
    pub causal: bool,
}

impl Attend {
    fn size(&self, queries: MapSize, keys: MapSize) -> AttentionSize {
        AttentionSize {
            batch: queries.batch,
            queries: queries.height * queries.width,
            keys: keys.height * keys.width,
            channels: queries.channels,
            heads: self.heads,
            key_heads: self.key_heads,
            causal: self.causal,
        }
    }
}

impl Operation for Attend {
    const NAMES: &'static [&'static str] = &["attend"];
    type Inputs<A> = [A; 3];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let heads = call.size("heads")?;
        let key_heads = match call.real("key_heads") {
            Some(_) => call.size("key_heads")?,
            None => heads,
        };
        let causal = match call.real("causal") {
            Some(causal) if causal != 0.0 && causal != 1.0 => return None,
            causal => causal == Some(1.0),
        };
        let divides = key_heads > 0 && heads > 0 && heads.is_multiple_of(key_heads);
        divides.then_some(Self {
            heads,
            key_heads,
            causal,
        })
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [q, k, v]: [Act<E, X, T>; 3],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let size = self.size(q.size, k.size);
        scaled(size, [q, k, v])
    }
}

/// Attention of these sizes, of which the batch may be of parts of images.
pub(super) fn scaled<E: Real, X: Exec<E>, T: Tape<E, X>>(
    size: AttentionSize,
    [q, k, v]: [Act<E, X, T>; 3],
) -> Result<Act<E, X, T>, X::Err> {
    let map = q.size;
    let (q, k, v) = (q.ready()?, k.ready()?, v.ready()?);
    let saved = T::RECORDS.then_some([q.saved, k.saved, v.saved]);
    let grads = [q.grad, k.grad, v.grad];
    let context = q.context.merge(k.context).merge(v.context);
    let y = match &context.past {
        Some(past) => with_past(&context.exec, past, size, [&q.data, &k.data, &v.data])?,
        None => context.exec.attention_forward(size, &q.data, &k.data, &v.data)?,
    };
    let backward = move |exec: &X, dy: X::Buf| {
        let Some([q, k, v]) = saved else { return Ok(()) };
        let (q, k, v) = (q.get(exec)?, k.get(exec)?, v.get(exec)?);
        let gradients = exec.attention_backward(size, &q, &k, &v, &dy)?;
        for (grad, gradient) in grads.iter().zip(gradients) {
            grad.add(exec, gradient)?;
        }
        Ok(())
    };
    Ok(Act::output(context, map, Rc::new(y), backward))
}

/// Causal attention of the positions of a pass to themselves and all before them.
fn with_past<E: Real, X: Exec<E>>(
    exec: &X,
    past: &Past<X::Buf>,
    size: AttentionSize,
    [q, k, v]: [&X::Buf; 3],
) -> Result<X::Buf, X::Err> {
    debug_assert!(size.causal && size.batch == 1, "what a past is for");
    let rows = RowSize {
        rows: size.keys,
        channels: size.key_channels(),
    };
    let all = AttentionSize {
        keys: past.position() + size.keys,
        ..size
    };
    past.with_all(exec, rows, [k, v], |[keys, values]| match past.position() {
        0 => exec.attention_forward(size, q, k, v),
        _ => exec.attention_to_past(all, q, keys, values),
    })
}
