//! Factors that a visit has of its own for the output channels of a shared kernel.

use crate::act::{Act, GradCell};
use crate::exec::Exec;
use crate::param::Param;
use crate::pending::Value;
use crate::real::Real;
use crate::saved::{Recompute, Saved};
use crate::size::{RowSize, Tail};
use crate::tape::Tape;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::rc::Rc;

/// `factor * x + bias`, one factor and one bias for each channel (or feature). After a convolution or a
/// linear layer without bias that is the layer with the kernel `factor * kernel`, while the kernel itself
/// stays that of all its visits.
///
/// In inference it is part of the convolution. In training the output is not kept, but recomputed from the
/// convolution's.
///
/// # Errors
/// If the executor fails.
pub fn scale<E: Real, X: Exec<E>, T: Tape<E, X>>(
    mut x: Act<E, X, T>,
    factor: Param<E, X>,
    bias: Option<Param<E, X>>,
) -> Result<Act<E, X, T>, X::Err> {
    let exec = x.context.exec.clone();
    let (map, size) = (x.size, x.size.by_rows());
    let offset = match &bias {
        Some(bias) => bias.values().clone(),
        None => exec.zeroed(size.channels)?,
    };
    if !T::RECORDS && x.value.is_open_conv() {
        x.value.take_affine(factor.values().clone(), offset);
        return Ok(x);
    }
    let x = x.ready()?;
    let y = Rc::new(exec.norm_apply(size, None, Cow::Borrowed(&*x.data), factor.values(), &offset, None)?);
    let saved = output(size, &x.saved, &y, factor.values(), offset);
    let backward = Backward {
        size,
        input: x.saved,
        grad: x.grad,
        factor,
        bias,
    };
    let (mut context, grad) = (x.context, GradCell::new(T::RECORDS));
    context.record(&grad, move |exec, dy| backward.run(exec, dy));
    Ok(Act {
        size: map,
        context,
        value: Value::Ready(y, saved),
        grad,
    })
}

/// How to recompute the output.
fn output<E: Real, X: Exec<E>>(
    size: RowSize,
    input: &Saved<E, X>,
    y: &Rc<X::Buf>,
    factor: &X::Buf,
    offset: X::Buf,
) -> Saved<E, X> {
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
struct Backward<E: Real, X: Exec<E>> {
    size: RowSize,
    input: Saved<E, X>,
    grad: GradCell<X::Buf>,
    factor: Param<E, X>,
    bias: Option<Param<E, X>>,
}

impl<E: Real, X: Exec<E>> Backward<E, X> {
    /// `dfactor = sum of dy * x`, `dbias = sum of dy` over the rows, `dx = factor * dy`.
    fn run(self, exec: &X, dy: X::Buf) -> Result<(), X::Err> {
        let Self { size, input, .. } = self;
        let values = input.get(exec)?;
        let product = exec.multiply(dy.clone(), &values)?;
        drop((values, input));
        self.factor
            .accumulate_values(exec, |sum| exec.bias_backward(size, &product, sum))?;
        drop(product);
        if let Some(bias) = &self.bias {
            bias.accumulate_values(exec, |sum| exec.bias_backward(size, &dy, sum))?;
        }
        let zeros = exec.zeroed(size.channels)?;
        let dx = exec.norm_apply(size, None, Cow::Owned(dy), self.factor.values(), &zeros, None)?;
        self.grad.add(exec, dx)
    }
}
