//! Products.

use super::gate::gate;
use super::{Call, Joined, Operation, rows};
use crate::act::Act;
use crate::exec::Exec;
use crate::loops::operand;
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;
use std::cmp::Ordering;
use std::rc::Rc;

/// Products, element by element, with one factor for each channel of each image, or with one for each position.
#[derive(Clone, Copy, Debug)]
pub struct Multiply;

impl Operation for Multiply {
    const NAMES: &'static [&'static str] = &["multiply"];
    type Inputs<A> = Joined<A>;
    type Params<A> = [A; 0];

    fn of(_: &Call<'_>) -> Option<Self> {
        Some(Self)
    }

    fn output(&self, inputs: &[MapSize]) -> MapSize {
        let largest = inputs.iter().copied().max_by_key(|size| (size.rows(), size.channels));
        largest.unwrap_or(inputs[0])
    }

    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        inputs: Joined<Act<E, X, T>>,
        []: [Param<E, X>; 0],
    ) -> Result<Act<E, X, T>, X::Err> {
        inputs.fold(|a, b| match a.size.rows().cmp(&b.size.rows()) {
            Ordering::Greater => gate(a, b),
            Ordering::Less => gate(b, a),
            Ordering::Equal => match a.size.channels.cmp(&b.size.channels) {
                Ordering::Greater => multiply_positions(a, b),
                Ordering::Less => multiply_positions(b, a),
                Ordering::Equal => multiply(a, b),
            },
        })
    }
}

fn multiply<E: Real, X: Exec<E>, T: Tape<E, X>>(a: Act<E, X, T>, b: Act<E, X, T>) -> Result<Act<E, X, T>, X::Err> {
    let (a, b) = (a.ready()?, b.ready()?);
    let saved = T::RECORDS.then_some((a.saved, b.saved));
    let context = a.context.merge(b.context);
    let y = context.exec.multiply(Rc::unwrap_or_clone(a.data), &b.data)?;
    let (grad_a, grad_b) = (a.grad, b.grad);
    let backward = move |exec: &X, dy: X::Buf| {
        let Some((a, b)) = saved else { return Ok(()) };
        grad_a.add(exec, exec.multiply(dy.clone(), &*b.get(exec)?)?)?;
        grad_b.add(exec, exec.multiply(dy, &*a.get(exec)?)?)
    };
    Ok(Act::output(context, a.size, Rc::new(y), backward))
}

/// Each position of `x` times its factor, which is one for all channels: a gate over positions (Woo et al. 2018).
fn multiply_positions<E: Real, X: Exec<E>, T: Tape<E, X>>(
    x: Act<E, X, T>,
    factors: Act<E, X, T>,
) -> Result<Act<E, X, T>, X::Err> {
    let (map, size) = (x.size, x.size.by_rows());
    let product = move || rows::map(size, "xr", operand(0) * operand(1));
    let (x, factors) = (x.ready()?, factors.ready()?);
    let saved = T::RECORDS.then_some((x.saved, factors.saved));
    let context = x.context.merge(factors.context);
    let y = context.exec.compute(&product(), &[&x.data, &factors.data])?;
    let (grad_x, grad_factors) = (x.grad, factors.grad);
    let backward = move |exec: &X, dy: X::Buf| {
        let Some((x, factors)) = saved else { return Ok(()) };
        let sums = rows::row_sums(size, "xx", operand(0) * operand(1));
        grad_factors.add(exec, exec.compute(&sums, &[&*x.get(exec)?, &dy])?)?;
        grad_x.add(exec, exec.compute(&product(), &[&dy, &*factors.get(exec)?])?)
    };
    Ok(Act::output(context, map, Rc::new(y), backward))
}
