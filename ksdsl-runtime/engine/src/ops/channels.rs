//! Channels taken from others, which several operations share.

use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Loops, View, constant, operand};
use crate::real::Real;
use crate::size::{MapSize, RowSize};
use crate::tape::Tape;
use std::rc::Rc;

/// For each channel of the output the channel of the input that it is, or none for zeros; no two are the same.
pub(super) type Sources = Vec<Option<usize>>;

/// The map of these channels, and its backward pass.
pub(super) fn taken<E: Real, X: Exec<E>, T: Tape<E, X>>(
    x: Act<E, X, T>,
    sources: Sources,
) -> Result<Act<E, X, T>, X::Err> {
    let from = x.size.by_rows();
    let size = MapSize {
        channels: sources.len(),
        ..x.size
    };
    let (x, context, grad) = x.ready()?.into_values();
    let y = take(&context.exec, from, &sources, &x)?;
    drop(x);
    let backward = move |exec: &X, dy: X::Buf| {
        let mut back = vec![None; from.channels];
        for (to, source) in sources.iter().enumerate() {
            if let Some(source) = source {
                back[*source] = Some(to);
            }
        }
        grad.add(exec, take(exec, size.by_rows(), &back, &dy)?)
    };
    Ok(Act::output(context, size, Rc::new(y), backward))
}

fn take<E: Real, X: Exec<E>>(exec: &X, from: RowSize, sources: &Sources, x: &X::Buf) -> Result<X::Buf, X::Err> {
    let offsets = sources.iter().map(|source| source.unwrap_or(0)).collect();
    let is_there = sources
        .iter()
        .map(|source| E::of(f64::from(u8::from(source.is_some()))));
    let loops = Loops {
        output: vec![from.rows, sources.len()],
        summed: Vec::new(),
        views: vec![
            View::steps([from.channels, 0]).with_table(&[1], offsets),
            View::steps([0, 1]),
        ],
        value: operand(1).if_positive(operand(0), constant(0.0)),
    };
    exec.compute(&loops, &[x, &exec.upload(is_there.collect())?])
}
