//! Pooling of whole maps.

use crate::act::Act;
use crate::exec::Exec;
use crate::real::Real;
use crate::size::{MapSize, PoolKind};
use crate::tape::Tape;
use std::rc::Rc;

/// The maximum or the mean of each channel.
///
/// # Errors
/// If the executor fails.
pub fn global_pool<E: Real, X: Exec<E>, T: Tape<E, X>>(
    kind: PoolKind,
    x: Act<E, X, T>,
) -> Result<Act<E, X, T>, X::Err> {
    let map = x.size;
    let size = MapSize {
        height: 1,
        width: 1,
        ..map
    };
    let x = x.ready()?;
    let y = x.context.exec.global_pool_forward(kind, map, &x.data)?;
    // The mean's gradient does not depend on the values.
    let input = (kind == PoolKind::Max).then_some(x.saved);
    let grad = x.grad;
    let backward = move |exec: &X, dy: X::Buf| {
        let input = input.map(|saved| saved.get(exec)).transpose()?;
        let dx = exec.global_pool_backward(kind, map, input.as_deref(), &dy)?;
        grad.add(exec, dx)
    };
    Ok(Act::output(x.context, size, Rc::new(y), backward))
}
