//! Pooling over windows.

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::{MapSize, PoolKind, PoolSize, Window};
use crate::tape::Tape;
use std::rc::Rc;

/// The maximum or the average of each window.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Maximum or average.
    pub kind: PoolKind,
    /// The windows; their dilation is `[1, 1]`.
    pub window: Window,
    /// Zero rows below and zero columns right of the map.
    pub pad_after: [usize; 2],
}

impl Operation for Pool {
    const NAMES: &'static [&'static str] = &["max_pool", "avg_pool"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 0];

    fn of(call: &Call<'_>) -> Option<Self> {
        let window = Window {
            kernel: call.sizes(["kernel_height", "kernel_width"])?,
            stride: call.sizes(["stride_height", "stride_width"])?,
            pad: call.sizes(["pad_height", "pad_width"])?,
            dilation: [1, 1],
        };
        let kind = match call.name {
            "max_pool" => PoolKind::Max,
            "avg_pool" => PoolKind::Average,
            _ => return None,
        };
        // The last windows may reach beyond the padding.
        let beyond = ["below", "right"].map(|side| call.size(side).unwrap_or(0));
        let pad_after = [0, 1].map(|axis| window.pad[axis] + beyond[axis]);
        (!window.stride.contains(&0)).then_some(Self {
            kind,
            window,
            pad_after,
        })
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        let Window {
            kernel, stride, pad, ..
        } = self.window;
        let along = |axis: usize, size: usize| {
            let padded = size + pad[axis] + self.pad_after[axis];
            padded
                .checked_sub(kernel[axis])
                .map_or(0, |rest| rest / stride[axis] + 1)
        };
        MapSize {
            height: along(0, inputs[0].height),
            width: along(1, inputs[0].width),
            ..inputs[0]
        }
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        let (kind, window) = (self.kind, self.window);
        let size = PoolSize {
            input: x.size,
            output: self.output(&[x.size]),
            window,
        };
        let x = x.ready()?;
        let y = x.context.exec.pool_forward(kind, size, &x.data)?;
        let (input, grad) = (x.saved, x.grad);
        let backward = move |exec: &X, dy: X::Buf| {
            let dx = exec.pool_backward(kind, size, &*input.get(exec)?, &dy)?;
            grad.add(exec, dx)
        };
        Ok(Act::output(x.context, size.output, Rc::new(y), backward))
    }
}
