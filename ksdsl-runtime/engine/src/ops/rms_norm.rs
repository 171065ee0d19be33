//! RMS normalisation (Zhang & Sennrich 2019).

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Expr, Loops, Unary, View, constant, operand};
use crate::param::Param;
use crate::real::Real;
use crate::tape::Tape;
use std::rc::Rc;

/// `weight * x / sqrt(mean(x^2) + eps)` over the channels of each position: PyTorch's `rms_norm`.
#[derive(Clone, Copy, Debug)]
pub struct RmsNorm {
    /// Added to the mean of the squares.
    pub eps: f64,
}

impl Operation for RmsNorm {
    const NAMES: &'static [&'static str] = &["rms_norm"];
    type Inputs<A> = [A; 1];
    type Params<A> = [A; 1];

    fn of(call: &Call<'_>) -> Option<Self> {
        call.real("eps").map(|eps| Self { eps })
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        [weight]: [Param<E, X>; 1],
    ) -> Result<Act<E, X, T>, X::Err> {
        let size = x.size;
        let rows = Rows {
            rows: size.rows(),
            channels: size.channels,
        };
        let x = x.ready()?;
        let exec = &x.context.exec;
        let squares = exec.compute(&rows.sums(operand(0) * operand(0), 1), &[&x.data])?;
        let mean = operand(0) / constant(rows.channels as f64) + constant(self.eps);
        let inverse = constant(1.0) / mean.map(Unary::Sqrt);
        let inverse = exec.compute(&Loops::elementwise(rows.rows, 1, inverse), &[&squares])?;
        let value = operand(0) * operand(1) * operand(2);
        let y = exec.compute(&rows.map(value, "xrc"), &[&x.data, &inverse, weight.values()])?;
        let (input, grad) = (x.saved, x.grad);
        let backward = move |exec: &X, dy: X::Buf| {
            let x = input.get(exec)?;
            let weighted = operand(1) * operand(2);
            let [x, inverse, dy, w] = [&*x, &inverse, &dy, weight.values()];
            // With x' = x * inverse: dx = inverse * (w dy - x' mean(x' w dy)).
            let products = exec.compute(&rows.row_sums(operand(0) * weighted), &[x, dy, w])?;
            let slope = operand(2) * operand(2) * operand(2) / constant(rows.channels as f64);
            let value = operand(1) * operand(3) * operand(2) - operand(0) * operand(4) * slope;
            let dx = exec.compute(&rows.map(value, "xxrcr"), &[x, dy, inverse, w, &products])?;
            weight.add(exec, exec.compute(&rows.column_sums(), &[x, dy, inverse])?)?;
            grad.add(exec, dx)
        };
        Ok(Act::output(x.context, size, Rc::new(y), backward))
    }
}

/// Rows of channels.
#[derive(Clone, Copy)]
struct Rows {
    rows: usize,
    channels: usize,
}

impl Rows {
    /// How an operand is read in loops over rows and channels: by both, by row, or by channel.
    fn view(self, kind: char) -> View {
        match kind {
            'r' => View::steps([1, 0]),
            'c' => View::steps([0, 1]),
            _ => View::steps([self.channels, 1]),
        }
    }

    /// A value for each element, of operands of these kinds.
    fn map(self, value: Expr, kinds: &str) -> Loops {
        Loops {
            output: vec![self.rows, self.channels],
            summed: Vec::new(),
            views: kinds.chars().map(|kind| self.view(kind)).collect(),
            value,
        }
    }

    /// A sum over the channels of each row, of `operands` maps.
    fn sums(self, value: Expr, operands: usize) -> Loops {
        Loops {
            output: vec![self.rows],
            summed: vec![self.channels],
            views: vec![self.view('x'); operands],
            value,
        }
    }

    /// A sum over the channels of each row, of two maps and a value for each channel.
    fn row_sums(self, value: Expr) -> Loops {
        Loops {
            views: "xxc".chars().map(|kind| self.view(kind)).collect(),
            ..self.sums(value, 0)
        }
    }

    /// The sums over the rows of the products of two maps and a value for each row.
    fn column_sums(self) -> Loops {
        Loops {
            output: vec![self.channels],
            summed: vec![self.rows],
            views: vec![
                View::steps([1, self.channels]),
                View::steps([1, self.channels]),
                View::steps([0, 1]),
            ],
            value: operand(0) * operand(1) * operand(2),
        }
    }
}
