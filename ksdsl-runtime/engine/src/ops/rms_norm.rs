//! RMS normalisation (Zhang & Sennrich 2019).

use super::{Call, Operation, rows};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Loops, Unary, constant, operand};
use crate::param::Param;
use crate::real::Real;
use crate::size::RowSize;
use crate::tape::Tape;
use std::rc::Rc;

/// `weight * x / sqrt(mean(x^2) + eps)` over the channels of each position, or of each head of them: PyTorch's
/// `rms_norm`. Without a parameter the weight is 1.
#[derive(Clone, Copy, Debug)]
pub struct RmsNorm {
    /// Added to the mean of the squares.
    pub eps: f64,
    /// Heads, each of which is divided by its own root mean square; all have the same weights.
    pub heads: usize,
}

impl Operation for RmsNorm {
    const NAMES: &'static [&'static str] = &["rms_norm"];
    type Inputs<A> = [A; 1];
    /// The weight, or none.
    type Params<A> = Vec<A>;

    fn of(call: &Call<'_>) -> Option<Self> {
        let (eps, heads) = (call.real("eps")?, call.size("heads").unwrap_or(1));
        (heads > 0).then_some(Self { eps, heads })
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        params: Vec<Param<E, X>>,
    ) -> Result<Act<E, X, T>, X::Err> {
        let (map, whole) = (x.size, x.size.by_rows());
        let size = RowSize {
            rows: whole.rows * self.heads,
            channels: whole.channels / self.heads,
        };
        let x = x.ready()?;
        let exec = &x.context.exec;
        let weight = params.into_iter().next();
        let affine = weight.is_some();
        let weight = weight.map_or_else(|| Param::constant(exec, 1.0, size.channels, false), Ok)?;
        let squares = exec.compute(&rows::row_sums(size, "x", operand(0) * operand(0)), &[&x.data])?;
        let mean = operand(0) / constant(size.channels as f64) + constant(self.eps);
        let inverse = constant(1.0) / mean.map(Unary::Sqrt);
        let inverse = exec.compute(&Loops::elementwise(size.rows, 1, inverse), &[&squares])?;
        let value = operand(0) * operand(1) * operand(2);
        let y = exec.compute(&rows::map(size, "xrc", value), &[&x.data, &inverse, weight.values()])?;
        let (input, grad) = (x.saved, x.grad);
        let backward = move |exec: &X, dy: X::Buf| {
            let x = input.get(exec)?;
            let weighted = operand(1) * operand(2);
            let [x, inverse, dy, w] = [&*x, &inverse, &dy, weight.values()];
            // With x' = x * inverse: dx = inverse * (w dy - x' mean(x' w dy)).
            let products = exec.compute(&rows::row_sums(size, "xxc", operand(0) * weighted), &[x, dy, w])?;
            let slope = operand(2) * operand(2) * operand(2) / constant(size.channels as f64);
            let value = operand(1) * operand(3) * operand(2) - operand(0) * operand(4) * slope;
            let dx = exec.compute(&rows::map(size, "xxrcr", value), &[x, dy, inverse, w, &products])?;
            if affine {
                let normed = operand(0) * operand(1) * operand(2);
                let of_weight = exec.compute(&rows::channel_sums(size, "xxr", normed), &[x, dy, inverse])?;
                weight.add(exec, of_weight)?;
            }
            grad.add(exec, dx)
        };
        Ok(Act::output(x.context, map, Rc::new(y), backward))
    }
}
