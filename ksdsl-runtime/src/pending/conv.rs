//! Convolutions in waiting.

use super::Computed;
use crate::act::{Context, GradCell};
use crate::backend::{Backend, ConvLink, ConvMoments, ConvTail, JoinedConv, JoinedGradients, NormBackward};
use crate::geometry::{Activation, ConvSize, RowSize};
use crate::param::Param;
use crate::saved::Saved;
use crate::scalar::Scalar;
use crate::weight::Weight;
use dfdx::tensor::Tape;
use std::rc::Rc;

/// A convolution (or a linear layer, which is one of 1x1 maps) with what follows it.
#[derive(Debug)]
pub(crate) struct ConvStep<E: Scalar, D: Backend<E>> {
    pub(crate) size: ConvSize,
    /// The input; that of [`ConvStep::behind`] if there is one.
    pub(crate) x: Rc<D::Buf>,
    /// A convolution before this one that did not run yet, and whose output nothing else reads; in
    /// inference only.
    pub(crate) behind: Option<Box<ConvStep<E, D>>>,
    pub(crate) saved: Saved<E, D>,
    pub(crate) grad: GradCell<D::Buf>,
    pub(crate) weight: Weight<E, D>,
    pub(crate) bias: Option<Param<E, D>>,
    /// The activation next to the convolution.
    pub(crate) before: Option<Activation>,
    /// Factor and offset of the norm's running statistics; in inference only.
    pub(crate) affine: Option<(D::Buf, D::Buf)>,
    /// What is added after that; in inference only.
    pub(crate) residual: Option<Rc<D::Buf>>,
    /// The activation after that; in inference only.
    pub(crate) after: Option<Activation>,
}

/// What a convolution's backward pass needs.
#[derive(Debug)]
pub(crate) struct ConvBackward<E: Scalar, D: Backend<E>> {
    size: ConvSize,
    saved: Saved<E, D>,
    grad: GradCell<D::Buf>,
    weight: Weight<E, D>,
    bias: Option<Param<E, D>>,
}

impl<E: Scalar, D: Backend<E>> ConvBackward<E, D> {
    /// As [`ConvBackward::run`] for the gradient `dy` of a norm's output, whose input is the output of
    /// the convolution, where the device does both in one go.
    pub(super) fn run_with_norm(
        self,
        device: &D,
        norm: NormBackward<'_, D::Buf>,
        dy: D::Buf,
        scale: &Param<E, D>,
        shift: &Param<E, D>,
    ) -> Result<(), D::Err> {
        let kernel = self.weight.kernel(device)?;
        let conv = JoinedConv {
            size: self.size,
            x: self.saved.source(device)?,
            kernel: &*kernel,
            others: self.grad.take(),
        };
        let mut dx = None;
        scale.accumulate_values(device, |scale| {
            shift.accumulate_values(device, |shift| {
                self.weight.accumulate(device, |weight| {
                    let run = |bias: Option<&mut D::Buf>| {
                        let gradients = JoinedGradients {
                            scale,
                            shift,
                            weight,
                            bias,
                        };
                        dx = Some(device.conv_norm_backward(norm, conv, dy, gradients)?);
                        Ok(())
                    };
                    match &self.bias {
                        Some(bias) => bias.accumulate_values(device, |bias| run(Some(bias))),
                        None => run(None),
                    }
                })
            })
        })?;
        if let Some(dx) = dx {
            self.grad.put_with(dx.values, dx.sums);
        }
        Ok(())
    }

    /// Whether the device does it in one go with the norm after it.
    pub(super) fn joins_norm(&self, device: &D) -> bool {
        device.joins_norm(self.size)
    }

    /// Adds the gradients of kernel, bias and input.
    pub(super) fn run(self, device: &D, dy: &D::Buf) -> Result<(), D::Err> {
        let size = self.size;
        let x = self.saved.get(device)?;
        self.weight
            .accumulate(device, |gradient| device.conv_backward_weight(size, &x, dy, gradient))?;
        drop(x);
        if let Some(bias) = self.bias {
            let rows = RowSize {
                rows: size.output.rows(),
                channels: size.output.channels,
            };
            bias.accumulate_values(device, |dbias| device.bias_backward(rows, dy, dbias))?;
        }
        let others = self.grad.take();
        let kernel = self.weight.kernel(device)?;
        let dx = device.conv_backward_data(size, &kernel, dy, others)?;
        self.grad.put(dx);
        Ok(())
    }
}

impl<E: Scalar, D: Backend<E>> ConvStep<E, D> {
    /// Whether nothing but an activation follows the convolution yet.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_open() && self.affine.is_none()
    }

    /// Whether nothing follows the convolution yet.
    pub(super) fn is_bare(&self) -> bool {
        self.before.is_none() && self.is_plain()
    }

    /// Whether a residual may still follow.
    pub(super) fn is_open(&self) -> bool {
        self.residual.is_none() && self.after.is_none()
    }

    fn values(&self) -> Option<&D::Buf> {
        self.bias.as_ref().map(Param::values)
    }

    /// The convolution with what follows it, but for the activation next to it if it is not `activated`.
    fn link<'a>(&'a self, kernel: &'a D::Kernel, activated: bool) -> ConvLink<'a, D::Buf, D::Kernel> {
        ConvLink {
            size: self.size,
            kernel,
            bias: self.values(),
            tail: ConvTail {
                before: self.before.filter(|_| activated),
                affine: self.affine.as_ref().map(|(factor, offset)| (factor, offset)),
                residual: self.residual.as_deref(),
                after: self.after,
            },
        }
    }

    /// What the backward pass needs; the input itself is let go.
    pub(crate) fn into_backward(self) -> ConvBackward<E, D> {
        ConvBackward {
            size: self.size,
            saved: self.saved,
            grad: self.grad,
            weight: self.weight,
            bias: self.bias,
        }
    }

    /// Runs the convolution and gathers the statistics of its (activated) output: the output, the
    /// activated output, mean and variance.
    pub(crate) fn moments(&self, device: &D) -> Result<ConvMoments<D::Buf>, D::Err> {
        let kernel = self.weight.kernel(device)?;
        device.conv_moments(self.size.in_training(), &self.x, &kernel, self.values(), self.before)
    }

    pub(super) fn compute<T: Tape<E, D>>(
        self,
        context: &mut Context<E, D, T>,
        grad: &GradCell<D::Buf>,
    ) -> Computed<E, D> {
        let device = context.device.clone();
        let activation = self.before.filter(|_| T::OWNS_TAPE);
        let kernel = self.weight.kernel(&device)?;
        let mut link = self.link(&kernel, !T::OWNS_TAPE);
        if T::OWNS_TAPE {
            link.size = link.size.in_training();
        }
        let y = match &self.behind {
            Some(behind) => {
                let kernel = behind.weight.kernel(&device)?;
                device.conv_chain(&self.x, behind.link(&kernel, true), link)?
            }
            None => device.conv_forward(link.size, &self.x, link.kernel, link.bias, link.tail)?,
        };
        drop(kernel);
        if !T::OWNS_TAPE {
            let y = Rc::new(y);
            return Ok((y.clone(), Saved::Kept(y)));
        }
        let backward = self.into_backward();
        let Some(kind) = activation else {
            context.record(grad, move |device, dy| backward.run(device, &dy));
            let y = Rc::new(y);
            return Ok((y.clone(), Saved::Kept(y)));
        };
        let inner = GradCell::new(true);
        context.record(&inner, move |device, dy| backward.run(device, &dy));
        let y = activate(kind, Rc::new(y), inner, context, grad)?;
        Ok((y.clone(), Saved::Kept(y)))
    }
}

/// Whether the backward pass of `kind` needs the output rather than the input, so that the
/// forward pass can work in place.
fn saves_output(kind: Activation) -> bool {
    matches!(kind, Activation::Relu | Activation::Sigmoid)
}

/// An activation function as a pass of its own over `x`, whose gradient gathers in `input`.
pub(crate) fn activate<E: Scalar, D: Backend<E>, T: Tape<E, D>>(
    kind: Activation,
    x: Rc<D::Buf>,
    input: GradCell<D::Buf>,
    context: &mut Context<E, D, T>,
    grad: &GradCell<D::Buf>,
) -> Result<Rc<D::Buf>, D::Err> {
    let before = (T::OWNS_TAPE && !saves_output(kind)).then(|| x.clone());
    let y = Rc::new(context.device.activation_forward(kind, Rc::unwrap_or_clone(x))?);
    if let Some(saved) = before.or_else(|| T::OWNS_TAPE.then(|| y.clone())) {
        context.record(grad, move |device, dy| {
            let dx = device.activation_backward(kind, &saved, dy)?;
            input.add(device, dx)
        });
    }
    Ok(y)
}
