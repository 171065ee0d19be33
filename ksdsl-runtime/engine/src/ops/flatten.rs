//! Maps to feature vectors.

use crate::act::Act;
use crate::exec::Exec;
use crate::ops::{to_nchw, to_nhwc};
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;
use std::rc::Rc;

/// Flattens maps in PyTorch's order (channel, row, column), so that the weights of a following linear layer mean the
/// same there.
///
/// # Errors
/// If the executor fails.
pub fn flatten<E: Real, X: Exec<E>, T: Tape<E, X>>(x: Act<E, X, T>) -> Result<Act<E, X, T>, X::Err> {
    let map = x.size;
    let size = MapSize {
        batch: map.batch,
        height: 1,
        width: 1,
        channels: map.height * map.width * map.channels,
    };
    let x = x.ready()?;
    drop(x.saved);
    let y = match map.has_one_layout() {
        true => x.data,
        false => Rc::new(to_nchw(&x.context.exec, map, Rc::unwrap_or_clone(x.data))?),
    };
    let grad = x.grad;
    let backward = move |exec: &X, dy: X::Buf| {
        let dx = to_nhwc(exec, map, dy)?;
        grad.add(exec, dx)
    };
    Ok(Act::output(x.context, size, y, backward))
}
