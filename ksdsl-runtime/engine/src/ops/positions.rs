//! Positions that change places, which several operations share.

use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Loops, View, operand};
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;
use std::rc::Rc;

/// A map of this size with the positions of `x` in this order, each once.
pub(super) fn moved<E: Real, X: Exec<E>, T: Tape<E, X>>(
    x: Act<E, X, T>,
    size: MapSize,
    sources: Vec<usize>,
) -> Result<Act<E, X, T>, X::Err> {
    let (x, context, grad) = x.ready()?.into_values();
    let y = order(&context.exec, size, &sources, &x)?;
    drop(x);
    let backward = move |exec: &X, dy: X::Buf| {
        let mut back = vec![0; sources.len()];
        for (to, source) in sources.iter().enumerate() {
            back[*source] = to;
        }
        grad.add(exec, order(exec, size, &back, &dy)?)
    };
    Ok(Act::output(context, size, Rc::new(y), backward))
}

fn order<E: Real, X: Exec<E>>(exec: &X, size: MapSize, sources: &[usize], x: &X::Buf) -> Result<X::Buf, X::Err> {
    let channels = size.channels;
    let offsets = sources.iter().map(|source| source * channels).collect();
    let loops = Loops {
        output: vec![size.batch, sources.len(), channels],
        summed: Vec::new(),
        views: vec![View::steps([sources.len() * channels, 0, 1]).with_table(&[1], offsets)],
        value: operand(0),
    };
    exec.compute(&loops, &[x])
}
