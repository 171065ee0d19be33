//! Attention.

use crate::act::Act;
use crate::exec::Exec;
use crate::real::Real;
use crate::size::AttentionSize;
use crate::tape::Tape;
use std::rc::Rc;

/// Scaled dot-product attention with `heads` heads (Vaswani et al. 2017, equation 1): what each query, a position of
/// `q`, finds in the values `v` by the keys `k`. Head `h` has the channels from `h * channels / heads` on.
///
/// # Errors
/// If the executor fails.
pub fn attention<E: Real, X: Exec<E>, T: Tape<E, X>>(
    heads: usize,
    q: Act<E, X, T>,
    k: Act<E, X, T>,
    v: Act<E, X, T>,
) -> Result<Act<E, X, T>, X::Err> {
    let map = q.size;
    let size = AttentionSize {
        batch: map.batch,
        tokens: map.height * map.width,
        channels: map.channels,
        heads,
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
