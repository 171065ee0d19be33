//! Convolutions in waiting.

use super::Computed;
use crate::act::{Context, GradCell};
use crate::exec::{ConvLink, ConvMoments, ConvTail, Exec, JoinedConv, JoinedGradients, NormBackward};
use crate::param::Param;
use crate::real::Real;
use crate::saved::Saved;
use crate::size::{Activation, ConvSize, RowSize};
use crate::tape::Tape;
use crate::weight::Weight;
use std::rc::Rc;

/// A convolution (or a linear layer, which is one of 1x1 maps) with what follows it.
#[derive(Debug)]
pub(crate) struct ConvStep<E: Real, X: Exec<E>> {
    pub(crate) size: ConvSize,
    /// The input; that of [`ConvStep::behind`] if there is one.
    pub(crate) x: Rc<X::Buf>,
    /// A convolution before this one that did not run yet, and whose output nothing else reads, with those behind it; in
    /// inference only.
    pub(crate) behind: Option<Box<ConvStep<E, X>>>,
    pub(crate) saved: Saved<E, X>,
    pub(crate) grad: GradCell<X::Buf>,
    pub(crate) weight: Weight<E, X>,
    pub(crate) bias: Option<Param<E, X>>,
    /// The activation next to the convolution.
    pub(crate) before: Option<Activation>,
    /// Factor and offset of the norm's running statistics; in inference only.
    pub(crate) affine: Option<(X::Buf, X::Buf)>,
    /// What is added after that; in inference only.
    pub(crate) residual: Option<Rc<X::Buf>>,
    /// The activation after that; in inference only.
    pub(crate) after: Option<Activation>,
}

/// What a convolution's backward pass needs.
#[derive(Debug)]
pub(crate) struct ConvBackward<E: Real, X: Exec<E>> {
    size: ConvSize,
    saved: Saved<E, X>,
    grad: GradCell<X::Buf>,
    weight: Weight<E, X>,
    bias: Option<Param<E, X>>,
}

impl<E: Real, X: Exec<E>> ConvBackward<E, X> {
    /// As [`ConvBackward::run`] for the gradient `dy` of a norm's output, whose input is the output of
    /// the convolution, where the executor does both in one go.
    pub(crate) fn run_with_norm(
        self,
        exec: &X,
        norm: NormBackward<'_, X::Buf>,
        dy: X::Buf,
        scale: &Param<E, X>,
        shift: &Param<E, X>,
    ) -> Result<(), X::Err> {
        let kernel = self.weight.kernel(exec)?;
        let conv = JoinedConv {
            size: self.size,
            x: self.saved.source(exec)?,
            kernel: &*kernel,
            others: self.grad.take(),
        };
        let mut dx = None;
        scale.accumulate_values(exec, |scale| {
            shift.accumulate_values(exec, |shift| {
                self.weight.accumulate(exec, |weight| {
                    let run = |bias: Option<&mut X::Buf>| {
                        let gradients = JoinedGradients {
                            scale,
                            shift,
                            weight,
                            bias,
                        };
                        dx = Some(exec.conv_norm_backward(norm, conv, dy, gradients)?);
                        Ok(())
                    };
                    match &self.bias {
                        Some(bias) => bias.accumulate_values(exec, |bias| run(Some(bias))),
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

    /// Whether the executor does it in one go with the norm after it.
    pub(crate) fn joins_norm(&self, exec: &X) -> bool {
        exec.joins_norm(self.size)
    }

    /// Adds the gradients of kernel, bias and input.
    pub(crate) fn run(self, exec: &X, dy: &X::Buf) -> Result<(), X::Err> {
        let size = self.size;
        let x = self.saved.get(exec)?;
        self.weight
            .accumulate(exec, |gradient| exec.conv_backward_weight(size, &x, dy, gradient))?;
        drop(x);
        if let Some(bias) = self.bias {
            let rows = RowSize {
                rows: size.output.rows(),
                channels: size.output.channels,
            };
            bias.accumulate_values(exec, |dbias| exec.bias_backward(rows, dy, dbias))?;
        }
        let others = self.grad.take();
        let kernel = self.weight.kernel(exec)?;
        let dx = exec.conv_backward_data(size, &kernel, dy, others)?;
        self.grad.put(dx);
        Ok(())
    }
}

impl<E: Real, X: Exec<E>> ConvStep<E, X> {
    /// Whether nothing but an activation follows the convolution yet.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_open() && self.affine.is_none()
    }

    /// Whether nothing follows the convolution yet.
    pub(crate) fn is_bare(&self) -> bool {
        self.before.is_none() && self.is_plain()
    }

    /// Whether a residual may still follow.
    pub(crate) fn is_open(&self) -> bool {
        self.residual.is_none() && self.after.is_none()
    }

    /// The convolutions behind this one and itself, in order.
    fn chain(&self) -> Vec<&Self> {
        let mut steps = vec![self];
        while let Some(behind) = steps.last().and_then(|step| step.behind.as_deref()) {
            steps.push(behind);
        }
        steps.reverse();
        steps
    }

    /// The sizes of the chain that `next` would become the end of.
    pub(crate) fn chain_with(&self, next: ConvSize) -> Vec<ConvSize> {
        let sizes = self.chain().into_iter().map(|step| step.size);
        sizes.chain([next]).collect()
    }

    fn values(&self) -> Option<&X::Buf> {
        self.bias.as_ref().map(Param::values)
    }

    /// The convolution with what follows it, but for the activation next to it if it is not `activated`.
    fn link<'a>(&'a self, kernel: &'a X::Kernel, activated: bool) -> ConvLink<'a, X::Buf, X::Kernel> {
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
    pub(crate) fn into_backward(self) -> ConvBackward<E, X> {
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
    pub(crate) fn moments(&self, exec: &X) -> Result<ConvMoments<X::Buf>, X::Err> {
        let kernel = self.weight.kernel(exec)?;
        exec.conv_moments(self.size.in_training(), &self.x, &kernel, self.values(), self.before)
    }

    pub(crate) fn compute<T: Tape<E, X>>(
        self,
        context: &mut Context<E, X, T>,
        grad: &GradCell<X::Buf>,
    ) -> Computed<E, X> {
        let exec = context.exec.clone();
        let activation = self.before.filter(|_| T::RECORDS);
        let y = if self.behind.is_none() {
            let kernel = self.weight.kernel(&exec)?;
            let mut link = self.link(&kernel, !T::RECORDS);
            if T::RECORDS {
                link.size = link.size.in_training();
            }
            exec.conv_forward(link.size, &self.x, link.kernel, link.bias, link.tail)?
        } else {
            let steps = self.chain();
            let kernels = steps.iter().map(|step| step.weight.kernel(&exec));
            let kernels = kernels.collect::<Result<Vec<_>, _>>()?;
            let links = steps.iter().zip(&kernels).map(|(step, kernel)| step.link(kernel, true));
            exec.conv_chain(&self.x, &links.collect::<Vec<_>>())?
        };
        if !T::RECORDS {
            let y = Rc::new(y);
            return Ok((y.clone(), Saved::Kept(y)));
        }
        let backward = self.into_backward();
        let Some(kind) = activation else {
            context.record(grad, move |exec, dy| backward.run(exec, &dy));
            let y = Rc::new(y);
            return Ok((y.clone(), Saved::Kept(y)));
        };
        let inner = GradCell::new(true);
        context.record(&inner, move |exec, dy| backward.run(exec, &dy));
        let y = activate(kind, Rc::new(y), inner, context, grad)?;
        Ok((y.clone(), Saved::Kept(y)))
    }
}

/// Whether the backward pass of `kind` needs the output rather than the input, so that the
/// forward pass can work in place.
fn saves_output(kind: Activation) -> bool {
    matches!(kind, Activation::Relu | Activation::Relu6 | Activation::Sigmoid)
}

/// An activation function as a pass of its own over `x`, whose gradient gathers in `input`.
pub(crate) fn activate<E: Real, X: Exec<E>, T: Tape<E, X>>(
    kind: Activation,
    x: Rc<X::Buf>,
    input: GradCell<X::Buf>,
    context: &mut Context<E, X, T>,
    grad: &GradCell<X::Buf>,
) -> Result<Rc<X::Buf>, X::Err> {
    let before = (T::RECORDS && !saves_output(kind)).then(|| x.clone());
    let y = Rc::new(context.exec.activation_forward(kind, Rc::unwrap_or_clone(x))?);
    if let Some(saved) = before.or_else(|| T::RECORDS.then(|| y.clone())) {
        context.record(grad, move |exec, dy| {
            let dx = exec.activation_backward(kind, &saved, dy)?;
            input.add(exec, dx)
        });
    }
    Ok(y)
}
