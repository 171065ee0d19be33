//! Factors that a visit has of its own for the output channels of a shared kernel.

use crate::act::{Act, GradCell, HasChannels};
use crate::backend::Backend;
use crate::geometry::{RowSize, Tail};
use crate::param::{BiasArg, Param, ParamArg};
use crate::pending::Value;
use crate::saved::{Recompute, Saved};
use crate::scalar::Scalar;
use dfdx::shapes::Rank1;
use dfdx::tensor::Tape;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::rc::Rc;

/// `factor * x + bias`, one factor and one bias for each channel (or feature). After a convolution or a
/// linear layer without bias that is the layer with the kernel `factor * kernel`, while the kernel itself
/// stays that of all its visits.
///
/// In inference it is part of the convolution. In training the output is not kept, but recomputed from the
/// convolution's.
pub fn scale<const C: usize, S: HasChannels<C>, E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    mut x: Act<S, E, D, T>,
    factor: impl ParamArg<Rank1<C>, E, D>,
    bias: impl BiasArg<C, E, D>,
) -> Result<Act<S, E, D, T>, D::Err> {
    let factor = factor.bind(&mut x.context)?;
    let bias = bias.bind_bias(&mut x.context)?;
    let device = x.context.device.clone();
    let offset = match &bias {
        Some(bias) => bias.values().clone(),
        None => Backend::zeroed(&device, C)?,
    };
    if !T::OWNS_TAPE && x.value.is_open_conv() {
        x.value.take_affine(factor.values().clone(), offset);
        return Ok(x);
    }
    let size = x.shape.row_size();
    let x = x.ready()?;
    let y = Rc::new(device.norm_apply(size, None, Cow::Borrowed(&*x.data), factor.values(), &offset, None)?);
    let saved = output(size, &x.saved, &y, factor.values(), offset);
    let backward = Backward {
        size,
        input: x.saved,
        grad: x.grad,
        factor,
        bias,
    };
    let (mut context, grad) = (x.context, GradCell::new(T::OWNS_TAPE));
    context.record(&grad, move |device, dy| backward.run::<C>(device, dy));
    Ok(Act {
        shape: x.shape,
        context,
        value: Value::Ready(y, saved),
        grad,
    })
}

/// How to recompute the output.
fn output<E: Scalar, D: Backend<E>>(
    size: RowSize,
    input: &Saved<E, D>,
    y: &Rc<D::Buf>,
    factor: &D::Buf,
    offset: D::Buf,
) -> Saved<E, D> {
    let recompute = Recompute {
        size,
        tail: Tail::default(),
        input: input.clone(),
        factor: Rc::new(factor.clone()),
        offset: Rc::new(offset),
        residual: None,
        mean: None,
        made: OnceCell::new(),
    };
    match recompute.pays() {
        true => Saved::Recompute(Rc::new(recompute)),
        false => Saved::Kept(y.clone()),
    }
}

/// The backward pass of [`scale`].
struct Backward<E: Scalar, D: Backend<E>> {
    size: RowSize,
    input: Saved<E, D>,
    grad: GradCell<D::Buf>,
    factor: Param<E, D>,
    bias: Option<Param<E, D>>,
}

impl<E: Scalar, D: Backend<E>> Backward<E, D> {
    /// `dfactor = sum of dy * x`, `dbias = sum of dy` over the rows, `dx = factor * dy`.
    fn run<const C: usize>(self, device: &D, dy: D::Buf) -> Result<(), D::Err> {
        let Self { size, input, .. } = self;
        let values = input.get(device)?;
        let product = device.multiply(dy.clone(), &values)?;
        drop((values, input));
        self.factor
            .accumulate_values(device, |sum| device.bias_backward(size, &product, sum))?;
        drop(product);
        if let Some(bias) = &self.bias {
            bias.accumulate_values(device, |sum| device.bias_backward(size, &dy, sum))?;
        }
        let zeros = Backend::zeroed(device, C)?;
        let dx = device.norm_apply(size, None, Cow::Owned(dy), self.factor.values(), &zeros, None)?;
        self.grad.add(device, dx)
    }
}
