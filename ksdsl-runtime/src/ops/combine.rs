//! Operations that join two branches element by element.

use crate::act::{Act, ActShape, Flat, GradCell, Map, Ready};
use crate::backend::Backend;
use crate::pending::{Branch, GateStep, Value};
use crate::scalar::Scalar;
use dfdx::shapes::{Dim, Shape};
use dfdx::tensor::Tape;
use std::rc::Rc;

/// `a + b`: the end of a residual.
///
/// # Panics
/// If both batch sizes are known at run time only and differ (as dfdx's own operations do).
pub fn add<S: Shape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    a: Act<S, E, D, T>,
    b: Act<S, E, D, T>,
) -> Result<Act<S, E, D, T>, D::Err> {
    assert_eq!(a.shape, b.shape, "cannot add different shapes");
    // A sum is the same either way round. The branch that waits takes up the other.
    let taped = T::OWNS_TAPE;
    let (mut waiting, other) = match (a.value.takes_residual(taped), b.value.takes_residual(taped)) {
        (true, _) => (a, b.ready()?),
        (false, true) => (b, a.ready()?),
        (false, false) => return add_now(a.ready()?, b.ready()?),
    };
    waiting.value.take_residual(Branch {
        data: other.data,
        saved: other.saved,
        grad: other.grad,
    });
    waiting.context = waiting.context.merge(other.context);
    Ok(waiting)
}

fn add_now<S: Shape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    a: Ready<S, E, D, T>,
    b: Ready<S, E, D, T>,
) -> Result<Act<S, E, D, T>, D::Err> {
    drop((a.saved, b.saved));
    // Adding in place needs a buffer of one's own.
    let (into, other) = if Rc::strong_count(&a.data) == 1 {
        (a.data, b.data)
    } else {
        (b.data, a.data)
    };
    let context = a.context.merge(b.context);
    let y = context.device.add(Rc::unwrap_or_clone(into), &other)?;
    let (grad_a, grad_b) = (a.grad, b.grad);
    let backward = move |device: &D, dy: D::Buf| {
        grad_a.add(device, dy.clone())?;
        grad_b.add(device, dy)
    };
    Ok(Act::output(context, a.shape, Rc::new(y), backward))
}

/// `a * b`, element by element.
///
/// # Panics
/// If both batch sizes are known at run time only and differ (as dfdx's own operations do).
pub fn multiply<S: Shape, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    a: Act<S, E, D, T>,
    b: Act<S, E, D, T>,
) -> Result<Act<S, E, D, T>, D::Err> {
    assert_eq!(a.shape, b.shape, "cannot multiply different shapes");
    let (a, b) = (a.ready()?, b.ready()?);
    let saved = T::OWNS_TAPE.then_some((a.saved, b.saved));
    let context = a.context.merge(b.context);
    let y = context.device.multiply(Rc::unwrap_or_clone(a.data), &b.data)?;
    let (grad_a, grad_b) = (a.grad, b.grad);
    let backward = move |device: &D, dy: D::Buf| {
        let Some((a, b)) = saved else { return Ok(()) };
        grad_a.add(device, device.multiply(dy.clone(), &*b.get(device)?)?)?;
        grad_b.add(device, device.multiply(dy, &*a.get(device)?)?)
    };
    Ok(Act::output(context, a.shape, Rc::new(y), backward))
}

/// Scales each channel of each image of `x` by `gate`: squeeze-and-excitation (Hu et al. 2018,
/// equation 4).
///
/// # Panics
/// If both batch sizes are known at run time only and differ (as dfdx's own operations do).
pub fn gate<B: Dim, const C: usize, const H: usize, const W: usize, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    x: Map<B, C, H, W, E, D, T>,
    gate: Flat<B, C, E, D, T>,
) -> Result<Map<B, C, H, W, E, D, T>, D::Err> {
    assert_eq!(x.shape.0, gate.shape.0, "cannot gate a batch of another size");
    let size = x.shape.map_size();
    let (x, gate) = (x.ready()?, gate.ready()?);
    let branch = |data, saved, grad| Branch { data, saved, grad };
    let step = GateStep {
        size,
        input: branch(x.data, x.saved, x.grad),
        gate: branch(gate.data, gate.saved, gate.grad),
        residual: None,
        after: None,
    };
    Ok(Act {
        shape: x.shape,
        context: x.context.merge(gate.context),
        value: Value::Gate(Box::new(step)),
        grad: GradCell::new(T::OWNS_TAPE),
    })
}
