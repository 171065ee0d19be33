//! Pooling of whole maps.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::{MapSize, PoolKind};
use crate::tape::Tape;
use std::rc::Rc;

/// The maximum or the mean of each channel.
#[derive(Clone, Copy, Debug)]
pub struct GlobalPool(pub PoolKind);

impl Operation for GlobalPool {
    const NAMES: &'static [&'static str] = &["global_max_pool", "global_avg_pool"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        Some(Self(match call.name {
            "global_max_pool" => PoolKind::Max,
            "global_avg_pool" => PoolKind::Average,
            _ => return None,
        }))
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        inputs[0].of_one_pixel()
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let (map, size) = (x.size, self.output(&[x.size]));
        pooled(self.0, x, map, size)
    }
}

/// Pools each channel of the values of `x` as maps of the size `maps`, and makes a map of the size `to` of that.
pub(super) fn pooled<E: Real, X: Exec<E>, T: Tape<E, X>>(
    kind: PoolKind,
    x: Act<E, X, T>,
    maps: MapSize,
    to: MapSize,
) -> Result<Act<E, X, T>, X::Err> {
    let x = x.ready()?;
    let y = x.context.exec.global_pool_forward(kind, maps, &x.data)?;
    // The mean's gradient does not depend on the values.
    let input = (kind == PoolKind::Max).then_some(x.saved);
    let grad = x.grad;
    let backward = move |exec: &X, dy: X::Buf| {
        let input = input.map(|saved| saved.get(exec)).transpose()?;
        let dx = exec.global_pool_backward(kind, maps, input.as_deref(), &dy)?;
        grad.add(exec, dx)
    };
    Ok(Act::output(x.context, to, Rc::new(y), backward))
}
