//! Operations that are made of loops: [`composed`](ksdsl_engine::ops::composed).

use crate::act::{Act, ActShape, Untyped};
use crate::backend::Backend;
use crate::param::ParamArg;
use crate::scalar::Scalar;
use dfdx::shapes::Shape;
use dfdx::tensor::Tape;
use ksdsl_engine::Param;
use ksdsl_engine::ops::Operation;

/// Applies an operation to inputs of one shape.
///
/// # Panics
/// If the output does not have the shape that is asked for, or batch sizes differ.
pub fn apply<O, const N: usize, S, Y, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    operation: O,
    inputs: [Act<S, E, D, T>; N],
) -> Result<Act<Y, E, D, T>, D::Err>
where
    O: Operation,
    O::Inputs<Untyped<E, D, T>>: From<[Untyped<E, D, T>; N]>,
    O::Params<Param<E, D::Exec>>: From<[Param<E, D::Exec>; 0]>,
    S: ActShape,
    Y: ActShape<Batch = S::Batch>,
{
    run(operation, inputs, [].into())
}

/// As [`apply`], with parameters.
///
/// # Panics
/// As [`apply`].
pub fn apply_with<O, const N: usize, const P: usize, S, W: Shape, Y, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    operation: O,
    mut inputs: [Act<S, E, D, T>; N],
    params: [impl ParamArg<W, E, D>; P],
) -> Result<Act<Y, E, D, T>, D::Err>
where
    O: Operation,
    O::Inputs<Untyped<E, D, T>>: From<[Untyped<E, D, T>; N]>,
    O::Params<Param<E, D::Exec>>: From<[Param<E, D::Exec>; P]>,
    S: ActShape,
    Y: ActShape<Batch = S::Batch>,
{
    const { assert!(N > 0, "an operation has an input") };
    let bound = params.map(|param| param.bind(inputs[0].context_mut()));
    let mut params = Vec::with_capacity(P);
    for param in bound {
        params.push(param?);
    }
    let Ok(params) = <[_; P]>::try_from(params) else {
        unreachable!("there are as many as were bound")
    };
    run(operation, inputs, params.into())
}

/// As [`apply`], to two inputs of any shapes.
///
/// # Panics
/// As [`apply`].
pub fn apply_pair<O, S, S2, Y, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    operation: O,
    first: Act<S, E, D, T>,
    second: Act<S2, E, D, T>,
) -> Result<Act<Y, E, D, T>, D::Err>
where
    O: Operation,
    O::Inputs<Untyped<E, D, T>>: From<[Untyped<E, D, T>; 2]>,
    O::Params<Param<E, D::Exec>>: From<[Param<E, D::Exec>; 0]>,
    S: ActShape,
    S2: ActShape<Batch = S::Batch>,
    Y: ActShape<Batch = S::Batch>,
{
    let (shape, device) = (Y::of(first.shape.batch()), first.device.clone());
    let sizes = [first.shape.map_size(), second.shape.map_size()];
    assert_eq!(sizes[0].batch, sizes[1].batch, "cannot combine different batch sizes");
    assert_eq!(
        shape.map_size(),
        operation.output(&sizes),
        "the output has another shape"
    );
    let untyped = operation.run([first.untyped, second.untyped].into(), [].into());
    Ok(Act {
        shape,
        device,
        untyped: untyped.map_err(D::failed)?,
    })
}

/// Runs an operation whose parameters are bound.
pub(super) fn run<O, const N: usize, S, Y, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    operation: O,
    inputs: [Act<S, E, D, T>; N],
    params: O::Params<Param<E, D::Exec>>,
) -> Result<Act<Y, E, D, T>, D::Err>
where
    O: Operation,
    O::Inputs<Untyped<E, D, T>>: From<[Untyped<E, D, T>; N]>,
    S: ActShape,
    Y: ActShape<Batch = S::Batch>,
{
    const { assert!(N > 0, "an operation has an input") };
    let (shape, device) = (Y::of(inputs[0].shape.batch()), inputs[0].device.clone());
    let sizes = inputs.each_ref().map(|input| input.shape.map_size());
    assert!(
        sizes.iter().all(|size| size.batch == sizes[0].batch),
        "cannot combine different batch sizes"
    );
    assert_eq!(
        shape.map_size(),
        operation.output(&sizes),
        "the output has another shape"
    );
    let untyped = operation.run(inputs.map(|input| input.untyped).into(), params);
    Ok(Act {
        shape,
        device,
        untyped: untyped.map_err(D::failed)?,
    })
}
