//! Softmax over channels or positions.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Expr, Loops, Unary, View, constant, operand};
use crate::param::Param;
use crate::real::Real;
use crate::size::{MapSize, PoolKind};
use crate::tape::Tape;
use std::rc::Rc;

/// `e^x / sum(e^x)` over the channels of each position, or over the positions for each channel; or its
/// logarithm: PyTorch's `softmax` and `log_softmax`.
#[derive(Clone, Copy, Debug)]
pub struct Softmax {
    /// Whether the output is the logarithm.
    pub log: bool,
    /// Whether it is over the positions.
    pub of_positions: bool,
}

/// What a softmax is over: images, so many groups of each, so many values of a group.
struct Groups {
    /// Images, groups, values.
    sizes: [usize; 3],
    /// Steps from one to the next in a map, and in the groups.
    of_map: [usize; 3],
}

impl Groups {
    fn new(map: MapSize, of_positions: bool) -> Self {
        let (positions, channels) = (map.height * map.width, map.channels);
        let image = positions * channels;
        match of_positions {
            true => Self {
                sizes: [map.batch, channels, positions],
                of_map: [image, 1, channels],
            },
            false => Self {
                sizes: [map.batch, positions, channels],
                of_map: [image, channels, 1],
            },
        }
    }

    /// How operands are read: `x` by value, `r` by group.
    fn views(&self, kinds: &str, order: [usize; 3]) -> Vec<View> {
        let of_groups = [self.sizes[1], 1, 0];
        let view = |kind| {
            let steps = if kind == 'r' { of_groups } else { self.of_map };
            View::steps(order.map(|at| steps[at]))
        };
        kinds.chars().map(view).collect()
    }

    /// A value for each value of the map, in its order.
    fn map(&self, kinds: &str, value: Expr) -> Loops {
        let order = if self.of_map[1] == 1 { [0, 2, 1] } else { [0, 1, 2] };
        Loops {
            output: order.map(|at| self.sizes[at]).to_vec(),
            summed: Vec::new(),
            views: self.views(kinds, order),
            value,
        }
    }

    /// A sum for each group.
    fn sums(&self, kinds: &str, value: Expr) -> Loops {
        Loops {
            output: self.sizes[..2].to_vec(),
            summed: vec![self.sizes[2]],
            views: self.views(kinds, [0, 1, 2]),
            value,
        }
    }

    /// The maximum of each group: loops have sums, pools have maxima.
    fn maxima<E: Real, X: Exec<E>>(&self, exec: &X, x: &X::Buf) -> Result<X::Buf, X::Err> {
        let [images, groups, values] = self.sizes;
        let (batch, channels) = if self.of_map[1] == 1 {
            (images, groups)
        } else {
            (images * groups, 1)
        };
        let lines = MapSize {
            batch,
            height: 1,
            width: values,
            channels,
        };
        exec.global_pool_forward(PoolKind::Max, lines, x)
    }
}

impl Operation for Softmax {
    const NAMES: &'static [&'static str] = &["softmax"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let (log, of_positions) = (call.size("log")? == 1, call.size("of_positions").unwrap_or(0) == 1);
        Some(Self { log, of_positions })
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let (map, groups, log) = (x.size, Groups::new(x.size, self.of_positions), self.log);
        let (x, context, grad) = x.ready()?.into_values();
        let exec = &context.exec;
        // Less the maximum: no exponential is above 1, and the sum is at least 1.
        let maxima = groups.maxima(exec, &x)?;
        let less = operand(0) - operand(1);
        let sums = exec.compute(&groups.sums("xr", less.clone().map(Unary::Exp)), &[&x, &maxima])?;
        let value = match log {
            true => less - (operand(2) - constant(1.0)).map(Unary::Ln1P),
            false => less.map(Unary::Exp) / operand(2),
        };
        let y = Rc::new(exec.compute(&groups.map("xrr", value), &[&x, &maxima, &sums])?);
        let output = y.clone();
        let backward = move |exec: &X, dy: X::Buf| {
            // Of the logarithm l: dx = dy - e^l sum(dy). Of the weights y: dx = y (dy - sum(y dy)).
            let addend = if log { operand(1) } else { operand(0) * operand(1) };
            let sums = exec.compute(&groups.sums("xx", addend), &[&output, &dy])?;
            let value = match log {
                true => operand(1) - operand(0).map(Unary::Exp) * operand(2),
                false => operand(0) * (operand(1) - operand(2)),
            };
            grad.add(exec, exec.compute(&groups.map("xxr", value), &[&output, &dy, &sums])?)
        };
        Ok(Act::output(context, map, y, backward))
    }
}
