//! The linear layer.

use crate::act::{Act, ActShape, Flat};
use crate::backend::Backend;
use crate::geometry::LinearSize;
use crate::param::{BiasArg, ParamArg};
use crate::scalar::Scalar;
use dfdx::shapes::{Const, Dim, Rank2};
use dfdx::tensor::Tape;
use std::rc::Rc;

/// `x weight^T + bias` with `weight` as `[O][I]`: PyTorch's `linear`.
pub fn linear<B: Dim, const I: usize, const O: usize, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    mut x: Flat<B, I, E, D, T>,
    weight: impl ParamArg<Rank2<O, I>, E, D>,
    bias: impl BiasArg<O, E, D>,
) -> Result<Flat<B, O, E, D, T>, D::Err> {
    let shape = (x.shape.0, Const);
    let size = LinearSize {
        rows: x.shape.0.size(),
        inputs: I,
        outputs: O,
    };
    let weight = weight.bind(&mut x.tape)?;
    let bias = bias.bind_bias(&mut x.tape)?;
    let shift = bias.as_ref().map(|bias| bias.data());
    let y = x.device.linear_forward(size, &x.data, weight.data(), shift)?;
    let (input, grad) = (x.data, x.grad);
    let backward = move |device: &D, dy: D::Buf| {
        weight.accumulate(device, |dweight| {
            device.linear_backward_weight(size, &input, &dy, dweight)
        })?;
        if let Some(bias) = bias {
            let rows = shape.row_size();
            bias.accumulate(device, |dbias| device.bias_backward(rows, &dy, dbias))?;
        }
        let dx = device.linear_backward_data(size, weight.data(), &dy)?;
        grad.add(device, dx)
    };
    Ok(Act::output(x.tape, x.device, shape, Rc::new(y), backward))
}
