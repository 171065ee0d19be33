//! Attention.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::AttentionSize;
use crate::tape::Tape;
use std::rc::Rc;

/// Scaled dot-product attention (Vaswani et al. 2017, equation 1): what each query, a position of the first input, finds
/// in the values, the third, by the keys, the second. Head `h` has the channels from `h * channels / heads` on.
#[derive(Clone, Copy, Debug)]
pub struct Attend {
    /// Heads; they divide the channels.
    pub heads: usize,
}

impl Operation for Attend {
    const NAMES: &'static [&'static str] = &["attend"];
    type Inputs<A> = [A; 3];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let heads = call.size("heads")?;
        (heads > 0).then_some(Self { heads })
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [q, k, v]: [Act<E, X, T>; 3],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let map = q.size;
        let size = AttentionSize {
            batch: map.batch,
            tokens: map.height * map.width,
            channels: map.channels,
            heads: self.heads,
        };
        let (q, k, v) = (q.ready()?, k.ready()?, v.ready()?);
        let saved = T::RECORDS.then_some([q.saved, k.saved, v.saved]);
        let grads = [q.grad, k.grad, v.grad];
        let context = q.context.merge(k.context).merge(v.context);
        let y = context.exec.attention_forward(size, &q.data, &k.data, &v.data)?;
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
}
