//! Group normalisation (Wu & He 2018).

use super::{Call, Operation};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Expr, Loops, Unary, View, constant, operand};
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;
use std::rc::Rc;

/// `weight * (x - mean) / sqrt(variance + eps) + bias`, with mean and biased variance over the positions and channels of
/// each group of channels of each image: PyTorch's `group_norm`. Without parameters the weight is 1 and the bias 0.
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm {
    /// Groups; they divide the channels.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f64,
}

impl Operation for GroupNorm {
    const NAMES: &'static [&'static str] = &["group_norm"];
    type Inputs<A> = [A; 1];
    /// Weight and bias, or neither.
    type Params<A> = Vec<A>;

    fn of(call: &Call<'_>) -> Option<Self> {
        let (groups, eps) = (call.size("groups")?, call.real("eps")?);
        (groups > 0).then_some(Self { groups, eps })
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        [x]: [Act<E, X, T>; 1],
        params: Vec<Param<E, X>>,
    ) -> Result<Act<E, X, T>, X::Err> {
        let size = x.size;
        let grouped = Grouped::new(size, self.groups);
        let count = constant(grouped.count() as f64);
        let x = x.ready()?;
        let exec = &x.context.exec;
        let params = <[_; 2]>::try_from(params);
        let affine = params.is_ok();
        let neutral = |value| Param::constant(exec, value, size.channels, false);
        let [weight, bias] = params.or_else(|_| Ok([neutral(1.0)?, neutral(0.0)?]))?;
        let mean = exec.compute(&grouped.sums("x", operand(0) / count.clone()), &[&x.data])?;
        let centred = operand(0) - operand(1);
        let squares = centred.clone() * centred / count.clone();
        let variance = exec.compute(&grouped.sums("xg", squares), &[&x.data, &mean])?;
        let inverse = constant(1.0) / (operand(0) + constant(self.eps)).map(Unary::Sqrt);
        let inverse = exec.compute(&Loops::elementwise(size.batch * self.groups, 1, inverse), &[&variance])?;
        let value = (operand(0) - operand(1)) * operand(2) * operand(3) + operand(4);
        let operands = [&*x.data, &mean, &inverse, weight.values(), bias.values()];
        let y = exec.compute(&grouped.map("xggcc", value), &operands)?;
        let (input, grad) = (x.saved, x.grad);
        let backward = move |exec: &X, dy: X::Buf| {
            let x = input.get(exec)?;
            let operands = [&*x, &mean, &inverse, weight.values(), &dy];
            let normed = || (operand(0) - operand(1)) * operand(2);
            // dx = inverse * (w dy - mean(w dy) - x' mean(x' w dy)), where x' is the normalised input.
            let sloped = || operand(3) * operand(4) / count.clone();
            let average = exec.compute(&grouped.sums("xggcx", sloped()), &operands)?;
            let product = exec.compute(&grouped.sums("xggcx", normed() * sloped()), &operands)?;
            let value = operand(2) * (operand(3) * operand(4) - operand(5) - normed() * operand(6));
            let [a, b, c, d, e] = operands;
            let dx = exec.compute(&grouped.map("xggcxgg", value), &[a, b, c, d, e, &average, &product])?;
            if affine {
                let of_weight = grouped.channel_sums("xggx", normed() * operand(3));
                weight.add(exec, exec.compute(&of_weight, &[a, b, c, e])?)?;
                bias.add(exec, exec.compute(&grouped.channel_sums("x", operand(0)), &[e])?)?;
            }
            grad.add(exec, dx)
        };
        Ok(Act::output(x.context, size, Rc::new(y), backward))
    }
}

/// Maps as images, positions, groups and channels of a group.
#[derive(Clone, Copy)]
struct Grouped {
    images: usize,
    positions: usize,
    groups: usize,
    channels: usize,
}

impl Grouped {
    fn new(size: MapSize, groups: usize) -> Self {
        Self {
            images: size.batch,
            positions: size.height * size.width,
            groups,
            channels: size.channels / groups,
        }
    }

    /// Values of a group.
    fn count(self) -> usize {
        self.positions * self.channels
    }

    /// How operands are read: maps (`x`), values of groups (`g`) and of channels (`c`). The loops are over images,
    /// positions, groups and channels, in the order that `order` gives.
    fn views(self, kinds: &str, order: [usize; 4]) -> Vec<View> {
        let across = self.groups * self.channels;
        let steps = |kind| match kind {
            'x' => [self.positions * across, across, self.channels, 1],
            'g' => [self.groups, 0, 1, 0],
            _ => [0, 0, self.channels, 1],
        };
        let view = |kind| View::steps(order.map(|loop_| steps(kind)[loop_]));
        kinds.chars().map(view).collect()
    }

    /// A value for each element.
    fn map(self, kinds: &str, value: Expr) -> Loops {
        Loops {
            output: vec![self.images, self.positions, self.groups, self.channels],
            summed: Vec::new(),
            views: self.views(kinds, [0, 1, 2, 3]),
            value,
        }
    }

    /// A sum for each group of each image.
    fn sums(self, kinds: &str, value: Expr) -> Loops {
        Loops {
            output: vec![self.images, self.groups],
            summed: vec![self.positions, self.channels],
            views: self.views(kinds, [0, 2, 1, 3]),
            value,
        }
    }

    /// A sum for each channel.
    fn channel_sums(self, kinds: &str, value: Expr) -> Loops {
        Loops {
            output: vec![self.groups, self.channels],
            summed: vec![self.images, self.positions],
            views: self.views(kinds, [2, 3, 0, 1]),
            value,
        }
    }
}
